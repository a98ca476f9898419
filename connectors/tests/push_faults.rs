//! What can go wrong between the `push` connector and a receiver. After each fault the receiver holds exactly what the log
//! says, and what is set aside says the rest and why.
//!
//! Faults of the list that cannot occur here: a token that expires (there is none: mutual TLS), a table or folder that is
//! missing (the receiver's own; an address where nothing is, is `wrong_answers`), clock skew (no time of the receiver's is
//! read, and none of ours is compared: order is by numbers). A full disk at the receiver shows as its answer 507 or 503.

mod support;

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use connectors::{
    Batch, Runner, RunnerHandle, Shared, Types,
    rules::{Counterpart, connector_rules, samples},
};
use indexes::{LicenceStore, MemoryStore, Proof, StoredManifest};
use licence::{Seq, StatusChange};
use support::{
    caught_up, change, issue,
    neighbour::{Neighbour, Says},
    quick,
    relay::{Relay, Weather},
    set_asides, until,
};

/// A hub's store with a receiver behind a network, and the connector between them.
struct Scene {
    store: Arc<dyn LicenceStore>,
    neighbour: Neighbour,
    relay: Relay,
    runner: RunnerHandle,
}

impl Scene {
    async fn set() -> Self {
        let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
        let neighbour = Neighbour::start().await;
        let relay = Relay::to(neighbour.address).await;
        let checked = neighbour.settings_at(relay.address()).check().unwrap();
        let connector = checked.connector.open(&Types::new()).unwrap();
        let runner = Runner::start(store.clone(), connector, quick());
        Self { store, neighbour, relay, runner }
    }

    /// Waits for this failure.
    async fn fails_with(&self, code: &str) {
        until(&self.runner, |state| {
            state.is_failing() && state.last_error.as_ref().is_some_and(|error| error.code == code)
        })
        .await;
    }

    /// Everything arrived but these; they are set aside with this code.
    async fn all_is_held_but(&self, numbers: &[u64], code: &str) {
        caught_up(&self.runner, &*self.store).await;
        let changes = self.store.changes(licence::Seq(0), 10_000).await.unwrap();
        let mut expected = std::collections::BTreeMap::new();
        for change in changes.iter().filter(|change| !numbers.contains(&change.seq.0)) {
            expected.insert(change.identifier().clone(), change.seq.0);
        }
        {
            let held = self.neighbour.held.lock().unwrap();
            let last: std::collections::BTreeMap<_, _> =
                held.licences.iter().map(|(id, held)| (id.clone(), held.0)).collect();
            assert_eq!(last, expected);
            let once: BTreeSet<u64> = held.taken.iter().copied().collect();
            assert_eq!(once.len(), held.taken.len(), "each once");
            assert!(held.taken.is_sorted(), "in order");
        }
        let aside: Vec<_> = numbers.iter().map(|number| (*number, code.to_owned())).collect();
        assert_eq!(set_asides(&*self.store, "neighbour").await, aside);
    }

    async fn all_is_held(&self) {
        self.all_is_held_but(&[], "").await;
    }
}

#[tokio::test]
async fn keeps_the_rules_of_connectors() {
    connector_rules(Neighbour::start).await;
}

#[tokio::test]
async fn connection_refused() {
    let mut scene = Scene::set().await;
    scene.neighbour.go_down().await;
    issue(&*scene.store, 0, 150).await;
    until(&scene.runner, |state| state.is_failing()).await;
    scene.neighbour.come_up().await;
    scene.all_is_held().await;
}

#[tokio::test]
async fn nothing_passes_any_more() {
    let scene = Scene::set().await;
    scene.relay.set(Weather::Hang);
    issue(&*scene.store, 0, 150).await;
    scene.fails_with("timed_out").await;
    scene.relay.set(Weather::Fair);
    scene.all_is_held().await;
}

#[tokio::test]
async fn slow() {
    let scene = Scene::set().await;
    issue(&*scene.store, 0, 50).await;
    caught_up(&scene.runner, &*scene.store).await;
    scene.relay.set(Weather::Slow(100_000));
    issue(&*scene.store, 50, 50).await;
    scene.all_is_held().await;
}

#[tokio::test]
async fn cut_in_the_middle_of_a_batch() {
    let scene = Scene::set().await;
    scene.relay.set(Weather::CutSending(40_000));
    issue(&*scene.store, 0, 250).await;
    until(&scene.runner, |state| state.is_failing()).await;
    scene.relay.set(Weather::Fair);
    scene.all_is_held().await;
}

/// Half applied, and a duplicate answer: the receiver has it, we do not know, it comes again.
#[tokio::test]
async fn the_answer_is_lost_after_the_receiver_took_it() {
    let scene = Scene::set().await;
    scene.neighbour.says(Says::AfterTaking(503, ""));
    issue(&*scene.store, 0, 250).await;
    scene.fails_with("receiver_failing").await;
    assert!(!scene.neighbour.held.lock().unwrap().taken.is_empty());
    scene.neighbour.says(Says::Right);
    scene.all_is_held().await;
}

#[tokio::test]
async fn one_record_of_a_batch_is_refused() {
    let scene = Scene::set().await;
    scene.neighbour.held.lock().unwrap().refuse = [7].into();
    let licences = issue(&*scene.store, 0, 50).await;
    change(&*scene.store, &licences[3], StatusChange::Suspend).await;
    scene.all_is_held_but(&[7], "type_not_agreed").await;
}

#[tokio::test]
async fn wrong_answers() {
    for (says, code) in [
        (Says::Instead(200, "<html>log in</html>"), "answer_malformed"),
        (Says::Instead(200, "{}"), "answer_malformed"),
        (Says::Instead(204, ""), "answer_malformed"),
        (
            Says::AfterTaking(200, r#"{"format":"yihao-exchange-1","accepted":1,"refused":[]}"#),
            "answer_does_not_add_up",
        ),
        (
            Says::AfterTaking(
                200,
                r#"{"format":"yihao-exchange-1","accepted":19,"refused":[{"id":"x-00000000000000000999","code":"x"}]}"#,
            ),
            "answer_names_other",
        ),
        (Says::Instead(404, ""), "no_interface"),
        (Says::Instead(403, ""), "access_refused"),
        // The receiver's disk is full (RFC 4918, 11.5), or it is overloaded.
        (Says::Instead(507, ""), "receiver_failing"),
        (Says::Instead(429, ""), "receiver_failing"),
    ] {
        let scene = Scene::set().await;
        scene.neighbour.says(says.clone());
        issue(&*scene.store, 0, 20).await;
        scene.fails_with(code).await;
        scene.neighbour.says(Says::Right);
        scene.all_is_held().await;
    }
}

#[tokio::test]
async fn the_certificate_has_expired() {
    let scene = Scene::set().await;
    let write = |name: &str, text: &str| std::fs::write(scene.neighbour.file(name), text).unwrap();
    let expired = scene.neighbour.authority.expired_client();
    write("client.pem", &expired.certificate);
    write("client.key", &expired.key);
    issue(&*scene.store, 0, 20).await;
    scene.fails_with("tls_failed").await;
    let renewed = scene.neighbour.authority.client();
    write("client.key", &renewed.key);
    write("client.pem", &renewed.certificate);
    scene.all_is_held().await;
}

#[tokio::test]
async fn the_receivers_certificate_has_expired() {
    let mut scene = Scene::set().await;
    scene.neighbour.go_down().await;
    scene.neighbour.server = scene.neighbour.authority.expired_server("127.0.0.1");
    scene.neighbour.come_up().await;
    issue(&*scene.store, 0, 20).await;
    scene.fails_with("tls_failed").await;
    scene.neighbour.go_down().await;
    scene.neighbour.server = scene.neighbour.authority.server("127.0.0.1");
    scene.neighbour.come_up().await;
    scene.all_is_held().await;
}

/// It has some of a batch from an attempt whose rest went another way: it drops those, and takes the others.
#[tokio::test]
async fn half_applied() {
    let scene = Scene::set().await;
    scene.neighbour.says(Says::Instead(503, ""));
    issue(&*scene.store, 0, 60).await;
    scene.fails_with("receiver_failing").await;
    scene.neighbour.says(Says::Right);
    // As the same connector would have sent it.
    let some = (0..25).map(|number| {
        let licence = samples::licence(number, samples::types()[0]);
        samples::of_licence(number, licence)
    });
    let connector = scene.neighbour.connector();
    connector.deliver(&Batch::new("neighbour", 0, some.collect())).await.unwrap();
    scene.all_is_held().await;
}

/// An answer that names one event twice, or that takes and refuses it, is none; what it is about comes again.
#[tokio::test]
async fn duplicate_answer() {
    for (accepted, code) in [(18, "answer_names_other"), (20, "answer_does_not_add_up")] {
        let scene = Scene::set().await;
        let one = r#"{"id":"neighbour-00000000000000000003","code":"x"}"#;
        let refused = if accepted == 18 { format!("{one},{one}") } else { one.to_owned() };
        let answer = format!(
            r#"{{"format":"yihao-exchange-1","accepted":{accepted},"refused":[{refused}]}}"#
        );
        scene.neighbour.says(Says::AfterTaking(200, answer.leak()));
        issue(&*scene.store, 0, 20).await;
        scene.fails_with(code).await;
        scene.neighbour.says(Says::Right);
        scene.all_is_held().await;
    }
}

/// RFC 4918, 11.5: 507 Insufficient Storage. The receiver is a program of the test's, whose disk is not filled: what it
/// answers then is all that shows here.
#[tokio::test]
async fn the_disk_is_full_at_the_receiver() {
    for status in [507, 503] {
        let scene = Scene::set().await;
        issue(&*scene.store, 0, 50).await;
        caught_up(&scene.runner, &*scene.store).await;
        scene.neighbour.says(Says::Instead(status, ""));
        issue(&*scene.store, 50, 50).await;
        scene.fails_with("receiver_failing").await;
        scene.neighbour.says(Says::Right);
        scene.all_is_held().await;
    }
}

#[tokio::test]
async fn the_receiver_is_restarted() {
    let mut scene = Scene::set().await;
    issue(&*scene.store, 0, 120).await;
    caught_up(&scene.runner, &*scene.store).await;
    scene.neighbour.go_down().await;
    scene.neighbour.come_up().await;
    let licences = issue(&*scene.store, 120, 120).await;
    change(&*scene.store, &licences[0], StatusChange::Suspend).await;
    scene.all_is_held().await;
}

/// Licences of a batch that was signed with one manifest: the receiver asks for it, gets it, and gets them again, all in
/// one delivery.
#[tokio::test]
async fn the_receiver_lacks_the_manifest() {
    let neighbour = Neighbour::start().await;
    let manifest = StoredManifest {
        document: Bytes::from_static(b"manifest"),
        signature: Bytes::from_static(b"signature"),
    };
    let digest = samples::sha256(&manifest.document);
    let bulk = |seq| Shared {
        proof: Proof::Manifest { manifest: digest, position: seq as u32 },
        ..samples::issued(seq)
    };
    let connector = neighbour.connector();
    let mut batch = Batch::new("neighbour", 0, vec![samples::issued(0), bulk(1), bulk(2)]);
    // Not here either: those records are told, the other arrives.
    let refused = connector.deliver(&batch).await.unwrap().refused;
    let refused: Vec<_> = refused.iter().map(|one| (one.seq.0, one.code.as_str())).collect();
    assert_eq!(refused, [(1, "manifest_missing"), (2, "manifest_missing")]);
    batch.manifests.insert(digest, Arc::new(manifest));
    for _ in 0..2 {
        assert_eq!(connector.deliver(&batch).await.unwrap().refused, []);
        assert_eq!(neighbour.held().await, [Seq(0), Seq(1), Seq(2)]);
    }
    // One request without the manifest; then one, the manifest, two that waited; then one for the repeat.
    assert_eq!(neighbour.held.lock().unwrap().requests, 1 + 3 + 1);
}

/// A receiver that is no hub answers in its own way: success is that all are taken, and it tells no counts.
#[tokio::test]
async fn any_receiver_of_events_will_do() {
    let neighbour = Neighbour::start().await;
    let mut settings = neighbour.settings_at(neighbour.address);
    settings.more.insert("receiver".to_owned(), "any".into());
    let connector = support::province::open(&settings);
    let batch = Batch::new("neighbour", 0, vec![samples::issued(0), samples::issued(1)]);
    for (status, body) in [(202, ""), (204, ""), (200, "thank you")] {
        neighbour.says(Says::AfterTaking(status, body));
        assert_eq!(connector.deliver(&batch).await.unwrap().refused, [], "{status}");
    }
    assert_eq!(neighbour.held().await, [Seq(0), Seq(1)]);
    assert_eq!(connector.counts().await.unwrap_err().code(), "counts_not_told");
    assert_eq!(connector.tallies().await.unwrap(), None);
    let preview = connector.preview(&batch).unwrap();
    assert!(preview.parts[0].text.contains("\"specversion\":\"1.0\""));
}
