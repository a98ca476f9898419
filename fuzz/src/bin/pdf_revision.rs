//! A signed PDF that goes on: the input is the objects of further revisions, `%%EOF` between them; their tables
//! and trailers are put right, so that only what the objects say is in question.
#![no_main]

use std::fmt::Write;

use certs::pdf;
use fuzz::{times, trust};

/// Its catalogue is object 1, its information object 9.
const SIGNED: &[u8] = include_bytes!("../../seeds/pdf/good-p256");

const END: &[u8] = b"%%EOF\n";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut file = SIGNED.to_vec();
    let mut rest = bytes;
    for _ in 0..4 {
        let end = rest.windows(END.len()).position(|window| window == END);
        let (objects, after) = rest.split_at(end.unwrap_or(rest.len()));
        add(&mut file, objects);
        match after.get(END.len()..) {
            Some(after) if !after.is_empty() => rest = after,
            _ => break,
        }
    }
    let _ = pdf::check(&file, &trust(), &times());
});

/// A revision of these objects.
fn add(file: &mut Vec<u8>, objects: &[u8]) {
    let previous = last_table(file);
    let start = file.len();
    file.extend_from_slice(objects);
    let mut table = String::from("xref\n");
    let mut offset = start;
    let mut size = 15;
    for line in objects.split_inclusive(|byte| *byte == b'\n') {
        if let Some(number) = line.strip_suffix(b" 0 obj\n").and_then(number) {
            let _ = write!(table, "{number} 1\n{offset:010} 00000 n \n");
            size = size.max(number + 1);
        }
        offset += line.len();
    }
    let at = file.len();
    let _ = write!(
        table,
        "trailer\n<</Root 1 0 R/Info 9 0 R/Size {size}/Prev {previous}>>\nstartxref\n{at}\n%%EOF\n"
    );
    file.extend_from_slice(table.as_bytes());
}

fn number(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    text.parse().ok().filter(|number| *number < 1_000_000)
}

/// What stands between the last `startxref` and the end.
fn last_table(file: &[u8]) -> u32 {
    let mut lines = file.rsplit(|byte| *byte == b'\n');
    lines.nth(2).and_then(number).unwrap_or_default()
}
