//! `hub connector`: the real program operates a real hub with a real counterpart. Each action asks why and leaves its
//! trace; wrong use ends with a message and its exit code.

mod support;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use connectors::{department_desk::DepartmentDesk, local_postgres::LocalPostgres};
use licence::Licence;
use serde_json::{Value, json};
use support::TestHub;

/// A map that knows no status, so that no licence can be written with it.
const NO_STATUS: &str = r#"{ "format": "yihao-code-map-1",
  "fields": [ { "as": "certificate_number", "from": "number" },
              { "as": "certificate_name", "from": "status" } ],
  "codes": { "status": { "suspended": "2" } }, "empty": "/" }
"#;

struct Scene {
    hub: TestHub,
    province: LocalPostgres,
    /// Certificate and key of who operates.
    operator: (PathBuf, PathBuf),
    folder: tempfile::TempDir,
}

/// What the program said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{} {}", self.out, self.err))
    }
}

impl Scene {
    async fn set(map: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs =
            LocalPostgres::find().expect("PostgreSQL is installed; ./dev test brings it");
        let province =
            LocalPostgres::start(&folder.path().join("province"), &programs).await.unwrap();
        let map = map.map_or_else(String::new, |map| {
            let path = folder.path().join("map.json");
            std::fs::write(&path, map).unwrap();
            format!("code_map = \"{}\"\n", path.display())
        });
        let settings = format!(
            "[[connectors]]\nname = \"province\"\nkind = \"frontdb\"\nconnection = \"{}\"\n\
             create_tables = true\npoll_ms = 50\nbackoff_min_ms = 50\n{map}",
            province.connection()
        );
        let hub = TestHub::start_with(&settings).await;
        let operator = hub.client_files(&hub.office().department);
        Self { hub, province, operator, folder }
    }

    /// Runs `hub connector`, with what it reads from standard input, as who operates.
    async fn run_with(&self, input: &str, arguments: &[&str]) -> Said {
        let address = self.hub.url("");
        let ca = self.hub.folder.path().join("ca.pem");
        self.run_as(input, arguments, &address, &self.operator, &ca).await
    }

    async fn run_as(
        &self,
        input: &str,
        arguments: &[&str],
        to: &str,
        who: &(PathBuf, PathBuf),
        ca: &Path,
    ) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hub"));
        command.arg("connector").args(arguments).args(["--to", to]);
        command.arg("--identity").arg(&who.0).arg("--key").arg(&who.1).arg("--ca").arg(ca);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.to_owned();
        // The hub runs in this thread: it must go on meanwhile.
        let run = tokio::task::spawn_blocking(move || -> Output {
            let mut child = command.spawn().unwrap();
            // It may end without having read.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child.wait_with_output().unwrap()
        });
        let output = run.await.unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        self.run_with("", arguments).await
    }

    /// Runs it, which must succeed.
    async fn done(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments).await;
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.err);
        said
    }

    /// Runs it, which must not succeed: exit code, and what was said.
    async fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let said = self.run(arguments).await;
        assert!(said.code != 0 && said.out.is_empty(), "{arguments:?}: {}", said.out);
        (said.code, said.err)
    }

    async fn state(&self) -> Value {
        self.done(&["list"]).await.json()["connectors"][0].clone()
    }

    async fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..200 {
            let state = self.state().await;
            if wanted(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("did not come about: {}", self.state().await);
    }

    async fn caught_up(&self) {
        let head = self.hub.registry_entries().await;
        self.until(|state| state["cursor"] == json!(head) && state["resending"] == 0).await;
    }

    async fn issue(&self) -> Licence {
        let (licence, _) = self.hub.enterprise_licence();
        assert_eq!(self.hub.issuer().issue(&licence).await.status, 201);
        licence
    }

    async fn desk(&self) -> DepartmentDesk {
        DepartmentDesk::connect(&self.province.connection()).await.unwrap()
    }

    /// The trace: what, why and how it ended, oldest first.
    async fn trace(&self) -> Vec<(String, String, String)> {
        let path = "/v1/connectors/province/actions";
        let actions = self.hub.office().get(path).await.json["actions"].clone();
        let text = |action: &Value, member: &str| action[member].as_str().unwrap().to_owned();
        let told = actions
            .as_array()
            .unwrap()
            .iter()
            .map(|action| (text(action, "act"), text(action, "why"), text(action, "outcome")));
        let mut told: Vec<_> = told.collect();
        // The hub's clock stands: the order within its one moment is nobody's.
        told.sort();
        told
    }

    async fn end(self) {
        self.province.stop().await;
    }
}

fn traced(told: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    let owned = |(act, why, outcome): &(&str, &str, &str)| {
        ((*act).to_owned(), (*why).to_owned(), (*outcome).to_owned())
    };
    let mut told: Vec<_> = told.iter().map(owned).collect();
    told.sort();
    told
}

#[actix_web::test]
async fn a_counterpart_is_looked_at_paused_and_resumed() {
    let scene = Scene::set(None).await;
    let why = ["--why", "对方维护"];
    let paused = scene.done(&[&["pause", "province"], &why[..]].concat()).await;
    assert_eq!(paused.json(), json!({ "paused": true }));
    let licence = scene.issue().await;
    let state = scene.until(|state| state["lag"] == 1).await;
    assert_eq!((&state["paused"], &state["kind"]), (&json!(true), &json!("frontdb")));

    let shown = scene.done(&["preview", "province", "0", "--why", "先看再发"]).await;
    assert!(shown.out.starts_with("== "), "{}", shown.out);
    assert!(shown.out.contains(licence.identifier.as_str()), "{}", shown.out);
    let rows = scene.desk().await.texts("SELECT row_guid FROM up_lic_data").await;
    assert!(rows.is_err() || rows.unwrap().is_empty(), "nothing was sent");

    let resumed = scene.done(&["resume", "province", "--why", "维护结束"]).await;
    assert_eq!(resumed.json(), json!({ "paused": false }));
    scene.caught_up().await;
    assert_eq!(
        scene.trace().await,
        traced(&[
            ("pause", "对方维护", "done"),
            ("preview", "先看再发", "done"),
            ("resume", "维护结束", "done"),
        ])
    );
    scene.end().await;
}

#[actix_web::test]
async fn a_replay_begins_at_a_change_or_a_day_or_is_of_one_holder() {
    let scene = Scene::set(None).await;
    let licence = scene.issue().await;
    scene.caught_up().await;
    let replay = |from: &'static [&'static str]| [&["replay", "province"], from].concat();
    let said = scene.done(&replay(&["--from", "0", "--why", "对方清空了表"])).await;
    assert_eq!(said.json(), json!({ "from": 0 }));
    let said = scene.done(&replay(&["--day", "2026-03-02", "--why", "补发当天"])).await;
    assert_eq!(said.json(), json!({ "from": 0 }));

    // From standard input, and from a file: in no command line.
    let holder = &licence.holders[0].id;
    let line = format!("{} {}\n", holder.kind().code(), holder.number());
    let by_input = replay(&["--holder", "-", "--why", "本人来问"]);
    let said = scene.run_with(&line, &by_input).await;
    assert_eq!((said.code, said.json()), (0, json!({ "sent_again": 1 })), "{}", said.err);
    let file = scene.folder.path().join("holder");
    std::fs::write(&file, &line).unwrap();
    let file = file.to_str().unwrap();
    let said = scene.done(&["replay", "province", "--holder", file, "--why", "再发一次"]).await;
    assert_eq!(said.json(), json!({ "sent_again": 1 }));
    scene.caught_up().await;
    let compared = scene.done(&["reconcile", "province", "--why", "核对"]).await;
    assert_eq!(compared.json()["agrees"], true);

    assert_eq!(
        scene.trace().await,
        traced(&[
            ("replay", "对方清空了表", "done"),
            ("replay", "补发当天", "done"),
            ("replay", "本人来问", "done"),
            ("replay", "再发一次", "done"),
            ("reconcile", "核对", "done"),
        ])
    );

    // What is no holder is not told again: it may be somebody's number.
    for wrong in ["", "001", "001 91350100M000100Y44\n", "998 1\n", &"1".repeat(2_000)] {
        let said = scene.run_with(wrong, &by_input).await;
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{}", said.err);
        assert!(said.err.starts_with("hub: standard input: "), "{}", said.err);
        assert!(!said.err.contains("91350100M000100Y44"), "{}", said.err);
    }
    let missing = scene.fails(&replay(&["--holder", "/nowhere", "--why", "试验"])).await;
    assert_eq!(missing.0, 1);
    assert!(missing.1.contains("/nowhere"), "{}", missing.1);
    scene.end().await;
}

#[actix_web::test]
async fn a_comparison_that_finds_a_difference_says_so_by_its_exit_code() {
    let scene = Scene::set(None).await;
    let licence = scene.issue().await;
    scene.caught_up().await;
    scene.desk().await.execute("DELETE FROM up_lic_data").await.unwrap();
    let differs = scene.run(&["reconcile", "province", "--why", "月底核对"]).await;
    let report = differs.json();
    assert_eq!((differs.code, &report["missing"]), (1, &json!(1)), "{report}");
    assert_eq!(report["records"][0]["identifier"], json!(licence.identifier));
    scene.caught_up().await;
    let agrees = scene.done(&["reconcile", "province", "--why", "再核一次"]).await;
    assert_eq!(agrees.json()["agrees"], true);
    scene.end().await;
}

#[actix_web::test]
async fn a_code_map_is_read_and_replaced_and_what_it_barred_is_sent() {
    let scene = Scene::set(Some(NO_STATUS)).await;
    scene.issue().await;
    scene.until(|state| state["set_aside"] == 1).await;
    let listed = scene.done(&["set-aside", "province"]).await.json();
    assert_eq!((&listed["seq"], &listed["code"]), (&json!(0), &json!("value_unmapped")));

    let read = scene.done(&["code-map", "province"]).await;
    assert_eq!(read.out, NO_STATUS);
    let digest = read.err.trim().strip_prefix("SHA-256 ").unwrap().to_owned();
    let mended = NO_STATUS.replace("{ \"suspended\"", "{ \"valid\": \"1\", \"suspended\"");
    let file = scene.folder.path().join("mended.json");
    std::fs::write(&file, &mended).unwrap();
    let file = file.to_str().unwrap();
    let replace = ["code-map", "province", "--replace", file, "--replaces", &digest];
    let replaced = scene.done(&[&replace[..], &["--why", "补上有效"]].concat()).await;
    assert_eq!(replaced.json(), json!({ "sha256": certs::sha256(mended.as_bytes()) }));
    assert_eq!(scene.done(&["code-map", "province"]).await.out, mended);
    // It was read before somebody else replaced it.
    let late = scene.fails(&[&replace[..], &["--why", "晚了一步"]].concat()).await;
    assert_eq!(late.0, 1);
    assert!(late.1.contains("code_map_changed: "), "{}", late.1);
    let broken =
        scene.run_with("{}", &["code-map", "province", "--replace", "-", "--why", "试验"]).await;
    assert_eq!(broken.code, 1);
    assert!(broken.err.contains("code_map_form: "), "{}", broken.err);

    let none = scene.fails(&["retry", "province", "--seq", "7", "--why", "试验"]).await;
    assert!(none.1.contains("not_set_aside: "), "{}", none.1);
    let retried = scene.done(&["retry", "province", "--seq", "0", "--why", "代码已补"]).await;
    assert_eq!(retried.json(), json!({ "retrying": 1 }));
    scene.until(|state| state["set_aside"] == 0 && state["resending"] == 0).await;
    assert_eq!(scene.done(&["set-aside", "province"]).await.out, "");
    let settled = scene.done(&["set-aside", "province", "--settled"]).await.json();
    assert_eq!(
        (&settled["refused"]["code"], &settled["how"]),
        (&json!("value_unmapped"), &json!("resent"))
    );
    let retried = scene.done(&["retry", "province", "--all", "--why", "再试"]).await;
    assert_eq!(retried.json(), json!({ "retrying": 0 }));
    assert_eq!(
        scene.trace().await,
        traced(&[
            ("code_map", "补上有效", "done"),
            ("retry", "代码已补", "done"),
            ("retry", "再试", "done"),
        ])
    );
    scene.end().await;
}

#[actix_web::test]
async fn wrong_use_says_what_is_wrong_and_ends_with_its_code() {
    let scene = Scene::set(None).await;
    // A command line that cannot be understood.
    for wrong in [
        &["pause", "province"][..],
        &["replay", "province", "--why", "试验"],
        &["replay", "province", "--why", "试验", "--from", "0", "--day", "2026-03-02"],
        &["replay", "province", "--why", "试验", "--day", "yesterday"],
        &["retry", "province", "--why", "试验"],
        &["retry", "province", "--why", "试验", "--all", "--seq", "1"],
        &["preview", "province"],
        &["preview", "province", "-1"],
        &["code-map", "province", "--replace", "x"],
        &["code-map", "province", "--why", "试验"],
        &["code-map", "province", "--replace", "x", "--why", "试验", "--replaces", "abc"],
        &["nothing"],
    ] {
        let (code, said) = scene.fails(wrong).await;
        assert_eq!(code, 64, "{wrong:?}: {said}");
        assert!(said.contains("--help"), "{wrong:?}: {said}");
    }
    // What the hub refuses, with its code.
    let long = "长".repeat(201);
    for (wrong, code) in [
        (&["pause", "province", "--why", " "][..], "why"),
        (&["pause", "province", "--why", &long], "why"),
        (&["pause", "nowhere", "--why", "试验"], "unknown_connector"),
        (&["pause", "../connectors/province", "--why", "试验"], "unknown_connector"),
        (&["replay", "province", "--from", "9", "--why", "试验"], "replay_beyond_head"),
        (&["replay", "province", "--day", "2026-03-02", "--why", "试验"], "no_change_since"),
        (&["preview", "province", "0"], "unknown_change"),
        (&["code-map", "province"], "no_code_map"),
        (&["set-aside", "nowhere"], "unknown_connector"),
    ] {
        let (exit, said) = scene.fails(wrong).await;
        assert_eq!(exit, 1, "{wrong:?}: {said}");
        assert!(said.starts_with(&format!("hub: {code}: ")), "{wrong:?}: {said}");
    }
    // Who may not, and where no hub is.
    let ca = scene.hub.folder.path().join("ca.pem");
    let issuer = scene.hub.client_files(&scene.hub.issuer().department);
    let pause = ["pause", "province", "--why", "试验"];
    let refused = scene.run_as("", &pause, &scene.hub.url(""), &issuer, &ca).await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.starts_with("hub: not_permitted: "), "{}", refused.err);
    let nobody = format!("https://localhost:{}", support::browser::free_ports());
    for (to, says) in [
        (nobody.as_str(), "hub: the hub could not be reached"),
        ("localhost", "hub: --to is no address of a hub"),
        ("", "hub: --to is no address of a hub"),
    ] {
        let said = scene.run_as("", &pause, to, &scene.operator, &ca).await;
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{to}");
        assert!(said.err.starts_with(says), "{to}: {}", said.err);
    }
    let state = scene.state().await;
    assert_eq!(state["paused"], false, "nothing was done");
    scene.end().await;
}
