//! `docs/connector-faults.md` names for each fault and connector the test that plays it: those tests are there, and no
//! other is in those files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The faults, as the page has to have them, in order.
const FAULTS: [&str; 14] = [
    "connection refused",
    "hang",
    "slow",
    "cut mid-batch",
    "half applied",
    "duplicate answer",
    "error for one record in a batch",
    "wrong answer body",
    "certificate expired",
    "token expired",
    "table missing",
    "disk full at the peer",
    "peer restarted",
    "clock skew",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What stands between backticks and is a name.
fn names(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .map(str::to_owned)
        .collect()
}

/// The cells of the table's rows, the heading first.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines = page.lines().filter(|line| line.starts_with('|') && !line.starts_with("| ---"));
    lines
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim_matches(['|', ' '])))
        .map(Iterator::collect)
        .collect()
}

/// The tests of a file.
fn tests(kind: &str) -> BTreeSet<String> {
    let path = root().join(format!("connectors/tests/{kind}_faults.rs"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let after = text.split("#[tokio::test").skip(1);
    after
        .map(|rest| {
            let (_, name) = rest.split_once("async fn ").expect("a test has a name");
            name.split('(').next().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn each_fault_has_a_test_with_each_connector_or_a_reason_and_each_test_is_named() {
    let page = fs::read_to_string(root().join("docs/connector-faults.md")).unwrap();
    let rows = rows(&page);
    let kinds: Vec<String> =
        rows[0][1..].iter().map(|cell| cell.trim_matches('`').to_owned()).collect();
    assert_eq!(kinds, ["frontdb", "casebase", "rest", "push", "files"]);
    let faults: Vec<&str> = rows[1..].iter().map(|row| row[0]).collect();
    assert_eq!(faults, FAULTS);
    let beside = names(page.rsplit_once("Beside the list:").expect("what is beside it").1);
    for (column, kind) in (1..).zip(&kinds) {
        let tests = tests(kind);
        assert!(tests.len() >= 10, "{kind}: {tests:?}");
        let mut named = BTreeSet::new();
        for row in &rows[1..] {
            assert_eq!(row.len(), kinds.len() + 1, "{row:?}");
            // Without a test the cell says why.
            assert!(!names(row[column]).is_empty() || row[column].len() > 20, "{row:?}");
            named.extend(names(row[column]).into_iter().filter(|name| !kinds.contains(name)));
        }
        let gone: Vec<_> = named.difference(&tests).collect();
        assert!(gone.is_empty(), "{kind}_faults.rs has no {gone:?}");
        let more: Vec<_> =
            tests.difference(&named).filter(|name| !beside.contains(*name)).collect();
        assert!(more.is_empty(), "the page does not name {more:?} of {kind}_faults.rs");
    }
    let all = kinds.iter().flat_map(|kind| tests(kind)).collect::<BTreeSet<_>>();
    let gone: Vec<_> = beside.iter().filter(|name| !all.contains(*name)).collect();
    assert!(gone.is_empty(), "no file has {gone:?}");
}

/// A fault schedule that the page does not know would be one that nobody compares.
#[test]
fn the_page_knows_every_fault_schedule() {
    let page = fs::read_to_string(root().join("docs/connector-faults.md")).unwrap();
    let heading = rows(&page)[0].join(" ");
    for entry in fs::read_dir(root().join("connectors/tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(kind) = name.strip_suffix("_faults.rs") {
            assert!(heading.contains(&format!("`{kind}`")), "{name}");
        }
    }
}
