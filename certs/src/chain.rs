//! Certificate paths to a trust anchor, and what is kept of them.

use std::collections::HashMap;

use certval::{
    CertificationPath, CertificationPathResults, CertificationPathSettings, Error,
    ExtensionProcessing, PDVCertificate, PDVExtension, PDVTrustAnchorChoice, PathValidationStatus,
    PkiEnvironment, TimeOfInterest, enforce_trust_anchor_constraints, validate_path_rfc5280,
};
use der::asn1::BitString;
use jiff::Timestamp;
use licence::Sha256Digest;
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::ext::pkix::name::GeneralName;

use crate::trust::Anchor;
use crate::{Certificate, CertificateError, Link, Suite, Usage, oids, suite, time};

/// The most certificates of a path, the anchor not counted.
pub(crate) const MAX_PATH: usize = 6;

/// What one verification may cost: a stranger can hand in certificates that cross-certify each other,
/// and every order of them is a path by name.
const BUDGET: PathCost = PathCost { steps: 4096, signature_checks: 64, paths: 16 };

/// What it cost to find a path, or to find that there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathCost {
    /// Certificates that were looked at as the next of a path.
    pub steps: usize,
    /// Signatures on certificates that were checked; each once.
    pub signature_checks: usize,
    /// Whole paths to an anchor, with good signatures, that RFC 5280, 6.1 was applied to.
    pub paths: usize,
}

/// One certificate of a validated path, as kept beside a licence.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChainCertificate {
    /// SHA-256 of the certificate.
    pub sha256: Sha256Digest,
    /// Serial number: big-endian bytes without leading zeros.
    pub serial: Vec<u8>,
    /// SHA-256 over the issuer's name and public key (both DER): who may revoke it.
    pub issuer: Sha256Digest,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
}

/// A validated path: enough to judge anchor and revocation again without any cryptography.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChainRecord {
    /// What the path was validated for.
    pub usage: Usage,
    /// SHA-256 of the trust anchor's certificate.
    pub anchor: Sha256Digest,
    /// The path, signer first, without the anchor; empty if the anchor itself signed.
    pub certificates: Vec<ChainCertificate>,
}

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A certificate of the path had ended.
    #[error("a certificate expired at {not_after}, before {at}")]
    Expired {
        /// The moment judged.
        at: Timestamp,
        /// End of validity.
        not_after: Timestamp,
    },
    /// A certificate of the path had not begun.
    #[error("a certificate is not valid before {not_before}, it was judged at {at}")]
    NotYetValid {
        /// The moment judged.
        at: Timestamp,
        /// Begin of validity.
        not_before: Timestamp,
    },
    /// No trust anchor, through any known intermediate certificate.
    #[error("no path leads to a trust anchor")]
    UnknownIssuer,
    /// The certificate is for another use.
    #[error("the certificate may not be used for {usage}")]
    WrongUsage {
        /// The use that was asked for.
        usage: Usage,
    },
    /// A certificate's signature does not fit its issuer's key.
    #[error("the signature on certificate {position} of the path is wrong")]
    BadSignature {
        /// 0 is the signer's certificate, 1 its issuer's.
        position: usize,
    },
    /// More than 6 certificates, or longer than a CA's path length allows.
    #[error("the path is too long")]
    TooLong,
    /// A certificate in the middle of the path is not a CA's.
    #[error("certificate {position} of the path is not a CA certificate")]
    NotCa {
        /// 1 is the issuer of the signer's certificate.
        position: usize,
    },
    /// Name constraints of a CA exclude the certificate.
    #[error("a CA's name constraints exclude the certificate")]
    NameConstraints,
    /// Certificate policies of the path do not allow it.
    #[error("the certificate policies of the path do not allow it")]
    Policy,
    /// A critical extension is not understood (RFC 5280, 4.2).
    #[error(
        "certificate {position} of the path carries a critical extension that is not understood"
    )]
    CriticalExtension {
        /// 0 is the signer's certificate; one more than its issuers' is the anchor.
        position: usize,
    },
    /// A certificate is signed over MD5, SHA-1 or an older digest: it could be forged.
    #[error("certificate {position} of the path is signed over a digest that can be forged")]
    DigestWeak {
        /// 0 is the signer's certificate.
        position: usize,
    },
    /// Finding a path would take more paths or signature checks than one verification may cost.
    #[error("too many paths had to be tried")]
    Budget,
    /// The anchor was not yet trusted at that time.
    #[error("the trust anchor counts from {from} on, the path was judged at {at}")]
    AnchorNotYet {
        /// The moment judged.
        at: Timestamp,
        /// From when on the anchor is trusted.
        from: Timestamp,
    },
    /// The anchor was no longer trusted at that time.
    #[error("the trust anchor counts only before {until}, the path was judged at {at}")]
    AnchorEnded {
        /// The moment judged.
        at: Timestamp,
        /// The first moment at which the anchor is no longer trusted.
        until: Timestamp,
    },
    /// A certificate is signed with an algorithm we do not accept.
    #[error("a certificate's signature algorithm is not supported")]
    UnsupportedAlgorithm,
    /// A certificate of the path is on its issuer's revocation list.
    #[error("certificate {position} of the path was revoked at {revoked_at}")]
    Revoked {
        /// 0 is the signer's certificate.
        position: usize,
        /// Revocation date of the list.
        revoked_at: Timestamp,
    },
    /// A certificate of the path is damaged.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Path validation refused for another reason of form.
    #[error("the path does not conform to RFC 5280")]
    NotConforming,
}

impl ChainError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "certificate_expired",
            Self::NotYetValid { .. } => "certificate_not_yet_valid",
            Self::UnknownIssuer => "certificate_unknown_issuer",
            Self::WrongUsage { .. } => "certificate_wrong_usage",
            Self::BadSignature { .. } => "certificate_bad_signature",
            Self::TooLong => "certificate_path_too_long",
            Self::NotCa { .. } => "certificate_issuer_not_ca",
            Self::NameConstraints => "certificate_name_constraints",
            Self::Policy => "certificate_policy",
            Self::CriticalExtension { .. } => "certificate_critical_extension",
            Self::DigestWeak { .. } => "certificate_digest_weak",
            Self::Budget => "certificate_budget",
            Self::AnchorNotYet { .. } => "certificate_anchor_not_yet_valid",
            Self::AnchorEnded { .. } => "certificate_anchor_ended",
            Self::UnsupportedAlgorithm => "certificate_algorithm_unsupported",
            Self::Revoked { .. } => "certificate_revoked",
            Self::Certificate(error) => error.code(),
            Self::NotConforming => "certificate_path_not_conforming",
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::Expired { .. } | Self::NotYetValid { .. } | Self::Certificate(_) => {
                Link::Certificate
            }
            Self::WrongUsage { .. } => Link::Usage,
            Self::Revoked { .. } => Link::Revocation,
            _ => Link::Chain,
        }
    }
}

/// A validated path.
pub(crate) struct Path<'a> {
    /// Leaf first; empty if the leaf is the anchor.
    pub(crate) certificates: Vec<&'a Certificate>,
    pub(crate) anchor: &'a Anchor,
}

/// Finds and validates a path. Building it is ours: by names, byte for byte, those first whose key
/// identifiers agree and that are valid at that time; a signature that does not fit ends a path.
/// Applying RFC 5280, 6.1 to a path is certval's.
///
/// # Errors
/// Of several paths that fail, the error of the first.
pub(crate) fn validate<'a>(
    leaf: &'a Certificate,
    others: &'a [Certificate],
    known: &'a [Certificate],
    anchors: &[&'a Anchor],
    usage: Usage,
    at: Timestamp,
    cost: &mut PathCost,
) -> Result<Path<'a>, ChainError> {
    if let Some(anchor) = anchors.iter().copied().find(|anchor| anchor.certificate == *leaf) {
        check_times(leaf, at)?;
        anchor.window.check(at)?;
        check_usage(leaf, usage)?;
        return Ok(Path { certificates: Vec::new(), anchor });
    }
    let pool = known.iter().chain(others).collect();
    let mut search = Search {
        pool,
        anchors,
        usage,
        at,
        cost,
        signed: HashMap::new(),
        failure: None,
        wrong: false,
        cut: false,
    };
    if let Some(path) = search.extend(&mut vec![leaf])? {
        return Ok(path);
    }
    if let Some(failure) = search.failure.take() {
        return Err(failure);
    }
    // Only to name the reason: had all signatures been good, would there have been a path? That the
    // budget does not allow to say so changes nothing: no path was left out before.
    if search.wrong
        && let Ok(Some(error)) = search.wrong_signature(&mut vec![leaf])
    {
        return Err(error);
    }
    Err(if search.cut { ChainError::TooLong } else { ChainError::UnknownIssuer })
}

/// Depth first, so that what one path costs is known before the next is begun.
struct Search<'a, 'b> {
    pool: Vec<&'a Certificate>,
    anchors: &'b [&'a Anchor],
    usage: Usage,
    at: Timestamp,
    cost: &'b mut PathCost,
    /// What was found of a certificate's signature and an issuer's key.
    signed: HashMap<(Sha256Digest, Sha256Digest), Option<SignatureFault>>,
    /// Why the first whole path was refused.
    failure: Option<ChainError>,
    /// A path was given up because a signature does not fit.
    wrong: bool,
    /// A path was given up because of its length.
    cut: bool,
}

/// Why the signature on a certificate does not count.
#[derive(Clone)]
enum SignatureFault {
    Wrong,
    WeakDigest,
    UnsupportedAlgorithm,
    /// Of the issuer's certificate, or the form of this one.
    Certificate(CertificateError),
}

impl SignatureFault {
    fn at(self, position: usize) -> ChainError {
        match self {
            Self::Wrong => ChainError::BadSignature { position },
            Self::WeakDigest => ChainError::DigestWeak { position },
            Self::UnsupportedAlgorithm => ChainError::UnsupportedAlgorithm,
            Self::Certificate(error) => error.into(),
        }
    }
}

impl<'a> Search<'a, '_> {
    /// The first path from here that holds. Of those that do not, the first reason is kept.
    fn extend(&mut self, path: &mut Vec<&'a Certificate>) -> Result<Option<Path<'a>>, ChainError> {
        let last = path[path.len() - 1];
        for anchor in self.issuing(last, self.anchors, |anchor| &anchor.certificate) {
            self.step()?;
            if self.fault(last, &anchor.certificate)?.is_some() {
                self.wrong = true;
                continue;
            }
            spend(&mut self.cost.paths, BUDGET.paths)?;
            let found = Path { certificates: path.clone(), anchor };
            match check(&found, self.usage, self.at) {
                Ok(()) => return Ok(Some(found)),
                Err(error) => self.failure = self.failure.take().or(Some(error)),
            }
        }
        for issuer in self.issuing(last, &self.pool, |certificate| certificate) {
            if path.contains(&issuer) {
                continue;
            }
            if path.len() >= MAX_PATH {
                self.cut = true;
                break;
            }
            self.step()?;
            if self.fault(last, issuer)?.is_some() {
                self.wrong = true;
                continue;
            }
            path.push(issuer);
            let found = self.extend(path)?;
            path.pop();
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first wrong signature, from the anchor down, of the first path that there is by name.
    fn wrong_signature(
        &mut self,
        path: &mut Vec<&'a Certificate>,
    ) -> Result<Option<ChainError>, ChainError> {
        let last = path[path.len() - 1];
        if let Some(anchor) =
            self.issuing(last, self.anchors, |anchor| &anchor.certificate).into_iter().next()
        {
            let mut issuer = &anchor.certificate;
            for (position, certificate) in path.iter().enumerate().rev() {
                if let Some(fault) = self.fault(certificate, issuer)? {
                    return Ok(Some(fault.at(position)));
                }
                issuer = certificate;
            }
        }
        for issuer in self.issuing(last, &self.pool, |certificate| certificate) {
            if path.len() < MAX_PATH && !path.contains(&issuer) {
                self.step()?;
                path.push(issuer);
                let found = self.wrong_signature(path)?;
                path.pop();
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    fn step(&mut self) -> Result<(), ChainError> {
        spend(&mut self.cost.steps, BUDGET.steps)
    }

    /// Checks the signature on a certificate with an issuer's key, once.
    fn fault(
        &mut self,
        subject: &Certificate,
        issuer: &Certificate,
    ) -> Result<Option<SignatureFault>, ChainError> {
        // By name and key: an issuer has a certificate for each that certifies it.
        let pair = (subject.sha256(), issuer.issuer_id());
        if let Some(known) = self.signed.get(&pair) {
            return Ok(known.clone());
        }
        let fault = match (subject.signed_parts(), issuer.public_key()) {
            (None, _) => Some(SignatureFault::Certificate(CertificateError::Malformed)),
            (Some((_, algorithm, _)), _) if suite::is_weak(algorithm) => {
                Some(SignatureFault::WeakDigest)
            }
            (_, Err(error @ CertificateError::RsaTooShort { .. })) => {
                Some(SignatureFault::Certificate(error))
            }
            (_, Err(_)) => Some(SignatureFault::UnsupportedAlgorithm),
            (Some((tbs, algorithm, signature)), Ok(key)) => match Suite::of(key, algorithm) {
                None => Some(SignatureFault::UnsupportedAlgorithm),
                Some(suite) => {
                    spend(&mut self.cost.signature_checks, BUDGET.signature_checks)?;
                    let verdict = key.verify_with(suite, tbs, signature);
                    verdict.err().map(|_| SignatureFault::Wrong)
                }
            },
        };
        self.signed.insert(pair, fault.clone());
        Ok(fault)
    }

    /// Those of `issuers` that bear the issuer's name of `subject`; first those whose key identifiers
    /// agree, and of these the ones valid at the time.
    fn issuing<T: Copy>(
        &self,
        subject: &Certificate,
        issuers: &[T],
        certificate: impl Fn(&T) -> &'a Certificate,
    ) -> Vec<T> {
        let named = |issuer: &&T| certificate(issuer).subject_der() == subject.issuer_der();
        let mut found: Vec<T> = issuers.iter().filter(named).copied().collect();
        found.sort_by_key(|issuer| {
            let issuer = certificate(issuer);
            (subject.names_other_key_than(issuer), check_times(issuer, self.at).is_err())
        });
        found
    }
}

fn spend(spent: &mut usize, most: usize) -> Result<(), ChainError> {
    if *spent >= most {
        return Err(ChainError::Budget);
    }
    *spent += 1;
    Ok(())
}

fn check(path: &Path<'_>, usage: Usage, at: Timestamp) -> Result<(), ChainError> {
    for certificate in &path.certificates {
        check_times(certificate, at)?;
    }
    check_times(&path.anchor.certificate, at)?;
    path.anchor.window.check(at)?;
    // RFC 5280, 6.1 takes no key usage and no name from an anchor; one that says of itself that it issues
    // nothing is not believed further than that.
    if !path.anchor.certificate.may_issue() {
        return Err(ChainError::NotCa { position: path.certificates.len() });
    }
    // RFC 5280, 4.1.2.4 and 4.1.2.6: who issues has a name.
    if path.certificates.iter().any(|certificate| !certificate.names_an_issuer()) {
        return Err(ChainError::NotConforming);
    }
    if let Err(short @ CertificateError::RsaTooShort { .. }) = path.certificates[0].public_key() {
        return Err(short.into());
    }
    check_usage(path.certificates[0], usage)?;
    // RFC 5280 leaves open what an extended key usage means on a CA; everybody reads it as a limit to what
    // the CA may issue. The anchor was chosen for the use by whoever trusts it.
    if !path.certificates[1..].iter().all(|issuer| issuer.may_issue_for(usage)) {
        return Err(ChainError::WrongUsage { usage });
    }
    check_rfc5280(path, at)
}

fn check_times(certificate: &Certificate, at: Timestamp) -> Result<(), ChainError> {
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    // RFC 5280, 4.1.2.5: from notBefore through notAfter, to the second.
    if at < not_before {
        Err(ChainError::NotYetValid { at, not_before })
    } else if at.as_second() > not_after.as_second() {
        Err(ChainError::Expired { at, not_after })
    } else {
        Ok(())
    }
}

fn check_usage(leaf: &Certificate, usage: Usage) -> Result<(), ChainError> {
    if leaf.may_be_used_for(usage) { Ok(()) } else { Err(ChainError::WrongUsage { usage }) }
}

fn check_rfc5280(path: &Path<'_>, at: Timestamp) -> Result<(), ChainError> {
    let length = path.certificates.len();
    let form = |certificate: &Certificate| {
        certificate.validated_form().cloned().ok_or(ChainError::NotConforming)
    };
    let target = form(path.certificates[0])?;
    let intermediates: Result<Vec<_>, _> =
        path.certificates[1..].iter().rev().map(|certificate| form(certificate)).collect();
    let anchor = path.anchor.validated_form.clone().ok_or(ChainError::NotConforming)?;
    let time = time::to_date_time(at).map(TimeOfInterest).filter(|time| !time.is_disabled());

    let intermediates = intermediates?;
    if wildcard_reaches_excluded(&target, &anchor, &intermediates) {
        return Err(ChainError::NameConstraints);
    }

    let mut settings = CertificationPathSettings::new();
    settings.set_time_of_interest(time.ok_or(ChainError::NotConforming)?);
    settings.set_enforce_trust_anchor_constraints(true);
    // The anchor comes from our own store, not from certval's.
    settings.set_require_ta_store(false);
    let settings =
        enforce_trust_anchor_constraints(&settings, &anchor).map_err(|error| match error {
            // What certval says of a critical extension that it does not process on an anchor.
            Error::Unrecognized => ChainError::CriticalExtension { position: length },
            error => refusal(error, 0, length),
        })?;
    let mut environment = PkiEnvironment::new();
    environment.add_verify_signature_message_callback(signature_was_checked);
    let candidate = CertificationPath::new(anchor, intermediates, target);
    let mut results = CertificationPathResults::new();
    validate_path_rfc5280(&environment, &settings, &candidate, &mut results).map_err(|error| {
        let index = results.get_failure_index().unwrap_or(0);
        refusal(error, index as usize, length)
    })
}

/// Whether a wildcard of the target stands for a host that a CA's constraints exclude (CVE-2025-61727):
/// RFC 5280, 4.2.1.10 compares the name as it is written, RFC 9525, 6.3 what it stands for.
fn wildcard_reaches_excluded(
    target: &PDVCertificate,
    anchor: &PDVTrustAnchorChoice,
    intermediates: &[PDVCertificate],
) -> bool {
    let Ok(Some(PDVExtension::SubjectAltName(names))) =
        target.get_extension(&oids::SUBJECT_ALT_NAME)
    else {
        return false;
    };
    let parents: Vec<_> = names
        .0
        .iter()
        .filter_map(|name| match name {
            GeneralName::DnsName(host) => host.as_str().strip_prefix('*'),
            _ => None,
        })
        .map(str::to_ascii_lowercase)
        .collect();
    let excludes = |extension: certval::Result<Option<&PDVExtension>>| {
        let Ok(Some(PDVExtension::NameConstraints(constraints))) = extension else {
            return false;
        };
        constraints.excluded_subtrees.iter().flatten().any(|tree| match &tree.base {
            GeneralName::DnsName(host) => {
                let host = host.as_str().to_ascii_lowercase();
                parents.iter().any(|parent| {
                    let label = host.strip_suffix(parent.as_str());
                    label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
                })
            }
            _ => false,
        })
    };
    !parents.is_empty()
        && (excludes(anchor.get_extension(&oids::NAME_CONSTRAINTS))
            || intermediates.iter().any(|ca| excludes(ca.get_extension(&oids::NAME_CONSTRAINTS))))
}

/// For certval: [`Search::fault`] has checked the signatures of the path already.
fn signature_was_checked(
    _: &PkiEnvironment,
    _: &[u8],
    _: &BitString,
    _: &AlgorithmIdentifierOwned,
    _: &SubjectPublicKeyInfoOwned,
) -> certval::Result<()> {
    Ok(())
}

/// * `index`: certval's: 0 is the anchor, `length` the leaf.
fn refusal(error: Error, index: usize, length: usize) -> ChainError {
    use PathValidationStatus as Status;
    let position = length.saturating_sub(index);
    match error {
        Error::PathValidation(status) => match status {
            Status::InvalidPathLength => ChainError::TooLong,
            Status::MissingBasicConstraints | Status::InvalidBasicConstraints => {
                ChainError::NotCa { position }
            }
            // The leaf's own usage was judged before: here it is an issuer's.
            Status::InvalidKeyUsage => ChainError::NotCa { position },
            Status::NameConstraintsViolation => ChainError::NameConstraints,
            Status::NullPolicySet | Status::InvalidPolicyMapping => ChainError::Policy,
            Status::UnprocessedCriticalExtension => ChainError::CriticalExtension { position },
            _ => ChainError::NotConforming,
        },
        _ => ChainError::NotConforming,
    }
}
