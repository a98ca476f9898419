//! Why something was not delivered.

use std::{path::PathBuf, time::Duration};

use crate::code_map::CodeMapError;

/// Why a batch was not delivered, by what follows from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// Not there, busy or failing for now: tried again with growing pauses, the cursor stays.
    #[error("{0}")]
    Unreachable(Problem),
    /// The counterpart will never take this batch as it is: not tried again. The runner finds the records it is
    /// about and sets them aside.
    #[error("{0}")]
    Refused(Problem),
    /// Nothing will arrive until someone changes settings, rights or tables, here or there. Tried again with growing
    /// pauses all the same, so that a change over there is noticed; the cursor stays.
    #[error("{0}")]
    Configuration(Problem),
}

impl DeliveryError {
    /// What went wrong.
    pub fn problem(&self) -> &Problem {
        match self {
            Self::Unreachable(problem) | Self::Refused(problem) | Self::Configuration(problem) => {
                problem
            }
        }
    }

    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        self.problem().code()
    }

    /// What an operator can do about it.
    pub fn advice(&self) -> &'static str {
        self.problem().advice()
    }
}

/// What went wrong between the hub and a counterpart. Holds no number, name or field of a licence, and nothing that
/// the counterpart wrote but codes and names of its tables and columns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No connection came about.
    #[error("no connection to {to}: {kind}")]
    Connect {
        /// Host and port, or the socket.
        to: String,
        /// What the system said.
        kind: String,
    },
    /// The TLS handshake failed.
    #[error("no secure connection to {to}: {said}")]
    Tls {
        /// Host and port.
        to: String,
        /// What the TLS library said; about certificates and protocol, never about content.
        said: String,
    },
    /// No answer in time.
    #[error("no answer from {to} within {} ms", after.as_millis())]
    TimedOut {
        /// Host and port, or the socket.
        to: String,
        /// How long it was waited.
        after: Duration,
    },
    /// The connection ended before the answer was complete.
    #[error("the connection to {to} ended before the answer")]
    ConnectionLost {
        /// Host and port, or the socket.
        to: String,
    },
    /// A file that the settings name cannot be read.
    #[error("`{setting}` names {}, which cannot be read: {kind}", path.display())]
    FileUnreadable {
        /// The key in the settings.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: std::io::ErrorKind,
    },
    /// A file that the settings name does not hold what it should.
    #[error("`{setting}` names {}, which {why}", path.display())]
    FileUnusable {
        /// The key in the settings.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },

    /// The code map is none.
    #[error("`code_map` names {}: {error}", path.display())]
    CodeMap {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: CodeMapError,
    },

    /// The receiver is there and cannot work now.
    #[error("the receiver answered {status}")]
    ReceiverFailing {
        /// The HTTP status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The receiver does not know us, or we may not do this.
    #[error("the receiver does not let us in: it answered {status}")]
    AccessRefused {
        /// The HTTP status.
        status: u16,
    },
    /// There is no such interface at that address.
    #[error("there is no receiver at this address: it answered {status}")]
    NoInterface {
        /// The HTTP status.
        status: u16,
    },
    /// The receiver refused the batch as a whole.
    #[error("the receiver refused the batch: it answered {status}")]
    BatchRefused {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is larger than any right answer.
    #[error("the answer is larger than {limit} bytes")]
    AnswerTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer is not what the interface says.
    #[error("the answer cannot be understood: {why}")]
    AnswerMalformed {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The answer speaks of another number of records than were sent.
    #[error(
        "{sent} records were sent, but the answer speaks of {accepted} accepted and {refused} refused"
    )]
    AnswerDoesNotAddUp {
        /// Records sent.
        sent: u64,
        /// Records accepted, as the receiver says.
        accepted: u64,
        /// Records refused, as the receiver says.
        refused: u64,
    },
    /// The answer refuses a record that was not in the batch, or one twice.
    #[error("the answer refuses record {seq}, which is not in the batch or was named before")]
    AnswerNamesOther {
        /// The number it names.
        seq: u64,
    },

    /// A table is missing.
    #[error("the exchange database has no table {table} in schema {schema}")]
    TableMissing {
        /// The tables of the standard; which of them is missing is not always told.
        table: &'static str,
        /// The schema looked in.
        schema: String,
    },
    /// A table is not as the standard has it.
    #[error("a table of the exchange database is not as agreed (SQLSTATE {sqlstate})")]
    TableDiffers {
        /// The database's code; with MariaDB its number too.
        sqlstate: String,
    },
    /// We may not read or write a table.
    #[error("the exchange database gives us no right to do this (SQLSTATE {sqlstate})")]
    RightMissing {
        /// The database's code; with MariaDB its number too.
        sqlstate: String,
    },
    /// User or password is wrong, or the server does not let us in from here.
    #[error("the exchange database does not let us in (SQLSTATE {sqlstate})")]
    LoginRefused {
        /// The database's code; with MariaDB its number too.
        sqlstate: String,
    },
    /// The server wants a password or a method that we have not.
    #[error(
        "the exchange database wants to be logged in to in a way the settings do not provide for"
    )]
    LoginImpossible,
    /// There is no such database.
    #[error("the server has no such database (SQLSTATE {sqlstate})")]
    DatabaseMissing {
        /// The database's code; with MariaDB its number too.
        sqlstate: String,
    },
    /// A value was refused by the database.
    #[error("the exchange database refused a value (SQLSTATE {sqlstate}, column {})", column.as_deref().unwrap_or("not told"))]
    ValueRefused {
        /// The database's code; with MariaDB its number too.
        sqlstate: String,
        /// The column, if the database told.
        column: Option<String>,
    },
    /// A record is larger than what the database takes at once: MariaDB's `max_allowed_packet`.
    #[error("the exchange database takes no record as large as this (max_allowed_packet)")]
    RecordTooLarge,
    /// The server is starting, stopping, full or too busy.
    #[error("the exchange database cannot work now (SQLSTATE {sqlstate})")]
    DatabaseFailing {
        /// The database's code; with MariaDB its number too.
        sqlstate: String,
    },
    /// The settings' file has no key for this server.
    #[error("the file that `host_key` names has no key for {to}")]
    HostKeyUnknown {
        /// Host and port.
        to: String,
    },
    /// The server shows another key than the one that is known.
    #[error("{to} shows another host key than the one that is known")]
    HostKeyDiffers {
        /// Host and port.
        to: String,
    },
    /// The two sides do not come to terms on SSH.
    #[error("no secure connection to {to}: {said}")]
    SshFailed {
        /// Host and port.
        to: String,
        /// What is wrong.
        said: &'static str,
    },
    /// User, key or password is wrong, or the server does not let us in from here.
    #[error("{to} does not let us in")]
    ServerLoginRefused {
        /// Host and port.
        to: String,
    },
    /// SSH works, files do not.
    #[error("{to} has no SFTP for this user")]
    SftpMissing {
        /// Host and port.
        to: String,
    },
    /// A folder over there is missing.
    #[error("there is no {path} on the file server")]
    FolderMissing {
        /// The path, numbers in it masked.
        path: String,
    },
    /// More files than anybody reads.
    #[error("{path} on the file server has more than {limit} files")]
    FolderFull {
        /// The folder.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// We may not read or write a file or folder.
    #[error("the file server gives us no right to {path}")]
    FileRightMissing {
        /// The path, numbers in it masked.
        path: String,
    },
    /// The server's disk is full, or it fails for another reason that the protocol has no code for.
    #[error("the file server failed at {path}; its disk may be full")]
    FileServerFailing {
        /// The path, numbers in it masked.
        path: String,
    },

    /// The gateway gives no token, or does not accept the one it gave.
    #[error("the gateway does not let us in: it answered {code}")]
    TokenRefused {
        /// Its code.
        code: String,
    },
    /// The gateway is there and cannot work now.
    #[error("the gateway cannot work now: it answered {code}")]
    GatewayFailing {
        /// Its code.
        code: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The gateway refused a request with several records.
    #[error("the gateway refused the request: it answered {code}")]
    GatewayRefused {
        /// Its code.
        code: String,
    },
    /// The gateway answered a code after which nothing goes on by itself.
    #[error("the gateway does not go on: it answered {code}")]
    GatewayStopped {
        /// Its code.
        code: String,
    },
    /// The gateway's clock and ours differ, and its answers do not tell the time.
    #[error("the gateway does not accept our time")]
    ClockDiffers,
    /// The shape is none, or does not fit the settings.
    #[error("the shape of the gateway cannot be used: {why}")]
    ShapeUnusable {
        /// What is wrong with it.
        why: String,
    },
    /// The counterpart has no call that tells what it holds.
    #[error("the counterpart cannot say how much it holds")]
    CountsNotOffered,
    /// A file that the counterpart dropped for us is not as agreed.
    #[error("{file} on the file server {why}")]
    AnswerFileUnusable {
        /// The file's name: the name of one of our batches, or an agreed one.
        file: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The counterpart drops no counts.
    #[error("there is no file with the counterpart's counts")]
    CountsMissing,
    /// The counterpart's counts do not have the latest changes in them.
    #[error(
        "the counterpart has counted the changes below {counted}, and was sent those below {sent}"
    )]
    CountsOutdated {
        /// One more than the last change in the counts.
        counted: u64,
        /// One more than the last change sent.
        sent: u64,
    },

    /// The counterpart's counts name something that is no licence type.
    #[error("the counterpart counts something that is not a licence type")]
    UnknownTypeCounted,
    /// The counterpart has no way to say what it holds.
    #[error("the counterpart does not tell what it holds")]
    CountsNotTold,

    /// What a department's key service answered is not the issuer's signature over what it was sent.
    #[error("what the department's key service signed does not hold: {code}")]
    KeyServiceWrong {
        /// What is wrong with the signature, a code of `docs/formats/errors.md`.
        code: &'static str,
    },

    /// The hub's own program has a defect that this brought to light.
    #[error("a defect in the hub broke this off")]
    Defect,

    /// One record after the other was refused, which is rarely the records' fault.
    #[error("{in_a_row} records in a row were refused, none was taken (last: {last})")]
    EveryRecordRefused {
        /// How many.
        in_a_row: u64,
        /// The code of the last refusal.
        last: String,
    },
}

impl Problem {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect_failed",
            Self::Tls { .. } => "tls_failed",
            Self::TimedOut { .. } => "timed_out",
            Self::ConnectionLost { .. } => "connection_lost",
            Self::FileUnreadable { .. } => "file_unreadable",
            Self::FileUnusable { .. } => "file_unusable",
            Self::CodeMap { error, .. } => error.code(),
            Self::ReceiverFailing { .. } => "receiver_failing",
            Self::AccessRefused { .. } => "access_refused",
            Self::NoInterface { .. } => "no_interface",
            Self::BatchRefused { .. } => "batch_refused",
            Self::AnswerTooLarge { .. } => "answer_too_large",
            Self::AnswerMalformed { .. } => "answer_malformed",
            Self::AnswerDoesNotAddUp { .. } => "answer_does_not_add_up",
            Self::AnswerNamesOther { .. } => "answer_names_other",
            Self::TableMissing { .. } => "table_missing",
            Self::TableDiffers { .. } => "table_differs",
            Self::RightMissing { .. } => "right_missing",
            Self::LoginRefused { .. } => "login_refused",
            Self::LoginImpossible => "login_impossible",
            Self::DatabaseMissing { .. } => "database_missing",
            Self::ValueRefused { .. } => "value_refused",
            Self::RecordTooLarge => "record_too_large",
            Self::DatabaseFailing { .. } => "database_failing",
            Self::HostKeyUnknown { .. } => "host_key_unknown",
            Self::HostKeyDiffers { .. } => "host_key_differs",
            Self::SshFailed { .. } => "ssh_failed",
            Self::ServerLoginRefused { .. } => "server_login_refused",
            Self::SftpMissing { .. } => "sftp_missing",
            Self::FolderMissing { .. } => "folder_missing",
            Self::FolderFull { .. } => "folder_full",
            Self::FileRightMissing { .. } => "file_right_missing",
            Self::FileServerFailing { .. } => "file_server_failing",
            Self::TokenRefused { .. } => "token_refused",
            Self::GatewayFailing { .. } => "gateway_failing",
            Self::GatewayRefused { .. } => "gateway_refused",
            Self::GatewayStopped { .. } => "gateway_stopped",
            Self::ClockDiffers => "clock_differs",
            Self::ShapeUnusable { .. } => "shape_unusable",
            Self::CountsNotOffered => "counts_not_offered",
            Self::AnswerFileUnusable { .. } => "answer_file_unusable",
            Self::CountsMissing => "counts_missing",
            Self::CountsOutdated { .. } => "counts_outdated",
            Self::UnknownTypeCounted => "unknown_type_counted",
            Self::CountsNotTold => "counts_not_told",
            Self::KeyServiceWrong { .. } => "key_service_wrong",
            Self::EveryRecordRefused { .. } => "every_record_refused",
            Self::Defect => "defect",
        }
    }

    /// What an operator can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Connect { .. } => {
                "Check that the counterpart runs and that the address, the port and the firewall between are right. \
                 Nothing is lost; sending goes on by itself."
            }
            Self::Tls { .. } => {
                "Compare `ca`, `certificate` and `key` with what the counterpart has: issuer, name and dates. The \
                 files are read again at the next attempt."
            }
            Self::TimedOut { .. } => {
                "Ask the counterpart whether it is overloaded; a smaller `batch` or a larger `timeout_ms` may help."
            }
            Self::ConnectionLost { .. } => {
                "Usually a restart over there; sending goes on by itself."
            }
            Self::FileUnreadable { .. } | Self::FileUnusable { .. } => {
                "Put the right file there and make it readable for the hub; it is read again at the next attempt."
            }
            Self::CodeMap { .. } => {
                "Mend the code map; it is read again at the next attempt. docs/formats/code-map.md has its form."
            }
            Self::ReceiverFailing { .. } => {
                "Tell the counterpart; sending goes on by itself when it works again."
            }
            Self::AccessRefused { .. } => {
                "Have the counterpart admit the hub's client certificate, or renew it."
            }
            Self::NoInterface { .. } => "Compare `url` with what the counterpart says.",
            Self::BatchRefused { .. } => "See what was set aside, and ask the counterpart why.",
            Self::AnswerTooLarge { .. }
            | Self::AnswerMalformed { .. }
            | Self::AnswerDoesNotAddUp { .. }
            | Self::AnswerNamesOther { .. }
            | Self::UnknownTypeCounted => {
                "Something else may be answering at this address, or the counterpart's program differs from the \
                 agreed interface: docs/formats has it."
            }
            Self::CountsNotTold => {
                "Nothing is wrong: a counterpart of this kind takes records and tells no counts. Compare with it by \
                 other means."
            }
            Self::TableMissing { .. } => {
                "Have the tables created, or set `create_tables = true` if the hub may create them."
            }
            Self::TableDiffers { .. } => {
                "Compare the tables over there with docs/formats/frontdb.md."
            }
            Self::RightMissing { .. } => {
                "The user needs INSERT and SELECT on up_lic_data, with MariaDB UPDATE too, and SELECT on dn_lic_data_error."
            }
            Self::LoginRefused { .. } | Self::LoginImpossible => {
                "Check `user` and the content of `password_file`, and whether the server admits this machine."
            }
            Self::DatabaseMissing { .. } => "Check `database`.",
            Self::ValueRefused { .. } => {
                "See what was set aside; compare the columns with docs/formats/frontdb.md."
            }
            Self::RecordTooLarge => {
                "Have `max_allowed_packet` raised on the server, then retry what was set aside."
            }
            Self::DatabaseFailing { .. } => {
                "Tell whoever runs the exchange database; sending goes on by itself when it works again."
            }
            Self::HostKeyUnknown { .. } => {
                "Ask the counterpart for its host key, and put the line of known_hosts for this host and port into the \
                 file; `ssh-keyscan` shows it, but not whether it is theirs."
            }
            Self::HostKeyDiffers { .. } => {
                "Ask the counterpart whether it has a new host key. If it has, put that into the file that `host_key` \
                 names; if not, somebody stands between."
            }
            Self::SshFailed { .. } => {
                "Ask the counterpart what runs there: it must be an SSH 2 server of this decade."
            }
            Self::ServerLoginRefused { .. } => {
                "Check `user`, `key` or the content of `password_file`, and whether the server admits this machine."
            }
            Self::SftpMissing { .. } => "Have the counterpart allow SFTP for this user.",
            Self::FolderMissing { .. } => {
                "Have the folder made over there, or correct `folder` and `answers`."
            }
            Self::FolderFull { .. } => {
                "Have the counterpart take its files away, or set `keep_days`."
            }
            Self::FileRightMissing { .. } => {
                "The user must read, write, rename and remove files in the folders."
            }
            Self::FileServerFailing { .. } => {
                "Tell whoever runs the file server, and have them look at its disk; sending goes on by itself when it \
                 works again."
            }
            Self::TokenRefused { .. } => {
                "Check `access_id` and the content of `secret_file` with the counterpart; the file is read again at the \
                 next attempt."
            }
            Self::GatewayFailing { .. } => {
                "Tell the counterpart; sending goes on by itself when the gateway works again."
            }
            Self::GatewayRefused { .. } => "See what was set aside, and ask the counterpart why.",
            Self::GatewayStopped { .. } => {
                "Ask the counterpart what the code means: rights, signature and matter are usual causes. If sending may \
                 go on after it, say so in the shape: docs/formats/rest.md."
            }
            Self::ClockDiffers => {
                "Set this machine's clock by a time server, and have the counterpart look at its own."
            }
            Self::ShapeUnusable { .. } => {
                "Mend the shape or the settings; docs/formats/rest.md has their form. The file is read again at the next \
                 attempt."
            }
            Self::CountsNotOffered => {
                "Ask the counterpart for a call that counts, and name it in the shape; sending is not touched by it."
            }
            Self::AnswerFileUnusable { .. } => {
                "Ask the counterpart to write it as docs/formats/files.md has it. An answer was moved to the folder \
                 `unreadable` below the answers; put back, it is read again."
            }
            Self::CountsMissing => {
                "Ask the counterpart to drop `counts.json` and, to find single records, `holdings.ndjson`: \
                 docs/formats/files.md."
            }
            Self::CountsOutdated { .. } => {
                "Compare again when the counterpart has worked through what was sent."
            }
            Self::KeyServiceWrong { .. } => {
                "Ask the department: its key service must sign the very bytes it is sent, with the issuer's valid \
                 certificate, by an authority whose anchor this hub has. The rows wait, and go on by themselves."
            }
            Self::Defect => {
                "A defect of the hub: report it with the log of that time. It is tried again."
            }
            Self::EveryRecordRefused { .. } => {
                "Something is wrong between the two systems rather than with the records: ask the counterpart. Until \
                 one is taken, one record is tried at a time, with pauses that grow. `resume` has more tried at once; \
                 `retry` and `replay` send again what was set aside."
            }
        }
    }

    /// How long the counterpart asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ReceiverFailing { retry_after, .. }
            | Self::GatewayFailing { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
