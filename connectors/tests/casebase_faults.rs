//! The fault schedule of `casebase`, on PostgreSQL and on MariaDB: after each fault the database holds exactly what was
//! handed over, each once and whole, and what is set aside is the rest and why; and of the steps that departments
//! report none is lost.
//!
//! An exchange database has no tokens that expire; a password that is changed is what comes nearest. A full disk takes
//! root, who can mount a small one; elsewhere a trigger answers as the server does then (SQLSTATE 53100, error 1114).

mod support;

use std::{
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use connectors::{
    ConnectorSettings, DeliveryError,
    casebase::{CaseBase, Handover, Happened},
    rules::samples,
};
use support::{
    cases::{handed_in, open},
    city::Authority,
    exchange::{Exchange, SmallDisk},
    relay::Weather,
};

/// An exchange database, a connector, and what is to be handed over, in order: what the hub's outbox is.
struct Peer {
    exchange: Exchange,
    casebase: CaseBase,
    outbox: Vec<Handover>,
    /// How many of the outbox are through.
    through: usize,
    /// Case and code of what is set aside.
    aside: Vec<(String, String)>,
    /// Codes of the failures.
    failures: Vec<String>,
}

impl Deref for Peer {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        &self.exchange
    }
}

impl DerefMut for Peer {
    fn deref_mut(&mut self) -> &mut Exchange {
        &mut self.exchange
    }
}

impl Peer {
    async fn both() -> Vec<Self> {
        Exchange::both().await.into_iter().map(Self::of).collect()
    }

    fn of(mut exchange: Exchange) -> Self {
        exchange.settings = ConnectorSettings {
            name: "cases".to_owned(),
            kind: "casebase".to_owned(),
            departments: Some(vec!["91350100M000100Y43".to_owned()]),
            ..exchange.settings
        };
        let casebase = open(&exchange.settings);
        let (outbox, aside, failures) = (Vec::new(), Vec::new(), Vec::new());
        Self { exchange, casebase, outbox, through: 0, aside, failures }
    }

    /// Five cases are handed in, and accepted by hand.
    fn fill(&mut self) {
        for _ in 0..5 {
            let case = format!("20260302-{:010}", self.outbox.len());
            let submitted = handed_in(&case, 1);
            let accepted = Handover {
                reference: format!("{case}-s0001"),
                what: Happened::Step { step: "accept", remark: String::new(), licence: None },
                ..submitted.clone()
            };
            self.outbox.extend([submitted, accepted]);
        }
    }

    /// Hands over what is still to go until something fails.
    async fn hand_over(&mut self) -> Result<(), String> {
        while let Some(handover) = self.outbox.get(self.through) {
            match self.casebase.deliver(handover).await {
                Ok(()) => {}
                Err(DeliveryError::Refused(problem)) => {
                    self.aside.push((handover.reference.clone(), problem.code().to_owned()));
                }
                Err(error) => {
                    self.failures.push(error.code().to_owned());
                    return Err(error.code().to_owned());
                }
            }
            self.through += 1;
        }
        Ok(())
    }

    /// Handing over fails, with one of these codes.
    async fn fails(&mut self, codes: &[&str]) {
        let code = self.hand_over().await.expect_err("it fails");
        assert!(codes.contains(&code.as_str()), "{code}");
    }

    /// Everything arrives; the rows are those of the outbox, each once, but for what is set aside.
    async fn settles(&mut self, aside: &[(&str, &str)]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.hand_over().await.is_err() {
            assert!(Instant::now() < deadline, "{:?}", self.failures.last());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let refused: Vec<(&str, &str)> =
            self.aside.iter().map(|(case, code)| (case.as_str(), code.as_str())).collect();
        assert_eq!(refused, aside);
        let there = |handover: &&Handover| {
            !aside.iter().any(|(reference, _)| *reference == handover.reference)
        };
        let expected = |submitted_only: bool, rows: &[&str]| {
            let mut guids: Vec<String> = self
                .outbox
                .iter()
                .filter(there)
                .filter(|handover| {
                    !submitted_only || matches!(handover.what, Happened::Submitted(_))
                })
                .flat_map(|handover| {
                    rows.iter().map(move |row| format!("cases-{}{row}", handover.reference))
                })
                .collect();
            guids.sort();
            guids
        };
        assert_eq!(self.held("up_pro_process").await, expected(false, &[""]));
        assert_eq!(self.held("up_pro_accept").await, expected(true, &[""]));
        assert_eq!(self.held("up_pro_material").await, expected(true, &["-001", "-002"]));
    }

    async fn held(&self, table: &str) -> Vec<String> {
        let mut guids = self.run(&format!("SELECT row_guid FROM {table}"), "exchange").await;
        guids.sort(); // databases sort by their own rules
        guids
    }

    /// A department reports a step.
    async fn report(&self, guid: &str, time: &str) {
        let sql = format!(
            "INSERT INTO dn_pro_step (row_guid, project_no, step, step_time) \
             VALUES ('{guid}', '20260302-0000000000', 'accept', {time})"
        );
        self.run(&sql, "exchange").await;
    }

    /// Reads the steps that are not taken yet and takes them, as often as it takes.
    async fn take_steps(&self) -> Vec<String> {
        let mut taken: Vec<String> = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(Instant::now() < deadline, "the steps cannot be taken");
            tokio::time::sleep(Duration::from_millis(20)).await;
            let Ok(steps) = self.casebase.answers().await else { continue };
            if steps.is_empty() {
                return taken;
            }
            for step in steps {
                // What could not be marked comes again, and is known by its reference.
                if !taken.contains(&step.reference) {
                    taken.push(step.reference.clone());
                }
                if self.casebase.taken(&step.reference, None).await.is_err() {
                    break;
                }
            }
        }
    }
}

/// In this weather handing over fails; when it is fair again, everything arrives. What departments report meanwhile is
/// read then, once each.
async fn weather(bad: Weather, codes: &[&str]) {
    for mut peer in Peer::both().await {
        peer.fill();
        peer.settles(&[]).await;
        peer.relay.set(bad);
        peer.fill();
        peer.fails(codes).await;
        peer.report("a", "NULL").await;
        // Cuts count what passes: this weather is as bad when it comes a second time.
        peer.relay.set(bad);
        if let Err(error) = peer.casebase.answers().await {
            assert!(codes.contains(&error.code()), "{error}");
        }
        peer.relay.set(Weather::Fair);
        peer.settles(&[]).await;
        assert_eq!(peer.take_steps().await, ["a"]);
    }
}

const GONE: [&str; 4] = ["connect_failed", "connection_lost", "tls_failed", "timed_out"];

#[tokio::test]
async fn connection_refused() {
    weather(Weather::Refuse, &GONE).await;
}

#[tokio::test]
async fn hang() {
    weather(Weather::Hang, &["timed_out", "connect_failed"]).await;
}

#[tokio::test]
async fn cut_in_the_middle_of_a_batch() {
    weather(Weather::CutSending(2_000), &GONE).await;
}

/// The rows may be written, and the answer does not arrive: they come again, and are there once.
#[tokio::test]
async fn cut_before_the_answer() {
    weather(Weather::CutAnswer(200), &GONE).await;
}

#[tokio::test]
async fn slow() {
    for mut peer in Peer::both().await {
        peer.settings.timeout_ms = Some(10_000);
        peer.casebase = open(&peer.settings);
        peer.fill();
        peer.relay.set(Weather::Slow(100_000));
        peer.settles(&[]).await;
        assert_eq!(peer.failures, [""; 0]);
    }
}

/// Some of what was handed over is there already, some rows of a handover are gone: the rest comes again, whole.
#[tokio::test]
async fn half_applied() {
    for mut peer in Peer::both().await {
        peer.fill();
        peer.settles(&[]).await;
        for table in ["up_pro_process", "up_pro_accept", "up_pro_material"] {
            let (odd, exchange) =
                (format!("DELETE FROM {table} WHERE row_guid LIKE '%-s0001'"), "exchange");
            peer.run(&odd, exchange).await;
        }
        peer.run("DELETE FROM up_pro_material WHERE row_guid LIKE '%-002'", "exchange").await;
        peer.through = 0;
        peer.settles(&[]).await;
    }
}

/// A department reports twice what it reports, and finds fault twice.
#[tokio::test]
async fn duplicate_answer() {
    for mut peer in Peer::both().await {
        peer.fill();
        peer.settles(&[]).await;
        peer.report("a", "NULL").await;
        peer.report("b", "NULL").await;
        assert_eq!(
            peer.take_steps().await,
            ["a", "b"],
            "two rows are two steps; the hub's rules refuse the second"
        );
        let fault = |guid: &str| {
            let reference = &peer.outbox[0].reference;
            format!(
                "INSERT INTO dn_pro_error (row_guid, error_remark) VALUES ('cases-{reference}{guid}', '退回')"
            )
        };
        peer.run(&fault(""), "exchange").await;
        peer.run(&fault("-001"), "exchange").await;
        let refusals = peer.casebase.refusals().await.unwrap();
        assert_eq!(refusals.len(), 2);
        assert!(refusals.iter().all(|refusal| refusal.reference == peer.outbox[0].reference));
        for refusal in &refusals {
            peer.casebase.noted(refusal).await.unwrap();
            peer.casebase.noted(refusal).await.unwrap();
        }
        assert!(peer.casebase.refusals().await.unwrap().is_empty());
    }
}

/// A handover stands for itself: the one that is refused is set aside whole, the next are taken.
#[tokio::test]
async fn an_error_for_one_record_of_a_batch() {
    for mut peer in Peer::both().await {
        peer.casebase.answers().await.unwrap(); // the tables are made
        peer.run(
            "ALTER TABLE up_pro_accept ADD CHECK (project_no <> '20260302-0000000004')",
            "exchange",
        )
        .await;
        peer.fill();
        let refused = peer.outbox[4].reference.clone();
        peer.settles(&[(&refused, "value_refused")]).await;
    }
}

/// Something else answers at the address.
#[tokio::test]
async fn wrong_answer() {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            // Whether it is heard does not matter.
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    for mut peer in Peer::both().await {
        peer.fill();
        let elsewhere = ConnectorSettings { port: Some(port), ..peer.settings.clone() };
        peer.casebase = open(&elsewhere);
        peer.hand_over().await.unwrap_err();
        assert_eq!((peer.through, peer.aside.len()), (0, 0));
        peer.casebase = open(&peer.settings);
        peer.settles(&[]).await;
    }
}

#[tokio::test]
async fn certificate_expired() {
    let authority = Authority::new("province");
    let (old, new) = (authority.expired_server("127.0.0.1"), authority.server("127.0.0.1"));
    for postgres in [true, false] {
        let exchange = Exchange::start(postgres, &authority.pem, &old.certificate, &old.key).await;
        let mut peer = Peer::of(exchange);
        peer.fill();
        peer.fails(&["tls_failed"]).await;
        peer.go_down().await;
        peer.show(&new.certificate, &new.key);
        peer.come_up().await;
        peer.settles(&[]).await;
    }
}

#[tokio::test]
async fn password_changed() {
    for mut peer in Peer::both().await {
        peer.fill();
        peer.sql("ALTER ROLE hub PASSWORD 'new'", "ALTER USER hub@127.0.0.1 IDENTIFIED BY 'new'")
            .await;
        peer.fails(&["login_refused"]).await;
        std::fs::write(peer.folder.path().join("password"), "new").unwrap();
        peer.settles(&[]).await;
    }
}

#[tokio::test]
async fn table_missing() {
    for mut peer in Peer::both().await {
        peer.settings.create_tables = None;
        peer.casebase = open(&peer.settings);
        peer.fill();
        peer.fails(&["table_missing"]).await;
        let creates = ConnectorSettings { create_tables: Some(true), ..peer.settings.clone() };
        open(&creates).answers().await.unwrap(); // somebody makes them
        peer.settles(&[]).await;
    }
}

/// Bytes that no database makes smaller.
fn noise(size: usize) -> Vec<u8> {
    let digest = |block: usize| *samples::sha256(&block.to_be_bytes()).as_bytes();
    (0..size / 32).flat_map(digest).collect()
}

/// The table of packages is on a file system without room: nothing of a handover is there, and none is set aside.
#[tokio::test]
async fn disk_full() {
    for mut peer in Peer::both().await {
        peer.fill();
        peer.settles(&[]).await;
        let disk = SmallDisk::below(&peer, "up_pro_accept").await;
        disk.fill(&peer).await;
        let before = peer.outbox.len();
        peer.fill();
        for handover in &mut peer.outbox[before..] {
            if let Happened::Submitted(package) = &mut handover.what {
                package.bytes = noise(1 << 20).into();
            }
        }
        // MariaDB may try for seconds, and may end itself over what it cannot write: InnoDB does.
        let codes = ["database_failing", "timed_out", "connection_lost", "connect_failed"];
        peer.fails(if peer.is_postgres() { &codes[..1] } else { &codes }).await;
        assert_eq!(peer.through, before);
        disk.empty(&peer).await;
        if !peer.is_postgres() {
            peer.go_down().await;
            peer.come_up().await;
        }
        peer.settles(&[]).await;
    }
}

#[tokio::test]
async fn restarted() {
    for mut peer in Peer::both().await {
        peer.fill();
        peer.settles(&[]).await;
        peer.report("a", "NULL").await;
        peer.go_down().await;
        peer.fill();
        peer.fails(&GONE).await;
        peer.casebase.answers().await.unwrap_err();
        peer.come_up().await;
        peer.settles(&[]).await;
        assert_eq!(peer.take_steps().await, ["a"]);
    }
}

/// A department's clock is wrong by years: steps go by it in order, and one with a time still to come hides none that
/// says an earlier one later.
#[tokio::test]
async fn clock_skew() {
    for peer in Peer::both().await {
        peer.casebase.answers().await.unwrap(); // the tables are made
        peer.report("future", "'2099-01-01 00:00:00'").await;
        peer.report("past", "'1999-01-01 00:00:00'").await;
        assert_eq!(peer.take_steps().await, ["past", "future"]);
        peer.report("now", "'2026-03-02 12:00:00'").await;
        assert_eq!(peer.take_steps().await, ["now"]);
    }
}
