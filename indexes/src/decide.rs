//! What is decided about an entry from what is already held: the same for every store.

use std::cmp::Ordering;

use licence::{Change, ChangeKind, LicenceStatus, Seq, Sha256Digest, Trust, TrustReason};

use crate::{
    Appended, NewEntry, NewLicence, NewStatus, NewTrust, NewUse, Proof, Refusal, StoreError,
    StoredLicence, StoredOrder, TrustMark, UnsignedBefore, UseEntry,
};

/// The longest name of a cursor, a flag or a grant, in bytes.
pub(crate) const MAX_NAME: usize = 256;
/// The longest key of an outcome, in bytes.
pub(crate) const MAX_OUTCOME_KEY: usize = 1024;

pub(crate) fn sha256(bytes: &[u8]) -> Sha256Digest {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    Sha256Digest::from_bytes(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

/// Checks the sizes of what a commit holds.
pub(crate) fn check_commit(commit: &crate::Commit) -> Result<(), StoreError> {
    for write in &commit.writes {
        within("a record's key", write.key.len(), crate::record::MAX_RECORD_KEY)?;
        let length = write.value.as_ref().map_or(0, Vec::len);
        within("a record", length, crate::record::MAX_RECORD_VALUE)?;
    }
    commit.uses.iter().try_for_each(check_use)
}

/// Checks the sizes of what a use holds.
pub(crate) fn check_use(new: &NewUse) -> Result<(), StoreError> {
    within("a grant id", new.grant.as_ref().map_or(0, |grant| grant.id.len()), MAX_NAME)
}

pub(crate) fn within(what: &'static str, length: usize, limit: usize) -> Result<(), StoreError> {
    if length <= limit { Ok(()) } else { Err(StoreError::TooLong { what, limit }) }
}

/// An entry whose digest was checked, or its refusal.
pub(crate) type Checked = Result<NewEntry, Refusal>;

/// Checks what needs no store: the digests. Takes about a microsecond for each KiB.
pub(crate) fn check(entry: NewEntry) -> Checked {
    let (document, digest) = match &entry {
        NewEntry::Licence(new) => (&new.document, &new.digest),
        NewEntry::Status(new) => (&new.document, &new.digest),
        NewEntry::Trust(_) => return Ok(entry),
    };
    if sha256(document) == *digest { Ok(entry) } else { Err(Refusal::Digest) }
}

/// What becomes of one entry.
pub(crate) enum Decision {
    /// Nothing is written.
    Answer(Result<Appended, Refusal>),
    /// The licence as it is from now on, and the log entry that says so.
    Write { licence: Box<StoredLicence>, change: Change, appended: Appended },
}

/// Decides one entry.
///
/// * `held`: what is held under its identifier, with everything decided before.
/// * `next`: the number it gets if it is written.
pub(crate) fn decide(entry: NewEntry, held: Option<&StoredLicence>, next: Seq) -> Decision {
    match (entry, held) {
        (NewEntry::Licence(new), None) => issue(new, next),
        (NewEntry::Licence(new), Some(held))
            if new.digest == held.digest
                && held.proof == Proof::Unsigned
                && new.proof != Proof::Unsigned =>
        {
            sign(new, held, next)
        }
        (NewEntry::Licence(new), Some(held)) if new.digest == held.digest => {
            Decision::Answer(Ok(Appended {
                seq: held.seq,
                new: false,
                status: held.status.clone(),
            }))
        }
        (NewEntry::Licence(new), Some(held)) if may_take_place(&new, held) => {
            take_place(new, held, next)
        }
        (NewEntry::Licence(_), Some(held)) => {
            Decision::Answer(Err(Refusal::Conflict { held: held.digest }))
        }
        (NewEntry::Status(_) | NewEntry::Trust(_), None) => {
            Decision::Answer(Err(Refusal::UnknownLicence))
        }
        (NewEntry::Status(new), Some(held)) => change_status(new, held, next),
        (NewEntry::Trust(new), Some(held)) => change_trust(&new, held, next),
    }
}

fn issue(new: NewLicence, seq: Seq) -> Decision {
    let unsigned = new.proof == Proof::Unsigned;
    let mark = TrustMark { seq, to: Trust::Untrusted, reason: TrustReason::Unsigned };
    let licence = StoredLicence {
        identifier: new.identifier,
        licence_type: new.licence_type,
        issuer: new.issuer,
        holders: new.holders,
        project: new.project,
        number: new.number,
        issued_on: new.issued_on,
        document: new.document,
        proof: new.proof,
        chain: new.chain,
        status: LicenceStatus::Valid,
        digest: new.digest,
        seq,
        received_at: new.at,
        orders: Vec::new(),
        trust: unsigned.then_some(mark).into_iter().collect(),
    };
    let (identifier, licence_type) = (licence.identifier.clone(), licence.licence_type);
    let (issuer, digest) = (licence.issuer, licence.digest);
    let kind = if unsigned {
        ChangeKind::Unsigned { identifier, licence_type, issuer, digest }
    } else {
        ChangeKind::Issued { identifier, licence_type, issuer, digest }
    };
    let appended = Appended { seq, new: true, status: LicenceStatus::Valid };
    let change = Change { seq, at: new.at, kind };
    Decision::Write { licence: Box::new(licence), change, appended }
}

/// The signature of a document that is held without one.
fn sign(new: NewLicence, held: &StoredLicence, seq: Seq) -> Decision {
    let reason = TrustReason::Signed;
    let status = held.status.clone();
    let kind = ChangeKind::TrustChanged {
        identifier: held.identifier.clone(),
        licence_type: held.licence_type,
        issuer: held.issuer,
        from: held.trust_now(),
        to: Trust::Trusted,
        reason,
        status: status.clone(),
    };
    let mut licence = held.clone();
    (licence.proof, licence.chain, licence.received_at) = (new.proof, new.chain, new.at);
    licence.trust.push(TrustMark { seq, to: Trust::Trusted, reason });
    let change = Change { seq, at: new.at, kind };
    let appended = Appended { seq, new: true, status };
    Decision::Write { licence: Box::new(licence), change, appended }
}

/// Whether a signed document with other bytes takes the place of one that nobody signed. Not where the issuer signed an
/// order that suspended or ended what is held under the identifier: that is no claim of somebody else.
fn may_take_place(new: &NewLicence, held: &StoredLicence) -> bool {
    new.proof != Proof::Unsigned
        && held.proof == Proof::Unsigned
        && (new.issuer, new.licence_type) == (held.issuer, held.licence_type)
        && (held.status == LicenceStatus::Valid || !held.orders.iter().any(is_signed))
}

/// What the issuer signed stands in the log as issued. What nobody signed does not count any more: its document, and the
/// orders about it that nobody signed either, go to [`UnsignedBefore`].
fn take_place(new: NewLicence, held: &StoredLicence, seq: Seq) -> Decision {
    let reason = TrustReason::Signed;
    let Decision::Write { mut licence, change, appended } = issue(new, seq) else {
        unreachable!("what is new is written");
    };
    licence.orders = held.orders.iter().filter(|order| is_signed(order)).cloned().collect();
    licence.trust.clone_from(&held.trust);
    licence.trust.push(TrustMark { seq, to: Trust::Trusted, reason });
    Decision::Write { licence, change, appended }
}

fn is_signed(order: &StoredOrder) -> bool {
    !order.signature.is_empty()
}

/// What was held before this licence, if its document has another's place.
pub(crate) fn before(held: Option<&StoredLicence>, licence: &StoredLicence) -> Option<Vec<u8>> {
    let former = held.filter(|held| held.digest != licence.digest)?;
    Some(UnsignedBefore::of(former).to_bytes())
}

fn change_status(new: NewStatus, held: &StoredLicence, seq: Seq) -> Decision {
    if new.issuer != held.issuer {
        return Decision::Answer(Err(Refusal::NotIssuer));
    }
    if let Some(order) = held.orders.iter().find(|order| order.document == new.document) {
        let status = held.status.clone();
        return Decision::Answer(Ok(Appended { seq: order.seq, new: false, status }));
    }
    if new.signature.is_empty()
        && (held.proof != Proof::Unsigned || held.orders.iter().any(is_signed))
    {
        return Decision::Answer(Err(Refusal::OrderUnsigned));
    }
    let status = match held.status.apply(&new.change) {
        Ok(status) => status,
        Err(error) => return Decision::Answer(Err(error.into())),
    };
    let kind = ChangeKind::StatusChanged {
        identifier: held.identifier.clone(),
        licence_type: held.licence_type,
        issuer: held.issuer,
        from: held.status.clone(),
        to: status.clone(),
        order: new.digest,
    };
    let mut licence = held.clone();
    licence.status = status.clone();
    let order = StoredOrder { seq, document: new.document, signature: new.signature, at: new.at };
    licence.orders.push(order);
    let change = Change { seq, at: new.at, kind };
    let appended = Appended { seq, new: true, status };
    Decision::Write { licence: Box::new(licence), change, appended }
}

fn change_trust(new: &NewTrust, held: &StoredLicence, seq: Seq) -> Decision {
    let (from, status) = (held.trust_now(), held.status.clone());
    let unsigned = held.proof == Proof::Unsigned; // only a signature changes that
    if from == new.to || unsigned {
        let seq = held.trust.last().map_or(held.seq, |mark| mark.seq);
        return Decision::Answer(Ok(Appended { seq, new: false, status }));
    }
    let kind = ChangeKind::TrustChanged {
        identifier: held.identifier.clone(),
        licence_type: held.licence_type,
        issuer: held.issuer,
        from,
        to: new.to,
        reason: new.reason,
        status: status.clone(),
    };
    let mut licence = held.clone();
    licence.trust.push(TrustMark { seq, to: new.to, reason: new.reason });
    let change = Change { seq, at: new.at, kind };
    let appended = Appended { seq, new: true, status };
    Decision::Write { licence: Box::new(licence), change, appended }
}

/// The access log entry of a use, without the end of its grant.
pub(crate) fn use_entry(new: NewUse, seq: Seq) -> UseEntry {
    UseEntry {
        seq,
        at: new.at,
        caller: new.caller,
        certificate: new.certificate,
        operator: new.operator,
        matter: new.matter,
        case: new.case,
        basis: new.basis,
        reason: new.reason,
        holder: new.holder,
        project: new.project,
        shown: new.shown,
        grant: new.grant.map(|grant| grant.id),
        act: new.act,
    }
}

/// The order in which a holder's or a project's licences are answered.
pub(crate) fn newest_first(left: &StoredLicence, right: &StoredLicence) -> Ordering {
    let days = right.issued_on.cmp(&left.issued_on);
    days.then_with(|| left.identifier.cmp(&right.identifier))
}
