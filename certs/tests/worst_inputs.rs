//! Input of a megabyte that is made to be slow: every parser ends within a second of processor time.

mod support;

use std::fmt::Write as _;
use std::fs;

use certs::{
    CertIssuer, Certificate, Evidence, KeySigner, Manifest, Profile, Suite, Times, TrustStore,
    check_cms, check_ocsp, issue_certificate, issue_crl, ofd, pdf, sha256, sign_detached,
    timestamp,
};
use support::*;

const SIZE: usize = 1 << 20;

/// Milliseconds that this thread has computed, however busy the machine is (proc(5): utime and stime, in
/// ticks of 10 ms).
fn computed() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, fields) = text.rsplit_once(')').unwrap();
    let ticks =
        |field: usize| -> u64 { fields.split_whitespace().nth(field).unwrap().parse().unwrap() };
    (ticks(11) + ticks(12)) * 10
}

/// Runs it; fails if it takes a second.
#[track_caller]
fn soon<T>(name: &str, run: impl FnOnce() -> T) -> T {
    let before = computed();
    let result = run();
    let spent = computed() - before;
    println!("{name}: {spent} ms");
    assert!(spent < 1000, "{name}: {spent} ms");
    result
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag], &length(content.len())[..], content].concat()
}

fn length(of: usize) -> Vec<u8> {
    match of {
        0..0x80 => vec![of as u8],
        _ => {
            let bytes = of.to_be_bytes();
            let used = &bytes[of.leading_zeros() as usize / 8..];
            [&[0x80 | used.len() as u8], used].concat()
        }
    }
}

/// Values inside each other, a megabyte of them.
fn nested(tag: u8) -> Vec<u8> {
    let mut backwards = Vec::new();
    while backwards.len() < SIZE - 6 {
        let length = length(backwards.len());
        backwards.extend(length.iter().rev());
        backwards.push(tag);
    }
    backwards.reverse();
    backwards
}

fn everything(name: &str, bytes: &[u8]) {
    let (root, issuer, _) = issuer(Suite::EcdsaP256Sha256);
    let (times, ca) = (Times::now(now()), root.certificate());
    let trust = || trusting(&root);
    soon(&format!("{name}: certificate"), || Certificate::from_der(bytes).is_ok());
    soon(&format!("{name}: certificates"), || Certificate::many_from_pem(bytes).is_ok());
    soon(&format!("{name}: CMS"), || check_cms(bytes, Some(CONTENT), &trust(), &times));
    soon(&format!("{name}: CMS over itself"), || check_cms(bytes, None, &trust(), &times));
    soon(&format!("{name}: PEM"), || certs::cms_from_pem(bytes).is_ok());
    soon(&format!("{name}: list"), || trust().add_crl(bytes).is_ok());
    soon(&format!("{name}: OCSP"), || check_ocsp(bytes, issuer.certificate(), ca, now()).is_ok());
    soon(&format!("{name}: time-stamp"), || {
        let token = timestamp::read_answer(bytes).unwrap_or_else(|_| bytes.to_vec());
        timestamp::verify(&token, CONTENT, &trust(), &times).is_ok()
    });
    soon(&format!("{name}: OFD"), || ofd::check(bytes, &trust(), &times));
    soon(&format!("{name}: PDF"), || pdf::check(bytes, &trust(), &times));
    soon(&format!("{name}: manifest"), || Manifest::parse(bytes).is_ok());
    soon(&format!("{name}: evidence"), || {
        Evidence::parse(bytes).is_ok_and(|evidence| evidence.verify(&trust(), now()).is_ok())
    });
    soon(&format!("{name}: key"), || KeySigner::from_pkcs8_pem(bytes).is_ok());
    soon(&format!("{name}: sealed key"), || {
        KeySigner::from_encrypted_pkcs8_pem(bytes, b"passphrase").is_ok()
    });
}

#[test]
fn a_megabyte_of_the_same_ends_soon() {
    let texts = [
        "\0",
        "[",
        "{\"a\":",
        "<a>",
        "<< /A ",
        "(",
        "\n",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN CMS-----\n",
        "PK\u{1}\u{2}",
        "PK\u{5}\u{6}",
    ];
    for text in texts {
        everything(&format!("{text:?}"), &text.as_bytes().repeat(SIZE / text.len()));
    }
    let pdf = [
        "startxref\n9\n%%EOF\n",
        "1 0 obj\n",
        "xref\n0 1\n",
        "trailer\n<<>>\n",
        "/ByteRange [",
        "[[",
        "<<",
    ];
    for text in pdf {
        let bytes = format!("%PDF-1.7\n{}", text.repeat(SIZE / text.len()));
        everything(&format!("PDF and {text:?}"), bytes.as_bytes());
    }
}

#[test]
fn values_inside_each_other_and_beside_each_other_end_soon() {
    for tag in [0x30, 0x31, 0x24, 0xa0] {
        everything(&format!("nested {tag:02x}"), &nested(tag));
        let beside = tlv(0x30, &[tag, 0].repeat(SIZE / 2 - 3));
        everything(&format!("beside each other {tag:02x}"), &beside);
    }
}

#[test]
fn a_list_of_as_many_entries_as_fit_is_read_soon() {
    let (root, _, mut trust) = issuer(Suite::Sm2Sm3);
    let serial = |number: u32| [&[1], &number.to_be_bytes()[..]].concat();
    let entries: Vec<_> = (0..42_000).map(|number| (serial(number), now())).collect();
    let list = issue_crl(&root, 1, &entries, now(), time("2026-01-01T00:00:00Z")).unwrap();
    soon("list", || trust.add_crl(&list)).unwrap();
}

/// Sixteen signers, and as many CAs as there may be, all of one name: each could have issued each.
#[test]
fn signers_whom_everyone_could_have_certified_cost_little() {
    for suite in [Suite::Sm2Sm3, Suite::EcdsaP256Sha256] {
        let authorities: Vec<_> = (0..48).map(|_| root(suite, "环")).collect();
        let stranger = root(suite, "环");
        let mut certificates: Vec<Vec<u8>> =
            authorities.iter().map(|ca| ca.certificate().der().to_vec()).collect();
        let mut signers = Vec::new();
        for serial in 10..26 {
            let template = template("签发", Profile::LicenceIssuer, serial);
            let signer = below(&stranger, suite, &template);
            let cms = sign_detached(&signer, CONTENT, now()).unwrap();
            certificates.push(signer.certificate().der().to_vec());
            signers.push(members(members(signed_data(&cms)).last().unwrap())[0].to_vec());
        }
        certificates.sort();
        signers.sort();
        let like = sign_detached(&stranger, CONTENT, now()).unwrap();
        let parts = members(signed_data(&like));
        let signed = [
            parts[0].to_vec(),
            parts[1].to_vec(),
            parts[2].to_vec(),
            tlv(0xa0, &certificates.concat()),
            tlv(0x31, &signers.concat()),
        ];
        let kind = members(&like)[0].to_vec();
        let cms = tlv(0x30, &[kind, tlv(0xa0, &tlv(0x30, &signed.concat()))].concat());
        let trust = trusting(&root(suite, "样例根"));
        let verdict = soon(&format!("{suite:?}, {} bytes", cms.len()), || {
            check_cms(&cms, Some(CONTENT), &trust, &Times::now(now()))
        });
        let signers = verdict.signatures.iter();
        let codes = signers.map(|signer| signer.links.last().map_or("", |link| link.code));
        // What a file may cost is for all its signers together.
        let codes: Vec<_> = codes.collect();
        let (searched, left) = codes.split_at(5);
        assert_eq!(searched, ["certificate_unknown_issuer"; 5]);
        assert_eq!(left, ["certificate_budget"; 11]);
    }
}

/// SignedData of a container.
fn signed_data(cms: &[u8]) -> &[u8] {
    members(members(cms)[1])[0]
}

/// The members of a DER value.
fn members(der: &[u8]) -> Vec<&[u8]> {
    let mut rest = &der[header(der).0..][..header(der).1];
    let mut members = Vec::new();
    while !rest.is_empty() {
        let (start, length) = header(rest);
        let (member, after) = rest.split_at(start + length);
        members.push(member);
        rest = after;
    }
    members
}

/// Lengths of header and content of the first DER value.
fn header(der: &[u8]) -> (usize, usize) {
    match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let bytes = &der[2..2 + usize::from(long & 0x7f)];
            (2 + bytes.len(), bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
        }
    }
}

/// A PDF of `objects` objects, signed `signatures` times, each with a signature of garbage.
fn many_revisions(objects: usize, signatures: usize) -> Vec<u8> {
    let mut out = String::from("%PDF-1.7\n");
    let mut offsets = Vec::new();
    let mut put = |out: &mut String, number: usize, body: &str| {
        offsets.push((number, out.len()));
        write!(out, "{number} 0 obj\n{body}\nendobj\n").unwrap();
    };
    let first = 200;
    put(&mut out, 1, "<</Type/Catalog/Pages 2 0 R/AcroForm 3 0 R>>");
    put(&mut out, 2, "<</Type/Pages/Kids[]/Count 0>>");
    put(&mut out, 3, "<</Fields[]/SigFlags 3>>");
    for number in first..first + objects {
        put(&mut out, number, &format!("[{} 0 R {} 0 R]", number + 1, first));
    }
    let mut previous = table(&mut out, &offsets, first + objects, None);
    let mut fields = String::new();
    for signature in 0..signatures {
        let (field, value) = (4 + 2 * signature, 5 + 2 * signature);
        let mut offsets = Vec::new();
        write!(fields, "{field} 0 R ").unwrap();
        offsets.push((3, out.len()));
        write!(out, "3 0 obj\n<</Fields[{fields}]/SigFlags 3>>\nendobj\n").unwrap();
        offsets.push((field, out.len()));
        write!(out, "{field} 0 obj\n<</FT/Sig/T(S{signature})/V {value} 0 R>>\nendobj\n").unwrap();
        offsets.push((value, out.len()));
        let form = "/Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached";
        write!(out, "{value} 0 obj\n<<{form}/ByteRange[0 ").unwrap();
        let range = out.len();
        write!(out, "{}]/Contents", " ".repeat(30)).unwrap();
        let from = out.len();
        out.push_str("<3000>");
        let to = out.len();
        out.push_str(">>\nendobj\n");
        previous = table(&mut out, &offsets, first + objects, Some(previous));
        let numbers = format!("{from} {to} {}", out.len() - to);
        out.replace_range(range..range + numbers.len(), &numbers);
    }
    out.into_bytes()
}

fn table(
    out: &mut String,
    offsets: &[(usize, usize)],
    size: usize,
    previous: Option<usize>,
) -> usize {
    let start = out.len();
    out.push_str("xref\n");
    if previous.is_none() {
        out.push_str("0 1\n0000000000 65535 f \n");
    }
    for (number, offset) in offsets {
        write!(out, "{number} 1\n{offset:010} 00000 n \n").unwrap();
    }
    let previous = previous.map(|at| format!("/Prev {at}")).unwrap_or_default();
    write!(out, "trailer\n<</Size {size}/Root 1 0 R{previous}>>\nstartxref\n{start}\n%%EOF\n")
        .unwrap();
    start
}

#[test]
fn a_pdf_of_many_objects_and_revisions_ends_soon() {
    for (objects, signatures) in [(13_000, 60), (0, 64), (10, 64)] {
        let bytes = many_revisions(objects, signatures);
        let verdict = soon(&format!("{signatures} signatures, {} bytes", bytes.len()), || {
            pdf::check(&bytes, &TrustStore::new(), &Times::now(now()))
        });
        let covered = verdict.signatures.iter().filter(|found| found.links[0].code == "ok");
        assert_eq!(covered.count(), signatures);
    }
}

/// Parts of zeros, as many elements or parts as there may be, sixteen signatures that name each part often.
#[test]
fn ofd_packages_that_unpack_to_much_end_soon() {
    let trust = TrustStore::new();
    let check = |name: &str, code: &str, parts: Vec<(String, Vec<u8>)>| {
        let bytes = ofd::pack(&parts.into_iter().collect());
        assert!(bytes.len() <= SIZE + 4096, "{name}: {} bytes", bytes.len());
        let verdict = soon(name, || ofd::check(&bytes, &trust, &Times::now(now())));
        assert_eq!(verdict.links.last().unwrap().code, code, "{name}");
    };
    let root = |inside: &str| {
        let text = format!(
            "<ofd:OFD xmlns:ofd=\"http://www.ofdspec.org/2016\"><ofd:DocBody>{inside}</ofd:DocBody></ofd:OFD>"
        );
        ("OFD.xml".to_owned(), text.into_bytes())
    };
    let body = "<a b=\"c\"/>".repeat(32_000);
    check("elements", "ofd_unsigned", vec![root(&body)]);
    check(
        "attributes",
        "ofd_xml_malformed",
        vec![root(&format!("<a {}/>", "b=\"c\" ".repeat(150_000)))],
    );
    check("references", "ofd_unsigned", vec![root(&"&amp;".repeat(200_000))]);
    check("deep", "ofd_xml_limit", vec![root(&"<a>".repeat(300_000))]);
    check(
        "stamps",
        "ofd_unsigned",
        vec![root(""), ("a.xml".into(), format!("<a>{body}</a>").into())],
    );
    check("zeros", "ofd_unpacked_too_large", vec![root(""), ("a".into(), vec![0; 60 << 20])]);
    let noise: Vec<u8> =
        (0..SIZE as u32).flat_map(|n| sha256(&n.to_be_bytes()).as_bytes()[..1].to_vec()).collect();
    check("noise", "ofd_unsigned", vec![root(""), ("a.xml".into(), noise)]);
    check(
        "parts",
        "ofd_unsigned",
        (0..4000).map(|n| (format!("{n}.xml"), b"<a/>".to_vec())).chain([root("")]).collect(),
    );
    let list = (0..16)
        .map(|n| format!("<ofd:Signature ID=\"{n}\" BaseLoc=\"/{n}.xml\"/>"))
        .collect::<String>();
    let list = format!(
        "<ofd:Signatures xmlns:ofd=\"http://www.ofdspec.org/2016\">{list}</ofd:Signatures>"
    );
    let methods = ["SM3", "SHA256", "SHA384", "SHA512"];
    let reference = |part: usize| {
        let value = "<ofd:CheckValue>AAAA</ofd:CheckValue>";
        format!("<ofd:Reference FileRef=\"/p{}\">{value}</ofd:Reference>", part % 30)
    };
    let references: String = (0..3000).map(reference).collect();
    let signature = |number: usize| {
        format!(
            "<ofd:Signature xmlns:ofd=\"http://www.ofdspec.org/2016\"><ofd:SignedValue>/v</ofd:SignedValue>\
             <ofd:SignedInfo><ofd:References CheckMethod=\"{}\">{references}</ofd:References></ofd:SignedInfo>\
             </ofd:Signature>",
            methods[number % 4]
        )
        .into_bytes()
    };
    let mut parts = vec![
        root("<ofd:Signatures>/s.xml</ofd:Signatures>"),
        ("s.xml".into(), list.into_bytes()),
        ("v".into(), vec![0x30, 0]),
    ];
    parts.extend((0..16).map(|n| (format!("{n}.xml"), signature(n))));
    parts.extend((0..30).map(|n| (format!("p{n}"), b"0123456789".repeat(40_000))));
    check("signatures", "ok", parts);
}

#[test]
fn a_certificate_full_of_names_is_read_soon() {
    let (root, _, _) = issuer(Suite::EcdsaP256Sha256);
    let key = key(Suite::EcdsaP256Sha256);
    let certificate = issue_certificate(
        &template(
            "样例",
            Profile::Server { dns: (0..900).map(|n| format!("a{n}.cn")).collect(), ips: vec![] },
            5,
        ),
        &certs::Signer::spki(&key),
        CertIssuer::Authority(&root),
    )
    .unwrap();
    soon("names", || {
        trusting(&root)
            .verify_chain(&certificate, &[], certs::Usage::IssuingLicences, now())
            .is_ok()
    });
}

#[test]
fn a_manifest_and_evidence_of_a_megabyte_end_soon() {
    let (root, issuer, _) = issuer(Suite::Sm2Sm3);
    let digests: Vec<_> = (0..15_000u32).map(|n| sha256(&n.to_be_bytes())).collect();
    let manifest = Manifest::write(&credit_code(), "1", &digests).unwrap();
    soon("manifest", || Manifest::parse(&manifest)).unwrap();
    let order = certs::EvidenceOrder {
        order: b"{}".to_vec(),
        signature: sign_detached(&issuer, b"{}", now()).unwrap(),
    };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
    let signature = sign_detached(&issuer, &deep, now()).unwrap();
    let evidence = Evidence { licence: deep, signature, manifest: None, orders: vec![order; 100] };
    let bytes = evidence.to_bytes();
    soon("evidence", || Evidence::parse(&bytes).unwrap().verify(&trusting(&root), now()).is_err());
}
