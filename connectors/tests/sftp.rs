//! Files on another machine, against a real OpenSSH server.

mod support;

use std::{fs, time::Duration};

use connectors::{
    DeliveryError,
    local_sshd::{LocalSshd, Options},
    sftp::{Login, PART, Put, Session, Sftp, Target},
};
use support::{
    file_server::FileServer,
    relay::{Relay, Weather},
};

async fn code(target: &Target) -> (&'static str, bool) {
    let error = Session::open(target).await.expect_err("no connection comes about");
    (error.code(), matches!(error, DeliveryError::Configuration(_)))
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|position| (position / 7 % 251) as u8).collect()
}

#[tokio::test]
async fn a_file_is_put_read_listed_renamed_and_removed() {
    let server = FileServer::start().await;
    let session = Session::open(&server.target()).await.unwrap();
    session.make_folder("out").await.unwrap();
    session.make_folder("out").await.unwrap();
    let content = bytes(1_000_003);
    assert_eq!(session.put("out/a", &content).await.unwrap(), Put::Written { resumed: 0 });
    assert_eq!(session.put("out/a", &content).await.unwrap(), Put::Same);
    assert_eq!(session.put("out/empty", b"").await.unwrap(), Put::Written { resumed: 0 });
    assert_eq!(session.read("out/a", content.len()).await.unwrap().unwrap(), content);
    assert_eq!(session.read("out/empty", 0).await.unwrap().unwrap(), b"");
    assert_eq!(session.read("out/b", 10).await.unwrap(), None);
    let error = session.read("out/a", content.len() - 1).await.unwrap_err();
    assert_eq!(error.code(), "answer_too_large");

    session.rename("out/empty", "out/a").await.unwrap();
    let listed = session.list("out", 10).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].name.as_str(), listed[0].size, listed[0].is_file), ("a", 0, true));
    assert!(listed[0].modified > 1_700_000_000);
    assert!(!session.about("out").await.unwrap().unwrap().is_file);
    session.remove("out/a").await.unwrap();
    session.remove("out/a").await.unwrap();
    assert_eq!(session.about("out/a").await.unwrap(), None);
}

#[tokio::test]
async fn other_content_under_the_same_name_is_replaced_as_a_whole() {
    let server = FileServer::start().await;
    let session = Session::open(&server.target()).await.unwrap();
    session.put("a", b"first").await.unwrap();
    assert_eq!(session.put("a", b"other").await.unwrap(), Put::Written { resumed: 0 });
    assert_eq!(fs::read(server.files().join("a")).unwrap(), b"other");
}

#[tokio::test]
async fn an_interrupted_transfer_goes_on_where_it_ended() {
    let server = FileServer::start().await;
    let relay = Relay::to(([127, 0, 0, 1], server.port()).into()).await;
    let sftp = Sftp::new(server.target_at(relay.address().port()));
    let content = bytes(3_000_000);
    sftp.session().await.unwrap().keep();
    relay.set(Weather::CutSending(1_500_000));
    let error = sftp.session().await.unwrap().put("a", &content).await.unwrap_err();
    assert_eq!(error.code(), "connection_lost");
    assert!(matches!(error, DeliveryError::Unreachable(_)));
    let part = server.files().join(format!("a{PART}"));
    let left = fs::metadata(&part).unwrap().len();
    assert!((1_000_000..3_000_000).contains(&left), "{left}");
    assert!(!server.files().join("a").exists());

    relay.set(Weather::Fair);
    let lease = sftp.session().await.unwrap();
    // The server may have written a little more after we looked.
    let put = lease.put("a", &content).await.unwrap();
    assert!(matches!(put, Put::Written { resumed } if resumed >= left), "{put:?}");
    lease.keep();
    assert!(!part.exists());
    assert_eq!(fs::read(server.files().join("a")).unwrap(), content);
}

#[tokio::test]
async fn what_is_left_of_another_file_is_not_gone_on_with() {
    let server = FileServer::start().await;
    let session = Session::open(&server.target()).await.unwrap();
    let content = bytes(100_000);
    let part = server.files().join(format!("a{PART}"));
    let mut other = content[..60_000].to_vec();
    other[59_999] ^= 1;
    for left in [other, bytes(100_001), b"x".to_vec()] {
        fs::write(&part, left).unwrap();
        assert_eq!(session.put("a", &content).await.unwrap(), Put::Written { resumed: 0 });
        assert_eq!(fs::read(server.files().join("a")).unwrap(), content);
        fs::remove_file(server.files().join("a")).unwrap();
    }
}

#[tokio::test]
async fn only_a_server_with_the_known_key_is_spoken_to() {
    let mut server = FileServer::start().await;
    let target = server.target();
    Session::open(&target).await.unwrap();
    let unknown = Target { host_key: server.known_at(server.port() ^ 1), ..target.clone() };
    assert_eq!(code(&unknown).await, ("host_key_unknown", true));
    fs::write(&unknown.host_key, format!("[127.0.0.1]:{} ssh-ed25519 ???\n", server.port()))
        .unwrap();
    assert_eq!(code(&unknown).await, ("file_unusable", true));
    let missing = Target { host_key: "/nowhere/known_hosts".into(), ..target.clone() };
    assert_eq!(code(&missing).await, ("file_unreadable", true));
    // A key of another kind is pinned: the server is not to show its ed25519 key and be believed.
    let p256 = "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";
    let line = format!("[127.0.0.1]:{} ecdsa-sha2-nistp256 {p256}\n", server.port());
    fs::write(&unknown.host_key, line).unwrap();
    assert_eq!(code(&unknown).await, ("host_key_differs", true));

    server.change_host_key().await;
    assert_eq!(code(&target).await, ("host_key_differs", true));
    Session::open(&server.target()).await.unwrap();
}

#[tokio::test]
async fn hashed_lines_of_known_hosts_are_understood() {
    let server = FileServer::start().await;
    let target = server.target();
    let hashed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(&target.host_key)
        .output()
        .unwrap();
    assert!(hashed.status.success());
    assert!(fs::read_to_string(&target.host_key).unwrap().starts_with("|1|"));
    Session::open(&target).await.unwrap();
}

#[tokio::test]
async fn another_key_or_user_is_not_let_in() {
    let server = FileServer::start().await;
    let other = FileServer::start().await;
    let stranger = Target { login: Login::Key(other.client_key()), ..server.target() };
    assert_eq!(code(&stranger).await, ("server_login_refused", true));
    let user = Target { user: "nobody".to_owned(), ..server.target() };
    assert_eq!(code(&user).await, ("server_login_refused", true));
    let no_key = Target { login: Login::Key(server.known_at(1)), ..server.target() };
    assert_eq!(code(&no_key).await, ("file_unusable", true));
    let password = server.files().join("password");
    fs::write(&password, "secret\n").unwrap();
    let password = Target { login: Login::Password(password), ..server.target() };
    assert_eq!(code(&password).await, ("server_login_refused", true));
}

#[tokio::test]
async fn a_password_opens_a_server_that_takes_passwords() {
    let options = Options { password: Some("correct horse".to_owned()), ..Options::default() };
    let folder = tempfile::TempDir::new().unwrap();
    let server = match LocalSshd::start_with(folder.path(), &options).await {
        Ok(server) => server,
        // Who is not root cannot give passwords: that is the whole rule then.
        Err(error) => {
            use std::os::unix::fs::MetadataExt;
            assert_ne!(fs::metadata("/proc/self").unwrap().uid(), 0, "{error}");
            assert_eq!(error.code(), "sshd_password_needs_root");
            return;
        }
    };
    let port = server.address().port();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let target = |password: &str| Target {
        host: "127.0.0.1".to_owned(),
        port,
        user: server.user().to_owned(),
        login: Login::Password(file("password", password)),
        host_key: file("known", &server.known_host("127.0.0.1", port).unwrap()),
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
    };
    let session = Session::open(&target("correct horse\n")).await.unwrap();
    session.put("a", b"text").await.unwrap();
    assert_eq!(fs::read(server.files().join("a")).unwrap(), b"text");
    assert_eq!(code(&target("wrong\n")).await, ("server_login_refused", true));
}

#[tokio::test]
async fn what_is_no_file_server_is_told_apart() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let server = FileServer::start().await;
    assert_eq!(code(&server.target_at(closed)).await, ("connect_failed", false));

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target {
        connect_timeout: Duration::from_millis(200),
        ..server.target_at(silent.local_addr().unwrap().port())
    };
    assert_eq!(code(&target).await, ("timed_out", false));

    let without =
        FileServer::start_with(&Options { without_sftp: true, ..Options::default() }).await;
    assert_eq!(code(&without.target()).await, ("sftp_missing", true));
}

#[tokio::test]
async fn a_folder_that_is_missing_and_one_that_overflows_are_told() {
    let server = FileServer::start().await;
    let session = Session::open(&server.target()).await.unwrap();
    let error = session.put("nowhere/a", b"x").await.unwrap_err();
    assert_eq!(error.code(), "folder_missing");
    assert_eq!(session.list("nowhere", 1).await.unwrap_err().code(), "folder_missing");
    for name in ["a", "b", "c"] {
        fs::write(server.files().join(name), "").unwrap();
    }
    assert_eq!(session.list(".", 2).await.unwrap_err().code(), "folder_full");
    assert_eq!(session.list(".", 3).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_and_one_that_comes_back_is_found() {
    let mut server = FileServer::start().await;
    let relay = Relay::to(([127, 0, 0, 1], server.port()).into()).await;
    let target = server.target_at(relay.address().port());
    let sftp = Sftp::new(Target { timeout: Duration::from_millis(300), ..target });
    sftp.session().await.unwrap().keep();
    relay.set(Weather::Hang);
    let lease = sftp.session().await.unwrap();
    let error = lease.put("a", b"x").await.unwrap_err();
    assert!(matches!(error, DeliveryError::Unreachable(_)) && error.code() == "timed_out");
    drop(lease);
    relay.set(Weather::Fair);
    let lease = sftp.session().await.unwrap();
    lease.put("a", b"x").await.unwrap();
    lease.keep();

    server.stop().await;
    let lost = match sftp.session().await {
        Ok(lease) => lease.put("a", b"y").await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(lost, DeliveryError::Unreachable(_)), "{lost}");
    server.start_again().await;
    sftp.session().await.unwrap().put("a", b"y").await.unwrap();
    assert_eq!(fs::read(server.files().join("a")).unwrap(), b"y");
}

#[tokio::test]
async fn a_server_ends_with_its_connections_and_can_start_again_with_its_keys() {
    let mut server = FileServer::start().await;
    let target = server.target();
    let session = Session::open(&target).await.unwrap();
    server.stop().await;
    assert!(session.about(".").await.is_err());
    server.start_again().await;
    Session::open(&target).await.unwrap();
}
