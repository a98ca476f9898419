//! Signed PDF.
#![no_main]

use certs::pdf;
use fuzz::{times, trust};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = pdf::is_pdf(bytes);
    let _ = pdf::check(bytes, &trust(), &times());
});
