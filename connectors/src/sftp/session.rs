//! What is done with files on an open connection.

use std::{fmt, ops::Range, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use russh_sftp::{
    client::{Config, RawSftpSession, error::Error as SftpError, rawsession::SftpResult},
    protocol::{FileAttributes, OpenFlags, Packet, StatusCode},
};
use tokio::time;

use super::{PART, Target, connect, connect::Connection, failure};
use crate::{DeliveryError, Problem};

/// Bytes of a file in one request: what every server takes (draft-ietf-secsh-filexfer-02, section 3).
const PIECE: usize = 32_768;
/// Requests under way at a time, so that a long way does not slow a file down.
const AT_ONCE: usize = 16;
/// How many times as long as one answer a file or a listing may take altogether, and how long at most.
const WHOLE: u32 = 40;
const LONGEST: Duration = Duration::from_secs(3_600);
/// Longest name that a listing may have, in bytes: no file system has longer ones.
const NAME_LIMIT: usize = 1_024;
/// Extensions of OpenSSH (its PROTOCOL file, sections 4.3 and 4.6).
const POSIX_RENAME: &str = "posix-rename@openssh.com";
const FSYNC: &str = "fsync@openssh.com";

/// A file or folder as a listing has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When it was last written, in seconds since 1970, by the server's clock.
    pub modified: u64,
    /// A plain file: no folder, no link.
    pub is_file: bool,
}

/// What came of putting a file somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was there already, the same to the byte.
    Same,
    /// It was written, or written to its end.
    Written {
        /// Bytes that an earlier attempt had brought over.
        resumed: u64,
    },
}

/// An open connection that has logged in. Dropping it ends it.
pub struct Session {
    raw: RawSftpSession,
    posix_rename: bool,
    fsync: bool,
    to: String,
    timeout: Duration,
    /// `None`: over a pipe of a test.
    connection: Option<Connection>,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Session({})", self.to)
    }
}

impl Session {
    /// Connects, logs in and starts SFTP.
    ///
    /// # Errors
    /// `Unreachable`: no connection came about. `Configuration`: key, password or host key do not fit, or there is no
    /// SFTP.
    pub async fn open(target: &Target) -> Result<Self, DeliveryError> {
        let connection = connect::connect(target).await?;
        let to = target.address();
        let started = time::timeout(target.timeout, async {
            let failed = |error: russh::Error| failure::of_connection(&to, &error);
            let mut channel = connection.handle.channel_open_session().await.map_err(failed)?;
            channel.request_subsystem(true, "sftp").await.map_err(failed)?;
            loop {
                match channel.wait().await {
                    Some(russh::ChannelMsg::Success) => break,
                    Some(russh::ChannelMsg::Failure) => {
                        let problem = Problem::SftpMissing { to: to.clone() };
                        return Err(DeliveryError::Configuration(problem));
                    }
                    Some(_) => {}
                    None => {
                        let problem = Problem::ConnectionLost { to: to.clone() };
                        return Err(DeliveryError::Unreachable(problem));
                    }
                }
            }
            // The time limit is ours: see `within`.
            let config = Config { request_timeout_secs: 86_400, ..Config::default() };
            let raw = RawSftpSession::new_with_config(channel.into_stream(), config);
            let version = raw.init().await;
            let version = version.map_err(|error| match failure::of_request(&to, "", &error) {
                // A server that cannot start its SFTP program ends the channel.
                DeliveryError::Unreachable(Problem::ConnectionLost { to })
                    if !connection.handle.is_closed() =>
                {
                    DeliveryError::Configuration(Problem::SftpMissing { to })
                }
                other => other,
            })?;
            Ok((raw, version))
        })
        .await;
        let (raw, version) =
            started.unwrap_or_else(|_| Err(failure::timed_out(&to, target.timeout)))?;
        let has = |name: &str| version.extensions.get(name).is_some_and(|version| version == "1");
        Ok(Self {
            posix_rename: has(POSIX_RENAME),
            fsync: has(FSYNC),
            raw,
            to,
            timeout: target.timeout,
            connection: Some(connection),
        })
    }

    /// Whether the connection has ended. That it has not does not show that it works.
    pub fn is_closed(&self) -> bool {
        self.connection.as_ref().is_none_or(|connection| connection.handle.is_closed())
    }

    /// What is in a folder, in no order, without `.` and `..`.
    ///
    /// # Errors
    /// `Configuration`: there is no such folder, or we may not read it; or there are more than `limit` files in it.
    /// `Unreachable`: also when the whole takes too long, as with all that goes over a file.
    pub async fn list(&self, folder: &str, limit: usize) -> Result<Vec<Entry>, DeliveryError> {
        self.in_all(self.list_whole(folder, limit)).await
    }

    async fn list_whole(&self, folder: &str, limit: usize) -> Result<Vec<Entry>, DeliveryError> {
        let handle = self.within(folder, self.raw.opendir(folder)).await?.handle;
        let mut entries = Vec::new();
        // `.` and `..` count: a server that tells nothing else must not go on for ever.
        let mut seen = 0;
        loop {
            let page = match self.answer(self.raw.readdir(handle.as_str())).await? {
                Ok(page) => page,
                Err(error) if is(&error, StatusCode::Eof) => break,
                Err(error) => return Err(failure::of_request(&self.to, folder, &error)),
            };
            if page.files.is_empty() {
                break; // not as the protocol has it; it must not go on for ever
            }
            seen += page.files.len();
            for file in page.files {
                if file.filename.len() > NAME_LIMIT {
                    let why = "a file's name is longer than any";
                    return Err(DeliveryError::Configuration(Problem::AnswerMalformed { why }));
                }
                if file.filename != "." && file.filename != ".." {
                    entries.push(entry(file.filename, &file.attrs));
                }
            }
            if entries.len() > limit || seen > limit.saturating_add(2) {
                let problem = Problem::FolderFull { path: folder.to_owned(), limit };
                return Err(DeliveryError::Configuration(problem));
            }
        }
        self.within(folder, self.raw.close(handle)).await?;
        Ok(entries)
    }

    /// A file or folder; `None`: there is none of this name.
    ///
    /// # Errors
    /// As the connection and the server have it.
    pub async fn about(&self, path: &str) -> Result<Option<Entry>, DeliveryError> {
        match self.answer(self.raw.stat(path)).await? {
            Ok(attrs) => {
                let name = path.rsplit('/').next().unwrap_or(path).to_owned();
                Ok(Some(entry(name, &attrs.attrs)))
            }
            Err(error) if is(&error, StatusCode::NoSuchFile) => Ok(None),
            Err(error) => Err(failure::of_request(&self.to, path, &error)),
        }
    }

    /// A file's bytes; `None`: there is none of this name.
    ///
    /// # Errors
    /// `Configuration` with `AnswerTooLarge`: it has more than `limit` bytes; with `AnswerMalformed`: it is no plain file.
    pub async fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, DeliveryError> {
        self.in_all(self.read_whole(path, limit)).await
    }

    async fn read_whole(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, DeliveryError> {
        let Some(about) = self.about(path).await? else { return Ok(None) };
        if !about.is_file {
            // Opening a pipe would wait for somebody who writes into it.
            let why = "what has the name of a file is a folder, a pipe or a device";
            return Err(DeliveryError::Configuration(Problem::AnswerMalformed { why }));
        }
        let Some(size) = usize::try_from(about.size).ok().filter(|size| *size <= limit) else {
            return Err(DeliveryError::Configuration(Problem::AnswerTooLarge { limit }));
        };
        let handle = match self.answer(self.open_file(path, OpenFlags::READ)).await? {
            Ok(handle) => handle,
            Err(error) if is(&error, StatusCode::NoSuchFile) => return Ok(None),
            Err(error) => return Err(failure::of_request(&self.to, path, &error)),
        };
        let pieces: Vec<Vec<u8>> = stream::iter(pieces(0..size))
            .map(|piece| self.read_piece(path, &handle, piece))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        self.within(path, self.raw.close(handle)).await?;
        Ok(Some(pieces.concat()))
    }

    /// Hands on a file's lines without their ends, a piece of the file at a time; `None`: there is none of this name.
    /// Inside: what `visit` said where it ended the reading, or that a line has more than `longest` bytes.
    ///
    /// # Errors
    /// As the connection and the server have it.
    pub async fn lines(
        &self,
        path: &str,
        longest: usize,
        visit: impl FnMut(&[u8]) -> Result<(), &'static str> + Send,
    ) -> Result<Option<Result<(), &'static str>>, DeliveryError> {
        self.in_all(self.lines_whole(path, longest, visit)).await
    }

    async fn lines_whole(
        &self,
        path: &str,
        longest: usize,
        mut visit: impl FnMut(&[u8]) -> Result<(), &'static str> + Send,
    ) -> Result<Option<Result<(), &'static str>>, DeliveryError> {
        let Some(about) = self.about(path).await? else { return Ok(None) };
        let size = usize::try_from(about.size).unwrap_or(usize::MAX);
        let handle = self.within(path, self.open_file(path, OpenFlags::READ)).await?;
        let mut read = stream::iter(pieces(0..size))
            .map(|piece| self.read_piece(path, &handle, piece))
            .buffered(AT_ONCE);
        let mut rest = Vec::new();
        let mut outcome = Ok(());
        while let Some(piece) = read.next().await {
            let piece = piece?;
            if piece.is_empty() {
                break; // its size is not what was told
            }
            rest.extend_from_slice(&piece);
            let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            for line in rest[..end].split_inclusive(|byte| *byte == b'\n') {
                outcome = outcome.and_then(|()| one_line(line, longest, &mut visit));
            }
            rest.drain(..end);
            if rest.len() > longest {
                outcome = outcome.and(Err(LINE_TOO_LONG));
            }
            if outcome.is_err() {
                break;
            }
        }
        if outcome.is_ok() && !rest.is_empty() {
            outcome = one_line(&rest, longest, &mut visit);
        }
        drop(read);
        self.within(path, self.raw.close(handle)).await?;
        Ok(Some(outcome))
    }

    /// Brings a file to its name, complete or not at all: written as `NAME.part`, flushed to the disk where the server
    /// can, and renamed. Goes on where an earlier attempt ended, if what that left is the beginning of this file.
    ///
    /// # Errors
    /// As the connection and the server have it; what came over stays as `NAME.part`.
    pub async fn put(&self, path: &str, bytes: &[u8]) -> Result<Put, DeliveryError> {
        self.in_all(self.put_whole(path, bytes)).await
    }

    async fn put_whole(&self, path: &str, bytes: &[u8]) -> Result<Put, DeliveryError> {
        let there = self.about(path).await?;
        if let Some(there) = &there
            && there.size == bytes.len() as u64
            && self.beginning(path, bytes, bytes.len()).await? == bytes.len()
        {
            return Ok(Put::Same);
        }
        let part = format!("{path}{PART}");
        let resumed = match self.about(&part).await? {
            Some(left) if left.is_file && left.size <= bytes.len() as u64 => {
                let size = left.size as usize; // at most the length of a slice
                let same = self.beginning(&part, bytes, size).await?;
                // Anything else in it is not of this file: written over from its first byte.
                if same == size { size } else { 0 }
            }
            _ => 0,
        };
        let fresh = if resumed == 0 { OpenFlags::TRUNCATE } else { OpenFlags::empty() };
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | fresh;
        let handle = self.within(&part, self.open_file(&part, flags)).await?;
        stream::iter(pieces(resumed..bytes.len()))
            .map(|piece| async {
                let (offset, piece) = (piece.start as u64, bytes[piece].to_vec());
                self.within(&part, self.raw.write(handle.as_str(), offset, piece)).await
            })
            .buffered(AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        if self.fsync {
            self.within(&part, self.raw.fsync(handle.as_str())).await?;
        }
        self.within(&part, self.raw.close(handle)).await?;
        self.rename(&part, path).await?;
        Ok(Put::Written { resumed: resumed as u64 })
    }

    /// Gives a file another name; one that has that name is replaced.
    ///
    /// # Errors
    /// As the connection and the server have it.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), DeliveryError> {
        if self.posix_rename {
            let names = [from, to].map(protocol_string).concat();
            let answer = self.within(from, self.raw.extended(POSIX_RENAME, names)).await?;
            return match answer {
                Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
                Packet::Status(status) => {
                    Err(failure::of_request(&self.to, to, &SftpError::Status(status)))
                }
                _ => Err(failure::of_request(&self.to, to, &SftpError::UnexpectedPacket)),
            };
        }
        // Version 3 renames to a free name only. Between the two steps there is no file of that name.
        self.remove(to).await?;
        self.within(from, self.raw.rename(from, to)).await?;
        Ok(())
    }

    /// Removes a file. That there is none is as good.
    ///
    /// # Errors
    /// As the connection and the server have it.
    pub async fn remove(&self, path: &str) -> Result<(), DeliveryError> {
        match self.answer(self.raw.remove(path)).await? {
            Ok(_) => Ok(()),
            Err(error) if is(&error, StatusCode::NoSuchFile) => Ok(()),
            Err(error) => Err(failure::of_request(&self.to, path, &error)),
        }
    }

    /// Makes a folder. That it is there is as good.
    ///
    /// # Errors
    /// As the connection and the server have it.
    pub async fn make_folder(&self, path: &str) -> Result<(), DeliveryError> {
        match self.answer(self.raw.mkdir(path, FileAttributes::empty())).await? {
            Ok(_) => Ok(()),
            // Version 3 has no code for "it is there".
            Err(error) => match self.about(path).await? {
                Some(there) if !there.is_file => Ok(()),
                _ => Err(failure::of_request(&self.to, path, &error)),
            },
        }
    }

    async fn open_file(&self, path: &str, flags: OpenFlags) -> SftpResult<String> {
        Ok(self.raw.open(path, flags, FileAttributes::empty()).await?.handle)
    }

    /// How many of the first `size` bytes of a file over there are those of `bytes`; they are read back for it.
    async fn beginning(
        &self,
        path: &str,
        bytes: &[u8],
        size: usize,
    ) -> Result<usize, DeliveryError> {
        let handle = self.within(path, self.open_file(path, OpenFlags::READ)).await?;
        let mut read = stream::iter(pieces(0..size))
            .map(|piece| self.read_piece(path, &handle, piece))
            .buffered(AT_ONCE);
        let mut same = 0;
        while let Some(piece) = read.next().await {
            let piece = piece?;
            if bytes.get(same..same + piece.len()) != Some(&piece[..]) {
                break;
            }
            same += piece.len();
        }
        drop(read);
        self.within(path, self.raw.close(handle)).await?;
        Ok(same)
    }

    /// Part of a file; shorter only where the file ends.
    async fn read_piece(
        &self,
        path: &str,
        handle: &str,
        piece: Range<usize>,
    ) -> Result<Vec<u8>, DeliveryError> {
        let mut read = Vec::with_capacity(piece.len());
        while read.len() < piece.len() {
            let offset = (piece.start + read.len()) as u64;
            let wanted = piece.len() - read.len();
            let length = u32::try_from(wanted).expect("a piece is small");
            match self.answer(self.raw.read(handle, offset, length)).await? {
                Ok(data) if data.data.is_empty() => break,
                Ok(data) => read.extend_from_slice(&data.data[..data.data.len().min(wanted)]),
                Err(error) if is(&error, StatusCode::Eof) => break,
                Err(error) => return Err(failure::of_request(&self.to, path, &error)),
            }
        }
        Ok(read)
    }

    /// All of it in time, however many requests it takes: each answer may come just in time and bring one byte.
    async fn in_all<T>(
        &self,
        work: impl Future<Output = Result<T, DeliveryError>>,
    ) -> Result<T, DeliveryError> {
        let limit = self.timeout.saturating_mul(WHOLE).min(LONGEST).max(self.timeout);
        time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(failure::timed_out(&self.to, limit)))
    }

    /// An answer in time, whatever it says.
    async fn answer<T>(
        &self,
        request: impl Future<Output = SftpResult<T>>,
    ) -> Result<SftpResult<T>, DeliveryError> {
        time::timeout(self.timeout, request)
            .await
            .map_err(|_| failure::timed_out(&self.to, self.timeout))
    }

    /// A good answer in time.
    async fn within<T>(
        &self,
        path: &str,
        request: impl Future<Output = SftpResult<T>>,
    ) -> Result<T, DeliveryError> {
        self.answer(request).await?.map_err(|error| failure::of_request(&self.to, path, &error))
    }
}

const LINE_TOO_LONG: &str = "has a line that is too long";

fn one_line(
    line: &[u8],
    longest: usize,
    visit: &mut impl FnMut(&[u8]) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > longest {
        return Err(LINE_TOO_LONG);
    }
    visit(line)
}

fn is(error: &SftpError, code: StatusCode) -> bool {
    matches!(error, SftpError::Status(status) if status.status_code == code)
}

fn entry(name: String, attributes: &FileAttributes) -> Entry {
    Entry {
        name,
        size: attributes.size.unwrap_or(0),
        modified: attributes.mtime.map_or(0, u64::from),
        is_file: attributes.file_type().is_file(),
    }
}

/// A string as the protocol has it: its length in four bytes, then its bytes (RFC 4251, section 5).
fn protocol_string(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a path is short");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

fn pieces(whole: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = whole.end;
    whole.step_by(PIECE).map(move |start| start..(start + PIECE).min(end))
}

#[cfg(test)]
mod tests {
    use russh_sftp::{
        protocol::{Attrs, Data, File, Handle, Name, Status},
        server::{self, Handler},
    };

    use super::*;

    /// A server that keeps to the protocol in each answer, and means harm.
    struct Harmful {
        /// In every page of every listing.
        name: String,
        /// Of every file.
        size: u64,
        /// One byte in each answer, after this long; `None`: the file has ended.
        byte_after: Option<Duration>,
    }

    impl Handler for Harmful {
        type Error = StatusCode;

        fn unimplemented(&self) -> StatusCode {
            StatusCode::OpUnsupported
        }

        async fn opendir(&mut self, id: u32, handle: String) -> Result<Handle, StatusCode> {
            Ok(Handle { id, handle })
        }

        async fn readdir(&mut self, id: u32, _: String) -> Result<Name, StatusCode> {
            Ok(Name { id, files: vec![File::dummy(self.name.as_str())] })
        }

        async fn stat(&mut self, id: u32, _: String) -> Result<Attrs, StatusCode> {
            let (size, permissions) = (Some(self.size), Some(0o100_644));
            Ok(Attrs { id, attrs: FileAttributes { size, permissions, ..FileAttributes::empty() } })
        }

        async fn open(
            &mut self,
            id: u32,
            handle: String,
            _: OpenFlags,
            _: FileAttributes,
        ) -> Result<Handle, StatusCode> {
            Ok(Handle { id, handle })
        }

        async fn read(&mut self, id: u32, _: String, _: u64, _: u32) -> Result<Data, StatusCode> {
            time::sleep(self.byte_after.ok_or(StatusCode::Eof)?).await;
            Ok(Data { id, data: vec![b'x'] })
        }

        async fn close(&mut self, id: u32, _: String) -> Result<Status, StatusCode> {
            let (error_message, language_tag) = (String::new(), String::new());
            Ok(Status { id, status_code: StatusCode::Ok, error_message, language_tag })
        }
    }

    /// A session with a server that lists files of this name only.
    async fn session(name: &str, size: u64, byte_after: Option<Duration>) -> Session {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        server::run(theirs, Harmful { name: name.to_owned(), size, byte_after }).await;
        let raw = RawSftpSession::new(ours);
        raw.init().await.unwrap();
        Session {
            raw,
            posix_rename: false,
            fsync: false,
            to: "files:22".to_owned(),
            timeout: Duration::from_millis(100),
            connection: None,
        }
    }

    #[tokio::test]
    async fn a_listing_that_never_ends_is_given_up() {
        for name in [".", "..", "a"] {
            let error = session(name, 0, None).await.list("in", 100).await.unwrap_err();
            assert_eq!(error.code(), "folder_full", "{name}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_longer_than_any_is_no_name() {
        let long = "a".repeat(NAME_LIMIT + 1);
        let error = session(&long, 0, None).await.list("in", 100).await.unwrap_err();
        assert_eq!(error.code(), "answer_malformed");
    }

    #[tokio::test]
    async fn a_file_ends_where_it_ends_whatever_size_was_told() {
        let session = session("a", u64::MAX, None).await;
        let lines = session.lines("a", 10, |_| Ok(())).await.unwrap();
        assert_eq!(lines, Some(Ok(())));
    }

    #[tokio::test]
    async fn a_file_that_comes_byte_by_byte_is_given_up() {
        let session = session("a", 1 << 20, Some(Duration::from_millis(1))).await;
        let error = session.read("a", 1 << 20).await.unwrap_err();
        let DeliveryError::Unreachable(Problem::TimedOut { after, .. }) = error else {
            panic!("{error}");
        };
        assert_eq!(after, session.timeout * WHOLE);
    }

    #[test]
    fn pieces_cover_the_whole_once() {
        let all: Vec<_> = pieces(5..PIECE * 2 + 10).collect();
        assert_eq!(all, [5..PIECE + 5, PIECE + 5..PIECE * 2 + 5, PIECE * 2 + 5..PIECE * 2 + 10]);
        assert_eq!(pieces(7..7).count(), 0);
    }

    #[test]
    fn strings_are_written_with_their_length() {
        assert_eq!(protocol_string("ab"), [0, 0, 0, 2, b'a', b'b']);
    }
}
