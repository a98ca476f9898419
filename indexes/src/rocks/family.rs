//! The column families: one typed handle each. Described for other programs in
//! `docs/formats/store.md`; a change there and in the byte snapshots below goes together.
//!
//! A key is read back from bytes and never trusted: whatever does not parse is [`Damage`], which
//! [`Damage::at`] turns into an error that names the family and a digest of the key, not its
//! content.

use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use licence::{
    Change, ChangeKind, CreditCode, IssuerId, LicenceId, LicenceStatus, LicenceTypeCode,
    MatterCode, ProjectCode, Seq, Sha256Digest,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Basis, ChainRecordBytes, HolderToken, Operator, Proof, SetAside, Shown, StoreError,
    StoredLicence, StoredManifest, StoredOrder, TrustMark, UseAct, UseEntry,
};

/// The format of the whole folder, in the default family under [`FORMAT_KEY`].
///
/// 2 added changes of trust: to the registry log, and to licences whose trust changed. A folder of format 1 is one of
/// format 2 in which no trust changed. 3 added licences that nobody signed; a folder of format 2 is one without any.
pub(super) const FORMAT: u32 = 3;
/// The first format of a folder that is read.
pub(super) const FIRST_FORMAT: u32 = 1;
pub(super) const FORMAT_KEY: &[u8] = b"format";

/// What keys of a family look up, for the options it is opened with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Found by the whole key.
    Point,
    /// Found by the first bytes of the key.
    Prefix(usize),
    /// Read in order.
    Log,
}

/// One column family: how its keys and values are written and read.
pub(super) trait Family {
    const NAME: &'static str;
    const SHAPE: Shape;
    type Key;
    type Value;

    fn key(key: &Self::Key) -> Vec<u8>;
    fn parse_key(bytes: &[u8]) -> Result<Self::Key, Damage>;
    fn value(value: &Self::Value) -> Vec<u8>;
    fn parse_value(bytes: &[u8]) -> Result<Self::Value, Damage>;
}

/// Bytes that no writer of this format wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage(&'static str);

impl Damage {
    pub(super) const fn new(detail: &'static str) -> Self {
        Self(detail)
    }

    pub(super) fn at<F: Family>(self, key: &[u8]) -> StoreError {
        StoreError::Corrupt { place: place(F::NAME, key), detail: self.0.to_owned() }
    }
}

/// Names a record without showing its key.
pub(super) fn place(family: &str, key: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, key);
    format!("{family}, key sha256 {}", hex::encode(&digest.as_ref()[..8]))
}

/// Every family of this format, in the order they are opened.
pub(super) fn all() -> Vec<(&'static str, Shape)> {
    fn one<F: Family>() -> (&'static str, Shape) {
        (F::NAME, F::SHAPE)
    }
    vec![
        one::<Licences>(),
        one::<ByHolder>(),
        one::<ByProject>(),
        one::<ByNumber>(),
        one::<RegistryLog>(),
        one::<AccessLog>(),
        one::<AccessByHolder>(),
        one::<Grants>(),
        one::<Manifests>(),
        one::<Cursors>(),
        one::<Flags>(),
        one::<SetAsides>(),
        one::<Outcomes>(),
        one::<Records>(),
    ]
}

/// Licence identifier → the licence.
pub(super) struct Licences;

impl Family for Licences {
    const NAME: &'static str = "licences";
    const SHAPE: Shape = Shape::Point;
    type Key = LicenceId;
    type Value = LicenceRecord;

    fn key(key: &LicenceId) -> Vec<u8> {
        key.as_str().as_bytes().to_vec()
    }

    fn parse_key(bytes: &[u8]) -> Result<LicenceId, Damage> {
        parse_text(bytes, "the key is no licence identifier")
    }

    fn value(value: &LicenceRecord) -> Vec<u8> {
        let mut bytes = versioned(value, 256 + value.document.len());
        if !value.trust.is_empty() {
            bytes[0] = WITH_TRUST;
            bytes = postcard::to_extend(&value.trust, bytes).expect("numbers and words");
        }
        bytes
    }

    fn parse_value(bytes: &[u8]) -> Result<LicenceRecord, Damage> {
        let Some((&WITH_TRUST, rest)) = bytes.split_first() else { return parse_versioned(bytes) };
        let (record, rest) = postcard::take_from_bytes::<LicenceRecord>(rest)
            .map_err(|_| Damage("the value does not parse"))?;
        Ok(LicenceRecord { trust: parse_all(rest)?, ..record })
    }
}

/// Holder token · type · issue date · identifier → nothing.
pub(super) struct ByHolder;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HolderKey {
    pub(super) holder: HolderToken,
    pub(super) licence_type: LicenceTypeCode,
    pub(super) issued_on: Date,
    pub(super) identifier: LicenceId,
}

impl Family for ByHolder {
    const NAME: &'static str = "by_holder";
    const SHAPE: Shape = Shape::Prefix(16);
    type Key = HolderKey;
    type Value = ();

    fn key(key: &HolderKey) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + 21 + 4 + key.identifier.as_str().len());
        bytes.extend_from_slice(key.holder.as_bytes());
        bytes.extend_from_slice(key.licence_type.as_str().as_bytes());
        bytes.extend_from_slice(&day_number(key.issued_on).to_be_bytes());
        bytes.extend_from_slice(key.identifier.as_str().as_bytes());
        bytes
    }

    fn parse_key(bytes: &[u8]) -> Result<HolderKey, Damage> {
        let (holder, rest) = split(bytes)?;
        let (licence_type, rest) = split::<21>(rest)?;
        let (issued_on, identifier) = split(rest)?;
        Ok(HolderKey {
            holder: HolderToken::from_bytes(*holder),
            licence_type: parse_text(licence_type, "the key has no licence type")?,
            issued_on: parse_day_number(u32::from_be_bytes(*issued_on))?,
            identifier: parse_text(identifier, "the key has no licence identifier")?,
        })
    }

    fn value((): &()) -> Vec<u8> {
        Vec::new()
    }

    fn parse_value(bytes: &[u8]) -> Result<(), Damage> {
        nothing(bytes)
    }
}

/// Project code · identifier → nothing.
pub(super) struct ByProject;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProjectKey {
    pub(super) project: ProjectCode,
    pub(super) identifier: LicenceId,
}

impl Family for ByProject {
    const NAME: &'static str = "by_project";
    const SHAPE: Shape = Shape::Prefix(24);
    type Key = ProjectKey;
    type Value = ();

    fn key(key: &ProjectKey) -> Vec<u8> {
        [key.project.as_str().as_bytes(), key.identifier.as_str().as_bytes()].concat()
    }

    fn parse_key(bytes: &[u8]) -> Result<ProjectKey, Damage> {
        let (project, identifier) = split::<24>(bytes)?;
        Ok(ProjectKey {
            project: parse_text(project, "the key has no project code")?,
            identifier: parse_text(identifier, "the key has no licence identifier")?,
        })
    }

    fn value((): &()) -> Vec<u8> {
        Vec::new()
    }

    fn parse_value(bytes: &[u8]) -> Result<(), Damage> {
        nothing(bytes)
    }
}

/// Type · licence number · NUL · identifier → nothing. An identifier holds no NUL, so the last one
/// ends the number, whatever the number holds.
pub(super) struct ByNumber;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NumberKey {
    pub(super) licence_type: LicenceTypeCode,
    pub(super) number: String,
    pub(super) identifier: LicenceId,
}

impl NumberKey {
    /// What all keys of this type and number start with (others may, too).
    pub(super) fn prefix(licence_type: &LicenceTypeCode, number: &str) -> Vec<u8> {
        [licence_type.as_str().as_bytes(), number.as_bytes(), &[0]].concat()
    }
}

impl Family for ByNumber {
    const NAME: &'static str = "by_number";
    const SHAPE: Shape = Shape::Log;
    type Key = NumberKey;
    type Value = ();

    fn key(key: &NumberKey) -> Vec<u8> {
        let mut bytes = NumberKey::prefix(&key.licence_type, &key.number);
        bytes.extend_from_slice(key.identifier.as_str().as_bytes());
        bytes
    }

    fn parse_key(bytes: &[u8]) -> Result<NumberKey, Damage> {
        let (licence_type, rest) = split::<21>(bytes)?;
        let end = rest.iter().rposition(|&byte| byte == 0);
        let end = end.ok_or(Damage("the key has no end of the number"))?;
        Ok(NumberKey {
            licence_type: parse_text(licence_type, "the key has no licence type")?,
            number: parse_text(&rest[..end], "the key has no number")?,
            identifier: parse_text(&rest[end + 1..], "the key has no licence identifier")?,
        })
    }

    fn value((): &()) -> Vec<u8> {
        Vec::new()
    }

    fn parse_value(bytes: &[u8]) -> Result<(), Damage> {
        nothing(bytes)
    }
}

/// Seq → what changed, when.
pub(super) struct RegistryLog;

impl Family for RegistryLog {
    const NAME: &'static str = "registry_log";
    const SHAPE: Shape = Shape::Log;
    type Key = Seq;
    type Value = ChangeRecord;

    fn key(key: &Seq) -> Vec<u8> {
        seq_key(*key)
    }

    fn parse_key(bytes: &[u8]) -> Result<Seq, Damage> {
        parse_seq_key(bytes)
    }

    fn value(value: &ChangeRecord) -> Vec<u8> {
        versioned(value, 256)
    }

    fn parse_value(bytes: &[u8]) -> Result<ChangeRecord, Damage> {
        parse_versioned(bytes)
    }
}

/// Seq → one use.
pub(super) struct AccessLog;

impl Family for AccessLog {
    const NAME: &'static str = "access_log";
    const SHAPE: Shape = Shape::Log;
    type Key = Seq;
    type Value = UseRecord;

    fn key(key: &Seq) -> Vec<u8> {
        seq_key(*key)
    }

    fn parse_key(bytes: &[u8]) -> Result<Seq, Damage> {
        parse_seq_key(bytes)
    }

    fn value(value: &UseRecord) -> Vec<u8> {
        versioned(value, 384)
    }

    fn parse_value(bytes: &[u8]) -> Result<UseRecord, Damage> {
        parse_versioned(bytes)
    }
}

/// Holder token · seq → nothing.
pub(super) struct AccessByHolder;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UseKey {
    pub(super) holder: HolderToken,
    pub(super) seq: Seq,
}

impl Family for AccessByHolder {
    const NAME: &'static str = "access_by_holder";
    const SHAPE: Shape = Shape::Prefix(16);
    type Key = UseKey;
    type Value = ();

    fn key(key: &UseKey) -> Vec<u8> {
        [key.holder.as_bytes().as_slice(), &key.seq.0.to_be_bytes()].concat()
    }

    fn parse_key(bytes: &[u8]) -> Result<UseKey, Damage> {
        let (holder, seq) = split(bytes)?;
        Ok(UseKey { holder: HolderToken::from_bytes(*holder), seq: parse_seq_key(seq)? })
    }

    fn value((): &()) -> Vec<u8> {
        Vec::new()
    }

    fn parse_value(bytes: &[u8]) -> Result<(), Damage> {
        nothing(bytes)
    }
}

/// Grant id → the use that opened it and its end.
pub(super) struct Grants;

impl Family for Grants {
    const NAME: &'static str = "grants";
    const SHAPE: Shape = Shape::Point;
    type Key = String;
    type Value = GrantRecord;

    fn key(key: &String) -> Vec<u8> {
        key.as_bytes().to_vec()
    }

    fn parse_key(bytes: &[u8]) -> Result<String, Damage> {
        parse_text(bytes, "the key is no text")
    }

    fn value(value: &GrantRecord) -> Vec<u8> {
        versioned(value, 32)
    }

    fn parse_value(bytes: &[u8]) -> Result<GrantRecord, Damage> {
        parse_versioned(bytes)
    }
}

/// SHA-256 of the manifest → the manifest and its signature.
pub(super) struct Manifests;

impl Family for Manifests {
    const NAME: &'static str = "manifests";
    const SHAPE: Shape = Shape::Point;
    type Key = Sha256Digest;
    type Value = ManifestRecord;

    fn key(key: &Sha256Digest) -> Vec<u8> {
        key.as_bytes().to_vec()
    }

    fn parse_key(bytes: &[u8]) -> Result<Sha256Digest, Damage> {
        let (digest, rest) = split(bytes)?;
        nothing(rest)?;
        Ok(Sha256Digest::from_bytes(*digest))
    }

    fn value(value: &ManifestRecord) -> Vec<u8> {
        versioned(value, 16 + value.document.len() + value.signature.len())
    }

    fn parse_value(bytes: &[u8]) -> Result<ManifestRecord, Damage> {
        parse_versioned(bytes)
    }
}

/// Follower name → the number of the next change it wants.
pub(super) struct Cursors;

impl Family for Cursors {
    const NAME: &'static str = "cursors";
    const SHAPE: Shape = Shape::Point;
    type Key = String;
    type Value = u64;

    fn key(key: &String) -> Vec<u8> {
        key.as_bytes().to_vec()
    }

    fn parse_key(bytes: &[u8]) -> Result<String, Damage> {
        parse_text(bytes, "the key is no text")
    }

    fn value(value: &u64) -> Vec<u8> {
        versioned(value, 10)
    }

    fn parse_value(bytes: &[u8]) -> Result<u64, Damage> {
        parse_versioned(bytes)
    }
}

/// Flag name → set or not.
pub(super) struct Flags;

impl Family for Flags {
    const NAME: &'static str = "flags";
    const SHAPE: Shape = Shape::Point;
    type Key = String;
    type Value = bool;

    fn key(key: &String) -> Vec<u8> {
        key.as_bytes().to_vec()
    }

    fn parse_key(bytes: &[u8]) -> Result<String, Damage> {
        parse_text(bytes, "the key is no text")
    }

    fn value(value: &bool) -> Vec<u8> {
        versioned(value, 2)
    }

    fn parse_value(bytes: &[u8]) -> Result<bool, Damage> {
        parse_versioned(bytes)
    }
}

/// Follower name · NUL · seq → why the change was refused. A seq has eight bytes, so the ninth from
/// the end is the NUL, whatever the name holds.
pub(super) struct SetAsides;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SetAsideKey {
    pub(super) name: String,
    pub(super) seq: Seq,
}

impl SetAsideKey {
    /// What all keys of this name start with (others may, too).
    pub(super) fn prefix(name: &str) -> Vec<u8> {
        [name.as_bytes(), &[0]].concat()
    }
}

impl Family for SetAsides {
    const NAME: &'static str = "set_asides";
    const SHAPE: Shape = Shape::Log;
    type Key = SetAsideKey;
    type Value = SetAsideRecord;

    fn key(key: &SetAsideKey) -> Vec<u8> {
        let mut bytes = SetAsideKey::prefix(&key.name);
        bytes.extend_from_slice(&key.seq.0.to_be_bytes());
        bytes
    }

    fn parse_key(bytes: &[u8]) -> Result<SetAsideKey, Damage> {
        let end = bytes.len().checked_sub(9).filter(|&end| bytes[end] == 0);
        let end = end.ok_or(Damage("the key has no end of the name"))?;
        Ok(SetAsideKey {
            name: parse_text(&bytes[..end], "the key has no name")?,
            seq: parse_seq_key(&bytes[end + 1..])?,
        })
    }

    fn value(value: &SetAsideRecord) -> Vec<u8> {
        versioned(value, 64)
    }

    fn parse_value(bytes: &[u8]) -> Result<SetAsideRecord, Damage> {
        parse_versioned(bytes)
    }
}

/// Idempotency key → the answer given.
pub(super) struct Outcomes;

impl Family for Outcomes {
    const NAME: &'static str = "outcomes";
    const SHAPE: Shape = Shape::Point;
    type Key = Vec<u8>;
    type Value = OutcomeRecord;

    fn key(key: &Vec<u8>) -> Vec<u8> {
        key.clone()
    }

    fn parse_key(bytes: &[u8]) -> Result<Vec<u8>, Damage> {
        Ok(bytes.to_vec())
    }

    fn value(value: &OutcomeRecord) -> Vec<u8> {
        versioned(value, 24 + value.bytes.len())
    }

    fn parse_value(bytes: &[u8]) -> Result<OutcomeRecord, Damage> {
        parse_versioned(bytes)
    }
}

/// A moment in a value: seconds since 1970 and the nanoseconds beyond, of the same sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    second: i64,
    nanosecond: i32,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self { second: at.as_second(), nanosecond: at.subsec_nanosecond() }
    }
}

impl TryFrom<Moment> for Timestamp {
    type Error = Damage;

    fn try_from(moment: Moment) -> Result<Self, Damage> {
        Timestamp::new(moment.second, moment.nanosecond)
            .map_err(|_| Damage("the value has no such time"))
    }
}

/// Value of [`Licences`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LicenceRecord {
    licence_type: LicenceTypeCode,
    issuer: IssuerId,
    holders: Vec<HolderToken>,
    project: Option<ProjectCode>,
    number: String,
    issued_on: u32,
    pub(super) document: Bytes,
    proof: ProofRecord,
    chain: Bytes,
    pub(super) status: LicenceStatus,
    pub(super) digest: Sha256Digest,
    pub(super) seq: u64,
    received_at: Moment,
    orders: Vec<OrderRecord>,
    /// Behind all others, under the version [`WITH_TRUST`]; not written while the trust never changed.
    #[serde(skip)]
    trust: Vec<TrustMark>,
}

/// The version byte of a licence whose trust changed at least once.
const WITH_TRUST: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum ProofRecord {
    Signature(Bytes),
    Manifest { manifest: Sha256Digest, position: u32 },
    Unsigned,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OrderRecord {
    seq: u64,
    document: Bytes,
    signature: Bytes,
    at: Moment,
}

impl From<&StoredLicence> for LicenceRecord {
    fn from(licence: &StoredLicence) -> Self {
        let orders = licence.orders.iter().map(|order| OrderRecord {
            seq: order.seq.0,
            document: order.document.clone(),
            signature: order.signature.clone(),
            at: order.at.into(),
        });
        Self {
            licence_type: licence.licence_type,
            issuer: licence.issuer,
            holders: licence.holders.clone(),
            project: licence.project,
            number: licence.number.clone(),
            issued_on: day_number(licence.issued_on),
            document: licence.document.clone(),
            proof: match &licence.proof {
                Proof::Signature(bytes) => ProofRecord::Signature(bytes.clone()),
                Proof::Manifest { manifest, position } => {
                    ProofRecord::Manifest { manifest: *manifest, position: *position }
                }
                Proof::Unsigned => ProofRecord::Unsigned,
            },
            chain: licence.chain.0.clone().into(),
            status: licence.status.clone(),
            digest: licence.digest,
            seq: licence.seq.0,
            received_at: licence.received_at.into(),
            orders: orders.collect(),
            trust: licence.trust.clone(),
        }
    }
}

impl LicenceRecord {
    pub(super) fn licence(self, identifier: LicenceId) -> Result<StoredLicence, Damage> {
        let order = |order: OrderRecord| {
            Ok(StoredOrder {
                seq: Seq(order.seq),
                document: order.document,
                signature: order.signature,
                at: order.at.try_into()?,
            })
        };
        Ok(StoredLicence {
            identifier,
            licence_type: self.licence_type,
            issuer: self.issuer,
            holders: self.holders,
            project: self.project,
            number: self.number,
            issued_on: parse_day_number(self.issued_on)?,
            document: self.document,
            proof: match self.proof {
                ProofRecord::Signature(bytes) => Proof::Signature(bytes),
                ProofRecord::Manifest { manifest, position } => {
                    Proof::Manifest { manifest, position }
                }
                ProofRecord::Unsigned => Proof::Unsigned,
            },
            chain: ChainRecordBytes(self.chain.into()),
            status: self.status,
            digest: self.digest,
            seq: Seq(self.seq),
            received_at: self.received_at.try_into()?,
            orders: self.orders.into_iter().map(order).collect::<Result<_, Damage>>()?,
            trust: self.trust,
        })
    }
}

/// Value of [`RegistryLog`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ChangeRecord {
    at: Moment,
    pub(super) kind: ChangeKind,
}

impl From<&Change> for ChangeRecord {
    fn from(change: &Change) -> Self {
        Self { at: change.at.into(), kind: change.kind.clone() }
    }
}

impl ChangeRecord {
    pub(super) fn change(self, seq: Seq) -> Result<Change, Damage> {
        Ok(Change { seq, at: self.at.try_into()?, kind: self.kind })
    }
}

/// Collection · NUL · key → a record. A collection's name holds no NUL, so the first one ends it.
pub(super) struct Records;

impl Family for Records {
    const NAME: &'static str = "records";
    const SHAPE: Shape = Shape::Log;
    type Key = Vec<u8>;
    type Value = RecordRecord;

    fn key(key: &Vec<u8>) -> Vec<u8> {
        key.clone()
    }

    fn parse_key(bytes: &[u8]) -> Result<Vec<u8>, Damage> {
        if bytes.contains(&0) {
            Ok(bytes.to_vec())
        } else {
            Err(Damage("the key names no collection"))
        }
    }

    fn value(value: &RecordRecord) -> Vec<u8> {
        versioned(value, 16 + value.value.len())
    }

    fn parse_value(bytes: &[u8]) -> Result<RecordRecord, Damage> {
        parse_versioned(bytes)
    }
}

/// Value of [`Records`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordRecord {
    pub(super) revision: u64,
    pub(super) value: Bytes,
}

/// Value of [`AccessLog`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UseRecord {
    at: Moment,
    caller: CreditCode,
    certificate: Sha256Digest,
    operator: Option<Operator>,
    matter: Option<MatterCode>,
    case: Option<String>,
    basis: Option<Basis>,
    reason: String,
    pub(super) holder: Option<HolderToken>,
    project: Option<ProjectCode>,
    shown: Vec<Shown>,
    pub(super) grant: Option<String>,
    act: UseAct,
}

impl From<UseEntry> for UseRecord {
    fn from(entry: UseEntry) -> Self {
        Self {
            at: entry.at.into(),
            caller: entry.caller,
            certificate: entry.certificate,
            operator: entry.operator,
            matter: entry.matter,
            case: entry.case,
            basis: entry.basis,
            reason: entry.reason,
            holder: entry.holder,
            project: entry.project,
            shown: entry.shown,
            grant: entry.grant,
            act: entry.act,
        }
    }
}

impl UseRecord {
    pub(super) fn entry(self, seq: Seq) -> Result<UseEntry, Damage> {
        Ok(UseEntry {
            seq,
            at: self.at.try_into()?,
            caller: self.caller,
            certificate: self.certificate,
            operator: self.operator,
            matter: self.matter,
            case: self.case,
            basis: self.basis,
            reason: self.reason,
            holder: self.holder,
            project: self.project,
            shown: self.shown,
            grant: self.grant,
            act: self.act,
        })
    }
}

/// Value of [`Grants`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GrantRecord {
    pub(super) opened_by: u64,
    pub(super) until: Moment,
}

/// Value of [`Manifests`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ManifestRecord {
    document: Bytes,
    signature: Bytes,
}

impl ManifestRecord {
    pub(super) fn new(document: Bytes, signature: Bytes) -> Self {
        Self { document, signature }
    }

    pub(super) fn manifest(self) -> StoredManifest {
        StoredManifest { document: self.document, signature: self.signature }
    }
}

/// Value of [`SetAsides`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SetAsideRecord {
    code: String,
    remark: String,
    at: Moment,
}

impl From<&SetAside> for SetAsideRecord {
    fn from(refused: &SetAside) -> Self {
        let SetAside { code, remark, at, .. } = refused.clone();
        Self { code, remark, at: at.into() }
    }
}

impl SetAsideRecord {
    pub(super) fn set_aside(self, seq: Seq) -> Result<SetAside, Damage> {
        Ok(SetAside { seq, code: self.code, remark: self.remark, at: self.at.try_into()? })
    }
}

/// Value of [`Outcomes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutcomeRecord {
    at: Moment,
    pub(super) bytes: Bytes,
}

impl OutcomeRecord {
    pub(super) fn new(bytes: Vec<u8>, at: Timestamp) -> Self {
        Self { at: at.into(), bytes: bytes.into() }
    }

    /// Whether it was saved before `then`. Looks only at the head of a value, for compactions.
    pub(super) fn is_older(value: &[u8], then: Timestamp) -> bool {
        let Some((&VERSION, rest)) = value.split_first() else { return false };
        let moment = postcard::take_from_bytes::<Moment>(rest).ok();
        let saved = moment.and_then(|(moment, _)| Timestamp::try_from(moment).ok());
        saved.is_some_and(|saved| saved < then)
    }
}

/// The first byte of every value that is not empty.
const VERSION: u8 = 1;

fn versioned(value: &impl Serialize, capacity: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(capacity);
    bytes.push(VERSION);
    postcard::to_extend(value, bytes)
        .expect("plain structures of sequences with known lengths serialise into memory")
}

fn parse_versioned<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Damage> {
    let (&version, rest) = bytes.split_first().ok_or(Damage("the value is empty"))?;
    if version != VERSION {
        return Err(Damage("the value has an unknown version"));
    }
    parse_all(rest)
}

/// A value that uses up the bytes.
fn parse_all<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Damage> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(Damage("the value has bytes left over")),
        Err(_) => Err(Damage("the value does not parse")),
    }
}

fn nothing(bytes: &[u8]) -> Result<(), Damage> {
    if bytes.is_empty() { Ok(()) } else { Err(Damage("there are bytes left over")) }
}

fn parse_text<T: std::str::FromStr>(bytes: &[u8], detail: &'static str) -> Result<T, Damage> {
    let text = std::str::from_utf8(bytes).map_err(|_| Damage(detail))?;
    text.parse().map_err(|_| Damage(detail))
}

fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), Damage> {
    bytes.split_first_chunk().ok_or(Damage("the key is too short"))
}

fn seq_key(seq: Seq) -> Vec<u8> {
    seq.0.to_be_bytes().to_vec()
}

fn parse_seq_key(bytes: &[u8]) -> Result<Seq, Damage> {
    let bytes = bytes.try_into().map_err(|_| Damage("the key is no number"))?;
    Ok(Seq(u64::from_be_bytes(bytes)))
}

/// A day as the number YYYYMMDD: sorts like the day and can be read in a hex dump. Years before 1
/// (which no licence has) are written as year 1.
fn day_number(day: Date) -> u32 {
    let year = u32::try_from(day.year()).unwrap_or(0).max(1);
    year * 10_000
        + u32::from(day.month().unsigned_abs()) * 100
        + u32::from(day.day().unsigned_abs())
}

fn parse_day_number(number: u32) -> Result<Date, Damage> {
    let year = i16::try_from(number / 10_000);
    let (month, day) = ((number / 100 % 100) as i8, (number % 100) as i8);
    let day = year.ok().and_then(|year| Date::new(year, month, day).ok());
    day.ok_or(Damage("there is no such day"))
}

#[cfg(test)]
mod tests;
