//! XML as OFD uses it: elements, attributes, text. No document types, no entities, no other encoding
//! than UTF-8, bounded in size, depth and number.

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, errors::Error};

use super::OfdError;

/// The largest part that is read as XML.
pub(super) const MAX_XML_BYTES: u64 = 1024 * 1024;

const MAX_DEPTH: usize = 32;
const MAX_ELEMENTS: usize = 32_768;
const MAX_ATTRIBUTES: usize = 32;

/// An element; names without prefix. GB/T 33190 has one namespace, and no element of another that would
/// bear the same name.
#[derive(Default)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The text directly inside, without space around.
    pub(super) fn text(&self) -> &str {
        self.text.trim()
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The child of this name; there may be none, but not two. `part` is where it is written.
    pub(super) fn optional<'a>(
        &'a self,
        name: &'a str,
        part: &str,
    ) -> Result<Option<&'a Element>, OfdError> {
        let mut found = self.all(name);
        let first = found.next();
        match found.next() {
            None => Ok(first),
            Some(_) => Err(OfdError::Structure { part: part.to_owned() }),
        }
    }

    /// The child of this name; there must be exactly one.
    pub(super) fn one<'a>(&'a self, name: &'a str, part: &str) -> Result<&'a Element, OfdError> {
        let missing = || OfdError::Structure { part: part.to_owned() };
        self.optional(name, part)?.ok_or_else(missing)
    }
}

/// Reads the `part` whose bytes are given.
pub(super) fn read(part: &str, bytes: &[u8]) -> Result<Element, OfdError> {
    let part = || part.to_owned();
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(text).map_err(|_| OfdError::XmlEncoding { part: part() })?;
    let malformed = || OfdError::Xml { part: part() };
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|_| malformed())?;
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                elements += 1;
                if open.len() >= MAX_DEPTH || elements > MAX_ELEMENTS {
                    return Err(OfdError::XmlLimit { part: part() });
                }
                if open.is_empty() && root.is_some() {
                    return Err(malformed());
                }
                let element = element(&tag, &part)?;
                if is_empty {
                    close(element, &mut open, &mut root);
                } else {
                    open.push(element);
                }
            }
            Event::End(_) => {
                let element = open.pop().ok_or_else(malformed)?;
                close(element, &mut open, &mut root);
            }
            Event::Text(text) => add(&mut open, &text.xml10_content()).ok_or_else(malformed)?,
            Event::CData(text) => add(&mut open, &text.xml10_content()).ok_or_else(malformed)?,
            Event::GeneralRef(reference) => {
                let symbol = match reference.resolve_char_ref().map_err(|_| malformed())? {
                    Some(symbol) => symbol.to_string(),
                    None => resolve_predefined_entity(&reference)
                        .ok_or_else(|| OfdError::XmlEntity { part: part() })?
                        .to_owned(),
                };
                let inside = open.last_mut().ok_or_else(malformed)?;
                inside.text.push_str(&symbol);
            }
            Event::Decl(declaration) => {
                if let Some(encoding) = declaration.encoding() {
                    let encoding = encoding.map_err(|_| malformed())?;
                    if !encoding.eq_ignore_ascii_case("utf-8") {
                        return Err(OfdError::XmlEncoding { part: part() });
                    }
                }
            }
            Event::DocType(_) => return Err(OfdError::XmlDoctype { part: part() }),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    if !open.is_empty() {
        return Err(malformed());
    }
    root.ok_or_else(malformed)
}

fn element(tag: &BytesStart<'_>, part: &dyn Fn() -> String) -> Result<Element, OfdError> {
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| OfdError::Xml { part: part() })?;
        if attributes.len() >= MAX_ATTRIBUTES {
            return Err(OfdError::XmlLimit { part: part() });
        }
        let value = match attribute.normalized_value(XmlVersion::Implicit1_0) {
            Ok(value) => value.into_owned(),
            Err(Error::Escape(_)) => return Err(OfdError::XmlEntity { part: part() }),
            Err(_) => return Err(OfdError::Xml { part: part() }),
        };
        attributes.push((attribute.key.local_name().as_ref().to_owned(), value));
    }
    let name = tag.local_name().as_ref().to_owned();
    Ok(Element { name, attributes, ..Element::default() })
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

/// Text outside of the root is allowed only if it is space.
fn add(open: &mut [Element], text: &str) -> Option<()> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return None,
    }
    Some(())
}
