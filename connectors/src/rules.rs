//! The promises of [`Connector`], as tests that every connector calls with a counterpart of its own.
//!
//! Part of the crate, not of its tests, so that a connector kept elsewhere can call them too. They panic when a
//! promise is broken.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use licence::{LicenceStatus, RevocationCause, Seq};

use crate::{Batch, Connector, DeliveryError, Shared};

/// A real counterpart that a connector delivers to, and what the rules make it do.
#[async_trait]
pub trait Counterpart: Send + Sync {
    /// A connector to it; each call makes another instance with the same name.
    fn connector(&self) -> Box<dyn Connector>;
    /// The changes it took, in the order taken, each as often as it took it.
    async fn held(&self) -> Vec<Seq>;
    /// Makes of a record one that this counterpart does not take.
    fn spoil(&self, record: Shared) -> Shared;
    /// Ends it. What it holds may be gone.
    async fn go_down(&mut self);
    /// Starts it again at the same address.
    async fn come_up(&mut self);
}

/// Calls every rule with a fresh counterpart.
///
/// # Panics
/// When the connector breaks a promise.
pub async fn connector_rules<C: Counterpart, F: Future<Output = C>>(fresh: impl Fn() -> F) {
    name_and_kind_stay(&fresh().await);
    an_empty_batch_arrives(&fresh().await).await;
    records_arrive_in_order(&fresh().await).await;
    a_repeated_batch_is_held_once(&fresh().await).await;
    records_that_come_again_in_another_batch_are_held_once(&fresh().await).await;
    a_delivery_broken_off_can_be_made_again(&fresh().await).await;
    a_refused_record_is_named_and_the_others_arrive(&fresh().await).await;
    counts_follow_the_status(&fresh().await).await;
    replies_to_nothing_are_none(&fresh().await).await;
    a_counterpart_that_is_down_is_unreachable_until_it_is_up(&mut fresh().await).await;
}

fn name_and_kind_stay(counterpart: &impl Counterpart) {
    let (first, second) = (counterpart.connector(), counterpart.connector());
    assert_eq!(first.name(), second.name());
    assert_eq!(first.kind(), second.kind());
    assert!(!first.name().is_empty());
}

async fn an_empty_batch_arrives(counterpart: &impl Counterpart) {
    let connector = counterpart.connector();
    let delivered = connector.deliver(&Batch::new(connector.name(), 0, Vec::new())).await;
    assert_eq!(delivered.expect("an empty batch arrives").refused, []);
    assert_eq!(counterpart.held().await, []);
}

async fn records_arrive_in_order(counterpart: &impl Counterpart) {
    let connector = counterpart.connector();
    for from in [0, 40] {
        arrive(&*connector, (from..from + 40).map(samples::issued).collect()).await;
    }
    assert_eq!(counterpart.held().await, seqs(0..80));
}

async fn a_repeated_batch_is_held_once(counterpart: &impl Counterpart) {
    let items: Vec<Shared> = (0..10).map(samples::issued).collect();
    for connector in [counterpart.connector(), counterpart.connector()] {
        arrive(&*connector, items.clone()).await;
        arrive(&*connector, items.clone()).await;
    }
    assert_eq!(counterpart.held().await, seqs(0..10));
}

async fn records_that_come_again_in_another_batch_are_held_once(counterpart: &impl Counterpart) {
    let connector = counterpart.connector();
    let items: Vec<Shared> = (0..10).map(samples::issued).collect();
    arrive(&*connector, items[..6].to_vec()).await;
    arrive(&*connector, items[3..].to_vec()).await;
    arrive(&*connector, items[..9].to_vec()).await;
    assert_eq!(counterpart.held().await, seqs(0..10));
}

async fn a_delivery_broken_off_can_be_made_again(counterpart: &impl Counterpart) {
    let connector = counterpart.connector();
    let items: Vec<Shared> = (0..200).map(samples::issued).collect();
    let batch = Batch::new(connector.name(), 0, items);
    for millis in [0, 1, 2, 5, 10, 20] {
        // Whether it arrives in that time does not matter.
        let _ =
            tokio::time::timeout(Duration::from_millis(millis), connector.deliver(&batch)).await;
    }
    connector.deliver(&batch).await.expect("the batch arrives");
    assert_eq!(counterpart.held().await, seqs(0..200));
}

async fn a_refused_record_is_named_and_the_others_arrive(counterpart: &impl Counterpart) {
    let connector = counterpart.connector();
    let mut items: Vec<Shared> = (0..5).map(samples::issued).collect();
    items[2] = counterpart.spoil(items[2].clone());
    let delivered = connector.deliver(&Batch::new(connector.name(), 0, items)).await;
    let refused = delivered.expect("the others arrive").refused;
    assert_eq!(refused.iter().map(|record| record.seq).collect::<Vec<_>>(), [Seq(2)]);
    assert!(!refused[0].code.is_empty() && !refused[0].remark.is_empty());
    let shown = format!("{refused:?}");
    assert!(!shown.contains(samples::CITIZEN) && !shown.contains(samples::HOLDER_NAME), "{shown}");
    assert_eq!(counterpart.held().await, [Seq(0), Seq(1), Seq(3), Seq(4)]);
}

async fn counts_follow_the_status(counterpart: &impl Counterpart) {
    let connector = counterpart.connector();
    assert_eq!(connector.counts().await.expect("counts"), BTreeMap::new());

    let [first, second] = samples::types();
    let licences: Vec<Shared> = (0..4).map(samples::issued).collect();
    let other = samples::issued_of(4, second);
    arrive(&*connector, licences.iter().cloned().chain([other.clone()]).collect()).await;
    assert_eq!(
        connector.counts().await.expect("counts"),
        BTreeMap::from([(first, 4), (second, 1)])
    );

    let revoked = LicenceStatus::Revoked { cause: RevocationCause::Withdrawn };
    let superseded = LicenceStatus::Superseded { by: licences[3].identifier().clone() };
    arrive(
        &*connector,
        vec![
            samples::changed(5, &licences[0], LicenceStatus::Valid, LicenceStatus::Suspended),
            samples::changed(6, &licences[1], LicenceStatus::Valid, revoked),
            samples::changed(7, &licences[2], LicenceStatus::Valid, superseded),
            samples::changed(8, &other, LicenceStatus::Valid, LicenceStatus::Suspended),
        ],
    )
    .await;
    assert_eq!(connector.counts().await.expect("counts"), BTreeMap::from([(first, 1)]));

    let restored =
        samples::changed(9, &licences[0], LicenceStatus::Suspended, LicenceStatus::Valid);
    arrive(&*connector, vec![restored]).await;
    assert_eq!(connector.counts().await.expect("counts"), BTreeMap::from([(first, 2)]));
}

async fn replies_to_nothing_are_none(counterpart: &impl Counterpart) {
    let page =
        counterpart.connector().replies(&crate::ReplyPosition::default()).await.expect("replies");
    assert_eq!((page.replies, page.more), (Vec::new(), false));
}

async fn a_counterpart_that_is_down_is_unreachable_until_it_is_up(
    counterpart: &mut impl Counterpart,
) {
    let connector = counterpart.connector();
    arrive(&*connector, vec![samples::issued(0)]).await;
    counterpart.go_down().await;
    let batch = Batch::new(connector.name(), 0, vec![samples::issued(1)]);
    for _ in 0..2 {
        let error = connector.deliver(&batch).await.expect_err("it is down");
        assert!(matches!(error, DeliveryError::Unreachable(_)), "{error}");
        assert!(!error.code().is_empty() && !error.advice().is_empty());
        assert!(matches!(connector.counts().await, Err(DeliveryError::Unreachable(_))));
    }
    counterpart.come_up().await;
    connector.deliver(&batch).await.expect("it is up, and this instance finds it");
    assert!(counterpart.held().await.contains(&Seq(1)));
}

async fn arrive(connector: &dyn Connector, items: Vec<Shared>) {
    let batch = Batch::new(connector.name(), 0, items);
    let delivered = connector.deliver(&batch).await.expect("the batch arrives");
    assert_eq!(delivered.refused, []);
}

fn seqs(range: std::ops::Range<u64>) -> Vec<Seq> {
    range.map(Seq).collect()
}

/// Records to deliver in tests: well formed, of nobody.
pub mod samples {
    use std::sync::Arc;

    use bytes::Bytes;
    use indexes::Proof;
    use jiff::{Timestamp, civil::date};
    use licence::{
        Change, ChangeKind, Holder, HolderId, HolderKind, IssuerId, Licence, LicenceId,
        LicenceStatus, LicenceTypeCode, Seq, Sha256Digest, Trust, TrustReason,
    };
    use ring::digest;

    use crate::Shared;

    /// The holder's number: the standard's own sample (GB 11643-1999).
    pub const CITIZEN: &str = "11010519491231002X";
    /// The holder's name.
    pub const HOLDER_NAME: &str = "样本持证人";
    /// The issuer's credit code.
    pub const ISSUER: &str = "11430000006122244L";

    /// Two licence types.
    ///
    /// # Panics
    /// Never: they are well formed.
    pub fn types() -> [LicenceTypeCode; 2] {
        ["11100000000013338W011", "11100000000013338W009"]
            .map(|code| code.parse().expect("well formed"))
    }

    /// The document of a licence of this type; `number` tells them apart.
    ///
    /// # Panics
    /// Never: the parts are well formed.
    pub fn licence(number: u64, licence_type: LicenceTypeCode) -> Licence {
        let issuer: IssuerId = ISSUER.parse().expect("well formed");
        let serial = format!("S{number:09}");
        Licence {
            identifier: LicenceId::build(&licence_type, &issuer, &serial, 1).expect("well formed"),
            name: "样本许可证".to_owned(),
            licence_type,
            number: format!("湘样本字第{number}号"),
            issuer_name: "样本省市场监督管理局".to_owned(),
            issuer,
            issued_on: date(2025, 3, 1),
            holders: vec![Holder {
                name: HOLDER_NAME.to_owned(),
                id: HolderId::parse(HolderKind::from_code("111").expect("a kind"), CITIZEN)
                    .expect("well formed"),
            }],
            valid_from: Some(date(2025, 3, 1)),
            valid_to: None,
            region: Some("430100".parse().expect("well formed")),
            project: None,
            predecessor: None,
            fields: serde_json::Map::new(),
            files: Vec::new(),
        }
    }

    /// Change `seq` brings in a licence of the first type.
    pub fn issued(seq: u64) -> Shared {
        issued_of(seq, types()[0])
    }

    /// Change `seq` brings in a licence of this type.
    pub fn issued_of(seq: u64, licence_type: LicenceTypeCode) -> Shared {
        of_licence(seq, licence(seq, licence_type))
    }

    /// Change `seq` brings in this licence.
    pub fn of_licence(seq: u64, licence: Licence) -> Shared {
        let digest = sha256(&licence.to_bytes());
        let change = Change {
            seq: Seq(seq),
            at: at(seq),
            kind: ChangeKind::Issued {
                identifier: licence.identifier.clone(),
                licence_type: licence.licence_type,
                issuer: licence.issuer,
                digest,
            },
        };
        let document = licence.to_bytes().into();
        Shared {
            change,
            licence: Arc::new(licence),
            document,
            digest,
            trust: Trust::Trusted,
            proof: Proof::Signature(Bytes::new()),
            order: None,
            earlier: Vec::new(),
        }
    }

    /// Change `seq` changes the status of a licence that came before.
    pub fn changed(seq: u64, before: &Shared, from: LicenceStatus, to: LicenceStatus) -> Shared {
        let change = Change {
            seq: Seq(seq),
            at: at(seq),
            kind: ChangeKind::StatusChanged {
                identifier: before.identifier().clone(),
                licence_type: before.licence.licence_type,
                issuer: before.licence.issuer,
                from,
                to,
                order: sha256(&seq.to_be_bytes()),
            },
        };
        Shared { change, ..before.clone() }
    }

    /// Change `seq` changes the trust in a licence that came before and is valid.
    pub fn judged(seq: u64, before: &Shared, to: Trust) -> Shared {
        let (from, reason) = match to {
            Trust::Untrusted => (Trust::Trusted, TrustReason::CertificateRevoked),
            Trust::Trusted => (Trust::Untrusted, TrustReason::RevocationLifted),
        };
        let change = Change {
            seq: Seq(seq),
            at: at(seq),
            kind: ChangeKind::TrustChanged {
                identifier: before.identifier().clone(),
                licence_type: before.licence.licence_type,
                issuer: before.licence.issuer,
                from,
                to,
                reason,
                status: LicenceStatus::Valid,
            },
        };
        Shared { change, trust: to, ..before.clone() }
    }

    /// SHA-256.
    pub fn sha256(bytes: &[u8]) -> Sha256Digest {
        let digest = digest::digest(&digest::SHA256, bytes);
        Sha256Digest::from_bytes(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// 2025-03-01 09:30:00 Beijing time, and a second later for each change.
    fn at(seq: u64) -> Timestamp {
        let start: Timestamp = "2025-03-01T01:30:00Z".parse().expect("well formed");
        let seconds = i64::try_from(seq).expect("few samples");
        Timestamp::from_second(start.as_second() + seconds).expect("a time of this century")
    }
}
