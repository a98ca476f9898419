//! Comparing both sides: what differs is found, record by record, and nothing else.

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use connectors::{
    Batch, Bucket, Comparison, Connector, Delivered, DeliveryError, DifferenceKind, Explanation,
    Holding, Mark, Operation, Preview, Reconciliation, Refused, Runner, RunnerHandle, Shared,
    Tally, rules::samples,
};
use indexes::{LicenceStore, MemoryStore};
use licence::{LicenceId, LicenceTypeCode, RevocationCause, Seq, StatusChange, Trust};
use support::{caught_up, change, issue, issue_of, judge, quick};

/// A counterpart that keeps records as a database would, and adds them up.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    records: BTreeMap<LicenceId, (Bucket, Seq)>,
    /// Does not take these.
    refuse: Vec<u64>,
    backwards: bool,
    /// Most records it was asked for at once.
    asked: usize,
}

impl Ledger {
    fn held<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    fn lose(&self, identifier: &LicenceId) {
        self.held(|held| held.records.remove(identifier).unwrap());
    }

    fn spoil(&self, identifier: &LicenceId) {
        self.held(|held| held.records.get_mut(identifier).unwrap().1 = Seq(9_999));
    }

    fn invent(&self, number: u64) -> LicenceId {
        let licence = samples::licence(number, samples::types()[0]);
        let bucket = Bucket { licence_type: licence.licence_type, day: licence.issued_on };
        let record = (bucket, Seq(0));
        self.held(|held| held.records.insert(licence.identifier.clone(), record));
        licence.identifier
    }
}

fn mark_of(identifier: &LicenceId, seq: Seq) -> Mark {
    Mark::of_line(&format!("{identifier}|{seq}"))
}

#[async_trait]
impl Connector for Ledger {
    fn name(&self) -> &str {
        "ledger"
    }

    fn kind(&self) -> &'static str {
        "scripted"
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        Ok(self.held(|held| {
            let mut refused = Vec::new();
            for item in &batch.items {
                if held.refuse.contains(&item.seq().0) {
                    let (code, remark) = ("not_this_one".to_owned(), "不接收".to_owned());
                    refused.push(Refused { seq: item.seq(), code, remark });
                } else if Operation::of_item(item) == Operation::Delete {
                    held.records.remove(item.identifier());
                } else {
                    let licence = &item.licence;
                    let bucket =
                        Bucket { licence_type: licence.licence_type, day: licence.issued_on };
                    held.records.insert(item.identifier().clone(), (bucket, item.seq()));
                }
            }
            Delivered { refused }
        }))
    }

    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
        panic!("who has tallies is not asked for counts")
    }

    fn preview(&self, _: &Batch) -> Result<Preview, DeliveryError> {
        Ok(Preview::default())
    }

    fn mark(&self, item: &Shared) -> Result<Mark, DeliveryError> {
        Ok(mark_of(item.identifier(), item.seq()))
    }

    async fn tallies(&self) -> Result<Option<BTreeMap<Bucket, Tally>>, DeliveryError> {
        Ok(Some(self.held(|held| {
            let mut tallies = BTreeMap::<Bucket, Tally>::new();
            for (identifier, (bucket, seq)) in &held.records {
                tallies.entry(*bucket).or_default().add(mark_of(identifier, *seq));
            }
            tallies
        })))
    }

    async fn holdings(
        &self,
        bucket: &Bucket,
        after: Option<&LicenceId>,
        limit: usize,
    ) -> Result<Vec<Holding>, DeliveryError> {
        Ok(self.held(|held| {
            held.asked = held.asked.max(limit);
            let of_bucket = held.records.iter().filter(|(_, (of, _))| of == bucket);
            let behind = of_bucket.filter(|(one, _)| after.is_none_or(|after| *one > after));
            let holding = |(identifier, (_, seq)): (&LicenceId, &(Bucket, Seq))| Holding {
                identifier: identifier.clone(),
                mark: mark_of(identifier, *seq),
            };
            let mut page: Vec<Holding> = behind.take(limit).map(holding).collect();
            if held.backwards {
                page.reverse();
            }
            page
        }))
    }
}

struct Scene {
    store: Arc<dyn LicenceStore>,
    ledger: Ledger,
    runner: RunnerHandle,
}

impl Scene {
    fn new() -> Self {
        let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
        let ledger = Ledger::default();
        let runner = Runner::start(store.clone(), Box::new(ledger.clone()), quick());
        Self { store, ledger, runner }
    }

    async fn caught_up(&self) {
        caught_up(&self.runner, &*self.store).await;
    }

    async fn compare(&self) -> Reconciliation {
        self.runner.reconcile().await.unwrap()
    }
}

fn records(found: &Reconciliation) -> Vec<(&LicenceId, DifferenceKind, Option<u64>)> {
    let record = |one: &'_ connectors::Difference| one.seq.map(|seq| seq.0);
    found.records.iter().map(|one| (&one.identifier, one.what, record(one))).collect()
}

#[tokio::test]
async fn sides_that_are_the_same_agree_whatever_happened_to_the_licences() {
    let scene = Scene::new();
    let ids = issue(&*scene.store, 0, 30).await;
    issue_of(&*scene.store, 100, 5, samples::types()[1]).await;
    change(&*scene.store, &ids[0], StatusChange::Suspend).await;
    change(&*scene.store, &ids[1], StatusChange::Suspend).await;
    change(&*scene.store, &ids[1], StatusChange::Restore).await;
    let cause = RevocationCause::Withdrawn;
    change(&*scene.store, &ids[2], StatusChange::Revoke { cause }).await;
    judge(&*scene.store, &ids[3], Trust::Untrusted).await;
    judge(&*scene.store, &ids[4], Trust::Untrusted).await;
    judge(&*scene.store, &ids[4], Trust::Trusted).await;
    scene.caught_up().await;
    let found = scene.compare().await;
    assert_eq!((found.compared, found.agrees, found.lag), (Comparison::Marks, true, 0));
    assert_eq!((found.buckets_differing, found.records.len()), (0, 0));
    let counts: Vec<_> = found.types.iter().map(|count| (count.ours, count.theirs)).collect();
    let sums = counts.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert_eq!(sums, (32, 32));
    scene.runner.stop().await;
}

#[tokio::test]
async fn what_differs_is_named_record_by_record_with_the_change_that_mends_it() {
    let scene = Scene::new();
    let ids = issue(&*scene.store, 0, 1_200).await;
    issue_of(&*scene.store, 5_000, 5, samples::types()[1]).await;
    change(&*scene.store, &ids[700], StatusChange::Suspend).await; // 1205
    change(&*scene.store, &ids[3], StatusChange::Suspend).await;
    change(&*scene.store, &ids[3], StatusChange::Restore).await; // 1207
    scene.caught_up().await;
    scene.ledger.lose(&ids[0]);
    scene.ledger.spoil(&ids[3]);
    scene.ledger.lose(&ids[1_199]);
    let held = scene.ledger.invent(700);
    assert_eq!(held, ids[700]);
    let unknown = scene.ledger.invent(999_999);
    let found = scene.compare().await;
    let expected = [
        (&ids[0], DifferenceKind::Missing, Some(0)),
        (&ids[3], DifferenceKind::Different, Some(1_207)),
        (&ids[700], DifferenceKind::Extra, Some(1_205)),
        (&ids[1_199], DifferenceKind::Missing, Some(1_199)),
        (&unknown, DifferenceKind::Extra, None),
    ];
    assert_eq!(records(&found), expected);
    assert_eq!((found.missing, found.extra, found.different, found.explained), (2, 2, 1, 0));
    assert_eq!(found.buckets.len(), 1, "the other type is not looked into");
    assert_eq!(found.to_resend(), [0, 1_199, 1_205, 1_207].map(Seq));
    assert!(found.complete && !found.agrees);
    assert!(scene.ledger.held(|held| held.asked) <= 1_000, "page by page");
    scene.runner.stop().await;
}

#[tokio::test]
async fn what_is_set_aside_and_what_is_on_its_way_is_explained() {
    let scene = Scene::new();
    scene.ledger.held(|held| held.refuse = vec![4]);
    let ids = issue(&*scene.store, 0, 10).await;
    scene.caught_up().await;
    scene.runner.pause().await.unwrap();
    change(&*scene.store, &ids[7], StatusChange::Suspend).await;
    issue(&*scene.store, 10, 3).await;
    let found = scene.compare().await;
    assert!(found.agrees, "{found:?}");
    assert_eq!((found.lag, found.set_aside, found.explained), (4, 1, 1));
    let explained: Vec<_> = found.records.iter().map(|one| one.explained).collect();
    assert_eq!(explained, [Some(Explanation::SetAside)]);

    // Delivered, but not noted yet: newer there than the cursor here.
    scene.ledger.lose(&ids[7]);
    scene.ledger.invent(11);
    let found = scene.compare().await;
    assert!(found.agrees, "{found:?}");
    let explained: Vec<_> = found.records.iter().map(|one| one.explained).collect();
    let underway = Some(Explanation::Underway);
    assert_eq!(explained, [Some(Explanation::SetAside), underway, underway]);
    assert_eq!(found.to_resend(), []);
    scene.runner.stop().await;
}

#[tokio::test]
async fn comparing_while_changes_arrive_finds_nothing() {
    let scene = Scene::new();
    let ids = issue(&*scene.store, 0, 600).await;
    scene.caught_up().await;
    let store = scene.store.clone();
    let busy = tokio::spawn(async move {
        for number in 0..200 {
            issue(&*store, 1_000 + number, 1).await;
            change(&*store, &ids[number as usize], StatusChange::Suspend).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut compared = 0;
    while !busy.is_finished() {
        let found = scene.compare().await;
        assert_eq!((found.missing, found.extra, found.different), (0, 0, 0), "{found:?}");
        compared += 1;
    }
    assert!(compared > 1);
    busy.await.unwrap();
    scene.caught_up().await;
    let found = scene.compare().await;
    assert!(found.agrees && found.records.is_empty());
    scene.runner.stop().await;
}

#[tokio::test]
async fn more_than_a_report_holds_is_left_to_the_next_one() {
    let scene = Scene::new();
    let most = Reconciliation::MOST_RECORDS as u64;
    issue(&*scene.store, 0, most + 10).await;
    scene.caught_up().await;
    scene.ledger.held(|held| held.records.clear());
    let found = scene.compare().await;
    assert!(!found.complete && !found.agrees);
    assert_eq!(found.records.len() as u64, most);
    assert_eq!(found.missing, most);
    // What was sent again is there; the rest is found.
    let resend = found.to_resend();
    assert_eq!(resend.len() as u64, most);
    for number in 0..most {
        let identifier = scene.ledger.invent(number);
        scene.ledger.held(|held| held.records.get_mut(&identifier).unwrap().1 = Seq(number));
    }
    let found = scene.runner.reconcile_after(found.go_on_after).await.unwrap();
    assert_eq!((found.complete, found.missing), (true, 10));
    scene.runner.stop().await;
}

#[tokio::test]
async fn a_counterpart_that_lists_its_records_in_no_order_is_told() {
    let scene = Scene::new();
    let ids = issue(&*scene.store, 0, 10).await;
    scene.caught_up().await;
    scene.ledger.lose(&ids[0]);
    scene.ledger.held(|held| held.backwards = true);
    let error = scene.runner.reconcile().await.unwrap_err();
    assert_eq!(error.code(), "answer_malformed");
    scene.runner.stop().await;
}
