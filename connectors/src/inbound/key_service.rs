//! A department's key service: signs what came in as a row, by HTTPS with a client certificate. What it answers is a
//! signature like any other, and is verified like any other.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::{
    DeliveryError, Problem,
    http::{client::Client, settings::Settings},
};

/// The format of what it is asked.
const FORMAT: &str = "yihao-sign-1";

/// What is to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A licence document, `yihao-licence-1`.
    Licence,
    /// A status order, `yihao-status-1`.
    Status,
}

/// Why something was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotSigned {
    /// The key service does not sign this, and would not the next time.
    #[error("the key service does not sign it: it answered {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// It could not be asked, or not now.
    #[error(transparent)]
    Failed(#[from] DeliveryError),
}

/// `POST` to the service: the content, and for whom it is to be signed.
#[derive(Serialize)]
struct Asked<'a> {
    format: &'static str,
    kind: Content,
    /// Credit code of the issuer whose signature is asked for.
    issuer: &'a str,
    /// SHA-256 of the content, hexadecimal.
    sha256: String,
    /// In base64.
    content: String,
}

#[derive(Deserialize)]
struct Signed {
    /// Detached CMS signature over the content, DER in base64.
    signature: String,
}

/// A key service that can be asked.
pub struct KeyService {
    client: Client,
}

impl KeyService {
    /// Nothing is connected to before something is signed.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { client: Client::new(settings) }
    }

    /// Asks for the issuer's detached CMS signature over `content`.
    ///
    /// # Errors
    /// `Refused`: it signs other things, not this one. `Failed`: it could not be asked, lets us not in, or answered
    /// something else than a signature.
    pub async fn sign(
        &self,
        kind: Content,
        issuer: &str,
        content: &[u8],
    ) -> Result<Vec<u8>, NotSigned> {
        let sha256 = hex::encode(digest::digest(&digest::SHA256, content).as_ref());
        let asked = Asked {
            format: FORMAT,
            kind,
            issuer,
            sha256: sha256.clone(),
            content: STANDARD.encode(content),
        };
        let body = serde_json::to_vec(&asked).expect("strings can always be written");
        let answer = self.client.post_records(&sha256, body).await?;
        if answer.status != 200 {
            return Err(failure(answer.status, answer.retry_after));
        }
        let malformed = |why| DeliveryError::Unreachable(Problem::AnswerMalformed { why });
        let signed: Signed = serde_json::from_slice(&answer.body)
            .map_err(|_| malformed("it is not {\"signature\":…}"))?;
        let signature = STANDARD.decode(signed.signature.trim());
        Ok(signature.map_err(|_| malformed("the signature is not base64"))?)
    }
}

fn failure(status: u16, retry_after: Option<std::time::Duration>) -> NotSigned {
    use DeliveryError::{Configuration, Unreachable};
    NotSigned::Failed(match status {
        400 | 409 | 413 | 422 => return NotSigned::Refused { status },
        401 | 403 => Configuration(Problem::AccessRefused { status }),
        408 | 425 | 429 | 500..=599 => {
            Unreachable(Problem::ReceiverFailing { status, retry_after })
        }
        _ => Configuration(Problem::NoInterface { status }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_an_answer() {
        for (status, code) in [
            (401, "access_refused"),
            (404, "no_interface"),
            (302, "no_interface"),
            (429, "receiver_failing"),
            (503, "receiver_failing"),
        ] {
            let NotSigned::Failed(error) = failure(status, None) else { panic!("{status}") };
            assert_eq!(error.code(), code, "{status}");
        }
        for status in [400, 409, 413, 422] {
            assert!(matches!(failure(status, None), NotSigned::Refused { .. }), "{status}");
        }
    }
}
