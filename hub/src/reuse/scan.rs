//! Asks clamd, over its unix socket, whether a file is harmful.
//!
//! clamd gets the bytes (`INSTREAM`), not a path: it need not be able to read the hub's files. What it refuses to look
//! at, and what it does not answer for, is not taken. `docs/operations.md` says which limits of clamd have to fit.

use std::{io, path::Path, time::Duration};

use clamav_client::tokio::{Socket, get_version, scan_file};

/// Longest time for a question.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Longest time for a file.
const SCANS_WITHIN: Duration = Duration::from_secs(15 * 60);
/// Bytes sent at a time.
const PIECE: usize = 64 << 10;

/// What an antivirus program said of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// It found nothing.
    Clean {
        /// Its name and version, and the version of its signatures.
        by: String,
    },
    /// It found something.
    Infected,
}

/// Has clamd look at a file.
///
/// # Errors
/// It cannot be reached, takes too long, or did not look at the whole file.
pub async fn scan(socket: &Path, file: &Path) -> io::Result<Scanned> {
    let connection = Socket { socket_path: socket };
    let version = within(ANSWERS_WITHIN, get_version(connection)).await?;
    let answer = within(SCANS_WITHIN, scan_file(file, connection, Some(PIECE))).await?;
    match std::str::from_utf8(&answer).unwrap_or("").trim_end_matches('\0').trim() {
        "stream: OK" => {
            let version = String::from_utf8_lossy(&version);
            let version = version.trim_end_matches('\0').trim();
            Ok(Scanned::Clean { by: version.chars().take(80).collect() })
        }
        found if found.ends_with(" FOUND") => Ok(Scanned::Infected),
        _ => Err(io::Error::other("clamd did not look at the whole file")),
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, work).await.map_err(|_| io::ErrorKind::TimedOut)?
}
