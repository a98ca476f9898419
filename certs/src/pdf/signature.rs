//! Signature fields and signature dictionaries (ISO 32000-2, 12.7.5.5 and 12.8.1).

use std::collections::BTreeSet;
use std::ops::Range;

use der::Decode;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::PdfError;
use super::file::File;
use super::object::{Dictionary, Object};

/// The most fields looked at, all revisions together.
const MAX_FIELDS: usize = 50_000;
const MAX_FIELD_DEPTH: usize = 16;

/// The most transforms in a signature.
const MAX_REFERENCES: usize = 16;

/// A field of type Sig, whether signed or not.
pub(super) struct Field {
    pub(super) number: u32,
    /// Fully qualified (12.7.4.2).
    pub(super) name: String,
    pub(super) value: Option<Object>,
    /// The objects that show it: itself, or its kids.
    pub(super) widgets: Vec<u32>,
}

/// Finds the fields of type Sig; one count for all revisions.
#[derive(Default)]
pub(super) struct FieldReader {
    count: usize,
}

/// What a kid takes over from the fields above it (12.7.4.1).
#[derive(Clone, Default)]
struct Inherited {
    name: String,
    is_signature: bool,
    value: Option<Object>,
}

impl FieldReader {
    pub(super) fn fields(
        &mut self,
        file: &File<'_>,
        revision: usize,
    ) -> Result<Vec<Field>, PdfError> {
        let (_, catalog) = file.catalog(revision)?;
        let form = file.value(revision, &catalog, "AcroForm")?;
        let Some(form) = form.dictionary() else { return Ok(Vec::new()) };
        let roots = file.value(revision, form, "Fields")?;
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for root in roots.array().unwrap_or_default() {
            self.field(file, revision, root, &Inherited::default(), 0, &mut seen, &mut found)?;
        }
        Ok(found)
    }

    #[allow(clippy::too_many_arguments, reason = "one step of one recursion")]
    fn field(
        &mut self,
        file: &File<'_>,
        revision: usize,
        object: &Object,
        above: &Inherited,
        depth: usize,
        seen: &mut BTreeSet<u32>,
        found: &mut Vec<Field>,
    ) -> Result<(), PdfError> {
        self.count += 1;
        if self.count > MAX_FIELDS || depth > MAX_FIELD_DEPTH {
            return Err(PdfError::TooComplex);
        }
        // A field is an indirect object; what is none, or is named twice, no signature can stand in.
        let Some(id) = object.reference().filter(|id| seen.insert(id.number)) else {
            return Ok(());
        };
        let Object::Dictionary(dictionary) = file.resolve(revision, object)? else {
            return Ok(());
        };
        let mut here = above.clone();
        if let Some(kind) = dictionary.get("FT") {
            here.is_signature = file.resolve(revision, kind)?.name() == Some(b"Sig");
        }
        if let Some(name) = file.value(revision, &dictionary, "T")?.string() {
            if !here.name.is_empty() {
                here.name.push('.');
            }
            here.name.push_str(&text(name));
        }
        if let Some(value) = dictionary.get("V") {
            here.value = Some(value.clone());
        }
        let kids = file.value(revision, &dictionary, "Kids")?;
        let mut widgets = Vec::new();
        for kid in kids.array().unwrap_or_default() {
            let Some(kid_id) = kid.reference() else { continue };
            let resolved = file.resolve(revision, kid)?;
            if resolved.dictionary().is_some_and(|kid| kid.has("T") || kid.has("Kids")) {
                self.field(file, revision, kid, &here, depth + 1, seen, found)?;
            } else {
                self.count += 1;
                widgets.push(kid_id.number);
            }
        }
        if widgets.is_empty() && kids.array().is_none_or(<[_]>::is_empty) {
            widgets.push(id.number);
        }
        if here.is_signature && !widgets.is_empty() {
            let Inherited { name, value, .. } = here;
            found.push(Field { number: id.number, name, value, widgets });
        }
        Ok(())
    }
}

/// How the signature is made (12.8.3; ETSI EN 319 142-1, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `ETSI.CAdES.detached`.
    Cades,
    /// `adbe.pkcs7.detached`.
    Pkcs7,
    /// `ETSI.RFC3161`: a document time-stamp.
    TimeStamp,
}

/// A signature dictionary, of good form and placed as it should be.
pub(super) struct Signature {
    pub(super) form: Form,
    /// The revision it signs.
    pub(super) revision: usize,
    pub(super) before: Range<usize>,
    pub(super) after: Range<usize>,
    /// What Contents holds, without the filling.
    pub(super) contents: Vec<u8>,
    pub(super) claimed_at: Option<Timestamp>,
    pub(super) permissions: Permissions,
}

/// What a signature leaves to those who come after.
#[derive(Default)]
pub(super) struct Permissions {
    /// A certifying signature (12.8.2.2): 1 nothing, 2 forms, 3 annotations too.
    pub(super) changes: Option<i64>,
    /// Fields that stay as they are (12.8.2.4).
    locks: Vec<Lock>,
}

enum Lock {
    All,
    Include(Vec<String>),
    Exclude(Vec<String>),
}

impl Permissions {
    fn read(file: &File<'_>, revision: usize, dictionary: &Dictionary) -> Result<Self, PdfError> {
        let references = file.value(revision, dictionary, "Reference")?;
        let mut found = Self::default();
        for reference in references.array().unwrap_or_default().iter().take(MAX_REFERENCES) {
            let reference = file.resolve(revision, reference)?;
            let Some(reference) = reference.dictionary() else { continue };
            let parameters = file.value(revision, reference, "TransformParams")?;
            let nothing = Dictionary::default();
            let parameters = parameters.dictionary().unwrap_or(&nothing);
            if reference.is("TransformMethod", "DocMDP") {
                let value = parameters.get("P").and_then(Object::integer).unwrap_or(2);
                found.changes = Some(found.changes.unwrap_or(3).min(value));
            } else if reference.is("TransformMethod", "FieldMDP") {
                let fields = file.value(revision, parameters, "Fields")?;
                let names = fields.array().unwrap_or_default().iter().filter_map(Object::string);
                let names: Vec<_> = names.map(text).collect();
                found.locks.push(match parameters.name("Action") {
                    Some(b"Include") => Lock::Include(names),
                    Some(b"Exclude") => Lock::Exclude(names),
                    _ => Lock::All,
                });
            }
        }
        Ok(found)
    }

    pub(super) fn locks(&self, name: &str) -> bool {
        // A field with all that lies below it.
        let lists = |names: &[String]| {
            names.iter().any(|listed| {
                let below = name.strip_prefix(listed.as_str());
                below.is_some_and(|below| below.is_empty() || below.starts_with('.'))
            })
        };
        self.locks.iter().any(|lock| match lock {
            Lock::All => true,
            Lock::Include(names) => lists(names),
            Lock::Exclude(names) => !lists(names),
        })
    }
}

impl Signature {
    /// The bytes that are signed.
    pub(super) fn pieces<'a>(&self, file: &File<'a>) -> [&'a [u8]; 2] {
        let piece = |range: &Range<usize>| file.bytes.get(range.clone()).unwrap_or_default();
        [piece(&self.before), piece(&self.after)]
    }

    /// * `number`: of the signature dictionary, which stands at `offset`.
    pub(super) fn read(
        file: &File<'_>,
        revision: usize,
        number: u32,
    ) -> Result<(Self, usize), PdfError> {
        let wrong = PdfError::SignatureDictionary;
        let Some(found) = file.find(revision, number)? else { return Err(wrong) };
        let (Some(offset), Object::Dictionary(dictionary), None) =
            (found.offset, &found.object, &found.stream)
        else {
            return Err(wrong);
        };
        let form = form(dictionary)?;
        let is_time_stamp = dictionary.is("Type", "DocTimeStamp");
        let is_signature = dictionary.is("Type", "Sig") || !dictionary.has("Type");
        if (form == Form::TimeStamp && !is_time_stamp) || (form != Form::TimeStamp && !is_signature)
        {
            return Err(wrong);
        }

        // 12.8.1: pairs of offset and length. One gap only, and from the first byte on.
        let range = dictionary.get("ByteRange").and_then(Object::array).unwrap_or_default();
        let sizes: Vec<_> = range.iter().filter_map(Object::size).collect();
        let (&[0, gap, after, length], 4) = (&sizes[..], range.len()) else {
            return Err(PdfError::ByteRange);
        };
        let Some(end) = after.checked_add(length).filter(|end| *end <= file.bytes.len()) else {
            return Err(PdfError::ByteRange);
        };
        if gap >= after || length == 0 {
            return Err(PdfError::ByteRange);
        }
        // The gap is the value of Contents of this very dictionary, all of it and nothing else.
        if found.contents != Some(gap..after) {
            return Err(PdfError::Gap);
        }
        let hex = file.bytes.get(gap + 1..after - 1).unwrap_or_default();
        let edges = (file.bytes.get(gap), file.bytes.get(after - 1));
        if edges != (Some(&b'<'), Some(&b'>')) || !hex.iter().all(u8::is_ascii_hexdigit) {
            return Err(PdfError::Gap);
        }
        // To the end of the revision that the dictionary was written in.
        let covered = file.revision_at(offset);
        let revision = covered.and_then(|index| file.revisions.get(index).map(|it| (index, it)));
        let Some((revision, written)) = revision else { return Err(wrong) };
        if !(written.end..=written.end_with_line).contains(&end) {
            return Err(PdfError::RevisionNotCovered);
        }
        let contents = dictionary.get("Contents").and_then(Object::string).unwrap_or_default();
        let signature = Self {
            form,
            revision,
            before: 0..gap,
            after: after..end,
            contents: unfilled(contents)?.to_vec(),
            claimed_at: dictionary.get("M").and_then(Object::string).and_then(date),
            permissions: Permissions::read(file, revision, dictionary)?,
        };
        Ok((signature, offset))
    }
}

fn form(dictionary: &Dictionary) -> Result<Form, PdfError> {
    match dictionary.name("SubFilter") {
        Some(b"ETSI.CAdES.detached") => Ok(Form::Cades),
        Some(b"adbe.pkcs7.detached") => Ok(Form::Pkcs7),
        Some(b"ETSI.RFC3161") => Ok(Form::TimeStamp),
        Some(b"adbe.pkcs7.sha1") => Err(PdfError::SubFilter("adbe.pkcs7.sha1")),
        Some(b"adbe.x509.rsa_sha1") => Err(PdfError::SubFilter("adbe.x509.rsa_sha1")),
        Some(_) => Err(PdfError::SubFilter("other")),
        None => Err(PdfError::SignatureDictionary),
    }
}

/// The container without the zeros that fill the place left for it.
fn unfilled(contents: &[u8]) -> Result<&[u8], PdfError> {
    let wrong = PdfError::SignatureDictionary;
    let mut reader = der::SliceReader::new(contents).map_err(|_| wrong)?;
    let header = der::Header::decode(&mut reader).map_err(|_| wrong)?;
    let head = der::Encode::encoded_len(&header).and_then(|head| head + header.length());
    let size = head.ok().and_then(|size| usize::try_from(size).ok());
    let parts = size.and_then(|size| contents.split_at_checked(size));
    match parts {
        Some((container, filling)) if filling.iter().all(|byte| *byte == 0) => Ok(container),
        _ => Err(wrong),
    }
}

/// A text string (7.9.2), cut to what is printable and short: it is shown to people.
fn text(bytes: &[u8]) -> String {
    let text = if let Some(utf16) = bytes.strip_prefix(&[0xFE, 0xFF]) {
        let units: Vec<u16> =
            utf16.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    } else {
        let utf8 = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
        String::from_utf8_lossy(utf8).into_owned()
    };
    text.chars().filter(|character| !character.is_control()).take(64).collect()
}

/// `D:20210104201125+01'00'` (7.9.4), with all of it up to the seconds.
fn date(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_prefix("D:").unwrap_or(text);
    let (digits, zone) = text.split_at_checked(14)?;
    let local = DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    let number = |from: usize| zone.get(from..from + 2)?.parse::<i32>().ok();
    let seconds = match zone.as_bytes().first() {
        None | Some(b'Z') => 0,
        Some(b'+') => number(1)? * 3600 + number(4).unwrap_or(0) * 60,
        Some(b'-') => -(number(1)? * 3600 + number(4).unwrap_or(0) * 60),
        Some(_) => return None,
    };
    Offset::from_seconds(seconds).ok()?.to_timestamp(local).ok()
}
