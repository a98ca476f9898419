//! Opening the folder: one owner, the families with their options, and what went wrong if not.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rocksdb::compaction_filter::Decision;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB,
    DBCompressionType, DBRecoveryMode, ErrorKind, LogLevel, LruCacheOptions, Options, ReadOptions,
    SliceTransform,
};

use super::family::{self, FIRST_FORMAT, FORMAT, FORMAT_KEY, Family, OutcomeRecord, Shape};
use crate::StoreError;

const MIB: usize = 1 << 20;

/// How a store is opened. The defaults suit 200,000 to 10 million licences on one machine.
#[derive(Clone, Debug)]
pub struct RocksOptions {
    /// Memory for data read from disk, filters included, in bytes.
    pub block_cache: usize,
    /// Memory for data not yet in table files, all families together, in bytes.
    pub write_buffers: usize,
    /// The log of writes since the last flush grows to at most this, in bytes; it is what is read
    /// back after a crash.
    pub write_ahead_log: u64,
    /// Calls waiting for the sequencer hold at most this much, in bytes; more of them wait outside.
    pub queue: usize,
    /// Outcomes are forgotten some time after this.
    pub outcome_retention: Duration,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            block_cache: 128 * MIB,
            write_buffers: 96 * MIB,
            write_ahead_log: 256 * MIB as u64,
            queue: 64 * MIB,
            outcome_retention: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// The open database. Holds the folder's lock: dropped after the database, by field order.
pub(super) struct Db {
    pub(super) rocks: DB,
    _owner: Arc<File>,
}

impl Db {
    pub(super) fn family<F: Family>(&self) -> Result<&ColumnFamily, StoreError> {
        self.named(F::NAME)
    }

    pub(super) fn named(&self, family: &str) -> Result<&ColumnFamily, StoreError> {
        self.rocks.cf_handle(family).ok_or_else(|| StoreError::Corrupt {
            place: family.to_owned(),
            detail: "the family is missing".to_owned(),
        })
    }
}

/// What is needed to open the folder again.
pub(super) struct Opener {
    path: PathBuf,
    options: RocksOptions,
    cache: Cache,
    owner: Arc<File>,
}

impl Opener {
    /// Makes the folder and becomes its owner.
    pub(super) fn new(path: &Path, options: RocksOptions) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(|error| io_error(&error))?;
        let lock = File::create(path.join("store.lock")).map_err(|error| io_error(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(path)),
            Err(TryLockError::Error(error)) => return Err(io_error(&error)),
        }
        // Few shards: in RocksDB's default of one for half a MiB, an index block fills a shard, is
        // driven out at once, and is read and decompressed again for every key (measured: a walk
        // over 200,000 licences spent most of its time so).
        let mut cache = LruCacheOptions::default();
        cache.set_capacity(options.block_cache);
        cache.set_num_shard_bits(3);
        let cache = Cache::new_lru_cache_opts(&cache);
        Ok(Self { path: path.to_owned(), options, cache, owner: Arc::new(lock) })
    }

    /// Opens the database and checks its format. Reads what was written since the last flush;
    /// the rest is checked when it is read.
    pub(super) fn open(&self) -> Result<Db, StoreError> {
        let options = self.database_options();
        self.refuse_unknown_families(&options)?;
        let families = family::all().into_iter().map(|(name, shape)| {
            ColumnFamilyDescriptor::new(name, self.family_options(name, shape))
        });
        let rocks = DB::open_cf_descriptors(&options, &self.path, families)
            .map_err(|error| self.open_error(error))?;
        let db = Db { rocks, _owner: Arc::clone(&self.owner) };
        check_format(&db)?;
        Ok(db)
    }

    /// Whether the device takes a little more: a write that is thrown away.
    pub(super) fn has_space(&self) -> bool {
        let probe = self.path.join("space.probe");
        let written = std::fs::write(&probe, vec![0x5a; MIB])
            .and_then(|()| File::open(&probe))
            .and_then(|file| file.sync_all());
        let removed = std::fs::remove_file(&probe);
        written.is_ok() && removed.is_ok()
    }

    fn database_options(&self) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_background_jobs(2);
        options.set_db_write_buffer_size(self.options.write_buffers);
        options.set_bytes_per_sync(MIB as u64);
        options.set_wal_bytes_per_sync(MIB as u64);
        options.set_max_total_wal_size(self.options.write_ahead_log);
        // Damage before the end of the log is an error, not the end of the log: what was
        // acknowledged must not vanish silently.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_track_and_verify_wals_in_manifest(true);
        options.set_log_level(LogLevel::Warn);
        options.set_keep_log_file_num(4);
        options.set_max_log_file_size(4 * MIB);
        options
    }

    fn family_options(&self, name: &str, shape: Shape) -> Options {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&self.cache);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        // Indexes and filters in parts, so that a read brings in a part and not all of it.
        blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        blocks.set_partition_filters(true);
        blocks.set_metadata_block_size(8 << 10);
        blocks.set_pin_top_level_index_and_filter(true);
        blocks.set_format_version(5);
        let mut options = Options::default();
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_write_buffer_size(8 * MIB);
        // Fast where data is rewritten soon, small where it stays.
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        match shape {
            Shape::Point => {
                // Ten bits a key: one false positive in a hundred.
                blocks.set_bloom_filter(10.0, false);
                blocks.set_block_size(8 << 10);
            }
            Shape::Prefix(length) => {
                options.set_prefix_extractor(SliceTransform::create_fixed_prefix(length));
                options.set_memtable_prefix_bloom_ratio(0.05);
                blocks.set_bloom_filter(10.0, false);
                blocks.set_whole_key_filtering(false);
                blocks.set_block_size(4 << 10);
            }
            Shape::Log => blocks.set_block_size(16 << 10),
        }
        if name == family::Licences::NAME {
            options.set_write_buffer_size(32 * MIB);
        }
        if name == family::Outcomes::NAME {
            let retention = self.options.outcome_retention;
            options.set_compaction_filter("forget old outcomes", move |_, _, value| {
                let then = SystemTime::now() - retention;
                match Timestamp::try_from(then) {
                    Ok(then) if OutcomeRecord::is_older(value, then) => Decision::Remove,
                    _ => Decision::Keep,
                }
            });
        }
        options.set_block_based_table_factory(&blocks);
        options
    }

    /// A newer program may have added families; this one would not know what they hold.
    fn refuse_unknown_families(&self, options: &Options) -> Result<(), StoreError> {
        if !self.path.join("CURRENT").exists() {
            return self.refuse_headless_folder();
        }
        let found = DB::list_cf(options, &self.path).map_err(|error| self.open_error(error))?;
        let known = family::all();
        let is_known = |name: &str| {
            name == rocksdb::DEFAULT_COLUMN_FAMILY_NAME || known.iter().any(|(one, _)| *one == name)
        };
        match found.into_iter().find(|name| !is_known(name)) {
            Some(name) => {
                Err(StoreError::Format { found: format!("with {name}"), supported: FORMAT })
            }
            None => Ok(()),
        }
    }

    /// Without its `CURRENT` file RocksDB takes a folder for a new one and would start from
    /// nothing over the data that is there.
    fn refuse_headless_folder(&self) -> Result<(), StoreError> {
        let entries = std::fs::read_dir(&self.path).map_err(|error| io_error(&error))?;
        for entry in entries {
            let name = entry.map_err(|error| io_error(&error))?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("MANIFEST-") || name.ends_with(".sst") {
                return Err(StoreError::Corrupt {
                    place: "CURRENT".to_owned(),
                    detail: "the file is missing".to_owned(),
                });
            }
        }
        Ok(())
    }

    fn open_error(&self, error: rocksdb::Error) -> StoreError {
        match store_error(error.clone()) {
            StoreError::Io { detail } if detail.contains("lock") => locked(&self.path),
            StoreError::Io { detail } if detail.contains("No such file") => damaged(&detail),
            StoreError::Io { detail } if error.kind() != ErrorKind::IOError => damaged(&detail),
            other => other,
        }
    }
}

fn locked(path: &Path) -> StoreError {
    StoreError::Locked { path: path.display().to_string() }
}

fn check_format(db: &Db) -> Result<(), StoreError> {
    let wrong = |found| StoreError::Format { found, supported: FORMAT };
    match db.rocks.get(FORMAT_KEY).map_err(store_error)? {
        Some(found) => match found.as_slice().try_into().map(u32::from_be_bytes) {
            Ok(FORMAT) => Ok(()),
            // What is there is not rewritten. From here on an older program refuses the folder, which it
            // could not read.
            Ok(FIRST_FORMAT..FORMAT) => write_format(db),
            Ok(number) => Err(wrong(number.to_string())),
            Err(_) => Err(wrong("unreadable".to_owned())),
        },
        None => write_format(db),
    }
}

fn write_format(db: &Db) -> Result<(), StoreError> {
    let mut durable = rocksdb::WriteOptions::default();
    durable.set_sync(true);
    db.rocks.put_opt(FORMAT_KEY, FORMAT.to_be_bytes(), &durable).map_err(store_error)
}

/// RocksDB's error as ours. Its text is not passed on where it may quote a key.
pub(super) fn store_error(error: rocksdb::Error) -> StoreError {
    let kind = error.kind();
    let text = error.into_string();
    if text.contains("No space left") || text.contains("Disk quota exceeded") {
        return StoreError::DiskFull;
    }
    match kind {
        ErrorKind::Corruption => damaged(&text),
        ErrorKind::ShutdownInProgress => StoreError::Closed,
        _ => StoreError::Io { detail: text },
    }
}

pub(super) fn io_error(error: &std::io::Error) -> StoreError {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => StoreError::DiskFull,
        _ => StoreError::Io { detail: error.to_string() },
    }
}

/// From a text that may quote keys: the file it names, and what it says if that is known.
fn damaged(text: &str) -> StoreError {
    const KNOWN: [&str; 8] = [
        "block checksum mismatch",
        "checksum mismatch",
        "bad magic number",
        "No such file",
        "truncated",
        "file is too short",
        "WAL",
        "CURRENT file",
    ];
    let is_file = |word: &&str| {
        let name = word.rsplit('/').next().unwrap_or_default();
        name.ends_with(".sst")
            || name.ends_with(".log")
            || name.starts_with("MANIFEST-")
            || name == "CURRENT"
    };
    let words = text.split([' ', ':', ',', ';', '\'', '"', '(', ')']);
    let file = words.map(|word| word.trim_end_matches('.')).find(is_file);
    let place = file.and_then(|file| file.rsplit('/').next()).unwrap_or("a database file");
    let detail = KNOWN.iter().find(|known| text.contains(**known));
    StoreError::Corrupt {
        place: place.to_owned(),
        detail: (*detail.unwrap_or(&"the file is not what was written")).to_owned(),
    }
}

/// Options for reading keys that start with `prefix`, in order.
pub(super) fn prefix_read(shape: Shape, prefix: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    match shape {
        Shape::Prefix(length) if prefix.len() >= length => options.set_prefix_same_as_start(true),
        _ => options.set_total_order_seek(true),
    }
    if let Some(end) = end_of_prefix(prefix) {
        options.set_iterate_upper_bound(end);
    }
    options
}

/// The first key after all that start with `prefix`, if there is one.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
