//! How fast the store is, beside RocksDB without it, in the same run.
//!
//! `cargo run -p indexes --example store_speed [LICENCES] [FOLDER]`
//!
//! The floor does what the disk has to do at least: the same bytes under the same keys in the same
//! batches, each synced, without deciding, logging or indexing anything.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexes::rules::sample::{a_use, licence, token};
use indexes::{
    LicenceStore, NewEntry, RocksOptions, RocksStore, SearchFollower, SearchIndex, SearchQuery,
};
use rocksdb::{DB, WriteBatch, WriteOptions};
use tokio_util::sync::CancellationToken;

/// Licences in one call of a bulk import.
const BULK: u64 = 5000;
/// Callers that record uses at once.
const CALLERS: [u64; 3] = [1, 64, 256];
const USES: u64 = 20_000;
const READS: u64 = 200_000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let licences = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(100_000);
    let folder = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::TempDir::with_prefix_in("store_speed", folder).expect("a folder");
    println!("{:<44} {:>12} {:>12} {:>7}", "", "store", "floor", "ratio");
    let store = RocksStore::open(folder.path().join("store"), RocksOptions::default());
    let store = Arc::new(store.expect("a store"));
    let floor = DB::open_default(folder.path().join("floor")).expect("a database");

    appends(&*store, &floor, licences).await;
    for callers in CALLERS {
        uses(&store, &floor, callers).await;
    }
    uses_during_import(&store, licences).await;
    reads(&*store, &floor, licences).await;
    drop(floor);
    search(&store, &folder.path().join("search")).await;
    let started = Instant::now();
    let report = store.check_integrity().expect("readable");
    assert!(report.is_sound(), "{:?}", report.defects);
    println!("check_integrity: {:?}", started.elapsed());
    drop(store);
    println!(
        "disk per licence: store {} bytes, search {} bytes; peak memory {} MiB",
        size(&folder.path().join("store")) / (2 * licences),
        size(&folder.path().join("search")) / (2 * licences),
        peak_memory_mib(),
    );
}

fn line(what: &str, ours: f64, floor: f64) {
    println!("{what:<44} {ours:>12.0} {floor:>12.0} {:>7.2}", ours / floor);
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

async fn appends(store: &dyn LicenceStore, floor: &DB, licences: u64) {
    let (mut ours, mut bare) = (Duration::ZERO, Duration::ZERO);
    for first in (0..licences).step_by(BULK as usize) {
        let serials = first..(first + BULK).min(licences);
        let entries: Vec<_> = serials.map(|serial| NewEntry::Licence(licence(serial))).collect();
        let mut batch = WriteBatch::default();
        for entry in &entries {
            if let NewEntry::Licence(new) = entry {
                batch.put(new.identifier.as_str(), &new.document);
            }
        }
        let started = Instant::now();
        let answers = store.append(entries).await.expect("written");
        ours += started.elapsed();
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|one| one.new)));
        let started = Instant::now();
        floor.write_opt(batch, &synced()).expect("written");
        bare += started.elapsed();
    }
    let what = format!("licences/s appended, {BULK} a call");
    line(&what, per_second(licences, ours), per_second(licences, bare));
}

async fn uses(store: &Arc<RocksStore>, floor: &DB, callers: u64) {
    let count = if callers == 1 { USES / 20 } else { USES };
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let mut slowest = Duration::ZERO;
            for turn in 0..count / callers {
                let started = Instant::now();
                let grant = format!("g_{caller}_{turn}");
                store.record_use(a_use(turn, Some(&grant))).await.expect("written");
                slowest = slowest.max(started.elapsed());
            }
            slowest
        });
    }
    let slowest = tasks.join_all().await.into_iter().max().unwrap_or_default();
    let ours = per_second(count / callers * callers, started.elapsed());
    // As many uses a batch as there are callers: the best that group commit can do.
    let started = Instant::now();
    for first in (0..count).step_by(callers as usize) {
        let mut batch = WriteBatch::default();
        for number in first..first + callers {
            batch.put(number.to_be_bytes(), [0x5a; 250]);
            batch.put([b"grant".as_slice(), &number.to_be_bytes()].concat(), [0x5a; 20]);
        }
        floor.write_opt(batch, &synced()).expect("written");
    }
    let what = format!("uses/s recorded, {callers} callers");
    line(&what, ours, per_second(count, started.elapsed()));
    println!("    slowest: {slowest:?}");
}

/// Uses at a steady pace while licences come in as fast as they go.
async fn uses_during_import(store: &Arc<RocksStore>, licences: u64) {
    let importing = Arc::clone(store);
    let import = tokio::spawn(async move {
        let first = 1_000_000_000;
        for first in (first..first + licences).step_by(1000) {
            let serials = first..first + 1000;
            let entries = serials.map(|serial| NewEntry::Licence(licence(serial))).collect();
            importing.append(entries).await.expect("written");
        }
    });
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    let mut uses = tokio::task::JoinSet::new();
    while !import.is_finished() {
        pace.tick().await;
        let store = Arc::clone(store);
        uses.spawn(async move {
            let started = Instant::now();
            store.record_use(a_use(1, None)).await.expect("written");
            started.elapsed()
        });
    }
    let mut waits = uses.join_all().await;
    waits.sort_unstable();
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize];
    println!(
        "use recorded while importing: p50 {:?}, p99 {:?}, slowest {:?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

async fn reads(store: &dyn LicenceStore, floor: &DB, licences: u64) {
    let serials: Vec<u64> =
        (0..READS).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % licences).collect();
    let keys: Vec<_> = serials.iter().map(|serial| licence(*serial).identifier).collect();
    let started = Instant::now();
    for key in &keys {
        assert!(store.licence(key).await.expect("read").is_some());
    }
    let ours = started.elapsed();
    let started = Instant::now();
    for key in &keys {
        assert!(floor.get_pinned(key.as_str()).expect("read").is_some());
    }
    line("licences/s by identifier, 1 caller", per_second(READS, ours), {
        per_second(READS, started.elapsed())
    });
    let tokens: Vec<_> = serials.iter().map(|serial| token(*serial)).collect();
    let started = Instant::now();
    for token in &tokens {
        let found = store.licences_of_holder(token, &[], 50).await.expect("read");
        assert_eq!(found.len(), 1);
    }
    println!("licences_of_holder/s, 1 caller {:>26.0}", per_second(READS, started.elapsed()));
}

async fn search(store: &Arc<RocksStore>, folder: &Path) {
    let index = SearchIndex::open(folder).expect("an index");
    let started = Instant::now();
    let following = Arc::clone(store) as Arc<dyn LicenceStore>;
    let follower = SearchFollower::spawn(following, index.clone(), CancellationToken::new());
    while index.next() != store.head().await.expect("read") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("licences/s indexed {:>38.0}", per_second(index.size(), started.elapsed()));
    for text in ["示例企业77", "市场监督管理", "企业", "业"] {
        let query = SearchQuery { text: text.to_owned(), limit: 20, ..SearchQuery::default() };
        let started = Instant::now();
        let mut total = 0;
        for _ in 0..20 {
            total = index.search(&query).expect("found").total;
        }
        println!("search {text}: {total} match, {:?} each", started.elapsed() / 20);
    }
    follower.stop().await;
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}
