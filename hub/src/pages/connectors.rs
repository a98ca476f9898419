//! The counterparts: how far each has come, what holds it up, what can be done.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use connectors::{ConnectorState, LastError, ReconcileError, RunnerError, RunnerHandle, TypeCount};
use jiff::Timestamp;

use super::{
    home::number,
    posted::Posted,
    search::type_name,
    texts::{Texts, connector_error, fill},
    verification::moment,
    views::{self, Badge, ConnectorError, CountRow, Fact, Notice, Section, SetAsideRow, Tone},
    visitor::{Failure, Visitor},
};
use crate::{
    policy::Act,
    reuse::courier::{Courier, CourierError, CourierState},
};

/// Most refused records on a page.
const SET_ASIDES: usize = 1_000;

/// `GET /connectors`.
pub(crate) async fn list(visitor: Visitor, request: HttpRequest) -> HttpResponse {
    visitor.show(all(&visitor, renews(&request)))
}

/// `GET /connectors/{name}/set-aside`.
pub(crate) async fn set_aside(visitor: Visitor, name: web::Path<String>) -> HttpResponse {
    visitor.show(refused(&visitor, &name).await)
}

/// `POST /connectors/{name}/pause`.
pub(crate) async fn pause(
    visitor: Visitor,
    request: HttpRequest,
    name: web::Path<String>,
    _: Posted,
) -> HttpResponse {
    let done = match (courier(&visitor, &name), runner(&visitor, &name)) {
        (Ok(courier), _) => courier.pause().await.map_err(courier_stopped),
        (_, Ok(runner)) => runner.pause().await.map_err(stopped),
        (_, Err(failure)) => Err(failure),
    };
    back(&visitor, &request, done)
}

/// `POST /connectors/{name}/resume`.
pub(crate) async fn resume(
    visitor: Visitor,
    request: HttpRequest,
    name: web::Path<String>,
    _: Posted,
) -> HttpResponse {
    let done = match (courier(&visitor, &name), runner(&visitor, &name)) {
        (Ok(courier), _) => courier.resume().await.map_err(courier_stopped),
        (_, Ok(runner)) => runner.resume().await.map_err(stopped),
        (_, Err(failure)) => Err(failure),
    };
    back(&visitor, &request, done)
}

/// `POST /connectors/{name}/reconcile`: changes nothing, but asks much of both sides.
pub(crate) async fn reconcile(
    visitor: Visitor,
    name: web::Path<String>,
    _: Posted,
) -> HttpResponse {
    visitor.show(compared(&visitor, &name).await)
}

/// `POST /connectors/{name}/send-again`: what a counterpart for cases did not take.
pub(crate) async fn send_again(
    visitor: Visitor,
    request: HttpRequest,
    name: web::Path<String>,
    _form: Posted,
) -> HttpResponse {
    let done = match courier(&visitor, &name) {
        Ok(courier) => courier.send_again().await.map(drop).map_err(courier_stopped),
        Err(failure) => Err(failure),
    };
    back(&visitor, &request, done)
}

/// Whether the list renews itself: unless the address says otherwise.
fn renews(request: &HttpRequest) -> bool {
    !request.query_string().split('&').any(|member| member == "refresh=off")
}

/// Back to the list, so that reloading it repeats nothing.
fn back(visitor: &Visitor, request: &HttpRequest, done: Result<(), Failure>) -> HttpResponse {
    let list = if renews(request) { "/connectors" } else { "/connectors?refresh=off" };
    match done {
        Ok(()) => HttpResponse::SeeOther().insert_header((header::LOCATION, list)).finish(),
        Err(failure) => visitor.failed(&failure),
    }
}

fn may_operate(visitor: &Visitor) -> Result<(), Failure> {
    visitor.logged_in()?;
    if visitor.may(Act::Operate) {
        Ok(())
    } else {
        Err(Failure::forbidden("not_permitted", |t| t.say_operate))
    }
}

fn runner<'a>(visitor: &'a Visitor, name: &str) -> Result<&'a RunnerHandle, Failure> {
    may_operate(visitor)?;
    visitor
        .hub
        .connectors
        .get(name)
        .ok_or_else(|| Failure::not_found("unknown_connector", |t| t.say_unknown_connector))
}

fn courier<'a>(visitor: &'a Visitor, name: &str) -> Result<&'a Courier, Failure> {
    may_operate(visitor)?;
    visitor
        .hub
        .couriers()
        .get(name)
        .ok_or_else(|| Failure::not_found("unknown_connector", |t| t.say_unknown_connector))
}

fn courier_stopped(error: CourierError) -> Failure {
    tracing::error!(error.code = error.code(), error = %error, "a connector call failed");
    Failure::unavailable(error.code(), |t| t.say_unavailable)
}

fn stopped(error: RunnerError) -> Failure {
    tracing::error!(error.code = error.code(), error = %error, "a connector call failed");
    Failure::unavailable(error.code(), |t| t.say_unavailable)
}

fn all(visitor: &Visitor, renew: bool) -> Result<(StatusCode, views::Connectors), Failure> {
    may_operate(visitor)?;
    let mut page = visitor.frame(Section::Connectors, visitor.t().connectors);
    if !renew {
        page.keep = "refresh=off&";
    }
    let licences = visitor.hub.connectors.values().map(|runner| card(visitor, &runner.state()));
    let cases = visitor.hub.couriers().values().map(|one| courier_card(visitor, &one.state()));
    let connectors = licences.chain(cases).collect();
    Ok((StatusCode::OK, views::Connectors { page, renew, connectors }))
}

fn card(visitor: &Visitor, state: &ConnectorState) -> views::Connector {
    let t = visitor.t();
    let named = |text| fill(text, &[("name", &state.name)]);
    let records = |n| fill(t.records, &[("n", &number(n))]);
    let position = fill(
        t.position_of,
        &[("cursor", &number(state.cursor.0)), ("head", &number(state.head.0))],
    );
    let success = state.last_success.map_or_else(|| t.never.to_owned(), moment);
    views::Connector {
        kind: t.connector_kind(state.kind).to_owned(),
        badge: badge(t, state.paused, state.is_failing(), state.lag),
        facts: vec![
            Fact::new(t.lag_records, records(state.lag)),
            Fact::new(t.lag_seconds, fill(t.seconds, &[("n", &number(state.lag_seconds))])),
            Fact::new(t.delivered, records(state.delivered)),
            Fact::new(t.set_aside, records(state.set_aside)),
            Fact::new(t.position, position),
            Fact::new(t.last_success, success),
        ],
        error: state.last_error.as_ref().map(|error| error_of(visitor, state.next_attempt, error)),
        paused: state.paused,
        set_aside: (state.set_aside > 0)
            .then(|| fill(t.show_set_aside, &[("n", &number(state.set_aside))])),
        pause_label: named(t.pause_of),
        resume_label: named(t.resume_of),
        reconcile_label: Some(named(t.reconcile_of)),
        name: state.name.clone(),
    }
}

fn courier_card(visitor: &Visitor, state: &CourierState) -> views::Connector {
    let t = visitor.t();
    let named = |text| fill(text, &[("name", &state.name)]);
    let cases = |n| fill(t.cases_of, &[("n", &number(n))]);
    let steps = fill(
        t.steps_taken_of,
        &[("n", &number(state.steps)), ("refused", &number(state.steps_refused))],
    );
    let departments: Vec<&str> =
        state.departments.iter().map(|code| visitor.hub.department_name(code)).collect();
    let success = state.last_success.map_or_else(|| t.never.to_owned(), moment);
    views::Connector {
        kind: t.connector_kind(state.kind).to_owned(),
        badge: badge(t, state.paused, state.next_attempt.is_some(), state.waiting),
        facts: vec![
            Fact::new(t.lag_records, cases(state.waiting)),
            Fact::new(t.lag_seconds, fill(t.seconds, &[("n", &number(state.waiting_seconds))])),
            Fact::new(t.delivered, cases(state.delivered)),
            Fact::new(t.set_aside, cases(state.set_aside)),
            Fact::new(t.steps_taken, steps),
            Fact::new(t.serves, departments.join("、")),
            Fact::new(t.last_success, success),
        ],
        error: state.last_error.as_ref().map(|error| error_of(visitor, state.next_attempt, error)),
        paused: state.paused,
        set_aside: (state.set_aside > 0)
            .then(|| fill(t.show_set_aside, &[("n", &number(state.set_aside))])),
        pause_label: named(t.pause_of),
        resume_label: named(t.resume_of),
        reconcile_label: None,
        name: state.name.clone(),
    }
}

fn badge(t: &Texts, paused: bool, failing: bool, waiting: u64) -> Badge {
    let (tone, sign, word) = if paused {
        (Tone::Warning, "‖", t.state_paused)
    } else if failing {
        (Tone::Bad, "✗", t.state_failing)
    } else if waiting == 0 {
        (Tone::Good, "✓", t.state_level)
    } else {
        (Tone::Plain, "→", t.state_sending)
    };
    Badge { tone, sign, word: word.to_owned() }
}

fn error_of(visitor: &Visitor, next: Option<Timestamp>, error: &LastError) -> ConnectorError {
    let t = visitor.t();
    let words = connector_error(visitor.language, &error.code);
    let (title, tone) =
        if next.is_some() { (t.error_now, Tone::Bad) } else { (t.error_past, Tone::Plain) };
    ConnectorError {
        title,
        tone,
        at: moment(error.at),
        what: words.what,
        advice: words.advice,
        code: error.code.clone(),
        said: error.message.clone(),
        next: next.map(|at| fill(t.next_attempt, &[("at", &moment(at))])),
    }
}

async fn refused(visitor: &Visitor, name: &str) -> Result<(StatusCode, views::SetAside), Failure> {
    if let Ok(courier) = courier(visitor, name) {
        return refused_cases(visitor, courier).await;
    }
    let records = runner(visitor, name)?.set_asides(SET_ASIDES + 1).await?;
    let title = fill(visitor.t().set_aside_title, &[("name", &name)]);
    let page = views::SetAside {
        page: visitor.frame(Section::Connectors, title),
        lead: visitor.t().set_aside_lead,
        about: visitor.t().set_aside_seq,
        send_again: None,
        more: records.len() > SET_ASIDES,
        rows: records
            .into_iter()
            .take(SET_ASIDES)
            .map(|record| SetAsideRow {
                seq: record.seq.to_string(),
                code: record.code,
                remark: record.remark,
                at: moment(record.at),
            })
            .collect(),
    };
    Ok((StatusCode::OK, page))
}

async fn refused_cases(
    visitor: &Visitor,
    courier: &Courier,
) -> Result<(StatusCode, views::SetAside), Failure> {
    let cases = courier.set_asides(&visitor.hub, SET_ASIDES + 1).await?;
    let title = fill(visitor.t().set_aside_title, &[("name", &courier.name())]);
    let page = views::SetAside {
        page: visitor.frame(Section::Connectors, title),
        lead: visitor.t().set_aside_cases_lead,
        about: visitor.t().set_aside_case,
        send_again: Some(format!("/connectors/{}/send-again", courier.name())),
        more: cases.len() > SET_ASIDES,
        rows: cases
            .into_iter()
            .take(SET_ASIDES)
            .map(|one| SetAsideRow {
                seq: one.outgoing.case,
                code: one.code,
                remark: one.remark,
                at: moment(one.at),
            })
            .collect(),
    };
    Ok((StatusCode::OK, page))
}

async fn compared(
    visitor: &Visitor,
    name: &str,
) -> Result<(StatusCode, views::Reconciliation), Failure> {
    let t = visitor.t();
    let compared = runner(visitor, name)?.reconcile().await.map_err(|error| {
        tracing::error!(error.code = error.code(), error = %error, "reconciling failed");
        match error {
            ReconcileError::Store(error) => Failure::from(error),
            error => Failure::unavailable(error.code(), |t| t.say_connector_failed),
        }
    })?;
    let title = fill(t.reconcile_title, &[("name", &name)]);
    let mut page = visitor.frame(Section::Connectors, title);
    page.again = Some(Vec::new());
    let (tone, says) = if compared.agrees {
        (Tone::Good, t.reconcile_equal)
    } else {
        (Tone::Warning, t.reconcile_differs)
    };
    let explained = fill(
        t.reconcile_explained,
        &[
            ("lag", &number(compared.lag)),
            ("set_aside", &number(compared.set_aside)),
            ("at", &moment(compared.at)),
        ],
    );
    let sum = |side: fn(&TypeCount) -> u64| compared.types.iter().map(side).sum::<u64>();
    let sum = count_row(
        t.reconcile_sum.to_owned(),
        sum(|count| count.ours),
        sum(|count| count.theirs),
        compared.types.iter().map(|count| count.difference).sum(),
    );
    let rows = compared
        .types
        .iter()
        .map(|count| {
            let name = type_name(visitor, &count.licence_type);
            count_row(name, count.ours, count.theirs, count.difference)
        })
        .collect();
    let notice = Notice { tone, title: says.to_owned(), says: vec![explained] };
    Ok((StatusCode::OK, views::Reconciliation { page, notice, rows, sum }))
}

fn count_row(name: String, ours: u64, theirs: u64, difference: i64) -> CountRow {
    let apart = number(difference.unsigned_abs());
    CountRow {
        name,
        ours: number(ours),
        theirs: number(theirs),
        difference: match difference {
            0 => "0".to_owned(),
            less if less < 0 => format!("−{apart}"),
            _ => format!("+{apart}"),
        },
        differs: difference != 0,
    }
}
