//! Paths of up to eight certificates that are damaged and signed all the same: the input is
//! one TBSCertificate after the other, the signer's first.
#![no_main]

use certs::Usage;
use fuzz::{signed_path, times, trust};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = signed_path(bytes);
    if let [signer, others @ ..] = path.as_slice() {
        for usage in [Usage::IssuingLicences, Usage::TimeStamping] {
            let _ = trust().assess(signer, others, usage, &times());
        }
    }
});
