//! Whatever this crate says about a file has words for people.

use std::{collections::BTreeSet, fs, path::Path};

/// Codes that are never said about a file that somebody checks: making signatures and certificates, and what is given
/// beside the file.
const NOT_ABOUT_FILES: [&str; 6] =
    ["issue_", "signing_", "signature_encoding", "crl_", "ocsp_", "passphrase_"];

#[test]
fn every_code_has_words_in_both_languages() {
    let mut codes = BTreeSet::new();
    sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path(), &mut |text| {
        codes.extend(codes_of(text));
    });
    assert!(codes.len() > 100, "the sources are read: {}", codes.len());
    let silent: Vec<_> = codes
        .iter()
        .filter(|code| !NOT_ABOUT_FILES.iter().any(|other| code.starts_with(other)))
        .filter(|code| certs::words(code).is_none())
        .collect();
    assert!(silent.is_empty(), "without words in certs/src/words.rs: {silent:#?}");
}

fn sources(folder: &Path, read: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, read);
        } else if path.file_name().is_some_and(|name| name != "words.rs") {
            read(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// What stands in quotes in a function `code`, or in a verdict made on the spot.
fn codes_of(text: &str) -> Vec<String> {
    let mut codes = Vec::new();
    for start in text.match_indices("fn code(&self)").map(|(at, _)| at) {
        let body = &text[start..];
        let end = body.find("\n    }").unwrap_or(body.len());
        codes.extend(body[..end].split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()));
    }
    for constructor in ["LinkVerdict::failed(", "LinkVerdict::undetermined("] {
        for call in text.split(constructor).skip(1) {
            let call = &call[..call.find(')').unwrap_or(call.len())];
            codes.extend(call.split('"').nth(1));
        }
    }
    codes
        .iter()
        .filter(|code| !code.is_empty() && **code != "ok")
        .map(|code| (*code).to_owned())
        .collect()
}
