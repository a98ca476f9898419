//! The fault schedule of the `files` connector: after each fault the receiver holds exactly what the log says, and the
//! set-aside list says the rest and why.
//!
//! There is no certificate that could expire: what stands in its place is a host key that changes. There is no token
//! either: what stands in its place is a login key that is not admitted any more.

mod support;

use std::{fs, path::PathBuf, process::Command, sync::Arc, time::Duration};

use connectors::{
    Connector, ConnectorSettings, Runner, RunnerHandle,
    files::{answer::ANSWER_END, manifest::DONE_END},
    sftp::PART,
};
use indexes::{LicenceStore, MemoryStore};
use licence::StatusChange;
use support::{
    caught_up, change,
    drop_box::{DropBox, open},
    issue, quick,
    relay::{Relay, Weather},
    set_asides, until,
};

/// What a fault happens to: 150 licences, one of which is suspended, on their way to a receiver.
struct Case {
    there: DropBox,
    relay: Relay,
    store: Arc<dyn LicenceStore>,
}

impl Case {
    async fn new() -> Self {
        let there = DropBox::start().await;
        let relay = Relay::to(([127, 0, 0, 1], there.server.port()).into()).await;
        let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
        let licences = issue(&*store, 0, 150).await;
        change(&*store, &licences[7], StatusChange::Suspend).await;
        Self { there, relay, store }
    }

    fn settings(&self) -> ConnectorSettings {
        ConnectorSettings {
            timeout_ms: Some(400),
            connect_timeout_ms: Some(2_000),
            ..self.there.settings_at(self.relay.address().port())
        }
    }

    fn run(&self) -> RunnerHandle {
        self.run_with(open(&self.settings()))
    }

    fn run_with(&self, connector: Box<dyn Connector>) -> RunnerHandle {
        Runner::start(self.store.clone(), connector, quick())
    }

    /// Waits until it fails with this code.
    async fn fails(&self, runner: &RunnerHandle, code: &str) {
        until(runner, |state| state.last_error.as_ref().is_some_and(|error| error.code == code))
            .await;
    }

    /// The receiver holds what the log says, but for these; the set-aside list says why not.
    async fn ends_well(&self, runner: &RunnerHandle, refused: &[(u64, &str)]) {
        caught_up(runner, &*self.store).await;
        until(runner, |state| state.set_aside == refused.len() as u64).await;
        let head = self.store.head().await.unwrap().0;
        let expected: Vec<u64> =
            (0..head).filter(|seq| refused.iter().all(|(other, _)| other != seq)).collect();
        let worked = tokio::time::timeout(Duration::from_secs(20), async {
            while self.there.took() != expected {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(worked.await.is_ok(), "{:?} {:?}", self.there.took(), self.there.problems());
        let aside: Vec<(u64, String)> =
            refused.iter().map(|(seq, code)| (*seq, (*code).to_owned())).collect();
        assert_eq!(set_asides(&*self.store, "city").await, aside);
        assert_eq!(self.there.problems(), Vec::<String>::new());
        assert!(self.there.names("").iter().all(|name| !name.ends_with(PART)));
        // Valid are all but the one that was suspended, which is change 150, and those that were not taken.
        let missing = refused.iter().filter(|(seq, _)| *seq < 150).count();
        assert_eq!(self.there.current().len(), head as usize - 2 - missing);
    }
}

#[tokio::test]
async fn connection_refused() {
    let case = Case::new().await;
    case.relay.set(Weather::Refuse);
    let runner = case.run();
    case.fails(&runner, "connection_lost").await;
    case.relay.set(Weather::Fair);
    case.ends_well(&runner, &[]).await;
}

#[tokio::test]
async fn hang() {
    let case = Case::new().await;
    let connector = open(&case.settings());
    // Connected before, and hanging from then on.
    connector.replies(&connectors::ReplyPosition::default()).await.unwrap();
    case.relay.set(Weather::Hang);
    let runner = case.run_with(connector);
    case.fails(&runner, "timed_out").await;
    case.relay.set(Weather::Fair);
    case.ends_well(&runner, &[]).await;
}

#[tokio::test]
async fn slow() {
    let case = Case::new().await;
    case.relay.set(Weather::Slow(100_000));
    let settings = ConnectorSettings { timeout_ms: Some(10_000), ..case.settings() };
    let runner = case.run_with(open(&settings));
    case.ends_well(&runner, &[]).await;
    assert!(runner.state().last_error.is_none());
}

#[tokio::test]
async fn cut_in_the_middle_of_a_batch() {
    let case = Case::new().await;
    let runner = case.run();
    caught_up(&runner, &*case.store).await;
    for bytes in [5_000, 20_000, 60_000] {
        let from = case.store.head().await.unwrap().0 - 1;
        case.relay.set(Weather::CutSending(bytes));
        issue(&*case.store, from, 150).await;
        case.fails(&runner, "connection_lost").await;
        case.relay.set(Weather::Fair);
        caught_up(&runner, &*case.store).await;
    }
    case.ends_well(&runner, &[]).await;
}

/// A transfer breaks, and then the code map is edited: the same records make another file, and nobody goes on with what
/// came over of the first. Files of others, and of batches that are still to come, are left alone.
#[tokio::test]
async fn a_transfer_that_broke_before_the_code_map_was_edited_leaves_nothing() {
    let mut case = Case::new().await;
    case.there.rest();
    let map = tempfile::NamedTempFile::new().unwrap();
    let text = connectors::files::built_in().to_text();
    fs::write(map.path(), &text).unwrap();
    let mut settings = case.settings();
    settings.code_map = Some(map.path().to_owned());
    let connector = open(&settings);
    let items = (0..100).map(connectors::rules::samples::issued).collect();
    let batch = connectors::Batch::new("city", 0, items);
    let out = case.there.out();
    let parts = || {
        let names = case.there.names("");
        names.into_iter().filter(|name| name.ends_with(PART)).collect::<Vec<_>>()
    };
    // The handshake takes some of them.
    for bytes in (4_000..40_000).step_by(2_000) {
        case.relay.set(Weather::CutSending(bytes));
        connector.deliver(&batch).await.unwrap_err();
        if !parts().is_empty() {
            break;
        }
    }
    assert_eq!(parts().len(), 1);
    let later = format!("city-{:020}-{:020}-{}.ndjson{PART}", 900, 999, "0".repeat(16));
    for other in ["other.ndjson.part", &later] {
        fs::write(out.join(other), "").unwrap();
    }
    fs::write(map.path(), text.replace("\"as\": \"issuer_name\"", "\"as\": \"issued_by\""))
        .unwrap();
    case.relay.set(Weather::Fair);
    connector.deliver(&batch).await.unwrap();
    assert_eq!(parts(), [later.as_str(), "other.ndjson.part"]);
    let data = case.there.names("").into_iter().find(|name| name.ends_with(".ndjson")).unwrap();
    assert!(fs::read_to_string(out.join(data)).unwrap().contains("issued_by"));
}

#[tokio::test]
async fn half_applied() {
    let mut case = Case::new().await;
    case.there.rest();
    // Done over there, and the answer lost on the way, at whichever step.
    for bytes in [3_000, 4_000, 5_000, 6_000] {
        case.relay.set(Weather::CutAnswer(bytes));
        let runner = case.run();
        case.fails(&runner, "connection_lost").await;
        runner.stop().await;
    }
    case.relay.set(Weather::Fair);
    case.there.work();
    let runner = case.run();
    case.ends_well(&runner, &[]).await;
}

#[tokio::test]
async fn duplicate_answer() {
    let case = Case::new().await;
    case.there.refuse(&[3]);
    let runner = case.run();
    case.ends_well(&runner, &[(3, "not_wanted")]).await;
    let folder = case.there.out().join("answers");
    let mut handled = case.there.names("answers/handled");
    while handled.len() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        handled = case.there.names("answers/handled");
    }
    for name in &handled {
        fs::copy(folder.join("handled").join(name), folder.join(name)).unwrap();
    }
    while case.there.names("answers").iter().any(|name| name.ends_with(ANSWER_END)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    case.ends_well(&runner, &[(3, "not_wanted")]).await;
}

#[tokio::test]
async fn error_for_one_record_in_a_batch() {
    let case = Case::new().await;
    case.there.refuse(&[42, 101]);
    let runner = case.run();
    case.ends_well(&runner, &[(42, "not_wanted"), (101, "not_wanted")]).await;
}

#[tokio::test]
async fn wrong_answer_body() {
    let mut case = Case::new().await;
    case.there.rest();
    case.there.refuse(&[3]);
    let runner = case.run();
    caught_up(&runner, &*case.store).await;
    let stem = case.there.names("")[0].strip_suffix(DONE_END).unwrap().to_owned();
    let name = format!("{stem}{ANSWER_END}");
    fs::write(case.there.out().join("answers").join(&name), "<html>").unwrap();
    case.fails(&runner, "answer_file_unusable").await;
    assert_eq!(case.there.names("answers/unreadable"), [name]);
    // The receiver comes to it, and answers as agreed.
    case.there.work();
    case.ends_well(&runner, &[(3, "not_wanted")]).await;
}

#[tokio::test]
async fn the_host_key_changed() {
    let mut case = Case::new().await;
    let settings = case.settings();
    case.there.server.change_host_key().await;
    let runner = case.run_with(open(&settings));
    case.fails(&runner, "host_key_differs").await;
    assert_eq!(case.there.names(""), Vec::<String>::new());
    // An operator puts the new key into the file.
    case.there.server.known_at(case.relay.address().port());
    case.ends_well(&runner, &[]).await;
}

#[tokio::test]
async fn the_login_is_not_admitted_any_more() {
    let case = Case::new().await;
    let admitted = case.there.server.files().parent().unwrap().join("authorized_keys");
    let keys = fs::read(&admitted).unwrap();
    fs::write(&admitted, "").unwrap();
    let runner = case.run();
    case.fails(&runner, "server_login_refused").await;
    fs::write(&admitted, keys).unwrap();
    case.ends_well(&runner, &[]).await;
}

#[tokio::test]
async fn the_folder_is_missing() {
    let case = Case::new().await;
    let (out, away) = (case.there.out(), case.there.server.files().join("away"));
    fs::rename(&out, &away).unwrap();
    let runner = case.run();
    case.fails(&runner, "folder_missing").await;
    fs::rename(&away, &out).unwrap();
    case.ends_well(&runner, &[]).await;
}

/// A small disk at a folder; taken away again when the test ends, also when it fails.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(folder: PathBuf) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(&folder)
            .status()
            .unwrap();
        assert!(mounted.success());
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn the_disk_is_full_at_the_peer() {
    use std::os::unix::fs::MetadataExt;
    let mut case = Case::new().await;
    case.there.rest();
    let out = case.there.out();
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        let disk = SmallDisk::at(out.clone());
        fs::create_dir(out.join("answers")).unwrap();
        fs::write(out.join("filler"), vec![1; 200 << 10]).unwrap();
        let runner = case.run();
        case.fails(&runner, "file_server_failing").await;
        let names = case.there.names("");
        assert!(!names.iter().any(|name| name.ends_with(DONE_END)), "{names:?}");
        fs::remove_file(out.join("filler")).unwrap();
        case.there.work();
        case.ends_well(&runner, &[]).await;
        case.there.rest();
        drop(runner);
        drop(disk);
    } else {
        // Who is not root mounts nothing. `/dev/full` has no room either (full(4)): the file's place is a link to it.
        let connector = open(&case.settings());
        let items = (0..100).map(connectors::rules::samples::issued).collect();
        let batch = connectors::Batch::new("city", 0, items);
        let preview = connector.preview(&batch).unwrap();
        let part = format!("{}{PART}", preview.parts[0].title.rsplit('/').next().unwrap());
        std::os::unix::fs::symlink("/dev/full", out.join(&part)).unwrap();
        let error = connector.deliver(&batch).await.unwrap_err();
        assert_eq!(error.code(), "file_server_failing");
        fs::remove_file(out.join(&part)).unwrap();
        case.there.work();
        let runner = case.run_with(connector);
        case.ends_well(&runner, &[]).await;
    }
}

#[tokio::test]
async fn the_peer_is_restarted() {
    let mut case = Case::new().await;
    let runner = case.run();
    for _ in 0..2 {
        let from = case.store.head().await.unwrap().0 - 1;
        case.there.server.stop().await;
        issue(&*case.store, from, 100).await;
        until(&runner, |state| state.is_failing()).await;
        case.there.server.start_again().await;
        caught_up(&runner, &*case.store).await;
    }
    case.ends_well(&runner, &[]).await;
}

#[tokio::test]
async fn clock_skew() {
    for skew in [-400 * 86_400_i64, 400 * 86_400] {
        let mut case = Case::new().await;
        case.there.rest();
        let settings = quick();
        let connector = open(&case.settings());
        let runner = Runner::start(case.store.clone(), connector, settings);
        caught_up(&runner, &*case.store).await;
        // Answers come with the times of a clock that is more than a year off, one after the other.
        let names = case.there.names("");
        let stems: Vec<&str> =
            names.iter().filter_map(|name| name.strip_suffix(DONE_END)).collect();
        assert_eq!(stems.len(), 2);
        for (stem, seq) in stems.iter().zip([3, 120]) {
            let text = format!(
                r#"{{"format":"yihao-files-answer-1","batch":"{stem}","result":"taken","records":[{{"key":"city-{seq:020}","code":"skewed"}}]}}"#
            );
            let path = case.there.out().join("answers").join(".part");
            fs::write(&path, text).unwrap();
            let now = std::time::SystemTime::now();
            let past = Duration::from_secs(skew.unsigned_abs());
            let time = if skew < 0 { now - past } else { now + past };
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            let name = format!("{stem}{ANSWER_END}");
            fs::rename(&path, case.there.out().join("answers").join(name)).unwrap();
            until(&runner, |state| state.set_aside == if seq == 3 { 1 } else { 2 }).await;
        }
        assert_eq!(
            set_asides(&*case.store, "city").await,
            [(3, "skewed".to_owned()), (120, "skewed".to_owned())]
        );
        // What was set aside by an answer of its own, this receiver takes all the same: it holds all.
        case.there.work();
        let head = case.store.head().await.unwrap().0;
        while case.there.took().len() < head as usize {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(case.there.problems(), Vec::<String>::new());
    }
}
