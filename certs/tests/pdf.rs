//! Signed PDF: samples from elsewhere, and documents made and judged by pyHanko.

mod support;

use certs::pdf::{check, is_pdf};
use certs::{FileVerdict, Link, LinkVerdict, Outcome, Times, TrustStore};
use support::*;

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
