//! Seals and time: what a time-stamp by `openssl ts` proves, and what certificates that ended or were revoked
//! since leave of a seal.

#[path = "support/sealing.rs"]
mod sealing;
#[path = "support/stamping.rs"]
mod stamping;
mod support;

use certs::ofd::{SealTemplate, SealVersion, Stamper, check, make_seal, seal_ofd};
use certs::{
    Certificate, CertificateTemplate, HashAlgorithm, Profile, SigningIdentity, Suite, Times,
    TrustStore, Usage, issue_crl, timestamp,
};
use jiff::{SignedDuration, Timestamp};
use sealing::*;
use support::*;
use tempfile::TempDir;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// An office with a time-stamp authority. Time-stamps are of now, so all else is, too.
struct Desk {
    folder: TempDir,
    now: Timestamp,
    root: SigningIdentity,
    /// Valid for another day.
    maker: SigningIdentity,
    /// Valid for another hour.
    signer: SigningIdentity,
}

impl Desk {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        stamping::prepare(folder.path());
        let algorithm = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
        let (from, until) = ("20200101000000Z", "20491231235959Z");
        let usage = "critical,timeStamping";
        stamping::authority(folder.path(), "tsa", algorithm, usage, from, until);
        run(folder.path(), "openssl ca -gencrl -config ca.cnf -out ca.crl").unwrap();
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        let suite = Suite::EcdsaP256Sha256;
        let valid = |name: &str, profile, serial, until| CertificateTemplate {
            not_before: now - DAY * 30,
            not_after: until,
            ..template(name, profile, serial)
        };
        let ca = valid("样例根", Profile::Ca, 1, now + DAY * 365);
        let signer = key(suite);
        let issuer = certs::CertIssuer::SelfSigned(&signer);
        let root = certs::issue_certificate(&ca, &certs::Signer::spki(&signer), issuer).unwrap();
        let root = SigningIdentity::new(vec![root], Box::new(signer)).unwrap();
        let maker = valid("样例制章", Profile::LicenceIssuer, 2, now + DAY);
        let maker = below(&root, suite, &maker);
        let signer = valid("样例签章", Profile::LicenceIssuer, 3, now + HOUR);
        let signer = below(&root, suite, &signer);
        Self { folder, now, root, maker, signer }
    }

    /// A store that knows these revocations, by serial number.
    fn trust(&self, revoked: &[(u64, Timestamp)]) -> TrustStore {
        let mut trust = trusting(&self.root);
        let revoked: Vec<_> =
            revoked.iter().map(|(serial, at)| (serial.to_be_bytes().to_vec(), *at)).collect();
        let list = issue_crl(&self.root, 1, &revoked, self.now - DAY, self.now + DAY * 60);
        trust.add_crl(&list.unwrap()).unwrap();
        let read = |name: &str| std::fs::read(self.folder.path().join(name)).unwrap();
        trust.add_anchor(Usage::TimeStamping, Certificate::from_pem(&read("ca.pem")).unwrap());
        trust.add_crl(&read("ca.crl")).unwrap();
        trust
    }

    fn seal(&self, version: SealVersion, stamp: Option<Stamper<'_>>) -> Vec<u8> {
        let signers = [self.signer.certificate().clone()];
        let template = SealTemplate {
            version,
            identifier: "35010000000001",
            name: "样例市市场监督管理局",
            signers: &signers,
            lists_digests: false,
            picture: b"picture",
            created: self.now,
            valid_from: self.now - DAY,
            valid_until: self.now + DAY * 40,
        };
        make_seal(&template, &self.maker, stamp).unwrap()
    }

    fn sealed(&self, seal: &[u8], at: Timestamp, stamp: Option<Stamper<'_>>) -> Vec<u8> {
        seal_ofd(UNSIGNED, seal, &self.signer, at, stamp).unwrap()
    }

    /// A token by `openssl ts` over `message`.
    fn token(&self, message: &[u8]) -> Vec<u8> {
        let hash = HashAlgorithm::Sm3;
        let request = timestamp::request(&hash.digest(&[message]), hash, None, None);
        timestamp::read_answer(&stamping::answer(self.folder.path(), "tsa", &request)).unwrap()
    }
}

/// The lines that speak against a file at a time.
fn against(file: &[u8], trust: &TrustStore, at: Timestamp) -> Vec<String> {
    let lines = codes(&check(file, trust, &Times::now(at)));
    lines.into_iter().filter(|line| !line.contains(" ok")).collect()
}

#[test]
fn a_time_stamp_shows_that_the_signature_is_older_than_what_ended_since() {
    let desk = Desk::new();
    let stamp: Stamper<'_> = &|value| desk.token(value);
    let seal = desk.seal(SealVersion::V5, None);
    let stamped = desk.sealed(&seal, desk.now, Some(stamp));
    let bare = desk.sealed(&seal, desk.now, None);
    let (later, trust) = (desk.now + DAY * 10, desk.trust(&[]));
    assert_eq!(against(&stamped, &trust, desk.now), [""; 0]);
    assert_eq!(against(&bare, &trust, desk.now), [""; 0]);
    let verdict = check(&stamped, &trust, &Times::now(desk.now));
    assert!(verdict.signatures[0].proven_at.is_some_and(|at| at >= desk.now));

    // Ten days later the signer's and the maker's certificates have ended.
    assert_eq!(against(&stamped, &trust, later), [""; 0]);
    assert_eq!(against(&bare, &trust, later), ["certificate certificate_expired"]);

    // Revoked a little later.
    let trust = desk.trust(&[(3, desk.now + HOUR / 4)]);
    let soon = desk.now + HOUR / 2;
    assert_eq!(against(&stamped, &trust, soon), [""; 0]);
    assert_eq!(against(&bare, &trust, soon), ["revocation certificate_revoked"]);
    // Revoked before: nothing helps.
    let trust = desk.trust(&[(3, desk.now - HOUR)]);
    assert_eq!(against(&stamped, &trust, soon), ["revocation certificate_revoked"]);
}

#[test]
fn a_time_stamp_over_other_bytes_or_older_than_the_sealing_time_is_refused() {
    let desk = Desk::new();
    let trust = desk.trust(&[]);
    let seal = desk.seal(SealVersion::V4, None);
    let other = desk.sealed(&seal, desk.now, Some(&|_| desk.token(b"other bytes")));
    let value = "Doc_0/Signs/Sign_0/SignedValue.dat";
    assert_eq!(against(&other, &trust, desk.now), [format!("time timestamp_other_bytes {value}")]);
    let none = desk.sealed(&seal, desk.now, Some(&|_| b"no token".to_vec()));
    assert_eq!(against(&none, &trust, desk.now), [format!("time timestamp_malformed {value}")]);
    let late = desk.sealed(&seal, desk.now + HOUR / 2, Some(&|value| desk.token(value)));
    let line = "time seal_time_after_time_stamp";
    assert_eq!(against(&late, &trust, desk.now + HOUR / 2), [line]);
    // An authority that nobody knows proves nothing, and takes nothing away.
    let stamped = desk.sealed(&seal, desk.now, Some(&|value| desk.token(value)));
    let mut unknown = trusting(&desk.root);
    let list = issue_crl(&desk.root, 1, &[], desk.now - DAY, desk.now + DAY).unwrap();
    unknown.add_crl(&list).unwrap();
    let line = format!("time certificate_unknown_issuer {value}");
    assert_eq!(against(&stamped, &unknown, desk.now), [line]);
}

#[test]
fn a_seal_outlives_its_makers_certificate_from_version_5_on_but_not_its_revocation() {
    let desk = Desk::new();
    let stamp: Stamper<'_> = &|value| desk.token(value);
    let later = desk.now + DAY * 10;
    let times = Times { now: later, proven: None };
    let shown = "Doc_0/Signs/Sign_0/Seal.esl";
    // Of the maker alone: the signer's certificate has ended, too.
    let of_maker = |version, seal_stamp, trust: &TrustStore| {
        let file = desk.sealed(&desk.seal(version, seal_stamp), desk.now, None);
        let lines = codes(&check(&file, trust, &times));
        lines.into_iter().filter(|line| line.ends_with(shown)).collect::<Vec<_>>()
    };
    let trust = desk.trust(&[]);
    let ended = || format!("certificate certificate_expired {shown}");
    assert_eq!(of_maker(SealVersion::V4, None, &trust), [ended()]);
    assert_eq!(of_maker(SealVersion::V5, None, &trust), [""; 0]);
    let trust = desk.trust(&[(2, desk.now + HOUR)]);
    assert_eq!(of_maker(SealVersion::V5, None, &trust), [ended()]);
    assert_eq!(of_maker(SealVersion::V5, Some(stamp), &trust), [""; 0]);
    let forged = of_maker(SealVersion::V5, Some(&|_| desk.token(b"other bytes")), &desk.trust(&[]));
    assert_eq!(forged, [format!("time timestamp_other_bytes {shown}")]);
}
