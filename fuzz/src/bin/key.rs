//! Key files, encrypted ones too.
#![no_main]

use certs::{KeySigner, PublicKey};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = PublicKey::from_spki(bytes);
    let _ = KeySigner::from_pkcs8_pem(bytes);
    let _ = KeySigner::from_encrypted_pkcs8_pem(bytes, b"passphrase");
});
