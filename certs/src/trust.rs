//! Trust anchors, intermediate certificates and revocation lists.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use certval::PDVTrustAnchorChoice;
use jiff::Timestamp;
use licence::Sha256Digest;

use crate::chain::{self, Path, PathCost};
use crate::crl::Crl;
use crate::{
    Certificate, ChainCertificate, ChainError, ChainRecord, ChainVerdict, CrlError, Judgement,
    Link, LinkVerdict, Revocation,
};

/// How many validated paths are remembered. When full, all are forgotten: only certificates that did
/// lead to an anchor get in, and a city has fewer.
const REMEMBERED_PATHS: usize = 4096;

/// What a certificate is used for; each use has anchors of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Usage {
    /// Signing licences, manifests and status orders.
    IssuingLicences,
    /// Signing certificates of clients (departments' systems); the leaf is a TLS client certificate.
    IssuingClients,
    /// Making time-stamps (RFC 3161, 2.3): the leaf is good for nothing else.
    TimeStamping,
    /// Authenticating TLS servers; whether the name is the right one is for the caller to compare.
    AuthenticatingServers,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IssuingLicences => "issuing licences",
            Self::IssuingClients => "authenticating a client",
            Self::TimeStamping => "time-stamping",
            Self::AuthenticatingServers => "authenticating a server",
        })
    }
}

/// When a signature is judged, and since when it is known to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Now, or the time asked about.
    pub now: Timestamp,
    /// A time at which it was there already, as a trusted time-stamp or the registry log proves.
    pub proven: Option<Timestamp>,
}

impl Times {
    /// Nothing proves that the signature is older than `now`.
    pub fn now(now: Timestamp) -> Self {
        Self { now, proven: None }
    }

    /// The time that the path must hold at: the proven one, else now.
    pub fn of_path(&self) -> Timestamp {
        self.proven.unwrap_or(self.now)
    }
}

/// What is known of a signer's certificate: the links certificate, chain, usage and revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The links in order; one that is broken ends the list.
    pub links: Vec<LinkVerdict>,
    /// The path, if there is one.
    pub chain: Option<ChainRecord>,
}

/// Everything a verdict rests on besides the signature itself.
///
/// Reading is concurrent. A change of anchors, intermediates or lists needs exclusive access and
/// forgets the paths remembered.
#[derive(Default)]
pub struct TrustStore {
    anchors: Vec<Anchor>,
    intermediates: Vec<Certificate>,
    /// By the issuer's [`Certificate::issuer_id`].
    crls: HashMap<Sha256Digest, Crl>,
    validated: RwLock<HashMap<(Sha256Digest, Usage), Arc<Validated>>>,
}

pub(crate) struct Anchor {
    usage: Usage,
    pub(crate) certificate: Certificate,
    /// As the path validator reads it; `None` if it cannot.
    pub(crate) validated_form: Option<PDVTrustAnchorChoice>,
    pub(crate) window: Window,
}

/// When an anchor is trusted, beside its certificate's own validity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// The first moment; always before, if absent.
    from: Option<Timestamp>,
    /// The first moment after it; for ever, if absent.
    until: Option<Timestamp>,
}

impl Window {
    pub(crate) fn check(&self, at: Timestamp) -> Result<(), ChainError> {
        match *self {
            Self { from: Some(from), .. } if at < from => {
                Err(ChainError::AnchorNotYet { at, from })
            }
            Self { until: Some(until), .. } if at >= until => {
                Err(ChainError::AnchorEnded { at, until })
            }
            _ => Ok(()),
        }
    }
}

/// A path that was validated, and when that holds.
pub(crate) struct Validated {
    pub(crate) leaf: Certificate,
    pub(crate) record: ChainRecord,
    /// Certificates of the path that the store does not know: who relies on the path must hand them in
    /// again, so that a verdict never depends on what was verified before.
    handed_in: Vec<Certificate>,
    /// Every certificate of the path and the anchor are valid from here to there, both included.
    from: Timestamp,
    until: Timestamp,
    window: Window,
}

impl Validated {
    fn holds(&self, at: Timestamp, has: impl Fn(&Certificate) -> bool) -> bool {
        // Whole seconds, like the certificates' own times.
        let second = at.as_second();
        self.from.as_second() <= second
            && second <= self.until.as_second()
            && self.window.check(at).is_ok()
            && self.handed_in.iter().all(has)
    }
}

impl TrustStore {
    /// A store that trusts nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts `anchor` for `usage`. It may issue only if it says of itself that it is a CA; one that does
    /// not is trusted as a signer alone.
    pub fn add_anchor(&mut self, usage: Usage, anchor: Certificate) {
        self.add_anchor_between(usage, anchor, None, None);
    }

    /// Trusts `anchor` for `usage` from `from` on and before `until`, as its certificate's own validity
    /// allows. It replaces the same anchor with another time.
    ///
    /// A path is judged at the time that its signature is proven to exist: what is older than `until`
    /// outlives it, see [`TrustStore::judge_at`].
    pub fn add_anchor_between(
        &mut self,
        usage: Usage,
        anchor: Certificate,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) {
        self.remove_anchor(usage, &anchor.sha256());
        let validated_form = PDVTrustAnchorChoice::try_from(anchor.der()).ok();
        let window = Window { from, until };
        self.anchors.push(Anchor { usage, certificate: anchor, validated_form, window });
        self.forget();
    }

    /// Withdraws trust; whether the anchor was there.
    pub fn remove_anchor(&mut self, usage: Usage, sha256: &Sha256Digest) -> bool {
        let before = self.anchors.len();
        self.anchors
            .retain(|anchor| anchor.usage != usage || anchor.certificate.sha256() != *sha256);
        self.forget();
        self.anchors.len() != before
    }

    /// Makes an intermediate CA certificate known; it is not trusted by itself.
    pub fn add_intermediate(&mut self, certificate: Certificate) {
        if !self.intermediates.contains(&certificate) {
            self.intermediates.push(certificate);
        }
        self.forget();
    }

    /// Takes in a revocation list, PEM or DER, replacing the one of the same issuer. The issuer must be
    /// an anchor or an intermediate added before. Complete, direct lists only.
    ///
    /// # Errors
    /// See [`CrlError`]; the store is unchanged then.
    pub fn add_crl(&mut self, crl: &[u8]) -> Result<(), CrlError> {
        let anchors = self.anchors.iter().map(|anchor| &anchor.certificate);
        let (crl, issuer) = Crl::verify(crl, anchors.chain(&self.intermediates))?;
        let issuer = issuer.issuer_id();
        if let Some(held) = self.crls.get(&issuer)
            && held.this_update() > crl.this_update()
        {
            return Err(CrlError::Older { held: held.this_update() });
        }
        self.crls.insert(issuer, crl);
        self.forget();
        Ok(())
    }

    /// The anchors for `usage`.
    pub fn anchors(&self, usage: Usage) -> Vec<Certificate> {
        self.anchors_for(usage).map(|anchor| anchor.certificate.clone()).collect()
    }

    /// Validates a path from `leaf` through `others` and the known intermediates to an anchor
    /// (RFC 5280, 6), as of `at`, and judges revocation. At most 6 certificates besides the anchor.
    ///
    /// The leaf must allow `usage`: for issuing licences, key usage digitalSignature or nonRepudiation,
    /// and an extended key usage, if there is one, beyond TLS server and client; for clients,
    /// digitalSignature if there is a key usage, and clientAuth if there is an extended one.
    ///
    /// # Errors
    /// See [`ChainError`]. That no current revocation list is at hand is no error: see
    /// [`TrustStore::judge`].
    pub fn verify_chain(
        &self,
        leaf: &Certificate,
        others: &[Certificate],
        usage: Usage,
        at: Timestamp,
    ) -> Result<ChainRecord, ChainError> {
        let has = |needed: &Certificate| others.contains(needed);
        if let Some(known) = self.recall(&leaf.sha256(), usage, at, has) {
            return self.unless_revoked(&known, at).map(|known| known.record.clone());
        }
        let validated = self.validate(leaf, others, usage, at)?;
        Ok(validated.record.clone())
    }

    /// Like [`TrustStore::verify_chain`], but nothing remembered is used; says what it cost.
    ///
    /// # Errors
    /// As there. `Budget` when a path would cost more than one verification may: 64 signature checks,
    /// 16 whole paths, 4096 steps.
    pub fn verify_chain_counting(
        &self,
        leaf: &Certificate,
        others: &[Certificate],
        usage: Usage,
        at: Timestamp,
    ) -> (Result<ChainRecord, ChainError>, PathCost) {
        let mut cost = PathCost::default();
        let validated = self.path_at_cost(leaf, others, usage, at, &mut cost).and_then(|path| {
            self.unless_revoked(&path, at)?;
            Ok(path.record.clone())
        });
        (validated, cost)
    }

    /// Judges a path validated before by what is known now: hash look-ups only. Nothing proves that
    /// what it signed is older; for what is, see [`TrustStore::judge_at`].
    pub fn judge(&self, record: &ChainRecord, now: Timestamp) -> Judgement {
        self.judge_at(record, &Times::now(now))
    }

    /// Assesses a signer link by link: a path to an anchor for `usage` at the time of the signature (as far as
    /// that is proven), and revocation as known now, which a signature proven to be older outlives.
    pub fn assess(
        &self,
        signer: &Certificate,
        others: &[Certificate],
        usage: Usage,
        times: &Times,
    ) -> Assessment {
        let at = times.of_path();
        let has = |needed: &Certificate| others.contains(needed);
        let known = self.recall(&signer.sha256(), usage, at, has);
        let path = known.map_or_else(|| self.path(signer, others, usage, at), Ok);
        let path = match path {
            Ok(path) => path,
            Err(error) => {
                let links = vec![LinkVerdict::failed(error.link(), error.code())];
                return Assessment { links, chain: None };
            }
        };
        let holds = [Link::Certificate, Link::Usage, Link::Chain];
        let mut links: Vec<_> = holds.into_iter().map(LinkVerdict::ok).collect();
        let judged = self.judge_at(&path.record, times).revocation;
        links.push(match judged {
            Revocation::Good { as_of } => LinkVerdict::ok(Link::Revocation).with_time(as_of),
            Revocation::Revoked { at, .. } => {
                LinkVerdict::failed(Link::Revocation, "certificate_revoked").with_time(at)
            }
            Revocation::Stale { as_of } => {
                LinkVerdict::undetermined(Link::Revocation, "crl_stale").with_time(as_of)
            }
            Revocation::NoCrl => LinkVerdict::undetermined(Link::Revocation, "crl_missing"),
        });
        Assessment { links, chain: Some(path.record.clone()) }
    }

    /// Judges a path validated before, whose signature is proven to be older: it outlives a revocation
    /// and the end of its anchor's time, but not that the anchor was removed. A record of another use
    /// or anchor than the store has comes out as `AnchorWithdrawn`.
    pub fn judge_at(&self, record: &ChainRecord, times: &Times) -> Judgement {
        let mut anchors = self.anchors_for(record.usage);
        let anchor = anchors.find(|anchor| anchor.certificate.sha256() == record.anchor);
        let chain = anchor.map_or(ChainVerdict::AnchorWithdrawn, |anchor| {
            match anchor.window.check(times.of_path()) {
                Ok(()) => ChainVerdict::Ok,
                Err(ChainError::AnchorNotYet { .. }) => ChainVerdict::AnchorNotYet,
                Err(_) => ChainVerdict::AnchorEnded,
            }
        });
        let verdicts = record.certificates.iter().map(|certificate| {
            let list = self.crls.get(&certificate.issuer);
            list.map_or(Revocation::NoCrl, |list| list.judge(&certificate.serial, times.now))
        });
        // An anchor that signs by itself is on no list; withdrawing it is what revokes it.
        let mut revocation =
            verdicts.reduce(Revocation::worse).unwrap_or(Revocation::Good { as_of: times.now });
        if let Revocation::Revoked { at, since } = revocation
            && times.proven.is_some_and(|proven| proven < since)
        {
            revocation = Revocation::Good { as_of: at };
        }
        Judgement { chain, revocation }
    }

    /// A path remembered for the certificate with this digest, if it holds at `at` with what was handed
    /// in. Revocation is the caller's to judge.
    pub(crate) fn recall(
        &self,
        leaf: &Sha256Digest,
        usage: Usage,
        at: Timestamp,
        has: impl Fn(&Certificate) -> bool,
    ) -> Option<Arc<Validated>> {
        // A poisoned lock only means that a reader panicked: the map is as good as before.
        let validated = self.validated.read().unwrap_or_else(|error| error.into_inner());
        validated.get(&(*leaf, usage)).filter(|path| path.holds(at, has)).cloned()
    }

    pub(crate) fn validate(
        &self,
        leaf: &Certificate,
        others: &[Certificate],
        usage: Usage,
        at: Timestamp,
    ) -> Result<Arc<Validated>, ChainError> {
        let validated = self.path(leaf, others, usage, at)?;
        self.unless_revoked(&validated, at)?;
        Ok(validated)
    }

    /// Finds, validates and remembers a path; revocation is not looked at.
    fn path(
        &self,
        leaf: &Certificate,
        others: &[Certificate],
        usage: Usage,
        at: Timestamp,
    ) -> Result<Arc<Validated>, ChainError> {
        self.path_at_cost(leaf, others, usage, at, &mut PathCost::default())
    }

    fn path_at_cost(
        &self,
        leaf: &Certificate,
        others: &[Certificate],
        usage: Usage,
        at: Timestamp,
        cost: &mut PathCost,
    ) -> Result<Arc<Validated>, ChainError> {
        let anchors: Vec<&Anchor> = self.anchors_for(usage).collect();
        let known = &self.intermediates;
        let path = chain::validate(leaf, others, known, &anchors, usage, at, cost)?;
        let validated = Arc::new(self.keep(path, usage));
        let mut remembered = self.validated.write().unwrap_or_else(|error| error.into_inner());
        if remembered.len() >= REMEMBERED_PATHS {
            remembered.clear();
        }
        remembered.insert((leaf.sha256(), usage), Arc::clone(&validated));
        Ok(validated)
    }

    pub(crate) fn unless_revoked<'a>(
        &self,
        path: &'a Validated,
        at: Timestamp,
    ) -> Result<&'a Validated, ChainError> {
        for (position, certificate) in path.record.certificates.iter().enumerate() {
            if let Some(list) = self.crls.get(&certificate.issuer)
                && let Revocation::Revoked { at, .. } = list.judge(&certificate.serial, at)
            {
                return Err(ChainError::Revoked { position, revoked_at: at });
            }
        }
        Ok(path)
    }

    fn keep(&self, path: Path<'_>, usage: Usage) -> Validated {
        let anchor = &path.anchor.certificate;
        let issuers = path.certificates.iter().skip(1).copied().chain([anchor]);
        let certificates: Vec<_> = path
            .certificates
            .iter()
            .zip(issuers)
            .map(|(certificate, issuer)| ChainCertificate {
                sha256: certificate.sha256(),
                serial: certificate.serial().to_vec(),
                issuer: issuer.issuer_id(),
                not_before: certificate.not_before(),
                not_after: certificate.not_after(),
            })
            .collect();
        let all = || path.certificates.iter().copied().chain([anchor]);
        Validated {
            window: path.anchor.window,
            leaf: path.certificates.first().copied().unwrap_or(anchor).clone(),
            handed_in: path
                .certificates
                .iter()
                .skip(1)
                .filter(|certificate| !self.intermediates.contains(certificate))
                .map(|certificate| (*certificate).clone())
                .collect(),
            from: all().map(Certificate::not_before).max().unwrap_or(Timestamp::MAX),
            until: all().map(Certificate::not_after).min().unwrap_or(Timestamp::MIN),
            record: ChainRecord { usage, anchor: anchor.sha256(), certificates },
        }
    }

    fn anchors_for(&self, usage: Usage) -> impl Iterator<Item = &Anchor> {
        self.anchors.iter().filter(move |anchor| anchor.usage == usage)
    }

    fn forget(&mut self) {
        self.validated.get_mut().unwrap_or_else(|error| error.into_inner()).clear();
    }
}

impl fmt::Debug for TrustStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustStore")
            .field("anchors", &self.anchors.len())
            .field("intermediates", &self.intermediates.len())
            .field("crls", &self.crls.len())
            .finish_non_exhaustive()
    }
}
