//! An OpenSSH server of one's own, from the programs that Debian installs: the demo's file server, and the one that
//! tests bring files to.
//!
//! It listens on a port of the loopback, has a host key of its own, lets in the user who started it and nobody else,
//! and does SFTP and nothing else. It ends with the process that started it, also when that is killed, and so do the
//! connections it has.

use std::{
    fs::{self, File},
    io::{self, Read},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::time;

/// Debian's OpenSSH server; it must be started by its whole path.
const SSHD: &str = "/usr/sbin/sshd";
/// Where sshd, as root, locks its unprivileged half in (sshd(8)).
const PRIVILEGE_FOLDER: &str = "/run/sshd";
/// How long the server may take to answer.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Runs the server until it ends, or until this script's input ends because whoever started it is gone: then the
/// server and every process it made for a connection are killed. Those have sessions of their own, so they are found
/// by their parents.
const KEEPER: &str = r#"end() {
  for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do end "$child"; done
  kill -KILL "$1" 2>/dev/null
}
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(cat <&3 >/dev/null; end "$server") &
exec 3<&-
wait "$server""#;
/// As [`KEEPER`]'s server, where passwords are wanted: in a view of the file system of its own, in which the user has a
/// password. The system's own files stay as they are.
const WITH_PASSWORD: &str =
    r#"mount --bind "$1" /etc/shadow && mount --bind "$2" /etc/passwd && shift 2 && exec "$@""#;

/// What a server may be started with beside the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The port; left out: a free one.
    pub port: Option<u16>,
    /// Let the user in by this password too. Only root can have that.
    pub password: Option<String>,
    /// SSH, but no SFTP.
    pub without_sftp: bool,
}

/// A running server. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct LocalSshd {
    folder: PathBuf,
    port: u16,
    user: String,
    keeper: Child,
}

/// Why no server is running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalSshdError {
    /// The folder cannot be used.
    #[error("{} cannot be used: {source}", path.display())]
    Folder {
        /// The folder, or what is in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("{program} could not be started: {source}")]
    Program {
        /// Which.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A key could not be made, or a password hashed.
    #[error("{program} failed: {said}")]
    Failed {
        /// Which.
        program: &'static str,
        /// The end of what it wrote.
        said: String,
    },
    /// Who we are has no name.
    #[error("/etc/passwd does not name the user who starts the server")]
    NoUser,
    /// Passwords are root's to give.
    #[error("only root can start a server that lets in by password")]
    PasswordNeedsRoot,
    /// The server ended, or did not answer.
    #[error("the SSH server did not start; the end of {}: {said}", log.display())]
    Start {
        /// Its log.
        log: PathBuf,
        /// The end of it.
        said: String,
    },
}

impl LocalSshdError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "sshd_folder",
            Self::Program { .. } => "sshd_program",
            Self::Failed { .. } => "sshd_failed",
            Self::NoUser => "sshd_no_user",
            Self::PasswordNeedsRoot => "sshd_password_needs_root",
            Self::Start { .. } => "sshd_start",
        }
    }
}

impl LocalSshd {
    /// Whether Debian's packages `openssh-server` and `openssh-client` are there.
    pub fn is_installed() -> bool {
        Path::new(SSHD).is_file() && Path::new("/usr/bin/ssh-keygen").is_file()
    }

    /// Starts a server that keeps its keys in `folder`, which is made if it is missing; keys that are there are used
    /// again. Relative paths of its users count from `folder/files`.
    ///
    /// # Errors
    /// What did not work.
    pub async fn start(folder: &Path) -> Result<Self, LocalSshdError> {
        Self::start_with(folder, &Options::default()).await
    }

    /// As [`LocalSshd::start`], with options.
    ///
    /// # Errors
    /// As [`LocalSshd::start`].
    pub async fn start_with(folder: &Path, options: &Options) -> Result<Self, LocalSshdError> {
        let user = user().ok_or(LocalSshdError::NoUser)?;
        if options.password.is_some() && !is_root() {
            return Err(LocalSshdError::PasswordNeedsRoot);
        }
        fs::create_dir_all(folder.join("files")).map_err(|source| folder_error(folder, source))?;
        let folder = fs::canonicalize(folder).map_err(|source| folder_error(folder, source))?;
        // It splits the arguments of its own SFTP program at spaces, and expands `%`.
        if folder.as_os_str().as_encoded_bytes().iter().any(|byte| b" \t\"%".contains(byte)) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "sshd cannot use this path");
            return Err(folder_error(&folder, source));
        }
        if is_root() {
            let privileges = Path::new(PRIVILEGE_FOLDER);
            fs::create_dir_all(privileges).map_err(|source| folder_error(privileges, source))?;
        }
        for name in ["host_key", "client_key"] {
            make_key(&folder, name).await?;
        }
        fs::copy(folder.join("client_key.pub"), folder.join("authorized_keys"))
            .map_err(|source| folder_error(&folder, source))?;
        // Somebody may take the free port before the server does.
        let mut tries = 0;
        loop {
            tries += 1;
            let port = match options.port {
                Some(port) => port,
                None => free_port().map_err(|source| folder_error(&folder, source))?,
            };
            let keeper = run(&folder, &user, port, options).await?;
            let mut server = Self { folder: folder.clone(), port, user: user.clone(), keeper };
            match server.wait_until_ready().await {
                Err(LocalSshdError::Start { said, .. })
                    if said.contains("already in use") && tries < 20 =>
                {
                    time::sleep(Duration::from_millis(100)).await;
                }
                outcome => return outcome.map(|()| server),
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The user it lets in: the setting `user`.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The folder that relative paths over there count from.
    pub fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// The private key that opens it: the setting `key`.
    pub fn client_key(&self) -> PathBuf {
        self.folder.join("client_key")
    }

    /// A line of `known_hosts` for this server, as it is known under this host and port.
    ///
    /// # Errors
    /// `Folder`: its key is gone.
    pub fn known_host(&self, host: &str, port: u16) -> Result<String, LocalSshdError> {
        let path = self.folder.join("host_key.pub");
        let key = fs::read_to_string(&path).map_err(|source| folder_error(&path, source))?;
        let parts: Vec<&str> = key.split_whitespace().take(2).collect();
        let host = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
        Ok(format!("{host} {}\n", parts.join(" ")))
    }

    /// Ends the server and its connections, and waits for that.
    pub async fn stop(mut self) {
        drop(self.keeper.stdin.take());
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.keeper.try_wait(), Ok(None)) && Instant::now() < deadline {
            time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn wait_until_ready(&mut self) -> Result<(), LocalSshdError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let address = self.address();
            let greeted = tokio::task::spawn_blocking(move || greets(address)).await;
            let ended = self.keeper.try_wait().ok().flatten().is_some();
            if !ended && matches!(greeted, Ok(true)) {
                return Ok(());
            }
            if ended || Instant::now() > deadline {
                let log = self.folder.join("server.log");
                return Err(LocalSshdError::Start { said: end_of(&log), log });
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for LocalSshd {
    /// Closes the keeper's input, which ends the server, and waits for that.
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.keeper.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whether an SSH server says who it is (RFC 4253, section 4.2).
fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && greeting == *b"SSH-"
}

async fn run(
    folder: &Path,
    user: &str,
    port: u16,
    options: &Options,
) -> Result<Child, LocalSshdError> {
    let configuration = folder.join("sshd_config");
    let text = configured(folder, user, port, options);
    fs::write(&configuration, text).map_err(|source| folder_error(&configuration, source))?;
    let log = folder.join("server.log");
    let output = File::create(&log).map_err(|source| folder_error(&log, source))?;
    let mut keeper = Command::new("/bin/sh");
    keeper.args(["-c", KEEPER, "keeper"]);
    if let Some(password) = &options.password {
        let (shadow, passwd) = with_password(folder, user, password).await?;
        keeper.args(["unshare", "--mount", "/bin/sh", "-c", WITH_PASSWORD, "view"]);
        keeper.arg(shadow).arg(passwd);
    }
    // Not a daemon (-D); it writes its log to standard error (-e).
    keeper.arg(SSHD).args(["-D", "-e", "-f"]).arg(&configuration);
    keeper
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .map_err(|source| LocalSshdError::Program { program: "sshd", source })
}

/// Source: sshd_config(5).
fn configured(folder: &Path, user: &str, port: u16, options: &Options) -> String {
    let folder = folder.display();
    let sftp = if options.without_sftp {
        String::new()
    } else {
        format!(
            "Subsystem sftp internal-sftp -d {folder}/files\nForceCommand internal-sftp -d {folder}/files\n"
        )
    };
    let password = if options.password.is_some() { "yes" } else { "no" };
    format!(
        "ListenAddress 127.0.0.1\n\
         Port {port}\n\
         HostKey \"{folder}/host_key\"\n\
         PidFile none\n\
         AuthorizedKeysFile \"{folder}/authorized_keys\"\n\
         StrictModes no\n\
         AllowUsers {user}\n\
         PermitRootLogin yes\n\
         PasswordAuthentication {password}\n\
         KbdInteractiveAuthentication no\n\
         UsePAM no\n\
         UseDNS no\n\
         DisableForwarding yes\n\
         PermitTTY no\n\
         MaxStartups 1000\n\
         {sftp}"
    )
}

/// A pair of keys, unless there is one.
async fn make_key(folder: &Path, name: &str) -> Result<(), LocalSshdError> {
    let path = folder.join(name);
    if path.exists() {
        return Ok(());
    }
    let mut keygen = tokio::process::Command::new("/usr/bin/ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path);
    let output = keygen
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|source| LocalSshdError::Program { program: "ssh-keygen", source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(LocalSshdError::Failed { program: "ssh-keygen", said: tail(&output.stderr) })
}

/// Copies of /etc/shadow and /etc/passwd with one line each: this user's, with this password.
async fn with_password(
    folder: &Path,
    user: &str,
    password: &str,
) -> Result<(PathBuf, PathBuf), LocalSshdError> {
    let mut openssl = tokio::process::Command::new("openssl");
    // `-stdin`, so that the password is no argument that everybody sees.
    openssl.args(["passwd", "-6", "-stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let failed = |source| LocalSshdError::Program { program: "openssl", source };
    let mut child = openssl.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        use tokio::io::AsyncWriteExt;
        input.write_all(format!("{password}\n").as_bytes()).await.map_err(failed)?;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    if !output.status.success() {
        return Err(LocalSshdError::Failed { program: "openssl", said: tail(&output.stderr) });
    }
    let hash = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let system = fs::read_to_string("/etc/passwd").unwrap_or_default();
    // sshd's unprivileged half runs as the user `sshd`.
    let wanted = [user, "sshd"];
    let passwd: String = system
        .lines()
        .filter(|line| wanted.iter().any(|name| line.split(':').next() == Some(name)))
        .map(|line| format!("{line}\n"))
        .collect();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        let made = fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)));
        made.map(|()| path.clone()).map_err(|source| folder_error(&path, source))
    };
    // 19000: the day it was set, counted from 1970; no end.
    let shadow =
        write("shadow", &format!("{user}:{hash}:19000:0:99999:7:::\nsshd:*:19000::::::\n"))?;
    let private = fs::set_permissions(&shadow, fs::Permissions::from_mode(0o600));
    private.map_err(|source| folder_error(&shadow, source))?;
    Ok((shadow, write("passwd", &passwd)?))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn folder_error(path: &Path, source: io::Error) -> LocalSshdError {
    LocalSshdError::Folder { path: path.to_owned(), source }
}

fn is_root() -> bool {
    effective_user() == Some(0)
}

/// The owner of our own entry in /proc is our effective user.
fn effective_user() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

/// The name of who we are.
fn user() -> Option<String> {
    let us = effective_user()?;
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid: u32 = fields.nth(1)?.parse().ok()?;
        (uid == us).then(|| name.to_owned())
    })
}

fn end_of(log: &Path) -> String {
    fs::read(log).map(|bytes| tail(&bytes)).unwrap_or_default()
}

/// The last few hundred bytes, on one line.
fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(600)..]).into_owned();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ")
}
