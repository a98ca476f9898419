//! Files on another machine, by SFTP: what the `files` connector and the intake of files share.
//!
//! SSH 2 (RFC 4251 to 4254) with a pinned host key; the file protocol is version 3 of draft-ietf-secsh-filexfer-02, the
//! one that OpenSSH has, with its extensions `posix-rename@openssh.com` and `fsync@openssh.com` where the server names
//! them. A file comes to its name complete or not at all: it is written under a name of its own ([`PART`]) and renamed.
//! What an interrupted transfer left there is gone on with, once it has been read back and found to be the beginning
//! of the file.

mod connect;
mod failure;
mod session;

use std::{
    fmt,
    ops::Deref,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::{Mutex, MutexGuard};

pub use session::{Entry, Put, Session};

use crate::{ConnectorSettings, DeliveryError, SettingsProblem};

/// What is added to a file's name while it is being written.
pub const PART: &str = ".part";

/// Where files are, and as whom they are read and written. `Debug` shows no user.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// How it is shown that we are this user.
    pub login: Login,
    /// A file with lines of `known_hosts` (sshd(8)): only a server with a key that stands there for this host and port is
    /// written to.
    pub host_key: PathBuf,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long the server may take for one answer.
    pub timeout: Duration,
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Target({})", self.address())
    }
}

/// How it is shown who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// A file with a private key without a passphrase, as OpenSSH writes it (or PKCS#8).
    Key(PathBuf),
    /// A file that holds the password and nothing else.
    Password(PathBuf),
}

/// The settings among those of every connector that say where files are.
pub const SHARED_SETTINGS: [&str; 5] = ["host", "port", "user", "key", "password_file"];

impl Target {
    /// Host and port, for messages.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Checks the settings, without looking at files.
    ///
    /// * `host_key`: the setting of that name, its path counted from the settings' folder.
    pub fn check(
        raw: &ConnectorSettings,
        host_key: Option<&Path>,
        problems: &mut Vec<SettingsProblem>,
    ) -> Option<Self> {
        let mut text = |setting, value: &Option<String>| match value.as_deref() {
            None => {
                problems.push(SettingsProblem::Missing { setting });
                None
            }
            Some(value) if value.is_empty() || value.len() > 255 || has_control(value) => {
                problems.push(SettingsProblem::Form { setting, form: "1 to 255 bytes of text" });
                None
            }
            Some(value) => Some(value.to_owned()),
        };
        let host = text("host", &raw.host);
        let user = text("user", &raw.user);
        let port = raw.port.unwrap_or(22);
        if port == 0 {
            problems.push(SettingsProblem::Range { setting: "port", min: 1, max: 65_535 });
        }
        let login = match (&raw.key, &raw.password_file) {
            (Some(key), None) => Some(Login::Key(key.clone())),
            (None, Some(password)) => Some(Login::Password(password.clone())),
            (None, None) => {
                problems.push(SettingsProblem::Missing { setting: "key" });
                None
            }
            (Some(_), Some(_)) => {
                problems.push(SettingsProblem::Beside { setting: "password_file", beside: "key" });
                None
            }
        };
        if host_key.is_none() {
            problems.push(SettingsProblem::Missing { setting: "host_key" });
        }
        let (connect_timeout, timeout) = raw.timeouts(problems);
        Some(Self {
            host: host?,
            port,
            user: user?,
            login: login?,
            host_key: host_key?.to_owned(),
            connect_timeout,
            timeout,
        })
    }
}

/// Whether this can be a folder over there: a path without `..` and control characters, up to 1,000 bytes.
pub fn is_folder(path: &str) -> bool {
    (1..=1_000).contains(&path.len())
        && !has_control(path)
        && path.split('/').all(|part| part != "..")
}

/// Whether this can be the name of a file over there that we use: no path, nothing that a shell or a person stumbles over.
pub fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name.starts_with('.')
        && !name.contains('/')
        && !has_control(name)
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// A path out of a folder and a name in it.
pub fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.strip_suffix('/').unwrap_or(folder))
}

/// A server with files, and the connection to it that is kept between uses.
pub struct Sftp {
    target: Target,
    kept: Mutex<Option<Session>>,
}

impl fmt::Debug for Sftp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sftp({})", self.target.address())
    }
}

impl Sftp {
    /// Nothing is connected to before it is used.
    pub fn new(target: Target) -> Self {
        Self { target, kept: Mutex::default() }
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The connection, made if there is none. One user at a time; others wait.
    ///
    /// # Errors
    /// `Unreachable`: no connection came about. `Configuration`: key, password or host key do not fit.
    pub async fn session(&self) -> Result<Lease<'_>, DeliveryError> {
        let mut kept = self.kept.lock().await;
        let session = match kept.take() {
            Some(session) if !session.is_closed() => session,
            _ => Session::open(&self.target).await?,
        };
        Ok(Lease { kept, session: Some(session) })
    }
}

/// A connection in use. Unless [`Lease::keep`] is called, it ends with this: what was asked for on it may still be
/// under way.
pub struct Lease<'a> {
    kept: MutexGuard<'a, Option<Session>>,
    session: Option<Session>,
}

impl fmt::Debug for Lease<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Lease")
    }
}

impl Lease<'_> {
    /// Every answer has come: the connection can be used again.
    pub fn keep(mut self) {
        *self.kept = self.session.take();
    }
}

impl Deref for Lease<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect("taken out only when the lease ends")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_names_stay_where_they_belong() {
        for good in ["/", "out", "/srv/一号/out", "out/", "./out"] {
            assert!(is_folder(good), "{good}");
        }
        for bad in ["", "../out", "/srv/../etc", "a\nb", &"x".repeat(1_001)] {
            assert!(!is_folder(bad), "{bad}");
        }
        assert!(is_name("city-1.answer.json"));
        for bad in ["", ".", "..", ".hidden", "a/b", "a\0b", &"x".repeat(256)] {
            assert!(!is_name(bad), "{bad}");
        }
        assert_eq!((join("/out/", "a"), join("out", "a")), ("/out/a".into(), "out/a".into()));
    }

    #[test]
    fn a_target_is_shown_without_user() {
        let target = Target {
            host: "files".to_owned(),
            port: 22,
            user: "yihao".to_owned(),
            login: Login::Key("key".into()),
            host_key: "known".into(),
            connect_timeout: Duration::ZERO,
            timeout: Duration::ZERO,
        };
        assert_eq!(format!("{target:?}"), "Target(files:22)");
    }

    #[test]
    fn what_it_takes_is_told_all_at_once() {
        let mut problems = Vec::new();
        let raw = ConnectorSettings { port: Some(0), ..ConnectorSettings::default() };
        assert_eq!(Target::check(&raw, None, &mut problems), None);
        let codes: Vec<_> = problems.iter().map(SettingsProblem::code).collect();
        assert_eq!(
            codes,
            [
                "setting_missing",
                "setting_missing",
                "setting_out_of_range",
                "setting_missing",
                "setting_missing"
            ]
        );
    }
}
