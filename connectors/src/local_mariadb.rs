//! A MariaDB server of one's own, from the programs that Debian installs: an exchange database that tests write to.
//!
//! It listens on a Unix socket in its folder, belongs to the process that started it and ends with it, also when that
//! is killed. It trades durability for speed: a power cut may cost the folder. Not for records that matter.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use mysql_async::prelude::Queryable;
use ring::digest;
use tokio::time;

use crate::local_postgres::{
    SOCKET_PATH_LIMIT, User, effective_user, end_of, is_reachable, is_root, output, server_user,
    tail,
};

/// Where Debian keeps the programs.
const INSTALL: &str = "/usr/bin/mariadb-install-db";
const SERVER: &str = "/usr/sbin/mariadbd";
/// The user that Debian's package makes, and the server runs as when we are root: it refuses to run as root.
const SERVER_USER: &str = "mysql";
/// How long the server may take to answer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Runs the server until it ends, or until this script's input ends because whoever started it is gone: then it is
/// told to stop (SIGTERM), and killed if it has not after five seconds.
const KEEPER: &str = r#"exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(cat <&3 >/dev/null; kill -TERM "$server"; for i in 1 2 3 4 5; do sleep 1; kill -0 "$server" || exit; done; kill -KILL "$server") 2>/dev/null >/dev/null &
exec 3<&-
wait "$server""#;

/// MariaDB's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    run_as: Option<User>,
}

/// What a server may be started with beside the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Listen on this port of 127.0.0.1 too.
    pub port: Option<u16>,
    /// Certificate and key in PEM, for TLS on the port.
    pub tls: Option<(String, String)>,
    /// Keep the databases here in place of `data` in the folder: a small file system, for instance.
    pub data: Option<PathBuf>,
    /// Copy the empty databases from this folder in place of making them, which takes seconds. The first who wants them
    /// makes them there; the folder is kept.
    pub prepared: Option<PathBuf>,
    /// Further options of the server, such as `--max-allowed-packet=1M`.
    pub more: Vec<String>,
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct LocalMariaDb {
    socket: PathBuf,
    keeper: Child,
    _lock: File,
}

/// Why no server is running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalMariaDbError {
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
    /// `mariadb-install-db` failed.
    #[error("mariadb-install-db failed: {said}")]
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

impl LocalMariaDbError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "mariadb_folder",
            Self::InUse { .. } => "mariadb_in_use",
            Self::Program { .. } => "mariadb_program",
            Self::Init { .. } => "mariadb_init",
            Self::Start { .. } => "mariadb_start",
        }
    }
}

impl LocalMariaDb {
    /// MariaDB of Debian's package `mariadb-server`; `None` if there is none that can be run: as root that takes
    /// `setpriv` and the user `mysql` too.
    pub fn find() -> Option<Programs> {
        let there = [INSTALL, SERVER].iter().all(|program| Path::new(program).is_file());
        let run_as = if is_root() { Some(server_user(SERVER_USER)?) } else { None };
        there.then_some(Programs { run_as })
    }

    /// Starts a server that keeps everything in `folder`, which is made if it is missing. What an earlier one left
    /// there is used again; if that one still runs, because it was abandoned, it is stopped first.
    ///
    /// As root, a folder that the user `mysql` cannot reach is replaced by one in /var/tmp, and a file in `folder` says
    /// which.
    ///
    /// # Errors
    /// `InUse` if another live process has a server there; else what did not work.
    pub async fn start(
        folder: &Path,
        programs: &Programs,
        options: &Options,
    ) -> Result<Self, LocalMariaDbError> {
        let place = Place::prepare(folder, programs, options)?;
        let lock = place.lock()?;
        place.stop_abandoned().await;
        place.initialise(programs, options).await?;
        let keeper = place.run(programs, options)?;
        let mut server = Self { socket: place.socket.clone(), keeper, _lock: lock };
        server.wait_until_ready(&place).await?;
        Ok(server)
    }

    /// The Unix socket: the setting `host`. The user `root` has no password.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A connection as the user `root`.
    ///
    /// # Errors
    /// What the server or the library says.
    pub async fn connect(&self) -> Result<mysql_async::Conn, mysql_async::Error> {
        mysql_async::Conn::new(root(&self.socket)).await
    }

    /// Stops the server and waits until it has ended. Connections are cut, what is committed is kept.
    pub async fn stop(mut self) {
        drop(self.keeper.stdin.take());
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.keeper.try_wait(), Ok(None)) && Instant::now() < deadline {
            time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn wait_until_ready(&mut self, place: &Place) -> Result<(), LocalMariaDbError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Ok(mut connection) = self.connect().await
                && connection.query_drop("SELECT 1").await.is_ok()
            {
                // Whether it ends in good order does not matter.
                let _ = connection.disconnect().await;
                return Ok(());
            }
            let ended = self.keeper.try_wait().ok().flatten().is_some();
            if ended || Instant::now() > deadline {
                let log = place.log();
                return Err(LocalMariaDbError::Start { said: end_of(&log), log });
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for LocalMariaDb {
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

fn root(socket: &Path) -> mysql_async::Opts {
    mysql_async::OptsBuilder::default()
        .socket(Some(socket.display().to_string()))
        .prefer_socket(true)
        .user(Some("root"))
        .into()
}

/// Where a server keeps what.
struct Place {
    folder: PathBuf,
    data: PathBuf,
    socket: PathBuf,
}

impl Place {
    fn prepare(
        wanted: &Path,
        programs: &Programs,
        options: &Options,
    ) -> Result<Self, LocalMariaDbError> {
        fs::create_dir_all(wanted).map_err(|source| folder_error(wanted, source))?;
        let wanted = fs::canonicalize(wanted).map_err(|source| folder_error(wanted, source))?;
        let hash = hex::encode(
            &digest::digest(&digest::SHA256, wanted.as_os_str().as_encoded_bytes()).as_ref()[..6],
        );
        let mut folder = wanted.clone();
        if let Some(user) = &programs.run_as
            && !is_reachable(&wanted, user)
        {
            folder = PathBuf::from(format!("/var/tmp/yihao-mariadb-{hash}"));
            let note = wanted.join("where-the-database-is.txt");
            let text = format!(
                "The user `{SERVER_USER}`, whom the database server runs as, cannot reach this folder.\n\
                 The database is in {}\n",
                folder.display()
            );
            fs::write(&note, text).map_err(|source| folder_error(&note, source))?;
        }
        programs.own_folder(&folder)?;
        let mut socket = folder.join("socket");
        if socket.as_os_str().as_encoded_bytes().len() > SOCKET_PATH_LIMIT {
            let short = std::env::temp_dir().join(format!("yihao-socket-{hash}"));
            programs.own_folder(&short)?;
            socket = short.join("socket");
        }
        let data = options.data.clone().unwrap_or_else(|| folder.join("data"));
        Ok(Self { folder, data, socket })
    }

    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Of its own: servers that share one take each other's temporary tables away.
    fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("server.pid")
    }

    /// Held as long as our server runs; the system lets go of it when we are killed.
    fn lock(&self) -> Result<File, LocalMariaDbError> {
        let path = self.folder.join("lock");
        let file = File::create(&path).map_err(|source| folder_error(&path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                Err(LocalMariaDbError::InUse { path: self.folder.clone() })
            }
            Err(TryLockError::Error(source)) => Err(folder_error(&path, source)),
        }
    }

    /// We have the lock, so a server that still runs here belongs to nobody. The number in the file may be another
    /// process's by now: it is the server only if it was started on this folder.
    async fn stop_abandoned(&self) {
        let argument = self.data_argument();
        let deadline = Instant::now() + STOP_LIMIT;
        let mut told = false;
        while Instant::now() < deadline {
            let Ok(text) = fs::read_to_string(self.pid_file()) else { return };
            let pid = text.trim();
            let runs = !pid.is_empty()
                && pid.bytes().all(|byte| byte.is_ascii_digit())
                && fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                    line.split(|byte| *byte == 0).any(|found| found == argument.as_bytes())
                });
            if !runs {
                return;
            }
            if !told {
                let mut kill = Command::new("kill");
                kill.args(["-TERM", pid]);
                // Failing, it has ended by itself meanwhile.
                let _ = output(kill).await;
                told = true;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn data_argument(&self) -> String {
        format!("--datadir={}", self.data.display())
    }

    /// Makes the database unless that was done completely before.
    async fn initialise(
        &self,
        programs: &Programs,
        options: &Options,
    ) -> Result<(), LocalMariaDbError> {
        let done = self.folder.join("initialised");
        if done.exists() && self.data.join("mysql").exists() {
            return Ok(());
        }
        // What is in the way is half of an earlier attempt; the folder itself may be the root of a file system.
        if let Ok(entries) = fs::read_dir(&self.data) {
            for entry in entries.flatten() {
                let path = entry.path();
                let removed =
                    if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(|source| folder_error(&path, source))?;
            }
        }
        programs.own_folder(&self.data)?;
        programs.own_folder(&self.temporary())?;
        match &options.prepared {
            None => self.install(&self.data, programs).await?,
            Some(prepared) => {
                self.prepare_once(prepared, programs).await?;
                copy(&prepared.join("data"), &self.data, programs)?;
            }
        }
        File::create(&done).map_err(|source| folder_error(&done, source))?;
        Ok(())
    }

    /// Makes empty databases in a folder.
    async fn install(&self, data: &Path, programs: &Programs) -> Result<(), LocalMariaDbError> {
        let mut install = programs.command(INSTALL);
        install.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
        install.args(["--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=8M"]);
        install
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--tmpdir={}", self.temporary().display()));
        let output = output(install)
            .await
            .map_err(|source| LocalMariaDbError::Program { program: INSTALL, source })?;
        if !output.status.success() {
            return Err(LocalMariaDbError::Init { said: tail(&output.stderr) });
        }
        Ok(())
    }

    /// Makes the databases that are copied, unless that was done completely before. One process at a time.
    async fn prepare_once(
        &self,
        prepared: &Path,
        programs: &Programs,
    ) -> Result<(), LocalMariaDbError> {
        fs::create_dir_all(prepared).map_err(|source| folder_error(prepared, source))?;
        let path = prepared.join("lock");
        let lock = File::create(&path).map_err(|source| folder_error(&path, source))?;
        let deadline = Instant::now() + START_LIMIT;
        while let Err(error) = lock.try_lock() {
            match error {
                TryLockError::WouldBlock if Instant::now() < deadline => {
                    time::sleep(Duration::from_millis(20)).await;
                }
                TryLockError::WouldBlock => return Err(LocalMariaDbError::InUse { path }),
                TryLockError::Error(source) => return Err(folder_error(&path, source)),
            }
        }
        let done = prepared.join("initialised");
        if done.exists() {
            return Ok(());
        }
        // In our own folder first: the server's user may not reach the other.
        self.install(&self.data, programs).await?;
        copy(&self.data, &prepared.join("data"), programs)?;
        File::create(&done).map_err(|source| folder_error(&done, source))?;
        Ok(())
    }

    fn run(&self, programs: &Programs, options: &Options) -> Result<Child, LocalMariaDbError> {
        let log = self.log();
        let output = File::create(&log).map_err(|source| folder_error(&log, source))?;
        let errors = output.try_clone().map_err(|source| folder_error(&log, source))?;
        let mut keeper = programs.command("/bin/sh");
        keeper.args(["-c", KEEPER, "keeper", SERVER, "--no-defaults"]).arg(self.data_argument());
        keeper.arg(format!("--socket={}", self.socket.display()));
        keeper.arg(format!("--tmpdir={}", self.temporary().display()));
        keeper.arg(format!("--pid-file={}", self.pid_file().display()));
        keeper.args([
            "--skip-name-resolve",
            "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-doublewrite=0",
            "--innodb-log-file-size=8M",
            "--innodb-buffer-pool-size=64M",
            "--performance-schema=OFF",
            "--character-set-server=utf8mb4",
        ]);
        match options.port {
            None => keeper.arg("--skip-networking"),
            Some(port) => keeper.arg("--bind-address=127.0.0.1").arg(format!("--port={port}")),
        };
        if let Some((certificate, key)) = &options.tls {
            let certificate = self.own_file("server.pem", certificate, programs)?;
            let key = self.own_file("server.key", key, programs)?;
            keeper.arg(format!("--ssl-cert={}", certificate.display()));
            keeper.arg(format!("--ssl-key={}", key.display()));
        }
        keeper
            .args(&options.more)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| LocalMariaDbError::Program { program: SERVER, source })
    }

    /// A small file that only the server can read.
    fn own_file(
        &self,
        name: &str,
        content: &str,
        programs: &Programs,
    ) -> Result<PathBuf, LocalMariaDbError> {
        let path = self.folder.join(name);
        let made = fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)))
            .and_then(|()| programs.give(&path));
        made.map_err(|source| folder_error(&path, source))?;
        Ok(path)
    }
}

impl Programs {
    /// The program, as an ordinary user when we are root.
    fn command(&self, program: &str) -> Command {
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
        for name in ["MYSQL_HOME", "MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT"] {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").current_dir("/");
        command
    }

    /// A folder that only the server's user, and root, can enter.
    fn own_folder(&self, path: &Path) -> Result<(), LocalMariaDbError> {
        fs::create_dir_all(path).map_err(|source| folder_error(path, source))?;
        let metadata = fs::symlink_metadata(path).map_err(|source| folder_error(path, source))?;
        let us = effective_user().unwrap_or(u32::MAX);
        let server = self.run_as.as_ref().map_or(us, |user| user.uid);
        // In a folder that everyone writes to, somebody else may have been first.
        if !metadata.is_dir() || (metadata.uid() != us && metadata.uid() != server) {
            let why = "it belongs to somebody else";
            let source = io::Error::new(io::ErrorKind::PermissionDenied, why);
            return Err(folder_error(path, source));
        }
        self.give(path)
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
            .map_err(|source| folder_error(path, source))
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        match &self.run_as {
            Some(user) => chown(path, Some(user.uid), Some(user.gid)),
            None => Ok(()),
        }
    }
}

/// Copies a folder with what is in it; what is there already is overwritten. It belongs to the server's user.
fn copy(from: &Path, to: &Path, programs: &Programs) -> Result<(), LocalMariaDbError> {
    programs.own_folder(to)?;
    let entries = fs::read_dir(from).map_err(|source| folder_error(from, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| folder_error(from, source))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target, programs)?;
        } else {
            let copied = fs::copy(&path, &target).and_then(|_| programs.give(&target));
            copied.map_err(|source| folder_error(&target, source))?;
        }
    }
    Ok(())
}

fn folder_error(path: &Path, source: io::Error) -> LocalMariaDbError {
    LocalMariaDbError::Folder { path: path.to_owned(), source }
}
