//! What `loadtest generate` and `loadtest enterprises` write.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use certs::{Certificate, Manifest, TrustStore, Usage, sha256, verify_detached};
use jiff::Timestamp;
use licence::{Catalogue, Licence};

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output().unwrap()
}

fn generated(out: &Path, seed: &str) {
    let out = out.to_str().unwrap();
    let done = loadtest(&[
        "generate",
        "--out",
        out,
        "--seed",
        seed,
        "--licences",
        "3000",
        "--batch",
        "700",
    ]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Every file below a folder, by its path in the folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_same_seed_writes_the_same_bytes_signatures_and_certificates_included() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, other] = ["one", "two", "other"].map(|name| folder.path().join(name));
    generated(&one, "5");
    generated(&two, "5");
    generated(&other, "6");
    let (one, two, other) = (files(&one), files(&two), files(&other));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(two[name] == *bytes, "{} differs", name.display());
    }
    for name in ["credentials/ca.pem", "import/approvals/0001.licences", "index.key"] {
        assert!(one[Path::new(name)] != other[Path::new(name)], "{name} is the same for all seeds");
    }
}

#[test]
fn every_batch_is_signed_by_its_issuer_and_lists_its_licences() {
    let folder = tempfile::tempdir().unwrap();
    generated(folder.path(), "9");
    let files = files(folder.path());
    let file = |name: &Path| files[name].as_slice();
    let catalogue = Catalogue::parse(file(Path::new("catalogue.json"))).unwrap();
    let mut trust = TrustStore::new();
    let anchor = Certificate::from_pem(file(Path::new("credentials/ca.pem"))).unwrap();
    trust.add_anchor(Usage::IssuingLicences, anchor);
    trust.add_crl(file(Path::new("credentials/ca.crl"))).unwrap();

    let (mut batches, mut licences) = (0, 0);
    for name in files.keys().filter(|name| name.extension().is_some_and(|e| e == "manifest")) {
        let bytes = file(name);
        let manifest = Manifest::parse(bytes).unwrap();
        let signature = file(&name.with_extension("manifest.p7s")).to_vec();
        let signed = verify_detached(&signature, bytes, &trust, Timestamp::now()).unwrap();
        assert_eq!(signed.organisation.as_ref(), Some(manifest.issuer()));
        let documents = file(&name.with_extension("licences"));
        let lines: Vec<_> = documents.strip_suffix(b"\n").unwrap().split(|b| *b == b'\n').collect();
        assert_eq!(lines.len(), manifest.digests().len());
        assert!(lines.len() <= 700);
        for (line, digest) in lines.iter().zip(manifest.digests()) {
            assert_eq!(sha256(line), *digest);
            let licence = Licence::parse(line).unwrap();
            assert_eq!(licence.issuer.credit_code(), manifest.issuer());
            catalogue.entry(&licence.licence_type).unwrap().check(&licence).unwrap();
        }
        batches += 1;
        licences += lines.len();
    }
    assert_eq!(licences, 3000);
    assert!(batches >= 6, "{batches}");
}

/// Rows as a register exports them, of enterprises of the synthetic district.
fn rows(count: u64) -> String {
    let district = district::District::new(2, district::DistrictSize::for_licences(5_000));
    let mut text = "name\tuscc\treg_date\ttype\tscope\tprovince\tcity\n".to_owned();
    for index in 0..count {
        let enterprise = district.enterprise(index);
        let scope = if index % 3 == 0 { "" } else { enterprise.scope() };
        let (name, code, day) = (&enterprise.name, enterprise.code(), enterprise.established);
        text.push_str(&format!("{name}\t{code}\t{day}\t\t{scope}\t广西\t柳州\n"));
    }
    text
}

#[test]
fn rows_become_business_licences_and_what_cannot_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = rows(25);
    let first = text.lines().nth(1).unwrap().to_owned();
    text.push_str(&first); // a second licence of one enterprise
    text.push('\n');
    text.push_str(&first.replacen("91450203MA", "91450203MB", 1)); // a wrong check character
    text.push('\n');
    let file = folder.path().join("rows.tsv");
    std::fs::write(&file, &text).unwrap();
    let packed = folder.path().join("rows.tsv.zst");
    std::fs::write(&packed, zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();

    for rows in [&file, &packed] {
        let out = folder.path().join(rows.extension().unwrap());
        let done = loadtest(&[
            "enterprises",
            "--rows",
            rows.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
            "--batch",
            "10",
        ]);
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert!(said.starts_with("25 business licences in 3 batches"), "{said}");
        assert!(said.contains("1 with a code that came before, 1 irregular"), "{said}");
        let catalogue = std::fs::read(out.join("catalogue.json")).unwrap();
        let catalogue = Catalogue::parse(&catalogue).unwrap();
        let lines = std::fs::read(out.join("import/market-regulation/0003.licences")).unwrap();
        let licence = Licence::parse(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        catalogue.entry(&licence.licence_type).unwrap().check(&licence).unwrap();
        assert_eq!(licence.number, licence.holders[0].id.number());
    }
}

#[test]
fn a_file_without_the_columns_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.tsv");
    std::fs::write(&file, "name\tcode\nx\ty\n").unwrap();
    let out = folder.path().join("out");
    let done = loadtest(&[
        "enterprises",
        "--rows",
        file.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(!done.status.success());
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("rows.tsv, line 1: there is no column `uscc`"), "{said}");
}

#[test]
fn an_impossible_district_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let done = loadtest(&["generate", "--out", out, "--persons", "99000000000"]);
    assert!(!done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("at most 40000000 persons"));
}
