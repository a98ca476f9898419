//! `docs/prometheus-rules.yml` alerts by metrics that the hub has, with labels and words that operators can use.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let part =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    text.match_indices("yihao_")
        .map(|(at, _)| text[at..].chars().take_while(|letter| part(*letter)).collect())
        .collect()
}

/// Names that the sources give to metrics.
fn measured(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            measured(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let texts =
                text.split('"').skip(1).step_by(2).filter(|text| text.starts_with("yihao_"));
            found.extend(texts.map(str::to_owned));
        }
    }
}

#[test]
fn every_metric_of_the_rules_is_one_that_the_hub_has() {
    let rules = fs::read_to_string(root().join("docs/prometheus-rules.yml")).unwrap();
    let mut known = BTreeSet::new();
    for folder in ["hub/src", "connectors/src", "indexes/src"] {
        measured(&root().join(folder), &mut known);
    }
    let wanted = metrics(&rules);
    assert!(wanted.len() >= 7, "{wanted:?}");
    let missing: Vec<_> = wanted.difference(&known).collect();
    assert!(missing.is_empty(), "nothing measures these: {missing:?}");
}

#[test]
fn every_alert_has_a_name_of_its_own_and_says_what_to_do() {
    let rules = fs::read_to_string(root().join("docs/prometheus-rules.yml")).unwrap();
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    let names: BTreeSet<_> = alerts.iter().filter_map(|alert| alert.lines().next()).collect();
    assert_eq!(names.len(), alerts.len());
    for alert in alerts {
        for part in ["expr: ", "severity: ", "summary: ", "description: "] {
            assert!(alert.contains(part), "{part}is missing: {alert}");
        }
    }
}
