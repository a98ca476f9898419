//! `loadtest bench certs`: verification beside the bare primitive, one thread, in turns.
//!
//! | figure | ours | floor |
//! | --- | --- | --- |
//! | `p256`, `ed25519`, `sm2` | a licence's CMS signature with its chain of three certificates and both revocation lists | the same signature value by the bare primitive |
//! | `manifest` | licences of one batch: the manifest read, its signature checked, each licence hashed and looked up | hashing the same bytes with ring |
//! | `sm2 sign` | the container with its signed attributes | the bare signature |
//!
//! For SM2 the peer is `openssl speed sm2`, in the same run.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use certs::{
    CertIssuer, CertificateTemplate, KeySigner, Manifest, Profile, Signer, SigningIdentity, Suite,
    TrustStore, Usage, Verifier, issue_certificate, issue_crl, sha256, sign_detached,
    verify_detached,
};
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;

use crate::{
    bench::{Figure, figure},
    error::Error,
    measure::median,
};

/// Licences under the manifest: the most that one may list.
const BATCH: usize = certs::MAX_MANIFEST_LICENCES;
/// Bytes of one licence: what the synthetic district's have on average.
const LICENCE_BYTES: usize = 900;
const ISSUER: &str = "91350100M000100Y43";

/// Measures all of it.
///
/// * `rounds` and `seconds` of each figure, ours and the floor in turns.
///
/// # Errors
/// `Measured` if a verification fails, `Program` without openssl.
pub fn run(rounds: u32, seconds: f64) -> Result<Vec<Figure>, Error> {
    let round = Duration::from_secs_f64(seconds);
    let mut figures = Vec::new();
    for (name, suite) in
        [("p256", Suite::EcdsaP256Sha256), ("ed25519", Suite::Ed25519), ("sm2", Suite::Sm2Sm3)]
    {
        figures.push(Case::new(suite)?.verify(name, rounds, round)?);
    }
    figures.push(Case::new(Suite::Sm2Sm3)?.sign("sm2 sign", rounds, round)?);
    let (signs, verifies) = openssl_sm2(rounds)?;
    for figure in &mut figures {
        match figure.name {
            "sm2" => figure.peer = Some(verifies),
            "sm2 sign" => figure.peer = Some(signs),
            _ => {}
        }
    }
    figures.push(manifest(rounds)?);
    Ok(figures)
}

/// An issuer under an intermediate under an anchor, with current lists of both.
struct Case {
    issuer: SigningIdentity,
    trust: TrustStore,
    at: Timestamp,
    content: Vec<u8>,
}

impl Case {
    fn new(suite: Suite) -> Result<Self, Error> {
        let at = Timestamp::now();
        let root = certified(suite, "root", Profile::Ca, None, at)?;
        let middle = certified(suite, "intermediate", Profile::Ca, Some(&root), at)?;
        let issuer = certified(suite, "issuer", Profile::LicenceIssuer, Some(&middle), at)?;
        let mut trust = TrustStore::new();
        trust.add_anchor(Usage::IssuingLicences, root.certificate().clone());
        trust.add_intermediate(middle.certificate().clone());
        let later = at + SignedDuration::from_hours(24);
        for authority in [&root, &middle] {
            let list = issue_crl(authority, 1, &[(vec![77], at)], at, later)?;
            trust.add_crl(&list).map_err(|error| broken(&error.to_string()))?;
        }
        Ok(Self { issuer, trust, at, content: licence(0) })
    }

    fn verify(&self, name: &'static str, rounds: u32, round: Duration) -> Result<Figure, Error> {
        let cms = sign_detached(&self.issuer, &self.content, self.at)?;
        // The bare primitive does the same work on a message of the length of the signed attributes.
        let attributes = vec![0x31; 107];
        let value = self.issuer.signer().sign(&attributes)?;
        let key = self.issuer.certificate().public_key();
        let key = key.map_err(|error| broken(&error.to_string()))?;
        let ours = || verify_detached(&cms, &self.content, &self.trust, self.at).is_ok();
        let floor = || key.verify(&attributes, &value).is_ok();
        in_turns(name, "verifications/s", rounds, round, ours, floor)
    }

    fn sign(&self, name: &'static str, rounds: u32, round: Duration) -> Result<Figure, Error> {
        let attributes = vec![0x31; 107];
        let ours = || sign_detached(&self.issuer, &self.content, self.at).is_ok();
        let floor = || self.issuer.signer().sign(&attributes).is_ok();
        in_turns(name, "signatures/s", rounds, round, ours, floor)
    }
}

fn in_turns(
    name: &'static str,
    unit: &'static str,
    rounds: u32,
    round: Duration,
    ours: impl Fn() -> bool,
    floor: impl Fn() -> bool,
) -> Result<Figure, Error> {
    let (mut of_ours, mut of_floor) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        of_floor.push(rate(round, &floor).ok_or_else(|| broken(name))?);
        of_ours.push(rate(round, &ours).ok_or_else(|| broken(name))?);
    }
    Ok(figure(name, of_ours, of_floor, unit))
}

/// How often a second `work` is done; nothing if it fails once.
fn rate(round: Duration, work: &impl Fn() -> bool) -> Option<f64> {
    let (start, mut done) = (Instant::now(), 0.0);
    while start.elapsed() < round {
        for _ in 0..32 {
            if !work() {
                return None;
            }
        }
        done += 32.0;
    }
    Some(done / start.elapsed().as_secs_f64())
}

/// Licences a second of a whole batch: everything that is needed before they may be believed.
fn manifest(rounds: u32) -> Result<Figure, Error> {
    let case = Case::new(Suite::EcdsaP256Sha256)?;
    let licences: Vec<Vec<u8>> = (0..BATCH).map(licence).collect();
    let digests: Vec<_> = licences.iter().map(|licence| sha256(licence)).collect();
    let code = ISSUER.parse().map_err(|_| broken("the issuer's code"))?;
    let text = Manifest::write(&code, "bench", &digests)?;
    let cms = sign_detached(&case.issuer, &text, case.at)?;
    let ours = || {
        verify_detached(&cms, &text, &case.trust, case.at).is_ok()
            && Manifest::parse(&text).is_ok_and(|manifest| {
                licences.iter().all(|licence| manifest.position(&sha256(licence)).is_some())
            })
    };
    let floor = || licences.iter().all(|licence| *sha256(licence).as_bytes() != [0; 32]);
    let (mut of_ours, mut of_floor) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (work, rates) in [
            (&floor as &dyn Fn() -> bool, &mut of_floor),
            (&ours as &dyn Fn() -> bool, &mut of_ours),
        ] {
            let start = Instant::now();
            if !work() {
                return Err(broken("manifest"));
            }
            rates.push(BATCH as f64 / start.elapsed().as_secs_f64());
        }
    }
    Ok(figure("manifest", of_ours, of_floor, "licences/s"))
}

/// The bytes of licence number `number`.
fn licence(number: usize) -> Vec<u8> {
    let mut bytes = format!("{{\"number\":{number},\"text\":\"").into_bytes();
    bytes.resize(LICENCE_BYTES, b'x');
    bytes
}

fn certified(
    suite: Suite,
    name: &str,
    profile: Profile,
    authority: Option<&SigningIdentity>,
    at: Timestamp,
) -> Result<SigningIdentity, Error> {
    let key = KeySigner::generate(suite, &SystemRandom::new())?;
    let template = CertificateTemplate {
        subject_common_name: name.to_owned(),
        organisation_name: "样例市市场监督管理局".to_owned(),
        organisation: ISSUER.parse().map_err(|_| broken("the issuer's code"))?,
        serial: vec![u8::try_from(name.len()).unwrap_or(1)],
        not_before: at - SignedDuration::from_hours(1),
        not_after: at + SignedDuration::from_hours(24 * 30),
        profile,
    };
    let issuer = authority.map_or(CertIssuer::SelfSigned(&key), CertIssuer::Authority);
    let certificate = issue_certificate(&template, &key.spki(), issuer)?;
    Ok(SigningIdentity::new(vec![certificate], Box::new(key))?)
}

/// Signatures and verifications a second by OpenSSL, medians.
fn openssl_sm2(rounds: u32) -> Result<(f64, f64), Error> {
    let failed =
        |said: &str| Error::Program { program: "openssl".to_owned(), said: said.to_owned() };
    let (mut signs, mut verifies) = (Vec::new(), Vec::new());
    for _ in 0..rounds.min(3) {
        let output = Command::new("openssl").args(["speed", "-seconds", "1", "sm2"]).output();
        let output = output.map_err(|error| failed(&error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The last line: "256 bits SM2 (CurveSM2)   0.0002s   0.0002s   4608.1   5032.0".
        let line = text.lines().rev().find(|line| line.contains("SM2"));
        let mut numbers = line.into_iter().flat_map(|line| line.split_whitespace().rev());
        let mut number = || numbers.next().and_then(|text| text.parse().ok());
        match (number(), number()) {
            (Some(verify), Some(sign)) => {
                verifies.push(verify);
                signs.push(sign);
            }
            _ => return Err(failed("`openssl speed sm2` printed no rates")),
        }
    }
    Ok((median(signs), median(verifies)))
}

fn broken(what: &str) -> Error {
    Error::Measured { what: what.to_owned(), errors: 1, sent: 1, told: "refused".to_owned() }
}
