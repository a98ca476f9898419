//! Reading and writing DER values one at a time, where the original bytes matter: signatures cover
//! bytes, and a container must carry certificates as they came. Strict DER by the `der` crate.

use const_oid::ObjectIdentifier;
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Header, Length, Reader, SliceReader, Tag, TagNumber};
use spki::AlgorithmIdentifierRef;

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;

/// The tag byte of `[number]`, constructed.
pub(crate) const fn context(number: u8) -> u8 {
    0xA0 | number
}

/// An extension of a certificate, list, request or answer.
pub(crate) struct ExtensionRef<'a> {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) critical: bool,
    /// The octets of extnValue.
    pub(crate) value: &'a [u8],
}

/// Reads the members of a constructed value in order.
pub(crate) struct Members<'a>(SliceReader<'a>);

impl<'a> Members<'a> {
    pub(crate) fn of(value: &'a [u8]) -> der::Result<Self> {
        SliceReader::new(value).map(Self)
    }

    /// The members of the one SEQUENCE that `bytes` are.
    pub(crate) fn of_sequence(bytes: &'a [u8]) -> der::Result<Self> {
        let any = AnyRef::from_der(bytes)?;
        any.header().tag().assert_eq(Tag::Sequence)?;
        Self::of(any.value())
    }

    pub(crate) fn next(&mut self) -> der::Result<AnyRef<'a>> {
        AnyRef::decode(&mut self.0)
    }

    pub(crate) fn next_as(&mut self, tag: Tag) -> der::Result<&'a [u8]> {
        let any = self.next()?;
        any.header().tag().assert_eq(tag)?;
        Ok(any.value())
    }

    /// The next member with its tag and length.
    pub(crate) fn next_bytes(&mut self) -> der::Result<&'a [u8]> {
        self.0.tlv_bytes()
    }

    pub(crate) fn next_sequence(&mut self) -> der::Result<Self> {
        Self::of(self.next_as(Tag::Sequence)?)
    }

    pub(crate) fn next_oid(&mut self) -> der::Result<ObjectIdentifier> {
        ObjectIdentifier::decode(&mut self.0)
    }

    pub(crate) fn next_algorithm(&mut self) -> der::Result<AlgorithmIdentifierRef<'a>> {
        AlgorithmIdentifierRef::decode(&mut self.0)
    }

    /// An extension (RFC 5280, 4.1).
    pub(crate) fn next_extension(&mut self) -> der::Result<ExtensionRef<'a>> {
        let mut members = self.next_sequence()?;
        let oid = members.next_oid()?;
        let critical = members.next_tag()? == Tag::Boolean && bool::decode(&mut members.0)?;
        let value = members.next_as(Tag::OctetString)?;
        members.finish()?;
        Ok(ExtensionRef { oid, critical, value })
    }

    /// The octets of a BIT STRING without unused bits.
    pub(crate) fn next_bits(&mut self) -> der::Result<&'a [u8]> {
        let bits = BitStringRef::decode(&mut self.0)?;
        bits.as_bytes().ok_or(Tag::BitString.value_error().into())
    }

    pub(crate) fn next_small(&mut self) -> der::Result<u8> {
        u8::decode(&mut self.0)
    }

    /// The value of `[number]`, if that comes next.
    pub(crate) fn next_context(&mut self, number: u32) -> der::Result<Option<&'a [u8]>> {
        let wanted = Tag::ContextSpecific { constructed: true, number: TagNumber(number) };
        if self.is_finished() || Header::peek(&self.0)?.tag() != wanted {
            return Ok(None);
        }
        self.next().map(|any| Some(any.value()))
    }

    pub(crate) fn next_tag(&mut self) -> der::Result<Tag> {
        Header::peek(&self.0).map(|header| header.tag())
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    pub(crate) fn finish(self) -> der::Result<()> {
        self.0.finish()
    }
}

/// A value: tag, length, and the parts one after the other.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> der::Result<Vec<u8>> {
    let length = Length::try_from(parts.iter().map(|part| part.len()).sum::<usize>())?;
    let mut bytes = vec![tag];
    length.encode_to_vec(&mut bytes)?;
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Ok(bytes)
}

/// A SET OF in DER order (X.690, 11.6).
pub(crate) fn set_of(tag: u8, mut parts: Vec<Vec<u8>>) -> der::Result<Vec<u8>> {
    parts.sort();
    parts.dedup();
    tlv(tag, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}
