//! Revocation lists: as they come, and the input as a TBSCertList that the root signed.
#![no_main]

use certs::Usage;
use fuzz::{ISSUER, NOW, signed, times, trust};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for list in [bytes, &signed(bytes)] {
        let mut trust = trust();
        if trust.add_crl_at(list, *NOW).is_ok() {
            let _ = trust.crls();
            let _ = trust.assess(ISSUER.certificate(), &[], Usage::IssuingLicences, &times());
        }
        let _ = trust.with_stapled(&[], &[list], &[], *NOW);
    }
});
