//! Errors as `application/problem+json` (RFC 9457). This file alone knows HTTP status codes.
//!
//! Every problem carries a stable `code` (listed in `docs/formats/errors.md`), where it applies the
//! `link` of the chain of trust that failed, and whether asking again can help.

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde::Serialize;

/// One problem, ready to be sent.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the code says which problem it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Stable name of the problem.
    pub code: String,
    /// What happened and what to do, for people. No personal data.
    pub detail: String,
    /// The link that failed: `format`, `identifier`, `catalogue`, `policy`, `signature`,
    /// `certificate`, `chain`, `revocation`, `usage`, `status`, `validity`, `manifest`, `files`,
    /// `store`, `search`, `connector`, `request`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<&'static str>,
    /// Whether the same request may succeed later.
    pub retry: bool,
    /// Where to start again instead, as an address of this interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_again: Option<StartAgain>,
    /// More than one defect, where all are known at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defects: Vec<String>,
}

/// Where to start again: a word in place of the address, so that every error stays small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub enum StartAgain {
    /// With the state of all licences.
    #[serde(rename = "/v1/changes/snapshot")]
    Snapshot,
}

impl Problem {
    /// A problem that the caller caused.
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            status: status.as_u16(),
            code: code.into(),
            detail: detail.into(),
            link: None,
            retry: false,
            start_again: None,
            defects: Vec::new(),
        }
    }

    /// 400: the request itself cannot be understood.
    pub fn bad_request(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail).at("request")
    }

    /// 422: understood, but what it carries is not acceptable.
    pub fn unacceptable(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// 403: the caller has no right to this.
    pub fn forbidden(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail).at("policy")
    }

    /// 404.
    pub fn not_found(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 409.
    pub fn conflict(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 410: it was there, and is no more.
    pub fn gone(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, code, detail)
    }

    /// 413.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).at("request")
    }

    /// 503: the hub's fault, and worth another try.
    pub fn unavailable(code: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).at("store");
        problem.retry = true;
        problem
    }

    /// Names the link that failed.
    #[must_use]
    pub fn at(mut self, link: &'static str) -> Self {
        self.link = Some(link);
        self
    }

    /// Adds the single defects.
    #[must_use]
    pub fn with_defects(mut self, defects: Vec<String>) -> Self {
        self.defects = defects;
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        metrics::counter!("yihao_problems_total", "code" => self.code.clone()).increment(1);
        let mut response = HttpResponse::build(self.status_code());
        if self.retry {
            response.insert_header(("Retry-After", "1"));
        }
        response.content_type("application/problem+json").json(self)
    }
}

impl From<indexes::StoreError> for Problem {
    fn from(error: indexes::StoreError) -> Self {
        tracing::error!(error.code = error.code(), error = %error, "the store failed");
        Self::unavailable(
            error.code(),
            "the store cannot answer now; nothing was acknowledged, ask again",
        )
    }
}

fn file_store(error: &indexes::BlobError) -> Problem {
    tracing::error!(error.code = error.code(), error = %error, "the file store failed");
    Problem::unavailable(error.code(), error.to_string()).at("files")
}

impl From<crate::login::oidc::LoginError> for Problem {
    fn from(error: crate::login::oidc::LoginError) -> Self {
        use crate::login::oidc::LoginError as E;
        let (code, detail) = (error.code(), error.to_string());
        match error {
            E::Provider | E::Random => Self::unavailable(code, detail).at("session"),
            E::State | E::Code => Self::bad_request(code, detail).at("session"),
            _ => Self::forbidden(code, detail).at("session"),
        }
    }
}

impl From<crate::intake::IntakeError> for Problem {
    fn from(error: crate::intake::IntakeError) -> Self {
        use crate::intake::IntakeError as E;
        let code = error.code();
        let link = error.link();
        let detail = error.to_string();
        match error {
            E::Store(error) => error.into(),
            E::Files(error) => file_store(&error),
            E::NotPermitted { .. } | E::IssuesNothing { .. } => {
                Self::forbidden(code, detail).at(link)
            }
            E::Conflict | E::Transition(_) => Self::conflict(code, detail).at(link),
            E::UnknownLicence => Self::not_found(code, detail).at(link),
            E::FaceFields(fields) => {
                let defects = fields
                    .defects
                    .iter()
                    .map(|defect| format!("{}: {}", defect.pointer, defect.keyword))
                    .collect();
                Self::unacceptable(code, detail).at(link).with_defects(defects)
            }
            _ => Self::unacceptable(code, detail).at(link),
        }
    }
}

impl From<crate::reuse::consents::ConsentError> for Problem {
    fn from(error: crate::reuse::consents::ConsentError) -> Self {
        use crate::reuse::consents::ConsentError as E;
        let code = error.code();
        let detail = error.to_string();
        match error {
            E::Store(error) => error.into(),
            E::Purpose(error) => error.into(),
            E::NotADepartment | E::NotTheHolder => Self::forbidden(code, detail),
            E::Unknown => Self::not_found(code, detail),
            E::Decided | E::Withdrawn | E::NotInForce | E::NotByConsent | E::TooManyWaiting => {
                Self::conflict(code, detail).at("policy")
            }
            E::Lapsed => Self::new(StatusCode::GONE, code, detail).at("policy"),
            E::Busy => Self::unavailable(code, detail),
            _ => Self::unacceptable(code, detail).at("request"),
        }
    }
}

impl From<crate::reuse::corrections::CorrectionError> for Problem {
    fn from(error: crate::reuse::corrections::CorrectionError) -> Self {
        use crate::reuse::corrections::CorrectionError as E;
        let code = error.code();
        let detail = error.to_string();
        match error {
            E::Store(error) => error.into(),
            E::NotTheHolder | E::NotTheIssuer | E::OwnDispute => Self::forbidden(code, detail),
            E::UnknownLicence => Self::not_found(code, detail).at("identifier"),
            E::Unknown => Self::not_found(code, detail),
            E::AlreadyDisputed | E::Answered => Self::conflict(code, detail).at("policy"),
            E::Busy => Self::unavailable(code, detail),
            E::NoService(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).at("certificate")
            }
            _ => Self::unacceptable(code, detail).at("request"),
        }
    }
}

impl From<crate::pull::PullError> for Problem {
    fn from(error: crate::pull::PullError) -> Self {
        use crate::pull::PullError as E;
        let code = error.code();
        let detail = error.to_string();
        match error {
            E::Store(error) => error.into(),
            E::Files(error) => file_store(&error),
            E::NotPermitted { .. }
            | E::MatterNotCovering { .. }
            | E::GrantOfAnother
            | E::NoConsent
            | E::NoMandate { .. }
            | E::CaseOfAnother
            | E::FilesWithheld => Self::forbidden(code, detail),
            E::UnknownGrant | E::NotInGrant | E::NoSuchFile => Self::not_found(code, detail),
            E::GrantEnded { .. } | E::GrantWithdrawn { .. } => {
                Self::new(StatusCode::GONE, code, detail).at("policy")
            }
            E::NotTrusted(verdict) => Self::conflict(code, detail).at(verdict.failing_link()),
            E::FileGone => Self::unavailable(code, detail),
            _ => Self::unacceptable(code, detail).at("request"),
        }
    }
}

impl From<crate::reuse::cases::CaseError> for Problem {
    fn from(error: crate::reuse::cases::CaseError) -> Self {
        use crate::reuse::cases::CaseError as E;
        let code = error.code();
        let detail = error.to_string();
        match error {
            E::Store(error) => error.into(),
            E::Files(error) => file_store(&error),
            E::Material(error) => error.into(),
            E::Evidence(error) => error.into(),
            E::UnknownCase | E::NoPackage => Self::not_found(code, detail),
            E::NotPermitted(_) | E::ApplicantKind | E::NotTakenHere => {
                Self::forbidden(code, detail)
            }
            E::State { .. } | E::ReferenceReused => Self::conflict(code, detail).at("request"),
            E::TooManyDrafts => Self::conflict(code, detail).at("policy"),
            E::HeldAlready { identifier, .. } => {
                Self::conflict(code, detail).at("policy").with_defects(vec![identifier.to_string()])
            }
            E::Missing { requirements } => {
                Self::conflict(code, detail).at("policy").with_defects(requirements)
            }
            E::SupplementOnce { requirements } => {
                Self::conflict(code, detail).at("policy").with_defects(requirements)
            }
            E::FormIncomplete { fields } | E::FormUnconfirmed { fields } => {
                Self::conflict(code, detail).at("request").with_defects(fields)
            }
            E::PromiseUnkept { case } => {
                Self::conflict(code, detail).at("policy").with_defects(vec![case])
            }
            E::MayNotFollow { .. } | E::PromiseOver | E::MaterialOutdated | E::MaterialSentBack => {
                Self::conflict(code, detail).at("policy")
            }
            E::NoService => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).at("certificate")
            }
            E::Sign(error) => {
                tracing::error!(error.code = code, error = %error, "a package could not be signed");
                Self::unavailable(code, detail).at("certificate")
            }
            E::Signer(_) => Self::unavailable(code, detail).at("certificate"),
            E::PackageGone => Self::unavailable(code, detail),
            E::Busy => Self::unavailable(code, detail),
            _ => Self::unacceptable(code, detail).at("request"),
        }
    }
}

impl From<crate::reuse::own::OwnFileError> for Problem {
    fn from(error: crate::reuse::own::OwnFileError) -> Self {
        use crate::reuse::own::OwnFileError as E;
        match error {
            E::Look(error) => error.into(),
            E::Open(error) => error.into(),
        }
    }
}

impl From<crate::reuse::materials::MaterialError> for Problem {
    fn from(error: crate::reuse::materials::MaterialError) -> Self {
        use crate::reuse::materials::MaterialError as E;
        let code = error.code();
        let detail = error.to_string();
        match error {
            E::Store(error) => error.into(),
            E::Files(error) => file_store(&error),
            E::UnknownMaterial | E::UnknownUpload | E::UnknownCase => Self::not_found(code, detail),
            E::NotPermitted(_) => Self::forbidden(code, detail),
            E::TooLarge { .. } | E::TooLong => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, detail).at("request")
            }
            E::Offset { .. } | E::Incomplete { .. } | E::Finished | E::Quota => {
                Self::conflict(code, detail).at("request")
            }
            E::Interrupted => {
                let mut problem = Self::bad_request(code, detail);
                problem.retry = true;
                problem
            }
            E::UploadBusy | E::Busy | E::Scanner => Self::unavailable(code, detail),
            E::Sniffed(_) | E::Infected => Self::unacceptable(code, detail).at("files"),
            E::Kind | E::Name | E::Empty => Self::unacceptable(code, detail).at("request"),
        }
    }
}
