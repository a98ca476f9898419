//! Operations: is it alive, can it serve, what does it count.

use actix_web::{HttpResponse, get, web};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;
use crate::{Hub, keys::SignerUnavailable, sweep::Sweep};

#[derive(Serialize, ToSchema)]
struct Readiness {
    ready: bool,
    /// `ok` or the code of the store's error.
    store: String,
    /// Changes that the search index has not seen yet.
    search_lag: u64,
    /// `ok`, `none` without a `[service]`, or why nothing can be signed, such as `pin_missing`; does not make the
    /// hub unready.
    signer: &'static str,
    /// Whether the registry log says what the anchors and lists of now mean for every licence: `ok`, `running` while a
    /// sweep goes through them, or the code of the store's error that stops it.
    trust_sweep: &'static str,
    /// Time-stamps on signatures: `ok`; `fallback`, an authority fails and another serves; `failing`, none serves and
    /// what comes in is stamped later; `off` without authorities in the settings. They do not make the hub unready.
    time_stamps: &'static str,
    /// Connectors with an error or a lag, by name; they do not make the hub unready.
    connectors: std::collections::BTreeMap<String, &'static str>,
    /// Sources of rows, by name: `ok`, `paused`, or the code of what stands in the way; they do not make the hub unready.
    inbound: std::collections::BTreeMap<String, String>,
    /// Anchors, revocation lists and where they come from; what is wrong here does not make the hub unready.
    trust: Trust,
}

#[derive(Serialize, ToSchema)]
struct Trust {
    /// `ok`, or `attention` where something should be mended.
    state: &'static str,
    /// Grows with every change of anchors, lists and answers.
    epoch: u64,
    /// When they changed last.
    #[schema(value_type = String)]
    changed_at: jiff::Timestamp,
    /// What should be mended, at most 20.
    problems: Vec<TrustProblem>,
    /// Where lists and answers are fetched from.
    sources: Vec<crate::trust::SourceReport>,
}

#[derive(Serialize, ToSchema)]
struct TrustProblem {
    /// A file below the trust folder, `settings`, an authority's list, or a source.
    place: String,
    /// The reason's stable code.
    code: String,
}

/// Most problems that are told in one answer.
const MOST_TOLD: usize = 20;

fn trust(hub: &Hub) -> Trust {
    let keeper = hub.trust_keeper();
    let problems = keeper.problems(hub.clock.now());
    let told = problems.iter().take(MOST_TOLD);
    Trust {
        state: if problems.is_empty() { "ok" } else { "attention" },
        epoch: hub.trust().epoch(),
        changed_at: keeper.told().changed_at,
        problems: told
            .map(|problem| TrustProblem {
                place: problem.place.clone(),
                code: problem.code.to_string(),
            })
            .collect(),
        sources: keeper.sources().report(),
    }
}

/// The process answers.
#[utoipa::path(responses((status = 200, description = "`ok`")))]
#[get("/healthz")]
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// The hub can take in and hand out licences.
#[utoipa::path(responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
#[get("/readyz")]
pub async fn readyz(hub: web::Data<Hub>) -> Result<HttpResponse, Problem> {
    let store = hub.store.health().await;
    let head = hub.store.head().await.unwrap_or(licence::Seq(0));
    let mut connectors = std::collections::BTreeMap::new();
    for (name, runner) in &hub.connectors {
        let state = runner.state();
        let word = match (state.paused, state.is_failing()) {
            (true, _) => "paused",
            (false, true) => "failing",
            (false, false) => "ok",
        };
        connectors.insert(name.clone(), word);
    }
    for (name, courier) in hub.couriers() {
        let state = courier.state();
        let word = match (state.paused, state.next_attempt.is_some()) {
            (true, _) => "paused",
            (false, true) => "failing",
            (false, false) => "ok",
        };
        connectors.insert(name.clone(), word);
    }
    let signer = hub.keys.health(hub.clock.now());
    let readiness = Readiness {
        ready: store.is_ok(),
        store: store.map_or_else(|error| error.code().to_owned(), |()| "ok".to_owned()),
        search_lag: head.0.saturating_sub(hub.search.next().0),
        signer: signer.as_ref().err().map_or("ok", SignerUnavailable::word),
        trust_sweep: sweep_word(&hub),
        time_stamps: hub.stamps().map_or("off", |stamps| stamps.word()),
        connectors,
        inbound: hub.inbound().iter().map(|(name, one)| (name.clone(), one.word())).collect(),
        trust: trust(&hub),
    };
    let mut answer =
        if readiness.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    Ok(answer.json(readiness))
}

fn sweep_word(hub: &Hub) -> &'static str {
    let state = hub.sweep().map(Sweep::state).unwrap_or_default();
    state.failing.unwrap_or(if state.running { "running" } else { "ok" })
}

/// Prometheus metrics. No label holds personal data.
#[utoipa::path(responses((status = 200, description = "Prometheus text format")))]
#[get("/metrics")]
pub async fn show_metrics(
    hub: web::Data<Hub>,
    handle: web::Data<PrometheusHandle>,
) -> HttpResponse {
    if let Ok(head) = hub.store.head().await {
        metrics::gauge!("yihao_registry_entries").set(head.0 as f64);
        let lag = head.0.saturating_sub(hub.search.next().0);
        metrics::gauge!("yihao_search_lag_records").set(lag as f64);
    }
    let signs = hub.keys.health(hub.clock.now()).is_ok();
    metrics::gauge!("yihao_signer_ready").set(f64::from(u8::from(signs)));
    if let Some(ends) = hub.keys.certificate_ends() {
        let left = ends.duration_since(hub.clock.now()).as_secs_f64();
        metrics::gauge!("yihao_signer_certificate_seconds_left").set(left);
    }
    if let Ok(head) = hub.store.use_head().await {
        metrics::gauge!("yihao_access_entries").set(head.0 as f64);
    }
    if let Some(stamps) = hub.stamps()
        && let Ok(state) = stamps.state(&hub).await
    {
        let age = state.oldest.map_or(0, |since| hub.clock.now().duration_since(since).as_secs());
        metrics::gauge!("yihao_stamps_due").set(state.due as f64);
        metrics::gauge!("yihao_stamps_due_oldest_seconds").set(age.max(0) as f64);
    }
    count_trust(&hub);
    crate::connector_ops::certificates::measure(&hub);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(handle.render())
}

/// Anchors, lists and sources as numbers.
fn count_trust(hub: &Hub) {
    let (now, store) = (hub.clock.now(), hub.trust());
    let keeper = hub.trust_keeper();
    let lists = store.crls();
    let next = lists.iter().map(|list| list.next_update).min();
    let left = next.map_or(0.0, |next| next.duration_since(now).as_secs_f64());
    let (answers, old) = store.ocsp_answers(now);
    let failing = keeper.sources().report();
    let failing = failing.iter().filter(|source| source.state == "failing").count();
    metrics::gauge!("yihao_trust_epoch").set(store.epoch() as f64);
    metrics::gauge!("yihao_trust_problems").set(keeper.problems(now).len() as f64);
    metrics::gauge!("yihao_trust_lists").set(lists.len() as f64);
    metrics::gauge!("yihao_trust_first_list_ends_seconds").set(left);
    metrics::gauge!("yihao_trust_answers").set(answers as f64);
    metrics::gauge!("yihao_trust_answers_stale").set(old as f64);
    metrics::gauge!("yihao_trust_sources_failing").set(failing as f64);
}
