//! OFD packages that lie about themselves, lead astray or cost too much.

#[path = "support/sealing.rs"]
mod sealing;
mod support;

use certs::ofd::check;
use certs::{Outcome, Suite, Times};
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
            out.extend([0, 0]);
        };
        if !entry.shares {
            start = file.len();
            file.extend(b"PK\x03\x04");
            common(&mut file, &entry.local_name);
            file.extend(&entry.local_name);
            file.extend(&entry.bytes);
        }
        if entry.is_listed {
            directory.extend(b"PK\x01\x02\x14\x03");
            common(&mut directory, &entry.name);
            directory.extend([0; 6]);
            directory.extend(entry.attributes.to_le_bytes());
            directory.extend((start as u32).to_le_bytes());
            directory.extend(&entry.name);
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
