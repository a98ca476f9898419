//! Evidence files: as they come, and the input as a licence or a status order that the issuer signed.
#![no_main]

use certs::{Evidence, EvidenceOrder, sign_detached};
use fuzz::{CONTENT, ISSUER, NOW, trust};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(evidence) = Evidence::parse(bytes) {
        assert!(Evidence::parse(&evidence.to_bytes()).is_ok_and(|read| read == evidence));
        let _ = evidence.verify(&trust(), *NOW);
    }
    if bytes.first() == Some(&b'{') {
        let sign =
            |bytes: &[u8]| sign_detached(&ISSUER, bytes, *NOW).expect("the key is in memory");
        let order = EvidenceOrder { order: bytes.to_vec(), signature: sign(bytes) };
        for (licence, orders) in [(bytes, vec![]), (CONTENT, vec![order])] {
            let signature = sign(licence);
            let _ = Evidence { licence: licence.to_vec(), signature, manifest: None, orders }
                .verify(&trust(), *NOW);
        }
    }
});
