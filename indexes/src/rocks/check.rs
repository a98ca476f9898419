//! Goes through the whole store and says what does not fit together.

use licence::{ChangeKind, LicenceStatus, Seq, Sha256Digest, Trust, TrustReason};
use rocksdb::{ReadOptions, Snapshot};

use super::family::{
    AccessByHolder, AccessLog, ByHolder, ByNumber, ByProject, Cursors, Family, Flags, Grants,
    Licences, Manifests, Outcomes, Records, RegistryLog, SetAsides, UseKey, place,
};
use super::open::{Db, store_error};
use super::sequencer::{holder_keys, number_key, project_key};
use crate::decide::sha256;
use crate::record::filed;
use crate::{Proof, StoreError, StoredLicence, TrustMark, UnsignedBefore};

/// At most this many defects are listed; all are counted.
const MAX_LISTED: usize = 100;

/// What [`crate::RocksStore::check_integrity`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntegrityReport {
    /// Entries of the registry log.
    pub changes: u64,
    /// Licences.
    pub licences: u64,
    /// Entries of the access log.
    pub uses: u64,
    /// Grants.
    pub grants: u64,
    /// Batch manifests.
    pub manifests: u64,
    /// The first hundred defects.
    pub defects: Vec<Defect>,
    /// How many there are.
    pub defect_count: u64,
}

/// Something that does not fit together. Shows no key and no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// What kind: stable.
    pub code: &'static str,
    /// Where: the family, and a number or a digest of the key.
    pub place: String,
}

impl IntegrityReport {
    /// Whether everything fits together.
    pub fn is_sound(&self) -> bool {
        self.defect_count == 0
    }

    fn defect(&mut self, code: &'static str, place: String) {
        self.defect_count += 1;
        if self.defects.len() < MAX_LISTED {
            self.defects.push(Defect { code, place });
        }
    }

    fn require(&mut self, holds: bool, code: &'static str, place: impl FnOnce() -> String) {
        if !holds {
            self.defect(code, place());
        }
    }
}

/// How many keys a family must have if nothing is left over in it.
#[derive(Default)]
struct Expected {
    by_holder: u64,
    by_project: u64,
    by_number: u64,
    issued: u64,
}

pub(super) fn run(db: &Db) -> Result<IntegrityReport, StoreError> {
    let walk = Walk { db, moment: db.rocks.snapshot() };
    let mut report = IntegrityReport::default();
    let mut expected = Expected::default();
    walk.registry_log(&mut report, &mut expected)?;
    walk.licences(&mut report, &mut expected)?;
    walk.access_log(&mut report)?;
    walk.grants(&mut report)?;
    walk.manifests(&mut report)?;
    walk.count::<ByHolder>(&mut report, expected.by_holder)?;
    walk.count::<ByProject>(&mut report, expected.by_project)?;
    walk.count::<ByNumber>(&mut report, expected.by_number)?;
    walk.access_by_holder(&mut report)?;
    walk.readable::<Cursors>(&mut report)?;
    walk.readable::<Flags>(&mut report)?;
    walk.readable::<SetAsides>(&mut report)?;
    walk.readable::<Outcomes>(&mut report)?;
    walk.readable::<Records>(&mut report)?;
    let (held, issued) = (report.licences, expected.issued);
    report.require(held == issued, "licence_without_entry", || {
        format!("{}: {held} held, {issued} issued", Licences::NAME)
    });
    Ok(report)
}

struct Walk<'a> {
    db: &'a Db,
    moment: Snapshot<'a>,
}

impl Walk<'_> {
    fn registry_log(
        &self,
        report: &mut IntegrityReport,
        expected: &mut Expected,
    ) -> Result<(), StoreError> {
        let mut next = Seq::ZERO;
        self.each::<RegistryLog>(report, |report, seq, record| {
            report.require(seq == next, "gap_in_registry_log", || at_seq(next));
            next = seq.next();
            report.changes += 1;
            let Ok(change) = record.change(seq) else {
                report.defect("unreadable", at_seq(seq));
                return Ok(());
            };
            let fits = match (&change.kind, self.licence(change.identifier())?) {
                (_, None) => false,
                // What nobody had signed, before other bytes took its place.
                (kind, Some(licence)) if licence.took_place() && seq < licence.seq => {
                    self.before(&licence)?.is_some_and(|before| match kind {
                        ChangeKind::Unsigned { digest, .. } => {
                            (before.seq, before.digest) == (seq, *digest)
                        }
                        ChangeKind::StatusChanged { order, .. } => {
                            let mut orders = before.orders.iter();
                            orders.any(|one| one.0 == seq && sha256(&one.1) == *order)
                        }
                        ChangeKind::Issued { .. } | ChangeKind::TrustChanged { .. } => false,
                    })
                }
                (ChangeKind::Issued { digest, .. }, Some(licence)) => {
                    expected.issued += 1;
                    licence.seq == seq && licence.digest == *digest
                }
                (ChangeKind::Unsigned { digest, .. }, Some(licence)) => {
                    expected.issued += 1;
                    let reason = TrustReason::Unsigned;
                    let mark = TrustMark { seq, to: Trust::Untrusted, reason };
                    licence.seq == seq && licence.digest == *digest && licence.trust.contains(&mark)
                }
                (ChangeKind::StatusChanged { order, .. }, Some(licence)) => {
                    let mut orders = licence.orders.iter();
                    orders.any(|one| one.seq == seq && sha256(&one.document) == *order)
                }
                (ChangeKind::TrustChanged { to, reason, .. }, Some(licence)) => {
                    licence.trust.contains(&TrustMark { seq, to: *to, reason: *reason })
                }
            };
            report.require(fits, "entry_without_licence", || at_seq(seq));
            Ok(())
        })
    }

    fn licences(
        &self,
        report: &mut IntegrityReport,
        expected: &mut Expected,
    ) -> Result<(), StoreError> {
        let mut manifest_held = None;
        self.each::<Licences>(report, |report, identifier, record| {
            report.licences += 1;
            let here = || place(Licences::NAME, identifier.as_str().as_bytes());
            let Ok(licence) = record.licence(identifier.clone()) else {
                report.defect("unreadable", here());
                return Ok(());
            };
            report.require(sha256(&licence.document) == licence.digest, "digest", here);
            report.require(self.status_fits(&licence)?, "status_without_entry", here);
            report.require(self.trust_fits(&licence)?, "trust_without_entry", here);
            for key in holder_keys(&licence) {
                expected.by_holder += 1;
                report.require(self.has::<ByHolder>(&key)?, "missing_by_holder", here);
            }
            if let Some(key) = project_key(&licence) {
                expected.by_project += 1;
                report.require(self.has::<ByProject>(&key)?, "missing_by_project", here);
            }
            expected.by_number += 1;
            report.require(self.has::<ByNumber>(&number_key(&licence))?, "missing_by_number", here);
            if let Proof::Manifest { manifest, .. } = licence.proof {
                let held = manifest_held == Some(manifest) || self.has::<Manifests>(&manifest)?;
                report.require(held, "missing_manifest", here);
                manifest_held = held.then_some(manifest);
            }
            Ok(())
        })
    }

    /// The status is what the last order's log entry says.
    fn status_fits(&self, licence: &StoredLicence) -> Result<bool, StoreError> {
        let Some(last) = licence.orders.last() else {
            return Ok(licence.status == LicenceStatus::Valid);
        };
        let entry = self.get::<RegistryLog>(&last.seq)?;
        Ok(entry.is_some_and(|entry| match entry.kind {
            ChangeKind::StatusChanged { to, .. } => to == licence.status,
            ChangeKind::Issued { .. }
            | ChangeKind::TrustChanged { .. }
            | ChangeKind::Unsigned { .. } => false,
        }))
    }

    /// Each change of the trust in a licence has its log entry, in order.
    fn trust_fits(&self, licence: &StoredLicence) -> Result<bool, StoreError> {
        let took_place = licence.took_place();
        let first_seq = match self.before(licence)? {
            Some(former) => former.seq,
            None if took_place => return Ok(false),
            None => licence.seq,
        };
        let mut before = first_seq;
        for mark in &licence.trust {
            let first = mark.reason == TrustReason::Unsigned;
            let in_order = if first { mark.seq == first_seq } else { before < mark.seq };
            before = mark.seq;
            let entry = self.get::<RegistryLog>(&mark.seq)?.map(|entry| entry.kind);
            let taken_in = matches!(entry, Some(ChangeKind::Unsigned { ref identifier, .. })
                if first && *identifier == licence.identifier && mark.to == Trust::Untrusted);
            let signed = matches!(entry, Some(ChangeKind::Issued { ref identifier, .. })
                if took_place && *identifier == licence.identifier && mark.seq == licence.seq
                    && (mark.to, mark.reason) == (Trust::Trusted, TrustReason::Signed));
            let fits = taken_in
                || signed
                || matches!(entry, Some(ChangeKind::TrustChanged { ref identifier, to, reason, .. })
                if *identifier == licence.identifier && (to, reason) == (mark.to, mark.reason));
            if !in_order || !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What was held before this licence took the place of what nobody had signed.
    fn before(&self, licence: &StoredLicence) -> Result<Option<UnsignedBefore>, StoreError> {
        if !licence.took_place() {
            return Ok(None);
        }
        let key = filed(UnsignedBefore::COLLECTION, licence.identifier.as_str().as_bytes());
        let record = self.get::<Records>(&key)?;
        let read = record.and_then(|record| UnsignedBefore::parse(&record.value));
        Ok(read.filter(|read| sha256(&read.document) == read.digest))
    }

    fn access_log(&self, report: &mut IntegrityReport) -> Result<(), StoreError> {
        let mut next = Seq::ZERO;
        self.each::<AccessLog>(report, |report, seq, record| {
            report.require(seq == next, "gap_in_access_log", || at_use(next));
            next = seq.next();
            report.uses += 1;
            if let Some(holder) = record.holder {
                let key = UseKey { holder, seq };
                report.require(self.has::<AccessByHolder>(&key)?, "missing_by_holder", || {
                    at_use(seq)
                });
            }
            if let Some(grant) = &record.grant {
                report.require(self.has::<Grants>(grant)?, "missing_grant", || at_use(seq));
            }
            report.require(record.entry(seq).is_ok(), "unreadable", || at_use(seq));
            Ok(())
        })
    }

    /// Every key leads to a use of the holder's licences: the one it names, or one that was shown.
    fn access_by_holder(&self, report: &mut IntegrityReport) -> Result<(), StoreError> {
        self.each::<AccessByHolder>(report, |report, key, ()| {
            let entry = self.get::<AccessLog>(&key.seq)?.and_then(|use_| use_.entry(key.seq).ok());
            let fits = match entry {
                None => false,
                Some(entry) if entry.holder == Some(key.holder) => true,
                Some(entry) => entry.shown.iter().try_fold(false, |found, shown| {
                    let licence = self.licence(&shown.identifier)?;
                    let theirs = match licence {
                        None => false,
                        Some(one) if one.holders.contains(&key.holder) => true,
                        // It was shown when other bytes were held.
                        Some(one) => self
                            .before(&one)?
                            .is_some_and(|before| before.holders.contains(&key.holder)),
                    };
                    Ok::<bool, StoreError>(found || theirs)
                })?,
            };
            report.require(fits, "key_without_use", || {
                place(AccessByHolder::NAME, &AccessByHolder::key(&key))
            });
            Ok(())
        })
    }

    fn grants(&self, report: &mut IntegrityReport) -> Result<(), StoreError> {
        self.each::<Grants>(report, |report, id, record| {
            report.grants += 1;
            let opened_by = self.get::<AccessLog>(&Seq(record.opened_by))?;
            let fits = opened_by.is_some_and(|entry| entry.grant.as_ref() == Some(&id));
            report.require(fits, "grant_without_use", || place(Grants::NAME, id.as_bytes()));
            Ok(())
        })
    }

    fn manifests(&self, report: &mut IntegrityReport) -> Result<(), StoreError> {
        self.each::<Manifests>(report, |report, digest: Sha256Digest, record| {
            report.manifests += 1;
            let fits = sha256(&record.manifest().document) == digest;
            report.require(fits, "digest", || format!("{} {digest}", Manifests::NAME));
            Ok(())
        })
    }

    fn count<F: Family>(
        &self,
        report: &mut IntegrityReport,
        expected: u64,
    ) -> Result<(), StoreError> {
        let mut found = 0;
        self.each::<F>(report, |_, _, _| {
            found += 1;
            Ok(())
        })?;
        report.require(found == expected, "key_count", || {
            format!("{}: {found} keys, {expected} expected", F::NAME)
        });
        Ok(())
    }

    fn readable<F: Family>(&self, report: &mut IntegrityReport) -> Result<(), StoreError> {
        self.each::<F>(report, |_, _, _| Ok(()))
    }

    /// Every record of a family. Damage is a defect and ends this family's walk only if it is
    /// in a file.
    fn each<F: Family>(
        &self,
        report: &mut IntegrityReport,
        mut look: impl FnMut(&mut IntegrityReport, F::Key, F::Value) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_total_order_seek(true);
        options.set_readahead_size(2 << 20);
        let family = self.db.family::<F>()?;
        let mut records = self.moment.raw_iterator_cf_opt(family, options);
        records.seek_to_first();
        while let Some((key, value)) = records.item() {
            match F::parse_key(key).and_then(|key| Ok((key, F::parse_value(value)?))) {
                Ok((parsed, value)) => match look(report, parsed, value) {
                    Err(StoreError::Corrupt { place, .. }) => report.defect("damaged", place),
                    other => other?,
                },
                Err(_) => report.defect("unreadable", place(F::NAME, key)),
            }
            records.next();
        }
        match records.status().map_err(store_error) {
            Err(StoreError::Corrupt { place, .. }) => {
                report.defect("damaged", format!("{}: {place}", F::NAME));
                Ok(())
            }
            other => other,
        }
    }

    fn get<F: Family>(&self, key: &F::Key) -> Result<Option<F::Value>, StoreError> {
        let key = F::key(key);
        let found = self.moment.get_pinned_cf(self.db.family::<F>()?, &key).map_err(store_error)?;
        found.map(|value| F::parse_value(&value).map_err(|damage| damage.at::<F>(&key))).transpose()
    }

    fn has<F: Family>(&self, key: &F::Key) -> Result<bool, StoreError> {
        let found = self.moment.get_pinned_cf(self.db.family::<F>()?, F::key(key));
        Ok(found.map_err(store_error)?.is_some())
    }

    fn licence(
        &self,
        identifier: &licence::LicenceId,
    ) -> Result<Option<StoredLicence>, StoreError> {
        let Some(record) = self.get::<Licences>(identifier)? else { return Ok(None) };
        Ok(record.licence(identifier.clone()).ok())
    }
}

fn at_seq(seq: Seq) -> String {
    format!("{} {seq}", RegistryLog::NAME)
}

fn at_use(seq: Seq) -> String {
    format!("{} {seq}", AccessLog::NAME)
}
