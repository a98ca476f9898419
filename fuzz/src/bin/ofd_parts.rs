//! One part of a sealed OFD file damaged, the others intact; where the part is sealed or signed, it is so anew,
//! so that every digest and signature but the one in question holds. The input is the number of the part
//! and what it becomes.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use certs::ofd::{check, pack, seal_ofd, seal_value};
use fuzz::{ISSUER, NOW, times, trust};

const ROOT: &str = "OFD.xml";
const LIST: &str = "Doc_0/Signs/Signatures.xml";
const DESCRIPTION: &str = "Doc_0/Signs/Sign_0/Signature.xml";
const VALUE: &str = "Doc_0/Signs/Sign_0/SignedValue.dat";
const SEAL: &str = "Doc_0/Signs/Sign_0/Seal.esl";

type Parts = BTreeMap<String, Vec<u8>>;

/// A sealed file, and the same before it was sealed.
static PARTS: LazyLock<(Parts, Parts)> = LazyLock::new(|| {
    let part = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    let unsealed: Parts = [
        part(ROOT, include_bytes!("../../authority/ofd/OFD.xml")),
        part("Doc_0/Document.xml", include_bytes!("../../authority/ofd/Document.xml")),
    ]
    .into();
    let mut sealed = unsealed.clone();
    sealed.extend([
        part(ROOT, include_bytes!("../../authority/ofd/OFD_sealed.xml")),
        part(LIST, include_bytes!("../../authority/ofd/Signatures.xml")),
        part(DESCRIPTION, include_bytes!("../../authority/ofd/Signature.xml")),
        part(VALUE, include_bytes!("../../authority/ofd/SignedValue.dat")),
        part(SEAL, include_bytes!("../../authority/ofd/Seal.esl")),
    ]);
    (sealed, unsealed)
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((number, becomes)) = bytes.split_first() else {
        return;
    };
    let (sealed, unsealed) = &*PARTS;
    let value = |seal: &[u8], description: &[u8]| {
        seal_value(seal, description, DESCRIPTION, &ISSUER, *NOW, None).ok()
    };
    let mut parts = sealed.clone();
    match number % 6 {
        0 => {
            parts = unsealed.clone();
            parts.insert(ROOT.into(), becomes.to_vec());
            if let Ok(file) = seal_ofd(&pack(&parts), &sealed[SEAL], &ISSUER, *NOW, None) {
                let _ = check(&file, &trust(), &times());
                return;
            }
        }
        1 => _ = parts.insert(LIST.into(), becomes.to_vec()),
        2 => {
            parts.extend(value(&sealed[SEAL], becomes).map(|value| (VALUE.into(), value)));
            parts.insert(DESCRIPTION.into(), becomes.to_vec());
        }
        3 => _ = parts.insert(VALUE.into(), becomes.to_vec()),
        4 => {
            parts.extend(value(becomes, &sealed[DESCRIPTION]).map(|value| (VALUE.into(), value)));
            parts.insert(SEAL.into(), becomes.to_vec());
        }
        _ => _ = parts.insert("Doc_0/Document.xml".into(), becomes.to_vec()),
    }
    let _ = check(&pack(&parts), &trust(), &times());
});
