//! `loadtest prove`: a register of real rows goes through a hub that is killed again and again, and
//! everything the hub acknowledged must be there afterwards, once and in order.
//!
//! 1. The rows are packed as signed batches; `hub import` hands them in while the hub is killed.
//! 2. Random credit codes are pulled: each gives exactly its licence, trusted.
//! 3. Names, and parts of names, are searched for.
//! 4. Records flow to a PostgreSQL exchange database while the hub is killed, licences are
//!    suspended, restored and revoked, and more pulls go on.
//! 5. Counts are compared by the hub's reconcile and by SQL; the log is read again from its start
//!    and compared with what a follower saw while the hub was killed; `hub doctor` looks at the store.

mod follow;
mod names;
mod orders;
mod province;
mod pulls;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use district::Department;
use licence::MatterCode;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    client::{Call, Target},
    enterprises::{BUSINESS_LICENCE, Enterprise, Packed, pack},
    error::Error,
    folder::{Authority, Folder},
    hub::{self, Hub, Import, folder_bytes, free_address},
    postgres::Postgres,
    prove::follow::Follower,
};

/// The connector's name.
const PROVINCE: &str = "province";
/// How long anything may make no progress.
const PATIENCE: Duration = Duration::from_secs(120);

/// Arguments of `loadtest prove`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The register: a .tsv or .tsv.zst file with the columns name, uscc, reg_date, type, scope.
    #[arg(long)]
    enterprises: PathBuf,
    /// The hub program; the one beside this program if left out.
    #[arg(long)]
    hub: Option<PathBuf>,
    /// Only so many rows.
    #[arg(long)]
    rows: Option<usize>,
    /// How often the hub is killed in each of import and pushes.
    #[arg(long, default_value_t = 4)]
    kills: u32,
    /// Random credit codes to pull, and as many again while the hub is killed.
    #[arg(long, default_value_t = 10_000)]
    pulls: usize,
    /// Names to search for.
    #[arg(long, default_value_t = 1_000)]
    names: usize,
    /// What is chosen at random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Work in this folder and leave it there; a temporary one if left out.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Proves, and prints what was found.
///
/// # Errors
/// `Broken` with the number of broken promises; others if the proof could not be made.
pub async fn run(arguments: &Arguments) -> Result<(), Error> {
    let temporary = tempfile::Builder::new().prefix("yihao-prove-").tempdir();
    let temporary = temporary.map_err(Error::file(Path::new("a temporary folder")))?;
    let root = arguments.keep.as_deref().unwrap_or(temporary.path());
    let mut findings = Findings::new();
    prove(arguments, root, &mut findings).await?;
    findings.verdict()
}

async fn prove(arguments: &Arguments, root: &Path, findings: &mut Findings) -> Result<(), Error> {
    let folder = root.join("hub");
    let packed = pack(&arguments.enterprises, &folder, arguments.seed, arguments.rows, 10_000)?;
    findings.tell(&packed.told());
    if packed.enterprises.len() < 1_000 {
        return Err(Error::Argument("a proof needs at least 1000 rows".to_owned()));
    }
    let postgres = Postgres::start(&root.join("postgres"))?;
    let mut stage = Stage::set(arguments, packed, &postgres)?;
    let follower = Follower::start(stage.target(&stage.clerk)?);

    import(&mut stage, findings).await?;
    pulls::check_quietly(&mut stage, arguments.pulls, findings).await?;
    names::check(&mut stage, arguments.names, findings).await?;
    province::push_under_fire(&mut stage, arguments.pulls, &postgres, findings).await?;
    province::compare(&mut stage, &postgres, findings).await?;
    follow::compare(&mut stage, follower, findings).await?;
    put_away(stage, findings)?;
    Ok(())
}

/// What was found out.
struct Findings {
    start: Instant,
    broken: usize,
}

impl Findings {
    fn new() -> Self {
        Self { start: Instant::now(), broken: 0 }
    }

    /// One line, with the seconds since the start.
    fn tell(&self, what: &str) {
        println!("prove {:>6.1} s  {what}", self.start.elapsed().as_secs_f64());
    }

    /// A promise; told when it is broken.
    fn require(&mut self, holds: bool, promise: &str) {
        if !holds {
            self.broken += 1;
            self.tell(&format!("BROKEN: {promise}"));
        }
    }

    fn verdict(&self) -> Result<(), Error> {
        match self.broken {
            0 => {
                self.tell("every promise held");
                Ok(())
            }
            broken => Err(Error::Broken(broken)),
        }
    }
}

/// The hub under test with all that is known about it.
struct Stage {
    program: PathBuf,
    folder: Folder,
    authority: Authority,
    at: SocketAddr,
    hub: Option<Hub>,
    enterprises: Arc<Vec<Enterprise>>,
    /// Hands in licences and orders.
    regulator: Department,
    /// Follows changes and operates connectors.
    clerk: Department,
    /// What the clerk pulls business licences for.
    matter: MatterCode,
    random: ChaCha8Rng,
    kills_wanted: u32,
    kills: u32,
    peak_memory: u64,
    /// Between a kill and the moment the next hub was ready, in all.
    down: Duration,
    /// Status orders that were acknowledged.
    orders: u64,
}

impl Stage {
    fn set(arguments: &Arguments, packed: Packed, postgres: &Postgres) -> Result<Self, Error> {
        let program = match &arguments.hub {
            Some(program) => program.clone(),
            None => hub::beside()?,
        };
        let clerk = district::consuming_departments().swap_remove(0);
        let business_licence = BUSINESS_LICENCE.parse().expect("a constant");
        let matter = district::matter_for(&clerk.code, &business_licence)
            .expect("the clerk has a matter with business licences");
        let at = free_address()?;
        packed.folder.write_settings(at, &postgres.connector(PROVINCE))?;
        let hub = Hub::start(&program, &packed.folder)?;
        Ok(Self {
            program,
            folder: packed.folder,
            authority: Authority::new(arguments.seed)?,
            at,
            hub: Some(hub),
            enterprises: Arc::new(packed.enterprises),
            regulator: district::issuing_departments().swap_remove(0),
            clerk,
            matter,
            random: ChaCha8Rng::seed_from_u64(arguments.seed),
            kills_wanted: arguments.kills,
            kills: 0,
            peak_memory: 0,
            down: Duration::ZERO,
            orders: 0,
        })
    }

    fn target(&self, department: &Department) -> Result<Target, Error> {
        hub::target(&self.folder, self.at, department)
    }

    /// A number below `bound`.
    fn any(&mut self, bound: usize) -> usize {
        ((u128::from(self.random.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Kills the hub and starts it again.
    fn kill_and_restart(&mut self) -> Result<(), Error> {
        let killed = Instant::now();
        if let Some(hub) = self.hub.take() {
            self.peak_memory = self.peak_memory.max(hub.peak_memory());
            hub.kill();
        }
        self.hub = Some(Hub::start(&self.program, &self.folder)?);
        self.kills += 1;
        self.down += killed.elapsed();
        Ok(())
    }

    /// `kills_wanted` points below `size`, one at random in each equal part.
    fn kill_points(&mut self, size: u64) -> Vec<u64> {
        let parts = u64::from(self.kills_wanted);
        let part = size / (parts + 1);
        let points = (0..parts).map(|number| {
            // Not in the last part: something has to be left to do.
            number * part + 1 + self.any(usize::try_from(part).unwrap_or(1).max(1)) as u64
        });
        points.collect()
    }

    async fn connector(&self) -> Result<Connector, Error> {
        #[derive(Deserialize)]
        struct Connectors {
            connectors: Vec<Connector>,
        }
        let call = Call::get("/v1/connectors");
        let answer = self.target(&self.clerk)?.once(&call).await?;
        let mut all: Connectors = answer.json("GET /v1/connectors")?;
        if all.connectors.len() != 1 {
            return Err(Error::Program {
                program: "hub".to_owned(),
                said: format!("{} connectors are running, not 1", all.connectors.len()),
            });
        }
        Ok(all.connectors.swap_remove(0))
    }

    /// How many entries the registry log has.
    async fn entries(&self) -> Result<u64, Error> {
        let answer = self.target(&self.clerk)?.once(&Call::get("/metrics")).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let line = text.lines().find_map(|line| line.strip_prefix("yihao_registry_entries "));
        line.and_then(|number| number.trim().parse().ok()).ok_or_else(|| Error::Answer {
            call: "GET /metrics".to_owned(),
            status: answer.status,
            code: " without yihao_registry_entries".to_owned(),
        })
    }

    async fn operate(&self, word: &str) -> Result<serde_json::Value, Error> {
        let path = format!("/v1/connectors/{PROVINCE}/{word}");
        let why = r#"{"why":"the proof"}"#;
        let answer = self.target(&self.clerk)?.once(&Call::post(path, why)).await?;
        answer.json(&format!("POST /v1/connectors/{PROVINCE}/{word}"))
    }
}

/// A connector's state, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Connector {
    paused: bool,
    set_aside: u64,
}

/// Hands in everything, with kills on the way.
async fn import(stage: &mut Stage, findings: &mut Findings) -> Result<(), Error> {
    let rows = stage.enterprises.len() as u64;
    let points = stage.kill_points(rows);
    let down_before = stage.down;
    let start = Instant::now();
    let mut import = Import::start(&stage.program, &stage.folder, &stage.regulator, stage.at)?;
    let mut killed = 0;
    for (number, point) in points.into_iter().enumerate() {
        let mut progress = Progress::new("the import");
        let head = loop {
            let head = stage.entries().await?;
            if head >= point || import.has_ended() {
                break head;
            }
            progress.at(head)?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        if import.has_ended() {
            break;
        }
        // From the middle on the records wait: whether a pause survives a kill is seen with it.
        let pauses = number as u32 == stage.kills_wanted / 2;
        if pauses {
            stage.operate("pause").await?;
        }
        stage.kill_and_restart()?;
        killed += 1;
        let after = stage.entries().await?;
        findings.require(
            after >= head,
            &format!("after a kill there are {after} entries, {head} were visible before"),
        );
        let is_paused = stage.connector().await?.paused;
        findings.require(!pauses || is_paused, "a paused connector is paused after a kill");
    }
    let imported = import.finish()?;
    let elapsed = start.elapsed();
    let down = stage.down - down_before;
    findings.require(imported.success, "the import ends with exit code 0");
    findings.require(
        imported.refused == 0 && imported.missing == 0,
        &format!(
            "all rows are taken in: {} refused, {} missing",
            imported.refused, imported.missing
        ),
    );
    findings.require(
        killed == stage.kills_wanted,
        &format!("{killed} of {} kills fell into the import", stage.kills_wanted),
    );
    let head = stage.entries().await?;
    findings.require(head == rows, &format!("{rows} licences make as many entries, not {head}"));
    findings.tell(&format!(
        "imported {rows} licences with {killed} kills in {:.1} s, of which the hub was away {:.1} s: \
         {:.0} licences/s while it was there; {} were sent again",
        elapsed.as_secs_f64(),
        down.as_secs_f64(),
        rows as f64 / (elapsed - down).as_secs_f64(),
        imported.already_held,
    ));
    if !stage.connector().await?.paused {
        stage.operate("pause").await?;
    }
    let waiting = Instant::now();
    hub::wait_for_search(&stage.target(&stage.clerk)?).await?;
    findings.tell(&format!(
        "the search had caught up {:.1} s after the import",
        waiting.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Stops the hub, weighs its folders and has `hub doctor` look at them.
fn put_away(mut stage: Stage, findings: &mut Findings) -> Result<(), Error> {
    if let Some(hub) = stage.hub.take() {
        stage.peak_memory = stage.peak_memory.max(hub.peak_memory());
        hub.stop()?;
    }
    let rows = stage.enterprises.len() as u64;
    let store = folder_bytes(&stage.folder.data().join("store"));
    let search = folder_bytes(&stage.folder.data().join("search"));
    findings.tell(&format!(
        "peak memory {} MiB; disk per licence: store {} bytes, search {} bytes",
        stage.peak_memory >> 20,
        store / rows,
        search / rows
    ));
    findings.tell(&format!(
        "the hub was killed {} times; away {:.1} s in all",
        stage.kills,
        stage.down.as_secs_f64()
    ));
    let doctor = Command::new(&stage.program)
        .arg("doctor")
        .arg("--config")
        .arg(stage.folder.settings())
        .stdin(Stdio::null())
        .output()
        .map_err(Error::file(&stage.program))?;
    let said = String::from_utf8_lossy(&doctor.stdout);
    for line in said.lines().filter(|line| line.contains("store") || line.starts_with("BAD")) {
        findings.tell(&format!("doctor: {line}"));
    }
    findings.require(doctor.status.success(), "`hub doctor` finds nothing wrong");
    Ok(())
}

/// Gives up when a number has not grown for too long.
struct Progress {
    what: &'static str,
    at: u64,
    since: Instant,
}

impl Progress {
    fn new(what: &'static str) -> Self {
        Self { what, at: 0, since: Instant::now() }
    }

    fn at(&mut self, at: u64) -> Result<(), Error> {
        if at > self.at {
            (self.at, self.since) = (at, Instant::now());
        }
        if self.since.elapsed() > PATIENCE {
            return Err(Error::Patience(format!("{} to go on beyond {}", self.what, self.at)));
        }
        Ok(())
    }
}

/// A pull of an enterprise's business licence.
fn pull_of(stage: &Stage, enterprise: &Enterprise) -> Call {
    let body = json!({
        "holder": { "kind": "001", "number": enterprise.code },
        "types": [BUSINESS_LICENCE],
        "matter": stage.matter,
        "basis": { "kind": "duty", "reference": district::mandate_for(&stage.matter) },
        "reason": "load test",
    });
    Call::post("/v1/pulls", body.to_string())
}
