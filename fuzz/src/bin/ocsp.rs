//! OCSP answers: as they come, and the input as a ResponseData that the root signed.
#![no_main]

use certs::{Usage, check_ocsp, ocsp};
use fuzz::{AUTHORITY, ISSUER, NOW, signed, times, tlv, trust};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for answer in [bytes, &good(bytes)] {
        let _ = check_ocsp(answer, ISSUER.certificate(), AUTHORITY.certificate(), *NOW);
        let _ = ocsp::check_nonce(answer, &[7; 32]);
        let mut trust = trust();
        if trust.add_ocsp(answer, *NOW).is_ok() {
            let _ = trust.ocsp_answers(*NOW);
            let _ = trust.assess(ISSUER.certificate(), &[], Usage::IssuingLicences, &times());
        }
    }
});

/// OCSPResponse (RFC 6960, 4.2.1), successful and basic.
fn good(data: &[u8]) -> Vec<u8> {
    let basic =
        tlv(0x30, &[b"\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01", &tlv(4, &[&signed(data)])]);
    tlv(0x30, &[b"\x0a\x01\x00", &tlv(0xa0, &[&basic])])
}
