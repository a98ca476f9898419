//! A thousand chains made by `openssl` and `gmssl`, most with one defect drawn by lot from a fixed seed:
//! we come to the same verdict as `openssl verify`, or as `gmssl certverify` with SM2.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use certs::{Certificate, ChainError, TrustStore, Usage};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

const CHAINS: u64 = 820;
const SM2_CHAINS: u64 = 180;

/// xorshift64* (Vigna, 2016): the same chains in every run.
struct Lot(u64);

impl Lot {
    fn new(seed: u64, number: u64) -> Self {
        let mut lot = Self(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            lot.below(2);
        }
        lot
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn one_of<'a, T: ?Sized>(&mut self, choice: &[&'a T]) -> &'a T {
        choice[self.below(choice.len())]
    }
}

#[track_caller]
fn run(folder: &Path, line: &str) {
    support::run(folder, line).unwrap();
}

/// Whether a program that judges says yes.
fn accepts(folder: &Path, line: &str) -> bool {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    let command = command.args(words).current_dir(folder).stdout(Stdio::null());
    command.stderr(Stdio::null()).status().unwrap().success()
}

/// One bit of the certificate in a PEM file is turned.
fn turn_a_bit(folder: &Path, file: &str, lot: &mut Lot) {
    let certificate = Certificate::from_pem(&fs::read(folder.join(file)).unwrap()).unwrap();
    let mut der = certificate.der().to_vec();
    let at = lot.below(der.len());
    der[at] ^= 1 << lot.below(8);
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der).unwrap();
    fs::write(folder.join(file), pem).unwrap();
}

fn read(folder: &Path, file: &str) -> Option<Certificate> {
    Certificate::from_pem(&fs::read(folder.join(file)).unwrap()).ok()
}

/// What we say of `leaf`, with the other certificates of the files handed in.
fn our_verdict(
    folder: &Path,
    (root, others, leaf): (&str, &[&str], &str),
    usage: Usage,
    at: Timestamp,
) -> Result<(), String> {
    let mut trust = TrustStore::new();
    trust.add_anchor(usage, read(folder, root).unwrap());
    let others: Vec<_> = others.iter().filter_map(|other| read(folder, other)).collect();
    let leaf = read(folder, leaf).ok_or("certificate_malformed")?;
    let verdict = trust.verify_chain(&leaf, &others, usage, at);
    verdict.map(drop).map_err(|error: ChainError| error.code().to_owned())
}

/// What came of it: by defect and our code, how often.
#[derive(Default)]
struct Tally {
    counted: BTreeMap<(String, String), usize>,
    differ: Vec<String>,
}

impl Tally {
    fn refused(&self) -> usize {
        self.counted.iter().filter(|((_, code), _)| code != "ok").map(|(_, count)| count).sum()
    }

    fn total(&self) -> usize {
        self.counted.values().sum()
    }
}

/// Draws `count` chains on two threads; `judge` makes one and says: defect, our verdict, theirs.
fn draw(
    count: u64,
    judge: impl Fn(u64) -> (&'static str, Result<(), String>, bool) + Sync,
) -> Tally {
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for first in 0..2 {
            let (judge, tally) = (&judge, &tally);
            scope.spawn(move || {
                for number in (first..count).step_by(2) {
                    let (defect, ours, theirs) = judge(number);
                    let mut tally = tally.lock().unwrap();
                    if ours.is_ok() != theirs {
                        tally.differ.push(format!("{number} {defect}: {ours:?}, they: {theirs}"));
                    }
                    let code = ours.err().unwrap_or_else(|| "ok".to_owned());
                    *tally.counted.entry((defect.to_owned(), code)).or_default() += 1;
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    for ((defect, code), count) in &tally.counted {
        println!("{count:4} {defect}: {code}");
    }
    tally
}

const ALGORITHMS: [&str; 5] = ["p256", "p384", "rsa", "pss", "ed25519"];

fn make_key(folder: &Path, algorithm: &str, name: &str) {
    let options = match algorithm {
        "p256" => "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        "p384" => "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        "rsa" => "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        "pss" => "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048",
        "short" => "-algorithm RSA -pkeyopt rsa_keygen_bits:1024",
        _ => "-algorithm ED25519",
    };
    run(folder, &format!("openssl genpkey {options} -out {name}.key"));
}

/// Digest and padding of a signature by a key of `algorithm`.
fn signed(algorithm: &str, lot: &mut Lot) -> &'static str {
    const PSS: [&str; 3] = [
        "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest",
        "-sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest",
        "-sha512 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest",
    ];
    match algorithm {
        "p256" | "p384" => lot.one_of(&["-sha256", "-sha384"]),
        "rsa" => lot.one_of(&["-sha256", "-sha384", "-sha512", PSS[0], PSS[1], PSS[2]]),
        "pss" => lot.one_of(&PSS),
        _ => "",
    }
}

/// Keys, roots and requests that all chains share.
fn workshop() -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    fs::write(path.join("empty.cnf"), "[req]\ndistinguished_name=dn\n[dn]\n").unwrap();
    let root = "-config empty.cnf -days 3650 -addext basicConstraints=critical,CA:TRUE -addext \
                keyUsage=critical,keyCertSign,cRLSign -addext subjectKeyIdentifier=hash";
    for algorithm in ALGORITHMS.into_iter().chain(["short"]) {
        for role in ["root", "other", "middle", "second", "third", "leaf"] {
            make_key(path, algorithm, &format!("{role}-{algorithm}"));
        }
        // The other root and the second CA bear the same names as the first.
        for (role, name) in
            [("root", "/CN=root"), ("other", "/CN=root"), ("second", "/O=gov/CN=middle")]
        {
            run(
                path,
                &format!(
                    "openssl req -x509 -new -key {role}-{algorithm}.key -subj {name} {root} \
                     -out {role}-{algorithm}.pem"
                ),
            );
        }
        for role in ["middle", "third", "leaf"] {
            run(
                path,
                &format!(
                    "openssl req -new -key {role}-{algorithm}.key -subj /O=gov/CN={role} \
                     -config empty.cnf -out {role}-{algorithm}.csr"
                ),
            );
        }
    }
    folder
}

const DEFECTS: [&str; 30] = [
    "none",
    "none, with constraints that allow it",
    "leaf ended",
    "middle ended",
    "not yet begun",
    "leaf signed by a namesake",
    "middle signed by a namesake",
    "middle is no CA",
    "middle without basic constraints",
    "middle may not sign certificates",
    "path length",
    "critical extension of the leaf",
    "critical extension of the middle",
    "extension that is not critical",
    "excluded host",
    "host not permitted",
    "excluded network",
    "mailbox not permitted",
    "subject not permitted",
    "leaf for servers only",
    "middle for servers only",
    "leaf may not sign",
    "middle missing",
    "another root",
    "policy required",
    "signed over SHA-1",
    "signed over MD5",
    "short RSA key",
    "bit of the leaf",
    "bit of the middle",
];

/// What we say of each defect. A turned bit can come out as many things.
fn codes_of(defect: &str) -> &'static [&'static str] {
    match defect {
        "none" | "none, with constraints that allow it" | "extension that is not critical" => {
            &["ok"]
        }
        "leaf ended" | "middle ended" => &["certificate_expired"],
        "not yet begun" => &["certificate_not_yet_valid"],
        "leaf signed by a namesake" | "middle signed by a namesake" | "another root" => {
            &["certificate_bad_signature", "certificate_algorithm_unsupported"]
        }
        "middle is no CA"
        | "middle without basic constraints"
        | "middle may not sign certificates" => &["certificate_issuer_not_ca"],
        "path length" => &["certificate_path_too_long"],
        "critical extension of the leaf" | "critical extension of the middle" => {
            &["certificate_critical_extension"]
        }
        "excluded host"
        | "host not permitted"
        | "excluded network"
        | "mailbox not permitted"
        | "subject not permitted" => &["certificate_name_constraints"],
        "leaf for servers only" | "middle for servers only" | "leaf may not sign" => {
            &["certificate_wrong_usage"]
        }
        "middle missing" => &["certificate_unknown_issuer"],
        "policy required" => &["certificate_policy"],
        "signed over SHA-1" | "signed over MD5" => &["certificate_digest_weak"],
        "short RSA key" => &["certificate_rsa_too_short"],
        _ => &[],
    }
}

fn one_chain(path: &Path, number: u64) -> (&'static str, Result<(), String>, bool) {
    let mut lot = Lot::new(0x5EED_0001, number);
    // Each defect in turn, so that none is left out; the rest is drawn.
    let defect = DEFECTS[number as usize % DEFECTS.len()];
    let mut root = lot.one_of(&ALGORITHMS);
    let mut middle = lot.one_of(&ALGORITHMS);
    let mut leaf = lot.one_of(&ALGORITHMS);
    let (mut middle_days, mut leaf_days, mut at) = (400, 300, SignedDuration::from_hours(24 * 5));
    let mut middle_by = "root";
    let mut leaf_by = "middle";
    let mut trusted = "root";
    let mut ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n".to_owned();
    let mut end = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n".to_owned();
    let mut third = false;
    let mut handed_in = true;
    let key_ids = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
    match defect {
        "none, with constraints that allow it" => {
            ca += "nameConstraints=critical,permitted;DNS:gov.example,excluded;DNS:x.gov.example\n";
            end += "subjectAltName=DNS:hub.gov.example,email:a@b.example\n";
            end += "extendedKeyUsage=clientAuth\n";
        }
        "leaf ended" => {
            leaf_days = 10 + lot.below(100) as i64;
            at = SignedDuration::from_hours(24 * (leaf_days + 1));
        }
        "middle ended" => {
            middle_days = 10 + lot.below(100) as i64;
            at = SignedDuration::from_hours(24 * (middle_days + 1));
        }
        "not yet begun" => at = SignedDuration::from_hours(-1 - lot.below(10_000) as i64),
        // The name is right, the key is not; key identifiers are left out, for they would tell.
        "leaf signed by a namesake" => leaf_by = "second",
        "middle signed by a namesake" => middle_by = "other",
        "another root" => trusted = "other",
        "middle is no CA" => ca = "basicConstraints=CA:FALSE\nkeyUsage=keyCertSign\n".to_owned(),
        "middle without basic constraints" => ca = "keyUsage=keyCertSign\n".to_owned(),
        "middle may not sign certificates" => {
            ca =
                "basicConstraints=critical,CA:TRUE\nkeyUsage=digitalSignature,cRLSign\n".to_owned();
        }
        "path length" => {
            ca = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=keyCertSign\n".to_owned();
            third = true;
        }
        "critical extension of the leaf" => end += "1.2.3.4=critical,DER:0500\n",
        "critical extension of the middle" => ca += "1.2.3.4=critical,DER:0500\n",
        "extension that is not critical" => end += "1.2.3.4=DER:0500\n",
        "excluded host" => {
            ca += "nameConstraints=critical,excluded;DNS:bad.example\n";
            end += lot.one_of(&[
                "subjectAltName=DNS:bad.example\n",
                "subjectAltName=DNS:good.example,DNS:a.b.bad.example\n",
            ]);
        }
        "host not permitted" => {
            ca += "nameConstraints=critical,permitted;DNS:gov.example\n";
            end += lot.one_of(&[
                "subjectAltName=DNS:org.example\n",
                "subjectAltName=DNS:hub.gov.example,DNS:notgov.example\n",
            ]);
        }
        "excluded network" => {
            ca += "nameConstraints=critical,excluded;IP:10.0.0.0/255.0.0.0\n";
            end += "subjectAltName=IP:10.1.2.3\n";
        }
        "mailbox not permitted" => {
            ca += "nameConstraints=critical,permitted;email:gov.example\n";
            end += "subjectAltName=email:a@org.example\n";
        }
        "subject not permitted" => {
            ca += "nameConstraints=critical,permitted;dirName:allowed\n[allowed]\nO=edu\n";
        }
        "leaf for servers only" => end += "extendedKeyUsage=serverAuth\n",
        "middle for servers only" => ca += "extendedKeyUsage=serverAuth\n",
        "leaf may not sign" => {
            end =
                "basicConstraints=CA:FALSE\nkeyUsage=keyEncipherment,dataEncipherment\n".to_owned()
        }
        "middle missing" => handed_in = false,
        "policy required" => ca += "policyConstraints=critical,requireExplicitPolicy:0\n",
        "short RSA key" => match lot.below(3) {
            0 => root = "short",
            1 => middle = "short",
            _ => leaf = "short",
        },
        _ => {}
    }
    let weak = match defect {
        "signed over SHA-1" => Some("-sha1"),
        "signed over MD5" => Some("-md5"),
        _ => None,
    };
    let weak_leaf = weak.is_some() && lot.below(2) == 0;
    match weak {
        Some(_) if weak_leaf => middle = "rsa",
        Some(_) => root = "rsa",
        None => {}
    }
    let mut by_root = signed(root, &mut lot);
    let mut by_middle = signed(middle, &mut lot);
    if let Some(weak) = weak {
        *(if weak_leaf { &mut by_middle } else { &mut by_root }) = weak;
    }

    let files = ["middle", "third", "leaf"].map(|name| format!("{number}-{name}.pem"));
    let [middle_file, third_file, leaf_file] = &files;
    let put = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
    let issue = |request: &str,
                 by: (&str, &str),
                 how: &str,
                 days: i64,
                 extensions: &str,
                 to: &str| {
        let (certificate, key) = by;
        put(&format!("{to}.ext"), &format!("{key_ids}{extensions}"));
        run(
            path,
            &format!(
                "openssl x509 -req -in {request}.csr -CA {certificate}.pem -CAkey {key}.key {how} \
                 -set_serial {} -days {days} -extfile {to}.ext -out {to}",
                number * 4 + 1
            ),
        );
    };
    let begin = Timestamp::now();
    let root_of = |role: &str| format!("{role}-{root}");
    let signer = root_of(middle_by);
    issue(&format!("middle-{middle}"), (&signer, &signer), by_root, middle_days, &ca, middle_file);
    let mut issuer = (middle_file.trim_end_matches(".pem").to_owned(), format!("middle-{middle}"));
    let mut others = vec![middle_file.as_str()];
    if third {
        let by = (issuer.0.as_str(), issuer.1.as_str());
        issue(&format!("third-{middle}"), by, by_middle, middle_days, &ca, third_file);
        issuer = (third_file.trim_end_matches(".pem").to_owned(), format!("third-{middle}"));
        others.push(third_file);
    }
    if leaf_by == "second" {
        issuer = (format!("second-{middle}"), format!("second-{middle}"));
    }
    let by = (issuer.0.as_str(), issuer.1.as_str());
    issue(&format!("leaf-{leaf}"), by, by_middle, leaf_days, &end, leaf_file);
    match defect {
        "bit of the leaf" => turn_a_bit(path, leaf_file, &mut lot),
        "bit of the middle" => turn_a_bit(path, middle_file, &mut lot),
        _ => {}
    }
    if !handed_in {
        others.clear();
    }

    let at = begin + at;
    let untrusted: String = others.iter().map(|other| format!("-untrusted {other} ")).collect();
    let trusted = format!("{}.pem", root_of(trusted));
    let theirs = accepts(
        path,
        &format!(
            "openssl verify -auth_level 2 -policy_check -purpose sslclient -no-CApath -no-CAstore \
             -attime {} -CAfile {trusted} {untrusted} {leaf_file}",
            at.as_second()
        ),
    );
    let ours = our_verdict(path, (&trusted, &others, leaf_file), Usage::IssuingClients, at);
    check_code(defect, number, &ours);
    (defect, ours, theirs)
}

fn check_code(defect: &str, number: u64, ours: &Result<(), String>) {
    let code = ours.as_ref().err().map_or("ok", String::as_str);
    let codes = codes_of(defect);
    assert!(codes.is_empty() || codes.contains(&code), "{number} {defect}: {code}");
}

#[test]
fn chains_of_openssl_with_one_defect_each_are_judged_as_openssl_judges_them() {
    let workshop = workshop();
    let tally = draw(CHAINS, |number| one_chain(workshop.path(), number));
    assert_eq!(tally.differ, [] as [String; 0]);
    assert_eq!(tally.total() as u64, CHAINS);
    assert!((600..=760).contains(&tally.refused()), "{}", tally.refused());
}

/// What gmssl judges: signatures, names and time. It takes no notice of what a CA may do.
const SM2_DEFECTS: [(&str, bool, &[&str]); 10] = [
    ("none", true, &["ok"]),
    ("leaf signed by a namesake", true, &["certificate_bad_signature"]),
    ("middle signed by a namesake", true, &["certificate_bad_signature"]),
    ("another root", true, &["certificate_bad_signature"]),
    ("middle missing", true, &["certificate_unknown_issuer"]),
    ("bit of the leaf", true, &[]),
    ("bit of the middle", true, &[]),
    ("middle is no CA", false, &["certificate_issuer_not_ca"]),
    ("middle may not sign certificates", false, &["certificate_issuer_not_ca"]),
    ("leaf may not sign", false, &["certificate_wrong_usage"]),
];

fn sm2_workshop() -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let ca = "-key_usage keyCertSign -ca -path_len_constraint 6 -gen_subject_key_id";
    for role in ["root", "other", "middle", "second", "leaf"] {
        run(path, &format!("gmssl sm2keygen -pass 1 -out {role}.key -pubout {role}.pub"));
    }
    for (role, name) in [("root", "root"), ("other", "root"), ("second", "middle")] {
        run(
            path,
            &format!(
                "gmssl certgen -C CN -O gov -CN {name} -serial_len 12 -days 90 -key {role}.key \
                 -pass 1 {ca} -out {role}.pem"
            ),
        );
    }
    for role in ["middle", "leaf"] {
        run(
            path,
            &format!(
                "gmssl reqgen -C CN -O gov -CN {role} -key {role}.key -pass 1 -out {role}.csr"
            ),
        );
    }
    folder
}

fn one_sm2_chain(path: &Path, number: u64) -> (&'static str, Result<(), String>, bool) {
    let mut lot = Lot::new(0x5EED_0002, number);
    let (defect, judged, codes) = SM2_DEFECTS[number as usize % SM2_DEFECTS.len()];
    let (middle, leaf) = (format!("{number}-middle.pem"), format!("{number}-leaf.pem"));
    let ca = match defect {
        "middle is no CA" => "-key_usage keyCertSign",
        "middle may not sign certificates" => "-key_usage cRLSign -ca -path_len_constraint 0",
        _ => "-key_usage keyCertSign -ca -path_len_constraint 0",
    };
    let end = match defect {
        "leaf may not sign" => "-key_usage keyEncipherment",
        _ => lot.one_of(&["-key_usage digitalSignature", "-key_usage nonRepudiation"]),
    };
    let ids = lot.one_of(&["-gen_subject_key_id", "-gen_authority_key_id -gen_subject_key_id", ""]);
    let days = 20 + lot.below(40);
    let by = if defect == "middle signed by a namesake" { "other" } else { "root" };
    run(
        path,
        &format!(
            "gmssl reqsign -in middle.csr -serial_len 12 -days {days} -cacert {by}.pem -key {by}.key \
             -pass 1 {ca} {ids} -out {middle}"
        ),
    );
    let (by, key) = match defect {
        "leaf signed by a namesake" => ("second.pem", "second.key"),
        _ => (middle.as_str(), "middle.key"),
    };
    run(
        path,
        &format!(
            "gmssl reqsign -in leaf.csr -serial_len 12 -days {} -cacert {by} -key {key} -pass 1 {end} \
             {ids} -out {leaf}",
            days - 1
        ),
    );
    match defect {
        "bit of the leaf" => turn_a_bit(path, &leaf, &mut lot),
        "bit of the middle" => turn_a_bit(path, &middle, &mut lot),
        _ => {}
    }
    let trusted = if defect == "another root" { "other.pem" } else { "root.pem" };
    let chain = format!("{number}-chain.pem");
    let mut text = fs::read(path.join(&leaf)).unwrap();
    let mut others = vec![];
    if defect != "middle missing" {
        text.extend(fs::read(path.join(&middle)).unwrap());
        others.push(middle.as_str());
    }
    fs::write(path.join(&chain), text).unwrap();
    let theirs = accepts(path, &format!("gmssl certverify -in {chain} -cacert {trusted}"));
    let at = Timestamp::now() + SignedDuration::from_secs(1);
    let ours = our_verdict(path, (trusted, &others, &leaf), Usage::IssuingLicences, at);
    let code = ours.as_ref().err().map_or("ok", String::as_str);
    assert!(codes.is_empty() || codes.contains(&code), "{number} {defect}: {code}");
    if judged {
        return (defect, ours, theirs);
    }
    assert!(theirs, "{defect}: gmssl judges it now, so let it be a judge of it");
    let same = ours.is_ok();
    (defect, ours, same)
}

#[test]
fn sm2_chains_of_gmssl_are_judged_as_gmssl_judges_them_and_more_strictly_for_cas() {
    let workshop = sm2_workshop();
    let tally = draw(SM2_CHAINS, |number| one_sm2_chain(workshop.path(), number));
    assert_eq!(tally.differ, [] as [String; 0]);
    assert_eq!(tally.total() as u64, SM2_CHAINS);
    assert_eq!(tally.refused() as u64, SM2_CHAINS * 9 / 10);
}
