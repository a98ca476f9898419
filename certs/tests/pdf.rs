//! Signed PDF: samples from elsewhere, and documents made and judged by pyHanko.

mod support;

use std::collections::BTreeMap;

use certs::pdf::{check, is_pdf};
use certs::{
    FileVerdict, Link, LinkVerdict, Outcome, SigningIdentity, Suite, Times, TrustStore, Usage,
    issue_crl,
};
use jiff::{SignedDuration, Timestamp};
use support::*;
use tempfile::TempDir;

const UNSIGNED: &[u8] = include_bytes!("data/pdf/minimal.pdf");
const SIGNED_TWICE: &[u8] = include_bytes!("data/pdf/minimal-two-fields-signed-twice.pdf");

fn judged(bytes: &[u8]) -> FileVerdict {
    check(bytes, &TrustStore::new(), &Times::now(now()))
}

/// What one link of one signature says.
fn code(verdict: &FileVerdict, signature: usize, link: Link) -> &'static str {
    let links = &verdict.signatures[signature].links;
    links.iter().find(|found| found.link == link).map_or("", |found| found.code)
}

fn codes(links: &[LinkVerdict]) -> Vec<(&'static str, &'static str)> {
    links.iter().map(|found| (found.link.word(), found.code)).collect()
}

#[test]
fn a_pdf_is_told_by_its_head() {
    assert!(is_pdf(UNSIGNED) && is_pdf(SIGNED_TWICE));
    assert!(!is_pdf(b"PK\x03\x04") && !is_pdf(b""));
}

#[test]
fn a_pdf_without_a_signature_is_untrusted() {
    let verdict = judged(UNSIGNED);
    assert_eq!(codes(&verdict.links), [("format", "ok"), ("signature", "pdf_not_signed")]);
    assert_eq!(verdict.outcome(), Outcome::Untrusted);
}

#[test]
fn both_signatures_of_a_pdf_signed_twice_fit_and_the_second_is_no_change_to_the_first() {
    let verdict = judged(SIGNED_TWICE);
    assert_eq!(codes(&verdict.links), [("format", "ok")]);
    assert_eq!(verdict.signatures.len(), 2);
    for (position, signature) in verdict.signatures.iter().enumerate() {
        assert_eq!(code(&verdict, position, Link::Coverage), "ok", "{:?}", signature.links);
        assert_eq!(code(&verdict, position, Link::Signature), "ok", "{:?}", signature.links);
        // Its signer is unknown here.
        assert_eq!(signature.outcome(), Outcome::Untrusted);
    }
    assert_eq!(verdict.signatures[0].claimed_at.unwrap(), time("2021-01-04T19:11:25Z"));
    assert_eq!(verdict.signatures[1].claimed_at.unwrap(), time("2021-01-04T19:11:51Z"));
}

#[test]
fn bytes_after_the_last_revision_are_covered_by_no_signature() {
    let added = [SIGNED_TWICE, b"12 0 obj\nnull\nendobj\n"].concat();
    let verdict = judged(&added);
    for position in 0..2 {
        assert_eq!(code(&verdict, position, Link::Coverage), "pdf_bytes_added");
        assert_eq!(code(&verdict, position, Link::Signature), "ok");
    }
}

/// Keys and certificates made by openssl, documents signed by pyHanko with them, and its verdicts.
struct Desk {
    folder: TempDir,
    trust: TrustStore,
    now: Times,
}

/// What was done to a document after signing, and what it comes to.
const REFUSED: [(&str, &str); 38] = [
    ("bad-annotation", "pdf_changed_after_signing"),
    ("bad-annotation-then-signed", "pdf_changed_after_signing"),
    ("bad-appearances", "pdf_changed_after_signing"),
    ("bad-certified-then-signed", "pdf_change_not_permitted"),
    ("bad-contents", "pdf_changed_after_signing"),
    ("bad-contents-packed", "pdf_changed_after_signing"),
    ("bad-contents-packed-then-signed", "pdf_changed_after_signing"),
    ("bad-contents-then-signed", "pdf_changed_after_signing"),
    ("bad-dangling", "pdf_changed_after_signing"),
    ("bad-face-only", "pdf_changed_after_signing"),
    ("bad-field-moved", "pdf_changed_after_signing"),
    ("bad-field-removed", "pdf_changed_after_signing"),
    ("bad-field-shown", "pdf_changed_after_signing"),
    ("bad-field-shown-prepared", "pdf_changed_after_signing"),
    ("bad-filled", "pdf_changed_after_signing"),
    ("bad-filled-then-signed", "pdf_changed_after_signing"),
    ("bad-font", "pdf_changed_after_signing"),
    ("bad-font-then-signed", "pdf_changed_after_signing"),
    ("bad-hidden-shown", "pdf_changed_after_signing"),
    ("bad-hidden-shown-then-signed", "pdf_changed_after_signing"),
    ("bad-layers", "pdf_changed_after_signing"),
    ("bad-locked-then-signed", "pdf_change_not_permitted"),
    ("bad-names", "pdf_changed_after_signing"),
    ("bad-one-of-two", "certificate_unknown_issuer"),
    ("bad-other-contents", "pdf_changed_after_signing"),
    ("bad-other-contents-then-signed", "pdf_changed_after_signing"),
    ("bad-other-tree", "pdf_changed_after_signing"),
    ("bad-other-tree-packed", "pdf_changed_after_signing"),
    ("bad-other-tree-packed-then-signed", "pdf_changed_after_signing"),
    ("bad-page-added", "pdf_changed_after_signing"),
    ("bad-page-removed", "pdf_changed_after_signing"),
    ("bad-page-removed-then-signed", "pdf_changed_after_signing"),
    ("bad-pss-long-salt", "signature_algorithm_mismatch"),
    ("bad-script", "pdf_changed_after_signing"),
    ("bad-signature-value", "pdf_gap_not_signature"),
    ("bad-stamp", "pdf_changed_after_signing"),
    ("bad-stranger", "certificate_unknown_issuer"),
    ("bad-unsigned", "pdf_not_signed"),
];

/// Where pyHanko accepts what we refuse.
const STRICTER: [&str; 5] = [
    // Forms filled in after a signature: a licence has none to be filled in.
    "bad-filled",
    "bad-filled-then-signed",
    // With NeedAppearances programs draw fields anew.
    "bad-appearances",
    // A field that nobody signed shows something all the same.
    "bad-face-only",
    // RSA-PSS with another salt than one of the digest's length: `ring` does not verify it.
    "bad-pss-long-salt",
];

impl Desk {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        put(
            "ca.ext",
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
        );
        let leaf =
            "basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
        put("leaf.ext", &format!("{leaf}keyUsage=critical,digitalSignature,nonRepudiation\n"));
        put(
            "tsa.ext",
            &format!(
                "{leaf}keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n"
            ),
        );
        put("serial", "01\n");
        for tsa in ["tsa", "other-tsa"] {
            let settings = format!(
                "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_cert={tsa}.pem\n\
                 signer_key={tsa}.key\nsigner_digest=sha256\n\
                 default_policy=1.2.3.4\ndigests=sha256,sha384,sha512\n\
                 ess_cert_id_chain=no\ness_cert_id_alg=sha256\n"
            );
            put(&format!("{tsa}.cnf"), &settings);
        }
        let p256 = "EC -pkeyopt ec_paramgen_curve:P-256";
        let keys = [
            ("root", p256, ""),
            ("other", p256, ""),
            ("p256", p256, "root"),
            ("p384", "EC -pkeyopt ec_paramgen_curve:P-384", "root"),
            ("rsa", "RSA -pkeyopt rsa_keygen_bits:2048", "root"),
            ("tsa", p256, "root"),
            ("stranger", p256, "other"),
            ("other-tsa", p256, "other"),
        ];
        for (serial, (name, algorithm, issuer)) in keys.into_iter().enumerate() {
            let by = match issuer {
                "" => format!("-signkey {name}.key -extfile ca.ext"),
                _ => format!(
                    "-CA {issuer}.pem -CAkey {issuer}.key -set_serial {} -extfile {}.ext",
                    serial + 10,
                    if name.ends_with("tsa") { "tsa" } else { "leaf" }
                ),
            };
            for line in [
                format!("openssl genpkey -algorithm {algorithm} -out {name}.key"),
                format!(
                    "openssl req -new -key {name}.key -subj /C=CN/O={name}/CN={name} -out {name}.csr"
                ),
                format!("openssl x509 -req -in {name}.csr -days 2 -out {name}.pem {by}"),
            ] {
                run(folder.path(), &line).unwrap();
            }
        }
        let root = std::fs::read(folder.path().join("root.pem")).unwrap();
        let key = std::fs::read(folder.path().join("root.key")).unwrap();
        let root = SigningIdentity::from_pem(&root, &key).unwrap();
        let now = Timestamp::now();
        let day = SignedDuration::from_hours(24);
        let mut trust = TrustStore::new();
        trust.add_anchor(Usage::IssuingLicences, root.certificate().clone());
        trust.add_anchor(Usage::TimeStamping, root.certificate().clone());
        let list = issue_crl(&root, 1, &[], now - day, now + day * 30).unwrap();
        trust.add_crl(&list).unwrap();
        let desk = Self { folder, trust, now: Times::now(now) };
        desk.pyhanko("make");
        desk
    }

    fn pyhanko(&self, act: &str) -> String {
        let home = std::env::var("HOME").unwrap_or_default();
        let tools = std::env::var("YIHAO_TOOLS_DIR");
        let tools = tools.unwrap_or_else(|_| format!("{home}/.cache/yihao"));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judge_pdf.py");
        let line = format!("{tools}/python/bin/python {script} {act} .");
        run(self.folder.path(), &line).unwrap()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(format!("{name}.pdf"))).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> =
            names.filter_map(|name| Some(name.strip_suffix(".pdf")?.to_owned())).collect();
        names.sort();
        names
    }

    fn judge(&self, name: &str) -> FileVerdict {
        check(&self.read(name), &self.trust, &self.now)
    }

    /// By name: whether pyHanko accepts it, and why not.
    fn judged_by_pyhanko(&self) -> BTreeMap<String, (bool, String)> {
        let lines = self.pyhanko("judge");
        let verdicts = lines.lines().map(|line| {
            let found: serde_json::Value = serde_json::from_str(line).unwrap();
            let name = found["name"].as_str().unwrap().to_owned();
            (name, (found["accepted"].as_bool().unwrap(), found["reasons"].to_string()))
        });
        verdicts.collect()
    }
}

/// The codes of what failed, in the file and in its signatures.
fn failures(verdict: &FileVerdict) -> Vec<&'static str> {
    let links = verdict.signatures.iter().flat_map(|signature| &signature.links);
    let links = links.chain(&verdict.links);
    links.filter(|link| link.outcome == Outcome::Untrusted).map(|link| link.code).collect()
}

#[test]
fn what_pyhanko_signs_is_accepted_and_what_is_changed_afterwards_is_refused_with_its_reason() {
    let desk = Desk::new();
    for name in desk.names().into_iter().filter(|name| name.starts_with("good-")) {
        let verdict = desk.judge(&name);
        assert_eq!(failures(&verdict), [""; 0], "{name}");
        assert_eq!(verdict.outcome(), Outcome::Trusted, "{name}");
    }
    let refused: Vec<_> = REFUSED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let made: Vec<_> = desk.names().into_iter().filter(|name| name.starts_with("bad-")).collect();
    assert_eq!(made, refused);
    for (name, code) in REFUSED {
        let found = failures(&desk.judge(name));
        assert!(found.contains(&code), "{name}: {found:?}");
    }

    // Every suite.
    let suite = |name: &str| desk.judge(name).signatures[0].suite.unwrap();
    assert_eq!(suite("good-p256"), Suite::EcdsaP256Sha256);
    assert_eq!(suite("good-p384"), Suite::EcdsaP384Sha384);
    assert_eq!(suite("good-rsa"), Suite::RsaPkcs1Sha256);
    assert_eq!(suite("good-rsa-sha512"), Suite::RsaPkcs1Sha512);
}

#[test]
fn a_time_stamp_proves_the_time_of_a_signature_and_one_over_the_document_that_of_all_before() {
    let desk = Desk::new();
    let near = |at: Option<Timestamp>| {
        let apart = at.unwrap().duration_since(desk.now.now).abs();
        assert!(apart < SignedDuration::from_mins(5), "{apart}");
    };
    assert_eq!(desk.judge("good-p256").signatures[0].proven_at, None);
    let stamped = desk.judge("good-stamped");
    near(stamped.signatures[0].proven_at);
    assert_eq!(code(&stamped, 0, Link::Time), "ok");
    // By an authority that nobody knows it proves nothing, and the rest stands as it is.
    let unknown = desk.judge("other-time");
    assert_eq!(unknown.signatures[0].proven_at, None);
    assert_eq!(unknown.outcome(), Outcome::Undetermined);

    // Signed, stamped over the whole, then signed again.
    let archived = desk.judge("good-archived-then-signed");
    assert_eq!(archived.signatures.len(), 3);
    near(archived.signatures[0].proven_at);
    near(archived.signatures[1].proven_at);
    assert_eq!(archived.signatures[2].proven_at, None);

    // A time-stamp outlives the certificate; without one the signature ends with it.
    let later = Times::now(desk.now.now + SignedDuration::from_hours(24 * 10));
    let at_that_time = |name: &str| failures(&check(&desk.read(name), &desk.trust, &later));
    assert_eq!(at_that_time("good-stamped"), [""; 0]);
    assert_eq!(at_that_time("good-archived"), [""; 0]);
    assert_eq!(at_that_time("good-p256"), ["certificate_expired"]);
    assert_eq!(at_that_time("good-archived-then-signed"), ["certificate_expired"]);
}

#[test]
fn every_changed_byte_is_refused_and_pyhanko_agrees_but_where_it_is_known_to_be_laxer() {
    let desk = Desk::new();
    let mut random = Random(0x59_69_68_61_6f);
    let mut count = 0;
    for name in ["p256", "rsa", "packed", "stamped", "twice", "twice-packed", "archived", "form"] {
        let document = desk.read(&format!("good-{name}"));
        for (kind, mutant) in mutants_of(&document, &mut random) {
            let file = format!("mutant-{kind}-{name}-{count}.pdf");
            std::fs::write(desk.folder.path().join(file), mutant).unwrap();
            count += 1;
        }
    }

    let (mut refused, mut laxer, mut strict) = (0, 0, 0);
    for (name, (accepted, reasons)) in desk.judged_by_pyhanko() {
        let verdict = desk.judge(&name);
        let is_trusted = verdict.outcome() == Outcome::Trusted;
        match name.strip_prefix("mutant-").and_then(|name| name.split('-').next()) {
            None if is_trusted => assert!(accepted, "{name}: pyHanko says {reasons}"),
            None => assert!(!accepted || STRICTER.contains(&name.as_str()), "{name}"),
            Some(kind) => {
                // The room for a signature value is not signed, nor is a store after the last one: there
                // a change may do no harm.
                assert!(!is_trusted || kind == "value" || kind == "store", "{name}: {reasons}");
                refused += usize::from(!is_trusted);
                laxer += usize::from(is_trusted && !accepted);
                strict += usize::from(!is_trusted && accepted);
            }
        }
    }
    println!(
        "{count} mutants: {refused} refused; {strict} refused here alone, {laxer} by pyHanko alone"
    );
    assert!(laxer * 50 < count, "{laxer} that pyHanko refuses");
}

/// Always the same sequence (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
}

/// Changed documents, each with what the change hit.
fn mutants_of(document: &[u8], random: &mut Random) -> Vec<(&'static str, Vec<u8>)> {
    let gaps = gaps_of(document);
    let covered = covered_by(document);
    let kind = |at: usize| match at {
        _ if gaps.iter().any(|gap| gap.contains(&at)) => "value",
        _ if at >= covered => "store",
        _ => "signed",
    };
    let mut mutants = Vec::new();
    // Most of a document is room for the value: as many outside of it.
    for anywhere in (0..40).map(|index| index % 2 == 0) {
        let mut at = random.below(document.len());
        while !anywhere && kind(at) == "value" {
            at = random.below(document.len());
        }
        let mut mutant = document.to_vec();
        mutant[at] ^= 1 << random.below(8);
        mutants.push((kind(at), mutant));
    }
    for _ in 0..4 {
        let at = random.below(document.len() - 2);
        let (before, after) = document.split_at(at);
        mutants.push(("cut", before.to_vec()));
        mutants.push((kind(at), [before, b"0", after].concat()));
        let end = (at + 1 + random.below(200)).min(document.len());
        mutants.push((kind(at), [before, &document[end..]].concat()));
        mutants.push(("added", [document, b"%", after].concat()));
    }
    for added in [&b"% nothing\n"[..], b"0", b"7 0 obj\nnull\nendobj\n", b"%%EOF\n"] {
        mutants.push(("added", [document, added].concat()));
    }
    mutants
}

/// The end of what the last signature covers.
fn covered_by(document: &[u8]) -> usize {
    const KEY: &[u8] = b"/ByteRange [";
    let starts = document.windows(KEY.len()).enumerate().filter(|(_, found)| *found == KEY);
    let ends = starts.map(|(at, _)| {
        let text = String::from_utf8_lossy(&document[at + KEY.len()..at + KEY.len() + 60]);
        let numbers: Vec<usize> = text
            .split(']')
            .next()
            .unwrap()
            .split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect();
        numbers[2] + numbers[3]
    });
    ends.max().unwrap()
}

/// Where the values of signatures stand.
fn gaps_of(document: &[u8]) -> Vec<std::ops::Range<usize>> {
    const KEY: &[u8] = b"/Contents <";
    let starts = document.windows(KEY.len()).enumerate().filter(|(_, found)| *found == KEY);
    let gaps = starts.map(|(at, _)| {
        let length = document[at..].iter().position(|byte| *byte == b'>').unwrap();
        at + KEY.len()..at + length
    });
    gaps.collect()
}
