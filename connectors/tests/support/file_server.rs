//! A real OpenSSH server for the tests.

use std::{path::PathBuf, time::Duration};

use connectors::{
    local_sshd::{LocalSshd, Options},
    sftp::{Login, Target},
};
use tempfile::TempDir;

/// An SSH server with its folder. It can be ended and started again at the same address.
pub struct FileServer {
    /// Before `folder`, so that it ends before its files are removed.
    server: Option<LocalSshd>,
    folder: TempDir,
    port: u16,
}

impl FileServer {
    pub async fn start() -> Self {
        Self::start_with(&Options::default()).await
    }

    pub async fn start_with(options: &Options) -> Self {
        assert!(
            LocalSshd::is_installed(),
            "OpenSSH is missing: the Debian packages `openssh-server` and `openssh-client`"
        );
        let folder = TempDir::new().unwrap();
        let server = LocalSshd::start_with(folder.path(), options).await.unwrap();
        let port = server.address().port();
        Self { server: Some(server), folder, port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    pub async fn start_again(&mut self) {
        let options = Options { port: Some(self.port), ..Options::default() };
        self.server = Some(LocalSshd::start_with(self.folder.path(), &options).await.unwrap());
    }

    /// It gets another host key, as after somebody set it up anew.
    pub async fn change_host_key(&mut self) {
        self.stop().await;
        for name in ["host_key", "host_key.pub"] {
            std::fs::remove_file(self.folder.path().join(name)).unwrap();
        }
        self.start_again().await;
    }

    /// Where its files are on the disk.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    pub fn user(&self) -> String {
        self.server.as_ref().unwrap().user().to_owned()
    }

    pub fn client_key(&self) -> PathBuf {
        self.folder.path().join("client_key")
    }

    /// A file with its host key as it is known at this port of the loopback.
    pub fn known_at(&self, port: u16) -> PathBuf {
        let path = self.folder.path().join(format!("known_hosts-{port}"));
        let line = self.server.as_ref().unwrap().known_host("127.0.0.1", port).unwrap();
        std::fs::write(&path, line).unwrap();
        path
    }

    pub fn target(&self) -> Target {
        self.target_at(self.port)
    }

    /// Through a relay.
    pub fn target_at(&self, port: u16) -> Target {
        Target {
            host: "127.0.0.1".to_owned(),
            port,
            user: self.user(),
            login: Login::Key(self.client_key()),
            host_key: self.known_at(port),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
        }
    }
}
