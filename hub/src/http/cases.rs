//! Checklists and cases: what is still to be handed in, handing it over, and what the department does with it.
//!
//! People come with a session, departments' systems with a certificate. What somebody may do with a case is decided in
//! [`crate::reuse::cases`]; for everybody else a case is not there.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, dev::Payload, get, http::StatusCode, post, put, web,
};
use jiff::{Timestamp, civil::Date};
use licence::{CreditCode, LicenceId, LicenceTypeCode, MatterCode, Said, Sha256Digest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{self, SMALL},
    error::Problem,
    idempotency::{Done, Once},
    pulls::parse_holder,
};
use crate::{
    Hub,
    login::Person,
    reuse::{
        Clerk, Who,
        case::{Case, CaseState, Provided, Step, StepBy, SupplementItem},
        cases::{self, CaseError, DepartmentStep},
        checklist::{self, Item, ItemState, MayFollow, WhyNot},
    },
    stamps,
    tls::Caller,
};

/// Most in a list.
const MOST_LISTED: usize = 500;

/// A person with a session, or a department's system with a certificate.
pub enum Requester {
    /// With a session.
    Person(Person),
    /// With a certificate.
    Department(Caller),
}

impl FromRequest for Requester {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload).into_inner();
        std::future::ready(match caller {
            Ok(caller) => Ok(Self::Department(caller)),
            Err(_) => Person::from_request(request, payload).into_inner().map(Self::Person),
        })
    }
}

impl Requester {
    /// How the requester stands to a case.
    ///
    /// # Errors
    /// `UnknownCase` for a person who has nothing to do with it.
    pub async fn towards(&self, hub: &Hub, case: &str) -> Result<Who, CaseError> {
        match self {
            Self::Person(person) => cases::stand(hub, person, case).await,
            Self::Department(caller) => Ok(Who::Department(caller.clone())),
        }
    }
}

/// The checklist of the person who asks: what the repository holds, what can be used again, what is to be handed in.
///
/// For an organisation that the person represents, `holder` is its place in the person's list; 0 is the person.
#[utoipa::path(
    params(("code" = String, Path, description = "实施编码"),
           ("holder" = Option<usize>, Query, description = "place in the list of those the person acts for")),
    responses((status = 200, body = ChecklistAnswer), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 422, body = Problem))
)]
#[get("/v1/matters/{code}/checklist")]
pub async fn show_checklist(
    hub: web::Data<Hub>,
    person: Person,
    code: web::Path<String>,
    query: web::Query<ForWhom>,
) -> Result<HttpResponse, Problem> {
    let matter = parse_matter(&code)?;
    let matter = cases::current_matter(&hub, &matter)?;
    let holder = person.account.holders.get(query.holder).cloned().ok_or_else(acts_for_nobody)?;
    let who = Who::Holder { person, holder: holder.clone() };
    let list = checklist::checklist(&hub, &who, &holder, matter, None).await?;
    Ok(HttpResponse::Ok().json(ChecklistAnswer {
        matter: list.matter,
        version: list.version,
        items: list.items.iter().map(ItemAnswer::of).collect(),
    }))
}

#[derive(Deserialize)]
struct ForWhom {
    #[serde(default)]
    holder: usize,
}

/// A new case.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCase {
    /// 实施编码.
    matter: String,
    /// Who applies; the person who asks when left out.
    #[serde(default)]
    holder: Option<HolderNumber>,
}

/// A holder.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HolderNumber {
    /// 持证主体代码类型.
    kind: String,
    /// The number.
    number: String,
}

/// What is remembered of an opened case under its `Idempotency-Key`.
#[derive(Serialize, Deserialize)]
struct Opened {
    case: String,
}

/// Opens a case: by the applicant, or by a clerk for one.
#[utoipa::path(
    request_body = NewCase,
    responses((status = 201, body = CaseAnswer), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 422, body = Problem))
)]
#[post("/v1/cases")]
pub async fn open_case(
    hub: web::Data<Hub>,
    person: Person,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (new, body): (NewCase, _) = body::json(&request, payload, SMALL).await?;
    let matter = parse_matter(&new.matter)?;
    let holder = match &new.holder {
        Some(holder) => parse_holder(&holder.kind, &holder.number)?,
        None => person.account.holders.first().cloned().ok_or_else(acts_for_nobody)?,
    };
    let clerk = Clerk::of(&hub, &person).map(Who::Clerk);
    let who = match clerk {
        Some(clerk) if !person.acts_for(&holder) => clerk,
        _ => Who::Holder { person: person.clone(), holder: holder.clone() },
    };
    let once = Once::begin_for(&hub, &format!("session {}", person.session), &request, &body)?;
    if let Some(once) = &once
        && let Some(earlier) = once.recall::<Opened>().await?
    {
        let held = cases::case(&hub, &who, &earlier.case).await?;
        let answer = CaseAnswer::of(&hub, &who, held.value);
        return Ok(Done::json(StatusCode::CREATED, &answer)?.respond(true));
    }
    let case = cases::open(&hub, &who, &holder, &matter).await?;
    if let Some(once) = &once {
        once.remember(&Opened { case: case.id.clone() }).await?;
    }
    let answer = CaseAnswer::of(&hub, &who, case);
    Ok(Done::json(StatusCode::CREATED, &answer)?.respond(false))
}

/// Which cases.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CasesQuery {
    /// Place in the list of those the person acts for; 0 is the person. Left out by a clerk: the place's queue.
    #[serde(default)]
    holder: Option<usize>,
    /// Only those in this state.
    #[serde(default)]
    state: Option<String>,
    /// At most so many, up to 500.
    #[serde(default)]
    limit: Option<usize>,
}

/// A list of cases, newest first.
#[derive(Serialize, ToSchema)]
struct CasesAnswer {
    cases: Vec<CaseLine>,
}

/// A case in a list: where it stands, and nothing of what is in it.
#[derive(Serialize, ToSchema)]
struct CaseLine {
    /// 办件编号.
    id: String,
    #[schema(value_type = String)]
    matter: MatterCode,
    version: u32,
    #[schema(value_type = String)]
    department: CreditCode,
    /// The node where a clerk took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    due: Option<Date>,
    #[schema(value_type = String)]
    opened_at: Timestamp,
}

impl CaseLine {
    fn of(case: Case) -> Self {
        Self {
            id: case.id,
            matter: case.matter,
            version: case.version,
            department: case.department,
            window: case.window,
            state: case.state.word(),
            due: case.due,
            opened_at: case.opened_at,
        }
    }
}

/// One's own cases; for a department and for clerks, the cases they work on.
#[utoipa::path(
    params(CasesQuery),
    responses((status = 200, body = CasesAnswer), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 422, body = Problem))
)]
#[get("/v1/cases")]
pub async fn list_cases(
    hub: web::Data<Hub>,
    requester: Requester,
    query: web::Query<CasesQuery>,
) -> Result<HttpResponse, Problem> {
    let state = match query.state.as_deref() {
        Some(word) => Some(CaseState::from_word(word).ok_or_else(|| {
            Problem::unacceptable("case_state_word", "`state` is no state of a case").at("request")
        })?),
        None => None,
    };
    let limit = query.limit.unwrap_or(100).min(MOST_LISTED);
    let who = match requester {
        Requester::Department(caller) => Who::Department(caller),
        Requester::Person(person) => match (Clerk::of(&hub, &person), query.holder) {
            (Some(clerk), None) => Who::Clerk(clerk),
            (_, place) => {
                let holder = person.account.holders.get(place.unwrap_or(0)).cloned();
                Who::Holder { person, holder: holder.ok_or_else(acts_for_nobody)? }
            }
        },
    };
    let mut cases = match &who {
        Who::Holder { .. } => cases::of_holder(&hub, &who, MOST_LISTED).await?,
        Who::Clerk(_) | Who::Department(_) => cases::queue(&hub, &who, state, limit).await?,
    };
    cases.retain(|case| state.is_none_or(|state| state == case.state));
    cases.truncate(limit);
    let cases = cases.into_iter().map(CaseLine::of).collect();
    Ok(HttpResponse::Ok().json(CasesAnswer { cases }))
}

/// A case, for its applicant, the window that took it and the department that decides.
#[utoipa::path(
    params(("id" = String, Path, description = "办件编号")),
    responses((status = 200, body = CaseAnswer), (status = 401, body = Problem),
              (status = 404, body = Problem))
)]
#[get("/v1/cases/{id}")]
pub async fn show_case(
    hub: web::Data<Hub>,
    requester: Requester,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let who = requester.towards(&hub, &id).await?;
    let held = cases::case(&hub, &who, &id).await?;
    Ok(HttpResponse::Ok().json(CaseAnswer::of(&hub, &who, held.value)))
}

/// What is written into the forms.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Fields {
    /// Values by field; fields not named keep what they have.
    #[serde(default)]
    fields: BTreeMap<String, String>,
    /// Fields the department asked about that are right as they stand.
    #[serde(default)]
    confirmed: BTreeSet<String>,
}

/// Writes into the forms of a case. What equals a licence's field keeps that licence as its source.
#[utoipa::path(
    params(("id" = String, Path, description = "办件编号")),
    request_body = Fields,
    responses((status = 200, body = CaseAnswer), (status = 404, body = Problem),
              (status = 409, body = Problem), (status = 422, body = Problem))
)]
#[put("/v1/cases/{id}/form")]
pub async fn fill_form(
    hub: web::Data<Hub>,
    requester: Requester,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (fields, _): (Fields, _) = body::json(&request, payload, SMALL).await?;
    let who = requester.towards(&hub, &id).await?;
    let case = cases::fill_and_confirm(&hub, &who, &id, &fields.fields, &fields.confirmed).await?;
    Ok(HttpResponse::Ok().json(CaseAnswer::of(&hub, &who, case)))
}

/// A file for a requirement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Attached {
    /// The requirement.
    requirement: String,
    /// The material, as `POST /v1/materials` named it.
    material: String,
}

/// Attaches a file to a requirement. What the repository holds is refused, naming the licence that covers it.
#[utoipa::path(
    params(("id" = String, Path, description = "办件编号")),
    request_body = Attached,
    responses((status = 200, body = CaseAnswer), (status = 404, body = Problem),
              (status = 409, body = Problem, description = "`held_already`: the repository covers it"),
              (status = 422, body = Problem))
)]
#[post("/v1/cases/{id}/materials")]
pub async fn attach(
    hub: web::Data<Hub>,
    requester: Requester,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (asked, _): (Attached, _) = body::json(&request, payload, SMALL).await?;
    let who = requester.towards(&hub, &id).await?;
    let case = cases::provide(&hub, &who, &id, &asked.requirement, &asked.material).await?;
    Ok(HttpResponse::Ok().json(CaseAnswer::of(&hub, &who, case)))
}

/// What is promised to follow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Promised {
    /// The requirements.
    requirements: Vec<String>,
}

/// 容缺: promises that minor materials follow.
#[utoipa::path(
    params(("id" = String, Path, description = "办件编号")),
    request_body = Promised,
    responses((status = 200, body = CaseAnswer), (status = 404, body = Problem),
              (status = 409, body = Problem), (status = 422, body = Problem))
)]
#[post("/v1/cases/{id}/promise")]
pub async fn promise_to_follow(
    hub: web::Data<Hub>,
    requester: Requester,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (asked, _): (Promised, _) = body::json(&request, payload, SMALL).await?;
    let who = requester.towards(&hub, &id).await?;
    let case = cases::promise(&hub, &who, &id, &asked.requirements).await?;
    Ok(HttpResponse::Ok().json(CaseAnswer::of(&hub, &who, case)))
}

/// Hands the case to the department, as one signed package. A case that is there already stays as it is.
#[utoipa::path(
    params(("id" = String, Path, description = "办件编号")),
    responses((status = 200, body = CaseAnswer), (status = 404, body = Problem),
              (status = 409, body = Problem), (status = 422, body = Problem))
)]
#[post("/v1/cases/{id}/submit")]
pub async fn submit_case(
    hub: web::Data<Hub>,
    requester: Requester,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let who = requester.towards(&hub, &id).await?;
    let case = cases::submit(&hub, &who, &id).await?;
    Ok(HttpResponse::Ok().json(CaseAnswer::of(&hub, &who, case)))
}

/// Withdraws a case that is not decided yet.
#[utoipa::path(
    params(("id" = String, Path, description = "办件编号")),
    responses((status = 200, body = CaseAnswer), (status = 404, body = Problem),
              (status = 409, body = Problem))
)]
#[post("/v1/cases/{id}/withdraw")]
pub async fn withdraw_case(
    hub: web::Data<Hub>,
    requester: Requester,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let who = requester.towards(&hub, &id).await?;
    let case = cases::withdraw(&hub, &who, &id).await?;
    Ok(HttpResponse::Ok().json(CaseAnswer::of(&hub, &who, case)))
}

/// A step of the department.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StepRequest {
    /// `accept`, `supplement`, `decline`, `decide`, `result` or `delivered`.
    step: String,
    /// For `supplement`: all that is missing, at once.
    #[serde(default)]
    items: Vec<WantedItem>,
    /// For `decline` and `decide`.
    #[serde(default)]
    reason: String,
    /// For `decide`.
    #[serde(default)]
    granted: Option<bool>,
    /// For `result`: 证照标识.
    #[serde(default)]
    licence: Option<String>,
    /// The department's own number for this step: sent twice, it is taken once.
    #[serde(default)]
    reference: Option<String>,
}

/// One thing the department asks for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WantedItem {
    /// The requirement, or a form field.
    requirement: String,
    /// What is wrong and what to do.
    why: String,
}

/// Takes a step of the department that decides: acceptance, supplement, decision, result.
#[utoipa::path(
    params(("id" = String, Path, description = "办件编号")),
    request_body = StepRequest,
    responses((status = 200, body = CaseAnswer), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 422, body = Problem))
)]
#[post("/v1/cases/{id}/steps")]
pub async fn take_step(
    hub: web::Data<Hub>,
    requester: Requester,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (asked, _): (StepRequest, _) = body::json(&request, payload, SMALL).await?;
    let reference = asked.reference.clone();
    let step = check_step(asked)?;
    let who = requester.towards(&hub, &id).await?;
    let case = cases::step(&hub, &who, &id, step, reference.as_deref()).await?;
    Ok(HttpResponse::Ok().json(CaseAnswer::of(&hub, &who, case)))
}

fn check_step(asked: StepRequest) -> Result<DepartmentStep, Problem> {
    let wrong = || {
        Problem::unacceptable(
            "step_kind",
            "`step` is accept, supplement (with `items`), decline (with `reason`), decide (with \
             `granted`), result (with `licence`) or delivered",
        )
        .at("request")
    };
    Ok(match asked.step.as_str() {
        "accept" => DepartmentStep::Accept,
        "supplement" => DepartmentStep::Supplement {
            items: asked
                .items
                .into_iter()
                .map(|item| SupplementItem { requirement: item.requirement, why: item.why })
                .collect(),
        },
        "decline" => DepartmentStep::Decline { reason: asked.reason },
        "decide" => DepartmentStep::Decide {
            granted: asked.granted.ok_or_else(wrong)?,
            reason: asked.reason,
        },
        "result" => DepartmentStep::Result {
            licence: super::licences::parse_identifier(&asked.licence.ok_or_else(wrong)?)?,
        },
        "delivered" => DepartmentStep::Delivered,
        _ => return Err(wrong()),
    })
}

/// The signed package last handed over (`yihao-package-1`), for the department that decides and the applicant.
#[utoipa::path(
    params(("id" = String, Path, description = "办件编号")),
    responses((status = 200, description = "yihao-package-1"), (status = 404, body = Problem))
)]
#[get("/v1/cases/{id}/package")]
pub async fn show_package(
    hub: web::Data<Hub>,
    requester: Requester,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let who = requester.towards(&hub, &id).await?;
    let package = cases::package(&hub, &who, &id).await?;
    let package = stamps::with_stamp(&hub, package).await?;
    Ok(HttpResponse::Ok().content_type("application/json").body(package))
}

fn parse_matter(code: &str) -> Result<MatterCode, Problem> {
    code.parse().map_err(|_| CaseError::UnknownMatter.into())
}

fn acts_for_nobody() -> Problem {
    CaseError::NotPermitted("your account acts for no such holder").into()
}

/// A checklist.
#[derive(Serialize, ToSchema)]
struct ChecklistAnswer {
    #[schema(value_type = String)]
    matter: MatterCode,
    version: u32,
    items: Vec<ItemAnswer>,
}

/// A requirement and where it stands.
#[derive(Serialize, ToSchema)]
struct ItemAnswer {
    requirement: String,
    #[schema(value_type = Object)]
    name: Said,
    basis: String,
    /// `held`, `fact`, `reusable`, `handed_in`, `promised`, `to_hand_in`.
    state: &'static str,
    /// The licence that covers it, or almost does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    identifier: Option<LicenceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    licence_type: Option<LicenceTypeCode>,
    /// Name of the licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    licence_name: Option<String>,
    /// The face field of a fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// The file that can be used again, or is attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    material: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    /// Whether it was handed in for an earlier case.
    #[serde(skip_serializing_if = "Option::is_none")]
    reused: Option<bool>,
    /// Until when it follows, or may follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    until: Option<Date>,
    /// Why it is to be handed in: `only_a_file`, `none_held`, `not_trusted`, `fact_missing`, `outdated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    /// The link of an untrusted licence that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'static str>,
    /// Whether it may follow: `no`, `yes`, `refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    may_follow: Option<&'static str>,
    /// The case of the promise that was not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    unkept: Option<String>,
}

impl ItemAnswer {
    fn of(item: &Item) -> Self {
        let mut answer = Self {
            requirement: item.requirement.id.clone(),
            name: item.requirement.name.clone(),
            basis: item.requirement.basis.clone(),
            state: item.state.word(),
            identifier: None,
            licence_type: None,
            licence_name: None,
            field: None,
            value: None,
            material: None,
            file_name: None,
            reused: None,
            until: None,
            why: None,
            link: None,
            may_follow: None,
            unkept: None,
        };
        match item.state.clone() {
            ItemState::Held { identifier, licence_type, name } => {
                answer.identifier = Some(identifier);
                answer.licence_type = Some(licence_type);
                answer.licence_name = Some(name);
            }
            ItemState::Fact { identifier, licence_type, name, field, value } => {
                answer.identifier = Some(identifier);
                answer.licence_type = Some(licence_type);
                answer.licence_name = Some(name);
                answer.field = Some(field);
                answer.value = Some(value);
            }
            ItemState::Reusable { material, name, .. } => {
                answer.material = Some(material);
                answer.file_name = Some(name);
            }
            ItemState::HandedIn { material, name, reused } => {
                answer.material = Some(material);
                answer.file_name = Some(name);
                answer.reused = Some(reused);
            }
            ItemState::Promised { until } => answer.until = Some(until),
            ItemState::ToHandIn { why, may_follow } => {
                answer.why = Some(why.word());
                match why {
                    WhyNot::OnlyAFile | WhyNot::NoneHeld => {}
                    WhyNot::NotTrusted { identifier, link } => {
                        answer.identifier = Some(identifier);
                        answer.link = Some(link);
                    }
                    WhyNot::FactMissing { identifier, field } => {
                        answer.identifier = Some(identifier);
                        answer.field = Some(field);
                    }
                    WhyNot::Outdated { material } => answer.material = Some(material),
                }
                match may_follow {
                    MayFollow::No => answer.may_follow = Some("no"),
                    MayFollow::Until(until) => {
                        answer.may_follow = Some("yes");
                        answer.until = Some(until);
                    }
                    MayFollow::RefusedForUnkept { case } => {
                        answer.may_follow = Some("refused");
                        answer.unkept = Some(case);
                    }
                }
            }
        }
        answer
    }
}

/// A case.
#[derive(Serialize, ToSchema)]
struct CaseAnswer {
    /// 办件编号.
    id: String,
    #[schema(value_type = String)]
    matter: MatterCode,
    /// The version of the matter that the case keeps.
    version: u32,
    #[schema(value_type = String)]
    department: CreditCode,
    /// The node where a clerk took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<String>,
    /// `draft`, `submitted`, `supplement`, `accepted`, `declined`, `granted`, `refused`, `withdrawn`.
    state: &'static str,
    form: BTreeMap<String, FieldAnswer>,
    /// What satisfies each requirement.
    #[schema(value_type = Object)]
    provided: BTreeMap<String, Provided>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promise: Option<PromiseAnswer>,
    /// SHA-256 of the signed package last handed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    package: Option<Sha256Digest>,
    /// 用证码, for the department only.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    due: Option<Date>,
    /// The licence it resulted in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    result: Option<LicenceId>,
    #[schema(value_type = Vec<Object>)]
    steps: Vec<Step>,
    #[schema(value_type = String)]
    opened_at: Timestamp,
}

/// A form field's value.
#[derive(Serialize, ToSchema)]
struct FieldAnswer {
    text: String,
    /// The licence it was taken from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    source: Option<LicenceId>,
}

/// A promise.
#[derive(Serialize, ToSchema)]
struct PromiseAnswer {
    /// SHA-256 of the signed promise.
    #[schema(value_type = String)]
    document: Sha256Digest,
    requirements: Vec<String>,
    #[schema(value_type = String)]
    until: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    kept_at: Option<Timestamp>,
}

impl CaseAnswer {
    /// The holder learns which place did something, not which clerk; only the department gets the grant.
    fn of(hub: &Hub, who: &Who, case: Case) -> Self {
        let holder = matches!(who, Who::Holder { .. });
        let for_department = cases::is_for_department(hub, who, &case);
        let grant = case.grant.filter(|_| for_department);
        let mut steps = case.steps;
        for step in &mut steps {
            if let (true, StepBy::Clerk { account, .. }) = (holder, &mut step.by) {
                account.clear();
            }
        }
        let form = case
            .form
            .into_iter()
            .map(|(field, value)| (field, FieldAnswer { text: value.text, source: value.source }));
        Self {
            id: case.id,
            matter: case.matter,
            version: case.version,
            department: case.department,
            window: case.window,
            state: case.state.word(),
            form: form.collect(),
            provided: case.provided,
            promise: case.promise.map(|promise| PromiseAnswer {
                document: promise.document,
                requirements: promise.requirements,
                until: promise.until,
                kept_at: promise.kept_at,
            }),
            package: case.package,
            grant,
            due: case.due,
            result: case.result,
            steps,
            opened_at: case.opened_at,
        }
    }
}
