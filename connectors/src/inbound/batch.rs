//! A batch out of its files: what the manifest says is checked, records are taken apart one at a time. Pure.

use std::{collections::BTreeMap, fmt, ops::Range};

use encoding_rs::{Encoding, UTF_8};

use super::{NO_TIME, Position, Row};
use crate::{
    Operation,
    code_map::{CodeList, CodeMap},
    files::{
        encoding,
        manifest::{Content, Manifest, Operations, sha256},
    },
};

/// Most records of a batch: with a word about each the answer is a record of the hub's store.
pub const BATCH_RECORDS: u64 = 20_000;
/// Most bytes of a data file.
pub const BATCH_BYTES: usize = 32 << 20;
/// A record that is larger is refused, in bytes.
const RECORD_LIMIT: usize = 1 << 20;
/// Most elements of a CSV file.
const COLUMNS: usize = 2_000;
/// The mark that some programs begin a UTF-8 file with.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Why a batch is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRefused {
    /// A stable word.
    pub code: &'static str,
    /// In words; names elements, never values.
    pub remark: String,
}

impl BatchRefused {
    pub(crate) fn new(code: &'static str, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into() }
    }
}

/// A batch whose data file is as its manifest says. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct FileBatch {
    data: Vec<u8>,
    digest: String,
    encoding: &'static Encoding,
    content: Content,
    /// CSV: the names of the elements.
    names: Vec<String>,
    /// Where the records are.
    records: Vec<Range<usize>>,
}

impl fmt::Debug for FileBatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FileBatch({} records)", self.records.len())
    }
}

/// What a manifest allows to be read: the data file's name.
///
/// * `stem`: what the names of the batch's files begin with.
///
/// # Errors
/// The manifest is none, is of another batch, or of one that is too large.
pub(crate) fn announced(stem: &str, manifest: &[u8]) -> Result<Manifest, BatchRefused> {
    let manifest = Manifest::parse(manifest)
        .map_err(|error| BatchRefused::new(error.code(), error.to_string()))?;
    if manifest.batch != stem || manifest.file != format!("{stem}{}", manifest.content.end()) {
        let why = "the manifest is about another batch or file than its name says";
        return Err(BatchRefused::new("manifest_names", why));
    }
    if encoding(&manifest.encoding).is_none() {
        let why = "the manifest's encoding must be utf-8, gb18030 or gbk";
        return Err(BatchRefused::new("manifest_encoding", why));
    }
    if manifest.records > BATCH_RECORDS || manifest.size > BATCH_BYTES as u64 {
        let why = format!("a batch has at most {BATCH_RECORDS} records and {BATCH_BYTES} bytes");
        return Err(BatchRefused::new("batch_too_large", why));
    }
    Ok(manifest)
}

impl FileBatch {
    /// The batch, as far as it is what its manifest says.
    ///
    /// * `map`: what is read of the records.
    ///
    /// # Errors
    /// Counts, size, digests or the names of the elements are others.
    pub fn read(manifest: &Manifest, data: Vec<u8>, map: &CodeMap) -> Result<Self, BatchRefused> {
        manifest
            .check(&data)
            .map_err(|error| BatchRefused::new(error.code(), error.to_string()))?;
        let encoding = encoding(&manifest.encoding).unwrap_or(UTF_8);
        let content = manifest.content;
        let begin = if encoding == UTF_8 && data.starts_with(BYTE_ORDER_MARK) { 3 } else { 0 };
        let most = usize::try_from(manifest.records).unwrap_or(usize::MAX);
        let (names, records) = match content {
            Content::Ndjson => (Vec::new(), lines(&data, begin, most)),
            Content::Csv => {
                let mut records = csv_records(&data, begin, most.saturating_add(1));
                let names = match records.first() {
                    Some(_) => csv_names(&data[records.remove(0)], encoding)?,
                    None => Vec::new(),
                };
                (names, records)
            }
        };
        if records.len() != most {
            let why = "the data file has another number of records than the manifest says";
            return Err(BatchRefused::new("manifest_records", why));
        }
        let digest = sha256(&data);
        let batch = Self { data, digest, encoding, content, names, records };
        if content == Content::Csv {
            let lacking = map
                .fields
                .iter()
                .find(|field| field.from.is_some() && !batch.names.contains(&field.name));
            if let Some(lacking) = lacking {
                let why = format!("the line of names lacks {}", lacking.name);
                return Err(BatchRefused::new("columns_missing", why));
            }
        }
        if let (Some(said), Some(counted)) = (manifest.operations, batch.operations(map))
            && said != counted
        {
            let why = "the data file has other operations than the manifest says";
            return Err(BatchRefused::new("manifest_operations", why));
        }
        Ok(batch)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// SHA-256 of the data file, hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Some records, by their place from 0. A row's key is its line: its place from 1.
    ///
    /// * `micros`: when they were handed over; each stands a microsecond after the one before it.
    pub fn rows(&self, places: Range<usize>, micros: u64) -> Vec<Row> {
        let begin = micros.min(NO_TIME).saturating_sub(self.records.len() as u64);
        let row = |place: usize| {
            let key = (place + 1).to_string();
            Row {
                position: Position { micros: begin + place as u64, key: key.clone() },
                key,
                elements: self.record(place),
            }
        };
        places.filter(|place| *place < self.records.len()).map(row).collect()
    }

    fn record(&self, place: usize) -> Result<BTreeMap<String, String>, &'static str> {
        let bytes = &self.data[self.records[place].clone()];
        if bytes.len() > RECORD_LIMIT {
            return Err("row_too_large");
        }
        match self.content {
            Content::Ndjson => {
                let text = decoded(self.encoding, bytes).ok_or("row_not_in_encoding")?;
                let found: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(&text).map_err(|_| "row_unreadable")?;
                Ok(super::texts(found))
            }
            Content::Csv => {
                let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
                let mut record = csv::ByteRecord::new();
                let read = reader.read_byte_record(&mut record);
                if !read.map_err(|_| "row_unreadable")? || record.len() != self.names.len() {
                    return Err("row_unreadable");
                }
                let text = |value| decoded(self.encoding, value).ok_or("row_not_in_encoding");
                let named = self.names.iter().zip(&record);
                named.map(|(name, value)| Ok((name.clone(), text(value)?))).collect()
            }
        }
    }

    /// How many do what; `None`: the map does not read that, or a record does not say.
    fn operations(&self, map: &CodeMap) -> Option<Operations> {
        let field = map.fields.iter().find(|field| field.from.as_deref() == Some("operation"))?;
        let mut counted = Operations::default();
        for place in 0..self.records.len() {
            let elements = self.record(place).ok()?;
            let ours = map.ours(CodeList::Operation, elements.get(&field.name)?.trim())?;
            match Operation::from_word(ours)? {
                Operation::Insert => counted.insert += 1,
                Operation::Update => counted.update += 1,
                Operation::Delete => counted.delete += 1,
            }
        }
        Some(counted)
    }
}

/// The text, if the bytes are in the encoding.
fn decoded(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
    Some(text.into_owned())
}

/// Lines from `begin` on, one more than `most` at most: whoever counts sees that there are too many.
///
/// In GB 18030 no byte of a longer character is that of a line end, a comma or a quote (GB 18030-2022: second and fourth
/// bytes begin at 0x30, and those of 0x30 to 0x39 are digits).
fn lines(data: &[u8], begin: usize, most: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = begin;
    while start < data.len() && found.len() <= most {
        let end = data[start..].iter().position(|byte| *byte == b'\n');
        let end = end.map_or(data.len(), |length| start + length);
        let trimmed = if data[start..end].ends_with(b"\r") { end - 1 } else { end };
        found.push(start..trimmed);
        start = end + 1;
    }
    found
}

/// The names of the elements.
///
/// # Errors
/// The line is longer than a record, or has more names than any.
fn csv_names(line: &[u8], encoding: &'static Encoding) -> Result<Vec<String>, BatchRefused> {
    let refused = |why: String| BatchRefused::new("columns_missing", why);
    if line.len() > RECORD_LIMIT {
        return Err(refused(format!("the line of names is longer than {RECORD_LIMIT} bytes")));
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line);
    let mut names = csv::ByteRecord::new();
    let read = reader.read_byte_record(&mut names);
    if !read.is_ok_and(|read| read) || names.len() > COLUMNS {
        return Err(refused(format!("the line of names has more than {COLUMNS} names")));
    }
    let name = |name| decoded(encoding, name).unwrap_or_default().trim().to_owned();
    Ok(names.iter().map(name).collect())
}

/// Where the records of CSV are from `begin` on, one more than `most` at most. Nothing is taken apart for it, so that a
/// record of any length costs nothing; records end where the `csv` crate has them end.
fn csv_records(data: &[u8], begin: usize, most: usize) -> Vec<Range<usize>> {
    /// What a byte follows.
    #[derive(PartialEq)]
    enum At {
        /// The end of a record, or an empty line.
        Start,
        /// A comma.
        Comma,
        /// What is not quoted.
        Plain,
        /// A quote that began a value, or what follows it.
        Quoted,
        /// A quote inside: the end of it, or the first of two that stand for one.
        Quote,
    }
    let (mut found, mut start, mut at) = (Vec::new(), begin, At::Start);
    for (place, byte) in data.iter().enumerate().skip(begin) {
        at = match (at, byte) {
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted, _) | (At::Quote | At::Start | At::Comma, b'"') => At::Quoted,
            (At::Start, b'\r' | b'\n') => At::Start,
            (_, b'\r' | b'\n') => {
                found.push(start..place + 1);
                start = place + 1;
                if found.len() > most {
                    return found;
                }
                At::Start
            }
            (_, b',') => At::Comma,
            _ => At::Plain,
        };
    }
    if at != At::Start {
        found.push(start..data.len());
    }
    found
}

#[cfg(test)]
mod tests {
    use encoding_rs::GB18030;

    use super::*;
    use crate::files::manifest::{MANIFEST_FORMAT, sm3};

    fn map() -> CodeMap {
        let map = serde_json::json!({
            "format": "yihao-code-map-1",
            "fields": [{ "as": "名称", "from": "name" }, { "as": "op", "from": "operation" }],
            "codes": { "operation": { "insert": "I", "update": "U", "delete": "D" } },
        });
        CodeMap::parse(map.to_string().as_bytes()).unwrap()
    }

    fn manifest(content: Content, encoding: &str, records: u64, data: &[u8]) -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            sender: String::new(),
            batch: "b1".to_owned(),
            file: format!("b1{}", content.end()),
            content,
            encoding: encoding.to_owned(),
            records,
            operations: None,
            size: data.len() as u64,
            sha256: sha256(data),
            sm3: Some(sm3(data)),
            first: None,
            last: None,
            numbers: Vec::new(),
        }
    }

    fn read(content: Content, encoding: &str, records: u64, data: &[u8]) -> Vec<String> {
        let batch =
            FileBatch::read(&manifest(content, encoding, records, data), data.to_vec(), &map());
        let batch = match batch {
            Ok(batch) => batch,
            Err(refused) => return vec![refused.code.to_owned()],
        };
        let rows = batch.rows(0..batch.len(), 5);
        rows.into_iter()
            .map(|row| match row.elements {
                Ok(elements) => format!("{} {} {}", row.key, elements["名称"], elements["op"]),
                Err(code) => format!("{} {code}", row.key),
            })
            .collect()
    }

    #[test]
    fn records_are_read_in_each_form_and_encoding() {
        let ndjson =
            "{\"名称\":\"许可证\",\"op\":\"I\"}\r\n{\"名称\":\"丂\\n\",\"op\":\"U\",\"more\":1}";
        let csv = "op,名称,more\nI,许可证,\nU,\"丂\n\",1\n";
        let expected = ["1 许可证 I", "2 丂\n U"];
        for encoding in ["utf-8", "gb18030", "GBK"] {
            let bytes = |text: &str| match encoding {
                "utf-8" => text.as_bytes().to_vec(),
                _ => GB18030.encode(text).0.into_owned(),
            };
            assert_eq!(read(Content::Ndjson, encoding, 2, &bytes(ndjson)), expected, "{encoding}");
            assert_eq!(read(Content::Csv, encoding, 2, &bytes(csv)), expected, "{encoding}");
        }
        let marked = [BYTE_ORDER_MARK, csv.as_bytes()].concat();
        assert_eq!(read(Content::Csv, "utf-8", 2, &marked), expected);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_told_alone() {
        let good = "{\"名称\":\"a\",\"op\":\"I\"}\n";
        let large = format!("{{\"名称\":\"{}\"}}\n", "x".repeat(RECORD_LIMIT));
        let deep = format!("{}{}\n", "{\"a\":".repeat(500), "1");
        let data = [
            good.as_bytes(),
            b"{\"\xFF\":1}\n",
            b"[1]\n",
            b"\n",
            deep.as_bytes(),
            large.as_bytes(),
            good.as_bytes(),
        ]
        .concat();
        let expected = [
            "1 a I",
            "2 row_not_in_encoding",
            "3 row_unreadable",
            "4 row_unreadable",
            "5 row_unreadable",
            "6 row_too_large",
            "7 a I",
        ];
        assert_eq!(read(Content::Ndjson, "utf-8", 7, &data), expected);
        let csv = b"\xC3\xFB\xB3\xC6,op\na,I\nb\n\xFF\xFF,U\nc,D\n";
        let expected = ["1 a I", "2 row_unreadable", "3 row_not_in_encoding", "4 c D"];
        assert_eq!(read(Content::Csv, "gb18030", 4, csv), expected);
    }

    #[test]
    fn a_batch_that_is_not_what_its_manifest_says_is_refused_as_a_whole() {
        let data = "{\"名称\":\"a\",\"op\":\"I\"}\n".as_bytes();
        let right = manifest(Content::Ndjson, "utf-8", 1, data);
        let operations = |insert, delete| Some(Operations { insert, update: 0, delete });
        let code = |manifest: &Manifest| {
            let announced = announced("b1", &manifest.to_bytes());
            let batch = announced.and_then(|it| FileBatch::read(&it, data.to_vec(), &map()));
            batch.err().map(|refused| refused.code)
        };
        assert_eq!(code(&right), None);
        for (wrong, expected) in [
            (Manifest { format: "x".to_owned(), ..right.clone() }, "manifest_format"),
            (Manifest { batch: "b2".to_owned(), ..right.clone() }, "manifest_names"),
            (Manifest { file: "../../etc/passwd".to_owned(), ..right.clone() }, "manifest_names"),
            (Manifest { encoding: "latin1".to_owned(), ..right.clone() }, "manifest_encoding"),
            (Manifest { size: u64::MAX, ..right.clone() }, "batch_too_large"),
            (Manifest { records: u64::MAX, ..right.clone() }, "batch_too_large"),
            (Manifest { size: 3, ..right.clone() }, "manifest_size"),
            (Manifest { sha256: sha256(b"x"), ..right.clone() }, "manifest_digest"),
            (Manifest { sm3: Some(sm3(b"x")), ..right.clone() }, "manifest_digest"),
            (Manifest { records: 2, ..right.clone() }, "manifest_records"),
            (Manifest { records: 0, ..right.clone() }, "manifest_records"),
            (Manifest { operations: operations(0, 1), ..right.clone() }, "manifest_operations"),
        ] {
            assert_eq!(code(&wrong), Some(expected));
        }
        assert_eq!(code(&Manifest { operations: operations(1, 0), ..right }), None);
        assert_eq!(read(Content::Csv, "utf-8", 1, b"op,x\nI,1\n"), ["columns_missing"]);
        assert_eq!(read(Content::Csv, "utf-8", 0, b""), ["columns_missing"]);
        assert_eq!(announced("b1", b"{").unwrap_err().code, "manifest_form");
    }

    #[test]
    fn the_line_of_names_is_bounded_before_it_is_taken_apart() {
        let commas = ",".repeat(RECORD_LIMIT + 1);
        let wide = format!("op,名称{}", ",x".repeat(COLUMNS - 1));
        let quoted = format!("op,名称,\"\n{commas}\"");
        for names in [&commas, &wide, &quoted] {
            let data = format!("{names}\nI,a\n");
            assert_eq!(read(Content::Csv, "utf-8", 1, data.as_bytes()), ["columns_missing"]);
        }
        let most = format!("op,名称{}\nI,a{}\n", ",x".repeat(COLUMNS - 2), ",".repeat(COLUMNS - 2));
        assert_eq!(read(Content::Csv, "utf-8", 1, most.as_bytes()), ["1 a I"]);
        // A record is told alone, as before.
        let data = format!("op,名称\nI,a\n{commas}\nU,b\n");
        let expected = ["1 a I", "2 row_too_large", "3 b U"];
        assert_eq!(read(Content::Csv, "utf-8", 3, data.as_bytes()), expected);
    }

    #[test]
    fn records_end_where_the_reader_has_them_end() {
        // Each text of seven of these bytes.
        for number in 0..5_u32.pow(7) {
            let byte = |place| b"a,\"\n\r"[(number / 5_u32.pow(place) % 5) as usize];
            let text: Vec<u8> = (0..7).map(byte).collect();
            let reader = |bytes: &[u8]| -> Vec<csv::ByteRecord> {
                let mut reader = csv::ReaderBuilder::new();
                let mut reader = reader.has_headers(false).flexible(true).from_reader(bytes);
                reader.byte_records().map(Result::unwrap).collect()
            };
            let apart: Vec<_> = csv_records(&text, 0, 100)
                .into_iter()
                .flat_map(|range| {
                    let one = reader(&text[range]);
                    assert_eq!(one.len(), 1);
                    one
                })
                .collect();
            assert_eq!(apart, reader(&text), "{}", text.escape_ascii());
        }
    }
}
