//! The connector of `docs/write-a-connector.md`: page and program are equal, and it keeps every connector's promises.

use std::{
    fs,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use connectors::{
    Connector, ConnectorSettings, Shared, Types,
    rules::{Counterpart, connector_rules},
};
use licence::Seq;
use serde_json::json;

#[path = "../examples/spool.rs"]
#[allow(unreachable_pub, reason = "a connector of the crate is public")]
mod spool;

/// A folder that another system reads.
struct Folder {
    all: tempfile::TempDir,
}

impl Folder {
    fn fresh() -> Self {
        let folder = Self { all: tempfile::tempdir().expect("a temporary folder") };
        fs::create_dir(folder.path()).expect("the folder can be made");
        folder
    }

    fn path(&self) -> PathBuf {
        self.all.path().join("spool")
    }

    fn moved_away(&self) -> PathBuf {
        self.all.path().join("elsewhere")
    }
}

#[async_trait]
impl Counterpart for Folder {
    fn connector(&self) -> Box<dyn Connector> {
        opened(&json!({ "name": "archive", "kind": "spool", "folder": self.path() }))
            .expect("the settings are right")
    }

    async fn held(&self) -> Vec<Seq> {
        let mut held: Vec<Seq> = fs::read_dir(self.path())
            .expect("the folder is there")
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                name.strip_prefix("archive-")?.strip_suffix(".json")?.parse().ok().map(Seq)
            })
            .collect();
        held.sort_unstable();
        held
    }

    fn spoil(&self, record: Shared) -> Shared {
        let mut licence = (*record.licence).clone();
        licence.region = None;
        Shared { licence: licence.into(), ..record }
    }

    async fn go_down(&mut self) {
        fs::rename(self.path(), self.moved_away()).expect("the folder can be moved");
    }

    async fn come_up(&mut self) {
        fs::rename(self.moved_away(), self.path()).expect("the folder can be moved back");
    }
}

/// As the settings file does it, or the codes of what is wrong.
fn opened(raw: &serde_json::Value) -> Result<Box<dyn Connector>, Vec<&'static str>> {
    let raw: ConnectorSettings = serde_json::from_value(raw.clone()).expect("a table");
    let mut problems = Vec::new();
    let opener = (spool::KIND.check)(&raw, &mut problems);
    match opener.filter(|_| problems.is_empty()) {
        Some(opener) => Ok(opener.open(&Types::default())),
        None => Err(problems.iter().map(connectors::SettingsProblem::code).collect()),
    }
}

#[tokio::test]
async fn the_connector_of_the_page_keeps_the_promises_of_every_connector() {
    connector_rules(async || Folder::fresh()).await;
}

#[test]
fn wrong_settings_are_told() {
    for (raw, codes) in [
        (json!({ "name": "a", "kind": "spool" }), ["setting_missing"]),
        (json!({ "name": "a", "kind": "spool", "folder": "f", "colour": 1 }), ["setting_unknown"]),
        (
            json!({ "name": "a", "kind": "spool", "folder": "f", "url": "https://a" }),
            ["setting_not_of_kind"],
        ),
    ] {
        assert_eq!(opened(&raw).err().expect("it is wrong"), codes, "{raw}");
    }
}

#[test]
fn the_page_and_the_program_are_equal_and_under_two_hundred_lines() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = fs::read_to_string(crate_folder.join("examples/spool.rs")).unwrap();
    let page = fs::read_to_string(crate_folder.join("../docs/write-a-connector.md")).unwrap();
    let pieces: Vec<&str> = page
        .split("```rust\n")
        .skip(1)
        .map(|piece| piece.split_once("```\n").expect("a piece ends").0)
        .collect();
    assert_eq!(pieces.join("\n"), program, "the page's pieces, one after the other");
    let lines = program.lines().count();
    assert!(lines < 200, "{lines} lines");
    assert!(page.contains(&format!("{lines} lines")), "the page says how long it is: {lines}");
}
