//! What the targets share: an authority whose key is no secret, who trusts it, and how something damaged is
//! signed anew, so that what lies behind a signature check is reached too.

use std::sync::LazyLock;

use certs::{Certificate, SigningIdentity, Times, TrustStore, Usage};
use jiff::Timestamp;

/// What the seeds sign.
pub const CONTENT: &[u8] = include_bytes!("../authority/content.json");

/// The root.
pub static AUTHORITY: LazyLock<SigningIdentity> = LazyLock::new(|| {
    identity(include_bytes!("../authority/ca.pem"), include_bytes!("../authority/ca.key"))
});

/// A licence issuer below the root.
pub static ISSUER: LazyLock<SigningIdentity> = LazyLock::new(|| {
    identity(include_bytes!("../authority/issuer.pem"), include_bytes!("../authority/issuer.key"))
});

fn identity(certificate: &[u8], key: &[u8]) -> SigningIdentity {
    SigningIdentity::from_pem(certificate, key).expect("certs/examples/fuzz_seeds.rs made it")
}

/// A moment at which all seeds hold.
pub static NOW: LazyLock<Timestamp> =
    LazyLock::new(|| "2026-12-01T00:00:00Z".parse().expect("a date"));

/// The same, for what may be older.
pub fn times() -> Times {
    Times::now(*NOW)
}

/// Trusts the root for everything.
pub fn trust() -> TrustStore {
    let mut trust = TrustStore::new();
    for usage in [Usage::IssuingLicences, Usage::IssuingClients, Usage::TimeStamping] {
        trust.add_anchor(usage, AUTHORITY.certificate().clone());
    }
    trust
}

/// A DER value.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match length {
        0..0x80 => out.push(length as u8),
        _ => {
            let bytes = length.to_be_bytes();
            let used = &bytes[length.leading_zeros() as usize / 8..];
            out.push(0x80 | used.len() as u8);
            out.extend_from_slice(used);
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// AlgorithmIdentifier of ecdsa-with-SHA256.
const ECDSA_WITH_SHA256: [u8; 12] = *b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";

/// The form that certificates, lists and answers have in common: `content`, algorithm and the root's
/// signature over `content`.
pub fn signed(content: &[u8]) -> Vec<u8> {
    let signature = AUTHORITY.signer().sign(content).expect("the key is in memory");
    tlv(0x30, &[content, &ECDSA_WITH_SHA256, &tlv(3, &[&[0], &signature])])
}

/// The first DER value in `bytes`, and what follows it.
pub fn first_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, length) = match *bytes.get(1)? {
        short @ 0..=0x7f => (2, usize::from(short)),
        0x81 => (3, usize::from(*bytes.get(2)?)),
        0x82 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        _ => return None,
    };
    bytes.split_at_checked(header + length)
}

/// A path of certificates, the signer's first: each of the DER values in `bytes` signed by the root's key.
pub fn signed_path(bytes: &[u8]) -> Vec<Certificate> {
    let mut rest = bytes;
    let mut path = Vec::new();
    while let Some((content, after)) = first_value(rest).filter(|_| path.len() < 8) {
        rest = after;
        path.extend(Certificate::from_der(&signed(content)));
    }
    path
}
