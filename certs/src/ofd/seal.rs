//! Electronic seals (电子印章) and what they sign (电子签章数据), as three standards lay them out:
//!
//! | version | standard | signer's certificate and algorithm | seal maker's signature |
//! | --- | --- | --- | --- |
//! | 1 | GM/T 0031-2014, 6 | inside of what is signed | over seal information, certificate and algorithm |
//! | 4 | GB/T 38540-2020, 6 and 7 | beside it | over the seal information |
//! | 5 | GM/T 0031-2025 | beside it | over the seal information |
//!
//! Makers differ in what the seal's own signature is over, whatever the version; both forms are taken
//! in. They cannot be mistaken for each other: one is a SEQUENCE that begins with the other.
//!
//! Texts that nothing depends on may be of any string type.
//!
//! GM/T 0031-2025 is known here by what two secondary sources say of it, the reader of ofdrw and a summary of
//! the standard; they agree.

use const_oid::ObjectIdentifier;
use der::asn1::BitStringRef;
use der::{AnyRef, Decode, Tag, TagNumber};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use sm3::{Digest, Sm3};

use super::hash_named;
use crate::tlv::{Members, SEQUENCE, tlv};
use crate::{Certificate, HashAlgorithm, PublicKey, Suite, Verifier, VerifyError, oids};

/// The most certificates or digests that a seal lists.
const MAX_LISTED: usize = 256;

/// A seal signature (SES_Signature; GB/T 38540-2020, 7.1), read without copying.
pub(super) struct SealSignature<'a> {
    /// TBS_Sign with tag and length: the bytes under the signature.
    pub(super) signed: &'a [u8],
    pub(super) seal: Seal<'a>,
    /// The sealing time that the signer claims. Version 1 may hold a time-stamp here, or nothing.
    pub(super) claimed_at: Option<Timestamp>,
    /// The digest of Signature.xml.
    pub(super) data_hash: &'a [u8],
    pub(super) certificate: &'a [u8],
    pub(super) algorithm: ObjectIdentifier,
    pub(super) signature: &'a [u8],
    /// A time-stamp (RFC 3161, GB/T 20520) over the signature value.
    pub(super) time_stamp: Option<&'a [u8]>,
}

/// A seal (SESeal; GB/T 38540-2020, 6.1).
pub(super) struct Seal<'a> {
    pub(super) version: u8,
    /// With tag and length.
    pub(super) der: &'a [u8],
    /// SES_SealInfo with tag and length.
    information: &'a [u8],
    /// Who may sign with it.
    signers: Signers<'a>,
    pub(super) created: Timestamp,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    /// The maker's certificate.
    pub(super) maker: &'a [u8],
    algorithm: ObjectIdentifier,
    pub(super) signature: &'a [u8],
    /// A time-stamp over the maker's signature value, from version 5 on.
    pub(super) time_stamp: Option<&'a [u8]>,
}

enum Signers<'a> {
    Certificates(Vec<&'a [u8]>),
    /// Digest by algorithm name or OID.
    Digests(Vec<(String, &'a [u8])>),
}

impl<'a> SealSignature<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> der::Result<Self> {
        let mut outer = Members::of_sequence(bytes)?;
        let signed = outer.next_bytes()?;
        let mut tbs = Members::of_sequence(signed)?;
        let _version = integer(&mut tbs)?;
        let seal = Seal::read(tbs.next_bytes()?)?;
        if outer.next_tag()? == Tag::BitString {
            // GM/T 0031-2014, 6.2.1.
            let claimed_at = std::str::from_utf8(tbs.next_bits()?).ok().and_then(parse_time);
            let data_hash = tbs.next_bits()?;
            let _property = tbs.next()?;
            let certificate = tbs.next_as(Tag::OctetString)?;
            let algorithm = tbs.next_oid()?;
            tbs.finish()?;
            let signature = outer.next_bits()?;
            outer.finish()?;
            return Ok(Self {
                signed,
                seal,
                claimed_at,
                data_hash,
                certificate,
                algorithm,
                signature,
                time_stamp: None,
            });
        }
        let claimed_at = Some(time(&mut tbs)?);
        let data_hash = tbs.next_bits()?;
        let _property = tbs.next()?;
        let _extensions = tbs.next_context(0)?;
        tbs.finish()?;
        let certificate = outer.next_as(Tag::OctetString)?;
        let algorithm = outer.next_oid()?;
        let signature = outer.next_bits()?;
        let time_stamp = time_stamp(&mut outer)?;
        outer.finish()?;
        Ok(Self {
            signed,
            seal,
            claimed_at,
            data_hash,
            certificate,
            algorithm,
            signature,
            time_stamp,
        })
    }

    /// Whether the signature is one of `key` over what it says it is over.
    pub(super) fn fits(&self, key: &PublicKey) -> Result<bool, VerifyError> {
        verify(key, self.algorithm, self.signed, self.signature)
    }

    /// Whether `description` (Signature.xml) is what was signed.
    pub(super) fn is_over(&self, description: &[u8], suite: Suite) -> bool {
        self.data_hash == Sm3::digest(description).as_slice()
            || self.data_hash == suite.digest(description)
    }
}

impl<'a> Seal<'a> {
    pub(super) fn read(der: &'a [u8]) -> der::Result<Self> {
        let mut members = Members::of_sequence(der)?;
        let information = members.next_bytes()?;
        let (maker, algorithm, signature) = if members.next_tag()? == Tag::Sequence {
            // GM/T 0031-2014, 6.1.1: SES_SignInfo.
            let mut inner = members.next_sequence()?;
            let found = (inner.next_as(Tag::OctetString)?, inner.next_oid()?, inner.next_bits()?);
            inner.finish()?;
            found
        } else {
            (members.next_as(Tag::OctetString)?, members.next_oid()?, members.next_bits()?)
        };
        let time_stamp = time_stamp(&mut members)?;
        members.finish()?;

        let mut inner = Members::of_sequence(information)?;
        let mut header = inner.next_sequence()?;
        let id = header.next_as(Tag::Ia5String)?;
        let version = header.next_small()?;
        let _vendor = header.next()?;
        if id != b"ES" {
            return Err(Tag::Ia5String.value_error().into());
        }
        let _identifier = inner.next()?;
        let mut property = inner.next_sequence()?;
        // The picture and the maker's own data are under the maker's signature; nothing here depends on
        // them.
        let _picture = inner.next_sequence()?;
        while !inner.is_finished() {
            inner.next_bytes()?;
        }

        let _kind = integer(&mut property)?;
        let _name = property.next()?;
        let signers = Signers::read(&mut property)?;
        let created = time(&mut property)?;
        let (from, until) = (time(&mut property)?, time(&mut property)?);
        property.finish()?;
        Ok(Self {
            version,
            der,
            information,
            signers,
            created,
            from,
            until,
            maker,
            algorithm,
            signature,
            time_stamp,
        })
    }

    /// Whether the maker with this key signed the seal.
    pub(super) fn fits(&self, key: &PublicKey) -> Result<bool, VerifyError> {
        let over_information = verify(key, self.algorithm, self.information, self.signature);
        if over_information != Err(VerifyError) {
            return over_information;
        }
        let all = || {
            let maker = tlv(0x04, &[self.maker])?;
            let algorithm = tlv(0x06, &[self.algorithm.as_bytes()])?;
            tlv(SEQUENCE, &[self.information, &maker, &algorithm])
        };
        verify(key, self.algorithm, &all().map_err(|_| VerifyError)?, self.signature)
    }

    /// Whether the seal is one of this signer's.
    pub(super) fn allows(&self, signer: &Certificate) -> bool {
        match &self.signers {
            Signers::Certificates(all) => all.contains(&signer.der()),
            // The standard leaves the name of the digest to the maker; what is no name of a digest is
            // taken for SM3, which alone it can be.
            Signers::Digests(all) => all.iter().any(|(method, digest)| {
                let method = match hash_named(method) {
                    Ok(method) => method,
                    Err(true) => return false,
                    Err(false) => HashAlgorithm::Sm3,
                };
                method.digest(&[signer.der()]) == *digest
            }),
        }
    }
}

impl<'a> Signers<'a> {
    /// SES_CertList; from version 4 on, the kind of list stands before it.
    fn read(property: &mut Members<'a>) -> der::Result<Self> {
        let kind = match property.next_tag()? {
            Tag::Integer => Some(property.next_small()?),
            _ => None,
        };
        let mut list = property.next_sequence()?;
        let too_many = || Tag::Sequence.value_error().into();
        if let None | Some(1) = kind {
            let mut all = Vec::new();
            while !list.is_finished() {
                all.push(list.next_as(Tag::OctetString)?);
                if all.len() > MAX_LISTED {
                    return Err(too_many());
                }
            }
            return Ok(Self::Certificates(all));
        }
        let mut all = Vec::new();
        while !list.is_finished() {
            let mut entry = list.next_sequence()?;
            let method = String::from_utf8_lossy(entry.next()?.value()).into_owned();
            all.push((method, entry.next_as(Tag::OctetString)?));
            entry.finish()?;
            if all.len() > MAX_LISTED {
                return Err(too_many());
            }
        }
        Ok(Self::Digests(all))
    }
}

/// `Ok(false)`: the key does not sign by this algorithm. SM2 alone is named where SM2 with SM3 is meant.
fn verify(
    key: &PublicKey,
    algorithm: ObjectIdentifier,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, VerifyError> {
    let sm2 = key.suite() == Suite::Sm2Sm3 && algorithm == oids::SM2_SIGN;
    let algorithm = if sm2 { oids::SM2_WITH_SM3 } else { algorithm };
    key.verify_as(algorithm, None, message, signature)
}

/// A time-stamp under `[0]`, in a BIT STRING or OCTET STRING of its own or without.
fn time_stamp<'a>(members: &mut Members<'a>) -> der::Result<Option<&'a [u8]>> {
    if members.is_finished() {
        return Ok(None);
    }
    let zero = |constructed| Tag::ContextSpecific { constructed, number: TagNumber(0) };
    let any = members.next()?;
    if der::Tagged::tag(&any) == zero(false) {
        // IMPLICIT BIT STRING: the first octet counts unused bits.
        return any.value().split_first().map(|(_, bits)| Some(bits)).ok_or_else(damaged);
    }
    der::Tagged::tag(&any).assert_eq(zero(true))?;
    let inner = AnyRef::from_der(any.value())?;
    Ok(Some(match der::Tagged::tag(&inner) {
        Tag::BitString => inner.decode_as::<BitStringRef<'a>>()?.as_bytes().ok_or_else(damaged)?,
        Tag::OctetString => inner.value(),
        _ => any.value(),
    }))
}

fn damaged() -> der::Error {
    Tag::BitString.value_error().into()
}

/// An INTEGER whose value nothing depends on.
fn integer<'a>(members: &mut Members<'a>) -> der::Result<&'a [u8]> {
    members.next_as(Tag::Integer)
}

/// GeneralizedTime, or UTCTime as version 1 has it.
fn time(members: &mut Members<'_>) -> der::Result<Timestamp> {
    let any = members.next()?;
    let tag = der::Tagged::tag(&any);
    if tag != Tag::GeneralizedTime && tag != Tag::UtcTime {
        return Err(tag.value_error().into());
    }
    let text = std::str::from_utf8(any.value()).ok().and_then(parse_time);
    text.ok_or_else(|| tag.value_error().into())
}

/// `[YY]YYMMDDHHMMSS[.f]` with `Z` or an offset. Without either it is the time of day in China, where
/// these standards are in force.
fn parse_time(text: &str) -> Option<Timestamp> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i16>().ok();
    let (year, rest) = match digits {
        14 => (number(0, 4)?, 4),
        // RFC 5280, 4.1.2.5.1.
        12 => (number(0, 2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
        _ => return None,
    };
    let field = |index: usize| {
        number(rest + 2 * index, rest + 2 * index + 2).and_then(|value| i8::try_from(value).ok())
    };
    let civil =
        DateTime::new(year, field(0)?, field(1)?, field(2)?, field(3)?, field(4)?, 0).ok()?;
    let zone = text.get(digits..)?;
    let zone = match zone.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => zone,
    };
    let minutes = match zone.as_bytes() {
        [] => 8 * 60,
        b"Z" => 0,
        [sign @ (b'+' | b'-'), digits @ ..] if digits.len() == 4 => {
            let number = |part: &[u8]| std::str::from_utf8(part).ok()?.parse::<i32>().ok();
            let minutes = number(&digits[..2])? * 60 + number(&digits[2..])?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    let offset = Offset::from_seconds(minutes * 60).ok()?;
    offset.to_timestamp(civil).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_standards_and_their_users_write_them() {
        let noon = Some("2020-04-22T02:09:00Z".parse().unwrap());
        for text in [
            "20200422020900Z",
            "20200422020900.123Z",
            "200422020900Z",
            "20200422100900+0800",
            "20200422100900",
        ] {
            assert_eq!(parse_time(text), noon, "{text}");
        }
        for text in ["", "2020", "20201322020900Z", "20200422020900X", "20200422020900+8", "时间"]
        {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
