//! Trust anchors, intermediate certificates and revocation lists.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use certval::PDVTrustAnchorChoice;
use jiff::Timestamp;
use licence::Sha256Digest;

use crate::chain::{self, Path, PathCost};
use crate::crl::Crl;
use crate::effort::Effort;
use crate::revocation::{self, Sources};
use crate::{
    Certificate, ChainCertificate, ChainError, ChainRecord, ChainVerdict, CrlError, Judgement,
    Link, LinkVerdict, OcspError, Revocation, ocsp,
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
/// Reading is concurrent. A change needs exclusive access; one of anchors or intermediates forgets the paths
/// remembered, one of lists or answers keeps them and has them judged anew.
#[derive(Default)]
pub struct TrustStore {
    anchors: Vec<Anchor>,
    intermediates: Vec<Certificate>,
    sources: Sources,
    epoch: u64,
    validated: RwLock<HashMap<(Sha256Digest, Usage), Arc<Validated>>>,
}

#[derive(Clone)]
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

/// A revocation list that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCrl {
    /// SHA-256 over the issuer's name and public key, as in [`ChainCertificate::issuer`].
    pub issuer: Sha256Digest,
    /// The issuer's name, for people to read.
    pub issuer_text: String,
    /// When it was made.
    pub this_update: Timestamp,
    /// It is current before this moment.
    pub next_update: Timestamp,
    /// How many certificates it revokes.
    pub entries: usize,
    /// It is one of several (RFC 5280, 5.2.5): of a distribution point, of users or of CAs only.
    pub is_partial: bool,
}

/// What was found out about the revocation of a path, for how long it holds, and at which epoch. It belongs to
/// one store: a clone knows nothing.
#[derive(Default)]
pub(crate) struct Standing(RwLock<Option<(u64, revocation::Window, Revocation)>>);

impl Clone for Standing {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A path that was validated, and when that holds.
#[derive(Clone)]
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
    standing: Standing,
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

    /// Takes in a revocation list, PEM or DER, replacing the one of the same issuer and scope. The issuer
    /// must be an anchor or an intermediate added before. Direct lists only; complete, or (RFC 5280, 5.2.5)
    /// for users or CAs only. One of a distribution point revokes, but nobody is good by it: which
    /// certificates belong to it, a kept path does not tell.
    ///
    /// # Errors
    /// See [`CrlError`]; the store is unchanged then.
    pub fn add_crl(&mut self, crl: &[u8]) -> Result<(), CrlError> {
        self.take_crl(crl, &[], Timestamp::MAX)
    }

    /// Like [`TrustStore::add_crl`], for a list that comes from outside: one that is dated more than five
    /// minutes after `now` is refused, for it would keep out every list to come.
    ///
    /// # Errors
    /// As [`TrustStore::add_crl`]; `NotYetValid`.
    pub fn add_crl_at(&mut self, crl: &[u8], now: Timestamp) -> Result<(), CrlError> {
        self.take_crl(crl, &[], now)
    }

    /// Takes in an OCSP answer (DER of an OCSPResponse, RFC 6960), fetched, stapled or kept, about
    /// certificates of an anchor or intermediate added before. Of several about one certificate the newest
    /// counts, of those of one time the worst. One past its nextUpdate is taken in, and judged stale.
    ///
    /// # Errors
    /// See [`OcspError`]; the store is unchanged then.
    pub fn add_ocsp(&mut self, answer: &[u8], now: Timestamp) -> Result<(), OcspError> {
        self.take_ocsp(answer, &[], now)
    }

    /// A store to judge one signature with that carries revocation lists (DER) and OCSP answers beside it: what
    /// this one holds, and those of them that are sound. Each is signed by a CA for its own certificates, so
    /// whoever hands them in can only add what that CA said.
    ///
    /// * `carried`: certificates handed in with them, whose lists and answers count too.
    #[must_use]
    pub fn with_stapled(
        &self,
        lists: &[&[u8]],
        answers: &[&[u8]],
        carried: &[Certificate],
        now: Timestamp,
    ) -> Self {
        let mut store = self.next();
        for list in lists {
            let _ = store.take_crl(list, carried, now);
        }
        for answer in answers {
            let _ = store.take_ocsp(answer, carried, now);
        }
        store
    }

    fn take_crl(
        &mut self,
        crl: &[u8],
        carried: &[Certificate],
        now: Timestamp,
    ) -> Result<(), CrlError> {
        let (list, issuer) = Crl::verify(crl, self.issuers().chain(carried))?;
        let this_update = list.this_update();
        if this_update > ocsp::in_skew(now) {
            return Err(CrlError::NotYetValid { this_update });
        }
        let issuer = issuer.issuer_id();
        self.sources.add_list(issuer, list)?;
        self.epoch += 1;
        Ok(())
    }

    fn take_ocsp(
        &mut self,
        answer: &[u8],
        carried: &[Certificate],
        now: Timestamp,
    ) -> Result<(), OcspError> {
        let said = ocsp::verify(answer, self.issuers().chain(carried), now)?;
        let issuer = said.issuer.issuer_id();
        if let Some(responder) = said.responder
            && self.sources.is_listed(&issuer, responder.serial(), now)
        {
            return Err(OcspError::ResponderRevoked);
        }
        self.sources.add_answers(issuer, said.answers, now)?;
        self.epoch += 1;
        Ok(())
    }

    fn issuers(&self) -> impl Iterator<Item = &Certificate> {
        self.anchors.iter().map(|anchor| &anchor.certificate).chain(&self.intermediates)
    }

    /// Grows with every change of anchors, intermediates, lists or answers: what was judged at an epoch need
    /// not be judged again before the next, or before time itself changes it.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A store to make changes in while this one is read: same epoch, lists and answers shared, paths
    /// remembered.
    #[must_use]
    pub fn next(&self) -> Self {
        let validated = self.validated.read().unwrap_or_else(|error| error.into_inner());
        let copy = |(key, path): (&_, &Arc<Validated>)| (*key, Arc::new(Validated::clone(path)));
        Self {
            anchors: self.anchors.clone(),
            intermediates: self.intermediates.clone(),
            sources: self.sources.clone(),
            epoch: self.epoch,
            validated: RwLock::new(validated.iter().map(copy).collect()),
        }
    }

    /// Like [`TrustStore::next`], without lists and answers: where one was taken away.
    #[must_use]
    pub fn next_without_lists(&self) -> Self {
        let mut next = self.next();
        next.sources = Sources::default();
        next.epoch += 1;
        next
    }

    /// An empty store that takes the place of this one: its epoch goes on.
    #[must_use]
    pub fn successor(&self) -> Self {
        Self { epoch: self.epoch + 1, ..Self::default() }
    }

    /// The certificates of the paths remembered, each with its issuer: whom a responder can be asked
    /// about. In no order, each once.
    pub fn in_use(&self) -> Vec<(Certificate, Certificate)> {
        let validated = self.validated.read().unwrap_or_else(|error| error.into_inner());
        let mut found = HashMap::new();
        for path in validated.values() {
            let known = || [&path.leaf].into_iter().chain(&path.handed_in).chain(self.issuers());
            for certificate in &path.record.certificates {
                let own = known().find(|one| one.sha256() == certificate.sha256);
                let issuer = known().find(|one| one.issuer_id() == certificate.issuer);
                if let (Some(own), Some(issuer)) = (own, issuer) {
                    found.insert(own.sha256(), (own.clone(), issuer.clone()));
                }
            }
        }
        found.into_values().collect()
    }

    /// The revocation lists held, in no order.
    pub fn crls(&self) -> Vec<HeldCrl> {
        let held = |(issuer, list): (&Sha256Digest, &Arc<Crl>)| HeldCrl {
            issuer: *issuer,
            issuer_text: self
                .issuers()
                .find(|certificate| certificate.issuer_id() == *issuer)
                .map_or_else(String::new, Certificate::subject_text),
            this_update: list.this_update(),
            next_update: list.next_update(),
            entries: list.entries(),
            is_partial: list.is_partial(),
        };
        self.sources.lists().map(held).collect()
    }

    /// How many OCSP answers are held, and how many of them are past their nextUpdate at `now`.
    pub fn ocsp_answers(&self, now: Timestamp) -> (usize, usize) {
        let answers = self.sources.answers();
        (answers.len(), answers.filter(|answer| answer.next_update <= now).count())
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
        self.assess_within(signer, others, usage, times, &Effort::default())
    }

    /// The same for one of the signatures of a file, whose effort it shares.
    pub(crate) fn assess_within(
        &self,
        signer: &Certificate,
        others: &[Certificate],
        usage: Usage,
        times: &Times,
        effort: &Effort,
    ) -> Assessment {
        let at = times.of_path();
        let has = |needed: &Certificate| others.contains(needed);
        let known = self.recall(&signer.sha256(), usage, at, has);
        let search = || {
            effort.spend(0)?;
            let mut cost = PathCost::default();
            let path = self.path_at_cost(signer, others, usage, at, &mut cost);
            effort.spend_on_path(&cost);
            path
        };
        let path = known.map_or_else(search, Ok);
        let path = match path {
            Ok(path) => path,
            Err(error) => {
                let links = vec![LinkVerdict::failed(error.link(), error.code())];
                return Assessment { links, chain: None };
            }
        };
        let holds = [Link::Certificate, Link::Usage, Link::Chain];
        let mut links: Vec<_> = holds.into_iter().map(LinkVerdict::ok).collect();
        links.push(self.standing_at(&path, times).verdict());
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
        Judgement { chain, revocation: self.sources.judge_at(record, times) }
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
    pub(crate) fn path(
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
        if !matches!(self.standing(path, at), Revocation::Revoked { .. }) {
            return Ok(path);
        }
        let mut window = revocation::Window::around(at);
        for (position, certificate) in path.record.certificates.iter().enumerate() {
            let verdict = self.sources.judge_one(position, certificate, &mut window);
            if let Revocation::Revoked { at, .. } = verdict {
                return Err(ChainError::Revoked { position, revoked_at: at });
            }
        }
        Ok(path)
    }

    /// What lists and answers say about the path as of `now`; looked up once for each epoch and stretch of
    /// time.
    fn standing(&self, path: &Validated, now: Timestamp) -> Revocation {
        let found = *path.standing.0.read().unwrap_or_else(|error| error.into_inner());
        if let Some((epoch, window, revocation)) = found
            && epoch == self.epoch
            && window.holds(now)
        {
            return revocation;
        }
        let mut window = revocation::Window::around(now);
        let revocation = self.sources.judge(&path.record, &mut window);
        let mut standing = path.standing.0.write().unwrap_or_else(|error| error.into_inner());
        *standing = Some((self.epoch, window, revocation));
        revocation
    }

    /// The same for what is proven to be older: looked up again only where something is revoked.
    fn standing_at(&self, path: &Validated, times: &Times) -> Revocation {
        match self.standing(path, times.now) {
            Revocation::Revoked { .. } if times.proven.is_some() => {
                self.sources.judge_at(&path.record, times)
            }
            standing => standing,
        }
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
            standing: Standing::default(),
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

    /// After a change of anchors or intermediates.
    fn forget(&mut self) {
        self.epoch += 1;
        self.validated.get_mut().unwrap_or_else(|error| error.into_inner()).clear();
    }
}

impl fmt::Debug for TrustStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustStore")
            .field("anchors", &self.anchors.len())
            .field("intermediates", &self.intermediates.len())
            .field("crls", &self.sources.lists().count())
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
