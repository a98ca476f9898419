//! A PostgreSQL server of one's own, from the programs that Debian installs: the demo's province, and the database
//! that tests write to.
//!
//! It listens on a Unix socket in its folder, belongs to the process that started it and ends with it, also when
//! that is killed. It trades durability for speed (`fsync=off`): a power cut may cost the folder. Not for records
//! that matter.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use ring::digest;
use tokio::time;
use tokio_postgres::NoTls;

/// Where Debian keeps the programs, by major version below it.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql";
/// The user that Debian's package makes, and the server runs as when we are root: it refuses to run as root.
const SERVER_USER: &str = "postgres";
/// The oldest version that is known to work.
const OLDEST: u32 = 12;
/// Part of the socket's name even where no port is listened on.
const DEFAULT_PORT: u16 = 5432;
/// How long the server may take to answer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// The longest path of a Unix socket, without its final NUL. Source: unix(7), `sun_path`.
pub(crate) const SOCKET_PATH_LIMIT: usize = 107;
/// Runs the server until it ends, or until this script's input ends because whoever started it is gone: then it is
/// told to stop at once (SIGINT, "fast").
const KEEPER: &str = r#"exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(cat <&3 >/dev/null; kill -INT "$server") 2>/dev/null &
exec 3<&-
wait "$server""#;

/// PostgreSQL's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
    version: u32,
    run_as: Option<User>,
}

/// Whom the server runs as when we are root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What a server may be started with beside the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Listen on a port of 127.0.0.1 too, with TLS and passwords only.
    pub tls: Option<TlsListener>,
}

/// A TLS port of the loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsListener {
    /// The port.
    pub port: u16,
    /// PEM certificate of the server.
    pub certificate: String,
    /// PEM key of it.
    pub key: String,
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct LocalPostgres {
    socket_folder: PathBuf,
    port: u16,
    keeper: Child,
    _lock: File,
}

/// Why no server is running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalPostgresError {
    /// The folder cannot be used.
    #[error("the folder {} cannot be used: {source}", path.display())]
    Folder {
        /// The folder, or what is in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has a server on this folder.
    #[error("another process has a database server on {}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A program could not be started.
    #[error("{program} could not be started: {source}")]
    Program {
        /// Which.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("initdb failed: {said}")]
    Init {
        /// The end of what it wrote.
        said: String,
    },
    /// The server ended, or did not answer.
    #[error("the database server did not start; the end of {}: {said}", log.display())]
    Start {
        /// Its log.
        log: PathBuf,
        /// The end of it.
        said: String,
    },
}

impl LocalPostgresError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "postgres_folder",
            Self::InUse { .. } => "postgres_in_use",
            Self::Program { .. } => "postgres_program",
            Self::Init { .. } => "postgres_init",
            Self::Start { .. } => "postgres_start",
        }
    }
}

impl LocalPostgres {
    /// The newest PostgreSQL of Debian's package; `None` if there is none of version 12 or newer that can be run: as
    /// root that takes `setpriv` and the user `postgres` too.
    pub fn find() -> Option<Programs> {
        let run_as = if is_root() { Some(server_user(SERVER_USER)?) } else { None };
        fs::read_dir(DEBIAN_FOLDER)
            .ok()?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let version = entry.file_name().to_str()?.parse().ok()?;
                let folder = entry.path().join("bin");
                let complete =
                    ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file());
                (complete && version >= OLDEST).then_some((version, folder))
            })
            .max()
            .map(|(version, folder)| Programs { folder, version, run_as })
    }

    /// Starts a server that keeps everything in `folder`, which is made if it is missing. What an earlier one left
    /// there is used again; if that one still runs, because it was abandoned, it is stopped first.
    ///
    /// As root, a folder that the user `postgres` cannot reach is replaced by one in /var/tmp, and a file in `folder`
    /// says which.
    ///
    /// # Errors
    /// `InUse` if another live process has a server there; else what did not work.
    pub async fn start(folder: &Path, programs: &Programs) -> Result<Self, LocalPostgresError> {
        Self::start_with(folder, programs, &Options::default()).await
    }

    /// As [`LocalPostgres::start`], with options.
    ///
    /// # Errors
    /// As [`LocalPostgres::start`].
    pub async fn start_with(
        folder: &Path,
        programs: &Programs,
        options: &Options,
    ) -> Result<Self, LocalPostgresError> {
        let place = Place::prepare(folder, programs)?;
        let lock = place.lock()?;
        place.stop_abandoned(programs).await;
        place.initialise(programs).await?;
        let keeper = place.run(programs, options)?;
        let socket_folder = place.socket_folder.clone();
        let port = options.tls.as_ref().map_or(DEFAULT_PORT, |tls| tls.port);
        let mut server = Self { socket_folder, port, keeper, _lock: lock };
        // Processes of a server that was killed hold its memory for a moment after it.
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            match server.wait_until_ready(&place).await {
                Ok(()) => return Ok(server),
                Err(LocalPostgresError::Start { said, .. })
                    if said.contains("still in use") && Instant::now() < deadline =>
                {
                    time::sleep(Duration::from_millis(200)).await;
                    server.keeper = place.run(programs, options)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The connection string of the database `postgres`, user `postgres`, no password.
    pub fn connection(&self) -> String {
        let (folder, port) = (self.socket_folder.display(), self.port);
        format!("host='{folder}' port={port} user=postgres dbname=postgres")
    }

    /// The folder of the Unix socket: the setting `host`.
    pub fn socket_folder(&self) -> &Path {
        &self.socket_folder
    }

    /// Stops the server and waits until it has ended. Connections are cut, what is committed is kept.
    pub async fn stop(mut self) {
        drop(self.keeper.stdin.take());
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.keeper.try_wait(), Ok(None)) && Instant::now() < deadline {
            time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn wait_until_ready(&mut self, place: &Place) -> Result<(), LocalPostgresError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Ok((client, connection)) =
                tokio_postgres::connect(&self.connection(), NoTls).await
            {
                let connection = tokio::spawn(connection);
                let answered = client.simple_query("SELECT 1").await.is_ok();
                connection.abort();
                if answered {
                    return Ok(());
                }
            }
            let ended = self.keeper.try_wait().ok().flatten().is_some();
            if ended || Instant::now() > deadline {
                let log = place.log();
                return Err(LocalPostgresError::Start { said: end_of(&log), log });
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for LocalPostgres {
    /// Closes the keeper's input, which stops the server, and waits for that: whoever removes the folder next must
    /// not do so under a running server.
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.keeper.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Where a server keeps what.
struct Place {
    folder: PathBuf,
    socket_folder: PathBuf,
}

impl Place {
    fn prepare(wanted: &Path, programs: &Programs) -> Result<Self, LocalPostgresError> {
        make_folder(wanted)?;
        let wanted = fs::canonicalize(wanted).map_err(|source| folder_error(wanted, source))?;
        let hash = hex::encode(
            &digest::digest(&digest::SHA256, wanted.as_os_str().as_encoded_bytes()).as_ref()[..6],
        );
        let mut folder = wanted.clone();
        if let Some(user) = &programs.run_as
            && !is_reachable(&wanted, user)
        {
            folder = PathBuf::from(format!("/var/tmp/yihao-postgres-{hash}"));
            make_own_folder(&folder, programs)?;
            let note = wanted.join("where-the-database-is.txt");
            let text = format!(
                "The user `{SERVER_USER}`, whom the database server runs as, cannot reach this folder.\n\
                     The database is in {}\n",
                folder.display()
            );
            fs::write(&note, text).map_err(|source| folder_error(&note, source))?;
        }
        make_own_folder(&folder, programs)?;
        let mut socket_folder = folder.join("socket");
        if !is_fit_for_a_socket(&socket_folder) {
            socket_folder = std::env::temp_dir().join(format!("yihao-socket-{hash}"));
        }
        make_own_folder(&socket_folder, programs)?;
        Ok(Self { folder, socket_folder })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Held as long as our server runs; the system lets go of it when we are killed.
    fn lock(&self) -> Result<File, LocalPostgresError> {
        let path = self.folder.join("lock");
        let file = File::create(&path).map_err(|source| folder_error(&path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                Err(LocalPostgresError::InUse { path: self.folder.clone() })
            }
            Err(TryLockError::Error(source)) => Err(folder_error(&path, source)),
        }
    }

    /// We have the lock, so a server that still runs here belongs to nobody.
    async fn stop_abandoned(&self, programs: &Programs) {
        let data = self.data();
        let pid_file = data.join("postmaster.pid");
        match running(&pid_file) {
            // pg_ctl sends a signal to whatever process has the number, so we must know that it is this server.
            Some(arguments)
                if arguments
                    .iter()
                    .any(|argument| argument == data.as_os_str().as_encoded_bytes()) =>
            {
                let mut stop = programs.command("pg_ctl");
                stop.args(["stop", "--mode=immediate", "--silent", "--timeout=10", "--pgdata"])
                    .arg(&data);
                // Failing, it has ended by itself meanwhile; or the next server says that it has not.
                let _ = output(stop).await;
            }
            // Some PostgreSQL, started in another way: the next server says that it is in the way.
            Some(arguments)
                if arguments.first().is_some_and(|program| program.ends_with(b"postgres")) => {}
            // Nobody, or a process that was given the number since: a server would refuse to start beside it.
            _ => drop(fs::remove_file(&pid_file)),
        }
    }

    /// Makes the database unless that was done completely before.
    async fn initialise(&self, programs: &Programs) -> Result<(), LocalPostgresError> {
        let data = self.data();
        let done = self.folder.join("initialised");
        if done.exists() && data.join("PG_VERSION").exists() {
            return Ok(());
        }
        if data.exists() {
            fs::remove_dir_all(&data).map_err(|source| folder_error(&data, source))?;
        }
        let mut initdb = programs.command("initdb");
        initdb
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ])
            .args(["--no-instructions", "--pgdata"])
            .arg(&data);
        let output = output(initdb)
            .await
            .map_err(|source| LocalPostgresError::Program { program: "initdb", source })?;
        if !output.status.success() {
            return Err(LocalPostgresError::Init { said: tail(&output.stderr) });
        }
        File::create(&done).map_err(|source| folder_error(&done, source))?;
        Ok(())
    }

    fn run(&self, programs: &Programs, options: &Options) -> Result<Child, LocalPostgresError> {
        let log = self.log();
        let output = File::create(&log).map_err(|source| folder_error(&log, source))?;
        let errors = output.try_clone().map_err(|source| folder_error(&log, source))?;
        let mut keeper = programs.command_of(Path::new("/bin/sh"));
        keeper
            .args(["-c", KEEPER, "keeper"])
            .arg(programs.folder.join("postgres"))
            .arg("-D")
            .arg(self.data());
        let socket_folder = format!("unix_socket_directories={}", self.socket_folder.display());
        let mut settings = vec![
            socket_folder,
            "unix_socket_permissions=0700".to_owned(),
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "shared_buffers=64MB".to_owned(),
            "max_connections=50".to_owned(),
        ];
        match &options.tls {
            None => settings.push("listen_addresses=".to_owned()),
            Some(tls) => {
                let certificate = self.own_file("server.pem", &tls.certificate, programs)?;
                let key = self.own_file("server.key", &tls.key, programs)?;
                let rules = self.own_file(
                    "pg_hba.conf",
                    "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
                    programs,
                )?;
                settings.extend([
                    "listen_addresses=127.0.0.1".to_owned(),
                    format!("port={}", tls.port),
                    "ssl=on".to_owned(),
                    format!("ssl_cert_file={}", certificate.display()),
                    format!("ssl_key_file={}", key.display()),
                    format!("hba_file={}", rules.display()),
                ]);
            }
        }
        for setting in settings {
            keeper.arg("-c").arg(setting);
        }
        keeper
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| LocalPostgresError::Program { program: "postgres", source })
    }

    /// A small file that only the server can read.
    fn own_file(
        &self,
        name: &str,
        content: &str,
        programs: &Programs,
    ) -> Result<PathBuf, LocalPostgresError> {
        let path = self.folder.join(name);
        let made = fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)))
            .and_then(|()| programs.give(&path));
        made.map_err(|source| folder_error(&path, source))?;
        Ok(path)
    }
}

impl Programs {
    /// The major version.
    pub fn version(&self) -> u32 {
        self.version
    }

    fn command(&self, program: &str) -> Command {
        self.command_of(&self.folder.join(program))
    }

    /// The program, as an ordinary user when we are root.
    fn command_of(&self, program: &Path) -> Command {
        let mut command = match &self.run_as {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={}", user.uid))
                    .arg(format!("--regid={}", user.gid))
                    .arg("--clear-groups")
                    .arg(program);
                command
            }
        };
        // Settings of whoever calls must not lead elsewhere; and the folder we stand in may be closed to the server.
        for name in ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS"] {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").env("LC_MESSAGES", "C").current_dir("/");
        command
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        match &self.run_as {
            Some(user) => chown(path, Some(user.uid), Some(user.gid)),
            None => Ok(()),
        }
    }
}

pub(crate) async fn output(command: Command) -> io::Result<std::process::Output> {
    tokio::process::Command::from(command).stdin(Stdio::null()).output().await
}

/// The arguments of the process that `postmaster.pid` names, if there is one now.
fn running(pid_file: &Path) -> Option<Vec<Vec<u8>>> {
    let file = fs::read_to_string(pid_file).ok()?;
    let pid: u32 = file.lines().next()?.trim().parse().ok()?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(arguments.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect())
}

/// A folder that only the server's user, and root, can enter.
fn make_own_folder(path: &Path, programs: &Programs) -> Result<(), LocalPostgresError> {
    make_folder(path)?;
    let metadata = fs::symlink_metadata(path).map_err(|source| folder_error(path, source))?;
    let us = effective_user().unwrap_or(u32::MAX);
    let server = programs.run_as.as_ref().map_or(us, |user| user.uid);
    // In a folder that everyone writes to, somebody else may have been first.
    if !metadata.is_dir() || (metadata.uid() != us && metadata.uid() != server) {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else");
        return Err(folder_error(path, source));
    }
    programs
        .give(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
        .map_err(|source| folder_error(path, source))
}

fn make_folder(path: &Path) -> Result<(), LocalPostgresError> {
    fs::create_dir_all(path).map_err(|source| folder_error(path, source))
}

fn folder_error(path: &Path, source: io::Error) -> LocalPostgresError {
    LocalPostgresError::Folder { path: path.to_owned(), source }
}

/// Short enough for a socket in it, and without what connection strings and settings of PostgreSQL give a meaning.
fn is_fit_for_a_socket(folder: &Path) -> bool {
    let path = folder.join(format!(".s.PGSQL.{}", u16::MAX));
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.len() <= SOCKET_PATH_LIMIT
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(byte))
}

/// Whether the user may pass through every folder above this one.
pub(crate) fn is_reachable(folder: &Path, user: &User) -> bool {
    folder.ancestors().skip(1).all(|above| {
        fs::metadata(above).is_ok_and(|metadata| {
            let pass = if metadata.uid() == user.uid {
                0o100
            } else if metadata.gid() == user.gid {
                0o010
            } else {
                0o001
            };
            metadata.mode() & pass != 0
        })
    })
}

pub(crate) fn is_root() -> bool {
    effective_user() == Some(0)
}

/// The owner of our own entry in /proc is our effective user.
pub(crate) fn effective_user() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

/// A user of the system whom a server can be run as.
pub(crate) fn server_user(name: &str) -> Option<User> {
    let setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].iter().any(|path| Path::new(path).is_file());
    let users = fs::read_to_string("/etc/passwd").ok().filter(|_| setpriv)?;
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.first() == Some(&name)).then(|| {
            Some(User { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
        })?
    })
}

pub(crate) fn end_of(log: &Path) -> String {
    fs::read(log).map(|bytes| tail(&bytes)).unwrap_or_default()
}

/// The last few hundred bytes, on one line.
pub(crate) fn tail(bytes: &[u8]) -> String {
    // A killed server's processes leave holes of NULs when they write to a log that was cut.
    let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(600)..]).into_owned();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ")
}
