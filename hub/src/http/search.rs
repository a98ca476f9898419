//! Full-text search over the licences that a department may find.
//!
//! A query may hold a name, and names do not belong into addresses: send it by POST. The GET form
//! is there for the design's interface and for searches without names; the hub itself never writes
//! a query string anywhere. Hits on persons show their names masked: who needs the licence pulls it
//! for a stated purpose. Every search is a use on the access log.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use indexes::{NewUse, Operator, SearchHit, SearchPage, SearchQuery, Shown, UseAct};
use jiff::civil::Date;
use licence::{HolderKind, LicenceId, LicenceTypeCode, Seq};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{self, SMALL},
    error::Problem,
};
use crate::{Hub, policy::Act, tls::Caller};

/// What is looked for.
#[derive(Clone, Debug, Default, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchRequest {
    /// Any part of a licence's name, holder's name, issuer, number or face fields.
    #[serde(default)]
    pub q: String,
    /// Code of a licence type.
    #[serde(default, rename = "type")]
    pub licence_type: Option<String>,
    /// Credit code of an issuer.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Division code, 6 digits.
    #[serde(default)]
    pub region: Option<String>,
    /// `valid`, `suspended`, `revoked`, `superseded`.
    #[serde(default)]
    pub status: Option<String>,
    /// 持证主体代码类型.
    #[serde(default)]
    pub holder_kind: Option<String>,
    /// Issued on or after, `YYYY-MM-DD`.
    #[serde(default)]
    pub issued_from: Option<String>,
    /// Issued on or before, `YYYY-MM-DD`.
    #[serde(default)]
    pub issued_to: Option<String>,
    /// From the `next` of the page before.
    #[serde(default)]
    pub cursor: Option<usize>,
    /// Hits in a page, at most 50; 20 when left out.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// One page of hits.
#[derive(Serialize, ToSchema)]
pub struct SearchAnswer {
    /// How many match.
    pub total: u64,
    /// The page.
    pub hits: Vec<HitAnswer>,
    /// Counts by type and by status.
    #[schema(value_type = Object)]
    pub facets: indexes::SearchFacets,
    /// Cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<usize>,
    /// Number of the access-log entry.
    #[serde(rename = "use")]
    #[schema(value_type = u64)]
    pub seq: Seq,
}

/// One licence found.
#[derive(Serialize, ToSchema)]
pub struct HitAnswer {
    /// 证照标识.
    #[schema(value_type = String)]
    pub identifier: LicenceId,
    /// 证照名称.
    pub name: String,
    /// Names of the holders; persons' masked.
    pub holders: Vec<String>,
    /// 颁发机构.
    pub issuer_name: String,
    /// Code of its type.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub licence_type: LicenceTypeCode,
    /// Status when it was indexed.
    pub status: String,
    /// Day of issue.
    #[schema(value_type = String)]
    pub issued_on: Date,
    /// Pieces of text around the match; none for licences of persons.
    pub highlights: Vec<String>,
}

/// Finds licences; for queries without names.
#[utoipa::path(
    params(SearchRequest),
    responses((status = 200, body = SearchAnswer), (status = 403, body = Problem))
)]
#[get("/v1/search")]
pub async fn search(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let asked = web::Query::<SearchRequest>::from_query(request.query_string()).map_err(|_| {
        Problem::bad_request(
            "query",
            "a query parameter is unknown or malformed; see /v1/openapi.json",
        )
    })?;
    Ok(HttpResponse::Ok().json(answer(&hub, &caller, None, asked.into_inner()).await?))
}

/// Finds licences.
#[utoipa::path(
    request_body = SearchRequest,
    responses((status = 200, body = SearchAnswer), (status = 403, body = Problem))
)]
#[post("/v1/search")]
pub async fn search_by_post(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (asked, _): (SearchRequest, _) = body::json(&request, payload, SMALL).await?;
    // Asking again is another search and another use: an `Idempotency-Key` has nothing to hold.
    Ok(HttpResponse::Ok().json(answer(&hub, &caller, None, asked).await?))
}

/// Searches what the caller may find, and records the use.
///
/// * `operator`: who at the caller's asks, if a person does.
///
/// # Errors
/// `not_permitted`, a malformed filter's own code, or that of the index or store.
pub async fn answer(
    hub: &Hub,
    caller: &Caller,
    operator: Option<Operator>,
    asked: SearchRequest,
) -> Result<SearchAnswer, Problem> {
    let (query, limit) = check(hub, caller, asked)?;
    let offset = query.offset;
    let index = hub.search.clone();
    let page = web::block(move || index.search(&query))
        .await
        .map_err(|_| search_failed())?
        .map_err(|error| {
            tracing::error!(error.code = error.code(), error = %error, "the search index failed");
            search_failed()
        })?;
    let shown = page
        .hits
        .iter()
        .map(|hit| Shown { identifier: hit.identifier.clone(), result: "found".to_owned() })
        .collect();
    let seq = hub
        .store
        .record_use(NewUse {
            at: hub.clock.now(),
            caller: caller.department,
            certificate: caller.certificate,
            operator,
            matter: None,
            case: None,
            basis: None,
            reason: String::new(),
            holder: None,
            also: Vec::new(),
            project: None,
            shown,
            grant: None,
            act: UseAct::Search,
        })
        .await?;
    Ok(wire(page, seq, offset, limit))
}

fn search_failed() -> Problem {
    Problem::unavailable("search_unavailable", "the search index cannot answer now: ask again")
        .at("search")
}

fn check(
    hub: &Hub,
    caller: &Caller,
    asked: SearchRequest,
) -> Result<(SearchQuery, usize), Problem> {
    fn parse<T: std::str::FromStr>(
        member: &str,
        text: Option<String>,
    ) -> Result<Option<T>, Problem> {
        text.filter(|text| !text.is_empty())
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| wrong(member))
    }
    fn wrong(member: &str) -> Problem {
        Problem::bad_request("filter", format!("the filter `{member}` is malformed"))
    }
    if asked.q.chars().count() > 200 {
        return Err(Problem::bad_request("query_too_long", "`q` may have at most 200 characters"));
    }
    let may_find: Vec<LicenceTypeCode> = hub
        .catalogue
        .entries()
        .map(|entry| entry.code)
        .filter(|code| hub.policies.permit(&caller.department, Act::Search(*code)))
        .collect();
    let licence_types = match parse::<LicenceTypeCode>("type", asked.licence_type)? {
        None => may_find,
        Some(one) if may_find.contains(&one) => vec![one],
        Some(_) => Vec::new(),
    };
    if licence_types.is_empty() {
        return Err(Problem::forbidden(
            "not_permitted",
            "no policy allows this department to search licences of this type",
        ));
    }
    if let Some(status) = &asked.status
        && !["", "valid", "suspended", "revoked", "superseded"].contains(&status.as_str())
    {
        return Err(wrong("status"));
    }
    let holder_kind = asked
        .holder_kind
        .filter(|kind| !kind.is_empty())
        .map(|kind| HolderKind::from_code(&kind))
        .transpose()
        .map_err(|_| wrong("holder_kind"))?;
    let limit = asked.limit.unwrap_or(20).clamp(1, 50);
    let query = SearchQuery {
        text: asked.q,
        licence_types,
        issuer: parse("issuer", asked.issuer)?,
        region: parse("region", asked.region)?,
        status: asked.status.filter(|status| !status.is_empty()),
        holder_kind,
        issued_from: parse("issued_from", asked.issued_from)?,
        issued_to: parse("issued_to", asked.issued_to)?,
        offset: asked.cursor.unwrap_or(0),
        limit,
    };
    Ok((query, limit))
}

fn wire(page: SearchPage, seq: Seq, offset: usize, limit: usize) -> SearchAnswer {
    let reached = offset + page.hits.len();
    let more = page.hits.len() == limit && (reached as u64) < page.total && reached <= 1_000;
    SearchAnswer {
        total: page.total,
        hits: page.hits.into_iter().map(hit).collect(),
        facets: page.facets,
        next: more.then_some(reached),
        seq,
    }
}

fn hit(hit: SearchHit) -> HitAnswer {
    let of_a_person = hit.holder_kinds.iter().any(|kind| kind.is_person());
    let holders = hit
        .holder_names
        .iter()
        .zip(&hit.holder_kinds)
        .map(|(name, kind)| if kind.is_person() { masked(name) } else { name.clone() })
        .collect();
    HitAnswer {
        identifier: hit.identifier,
        name: hit.name,
        holders,
        issuer_name: hit.issuer_name,
        licence_type: hit.licence_type,
        status: hit.status,
        issued_on: hit.issued_on,
        highlights: if of_a_person { Vec::new() } else { hit.highlights },
    }
}

/// A person's name with all but the first character hidden.
#[must_use]
pub fn masked(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        None => String::new(),
        Some(first) => std::iter::once(first).chain(characters.map(|_| '＊')).collect(),
    }
}
