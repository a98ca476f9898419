//! `/me/uses`: who looked, when, why, and under which grant.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use indexes::{BasisKind, UseAct};

use super::{
    me::Me,
    views::{self, Part, UseRow, Words},
};
use crate::{
    pages::{verification::moment, visitor::Failure},
    reuse::uses::{self, SeenUse},
};

/// Uses on a page.
const ON_A_PAGE: usize = 40;
/// Pages, so that an address cannot ask for more than there may be.
const MOST_PAGES: usize = 500;

/// `GET /me/uses`; with `?own=1` the holder's own looks too, with `?page=2` earlier ones.
pub(crate) async fn list(me: Me, request: HttpRequest) -> HttpResponse {
    let mut members = request.query_string().split('&');
    let with_own = members.clone().any(|member| member == "own=1");
    let number = members.find_map(|member| member.strip_prefix("page=")?.parse().ok());
    let number = number.unwrap_or(1).clamp(1, MOST_PAGES);
    me.visitor.show(page(&me, with_own, number).await)
}

async fn page(
    me: &Me,
    with_own: bool,
    number: usize,
) -> Result<(StatusCode, views::Uses), Failure> {
    let (hub, who, m) = (&me.visitor.hub, me.who(), me.m());
    // One more tells whether there is another page.
    let most = number * ON_A_PAGE + 1;
    let seen = match with_own {
        true => uses::seen(hub, &who, most).await?,
        false => uses::seen_by_others(hub, &who, most).await?,
    };
    let (mut page, mine) = me.frame(Part::Uses, m.uses).await?;
    if with_own {
        page.keep = "own=1&";
    }
    let own = if with_own { "own=1&" } else { "" };
    let at = |number: usize| format!("/me/uses?{own}page={number}");
    let earlier = (seen.len() == most).then(|| at(number + 1));
    let later = (number > 1).then(|| at(number - 1));
    let of_page = seen.iter().skip(most - 1 - ON_A_PAGE).take(ON_A_PAGE);
    let uses = of_page.map(|seen| row(me, seen)).collect();
    Ok((StatusCode::OK, views::Uses { page, mine, uses, with_own, later, earlier }))
}

/// The last looks of others, for the overview.
pub(crate) async fn latest(me: &Me, limit: usize) -> Result<Vec<UseRow>, Failure> {
    let seen = uses::seen_by_others(&me.visitor.hub, &me.who(), limit).await?;
    Ok(seen.iter().map(|seen| row(me, seen)).collect())
}

fn row(me: &Me, seen: &SeenUse) -> UseRow {
    let m = me.m();
    let own = seen.act == UseAct::Own;
    let data = |text: &str| Words { text: text.to_owned(), lang: "zh-CN" };
    let ours = |text: &str| Words { text: text.to_owned(), lang: me.visitor.language.tag() };
    let who = match own {
        true => ours(m.by_you),
        false => data(&seen.department_name),
    };
    let what = match seen.act {
        UseAct::Pull => m.act_pull,
        UseAct::Open => m.act_open,
        UseAct::Search => m.act_search,
        UseAct::View => m.act_view,
        UseAct::Own => m.act_own,
    };
    let allowed = match (seen.basis, own) {
        (_, true) | (None, _) => None,
        (Some(BasisKind::Holder), _) => Some(m.basis_holder),
        (Some(BasisKind::Consent), _) => Some(m.basis_consent),
        (Some(BasisKind::Duty), _) => Some(m.basis_duty),
    };
    let consent = match (seen.basis, &seen.reference) {
        (Some(BasisKind::Consent), Some(id)) if is_id(id) => Some(format!("/me/consents/{id}")),
        _ => None,
    };
    let mut why = Vec::new();
    why.extend(seen.matter_name.as_deref().map(data));
    if !own {
        why.push(data(&seen.reason));
    }
    why.extend(seen.reference_name.as_deref().map(data));
    UseRow {
        at: moment(seen.at),
        who,
        place: seen.organisation.clone().filter(|place| *place != seen.department_name),
        what,
        why,
        allowed,
        consent,
        case: seen
            .case
            .clone()
            .filter(|case| is_case(case))
            .map(|case| format!("/me/cases/{case}")),
        licences: seen
            .licences
            .iter()
            .map(|(identifier, name)| (format!("/me/licences/{identifier}"), name.clone()))
            .collect(),
        grant: seen.grant.clone(),
        seq: seen.seq.to_string(),
    }
}

/// Whether it looks like one of the hub's own ids; what departments write stands as text.
fn is_id(text: &str) -> bool {
    text.strip_prefix("r_")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn is_case(text: &str) -> bool {
    text.split_once('-').is_some_and(|(day, rest)| {
        day.len() == 8
            && rest.len() == 10
            && day.bytes().all(|byte| byte.is_ascii_digit())
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}
