//! Objects of a PDF (ISO 32000-2, 7.3), read strictly: what two programs might read in two ways is refused.
//!
//! Hand-written because a check of signatures needs what libraries do not tell: where in the file a value
//! stands, and that a dictionary names a key twice.

use std::collections::BTreeMap;
use std::ops::Range;

use super::PdfError;

/// Nested deeper than this is no document of anybody's.
const MAX_DEPTH: usize = 48;

/// The most values in one object.
const MAX_VALUES: usize = 500_000;

/// The number of an object, and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) number: u32,
    pub(super) generation: u16,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Object {
    Null,
    Boolean(bool),
    Integer(i64),
    /// As written: numbers are compared, never computed with.
    Real(Vec<u8>),
    String(Vec<u8>),
    Name(Vec<u8>),
    Array(Vec<Object>),
    Dictionary(Dictionary),
    Reference(Id),
}

/// Without repeated keys, and without keys whose value is null (which is the same as absent, 7.3.7).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Dictionary(BTreeMap<Vec<u8>, Object>);

/// `12 0 obj … endobj`, with places in the file.
pub(super) struct Indirect {
    pub(super) id: Id,
    pub(super) object: Object,
    /// The encoded data of a stream.
    pub(super) stream: Option<Range<usize>>,
    /// Where the value of `Contents` stands, in a dictionary that has one.
    pub(super) contents: Option<Range<usize>>,
    /// The first byte after `endobj`.
    pub(super) end: usize,
}

impl Object {
    pub(super) fn dictionary(&self) -> Option<&Dictionary> {
        if let Self::Dictionary(dictionary) = self { Some(dictionary) } else { None }
    }

    pub(super) fn array(&self) -> Option<&[Object]> {
        if let Self::Array(members) = self { Some(members) } else { None }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        if let Self::Integer(value) = self { Some(*value) } else { None }
    }

    /// An integer that says how many or where.
    pub(super) fn size(&self) -> Option<usize> {
        self.integer().and_then(|value| value.try_into().ok())
    }

    pub(super) fn name(&self) -> Option<&[u8]> {
        if let Self::Name(name) = self { Some(name) } else { None }
    }

    pub(super) fn string(&self) -> Option<&[u8]> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(super) fn reference(&self) -> Option<Id> {
        if let Self::Reference(id) = self { Some(*id) } else { None }
    }

    /// Calls `found` with every reference inside.
    pub(super) fn each_reference(&self, found: &mut impl FnMut(Id)) {
        match self {
            Self::Reference(id) => found(*id),
            Self::Array(members) => members.iter().for_each(|member| member.each_reference(found)),
            Self::Dictionary(dictionary) => {
                dictionary.0.values().for_each(|value| value.each_reference(found));
            }
            _ => {}
        }
    }
}

impl Dictionary {
    pub(super) fn get(&self, key: &str) -> Option<&Object> {
        self.0.get(key.as_bytes())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn name(&self, key: &str) -> Option<&[u8]> {
        self.get(key)?.name()
    }

    pub(super) fn is(&self, key: &str, name: &str) -> bool {
        self.name(key) == Some(name.as_bytes())
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Object> {
        self.0.values()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.0.keys().map(Vec::as_slice)
    }

    /// The keys whose values differ, or that only one of the two has.
    pub(super) fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a [u8]> {
        let changed = self.0.iter().filter(|(key, value)| other.0.get(*key) != Some(value));
        let added = other.0.keys().filter(|key| !self.0.contains_key(*key));
        changed.map(|(key, _)| key.as_slice()).chain(added.map(Vec::as_slice))
    }
}

/// Reads forwards; positions are those of the bytes it was given.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, values: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn is_finished(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn malformed<T>(&self) -> Result<T, PdfError> {
        Err(PdfError::Malformed { at: self.at })
    }

    /// White space alone (7.2.3).
    pub(super) fn skip_white(&mut self) {
        self.at += self.rest().iter().take_while(|byte| is_white(**byte)).count();
    }

    /// White space and comments.
    pub(super) fn skip(&mut self) {
        self.skip_white();
        while self.peek() == Some(b'%') {
            let line = self.rest().iter().take_while(|byte| !matches!(byte, b'\r' | b'\n'));
            self.at += line.count();
            self.skip_white();
        }
    }

    /// Reads `word` if it is next and no longer word begins with it.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let Some(after) = self.rest().strip_prefix(word.as_bytes()) else { return false };
        if after.first().is_some_and(|byte| is_regular(*byte)) {
            return false;
        }
        self.at += word.len();
        true
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), PdfError> {
        if self.take(word) { Ok(()) } else { self.malformed() }
    }

    /// One end of line, if it is next.
    pub(super) fn take_end_of_line(&mut self) {
        let rest = self.rest();
        self.at += match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => 0,
        };
    }

    /// Digits only.
    pub(super) fn number(&mut self) -> Result<u64, PdfError> {
        let word = self.word();
        let digits = word.iter().all(u8::is_ascii_digit) && !word.is_empty() && word.len() <= 18;
        let value = digits.then(|| std::str::from_utf8(word).ok()?.parse().ok()).flatten();
        let Some(value) = value else { return self.malformed() };
        self.at += word.len();
        Ok(value)
    }

    fn word(&self) -> &'a [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|byte| !is_regular(*byte)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// `12 0 obj`; comments before it are the caller's to skip.
    fn head(&mut self) -> Result<Id, PdfError> {
        let number = self.number()?;
        self.skip_white();
        let generation = self.number()?;
        self.skip_white();
        self.expect("obj")?;
        match (number.try_into(), generation.try_into()) {
            (Ok(number), Ok(generation)) => Ok(Id { number, generation }),
            _ => self.malformed(),
        }
    }

    /// An indirect object (7.3.10), a stream with its data (7.3.8).
    ///
    /// * `length`: finds the length of a stream that is given by reference.
    pub(super) fn indirect(
        &mut self,
        length: &dyn Fn(Id) -> Option<usize>,
    ) -> Result<Indirect, PdfError> {
        self.values = 0;
        let id = self.head()?;
        self.skip();
        let mut contents = None;
        let object = self.value(0, &mut contents)?;
        self.skip();
        let mut stream = None;
        if let Object::Dictionary(dictionary) = &object
            && self.take("stream")
        {
            match self.rest() {
                [b'\r', b'\n', ..] => self.at += 2,
                [b'\n', ..] => self.at += 1,
                _ => return self.malformed(),
            }
            let size = match dictionary.get("Length") {
                Some(Object::Reference(id)) => length(*id),
                Some(object) => object.size(),
                None => None,
            };
            let end = size.and_then(|size| self.at.checked_add(size));
            let Some(end) = end.filter(|end| *end <= self.bytes.len()) else {
                return self.malformed();
            };
            stream = Some(self.at..end);
            self.at = end;
            self.skip_white();
            self.expect("endstream")?;
            self.skip();
        }
        self.expect("endobj")?;
        Ok(Indirect { id, object, stream, contents, end: self.at })
    }

    /// A direct object, alone.
    pub(super) fn object(&mut self) -> Result<Object, PdfError> {
        self.values = 0;
        self.skip();
        self.value(0, &mut None)
    }

    fn value(
        &mut self,
        depth: usize,
        contents: &mut Option<Range<usize>>,
    ) -> Result<Object, PdfError> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err(PdfError::TooComplex);
        }
        match self.rest() {
            [b'/', ..] => self.name().map(Object::Name),
            [b'(', ..] => self.literal().map(Object::String),
            [b'<', b'<', ..] => self.dictionary(depth, contents).map(Object::Dictionary),
            [b'<', ..] => self.hexadecimal().map(Object::String),
            [b'[', ..] => self.members(depth).map(Object::Array),
            _ => self.plain(),
        }
    }

    fn dictionary(
        &mut self,
        depth: usize,
        contents: &mut Option<Range<usize>>,
    ) -> Result<Dictionary, PdfError> {
        self.at += 2;
        let mut found = BTreeMap::new();
        loop {
            self.skip();
            if self.rest().starts_with(b">>") {
                self.at += 2;
                found.retain(|_, value| *value != Object::Null);
                return Ok(Dictionary(found));
            }
            let key = self.name()?;
            self.skip();
            let start = self.at;
            let value = self.value(depth + 1, &mut None)?;
            if depth == 0 && key == b"Contents" {
                *contents = Some(start..self.at);
            }
            if found.insert(key, value).is_some() {
                return self.malformed();
            }
        }
    }

    fn members(&mut self, depth: usize) -> Result<Vec<Object>, PdfError> {
        self.at += 1;
        let mut found = Vec::new();
        loop {
            self.skip();
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(found);
            }
            found.push(self.value(depth + 1, &mut None)?);
        }
    }

    /// A name (7.3.5), `#20` and the like decoded.
    fn name(&mut self) -> Result<Vec<u8>, PdfError> {
        if self.peek() != Some(b'/') {
            return self.malformed();
        }
        self.at += 1;
        let word = self.word();
        let mut name = Vec::with_capacity(word.len());
        let mut bytes = word.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte != b'#' {
                name.push(byte);
                continue;
            }
            match (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit)) {
                (Some(high), Some(low)) => name.push(high << 4 | low),
                _ => return self.malformed(),
            }
        }
        self.at += word.len();
        Ok(name)
    }

    /// A string in parentheses (7.3.4.2).
    fn literal(&mut self) -> Result<Vec<u8>, PdfError> {
        let mut text = Vec::new();
        let mut open = 0usize;
        loop {
            let Some(byte) = self.peek() else { return self.malformed() };
            self.at += 1;
            match byte {
                b'(' => {
                    open += 1;
                    if open == 1 {
                        continue;
                    }
                }
                b')' => {
                    open -= 1;
                    if open == 0 {
                        return Ok(text);
                    }
                }
                b'\\' => {
                    self.escape(&mut text);
                    continue;
                }
                _ => {}
            }
            text.push(byte);
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) {
        let Some(byte) = self.peek() else { return };
        if matches!(byte, b'\r' | b'\n') {
            self.take_end_of_line();
            return;
        }
        if matches!(byte, b'0'..=b'7') {
            let octal = self.rest().iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7'));
            let (mut value, mut count) = (0u32, 0);
            for digit in octal {
                value = value * 8 + u32::from(digit - b'0');
                count += 1;
            }
            self.at += count;
            text.push((value & 0xFF) as u8); // 7.3.4.2: overflow is ignored
            return;
        }
        self.at += 1;
        text.push(match byte {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'f' => 12,
            other => other,
        });
    }

    /// A string in hexadecimal digits (7.3.4.3).
    fn hexadecimal(&mut self) -> Result<Vec<u8>, PdfError> {
        self.at += 1;
        let mut text = Vec::new();
        let mut half = None;
        loop {
            let Some(byte) = self.peek() else { return self.malformed() };
            if byte == b'>' {
                self.at += 1;
                text.extend(half.map(|high: u8| high << 4));
                return Ok(text);
            }
            if !is_white(byte) {
                let Some(digit) = hex_digit(byte) else { return self.malformed() };
                match half.take() {
                    None => half = Some(digit),
                    Some(high) => text.push(high << 4 | digit),
                }
            }
            self.at += 1;
        }
    }

    /// A number, a reference, or one of the three words.
    fn plain(&mut self) -> Result<Object, PdfError> {
        let word = self.word();
        let object = match word {
            b"true" => Object::Boolean(true),
            b"false" => Object::Boolean(false),
            b"null" => Object::Null,
            _ => {
                let digits = word.strip_prefix(b"-").or(word.strip_prefix(b"+")).unwrap_or(word);
                let points = digits.iter().filter(|byte| **byte == b'.').count();
                let is_number = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
                    && digits.len() > points
                    && points <= 1
                    && digits.len() <= 64;
                if !is_number {
                    return self.malformed();
                }
                if points == 1 {
                    Object::Real(word.to_vec())
                } else {
                    let text = std::str::from_utf8(word).unwrap_or_default();
                    let Ok(value) = text.parse() else { return self.malformed() };
                    self.at += word.len();
                    return Ok(self.reference(value).unwrap_or(Object::Integer(value)));
                }
            }
        };
        self.at += word.len();
        Ok(object)
    }

    /// `0 R` after a number, which then is that of an object.
    fn reference(&mut self, number: i64) -> Option<Object> {
        let number = u32::try_from(number).ok()?;
        let mut ahead = Self::at(self.bytes, self.at);
        ahead.skip();
        let generation = u16::try_from(ahead.number().ok()?).ok()?;
        ahead.skip();
        if !ahead.take("R") {
            return None;
        }
        self.at = ahead.at;
        Some(Object::Reference(Id { number, generation }))
    }
}

/// 7.2.3, table 1.
fn is_white(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\n' | 12 | b'\r' | b' ')
}

/// 7.2.3: neither white space nor one of table 2.
fn is_regular(byte: u8) -> bool {
    let delimits =
        matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%');
    !delimits && !is_white(byte)
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}
