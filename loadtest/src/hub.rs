//! The real `hub` program, started on a folder, killed and started again.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use district::Department;
use serde::Deserialize;

use crate::{
    client::{Call, Target},
    error::Error,
    folder::Folder,
};

/// How long a start may take: a store of millions is read through before.
const START: Duration = Duration::from_secs(180);
/// How long a stop may take.
const STOP: Duration = Duration::from_secs(60);

/// The `hub` beside this program.
///
/// # Errors
/// `Program` if there is none.
pub fn beside() -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map_err(Error::file(Path::new("loadtest")))?;
    let hub = own.with_file_name("hub");
    if hub.is_file() {
        return Ok(hub);
    }
    Err(Error::Program {
        program: hub.display().to_string(),
        said: "not built: run `./dev build`, or name another with --hub".to_owned(),
    })
}

/// A command whose process gets the signal when the thread that starts it ends, however it ends, so
/// that nothing is left running. Everything here is started by the main thread.
pub fn bound_to_us(program: &Path, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--pdeathsig={signal}")).arg("--").arg(program);
    command
}

/// A port nobody listens on now.
///
/// # Errors
/// `Program` if the loopback has none.
pub fn free_address() -> Result<SocketAddr, Error> {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).map_err(
        |error| Error::Program { program: "a free port".to_owned(), said: error.to_string() },
    )
}

/// A running hub. Killed when dropped.
pub struct Hub {
    child: Child,
    log: PathBuf,
}

impl Hub {
    /// Starts `hub serve` on a folder's settings and waits until it is ready. What it logs is
    /// appended to `hub.log` in the folder.
    ///
    /// # Errors
    /// `Program` with the end of the log if it does not get ready.
    pub fn start(program: &Path, folder: &Folder) -> Result<Self, Error> {
        let log = folder.root().join("hub.log");
        let file =
            File::options().create(true).append(true).open(&log).map_err(Error::file(&log))?;
        let mut child = bound_to_us(program, "KILL")
            .arg("serve")
            .arg("--config")
            .arg(folder.settings())
            .env("RUST_LOG", "warn,hub=info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .map_err(Error::file(program))?;
        let output = child.stdout.take();
        let mut hub = Self { child, log };
        let (told, lines) = mpsc::channel();
        // Reads to the end, so that the hub never blocks on its output.
        std::thread::spawn(move || {
            let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
            for line in lines.map_while(Result::ok) {
                let _ = told.send(line);
            }
        });
        let deadline = Instant::now() + START;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line == "ready" => return Ok(hub),
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(hub.failed("not ready in time"));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(hub.failed("ended before it was ready"));
                }
            }
        }
    }

    fn failed(&mut self, said: &str) -> Error {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut end: Vec<&str> = log.lines().rev().take(5).collect();
        end.reverse();
        Error::Program {
            program: "hub serve".to_owned(),
            said: format!("{said}\n{}", end.join("\n")),
        }
    }

    /// The most memory it has held so far, in bytes (`VmHWM`).
    pub fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.unwrap_or(0_u64) * 1024
    }

    /// Starts counting the most memory anew: what [`Hub::peak_memory`] tells is from now on.
    pub fn forget_peak_memory(&self) {
        // 5 resets the mark (proc(5), clear_refs). Where that is not allowed the mark stays, which tells more, not less.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    /// Kills it as a power cut would: SIGKILL, no warning.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it as an operator would, and waits until it has ended.
    ///
    /// # Errors
    /// `Program` if it does not end, or not well.
    pub fn stop(mut self) -> Result<(), Error> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        if !asked.is_ok_and(|status| status.success()) {
            return Err(self.failed("could not be told to stop"));
        }
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.failed(&format!("ended with {status}"))),
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => return Err(self.failed(&error.to_string())),
            }
        }
        Err(self.failed("did not stop in time"))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Only a hub that was neither killed nor stopped is still there.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// As whom a department speaks with the hub of a folder.
///
/// # Errors
/// `File`, `Identity`.
pub fn target(folder: &Folder, at: SocketAddr, department: &Department) -> Result<Target, Error> {
    let (identity, key) = folder.client(department);
    Target::new(&format!("https://localhost:{}", at.port()), &identity, &key, &folder.ca())
}

/// Waits until what was taken in can be found.
///
/// # Errors
/// `Connection`, `Answer`, or `Patience` after five minutes.
pub async fn wait_for_search(target: &Target) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Readiness {
        search_lag: u64,
    }
    let deadline = Instant::now() + Duration::from_secs(300);
    while Instant::now() < deadline {
        let answer = target.once(&Call::get("/readyz")).await?;
        if answer.json::<Readiness>("GET /readyz")?.search_lag == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(Error::Patience("the search to catch up".to_owned()))
}

/// A running `hub import`. Killed when dropped.
pub struct Import {
    child: Child,
    output: PathBuf,
}

impl Import {
    /// Starts the import of a department's batches.
    ///
    /// # Errors
    /// `File` if the program cannot be started.
    pub fn start(
        program: &Path,
        folder: &Folder,
        department: &Department,
        at: SocketAddr,
    ) -> Result<Self, Error> {
        let (identity, key) = folder.client(department);
        let output = folder.root().join(format!("import-{}.log", department.slug));
        let file = File::create(&output).map_err(Error::file(&output))?;
        let errors = file.try_clone().map_err(Error::file(&output))?;
        let child = bound_to_us(program, "KILL")
            .arg("import")
            .arg(folder.import(department))
            .arg("--to")
            .arg(format!("https://localhost:{}", at.port()))
            .arg("--identity")
            .arg(identity)
            .arg("--key")
            .arg(key)
            .arg("--ca")
            .arg(folder.ca())
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .map_err(Error::file(program))?;
        Ok(Self { child, output })
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end and reads what it counted.
    ///
    /// # Errors
    /// `Program` if it ended without a summary.
    pub fn finish(mut self) -> Result<Imported, Error> {
        let status = self.child.wait().map_err(Error::file(&self.output))?;
        let text = std::fs::read_to_string(&self.output).map_err(Error::file(&self.output))?;
        text.lines().find_map(|line| Imported::parse(line, status)).ok_or_else(|| Error::Program {
            program: "hub import".to_owned(),
            said: format!("{status}: {}", text.trim()),
        })
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What an import counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Taken in by this run.
    pub stored: u64,
    /// Were there before.
    pub already_held: u64,
    /// Refused.
    pub refused: u64,
    /// Listed in a manifest and not handed in.
    pub missing: u64,
    /// It ended with exit code 0.
    pub success: bool,
}

impl Imported {
    /// `stored 1, already held 2, refused 3, missing 4`
    fn parse(line: &str, status: ExitStatus) -> Option<Self> {
        let mut counts = line.split(", ");
        let mut count = |name: &str| counts.next()?.strip_prefix(name)?.trim().parse::<u64>().ok();
        Some(Self {
            stored: count("stored")?,
            already_held: count("already held")?,
            refused: count("refused")?,
            missing: count("missing")?,
            success: status.success(),
        })
    }
}

/// Copies a folder of files; where the file system can, without copying the bytes.
///
/// # Errors
/// `File`.
pub fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(to).map_err(Error::file(to))?;
    for entry in std::fs::read_dir(from).map_err(Error::file(from))? {
        let entry = entry.map_err(Error::file(from))?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &copy)?;
        } else {
            std::fs::copy(&source, &copy).map_err(Error::file(&source))?;
        }
    }
    Ok(())
}

/// The bytes of all files in a folder.
pub fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_summary_line_of_an_import_is_read() {
        let line = "stored 12, already held 3, refused 1, missing 0";
        let read = Imported::parse(line, ExitStatus::from_raw(256)).unwrap();
        assert_eq!(
            read,
            Imported { stored: 12, already_held: 3, refused: 1, missing: 0, success: false }
        );
        assert!(Imported::parse("hub: nothing there", ExitStatus::from_raw(0)).is_none());
    }
}
