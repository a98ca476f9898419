//! What can go wrong between a `rest` connector and its gateway: after each fault the gateway holds exactly what the
//! log says, and the set-aside list says the rest and why.
//!
//! A table or folder that is missing does not occur with this kind; what stands for it is an interface that is not
//! there (404).

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::symlink,
    sync::Arc,
    time::Duration,
};

use connectors::{
    ConnectorSettings, ConnectorState, Runner, RunnerHandle, Types,
    provincial_gateway::{GatewayFault, GatewayShape},
    rules::samples,
};
use indexes::{LicenceStore, MemoryStore};
use jiff::SignedDuration;
use licence::{ChangeKind, LicenceId, LicenceStatus, Seq, StatusChange};
use serde_json::json;
use support::{
    caught_up, change,
    gateway::Gateway,
    issue, issue_of, quick,
    relay::{Relay, Weather},
    set_asides, until,
};

const SHAPES: [GatewayShape; 2] = [GatewayShape::Guangdong, GatewayShape::Gbt36906];

/// A gateway behind a relay, a store, and a runner between them.
struct Bench {
    gateway: Gateway,
    relay: Relay,
    store: Arc<dyn LicenceStore>,
    runner: RunnerHandle,
}

impl Bench {
    async fn of(shape: GatewayShape) -> Self {
        let gateway = Gateway::start(shape).await;
        let relay = Relay::to(gateway.address).await;
        let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
        let settings = ConnectorSettings {
            connect_timeout_ms: Some(400),
            timeout_ms: Some(600),
            ..gateway.settings_to(relay.address())
        };
        let connector = settings.check().unwrap().connector.open(&Types::new()).unwrap();
        let runner = Runner::start(store.clone(), connector, quick());
        Self { gateway, relay, store, runner }
    }

    /// Some licences have arrived before anything goes wrong.
    async fn begun(shape: GatewayShape) -> Self {
        let bench = Self::of(shape).await;
        issue(&*bench.store, 0, 10).await;
        caught_up(&bench.runner, &*bench.store).await;
        bench
    }

    async fn failing_with(&self, code: &str) -> ConnectorState {
        until(&self.runner, |state| {
            state.is_failing() && state.last_error.as_ref().is_some_and(|error| error.code == code)
        })
        .await
    }

    /// Waits until everything was gone through, and compares both sides.
    async fn agree(&self, aside: &[(u64, String)]) {
        caught_up(&self.runner, &*self.store).await;
        let set_aside = set_asides(&*self.store, "gateway").await;
        assert_eq!(set_aside, aside);
        let aside: BTreeSet<Seq> = aside.iter().map(|(seq, _)| Seq(*seq)).collect();
        let mut current = BTreeMap::<LicenceId, Seq>::new();
        let mut expected = BTreeSet::new();
        for change in self.store.changes(Seq(0), 100_000).await.unwrap() {
            if aside.contains(&change.seq) {
                continue;
            }
            expected.insert(change.seq);
            let counts = match &change.kind {
                ChangeKind::Issued { .. } => true,
                ChangeKind::StatusChanged { to, .. } => *to == LicenceStatus::Valid,
                other => panic!("no test makes {other:?}"),
            };
            let identifier = change.identifier().clone();
            if counts {
                current.insert(identifier, change.seq);
            } else {
                current.remove(&identifier);
            }
        }
        assert_eq!(self.gateway.gateway().current(), current);
        let taken = self.gateway.gateway().taken();
        let once: BTreeSet<Seq> = taken.iter().copied().collect();
        assert_eq!((taken.len(), once), (expected.len(), expected), "each once");
    }
}

#[tokio::test]
async fn connection_refused() {
    for shape in SHAPES {
        let bench = Bench::begun(shape).await;
        bench.relay.set(Weather::Refuse);
        issue(&*bench.store, 10, 30).await;
        until(&bench.runner, ConnectorState::is_failing).await;
        bench.relay.set(Weather::Fair);
        bench.agree(&[]).await;
    }
}

#[tokio::test]
async fn gateway_gone_and_back() {
    for shape in SHAPES {
        let mut bench = Bench::begun(shape).await;
        bench.gateway.gateway.take().unwrap().stop().await;
        issue(&*bench.store, 10, 30).await;
        until(&bench.runner, ConnectorState::is_failing).await;
        bench.gateway.run().await;
        bench.agree(&[]).await;
    }
}

#[tokio::test]
async fn hang() {
    for shape in SHAPES {
        let bench = Bench::begun(shape).await;
        bench.relay.set(Weather::Hang);
        issue(&*bench.store, 10, 30).await;
        bench.failing_with("timed_out").await;
        bench.relay.set(Weather::Fair);
        bench.agree(&[]).await;
    }
}

#[tokio::test]
async fn slow() {
    for shape in SHAPES {
        let bench = Bench::begun(shape).await;
        // Slower than the time an answer may take, with everything done over there: repeats must change nothing.
        let slow = GatewayFault::Slow(Duration::from_millis(800));
        bench.gateway.gateway().faults([slow]);
        issue(&*bench.store, 10, 30).await;
        bench.failing_with("timed_out").await;
        bench.agree(&[]).await;
        // Slow but in time.
        bench.relay.set(Weather::Slow(200_000));
        change(&*bench.store, samples::issued(3).identifier(), StatusChange::Suspend).await;
        bench.agree(&[]).await;
    }
}

#[tokio::test]
async fn cut_mid_batch() {
    for shape in SHAPES {
        let bench = Bench::begun(shape).await;
        for (round, bytes) in [100, 3_000, 9_000, 20_000].into_iter().enumerate() {
            let weather = match round % 2 {
                0 => Weather::CutSending(bytes),
                _ => Weather::CutAnswer(bytes / 10),
            };
            bench.relay.set(weather);
            issue(&*bench.store, 10 + 50 * round as u64, 50).await;
            until(&bench.runner, ConnectorState::is_failing).await;
            bench.relay.set(Weather::Fair);
            bench.agree(&[]).await;
        }
    }
}

#[tokio::test]
async fn half_applied() {
    for shape in SHAPES {
        let bench = Bench::begun(shape).await;
        let faults = [7, 0, 1].map(GatewayFault::HalfApplied);
        bench.gateway.gateway().faults(faults);
        issue(&*bench.store, 10, 30).await;
        change(&*bench.store, samples::issued(11).identifier(), StatusChange::Suspend).await;
        change(&*bench.store, samples::issued(11).identifier(), StatusChange::Restore).await;
        bench.failing_with("gateway_failing").await;
        bench.agree(&[]).await;
    }
}

/// A batch of many requests goes on where it stopped: or it would never end with a gateway that fails now and then.
#[tokio::test]
async fn many_requests_with_failures_between() {
    let bench = Bench::begun(GatewayShape::Guangdong).await;
    let before = bench.gateway.gateway().requests();
    bench.gateway.gateway().faults((0..20).map(|_| GatewayFault::HalfApplied(1)));
    issue(&*bench.store, 10, 90).await;
    bench.agree(&[]).await;
    let requests = bench.gateway.gateway().requests() - before;
    assert!((90..=90 + 40).contains(&requests), "{requests} requests for 90 records");
}

#[tokio::test]
async fn duplicate_answer() {
    for shape in SHAPES {
        let bench = Bench::begun(shape).await;
        bench.gateway.gateway().faults([GatewayFault::ToldTwice]);
        issue(&*bench.store, 10, 30).await;
        if shape == GatewayShape::Gbt36906 {
            bench.failing_with("answer_malformed").await;
        }
        bench.agree(&[]).await;
    }
}

#[tokio::test]
async fn error_for_one_record_in_a_batch() {
    for (shape, code) in [(SHAPES[0], "TYPE_NOT_AGREED"), (SHAPES[1], "422")] {
        let bench = Bench::begun(shape).await;
        issue(&*bench.store, 10, 5).await;
        issue_of(&*bench.store, 15, 1, "11100000000013338W777".parse().unwrap()).await;
        issue(&*bench.store, 16, 5).await;
        bench.agree(&[(15, code.to_owned())]).await;
    }
}

/// One that the gateway refuses as a whole is halved until the record stands alone.
#[tokio::test]
async fn error_for_the_whole_batch() {
    let bench = Bench::begun(GatewayShape::Gbt36906).await;
    let refused = r#"{"head":{"status":"422","message":"数据不合规"}}"#;
    let refused = GatewayFault::Answer { status: 200, body: refused.to_owned() };
    // Thirty records, the first fifteen, the first seven, three and one: the first record is to blame.
    bench.gateway.gateway().faults(vec![refused; 5]);
    bench.runner.pause().await.unwrap();
    issue(&*bench.store, 10, 30).await;
    bench.runner.resume().await.unwrap();
    bench.agree(&[(10, "422".to_owned())]).await;
}

#[tokio::test]
async fn wrong_answer_body() {
    for shape in SHAPES {
        let bench = Bench::begun(shape).await;
        let bodies = ["<html>login</html>", "", "{", "{\"head\":{}}", "null", "[]"];
        let answer = |body: &str| GatewayFault::Answer { status: 200, body: body.to_owned() };
        bench.gateway.gateway().faults(bodies.map(answer));
        issue(&*bench.store, 10, 30).await;
        bench.failing_with("answer_malformed").await;
        bench.agree(&[]).await;
    }
}

#[tokio::test]
async fn certificate_expired() {
    for shape in SHAPES {
        let mut bench = Bench::begun(shape).await;
        let right = bench.gateway.authority.server("127.0.0.1");
        bench.gateway.server = bench.gateway.authority.expired_server("127.0.0.1");
        bench.gateway.run_again().await;
        issue(&*bench.store, 10, 30).await;
        bench.failing_with("tls_failed").await;
        bench.gateway.server = right;
        bench.gateway.run_again().await;
        bench.agree(&[]).await;
    }
}

#[tokio::test]
async fn token_expired() {
    for shape in SHAPES {
        let bench = Bench::begun(shape).await;
        bench.gateway.gateway().expire_tokens();
        issue(&*bench.store, 10, 30).await;
        bench.agree(&[]).await;
        assert_eq!(bench.gateway.gateway().log_ins(), 2);
        assert!(bench.runner.state().last_error.is_none(), "a token that ran out is no failure");

        // A gateway that gives no new one.
        bench.gateway.gateway().refuse_log_ins(true);
        bench.gateway.gateway().expire_tokens();
        issue(&*bench.store, 40, 10).await;
        bench.failing_with("token_refused").await;
        bench.gateway.gateway().refuse_log_ins(false);
        bench.agree(&[]).await;
    }
}

/// What stands for a missing table: the interface is not there.
#[tokio::test]
async fn interface_missing() {
    for shape in SHAPES {
        let bench = Bench::begun(shape).await;
        let missing = GatewayFault::Answer { status: 404, body: "<html>".to_owned() };
        bench.gateway.gateway().faults([missing.clone(), missing]);
        issue(&*bench.store, 10, 30).await;
        bench.failing_with("no_interface").await;
        bench.agree(&[]).await;
    }
}

/// The gateway's journal is on a disk without room: the system itself says so (`/dev/full`).
#[tokio::test]
async fn disk_full_at_the_gateway() {
    for shape in SHAPES {
        let mut bench = Bench::begun(shape).await;
        let (journal, kept) = (bench.gateway.file("journal"), bench.gateway.file("kept"));
        std::fs::rename(&journal, &kept).unwrap();
        symlink("/dev/full", &journal).unwrap();
        issue(&*bench.store, 10, 30).await;
        bench.failing_with("gateway_failing").await;
        assert_eq!(bench.gateway.gateway().taken().len(), 10);
        std::fs::remove_file(&journal).unwrap();
        std::fs::rename(&kept, &journal).unwrap();
        bench.agree(&[]).await;
        // And what it said it took is on the disk.
        bench.gateway.run_again().await;
        bench.agree(&[]).await;
    }
}

#[tokio::test]
async fn gateway_restarted() {
    for shape in SHAPES {
        let mut bench = Bench::begun(shape).await;
        for round in 1..4 {
            issue(&*bench.store, round * 100, 100).await;
            change(&*bench.store, samples::issued(round).identifier(), StatusChange::Suspend).await;
            until(&bench.runner, |state| state.delivered > round * 100 - 50).await;
            bench.gateway.run_again().await;
        }
        bench.agree(&[]).await;
    }
}

#[tokio::test]
async fn clock_skew() {
    for shape in SHAPES {
        let bench = Bench::begun(shape).await;
        for hours in [5, -7, 0] {
            bench.gateway.gateway().clock_ahead(SignedDuration::from_hours(hours));
            let from = bench.store.head().await.unwrap().0;
            issue(&*bench.store, from, 20).await;
            bench.agree(&[]).await;
        }
        assert!(bench.runner.state().last_error.is_none(), "the gateway's answers tell its time");
        // Days apart is nothing to follow: an operator is told.
        bench.gateway.gateway().clock_ahead(SignedDuration::from_hours(24 * 40));
        let from = bench.store.head().await.unwrap().0;
        issue(&*bench.store, from, 20).await;
        bench.failing_with("clock_differs").await;
        bench.gateway.gateway().clock_ahead(SignedDuration::ZERO);
        bench.agree(&[]).await;
    }
}

/// A code map that does not know a value sets the record aside; mended, a replay brings it.
#[tokio::test]
async fn code_map_without_a_code() {
    let gateway = Gateway::start(GatewayShape::Guangdong).await;
    let shape: serde_json::Value =
        serde_json::from_str(include_str!("../src/rest/shapes/guangdong.json")).unwrap();
    let mut map = shape["code_map"].clone();
    map["codes"]["status"] = json!({ "valid": "1" });
    gateway.write("map.json", &map.to_string());
    let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
    let settings =
        ConnectorSettings { code_map: Some(gateway.file("map.json")), ..gateway.settings() };
    let runner = settings.start(store.clone()).unwrap();
    let licences = issue(&*store, 0, 3).await;
    change(&*store, &licences[1], StatusChange::Suspend).await;
    caught_up(&runner, &*store).await;
    assert_eq!(set_asides(&*store, "gateway").await, [(3, "value_unmapped".to_owned())]);
    assert_eq!(gateway.gateway().current().len(), 3);
    map["codes"]["status"]["suspended"] = json!("2");
    gateway.write("map.json", &map.to_string());
    runner.replay(Seq(3)).await.unwrap();
    until(&runner, |_| gateway.gateway().current().len() == 2).await;
}
