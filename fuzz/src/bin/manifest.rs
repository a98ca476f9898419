//! Batch manifests.
#![no_main]

use certs::{Manifest, sha256};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        let _ = manifest.position(&sha256(bytes));
        let written = Manifest::write(manifest.issuer(), manifest.batch(), manifest.digests());
        // Every byte counts.
        assert_eq!(written.as_deref(), Ok(bytes));
    }
});
