//! The `files` connector against a real OpenSSH server and a receiver that works through its folder.

mod support;

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use connectors::{
    Batch, Connector, ConnectorSettings, Delivered, ReplyPosition, Runner,
    files::{
        answer::ANSWER_END,
        manifest::{DONE_END, MANIFEST_END, Manifest},
    },
    rules::{connector_rules, samples},
    sftp::PART,
};
use indexes::{LicenceStore, MemoryStore};
use licence::{Holder, HolderId, HolderKind, LicenceStatus, StatusChange};
use support::{
    caught_up, change,
    drop_box::{DropBox, open},
    issue, issue_this, quick, set_asides, until,
};

fn memory() -> Arc<dyn LicenceStore> {
    Arc::new(MemoryStore::new())
}

fn batch(seqs: std::ops::Range<u64>) -> Batch {
    Batch::new("city", 0, seqs.map(samples::issued).collect())
}

async fn arrives(connector: &dyn Connector, batch: &Batch) {
    assert_eq!(connector.deliver(batch).await.unwrap(), Delivered::default());
}

#[tokio::test]
async fn keeps_the_rules_of_connectors() {
    connector_rules(DropBox::start).await;
}

#[tokio::test]
async fn a_batch_comes_as_data_manifest_and_marker_and_nothing_else() {
    let mut there = DropBox::start().await;
    there.rest();
    let connector = open(&there.settings());
    arrives(&*connector, &batch(0..3)).await;
    let names = there.names("");
    assert_eq!(names.len(), 3, "{names:?}");
    let stem = names[0].strip_suffix(DONE_END).unwrap();
    assert!(stem.starts_with("city-00000000000000000000-00000000000000000002-"), "{stem}");
    assert_eq!(names[1..], [format!("{stem}{MANIFEST_END}"), format!("{stem}.ndjson")]);
    let manifest = Manifest::parse(&fs::read(there.out().join(&names[1])).unwrap()).unwrap();
    assert_eq!((manifest.records, manifest.first, manifest.last), (3, Some(0), Some(2)));
    assert_eq!(manifest.operations.unwrap().insert, 3);
    manifest.check(&fs::read(there.out().join(&names[2])).unwrap()).unwrap();
}

#[tokio::test]
async fn a_batch_that_comes_again_overwrites_nothing_and_its_marker_is_new() {
    let mut there = DropBox::start().await;
    there.rest();
    let connector = open(&there.settings());
    arrives(&*connector, &batch(0..3)).await;
    let about = |end: &str| {
        let names = there.names("");
        let name = names.iter().find(|name| name.ends_with(end)).unwrap();
        use std::os::unix::fs::MetadataExt;
        fs::metadata(there.out().join(name)).unwrap().ino()
    };
    let before = (about(".ndjson"), about(MANIFEST_END));
    arrives(&*open(&there.settings()), &batch(0..3)).await;
    assert_eq!((about(".ndjson"), about(MANIFEST_END)), before);
    assert_eq!(there.names("").len(), 3);
    // A replay is another batch: the receiver is to look at it again.
    arrives(&*connector, &Batch::new("city", 1, batch(0..3).items)).await;
    assert_eq!(there.names("").len(), 6);
}

#[tokio::test]
async fn gb_18030_and_csv_arrive_as_agreed() {
    let there = DropBox::start().await;
    let own = serde_json::json!({ "format": "csv", "encoding": "gb18030" });
    let mut licence = samples::licence(0, samples::types()[0]);
    licence.name = "𠮷,\"证\"照".to_owned();
    let id = |kind, number| HolderId::parse(HolderKind::from_code(kind).unwrap(), number).unwrap();
    licence
        .holders
        .push(Holder { name: "样本公司".to_owned(), id: id("001", "91350100M000100Y43") });
    let store = memory();
    issue_this(&*store, &licence).await;
    let runner = Runner::start(store.clone(), open(&there.settings_with(own)), quick());
    caught_up(&runner, &*store).await;
    let compared = runner.reconcile().await.unwrap();
    assert!(compared.agrees, "{compared:?} {:?}", there.problems());
    let fields = there.fields(&licence.identifier);
    assert_eq!(fields["name"], licence.name);
    assert_eq!(fields["holder_name"], "样本持证人^样本公司");
    assert_eq!(there.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_code_map_says_what_is_sent_and_the_preview_shows_just_that() {
    let mut there = DropBox::start().await;
    there.rest();
    let map = there.server.files().join("map.json");
    let text = serde_json::json!({
        "format": "yihao-code-map-1",
        "fields": [{ "as": "ZZBH", "from": "number" }, { "as": "ZT", "from": "status" }],
        "codes": { "status": { "valid": "01" } }
    });
    fs::write(&map, text.to_string()).unwrap();
    let settings =
        connectors::ConnectorSettings { code_map: Some(map.clone()), ..there.settings() };
    let connector = open(&settings);
    let issued = samples::issued(0);
    let suspended = samples::changed(1, &issued, LicenceStatus::Valid, LicenceStatus::Suspended);
    let batch = Batch::new("city", 0, vec![issued, suspended]);
    let preview = connector.preview(&batch).unwrap();
    assert_eq!(there.names(""), Vec::<String>::new());
    assert_eq!(
        preview.parts[0].text,
        "{\"key\":\"city-00000000000000000000\",\"ZZBH\":\"湘样本字第0号\",\"ZT\":\"01\"}\n"
    );
    assert!(preview.parts[0].title.starts_with("sftp://127.0.0.1:"), "{preview:?}");
    assert_eq!(preview.refused[0].code, "value_unmapped");
    let delivered = connector.deliver(&batch).await.unwrap();
    assert_eq!(delivered.refused, preview.refused);
    for part in &preview.parts {
        let name = part.title.rsplit('/').next().unwrap();
        assert_eq!(fs::read_to_string(there.out().join(name)).unwrap(), part.text, "{name}");
    }
    fs::write(&map, "{").unwrap();
    assert_eq!(connector.deliver(&batch).await.unwrap_err().code(), "code_map_form");
}

#[tokio::test]
async fn answers_set_records_aside_and_are_put_away() {
    let there = DropBox::start().await;
    there.refuse(&[3, 4]);
    let store = memory();
    issue(&*store, 0, 10).await;
    let runner = Runner::start(store.clone(), open(&there.settings()), quick());
    caught_up(&runner, &*store).await;
    until(&runner, |state| state.set_aside == 2).await;
    assert_eq!(
        set_asides(&*store, "city").await,
        [(3, "not_wanted".to_owned()), (4, "not_wanted".to_owned())]
    );
    let remark = store.set_asides("city", 10).await.unwrap()[0].remark.clone();
    assert_eq!(remark, "证件号码 *** 不符");
    until_names(&there, "answers/handled", 1).await;
    assert!(!there.names("answers").iter().any(|name| name.ends_with(ANSWER_END)));
    assert_eq!(there.current().len(), 8);
    // What is not told to be cleaned up stays.
    assert_eq!(there.names("").len(), 3);
}

/// Waits until so many files are there.
async fn until_names(there: &DropBox, below: &str, count: usize) {
    let found = tokio::time::timeout(Duration::from_secs(30), async {
        while there.names(below).len() != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(found.is_ok(), "{below}: {:?}", there.names(below));
}

#[tokio::test]
async fn a_batch_that_is_refused_as_a_whole_is_set_aside_as_a_whole() {
    let there = DropBox::start().await;
    there.refuse_batches(true);
    let store = memory();
    issue(&*store, 0, 3).await;
    let runner = Runner::start(store.clone(), open(&there.settings()), quick());
    until(&runner, |state| state.set_aside == 3).await;
    let closed = |seq| (seq, "closed".to_owned());
    assert_eq!(set_asides(&*store, "city").await, [closed(0), closed(1), closed(2)]);
    assert_eq!(there.took(), Vec::<u64>::new());
    // Later it is open: what an operator sends again is taken.
    there.refuse_batches(false);
    runner.replay(licence::Seq(0)).await.unwrap();
    caught_up(&runner, &*store).await;
    until_names(&there, "answers/handled", 2).await;
    let compared = runner.reconcile().await.unwrap();
    assert!(compared.agrees, "{compared:?} {:?}", there.problems());
    assert_eq!(there.took(), [0, 1, 2]);
}

#[tokio::test]
async fn answers_with_more_than_a_page_of_records_are_read_to_their_end() {
    let there = DropBox::start().await;
    let refused: Vec<u64> = (0..1_500).collect();
    there.refuse(&refused);
    let store = memory();
    issue(&*store, 0, 1_600).await;
    let settings = connectors::RunnerSettings { batch: 1_600, ..quick() };
    let runner = Runner::start(store.clone(), open(&there.settings()), settings);
    until(&runner, |state| state.set_aside == 1_500).await;
    until_names(&there, "answers/handled", 1).await;
    let numbers: Vec<u64> =
        set_asides(&*store, "city").await.into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(numbers, refused);
}

#[tokio::test]
async fn an_answer_is_put_away_only_after_what_it_says_was_handled() {
    let there = DropBox::start().await;
    there.refuse(&[1]);
    let connector = open(&there.settings());
    arrives(&*connector, &batch(0..2)).await;
    until_names(&there, "answers", 3).await; // the answer, counts, holdings
    let start = ReplyPosition::default();
    let first = connector.replies(&start).await.unwrap();
    assert_eq!(first.replies.len(), 1);
    // Whoever asks again from the start, or was started again, has not handled it.
    assert_eq!(connector.replies(&start).await.unwrap().replies, first.replies);
    assert_eq!(open(&there.settings()).replies(&start).await.unwrap().replies, first.replies);
    assert_eq!(there.names("answers/handled").len(), 0);
    let after = &first.replies[0].position;
    connector.replies(&start).await.unwrap();
    assert_eq!(connector.replies(after).await.unwrap().replies, []);
    assert_eq!(there.names("answers/handled").len(), 1);
}

#[tokio::test]
async fn answers_that_nobody_understands_are_told_put_aside_and_never_lost() {
    let mut there = DropBox::start().await;
    there.rest();
    let store = memory();
    issue(&*store, 0, 2).await;
    let runner = Runner::start(store.clone(), open(&there.settings()), quick());
    caught_up(&runner, &*store).await;
    let stem = there.names("")[0].strip_suffix(DONE_END).unwrap().to_owned();
    let name = format!("{stem}{ANSWER_END}");
    let path = there.out().join("answers").join(&name);
    // Half of an answer: it may still be being written.
    fs::write(&path, "{\"format\":").unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(path.exists() && runner.state().last_error.is_none());
    let state = until(&runner, |state| state.last_error.is_some()).await;
    let error = state.last_error.unwrap();
    assert_eq!(error.code, "answer_file_unusable");
    assert!(error.message.contains(&stem), "{}", error.message);
    assert_eq!(there.names("answers/unreadable"), [name]);
    // Sending goes on all the same, and a right answer is read.
    there.refuse(&[0]);
    there.work();
    issue(&*store, 2, 1).await;
    caught_up(&runner, &*store).await;
    until(&runner, |state| state.set_aside == 1).await;
}

#[tokio::test]
async fn many_answers_that_nobody_understands_hold_up_neither_each_other_nor_a_good_one() {
    let mut there = DropBox::start().await;
    there.rest();
    let connector = open(&there.settings());
    for seq in [0, 2, 4] {
        arrives(&*connector, &batch(seq..seq + 2)).await;
    }
    let start = ReplyPosition::default();
    let answer = |marker: &str| {
        let name = format!("{}{ANSWER_END}", marker.strip_suffix(DONE_END).unwrap());
        there.out().join("answers").join(name)
    };
    let markers: Vec<String> =
        there.names("").into_iter().filter(|name| name.ends_with(DONE_END)).collect();
    assert_eq!(markers.len(), 3);
    fs::write(answer(&markers[0]), "<html>").unwrap();
    fs::write(answer(&markers[1]), "").unwrap();
    assert_eq!(connector.replies(&start).await.unwrap().replies, []);
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    let stem = markers[2].strip_suffix(DONE_END).unwrap();
    let good = format!(
        r#"{{"format":"yihao-files-answer-1","batch":"{stem}","result":"taken","records":[{{"line":1}}]}}"#
    );
    fs::write(answer(&markers[2]), good).unwrap();
    let page = connector.replies(&start).await.unwrap();
    assert_eq!(page.replies.len(), 1);
    assert_eq!(there.names("answers/unreadable").len(), 2);
    // Told when the rest is handled, and once.
    let after = &page.replies[0].position;
    assert_eq!(connector.replies(after).await.unwrap_err().code(), "answer_file_unusable");
    assert_eq!(there.names("answers/handled").len(), 1);
    assert_eq!(connector.replies(after).await.unwrap().replies, []);
}

#[tokio::test]
async fn what_was_answered_is_kept_as_long_as_the_settings_say() {
    let there = DropBox::start().await;
    let store = memory();
    issue(&*store, 0, 2).await;
    // A file of somebody else is never touched.
    fs::write(there.out().join("other.done"), "").unwrap();
    there.refuse(&[0]);
    let settings = there.settings_with(serde_json::json!({ "keep_days": 0 }));
    let runner = Runner::start(store.clone(), open(&settings), quick());
    until(&runner, |state| state.set_aside == 1).await;
    until_names(&there, "", 1).await;
    assert_eq!(there.names(""), ["other.done"]);
    assert_eq!(there.names("answers"), ["counts.json", "holdings.ndjson"]);
    assert_eq!(there.names("answers/handled"), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_answered_long_ago_is_cleaned_up_and_what_was_not_stays() {
    let there = DropBox::start().await;
    let connector = open(&there.settings());
    for number in 0..2 {
        arrives(&*connector, &batch(number..number + 1)).await;
    }
    until_names(&there, "answers", 4).await;
    connector.replies(&ReplyPosition::default()).await.unwrap();
    let handled = there.names("answers/handled");
    assert_eq!((handled.len(), there.names("").len()), (2, 6));
    let old = std::time::SystemTime::now() - Duration::from_secs(3 * 86_400);
    let file = fs::File::options()
        .write(true)
        .open(there.out().join("answers/handled").join(&handled[0]))
        .unwrap();
    file.set_modified(old).unwrap();
    let settings = there.settings_with(serde_json::json!({ "keep_days": 2 }));
    open(&settings).replies(&ReplyPosition::default()).await.unwrap();
    assert_eq!(there.names("answers/handled"), handled[1..]);
    assert_eq!(there.names("").len(), 3);
}

#[tokio::test]
async fn tallies_and_holdings_are_what_the_receiver_drops() {
    let there = DropBox::start().await;
    let connector = open(&there.settings());
    let items: Vec<_> = (0..5).map(samples::issued).collect();
    let revoked = samples::changed(5, &items[4], LicenceStatus::Valid, LicenceStatus::Suspended);
    let batch = Batch::new("city", 0, items.iter().cloned().chain([revoked]).collect());
    arrives(&*connector, &batch).await;
    let tallies = connector.tallies().await.unwrap().unwrap();
    let bucket = connectors::Bucket {
        licence_type: samples::types()[0],
        day: "2025-03-01".parse().unwrap(),
    };
    let mut expected = connectors::Tally::default();
    for item in &items[..4] {
        expected.add(connector.mark(item).unwrap());
    }
    assert_eq!(tallies, BTreeMap::from([(bucket, expected)]));

    let first = connector.holdings(&bucket, None, 3).await.unwrap();
    let rest = connector.holdings(&bucket, Some(&first[2].identifier), 3).await.unwrap();
    let all: Vec<_> = first.into_iter().chain(rest).collect();
    assert_eq!(all.len(), 4);
    for (holding, item) in all.iter().zip(&items) {
        assert_eq!(holding.identifier, *item.identifier());
        assert_eq!(holding.mark, connector.mark(item).unwrap());
    }
    let other = connectors::Bucket { day: "2025-03-02".parse().unwrap(), ..bucket };
    assert_eq!(connector.holdings(&other, None, 3).await.unwrap(), []);
}

#[tokio::test]
async fn counts_that_are_missing_wrong_or_old_are_told_apart() {
    let mut there = DropBox::start().await;
    there.rest();
    let mut settings = there.settings();
    settings.timeout_ms = Some(300);
    let connector = open(&settings);
    let path = there.out().join("answers/counts.json");
    let code = async || connector.counts().await.unwrap_err().code();
    fs::write(&path, "{}").unwrap();
    assert_eq!(code().await, "answer_file_unusable");
    fs::write(&path, r#"{"format":"yihao-files-counts-1","types":{"x":1}}"#).unwrap();
    assert_eq!(code().await, "unknown_type_counted");
    fs::remove_file(&path).unwrap();
    assert_eq!(code().await, "counts_missing");
    arrives(&*connector, &batch(0..3)).await;
    let counts = |next: u64| format!(r#"{{"format":"yihao-files-counts-1","next":{next}}}"#);
    fs::write(&path, counts(2)).unwrap();
    assert_eq!(code().await, "counts_outdated");
    fs::write(&path, counts(3)).unwrap();
    assert_eq!(connector.counts().await.unwrap(), BTreeMap::new());
    fs::remove_file(there.out().join("answers/holdings.ndjson")).unwrap();
    let bucket = connectors::Bucket {
        licence_type: samples::types()[0],
        day: "2025-03-01".parse().unwrap(),
    };
    let holdings = async || connector.holdings(&bucket, None, 3).await.unwrap_err().code();
    assert_eq!(holdings().await, "counts_missing");
    fs::write(there.out().join("answers/holdings.ndjson"), "{}\n").unwrap();
    assert_eq!(holdings().await, "answer_file_unusable");
}

/// A receiver's `next` says nothing of what is sent once more: it is there already. What counts then is that the receiver
/// has answered the batch, and counted after that.
#[tokio::test]
async fn right_after_a_replay_counts_are_waited_for_until_it_is_in_them() {
    for restarted in [false, true] {
        let mut there = DropBox::start().await;
        let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
        issue(&*store, 0, 20).await;
        let settings = ConnectorSettings { timeout_ms: Some(500), ..there.settings() };
        let mut runner = Runner::start(store.clone(), open(&settings), quick());
        caught_up(&runner, &*store).await;
        until_names(&there, "answers/handled", 1).await;
        there.lose(&[3, 4]);
        there.rest();
        if restarted {
            runner.stop().await;
            runner = Runner::start(store.clone(), open(&settings), quick());
        }
        runner.replay(licence::Seq(0)).await.unwrap();
        caught_up(&runner, &*store).await;
        // What lies there was counted before.
        let error = runner.reconcile().await.unwrap_err();
        assert_eq!(error.code(), "counts_outdated", "{error}");
        there.work();
        let compared = loop {
            match runner.reconcile().await {
                Ok(compared) => break compared,
                Err(error) => assert_eq!(error.code(), "counts_outdated", "{error}"),
            }
        };
        assert!(compared.agrees, "{compared:?}");
        assert_eq!(there.current().len(), 20);
    }
}

#[tokio::test]
async fn the_last_state_counts_however_often_it_changed() {
    let there = DropBox::start().await;
    let store = memory();
    let licences = issue(&*store, 0, 3).await;
    change(&*store, &licences[0], StatusChange::Suspend).await;
    change(&*store, &licences[0], StatusChange::Restore).await;
    change(&*store, &licences[1], StatusChange::Suspend).await;
    let settings = connectors::RunnerSettings { batch: 2, ..quick() };
    let runner = Runner::start(store.clone(), open(&there.settings()), settings);
    caught_up(&runner, &*store).await;
    let compared = runner.reconcile().await.unwrap();
    assert!(compared.agrees, "{compared:?} {:?}", there.problems());
    let current = there.current();
    assert_eq!(current.len(), 2);
    assert_eq!(current[&licences[0].to_string()], 4);
    assert!(there.names("").iter().all(|name| !name.ends_with(PART)));
}
