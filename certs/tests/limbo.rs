//! x509-limbo, part A: every case is accepted or refused as the suite expects, but for a written list.

#[path = "../examples/limbo/harness.rs"]
mod harness;
#[path = "../examples/limbo/profile.rs"]
mod profile;

use std::path::Path;

#[test]
fn every_case_of_x509_limbo_part_a_agrees_or_is_listed_with_a_reason() {
    // The folder shared by those who work on the project, if it is there; else the copy.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = here.join("../../shared/data/x509-limbo/limbo-part-a.json");
    let copy = here.join("tests/data/limbo/limbo-part-a.json");
    let text = std::fs::read_to_string(if shared.exists() { shared } else { copy }).unwrap();
    let start = std::time::Instant::now();
    let report = harness::run(&text, jiff::Timestamp::now()).unwrap();
    assert!(report.is_good(), "{report}");
    assert_eq!(report.disagreed, []);
    assert_eq!(report.unexpected, [] as [String; 0]);
    assert!(report.agreed.len() >= 102, "{report}");
    for (id, reason) in &report.skipped {
        assert!(reason.len() > 20, "{id} is skipped without a reason");
    }
    assert!(start.elapsed().as_secs() < 60);
}
