//! What the store says when records do not fit together.

use licence::{LicenceStatus, StatusChange};
use tempfile::TempDir;

use super::family::{
    AccessByHolder, AccessLog, ByHolder, ByNumber, LicenceRecord, Licences, RegistryLog, UseKey,
};
use super::sequencer::{holder_keys, number_key};
use super::*;
use crate::rules::sample;

/// Three licences, the first suspended, and two uses.
async fn small_store() -> (TempDir, RocksStore) {
    let folder = TempDir::new().unwrap();
    let store = RocksStore::open(folder.path(), RocksOptions::default()).unwrap();
    let mut entries: Vec<_> =
        (1..4).map(|serial| NewEntry::Licence(sample::licence(serial))).collect();
    let suspend = sample::order(&sample::licence(1), StatusChange::Suspend, "x");
    entries.push(NewEntry::Status(suspend));
    store.append(entries).await.unwrap();
    for holder in 1..3 {
        store.record_use(sample::a_use(holder, Some(&format!("g_{holder}")))).await.unwrap();
    }
    assert!(store.check_integrity().unwrap().is_sound());
    (folder, store)
}

fn put<F: Family>(store: &RocksStore, key: &[u8], value: &[u8]) {
    let db = store.shared.db().unwrap();
    db.rocks.put_cf(db.family::<F>().unwrap(), key, value).unwrap();
}

fn delete<F: Family>(store: &RocksStore, key: &[u8]) {
    let db = store.shared.db().unwrap();
    db.rocks.delete_cf(db.family::<F>().unwrap(), key).unwrap();
}

fn codes(store: &RocksStore) -> Vec<&'static str> {
    let report = store.check_integrity().unwrap();
    assert_eq!(report.defects.len() as u64, report.defect_count);
    report.defects.into_iter().map(|defect| defect.code).collect()
}

#[tokio::test]
async fn a_damaged_record_is_an_error_that_shows_no_content() {
    let (_folder, store) = small_store().await;
    let identifier = sample::identifier(1);
    put::<Licences>(&store, identifier.as_str().as_bytes(), b"\x01damaged");
    let errors = [
        store.licence(&identifier).await.map(drop).unwrap_err(),
        store.licences_of_holder(&sample::token(1), &[], 10).await.map(drop).unwrap_err(),
        store.page_of_licences(None, 10).await.map(drop).unwrap_err(),
        store.append(vec![NewEntry::Licence(sample::licence(1))]).await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), "store_corrupt");
        let text = format!("{error} {error:?}");
        assert!(text.contains("licences, key sha256 "), "{text}");
        assert!(!text.contains(identifier.serial()), "{text}");
    }
    assert_eq!(store.health().await.unwrap_err().code(), "store_corrupt");
    // The rest goes on, and damage is not forgotten over it.
    store.append(vec![NewEntry::Licence(sample::licence(9))]).await.unwrap();
    assert_eq!(store.licences_of_holder(&sample::token(2), &[], 10).await.unwrap().len(), 1);
    assert_eq!(store.health().await.unwrap_err().code(), "store_corrupt");
}

#[tokio::test]
async fn a_gap_in_a_log_is_an_error() {
    let (_folder, store) = small_store().await;
    delete::<RegistryLog>(&store, &RegistryLog::key(&Seq(1)));
    delete::<AccessLog>(&store, &AccessLog::key(&Seq(0)));
    assert_eq!(store.changes(Seq(0), 1).await.unwrap().len(), 1);
    assert_eq!(store.changes(Seq(0), 10).await.unwrap_err().code(), "store_corrupt");
    assert_eq!(store.uses(Seq(0), 10).await.unwrap_err().code(), "store_corrupt");
    assert_eq!(store.grant("g_1").await.unwrap_err().code(), "store_corrupt");
    let found = codes(&store);
    for code in ["gap_in_registry_log", "gap_in_access_log", "grant_without_use"] {
        assert!(found.contains(&code), "{code} in {found:?}");
    }
    assert!(found.contains(&"licence_without_entry"), "{found:?}");
}

#[tokio::test]
async fn the_integrity_check_finds_what_is_missing_or_left_over() {
    let held = |store: &RocksStore| {
        let db = store.shared.db().unwrap();
        read::licence(&db, &sample::identifier(1)).unwrap().unwrap()
    };
    let (_folder, store) = small_store().await;
    let licence = held(&store);
    delete::<ByHolder>(&store, &ByHolder::key(&holder_keys(&licence)[0]));
    assert_eq!(codes(&store), ["missing_by_holder", "key_count"]);

    let (_folder, store) = small_store().await;
    delete::<ByNumber>(&store, &ByNumber::key(&number_key(&licence)));
    assert_eq!(codes(&store), ["missing_by_number", "key_count"]);

    let (_folder, store) = small_store().await;
    let left_over = UseKey { holder: sample::token(5), seq: Seq(0) };
    put::<AccessByHolder>(&store, &AccessByHolder::key(&left_over), b"");
    assert_eq!(codes(&store), ["key_without_use"]);

    let (_folder, store) = small_store().await;
    delete::<Licences>(&store, sample::identifier(2).as_str().as_bytes());
    assert_eq!(codes(&store), ["entry_without_licence", "key_count", "key_count"]);

    let (_folder, store) = small_store().await;
    let mut changed = licence.clone();
    changed.status = LicenceStatus::Valid;
    let value = Licences::value(&LicenceRecord::from(&changed));
    put::<Licences>(&store, changed.identifier.as_str().as_bytes(), &value);
    assert_eq!(codes(&store), ["status_without_entry"]);

    let (_folder, store) = small_store().await;
    let mut changed = licence.clone();
    changed.document = b"other bytes".as_slice().into();
    let value = Licences::value(&LicenceRecord::from(&changed));
    put::<Licences>(&store, changed.identifier.as_str().as_bytes(), &value);
    assert_eq!(codes(&store), ["digest"]);

    let (_folder, store) = small_store().await;
    let mut changed = licence;
    changed.proof = crate::Proof::Manifest { manifest: changed.digest, position: 0 };
    let value = Licences::value(&LicenceRecord::from(&changed));
    put::<Licences>(&store, changed.identifier.as_str().as_bytes(), &value);
    assert_eq!(codes(&store), ["missing_manifest"]);
}

/// As a program of format 1 left it: licences were written as they still are while their trust stands.
#[tokio::test]
async fn a_folder_of_the_first_format_opens_and_becomes_one_of_the_present() {
    let (folder, store) = small_store().await;
    let db = store.shared.db().unwrap();
    db.rocks.put(family::FORMAT_KEY, 1_u32.to_be_bytes()).unwrap();
    drop((db, store));
    let store = RocksStore::open(folder.path(), RocksOptions::default()).unwrap();
    let db = store.shared.db().unwrap();
    assert_eq!(db.rocks.get(family::FORMAT_KEY).unwrap().unwrap(), family::FORMAT.to_be_bytes());
    assert_eq!(store.page_of_licences(None, 10).await.unwrap().len(), 3);
    let fall = NewEntry::Trust(sample::fall(&sample::licence(1)));
    store.append(vec![fall]).await.unwrap();
    assert!(store.check_integrity().unwrap().is_sound());
    drop((db, store));
    let store = RocksStore::open(folder.path(), RocksOptions::default()).unwrap();
    let held = store.licence(&sample::identifier(1)).await.unwrap().unwrap();
    assert_eq!((held.orders.len(), held.trust.len()), (1, 1));
}

#[tokio::test]
async fn a_licence_that_nobody_signed_fits_its_entry_also_when_it_is_signed_later() {
    let (_folder, store) = small_store().await;
    let unsigned = crate::NewLicence { proof: crate::Proof::Unsigned, ..sample::licence(9) };
    store.append(vec![NewEntry::Licence(unsigned)]).await.unwrap();
    assert_eq!(codes(&store), [""; 0]);
    store.append(vec![NewEntry::Licence(sample::licence(9))]).await.unwrap();
    assert_eq!(codes(&store), [""; 0]);
    let mut held = store.licence(&sample::identifier(9)).await.unwrap().unwrap();
    held.trust.remove(0);
    let value = Licences::value(&LicenceRecord::from(&held));
    put::<Licences>(&store, held.identifier.as_str().as_bytes(), &value);
    assert_eq!(codes(&store), ["entry_without_licence"]);
}

#[tokio::test]
async fn what_was_held_before_a_signature_came_over_other_bytes_fits_its_entries() {
    let (folder, store) = small_store().await;
    let unsigned = crate::NewLicence {
        proof: crate::Proof::Unsigned,
        ..sample::licence_with(9, |licence| licence.holders[0].id = sample::holder(77))
    };
    let order = crate::NewStatus {
        signature: Default::default(),
        ..sample::order(&unsigned, licence::StatusChange::Suspend, "a")
    };
    store.append(vec![NewEntry::Licence(unsigned), NewEntry::Status(order)]).await.unwrap();
    assert_eq!(codes(&store), [""; 0]);
    store.append(vec![NewEntry::Licence(sample::licence(9))]).await.unwrap();
    assert_eq!(codes(&store), [""; 0]);
    drop(store);
    let store = RocksStore::open(folder.path(), RocksOptions::default()).unwrap();
    assert_eq!(codes(&store), [""; 0]);
    let held = store.licence(&sample::identifier(9)).await.unwrap().unwrap();
    assert_eq!((held.trust.len(), held.orders.len()), (2, 0));
    let key = [b"unsigned_before\0", held.identifier.as_str().as_bytes()].concat();
    let other = family::RecordRecord { revision: 1, value: bytes::Bytes::from_static(b"x") };
    put::<family::Records>(&store, &key, &<family::Records as Family>::value(&other));
    let damaged = ["entry_without_licence", "entry_without_licence", "trust_without_entry"];
    assert_eq!(codes(&store), damaged);
}

#[tokio::test]
async fn a_change_of_trust_without_its_entry_is_found() {
    let (_folder, store) = small_store().await;
    let fall = NewEntry::Trust(sample::fall(&sample::licence(2)));
    store.append(vec![fall]).await.unwrap();
    assert_eq!(codes(&store), [""; 0]);
    let mut held = store.licence(&sample::identifier(2)).await.unwrap().unwrap();
    held.trust[0].to = licence::Trust::Trusted;
    let value = Licences::value(&LicenceRecord::from(&held));
    put::<Licences>(&store, held.identifier.as_str().as_bytes(), &value);
    assert_eq!(codes(&store), ["entry_without_licence", "trust_without_entry"]);
    held.trust.clear();
    let value = Licences::value(&LicenceRecord::from(&held));
    put::<Licences>(&store, held.identifier.as_str().as_bytes(), &value);
    assert_eq!(codes(&store), ["entry_without_licence"]);
}

#[tokio::test]
async fn a_folder_of_another_format_is_left_alone() {
    let (folder, store) = small_store().await;
    let db = store.shared.db().unwrap();
    db.rocks.put(family::FORMAT_KEY, (family::FORMAT + 1).to_be_bytes()).unwrap();
    drop((db, store));
    let error = RocksStore::open(folder.path(), RocksOptions::default()).unwrap_err();
    assert_eq!(error.code(), "store_format");

    let folder = TempDir::new().unwrap();
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    drop(rocksdb::DB::open_cf(&options, folder.path(), ["registry_tiles"]).unwrap());
    let error = RocksStore::open(folder.path(), RocksOptions::default()).unwrap_err();
    assert_eq!(error.code(), "store_format");
    assert!(error.to_string().contains("registry_tiles"), "{error}");
}

#[tokio::test]
async fn old_outcomes_are_forgotten_and_young_ones_kept() {
    let folder = TempDir::new().unwrap();
    let retention = Duration::from_secs(3600);
    let options = RocksOptions { outcome_retention: retention, ..RocksOptions::default() };
    let store = RocksStore::open(folder.path(), options).unwrap();
    let old = Timestamp::now() - jiff::SignedDuration::from_hours(2);
    store.save_outcome(b"old", b"1".to_vec(), old).await.unwrap();
    store.save_outcome(b"young", b"2".to_vec(), Timestamp::now()).await.unwrap();
    assert!(store.outcome(b"old").await.unwrap().is_some());
    let db = store.shared.db().unwrap();
    let family = db.family::<Outcomes>().unwrap();
    db.rocks.flush_cf(family).unwrap();
    db.rocks.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
    assert_eq!(store.outcome(b"old").await.unwrap(), None);
    assert!(store.outcome(b"young").await.unwrap().is_some());
}

/// Readers that are at it when the database has to be opened again are waited for, and those that
/// come meanwhile are told or served, never shown a state that goes back.
#[tokio::test(flavor = "multi_thread")]
async fn readers_live_through_a_reopening() {
    let folder = TempDir::new().unwrap();
    let script = Arc::new(crate::rules::FaultScript::default());
    let faults = Arc::clone(&script) as Arc<dyn WriteFaults>;
    let store = RocksStore::open_with_faults(folder.path(), RocksOptions::default(), faults);
    let store = Arc::new(store.unwrap());
    store.append(vec![NewEntry::Licence(sample::licence(0))]).await.unwrap();
    let reading = Arc::clone(&store);
    let reader = tokio::spawn(async move {
        let mut served = 0;
        let mut newest = 0;
        while newest < 40 {
            match reading.changes(Seq(0), 1000).await {
                Ok(changes) => {
                    assert!(changes.len() >= newest, "a change was taken back");
                    newest = changes.len();
                    served += 1;
                }
                Err(error) => assert!(error.may_retry(), "{error}"),
            }
            tokio::task::yield_now().await;
        }
        served
    });
    for serial in 1..40 {
        script.set(if serial % 13 == 0 { Fault::FailUntilReopened } else { Fault::None });
        let entry = vec![NewEntry::Licence(sample::licence(serial))];
        while let Err(error) = store.append(entry.clone()).await {
            assert_eq!(error.code(), "store_io");
            script.set(Fault::None);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(store.shared.reopened.lock().unwrap().is_some(), "it was opened again");
    assert!(reader.await.unwrap() > 0);
    assert_eq!(store.head().await.unwrap(), Seq(40));
    assert!(store.check_integrity().unwrap().is_sound());
}
