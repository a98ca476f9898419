//! A small certificate authority: certificates and revocation lists of every suite.

use std::net::IpAddr;

use jiff::Timestamp;
use licence::CreditCode;

use crate::{Certificate, SignError, Signer, SigningIdentity};

/// What a certificate is to be good for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// A certificate authority that may also sign revocation lists.
    Ca,
    /// Signs licences.
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
    /// Subject CN.
    pub subject_common_name: String,
    /// Subject O.
    pub organisation_name: String,
    /// Subject organizationIdentifier.
    pub organisation: CreditCode,
    /// Serial number: big-endian, positive, 1 to 20 bytes.
    pub serial: Vec<u8>,
    /// Start of validity, whole seconds.
    pub not_before: Timestamp,
    /// End of validity, whole seconds.
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
    #[error("the validity cannot be written into a certificate")]
    Validity,
    /// A name is empty, too long, or not allowed where it stands.
    #[error("a name cannot be written into a certificate")]
    Name,
    /// The key failed or is of no suite that signs.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Issues a certificate for the key `subject_spki` (DER SubjectPublicKeyInfo).
///
/// # Errors
/// See [`AuthorityError`].
pub fn issue_certificate(
    _template: &CertificateTemplate,
    _subject_spki: &[u8],
    _issuer: CertIssuer<'_>,
) -> Result<Certificate, AuthorityError> {
    todo!()
}

/// Issues a revocation list (DER) of `issuer`.
///
/// * `number`: the CRL number, growing.
/// * `revoked`: serial number (as in [`CertificateTemplate`]) and revocation time.
///
/// # Errors
/// See [`AuthorityError`].
pub fn issue_crl(
    _issuer: &SigningIdentity,
    _number: u64,
    _revoked: &[(Vec<u8>, Timestamp)],
    _this_update: Timestamp,
    _next_update: Timestamp,
) -> Result<Vec<u8>, AuthorityError> {
    todo!()
}
