//! Seals and sealed files, for demonstration districts and tests. A real maker of seals keeps a register
//! and guards its key; this one does neither.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use der::Encode;
use jiff::Timestamp;
use sm3::{Digest, Sm3};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::package::{Package, ROOT};
use super::seal::Seal;
use super::{Document, OfdError, location, read_xml};
use crate::tlv::{INTEGER, OCTET_STRING, SEQUENCE, context, tlv};
use crate::{Certificate, HashAlgorithm, SignError, SigningIdentity, Suite};

const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0C;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Makes a time-stamp token (RFC 3161) over a signature value.
pub type Stamper<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// How a seal is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealVersion {
    /// GM/T 0031-2014.
    V1,
    /// GB/T 38540-2020.
    V4,
    /// GM/T 0031-2025.
    V5,
}

/// What goes into a seal.
#[derive(Clone, Copy, Debug)]
pub struct SealTemplate<'a> {
    /// Layout.
    pub version: SealVersion,
    /// Identifier (esID), ASCII.
    pub identifier: &'a str,
    /// Name, such as `样例市市场监督管理局`.
    pub name: &'a str,
    /// Who may sign with it.
    pub signers: &'a [Certificate],
    /// List the signers' certificates by digest.
    pub lists_digests: bool,
    /// The picture, PNG.
    pub picture: &'a [u8],
    /// When it is made.
    pub created: Timestamp,
    /// Start of validity.
    pub valid_from: Timestamp,
    /// End of validity.
    pub valid_until: Timestamp,
}

/// Why nothing was sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// The file cannot be sealed.
    #[error(transparent)]
    File(#[from] OfdError),
    /// The key failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl SealingError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Sign(error) => error.code(),
        }
    }
}

/// Makes a seal (SESeal; GM/T 0031-2014 and -2025; GB/T 38540-2020, 6.1): DER. The maker's signature is
/// over the seal information, in version 1 also over certificate and algorithm. Version 1 has no
/// time-stamp and lists no digests.
///
/// # Errors
/// `Key` if the maker's key fails.
pub fn make_seal(
    template: &SealTemplate<'_>,
    maker: &SigningIdentity,
    stamp: Option<Stamper<'_>>,
) -> Result<Vec<u8>, SignError> {
    let information = seal_information(template).map_err(encoding)?;
    if template.version == SealVersion::V1 {
        let [certificate, algorithm] = named(maker).map_err(encoding)?;
        let signed = tlv(SEQUENCE, &[&information, &certificate, &algorithm]).map_err(encoding)?;
        let signature = maker.signer().sign(&signed)?;
        let encode = || {
            let signature = tlv(BIT_STRING, &[&[0], &signature])?;
            let signed = tlv(SEQUENCE, &[&certificate, &algorithm, &signature])?;
            tlv(SEQUENCE, &[&information, &signed])
        };
        return encode().map_err(encoding);
    }
    let signature = maker.signer().sign(&information)?;
    signed_with(&information, maker, &signature, stamp).map_err(encoding)
}

/// Seals an OFD file: one signature more, over every part that belongs to no signature, with SM3. The
/// first one also puts the list of signatures into the file.
///
/// # Errors
/// `File` if it is no OFD file, or has as many signatures as it may; `Sign` if the key fails.
pub fn seal_ofd(
    file: &[u8],
    seal: &[u8],
    signer: &SigningIdentity,
    at: Timestamp,
    stamp: Option<Stamper<'_>>,
) -> Result<Vec<u8>, SealingError> {
    let Document { mut package, signatures, of_signatures, .. } = Document::open(file)?;
    let mut parts = BTreeMap::new();
    let names: Vec<String> = package.parts().map(str::to_owned).collect();
    for name in names {
        let bytes = package.read_whole(&name)?;
        parts.insert(name, bytes);
    }
    let list = list_of_signatures(&mut package, &mut parts)?;
    let folder = list.rsplit_once('/').map_or("", |(folder, _)| folder);
    let number = signatures.len();
    let folder = format!("{folder}/Sign_{number}");
    let (description, value) =
        (format!("{folder}/Signature.xml"), format!("{folder}/SignedValue.dat"));
    let picture = format!("{folder}/Seal.esl");

    parts.insert(picture.clone(), seal.to_vec());
    let is_protected = |part: &&String| !of_signatures.contains(*part) && **part != list;
    let digests = parts.keys().filter(is_protected).map(|part| {
        let digest = BASE64_STANDARD.encode(Sm3::digest(&parts[part]));
        format!(
            "<ofd:Reference FileRef=\"/{}\"><ofd:CheckValue>{digest}</ofd:CheckValue></ofd:Reference>",
            quick_xml::escape::escape(part.as_str())
        )
    });
    let references: String = digests.collect();
    // GB/T 33190-2016, 18.2. The hour is China's, as everywhere in these files.
    let hour = jiff::tz::offset(8).to_datetime(at);
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ofd:Signature xmlns:ofd=\"http://www.ofdspec.org/2016\"><ofd:SignedValue>/{value}</ofd:SignedValue>\
         <ofd:SignedInfo><ofd:Provider ProviderName=\"yihao\"/><ofd:SignatureMethod>{}</ofd:SignatureMethod>\
         <ofd:SignatureDateTime>{}</ofd:SignatureDateTime><ofd:Seal><ofd:BaseLoc>/{picture}</ofd:BaseLoc></ofd:Seal>\
         <ofd:StampAnnot ID=\"{number}\" Boundary=\"50 50 40 40\" PageRef=\"1\"/>\
         <ofd:References CheckMethod=\"SM3\">{references}</ofd:References></ofd:SignedInfo></ofd:Signature>",
        signer.signer().suite().signature_algorithm().oid,
        hour.strftime("%Y-%m-%d %H:%M:%S"),
    );
    let signed = seal_value(seal, text.as_bytes(), &description, signer, at, stamp)?;
    parts.insert(value, signed);
    let entry =
        format!("<ofd:Signature ID=\"{number}\" Type=\"Seal\" BaseLoc=\"/{description}\"/>");
    insert_before(&mut parts, &list, "Signatures", &entry)?;
    parts.insert(description, text.into_bytes());
    Ok(pack(&parts))
}

/// Signs a description (Signature.xml) with a seal: SES_Signature (GB/T 38540-2020, 7.1), DER. In version 1
/// there is no time-stamp.
///
/// * `part`: the description's path in the package.
///
/// # Errors
/// `Key` if the key fails, `Encoding` if the seal is none.
pub fn seal_value(
    seal: &[u8],
    description: &[u8],
    part: &str,
    signer: &SigningIdentity,
    at: Timestamp,
    stamp: Option<Stamper<'_>>,
) -> Result<Vec<u8>, SignError> {
    let version = Seal::read(seal).map_err(encoding)?.version;
    let signed = to_sign(version, seal, description, part, at, signer).map_err(encoding)?;
    let signature = signer.signer().sign(&signed)?;
    if version == 1 {
        let signature = tlv(BIT_STRING, &[&[0], &signature]).map_err(encoding)?;
        return tlv(SEQUENCE, &[&signed, &signature]).map_err(encoding);
    }
    signed_with(&signed, signer, &signature, stamp).map_err(encoding)
}

/// A package of these parts. `OFD.xml` comes first, so that a reader sees early what it has.
pub fn pack(parts: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let (first, others): (Vec<_>, Vec<_>) = parts.iter().partition(|(name, _)| *name == ROOT);
    for (name, bytes) in first.into_iter().chain(others) {
        let written = writer.start_file(name.as_str(), options).map(|()| writer.write_all(bytes));
        written.ok().and_then(Result::ok).expect("memory takes what is written");
    }
    writer.finish().expect("memory takes what is written").into_inner()
}

/// The path of Signatures.xml, which is made if there is none.
fn list_of_signatures(
    package: &mut Package<'_>,
    parts: &mut BTreeMap<String, Vec<u8>>,
) -> Result<String, OfdError> {
    let root = read_xml(package, ROOT, "OFD")?;
    let body = root.one("DocBody", ROOT)?;
    if let Some(list) = location(package, ROOT, body, "Signatures")? {
        return Ok(list);
    }
    let structure = || OfdError::Structure { part: ROOT.to_owned() };
    let document = location(package, ROOT, body, "DocRoot")?.ok_or_else(structure)?;
    let (folder, _) = document.rsplit_once('/').ok_or_else(structure)?;
    let list = format!("{folder}/Signs/Signatures.xml");
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <ofd:Signatures xmlns:ofd=\"http://www.ofdspec.org/2016\"></ofd:Signatures>";
    parts.insert(list.clone(), text.as_bytes().to_vec());
    insert_before(parts, ROOT, "DocBody", &format!("<ofd:Signatures>/{list}</ofd:Signatures>"))?;
    Ok(list)
}

/// Puts `text` before the last end tag of the element `ofd:NAME`.
fn insert_before(
    parts: &mut BTreeMap<String, Vec<u8>>,
    part: &str,
    name: &str,
    text: &str,
) -> Result<(), OfdError> {
    let structure = || OfdError::Structure { part: part.to_owned() };
    let bytes = parts.get_mut(part).ok_or_else(structure)?;
    let tag = format!("</ofd:{name}>");
    let at = bytes.windows(tag.len()).rposition(|window| window == tag.as_bytes());
    let at = at.ok_or_else(structure)?;
    bytes.splice(at..at, text.bytes());
    Ok(())
}

/// SES_SealInfo.
fn seal_information(template: &SealTemplate<'_>) -> der::Result<Vec<u8>> {
    let version = version_of(template.version);
    let header =
        tlv(SEQUENCE, &[&tlv(IA5_STRING, &[b"ES"])?, &version, &tlv(IA5_STRING, &[b"yihao"])?])?;
    let listed = template.signers.iter().map(|signer| {
        if !template.lists_digests || template.version == SealVersion::V1 {
            return tlv(OCTET_STRING, &[signer.der()]);
        }
        let digest = HashAlgorithm::Sm3.digest(&[signer.der()]);
        tlv(SEQUENCE, &[&tlv(PRINTABLE_STRING, &[b"SM3"])?, &tlv(OCTET_STRING, &[&digest])?])
    });
    let listed = listed.collect::<der::Result<Vec<_>>>()?.concat();
    let kind = match (template.version, template.lists_digests) {
        (SealVersion::V1, _) => Vec::new(),
        (_, lists_digests) => (1 + u8::from(lists_digests)).to_der()?,
    };
    let time = if template.version == SealVersion::V1 { utc_time } else { time };
    let property = tlv(
        SEQUENCE,
        &[
            &1u8.to_der()?,
            &tlv(UTF8_STRING, &[template.name.as_bytes()])?,
            &kind,
            &tlv(SEQUENCE, &[&listed])?,
            &time(template.created)?,
            &time(template.valid_from)?,
            &time(template.valid_until)?,
        ],
    )?;
    let size = tlv(INTEGER, &[&[40]])?;
    let picture = tlv(
        SEQUENCE,
        &[&tlv(IA5_STRING, &[b"PNG"])?, &tlv(OCTET_STRING, &[template.picture])?, &size, &size],
    )?;
    let identifier = tlv(IA5_STRING, &[template.identifier.as_bytes()])?;
    tlv(SEQUENCE, &[&header, &identifier, &property, &picture])
}

fn version_of(version: SealVersion) -> [u8; 3] {
    let number = match version {
        SealVersion::V1 => 1,
        SealVersion::V4 => 4,
        SealVersion::V5 => 5,
    };
    [INTEGER, 1, number]
}

/// TBS_Sign (GM/T 0031-2014, 6.2.1; GB/T 38540-2020, 7.1). Its version is the seal's.
fn to_sign(
    version: u8,
    seal: &[u8],
    description: &[u8],
    part: &str,
    at: Timestamp,
    signer: &SigningIdentity,
) -> der::Result<Vec<u8>> {
    let digest = match signer.signer().suite() {
        Suite::Sm2Sm3 => HashAlgorithm::Sm3.digest(&[description]),
        suite => suite.digest(description),
    };
    let at = match version {
        1 => tlv(BIT_STRING, &[&[0], at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes()])?,
        _ => time(at)?,
    };
    let signed_by = if version == 1 { named(signer)?.concat() } else { Vec::new() };
    tlv(
        SEQUENCE,
        &[
            &version.to_der()?,
            seal,
            &at,
            &tlv(BIT_STRING, &[&[0], &digest])?,
            &tlv(IA5_STRING, &[format!("/{part}").as_bytes()])?,
            &signed_by,
        ],
    )
}

/// Certificate and algorithm.
fn named(signer: &SigningIdentity) -> der::Result<[Vec<u8>; 2]> {
    Ok([
        tlv(OCTET_STRING, &[signer.certificate().der()])?,
        signer.signer().suite().signature_algorithm().oid.to_der()?,
    ])
}

/// What is signed, certificate, algorithm, signature and a time-stamp: SESeal and SES_Signature alike.
fn signed_with(
    signed: &[u8],
    signer: &SigningIdentity,
    signature: &[u8],
    stamp: Option<Stamper<'_>>,
) -> der::Result<Vec<u8>> {
    let [certificate, algorithm] = named(signer)?;
    let stamp = match stamp {
        Some(stamp) => tlv(context(0), &[&tlv(BIT_STRING, &[&[0], &stamp(signature)])?])?,
        None => Vec::new(),
    };
    tlv(
        SEQUENCE,
        &[signed, &certificate, &algorithm, &tlv(BIT_STRING, &[&[0], signature])?, &stamp],
    )
}

fn time(at: Timestamp) -> der::Result<Vec<u8>> {
    tlv(GENERALIZED_TIME, &[at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes()])
}

fn utc_time(at: Timestamp) -> der::Result<Vec<u8>> {
    tlv(UTC_TIME, &[at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes()])
}

fn encoding(_: der::Error) -> SignError {
    SignError::Encoding
}
