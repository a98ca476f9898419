//! `loadtest exchange`: two hubs hand over to each other what they take in, while either is killed again and again; in the
//! end both hold the same, each licence once, with the same status.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use certs::sign_detached;
use district::{Department, District, DistrictSize};
use jiff::Timestamp;
use licence::{Licence, StatusChange, StatusOrder};
use serde::Deserialize;
use serde_json::json;

use crate::{
    client::{Call, Target},
    error::Error,
    folder::{Authority, BatchWriter, Folder},
    hub::{self, Hub, Import, free_address},
};

/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of so many changes, one is an order.
const ORDERS: u64 = 10;

/// Arguments of `loadtest exchange`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Licences and orders of both hubs together.
    #[arg(long, default_value_t = 100_000)]
    changes: u64,
    /// How often each hub is killed.
    #[arg(long, default_value_t = 10)]
    kills: u64,
    /// The hub program; the one beside this program if left out.
    #[arg(long)]
    hub: Option<PathBuf>,
    /// The same seed gives the same licences.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// One of the two.
struct Side {
    folder: Folder,
    at: SocketAddr,
    hub: Option<Hub>,
    clerk: Target,
    orders: Vec<(Department, Call)>,
    expected: u64,
}

/// Proves, and prints what was found.
///
/// # Errors
/// `Broken` if the end states differ; others if the proof could not be made.
pub async fn run(arguments: &Arguments) -> Result<(), Error> {
    let root = tempfile::Builder::new().prefix("yihao-exchange-").tempdir();
    let root = root.map_err(Error::file(Path::new("a temporary folder")))?;
    let program = arguments.hub.clone().map_or_else(hub::beside, Ok)?;
    let start = Instant::now();
    let tell = |what: &str| println!("exchange {:>6.1} s  {what}", start.elapsed().as_secs_f64());
    let mut sides = set_up(arguments, root.path())?;
    let total: u64 = sides.iter().map(|side| side.expected).sum();
    tell(&format!("{total} changes signed: {} and {}", sides[0].expected, sides[1].expected));
    for side in &mut sides {
        side.hub = Some(Hub::start(&program, &side.folder)?);
    }
    let begun = Instant::now();
    let mut imports = Vec::new();
    for side in &sides {
        for department in district::issuing_departments() {
            if side.folder.import(&department).join("0001.manifest").is_file() {
                imports.push(Import::start(&program, &side.folder, &department, side.at)?);
            }
        }
    }
    let mut orders = tokio::task::JoinSet::new();
    let mut imports = Some(imports);
    let mut progress = (0, Instant::now());
    let mut kills = [0_u64; 2];
    let mut down = Duration::ZERO;
    loop {
        if imports.as_mut().is_some_and(|all| all.iter_mut().all(Import::has_ended)) {
            for import in imports.take().into_iter().flatten() {
                let imported = import.finish()?;
                if !imported.success {
                    return Err(Error::Argument(format!("an import failed: {imported:?}")));
                }
            }
            for side in &mut sides {
                let calls = std::mem::take(&mut side.orders);
                orders.spawn(give(side.folder.clone(), side.at, calls));
            }
        }
        let mut heads = [0; 2];
        for (head, side) in heads.iter_mut().zip(&sides) {
            *head = state(&side.clerk).await.map_or(0, |state| state.head);
        }
        let held: u64 = heads.iter().sum();
        if held > progress.0 {
            progress = (held, Instant::now());
        }
        if progress.1.elapsed() > PATIENCE {
            return Err(Error::Patience(format!("both hubs to go on beyond {heads:?} of {total}")));
        }
        let due = kills[0] + kills[1];
        // By halves, so that the last kills fall into the exchange too.
        if due < 2 * arguments.kills && held > (due + 1) * 2 * total / (2 * arguments.kills + 2) {
            let victim = (due % 2) as usize;
            let away = Instant::now();
            if let Some(hub) = sides[victim].hub.take() {
                hub.kill();
            }
            sides[victim].hub = Some(Hub::start(&program, &sides[victim].folder)?);
            kills[victim] += 1;
            down += away.elapsed();
            continue;
        }
        if imports.is_none() && orders.is_empty() && heads == [total, total] {
            break;
        }
        while let Some(done) = orders.try_join_next() {
            done.map_err(|error| Error::Patience(error.to_string()))??;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let elapsed = begun.elapsed();
    tell(&format!(
        "both hold {total} changes; killed {} and {} times, away {:.1} s; {:.0} changes/s into both",
        kills[0],
        kills[1],
        down.as_secs_f64(),
        total as f64 / elapsed.as_secs_f64()
    ));
    let mut broken = usize::from(kills != [arguments.kills; 2]);
    let mut ends = Vec::new();
    for side in &sides {
        at_rest(&side.clerk).await?;
        ends.push(read(side).await?);
    }
    let differ = ends[0].iter().filter(|(key, held)| ends[1].get(*key) != Some(*held)).count()
        + ends[1].keys().filter(|key| !ends[0].contains_key(*key)).count();
    tell(&format!(
        "read again from both feeds: {} and {} licences, {differ} differ in digest or status",
        ends[0].len(),
        ends[1].len()
    ));
    broken += usize::from(differ > 0 || ends[0].len() as u64 != total - total / ORDERS);
    for side in &sides {
        let call = Call::post("/v1/connectors/neighbour/reconcile", r#"{"why":"load test"}"#);
        let answer = side.clerk.once(&call).await?;
        let compared: serde_json::Value = answer.json("POST /v1/connectors/{name}/reconcile")?;
        let agrees = compared["agrees"] == json!(true);
        tell(&format!("reconcile at {}: agrees {agrees}", side.at));
        broken += usize::from(!agrees);
    }
    for side in &mut sides {
        if let Some(hub) = side.hub.take() {
            tell(&format!("peak memory since the last start: {} MiB", hub.peak_memory() >> 20));
            hub.stop()?;
        }
    }
    if broken > 0 { Err(Error::Broken(broken)) } else { Ok(()) }
}

/// Two folders under one authority, each with its half of a district, and what is ordered later.
fn set_up(arguments: &Arguments, root: &Path) -> Result<Vec<Side>, Error> {
    let orders = arguments.changes / ORDERS;
    let licences = arguments.changes - orders;
    let district = District::new(arguments.seed, DistrictSize::for_licences(licences));
    let at = [free_address()?, free_address()?];
    let office = district::consuming_departments()
        .into_iter()
        .find(|one| one.slug == "government-services")
        .ok_or_else(|| Error::Argument("the district has no office".to_owned()))?;
    let mut sides = Vec::new();
    for (number, name) in ["first", "second"].into_iter().enumerate() {
        let (folder, authority) = Folder::set_up(&root.join(name), arguments.seed)?;
        let other = at[1 - number].port();
        let connector = format!(
            "\n[[connectors]]\nname = \"neighbour\"\nkind = \"push\"\nsource = \"https://{name}.example\"\n\
             url = \"https://localhost:{other}/v1/exchange/events\"\nca = \"credentials/ca.pem\"\n\
             certificate = \"credentials/clients/{slug}.pem\"\nkey = \"credentials/clients/{slug}.key\"\n\
             poll_ms = 50\nbackoff_min_ms = 50\nbackoff_max_ms = 500\n",
            slug = office.slug
        );
        folder.write_settings(at[number], &connector)?;
        let issuers = district::issuing_departments()
            .into_iter()
            .map(|department| Ok((authority.issuer(&department)?, department)))
            .collect::<Result<Vec<_>, Error>>()?;
        let mut writers: Vec<Option<BatchWriter<'_>>> = issuers.iter().map(|_| None).collect();
        let mut calls = Vec::new();
        let mut own = 0;
        for (index, licence) in district.licences().take(licences as usize).enumerate() {
            if index % 2 != number {
                continue;
            }
            own += 1;
            let of = issuers
                .iter()
                .position(|(_, department)| department.code == *licence.issuer.credit_code())
                .ok_or_else(|| Error::Argument("a licence without an issuer".to_owned()))?;
            let (identity, department) = &issuers[of];
            let writer = match &mut writers[of] {
                Some(writer) => writer,
                none => none.insert(BatchWriter::new(
                    folder.import(department),
                    identity,
                    &department.code,
                    10_000,
                )?),
            };
            writer.push(&licence.to_bytes())?;
            if (index as u64) < 2 * (orders / 2) {
                calls.push((department.clone(), order(identity, &licence)?));
            }
        }
        for writer in writers.into_iter().flatten() {
            writer.finish()?;
        }
        let clerk = hub::target(&folder, at[number], &office)?;
        let expected = own + calls.len() as u64;
        sides.push(Side { folder, at: at[number], hub: None, clerk, orders: calls, expected });
        let _: Authority = authority;
    }
    Ok(sides)
}

fn order(identity: &certs::SigningIdentity, licence: &Licence) -> Result<Call, Error> {
    let now = Timestamp::now();
    let order = StatusOrder {
        identifier: licence.identifier.clone(),
        change: StatusChange::Suspend,
        reason: "load test".to_owned(),
        ordered_at: now,
    };
    let order = order.to_bytes();
    let signature = sign_detached(identity, &order, now)?;
    let body =
        json!({ "order": STANDARD.encode(&order), "signature": STANDARD.encode(&signature) });
    Ok(Call::post(format!("/v1/licences/{}/status", licence.identifier), body.to_string()))
}

/// Gives orders one after the other, each until it is acknowledged.
async fn give(folder: Folder, at: SocketAddr, calls: Vec<(Department, Call)>) -> Result<(), Error> {
    let mut targets = BTreeMap::new();
    for (department, call) in calls {
        let target = match targets.get(department.slug) {
            Some(target) => target,
            None => {
                targets.insert(department.slug, hub::target(&folder, at, &department)?);
                &targets[department.slug]
            }
        };
        let since = Instant::now();
        loop {
            match target.once(&call).await {
                Ok(answer) if (200..300).contains(&answer.status) => break,
                Ok(answer) if answer.status < 500 => {
                    answer.json::<serde_json::Value>("POST /v1/licences/{identifier}/status")?;
                }
                _ if since.elapsed() > PATIENCE => {
                    return Err(Error::Patience("an order to be taken".to_owned()));
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct State {
    cursor: u64,
    head: u64,
    set_aside: u64,
}

#[derive(Deserialize)]
struct Connectors {
    connectors: Vec<State>,
}

async fn state(clerk: &Target) -> Result<State, Error> {
    let answer = clerk.once(&Call::get("/v1/connectors")).await?;
    let mut read: Connectors = answer.json("GET /v1/connectors")?;
    read.connectors.pop().ok_or_else(|| Error::Patience("a connector to be there".to_owned()))
}

/// Waits until the hub has handed everything over; nothing may be set aside.
async fn at_rest(clerk: &Target) -> Result<(), Error> {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        let now = state(clerk).await?;
        if now.cursor == now.head {
            return if now.set_aside == 0 { Ok(()) } else { Err(Error::Broken(1)) };
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Error::Patience("a hub to hand everything over".to_owned()))
}

/// Identifier → digest and status, out of the feed as each issuing department may follow it.
async fn read(side: &Side) -> Result<BTreeMap<String, (String, String)>, Error> {
    #[derive(Deserialize)]
    struct Change {
        identifier: String,
        kind: String,
        #[serde(default)]
        digest: String,
        status: String,
    }
    #[derive(Deserialize)]
    struct Page {
        changes: Vec<Change>,
        next: Option<u64>,
    }
    let mut held = BTreeMap::new();
    for department in district::issuing_departments() {
        let target = hub::target(&side.folder, side.at, &department)?;
        let mut connection = target.connect().await?;
        let mut after = None;
        loop {
            let from = after.map(|after| format!("&after={after}")).unwrap_or_default();
            let answer =
                connection.send(&Call::get(format!("/v1/changes?limit=1000{from}"))).await?;
            let page: Page = answer.json("GET /v1/changes")?;
            let ended = page.next == after || page.next.is_none();
            for change in page.changes {
                if change.kind == "issued" {
                    held.insert(change.identifier, (change.digest, change.status));
                } else if let Some((_, status)) = held.get_mut(&change.identifier) {
                    *status = change.status;
                }
            }
            if ended {
                break;
            }
            after = page.next;
        }
    }
    Ok(held)
}
