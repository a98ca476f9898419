//! Both stores keep the contract; the one in RocksDB also keeps it over failed writes.

use std::path::Path;
use std::sync::Arc;

use indexes::rules::{FaultScript, durable_store_rules, licence_store_rules};
use indexes::{MemoryStore, RocksOptions, RocksStore};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_keeps_the_rules() {
    licence_store_rules(MemoryStore::new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rocks_store_keeps_the_rules() {
    let folder = TempDir::new().unwrap();
    let number = std::sync::atomic::AtomicU32::new(0);
    licence_store_rules(|| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        open(&folder.path().join(number.to_string()), Arc::default())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rocks_store_keeps_the_durable_rules() {
    let fresh = || TempDir::new().unwrap();
    durable_store_rules(fresh, |folder: &TempDir, faults| open(folder.path(), faults)).await;
}

fn open(path: &Path, faults: Arc<FaultScript>) -> RocksStore {
    RocksStore::open_with_faults(path, RocksOptions::default(), faults).unwrap()
}
