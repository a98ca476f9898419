//! The fault schedule of `frontdb`, on PostgreSQL and on MariaDB: after each fault the database holds exactly what the
//! log says, and the set-aside list says the rest and why.
//!
//! An exchange database has no tokens that expire; a password that is changed is what comes nearest. A full disk takes
//! root, who can mount a small one; elsewhere a trigger answers as the server does then (SQLSTATE 53100, error 1114).

mod support;

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use connectors::{ConnectorSettings, Runner, RunnerHandle, RunnerSettings};
use indexes::{LicenceStore, MemoryStore};
use licence::StatusChange;
use support::{
    caught_up, change,
    city::Authority,
    exchange::{Exchange, SmallDisk},
    issue,
    province::open,
    quick,
    relay::Weather,
    set_asides, until,
};

/// An exchange database, and a hub's log.
struct Peer {
    exchange: Exchange,
    store: Arc<dyn LicenceStore>,
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
    async fn both() -> [Self; 2] {
        Exchange::both().await.map(Self::of)
    }

    fn of(exchange: Exchange) -> Self {
        Self { exchange, store: Arc::new(MemoryStore::new()) }
    }

    /// 40 licences, of which one is suspended again: 41 changes.
    async fn fill(&self, from: u64) {
        let licences = issue(&*self.store, from, 40).await;
        change(&*self.store, &licences[0], StatusChange::Suspend).await;
    }

    fn runner(&self) -> RunnerHandle {
        let settings = RunnerSettings { batch: 25, ..quick() };
        Runner::start(self.store.clone(), open(&self.settings), settings)
    }

    /// The code of the last failure once there is one.
    async fn fails(&self, runner: &RunnerHandle) -> String {
        until(runner, |state| state.is_failing()).await.last_error.unwrap().code
    }

    /// The rows are the changes of the log, each once, but for these; those are set aside with these codes.
    async fn settles(&self, runner: &RunnerHandle, refused: &[(u64, &str)]) {
        caught_up(runner, &*self.store).await;
        let head = self.store.head().await.unwrap().0;
        let refused: Vec<(u64, String)> =
            refused.iter().map(|(seq, code)| (*seq, (*code).to_owned())).collect();
        assert_eq!(set_asides(&*self.store, "province").await, refused);
        let count = "SELECT CAST(count(*) AS CHAR(9)) FROM up_lic_data";
        let missing = refused.iter().filter(|(_, code)| code == "value_refused").count() as u64;
        let found = self.run(count, "exchange").await;
        assert_eq!(found[0].trim(), (head - missing).to_string());
        let same = "SELECT row_guid FROM up_lic_data ORDER BY row_guid";
        let expected: Vec<String> = (0..head)
            .filter(|seq| !refused.iter().any(|(out, code)| out == seq && code == "value_refused"))
            .map(|seq| format!("province-{seq:020}"))
            .collect();
        assert_eq!(self.run(same, "exchange").await, expected);
    }
}

/// In this weather sending fails; when it is fair again, everything arrives.
async fn weather(bad: Weather, codes: &[&str]) {
    for peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        peer.relay.set(bad);
        peer.fill(100).await;
        let code = peer.fails(&runner).await;
        assert!(codes.contains(&code.as_str()), "{code}");
        peer.relay.set(Weather::Fair);
        peer.settles(&runner, &[]).await;
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
    weather(Weather::CutSending(3_000), &GONE).await;
}

/// The batch may be written, and its answer does not arrive: it comes again, and is there once.
#[tokio::test]
async fn cut_before_the_answer() {
    weather(Weather::CutAnswer(40), &GONE).await;
}

#[tokio::test]
async fn slow() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        peer.relay.set(Weather::Slow(200_000));
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
    }
}

/// Half of a batch is there already, from an attempt whose rest went another way.
#[tokio::test]
async fn half_applied() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        runner.stop().await;
        peer.run(
            "DELETE FROM up_lic_data WHERE row_guid > 'province-00000000000000000017'",
            "exchange",
        )
        .await;
        peer.store.save_cursor("province", licence::Seq(0)).await.unwrap();
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
    }
}

/// The province says twice what it says, and says it of two records.
#[tokio::test]
async fn duplicate_answer() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        for _ in 0..2 {
            peer.run(
                "INSERT INTO dn_lic_data_error SELECT row_guid, certificate_source_id, '退回', '2025-03-01 10:00:00' \
                 FROM up_lic_data WHERE row_guid IN ('province-00000000000000000003', 'province-00000000000000000004')",
                "exchange",
            )
            .await;
        }
        until(&runner, |state| state.set_aside == 2).await;
        peer.settles(&runner, &[(3, "error_row"), (4, "error_row")]).await;
    }
}

#[tokio::test]
async fn an_error_for_one_record_of_a_batch() {
    for peer in Peer::both().await {
        peer.runner().reconcile().await.unwrap(); // the tables are made
        peer.run("ALTER TABLE up_lic_data ADD CHECK (row_guid NOT LIKE '%07')", "exchange").await;
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[(7, "value_refused")]).await;
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
    for peer in Peer::both().await {
        peer.fill(0).await;
        let elsewhere = ConnectorSettings { port: Some(port), ..peer.settings.clone() };
        let runner = Runner::start(peer.store.clone(), open(&elsewhere), quick());
        peer.fails(&runner).await;
        assert_eq!(runner.state().cursor.0, 0);
        runner.stop().await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
    }
}

#[tokio::test]
async fn certificate_expired() {
    let authority = Authority::new("province");
    let (old, new) = (authority.expired_server("127.0.0.1"), authority.server("127.0.0.1"));
    for postgres in [true, false] {
        let exchange = Exchange::start(postgres, &authority.pem, &old.certificate, &old.key).await;
        let mut peer = Peer::of(exchange);
        peer.fill(0).await;
        let runner = peer.runner();
        assert_eq!(peer.fails(&runner).await, "tls_failed");
        peer.go_down().await;
        peer.show(&new.certificate, &new.key);
        peer.come_up().await;
        peer.settles(&runner, &[]).await;
    }
}

#[tokio::test]
async fn password_changed() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        peer.sql("ALTER ROLE hub PASSWORD 'new'", "ALTER USER hub@127.0.0.1 IDENTIFIED BY 'new'")
            .await;
        let runner = peer.runner();
        assert_eq!(peer.fails(&runner).await, "login_refused");
        std::fs::write(peer.folder.path().join("password"), "new").unwrap();
        peer.settles(&runner, &[]).await;
    }
}

#[tokio::test]
async fn table_missing() {
    for mut peer in Peer::both().await {
        peer.settings.create_tables = None;
        peer.fill(0).await;
        let runner = peer.runner();
        assert_eq!(peer.fails(&runner).await, "table_missing");
        let creates = ConnectorSettings { create_tables: Some(true), ..peer.settings.clone() };
        open(&creates).counts().await.unwrap(); // somebody makes them
        peer.settles(&runner, &[]).await;
    }
}

/// The table is on a file system without room: a real one where we are root, who alone can mount one.
#[tokio::test]
async fn disk_full() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        let disk = SmallDisk::below(&peer, "up_lic_data").await;
        disk.fill(&peer).await;
        // More than what is left in the pages that the table has already.
        issue(&*peer.store, 100, 4_000).await;
        assert_eq!(peer.fails(&runner).await, "database_failing");
        assert!(runner.state().cursor < peer.store.head().await.unwrap());
        disk.empty(&peer).await;
        peer.settles(&runner, &[]).await;
    }
}

#[tokio::test]
async fn restarted() {
    for mut peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        peer.go_down().await;
        peer.fill(100).await;
        peer.fails(&runner).await;
        peer.come_up().await;
        peer.settles(&runner, &[]).await;
    }
}

/// The province's clock is wrong by years: what it says with a time still to come hides nothing that it says later.
#[tokio::test]
async fn clock_skew() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        for (seq, time) in
            [(3, "'2099-01-01 00:00:00'"), (4, "'1999-01-01 00:00:00'"), (5, "now()")]
        {
            peer.run(
                &format!(
                    "INSERT INTO dn_lic_data_error SELECT row_guid, certificate_source_id, '退回', {time} \
                     FROM up_lic_data WHERE row_guid = 'province-{seq:020}'"
                ),
                "exchange",
            )
            .await;
            until(&runner, |state| state.set_aside >= 1).await;
        }
        until(&runner, |state| state.set_aside == 3).await;
        let codes = [(3, "error_row"), (4, "error_row"), (5, "error_row")];
        peer.settles(&runner, &codes).await;
    }
}
