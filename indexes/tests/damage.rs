//! Folders that are in use, full, damaged or of another version: a clear error, never a panic,
//! never a fresh start over what was there.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use indexes::rules::sample::{a_use, identifier, licence};
use indexes::{LicenceStore, NewEntry, RocksOptions, RocksStore, StoreError};
use licence::Seq;
use tempfile::TempDir;

fn open(path: &Path) -> Result<RocksStore, StoreError> {
    RocksStore::open(path, RocksOptions::default())
}

/// A folder with 2,000 licences and 200 uses in table files and some more in the write-ahead log.
async fn filled() -> TempDir {
    let folder = TempDir::new().unwrap();
    // Small buffers, so that there are table files.
    let options = RocksOptions { write_buffers: 1 << 20, ..RocksOptions::default() };
    let store = RocksStore::open(folder.path(), options).unwrap();
    for part in 0..20 {
        let serials = part * 100..part * 100 + 100;
        let entries = serials.map(|serial| NewEntry::Licence(licence(serial))).collect();
        store.append(entries).await.unwrap();
        for number in 0..10 {
            store.record_use(a_use(part * 10 + number, Some("g_1"))).await.unwrap();
        }
    }
    drop(store);
    assert!(files(folder.path(), ".sst").len() > 3, "there are table files");
    folder
}

fn files(folder: &Path, what: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.file_name().unwrap().to_string_lossy().contains(what)).collect();
    found.sort();
    found
}

fn copy(folder: &Path) -> TempDir {
    let copied = TempDir::new().unwrap();
    for file in files(folder, "") {
        std::fs::copy(&file, copied.path().join(file.file_name().unwrap())).unwrap();
    }
    copied
}

/// Opens and reads everything; the first error met, or the defects found.
async fn use_all(folder: &Path) -> Result<Vec<String>, StoreError> {
    let store = open(folder)?;
    for serial in (0..2000).step_by(100) {
        store.licence(&identifier(serial)).await?;
    }
    store.changes(Seq::ZERO, 5000).await?;
    store.page_of_licences(None, 5000).await?;
    let report = store.check_integrity()?;
    assert_eq!(report.is_sound(), report.defects.is_empty());
    Ok(report.defects.into_iter().map(|defect| defect.code.to_owned()).collect())
}

#[tokio::test]
async fn a_second_hub_on_one_folder_is_told_so() {
    let folder = TempDir::new().unwrap();
    let first = open(folder.path()).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert_eq!(error.code(), "store_locked");
    assert!(error.to_string().contains("another hub"), "{error}");
    first.save_cursor("c", Seq(1)).await.expect("the first goes on");
    drop(first);
    open(folder.path()).expect("the folder is free again");
}

#[tokio::test]
async fn a_sound_folder_is_sound() {
    let folder = filled().await;
    assert_eq!(use_all(folder.path()).await.unwrap(), Vec::<String>::new());
    let store = open(folder.path()).unwrap();
    let report = store.check_integrity().unwrap();
    assert_eq!((report.changes, report.licences, report.uses), (2000, 2000, 200));
}

#[tokio::test]
async fn a_byte_changed_in_a_table_file_is_noticed_and_named() {
    let folder = filled().await;
    let mut damages = 0;
    for (number, table) in files(folder.path(), ".sst").into_iter().enumerate().step_by(3) {
        let damaged = copy(folder.path());
        let path = damaged.path().join(table.file_name().unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        // Where the data is: a small file is mostly statistics about it, which RocksDB does without.
        let data = if bytes.len() < 4096 { 16 } else { bytes.len() / 2 };
        let at = (number + 1) * 37 % data;
        bytes[at] ^= 0x40;
        std::fs::write(&path, &bytes).unwrap();
        let noticed = match use_all(damaged.path()).await {
            Err(error) => {
                assert_eq!(error.code(), "store_corrupt", "{error}");
                true
            }
            Ok(defects) => !defects.is_empty(),
        };
        // A file that nothing refers to any more is removed or written anew, not read; at the latest when the folder is
        // opened again.
        drop(open(damaged.path()));
        if std::fs::read(&path).is_ok_and(|now| now == bytes) {
            assert!(noticed, "byte {at} of {}", path.display());
            damages += 1;
        }
    }
    assert!(damages > 3);
}

#[tokio::test]
async fn damage_to_the_files_that_say_what_is_where_is_noticed_on_opening() {
    let folder = filled().await;
    type Damage = fn(&mut Vec<u8>);
    let changes: [(&str, Damage); 6] = [
        ("CURRENT", |bytes| bytes[0] ^= 0x40),
        ("CURRENT", |bytes| bytes.clear()),
        ("CURRENT", |bytes| bytes.truncate(5)),
        ("MANIFEST", |bytes| bytes[20] ^= 0x40),
        ("MANIFEST", |bytes| bytes.iter_mut().for_each(|byte| *byte = 0x55)),
        ("MANIFEST", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x40;
        }),
    ];
    for (number, (file, change)) in changes.into_iter().enumerate() {
        let damaged = copy(folder.path());
        let path = files(damaged.path(), file).pop().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let error = open(damaged.path()).expect_err("it is damaged");
        assert_eq!(error.code(), "store_corrupt", "change {number}: {error}");
        assert!(error.to_string().contains("restore the last backup"), "{error}");
    }
}

#[tokio::test]
async fn files_that_are_missing_are_noticed_on_opening() {
    let folder = filled().await;
    for file in ["CURRENT", "MANIFEST", ".sst"] {
        let damaged = copy(folder.path());
        std::fs::remove_file(files(damaged.path(), file).pop().unwrap()).unwrap();
        let error = open(damaged.path()).expect_err("a file is missing");
        assert_eq!(error.code(), "store_corrupt", "{file}: {error}");
    }
}

/// What was acknowledged after the last flush is in the write-ahead log alone: a byte changed in
/// the middle of it must not be taken for its end.
#[tokio::test]
async fn damage_in_the_middle_of_the_write_ahead_log_is_noticed() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    for serial in 0..200 {
        store.append(vec![NewEntry::Licence(licence(serial))]).await.unwrap();
    }
    // As if killed: the files as they are now, nothing flushed.
    let killed = copy(folder.path());
    drop(store);
    let logs = files(killed.path(), ".log");
    let log = logs.iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(log, bytes).unwrap();
    let error = open(killed.path()).expect_err("acknowledged licences would be lost");
    assert_eq!(error.code(), "store_corrupt", "{error}");
}

/// Power lost in the middle of a write that was not yet acknowledged.
#[tokio::test]
async fn a_torn_end_of_the_write_ahead_log_is_no_damage() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    for serial in 0..20 {
        store.append(vec![NewEntry::Licence(licence(serial))]).await.unwrap();
    }
    let killed = copy(folder.path());
    drop(store);
    let logs = files(killed.path(), ".log");
    let log = logs.iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let bytes = std::fs::read(log).unwrap();
    std::fs::write(log, &bytes[..bytes.len() - 100]).unwrap();
    let store = open(killed.path()).unwrap();
    assert_eq!(store.head().await.unwrap(), Seq(19));
    assert!(store.check_integrity().unwrap().is_sound());
}

/// A device with little space: writes fail as full, reads go on, and writes go on when there is
/// space again, without anyone doing anything to the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_answer_and_passes() {
    let mount = TempDir::new().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"])
        .arg(mount.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("NOT RUN: this process may not mount a small file system to fill");
        return;
    }
    let mount = Mounted(mount);
    let ballast = mount.0.path().join("ballast");
    let store = open(&mount.0.path().join("store")).unwrap();
    let entries = |part: u64| {
        let serials = part * 1000..part * 1000 + 1000;
        serials.map(|serial| NewEntry::Licence(licence(serial))).collect::<Vec<_>>()
    };
    store.append(entries(0)).await.unwrap();
    let mut filling = std::fs::File::create(&ballast).unwrap();
    let mut size = 16 << 20;
    while size > 4096 {
        if filling.write_all(&vec![1; size]).is_err() {
            size /= 2;
        }
    }
    drop(filling);
    let mut full = None;
    for part in 1..20 {
        if let Err(error) = store.append(entries(part)).await {
            full = Some((part, error));
            break;
        }
    }
    let (part, error) = full.expect("the device is full");
    assert_eq!(error.code(), "disk_full", "{error}");
    assert_eq!(store.health().await.unwrap_err().code(), "disk_full");
    let again = store.append(entries(part)).await.expect_err("it is still full");
    assert_eq!(again.code(), "disk_full", "{again}");
    assert_eq!(store.record_use(a_use(1, None)).await.unwrap_err().code(), "disk_full");
    assert!(store.licence(&identifier(7)).await.unwrap().is_some(), "reading goes on");
    let head = store.head().await.unwrap();
    assert_eq!(store.changes(Seq::ZERO, 50_000).await.unwrap().len() as u64, head.0);

    std::fs::remove_file(&ballast).unwrap();
    let mut answers = store.append(entries(part)).await;
    for _ in 0..50 {
        if answers.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        answers = store.append(entries(part)).await;
    }
    let first = answers.expect("there is space again").swap_remove(0).unwrap();
    assert_eq!(first.seq, Seq(part * 1000), "no number was lost");
    store.health().await.unwrap();
    assert!(store.check_integrity().unwrap().is_sound());
}

struct Mounted(TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}
