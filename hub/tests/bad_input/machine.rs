//! The machine fails: a full disk, a port in use, a second hub, a damaged file.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::Duration,
};

use certs::Profile;
use hub::{Hub, clock::Clock, config::Config};
use jiff::Timestamp;
use licence::{Licence, LicenceId};

use crate::{
    assert_alive, assert_refused,
    support::{Actor, NOW, TestHub},
};

/// A hub as a program of its own. It is killed when the test ends, however it ends.
struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Program {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let output = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    fn serve(hub: &TestHub) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hub"));
        command.arg("serve").arg("--config").arg(settings(hub));
        Self::start(command)
    }

    /// Waits until it is ready, and says where it listens.
    fn ready(&self) -> std::net::SocketAddr {
        let mut address = None;
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60)).expect("the hub starts");
            if let Some(said) = line.strip_prefix("https://") {
                address = said.trim_end_matches('/').parse().ok();
            }
            if line == "ready" {
                return address.expect("the address is printed before `ready`");
            }
        }
    }

    /// Waits until it ends, and returns what it wrote to standard error.
    fn ends(mut self) -> (ExitStatus, String) {
        let mut error = self.child.stderr.take().unwrap();
        let (sender, end) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = error.read_to_string(&mut text);
            let _ = sender.send(text);
        });
        let text = end.recv_timeout(Duration::from_secs(60)).expect("the hub ends by itself");
        (self.child.wait().unwrap(), text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(hub: &TestHub) -> PathBuf {
    hub.folder.path().join("hub.toml")
}

/// The licence again, under another serial number.
fn numbered(licence: &Licence, serial: u32) -> Licence {
    let mut other = licence.clone();
    other.identifier =
        LicenceId::build(&other.licence_type, &other.issuer, &format!("T{serial:09}"), 1).unwrap();
    other
}

#[tokio::test]
async fn a_port_in_use_is_named_and_the_hub_does_not_start() {
    let mut hub = TestHub::start().await;
    hub.stop().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = fs::read_to_string(settings(&hub)).unwrap();
    fs::write(settings(&hub), text.replace("127.0.0.1:0", &address)).unwrap();

    let (status, error) = Program::serve(&hub).ends();

    assert!(!status.success());
    assert!(error.contains(&address), "the address is not named: {error}");
    assert!(!error.contains("panicked"), "{error}");
}

#[tokio::test]
async fn a_second_hub_on_the_same_data_folder_does_not_start_and_the_first_goes_on() {
    let hub = TestHub::start().await;

    let (status, error) = Program::serve(&hub).ends();

    assert!(!status.success());
    let store = hub.folder.path().join("hub");
    assert!(error.contains(store.to_str().unwrap()), "the folder is not named: {error}");
    assert!(error.contains("another hub"), "the reason is not said: {error}");
    assert!(!error.contains("panicked"), "{error}");
    assert_alive(&hub).await;
}

#[tokio::test]
async fn settings_that_name_what_is_not_there_are_named_themselves() {
    let mut hub = TestHub::start().await;
    hub.stop().await;
    let good = fs::read_to_string(settings(&hub)).unwrap();
    for (what, text) in [
        ("catalogue", good.replace("catalogue.json", "absent.json")),
        ("policies", good.replace("policies.cedar", "matters.json")),
        ("mandates", good.replace("mandates.json", "matters.json")),
        ("calendar", format!("calendar = \"matters.json\"\n{good}")),
        ("index_key", good.replace("index.key", "ca.pem")),
        (
            "client_anchors",
            good.replace("client_anchors = \"ca.pem\"", "client_anchors = \"ca.key\""),
        ),
        ("certificate", good.replace("certificate = \"server.pem\"", "certificate = \"hub.toml\"")),
        ("unheard_of", format!("unheard_of = 1\n{good}")),
        ("listen", good.replace("127.0.0.1:0", "127.0.0.1:99999")),
    ] {
        assert_ne!(text, good, "{what}: a case that changes nothing");
        fs::write(settings(&hub), &text).unwrap();
        let (status, error) = Program::serve(&hub).ends();
        assert!(!status.success(), "{what}");
        assert!(error.contains(what), "the key `{what}` is not named: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

// ---- a full disk --------------------------------------------------------------------------------

/// A hub whose data folder is a small file system of its own.
fn serve_on_a_small_disk(hub: &TestHub) -> Program {
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-ec"])
        .arg("mount -t tmpfs -o size=256m small \"$1\"; exec \"$2\" serve --config \"$3\"")
        .arg("sh")
        .arg(hub.folder.path().join("hub"))
        .arg(env!("CARGO_BIN_EXE_hub"))
        .arg(settings(hub));
    Program::start(command)
}

/// The market regulator, with a certificate that is good by the machine's clock.
fn issuer_today(hub: &TestHub) -> Actor {
    let mut issuer = hub.department("market-regulation");
    let from: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
    issuer.identity =
        Some(hub.signing_identity_from(&issuer.department, Profile::LicenceIssuer, from, 3_000));
    issuer
}

#[tokio::test]
async fn a_full_disk_refuses_what_it_cannot_keep_and_keeps_what_it_acknowledged() {
    let mut hub = TestHub::start().await;
    hub.stop().await;
    fs::remove_dir_all(hub.folder.path().join("hub")).unwrap();
    fs::create_dir(hub.folder.path().join("hub")).unwrap();
    hub.authority.revocation_list(&[], Timestamp::now()).unwrap();
    let program = serve_on_a_small_disk(&hub);
    hub.address = program.ready();
    let issuer = issuer_today(&hub);
    let (licence, pull) = hub.enterprise_licence();
    // Of another enterprise, so that a pull about the first finds one licence and not thousands; and
    // as long as they may be, so that it does not take ten thousand to fill what RocksDB has reserved.
    let (mut other, _) = hub.some_licence(|other, _| {
        other.licence_type.as_str() == "11100000MB0143028R001" && other.holders != licence.holders
    });
    other.fields.insert("business_scope".into(), "范".repeat(4_000).into());
    let first = issuer.issue(&licence).await;
    assert_eq!(first.status, 201, "{first:?}");

    // The disk as the program sees it, filled to the last byte.
    let disk = PathBuf::from(format!("/proc/{}/root", program.child.id()))
        .join(hub.folder.path().strip_prefix("/").unwrap())
        .join("hub");
    let ballast = disk.join("ballast");
    let mut acknowledged = vec![licence.clone()];
    let mut refused = None;
    for serial in 0..20_000 {
        let one = numbered(&other, serial);
        fill(&ballast);
        let answer = issuer.issue(&one).await;
        if answer.status == 201 {
            acknowledged.push(one);
            continue;
        }
        assert_refused(&answer, &[503, 507], &["store"]);
        assert_eq!(answer.json["retry"], true, "{answer:?}");
        refused = Some(one);
        break;
    }
    let refused = refused.expect("at some point nothing fits any more");

    // No use without a trace: what cannot be written down is not answered. A use is smaller than a
    // licence, and the store may have given back what it had reserved, so some may still fit.
    let puller = hub.puller(&pull);
    let mut uses = 0;
    let unanswered = loop {
        fill(&ballast);
        let answer = puller.pull(&pull).await;
        if answer.status != 200 {
            break answer;
        }
        assert_eq!(answer.json["use"], uses, "{answer:?}");
        uses += 1;
        assert!(uses < 20_000, "at some point nothing fits any more");
    };
    assert_refused(&unanswered, &[503, 507], &["store"]);
    assert!(unanswered.json.get("licences").is_none(), "{unanswered:?}");

    // There is room again: the hub goes on, at the latest when it is started anew on the same disk.
    fs::remove_file(&ballast).unwrap();
    let mut last = None;
    for _ in 0..100 {
        let answer = issuer.issue(&refused).await;
        let done = answer.status < 300;
        last = Some(answer);
        if done {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(last.as_ref().is_some_and(|answer| answer.status < 300), "{last:?}");
    for one in acknowledged.iter().chain([&refused]) {
        let answer = issuer.get(&format!("/v1/licences/{}", one.identifier)).await;
        assert_eq!(answer.status, 200, "acknowledged and gone: {answer:?}");
    }
    // The numbers of uses have no gap: all that were answered are there, and the refused one is not.
    let answer = puller.pull(&pull).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json["use"], uses, "{answer:?}");
}

/// Writes until the disk takes no more.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
    let mut block = vec![0x55_u8; 1 << 20];
    while !block.is_empty() {
        match file.write(&block) {
            Ok(written) if written > 0 => {}
            _ => block.truncate(block.len() / 2),
        }
    }
}

// ---- damaged files ------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug)]
enum Damage {
    FirstByte,
    MiddleByte,
    LastByte,
    HalfGone,
    Emptied,
    Removed,
}

fn damage(path: &Path, how: Damage) {
    let mut bytes = fs::read(path).unwrap();
    let length = bytes.len();
    match how {
        Damage::FirstByte => bytes[0] ^= 0x10,
        Damage::MiddleByte => bytes[length / 2] ^= 0x10,
        Damage::LastByte => bytes[length - 1] ^= 0x10,
        Damage::HalfGone => bytes.truncate(length / 2),
        Damage::Emptied => bytes.clear(),
        Damage::Removed => return fs::remove_file(path).unwrap(),
    }
    fs::write(path, bytes).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A folder with six licences, half of them in RocksDB's tables and half in its write-ahead log.
async fn six_licences() -> (TestHub, Vec<Licence>) {
    let mut hub = TestHub::start().await;
    let (licence, _) = hub.enterprise_licence();
    let licences: Vec<Licence> = (0..6).map(|serial| numbered(&licence, serial)).collect();
    for (number, licence) in licences.iter().enumerate() {
        if number == 3 {
            hub.restart().await;
        }
        let answer = hub.issuer().issue(licence).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    hub.stop().await;
    (hub, licences)
}

/// Opens the folder. Either that is refused, with words; or every licence is read as it was, or
/// refused, with words: never silently gone, never another.
async fn opened_or_refused(hub: &TestHub, licences: &[Licence]) -> Result<(), String> {
    let config = Config::read(&settings(hub)).unwrap();
    let opened = match Hub::open(config, Clock::standing_at(NOW.parse().unwrap())).await {
        Ok(opened) => opened,
        Err(error) => return Err(error.to_string()),
    };
    let mut refused = Ok(());
    for licence in licences {
        match opened.store.licence(&licence.identifier).await {
            Ok(Some(stored)) => assert_eq!(&stored.document[..], &licence.to_bytes()[..]),
            Ok(None) => panic!("{} is silently gone", licence.identifier),
            Err(error) => refused = Err(error.to_string()),
        }
    }
    opened.shut().await;
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_rocksdb_file_is_noticed() {
    let (hub, licences) = six_licences().await;
    let data = hub.folder.path().join("hub");
    let good = hub.folder.path().join("good");
    copy_folder(&data, &good);
    opened_or_refused(&hub, &licences).await.expect("undamaged, everything is there");

    let mut damaged = 0;
    let mut noticed = 0;
    let mut names: Vec<_> =
        fs::read_dir(good.join("store")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let name = name.to_str().unwrap();
        let kinds: &[Damage] = if name.ends_with(".sst") {
            &[
                Damage::MiddleByte,
                Damage::LastByte,
                Damage::HalfGone,
                Damage::Emptied,
                Damage::Removed,
            ]
        } else if name.starts_with("MANIFEST") {
            &[Damage::FirstByte, Damage::MiddleByte, Damage::Emptied, Damage::Removed]
        } else if name == "CURRENT" {
            &[Damage::FirstByte, Damage::MiddleByte, Damage::Emptied]
        } else if name.ends_with(".log")
            && fs::metadata(good.join("store").join(name)).unwrap().len() > 0
        {
            // A log that ends early looks like a power cut before the last write was acknowledged;
            // a changed byte in what was acknowledged does not.
            &[Damage::FirstByte, Damage::MiddleByte]
        } else {
            continue; // LOG, LOCK, IDENTITY, OPTIONS: nothing of a licence is in them
        };
        for how in kinds {
            fs::remove_dir_all(&data).unwrap();
            copy_folder(&good, &data);
            damage(&data.join("store").join(name), *how);
            damaged += 1;
            match opened_or_refused(&hub, &licences).await {
                Ok(()) => println!("{name} {how:?}: everything is there all the same"),
                Err(error) => {
                    println!("{name} {how:?}: {error}");
                    assert!(error.len() > 20, "{name} {how:?}: {error}");
                    noticed += 1;
                }
            }
        }
    }
    assert!(noticed * 2 > damaged, "{noticed} of {damaged} damages were noticed");
}

#[tokio::test]
async fn a_hub_on_a_damaged_store_says_so_and_does_not_start() {
    let (hub, _) = six_licences().await;
    let store = hub.folder.path().join("hub/store");
    let current = store.join("CURRENT");
    let manifest = store.join(fs::read_to_string(&current).unwrap().trim());
    damage(&manifest, Damage::MiddleByte);

    let (status, error) = Program::serve(&hub).ends();

    assert!(!status.success());
    assert!(error.contains(store.to_str().unwrap()), "the folder is not named: {error}");
    assert!(error.to_lowercase().contains("corrupt") || error.contains("damaged"), "{error}");
    assert!(!error.contains("panicked"), "{error}");
}

#[tokio::test]
async fn a_hub_that_is_told_to_stop_ends_without_a_crash() {
    let mut hub = TestHub::start().await;
    hub.stop().await;
    for _ in 0..10 {
        let program = Program::serve(&hub);
        program.ready();
        let told = Command::new("kill").arg(program.child.id().to_string()).status().unwrap();
        assert!(told.success());
        let (status, error) = program.ends();
        assert!(status.success(), "{status}: {error}");
    }
}
