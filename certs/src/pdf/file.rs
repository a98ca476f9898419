//! The revisions of a PDF: cross-reference sections (ISO 32000-2, 7.5.4 and 7.5.8) from the last one back to
//! the first, and the objects as they were in each revision (incremental updates, 7.5.6).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;

use super::PdfError;
use super::object::{Dictionary, Id, Indirect, Object, Reader};

/// The most cross-reference sections: each signature adds one or two.
const MAX_SECTIONS: usize = 128;

/// The most entries in all sections together, and how many bytes of the file there must be for each.
const MAX_ENTRIES: usize = 1_000_000;
const BYTES_FOR_ENTRY: usize = 8;

/// The most bytes that one compressed stream of objects or cross-references decodes to, and all together.
const MAX_STREAM_BYTES: usize = 16 * 1024 * 1024;
const MAX_DECODED_BYTES: usize = 64 * 1024 * 1024;

/// How often the size of the file that may be.
const MAX_DECODED_RATIO: usize = 24;

/// How many objects may stand between an object and the length of its stream.
const MAX_DETOUR: usize = 3;

pub(super) struct File<'a> {
    pub(super) bytes: &'a [u8],
    /// Oldest first; at least one.
    pub(super) revisions: Vec<Revision>,
    /// What follows the last `%%EOF` and is not white space.
    pub(super) rest: Option<Range<usize>>,
    /// Where cross-reference sections stand.
    pub(super) sections: BTreeSet<usize>,
    /// By the place of the stream in the file.
    packed: RefCell<HashMap<usize, Rc<Packed>>>,
    decoded: Cell<usize>,
    /// Bytes read as objects so far: objects may lie inside each other.
    read: Cell<usize>,
}

pub(super) struct Revision {
    /// The end of the revision before.
    pub(super) start: usize,
    /// The first byte after `%%EOF`, and the first after the end of line that may follow.
    pub(super) end: usize,
    pub(super) end_with_line: usize,
    pub(super) entries: BTreeMap<u32, Entry>,
    pub(super) trailer: Dictionary,
    /// Where the last cross-reference section of the revision stands.
    pub(super) section: usize,
    /// A table with a stream beside it (7.5.8.4): programs may differ in what they read.
    pub(super) is_hybrid: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Free,
    At { offset: usize, generation: u16 },
    In { container: u32, index: usize },
}

/// A cross-reference section with its trailer.
struct Section {
    offset: usize,
    entries: BTreeMap<u32, Entry>,
    trailer: Dictionary,
    previous: Option<usize>,
    is_hybrid: bool,
    start_xref: u64,
    /// After `%%EOF`.
    end: usize,
}

/// An object stream (7.5.7), decoded.
struct Packed {
    data: Vec<u8>,
    /// Number and first byte.
    objects: Vec<(u32, usize)>,
}

/// An object and where it stands.
pub(super) struct Found {
    pub(super) object: Object,
    /// In the file itself; `None` in an object stream.
    pub(super) offset: Option<usize>,
    pub(super) stream: Option<Range<usize>>,
    pub(super) contents: Option<Range<usize>>,
}

impl<'a> File<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, PdfError> {
        let (start_xref, end) = last_start_xref(bytes)?;
        let mut file = Self {
            bytes,
            revisions: Vec::new(),
            rest: None,
            sections: BTreeSet::new(),
            packed: RefCell::default(),
            decoded: Cell::new(0),
            read: Cell::new(0),
        };
        let sections = file.sections(start_xref)?;
        if sections.iter().any(|section| section.trailer.has("Encrypt")) {
            return Err(PdfError::Encrypted);
        }
        file.sections = sections.iter().map(|section| section.offset).collect();
        file.revisions = revisions(bytes, sections)?;
        if file.revisions.last().is_none_or(|last| last.end != end) {
            return Err(PdfError::CrossReference { at: start_xref });
        }
        let mut after = Reader::at(bytes, end);
        after.skip_white();
        file.rest = (!after.is_finished()).then_some(end..bytes.len());
        Ok(file)
    }

    pub(super) fn last(&self) -> usize {
        self.revisions.len().saturating_sub(1)
    }

    /// The revision that wrote the byte at `offset`.
    pub(super) fn revision_at(&self, offset: usize) -> Option<usize> {
        self.revisions.iter().position(|revision| (revision.start..revision.end).contains(&offset))
    }

    /// What the cross-references of `revision` and those before it say of an object.
    pub(super) fn entry(&self, revision: usize, number: u32) -> Option<Entry> {
        let upto = self.revisions.get(..=revision).unwrap_or_default();
        let found = upto.iter().rev().find_map(|revision| revision.entries.get(&number));
        found.copied().filter(|entry| *entry != Entry::Free)
    }

    /// The object as of `revision`; `None` if there is none, which reads as null (7.3.10).
    pub(super) fn find(&self, revision: usize, number: u32) -> Result<Option<Found>, PdfError> {
        self.find_within(revision, number, 0)
    }

    fn find_within(
        &self,
        revision: usize,
        number: u32,
        detour: usize,
    ) -> Result<Option<Found>, PdfError> {
        match self.entry(revision, number) {
            None | Some(Entry::Free) => Ok(None),
            Some(Entry::At { offset, generation }) => {
                let found = self.indirect(revision, offset, detour)?;
                if found.id != (Id { number, generation }) {
                    return Err(PdfError::CrossReference { at: offset });
                }
                Ok(Some(Found {
                    object: found.object,
                    offset: Some(offset),
                    stream: found.stream,
                    contents: found.contents,
                }))
            }
            Some(Entry::In { container, index }) => {
                let packed = self.packed(revision, container, detour)?;
                let found = packed.objects.get(index).filter(|(id, _)| *id == number);
                let Some((_, at)) = found else {
                    return Err(PdfError::CrossReference { at: 0 });
                };
                let mut reader = Reader::at(&packed.data, *at);
                let object = reader.object()?;
                self.count(reader.position().saturating_sub(*at))?;
                Ok(Some(Found { object, offset: None, stream: None, contents: None }))
            }
        }
    }

    /// The object at a place in the file.
    pub(super) fn indirect(
        &self,
        revision: usize,
        offset: usize,
        detour: usize,
    ) -> Result<Indirect, PdfError> {
        let length = |id: Id| -> Option<usize> {
            if detour >= MAX_DETOUR {
                return None;
            }
            self.find_within(revision, id.number, detour + 1).ok()??.object.size()
        };
        let mut reader = Reader::at(self.bytes, offset);
        reader.skip_white();
        let found = reader.indirect(&length)?;
        let data = found.stream.as_ref().map_or(0, Range::len);
        self.count((found.end - offset).saturating_sub(data))?;
        Ok(found)
    }

    /// Bounds the work: honest files are read a few times over, objects inside objects would be so without end.
    fn count(&self, bytes: usize) -> Result<(), PdfError> {
        let read = self.read.get().saturating_add(bytes);
        self.read.set(read);
        let limit = 4 * 1024 * 1024 + 8 * self.bytes.len() + 3 * self.decoded.get();
        if read > limit { Err(PdfError::TooComplex) } else { Ok(()) }
    }

    /// Follows references to what they lead to.
    pub(super) fn resolve(&self, revision: usize, object: &Object) -> Result<Object, PdfError> {
        let mut object = object.clone();
        for _ in 0..4 {
            let Object::Reference(id) = object else { return Ok(object) };
            object = self.find(revision, id.number)?.map_or(Object::Null, |found| found.object);
        }
        Err(PdfError::TooComplex)
    }

    /// The value of a key, references followed; null without it.
    pub(super) fn value(
        &self,
        revision: usize,
        dictionary: &Dictionary,
        key: &str,
    ) -> Result<Object, PdfError> {
        dictionary.get(key).map_or(Ok(Object::Null), |value| self.resolve(revision, value))
    }

    /// The document catalog (7.7.2) and its number.
    pub(super) fn catalog(&self, revision: usize) -> Result<(u32, Dictionary), PdfError> {
        let wrong = PdfError::CrossReference { at: 0 };
        let trailer = self.revisions.get(revision).map(|revision| &revision.trailer);
        let root = trailer.and_then(|trailer| trailer.get("Root")?.reference());
        let Some(root) = root else { return Err(wrong) };
        match self.find(revision, root.number)?.map(|found| found.object) {
            Some(Object::Dictionary(catalog)) => Ok((root.number, catalog)),
            _ => Err(wrong),
        }
    }

    fn packed(
        &self,
        revision: usize,
        container: u32,
        detour: usize,
    ) -> Result<Rc<Packed>, PdfError> {
        let Some(Entry::At { offset, .. }) = self.entry(revision, container) else {
            return Err(PdfError::CrossReference { at: 0 });
        };
        if let Some(known) = self.packed.borrow().get(&offset) {
            return Ok(Rc::clone(known));
        }
        let malformed = PdfError::Malformed { at: offset };
        if detour >= MAX_DETOUR {
            return Err(PdfError::TooComplex);
        }
        let found = self.indirect(revision, offset, detour + 1)?;
        let (Object::Dictionary(dictionary), Some(stream)) = (&found.object, found.stream) else {
            return Err(malformed);
        };
        let count = dictionary.get("N").and_then(Object::size);
        let first = dictionary.get("First").and_then(Object::size);
        let (Some(count), Some(first)) = (count, first) else { return Err(malformed) };
        if !dictionary.is("Type", "ObjStm") || found.id.number != container {
            return Err(malformed);
        }
        let data = self.decode(dictionary, stream)?;
        // Each needs two digits and two spaces at least.
        if count > data.len() / 4 + 1 {
            return Err(malformed);
        }
        let mut reader = Reader::at(&data, 0);
        let mut objects = Vec::with_capacity(count);
        for _ in 0..count {
            reader.skip_white();
            let number = reader.number()?.try_into().ok();
            reader.skip_white();
            let start = usize::try_from(reader.number()?).ok();
            let start = start.and_then(|start| start.checked_add(first));
            let (Some(number), Some(start)) = (number, start) else { return Err(malformed) };
            objects.push((number, start));
        }
        let packed = Rc::new(Packed { data, objects });
        self.packed.borrow_mut().insert(offset, Rc::clone(&packed));
        Ok(packed)
    }

    /// Decodes a stream: FlateDecode, or nothing.
    pub(super) fn decode(
        &self,
        dictionary: &Dictionary,
        data: Range<usize>,
    ) -> Result<Vec<u8>, PdfError> {
        let malformed = PdfError::Malformed { at: data.start };
        let single = |key: &str| match dictionary.get(key) {
            Some(Object::Array(members)) if members.len() == 1 => members.first(),
            other => other,
        };
        let raw = self.bytes.get(data).unwrap_or_default();
        let mut parameters = lopdf::Dictionary::new();
        match (single("Filter"), single("DecodeParms")) {
            (None, None) => return Ok(raw.to_vec()),
            (Some(Object::Name(name)), given) if name == b"FlateDecode" => {
                let given = match given {
                    None => None,
                    Some(Object::Dictionary(given)) => Some(given),
                    Some(_) => return Err(malformed),
                };
                for key in ["Predictor", "Columns", "Colors", "BitsPerComponent"] {
                    let Some(value) = given.and_then(|given| given.get(key)) else { continue };
                    match value.integer() {
                        Some(value @ 1..=64) => parameters.set(key, value),
                        _ => return Err(malformed),
                    }
                }
            }
            _ => return Err(malformed),
        }
        let most = MAX_DECODED_BYTES.min(MAX_DECODED_RATIO * self.bytes.len());
        let left = most.saturating_sub(self.decoded.get()).min(MAX_STREAM_BYTES);
        let mut stream = lopdf::Dictionary::new();
        stream.set("Filter", lopdf::Object::Name(b"FlateDecode".to_vec()));
        stream.set("DecodeParms", parameters);
        let stream = lopdf::Stream::new(stream, raw.to_vec());
        let decoded = match stream.decompressed_content_with_limit(left) {
            Ok(decoded) => decoded,
            Err(lopdf::Error::Decompress(_)) => return Err(PdfError::DecodesTooLarge),
            Err(_) => return Err(malformed),
        };
        self.decoded.set(self.decoded.get().saturating_add(decoded.len()));
        Ok(decoded)
    }

    /// The chain of sections, newest first.
    fn sections(&self, newest: usize) -> Result<Vec<Section>, PdfError> {
        let mut seen = BTreeSet::new();
        let most = MAX_ENTRIES.min(1000 + self.bytes.len() / BYTES_FOR_ENTRY);
        let mut entries = 0;
        let mut found: Vec<Section> = Vec::new();
        let mut next = Some(newest);
        while let Some(offset) = next {
            if !seen.insert(offset) {
                return Err(PdfError::CrossReference { at: offset });
            }
            let section = self.section(offset)?;
            entries += section.entries.len();
            if seen.len() > MAX_SECTIONS || entries > most {
                return Err(PdfError::TooComplex);
            }
            next = section.previous;
            found.push(section);
        }
        Ok(found)
    }

    fn section(&self, offset: usize) -> Result<Section, PdfError> {
        let wrong = || PdfError::CrossReference { at: offset };
        if offset >= self.bytes.len() {
            return Err(wrong());
        }
        let mut reader = Reader::at(self.bytes, offset);
        reader.skip_white();
        let (entries, trailer, is_hybrid) = if reader.take("xref") {
            let mut entries = table(&mut reader, offset)?;
            let Object::Dictionary(trailer) = reader.object()? else { return Err(wrong()) };
            let beside = trailer.get("XRefStm").map(|beside| beside.size().ok_or_else(wrong));
            if let Some(beside) = beside.transpose()? {
                // 7.5.8.4: what the table hides as free, the stream tells.
                let (hidden, _, _) = self.cross_reference_stream(beside)?;
                for (number, entry) in hidden {
                    let known = entries.entry(number).or_insert(entry);
                    if *known == Entry::Free {
                        *known = entry;
                    }
                }
            }
            let is_hybrid = trailer.has("XRefStm");
            (entries, trailer, is_hybrid)
        } else {
            let (entries, trailer, end) = self.cross_reference_stream(offset)?;
            reader = Reader::at(self.bytes, end);
            (entries, trailer, false)
        };
        let previous = trailer.get("Prev").map(|previous| previous.size().ok_or_else(wrong));
        let previous = previous.transpose()?;
        reader.skip();
        let (start_xref, end) = start_xref(&mut reader)?;
        Ok(Section { offset, entries, trailer, previous, is_hybrid, start_xref, end })
    }

    /// 7.5.8.2 and 7.5.8.3.
    #[allow(clippy::type_complexity, reason = "three parts of one section, taken apart at once")]
    fn cross_reference_stream(
        &self,
        offset: usize,
    ) -> Result<(BTreeMap<u32, Entry>, Dictionary, usize), PdfError> {
        let wrong = || PdfError::CrossReference { at: offset };
        let mut reader = Reader::at(self.bytes, offset);
        reader.skip_white();
        // Its length is a direct object, for nothing could be looked up yet.
        let found = reader.indirect(&|_| None)?;
        let (Object::Dictionary(trailer), Some(stream)) = (found.object, found.stream) else {
            return Err(wrong());
        };
        let size = trailer.get("Size").and_then(Object::size).ok_or_else(wrong)?;
        let widths = trailer.get("W").and_then(Object::array).unwrap_or_default();
        let widths: Vec<_> = widths.iter().filter_map(Object::size).collect();
        let [first, second, third] = widths[..] else { return Err(wrong()) };
        if !trailer.is("Type", "XRef") || first > 1 || second > 8 || third > 4 {
            return Err(wrong());
        }
        let index = match trailer.get("Index") {
            None => vec![0, size],
            Some(Object::Array(members)) => members.iter().filter_map(Object::size).collect(),
            Some(_) => return Err(wrong()),
        };
        let count: usize = index.iter().skip(1).step_by(2).fold(0, |sum, n| sum.saturating_add(*n));
        if count > MAX_ENTRIES {
            return Err(PdfError::TooComplex);
        }
        let data = self.decode(&trailer, stream)?;
        let width = (first + second + third).max(1);
        let mut rows = data.chunks_exact(width);
        let mut entries = BTreeMap::new();
        for range in index.chunks(2) {
            let [start, count] = *range else { return Err(wrong()) };
            for number in start..start.saturating_add(count) {
                let (Ok(number), Some(row)) = (u32::try_from(number), rows.next()) else {
                    return Err(wrong());
                };
                let field = |from: usize, width: usize| {
                    let bytes = row.get(from..from + width).unwrap_or_default();
                    bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte))
                };
                // 7.5.8.3: without a first field, all are of type 1.
                let kind = if first == 0 { 1 } else { field(0, first) };
                let (value, extra) = (field(first, second), field(first + second, third));
                let entry = match kind {
                    0 => Some(Entry::Free),
                    1 => entry_at(value, extra),
                    2 => match (value.try_into(), extra.try_into()) {
                        (Ok(container), Ok(index)) => Some(Entry::In { container, index }),
                        _ => None,
                    },
                    _ => None,
                };
                if entries.insert(number, entry.ok_or_else(wrong)?).is_some() {
                    return Err(wrong());
                }
            }
        }
        Ok((entries, trailer, found.end))
    }
}

fn entry_at(offset: u64, generation: u64) -> Option<Entry> {
    let (Ok(offset), Ok(generation)) = (offset.try_into(), generation.try_into()) else {
        return None;
    };
    Some(Entry::At { offset, generation })
}

/// 7.5.4, up to and with the word `trailer`.
fn table(reader: &mut Reader<'_>, offset: usize) -> Result<BTreeMap<u32, Entry>, PdfError> {
    let wrong = || PdfError::CrossReference { at: offset };
    let mut entries = BTreeMap::new();
    loop {
        reader.skip_white();
        if reader.take("trailer") {
            return Ok(entries);
        }
        let start = reader.number()?;
        reader.skip_white();
        let count = reader.number()?;
        for number in start..start.saturating_add(count) {
            reader.skip_white();
            let place = reader.number()?;
            reader.skip_white();
            let generation = reader.number()?;
            reader.skip_white();
            let entry = if reader.take("n") {
                entry_at(place, generation).ok_or_else(wrong)?
            } else {
                reader.expect("f")?;
                Entry::Free
            };
            let number = u32::try_from(number).map_err(|_| wrong())?;
            // An object listed twice in one section is read as either by different programs.
            if entries.insert(number, entry).is_some() || entries.len() > MAX_ENTRIES {
                return Err(wrong());
            }
        }
    }
}

/// `startxref`, the place, `%%EOF`: the place, and where it ends.
fn start_xref(reader: &mut Reader<'_>) -> Result<(u64, usize), PdfError> {
    reader.expect("startxref")?;
    reader.skip_white();
    let place = reader.number()?;
    reader.skip_white();
    reader.expect("%%EOF")?;
    Ok((place, reader.position()))
}

/// The last one in the file that is whole.
fn last_start_xref(bytes: &[u8]) -> Result<(usize, usize), PdfError> {
    const WORD: &[u8] = b"startxref";
    let mut upto = bytes.len();
    loop {
        let before = bytes.get(..upto).unwrap_or_default();
        let Some(at) = before.windows(WORD.len()).rposition(|window| window == WORD) else {
            return Err(PdfError::Malformed { at: bytes.len() });
        };
        if let Ok((place, end)) = start_xref(&mut Reader::at(bytes, at))
            && let Ok(place) = usize::try_from(place)
        {
            return Ok((place, end));
        }
        upto = at + WORD.len() - 1;
    }
}

/// Puts sections, newest first, together to revisions, oldest first. A linearised document (annex F) has two
/// sections in its first revision: the one at its beginning leads to the one at its end.
fn revisions(bytes: &[u8], sections: Vec<Section>) -> Result<Vec<Revision>, PdfError> {
    let mut found: Vec<Revision> = Vec::new();
    let mut sections = sections.into_iter().rev().peekable();
    while let Some(mut section) = sections.next() {
        let wrong = PdfError::CrossReference { at: section.offset };
        let last = section.offset;
        let mut is_hybrid = section.is_hybrid;
        if found.is_empty()
            && let Some(head) = sections.next_if(|next| next.offset < section.offset)
        {
            let Section { entries, offset, trailer, is_hybrid: also, .. } = head;
            is_hybrid |= also;
            section.entries.extend(entries);
            section.offset = offset;
            section.trailer = trailer;
        }
        let start = found.last().map_or(0, |before| before.end_with_line);
        if section.start_xref != section.offset as u64 || last < start {
            return Err(wrong);
        }
        let mut line = Reader::at(bytes, section.end);
        line.take_end_of_line();
        found.push(Revision {
            start,
            end: section.end,
            end_with_line: line.position(),
            entries: section.entries,
            trailer: section.trailer,
            section: last,
            is_hybrid,
        });
    }
    Ok(found)
}
