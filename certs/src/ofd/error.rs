//! Why a sealed OFD file does not hold.

use jiff::Timestamp;

use crate::{CertificateError, Link, LinkVerdict, SignatureError};

/// Why an OFD file, a signature in it or a seal does not hold: one variant a cause.
///
/// Where a variant names a `part`, that is the part's path in the package (GB/T 33190-2016, 7).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfdError {
    /// Larger than [`super::MAX_OFD_BYTES`].
    #[error("the file has {bytes} bytes, more than allowed")]
    TooLarge {
        /// Size found.
        bytes: usize,
    },
    /// Not a ZIP archive, or a damaged one.
    #[error("the file is not a well-formed OFD package")]
    NotAPackage,
    /// Bytes before the first part, after the directory, or a second archive inside the comment: other
    /// readers may see another package.
    #[error("the file holds more than the OFD package")]
    SurroundingBytes,
    /// More parts than allowed.
    #[error("the package has {count} parts, more than allowed")]
    TooManyParts {
        /// Parts found.
        count: usize,
    },
    /// A part is encrypted.
    #[error("a part of the package is encrypted")]
    Encrypted {
        /// Which.
        part: String,
    },
    /// A part is packed in another way than by Deflate, or is a symbolic link.
    #[error("a part of the package is stored in a way that OFD does not know")]
    Storage {
        /// Which.
        part: String,
    },
    /// An absolute path, one with `..`, a backslash, a drive or a control character.
    #[error("the name of a part leads out of the package or is none")]
    PartName {
        /// Which, cut off.
        part: String,
    },
    /// Two parts of one name, or of names that differ in case only.
    #[error("two parts of the package have the same name")]
    DuplicatePart {
        /// Which; empty where the names are the same to the letter, since only one of them is read.
        part: String,
    },
    /// Parts share bytes.
    #[error("parts of the package overlap")]
    OverlappingParts,
    /// The directory of the package and its parts contradict each other.
    #[error("the package's directory and its parts contradict each other")]
    Inconsistent,
    /// Larger than allowed when unpacked.
    #[error("the package is larger than allowed when unpacked")]
    Bomb {
        /// Which part it was.
        part: String,
    },
    /// A part cannot be unpacked or is not what its check value says.
    #[error("a part of the package is damaged")]
    DamagedPart {
        /// Which.
        part: String,
    },
    /// A part that another names is not there.
    #[error("a part that is named is not in the package")]
    MissingPart {
        /// Which.
        part: String,
    },
    /// A location that names no part of the package.
    #[error("a location names a part that is not in the package")]
    DanglingLocation {
        /// Where it is written.
        part: String,
    },
    /// A location that leads out of the package.
    #[error("a location leads out of the package")]
    Location {
        /// Where it is written.
        part: String,
    },
    /// Not well-formed XML.
    #[error("a part is not well-formed XML")]
    Xml {
        /// Which.
        part: String,
    },
    /// A document type declaration.
    #[error("a part has a document type declaration")]
    XmlDoctype {
        /// Which.
        part: String,
    },
    /// An entity other than the five of XML.
    #[error("a part uses an XML entity")]
    XmlEntity {
        /// Which.
        part: String,
    },
    /// Not UTF-8.
    #[error("a part is XML in another encoding than UTF-8")]
    XmlEncoding {
        /// Which.
        part: String,
    },
    /// Deeper, longer or with more elements than allowed.
    #[error("a part is XML beyond the limits")]
    XmlLimit {
        /// Which.
        part: String,
    },
    /// Well-formed, but an element that must be there once is missing or repeated.
    #[error("a part lacks or repeats what GB/T 33190 requires")]
    Structure {
        /// Which.
        part: String,
    },
    /// No signature at all.
    #[error("the file is not signed")]
    Unsigned,
    /// The picture of a seal, and no signature that it belongs to.
    #[error("the file shows a seal, but nobody signed it")]
    SealWithoutSignature {
        /// Where the seal is.
        part: String,
    },
    /// There are signatures that no list names: a reader that follows the lists shows none.
    #[error("the file holds a signature that it does not list")]
    UnlistedSignature {
        /// Where it should be listed.
        part: String,
    },
    /// More signatures than allowed.
    #[error("the file has {count} signatures, more than allowed")]
    TooManySignatures {
        /// Signatures found.
        count: usize,
    },
    /// MD5 or SHA-1, also where nothing is named: MD5 is the default of GB/T 33190.
    #[error("the parts are protected by MD5 or SHA-1")]
    WeakDigest {
        /// The signature's description.
        part: String,
    },
    /// A digest that is not known.
    #[error("the parts are protected by an unknown digest")]
    UnknownDigest {
        /// The signature's description.
        part: String,
    },
    /// The part is not the one that was signed.
    #[error("a part was changed after signing")]
    ChangedPart {
        /// Which.
        part: String,
    },
    /// No digest protects the part.
    #[error("a part is outside the signature")]
    UncoveredPart {
        /// Which.
        part: String,
    },
    /// The signature's description is not the one that was signed.
    #[error("the description of the signature was changed after signing")]
    ChangedDescription {
        /// The signature's description.
        part: String,
    },
    /// Neither a seal signature nor CMS nor a signature value.
    #[error("the signed value is of no known form")]
    SignedValue {
        /// The signed value.
        part: String,
    },
    /// The signature value does not fit.
    #[error("the signature value is wrong")]
    WrongSignature {
        /// The signed value.
        part: String,
    },
    /// The algorithm does not fit the key, or is none we accept.
    #[error("the algorithm named does not fit the key")]
    Algorithm {
        /// The signed value.
        part: String,
    },
    /// A bare signature value without a certificate.
    #[error("the signer's certificate is not in the file")]
    NoCertificate {
        /// The signed value.
        part: String,
    },
    /// A seal is claimed, but the signed value has none.
    #[error("the signature has no seal, though it says so")]
    NoSeal {
        /// The signed value.
        part: String,
    },
    /// The seal is not of a known form.
    #[error("the seal is not well-formed")]
    Seal {
        /// The signed value or the seal.
        part: String,
    },
    /// The seal's maker did not sign it.
    #[error("the signature of the seal's maker is wrong")]
    ForgedSeal {
        /// The signed value.
        part: String,
    },
    /// The seal beside the signature is not the one in it.
    #[error("the seal shown is not the seal that signed")]
    OtherSeal {
        /// The seal.
        part: String,
    },
    /// The seal does not allow the signer's certificate.
    #[error("the seal does not belong to the signer")]
    SignerNotOnSeal {
        /// The signed value.
        part: String,
    },
    /// Sealed before the seal's validity.
    #[error("the seal was not yet valid")]
    SealNotYetValid {
        /// Start of the seal's validity.
        from: Timestamp,
    },
    /// Sealed after the seal's validity.
    #[error("the seal had expired")]
    SealExpired {
        /// End of the seal's validity.
        until: Timestamp,
    },
    /// The seal was made after it was used, or after it was time-stamped.
    #[error("the seal was made later than it was used or time-stamped")]
    SealMadeLater {
        /// When it was made.
        at: Timestamp,
    },
    /// The sealing time is later than now.
    #[error("the sealing time lies in the future")]
    SealedInFuture {
        /// The time claimed.
        at: Timestamp,
    },
    /// The sealing time is later than the time-stamp over it.
    #[error("the sealing time is later than the time-stamp over it")]
    SealedAfterTimeStamp {
        /// The time claimed.
        at: Timestamp,
    },
    /// The sealing time is outside the validity of the signer's certificate.
    #[error("the signer's certificate was not valid at the sealing time")]
    SealedOutsideCertificate {
        /// The time claimed.
        at: Timestamp,
    },
    /// A certificate in the signed value cannot be read or used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// CMS without a seal that does not hold.
    #[error(transparent)]
    Cms(#[from] SignatureError),
}

impl OfdError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "ofd_too_large",
            Self::NotAPackage => "ofd_not_a_package",
            Self::SurroundingBytes => "ofd_surrounding_bytes",
            Self::TooManyParts { .. } => "ofd_too_many_parts",
            Self::Encrypted { .. } => "ofd_part_encrypted",
            Self::Storage { .. } => "ofd_part_storage",
            Self::PartName { .. } => "ofd_part_name",
            Self::DuplicatePart { .. } => "ofd_part_twice",
            Self::OverlappingParts => "ofd_parts_overlap",
            Self::Inconsistent => "ofd_package_inconsistent",
            Self::Bomb { .. } => "ofd_unpacked_too_large",
            Self::DamagedPart { .. } => "ofd_part_damaged",
            Self::MissingPart { .. } => "ofd_part_missing",
            Self::DanglingLocation { .. } => "ofd_location_dangling",
            Self::Location { .. } => "ofd_location_outside",
            Self::Xml { .. } => "ofd_xml_malformed",
            Self::XmlDoctype { .. } => "ofd_xml_doctype",
            Self::XmlEntity { .. } => "ofd_xml_entity",
            Self::XmlEncoding { .. } => "ofd_xml_encoding",
            Self::XmlLimit { .. } => "ofd_xml_limit",
            Self::Structure { .. } => "ofd_structure",
            Self::Unsigned => "ofd_unsigned",
            Self::SealWithoutSignature { .. } => "ofd_seal_without_signature",
            Self::UnlistedSignature { .. } => "ofd_signature_not_listed",
            Self::TooManySignatures { .. } => "ofd_too_many_signatures",
            Self::WeakDigest { .. } => "ofd_digest_weak",
            Self::UnknownDigest { .. } => "ofd_digest_unknown",
            Self::ChangedPart { .. } => "ofd_part_changed",
            Self::UncoveredPart { .. } => "ofd_part_not_covered",
            Self::ChangedDescription { .. } => "ofd_signature_xml_changed",
            Self::SignedValue { .. } => "ofd_signed_value_malformed",
            Self::WrongSignature { .. } => "ofd_signature_wrong",
            Self::Algorithm { .. } => "ofd_signature_algorithm",
            Self::NoCertificate { .. } => "ofd_certificate_missing",
            Self::NoSeal { .. } => "seal_missing",
            Self::Seal { .. } => "seal_malformed",
            Self::ForgedSeal { .. } => "seal_signature_wrong",
            Self::OtherSeal { .. } => "seal_not_the_signed_one",
            Self::SignerNotOnSeal { .. } => "seal_signer_not_listed",
            Self::SealNotYetValid { .. } => "seal_not_yet_valid",
            Self::SealExpired { .. } => "seal_expired",
            Self::SealMadeLater { .. } => "seal_made_later",
            Self::SealedAfterTimeStamp { .. } => "seal_time_after_time_stamp",
            Self::SealedInFuture { .. } => "seal_time_in_future",
            Self::SealedOutsideCertificate { .. } => "seal_time_outside_certificate",
            Self::Certificate(error) => error.code(),
            Self::Cms(error) => error.code(),
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::WeakDigest { .. }
            | Self::UnknownDigest { .. }
            | Self::DamagedPart { .. }
            | Self::MissingPart { .. }
            | Self::ChangedPart { .. }
            | Self::UncoveredPart { .. } => Link::Coverage,
            Self::Unsigned
            | Self::UnlistedSignature { .. }
            | Self::ChangedDescription { .. }
            | Self::WrongSignature { .. }
            | Self::Algorithm { .. } => Link::Signature,
            Self::NoCertificate { .. } | Self::Certificate(_) => Link::Certificate,
            Self::SealWithoutSignature { .. }
            | Self::NoSeal { .. }
            | Self::Seal { .. }
            | Self::ForgedSeal { .. }
            | Self::OtherSeal { .. }
            | Self::SignerNotOnSeal { .. }
            | Self::SealNotYetValid { .. }
            | Self::SealExpired { .. }
            | Self::SealMadeLater { .. } => Link::Seal,
            Self::SealedInFuture { .. }
            | Self::SealedAfterTimeStamp { .. }
            | Self::SealedOutsideCertificate { .. } => Link::Time,
            Self::Cms(error) => error.link(),
            _ => Link::Format,
        }
    }

    /// The part it is about.
    fn part(&self) -> Option<&str> {
        match self {
            Self::Encrypted { part }
            | Self::Storage { part }
            | Self::PartName { part }
            | Self::DuplicatePart { part }
            | Self::Bomb { part }
            | Self::DamagedPart { part }
            | Self::MissingPart { part }
            | Self::DanglingLocation { part }
            | Self::Location { part }
            | Self::Xml { part }
            | Self::XmlDoctype { part }
            | Self::XmlEntity { part }
            | Self::XmlEncoding { part }
            | Self::XmlLimit { part }
            | Self::Structure { part }
            | Self::SealWithoutSignature { part }
            | Self::UnlistedSignature { part }
            | Self::WeakDigest { part }
            | Self::UnknownDigest { part }
            | Self::ChangedPart { part }
            | Self::UncoveredPart { part }
            | Self::ChangedDescription { part }
            | Self::SignedValue { part }
            | Self::WrongSignature { part }
            | Self::Algorithm { part }
            | Self::NoCertificate { part }
            | Self::NoSeal { part }
            | Self::Seal { part }
            | Self::ForgedSeal { part }
            | Self::OtherSeal { part }
            | Self::SignerNotOnSeal { part } => Some(part),
            _ => None,
        }
    }

    fn at(&self) -> Option<Timestamp> {
        match self {
            Self::SealNotYetValid { from: at }
            | Self::SealExpired { until: at }
            | Self::SealMadeLater { at }
            | Self::SealedAfterTimeStamp { at }
            | Self::SealedInFuture { at }
            | Self::SealedOutsideCertificate { at } => Some(*at),
            _ => None,
        }
    }

    /// The verdict on the link that failed. Without the certificate nothing is shown either way.
    pub(super) fn verdict(&self) -> LinkVerdict {
        let verdict = match self {
            Self::NoCertificate { .. } => LinkVerdict::undetermined(self.link(), self.code()),
            _ => LinkVerdict::failed(self.link(), self.code()),
        };
        let part = self.part().filter(|part| !part.is_empty());
        LinkVerdict { subject: part.map(str::to_owned), at: self.at(), ..verdict }
    }
}
