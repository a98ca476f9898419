//! The demo district's certificate authority: one anchor, and the identities below it.
//!
//! Real districts have a licensed authority; this one makes the same kinds of certificates, so that
//! nothing in the demo is switched off or skipped.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use certs::{
    AuthorityError, CertIssuer, Certificate, CertificateError, CertificateTemplate, KeySigner,
    Profile, SignError, Signer, SigningIdentity, Suite, issue_certificate, issue_crl,
};
use jiff::{SignedDuration, Timestamp};
use licence::CreditCode;
use ring::rand::{SecureRandom, SystemRandom};

/// Why an identity could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityFailure {
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate or list could not be issued.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A key.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A certificate that was written before cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The system's random source.
    #[error("the system gives no random bytes")]
    Random,
}

/// Who an identity is for.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// Common name.
    pub common_name: &'a str,
    /// Organisation's name.
    pub organisation_name: &'a str,
    /// Organisation's credit code.
    pub organisation: CreditCode,
}

/// A certificate authority whose files lie in one folder.
pub struct Authority {
    folder: PathBuf,
    identity: SigningIdentity,
    random: SystemRandom,
}

impl Authority {
    /// Opens the authority in `folder`, or founds it there: `ca.pem` for everybody, the key beside
    /// it for nobody else.
    ///
    /// # Errors
    /// See [`AuthorityFailure`].
    pub fn open(
        folder: &Path,
        subject: &Subject<'_>,
        now: Timestamp,
    ) -> Result<Self, AuthorityFailure> {
        fs::create_dir_all(folder).map_err(|source| file(folder, source))?;
        let (pem, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        let random = SystemRandom::new();
        let identity = if key.exists() {
            SigningIdentity::from_pem(&read(&pem)?, &read(&key)?)?
        } else {
            let signer = KeySigner::generate(Suite::EcdsaP256Sha256, &random)?;
            let template = template(subject, Profile::Ca, &random, now, 3_650)?;
            let certificate =
                issue_certificate(&template, &signer.spki(), CertIssuer::SelfSigned(&signer))?;
            write_secret(&key, signer.to_pkcs8_pem().as_bytes())?;
            write(&pem, certificate.to_pem().as_bytes())?;
            SigningIdentity::new(vec![certificate], Box::new(signer))?
        };
        Ok(Self { folder: folder.to_owned(), identity, random })
    }

    /// The anchor.
    #[must_use]
    pub fn anchor(&self) -> &Certificate {
        self.identity.certificate()
    }

    /// Issues an identity, or reads the one issued before: `NAME.pem` and `NAME.key` in the folder.
    ///
    /// # Errors
    /// See [`AuthorityFailure`].
    pub fn identity(
        &self,
        name: &str,
        suite: Suite,
        profile: Profile,
        subject: &Subject<'_>,
        now: Timestamp,
    ) -> Result<SigningIdentity, AuthorityFailure> {
        let pem = self.folder.join(format!("{name}.pem"));
        let key = self.folder.join(format!("{name}.key"));
        if key.exists() {
            return Ok(SigningIdentity::from_pem(&read(&pem)?, &read(&key)?)?);
        }
        let (certificate, signer) = self.issue(suite, profile, subject, now, 730)?;
        write_secret(&key, signer.to_pkcs8_pem().as_bytes())?;
        write(&pem, certificate.to_pem().as_bytes())?;
        Ok(SigningIdentity::new(vec![certificate], Box::new(signer))?)
    }

    /// Issues a certificate for a new key; nothing is written.
    ///
    /// * `from`, `days`: validity.
    ///
    /// # Errors
    /// See [`AuthorityFailure`].
    pub fn issue(
        &self,
        suite: Suite,
        profile: Profile,
        subject: &Subject<'_>,
        from: Timestamp,
        days: i64,
    ) -> Result<(Certificate, KeySigner), AuthorityFailure> {
        let signer = KeySigner::generate(suite, &self.random)?;
        let template = template(subject, profile, &self.random, from, days)?;
        let issuer = CertIssuer::Authority(&self.identity);
        Ok((issue_certificate(&template, &signer.spki(), issuer)?, signer))
    }

    /// Issues a revocation list, good for 30 days, and writes it to `ca.crl`.
    ///
    /// # Errors
    /// See [`AuthorityFailure`].
    pub fn revocation_list(
        &self,
        revoked: &[(Vec<u8>, Timestamp)],
        now: Timestamp,
    ) -> Result<PathBuf, AuthorityFailure> {
        let next = plus_days(now, 30);
        let number = u64::try_from(now.as_second()).unwrap_or(1);
        let list = issue_crl(&self.identity, number, revoked, whole_second(now), next)?;
        let path = self.folder.join("ca.crl");
        write(&path, &list)?;
        Ok(path)
    }
}

fn template(
    subject: &Subject<'_>,
    profile: Profile,
    random: &SystemRandom,
    from: Timestamp,
    days: i64,
) -> Result<CertificateTemplate, AuthorityFailure> {
    let mut serial = [0_u8; 16];
    random.fill(&mut serial).map_err(|_| AuthorityFailure::Random)?;
    serial[0] = serial[0] & 0x7f | 0x40; // positive, and never shortened
    Ok(CertificateTemplate {
        subject_common_name: subject.common_name.to_owned(),
        organisation_name: subject.organisation_name.to_owned(),
        organisation: subject.organisation,
        serial: serial.to_vec(),
        // A minute back, so that clocks that differ a little do not disagree.
        not_before: whole_second(
            from.saturating_sub(SignedDuration::from_secs(60)).unwrap_or(from),
        ),
        not_after: plus_days(from, days),
        profile,
    })
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn plus_days(at: Timestamp, days: i64) -> Timestamp {
    let later = at.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX);
    whole_second(later)
}

fn file(path: &Path, source: std::io::Error) -> AuthorityFailure {
    AuthorityFailure::File { path: path.to_owned(), source }
}

fn read(path: &Path) -> Result<Vec<u8>, AuthorityFailure> {
    fs::read(path).map_err(|source| file(path, source))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), AuthorityFailure> {
    fs::write(path, bytes).map_err(|source| file(path, source))
}

/// Writes a file that only its owner may read.
pub(super) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), AuthorityFailure> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut out| out.write_all(bytes))
        .map_err(|source| file(path, source))
}
