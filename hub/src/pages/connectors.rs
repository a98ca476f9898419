//! The counterparts: how far each has come, what holds it up, what can be done.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use connectors::{
    Comparison, ConnectorState, DifferenceKind, LastError, ReconcileError, RunnerError, Sample,
    TypeCount,
};
use jiff::{SignedDuration, Timestamp, tz::Offset};
use licence::{HolderId, HolderKind, Seq};

use super::{
    home::number,
    posted::Posted,
    search::type_name,
    texts::{Texts, connector_error, fill, holder_kind},
    verification::moment,
    views::{
        self, ActionForm, ActionRow, Asks, Badge, Chart, Choice, ConnectorError, CountRow,
        DifferenceRow, Fact, HourRow, Notice, ReportRow, Section, SetAsideRow, SettledRow, Tone,
    },
    visitor::{Failure, NO_CERTIFICATE, Visitor},
};
use crate::{
    connector_ops::{self, By, OpsError, ReplayFrom, Report, Retry},
    inbound::InboundState,
    policy::Act,
    reuse::courier::{Courier, CourierState},
};

/// Most refused records on a page.
const SET_ASIDES: usize = 1_000;

/// Most settled ones, reports and actions on a page.
const SETTLED: usize = 100;
const REPORTS: usize = 20;
const ACTIONS: usize = 50;

/// What a chart shows.
const DAY_MINUTES: i64 = 24 * 60;

/// `GET /connectors`.
pub(crate) async fn list(visitor: Visitor, request: HttpRequest) -> HttpResponse {
    visitor.show(all(&visitor, renews(&request)).await)
}

/// `GET /connectors/{name}`.
pub(crate) async fn one(visitor: Visitor, name: web::Path<String>) -> HttpResponse {
    visitor.show(detail(&visitor, &name).await)
}

/// `GET /connectors/{name}/set-aside`.
pub(crate) async fn set_aside(visitor: Visitor, name: web::Path<String>) -> HttpResponse {
    visitor.show(refused(&visitor, &name).await)
}

/// `GET /connectors/{name}/reconciliations/{report}`.
pub(crate) async fn reconciliation(
    visitor: Visitor,
    path: web::Path<(String, String)>,
) -> HttpResponse {
    visitor.show(compared(&visitor, &path.0, &path.1).await)
}

/// `GET /connectors/{name}/code-map`.
pub(crate) async fn code_map(visitor: Visitor, name: web::Path<String>) -> HttpResponse {
    visitor.show(read_code_map(&visitor, &name))
}

/// `POST /connectors/{name}/code-map`.
pub(crate) async fn replace_code_map(
    visitor: Visitor,
    name: web::Path<String>,
    form: Posted,
) -> HttpResponse {
    match write_code_map(&visitor, &name, &form).await {
        Ok(None) => away(&format!("/connectors/{name}")),
        Ok(Some((status, page))) => visitor.show(Ok((status, page))),
        Err(failure) => visitor.failed(&failure),
    }
}

/// `POST /connectors/{name}/pause`.
pub(crate) async fn pause(visitor: Visitor, name: web::Path<String>, form: Posted) -> HttpResponse {
    let done = async {
        let by = by(&visitor, &name, &form)?;
        connector_ops::pause(&visitor.hub, &name, &by).await.map_err(failed)
    };
    back(&visitor, &name, done.await)
}

/// `POST /connectors/{name}/resume`.
pub(crate) async fn resume(
    visitor: Visitor,
    name: web::Path<String>,
    form: Posted,
) -> HttpResponse {
    let done = async {
        let by = by(&visitor, &name, &form)?;
        connector_ops::resume(&visitor.hub, &name, &by).await.map_err(failed)
    };
    back(&visitor, &name, done.await)
}

/// `POST /connectors/{name}/replay`.
pub(crate) async fn replay(
    visitor: Visitor,
    name: web::Path<String>,
    form: Posted,
) -> HttpResponse {
    let done = async {
        let by = by(&visitor, &name, &form)?;
        let unknown = || Failure::bad_request("unknown_change", |t| t.say_replay_from);
        let from = match (form.text("from"), form.text("day"), form.text("number")) {
            (seq, "", "") => ReplayFrom::Seq(Seq(seq.parse().map_err(|_| unknown())?)),
            ("", day, "") => ReplayFrom::Day(day.parse().map_err(|_| unknown())?),
            ("", "", holder) => ReplayFrom::Holder(holder_of(form.text("kind"), holder)?),
            _ => return Err(unknown()),
        };
        connector_ops::replay(&visitor.hub, &name, &from, &by).await.map(drop).map_err(failed)
    };
    back(&visitor, &name, done.await)
}

fn holder_of(kind: &str, number: &str) -> Result<HolderId, Failure> {
    let wrong = || Failure::bad_request("holder", |t| t.say_holder_number);
    let kind = HolderKind::from_code(kind).map_err(|_| wrong())?;
    HolderId::parse(kind, number).map_err(|_| wrong())
}

/// `POST /connectors/{name}/preview`: what would be sent for a change. No address has it, since it shows a licence.
pub(crate) async fn preview(
    visitor: Visitor,
    name: web::Path<String>,
    form: Posted,
) -> HttpResponse {
    visitor.show(would_send(&visitor, &name, &form).await)
}

async fn would_send(
    visitor: &Visitor,
    name: &str,
    form: &Posted,
) -> Result<(StatusCode, views::Preview), Failure> {
    let by = by(visitor, name, form)?;
    let no_change = || Failure::not_found("unknown_change", |t| t.say_no_change);
    let seq = Seq(form.text("seq").parse().map_err(|_| no_change())?);
    let preview = connector_ops::preview(&visitor.hub, name, seq, &by).await.map_err(|error| {
        let code = error.code();
        match error {
            OpsError::UnknownChange { .. } => no_change(),
            OpsError::NotShared => Failure::not_found(code, |t| t.say_not_shared),
            OpsError::Preview(_) => Failure::unavailable(code, |t| t.say_no_preview),
            error => failed(error),
        }
    })?;
    connector_ops::record_view(&visitor.hub, seq, NO_CERTIFICATE, &by).await?;
    let t = visitor.t();
    let page = views::Preview {
        page: visitor.frame(Section::Connectors, fill(t.preview_title, &[("name", &name)])),
        name: name.to_owned(),
        lead: fill(t.preview_lead, &[("seq", &seq)]),
        parts: preview.parts.into_iter().map(|part| (part.title, part.text)).collect(),
        refused: preview.refused.into_iter().map(|one| (one.code, one.remark)).collect(),
    };
    Ok((StatusCode::OK, page))
}

/// `POST /connectors/{name}/retry`: what is set aside, once more; the chosen ones, or all.
pub(crate) async fn retry(visitor: Visitor, name: web::Path<String>, form: Posted) -> HttpResponse {
    let done = async {
        let by = by(&visitor, &name, &form)?;
        let gone = || Failure::bad_request("not_set_aside", |t| t.say_not_set_aside);
        let which = if form.text("which") == "chosen" {
            let chosen = form.all("seq").take(SET_ASIDES).map(|seq| seq.parse().map(Seq));
            Retry::These(chosen.collect::<Result<Vec<_>, _>>().map_err(|_| gone())?)
        } else {
            Retry::All
        };
        if which == Retry::These(Vec::new()) {
            return Err(gone());
        }
        connector_ops::retry(&visitor.hub, &name, &which, &by).await.map(drop).map_err(failed)
    };
    back(&visitor, &name, done.await)
}

/// `POST /connectors/{name}/reconcile`: to the report.
pub(crate) async fn reconcile(
    visitor: Visitor,
    name: web::Path<String>,
    form: Posted,
) -> HttpResponse {
    let done = async {
        let by = by(&visitor, &name, &form)?;
        let hub = visitor.hub.clone().into_inner();
        connector_ops::reconcile(&hub, &name, &by).await.map_err(failed)
    };
    match done.await {
        Ok(report) => away(&format!("/connectors/{name}/reconciliations/{}", report.id)),
        Err(failure) => visitor.failed(&failure),
    }
}

/// `POST /connectors/{name}/send-again`: what a counterpart for cases did not take.
pub(crate) async fn send_again(
    visitor: Visitor,
    name: web::Path<String>,
    form: Posted,
) -> HttpResponse {
    let done = async {
        let by = by(&visitor, &name, &form)?;
        connector_ops::send_again(&visitor.hub, &name, &by).await.map(drop).map_err(failed)
    };
    back(&visitor, &name, done.await)
}

/// Whether the list renews itself: unless the address says otherwise.
fn renews(request: &HttpRequest) -> bool {
    !request.query_string().split('&').any(|member| member == "refresh=off")
}

/// Back to the counterpart's page, so that reloading it repeats nothing.
fn back(visitor: &Visitor, name: &str, done: Result<(), Failure>) -> HttpResponse {
    match done {
        Ok(()) => away(&format!("/connectors/{name}")),
        Err(failure) => visitor.failed(&failure),
    }
}

fn away(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, address)).finish()
}

fn may_operate(visitor: &Visitor) -> Result<(), Failure> {
    visitor.logged_in()?;
    if visitor.may(Act::Operate) {
        Ok(())
    } else {
        Err(Failure::forbidden("not_permitted", |t| t.say_operate))
    }
}

/// Who does it, and why. Whether there is such a counterpart comes before the question why.
fn by(visitor: &Visitor, name: &str, form: &Posted) -> Result<By, Failure> {
    may_operate(visitor)?;
    let counterpart =
        visitor.hub.connectors.contains_key(name) || visitor.hub.couriers().contains_key(name);
    if !counterpart && !matches!(connector_ops::source(&visitor.hub, name), Some(Ok(_))) {
        return Err(unknown());
    }
    let (department, operator) = visitor
        .operating()
        .ok_or_else(|| Failure::forbidden("not_permitted", |t| t.say_operate))?;
    By::new(department, Some(operator), form.text("why")).map_err(failed)
}

fn unknown() -> Failure {
    Failure::not_found("unknown_connector", |t| t.say_unknown_connector)
}

fn courier<'a>(visitor: &'a Visitor, name: &str) -> Option<&'a Courier> {
    visitor.hub.couriers().get(name)
}

fn failed(error: OpsError) -> Failure {
    let code = error.code();
    match error {
        OpsError::Unknown | OpsError::UnknownSource => unknown(),
        OpsError::UnknownReport => Failure::not_found(code, |t| t.say_not_found),
        OpsError::Why => Failure::bad_request(code, |t| t.say_why),
        OpsError::UnknownChange { .. }
        | OpsError::NoChangeSince
        | OpsError::Runner(RunnerError::BeyondHead { .. }) => {
            Failure::bad_request(code, |t| t.say_replay_from)
        }
        OpsError::NotSetAside { .. } => Failure::bad_request(code, |t| t.say_not_set_aside),
        OpsError::ForCases | OpsError::NoCodeMap => {
            Failure::bad_request(code, |t| t.say_bad_request)
        }
        OpsError::Reconciling => Failure::conflict(code, |t| t.say_reconciling),
        OpsError::Store(error) | OpsError::Reconcile(ReconcileError::Store(error)) => error.into(),
        error => {
            tracing::error!(error.code = code, error = %error, "a connector call failed");
            match error {
                OpsError::Reconcile(_) => Failure::unavailable(code, |t| t.say_connector_failed),
                _ => Failure::unavailable(code, |t| t.say_unavailable),
            }
        }
    }
}

async fn all(visitor: &Visitor, renew: bool) -> Result<(StatusCode, views::Connectors), Failure> {
    may_operate(visitor)?;
    let mut page = visitor.frame(Section::Connectors, visitor.t().connectors);
    if !renew {
        page.keep = "refresh=off&";
    }
    let mut connectors = Vec::new();
    for runner in visitor.hub.connectors.values() {
        let samples = runner.history(a_day_ago()).await?;
        connectors.push(card(visitor, &runner.state(), &samples, false));
    }
    let cases = visitor.hub.couriers().values().map(|one| courier_card(visitor, &one.state()));
    connectors.extend(cases);
    let sources = visitor.hub.inbound().values();
    let sources = sources.map(|source| source_card(visitor, &source.state())).collect();
    let who = fill(visitor.t().acts_by, &[("who", &visitor.logged_in()?.account.name)]);
    Ok((StatusCode::OK, views::Connectors { page, renew, who, connectors, sources }))
}

/// By the machine's clock, as samples are.
fn a_day_ago() -> Timestamp {
    let now = Timestamp::now();
    now.checked_sub(SignedDuration::from_mins(DAY_MINUTES)).unwrap_or(now)
}

async fn detail(
    visitor: &Visitor,
    name: &str,
) -> Result<(StatusCode, views::ConnectorPage), Failure> {
    may_operate(visitor)?;
    let t = visitor.t();
    let form = |act, button, hint| ActionForm { act, button, hint, id: act, asks: Asks::Why };
    let switch = |paused| match paused {
        true => form("resume", t.resume, t.act_resume),
        false => form("pause", t.pause, t.act_pause),
    };
    let (connector, mut forms, samples, reports, code_map);
    if let Some(source) = connector_ops::source(&visitor.hub, name) {
        let state = source.map_err(failed)?.state();
        connector = source_card(visitor, &state);
        let act = |act, button, hint| ActionForm { act, button, hint, id: act, asks: Asks::Why };
        forms = vec![match state.paused {
            true => act("resume", t.resume, t.act_resume_source),
            false => act("pause", t.pause, t.act_pause_source),
        }];
        (samples, reports, code_map) = (Vec::new(), Vec::new(), None);
    } else if let Some(courier) = courier(visitor, name) {
        let state = courier.state();
        connector = courier_card(visitor, &state);
        forms = vec![switch(state.paused)];
        if state.set_aside > 0 {
            forms.push(form("send-again", t.send_again, t.act_send_again));
        }
        (samples, reports, code_map) = (Vec::new(), Vec::new(), None);
    } else {
        let runner = visitor.hub.connectors.get(name).ok_or_else(unknown)?;
        let state = runner.state();
        samples = runner.history(a_day_ago()).await?;
        connector = card(visitor, &state, &samples, true);
        forms = vec![switch(state.paused), form("reconcile", t.reconcile, t.act_reconcile)];
        if state.set_aside > 0 {
            forms.push(form("retry", t.retry_all, t.act_retry));
        }
        let replay = form("replay", t.replay, t.act_replay);
        let holder = form("replay", t.replay_holder, t.act_replay_holder);
        let preview = form("preview", t.act_preview, t.act_preview_hint);
        forms.push(ActionForm { asks: Asks::From, ..replay });
        forms.push(ActionForm { id: "replay-holder", asks: Asks::Holder, ..holder });
        forms.push(ActionForm { asks: Asks::Change, ..preview });
        reports =
            connector_ops::reconciliations(&visitor.hub, name, REPORTS).await.map_err(failed)?;
        code_map = connector_ops::code_map(&visitor.hub, name)
            .is_ok()
            .then(|| format!("/connectors/{name}/code-map"));
    }
    let actions =
        connector_ops::actions(&visitor.hub, name, None, ACTIONS).await.map_err(failed)?;
    let who = visitor.logged_in()?.account.name.clone();
    let page = views::ConnectorPage {
        page: visitor.frame(Section::Connectors, connector.name.clone()),
        connector,
        who: fill(t.acts_by, &[("who", &who)]),
        forms,
        kinds: kinds(visitor),
        code_map,
        hours: hours(t, &samples),
        compares: visitor.hub.connectors.contains_key(name),
        reports: reports.iter().map(|report| report_row(t, name, report)).collect(),
        actions: actions.iter().map(|action| action_row(visitor, action)).collect(),
    };
    Ok((StatusCode::OK, page))
}

/// Kinds of holders, those met most first.
fn kinds(visitor: &Visitor) -> Vec<Choice> {
    let first = [HolderKind::Citizen, HolderKind::Organisation];
    let rest = HolderKind::ALL.into_iter().filter(|kind| !first.contains(kind));
    let choice = |kind: HolderKind| Choice {
        value: kind.code().to_owned(),
        label: holder_kind(visitor.language, kind).to_owned(),
        selected: kind == first[0],
    };
    first.into_iter().chain(rest).map(choice).collect()
}

fn report_row(t: &Texts, name: &str, report: &Report) -> ReportRow {
    let found = &report.found;
    let (tone, sign, word) = if found.agrees {
        (Tone::Good, "✓", t.report_equal)
    } else {
        (Tone::Warning, "≠", t.report_differs)
    };
    ReportRow {
        href: format!("/connectors/{name}/reconciliations/{}", report.id),
        at: moment(found.at),
        badge: Badge { tone, sign, word: word.to_owned() },
        says: report_says(t, report),
    }
}

fn report_says(t: &Texts, report: &Report) -> String {
    let found = &report.found;
    fill(
        t.report_says,
        &[
            ("missing", &number(found.missing)),
            ("extra", &number(found.extra)),
            ("different", &number(found.different)),
            ("explained", &number(found.explained)),
            ("resent", &number(found.resent)),
        ],
    )
}

fn action_row(visitor: &Visitor, action: &connector_ops::Action) -> ActionRow {
    let t = visitor.t();
    let what = match action.act.as_str() {
        "pause" => t.pause,
        "resume" => t.resume,
        "replay" => t.replay,
        "reconcile" => t.reconcile,
        "retry" => t.retry,
        "send_again" => t.send_again,
        "code_map" => t.act_code_map,
        "preview" => t.act_preview,
        other => other,
    };
    let outcome = match action.outcome.as_deref() {
        None => t.trace_begun,
        Some("done") => t.trace_done,
        Some(code) => code,
    };
    let department = visitor.hub.department_name(&action.department).to_owned();
    ActionRow {
        at: moment(action.at),
        who: action
            .account
            .iter()
            .fold(department, |department, account| format!("{department} · {account}")),
        what: what.to_owned(),
        why: action.why.clone(),
        outcome: outcome.to_owned(),
    }
}

/// The last 24 hours, newest first; hours without a sample are left out.
fn hours(t: &Texts, samples: &[Sample]) -> Vec<HourRow> {
    let hour = |sample: &Sample| sample.at.as_second().div_euclid(3_600);
    samples
        .chunk_by(|one, next| hour(one) == hour(next))
        .rev()
        .map(|hour| HourRow {
            hour: hour.first().map(|sample| hour_of(sample.at)).unwrap_or_default(),
            lag: number(hour.iter().map(|sample| sample.lag).max().unwrap_or(0)),
            seconds: span(t, hour.iter().map(|sample| sample.lag_seconds).max().unwrap_or(0)),
            delivered: number(hour.iter().map(|sample| sample.delivered).sum()),
            failures: number(hour.iter().map(|sample| sample.failures).sum()),
        })
        .collect()
}

/// The day and the hour, such as `2026-03-02 09:00`.
fn hour_of(at: Timestamp) -> String {
    let mut text = moment(at);
    text.truncate("2026-03-02 09".len());
    text + ":00"
}

/// The time of day, such as `09:30`.
fn time_of_day(at: Timestamp) -> String {
    moment(at).chars().skip("2026-03-02 ".len()).take("09:30".len()).collect()
}

/// A length of time in the largest unit of which there are two or more.
fn span(t: &Texts, seconds: u64) -> String {
    let (unit, form) = match seconds {
        0..120 => (1, t.seconds),
        120..7_200 => (60, t.minutes),
        7_200..172_800 => (3_600, t.hours),
        _ => (86_400, t.days),
    };
    fill(form, &[("n", &number(seconds / unit))])
}

/// * `all`: also what was delivered.
fn charts(t: &Texts, state: &ConnectorState, samples: &[Sample], all: bool) -> Vec<Chart> {
    let at = Timestamp::now();
    let failed: u64 = samples.iter().map(|sample| sample.failures).sum();
    let hours_ago = |hours| at.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(at);
    let mut times: Vec<String> =
        [24, 18, 12, 6].map(|hours| time_of_day(hours_ago(hours))).to_vec();
    times.push(t.chart_now.to_owned());
    let count: fn(&Texts, u64) -> String = |_, value| number(value);
    let chart =
        |title: &str, now: u64, word: fn(&Texts, u64) -> String, value: fn(&Sample) -> u64| {
            let most = samples.iter().map(value).max().unwrap_or(0).max(now);
            let says = fill(t.chart_says, &[("most", &word(t, most)), ("now", &word(t, now))]);
            Chart {
                title: title.to_owned(),
                says: if samples.is_empty() { t.chart_none.to_owned() } else { says },
                path: path(samples, at, most, value),
                failures: String::new(),
                most: word(t, most),
                times: times.clone(),
            }
        };
    let mut lag = chart(t.chart_lag, state.lag, count, |sample| sample.lag);
    if failed > 0 {
        lag.says.push_str(&fill(t.chart_failed, &[("n", &number(failed))]));
        lag.failures = marks(samples, at);
    }
    let mut charts =
        vec![lag, chart(t.chart_seconds, state.lag_seconds, span, |sample| sample.lag_seconds)];
    if all {
        let now = samples.last().map_or(0, |sample| sample.delivered);
        charts.push(chart(t.chart_delivered, now, count, |sample| sample.delivered));
    }
    charts
}

/// Where a sample stands in a day that ends now, in minutes.
fn minute_of(sample: &Sample, now: Timestamp) -> i64 {
    let minutes = DAY_MINUTES - (now.as_second() - sample.at.as_second()).div_euclid(60);
    minutes.clamp(0, DAY_MINUTES)
}

/// How far right a minute of the day stands; the line stays inside.
fn right(minute: i64) -> i64 {
    (minute * 600 / DAY_MINUTES).min(598)
}

/// Strokes at the bottom where attempts failed.
fn marks(samples: &[Sample], now: Timestamp) -> String {
    let failed = samples.iter().filter(|sample| sample.failures > 0);
    let mut places: Vec<i64> = failed.map(|sample| right(minute_of(sample, now))).collect();
    places.dedup();
    places.iter().map(|x| format!("M{x} 100v-14")).collect()
}

/// A path in 600 by 100 over the last 24 hours: the highest value of each five minutes. Where there is no sample, the
/// hub did not run, and there is no line.
fn path(samples: &[Sample], now: Timestamp, most: u64, value: fn(&Sample) -> u64) -> String {
    use std::fmt::Write;
    const STEP: i64 = 5;
    let step = |sample: &Sample| minute_of(sample, now) / STEP;
    let mut path = String::new();
    let mut before = None;
    for chunk in samples.chunk_by(|one, next| step(one) == step(next)) {
        let Some(at) = chunk.first().map(step) else { continue };
        let high = chunk.iter().map(value).max().unwrap_or(0);
        let x = right(at * STEP);
        let y = 98 - u64::try_from(u128::from(high) * 96 / u128::from(most.max(1))).unwrap_or(96);
        let letter = if before.is_some_and(|before| at - before <= 2) { 'L' } else { 'M' };
        // Writing into a text never fails.
        let _ = write!(path, "{letter}{x} {y}");
        if letter == 'M' {
            let _ = write!(path, "h2"); // a sample that stands alone is seen too
        }
        before = Some(at);
    }
    path
}

fn card(
    visitor: &Visitor,
    state: &ConnectorState,
    samples: &[Sample],
    all_charts: bool,
) -> views::Connector {
    let t = visitor.t();
    let named = |text| fill(text, &[("name", &state.name)]);
    let records = |n| fill(t.records, &[("n", &number(n))]);
    let position = fill(
        t.position_of,
        &[("cursor", &number(state.cursor.0)), ("head", &number(state.head.0))],
    );
    let success = state.last_success.map_or_else(|| t.never.to_owned(), moment);
    let last_hour = &samples[samples.len().saturating_sub(60)..];
    let an_hour_ago = Timestamp::now().as_second() - 3_600;
    let minutes = last_hour.iter().filter(|sample| sample.at.as_second() >= an_hour_ago);
    let throughput = fill(
        t.throughput_of,
        &[
            ("n", &number(minutes.clone().map(|sample| sample.delivered).sum())),
            ("most", &number(minutes.map(|sample| sample.delivered).max().unwrap_or(0))),
        ],
    );
    let resending = (state.resending > 0).then(|| Fact::new(t.resending, records(state.resending)));
    let opens = state.opens_at.map(|at| Fact::new(t.opens_at, moment(at)));
    let mut connector = views::Connector {
        kind: t.connector_kind(state.kind).to_owned(),
        badge: badge(t, state.paused, state.is_failing(), state.lag),
        facts: vec![
            Fact::new(t.lag_records, records(state.lag)),
            Fact::new(t.lag_seconds, span(t, state.lag_seconds)),
            Fact::new(t.delivered, records(state.delivered)),
            Fact::new(t.throughput, throughput),
            Fact::new(t.set_aside, records(state.set_aside)),
            Fact::new(t.position, position),
            Fact::new(t.last_success, success),
        ],
        error: state.last_error.as_ref().map(|error| error_of(visitor, state.next_attempt, error)),
        set_aside: (state.set_aside > 0)
            .then(|| fill(t.show_set_aside, &[("n", &number(state.set_aside))])),
        charts: charts(t, state, samples, all_charts),
        operate_label: named(t.operate_of),
        acts: vec![("reconcile", t.reconcile), switch(t, state.paused), ("replay", t.replay)],
        replays: true,
        id: state.name.clone(),
        name: state.name.clone(),
    };
    connector.facts.extend(resending.into_iter().chain(opens));
    connector.facts.extend(certificate(visitor, &state.name));
    connector
}

/// Pause, or resume.
fn switch(t: &Texts, paused: bool) -> (&'static str, &'static str) {
    if paused { ("resume", t.resume) } else { ("pause", t.pause) }
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
            Fact::new(t.lag_seconds, span(t, state.waiting_seconds)),
            Fact::new(t.delivered, cases(state.delivered)),
            Fact::new(t.set_aside, cases(state.set_aside)),
            Fact::new(t.steps_taken, steps),
            Fact::new(t.serves, departments.join("、")),
            Fact::new(t.last_success, success),
        ],
        error: state.last_error.as_ref().map(|error| error_of(visitor, state.next_attempt, error)),
        set_aside: (state.set_aside > 0)
            .then(|| fill(t.show_set_aside, &[("n", &number(state.set_aside))])),
        charts: Vec::new(),
        operate_label: named(t.operate_of),
        acts: vec![switch(t, state.paused)],
        replays: false,
        id: state.name.clone(),
        name: state.name.clone(),
    }
}

fn source_card(visitor: &Visitor, state: &InboundState) -> views::Connector {
    let t = visitor.t();
    let records = |n| fill(t.records, &[("n", &number(n))]);
    let signatures = match state.signatures {
        "brought" => t.signatures_brought,
        "key_service" => t.signatures_key_service,
        _ => t.signatures_unsigned,
    };
    let time = |at: Option<Timestamp>| at.map_or_else(|| t.never.to_owned(), moment);
    let last_row = i64::try_from(state.position_micros).ok().filter(|micros| *micros > 0);
    let last_row = last_row.and_then(|micros| Timestamp::from_microsecond(micros).ok());
    let last_row = match (last_row, state.kind) {
        // As that database's clock shows it, in whatever zone it is.
        (Some(at), "exchange") => {
            Offset::UTC.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
        }
        (at, _) => time(at),
    };
    let failing = state.is_failing();
    let error = state.last_error.as_ref().map(|error| {
        let words = error_of(visitor, state.next_attempt, error);
        match failing {
            true => ConnectorError { title: t.source_error_now, tone: Tone::Bad, ..words },
            false => words,
        }
    });
    let mut connector = views::Connector {
        // No name of a counterpart has a full stop.
        id: connector_ops::name_of_source(&state.name),
        name: state.name.clone(),
        kind: t.connector_kind(state.kind).to_owned(),
        badge: source_badge(t, state),
        facts: vec![
            Fact::new(t.source_taken, records(state.taken)),
            Fact::new(t.source_refused, records(state.refused)),
            Fact::new(t.source_department, department_of(visitor, &state.department)),
            Fact::new(t.source_signatures, signatures),
            Fact::new(t.source_position, last_row),
            Fact::new(t.source_asked, time(state.last_success)),
        ],
        error,
        set_aside: None,
        charts: Vec::new(),
        operate_label: fill(t.operate_of, &[("name", &state.name)]),
        acts: vec![switch(t, state.paused)],
        replays: false,
    };
    connector.facts.extend(certificate(visitor, &state.name));
    connector
}

/// When the certificate ends that this one is shown.
fn certificate(visitor: &Visitor, name: &str) -> Option<Fact> {
    let ends = connector_ops::certificate_ends(&visitor.hub);
    let (_, at) = ends.into_iter().find(|(one, _)| one == name)?;
    Some(Fact::new(visitor.t().certificate_ends, moment(at)))
}

fn department_of(visitor: &Visitor, code: &str) -> String {
    let known = code.parse().ok();
    known.map_or_else(|| code.to_owned(), |code| visitor.hub.department_name(&code).to_owned())
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

fn source_badge(t: &Texts, state: &InboundState) -> Badge {
    Badge {
        word: match (state.paused, state.is_failing()) {
            (true, _) => t.state_paused,
            (false, true) => t.state_failing,
            (false, false) => t.state_fetching,
        }
        .to_owned(),
        ..badge(t, state.paused, state.is_failing(), 0)
    }
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
    may_operate(visitor)?;
    if let Some(courier) = courier(visitor, name) {
        return refused_cases(visitor, courier).await;
    }
    let t = visitor.t();
    let hub = &visitor.hub;
    let records = connector_ops::set_asides(hub, name, Seq(0), SET_ASIDES + 1).await;
    let records = records.map_err(failed)?;
    let settled = connector_ops::settled(hub, name, None, SETTLED).await.map_err(failed)?;
    let page = views::SetAside {
        page: visitor.frame(Section::Connectors, fill(t.set_aside_title, &[("name", &name)])),
        lead: t.set_aside_lead,
        about: t.set_aside_seq,
        name: name.to_owned(),
        single: true,
        send_again: format!("/connectors/{name}/retry"),
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
        settled: settled
            .into_iter()
            .map(|one| SettledRow {
                seq: one.refused.seq.to_string(),
                code: one.refused.code,
                how: match one.how {
                    indexes::Settled::Resent => t.settled_resent,
                    indexes::Settled::Replayed => t.settled_replayed,
                },
                at: moment(one.settled_at),
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
        name: courier.name().to_owned(),
        single: false,
        send_again: format!("/connectors/{}/send-again", courier.name()),
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
        settled: Vec::new(),
    };
    Ok((StatusCode::OK, page))
}

fn read_code_map(visitor: &Visitor, name: &str) -> Result<(StatusCode, views::CodeMap), Failure> {
    may_operate(visitor)?;
    let map = connector_ops::code_map(&visitor.hub, name).map_err(failed)?;
    let title = fill(visitor.t().code_map_title, &[("name", &name)]);
    let page = views::CodeMap {
        page: visitor.frame(Section::Connectors, title),
        name: name.to_owned(),
        notice: None,
        text: map.text,
        sha256: map.sha256.to_string(),
        now: None,
        why: String::new(),
    };
    Ok((StatusCode::OK, page))
}

/// `None`: it is replaced. A page: what was typed, with what is wrong with it. Where somebody else was faster, it shows
/// beside it what is there now, and saving replaces that.
async fn write_code_map(
    visitor: &Visitor,
    name: &str,
    form: &Posted,
) -> Result<Option<(StatusCode, views::CodeMap)>, Failure> {
    let by = by(visitor, name, form)?;
    let t = visitor.t();
    // Never without saying which one it is to replace.
    let replaces = form.text("replaces").parse();
    let replaces = replaces.map_err(|_| Failure::bad_request("form", |t| t.say_bad_request))?;
    // Browsers send lines with CR and LF.
    let text = form.text("text").replace("\r\n", "\n");
    let text = format!("{}\n", text.trim_end());
    let error =
        match connector_ops::replace_code_map(&visitor.hub, name, &text, Some(replaces), &by).await
        {
            Ok(_) => return Ok(None),
            Err(error) => error,
        };
    let (status, title, says, now) = match &error {
        OpsError::CodeMap(error) => {
            let says = vec![error.to_string()];
            (StatusCode::UNPROCESSABLE_ENTITY, t.code_map_wrong, says, None)
        }
        OpsError::CodeMapChanged => {
            let now = connector_ops::code_map(&visitor.hub, name).map_err(failed)?;
            (StatusCode::CONFLICT, t.code_map_changed, Vec::new(), Some(now))
        }
        _ => return Err(failed(error)),
    };
    let page = views::CodeMap {
        page: visitor.frame(Section::Connectors, fill(t.code_map_title, &[("name", &name)])),
        name: name.to_owned(),
        notice: Some(Notice { tone: Tone::Bad, title: title.to_owned(), says }),
        text,
        sha256: now.as_ref().map_or(replaces, |now| now.sha256).to_string(),
        now: now.map(|now| now.text),
        why: form.text("why").to_owned(),
    };
    Ok(Some((status, page)))
}

async fn compared(
    visitor: &Visitor,
    name: &str,
    report: &str,
) -> Result<(StatusCode, views::Reconciliation), Failure> {
    may_operate(visitor)?;
    let t = visitor.t();
    let report = connector_ops::reconciliation(&visitor.hub, name, report).await.map_err(failed)?;
    let compared = &report.found;
    let page = visitor.frame(Section::Connectors, fill(t.reconcile_title, &[("name", &name)]));
    let (tone, says) = match (compared.agrees, compared.compared) {
        (true, Comparison::Marks) => (Tone::Good, t.reconcile_equal_marks),
        (true, _) => (Tone::Good, t.reconcile_equal),
        (false, Comparison::Marks) => (Tone::Warning, t.reconcile_differs_marks),
        (false, _) => (Tone::Warning, t.reconcile_differs),
    };
    let explained = fill(
        t.reconcile_explained,
        &[
            ("lag", &number(compared.lag)),
            ("set_aside", &number(compared.set_aside)),
            ("at", &moment(compared.at)),
        ],
    );
    let mut says_more = vec![explained];
    if compared.compared == Comparison::Marks {
        says_more.push(report_says(t, &report));
        if compared.resent > 0 {
            says_more.push(t.reconcile_mended.to_owned());
        }
        let open = |record: &connectors::Difference| record.explained.is_none();
        if compared.records.iter().any(|record| open(record) && record.seq.is_none()) {
            says_more.push(t.reconcile_not_ours.to_owned());
        }
    }
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
    let records = compared
        .records
        .iter()
        .map(|record| DifferenceRow {
            identifier: record.identifier.to_string(),
            what: match record.what {
                DifferenceKind::Missing => t.report_missing,
                DifferenceKind::Extra => t.report_extra,
                DifferenceKind::Different => t.report_different,
            },
            seq: record.seq.map(|seq| seq.to_string()).unwrap_or_default(),
            explained: match (record.explained, record.seq) {
                (Some(_), _) => t.report_on_its_way,
                (None, Some(_)) => t.report_sent_again,
                (None, None) => t.report_not_ours,
            },
        })
        .collect();
    let notice = Notice { tone, title: says.to_owned(), says: says_more };
    let name = name.to_owned();
    Ok((StatusCode::OK, views::Reconciliation { page, name, notice, records, rows, sum }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::texts::Language;

    fn sample(at: Timestamp, lag: u64) -> Sample {
        Sample { at, lag, lag_seconds: 0, delivered: 1, failures: 0 }
    }

    #[test]
    fn a_chart_runs_over_the_day_and_breaks_off_where_there_is_no_sample() {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let before = |minutes| now - SignedDuration::from_mins(minutes);
        let samples = [
            sample(before(24 * 60), 0),
            sample(before(24 * 60 - 5), 50),
            sample(before(12 * 60), 100),
            sample(now, 0),
        ];
        let path = path(&samples, now, 100, |sample| sample.lag);
        assert_eq!(path, "M0 98h2L2 50M300 2h2M598 98h2");
        assert_eq!(hours(Language::English.texts(), &samples).len(), 3);
        assert_eq!(
            (time_of_day(now).as_str(), hour_of(now).as_str()),
            ("20:00", "2026-03-02 20:00")
        );
    }

    #[test]
    fn failed_attempts_leave_a_stroke_each_minute() {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let samples = [sample(now - SignedDuration::from_mins(720), 0), sample(now, 0)];
        let [first, last] = samples;
        let failed = [Sample { failures: 2, ..first }, last];
        assert_eq!(marks(&failed, now), "M300 100v-14");
    }

    #[test]
    fn a_length_of_time_is_told_in_a_unit_of_its_size() {
        let t = Language::English.texts();
        let told = [0, 119, 120, 7_199, 7_200, 2_592_002].map(|seconds| span(t, seconds));
        assert_eq!(told, ["0 s", "119 s", "2 min", "119 min", "2 h", "30 d"]);
    }
}
