//! CMS containers, over content that is inside or beside them.
#![no_main]

use certs::{
    check_cms, check_signature, cms_from_pem, cms_signature_value, verify_detached, with_time_stamp,
};
use fuzz::{CONTENT, NOW, times, trust};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = check_cms(bytes, Some(CONTENT), &trust(), &times());
    let _ = check_cms(bytes, None, &trust(), &times());
    let _ = check_signature(bytes, CONTENT);
    let _ = verify_detached(bytes, CONTENT, &trust(), *NOW);
    let _ = cms_from_pem(bytes);
    if cms_signature_value(bytes).is_ok() {
        let _ = with_time_stamp(bytes, bytes);
    }
});
