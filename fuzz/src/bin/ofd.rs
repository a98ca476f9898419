//! OFD files: the ZIP archive and everything in it.
#![no_main]

use certs::ofd;
use fuzz::{times, trust};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = ofd::is_ofd(bytes);
    let _ = ofd::check(bytes, &trust(), &times());
});
