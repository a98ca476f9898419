//! Certificates: DER and PEM, and as the end of a path.
#![no_main]

use certs::{Certificate, Usage};
use fuzz::{NOW, trust};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Certificate::many_from_pem(bytes);
    let Ok(certificate) = Certificate::from_der(bytes) else {
        return;
    };
    let _ = certificate.public_key();
    let _ = (certificate.subject_text(), certificate.issuer_text());
    let _ = (certificate.organisation(), certificate.organisation_name());
    let others = [certificate.clone()];
    for usage in [Usage::IssuingLicences, Usage::IssuingClients, Usage::TimeStamping] {
        let _ = trust().verify_chain(&certificate, &others, usage, *NOW);
    }
});
