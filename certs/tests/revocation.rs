//! Revocation lists as `openssl ca -gencrl` makes them, what each says about which certificate, and that
//! verdicts are kept no longer than they hold.

mod support;

use std::time::Instant;

use certs::{
    ChainCertificate, ChainError, ChainRecord, CrlError, Profile, Revocation, Suite, Times,
    TrustStore, Usage, issue_crl,
};
use jiff::{SignedDuration, Timestamp};
use support::office::{ISSUER, Office, VALID};
use support::{below, template, time, trusting};

const LICENCES: Usage = Usage::IssuingLicences;

/// The record of a revoked certificate, for `index.txt`.
fn revoked(serial: &str, reason: &str) -> String {
    format!("R\t351231235959Z\t260610000000Z{reason}\t{serial}\tunknown\t/CN={serial}\n")
}

fn judge(trust: &TrustStore, record: &ChainRecord, now: Timestamp) -> Revocation {
    trust.judge(record, now).revocation
}

#[test]
fn an_entry_says_since_when_signatures_count_no_longer() {
    let office = Office::new();
    let at = time("2026-06-10T00:00:00Z");
    let invalid = time("2026-02-01T00:00:00Z");
    for (reason, since) in [
        ("", at),
        (",cessationOfOperation", at),
        (",keyCompromise", Timestamp::MIN),
        (",CACompromise", Timestamp::MIN),
        (",keyTime,20260201000000Z", invalid),
        (",CAkeyTime,20260201000000Z", invalid),
        // A date after the revocation makes nothing better.
        (",keyTime,20260901000000Z", at),
    ] {
        let mut trust = office.trust();
        let record = office.record(&trust);
        trust.add_crl(&office.list(&revoked("4D", reason))).unwrap();
        let now = office.days(1);
        let revoked = Revocation::Revoked { at, since };
        assert_eq!(judge(&trust, &record, now), revoked, "{reason}");
        for (proven, stands) in [
            ("2026-01-31T23:59:59Z", since > time("2026-01-31T23:59:59Z")),
            ("2026-06-10T00:00:00Z", false),
        ] {
            let times = Times { now, proven: Some(time(proven)) };
            let judged = trust.judge_at(&record, &times).revocation;
            assert_eq!(matches!(judged, Revocation::Good { .. }), stands, "{reason} {proven}");
        }
        // openssl comes to the same.
        let verify = office.verify("-crl_check");
        assert!(verify.unwrap_err().contains("certificate revoked"));
    }
    // Taken off the list again.
    let mut trust = office.trust();
    let record = office.record(&trust);
    trust.add_crl(&office.list(&revoked("4D", ",removeFromCRL"))).unwrap();
    assert!(matches!(judge(&trust, &record, office.days(1)), Revocation::Good { .. }));
    office.verify("-crl_check").unwrap();
}

#[test]
fn lists_for_users_and_for_authorities_stand_side_by_side() {
    let office = Office::new();
    let authority = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
    office.run("openssl req -new -key other.key -subj /CN=middle -out middle.csr");
    office.run("cp other.key middle.key");
    office.issue("middle", "ca", 0x60, authority, "-days 20");
    office.issue("issuer", "middle", 0x4D, ISSUER, "-days 20");
    let now = office.days(1);
    let mut trust = office.trust();
    trust.add_intermediate(office.certificate("middle"));
    let at = Timestamp::now();
    let path = trust.verify_chain(&office.certificate("issuer"), &[], LICENCES, at).unwrap();
    // The same, as if the root had issued the signer; and the middle alone.
    let [signer, middle] = path.certificates.clone().try_into().unwrap();
    let of_root = ChainCertificate { issuer: middle.issuer, ..signer };
    let record = |certificates| ChainRecord { certificates, ..path.clone() };
    let by_root = record(vec![of_root.clone(), middle.clone()]);

    let scoped = |index: &str, only: &str| {
        office.list_with(
            index,
            &format!("issuingDistributionPoint=critical,@idp\n[idp]\n{only}"),
            "-crldays 5",
        )
    };
    trust.add_crl(&scoped("", "onlyuser=TRUE")).unwrap();
    assert!(matches!(judge(&trust, &record(vec![of_root.clone()]), now), Revocation::Good { .. }));
    assert_eq!(judge(&trust, &by_root, now), Revocation::NoCrl, "nothing about CAs");
    trust.add_crl(&scoped("", "onlyCA=TRUE")).unwrap();
    assert!(matches!(judge(&trust, &by_root, now), Revocation::Good { .. }));
    assert_eq!(trust.crls().len(), 2);
    assert!(trust.crls().iter().all(|list| list.is_partial && list.issuer_text == "CN=ca"));
    // Each is replaced by the next one of its own kind.
    trust.add_crl(&scoped(&revoked("60", ""), "onlyCA=TRUE")).unwrap();
    assert_eq!(trust.crls().len(), 2);
    assert!(matches!(judge(&trust, &by_root, now), Revocation::Revoked { .. }));

    // A list of a distribution point revokes, and makes nothing good.
    let mut trust = office.trust();
    let point = "fullname=URI:http://crl.example/1.crl";
    trust.add_crl(&scoped(&revoked("77", ""), point)).unwrap();
    assert_eq!(judge(&trust, &by_root, now), Revocation::NoCrl);
    trust.add_crl(&scoped(&revoked("4D", ""), "fullname=URI:http://crl.example/2.crl")).unwrap();
    assert_eq!(trust.crls().len(), 2);
    assert!(matches!(judge(&trust, &by_root, now), Revocation::Revoked { .. }));
}

#[test]
fn lists_that_do_not_say_everything_are_refused_by_name() {
    let office = Office::new();
    let point = |only: &str| format!("issuingDistributionPoint=critical,@idp\n[idp]\n{only}");
    for (extensions, code) in [
        ("2.5.29.27=critical,DER:020101".to_owned(), "crl_delta"),
        ("2.5.29.27=DER:020101".to_owned(), "crl_delta"),
        (point("indirectCRL=TRUE"), "crl_indirect"),
        (point("onlysomereasons=keyCompromise,CACompromise"), "crl_partial"),
        (point("onlyAA=TRUE"), "crl_partial"),
        (point("onlyuser=TRUE\nonlyCA=TRUE"), "crl_malformed"),
        ("1.2.3.4=critical,DER:0500".to_owned(), "crl_unsupported"),
        ("2.5.29.28=critical,DER:3003810101".to_owned(), "crl_malformed"),
        ("1.2.3.4=DER:0500".to_owned(), "taken"),
    ] {
        let list = office.list_with(VALID, &extensions, "-crldays 5");
        let taken = office.trust().add_crl(&list);
        assert_eq!(taken.map_or_else(|error| error.code(), |()| "taken"), code, "{extensions}");
    }
}

/// Good for us is good for `openssl verify -crl_check`, and nothing else is.
#[test]
fn lists_are_judged_as_openssl_judges_them() {
    let office = Office::new();
    let point = |only: &str| format!("issuingDistributionPoint=critical,@idp\n[idp]\n{only}");
    let five = "-crldays 5".to_owned();
    let reasons = ["", ",unspecified", ",keyCompromise", ",CACompromise", ",affiliationChanged"];
    let more = [",superseded", ",cessationOfOperation", ",certificateHold", ",removeFromCRL"];
    let with_reason = reasons
        .into_iter()
        .chain(more)
        .map(|reason| (revoked("4D", reason), String::new(), five.clone()));
    let extensions = [
        "",
        "1.2.3.4=DER:0500",
        "1.2.3.4=critical,DER:0500",
        "2.5.29.27=critical,DER:020101",
        &point("onlyuser=TRUE"),
        &point("onlyCA=TRUE"),
        &point("onlyAA=TRUE"),
        &point("indirectCRL=TRUE"),
        &point("onlysomereasons=keyCompromise"),
        &point("fullname=URI:http://crl.example/1.crl"),
    ]
    .map(str::to_owned);
    let with_extension =
        extensions.into_iter().map(|extension| (VALID.to_owned(), extension, five.clone()));
    let times = [
        "-crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z",
        "-crl_lastupdate 20370101000000Z -crl_nextupdate 20370201000000Z",
        "-crl_lastupdate 20200101000000Z -crl_nextupdate 20370201000000Z",
    ];
    let with_time = times.map(|times| (VALID.to_owned(), String::new(), times.to_owned()));
    let others = [
        (String::new(), String::new(), five.clone()),
        (revoked("4E", ""), String::new(), five.clone()),
        (revoked("4D00", ""), String::new(), five.clone()),
        (
            [revoked("4C", ""), revoked("4D", ""), revoked("4E", "")].concat(),
            String::new(),
            five.clone(),
        ),
    ];
    let (mut good, mut bad) = (0, 0);
    for (index, extensions, options) in
        with_reason.chain(with_extension).chain(with_time).chain(others)
    {
        let mut trust = office.trust();
        let record = office.record(&trust);
        let list = office.list_with(&index, &extensions, &options);
        let now = Timestamp::now();
        let taken = trust.add_crl_at(&list, now);
        let judged = judge(&trust, &record, now);
        let ours = matches!(judged, Revocation::Good { .. });
        // Without -extended_crl, 3.0 takes a delta list for a complete one.
        let theirs = office.verify("-crl_check -extended_crl").is_ok();
        // Known difference: it reads indirect lists, and we do not.
        let expected = theirs && !extensions.contains("indirectCRL");
        assert_eq!(ours, expected, "{index}{extensions}{options}: {taken:?} {judged:?}");
        *(if ours { &mut good } else { &mut bad }) += 1;
    }
    assert_eq!((good, bad), (8, 18));
}

#[test]
fn a_list_is_its_issuers_and_of_its_time() {
    let office = Office::new();
    let list = office.list(VALID);
    let now = Timestamp::now();
    let mut stranger = TrustStore::new();
    stranger.add_anchor(LICENCES, office.certificate("other"));
    assert_eq!(stranger.add_crl(&list), Err(CrlError::UnknownIssuer));
    // Of the right name, by another key.
    office.run("openssl req -new -key other.key -subj /CN=ca -out false.csr");
    office.run("openssl x509 -req -in false.csr -signkey other.key -days 3 -out false.pem");
    let mut deceived = TrustStore::new();
    deceived.add_anchor(LICENCES, office.certificate("false"));
    assert_eq!(deceived.add_crl(&list), Err(CrlError::BadSignature));

    // Past its nextUpdate: taken in, and reported.
    let mut trust = office.trust();
    let record = office.record(&trust);
    trust.add_crl_at(&list, now).unwrap();
    assert!(matches!(judge(&trust, &record, office.days(6)), Revocation::Stale { .. }));
    let times = Times::now(office.days(6));
    let assessed = trust.assess(&office.certificate("issuer"), &[], LICENCES, &times);
    assert_eq!(assessed.links.last().unwrap().code, "crl_stale");
    let held = trust.crls().pop().unwrap();
    assert_eq!((held.entries, held.is_partial), (0, false));
    assert!(held.next_update < office.days(6));

    // Dated in the future: it would keep out every list to come.
    let options = "-crl_lastupdate 20370101000000Z -crl_nextupdate 20370201000000Z";
    let future = office.list_with(VALID, "", options);
    let error = trust.add_crl_at(&future, now).unwrap_err();
    assert_eq!(error, CrlError::NotYetValid { this_update: time("2037-01-01T00:00:00Z") });
    trust.add_crl_at(&list, now - SignedDuration::from_mins(4)).unwrap();
    // A serial number is the same with and without zeros, and a long one its own.
    let zeros = ChainCertificate { serial: vec![0, 0, 0x4D], ..record.certificates[0].clone() };
    let mut trust = office.trust();
    trust.add_crl(&office.list(&revoked("4D", ""))).unwrap();
    for (serial, is_revoked) in [
        (vec![0, 0, 0x4D], true),
        (vec![0x4D], true),
        (vec![0x4D, 0], false),
        (vec![0x4D; 30], false),
        (vec![], false),
    ] {
        let certificates = vec![ChainCertificate { serial, ..zeros.clone() }];
        let record = ChainRecord { certificates, ..record.clone() };
        let judged = judge(&trust, &record, office.days(1));
        assert_eq!(matches!(judged, Revocation::Revoked { .. }), is_revoked);
    }
}

#[test]
fn ten_thousand_entries_are_read_and_searched_fast() {
    let office = Office::new();
    let index: String = (0..10_000)
        .map(|serial| revoked(&format!("{:06X}", 0x10_0000 + serial), ",keyCompromise"))
        .collect();
    let list = office.list(&index);
    let mut trust = office.trust();
    let record = office.record(&trust);
    let start = Instant::now();
    trust.add_crl(&list).unwrap();
    let reading = start.elapsed();
    assert_eq!(trust.crls()[0].entries, 10_000);
    let start = Instant::now();
    for serial in 0..10_000_u32 {
        let serial = (0x10_0000 + serial).to_be_bytes()[1..].to_vec();
        let certificates = vec![ChainCertificate { serial, ..record.certificates[0].clone() }];
        let record = ChainRecord { certificates, ..record.clone() };
        assert!(matches!(judge(&trust, &record, office.now), Revocation::Revoked { .. }));
    }
    println!(
        "10,000 entries, {} bytes: read in {reading:?}, each looked up in {:?}",
        list.len(),
        start.elapsed()
    );
    assert!(matches!(judge(&trust, &record, office.now), Revocation::Good { .. }));
    assert!(reading.as_millis() < 1000 && start.elapsed().as_millis() < 1000, "{reading:?}");
}

#[test]
fn hostile_lists_end_in_time() {
    // One MiB that claims to be a list: nested, of empty entries, of one entry's many extensions.
    let office = Office::new();
    let trust = office.trust();
    let nested = |tag: u8| {
        let mut bytes = Vec::new();
        for length in (0..200_000_u32).rev() {
            bytes.extend([tag, 0x84]);
            bytes.extend((length * 6).to_be_bytes());
        }
        bytes
    };
    let long = |inner: Vec<u8>| {
        let length = u32::try_from(inner.len()).unwrap().to_be_bytes();
        [&[0x30, 0x84], length.as_slice(), &inner].concat()
    };
    let empty = long(long(vec![0x30; 1 << 20]));
    let pem = "-----BEGIN X509 CRL-----\n".repeat(40_000);
    for bytes in [nested(0x30), nested(0xA0), empty, pem.into_bytes(), vec![0x30; 1 << 20]] {
        let start = Instant::now();
        assert_eq!(trust.next().add_crl(&bytes), Err(CrlError::Malformed));
        trust.next().add_ocsp(&bytes, office.now).unwrap_err();
        assert!(start.elapsed().as_millis() < 1000, "{:?}", start.elapsed());
    }
}

#[test]
fn a_verdict_is_kept_for_its_epoch_and_its_time_only() {
    let root = support::root(Suite::EcdsaP256Sha256, "样例根");
    let issuer = below(&root, Suite::EcdsaP256Sha256, &template("签发", Profile::LicenceIssuer, 2));
    let leaf = issuer.certificate();
    let june = |day: u8| time(&format!("2025-06-{day:02}T00:00:00Z"));
    let list = |number, revoked: &[(Vec<u8>, Timestamp)], from, to| {
        issue_crl(&root, number, revoked, june(from), june(to)).unwrap()
    };
    let mut trust = trusting(&root);
    let verdict =
        |trust: &TrustStore, day| trust.verify_chain(leaf, &[], LICENCES, june(day)).is_ok();
    let word = |trust: &TrustStore, day| {
        trust.assess(leaf, &[], LICENCES, &Times::now(june(day))).links.last().unwrap().code
    };
    let first = trust.epoch();
    assert!(verdict(&trust, 15));
    assert_eq!(
        (word(&trust, 15), trust.epoch()),
        ("crl_missing", first),
        "reading changes nothing"
    );
    trust.add_crl(&list(1, &[], 10, 20)).unwrap();
    assert_eq!(trust.epoch(), first + 1);
    // Back and forth in time, over the list's end.
    for (day, expected) in [(15, "ok"), (25, "crl_stale"), (19, "ok"), (20, "crl_stale")] {
        assert_eq!(word(&trust, day), expected, "{day}");
    }
    // From the revocation on, and never before it, whatever was asked last.
    trust.add_crl(&list(2, &[(vec![2], june(12))], 13, 20)).unwrap();
    for (day, good) in [(11, true), (12, false), (11, true), (25, false), (30, false)] {
        assert_eq!(verdict(&trust, day), good, "{day}");
    }
    assert_eq!(word(&trust, 15), "certificate_revoked");
    let error = trust.verify_chain(leaf, &[], LICENCES, june(15)).unwrap_err();
    assert_eq!(error, ChainError::Revoked { position: 0, revoked_at: june(12) });
    // A list that is refused changes nothing.
    let epoch = trust.epoch();
    trust.add_crl(&list(1, &[], 10, 20)).unwrap_err();
    assert_eq!((trust.epoch(), verdict(&trust, 15)), (epoch, false));
}

#[test]
fn the_next_store_changes_alone() {
    let root = support::root(Suite::Ed25519, "样例根");
    let issuer = below(&root, Suite::Ed25519, &template("签发", Profile::LicenceIssuer, 2));
    let (leaf, now) = (issuer.certificate(), support::now());
    let (from, to) = (time("2025-06-01T00:00:00Z"), time("2025-07-01T00:00:00Z"));
    let trust = trusting(&root);
    trust.verify_chain(leaf, &[], LICENCES, now).unwrap();
    let list = |number, serials: &[u8]| {
        let revoked: Vec<_> = serials.iter().map(|serial| (vec![*serial], from)).collect();
        issue_crl(&root, number, &revoked, from, to).unwrap()
    };
    // Two that follow the same store, at one epoch, with other lists.
    let (mut revoking, mut sparing) = (trust.next(), trust.next());
    revoking.add_crl(&list(1, &[2])).unwrap();
    sparing.add_crl(&list(2, &[3])).unwrap();
    assert_eq!(revoking.epoch(), sparing.epoch());
    assert!(revoking.epoch() > trust.epoch());
    for _ in 0..2 {
        trust.verify_chain(leaf, &[], LICENCES, now).unwrap();
        revoking.verify_chain(leaf, &[], LICENCES, now).unwrap_err();
        sparing.verify_chain(leaf, &[], LICENCES, now).unwrap();
    }
    let word = |trust: &TrustStore| {
        trust.assess(leaf, &[], LICENCES, &Times::now(now)).links.last().unwrap().code
    };
    assert_eq!(
        [word(&trust), word(&revoking), word(&sparing)],
        ["crl_missing", "certificate_revoked", "ok"]
    );
    // And back: what was revoked is good again by a newer list, in a third.
    let mut again = revoking.next();
    again.add_crl(&list(3, &[])).unwrap();
    assert_eq!(word(&again), "ok");
    // Without the anchor nothing that was remembered counts.
    let mut without = again.next();
    without.remove_anchor(LICENCES, &root.certificate().sha256());
    let error = without.verify_chain(leaf, &[], LICENCES, now).unwrap_err();
    assert_eq!(error, ChainError::UnknownIssuer);
    assert!(without.epoch() > again.epoch());
    again.verify_chain(leaf, &[], LICENCES, now).unwrap();
}

/// Root, a CA below it (serial 3) and a signer below that (serial 2), all of June 2025.
#[test]
fn outliving_one_revocation_hides_nothing_about_another_certificate() {
    let suite = Suite::EcdsaP256Sha256;
    let root = support::root(suite, "样例根");
    let middle = below(&root, suite, &template("中级", Profile::Ca, 3));
    let issuer = below(&middle, suite, &template("签发", Profile::LicenceIssuer, 2));
    let (leaf, others) = (issuer.certificate(), issuer.chain());
    let june = |day: u8| time(&format!("2025-06-{day:02}T00:00:00Z"));
    let list =
        |by, revoked: &[(Vec<u8>, Timestamp)], to| issue_crl(by, 1, revoked, june(1), to).unwrap();
    let (now, soon, over) = (june(20), june(30), june(15));
    let none: &[(Vec<u8>, Timestamp)] = &[];
    let signer = [(vec![2], june(10))];
    let authority = |day| vec![(vec![3], june(day))];
    // The list of the root and until when it is current, the signer's list, and the verdict on a signature proven to
    // be of 5 June.
    for (name, of_root, of_middle, code) in [
        ("both current", Some((none.to_vec(), soon)), Some(&signer[..]), "ok"),
        ("no list of the root", None, Some(&signer[..]), "crl_missing"),
        ("a late list of the root", Some((none.to_vec(), over)), Some(&signer[..]), "crl_stale"),
        ("both outlived", Some((authority(8), soon)), Some(&signer[..]), "ok"),
        (
            "the CA fell before",
            Some((authority(3), soon)),
            Some(&signer[..]),
            "certificate_revoked",
        ),
        ("the CA alone, before", Some((authority(3), soon)), Some(none), "certificate_revoked"),
        ("the CA alone, after", Some((authority(8), soon)), Some(none), "ok"),
        ("the CA after, the signer unknown", Some((authority(8), soon)), None, "crl_missing"),
    ] {
        let mut trust = trusting(&root);
        trust.add_intermediate(middle.certificate().clone());
        let record = trust.verify_chain(leaf, others, LICENCES, now).unwrap();
        if let Some((revoked, to)) = of_root {
            trust.add_crl(&list(&root, &revoked, to)).unwrap();
        }
        if let Some(revoked) = of_middle {
            trust.add_crl(&list(&middle, revoked, soon)).unwrap();
        }
        let word =
            |times: &Times| trust.assess(leaf, others, LICENCES, times).links.last().unwrap().code;
        let older = Times { now, proven: Some(june(5)) };
        // Twice, and around the verdict without proof, which is remembered.
        let is_revoked = matches!(judge(&trust, &record, now), Revocation::Revoked { .. });
        for _ in 0..2 {
            assert_eq!(word(&older), code, "{name}");
            assert_eq!(word(&Times::now(now)) == "certificate_revoked", is_revoked, "{name}");
        }
        let judged = trust.judge_at(&record, &older).revocation;
        let same = match judged {
            Revocation::Good { .. } => "ok",
            Revocation::Revoked { .. } => "certificate_revoked",
            Revocation::Unknown { .. } => "ocsp_unknown",
            Revocation::Stale { .. } => "crl_stale",
            Revocation::NoCrl => "crl_missing",
        };
        assert_eq!(same, code, "{name}: {judged:?}");
    }
}
