//! Bytes as they are stored, and that they come back.

use std::fmt::Debug;

use licence::{RevocationCause, StatusChange};
use proptest::prelude::*;

use super::*;
use crate::decide::{Decision, decide, use_entry};
use crate::rules::sample;
use crate::{NewEntry, NewLicence, NewTrust};

fn held(new: NewLicence) -> StoredLicence {
    match decide(NewEntry::Licence(new), None, Seq(77)) {
        Decision::Write { licence, .. } => *licence,
        Decision::Answer(_) => unreachable!("nothing was held"),
    }
}

fn with_order(licence: &StoredLicence, change: StatusChange) -> (StoredLicence, Change) {
    let mut order = sample::order(&sample::licence(1), change, "x");
    order.issuer = licence.issuer;
    match decide(NewEntry::Status(order), Some(licence), Seq(300)) {
        Decision::Write { licence, change, .. } => (*licence, change),
        Decision::Answer(_) => unreachable!("a valid licence can be suspended"),
    }
}

fn judged(licence: &StoredLicence, new: fn(&NewLicence) -> NewTrust) -> (StoredLicence, Change) {
    let seq = Seq(400 + licence.trust.len() as u64);
    match decide(NewEntry::Trust(new(&sample::licence(1))), Some(licence), seq) {
        Decision::Write { licence, change, .. } => (*licence, change),
        Decision::Answer(_) => unreachable!("the trust was another"),
    }
}

/// A licence of every shape of value.
fn licences() -> Vec<StoredLicence> {
    let plain = held(sample::licence(1));
    let mut full = held(sample::licence_with(2, |licence| {
        licence.project = Some(sample::project(0));
    }));
    full.holders.push(sample::token(3));
    full.proof = Proof::Manifest { manifest: full.digest, position: 99_999 };
    let cause = RevocationCause::Withdrawn;
    let (revoked, _) = with_order(&plain, StatusChange::Revoke { cause });
    let by = sample::identifier(9);
    let (superseded, _) = with_order(&plain, StatusChange::Supersede { by });
    let fallen = judged(&revoked, sample::fall).0;
    let returned = judged(&fallen, sample::rise).0;
    let unsigned = held(NewLicence { proof: Proof::Unsigned, ..sample::licence(4) });
    vec![plain, full, revoked, superseded, fallen, returned, unsigned]
}

fn changes() -> Vec<Change> {
    let plain = held(sample::licence(1));
    let kind = ChangeKind::Issued {
        identifier: plain.identifier.clone(),
        licence_type: plain.licence_type,
        issuer: plain.issuer,
        digest: plain.digest,
    };
    let issued = Change { seq: Seq(300), at: sample::now(), kind };
    let by = sample::identifier(9);
    let changes = [StatusChange::Suspend, StatusChange::Supersede { by }];
    let changed = changes.into_iter().map(|change| with_order(&plain, change).1);
    let fell = judged(&plain, sample::fall).1;
    let kind = ChangeKind::Unsigned {
        identifier: plain.identifier.clone(),
        licence_type: plain.licence_type,
        issuer: plain.issuer,
        digest: plain.digest,
    };
    let unsigned = Change { seq: Seq(301), at: sample::now(), kind };
    std::iter::once(issued).chain(changed).chain([fell, unsigned]).collect()
}

#[test]
fn stored_bytes_are_these() {
    let mut lines = String::new();
    let mut show = |family: &str, key: Vec<u8>, value: Vec<u8>| {
        lines += &format!("{family}\n  {}\n  {}\n", hex::encode(key), hex::encode(value));
    };
    for licence in licences() {
        let value = Licences::value(&LicenceRecord::from(&licence));
        show(Licences::NAME, Licences::key(&licence.identifier), value);
    }
    let licence = &licences()[1];
    for key in super::super::sequencer::holder_keys(licence) {
        show(ByHolder::NAME, ByHolder::key(&key), ByHolder::value(&()));
    }
    let key = super::super::sequencer::project_key(licence).unwrap();
    show(ByProject::NAME, ByProject::key(&key), ByProject::value(&()));
    let key = super::super::sequencer::number_key(licence);
    show(ByNumber::NAME, ByNumber::key(&key), ByNumber::value(&()));
    for change in changes() {
        let value = RegistryLog::value(&ChangeRecord::from(&change));
        show(RegistryLog::NAME, RegistryLog::key(&change.seq), value);
    }
    let seq = Seq(258);
    for grant in [None, Some("g_1")] {
        let entry = use_entry(sample::a_use(1, grant), seq);
        show(AccessLog::NAME, AccessLog::key(&seq), AccessLog::value(&UseRecord::from(entry)));
    }
    let key = UseKey { holder: sample::token(1), seq };
    show(AccessByHolder::NAME, AccessByHolder::key(&key), AccessByHolder::value(&()));
    let record = GrantRecord { opened_by: seq.0, until: sample::now().into() };
    show(Grants::NAME, Grants::key(&"g_1".to_owned()), Grants::value(&record));
    let record = ManifestRecord::new("manifest".into(), "cms".into());
    show(Manifests::NAME, Manifests::key(&licence.digest), Manifests::value(&record));
    show(Cursors::NAME, Cursors::key(&"province".to_owned()), Cursors::value(&300));
    show(Flags::NAME, Flags::key(&"paused".to_owned()), Flags::value(&true));
    let refused =
        SetAside { seq, code: "E1".to_owned(), remark: "remark".to_owned(), at: sample::now() };
    let key = SetAsideKey { name: "province".to_owned(), seq };
    let record = SetAsideRecord::from(&refused);
    show(SetAsides::NAME, SetAsides::key(&key), SetAsides::value(&record));
    let record = OutcomeRecord::new(b"answer".to_vec(), sample::now());
    show(Outcomes::NAME, Outcomes::key(&b"key".to_vec()), Outcomes::value(&record));
    let record = RecordRecord { revision: 2, value: b"case".to_vec().into() };
    let key = crate::record::filed(crate::Collection::new("cases"), b"one");
    show(Records::NAME, Records::key(&key), Records::value(&record));
    insta::assert_snapshot!("stored_bytes", lines);
}

fn comes_back<F: Family>(key: &F::Key, value: &F::Value)
where
    F::Key: PartialEq + Debug,
    F::Value: PartialEq + Debug,
{
    let bytes = F::key(key);
    assert_eq!(&F::parse_key(&bytes).unwrap(), key);
    assert_eq!(&F::parse_value(&F::value(value)).unwrap(), value);
}

/// Whatever was done to the bytes: an answer, no panic.
fn survives<F: Family>(key: &[u8], value: &[u8]) {
    let _ = F::parse_key(key);
    let _ = F::parse_value(value);
}

fn survives_all(bytes: &[u8]) {
    survives::<Licences>(bytes, bytes);
    survives::<ByHolder>(bytes, bytes);
    survives::<ByProject>(bytes, bytes);
    survives::<ByNumber>(bytes, bytes);
    survives::<RegistryLog>(bytes, bytes);
    survives::<AccessLog>(bytes, bytes);
    survives::<AccessByHolder>(bytes, bytes);
    survives::<Grants>(bytes, bytes);
    survives::<Manifests>(bytes, bytes);
    survives::<Cursors>(bytes, bytes);
    survives::<Records>(bytes, bytes);
    survives::<Flags>(bytes, bytes);
    survives::<SetAsides>(bytes, bytes);
    survives::<Outcomes>(bytes, bytes);
}

prop_compose! {
    fn moments()(second in -377_705_000_000_i64..253_402_000_000, nanosecond in 0..1_000_000_000) -> Timestamp {
        Timestamp::new(second, nanosecond).unwrap()
    }
}

prop_compose! {
    fn days()(year in 1_i16..=9999, month in 1_i8..=12, day in 1_i8..=28) -> Date {
        Date::new(year, month, day).unwrap()
    }
}

proptest! {
    #[test]
    fn a_licence_comes_back(
        which in 0..6_usize,
        number in ".*",
        issued_on in days(),
        received_at in moments(),
        document in proptest::collection::vec(any::<u8>(), 0..300),
        seq in any::<u64>(),
        tokens in proptest::collection::vec(any::<[u8; 16]>(), 0..5),
    ) {
        let mut licence = licences().remove(which);
        licence.number = number;
        licence.issued_on = issued_on;
        licence.received_at = received_at;
        licence.document = document.into();
        licence.seq = Seq(seq);
        licence.holders = tokens.into_iter().map(HolderToken::from_bytes).collect();
        let record = LicenceRecord::from(&licence);
        comes_back::<Licences>(&licence.identifier, &record);
        prop_assert_eq!(record.licence(licence.identifier.clone()).unwrap(), licence.clone());
        for key in super::super::sequencer::holder_keys(&licence) {
            comes_back::<ByHolder>(&key, &());
        }
        comes_back::<ByNumber>(&super::super::sequencer::number_key(&licence), &());
    }

    #[test]
    fn keys_sort_as_what_they_stand_for(left in days(), right in days(), one: u64, other: u64) {
        prop_assert_eq!(day_number(left).to_be_bytes().cmp(&day_number(right).to_be_bytes()), left.cmp(&right));
        let (one, other) = (Seq(one), Seq(other));
        prop_assert_eq!(RegistryLog::key(&one).cmp(&RegistryLog::key(&other)), one.cmp(&other));
    }

    #[test]
    fn a_change_comes_back(which in 0..4_usize, seq: u64, at in moments()) {
        let mut change = changes().remove(which);
        (change.seq, change.at) = (Seq(seq), at);
        let record = ChangeRecord::from(&change);
        comes_back::<RegistryLog>(&change.seq, &record);
        prop_assert_eq!(record.change(change.seq).unwrap(), change);
    }

    #[test]
    fn a_use_comes_back(
        seq: u64,
        at in moments(),
        reason in ".*",
        case in proptest::option::of(".*"),
        grant in proptest::option::of("[a-z_]{1,9}"),
        token in proptest::option::of(any::<[u8; 16]>()),
        full: bool,
    ) {
        let mut entry = use_entry(sample::a_use(1, grant.as_deref()), Seq(seq));
        (entry.at, entry.reason, entry.case) = (at, reason, case);
        entry.holder = token.map(HolderToken::from_bytes);
        if !full {
            (entry.operator, entry.matter, entry.basis) = (None, None, None);
            entry.project = Some(sample::project(1));
            entry.shown.clear();
        }
        let record = UseRecord::from(entry.clone());
        comes_back::<AccessLog>(&entry.seq, &record);
        prop_assert_eq!(record.entry(entry.seq).unwrap(), entry.clone());
        if let Some(holder) = entry.holder {
            comes_back::<AccessByHolder>(&UseKey { holder, seq: entry.seq }, &());
        }
    }

    #[test]
    fn small_records_come_back(
        name in ".{1,20}",
        seq: u64,
        at in moments(),
        flag: bool,
        text in ".*",
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        comes_back::<Grants>(&name, &GrantRecord { opened_by: seq, until: at.into() });
        let record = ManifestRecord::new(bytes.clone().into(), text.clone().into());
        comes_back::<Manifests>(&crate::decide::sha256(&bytes), &record);
        comes_back::<Cursors>(&name, &seq);
        comes_back::<Flags>(&name, &flag);
        let refused = SetAside { seq: Seq(seq), code: name.clone(), remark: text, at };
        let record = SetAsideRecord::from(&refused);
        comes_back::<SetAsides>(&SetAsideKey { name: name.clone(), seq: Seq(seq) }, &record);
        prop_assert_eq!(record.set_aside(Seq(seq)).unwrap(), refused);
        comes_back::<Outcomes>(&bytes, &OutcomeRecord::new(bytes.clone(), at));
        let project = ProjectKey { project: sample::project(0), identifier: sample::identifier(seq % 1000) };
        comes_back::<ByProject>(&project, &());
    }

    #[test]
    fn foreign_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives_all(&bytes);
        survives_all(&[&[VERSION], bytes.as_slice()].concat());
        survives_all(&[&[WITH_TRUST], bytes.as_slice()].concat());
    }

    #[test]
    fn damaged_bytes_are_no_panic(which in 0..6_usize, at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let licence = licences().remove(which);
        let mut values = vec![
            Licences::value(&LicenceRecord::from(&licence)),
            Licences::key(&licence.identifier),
            AccessLog::value(&UseRecord::from(use_entry(sample::a_use(1, Some("g")), Seq(1)))),
            RegistryLog::value(&ChangeRecord::from(&changes()[which % 4])),
        ];
        for value in &mut values {
            survives_all(&value[..cut.index(value.len())]);
            let place = at.index(value.len());
            value[place] = to;
            survives_all(value);
        }
    }
}

#[test]
fn a_value_of_another_version_or_length_is_damage() {
    let value = Cursors::value(&7);
    assert_eq!(Cursors::parse_value(&value), Ok(7));
    assert_eq!(Cursors::parse_value(&[]), Err(Damage("the value is empty")));
    let newer = [&[2], &value[1..]].concat();
    assert_eq!(Cursors::parse_value(&newer), Err(Damage("the value has an unknown version")));
    let longer = [value.as_slice(), &[0]].concat();
    assert_eq!(Cursors::parse_value(&longer), Err(Damage("the value has bytes left over")));
    assert!(ByHolder::parse_value(&[0]).is_err());
}

#[test]
fn damage_names_the_family_and_not_the_key() {
    let error = Damage("x").at::<ByNumber>(b"11010519491231002X");
    let text = error.to_string();
    assert!(text.contains("by_number, key sha256 "), "{text}");
    assert!(!text.contains("1101"), "{text}");
    assert_eq!(error.code(), "store_corrupt");
}

#[test]
fn old_outcomes_are_told_from_young_ones() {
    let value = Outcomes::value(&OutcomeRecord::new(b"x".to_vec(), sample::now()));
    let second = jiff::SignedDuration::from_secs(1);
    assert!(OutcomeRecord::is_older(&value, sample::now() + second));
    assert!(!OutcomeRecord::is_older(&value, sample::now()));
    assert!(!OutcomeRecord::is_older(&[], sample::now()), "what cannot be read stays");
}
