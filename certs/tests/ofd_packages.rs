//! OFD packages that lie about themselves, lead astray or cost too much.

#[path = "support/sealing.rs"]
mod sealing;
mod support;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use certs::ofd::check;
use certs::{Outcome, Suite, Times};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use ring::rand::{SecureRandom, SystemRandom};
use sealing::*;
use support::*;

#[test]
fn packages_that_lie_or_lead_astray_are_refused_each_with_its_code() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let file = office.sealed(UNSIGNED, &office.seal(|_| ()));
    let parts = || unpack(&file).into_iter().map(|(name, bytes)| entry(&name, &bytes));
    let found = |file: &[u8]| codes(&check(file, &office.trust, &Times::now(now())));
    let honest = archive(&parts().collect::<Vec<_>>());
    assert_eq!(check(&honest, &office.trust, &Times::now(now())).outcome(), Outcome::Trusted);

    // One entry more, or one that is changed.
    let with = |more: Entry| archive(&parts().chain([more]).collect::<Vec<_>>());
    let changing = |change: &dyn Fn(&mut Entry)| {
        let mut entries: Vec<_> = parts().collect();
        change(&mut entries[1]);
        archive(&entries)
    };
    let text = b"text".as_slice();
    assert_eq!(found(&with(entry("Doc_0/Document.xml", text))), ["format ofd_part_twice"]);
    let line = "format ofd_part_twice doc_0/DOCUMENT.xml";
    assert_eq!(found(&with(entry("doc_0/DOCUMENT.xml", text))), [line]);
    let long = "x".repeat(600);
    for name in [
        "/etc/passwd",
        "../OFD.xml",
        "Doc_0/../x",
        "Doc_0\\x",
        "C:x",
        "Doc_0//x",
        "./x",
        "a\u{1}",
        "",
        &long,
    ] {
        let line = found(&with(entry(name, text))).remove(0);
        assert!(line.starts_with("format ofd_part_name"), "{name}: {line}");
    }
    let bad =
        with(Entry { name: vec![0xB5, 0xA5], local_name: vec![0xB5, 0xA5], ..entry("x", text) });
    assert!(found(&bad)[0].starts_with("format ofd_part_name"));

    let part = parts().nth(1).map(|entry| String::from_utf8(entry.name).unwrap()).unwrap();
    for (change, code) in [
        (&(|entry: &mut Entry| entry.flags = 1) as &dyn Fn(&mut Entry), "ofd_part_encrypted"),
        (&|entry| entry.method = 12, "ofd_part_storage"),
        (&|entry| entry.method = 99, "ofd_part_storage"),
        (&|entry| entry.attributes = 0o120_777 << 16, "ofd_part_storage"),
        (&|entry| entry.size = usize::try_from(u32::MAX).unwrap() - 1, "ofd_unpacked_too_large"),
    ] {
        assert_eq!(found(&changing(change)), [format!("format {code} {part}")]);
    }
    // A second name, in the field that Info-ZIP has for it.
    let renamed = changing(&|entry| {
        let name = b"Doc_0/Pages/Page_9/Content.xml";
        entry.extra =
            [b"\x75\x70".as_slice(), &(name.len() as u16 + 5).to_le_bytes(), &[1]].concat();
        entry.extra.extend(crc(&entry.name).to_le_bytes());
        entry.extra.extend(name);
    });
    assert!(found(&renamed)[0].starts_with("format ofd_part_name"), "{:?}", found(&renamed));
    let inconsistent = ["format ofd_package_inconsistent"];
    assert_eq!(
        found(&changing(&|entry| entry.local_name = b"Doc_0/Documemt.xml".to_vec())),
        inconsistent
    );
    assert_eq!(
        found(&with(Entry { is_listed: false, ..entry("Doc_0/hidden.xml", text) })),
        inconsistent
    );
    assert_eq!(
        found(&with(Entry { shares: true, ..entry("Doc_0/copy.xml", text) })),
        ["format ofd_parts_overlap"]
    );

    let around = ["format ofd_surrounding_bytes"];
    assert_eq!(found(&[b"MZ and so on".as_slice(), &honest].concat()), around);
    assert_eq!(found(&[&honest, b"and more".as_slice()].concat()), around);
    let mut comment = honest.clone();
    comment.splice(honest.len() - 2.., [22, 0]);
    comment.extend(&honest[honest.len() - 22..]);
    assert_eq!(found(&comment), around);

    let many: Vec<_> = (0..5000).map(|number| entry(&format!("{number}"), b"")).collect();
    assert_eq!(found(&archive(&many)), ["format ofd_too_many_parts"]);
    assert_eq!(found(&honest[..honest.len() / 2]), ["format ofd_not_a_package"]);
    assert_eq!(found(b"PK\x03\x04"), ["format ofd_not_a_package"]);
    assert_eq!(found(&archive(&[entry("x.xml", text)])), ["format ofd_not_a_package"]);
    // Every beginning of the file, cut off.
    for length in 0..honest.len() {
        let verdict = check(&honest[..length], &office.trust, &Times::now(now()));
        assert_eq!(verdict.outcome(), Outcome::Untrusted, "{length}");
    }
}

#[test]
fn xml_that_is_more_than_elements_attributes_and_text_is_refused() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let file = office.sealed(UNSIGNED, &office.seal(|_| ()));
    let found = |part: &str, from: &str, to: &str| {
        let bad = changed(&file, part, |bytes| {
            let text = String::from_utf8(std::mem::take(bytes)).unwrap();
            assert!(text.contains(from), "{text}");
            *bytes = text.replacen(from, to, 1).into_bytes();
        });
        codes(&check(&bad, &office.trust, &Times::now(now()))).last().unwrap().clone()
    };
    let laughs = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]><ofd:";
    let deep = format!("{}<ofd:DocBody>", "<x>".repeat(40));
    let many = format!("{}<ofd:DocBody>", "<x/>".repeat(40_000));
    let wide: String = (0..40).map(|number| format!(" a{number}=\"\"")).collect();
    for (from, to, code) in [
        ("<ofd:OFD", &*format!("{laughs}OFD"), "ofd_xml_doctype"),
        ("OFD R&amp;W", "&file;", "ofd_xml_entity"),
        ("DocType=\"OFD\"", "DocType=\"&file;\"", "ofd_xml_entity"),
        ("UTF-8", "GB18030", "ofd_xml_encoding"),
        ("<ofd:DocBody>", &deep, "ofd_xml_limit"),
        ("<ofd:DocBody>", &many, "ofd_xml_limit"),
        (" DocType=\"OFD\"", &wide, "ofd_xml_limit"),
        ("</ofd:OFD>", "", "ofd_xml_malformed"),
        ("</ofd:OFD>", "</ofd:OFD><ofd:OFD/>", "ofd_xml_malformed"),
        ("</ofd:OFD>", "</ofd:OFD>and text", "ofd_xml_malformed"),
        ("<ofd:DocBody>", "</ofd:DocBody>", "ofd_xml_malformed"),
        (" DocType=\"OFD\"", " DocType=\"OFD\" DocType=\"OFD\"", "ofd_xml_malformed"),
        ("<ofd:OFD", "<ofd:PDF", "ofd_xml_malformed"),
    ] {
        assert_eq!(found("OFD.xml", from, to), format!("format {code} OFD.xml"), "{to}");
    }
    let bad = changed(&file, "OFD.xml", |bytes| bytes.extend([0xB5, 0xA5]));
    let line = ["format ofd_xml_encoding OFD.xml"];
    assert_eq!(codes(&check(&bad, &office.trust, &Times::now(now()))), line);

    // The same in the description of a signature is said of that signature.
    let part = "Doc_0/Signs/Sign_0/Signature.xml";
    for (from, to, code) in [
        ("<ofd:Signature ", &*format!("{laughs}Signature "), "ofd_xml_doctype"),
        ("2025-06-15", "&now;", "ofd_xml_entity"),
        ("<ofd:SignedInfo>", "<ofd:SignedInfo/><ofd:SignedInfo>", "ofd_structure"),
        ("<ofd:References", "<ofd:References/><ofd:References", "ofd_structure"),
        ("FileRef=", "FileRof=", "ofd_structure"),
        ("<ofd:CheckValue>", "<ofd:CheckValue/><ofd:CheckValue>", "ofd_structure"),
        ("\"/OFD.xml\"", "\"../../../../OFD.xml\"", "ofd_location_outside"),
        ("<ofd:BaseLoc>", "<ofd:BaseLoc>../../../../", "ofd_location_outside"),
    ] {
        assert_eq!(found(part, from, to), format!("format {code} {part}"), "{to}");
    }
}

#[test]
fn lists_of_signatures_name_each_signature_once_and_not_too_many() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let file = office.sealed(UNSIGNED, &office.seal(|_| ()));
    let list = "Doc_0/Signs/Signatures.xml";
    let entry =
        "<ofd:Signature ID=\"0\" Type=\"Seal\" BaseLoc=\"/Doc_0/Signs/Sign_0/Signature.xml\"/>";
    let found = |change: &dyn Fn(String) -> String| {
        let bad = changed(&file, list, |bytes| {
            let text = String::from_utf8(std::mem::take(bytes)).unwrap();
            assert!(text.contains(entry), "{text}");
            *bytes = change(text).into_bytes();
        });
        codes(&check(&bad, &office.trust, &Times::now(now()))).last().unwrap().clone()
    };
    let twice = found(&|text| text.replace(entry, &format!("{entry}{entry}")));
    assert_eq!(twice, format!("format ofd_structure {list}"));
    let many = found(&|text| text.replace(entry, &entry.repeat(17)));
    assert_eq!(many, "format ofd_too_many_signatures");
    let lost = found(&|text| text.replace("Sign_0", "Sign_1"));
    assert_eq!(lost, format!("format ofd_location_dangling {list}"));
    let kind = found(&|text| text.replace("\"Seal\"", "\"Picture\""));
    assert_eq!(kind, format!("format ofd_structure {list}"));
    let unlisted = found(&|text| text.replace(entry, ""));
    assert_eq!(unlisted, format!("signature ofd_signature_not_listed {list}"));
    let bad = changed(&file, "OFD.xml", |bytes| {
        let text = String::from_utf8(std::mem::take(bytes)).unwrap();
        let named = format!("<ofd:Signatures>/{list}</ofd:Signatures>");
        *bytes = text.replace(&named, "").into_bytes();
    });
    let line = codes(&check(&bad, &office.trust, &Times::now(now()))).pop();
    assert_eq!(line.unwrap(), "signature ofd_signature_not_listed OFD.xml");
}

#[test]
fn what_costs_more_than_it_weighs_is_refused_or_read_in_time() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let file = office.sealed(UNSIGNED, &office.seal(|_| ()));
    let parts = unpack(&file);
    let with = |name: &str, bytes: Vec<u8>| {
        let mut parts = parts.clone();
        parts.insert(name.to_owned(), bytes);
        certs::ofd::pack(&parts)
    };
    let found = |file: &[u8], limit: Duration| {
        let start = Instant::now();
        let verdict = check(file, &office.trust, &Times::now(now()));
        let took = start.elapsed();
        println!("{} bytes: {took:?}, {}", file.len(), codes(&verdict).last().unwrap());
        assert!(took < limit, "{} bytes took {took:?}", file.len());
        codes(&verdict).last().unwrap().clone()
    };
    // Without optimisation it takes longer.
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
    let zeros = |mebibytes: usize| vec![0; mebibytes << 20];
    let bomb = with("Doc_0/Res/bomb.bin", zeros(65));
    assert_eq!(found(&bomb, limit), "format ofd_unpacked_too_large Doc_0/Res/bomb.bin");
    let bomb = with("Doc_0/Res/bomb.bin", zeros(40));
    assert_eq!(found(&bomb, limit), "format ofd_unpacked_too_large Doc_0/Res/bomb.bin");
    // Just small enough: every byte of it is under the signature.
    let mut heavy = unpack(UNSIGNED);
    heavy.insert("Doc_0/Res/heavy.bin".to_owned(), zeros(15));
    let heavy = office.sealed(&certs::ofd::pack(&heavy), &office.seal(|_| ()));
    assert_eq!(found(&heavy, limit), "revocation ok");
    let bad = with("Doc_0/Signs/Sign_0/Signature.xml", vec![b' '; 2 << 20]);
    let line = "format ofd_unpacked_too_large Doc_0/Signs/Sign_0/Signature.xml";
    assert_eq!(found(&bad, limit), line);

    // A bomb that says it is small.
    let mut lying: Vec<_> = parts.iter().map(|(name, bytes)| entry(name, bytes)).collect();
    let packed = unpackable(&zeros(1));
    let target = lying.iter_mut().find(|entry| entry.name.ends_with(b"Content.xml")).unwrap();
    (target.bytes, target.method, target.size) = (packed, 8, 407);
    let lines = codes(&check(&archive(&lying), &office.trust, &Times::now(now())));
    let line = "coverage ofd_part_damaged Doc_0/Pages/Page_0/Content.xml";
    assert!(lines.contains(&line.to_owned()), "{lines:?}");

    // A mebibyte of references, of elements, of noise.
    let reference =
        "<ofd:Reference FileRef=\"/OFD.xml\"><ofd:CheckValue>AA==</ofd:CheckValue></ofd:Reference>";
    let description = |inside: &str| {
        format!(
            "<ofd:Signature><ofd:SignedValue>SignedValue.dat</ofd:SignedValue><ofd:SignedInfo>\
             <ofd:References CheckMethod=\"SM3\">{inside}</ofd:References></ofd:SignedInfo></ofd:Signature>"
        )
    };
    let name = "Doc_0/Signs/Sign_0/Signature.xml";
    let references = description(&reference.repeat((1 << 20) / reference.len() - 10));
    found(&with(name, references.into_bytes()), limit);
    found(&with(name, description(&"<x/>".repeat(30_000)).into_bytes()), limit);
    found(&with(name, description(&"&lt;".repeat(250_000)).into_bytes()), limit);
    found(&with(name, description(&"<!-- -->".repeat(125_000)).into_bytes()), limit);
    let mut noise = vec![0; 1 << 20];
    SystemRandom::new().fill(&mut noise).unwrap();
    found(&noise, limit);
    noise[..4].copy_from_slice(b"PK\x03\x04");
    found(&noise, limit);
    let records = b"PK\x05\x06".repeat(1 << 18);
    found(&[b"PK\x03\x04", records.as_slice()].concat(), limit);
    let headers = b"PK\x01\x02".repeat(1 << 18);
    found(&[b"PK\x03\x04", headers.as_slice(), &file[file.len() - 22..]].concat(), limit);
    let value =
        with("Doc_0/Signs/Sign_0/SignedValue.dat", b"\x30\x84\0\x0f\xff\xfa".repeat(170_000));
    found(&value, limit);
}

proptest! {
    /// Damage of any kind, in the package or in a part of it, is an answer, and never that all is well.
    #[test]
    fn a_damaged_file_is_never_trusted_and_never_makes_the_reader_stumble(
        part: Index,
        damage in vec((any::<Index>(), any::<Option<u8>>()), 1..4),
        cut: Option<Index>,
        inside: bool,
    ) {
        let mut parts = SEALED_HERE.parts.clone();
        let names: Vec<_> = parts.keys().cloned().collect();
        let name = part.get(&names);
        let damaged = |bytes: &mut Vec<u8>| {
            for (position, byte) in &damage {
                if bytes.is_empty() {
                    break;
                }
                let at = position.index(bytes.len());
                match byte {
                    Some(byte) => bytes[at] = *byte,
                    None => { bytes.remove(at); }
                }
            }
            if let Some(cut) = &cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
        };
        let file = if inside {
            damaged(parts.get_mut(name).unwrap());
            certs::ofd::pack(&parts)
        } else {
            let mut file = SEALED_HERE.file.clone();
            damaged(&mut file);
            file
        };
        let verdict = check(&file, &SEALED_HERE.office.trust, &Times::now(now()));
        if verdict.outcome() == Outcome::Trusted {
            let found = unpack(&file);
            for (name, bytes) in &SEALED_HERE.parts {
                prop_assert!(name.ends_with("Signatures.xml") || found.get(name) == Some(bytes));
            }
            prop_assert_eq!(found.len(), SEALED_HERE.parts.len());
        }
    }
}

/// A good file, made once.
struct Sealed {
    office: Office,
    file: Vec<u8>,
    parts: BTreeMap<String, Vec<u8>>,
}

static SEALED_HERE: LazyLock<Sealed> = LazyLock::new(|| {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let file = office.sealed(UNSIGNED, &office.seal(|_| ()));
    let parts = unpack(&file);
    Sealed { office, file, parts }
});

/// Packed by Deflate.
fn unpackable(bytes: &[u8]) -> Vec<u8> {
    let parts = [("x".to_owned(), bytes.to_vec())].into();
    let file = certs::ofd::pack(&parts);
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(file.as_slice())).unwrap();
    let mut packed = Vec::new();
    archive.by_index_raw(0).unwrap().read_to_end(&mut packed).unwrap();
    packed
}

/// An archive written by hand, so that it can lie.
struct Entry {
    name: Vec<u8>,
    /// The name beside the bytes.
    local_name: Vec<u8>,
    bytes: Vec<u8>,
    flags: u16,
    method: u16,
    /// The unpacked size, as said.
    size: usize,
    attributes: u32,
    is_listed: bool,
    /// Points to the bytes of the entry before.
    shares: bool,
    /// Extra field.
    extra: Vec<u8>,
}

fn entry(name: &str, bytes: &[u8]) -> Entry {
    Entry {
        name: name.as_bytes().to_vec(),
        local_name: name.as_bytes().to_vec(),
        bytes: bytes.to_vec(),
        flags: 0,
        method: 0,
        size: bytes.len(),
        attributes: 0,
        is_listed: true,
        shares: false,
        extra: Vec::new(),
    }
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    let (mut count, mut start) = (0u16, 0);
    for entry in entries {
        let common = |out: &mut Vec<u8>, name: &[u8]| {
            for field in [20, entry.flags, entry.method, 0, 0x21] {
                out.extend(u16::to_le_bytes(field));
            }
            out.extend(crc(&entry.bytes).to_le_bytes());
            out.extend((entry.bytes.len() as u32).to_le_bytes());
            out.extend((entry.size as u32).to_le_bytes());
            out.extend((name.len() as u16).to_le_bytes());
            out.extend((entry.extra.len() as u16).to_le_bytes());
        };
        if !entry.shares {
            start = file.len();
            file.extend(b"PK\x03\x04");
            common(&mut file, &entry.local_name);
            file.extend(&entry.local_name);
            file.extend(&entry.extra);
            file.extend(&entry.bytes);
        }
        if entry.is_listed {
            directory.extend(b"PK\x01\x02\x14\x03");
            common(&mut directory, &entry.name);
            directory.extend([0; 6]);
            directory.extend(entry.attributes.to_le_bytes());
            directory.extend((start as u32).to_le_bytes());
            directory.extend(&entry.name);
            directory.extend(&entry.extra);
            count += 1;
        }
    }
    let at = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend(count.to_le_bytes());
    file.extend(count.to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(at.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// CRC-32 (ISO 3309), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum: u32, _| {
            (sum >> 1) ^ (0xEDB8_8320 & (!(sum & 1)).wrapping_add(1))
        })
    })
}
