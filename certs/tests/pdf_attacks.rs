//! PDF files written by hand to deceive, each refused with its own reason; and files written to keep a program
//! busy, each refused soon.

#[path = "support/drafting.rs"]
mod drafting;
mod support;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use certs::{Outcome, Suite, sign_detached};
use drafting::*;
use support::*;

#[test]
fn a_pdf_signed_with_sm2_is_trusted() {
    let desk = Desk::new();
    let verdict = desk.judge(&desk.signed());
    assert_eq!(verdict.outcome(), Outcome::Trusted, "{verdict:?}");
    assert_eq!(verdict.signatures[0].suite, Some(Suite::Sm2Sm3));
    assert_eq!(verdict.signatures[0].name, "Seal");
}

#[test]
fn a_byte_range_leaves_out_its_own_value_and_nothing_else() {
    let desk = Desk::new();
    let with = |range: fn([usize; 4]) -> String| desk.failure(&desk.signed_as(FORM, range));
    assert_eq!(with(as_it_should_be), "");
    assert_eq!(
        with(|[_, gap, after, rest]| format!("1 {} {after} {rest}", gap - 1)),
        "pdf_byte_range"
    );
    assert_eq!(
        with(|[_, gap, after, rest]| format!("0 {gap} {after} {rest} 0 0")),
        "pdf_byte_range"
    );
    assert_eq!(with(|[_, gap, ..]| format!("0 {gap}")), "pdf_byte_range");
    assert_eq!(with(|[_, gap, after, _]| format!("0 {gap} {after} -1")), "pdf_byte_range");
    assert_eq!(
        with(|[_, gap, after, rest]| format!("0 {gap} {after} {}", rest + 1)),
        "pdf_byte_range"
    );
    assert_eq!(
        with(|[_, gap, after, _]| format!("0 {gap} {after} {}", i64::MAX)),
        "pdf_byte_range"
    );
    assert_eq!(with(|[_, gap, after, rest]| format!("0 {} {gap} {rest}", after)), "pdf_byte_range");
    // A byte more on either side, or one less.
    let wider = |[_, gap, after, rest]: [usize; 4]| format!("0 {} {after} {rest}", gap - 1);
    assert_eq!(with(wider), "pdf_gap_not_signature");
    let wider = |[_, gap, after, rest]: [usize; 4]| format!("0 {gap} {} {}", after + 1, rest - 1);
    assert_eq!(with(wider), "pdf_gap_not_signature");
    let inside = |[_, gap, after, rest]: [usize; 4]| format!("0 {} {after} {rest}", gap + 1);
    assert_eq!(with(inside), "pdf_gap_not_signature");
    // Up to a byte before the end.
    let shorter = |[_, gap, after, rest]: [usize; 4]| format!("0 {gap} {after} {}", rest - 3);
    assert_eq!(with(shorter), "pdf_revision_not_covered");
}

#[test]
fn a_signature_says_how_it_was_made() {
    let desk = Desk::new();
    let with = |entries: &str| desk.failure(&desk.signed_as(entries, as_it_should_be));
    assert_eq!(with(""), "pdf_signature_dictionary");
    assert_eq!(with("/SubFilter /adbe.pkcs7.sha1"), "pdf_signature_form");
    assert_eq!(with("/SubFilter /adbe.x509.rsa_sha1"), "pdf_signature_form");
    assert_eq!(with("/SubFilter /Mine"), "pdf_signature_form");
    assert_eq!(with("/SubFilter /ETSI.RFC3161"), "pdf_signature_dictionary");
    // A CMS signature without the attribute that PAdES wants.
    assert_eq!(with("/SubFilter /ETSI.CAdES.detached"), "pdf_signing_certificate_missing");
    // What two programs read in two ways.
    assert_eq!(with(&format!("{FORM} {FORM}")), "pdf_malformed");
}

#[test]
fn a_signature_is_not_moved_to_other_bytes() {
    // Universal forgery and signature wrapping (Mladenov and others, 2018): the part after the gap is moved
    // on, and between stands what the attacker wants to be seen.
    let desk = Desk::new();
    let signed = desk.signed();
    let gap = find(&signed.bytes, b"/Contents <").unwrap() + "/Contents ".len();
    let after = gap + 8002;
    let (before, rest) = signed.bytes.split_at(after);
    let mut wrapped = Draft { bytes: before.to_vec(), last_section: signed.last_section };
    wrapped.revision(&[(4, "<< /Length 7 >>\nstream\n% evil \nendstream")], "");
    wrapped.bytes.extend(rest);
    assert_eq!(desk.failure(&wrapped), "pdf_malformed");

    // The same with an update of its own that leads to a signature dictionary with another byte range.
    let moved = wrapped.bytes.len() - rest.len();
    let value = String::from_utf8_lossy(&signed.bytes[gap..after]).into_owned();
    let range = format!("0 {gap} {moved} {}", rest.len());
    let dictionary =
        format!("<< /Type /Sig /Filter /X {FORM} /ByteRange [{range}] /Contents {value} >>");
    let mut wrapped = signed.clone();
    wrapped.revision(&[(6, &dictionary)], "");
    assert_eq!(desk.failure(&wrapped), "pdf_changed_after_signing");
    for (key, with) in [
        ("/ByteRange [0", "/ByteRange [9"),
        ("/ByteRange", "/Byterange"),
        ("/Contents <", "/Contentz <"),
    ] {
        let mut forged = signed.clone();
        let at = find(&forged.bytes, key.as_bytes()).unwrap();
        forged.bytes[at..at + with.len()].copy_from_slice(with.as_bytes());
        assert!(["pdf_byte_range", "pdf_gap_not_signature"].contains(&desk.failure(&forged)));
    }
}

#[test]
fn an_update_that_hides_something_is_refused() {
    let desk = Desk::new();
    let page = "<< /Length 7 >>\nstream\n% evil \nendstream";
    assert_eq!(desk.changed(|_| {}), "");
    // Nothing new but white space, or a table without entries.
    assert_eq!(desk.changed(|draft| draft.bytes.extend(b"\n\n")), "");
    assert_eq!(desk.changed(|draft| draft.revision(&[(30, "null")], "")), "");

    assert_eq!(desk.changed(|draft| draft.revision(&[(4, page)], "")), "pdf_changed_after_signing");
    // An object that no table names: a program that repairs files finds it.
    let unlisted = |draft: &mut Draft| {
        draft.bytes.extend(format!("4 0 obj\n{page}\nendobj\n").bytes());
        draft.section("0 0\n", "");
    };
    assert_eq!(desk.changed(unlisted), "pdf_bytes_added");
    let comment = |draft: &mut Draft| {
        draft.bytes.extend(format!("% 4 0 obj {page} endobj\n").bytes());
        draft.section("0 0\n", "");
    };
    assert_eq!(desk.changed(comment), "pdf_bytes_added");
    // Pointed to what an earlier revision had, or to another object.
    let mut prepared = Draft::unsigned();
    let hidden = prepared.bytes.len();
    prepared.revision(&[(4, page)], "");
    prepared.revision(&[(4, "<< /Length 7 >>\nstream\n% page \nendstream")], "");
    prepared.sign(&desk.key, FORM, as_it_should_be);
    assert_eq!(desk.failure(&prepared), "");
    prepared.section(&format!("4 1\n{hidden:010} 00000 n \n"), "");
    assert_eq!(desk.failure(&prepared), "pdf_changed_after_signing");
    let pointed = |draft: &mut Draft| {
        let at = find(&draft.bytes, b"3 0 obj").unwrap();
        draft.section(&format!("4 1\n{at:010} 00000 n \n"), "");
    };
    assert_eq!(desk.changed(pointed), "pdf_cross_reference");
    // Deleted, or named twice.
    let deleted = |draft: &mut Draft| draft.section("4 1\n0000000000 00001 f \n", "");
    assert_eq!(desk.changed(deleted), "pdf_changed_after_signing");
    let twice = |draft: &mut Draft| {
        draft.section("30 1\n0000000009 00000 n \n30 1\n0000000009 00000 n \n", "")
    };
    assert_eq!(desk.changed(twice), "pdf_cross_reference");
    // Another root, other trailer entries.
    let root = |draft: &mut Draft| draft.revision(&[(30, CATALOG)], "/Extra 30 0 R");
    assert_eq!(desk.changed(root), "pdf_changed_after_signing");
    let checksum = |draft: &mut Draft| draft.revision(&[(30, "null")], "/DocChecksum /X");
    assert_eq!(desk.changed(checksum), "");
    // The signature taken out of the form, the field moved, given a face, or a script.
    let removed = |draft: &mut Draft| draft.revision(&[(1, CATALOG)], "");
    assert_eq!(desk.changed(removed), "pdf_changed_after_signing");
    let moved = FIELD.replace("[0 0 0 0]", "[0 0 300 144]");
    assert_eq!(
        desk.changed(|draft| draft.revision(&[(5, &moved)], "")),
        "pdf_changed_after_signing"
    );
    let acting =
        "<< /Subtype /Widget /FT /Sig /T (Next) /Rect [0 0 0 0] /A << /S /JavaScript /JS (1) >> >>";
    let form = SIGNED_CATALOG.replace("[5 0 R]", "[5 0 R 30 0 R]");
    let next = acting.replace("/A << /S /JavaScript /JS (1) >>", "");
    assert_eq!(desk.changed(|draft| draft.revision(&[(1, &form), (30, &next)], "")), "");
    assert_eq!(
        desk.changed(|draft| draft.revision(&[(1, &form), (30, acting)], "")),
        "pdf_changed_after_signing"
    );
}

#[test]
fn a_new_field_shows_nothing_unless_a_signer_stands_for_it() {
    let desk = Desk::new();
    let form = SIGNED_CATALOG.replace("[5 0 R]", "[5 0 R 30 0 R]");
    let page = SIGNED_PAGE.replace("[5 0 R]", "[5 0 R 30 0 R]");
    let stamp =
        "<< /Type /DocTimeStamp /SubFilter /ETSI.RFC3161 /ByteRange [0 1 2 3] /Contents <00> >>";
    let face = "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Length 0 >>\nstream\n\nendstream";
    // The verdict on the signature that was there before.
    let coverage = |field: &str| {
        let mut draft = desk.signed();
        draft.revision(&[(1, &form), (3, &page), (30, field), (31, stamp), (32, face)], "");
        let verdict = desk.judge(&draft);
        verdict.signatures[0].links[0].code
    };
    let field = |entries: &str| format!("<< /Subtype /Widget /FT /Sig /T (Next) {entries} >>");
    let flat = "/Rect [0 0 0 0]";
    let whole = "/Rect [0 0 300 144]";
    assert_eq!(coverage(&field(flat)), "ok");
    assert_eq!(coverage(&field(whole)), "ok");
    assert_eq!(coverage(&field(&format!("{flat} /V 31 0 R"))), "ok");
    assert_eq!(coverage(&field(&format!("{flat} /V 31 0 R /AP << /N 32 0 R >>"))), "ok");
    let changed = "pdf_changed_after_signing";
    assert_eq!(coverage(&field(&format!("{whole} /AP << /N 32 0 R >>"))), changed);
    assert_eq!(coverage(&field(&format!("{whole} /MK << /BG [1] >>"))), changed);
    // Anybody is given a time-stamp.
    assert_eq!(coverage(&field(&format!("{whole} /V 31 0 R /AP << /N 32 0 R >>"))), changed);
    assert_eq!(
        coverage("<< /Subtype /FreeText /FT /Sig /T (Next) /Contents (Other) /Rect [0 0 9 9] >>"),
        changed
    );
    assert_eq!(
        coverage("<< /Subtype /Widget /FT /Tx /T (Next) /V (Other) /Rect [0 0 9 9] >>"),
        changed
    );
    assert_eq!(coverage(&field(&format!("{flat} /AA << >>"))), changed);
    assert_eq!(coverage(&field(&format!("{flat} /W 31 0 R"))), changed, "a key that nobody knows");
}

#[test]
fn two_signatures_of_which_one_is_bad_make_an_untrusted_file() {
    let desk = Desk::new();
    let mut draft = desk.signed();
    let stranger = issuer(Suite::EcdsaP256Sha256).1;
    let form = SIGNED_CATALOG.replace("[5 0 R]", "[5 0 R 30 0 R]");
    let page = SIGNED_PAGE.replace("[5 0 R]", "[5 0 R 30 0 R]");
    let field = FIELD.replace("Seal", "Next").replace("6 0 R", "31 0 R");
    let cms = hex::encode(sign_detached(&stranger, b"other bytes", now()).unwrap());
    let value = format!("<< /Type /Sig {FORM} /ByteRange [0 1 2 3] /Contents <{cms}> >>");
    draft.revision(&[(1, &form), (3, &page), (30, &field), (31, &value)], "");
    let verdict = desk.judge(&draft);
    let outcomes: Vec<_> = verdict.signatures.iter().map(|it| it.outcome()).collect();
    assert_eq!(outcomes, [Outcome::Trusted, Outcome::Untrusted]);
    assert_eq!(verdict.outcome(), Outcome::Untrusted);
}

#[test]
fn what_programs_read_in_different_ways_is_refused() {
    let desk = Desk::new();
    let encrypted = |draft: &mut Draft| draft.revision(&[(30, "null")], "/Encrypt 30 0 R");
    assert_eq!(desk.changed(encrypted), "pdf_encrypted");
    let before = |draft: &mut Draft| draft.bytes.splice(0..0, *b"junk\n").for_each(drop);
    assert_eq!(desk.changed(before), "pdf_malformed");
    let circle = |draft: &mut Draft| {
        let here = draft.bytes.len();
        draft.last_section = Some(here);
        draft.section("0 0\n", "");
    };
    assert_eq!(desk.changed(circle), "pdf_cross_reference");
    let empty = Draft { bytes: b"%PDF-1.7\n".to_vec(), last_section: None };
    assert_eq!(desk.failure(&empty), "pdf_malformed");
    assert_eq!(desk.failure(&Draft::unsigned()), "pdf_not_signed");
}

/// 1 MiB each; a debug build is some twenty times slower than what runs.
#[test]
fn files_written_to_keep_a_program_busy_are_judged_soon() {
    let desk = Desk::new();
    let size = 1024 * 1024;
    let within = |name: &str, draft: &Draft| {
        let start = Instant::now();
        let code = desk.failure(draft);
        println!("{name}: {} bytes, {:?}, {code}", draft.bytes.len(), start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(20), "{name}");
        code
    };
    let filled = |object: &str| {
        let mut draft = desk.signed();
        draft.revision(&[(4, object)], "");
        draft
    };
    let nested = filled(&"[".repeat(size));
    within("arrays in arrays", &nested);
    within("dictionaries", &filled(&"<< /A ".repeat(size / 6)));
    within(
        "strings in strings",
        &filled(&format!("{}{}", "(".repeat(size / 2), ")".repeat(size / 2))),
    );
    within("many values", &filled(&format!("[{}]", "1 ".repeat(size / 2))));
    within("references", &filled(&format!("[{}]", "1 0 R ".repeat(size / 6))));
    within(
        "start words",
        &Draft {
            bytes: [&b"%PDF-1.7\n"[..], &b"startxref ".repeat(size / 10)].concat(),
            last_section: None,
        },
    );
    within("comments", &filled(&"%\n".repeat(size / 2)));

    // Objects inside objects: each is read to the end.
    let mut draft = Draft::unsigned();
    let mut entries = String::new();
    let mut number = 100;
    draft.bytes.extend(b"99 0 obj (");
    while draft.bytes.len() < size / 2 {
        writeln!(entries, "{number} 1\n{:010} 00000 n ", draft.bytes.len()).unwrap();
        draft.bytes.extend(format!("{number} 0 obj (").bytes());
        number += 1;
    }
    draft.bytes.extend(b") endobj".repeat(number - 100));
    draft.bytes.extend(b") endobj\n");
    draft.section(&entries, "");
    draft.sign(&desk.key, FORM, as_it_should_be);
    draft.revision(&[(7, "null")], "");
    assert_eq!(within("objects in objects", &draft), "pdf_too_complex");

    // As many revisions as fit, and fields that lead in circles.
    let mut draft = desk.signed();
    while draft.bytes.len() < size {
        draft.revision(&[(40, "null")], "");
    }
    assert_eq!(within("revisions", &draft), "pdf_too_complex");
    let mut draft = Draft::unsigned();
    let fields = "5 0 R ".repeat(size / 6);
    draft.revision(
        &[
            (1, &format!("<< /AcroForm << /Fields [{fields}] >> >>")),
            (5, "<< /Kids [5 0 R] /T (A) >>"),
        ],
        "",
    );
    within("fields in a circle", &draft);

    // Small files that become large.
    let mut stream = lopdf::Stream::new(lopdf::Dictionary::new(), vec![b' '; 64 * size]);
    stream.compress().unwrap();
    let data = stream.content;
    let mut draft = desk.signed();
    let here = draft.bytes.len();
    draft.bytes.extend(
        format!(
            "50 0 obj\n<< /Type /XRef /W [1 2 1] /Size 99 /Root 1 0 R /Filter /FlateDecode /Length {} >>\nstream\n",
            data.len()
        )
        .bytes(),
    );
    draft.bytes.extend(data);
    draft.bytes.extend(format!("\nendstream\nendobj\nstartxref\n{here}\n%%EOF\n").bytes());
    assert_eq!(within("decompression bomb", &draft), "pdf_decodes_too_large");
}

#[test]
fn damaged_files_are_judged_without_a_panic_and_never_trusted() {
    const SAMPLE: &[u8] = include_bytes!("data/pdf/minimal-two-fields-signed-twice.pdf");
    let desk = Desk::new();
    let drafts = [SAMPLE.to_vec(), desk.signed().bytes];
    let mut state = 1_u64;
    let mut below = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % end
    };
    // Where structure is: most of the sample is room for signature values.
    let words: [&[u8]; 6] = [b"obj", b"<<", b"/Prev", b"startxref", b"stream", b"/W"];
    for round in 0..1500 {
        let mut bytes = drafts[round % 2].clone();
        for _ in 0..=below(4) {
            let from = below(bytes.len());
            let word = words[below(words.len())];
            let at = from + find(&bytes[from..], word).unwrap_or(0);
            let at = (at + below(24)).min(bytes.len() - 1);
            match below(4) {
                0 => bytes[at] = below(256) as u8,
                1 => bytes[at] = b"0123456789<>[]()/%"[below(18)],
                2 => drop(bytes.drain(at..(at + below(9)).min(bytes.len()))),
                _ => {
                    let word = words[below(words.len())];
                    bytes.splice(at..at, word.iter().copied()).for_each(drop);
                }
            }
        }
        if bytes != drafts[round % 2] {
            let verdict = desk.judge(&Draft { bytes, last_section: None });
            assert_ne!(verdict.outcome(), Outcome::Trusted, "round {round}");
        }
    }
}
