//! What goes into the store and what comes out.

use std::fmt;

use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use licence::{
    CreditCode, IssuerId, LicenceId, LicenceStatus, LicenceTypeCode, MatterCode, ProjectCode, Seq,
    Sha256Digest, StatusChange, TransitionError, Trust, TrustReason,
};
use serde::{Deserialize, Serialize};

use crate::{Collection, HolderToken};

/// The chain record of a checked signature, as `certs` writes it; opaque here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainRecordBytes(pub Vec<u8>);

/// What proves that the issuer signed a document.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// A detached CMS signature over the document, DER.
    Signature(Bytes),
    /// The document's digest stands in a signed batch manifest.
    Manifest {
        /// Names the manifest: [`crate::LicenceStore::manifest`].
        manifest: Sha256Digest,
        /// Zero-based position of the document's digest in it.
        position: u32,
    },
    /// Nothing: the document came from a register of its issuer, which signed nothing. Such a licence is held so that it
    /// is found, and is never trusted. A signature that comes later takes this place.
    Unsigned,
}

impl fmt::Debug for Proof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature(bytes) => write!(formatter, "Signature({} bytes)", bytes.len()),
            Self::Manifest { manifest, position } => {
                write!(formatter, "Manifest({manifest} at {position})")
            }
            Self::Unsigned => formatter.write_str("Unsigned"),
        }
    }
}

/// A licence as it is held: the signed bytes as they came, what proves them, and the status now.
///
/// `Debug` shows no document bytes and no licence number.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredLicence {
    /// Names this version of this licence.
    pub identifier: LicenceId,
    /// The catalogue entry it is of.
    pub licence_type: LicenceTypeCode,
    /// Who issued it.
    pub issuer: IssuerId,
    /// Its holders, in the document's order.
    pub holders: Vec<HolderToken>,
    /// The project it belongs to.
    pub project: Option<ProjectCode>,
    /// The licence number 证照编号, as printed.
    pub number: String,
    /// The day of issue.
    pub issued_on: Date,
    /// The signed bytes, as they came.
    pub document: Bytes,
    /// What proves them.
    pub proof: Proof,
    /// The certificates the proof was checked with.
    pub chain: ChainRecordBytes,
    /// The status now.
    pub status: LicenceStatus,
    /// SHA-256 of `document`.
    pub digest: Sha256Digest,
    /// The registry log entry that brought it in.
    pub seq: Seq,
    /// When the hub took it in as it is proven now: a signature that came after the document counts from its own time.
    pub received_at: Timestamp,
    /// The status orders applied, oldest first.
    pub orders: Vec<StoredOrder>,
    /// What the log says of the trust in it, oldest first; a licence is taken in trusted, unless
    /// nobody signed it. For followers: who reads
    /// a licence judges it by the anchors and lists of that moment.
    pub trust: Vec<TrustMark>,
}

impl StoredLicence {
    /// What the log said of the trust in it after the change with this number.
    pub fn trust_at(&self, seq: Seq) -> Trust {
        let mut marks = self.trust.iter().rev();
        marks.find(|mark| mark.seq <= seq).map_or(Trust::Trusted, |mark| mark.to)
    }

    /// Whether nobody had signed it after the change with this number.
    pub fn unsigned_at(&self, seq: Seq) -> bool {
        let mut marks = self.trust.iter().rev();
        let mark = marks.find(|mark| mark.seq <= seq);
        mark.is_some_and(|mark| mark.reason == TrustReason::Unsigned)
    }

    /// Whether it has the place of a document that nobody had signed: [`UnsignedBefore`].
    pub fn took_place(&self) -> bool {
        self.trust.first().is_some_and(|mark| mark.seq < self.seq)
    }

    /// What the log says of the trust in it now.
    pub fn trust_now(&self) -> Trust {
        self.trust.last().map_or(Trust::Trusted, |mark| mark.to)
    }
}

/// What was held of a licence that nobody had signed, before other bytes took its place that its issuer signed: the entries
/// of the registry log before that are about this. Written in one batch with the entry that ended it.
///
/// `Debug` shows the digest only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsignedBefore {
    /// The registry log entry that brought it in.
    pub seq: Seq,
    /// SHA-256 of `document`.
    pub digest: Sha256Digest,
    /// The bytes, as they came.
    pub document: Bytes,
    /// Its holders, in the document's order.
    pub holders: Vec<HolderToken>,
    /// When the hub took it in.
    pub received_at: Timestamp,
    /// The orders about it, oldest first: entry in the log, bytes, signature (empty: nobody signed it), when the hub took it in.
    /// Those that were signed count for what took its place, too.
    pub orders: Vec<(Seq, Bytes, Bytes, Timestamp)>,
}

impl UnsignedBefore {
    /// Where they are kept, under the licence's identifier.
    pub const COLLECTION: Collection = Collection::new("unsigned_before");
    /// The first byte of a record.
    const VERSION: u8 = 1;

    pub(crate) fn of(held: &StoredLicence) -> Self {
        let order = |order: &StoredOrder| {
            (order.seq, order.document.clone(), order.signature.clone(), order.at)
        };
        Self {
            seq: held.seq,
            digest: held.digest,
            document: held.document.clone(),
            holders: held.holders.clone(),
            received_at: held.received_at,
            orders: held.orders.iter().map(order).collect(),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![Self::VERSION])
            .expect("bytes and numbers serialise into memory")
    }

    /// Reads a record's content; `None`: it is none.
    pub fn parse(content: &[u8]) -> Option<Self> {
        let (&Self::VERSION, content) = content.split_first()? else { return None };
        let (read, rest) = postcard::take_from_bytes(content).ok()?;
        rest.is_empty().then_some(read)
    }
}

impl fmt::Debug for UnsignedBefore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "UnsignedBefore({})", self.digest)
    }
}

impl fmt::Debug for StoredLicence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoredLicence")
            .field("identifier", &self.identifier)
            .field("digest", &self.digest)
            .field("seq", &self.seq)
            .field("status", &self.status)
            .field("orders", &self.orders.len())
            .finish_non_exhaustive()
    }
}

/// A status order that was applied, with the bytes its issuer signed.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredOrder {
    /// The registry log entry of the change.
    pub seq: Seq,
    /// The signed bytes, as they came.
    pub document: Bytes,
    /// Detached CMS signature over them, DER; empty for one that nobody signed, which only an unsigned licence has.
    pub signature: Bytes,
    /// When the hub took it in.
    pub at: Timestamp,
}

impl fmt::Debug for StoredOrder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StoredOrder(seq {:?}, at {})", self.seq, self.at)
    }
}

/// A change of the trust in a licence, as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustMark {
    /// The registry log entry of the change.
    pub seq: Seq,
    /// What it changed to.
    pub to: Trust,
    /// Why.
    pub reason: TrustReason,
}

/// One thing to append to the registry log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewEntry {
    /// A licence, already verified by the caller.
    Licence(NewLicence),
    /// A status order, already verified by the caller.
    Status(NewStatus),
    /// A change of the trust in a licence, already judged by the caller.
    Trust(NewTrust),
}

impl NewEntry {
    /// The licence it is about.
    pub fn identifier(&self) -> &LicenceId {
        match self {
            Self::Licence(new) => &new.identifier,
            Self::Status(new) => &new.identifier,
            Self::Trust(new) => &new.identifier,
        }
    }
}

/// A verified licence to take in. Fields as in [`StoredLicence`].
#[derive(Clone, PartialEq, Eq)]
pub struct NewLicence {
    /// Names this version of this licence.
    pub identifier: LicenceId,
    /// The catalogue entry it is of.
    pub licence_type: LicenceTypeCode,
    /// Who issued it.
    pub issuer: IssuerId,
    /// Its holders, in the document's order.
    pub holders: Vec<HolderToken>,
    /// The project it belongs to.
    pub project: Option<ProjectCode>,
    /// The licence number 证照编号, as printed.
    pub number: String,
    /// The day of issue.
    pub issued_on: Date,
    /// The signed bytes, as they came.
    pub document: Bytes,
    /// What proves them.
    pub proof: Proof,
    /// The certificates the proof was checked with.
    pub chain: ChainRecordBytes,
    /// SHA-256 of `document`; the store computes it again and refuses another.
    pub digest: Sha256Digest,
    /// Now, by the caller's clock.
    pub at: Timestamp,
}

impl fmt::Debug for NewLicence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NewLicence")
            .field("identifier", &self.identifier)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// A verified status order to apply.
#[derive(Clone, PartialEq, Eq)]
pub struct NewStatus {
    /// The licence it is about.
    pub identifier: LicenceId,
    /// What it orders.
    pub change: StatusChange,
    /// Who signed it; refused unless this is who issued the licence.
    pub issuer: IssuerId,
    /// The signed bytes, as they came.
    pub document: Bytes,
    /// Detached CMS signature over them, DER; empty: nobody signed it, which is refused for a licence that is signed, or
    /// whose status was changed by a signed order before.
    pub signature: Bytes,
    /// SHA-256 of `document`; the store computes it again and refuses another.
    pub digest: Sha256Digest,
    /// Now, by the caller's clock.
    pub at: Timestamp,
}

impl fmt::Debug for NewStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NewStatus")
            .field("identifier", &self.identifier)
            .field("change", &self.change)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// A change of the trust in a licence. Where the log says the same already, nothing is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrust {
    /// The licence it is about.
    pub identifier: LicenceId,
    /// The trust in it from now on.
    pub to: Trust,
    /// Why.
    pub reason: TrustReason,
    /// Now, by the caller's clock.
    pub at: Timestamp,
}

/// An entry is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its number; of the first append, if it was there already.
    pub seq: Seq,
    /// False: the same bytes were held already and nothing was written.
    pub new: bool,
    /// The licence's status now.
    pub status: LicenceStatus,
}

/// Why one entry was not appended. The other entries of the call are not affected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The identifier is taken by other bytes.
    #[error("the identifier is held with other bytes (digest {held})")]
    Conflict {
        /// SHA-256 of the bytes held.
        held: Sha256Digest,
    },
    /// A status order for a licence that is not held.
    #[error("no such licence")]
    UnknownLicence,
    /// The licence's status does not allow the change.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// A status order signed by another than who issued the licence.
    #[error("the order is not signed by the licence's issuer")]
    NotIssuer,
    /// An unsigned status order for a licence about which its issuer signed something.
    #[error("the order is not signed, and the licence or an earlier order is")]
    OrderUnsigned,
    /// The digest given is not that of the bytes given.
    #[error("the digest is not that of the document")]
    Digest,
}

impl Refusal {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "identifier_conflict",
            Self::UnknownLicence => "unknown_licence",
            Self::Transition(_) => "status_transition",
            Self::NotIssuer => "not_issuer",
            Self::OrderUnsigned => "order_unsigned",
            Self::Digest => "digest_mismatch",
        }
    }
}

/// A batch manifest and its signature.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// The manifest, as it came.
    pub document: Bytes,
    /// Detached CMS signature over it, DER.
    pub signature: Bytes,
}

impl fmt::Debug for StoredManifest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StoredManifest({} bytes)", self.document.len())
    }
}

/// Why a use is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Which kind of basis.
    pub kind: BasisKind,
    /// The authorisation or the clause relied on.
    pub reference: Option<String>,
}

/// The kinds of [`Basis`]. Stored by position: add at the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BasisKind {
    /// The holder asked.
    Holder,
    /// The holder authorised.
    Consent,
    /// A mandated duty.
    Duty,
}

impl BasisKind {
    /// The word on the wire and in policies: `holder`, `consent`, `duty`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Holder => "holder",
            Self::Consent => "consent",
            Self::Duty => "duty",
        }
    }

    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Holder, Self::Consent, Self::Duty].into_iter().find(|kind| kind.word() == word)
    }
}

/// What was done with the licences shown. Stored by position: add at the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UseAct {
    /// Licences pulled for a matter.
    Pull,
    /// Content opened under a grant.
    Open,
    /// A search.
    Search,
    /// A page viewed.
    View,
    /// The holder, or who acts for the holder, looked at what is the holder's own.
    Own,
}

/// The person at the caller's end.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// The account there.
    pub account: String,
    /// The organisation the account belongs to.
    pub organisation: String,
}

impl fmt::Debug for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Operator(withheld)")
    }
}

/// One licence in a use, with the verdict it was shown with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The licence.
    pub identifier: LicenceId,
    /// `trusted`, `untrusted` or `undetermined`.
    pub result: String,
}

/// The grant a use opens.
#[derive(Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// Random; whoever knows it and may use it opens content.
    pub id: String,
    /// The end of the grant.
    pub until: Timestamp,
}

impl fmt::Debug for NewGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NewGrant(until {})", self.until)
    }
}

/// A use to record, before the first byte of the answer leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUse {
    /// Now, by the caller's clock.
    pub at: Timestamp,
    /// The department that uses.
    pub caller: CreditCode,
    /// SHA-256 of the certificate it came with.
    pub certificate: Sha256Digest,
    /// The person there.
    pub operator: Option<Operator>,
    /// What is being handled; a search need not name it.
    pub matter: Option<MatterCode>,
    /// The case there.
    pub case: Option<String>,
    /// Why it is allowed; a search need not name it.
    pub basis: Option<Basis>,
    /// The reason given.
    pub reason: String,
    /// Whose licences.
    pub holder: Option<HolderToken>,
    /// Further holders of what was shown: they find the entry among their uses too. Not part of the entry.
    pub also: Vec<HolderToken>,
    /// Which project's licences.
    pub project: Option<ProjectCode>,
    /// What was shown.
    pub shown: Vec<Shown>,
    /// The grant it opens; for an opening or a further view ([`UseAct::Open`], [`UseAct::View`]) the grant that it is
    /// made under, which is there already and stays as it is.
    pub grant: Option<NewGrant>,
    /// What was done.
    pub act: UseAct,
}

impl NewUse {
    /// Everybody who finds the entry among their uses, each once.
    pub fn holders(&self) -> Vec<HolderToken> {
        let mut holders: Vec<HolderToken> =
            self.holder.into_iter().chain(self.also.iter().copied()).collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// The grant that it opens.
    pub fn opens(&self) -> Option<&NewGrant> {
        let under = matches!(self.act, UseAct::Open | UseAct::View);
        self.grant.as_ref().filter(|_| !under)
    }
}

/// One entry of the access log. Fields as in [`NewUse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseEntry {
    /// Its number in the access log.
    pub seq: Seq,
    /// When it was recorded.
    pub at: Timestamp,
    /// The department that used.
    pub caller: CreditCode,
    /// SHA-256 of the certificate it came with.
    pub certificate: Sha256Digest,
    /// The person there.
    pub operator: Option<Operator>,
    /// What was being handled.
    pub matter: Option<MatterCode>,
    /// The case there.
    pub case: Option<String>,
    /// Why it was allowed.
    pub basis: Option<Basis>,
    /// The reason given.
    pub reason: String,
    /// Whose licences.
    pub holder: Option<HolderToken>,
    /// Which project's licences.
    pub project: Option<ProjectCode>,
    /// What was shown.
    pub shown: Vec<Shown>,
    /// The id of the grant it opened, or was made under.
    pub grant: Option<String>,
    /// What was done.
    pub act: UseAct,
}

/// A grant, with the use that opened it: who may open which licences, for what.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its random id.
    pub id: String,
    /// The end of it.
    pub until: Timestamp,
    /// The use that opened it: caller, matter, case, basis, licences shown.
    pub opened_by: UseEntry,
}

impl fmt::Debug for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Grant(use {:?}, until {})", self.opened_by.seq, self.until)
    }
}

/// A change a counterpart would not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The change.
    pub seq: Seq,
    /// The counterpart's code for why.
    pub code: String,
    /// The counterpart's remark.
    pub remark: String,
    /// When it was set aside.
    pub at: Timestamp,
}

/// How a set-aside came to its end. Stored by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// Sent again by itself, and taken.
    Resent,
    /// Taken when everything from a change on was sent again.
    Replayed,
}

/// A set-aside that came to its end; it stays listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledSetAside {
    /// What was set aside, and why.
    pub refused: SetAside,
    /// When it came to its end.
    pub settled_at: Timestamp,
    /// How.
    pub how: Settled,
}
