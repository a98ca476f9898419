//! Time-stamps: an authority's answer, and a token by itself.
#![no_main]

use certs::timestamp::{read_answer, verify};
use fuzz::{CONTENT, times, trust};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = verify(bytes, CONTENT, &trust(), &times());
    if let Ok(token) = read_answer(bytes) {
        let _ = verify(&token, CONTENT, &trust(), &times());
    }
});
