//! A process that is killed in the middle of its writes: what it was told is there, once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indexes::rules::sample::{a_use, licence, order};
use indexes::{LicenceStore, NewEntry, RocksOptions, RocksStore};
use licence::{Seq, StatusChange};

const FOLDER: &str = "INDEXES_CRASH_TEST_FOLDER";
const ROUNDS: usize = 6;

/// What the writing process said it was told, by line: `licence SERIAL SEQ`, `order SERIAL SEQ`,
/// `use HOLDER SEQ`, `cursor NUMBER`.
#[derive(Default)]
struct Acknowledged {
    licences: BTreeMap<u64, u64>,
    orders: BTreeMap<u64, u64>,
    uses: BTreeMap<u64, u64>,
    cursor: u64,
}

#[test]
fn nothing_acknowledged_is_missing_doubled_or_out_of_order_after_a_kill() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        write_until_killed(folder.path(), round, &mut acknowledged);
        check(folder.path(), &acknowledged);
    }
    assert!(acknowledged.licences.len() > ROUNDS, "the process got to write");
    assert!(acknowledged.uses.len() > ROUNDS, "the process got to write");
}

fn write_until_killed(folder: &Path, round: usize, acknowledged: &mut Acknowledged) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--nocapture", "--include-ignored"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Killed after so many lines: early, and later when there is more to recover.
    let last = [3, 40, 400, 1500, 90, 3000][round % 6];
    for (number, line) in lines.enumerate() {
        // A line cut off by the kill was not said.
        let Ok(line) = line else { break };
        note(&line, acknowledged);
        if number == last {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success(), "it was killed, not finished");
}

fn note(line: &str, acknowledged: &mut Acknowledged) {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let before = match (words[0], number(1), number(2), words.len()) {
        ("licence", Some(serial), Some(seq), 4) => acknowledged.licences.insert(serial, seq),
        ("order", Some(serial), Some(seq), 4) => acknowledged.orders.insert(serial, seq),
        ("use", Some(holder), Some(seq), 4) => acknowledged.uses.insert(seq, holder),
        ("cursor", Some(next), None, 3) => {
            acknowledged.cursor = next;
            None
        }
        _ => None,
    };
    assert_eq!(before, None, "acknowledged twice: {line}");
}

fn check(folder: &Path, acknowledged: &Acknowledged) {
    let store = RocksStore::open(folder, RocksOptions::default()).unwrap();
    let report = store.check_integrity().unwrap();
    assert!(report.is_sound(), "{:?}", report.defects);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for (serial, seq) in &acknowledged.licences {
            let held = store.licence(&licence(*serial).identifier).await.unwrap();
            let held = held.unwrap_or_else(|| panic!("licence {serial} is missing"));
            assert_eq!(held.seq, Seq(*seq));
        }
        for (serial, seq) in &acknowledged.orders {
            let held = store.licence(&licence(*serial).identifier).await.unwrap().unwrap();
            assert_eq!(held.orders.last().map(|order| order.seq), Some(Seq(*seq)));
        }
        for (seq, holder) in &acknowledged.uses {
            let entry = store.use_entry(Seq(*seq)).await.unwrap();
            let entry = entry.unwrap_or_else(|| panic!("use {seq} is missing"));
            assert_eq!(entry.shown, a_use(*holder, None).shown);
        }
        let cursor = store.cursor("follower").await.unwrap().unwrap_or(Seq::ZERO);
        assert!(cursor >= Seq(acknowledged.cursor), "the cursor went back");
        // In order: the numbers that one caller was told rise as it asked.
        let changes = store.changes(Seq::ZERO, usize::MAX).await.unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for change in &changes {
            if matches!(change.kind, licence::ChangeKind::Issued { .. }) {
                assert!(seen.insert(change.identifier().clone()), "issued twice");
            }
        }
        assert_eq!(store.head().await.unwrap(), Seq(changes.len() as u64));
    });
}

/// Not a test of its own: what the test above starts and kills. Without a folder it does nothing.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = Arc::new(RocksStore::open(folder, RocksOptions::default()).unwrap());
    let out = Arc::new(Mutex::new(std::io::stdout()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let first = store.head().await.unwrap().0;
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..6 {
            writers.spawn(write(Arc::clone(&store), Arc::clone(&out), first, writer));
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
}

async fn write(store: Arc<RocksStore>, out: Arc<Mutex<std::io::Stdout>>, first: u64, writer: u64) {
    let say = |line: String| {
        let mut out = out.lock().unwrap();
        writeln!(out, "{line} .").and_then(|()| out.flush()).unwrap();
    };
    for turn in 0.. {
        // No serial twice over all rounds: each starts beyond all numbers given before.
        let serial = (first + turn) * 10 + writer;
        match writer {
            0 | 1 => {
                let appended = store.append(vec![NewEntry::Licence(licence(serial))]).await;
                say(format!("licence {serial} {}", appended.unwrap()[0].as_ref().unwrap().seq));
            }
            2 => {
                let serials: Vec<u64> =
                    (0..50).map(|one| serial * 50 + one + 1_000_000_000).collect();
                let entries = serials.iter().map(|serial| NewEntry::Licence(licence(*serial)));
                let answers = store.append(entries.collect()).await.unwrap();
                for (serial, answer) in serials.iter().zip(answers) {
                    say(format!("licence {serial} {}", answer.unwrap().seq));
                }
            }
            3 => {
                let suspend = order(&licence(serial), StatusChange::Suspend, "x");
                let entries = vec![NewEntry::Licence(licence(serial)), NewEntry::Status(suspend)];
                let answers = store.append(entries).await.unwrap();
                say(format!("licence {serial} {}", answers[0].as_ref().unwrap().seq));
                say(format!("order {serial} {}", answers[1].as_ref().unwrap().seq));
            }
            4 => {
                let grant = format!("g_{serial}");
                let seq = store.record_use(a_use(turn, Some(&grant))).await.unwrap();
                say(format!("use {turn} {seq}"));
            }
            _ => {
                let head = store.head().await.unwrap();
                store.save_cursor("follower", head).await.unwrap();
                say(format!("cursor {head}"));
            }
        }
    }
}
