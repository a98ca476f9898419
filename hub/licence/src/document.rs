use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use jiff::civil::{Date, date};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::json::{self, JsonError, Limits, Members, Node};
use crate::{
    CodeError, HolderId, HolderKind, IssuerId, LicenceId, LicenceTypeCode, ProjectCode, RegionCode,
    Sha256Digest,
};

/// The longest document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 256 << 10;
/// Objects and arrays inside each other, the document itself included.
pub const MAX_DOCUMENT_DEPTH: usize = 32;
/// Holders of one licence.
pub const MAX_HOLDERS: usize = 64;
/// Files of one licence.
const MAX_FILES: usize = 64;

/// How some counterparts write "without end".
const OPEN_END: Date = date(2099, 12, 31);

/// A licence 电子证照: the content of the signed document, format `yihao-licence-1`.
///
/// The signed bytes are kept as they came; [`to_bytes`](Self::to_bytes) is for whoever issues.
/// Metadata elements and their names: GB/T 36903.
#[derive(Clone, PartialEq)]
pub struct Licence {
    /// ZZBS 证照标识.
    pub identifier: LicenceId,
    /// ZZMC 证照名称.
    pub name: String,
    /// ZZLXDM 证照类型代码.
    pub licence_type: LicenceTypeCode,
    /// ZZBH 证照编号.
    pub number: String,
    /// ZZBFJG 颁发机构.
    pub issuer_name: String,
    /// ZZBFJGDM 颁发机构代码.
    pub issuer: IssuerId,
    /// ZZBFRQ 颁发日期.
    pub issued_on: Date,
    /// CZZT 持证主体, 1 to 64.
    pub holders: Vec<Holder>,
    /// ZZYXQQSRQ 有效期起始.
    pub valid_from: Option<Date>,
    /// ZZYXQJZRQ 有效期截止, the last day; `None` is without end, also written 2099-12-31.
    pub valid_to: Option<Date>,
    /// XZQHDM 行政区划代码.
    pub region: Option<RegionCode>,
    /// XMDM 投资项目统一代码.
    pub project: Option<ProjectCode>,
    /// GLZZBS 关联证照标识: the licence that this one renews, changes or takes over.
    pub predecessor: Option<LicenceId>,
    /// The face fields of the licence type.
    pub fields: Map<String, Value>,
    /// Files that belong to the licence, by digest.
    pub files: Vec<FileRef>,
}

/// One holder of a licence.
#[derive(Clone, PartialEq, Eq)]
pub struct Holder {
    /// CZZT: the name.
    pub name: String,
    /// CZZTDM and CZZTDMLXDM.
    pub id: HolderId,
}

/// A file that belongs to a licence; the signature covers its digest.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct FileRef {
    /// A file name without a folder, unique within the licence.
    pub name: String,
    /// `type/subtype`.
    pub media_type: String,
    /// Of the content.
    pub sha256: Sha256Digest,
    /// Of the content, in bytes.
    pub size: u64,
}

/// Whether a day lies in a licence's validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Validity {
    /// It does.
    Ok,
    /// Before the first day.
    NotYet,
    /// After the last day.
    Expired,
}

/// Shows which licence it is, nothing of its content.
impl fmt::Debug for Licence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Licence").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

/// Shows the kind of the holder's number.
impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holder").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Shows the digest; a file's name may name a person.
impl fmt::Debug for FileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRef").field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

/// Why bytes are not a licence. `element` is the GB/T 36903 name, or a path into the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LicenceError {
    /// Not JSON as this crate takes it.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON, but not an object.
    #[error("the document is not a JSON object")]
    NotAnObject,
    /// Not `yihao-licence-1`.
    #[error("the document is not of format yihao-licence-1")]
    Format,
    /// An element is missing.
    #[error("{element} is missing")]
    Missing {
        /// Which.
        element: &'static str,
    },
    /// An element that the format does not have.
    #[error("the document, a holder or a file has an element that the format does not have")]
    UnknownElement,
    /// An element of another JSON type.
    #[error("{element} has the wrong JSON type")]
    Shape {
        /// Which.
        element: &'static str,
    },
    /// A code that is not well formed.
    #[error("{element}: {cause}")]
    Code {
        /// Which.
        element: &'static str,
        /// What is wrong with it.
        cause: CodeError,
    },
    /// Not `YYYY-MM-DD`, or no such day.
    #[error("{element} is not a date YYYY-MM-DD")]
    Date {
        /// Which.
        element: &'static str,
    },
    /// Empty, too long, or with control characters.
    #[error("{element} is not 1 to {limit} printable characters")]
    Text {
        /// Which.
        element: &'static str,
        /// Characters allowed.
        limit: usize,
    },
    /// The identifier names another licence type than ZZLXDM.
    #[error("ZZBS names another licence type than ZZLXDM")]
    TypeDisagrees,
    /// The identifier names another issuer than ZZBFJGDM.
    #[error("ZZBS names another issuer than ZZBFJGDM")]
    IssuerDisagrees,
    /// The predecessor is the licence itself.
    #[error("GLZZBS names the licence itself")]
    PredecessorIsItself,
    /// No holder, or more than 64.
    #[error("a licence has 1 to 64 holders")]
    HolderCount,
    /// One holder twice.
    #[error("one holder is named twice")]
    DuplicateHolder,
    /// The validity ends before it starts.
    #[error("the validity ends before it starts")]
    ValidityReversed,
    /// More than 64 files.
    #[error("a licence has at most 64 files")]
    FileCount,
    /// Two files of one name.
    #[error("two files have one name")]
    DuplicateFile,
    /// A file name with a folder in it.
    #[error("a file name is not a plain name")]
    FileName,
    /// Not `type/subtype`.
    #[error("a media type is not of the form type/subtype")]
    MediaType,
}

impl LicenceError {
    /// Stable name of the cause; part of the public interface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::NotAnObject => "not_an_object",
            Self::Format => "wrong_format",
            Self::Missing { .. } => "element_missing",
            Self::UnknownElement => "element_unknown",
            Self::Shape { .. } => "element_wrong_shape",
            Self::Code { cause, .. } => cause.code(),
            Self::Date { .. } => "no_such_date",
            Self::Text { .. } => "text_not_usable",
            Self::TypeDisagrees => "identifier_type_disagrees",
            Self::IssuerDisagrees => "identifier_issuer_disagrees",
            Self::PredecessorIsItself => "predecessor_is_itself",
            Self::HolderCount => "holder_count",
            Self::DuplicateHolder => "holder_named_twice",
            Self::ValidityReversed => "validity_reversed",
            Self::FileCount => "file_count",
            Self::DuplicateFile => "file_named_twice",
            Self::FileName => "file_name_not_plain",
            Self::MediaType => "media_type_malformed",
        }
    }
}

impl Licence {
    /// The format of the document.
    pub const FORMAT: &'static str = "yihao-licence-1";

    /// Reads a document strictly: nothing is skipped, repaired or guessed.
    ///
    /// # Errors
    /// See [`LicenceError`]; the first cause found.
    pub fn parse(bytes: &[u8]) -> Result<Self, LicenceError> {
        const LIMITS: Limits = Limits { bytes: MAX_DOCUMENT_BYTES, depth: MAX_DOCUMENT_DEPTH };
        let Node::Object(document) = json::parse_node(bytes, LIMITS)? else {
            return Err(LicenceError::NotAnObject);
        };
        let mut document = Elements(document);
        if document.text("format")? != Self::FORMAT {
            return Err(LicenceError::Format);
        }
        let licence = Self {
            identifier: document.code("ZZBS")?,
            name: document.text("ZZMC")?.into_owned(),
            licence_type: document.code("ZZLXDM")?,
            number: document.text("ZZBH")?.into_owned(),
            issuer_name: document.text("ZZBFJG")?.into_owned(),
            issuer: document.code("ZZBFJGDM")?,
            issued_on: document.date("ZZBFRQ")?,
            holders: document
                .list("holders")?
                .into_iter()
                .map(Holder::read)
                .collect::<Result<_, _>>()?,
            valid_from: document.optional("ZZYXQQSRQ", Elements::date)?,
            valid_to: document
                .optional("ZZYXQJZRQ", Elements::date)?
                .filter(|day| *day != OPEN_END),
            region: document.optional("XZQHDM", Elements::code)?,
            project: document.optional("XMDM", Elements::code)?,
            predecessor: document.optional("GLZZBS", Elements::code)?,
            fields: document.object("fields")?,
            files: match document.optional("files", Elements::list)? {
                Some(files) => files.into_iter().map(FileRef::read).collect::<Result<_, _>>()?,
                None => Vec::new(),
            },
        };
        document.end()?;
        licence.check()?;
        Ok(licence)
    }

    /// The rules that hold between the elements; whoever puts a licence together by hand asks here
    /// whether it could be parsed back.
    ///
    /// # Errors
    /// Those variants of [`LicenceError`] that are not about JSON.
    pub fn check(&self) -> Result<(), LicenceError> {
        printable("ZZMC", &self.name, 256)?;
        printable("ZZBH", &self.number, 128)?;
        printable("ZZBFJG", &self.issuer_name, 256)?;
        if self.identifier.licence_type() != self.licence_type {
            return Err(LicenceError::TypeDisagrees);
        }
        if !self.identifier.agrees_with_issuer(&self.issuer) {
            return Err(LicenceError::IssuerDisagrees);
        }
        if self.predecessor.as_ref() == Some(&self.identifier) {
            return Err(LicenceError::PredecessorIsItself);
        }
        if self.holders.is_empty() || self.holders.len() > MAX_HOLDERS {
            return Err(LicenceError::HolderCount);
        }
        let mut seen = HashSet::new();
        for holder in &self.holders {
            printable("holders/CZZT", &holder.name, 256)?;
            if !seen.insert(&holder.id) {
                return Err(LicenceError::DuplicateHolder);
            }
        }
        if matches!((self.valid_from, self.valid_to), (Some(from), Some(to)) if from > to) {
            return Err(LicenceError::ValidityReversed);
        }
        self.check_files()
    }

    /// One line of JSON that [`parse`](Self::parse) reads back.
    pub fn to_bytes(&self) -> Vec<u8> {
        json::to_line(&Wire {
            format: Self::FORMAT,
            identifier: &self.identifier,
            name: &self.name,
            licence_type: &self.licence_type,
            number: &self.number,
            issuer_name: &self.issuer_name,
            issuer: &self.issuer,
            issued_on: self.issued_on,
            holders: self
                .holders
                .iter()
                .map(|holder| WireHolder {
                    name: &holder.name,
                    number: holder.id.number(),
                    kind: holder.id.kind(),
                })
                .collect(),
            valid_from: self.valid_from,
            valid_to: self.valid_to,
            region: self.region,
            project: self.project,
            predecessor: self.predecessor.as_ref(),
            fields: &self.fields,
            files: &self.files,
        })
    }

    /// Whether `day` lies in the validity; its last day included.
    pub fn valid_on(&self, day: Date) -> Validity {
        if self.valid_from.is_some_and(|from| day < from) {
            Validity::NotYet
        } else if self.valid_to.is_some_and(|to| day > to) {
            Validity::Expired
        } else {
            Validity::Ok
        }
    }

    fn check_files(&self) -> Result<(), LicenceError> {
        if self.files.len() > MAX_FILES {
            return Err(LicenceError::FileCount);
        }
        let mut names = HashSet::new();
        for file in &self.files {
            printable("files/name", &file.name, 200)?;
            if file.name.contains(['/', '\\', ':']) || file.name.starts_with('.') {
                return Err(LicenceError::FileName);
            }
            if !is_media_type(&file.media_type) {
                return Err(LicenceError::MediaType);
            }
            if !names.insert(&file.name) {
                return Err(LicenceError::DuplicateFile);
            }
        }
        Ok(())
    }
}

impl Holder {
    fn read(node: Node<'_>) -> Result<Self, LicenceError> {
        let mut elements = Elements::of("holders", node)?;
        let name = elements.text_as("CZZT", "holders/CZZT")?.into_owned();
        let number = elements.text_as("CZZTDM", "holders/CZZTDM")?;
        let kind = elements.text_as("CZZTDMLXDM", "holders/CZZTDMLXDM")?;
        elements.end()?;
        let kind = kind
            .parse()
            .map_err(|cause| LicenceError::Code { element: "holders/CZZTDMLXDM", cause })?;
        let id = HolderId::parse(kind, &number)
            .map_err(|cause| LicenceError::Code { element: "holders/CZZTDM", cause })?;
        Ok(Self { name, id })
    }
}

impl FileRef {
    fn read(node: Node<'_>) -> Result<Self, LicenceError> {
        let mut elements = Elements::of("files", node)?;
        let name = elements.text_as("name", "files/name")?.into_owned();
        let media_type = elements.text_as("media_type", "files/media_type")?.into_owned();
        let sha256 = elements.text_as("sha256", "files/sha256")?;
        let size = elements.take("size", "files/size")?;
        elements.end()?;
        let sha256 = sha256
            .parse()
            .map_err(|cause| LicenceError::Code { element: "files/sha256", cause })?;
        let size = if let Node::Number(number) = size { number.as_u64() } else { None };
        let size = size.ok_or(LicenceError::Shape { element: "files/size" })?;
        Ok(Self { name, media_type, sha256, size })
    }
}

/// What is left of an object while it is being read.
struct Elements<'a>(Members<'a>);

impl<'a> Elements<'a> {
    fn of(element: &'static str, node: Node<'a>) -> Result<Self, LicenceError> {
        match node {
            Node::Object(members) => Ok(Self(members)),
            _ => Err(LicenceError::Shape { element }),
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.0.iter().position(|(member, _)| member == key)
    }

    /// Takes the value of `key` out; errors call it `element`.
    fn take(&mut self, key: &'static str, element: &'static str) -> Result<Node<'a>, LicenceError> {
        let position = self.position(key).ok_or(LicenceError::Missing { element })?;
        Ok(self.0.swap_remove(position).1)
    }

    fn text_as(
        &mut self,
        key: &'static str,
        element: &'static str,
    ) -> Result<Cow<'a, str>, LicenceError> {
        match self.take(key, element)? {
            Node::Text(text) => Ok(text),
            _ => Err(LicenceError::Shape { element }),
        }
    }

    fn text(&mut self, element: &'static str) -> Result<Cow<'a, str>, LicenceError> {
        self.text_as(element, element)
    }

    fn code<T: std::str::FromStr<Err = CodeError>>(
        &mut self,
        element: &'static str,
    ) -> Result<T, LicenceError> {
        self.text(element)?.parse().map_err(|cause| LicenceError::Code { element, cause })
    }

    /// Ten characters: jiff alone would read more than `YYYY-MM-DD`.
    fn date(&mut self, element: &'static str) -> Result<Date, LicenceError> {
        let text = self.text(element)?;
        let is_plain = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let day = text.parse::<Date>().ok().filter(|day| is_plain && day.year() >= 1);
        day.ok_or(LicenceError::Date { element })
    }

    fn list(&mut self, element: &'static str) -> Result<Vec<Node<'a>>, LicenceError> {
        match self.take(element, element)? {
            Node::List(nodes) => Ok(nodes),
            _ => Err(LicenceError::Shape { element }),
        }
    }

    fn object(&mut self, element: &'static str) -> Result<Map<String, Value>, LicenceError> {
        match self.take(element, element)? {
            Node::Object(members) => Ok(json::as_map(members)),
            _ => Err(LicenceError::Shape { element }),
        }
    }

    fn optional<T>(
        &mut self,
        element: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Result<T, LicenceError>,
    ) -> Result<Option<T>, LicenceError> {
        match self.position(element) {
            Some(_) => read(self, element).map(Some),
            None => Ok(None),
        }
    }

    fn end(self) -> Result<(), LicenceError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(LicenceError::UnknownElement),
        }
    }
}

/// The document, element by element in the order of the format.
#[derive(Serialize)]
struct Wire<'a> {
    format: &'a str,
    #[serde(rename = "ZZBS")]
    identifier: &'a LicenceId,
    #[serde(rename = "ZZMC")]
    name: &'a str,
    #[serde(rename = "ZZLXDM")]
    licence_type: &'a LicenceTypeCode,
    #[serde(rename = "ZZBH")]
    number: &'a str,
    #[serde(rename = "ZZBFJG")]
    issuer_name: &'a str,
    #[serde(rename = "ZZBFJGDM")]
    issuer: &'a IssuerId,
    #[serde(rename = "ZZBFRQ")]
    issued_on: Date,
    holders: Vec<WireHolder<'a>>,
    #[serde(rename = "ZZYXQQSRQ", skip_serializing_if = "Option::is_none")]
    valid_from: Option<Date>,
    #[serde(rename = "ZZYXQJZRQ", skip_serializing_if = "Option::is_none")]
    valid_to: Option<Date>,
    #[serde(rename = "XZQHDM", skip_serializing_if = "Option::is_none")]
    region: Option<RegionCode>,
    #[serde(rename = "XMDM", skip_serializing_if = "Option::is_none")]
    project: Option<ProjectCode>,
    #[serde(rename = "GLZZBS", skip_serializing_if = "Option::is_none")]
    predecessor: Option<&'a LicenceId>,
    fields: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "<[FileRef]>::is_empty")]
    files: &'a [FileRef],
}

#[derive(Serialize)]
struct WireHolder<'a> {
    #[serde(rename = "CZZT")]
    name: &'a str,
    #[serde(rename = "CZZTDM")]
    number: &'a str,
    #[serde(rename = "CZZTDMLXDM")]
    kind: HolderKind,
}

/// Something to read, no control characters, at most `limit` characters.
fn printable(element: &'static str, text: &str, limit: usize) -> Result<(), LicenceError> {
    let fits = !text.trim().is_empty()
        && text.chars().count() <= limit
        && !text.contains(char::is_control);
    if fits { Ok(()) } else { Err(LicenceError::Text { element, limit }) }
}

/// RFC 6838, 4.2, without parameters.
fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=63).contains(&name.len())
            && name.as_bytes()[0].is_ascii_alphanumeric()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}
