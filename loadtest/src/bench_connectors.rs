//! `loadtest bench connectors`: changes pushed into a PostgreSQL exchange database, beside a bare `COPY` of the same rows.
//!
//! 1. A hub with a paused `frontdb` connector takes in the licences of a synthetic district.
//! 2. The connector is let go: how long until every row is in `up_lic_data`, and the most memory the hub held
//!    meanwhile.
//! 3. The same rows are copied by `COPY` from a file into a table with the same columns and key, on the same server.
//! 4. Orders come in at a fixed rate, each a change of its own: how old the oldest change is that is in the registry
//!    and whose row is not in the database, sampled all the time.
//!
//! Nothing is believed because the hub's connector says it: the registry's length is that of its log (`/metrics`), and
//! what has arrived is counted in the database.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use certs::sign_detached;
use district::{District, DistrictSize};
use jiff::{SignedDuration, Timestamp};
use licence::{LicenceId, StatusChange, StatusOrder};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    client::{Answer, Call, Connection, Target},
    error::Error,
    generate::generate,
    hub::{self, Hub, Import, free_address},
    load::{Calls, Schedule, open_loop},
    measure::median,
    postgres::{Postgres, Session},
};

/// The seed of what is generated.
const SEED: u64 = 20_240_601;
/// The connector's name.
const PROVINCE: &str = "province";
/// Most records and bytes of documents in a batch.
const BATCH: usize = 2_000;
const BATCH_BYTES: usize = 2 << 20;
/// MiB of the store's block cache: the memory promised for a push does not have room for the default of 256.
const CACHE_MIB: usize = 32;
/// How often rows are counted and states are read.
const SAMPLING: Duration = Duration::from_millis(50);
/// How long the push, or the import, may take for each change, at the least rate worth waiting for.
const LEAST_RATE: f64 = 200.0;
/// Orders a second while the lag is sampled.
const LIVE_RATE: f64 = 500.0;
/// How long they come in.
const LIVE: Duration = Duration::from_secs(20);
/// How long the last of them may take to arrive.
const LAST: Duration = Duration::from_secs(30);
/// How long the hub may take to go through all licences when it starts.
const SWEEP: Duration = Duration::from_secs(600);
/// How often the bare copy is made; the median counts.
const COPIES: usize = 3;

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Changes pushed.
    changes: u64,
    /// Records a second that the connector pushed.
    push: f64,
    /// Rows a second that the bare copy made, of the text that the connector sends.
    copy: f64,
    /// The same with the rows in the binary format, which spares the server reading texts.
    copy_binary: f64,
    /// The push by the copy of the same bytes; 0.4 is promised.
    ratio: f64,
    /// What the hub held before the push, in bytes.
    memory_before: u64,
    /// The most memory that the hub held during the push, in bytes; 256 MiB are promised.
    memory: u64,
    /// Changes that came in live: by so many the registry grew.
    live_changes: u64,
    /// The same a second.
    live_rate: f64,
    /// Age in seconds of the oldest change that had not arrived, 99 of 100 samples; below 2 is promised. Rounded up: a
    /// change counts from the last sample that did not show it yet.
    lag_p99: f64,
    /// The greatest of the samples.
    lag_max: f64,
    /// How many changes had not arrived, at most.
    behind_max: u64,
    /// How many samples there are.
    samples: usize,
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
    let connector =
        format!("{}batch = {BATCH}\nbatch_bytes = {BATCH_BYTES}\n", postgres.connector(PROVINCE));
    folder.write_settings_with(&format!("cache_mib = {CACHE_MIB}"), at, &connector)?;
    let hub = Hub::start(&program, &folder)?;
    let clerk = hub::target(&folder, at, &district::consuming_departments().swap_remove(0))?;
    operate(&clerk, "pause").await?;

    tell("taking them in, with the connector paused");
    let mut taken_in = 0;
    for department in district::issuing_departments() {
        taken_in += Import::start(&program, &folder, &department, at)?.finish()?.stored;
    }
    hub::wait_for_search(&clerk).await?;
    // What taking in has left in memory is no part of the push: a new process, still paused.
    hub.stop()?;
    let hub = Hub::start(&program, &folder)?;
    hub::wait_for_search(&clerk).await?;
    wait_for_sweep(&clerk).await?;

    tell(&format!("pushing {taken_in} changes"));
    hub.forget_peak_memory();
    let memory_before = hub.peak_memory();
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
    let copied = copy(&postgres, temporary.path(), rows, "text")?;
    let copied_binary = copy(&postgres, temporary.path(), rows, "binary")?;

    tell(&format!("{LIVE_RATE} orders a second for {} s", LIVE.as_secs()));
    let departments = orders(&district, SEED, &folder, at)?;
    let before = head(&clerk).await?;
    let watch = Watch { postgres: postgres.session()?, held: rows, before };
    let over = Arc::new(AtomicBool::new(false));
    let samples = tokio::spawn(watch.run(clerk.clone(), over.clone()));
    let (live_changes, elapsed) = give(departments).await?;
    over.store(true, Ordering::Relaxed);
    let samples = samples.await.map_err(|error| said(error.to_string()))??;
    let grown = head(&clerk).await? - before;
    if grown != live_changes {
        return Err(said(format!("{live_changes} orders made {grown} changes")));
    }
    let live_rate = grown as f64 / elapsed.as_secs_f64();
    if live_rate < 0.95 * LIVE_RATE {
        return Err(said(format!(
            "the registry took {live_rate:.0} changes a second, not {LIVE_RATE}"
        )));
    }
    hub.stop()?;

    let mut ages: Vec<f64> = samples.iter().map(|(age, _)| *age).collect();
    ages.sort_by(f64::total_cmp);
    let report = Report {
        changes: rows,
        push: rows as f64 / pushed,
        copy: rows as f64 / copied,
        copy_binary: rows as f64 / copied_binary,
        ratio: copied / pushed,
        memory_before,
        memory,
        live_changes,
        live_rate,
        lag_p99: ages.get(ages.len() * 99 / 100).copied().unwrap_or_default(),
        lag_max: ages.last().copied().unwrap_or_default(),
        behind_max: samples.iter().map(|(_, behind)| *behind).max().unwrap_or_default(),
        samples: ages.len(),
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
    println!("copy    {copy:>9.0} rows/s, bare COPY of the same text");
    println!(
        "        {:>9.0} rows/s, bare COPY of the same rows in the binary format",
        report.copy_binary
    );
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
///
/// * `form`: `text`, which the connector sends, or `binary`.
fn copy(postgres: &Postgres, folder: &Path, rows: u64, form: &str) -> Result<f64, Error> {
    let file = folder.join("postgres/rows.copy");
    let file = file.display();
    postgres.query(&format!("copy up_lic_data to '{file}' (format {form})"))?;
    let mut seconds = Vec::new();
    for _ in 0..COPIES {
        postgres.query("drop table if exists bare")?;
        postgres
            .query("create table bare (like up_lic_data including defaults including indexes)")?;
        let start = Instant::now();
        postgres.query(&format!("copy bare from '{file}' (format {form})"))?;
        seconds.push(start.elapsed().as_secs_f64());
        let copied = postgres.count("select count(*) from bare")?;
        if copied != rows {
            return Err(said(format!("{copied} rows were copied, not {rows}")));
        }
    }
    Ok(median(seconds))
}

/// Reads the state until everything is through, and no more: what is in the database is counted after.
async fn wait_for(clerk: &Target, start: Instant, changes: u64) -> Result<(), Error> {
    let patience = Duration::from_secs_f64(60.0 + changes as f64 / LEAST_RATE);
    let mut connection = clerk.connect().await?;
    loop {
        let state = state(&mut connection).await?;
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

/// Waits until the hub, which goes through all licences when it starts, is through: that is no part of the push.
async fn wait_for_sweep(clerk: &Target) -> Result<(), Error> {
    let start = Instant::now();
    while metric(&clerk.once(&Call::get("/metrics")).await?, "yihao_trust_sweep_seconds_count")
        != Some(1.0)
    {
        if start.elapsed() > SWEEP {
            return Err(Error::Patience("the sweep through all licences".to_owned()));
        }
        tokio::time::sleep(SAMPLING).await;
    }
    Ok(())
}

/// Samples while orders come in and until the last of them has arrived.
struct Watch {
    postgres: Session,
    /// Rows before the first order.
    held: u64,
    /// Changes before it.
    before: u64,
}

impl Watch {
    /// For how long the oldest change that has not arrived has been in the registry, and how many have not arrived.
    async fn run(mut self, clerk: Target, over: Arc<AtomicBool>) -> Result<Vec<(f64, u64)>, Error> {
        // By key, so that what was there before need not be counted each time.
        let arrived = format!(
            "select count(*) from up_lic_data where row_guid >= '{PROVINCE}-{:020}'",
            self.before
        );
        if self.held != self.before {
            return Err(said(format!("{} changes are {} rows", self.before, self.held)));
        }
        let mut samples = Vec::new();
        // Heads as they were seen, oldest first, with the time of the sample before: from then on it may have been so.
        let mut seen = VecDeque::new();
        let mut connection = clerk.connect().await?;
        let mut earlier = Instant::now();
        let mut deadline = None;
        loop {
            let now = Instant::now();
            let head = registry_entries(&connection.send(&Call::get("/metrics")).await?)?;
            let there = self.before + self.postgres.number(&arrived)?;
            seen.push_back((earlier, head));
            earlier = now;
            while seen.front().is_some_and(|(_, head)| *head <= there) {
                seen.pop_front();
            }
            let age = seen.front().map_or(0.0, |(since, _)| since.elapsed().as_secs_f64());
            samples.push((age, head.saturating_sub(there)));
            if over.load(Ordering::Relaxed) {
                if seen.is_empty() {
                    return Ok(samples);
                }
                if Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + LAST) {
                    return Err(Error::Patience("the last orders to arrive".to_owned()));
                }
            }
            tokio::time::sleep(SAMPLING).await;
        }
    }
}

/// How many changes the registry has.
async fn head(clerk: &Target) -> Result<u64, Error> {
    registry_entries(&clerk.once(&Call::get("/metrics")).await?)
}

fn registry_entries(answer: &Answer) -> Result<u64, Error> {
    let entries = metric(answer, "yihao_registry_entries").map(|entries| entries as u64);
    entries.ok_or_else(|| said("/metrics does not say yihao_registry_entries".to_owned()))
}

/// What `/metrics` says of a metric without labels.
fn metric(answer: &Answer, name: &str) -> Option<f64> {
    let text = String::from_utf8_lossy(&answer.body);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value?.trim().parse().ok()
}

/// What a department orders.
struct Department {
    target: Target,
    calls: Vec<Call>,
}

/// Gives the orders, every department its share, at [`LIVE_RATE`] in all; how many were made, and in what time.
async fn give(departments: Vec<Department>) -> Result<(u64, Duration), Error> {
    let all: usize = departments.iter().map(|department| department.calls.len()).sum();
    let mut running = Vec::new();
    for Department { target, calls } in departments {
        let rate = LIVE_RATE * calls.len() as f64 / all as f64;
        let duration = Duration::from_secs_f64(calls.len() as f64 / rate);
        let schedule = Schedule { rate, duration, connections: 32, waiting: calls.len() };
        let call = move |number: u64| {
            calls[usize::try_from(number).unwrap_or_default() % calls.len()].clone()
        };
        let calls: Calls = Arc::new(call);
        running.push(tokio::spawn(async move { open_loop(&target, calls, schedule).await }));
    }
    let (mut made, mut longest) = (0, Duration::ZERO);
    for department in running {
        let live = department.await.map_err(|error| said(error.to_string()))??;
        live.tally.require_clean("status orders")?;
        made += live.tally.succeeded();
        longest = longest.max(live.elapsed);
    }
    Ok((made, longest))
}

/// Orders, each of which is a change: they suspend licences of every department, as many as it has its share of, and
/// restore them when all of a department's are suspended.
fn orders(
    district: &District,
    seed: u64,
    folder: &crate::folder::Folder,
    at: std::net::SocketAddr,
) -> Result<Vec<Department>, Error> {
    let wanted = (LIVE_RATE * LIVE.as_secs_f64()) as usize;
    let authority = crate::folder::Authority::new(seed)?;
    let issuing = district::issuing_departments();
    let mut of: Vec<Vec<LicenceId>> = vec![Vec::new(); issuing.len()];
    for licence in district.licences().take(wanted) {
        let code = licence.issuer.credit_code();
        if let Some(owner) = issuing.iter().position(|department| department.code == *code) {
            of[owner].push(licence.identifier);
        }
    }
    let all: usize = of.iter().map(Vec::len).sum();
    let mut departments = Vec::new();
    for (department, licences) in issuing.iter().zip(of) {
        let share = licences.len() * wanted / all.max(1);
        let identity = authority.issuer(department)?;
        let now = Timestamp::now();
        let mut calls = Vec::with_capacity(share);
        for (round, identifier) in
            (0..).flat_map(|round| licences.iter().map(move |id| (round, id))).take(share)
        {
            let change = if round % 2 == 0 { StatusChange::Suspend } else { StatusChange::Restore };
            let order = StatusOrder {
                identifier: identifier.clone(),
                change,
                reason: "load test".to_owned(),
                // Each round is later than the one before.
                ordered_at: now.saturating_add(SignedDuration::from_micros(round)).unwrap_or(now),
            };
            let order = order.to_bytes();
            let signature = sign_detached(&identity, &order, now)?;
            let body = json!({ "order": STANDARD.encode(&order), "signature": STANDARD.encode(&signature) });
            calls.push(Call::post(format!("/v1/licences/{identifier}/status"), body.to_string()));
        }
        if !calls.is_empty() {
            departments.push(Department { target: hub::target(folder, at, department)?, calls });
        }
    }
    Ok(departments)
}

async fn state(connection: &mut Connection) -> Result<State, Error> {
    #[derive(Deserialize)]
    struct Connectors {
        connectors: Vec<State>,
    }
    let answer = connection.send(&Call::get("/v1/connectors")).await?;
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
