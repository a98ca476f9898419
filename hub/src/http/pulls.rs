//! Pulls.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, post, web};
use indexes::{Basis, Operator};
use licence::{HolderId, HolderKind, LicenceId, LicenceTypeCode, MatterCode, ProjectCode, Seq};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    body::{self, SMALL},
    error::Problem,
    idempotency::{Done, Once},
};
use crate::{
    Hub,
    face_files::SignedFile,
    judge::{FaceFile, Verification},
    pull::{self, Pull, Pulled, Subject},
    reuse::corrections::Disputed,
    tls::Caller,
};

/// What is asked, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PullRequest {
    /// Whose licences; or `project`.
    #[serde(default)]
    holder: Option<HolderWire>,
    /// 投资项目统一代码; in place of `holder`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    project: Option<String>,
    /// Codes of licence types.
    #[schema(value_type = Vec<String>)]
    #[serde(default)]
    types: Vec<String>,
    /// 实施编码 of what is being handled.
    #[serde(default)]
    matter: String,
    /// 办件编号, if a case is open.
    #[serde(default)]
    case: Option<String>,
    /// Why the use is allowed.
    #[serde(default)]
    basis: Option<BasisWire>,
    /// 申请事由, at most 200 characters.
    #[serde(default)]
    reason: String,
    /// Who at the department asked.
    #[serde(default)]
    operator: Option<OperatorWire>,
}

/// A holder.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HolderWire {
    /// 持证主体代码类型 (GB/T 36903 Annex A), e.g. `111`, `001`.
    pub(super) kind: String,
    /// The number.
    pub(super) number: String,
}

/// A basis.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BasisWire {
    /// `holder`, `consent` or `duty`.
    kind: String,
    /// The consent or the mandate.
    #[serde(default)]
    reference: Option<String>,
}

/// A clerk.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OperatorWire {
    /// Account in the department's system.
    account: String,
    /// Organisation or window.
    #[serde(default)]
    organisation: String,
}

#[derive(Serialize, ToSchema)]
struct PullAnswer<'a> {
    /// Opens content: `/v1/grants/{grant}/licences/{identifier}`.
    grant: &'a str,
    /// Number of the access-log entry.
    #[serde(rename = "use")]
    #[schema(value_type = u64)]
    seq: Seq,
    licences: Vec<LicenceAnswer<'a>>,
    missing: Vec<Missing>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LicenceAnswer<'a> {
    #[schema(value_type = String)]
    identifier: &'a LicenceId,
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    licence_type: &'a LicenceTypeCode,
    /// 证照名称; left out of an untrusted licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// 证照编号; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    /// `valid`, `suspended`, `revoked`, `superseded`.
    status: &'static str,
    /// Face fields as signed, or those that the holder gave; left out of an untrusted licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    fields: Option<GivenFields<'a>>,
    /// `withheld`: the holder gave single fields, so that the signed bytes are not opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'static str>,
    files: Vec<FileAnswer>,
    /// The holder disputes it: since when, and which fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    disputed: Option<&'a Disputed>,
    verification: &'a Verification,
}

/// Face fields, all or some.
#[derive(Serialize)]
#[serde(untagged)]
enum GivenFields<'a> {
    All(&'a RawValue),
    Some(BTreeMap<String, &'a RawValue>),
}

#[derive(Serialize, ToSchema)]
struct FileAnswer {
    name: String,
    media_type: String,
    #[schema(value_type = String)]
    sha256: licence::Sha256Digest,
    size: u64,
    href: String,
    /// What its own seals and signatures say, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<SignedFile>,
}

#[derive(Serialize, ToSchema)]
struct Missing {
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    licence_type: LicenceTypeCode,
    /// `none_held`.
    reason: &'static str,
}

/// Pulls verified licences of a holder or a project for a stated purpose.
///
/// The use is on the access log before the answer leaves. An untrusted licence is listed with the
/// link that failed and without its fields. Repeated under its `Idempotency-Key`, a pull keeps its
/// grant and number; the licences are judged anew, and the repeated look is on the access log too.
#[utoipa::path(
    request_body = PullRequest,
    responses((status = 200, body = PullAnswer), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 422, body = Problem))
)]
#[post("/v1/pulls")]
pub async fn pull_licences(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (asked, body): (PullRequest, _) = body::json(&request, payload, SMALL).await?;
    let asked = check(asked)?;
    let once = Once::begin(&hub, &caller, &request, &body)?;
    let earlier = match &once {
        Some(once) => once.recall::<EarlierPull>().await?,
        None => None,
    };
    let answer = match &earlier {
        None => pull::pull(&hub, &(&caller).into(), asked).await?,
        Some(earlier) => pull::pull_again(&hub, &(&caller).into(), asked, &earlier.grant).await?,
    };
    if let (Some(once), None) = (&once, &earlier) {
        once.remember(&EarlierPull { grant: answer.grant.clone() }).await?;
    }
    metrics::counter!("yihao_pulls_total").increment(1);
    metrics::counter!("yihao_licences_shown_total").increment(answer.licences.len() as u64);
    let licences = answer.licences.iter().map(|pulled| wire(&answer.grant, pulled)).collect();
    let missing = answer
        .missing
        .into_iter()
        .map(|licence_type| Missing { licence_type, reason: "none_held" })
        .collect();
    let wire = PullAnswer { grant: &answer.grant, seq: answer.seq, licences, missing };
    Ok(Done::json(StatusCode::OK, &wire)?.respond(earlier.is_some()))
}

/// What is remembered of a pull under its `Idempotency-Key`: no licence, for the next look judges
/// anew.
#[derive(Serialize, Deserialize)]
struct EarlierPull {
    grant: String,
}

/// The request's parts, each parsed; the first that is wrong names itself.
fn check(asked: PullRequest) -> Result<Pull, Problem> {
    let subject = match (asked.holder, asked.project) {
        (Some(holder), None) => Subject::Holder(parse_holder(&holder.kind, &holder.number)?),
        (None, Some(project)) => Subject::Project(
            project
                .parse::<ProjectCode>()
                .map_err(|error| wrong("project", error.code(), &error))?,
        ),
        _ => {
            return Err(Problem::bad_request(
                "holder_or_project",
                "name either `holder` (kind and number) or `project`",
            ));
        }
    };
    let types = asked
        .types
        .iter()
        .map(|code| {
            code.parse::<LicenceTypeCode>().map_err(|error| wrong("types", error.code(), &error))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if asked.matter.trim().is_empty() {
        return Err(Problem::unacceptable(
            "matter_required",
            "`matter` is needed: the code (实施编码) of what is being handled",
        )
        .at("request"));
    }
    let matter = asked
        .matter
        .parse::<MatterCode>()
        .map_err(|error| wrong("matter", error.code(), &error))?;
    let basis = asked.basis.ok_or_else(|| {
        Problem::unacceptable(
            "basis_required",
            "`basis` is needed: holder (the holder asked), consent (the holder authorised) or duty \
             (a mandated duty)",
        )
        .at("request")
    })?;
    let kind = indexes::BasisKind::from_word(&basis.kind).ok_or_else(|| {
        Problem::unacceptable("basis_kind", "`basis.kind` is holder, consent or duty").at("request")
    })?;
    let short = |member: &str, text: &Option<String>| match text {
        Some(text) if text.chars().count() > 128 => Err(Problem::unacceptable(
            "text_too_long",
            format!("`{member}` may have at most 128 characters"),
        )
        .at("request")),
        _ => Ok(()),
    };
    short("case", &asked.case)?;
    short("basis.reference", &basis.reference)?;
    let operator = asked.operator.map(|operator| Operator {
        account: operator.account,
        organisation: operator.organisation,
    });
    if let Some(operator) = &operator {
        short("operator.account", &Some(operator.account.clone()))?;
        short("operator.organisation", &Some(operator.organisation.clone()))?;
    }
    Ok(Pull {
        subject,
        types,
        matter,
        case: asked.case,
        basis: Basis { kind, reference: basis.reference },
        reason: asked.reason,
        operator,
    })
}

/// Parses a holder from wire form.
///
/// # Errors
/// `holder_kind`, or the number's own code; never the number.
pub fn parse_holder(kind: &str, number: &str) -> Result<HolderId, Problem> {
    let kind = HolderKind::from_code(kind).map_err(|_| {
        Problem::unacceptable(
            "holder_kind",
            "`holder.kind` is not a 持证主体代码类型 of GB/T 36903 Annex A, such as 111 or 001",
        )
        .at("request")
    })?;
    HolderId::parse(kind, number).map_err(|error| wrong("holder.number", error.code(), &error))
}

pub(super) fn wrong(member: &str, code: &str, error: &dyn std::fmt::Display) -> Problem {
    Problem::unacceptable(code, format!("`{member}`: {error}")).at("request")
}

/// A licence as it is answered under a grant.
pub(super) fn wire<'a>(grant: &str, pulled: &'a Pulled) -> LicenceAnswer<'a> {
    let stored = &pulled.stored;
    let mut answer = LicenceAnswer {
        identifier: &stored.identifier,
        licence_type: &stored.licence_type,
        name: None,
        number: None,
        status: stored.status.word(),
        fields: None,
        evidence: None,
        files: Vec::new(),
        disputed: pulled.disputed.as_ref(),
        verification: &pulled.verification,
    };
    let Some(face) = pulled.face() else { return answer };
    if let Some(only) = &pulled.only_fields {
        answer.fields = Some(GivenFields::Some(pull::given_fields(&face, only)));
        answer.evidence = Some("withheld");
        answer.name = Some(face.name);
        return answer;
    }
    let href = |file: &FaceFile| {
        format!("/v1/grants/{grant}/licences/{}/files/{}", stored.identifier, file.sha256)
    };
    let files = face.files.into_iter().map(|file| FileAnswer {
        href: href(&file),
        signed: pulled.signed_files.get(&file.sha256).cloned(),
        name: file.name,
        media_type: file.media_type,
        sha256: file.sha256,
        size: file.size,
    });
    answer.files = files.collect();
    answer.fields = Some(GivenFields::All(face.fields));
    answer.name = Some(face.name);
    answer.number = Some(face.number);
    answer
}
