//! Strict JSON: what every document from outside must pass before its content is looked at.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// How much of a stranger's JSON is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Whole document, in bytes.
    pub bytes: usize,
    /// Arrays and objects inside each other; the document itself is 1.
    pub depth: usize,
}

/// For catalogues and lists of matters, which the operator provides.
pub(crate) const CONFIGURATION: Limits = Limits { bytes: 64 << 20, depth: 64 };

/// Why bytes are not JSON as this crate takes it. Positions are byte offsets from 0, or line and
/// column from 1; no content is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Nothing, or nothing but white space.
    #[error("the document is empty")]
    Empty,
    /// Longer than the limit, in bytes.
    #[error("the document is longer than {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// It starts with a byte order mark (of UTF-8 or UTF-16).
    #[error("the document starts with a byte order mark")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("the document is not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// First byte that is not part of UTF-8.
        offset: usize,
    },
    /// A NUL, as a byte or escaped.
    #[error("NUL at byte {offset}")]
    Nul {
        /// Where it, or its escape, starts.
        offset: usize,
    },
    /// An escaped half of a surrogate pair without the other.
    #[error("half a surrogate pair at byte {offset}")]
    LoneSurrogate {
        /// Where the escape starts.
        offset: usize,
    },
    /// Arrays and objects nested deeper than allowed.
    #[error("nested deeper than {limit}")]
    TooDeep {
        /// Levels allowed.
        limit: usize,
    },
    /// A key twice in one object.
    #[error("a key occurs twice in one object, line {line} column {column}")]
    DuplicateKey {
        /// Line from 1.
        line: usize,
        /// Column from 1.
        column: usize,
    },
    /// A whole number beyond 64 bits, which readers would round, or a number without finite value.
    #[error("a number at byte {offset} is out of range")]
    NumberRange {
        /// Where it starts.
        offset: usize,
    },
    /// It ends before it is complete.
    #[error("the document is cut off")]
    Truncated,
    /// Something follows the document.
    #[error("something follows the end of the document")]
    TrailingBytes,
    /// Not JSON.
    #[error("not JSON, line {line} column {column}")]
    Syntax {
        /// Line from 1.
        line: usize,
        /// Column from 1.
        column: usize,
    },
}

impl JsonError {
    /// Stable name of the cause; part of the public interface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "json_empty",
            Self::TooLarge { .. } => "json_too_large",
            Self::ByteOrderMark => "json_byte_order_mark",
            Self::NotUtf8 { .. } => "json_not_utf8",
            Self::Nul { .. } => "json_nul",
            Self::LoneSurrogate { .. } => "json_lone_surrogate",
            Self::TooDeep { .. } => "json_too_deep",
            Self::DuplicateKey { .. } => "json_duplicate_key",
            Self::NumberRange { .. } => "json_number_range",
            Self::Truncated => "json_truncated",
            Self::TrailingBytes => "json_trailing_bytes",
            Self::Syntax { .. } => "json_syntax",
        }
    }
}

/// A JSON value whose texts are lent from the bytes it was read from, as far as they stand there unescaped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Node<'a>>),
    /// An object.
    Object(Members<'a>),
}

/// The members of an object in the order they stand there, no key twice.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

impl From<Node<'_>> for Value {
    fn from(node: Node<'_>) -> Self {
        match node {
            Node::Null => Self::Null,
            Node::Bool(value) => Self::Bool(value),
            Node::Number(number) => Self::Number(number),
            Node::Text(text) => Self::String(text.into_owned()),
            Node::List(nodes) => Self::Array(nodes.into_iter().map(Self::from).collect()),
            Node::Object(members) => Self::Object(as_map(members)),
        }
    }
}

/// Members as a map of their own.
pub(crate) fn as_map(members: Members<'_>) -> Map<String, Value> {
    members.into_iter().map(|(key, node)| (key.into_owned(), node.into())).collect()
}

/// Reads one JSON value, refusing what two readers could understand in two ways.
pub(crate) fn parse(bytes: &[u8], limits: Limits) -> Result<Value, JsonError> {
    parse_node(bytes, limits).map(Value::from)
}

/// As [`parse`], without copying texts.
pub(crate) fn parse_node(bytes: &[u8], limits: Limits) -> Result<Node<'_>, JsonError> {
    if bytes.len() > limits.bytes {
        return Err(JsonError::TooLarge { limit: limits.bytes });
    }
    if [&b"\xEF\xBB\xBF"[..], b"\xFE\xFF", b"\xFF\xFE"].iter().any(|mark| bytes.starts_with(mark)) {
        return Err(JsonError::ByteOrderMark);
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| JsonError::NotUtf8 { offset: error.valid_up_to() })?;
    if text.trim_ascii().is_empty() {
        return Err(JsonError::Empty);
    }
    scan(text, limits.depth)?;

    let duplicate = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_str(text);
    let node = Strict { duplicate: &duplicate }.deserialize(&mut reader).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        if duplicate.get() {
            JsonError::DuplicateKey { line, column }
        } else if error.is_eof() {
            JsonError::Truncated
        } else {
            JsonError::Syntax { line, column }
        }
    })?;
    reader.end().map_err(|_| JsonError::TrailingBytes)?;
    Ok(node)
}

/// One pass over the text before anything recurses: depth, NUL, surrogates, size of numbers. Does
/// not check syntax.
fn scan(text: &str, max_depth: usize) -> Result<(), JsonError> {
    let bytes = text.as_bytes();
    let (mut depth, mut in_string, mut at) = (0usize, false, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            0 => return Err(JsonError::Nul { offset: at }),
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                at += escape(bytes, at)?;
                continue;
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > max_depth {
                    return Err(JsonError::TooDeep { limit: max_depth });
                }
            }
            b'-' | b'0'..=b'9' if !in_string => {
                at += number(text, at)?;
                continue;
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// The length of the number at `at`; a malformed one is left to the parser.
fn number(text: &str, at: usize) -> Result<usize, JsonError> {
    let rest = &text[at..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c)));
    let number = &rest[..end.unwrap_or(rest.len())];
    let digits = number.strip_prefix('-').unwrap_or(number);
    let fits = if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        number.parse::<f64>().map_or(true, f64::is_finite)
    } else {
        number.parse::<u64>().is_ok() || number.parse::<i64>().is_ok()
    };
    match fits {
        true => Ok(number.len()),
        false => Err(JsonError::NumberRange { offset: at }),
    }
}

/// The length of the escape at `at`; a malformed one is left to the parser.
fn escape(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    match code_unit(bytes, at) {
        None => Ok(2),
        Some(0) => Err(JsonError::Nul { offset: at }),
        Some(0xD800..=0xDBFF) => match code_unit(bytes, at + 6) {
            Some(0xDC00..=0xDFFF) => Ok(12),
            _ => Err(JsonError::LoneSurrogate { offset: at }),
        },
        Some(0xDC00..=0xDFFF) => Err(JsonError::LoneSurrogate { offset: at }),
        Some(_) => Ok(6),
    }
}

/// The value of `\uXXXX` at `at`.
fn code_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits
        .iter()
        .try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)? as u16))
}

/// Builds a [`Node`], refusing a key that occurs twice in one object.
#[derive(Clone, Copy)]
struct Strict<'a> {
    duplicate: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node<'de>, E> {
        Number::from_f64(value).map(Node::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element_seed(self)? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node<'de>, A::Error> {
        let mut members = Members::with_capacity(MEMBERS);
        // Of an object with many members, so that a stranger's does not take the square of their number.
        let mut keys: HashSet<Cow<'de, str>> = HashSet::new();
        while let Some(Key(key)) = entries.next_key()? {
            let seen = if members.len() < MANY_MEMBERS {
                members.iter().any(|(member, _)| *member == key)
            } else {
                if keys.is_empty() {
                    keys.extend(members.iter().map(|(member, _)| member.clone()));
                }
                !keys.insert(key.clone())
            };
            if seen {
                self.duplicate.set(true);
                return Err(A::Error::custom("duplicate key"));
            }
            members.push((key, entries.next_value_seed(self)?));
        }
        Ok(Node::Object(members))
    }
}

/// Members that an object has room for at once.
const MEMBERS: usize = 8;
/// From so many members on, keys are looked up in a set.
const MANY_MEMBERS: usize = 32;

/// The key of a member.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// One line of JSON, keys as declared. For types whose keys are texts: that cannot fail.
pub(crate) fn to_line(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("keys are texts and numbers are finite")
}
