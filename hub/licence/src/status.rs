use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{self, JsonError, Limits};
use crate::{CodeError, LicenceId};

/// The longest reason of a [`StatusOrder`], in characters.
pub const MAX_REASON_CHARS: usize = 200;

/// What an issuer has made of a licence. Whether its validity has run out is computed elsewhere,
/// see [`Licence::valid_on`](crate::Licence::valid_on).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LicenceStatus {
    /// 有效
    Valid,
    /// 暂扣: may be restored.
    Suspended,
    /// Final.
    Revoked {
        /// How it ended.
        cause: RevocationCause,
    },
    /// Final: another version or another licence took its place.
    Superseded {
        /// The licence that took its place.
        by: LicenceId,
    },
}

/// How a licence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationCause {
    /// 撤销: it should not have been issued.
    Annulled,
    /// 吊销: taken away as a penalty.
    Withdrawn,
    /// 注销: given back or run out.
    Deregistered,
}

impl RevocationCause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Annulled, Self::Withdrawn, Self::Deregistered];

    /// The word in a status order.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Annulled => "annulled",
            Self::Withdrawn => "withdrawn",
            Self::Deregistered => "deregistered",
        }
    }

    /// The Chinese word.
    pub const fn name_zh(self) -> &'static str {
        match self {
            Self::Annulled => "撤销",
            Self::Withdrawn => "吊销",
            Self::Deregistered => "注销",
        }
    }
}

/// What an issuer asks for in a [`StatusOrder`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusChange {
    /// Valid to suspended.
    Suspend,
    /// Suspended to valid.
    Restore,
    /// Valid or suspended to revoked.
    Revoke {
        /// How it ends.
        cause: RevocationCause,
    },
    /// Valid or suspended to superseded.
    Supersede {
        /// The licence that takes its place.
        by: LicenceId,
    },
}

impl StatusChange {
    /// The word in a status order.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Restore => "restore",
            Self::Revoke { .. } => "revoke",
            Self::Supersede { .. } => "supersede",
        }
    }
}

/// A change that the present status does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a licence that is {from} cannot be changed by {change}")]
pub struct TransitionError {
    /// The word of the present status.
    pub from: &'static str,
    /// The word of the change.
    pub change: &'static str,
}

impl TransitionError {
    /// Stable name of the cause; part of the public interface.
    pub fn code(&self) -> &'static str {
        "status_transition_not_allowed"
    }
}

impl LicenceStatus {
    /// The status after a change.
    ///
    /// # Errors
    /// If the change does not lead on from here: revoked and superseded are final, only a valid
    /// licence is suspended, only a suspended one restored.
    pub fn apply(&self, change: &StatusChange) -> Result<Self, TransitionError> {
        use {LicenceStatus as Status, StatusChange as To};
        match (self, change) {
            (Status::Valid, To::Suspend) => Ok(Status::Suspended),
            (Status::Suspended, To::Restore) => Ok(Status::Valid),
            (Status::Valid | Status::Suspended, To::Revoke { cause }) => {
                Ok(Status::Revoked { cause: *cause })
            }
            (Status::Valid | Status::Suspended, To::Supersede { by }) => {
                Ok(Status::Superseded { by: by.clone() })
            }
            _ => Err(TransitionError { from: self.word(), change: change.word() }),
        }
    }

    /// One word, as the interfaces show it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Suspended => "suspended",
            Self::Revoked { .. } => "revoked",
            Self::Superseded { .. } => "superseded",
        }
    }
}

/// What an issuer signs to change a licence's status.
///
/// [`parse`](Self::parse) and [`to_bytes`](Self::to_bytes) are the signed form,
/// `{"format":"yihao-status-1","identifier":…,"change":"revoke","cause":"withdrawn","reason":…,"ordered_at":…}`;
/// `cause` goes with `revoke`, `by` with `supersede`. The serde form is for storing it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusOrder {
    /// The licence.
    pub identifier: LicenceId,
    /// The change.
    pub change: StatusChange,
    /// Why: 1 to 200 characters.
    pub reason: String,
    /// When the issuer decided it.
    pub ordered_at: Timestamp,
}

/// Shows no reason: it may name a person.
impl fmt::Debug for StatusOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusOrder")
            .field("identifier", &self.identifier)
            .field("change", &self.change)
            .field("ordered_at", &self.ordered_at)
            .finish_non_exhaustive()
    }
}

/// Why bytes are not a status order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusOrderError {
    /// Not JSON as this crate takes it.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON, but not an object.
    #[error("the order is not a JSON object")]
    NotAnObject,
    /// Not `yihao-status-1`.
    #[error("the order is not of format yihao-status-1")]
    Format,
    /// An element is missing.
    #[error("{element} is missing")]
    Missing {
        /// Its key.
        element: &'static str,
    },
    /// An element that does not belong here: unknown, or of another change.
    #[error("the order has an element that does not belong to it")]
    UnknownElement,
    /// An element that is not a text.
    #[error("{element} is not a text")]
    Shape {
        /// Its key.
        element: &'static str,
    },
    /// The licence that is to change, or the one that takes its place.
    #[error("{element}: {cause}")]
    Identifier {
        /// Its key.
        element: &'static str,
        /// What is wrong with it.
        cause: CodeError,
    },
    /// Not one of the four changes.
    #[error("unknown change")]
    Change,
    /// Not one of the three causes.
    #[error("unknown cause")]
    Cause,
    /// A licence cannot take its own place.
    #[error("a licence cannot supersede itself")]
    SupersedesItself,
    /// Empty, longer than 200 characters, or with control characters.
    #[error("the reason is not 1 to 200 printable characters")]
    Reason,
    /// Not RFC 3339.
    #[error("ordered_at is not an RFC 3339 time")]
    Time,
}

impl StatusOrderError {
    /// Stable name of the cause; part of the public interface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::NotAnObject => "not_an_object",
            Self::Format => "wrong_format",
            Self::Missing { .. } => "element_missing",
            Self::UnknownElement => "element_unknown",
            Self::Shape { .. } => "element_wrong_shape",
            Self::Identifier { cause, .. } => cause.code(),
            Self::Change => "unknown_change",
            Self::Cause => "unknown_revocation_cause",
            Self::SupersedesItself => "supersedes_itself",
            Self::Reason => "reason_not_usable",
            Self::Time => "no_such_time",
        }
    }
}

impl StatusOrder {
    const FORMAT: &'static str = "yihao-status-1";

    /// Reads the bytes an issuer signed; at most 8 KiB.
    ///
    /// # Errors
    /// See [`StatusOrderError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StatusOrderError> {
        use StatusOrderError as Error;
        let Value::Object(mut elements) = json::parse(bytes, Limits { bytes: 8 << 10, depth: 2 })?
        else {
            return Err(Error::NotAnObject);
        };
        let mut take = |element: &'static str| match elements.remove(element) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(Error::Shape { element }),
            None => Err(Error::Missing { element }),
        };
        if take("format")? != Self::FORMAT {
            return Err(Error::Format);
        }
        let licence_id = |element, text: String| {
            text.parse().map_err(|cause| Error::Identifier { element, cause })
        };
        let identifier: LicenceId = licence_id("identifier", take("identifier")?)?;
        let change = match take("change")?.as_str() {
            "suspend" => StatusChange::Suspend,
            "restore" => StatusChange::Restore,
            "revoke" => {
                let word = take("cause")?;
                let cause = RevocationCause::ALL.into_iter().find(|cause| cause.word() == word);
                StatusChange::Revoke { cause: cause.ok_or(Error::Cause)? }
            }
            "supersede" => StatusChange::Supersede { by: licence_id("by", take("by")?)? },
            _ => return Err(Error::Change),
        };
        let reason = take("reason")?;
        let ordered_at = rfc_3339(&take("ordered_at")?).ok_or(Error::Time)?;
        if !elements.is_empty() {
            return Err(Error::UnknownElement);
        }
        let order = Self { identifier, change, reason, ordered_at };
        order.check()?;
        Ok(order)
    }

    /// Whether an order that was put together by hand could be parsed back.
    ///
    /// # Errors
    /// `Reason`, `SupersedesItself`.
    pub fn check(&self) -> Result<(), StatusOrderError> {
        if matches!(&self.change, StatusChange::Supersede { by } if *by == self.identifier) {
            return Err(StatusOrderError::SupersedesItself);
        }
        if self.reason.trim().is_empty()
            || self.reason.chars().count() > MAX_REASON_CHARS
            || self.reason.contains(char::is_control)
        {
            return Err(StatusOrderError::Reason);
        }
        Ok(())
    }

    /// The bytes to sign: one line of JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Wire<'a> {
            format: &'a str,
            identifier: &'a LicenceId,
            change: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            cause: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            by: Option<&'a LicenceId>,
            reason: &'a str,
            ordered_at: Timestamp,
        }
        let (cause, by) = match &self.change {
            StatusChange::Suspend | StatusChange::Restore => (None, None),
            StatusChange::Revoke { cause } => (Some(cause.word()), None),
            StatusChange::Supersede { by } => (None, Some(by)),
        };
        json::to_line(&Wire {
            format: Self::FORMAT,
            identifier: &self.identifier,
            change: self.change.word(),
            cause,
            by,
            reason: &self.reason,
            ordered_at: self.ordered_at,
        })
    }
}

/// jiff reads more than RFC 3339 allows (a space for the `T`, zone names in brackets): not here.
fn rfc_3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let zone = match bytes.last()? {
        b'Z' => "Z",
        _ => text.get(text.len().checked_sub(6)?..)?,
    };
    let zone_fits = zone == "Z" || {
        let zone = zone.as_bytes();
        matches!(zone[0], b'+' | b'-') && zone[3] == b':'
    };
    let fits = bytes.len() <= 40 && bytes.get(10) == Some(&b'T') && zone_fits;
    fits.then(|| text.parse().ok()).flatten()
}
