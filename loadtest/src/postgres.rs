//! A PostgreSQL server of our own for the exchange database of the province: in a folder, on a
//! Unix socket, ended with the folder.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use crate::error::Error;

/// How long the server may take to start.
const START: Duration = Duration::from_secs(60);

/// A running server with one database, `exchange`.
pub struct Postgres {
    server: Child,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    folder: PathBuf,
}

impl Postgres {
    /// Makes a cluster in `folder` and starts it. Debian's programs are used, the newest version;
    /// as root they run as the user `postgres`, because they refuse to run as root.
    ///
    /// # Errors
    /// `Program` with what the failing program said.
    pub fn start(folder: &Path) -> Result<Self, Error> {
        let programs = programs()?;
        let user = server_user()?;
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
            .map_err(Error::file(folder))?;
        if let Some((uid, gid)) = user {
            chown(folder, Some(uid), Some(gid)).map_err(Error::file(folder))?;
        }
        let data = folder.join("data");
        let initdb = command(&programs, user, "initdb")
            .args(["--username=exchange", "--auth=trust", "--encoding=UTF8", "--no-locale"])
            .arg("--no-sync")
            .arg("--pgdata")
            .arg(&data)
            .output();
        checked("initdb", initdb)?;
        let log = folder.join("server.log");
        let output = fs::File::create(&log).map_err(Error::file(&log))?;
        let errors = output.try_clone().map_err(Error::file(&log))?;
        // SIGQUIT is postgres' immediate shutdown: should we end without a word, so does it.
        let mut start = bound_command(&programs, user, "postgres", &["--pdeathsig=QUIT"]);
        start.arg("-D").arg(&data);
        for setting in [
            format!("unix_socket_directories={}", folder.display()),
            "listen_addresses=".to_owned(),
            // Power cuts are the hub's to survive here, not this server's.
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
            // Rows stay where they were put, so that their order can be checked.
            "autovacuum=off".to_owned(),
            "shared_buffers=64MB".to_owned(),
        ] {
            start.arg("-c").arg(setting);
        }
        let server = start
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(Error::file(&programs))?;
        let mut postgres = Self { server, programs, user, folder: folder.to_owned() };
        let deadline = Instant::now() + START;
        while postgres.psql("postgres", "select 1").is_err() {
            let ended = !matches!(postgres.server.try_wait(), Ok(None));
            if ended || Instant::now() > deadline {
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(program("postgres", said.lines().last().unwrap_or("did not start")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        postgres.psql("postgres", "create database exchange")?;
        Ok(postgres)
    }

    /// The table of a hub's settings that lets a `frontdb` connector of this name push here.
    pub fn connector(&self, name: &str) -> String {
        format!(
            "\n[[connectors]]\nname = \"{name}\"\nkind = \"frontdb\"\nhost = \"{}\"\nuser = \"exchange\"\n\
             database = \"exchange\"\ncreate_tables = true\npoll_ms = 200\n",
            self.folder.display()
        )
    }

    /// What a query gives: rows as lines, columns parted by tabs.
    ///
    /// # Errors
    /// `Program` with what psql said.
    pub fn query(&self, sql: &str) -> Result<String, Error> {
        self.psql("exchange", sql)
    }

    /// A query's one number; 0 while there is no such table yet.
    ///
    /// # Errors
    /// `Program`.
    pub fn count(&self, sql: &str) -> Result<u64, Error> {
        match self.query(sql) {
            Ok(text) => text.trim().parse().map_err(|_| program("psql", "expected a number")),
            Err(Error::Program { said, .. }) if said.contains("does not exist") => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// A connection that stays open, for a question that is asked often.
    ///
    /// # Errors
    /// `Program` if psql does not start.
    pub fn session(&self) -> Result<Session, Error> {
        let mut command = self.psql_command("exchange");
        let mut psql = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| program("psql", &error.to_string()))?;
        let pipes = psql.stdin.take().zip(psql.stdout.take());
        let (questions, answers) = pipes.ok_or_else(|| program("psql", "has no pipes"))?;
        Ok(Session { psql, questions, answers: BufReader::new(answers) })
    }

    fn psql(&self, database: &str, sql: &str) -> Result<String, Error> {
        let asked = self.psql_command(database).arg("--command").arg(sql).output();
        checked("psql", asked)
    }

    fn psql_command(&self, database: &str) -> Command {
        let mut command = command(&self.programs, self.user, "psql");
        command
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t"])
            .args(["--set=ON_ERROR_STOP=1", "--username=exchange"])
            .arg("--host")
            .arg(&self.folder)
            .arg("--dbname")
            .arg(database);
        command
    }
}

/// A connection that stays open: one psql. Ended when dropped.
pub struct Session {
    psql: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Session {
    /// The one number that a query of one line gives.
    ///
    /// # Errors
    /// `Program` if it gives something else, or nothing because psql ended.
    pub fn number(&mut self, sql: &str) -> Result<u64, Error> {
        let mut answer = String::new();
        let asked = writeln!(self.questions, "{sql};").and_then(|()| self.questions.flush());
        let told = asked.and_then(|()| self.answers.read_line(&mut answer));
        told.map_err(|error| program("psql", &error.to_string()))?;
        answer.trim().parse().map_err(|_| program("psql", "expected a number"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An immediate shutdown: nothing in there is wanted any more.
        let stopped = command(&self.programs, self.user, "pg_ctl")
            .args(["stop", "--mode=immediate", "--silent", "--pgdata"])
            .arg(self.folder.join("data"))
            .output();
        if stopped.is_err() {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

fn programs() -> Result<PathBuf, Error> {
    let root = Path::new("/usr/lib/postgresql");
    let versions = fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| root.join(format!("{version}/bin/initdb")).is_file())
        .max();
    newest
        .map(|version| root.join(format!("{version}/bin")))
        .ok_or_else(|| program("postgres", "not installed: `./dev setup test` installs it"))
}

/// As whom the programs run: `None` as we do.
fn server_user() -> Result<Option<(u32, u32)>, Error> {
    let us = fs::metadata("/proc/self").map_err(Error::file(Path::new("/proc/self")))?.uid();
    if us != 0 {
        return Ok(None);
    }
    let users = Path::new("/etc/passwd");
    let text = fs::read_to_string(users).map_err(Error::file(users))?;
    let found = text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_server = fields.first() == Some(&"postgres");
        is_server.then(|| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))?
    });
    match found {
        Some(user) => Ok(Some(user)),
        None => Err(program("postgres", "refuses to run as root, and there is no user `postgres`")),
    }
}

fn command(programs: &Path, user: Option<(u32, u32)>, name: &str) -> Command {
    bound_command(programs, user, name, &[])
}

fn bound_command(
    programs: &Path,
    user: Option<(u32, u32)>,
    name: &str,
    options: &[&str],
) -> Command {
    let mut command = Command::new("setpriv");
    if let Some((uid, gid)) = user {
        command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
    }
    command.args(options).arg("--").arg(programs.join(name));
    for name in ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS"] {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C.UTF-8").current_dir("/").stdin(Stdio::null());
    command
}

fn checked(name: &str, output: std::io::Result<std::process::Output>) -> Result<String, Error> {
    let output = output.map_err(|error| program(name, &error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(program(name, String::from_utf8_lossy(&output.stderr).trim()))
}

fn program(name: &str, said: &str) -> Error {
    Error::Program { program: name.to_owned(), said: said.to_owned() }
}
