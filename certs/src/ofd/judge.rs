//! The verdict on one signature of an OFD file: what is signed, the seal, the certificates, the time.

use jiff::{Timestamp, ToSpan};

use super::seal::{Seal, SealSignature};
use super::{Description, OfdError};
use crate::check::check_cms_within;
use crate::effort::Effort;
use crate::tlv::Members;
use crate::{
    Assessment, Certificate, CertificateError, CheckedCms, HashAlgorithm, Link, LinkVerdict,
    Outcome, Revocation, SignatureError, SignatureVerdict, TimeStamp, Times, TimestampError,
    TrustStore, Usage, Verifier, VerifyError, timestamp,
};

/// How far the clocks of a signer, a maker of seals and a time-stamp authority may differ.
const CLOCK_MINUTES: i64 = 5;

/// The first version of seals whose maker's certificate may end before the seal does (GM/T 0031-2025).
const OUTLIVES_ITS_MAKER: u8 = 5;

/// A signature that is being judged.
pub(super) struct Case<'c> {
    pub(super) description: &'c Description,
    /// The path of the description.
    pub(super) part: &'c str,
    /// The list says that it is a seal's.
    pub(super) is_seal: bool,
    /// The seal beside the signature, if the description names one.
    pub(super) shown: Option<Result<Vec<u8>, OfdError>>,
    pub(super) trust: &'c TrustStore,
    pub(super) times: Times,
    pub(super) effort: &'c Effort,
    pub(super) verdict: &'c mut SignatureVerdict,
}

impl Case<'_> {
    /// Judges the signed value: a seal signature, CMS, or nothing but a signature.
    pub(super) fn judge(&mut self, value: &[u8]) {
        let part = self.description.signed_value.clone();
        match form_of(value) {
            Some(Form::Seal) => match SealSignature::read(value) {
                Ok(signature) => self.seal_signature(&signature),
                Err(_) => self.fails(&OfdError::SignedValue { part }),
            },
            Some(_) if self.is_seal => self.fails(&OfdError::NoSeal { part }),
            Some(Form::Cms) => self.cms(value),
            // GM/T 0009-2012, 7.3: r and s. Whose they are, the file does not say.
            Some(Form::Bare) => self.fails(&OfdError::NoCertificate { part }),
            None => self.fails(&OfdError::SignedValue { part }),
        }
    }

    fn path(&self, of: &Certificate, times: &Times) -> Assessment {
        self.trust.assess_within(of, &[], Usage::IssuingLicences, times, self.effort)
    }

    fn time_stamp(&self, token: &[u8], over: &[u8]) -> Result<TimeStamp, TimestampError> {
        timestamp::verify_within(token, &[over], self.trust, &self.times, self.effort)
    }

    fn fails(&mut self, error: &OfdError) {
        self.verdict.links.push(error.verdict());
    }

    /// GM/T 0099-2020, 7.2.2: a signature without a seal is CMS (GB/T 35275). What it is over is the
    /// description, or the SM3 digest of it as content.
    fn cms(&mut self, value: &[u8]) {
        let description = self.description.bytes.as_slice();
        let over = |content: &[u8]| {
            check_cms_within(value, &[content], self.trust, &self.times, self.effort)
        };
        let holds =
            |checked: &CheckedCms| checked.signers.iter().all(|signer| signer.hash.is_some());
        let over_digest = || over(&HashAlgorithm::Sm3.digest(&[description]));
        let checked = match over(description) {
            Ok(checked) if holds(&checked) => Ok(checked),
            Err(SignatureError::EmbeddedContentDiffers) => over_digest(),
            other => over_digest().ok().filter(holds).map_or(other, Ok),
        };
        let part = self.description.signed_value.clone();
        let checked = match checked {
            Ok(checked) => checked,
            Err(error) => {
                self.verdict.links.push(OfdError::Cms(error).verdict().about(part));
                return;
            }
        };
        for signer in checked.signers {
            // What does not hold is in this part; anything else is about the signer.
            let about = |link: LinkVerdict| match signer.hash {
                Some(_) => link,
                None => link.about(part.clone()),
            };
            let verdict = signer.verdict;
            self.verdict.links.extend(verdict.links.into_iter().map(about));
            if self.verdict.signer.is_none() {
                self.verdict.signer = verdict.signer;
                self.verdict.suite = verdict.suite;
                self.verdict.claimed_at = verdict.claimed_at;
                self.verdict.proven_at = verdict.proven_at;
                self.verdict.chain = verdict.chain;
            }
        }
    }

    /// GB/T 38540-2020, 7.3.
    fn seal_signature(&mut self, signature: &SealSignature<'_>) {
        let part = || self.description.signed_value.clone();
        self.verdict.claimed_at = signature.claimed_at;
        // The signer's signature and the maker's, which two layouts share.
        if let Err(error) = self.effort.spend(3) {
            self.verdict.links.push(LinkVerdict::failed(error.link(), error.code()));
            return;
        }
        let unusable = |error: CertificateError| OfdError::Certificate(error).verdict();
        let signer = match Certificate::from_der(signature.certificate) {
            Ok(signer) => signer,
            Err(error) => {
                self.verdict.links.push(unusable(error).about(part()));
                return;
            }
        };
        self.verdict.signer = Some(signer.clone());
        let key = match signer.public_key() {
            Ok(key) => key,
            Err(error) => {
                self.verdict.links.push(unusable(error).about(part()));
                return;
            }
        };
        self.verdict.suite = Some(key.suite());
        let broken = match signature.fits(key) {
            Ok(true) if signature.is_over(&self.description.bytes, key.suite()) => None,
            Ok(true) => Some(OfdError::ChangedDescription { part: self.part.to_owned() }),
            Ok(false) => Some(OfdError::Algorithm { part: part() }),
            Err(VerifyError) => Some(OfdError::WrongSignature { part: part() }),
        };
        if let Some(error) = broken {
            self.fails(&error);
            return;
        }
        self.verdict.links.push(LinkVerdict::ok(Link::Signature));
        self.time(signature, &signer);
        self.seal(&signature.seal, &signer);
        let assessed = self.path(&signer, &self.times);
        self.verdict.links.extend(assessed.links);
        self.verdict.chain = assessed.chain;
    }

    /// The time-stamp over the signature value, if there is one, and the time that the signer claims.
    fn time(&mut self, signature: &SealSignature<'_>, signer: &Certificate) {
        let part = || self.description.signed_value.clone();
        let stamped = signature.time_stamp.map(|token| self.time_stamp(token, signature.signature));
        let mut latest = later(self.times.now);
        match stamped {
            None => {}
            Some(Err(error)) => self.verdict.links.push(error.verdict().about(part())),
            Some(Ok(stamp)) => {
                let at = stamp.proven();
                latest = later(at).min(latest);
                self.times.proven = Some(self.times.proven.map_or(at, |known| known.min(at)));
                self.verdict.proven_at = Some(at);
                let link = LinkVerdict { link: Link::Time, ..stamp.revocation };
                self.verdict.links.push(link.with_time(stamp.at));
            }
        }
        let Some(at) = signature.claimed_at else {
            return;
        };
        let error = if at > later(self.times.now) {
            OfdError::SealedInFuture { at }
        } else if at > latest {
            OfdError::SealedAfterTimeStamp { at }
        } else if at < signer.not_before() || at > signer.not_after() {
            OfdError::SealedOutsideCertificate { at }
        } else {
            return;
        };
        self.fails(&error);
    }

    /// The seal itself: its maker, its owner, its validity (GB/T 38540-2020, 6.3; GM/T 0031-2025), and that
    /// it is the one shown.
    fn seal(&mut self, seal: &Seal<'_>, signer: &Certificate) {
        let maker = match self.maker(seal) {
            Ok(maker) => maker,
            Err(error) => {
                self.fails(&error);
                return;
            }
        };
        let before = self.verdict.links.len();
        if !seal.allows(signer) {
            self.fails(&OfdError::SignerNotOnSeal { part: self.description.signed_value.clone() });
        }
        match self.shown.take() {
            Some(Ok(shown)) if shown != seal.der => {
                let part = self.description.seal.clone().unwrap_or_default();
                self.fails(&OfdError::OtherSeal { part });
            }
            Some(Err(error)) => self.fails(&error),
            _ => {}
        }
        // Not a time by which it is known from elsewhere to exist: that may be long after.
        let at = self.verdict.proven_at.or(self.verdict.claimed_at);
        let at = at.unwrap_or(self.times.of_path());
        if at < seal.from {
            self.fails(&OfdError::SealNotYetValid { from: seal.from });
        } else if at > seal.until {
            self.fails(&OfdError::SealExpired { until: seal.until });
        } else if seal.created > later(at) {
            self.fails(&OfdError::SealMadeLater { at: seal.created });
        }
        if self.verdict.links.len() == before {
            self.verdict.links.push(LinkVerdict::ok(Link::Seal));
        }
        self.maker_path(seal, &maker);
    }

    /// The maker of the seal, who signed it.
    fn maker(&self, seal: &Seal<'_>) -> Result<Certificate, OfdError> {
        let part = || self.description.signed_value.clone();
        let unusable = |_| OfdError::Seal { part: part() };
        let maker = Certificate::from_der(seal.maker).map_err(unusable)?;
        if seal.fits(maker.public_key().map_err(unusable)?) != Ok(true) {
            return Err(OfdError::ForgedSeal { part: part() });
        }
        Ok(maker)
    }

    /// The path of the seal's maker. Only what speaks against it is said, named by the seal: the rest
    /// would read as if it were the signer's.
    fn maker_path(&mut self, seal: &Seal<'_>, maker: &Certificate) {
        let about = self.description.seal.as_ref().unwrap_or(&self.description.signed_value);
        let mut times = self.times;
        let stamped = seal.time_stamp.map(|token| self.time_stamp(token, seal.signature));
        match stamped {
            None => {}
            Some(Err(error)) => self.verdict.links.push(error.verdict().about(about)),
            Some(Ok(stamp)) => {
                let at = stamp.proven();
                times.proven = Some(times.proven.map_or(at, |known| known.min(at)));
                if seal.created > later(at) {
                    let error = OfdError::SealMadeLater { at: seal.created };
                    self.verdict.links.push(error.verdict().about(about));
                }
            }
        }
        let mut links = self.path(maker, &times).links;
        // GM/T 0031-2025: a maker's certificate that has ended since does not end the seal. That it was
        // revoked does, unless a time-stamp shows that the seal is older: the maker's word is not enough.
        let ended = links.iter().any(|link| link.code == "certificate_expired");
        if ended && seal.version >= OUTLIVES_ITS_MAKER {
            let then = Times { now: times.now, proven: Some(seal.created) };
            let assessed = self.path(maker, &then);
            let is_revoked = assessed.chain.as_ref().is_some_and(|chain| {
                let judged = self.trust.judge(chain, times.now);
                matches!(judged.revocation, Revocation::Revoked { .. })
            });
            if !is_revoked {
                links = assessed.links;
            }
        }
        let speaks = |link: &LinkVerdict| link.outcome != Outcome::Trusted;
        let links = links.into_iter().filter(speaks).map(|link| link.about(about));
        self.verdict.links.extend(links);
    }
}

fn later(at: Timestamp) -> Timestamp {
    at.checked_add(CLOCK_MINUTES.minutes()).unwrap_or(Timestamp::MAX)
}

enum Form {
    Seal,
    Cms,
    Bare,
}

/// By the first member: what is signed, an object identifier, or a number.
fn form_of(value: &[u8]) -> Option<Form> {
    let mut members = Members::of_sequence(value).ok()?;
    match members.next_tag().ok()? {
        der::Tag::Sequence => Some(Form::Seal),
        der::Tag::ObjectIdentifier => Some(Form::Cms),
        der::Tag::Integer => Some(Form::Bare),
        _ => None,
    }
}
