//! What the SSH and SFTP libraries say → what follows. Pure.

use std::time::Duration;

use russh::Error as SshError;
use russh_sftp::{client::error::Error as SftpError, protocol::StatusCode};

use crate::{
    DeliveryError::{self, Configuration, Unreachable},
    Problem, remark,
};

/// While a connection comes about.
pub(super) fn of_connection(to: &str, error: &SshError) -> DeliveryError {
    let to = to.to_owned();
    match error {
        SshError::UnknownKey | SshError::WrongServerSig => {
            Configuration(Problem::HostKeyDiffers { to })
        }
        // We offer the kinds of keys that are pinned, and nothing else.
        SshError::NoCommonAlgo { kind: russh::AlgorithmKind::Key, .. } => {
            Configuration(Problem::HostKeyDiffers { to })
        }
        SshError::NoCommonAlgo { .. } => {
            let said = "no method of encryption in common";
            Configuration(Problem::SshFailed { to, said })
        }
        SshError::Version => {
            Configuration(Problem::SshFailed { to, said: "what answers there is no SSH 2 server" })
        }
        SshError::ChannelOpenFailure(_) => {
            Unreachable(Problem::SshFailed { to, said: "the server opens no channel" })
        }
        SshError::RequestDenied => Configuration(Problem::SftpMissing { to }),
        SshError::NoAuthMethod | SshError::UnsupportedAuthMethod => {
            Configuration(Problem::ServerLoginRefused { to })
        }
        SshError::PacketAuth
        | SshError::DecryptionError
        | SshError::PacketSize(_)
        | SshError::StrictKeyExchangeViolation { .. } => {
            Unreachable(Problem::SshFailed { to, said: "the connection was disturbed" })
        }
        // Ended, in one way or another.
        _ => Unreachable(Problem::ConnectionLost { to }),
    }
}

/// Of a request about a file.
pub(super) fn of_request(to: &str, path: &str, error: &SftpError) -> DeliveryError {
    // Names over there are not all ours.
    let path = remark::kept(path);
    match error {
        SftpError::Status(status) => match status.status_code {
            StatusCode::NoSuchFile => Configuration(Problem::FolderMissing { path }),
            StatusCode::PermissionDenied => Configuration(Problem::FileRightMissing { path }),
            StatusCode::OpUnsupported => {
                let why = "the server cannot do what every SFTP server can";
                Configuration(Problem::AnswerMalformed { why })
            }
            StatusCode::NoConnection | StatusCode::ConnectionLost => {
                Unreachable(Problem::ConnectionLost { to: to.to_owned() })
            }
            // A full disk is among what version 3 of the protocol has no code for.
            StatusCode::Ok | StatusCode::Eof | StatusCode::Failure | StatusCode::BadMessage => {
                Unreachable(Problem::FileServerFailing { path })
            }
        },
        SftpError::UnexpectedPacket | SftpError::Limited(_) => {
            Configuration(Problem::AnswerMalformed { why: "not as the SFTP protocol has it" })
        }
        SftpError::Timeout | SftpError::IO(_) | SftpError::UnexpectedBehavior(_) => {
            Unreachable(Problem::ConnectionLost { to: to.to_owned() })
        }
    }
}

/// No answer in time.
pub(super) fn timed_out(to: &str, after: Duration) -> DeliveryError {
    Unreachable(Problem::TimedOut { to: to.to_owned(), after })
}

#[cfg(test)]
mod tests {
    use russh_sftp::protocol::Status;

    use super::*;

    fn kind(error: &DeliveryError) -> (&'static str, &'static str) {
        let outcome = match error {
            Unreachable(_) => "unreachable",
            Configuration(_) => "configuration",
            DeliveryError::Refused(_) => "refused",
        };
        (outcome, error.code())
    }

    #[test]
    fn each_answer_about_a_file_has_its_outcome() {
        for (status_code, outcome, code) in [
            (StatusCode::NoSuchFile, "configuration", "folder_missing"),
            (StatusCode::PermissionDenied, "configuration", "file_right_missing"),
            (StatusCode::Failure, "unreachable", "file_server_failing"),
            (StatusCode::BadMessage, "unreachable", "file_server_failing"),
            (StatusCode::Eof, "unreachable", "file_server_failing"),
            (StatusCode::ConnectionLost, "unreachable", "connection_lost"),
            (StatusCode::OpUnsupported, "configuration", "answer_malformed"),
        ] {
            let status = Status {
                id: 1,
                status_code,
                error_message: "11010519491231002X".to_owned(),
                language_tag: String::new(),
            };
            let error = of_request("files:22", "/out", &SftpError::Status(status));
            assert_eq!(kind(&error), (outcome, code));
            assert!(!error.to_string().contains("11010519491231002X"));
        }
        for (error, outcome, code) in [
            (SftpError::UnexpectedPacket, "configuration", "answer_malformed"),
            (SftpError::IO("reset".to_owned()), "unreachable", "connection_lost"),
            (SftpError::UnexpectedBehavior(String::new()), "unreachable", "connection_lost"),
        ] {
            assert_eq!(kind(&of_request("files:22", "/out", &error)), (outcome, code));
        }
    }

    #[test]
    fn each_end_of_a_connection_has_its_outcome() {
        for (error, outcome, code) in [
            (SshError::UnknownKey, "configuration", "host_key_differs"),
            (SshError::WrongServerSig, "configuration", "host_key_differs"),
            (SshError::Version, "configuration", "ssh_failed"),
            (SshError::RequestDenied, "configuration", "sftp_missing"),
            (SshError::NoAuthMethod, "configuration", "server_login_refused"),
            (SshError::PacketAuth, "unreachable", "ssh_failed"),
            (SshError::HUP, "unreachable", "connection_lost"),
            (SshError::Disconnect, "unreachable", "connection_lost"),
        ] {
            assert_eq!(kind(&of_connection("files:22", &error)), (outcome, code), "{error}");
        }
    }
}
