//! `docs/formats/errors.md` lists every stable code that the sources can say, and no other.
//!
//! Codes are read from the sources as text: the arms of every `fn code(&self)`, the codes given to
//! the constructors of `Problem` and of the pages' `Failure`, and the few places that write a code
//! without an error type.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The crates whose codes reach an operator or a caller.
const SOURCES: [&str; 5] =
    ["certs/src", "connectors/src", "hub/licence/src", "hub/src", "indexes/src"];

/// Types with constructors that take a code: the file that has them, and where they are called.
const CONSTRUCTED: [(&str, &str, &str); 4] = [
    ("LinkVerdict::", "certs/src/verdict.rs", "certs/src/"),
    ("LinkVerdict::", "certs/src/verdict.rs", "hub/src/verify/"),
    ("Problem::", "hub/src/http/error.rs", "hub/src/"),
    ("Failure::", "hub/src/pages/visitor.rs", "hub/src/pages/"),
];

/// Codes that are written without an error type: where, and what stands before the first text.
const PLACES: [(&str, &str); 7] = [
    ("connectors/src/files/encode.rs", "code: "),
    ("connectors/src/runner/feed.rs", "unreadable("),
    ("connectors/src/push/mod.rs", "STATUS_UNSIGNED: &str = "),
    ("connectors/src/frontdb/reply.rs", "REFUSED_LATER: &str = "),
    ("connectors/src/remark.rs", "} else { "),
    ("indexes/src/rocks/check.rs", ".defect("),
    ("indexes/src/rocks/check.rs", ".require("),
];

/// Code → the files that can say it.
type Found = BTreeMap<String, BTreeSet<String>>;

#[test]
fn every_code_of_the_sources_is_described_and_no_other() {
    let said = codes_of_the_sources();
    let described = codes_of_the_page();

    let missing: Vec<_> = said.iter().filter(|(code, _)| !described.contains(*code)).collect();
    assert!(missing.is_empty(), "not in docs/formats/errors.md: {missing:#?}");
    let gone: Vec<_> = described.iter().filter(|code| !said.contains_key(*code)).collect();
    assert!(gone.is_empty(), "in docs/formats/errors.md, but no source says them: {gone:?}");
}

#[test]
fn the_reading_of_sources_finds_codes_and_nothing_else() {
    let source = r#"
        fn code(&self) -> &'static str {
            match self {
                Self::Inner(error) => error.code(),
                Self::One { .. } => "one",
                Self::Two | Self::Three => {
                    "two"
                }
                Self::Word(word) if word == "no_code" => "three",
            }
        }
        fn other(&self) -> &'static str { "not_a_code" }
    "#;
    assert_eq!(codes_of_functions(source), ["one", "two", "three"]);

    let constructors = [("bad_request".to_owned(), 0), ("new".to_owned(), 1)];
    let source = r#"
        Problem::bad_request("four", "words (and more)").at("request");
        Problem::new(
            StatusCode::NOT_FOUND,
            "five",
            "words",
        );
        Problem::bad_request(error.code(), "words");
    "#;
    assert_eq!(codes_of_problems(source, "Problem::", &constructors), ["four", "five"]);
    assert_eq!(without_tests("a\n#[cfg(test)]\nmod tests { }"), "a\n");
}

#[test]
fn every_row_of_the_page_has_a_known_status_and_link() {
    let links: BTreeSet<String> = rows("link").into_iter().map(|row| row[0].clone()).collect();
    for row in rows("code") {
        let [code, http, link, meaning, _] = row.as_slice() else {
            panic!("a row of the page has other than five columns: {row:?}");
        };
        let known = http == "–"
            || http.split(", ").all(|status| {
                ["400", "401", "403", "404", "405", "409", "410", "413", "415", "422", "500", "503"]
                    .contains(&status)
            });
        assert!(known, "{code}: HTTP status {http:?}");
        for word in link.split(", ") {
            let known = links.contains(&format!("`{word}`"))
                || ["", "see above", "in a pull request"].contains(&word);
            assert!(known, "{code}: link {word:?}");
        }
        assert!(!meaning.is_empty(), "{code} has no meaning");
    }
}

/// Codes of rows and batches stand in `docs/formats/inbound.md`, those that others share in `errors.md`.
#[test]
fn every_code_of_rows_and_batches_is_described_and_no_other() {
    let mut said = Found::new();
    for (path, text) in sources() {
        let mut codes = Vec::new();
        if path.starts_with("hub/src/inbound/") {
            for before in ["Refused::new(", "BatchRefused { code: "] {
                codes.extend(codes_after_directly(&text, before));
            }
        }
        if path.starts_with("connectors/src/inbound/") {
            codes.extend(codes_after_directly(&text, "BatchRefused::new("));
            for digest in ["refused(None, ", "refused(digest, "] {
                codes.extend(codes_after_directly(&text, digest));
            }
            let word = |text: &String| {
                text.starts_with("row_")
                    && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            };
            codes.extend(texts(&text).into_iter().filter(word));
        }
        if path == "connectors/src/files/manifest.rs" {
            codes.extend(codes_of_functions(&text.replace("fn code(self)", "fn code(&self)")));
        }
        for code in codes {
            said.entry(code).or_default().insert(path.clone());
        }
    }
    for some in
        ["row_unreadable", "not_signed", "batch_repeated", "data_file_missing", "manifest_names"]
    {
        assert!(said.contains_key(some), "{some} is not found in the sources");
    }
    let page = read(&root().join("docs/formats/inbound.md"));
    let here: BTreeSet<String> = rows_of(&page, "code")
        .iter()
        .flat_map(|row| row[0].split(", ").map(|code| code.trim_matches('`').to_owned()))
        .collect();
    let elsewhere = codes_of_the_page();
    let missing: Vec<_> = said
        .iter()
        .filter(|(code, _)| !here.contains(*code) && !elsewhere.contains(*code))
        .collect();
    assert!(missing.is_empty(), "in neither inbound.md nor errors.md: {missing:#?}");
    let gone: Vec<_> = here
        .iter()
        .filter(|code| !said.contains_key(*code) && !elsewhere.contains(*code))
        .collect();
    assert!(gone.is_empty(), "in inbound.md, but no source says them: {gone:?}");
}

/// The texts that stand right after `before`.
fn codes_after_directly(text: &str, before: &str) -> Vec<String> {
    text.match_indices(before)
        .filter_map(|(start, _)| leading_text(text[start + before.len()..].trim_start()))
        .collect()
}

fn codes_of_the_sources() -> Found {
    let constructed =
        CONSTRUCTED.map(|(name, home, called)| (name, home, called, constructors(home)));
    let mut found = Found::new();
    for (path, text) in sources() {
        let mut codes = codes_of_functions(&text);
        for (name, home, called, constructors) in &constructed {
            if path.starts_with(called) {
                codes.extend(codes_of_problems(&text, name, constructors));
            }
            if path == *home {
                codes.extend(codes_of_problems(&text, "Self::", constructors));
            }
        }
        for (place, before) in PLACES {
            if path == place {
                codes.extend(codes_after(&text, before));
            }
        }
        for code in codes {
            found.entry(code).or_default().insert(path.clone());
        }
    }
    for (place, before) in PLACES {
        let says = found.values().any(|paths| paths.contains(place));
        assert!(says, "no code is said in {place} after {before:?} any more");
    }
    found
}

/// The functions of a file that take a code, and at which position.
fn constructors(file: &str) -> Vec<(String, usize)> {
    let text = read(&root().join(file));
    let mut found = Vec::new();
    for (start, _) in text.match_indices(" fn ") {
        let rest = &text[start + " fn ".len()..];
        let Some((name, rest)) = rest.split_once('(') else {
            continue;
        };
        let Some((parameters, _)) = rest.split_once(')') else {
            continue;
        };
        let position =
            parameters.split(',').position(|parameter| parameter.trim_start().starts_with("code:"));
        found.extend(position.map(|position| (name.to_owned(), position)));
    }
    assert!(found.len() >= 2, "{file} has no constructors any more: {found:?}");
    found
}

/// The texts that the arms of `fn code(&self)` answer.
fn codes_of_functions(text: &str) -> Vec<String> {
    const HEAD: &str = "fn code(&self) -> &'static str {";
    let mut codes = Vec::new();
    for (start, _) in text.match_indices(HEAD) {
        let body = &text[start + HEAD.len()..];
        let mut depth = 1;
        let end = body
            .find(|character| {
                match character {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                depth == 0
            })
            .expect("a function has an end");
        for line in body[..end].lines() {
            let answer = line.rsplit("=>").next().unwrap_or(line);
            codes.extend(texts(answer));
        }
    }
    codes
}

/// The codes that calls such as `Problem::conflict("code", …)` name as text.
fn codes_of_problems(text: &str, before: &str, constructors: &[(String, usize)]) -> Vec<String> {
    let mut codes = Vec::new();
    for (start, _) in text.match_indices(before) {
        let rest = &text[start + before.len()..];
        for (name, position) in constructors {
            let Some(arguments) = rest.strip_prefix(&format!("{name}(")) else {
                continue;
            };
            let mut argument = arguments;
            for _ in 0..*position {
                argument = argument.split_once(',').map_or("", |(_, rest)| rest);
            }
            codes.extend(leading_text(argument.trim_start()));
        }
    }
    codes
}

/// The first text after each occurrence of `before`, up to the end of the statement; not where a
/// function of that name is defined.
fn codes_after(text: &str, before: &str) -> Vec<String> {
    text.match_indices(before)
        .filter(|(start, _)| !text[..*start].ends_with("fn "))
        .filter_map(|(start, _)| {
            let rest = &text[start + before.len()..];
            let end = rest.find(';').unwrap_or(rest.len());
            texts(&rest[..end]).into_iter().next()
        })
        .collect()
}

fn leading_text(text: &str) -> Option<String> {
    let rest = text.strip_prefix('"')?;
    rest.split_once('"').map(|(code, _)| code.to_owned())
}

/// All texts between quotation marks.
fn texts(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// Every source file with its path from the root, without its tests.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = SOURCES.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a source folder") {
            let path = entry.expect("a source file").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = without_tests(&read(&path)).to_owned();
                let name = path.strip_prefix(&root).expect("below the root");
                files.push((name.to_str().expect("an ASCII path").to_owned(), text));
            }
        }
    }
    files
}

/// Tests stand at the end of a file.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

fn codes_of_the_page() -> BTreeSet<String> {
    rows("code")
        .into_iter()
        .map(|row| {
            let code = row[0].strip_prefix('`').and_then(|code| code.strip_suffix('`'));
            code.unwrap_or_else(|| panic!("no code in {row:?}")).to_owned()
        })
        .collect()
}

/// The rows of the page's tables whose first column is named so.
fn rows(first_column: &str) -> Vec<Vec<String>> {
    rows_of(&read(&root().join("docs/formats/errors.md")), first_column)
}

fn rows_of(page: &str, first_column: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        let cells: Vec<String> =
            line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        if !line.starts_with('|') {
            inside = false;
        } else if cells[0] == first_column {
            inside = true;
        } else if inside && !cells[0].starts_with("---") {
            rows.push(cells);
        }
    }
    assert!(!rows.is_empty(), "the page has no table of {first_column}");
    rows
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("hub lies in the workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
