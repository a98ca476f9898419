//! `loadtest bench connectors`: changes pushed into a PostgreSQL exchange database, beside a bare `COPY` of the same rows.
//!
//! 1. A hub with a paused `frontdb` connector takes in the licences of a synthetic district.
//! 2. The connector is let go: how long until every row is in `up_lic_data`, and the most memory the hub held
//!    meanwhile.
//! 3. The same rows are copied by `COPY` into a table with the same columns and key, on the same server.
//! 4. Orders come in at a fixed rate: how old the oldest change that has not gone through is, sampled all the time.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use certs::sign_detached;
use district::{District, DistrictSize};
use jiff::Timestamp;
use licence::{StatusChange, StatusOrder};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    client::{Call, Target},
    error::Error,
    generate::generate,
    hub::{self, Hub, Import, free_address},
    load::{Calls, Schedule, open_loop},
    measure::median,
    postgres::Postgres,
};

/// The seed of what is generated.
const SEED: u64 = 20_240_601;
/// The connector's name.
const PROVINCE: &str = "province";
/// How often rows are counted and states are read.
const SAMPLING: Duration = Duration::from_millis(100);
/// How long the push, or the import, may take for each change, at the least rate worth waiting for.
const LEAST_RATE: f64 = 200.0;
/// Orders a second while the lag is sampled.
const LIVE_RATE: f64 = 500.0;
/// How long they come in.
const LIVE: Duration = Duration::from_secs(20);
/// How often the bare copy is made; the median counts.
const COPIES: usize = 3;

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Changes pushed.
    changes: u64,
    /// Records a second that the connector pushed.
    push: f64,
    /// Rows a second that the bare copy made.
    copy: f64,
    /// The first by the second; 0.4 is promised.
    ratio: f64,
    /// The most memory that the hub held during the push, in bytes; 256 MiB are promised.
    memory: u64,
    /// Changes a second that came in live.
    live_rate: f64,
    /// Age in seconds of the oldest change still to go through, 99 of 100 samples; below 2 is promised.
    lag_p99: f64,
    /// The greatest of the samples.
    lag_max: f64,
    /// How many records were behind, at most.
    behind_max: u64,
}

/// A connector's state, as far as it matters here.
#[derive(Debug, Deserialize)]
struct State {
    cursor: u64,
    head: u64,
    set_aside: u64,
}

/// Measures, and prints the figures.
///
/// # Errors
/// Whatever failed.
pub(crate) async fn run(changes: u64, program: Option<&Path>, json: bool) -> Result<(), Error> {
    let size = DistrictSize::for_licences(changes);
    if !size.is_possible() || changes < 1_000 {
        return Err(Error::Argument("--changes is 1000 or more, and fits a district".to_owned()));
    }
    let temporary = tempfile::Builder::new().prefix("yihao-bench-").tempdir();
    let temporary = temporary.map_err(Error::file(Path::new("a temporary folder")))?;
    let program = program.map_or_else(hub::beside, |program| Ok(program.to_owned()))?;

    tell(&format!("a district with {changes} licences"));
    let district = District::new(SEED, size);
    let folder = generate(&temporary.path().join("hub"), SEED, &district, 10_000)?;
    let postgres = Postgres::start(&temporary.path().join("postgres"))?;
    let at = free_address()?;
    let connector = format!("{}batch = 2000\n", postgres.connector(PROVINCE));
    folder.write_settings(at, &connector)?;
    let hub = Hub::start(&program, &folder)?;
    let clerk = hub::target(&folder, at, &district::consuming_departments().swap_remove(0))?;
    operate(&clerk, "pause").await?;

    tell("taking them in, with the connector paused");
    let mut taken_in = 0;
    for department in district::issuing_departments() {
        taken_in += Import::start(&program, &folder, &department, at)?.finish()?.stored;
    }
    hub::wait_for_search(&clerk).await?;

    tell(&format!("pushing {taken_in} changes"));
    hub.forget_peak_memory();
    let start = Instant::now();
    operate(&clerk, "resume").await?;
    wait_for(&clerk, start, taken_in).await?;
    let pushed = start.elapsed().as_secs_f64();
    let memory = hub.peak_memory();
    let rows = postgres.count("select count(*) from up_lic_data")?;
    if rows != taken_in {
        return Err(said(format!("the exchange database has {rows} rows, not {taken_in}")));
    }

    tell("a bare COPY of the same rows");
    let copied = copy(&postgres, temporary.path(), rows)?;

    tell(&format!("{LIVE_RATE} orders a second for {} s", LIVE.as_secs()));
    let orders = orders(&district, SEED, &folder, at)?;
    let watcher = clerk.clone();
    let samples = tokio::spawn(async move { watch(&watcher).await });
    let schedule = Schedule { rate: LIVE_RATE, duration: LIVE, connections: 64, waiting: 10_000 };
    let live = open_loop(&orders.0, orders.1, schedule).await?;
    live.tally.require_clean("status orders")?;
    let live_rate = live.tally.succeeded() as f64 / live.elapsed.as_secs_f64();
    let samples = samples.await.map_err(|error| said(error.to_string()))??;
    hub.stop()?;

    let mut ages: Vec<f64> = samples.iter().map(|(age, _)| *age).collect();
    ages.sort_by(f64::total_cmp);
    let report = Report {
        changes: rows,
        push: rows as f64 / pushed,
        copy: rows as f64 / copied,
        ratio: copied / pushed,
        memory,
        live_rate,
        lag_p99: ages.get(ages.len() * 99 / 100).copied().unwrap_or_default(),
        lag_max: ages.last().copied().unwrap_or_default(),
        behind_max: samples.iter().map(|(_, behind)| *behind).max().unwrap_or_default(),
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        print(&report);
    }
    Ok(())
}

fn print(report: &Report) {
    let Report { changes, push, copy, ratio, live_rate, lag_p99, lag_max, behind_max, .. } = report;
    println!("push    {push:>9.0} records/s, {changes} changes into PostgreSQL");
    println!("copy    {copy:>9.0} rows/s, bare COPY of the same rows");
    println!("ratio   {ratio:>9.2}");
    println!(
        "memory  {:>9.0} MiB at most during the push",
        report.memory as f64 / (1 << 20) as f64
    );
    println!(
        "lag     {lag_p99:>9.2} s p99, {lag_max:.2} s and {behind_max} records at most, at {live_rate:.0} changes/s"
    );
}

/// Seconds that a `COPY` of what is in `up_lic_data` takes, into a table with the same columns and key.
fn copy(postgres: &Postgres, folder: &Path, rows: u64) -> Result<f64, Error> {
    let file = folder.join("postgres/rows.copy");
    let file = file.display();
    postgres.query(&format!("copy up_lic_data to '{file}' (format binary)"))?;
    let mut seconds = Vec::new();
    for _ in 0..COPIES {
        postgres.query("drop table if exists bare")?;
        postgres
            .query("create table bare (like up_lic_data including defaults including indexes)")?;
        let start = Instant::now();
        postgres.query(&format!("copy bare from '{file}' (format binary)"))?;
        seconds.push(start.elapsed().as_secs_f64());
        let copied = postgres.count("select count(*) from bare")?;
        if copied != rows {
            return Err(said(format!("{copied} rows were copied, not {rows}")));
        }
    }
    Ok(median(seconds))
}

/// Reads the state until everything is through.
async fn wait_for(clerk: &Target, start: Instant, changes: u64) -> Result<(), Error> {
    let patience = Duration::from_secs_f64(60.0 + changes as f64 / LEAST_RATE);
    loop {
        let state = state(clerk).await?;
        if state.set_aside > 0 {
            return Err(said(format!("{} records were set aside", state.set_aside)));
        }
        if state.head >= changes && state.cursor >= state.head {
            return Ok(());
        }
        if start.elapsed() > patience {
            return Err(Error::Patience(format!(
                "the push, at {} of {}",
                state.cursor, state.head
            )));
        }
        tokio::time::sleep(SAMPLING).await;
    }
}

/// Samples while orders come in: for how long the head of a moment has not been gone through, and how many records.
async fn watch(clerk: &Target) -> Result<Vec<(f64, u64)>, Error> {
    let start = Instant::now();
    let mut samples = Vec::new();
    // Heads as they were seen, oldest first.
    let mut seen: std::collections::VecDeque<(Instant, u64)> = std::collections::VecDeque::new();
    while start.elapsed() < LIVE {
        let State { cursor, head, .. } = state(clerk).await?;
        let now = Instant::now();
        seen.push_back((now, head));
        while seen.front().is_some_and(|(_, head)| *head <= cursor) {
            seen.pop_front();
        }
        let age = seen.front().map_or(0.0, |(at, _)| (now - *at).as_secs_f64());
        samples.push((age, head.saturating_sub(cursor)));
        tokio::time::sleep(SAMPLING).await;
    }
    Ok(samples)
}

/// Orders that suspend one licence each, and who gives them.
fn orders(
    district: &District,
    seed: u64,
    folder: &crate::folder::Folder,
    at: std::net::SocketAddr,
) -> Result<(Target, Calls), Error> {
    let wanted = (LIVE_RATE * LIVE.as_secs_f64()) as usize + 1;
    let authority = crate::folder::Authority::new(seed)?;
    let department = district::issuing_departments().swap_remove(0);
    let identity = authority.issuer(&department)?;
    let now = Timestamp::now();
    let mut calls = Vec::with_capacity(wanted);
    let mine = district
        .licences()
        .filter(|licence| *licence.issuer.credit_code() == department.code)
        .map(|licence| licence.identifier);
    for identifier in mine.take(wanted) {
        let order = StatusOrder {
            identifier: identifier.clone(),
            change: StatusChange::Suspend,
            reason: "load test".to_owned(),
            ordered_at: now,
        };
        let order = order.to_bytes();
        let signature = sign_detached(&identity, &order, now)?;
        let body =
            json!({ "order": STANDARD.encode(&order), "signature": STANDARD.encode(&signature) });
        calls.push(Call::post(format!("/v1/licences/{identifier}/status"), body.to_string()));
    }
    if calls.is_empty() {
        return Err(said("the first department has issued nothing".to_owned()));
    }
    let target = hub::target(folder, at, &department)?;
    // With few licences an order comes again: it is answered, and is no change.
    let call =
        move |number: u64| calls[usize::try_from(number).unwrap_or_default() % calls.len()].clone();
    Ok((target, Arc::new(call)))
}

async fn state(clerk: &Target) -> Result<State, Error> {
    #[derive(Deserialize)]
    struct Connectors {
        connectors: Vec<State>,
    }
    let answer = clerk.once(&Call::get("/v1/connectors")).await?;
    let mut all: Connectors = answer.json("GET /v1/connectors")?;
    all.connectors.pop().ok_or_else(|| said("no connector is running".to_owned()))
}

async fn operate(clerk: &Target, word: &str) -> Result<(), Error> {
    let path = format!("/v1/connectors/{PROVINCE}/{word}");
    let body = json!({ "why": "loadtest" }).to_string();
    let answer = clerk.once(&Call::post(path, body)).await?;
    answer.json::<serde_json::Value>(&format!("POST /v1/connectors/{PROVINCE}/{word}"))?;
    Ok(())
}

fn said(said: String) -> Error {
    Error::Program { program: "bench connectors".to_owned(), said }
}

fn tell(what: &str) {
    eprintln!("bench: {what}");
}
