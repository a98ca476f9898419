//! A small certificate authority: certificates and revocation lists of every suite, for demonstration
//! districts and tests. A real authority keeps records and guards its key; this one does neither.

use std::net::IpAddr;

use const_oid::ObjectIdentifier;
use der::asn1::{BitString, Ia5String, OctetString, SetOfVec, UintRef, Utf8StringRef};
use der::flagset::FlagSet;
use der::{Any, Encode, Sequence};
use jiff::Timestamp;
use licence::CreditCode;
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
};
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};
use x509_cert::time::{Time, Validity};

use crate::certificate::without_leading_zeros;
use crate::tlv::{OCTET_STRING, SEQUENCE, context, tlv};
use crate::{
    Certificate, CertificateError, SignError, Signer, SigningIdentity, oids, sha256, time,
};

/// What a certificate is to be good for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// A certificate authority that may also sign revocation lists.
    Ca,
    /// Signs licences: digitalSignature and nonRepudiation.
    LicenceIssuer,
    /// Authenticates a client of the HTTP interface.
    Client,
    /// Authenticates a server.
    Server {
        /// Host names.
        dns: Vec<String>,
        /// Addresses.
        ips: Vec<IpAddr>,
    },
}

/// What goes into a certificate.
#[derive(Clone, Debug)]
pub struct CertificateTemplate {
    /// Subject CN, 1 to 64 characters.
    pub subject_common_name: String,
    /// Subject O, 1 to 64 characters.
    pub organisation_name: String,
    /// Subject organizationIdentifier (2.5.4.97).
    pub organisation: CreditCode,
    /// Serial number: big-endian, positive, 1 to 20 bytes. The caller sees to it that it is used once.
    pub serial: Vec<u8>,
    /// Start of validity; fractions of a second are cut off.
    pub not_before: Timestamp,
    /// End of validity; fractions of a second are cut off.
    pub not_after: Timestamp,
    /// Purpose.
    pub profile: Profile,
}

/// Who signs a certificate.
pub enum CertIssuer<'a> {
    /// The subject itself.
    SelfSigned(&'a dyn Signer),
    /// An authority.
    Authority(&'a SigningIdentity),
}

/// Why no certificate or list was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// Serial number empty, zero or longer than 20 bytes.
    #[error("a serial number has 1 to 20 bytes and is not zero")]
    Serial,
    /// The times are reversed or cannot be written into a certificate.
    #[error("the times cannot be written into a certificate or list")]
    Validity,
    /// A name is empty, too long, or not allowed where it stands.
    #[error("a name cannot be written into a certificate")]
    Name,
    /// The subject's key is of no suite.
    #[error(transparent)]
    Key(#[from] CertificateError),
    /// The issuer's key failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl AuthorityError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Serial => "issue_serial",
            Self::Validity => "issue_validity",
            Self::Name => "issue_name",
            Self::Key(error) => error.code(),
            Self::Sign(error) => error.code(),
        }
    }
}

/// TBSCertificate (RFC 5280, 4.1), version 3.
#[derive(Sequence)]
struct TbsCertificate {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial_number: Any,
    signature: AlgorithmIdentifierOwned,
    issuer: Any,
    validity: Validity,
    subject: RdnSequence,
    subject_public_key_info: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

/// TBSCertList (RFC 5280, 5.1), version 2.
#[derive(Sequence)]
struct TbsCertList {
    version: u8,
    signature: AlgorithmIdentifierOwned,
    issuer: Any,
    this_update: Time,
    next_update: Time,
    #[asn1(optional = "true")]
    revoked: Option<Vec<RevokedCertificate>>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

#[derive(Sequence)]
struct RevokedCertificate {
    serial_number: Any,
    at: Time,
}

/// Issues a certificate for the key `subject_spki` (DER SubjectPublicKeyInfo).
///
/// # Errors
/// See [`AuthorityError`].
pub fn issue_certificate(
    template: &CertificateTemplate,
    subject_spki: &[u8],
    issuer: CertIssuer<'_>,
) -> Result<Certificate, AuthorityError> {
    crate::PublicKey::from_spki(subject_spki)?;
    if template.not_before > template.not_after {
        return Err(AuthorityError::Validity);
    }
    let time = |at| time::to_x509(at).ok_or(AuthorityError::Validity);
    let validity = Validity::new(time(template.not_before)?, time(template.not_after)?);
    let subject =
        name(&template.subject_common_name, &template.organisation_name, template.organisation)?;
    let serial_number = serial(&template.serial)?;
    let extensions = extensions(template, subject_spki, &issuer)?;
    let encode = || {
        let (signer, issuer) = match &issuer {
            CertIssuer::SelfSigned(signer) => (*signer, Any::encode_from(&subject)?),
            CertIssuer::Authority(identity) => {
                (identity.signer(), any(identity.certificate().subject_der())?)
            }
        };
        let tbs = TbsCertificate {
            version: 2,
            serial_number,
            signature: signer.suite().signature_algorithm(),
            issuer,
            validity,
            subject,
            subject_public_key_info: der::Decode::from_der(subject_spki)?,
            extensions,
        };
        Ok((signer, tbs.to_der()?))
    };
    let (signer, tbs) = encode().map_err(encoding)?;
    Ok(Certificate::from_der(&signed(signer, &tbs)?)?)
}

/// Issues a complete revocation list (DER) of `issuer`.
///
/// * `number`: the CRL number; each list's is higher than the last one's.
/// * `revoked`: serial number (as in [`CertificateTemplate`]) and revocation time.
///
/// # Errors
/// See [`AuthorityError`].
pub fn issue_crl(
    issuer: &SigningIdentity,
    number: u64,
    revoked: &[(Vec<u8>, Timestamp)],
    this_update: Timestamp,
    next_update: Timestamp,
) -> Result<Vec<u8>, AuthorityError> {
    let time = |at| time::to_x509(at).ok_or(AuthorityError::Validity);
    if this_update >= next_update {
        return Err(AuthorityError::Validity);
    }
    let revoked: Vec<RevokedCertificate> = revoked
        .iter()
        .map(|(number, at)| {
            Ok(RevokedCertificate { serial_number: serial(number)?, at: time(*at)? })
        })
        .collect::<Result<_, AuthorityError>>()?;
    let (this_update, next_update) = (time(this_update)?, time(next_update)?);
    let encode = || {
        let number = extension(oids::CRL_NUMBER, false, &number.to_der()?)?;
        TbsCertList {
            version: 1,
            signature: issuer.signer().suite().signature_algorithm(),
            issuer: any(issuer.certificate().subject_der())?,
            this_update,
            next_update,
            revoked: (!revoked.is_empty()).then_some(revoked),
            extensions: vec![authority_key_id(issuer.certificate())?, number],
        }
        .to_der()
    };
    signed(issuer.signer(), &encode().map_err(encoding)?)
}

/// CertificationRequestInfo (RFC 2986, 4.1).
#[derive(Sequence)]
struct CertificationRequestInfo {
    version: u8,
    subject: RdnSequence,
    subject_public_key_info: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    attributes: SetOfVec<Any>,
}

/// Asks an authority for a certificate: a PKCS #10 request (RFC 2986) of the key, DER. Names as in
/// [`CertificateTemplate`]; purpose and times are the authority's affair.
///
/// # Errors
/// `Name`, `Sign`.
pub fn certificate_request(
    common_name: &str,
    organisation_name: &str,
    organisation: CreditCode,
    signer: &dyn Signer,
) -> Result<Vec<u8>, AuthorityError> {
    let subject = name(common_name, organisation_name, organisation)?;
    let encode = || {
        CertificationRequestInfo {
            version: 0,
            subject,
            subject_public_key_info: der::Decode::from_der(&signer.spki())?,
            attributes: SetOfVec::new(),
        }
        .to_der()
    };
    signed(signer, &encode().map_err(encoding)?)
}

/// SEQUENCE of what is signed, algorithm and signature.
fn signed(signer: &dyn Signer, tbs: &[u8]) -> Result<Vec<u8>, AuthorityError> {
    let signature = signer.sign(tbs)?;
    let encode = || {
        let algorithm = signer.suite().signature_algorithm().to_der()?;
        tlv(SEQUENCE, &[tbs, &algorithm, &BitString::from_bytes(&signature)?.to_der()?])
    };
    encode().map_err(encoding)
}

/// C, O, organizationIdentifier, CN; C is CN for 中国.
fn name(
    common_name: &str,
    organisation_name: &str,
    organisation: CreditCode,
) -> Result<RdnSequence, AuthorityError> {
    for text in [common_name, organisation_name] {
        // The upper bounds of RFC 5280, appendix A.
        if !(1..=64).contains(&text.chars().count()) {
            return Err(AuthorityError::Name);
        }
    }
    let country = der::asn1::PrintableStringRef::new("CN").map(Any::from);
    let text = |text: &str| Utf8StringRef::new(text).map(Any::from);
    let encode = || {
        let parts = [
            (oids::COUNTRY, country?),
            (oids::ORGANISATION_NAME, text(organisation_name)?),
            (oids::ORGANISATION_IDENTIFIER, text(organisation.as_str())?),
            (oids::COMMON_NAME, text(common_name)?),
        ];
        let rdns: der::Result<Vec<_>> = parts
            .into_iter()
            .map(|(oid, value)| {
                let part = SetOfVec::try_from(vec![AttributeTypeAndValue { oid, value }])?;
                Ok(RelativeDistinguishedName::from(part))
            })
            .collect();
        Ok(RdnSequence::from(rdns?))
    };
    encode().map_err(|_: der::Error| AuthorityError::Name)
}

fn serial(bytes: &[u8]) -> Result<Any, AuthorityError> {
    let number = without_leading_zeros(bytes);
    // RFC 5280, 4.1.2.2: at most 20 octets, of which the first may be a zero for the sign.
    let octets = number.len() + usize::from(number.first().is_some_and(|byte| *byte >= 0x80));
    if number.is_empty() || octets > 20 {
        return Err(AuthorityError::Serial);
    }
    UintRef::new(number)
        .and_then(|number| Any::encode_from(&number))
        .map_err(|_| AuthorityError::Serial)
}

fn extensions(
    template: &CertificateTemplate,
    subject_spki: &[u8],
    issuer: &CertIssuer<'_>,
) -> Result<Vec<Extension>, AuthorityError> {
    use KeyUsages::{CRLSign, DigitalSignature, KeyCertSign, NonRepudiation};
    let (usages, extended): (FlagSet<KeyUsages>, _) = match &template.profile {
        Profile::Ca => (KeyCertSign | CRLSign, None),
        Profile::LicenceIssuer => (DigitalSignature | NonRepudiation, None),
        Profile::Client => (DigitalSignature.into(), Some(oids::CLIENT_AUTH)),
        Profile::Server { .. } => (DigitalSignature.into(), Some(oids::SERVER_AUTH)),
    };
    let ca = template.profile == Profile::Ca;
    let names = match &template.profile {
        Profile::Server { dns, ips } => server_names(dns, ips)?,
        _ => Vec::new(),
    };
    let encode = || {
        let constraints = BasicConstraints { ca, path_len_constraint: None };
        let mut all = vec![
            extension(oids::BASIC_CONSTRAINTS, true, &constraints.to_der()?)?,
            extension(oids::KEY_USAGE, true, &KeyUsage(usages).to_der()?)?,
            extension(
                oids::SUBJECT_KEY_IDENTIFIER,
                false,
                &tlv(OCTET_STRING, &[&key_id(subject_spki)])?,
            )?,
        ];
        if let CertIssuer::Authority(identity) = issuer {
            all.push(authority_key_id(identity.certificate())?);
        }
        if let Some(purpose) = extended {
            let value = ExtendedKeyUsage(vec![purpose]).to_der()?;
            all.push(extension(oids::EXTENDED_KEY_USAGE, false, &value)?);
        }
        if !names.is_empty() {
            all.push(extension(oids::SUBJECT_ALT_NAME, false, &SubjectAltName(names).to_der()?)?);
        }
        Ok(all)
    };
    encode().map_err(encoding)
}

fn server_names(dns: &[String], ips: &[IpAddr]) -> Result<Vec<GeneralName>, AuthorityError> {
    let mut names = Vec::with_capacity(dns.len() + ips.len());
    for name in dns {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.*".contains(&byte);
        if name.is_empty() || name.len() > 253 || !name.bytes().all(allowed) {
            return Err(AuthorityError::Name);
        }
        let name = Ia5String::new(name).map_err(|_| AuthorityError::Name)?;
        names.push(GeneralName::DnsName(name));
    }
    for ip in ips {
        let octets = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let octets = OctetString::new(octets).map_err(|_| AuthorityError::Name)?;
        names.push(GeneralName::IpAddress(octets));
    }
    Ok(names)
}

/// RFC 7093, 2, method 1 over the whole SubjectPublicKeyInfo: the first 160 bits of SHA-256.
fn key_id(spki: &[u8]) -> Vec<u8> {
    sha256(spki).as_bytes()[..20].to_vec()
}

fn authority_key_id(issuer: &Certificate) -> der::Result<Extension> {
    let computed;
    let id = match issuer.subject_key_id() {
        Some(id) => id,
        None => {
            computed = key_id(issuer.spki());
            &computed
        }
    };
    // keyIdentifier is [0] IMPLICIT OCTET STRING: primitive.
    let primitive = context(0) & !0x20;
    let value = tlv(SEQUENCE, &[&tlv(primitive, &[id])?])?;
    extension(oids::AUTHORITY_KEY_IDENTIFIER, false, &value)
}

fn extension(extn_id: ObjectIdentifier, critical: bool, value: &[u8]) -> der::Result<Extension> {
    Ok(Extension { extn_id, critical, extn_value: OctetString::new(value)? })
}

fn any(der: &[u8]) -> der::Result<Any> {
    der::Decode::from_der(der)
}

fn encoding(_: der::Error) -> AuthorityError {
    AuthorityError::Sign(SignError::Encoding)
}
