//! The commands against the real hub, small. The hub has to be built beside `loadtest`: `./dev test`
//! sees to it.

use std::{
    fmt::Write as _,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    let [out, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{}\n{out}\n{errors}", output.status)
}

/// A register of enterprises of the synthetic district.
fn register(path: &Path, count: u64) {
    let size = district::DistrictSize::natural(1_000, count, 0);
    let district = district::District::new(11, size);
    let mut text = "name\tuscc\treg_date\ttype\tscope\n".to_owned();
    for index in 0..count {
        let enterprise = district.enterprise(index);
        let (name, code, day) = (&enterprise.name, enterprise.code(), enterprise.established);
        writeln!(text, "{name}\t{code}\t{day}\t\t{}", enterprise.scope()).unwrap();
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_small_register_survives_the_kills() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.tsv");
    register(&rows, 20_000);
    let proved = loadtest(&[
        "prove",
        "--enterprises",
        rows.to_str().unwrap(),
        "--kills",
        "1",
        "--pulls",
        "1000",
        "--names",
        "100",
    ]);
    assert!(proved.status.success(), "{}", said(&proved));
    let told = said(&proved);
    assert!(told.contains("every promise held"), "{told}");
    assert!(told.contains("the hub was killed 2 times"), "{told}");
}

#[test]
fn a_benchmark_gives_three_ratios_as_json() {
    let done =
        loadtest(&["bench", "--json", "--licences", "1000", "--rounds", "1", "--seconds", "0.5"]);
    assert!(done.status.success(), "{}", said(&done));
    let figures: Vec<Value> = serde_json::from_slice(&done.stdout).unwrap();
    let names: Vec<_> = figures.iter().map(|figure| figure["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["pull", "search", "issue"]);
    for figure in &figures {
        let [ours, floor, ratio] =
            ["ours", "floor", "ratio"].map(|key| figure[key].as_f64().unwrap());
        assert!(ours > 0.0 && floor > 0.0, "{figure}");
        assert!((ratio - ours / floor).abs() < 1e-9, "{figure}");
        assert!(figure["peer"].is_null() && figure["unit"].is_string(), "{figure}");
    }
}

#[test]
fn a_benchmark_without_a_hub_fails() {
    let done = loadtest(&["bench", "pull", "--hub", "/nonexistent/hub", "--licences", "200"]);
    assert!(!done.status.success());
    assert!(done.stdout.is_empty(), "{}", said(&done));
}
