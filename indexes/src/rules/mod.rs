//! What every store keeps, as tests: an implementation calls [`licence_store_rules`] from its own
//! tests, and [`durable_store_rules`] if it outlives a crash.
//!
//! The rules panic where a promise is broken. They know only the contract: one process, a local
//! disk or a fast scan is never assumed.

mod durable;
pub mod sample;

use std::sync::Arc;
use std::time::{Duration, Instant};

use licence::{ChangeKind, LicenceStatus, RevocationCause, Seq, StatusChange, Trust, TrustReason};

pub use self::durable::{FaultScript, durable_store_rules};
use self::sample::{
    a_use, day, fall, identifier, issuer, licence, licence_type, licence_with, now, order,
    other_type, project, rise, token,
};
use crate::{
    Appended, Collection, Commit, Expected, LicenceStore, NewEntry, NewLicence, NewStatus,
    NewTrust, NewUse, Proof, RecordWrite, Refusal, SetAside, Settled, SettledSetAside, StoreError,
    TrustMark, UnsignedBefore, UseAct,
};

/// The promises of [`LicenceStore`], each on a fresh, empty store.
pub async fn licence_store_rules<S: LicenceStore>(fresh: impl Fn() -> S) {
    an_empty_store_has_nothing(&fresh()).await;
    what_was_appended_is_found_by_every_key(&fresh()).await;
    appending_twice_keeps_the_first_number(&fresh()).await;
    other_bytes_under_one_identifier_conflict(&fresh()).await;
    entries_of_one_call_see_each_other(&fresh()).await;
    a_digest_that_is_not_the_documents_is_refused(&fresh()).await;
    the_status_follows_the_orders(&fresh()).await;
    an_order_needs_a_licence_and_its_issuer(&fresh()).await;
    a_repeated_order_keeps_its_number(&fresh()).await;
    trust_falls_and_returns(&fresh()).await;
    a_fall_needs_a_licence_and_is_written_once(&fresh()).await;
    orders_and_falls_leave_each_other_alone(&fresh()).await;
    what_nobody_signed_is_trusted_by_nobody_until_it_is_signed(&fresh()).await;
    what_nobody_signed_does_not_bar_what_its_issuer_signs(&fresh()).await;
    changes_are_gapless_and_in_order(&fresh()).await;
    a_holders_licences_come_newest_first(&fresh()).await;
    a_long_list_is_cut_to_its_newest(&fresh()).await;
    several_holders_each_find_the_licence(&fresh()).await;
    a_project_finds_its_licences(&fresh()).await;
    a_number_finds_exactly_its_licences(&fresh()).await;
    pages_show_every_licence_once(&fresh()).await;
    many_in_one_call_are_all_taken(&fresh()).await;
    waiting_ends_with_a_change(fresh()).await;
    readers_never_see_half_an_append(fresh()).await;
    callers_at_once_get_each_number_once(fresh()).await;
    manifests_are_kept_once(&fresh()).await;
    uses_are_numbered_for_themselves(&fresh()).await;
    a_grant_tells_who_may_open_what(&fresh()).await;
    a_holder_sees_the_uses_newest_first(&fresh()).await;
    every_holder_of_what_was_shown_sees_the_use(&fresh()).await;
    an_opening_names_its_grant_and_opens_none(&fresh()).await;
    small_state_is_kept(&fresh()).await;
    what_was_set_aside_stays_listed_when_it_is_settled(&fresh()).await;
    records_are_kept_in_the_order_of_their_keys(&fresh()).await;
    a_commit_is_written_all_or_nothing(&fresh()).await;
    of_two_commits_that_expect_the_same_one_is_stale(fresh()).await;
    over_long_names_are_refused(&fresh()).await;
}

/// One licence, which has to be accepted or held.
pub(crate) async fn append(store: &impl LicenceStore, new: NewLicence) -> Appended {
    let mut answers = store.append(vec![NewEntry::Licence(new)]).await.expect("the store answers");
    assert_eq!(answers.len(), 1, "one answer for each entry");
    answers.remove(0).expect("the licence is accepted")
}

async fn apply(store: &impl LicenceStore, new: NewStatus) -> Result<Appended, Refusal> {
    store.append(vec![NewEntry::Status(new)]).await.expect("the store answers").remove(0)
}

async fn an_empty_store_has_nothing(store: &impl LicenceStore) {
    assert_eq!(store.head().await.unwrap(), Seq::ZERO);
    assert_eq!(store.use_head().await.unwrap(), Seq::ZERO);
    assert_eq!(store.licence(&identifier(1)).await.unwrap(), None);
    assert_eq!(store.licences(&[]).await.unwrap(), []);
    assert_eq!(store.licences_of_holder(&token(1), &[], 10).await.unwrap(), []);
    assert_eq!(store.changes(Seq::ZERO, 10).await.unwrap(), []);
    assert_eq!(store.page_of_licences(None, 10).await.unwrap(), []);
    assert_eq!(store.append(Vec::new()).await.unwrap(), []);
    assert_eq!(store.use_entry(Seq::ZERO).await.unwrap(), None);
    assert_eq!(store.grant("g_none").await.unwrap(), None);
    store.health().await.unwrap();
}

async fn what_was_appended_is_found_by_every_key(store: &impl LicenceStore) {
    let new = licence_with(1, |licence| licence.project = Some(project(0)));
    let appended = append(store, new.clone()).await;
    assert_eq!(appended, Appended { seq: Seq(0), new: true, status: LicenceStatus::Valid });
    let held = store.licence(&new.identifier).await.unwrap().expect("it is held");
    assert_eq!(held.document, new.document);
    assert_eq!(held.digest, new.digest);
    assert_eq!(held.proof, new.proof);
    assert_eq!(held.chain, new.chain);
    assert_eq!(held.number, new.number);
    assert_eq!(held.issued_on, new.issued_on);
    assert_eq!((held.seq, held.received_at), (Seq(0), new.at));
    assert_eq!((held.status.clone(), held.orders.len()), (LicenceStatus::Valid, 0));
    let held = vec![held];
    assert_eq!(store.licences_of_holder(&token(1), &[], 10).await.unwrap(), held);
    assert_eq!(store.licences_of_project(&project(0), &[], 10).await.unwrap(), held);
    let same_number = store.licences_of_number(&new.licence_type, &new.number, 10).await.unwrap();
    assert_eq!(same_number, held);
    assert_eq!(store.page_of_licences(None, 10).await.unwrap(), held);
    let among_others = [identifier(2), new.identifier.clone(), identifier(3)];
    let found = store.licences(&among_others).await.unwrap();
    assert_eq!(found, [None, Some(held[0].clone()), None]);
}

async fn appending_twice_keeps_the_first_number(store: &impl LicenceStore) {
    let first = append(store, licence(1)).await;
    append(store, licence(2)).await;
    let again = append(store, licence(1)).await;
    assert_eq!(again, Appended { new: false, ..first.clone() });
    apply(store, order(&licence(1), StatusChange::Suspend, "x")).await.unwrap();
    let again = append(store, licence(1)).await;
    assert_eq!(again, Appended { seq: first.seq, new: false, status: LicenceStatus::Suspended });
    assert_eq!(store.head().await.unwrap(), Seq(3));
    // Later bytes of the same licence with another signature change nothing.
    let mut other_proof = licence(1);
    other_proof.proof = crate::Proof::Signature(vec![9].into());
    assert!(!append(store, other_proof).await.new);
    let held = store.licence(&identifier(1)).await.unwrap().unwrap();
    assert_eq!(held.proof, licence(1).proof);
}

async fn other_bytes_under_one_identifier_conflict(store: &impl LicenceStore) {
    append(store, licence(1)).await;
    let other = licence_with(1, |licence| "another name".clone_into(&mut licence.name));
    let entries = vec![NewEntry::Licence(other), NewEntry::Licence(licence(2))];
    let answers = store.append(entries).await.unwrap();
    assert_eq!(answers[0], Err(Refusal::Conflict { held: licence(1).digest }));
    assert_eq!(answers[1].as_ref().unwrap().seq, Seq(1), "a refused entry takes no number");
    let held = store.licence(&identifier(1)).await.unwrap().unwrap();
    assert_eq!(held.document, licence(1).document);
}

async fn entries_of_one_call_see_each_other(store: &impl LicenceStore) {
    let other = licence_with(1, |licence| "another name".clone_into(&mut licence.name));
    let entries = vec![
        NewEntry::Status(order(&licence(1), StatusChange::Suspend, "too early")),
        NewEntry::Licence(licence(1)),
        NewEntry::Licence(licence(1)),
        NewEntry::Licence(other),
        NewEntry::Status(order(&licence(1), StatusChange::Suspend, "x")),
        NewEntry::Status(order(&licence(1), StatusChange::Suspend, "x")),
        NewEntry::Status(order(&licence(1), StatusChange::Suspend, "y")),
        NewEntry::Status(order(&licence(1), StatusChange::Restore, "z")),
    ];
    let answers = store.append(entries).await.unwrap();
    let is_new = |seq, status| Ok(Appended { seq: Seq(seq), new: true, status });
    assert_eq!(answers[0], Err(Refusal::UnknownLicence));
    assert_eq!(answers[1], is_new(0, LicenceStatus::Valid));
    assert_eq!(answers[2], Ok(Appended { seq: Seq(0), new: false, status: LicenceStatus::Valid }));
    assert_eq!(answers[3], Err(Refusal::Conflict { held: licence(1).digest }));
    assert_eq!(answers[4], is_new(1, LicenceStatus::Suspended));
    assert_eq!(
        answers[5],
        Ok(Appended { seq: Seq(1), new: false, status: LicenceStatus::Suspended })
    );
    assert!(matches!(answers[6], Err(Refusal::Transition(_))));
    assert_eq!(answers[7], is_new(2, LicenceStatus::Valid));
    let held = store.licence(&identifier(1)).await.unwrap().unwrap();
    assert_eq!((held.status, held.orders.len()), (LicenceStatus::Valid, 2));
    assert_eq!(store.head().await.unwrap(), Seq(3));
}

async fn a_digest_that_is_not_the_documents_is_refused(store: &impl LicenceStore) {
    append(store, licence(1)).await;
    let mut wrong = licence(2);
    wrong.digest = licence(1).digest;
    let mut wrong_order = order(&licence(1), StatusChange::Suspend, "x");
    wrong_order.digest = licence(1).digest;
    let entries = vec![NewEntry::Licence(wrong), NewEntry::Status(wrong_order)];
    let answers = store.append(entries).await.unwrap();
    assert_eq!(answers, [Err(Refusal::Digest), Err(Refusal::Digest)]);
    assert_eq!(store.licence(&identifier(2)).await.unwrap(), None);
    assert_eq!(store.head().await.unwrap(), Seq(1));
}

async fn the_status_follows_the_orders(store: &impl LicenceStore) {
    let cause = RevocationCause::Withdrawn;
    let (valid, suspended) = (LicenceStatus::Valid, LicenceStatus::Suspended);
    let revoked = LicenceStatus::Revoked { cause };
    append(store, licence(1)).await;
    let steps = [
        (StatusChange::Suspend, suspended.clone()),
        (StatusChange::Restore, valid.clone()),
        (StatusChange::Revoke { cause }, revoked.clone()),
    ];
    for (number, (change, expected)) in steps.into_iter().enumerate() {
        let reason = format!("step {number}");
        let applied = apply(store, order(&licence(1), change, &reason)).await.unwrap();
        let seq = Seq(number as u64 + 1);
        assert_eq!(applied, Appended { seq, new: true, status: expected.clone() });
        let held = store.licence(&identifier(1)).await.unwrap().unwrap();
        assert_eq!(held.status, expected);
        assert_eq!(held.orders.last().map(|order| order.seq), Some(seq));
        assert_eq!(held.seq, Seq(0), "the number of its issue stays");
    }
    let refused = apply(store, order(&licence(1), StatusChange::Restore, "late")).await;
    assert!(matches!(refused, Err(Refusal::Transition(_))), "revoked is final");
    let by = identifier(2);
    append(store, licence(3)).await;
    let supersede = StatusChange::Supersede { by: by.clone() };
    let applied = apply(store, order(&licence(3), supersede, "x")).await.unwrap();
    assert_eq!(applied.status, LicenceStatus::Superseded { by: by.clone() });
    let words = |change: &licence::Change| match &change.kind {
        ChangeKind::Issued { .. } => "issued".to_owned(),
        ChangeKind::StatusChanged { from, to, .. } => format!("{} {}", from.word(), to.word()),
        ChangeKind::TrustChanged { .. } | ChangeKind::Unsigned { .. } => {
            unreachable!("nothing was judged")
        }
    };
    let feed: Vec<_> = store.changes(Seq(0), 10).await.unwrap().iter().map(words).collect();
    let expected = [
        "issued",
        "valid suspended",
        "suspended valid",
        "valid revoked",
        "issued",
        "valid superseded",
    ];
    assert_eq!(feed, expected);
}

async fn an_order_needs_a_licence_and_its_issuer(store: &impl LicenceStore) {
    append(store, licence(1)).await;
    let unknown = apply(store, order(&licence(2), StatusChange::Suspend, "x")).await;
    assert_eq!(unknown, Err(Refusal::UnknownLicence));
    let mut stranger = order(&licence(1), StatusChange::Suspend, "x");
    stranger.issuer = issuer(1);
    assert_eq!(apply(store, stranger).await, Err(Refusal::NotIssuer));
    assert_eq!(store.head().await.unwrap(), Seq(1));
}

async fn a_repeated_order_keeps_its_number(store: &impl LicenceStore) {
    append(store, licence(1)).await;
    let suspend = order(&licence(1), StatusChange::Suspend, "first");
    apply(store, suspend.clone()).await.unwrap();
    apply(store, order(&licence(1), StatusChange::Restore, "second")).await.unwrap();
    let again = apply(store, suspend).await.unwrap();
    let expected = Appended { seq: Seq(1), new: false, status: LicenceStatus::Valid };
    assert_eq!(again, expected, "applied once, and the status is the one of now");
    assert_eq!(store.head().await.unwrap(), Seq(3));
}

async fn judge(store: &impl LicenceStore, new: NewTrust) -> Result<Appended, Refusal> {
    store.append(vec![NewEntry::Trust(new)]).await.expect("the store answers").remove(0)
}

async fn trust_falls_and_returns(store: &impl LicenceStore) {
    append(store, licence(1)).await;
    let held = store.licence(&identifier(1)).await.unwrap().unwrap();
    assert_eq!((held.trust_now(), held.trust), (Trust::Trusted, vec![]), "taken in trusted");
    let steps = [(fall(&licence(1)), 1), (rise(&licence(1)), 2), (fall(&licence(1)), 3)];
    for (new, seq) in &steps {
        let appended = judge(store, new.clone()).await.unwrap();
        let status = LicenceStatus::Valid;
        assert_eq!(appended, Appended { seq: Seq(*seq), new: true, status });
        let held = store.licence(&identifier(1)).await.unwrap().unwrap();
        assert_eq!((held.trust_now(), held.seq), (new.to, Seq(0)));
    }
    let held = store.licence(&identifier(1)).await.unwrap().unwrap();
    let mark =
        |(new, seq): &(NewTrust, u64)| TrustMark { seq: Seq(*seq), to: new.to, reason: new.reason };
    assert_eq!(held.trust, steps.iter().map(mark).collect::<Vec<_>>());
    assert_eq!(held.trust_at(Seq(0)), Trust::Trusted);
    assert_eq!(held.trust_at(Seq(1)), Trust::Untrusted);
    assert_eq!(held.trust_at(Seq(2)), Trust::Trusted);
    assert_eq!(held.trust_at(Seq(99)), Trust::Untrusted);
    let changes = store.changes(Seq(1), 10).await.unwrap();
    for (change, (new, seq)) in changes.iter().zip(&steps) {
        let ChangeKind::TrustChanged { identifier, licence_type, issuer, from, to, reason, status } =
            &change.kind
        else {
            panic!("{change:?} is another change");
        };
        assert_eq!((change.seq, change.at), (Seq(*seq), now()));
        assert_eq!(*identifier, new.identifier);
        assert_eq!((*licence_type, *issuer), (licence(1).licence_type, licence(1).issuer));
        assert_eq!((*to, *reason, status), (new.to, new.reason, &LicenceStatus::Valid));
        assert_ne!(from, to);
    }
    assert_eq!(changes.len(), 3);
    assert_eq!(store.licences_of_holder(&token(1), &[], 10).await.unwrap(), [held]);
}

async fn a_fall_needs_a_licence_and_is_written_once(store: &impl LicenceStore) {
    assert_eq!(judge(store, fall(&licence(1))).await, Err(Refusal::UnknownLicence));
    append(store, licence(1)).await;
    let nothing = judge(store, rise(&licence(1))).await.unwrap();
    assert_eq!((nothing.seq, nothing.new), (Seq(0), false), "it is trusted since it was taken in");
    assert!(judge(store, fall(&licence(1))).await.unwrap().new);
    // Of two who judge at once the second finds it written; its reason may differ.
    let anchor = NewTrust { reason: TrustReason::AnchorWithdrawn, ..fall(&licence(1)) };
    let again = judge(store, anchor).await.unwrap();
    assert_eq!((again.seq, again.new), (Seq(1), false));
    assert_eq!(store.head().await.unwrap(), Seq(2));
    let held = store.licence(&identifier(1)).await.unwrap().unwrap();
    assert_eq!(held.trust.len(), 1);
}

async fn orders_and_falls_leave_each_other_alone(store: &impl LicenceStore) {
    let entries = vec![
        NewEntry::Licence(licence(1)),
        NewEntry::Trust(fall(&licence(1))),
        NewEntry::Status(order(&licence(1), StatusChange::Suspend, "x")),
        NewEntry::Trust(rise(&licence(1))),
    ];
    let answers = store.append(entries).await.unwrap();
    let numbers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().seq.0).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    let held = store.licence(&identifier(1)).await.unwrap().unwrap();
    assert_eq!((held.status.clone(), held.trust_now()), (LicenceStatus::Suspended, Trust::Trusted));
    assert_eq!((held.orders.len(), held.trust.len()), (1, 2));
    let last = store.changes(Seq(3), 1).await.unwrap().remove(0);
    assert!(
        matches!(&last.kind, ChangeKind::TrustChanged { status, .. } if *status == LicenceStatus::Suspended),
        "a change of trust says the status: {last:?}"
    );
    let again = append(store, licence(1)).await;
    assert_eq!((again.seq, again.new), (Seq(0), false));
}

async fn what_nobody_signed_is_trusted_by_nobody_until_it_is_signed(store: &impl LicenceStore) {
    let unsigned = NewLicence { proof: Proof::Unsigned, chain: Default::default(), ..licence(1) };
    assert!(append(store, unsigned.clone()).await.new);
    let held = store.licence(&identifier(1)).await.unwrap().unwrap();
    assert_eq!((held.trust_now(), held.trust_at(Seq(0))), (Trust::Untrusted, Trust::Untrusted));
    assert!(held.unsigned_at(Seq(0)) && held.proof == Proof::Unsigned);
    let taken_in = store.changes(Seq(0), 1).await.unwrap().remove(0);
    assert!(matches!(taken_in.kind, ChangeKind::Unsigned { .. }), "{taken_in:?}");
    // Neither a repetition nor a judgement makes it trusted.
    assert!(!append(store, unsigned.clone()).await.new);
    assert!(!judge(store, rise(&licence(1))).await.unwrap().new);
    // Its register may say that it was suspended, without a signature too.
    let order = |change, reason| NewStatus {
        signature: Default::default(),
        ..order(&licence(1), change, reason)
    };
    let suspended = apply(store, order(StatusChange::Suspend, "a")).await.unwrap();
    assert_eq!(suspended.status, LicenceStatus::Suspended);
    apply(store, order(StatusChange::Restore, "b")).await.unwrap();
    // The signature comes.
    let later = now() + jiff::SignedDuration::from_hours(1);
    let signed = append(store, NewLicence { at: later, ..licence(1) }).await;
    assert_eq!((signed.seq, signed.new), (Seq(3), true));
    let held = store.licence(&identifier(1)).await.unwrap().unwrap();
    assert_eq!((held.trust_now(), held.seq, held.received_at), (Trust::Trusted, Seq(0), later));
    assert_eq!((held.proof.clone(), held.chain.clone()), (licence(1).proof, licence(1).chain));
    assert!(held.unsigned_at(Seq(2)) && !held.unsigned_at(Seq(3)));
    let change = store.changes(Seq(3), 1).await.unwrap().remove(0);
    assert!(
        matches!(change.kind, ChangeKind::TrustChanged { reason: TrustReason::Signed, .. }),
        "{change:?}"
    );
    // From here on only signed orders count, and nothing takes the signature away.
    let refused = apply(store, order(StatusChange::Suspend, "c")).await;
    assert_eq!(refused, Err(Refusal::OrderUnsigned));
    assert!(!append(store, unsigned).await.new);
    let held = store.licence(&identifier(1)).await.unwrap().unwrap();
    assert_eq!((held.proof, store.head().await.unwrap()), (licence(1).proof, Seq(4)));
    // Nor does an unsigned order undo a signed one.
    append(store, NewLicence { proof: Proof::Unsigned, ..licence(2) }).await;
    let suspend = crate::rules::sample::order(&licence(2), StatusChange::Suspend, "d");
    apply(store, suspend).await.unwrap();
    let restore = NewStatus {
        signature: Default::default(),
        ..crate::rules::sample::order(&licence(2), StatusChange::Restore, "e")
    };
    assert_eq!(apply(store, restore).await, Err(Refusal::OrderUnsigned));
}

async fn try_append(store: &impl LicenceStore, new: NewLicence) -> Result<Appended, Refusal> {
    store.append(vec![NewEntry::Licence(new)]).await.expect("the store answers").remove(0)
}

async fn what_nobody_signed_does_not_bar_what_its_issuer_signs(store: &impl LicenceStore) {
    let claimed = |serial| NewLicence {
        proof: Proof::Unsigned,
        chain: Default::default(),
        ..licence_with(serial, |licence| {
            licence.identifier = identifier(serial);
            licence.number = format!("claimed {serial}");
            licence.holders[0].id = sample::holder(77);
            licence.project = Some(project(1));
        })
    };
    let unsigned = |serial, change, reason| NewStatus {
        signature: Default::default(),
        ..order(&licence(serial), change, reason)
    };
    let claim = claimed(1);
    append(store, claim.clone()).await;
    apply(store, unsigned(1, StatusChange::Suspend, "a")).await.unwrap();
    let (of_claim, of_signed) = (claim.holders[0], licence(1).holders[0]);
    assert_ne!(of_claim, of_signed);
    // Another claim is none the better, and somebody else's signature neither.
    let other = NewLicence { proof: Proof::Unsigned, ..licence(1) };
    assert!(matches!(try_append(store, other).await, Err(Refusal::Conflict { .. })));
    let of_another = NewLicence { issuer: sample::issuer(1), ..licence(1) };
    assert!(matches!(try_append(store, of_another).await, Err(Refusal::Conflict { .. })));

    let signed = append(store, licence(1)).await;
    assert_eq!((signed.seq, signed.new, signed.status), (Seq(2), true, LicenceStatus::Valid));
    let held = store.licence(&identifier(1)).await.unwrap().unwrap();
    assert_eq!((held.document.clone(), held.digest), (licence(1).document, licence(1).digest));
    assert_eq!((held.seq, held.trust_now(), held.orders.len()), (Seq(2), Trust::Trusted, 0));
    assert!(held.took_place() && held.unsigned_at(Seq(1)) && !held.unsigned_at(Seq(2)));
    // It is found as what it says, and no more as what was claimed.
    let found = async |holder| {
        let held = store.licences_of_holder(&holder, &[], 9).await.unwrap();
        held.into_iter().map(|held| held.identifier).collect::<Vec<_>>()
    };
    assert_eq!(found(of_signed).await, [identifier(1)]);
    assert!(found(of_claim).await.is_empty());
    let by_number = store.licences_of_number(&held.licence_type, &claim.number, 9).await.unwrap();
    assert!(by_number.is_empty());
    let by_number = store.licences_of_number(&held.licence_type, &held.number, 9).await.unwrap();
    assert_eq!(by_number.len(), 1);
    // The log says what was held before, and the bytes are there.
    let changes = store.changes(Seq(0), 9).await.unwrap();
    let kinds: Vec<&ChangeKind> = changes.iter().map(|change| &change.kind).collect();
    assert!(
        matches!(kinds[..], [
            ChangeKind::Unsigned { digest: before, .. },
            ChangeKind::StatusChanged { .. },
            ChangeKind::Issued { digest: after, .. },
        ] if (*before, *after) == (claim.digest, held.digest)),
        "{changes:?}"
    );
    let kept = store.records(UnsignedBefore::COLLECTION, b"", None, 9).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].key, identifier(1).as_str().as_bytes());
    let before = UnsignedBefore::parse(&kept[0].value).unwrap();
    assert_eq!(
        (before.seq, before.document, before.holders),
        (Seq(0), claim.document, claim.holders)
    );
    assert_eq!((before.orders.len(), before.orders[0].0), (1, Seq(1)));
    assert!(UnsignedBefore::parse(&kept[0].value[1..]).is_none());
    // From here on it is a licence like any other.
    assert!(!append(store, licence(1)).await.new);
    assert!(matches!(try_append(store, claimed(1)).await, Err(Refusal::Conflict { .. })));
    apply(store, order(&licence(1), StatusChange::Suspend, "b")).await.unwrap();

    // The issuer's own signed order stands: what it ended stays ended.
    append(store, claimed(2)).await;
    let revoke = StatusChange::Revoke { cause: licence::RevocationCause::Withdrawn };
    apply(store, order(&licence(2), revoke, "c")).await.unwrap();
    assert!(matches!(try_append(store, licence(2)).await, Err(Refusal::Conflict { .. })));
    append(store, claimed(3)).await;
    apply(store, order(&licence(3), StatusChange::Suspend, "d")).await.unwrap();
    apply(store, order(&licence(3), StatusChange::Restore, "e")).await.unwrap();
    append(store, licence(3)).await;
    let held = store.licence(&identifier(3)).await.unwrap().unwrap();
    assert_eq!((held.status, held.orders.len()), (LicenceStatus::Valid, 2));
}

async fn changes_are_gapless_and_in_order(store: &impl LicenceStore) {
    for serial in 0..10 {
        append(store, licence(serial)).await;
    }
    let all = store.changes(Seq(0), 100).await.unwrap();
    assert_eq!(all.len(), 10);
    for (number, change) in all.iter().enumerate() {
        assert_eq!(change.seq, Seq(number as u64));
        assert_eq!(*change.identifier(), identifier(number as u64));
        assert_eq!(change.at, now());
    }
    assert_eq!(store.changes(Seq(4), 3).await.unwrap(), all[4..7]);
    assert_eq!(store.changes(Seq(9), 3).await.unwrap(), all[9..]);
    assert_eq!(store.changes(Seq(10), 3).await.unwrap(), []);
    assert_eq!(store.changes(Seq(u64::MAX), 3).await.unwrap(), []);
    assert_eq!(store.changes(Seq(0), 0).await.unwrap(), []);
}

fn of_one_holder(serial: u64, issued: i8) -> NewLicence {
    licence_with(serial, |licence| {
        licence.issued_on = day(issued);
        licence.holders[0].id = sample::holder(77);
    })
}

async fn a_holders_licences_come_newest_first(store: &impl LicenceStore) {
    for (serial, issued) in [(1, 3), (2, 9), (3, 5), (4, 9)] {
        append(store, of_one_holder(serial, issued)).await;
    }
    let mut of_other_type = other_type(5);
    of_other_type.holders = vec![token(77)];
    append(store, of_other_type.clone()).await;
    append(store, licence(6)).await;
    let found = store.licences_of_holder(&token(77), &[], 10).await.unwrap();
    let serials: Vec<_> = found.iter().map(|one| one.identifier.clone()).collect();
    let expected =
        [identifier(2), identifier(4), identifier(3), identifier(1), of_other_type.identifier];
    assert_eq!(serials, expected, "by day, then by identifier");
    let first_type = store.licences_of_holder(&token(77), &[licence_type(0)], 10).await.unwrap();
    assert_eq!(first_type, found[..4]);
    let both = [licence_type(1), licence_type(0), licence_type(1)];
    assert_eq!(store.licences_of_holder(&token(77), &both, 10).await.unwrap(), found);
    assert_eq!(store.licences_of_holder(&token(77), &[], 2).await.unwrap(), found[..2]);
    assert_eq!(store.licences_of_holder(&token(78), &[], 10).await.unwrap(), []);
}

async fn a_long_list_is_cut_to_its_newest(store: &impl LicenceStore) {
    let entries = (0..300).map(|serial| of_one_holder(serial, (serial * 7 % 28 + 1) as i8));
    let mut expected: Vec<_> = entries.clone().map(|new| (new.issued_on, new.identifier)).collect();
    expected.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
    let answers = store.append(entries.map(NewEntry::Licence).collect()).await.unwrap();
    assert!(answers.iter().all(Result::is_ok));
    for limit in [1, 5, 150, 300, 1000] {
        let found = store.licences_of_holder(&token(77), &[], limit).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|one| (one.issued_on, one.identifier)).collect();
        assert_eq!(found, expected[..limit.min(300)], "limit {limit}");
        let identifiers = store.identifiers_of_holder(&token(77), limit).await.unwrap();
        assert!(identifiers.iter().eq(found.iter().map(|(_, identifier)| identifier)));
    }
}

async fn several_holders_each_find_the_licence(store: &impl LicenceStore) {
    let mut shared = licence(1);
    shared.holders = vec![token(1), token(2), token(1)];
    append(store, shared).await;
    for number in [1, 2] {
        let found = store.licences_of_holder(&token(number), &[], 10).await.unwrap();
        assert_eq!(found.len(), 1, "once for each holder");
    }
}

async fn a_project_finds_its_licences(store: &impl LicenceStore) {
    for (serial, issued) in [(1, 3), (2, 9), (3, 5)] {
        let new = licence_with(serial, |licence| {
            licence.project = Some(project(0));
            licence.issued_on = day(issued);
        });
        append(store, new).await;
    }
    append(store, licence_with(4, |licence| licence.project = Some(project(1)))).await;
    append(store, licence(5)).await;
    let found = store.licences_of_project(&project(0), &[], 10).await.unwrap();
    let serials: Vec<_> = found.iter().map(|one| one.identifier.clone()).collect();
    assert_eq!(serials, [identifier(2), identifier(3), identifier(1)]);
    assert_eq!(store.licences_of_project(&project(0), &[], 1).await.unwrap(), found[..1]);
    let other = store.licences_of_project(&project(0), &[licence_type(1)], 10).await.unwrap();
    assert_eq!(other, []);
}

async fn a_number_finds_exactly_its_licences(store: &impl LicenceStore) {
    let numbers = ["7", "77", "7\0", "7\0x", "", "8"];
    for (serial, number) in numbers.iter().enumerate() {
        let mut new = licence(serial as u64);
        (*number).clone_into(&mut new.number);
        append(store, new).await;
    }
    let mut twin = licence(10);
    "77".clone_into(&mut twin.number);
    append(store, twin).await;
    for (serial, number) in numbers.iter().enumerate() {
        let found = store.licences_of_number(&licence_type(0), number, 10).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|one| one.identifier).collect();
        let mut expected = vec![identifier(serial as u64)];
        if *number == "77" {
            expected.push(identifier(10));
        }
        assert_eq!(found, expected, "number {number:?}");
    }
    assert_eq!(store.licences_of_number(&licence_type(0), "77", 1).await.unwrap().len(), 1);
    assert_eq!(store.licences_of_number(&licence_type(1), "77", 10).await.unwrap(), []);
}

async fn pages_show_every_licence_once(store: &impl LicenceStore) {
    let entries = (0..25).rev().map(|serial| NewEntry::Licence(licence(serial)));
    store.append(entries.collect()).await.unwrap();
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = store.page_of_licences(after, 10).await.unwrap();
        assert!(page.len() <= 10);
        let Some(last) = page.last() else { break };
        after = Some(last.identifier.clone());
        seen.extend(page.into_iter().map(|one| one.identifier));
    }
    assert_eq!(seen, (0..25).map(identifier).collect::<Vec<_>>());
}

async fn many_in_one_call_are_all_taken(store: &impl LicenceStore) {
    let entries: Vec<_> = (0..5000).map(|serial| NewEntry::Licence(licence(serial))).collect();
    for new in [true, false] {
        let answers = store.append(entries.clone()).await.unwrap();
        assert_eq!(answers.len(), 5000);
        for (number, answer) in answers.into_iter().enumerate() {
            let expected = Appended { seq: Seq(number as u64), new, status: LicenceStatus::Valid };
            assert_eq!(answer, Ok(expected));
        }
    }
    assert_eq!(store.head().await.unwrap(), Seq(5000));
}

async fn waiting_ends_with_a_change(store: impl LicenceStore) {
    let started = Instant::now();
    let short = Duration::from_millis(50);
    assert_eq!(store.wait_beyond(Seq(0), short).await.unwrap(), Seq(0));
    assert!(started.elapsed() >= short, "nothing happened, so it waited");
    append(&store, licence(1)).await;
    let long = Duration::from_secs(60);
    assert_eq!(store.wait_beyond(Seq(0), long).await.unwrap(), Seq(1));
    let store = Arc::new(store);
    let waiting = Arc::clone(&store);
    let waiting = tokio::spawn(async move { waiting.wait_beyond(Seq(1), long).await });
    tokio::task::yield_now().await;
    append(&*store, licence(2)).await;
    assert_eq!(waiting.await.unwrap().unwrap(), Seq(2));
    assert!(started.elapsed() < long, "it did not wait for the end");
}

async fn readers_never_see_half_an_append(store: impl LicenceStore) {
    let store = Arc::new(store);
    let writing = Arc::clone(&store);
    let writer = tokio::spawn(async move {
        for call in 0..40 {
            let serials = call * 5..call * 5 + 5;
            let entries = serials.map(|serial| NewEntry::Licence(of_one_holder(serial, 1)));
            writing.append(entries.collect()).await.unwrap();
        }
    });
    while !writer.is_finished() {
        let before = store.changes(Seq(0), 1000).await.unwrap();
        assert_eq!(before.len() % 5, 0, "entries of one call are visible together");
        let of_holder = store.licences_of_holder(&token(77), &[], 1000).await.unwrap();
        assert!(of_holder.len() >= before.len() && of_holder.len().is_multiple_of(5));
        let after = store.changes(Seq(0), 1000).await.unwrap();
        assert!(of_holder.len() <= after.len(), "a key without its log entry");
        if let Some(last) = before.last() {
            let held = store.licence(last.identifier()).await.unwrap();
            assert_eq!(held.map(|held| held.seq), Some(last.seq));
        }
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    assert_eq!(store.head().await.unwrap(), Seq(200));
}

async fn callers_at_once_get_each_number_once(store: impl LicenceStore) {
    let store = Arc::new(store);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..8 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            let mut numbers = Vec::new();
            for turn in 0..20 {
                // Every licence comes from two callers.
                let appended = append(&*store, licence(caller / 2 * 20 + turn)).await;
                let used = store.record_use(a_use(caller, None)).await.unwrap();
                numbers.push((appended, used));
            }
            numbers
        });
    }
    let numbers = callers.join_all().await.concat();
    let mut new: Vec<_> =
        numbers.iter().filter(|(one, _)| one.new).map(|(one, _)| one.seq).collect();
    new.sort_unstable();
    assert_eq!(new, (0..80).map(Seq).collect::<Vec<_>>());
    let mut uses: Vec<_> = numbers.iter().map(|(_, used)| *used).collect();
    uses.sort_unstable();
    assert_eq!(uses, (0..160).map(Seq).collect::<Vec<_>>());
    let changes = store.changes(Seq(0), 1000).await.unwrap();
    assert_eq!(changes.len(), 80);
    for (appended, _) in numbers {
        let change = &changes[usize::try_from(appended.seq.0).unwrap()];
        let held = store.licence(change.identifier()).await.unwrap().unwrap();
        assert_eq!(held.seq, appended.seq);
    }
}

async fn manifests_are_kept_once(store: &impl LicenceStore) {
    let digest = licence(1).digest;
    assert_eq!(store.manifest(&digest).await.unwrap(), None);
    store.put_manifest(&digest, "one".into(), "cms".into()).await.unwrap();
    store.put_manifest(&digest, "one".into(), "another cms".into()).await.unwrap();
    let held = store.manifest(&digest).await.unwrap().unwrap();
    assert_eq!((held.document.as_ref(), held.signature.as_ref()), (&b"one"[..], &b"cms"[..]));
    assert_eq!(store.head().await.unwrap(), Seq(0), "a manifest is no change");
}

async fn uses_are_numbered_for_themselves(store: &impl LicenceStore) {
    append(store, licence(1)).await;
    for number in 0..5 {
        assert_eq!(store.record_use(a_use(number, None)).await.unwrap(), Seq(number));
    }
    let new = a_use(3, None);
    let entry = store.use_entry(Seq(3)).await.unwrap().unwrap();
    assert_eq!((entry.seq, entry.at, entry.caller), (Seq(3), new.at, new.caller));
    assert_eq!((entry.certificate, entry.operator), (new.certificate, new.operator));
    assert_eq!((entry.matter, entry.case, entry.basis), (new.matter, new.case, new.basis));
    assert_eq!((entry.reason, entry.holder, entry.project), (new.reason, new.holder, new.project));
    assert_eq!((entry.shown, entry.grant, entry.act), (new.shown, None, new.act));
    assert_eq!(store.use_entry(Seq(5)).await.unwrap(), None);
    let uses = store.uses(Seq(1), 3).await.unwrap();
    assert_eq!(uses.iter().map(|one| one.seq).collect::<Vec<_>>(), [Seq(1), Seq(2), Seq(3)]);
    assert_eq!(store.use_head().await.unwrap(), Seq(5));
    assert_eq!(store.head().await.unwrap(), Seq(1));
}

async fn a_grant_tells_who_may_open_what(store: &impl LicenceStore) {
    store.record_use(a_use(1, None)).await.unwrap();
    let seq = store.record_use(a_use(2, Some("g_two"))).await.unwrap();
    let grant = store.grant("g_two").await.unwrap().unwrap();
    assert_eq!((grant.id.as_str(), grant.until), ("g_two", now()));
    assert_eq!(Some(grant.opened_by), store.use_entry(seq).await.unwrap());
    assert_eq!(store.grant("g_one").await.unwrap(), None);
    assert_eq!(store.grant("").await.unwrap(), None);
}

async fn every_holder_of_what_was_shown_sees_the_use(store: &impl LicenceStore) {
    let holder = |number| a_use(number, None).holder.expect("the sample has a holder");
    let joint = NewUse { also: vec![holder(2), holder(1), holder(2)], ..a_use(1, None) };
    store.record_use(joint).await.unwrap();
    let of_project = NewUse { holder: None, also: vec![holder(2)], ..a_use(0, None) };
    store.record_use(of_project).await.unwrap();
    for (number, expected) in [(0, vec![]), (1, vec![Seq(0)]), (2, vec![Seq(1), Seq(0)])] {
        let uses = store.uses_of_holder(&holder(number), 10).await.unwrap();
        assert_eq!(uses.iter().map(|one| one.seq).collect::<Vec<_>>(), expected);
    }
}

async fn an_opening_names_its_grant_and_opens_none(store: &impl LicenceStore) {
    let first = store.record_use(a_use(1, Some("g_one"))).await.unwrap();
    for act in [UseAct::Open, UseAct::View] {
        let later = NewUse { act, ..a_use(1, Some("g_one")) };
        let seq = store.record_use(later).await.unwrap();
        let entry = store.use_entry(seq).await.unwrap().unwrap();
        assert_eq!((entry.act, entry.grant.as_deref()), (act, Some("g_one")));
    }
    let grant = store.grant("g_one").await.unwrap().unwrap();
    assert_eq!(grant.opened_by.seq, first, "the grant is still the one that was opened");
}

async fn a_holder_sees_the_uses_newest_first(store: &impl LicenceStore) {
    for number in 0..90 {
        store.record_use(a_use(number % 3, None)).await.unwrap();
    }
    let mut of_project = a_use(0, None);
    (of_project.holder, of_project.project) = (None, Some(project(0)));
    store.record_use(of_project).await.unwrap();
    let uses = store.uses_of_holder(&token(1), 100).await.unwrap();
    let numbers: Vec<_> = uses.iter().map(|one| one.seq.0).collect();
    assert_eq!(numbers, (0..30).rev().map(|turn| turn * 3 + 1).collect::<Vec<_>>());
    assert_eq!(store.uses_of_holder(&token(1), 4).await.unwrap(), uses[..4]);
    assert_eq!(store.uses_of_holder(&token(9), 4).await.unwrap(), []);
}

async fn small_state_is_kept(store: &impl LicenceStore) {
    assert_eq!(store.cursor("province").await.unwrap(), None);
    store.save_cursor("province", Seq(7)).await.unwrap();
    store.save_cursor("province", Seq(3)).await.unwrap();
    assert_eq!(store.cursor("province").await.unwrap(), Some(Seq(3)), "a replay goes back");
    assert_eq!(store.cursor("provinc").await.unwrap(), None);

    assert!(!store.flag("paused").await.unwrap());
    store.set_flag("paused", true).await.unwrap();
    assert!(store.flag("paused").await.unwrap());
    store.set_flag("paused", false).await.unwrap();
    assert!(!store.flag("paused").await.unwrap());

    let refused = |seq, remark: &str| SetAside {
        seq: Seq(seq),
        code: "E1".to_owned(),
        remark: remark.to_owned(),
        at: now(),
    };
    store.set_aside("city", refused(300, "second")).await.unwrap();
    store.set_aside("city", refused(2, "first")).await.unwrap();
    store.set_aside("city", refused(300, "corrected")).await.unwrap();
    store.set_aside("city\0x", refused(5, "of another")).await.unwrap();
    let held = store.set_asides("city", 10).await.unwrap();
    assert_eq!(held, [refused(2, "first"), refused(300, "corrected")]);
    assert_eq!(store.set_asides("city", 1).await.unwrap(), held[..1]);
    assert_eq!(store.set_asides("cit", 10).await.unwrap(), []);
    assert_eq!(store.set_asides_from("city", Seq(3), 10).await.unwrap(), held[1..]);
    assert_eq!(store.set_asides_from("city", Seq(301), 10).await.unwrap(), []);

    assert_eq!(store.outcome(b"key").await.unwrap(), None);
    store.save_outcome(b"key", b"first".to_vec(), now()).await.unwrap();
    store.save_outcome(b"key", b"second".to_vec(), now()).await.unwrap();
    let held = store.outcome(b"key").await.unwrap();
    assert_eq!(held.as_deref(), Some(&b"first"[..]), "the first answer stays");
}

async fn what_was_set_aside_stays_listed_when_it_is_settled(store: &impl LicenceStore) {
    let later = now() + jiff::SignedDuration::from_secs(60);
    let refused = |seq, at| SetAside {
        seq: Seq(seq),
        code: "E1".to_owned(),
        remark: "remark".to_owned(),
        at,
    };
    for seq in [1, 2, 3] {
        store.set_aside("city", refused(seq, now())).await.unwrap();
    }
    store.set_aside("cit", refused(2, now())).await.unwrap();
    assert!(!store.settle("city", Seq(4), Settled::Resent, later).await.unwrap());
    assert!(store.settle("city", Seq(2), Settled::Resent, later).await.unwrap());
    assert!(!store.settle("city", Seq(2), Settled::Resent, later).await.unwrap(), "it is settled");
    let open = store.set_asides("city", 10).await.unwrap();
    assert_eq!(open, [refused(1, now()), refused(3, now())]);
    assert_eq!(store.set_asides("cit", 10).await.unwrap().len(), 1, "of another");
    let of = |seq, at, how| SettledSetAside { refused: refused(seq, at), settled_at: later, how };
    assert_eq!(store.settled("city", None, 10).await.unwrap(), [of(2, now(), Settled::Resent)]);

    // Refused again, and taken again: both are listed.
    store.set_aside("city", refused(2, later)).await.unwrap();
    assert_eq!(store.set_asides("city", 10).await.unwrap().len(), 3);
    assert!(store.settle("city", Seq(2), Settled::Replayed, later).await.unwrap());
    assert!(store.settle("city", Seq(1), Settled::Replayed, later).await.unwrap());
    let settled = store.settled("city", None, 10).await.unwrap();
    let expected = [
        of(1, now(), Settled::Replayed),
        of(2, now(), Settled::Resent),
        of(2, later, Settled::Replayed),
    ];
    assert_eq!(settled, expected);
    let rest = store.settled("city", Some(&settled[0].refused), 1).await.unwrap();
    assert_eq!(rest, expected[1..2]);
    assert_eq!(store.settled("cit", None, 10).await.unwrap(), []);
}

const CASES: Collection = Collection::new("cases");

fn write(key: &str, expected: Expected, value: Option<&str>) -> RecordWrite {
    let value = value.map(|value| value.as_bytes().to_vec());
    RecordWrite { collection: CASES, key: key.as_bytes().to_vec(), expected, value }
}

async fn commit(store: &impl LicenceStore, writes: Vec<RecordWrite>) -> Option<Vec<u64>> {
    let done = store.commit(Commit { writes, uses: Vec::new() }).await.expect("the store answers");
    done.ok().map(|done| done.revisions)
}

async fn keys(store: &impl LicenceStore, prefix: &str, after: Option<&str>) -> Vec<String> {
    let after = after.map(str::as_bytes);
    let found = store.records(CASES, prefix.as_bytes(), after, 3).await.unwrap();
    found.into_iter().map(|one| String::from_utf8(one.key).unwrap()).collect()
}

async fn records_are_kept_in_the_order_of_their_keys(store: &impl LicenceStore) {
    assert_eq!(store.record(CASES, b"a1").await.unwrap(), None);
    let any = |key| write(key, Expected::Any, Some(key));
    let revisions = commit(store, ["b1", "a2", "a1", "a3", "a4"].map(any).into()).await;
    assert_eq!(revisions, Some(vec![1; 5]));
    assert_eq!(commit(store, vec![write("a1", Expected::Any, Some("new"))]).await, Some(vec![2]));
    let held = store.record(CASES, b"a1").await.unwrap().expect("it is held");
    assert_eq!((held.revision, held.value), (2, b"new".to_vec()));
    assert_eq!(keys(store, "a", None).await, ["a1", "a2", "a3"]);
    assert_eq!(keys(store, "a", Some("a3")).await, ["a4"]);
    assert_eq!(keys(store, "a", Some("a")).await, ["a1", "a2", "a3"]);
    assert_eq!(keys(store, "", Some("a4")).await, ["b1"]);
    assert_eq!(keys(store, "c", None).await, [""; 0]);
    let others = Collection::new("case");
    assert_eq!(store.records(others, b"", None, 9).await.unwrap(), [], "another collection");
    assert_eq!(commit(store, vec![write("a2", Expected::Revision(1), None)]).await, Some(vec![0]));
    assert_eq!(store.record(CASES, b"a2").await.unwrap(), None);
    assert_eq!(keys(store, "a", None).await, ["a1", "a3", "a4"]);
}

async fn a_commit_is_written_all_or_nothing(store: &impl LicenceStore) {
    commit(store, vec![write("one", Expected::Absent, Some("1"))]).await.expect("it was absent");
    let both = |expected| Commit {
        writes: vec![write("two", Expected::Any, Some("2")), write("one", expected, Some("1b"))],
        uses: vec![sample::a_use(1, Some("g_of_commit")), sample::a_use(2, None)],
    };
    for stale in [Expected::Absent, Expected::Revision(2)] {
        assert_eq!(store.commit(both(stale)).await.unwrap().unwrap_err().collection, "cases");
        assert_eq!(store.record(CASES, b"two").await.unwrap(), None);
        assert_eq!(store.use_head().await.unwrap(), Seq::ZERO);
        assert_eq!(store.grant("g_of_commit").await.unwrap(), None);
    }
    let done = store.commit(both(Expected::Revision(1))).await.unwrap().expect("it fits");
    assert_eq!((done.revisions, done.uses), (vec![1, 2], vec![Seq(0), Seq(1)]));
    let grant = store.grant("g_of_commit").await.unwrap().expect("the grant is open");
    assert_eq!(grant.opened_by.seq, Seq(0));
    assert_eq!(store.uses_of_holder(&token(2), 9).await.unwrap().len(), 1);
}

async fn of_two_commits_that_expect_the_same_one_is_stale<S: LicenceStore>(store: S) {
    let store = Arc::new(store);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            commit(&*store, vec![write("one", Expected::Absent, Some("1"))]).await.is_some()
        });
    }
    let won = callers.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
}

async fn over_long_names_are_refused(store: &impl LicenceStore) {
    let long = "x".repeat(2000);
    let is_too_long = |error| matches!(error, Err(StoreError::TooLong { .. }));
    assert!(is_too_long(store.save_cursor(&long, Seq(1)).await));
    assert!(is_too_long(store.set_flag(&long, true).await));
    assert!(is_too_long(store.save_outcome(long.as_bytes(), Vec::new(), now()).await));
    assert!(is_too_long(store.record_use(a_use(1, Some(&long))).await.map(drop)));
    assert_eq!(store.use_head().await.unwrap(), Seq(0));
    assert_eq!(store.cursor(&long).await.unwrap(), None);
    store.health().await.unwrap();
}
