//! `loadtest bench`: the hub beside its floors, in the same run and on the same machine.
//!
//! | part | ours | floor |
//! | --- | --- | --- |
//! | `pull` | `POST /v1/pulls`, closed loop | a bare handler doing the same reads ([`crate::floor::serve`]) |
//! | `issue` | `POST /v1/licences`, one signed licence each | ring's signature verification on all cores |
//! | `search` | `POST /v1/search`, parts of names | Tantivy called directly on the same index |
//! | `certs` | signatures, see [`crate::bench_certs`]; only when asked for | the bare primitives |
//! | `connectors` | a push into PostgreSQL, see [`crate::bench_connectors`]; only when asked for | a bare `COPY` |
//!
//! Ours and the floor take turns, several rounds each; the medians are reported.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use certs::{KeySigner, SigningIdentity, Suite, sign_detached};
use clap::ValueEnum;
use district::{Department, District, DistrictSize};
use jiff::Timestamp;
use licence::LicenceId;
use ring::rand::SystemRandom;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    bench_certs, bench_connectors,
    client::{Call, Target},
    drive::pull_calls,
    error::Error,
    floor::{SearchFloor, verification_rate},
    folder::{Authority, Folder},
    generate::generate,
    hub::{self, Hub, Import, bound_to_us, copy_folder, free_address},
    load::{Calls, Until, closed_loop},
    measure::median,
};

/// The seed of what is generated: the figures of two runs are of the same district.
const SEED: u64 = 20_240_601;

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Pulls.
    Pull,
    /// Single issues.
    Issue,
    /// Searches.
    Search,
    /// Signatures: no hub is started.
    Certs,
    /// A push into PostgreSQL, and its lag under load; only when asked for.
    Connectors,
}

/// Arguments of `loadtest bench`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only this part.
    part: Option<Part>,
    /// Licences in the hub.
    #[arg(long, default_value_t = 20_000)]
    licences: u64,
    /// Changes that `connectors` pushes.
    #[arg(long, default_value_t = 1_000_000)]
    changes: u64,
    /// Print JSON: an array of {name, ours, floor, peer, ratio, unit}.
    #[arg(long)]
    json: bool,
    /// The hub program; the one beside this program if left out.
    #[arg(long)]
    hub: Option<PathBuf>,
    /// Rounds of each, taken in turns; the medians are reported.
    #[arg(long, default_value_t = 9)]
    rounds: u32,
    /// Seconds of a round.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Connections that pull, issue or search at the same time. Fewer do not keep two cores busy:
    /// a pull then mostly waits for the disk, together with those that share its sync.
    #[arg(long, default_value_t = 128)]
    connections: usize,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub name: &'static str,
    ours: f64,
    floor: f64,
    /// Another system that does the same, measured in the same run.
    pub peer: Option<f64>,
    ratio: f64,
    unit: &'static str,
}

/// Measures, and prints the figures.
///
/// # Errors
/// Whatever failed, a single request included: a figure with failures in it is none.
pub async fn run(arguments: &Arguments) -> Result<(), Error> {
    let seconds = arguments.seconds;
    if arguments.rounds == 0 || !seconds.is_finite() || seconds <= 0.0 || arguments.licences < 100 {
        return Err(Error::Argument(
            "--rounds and --seconds are above 0, --licences is 100 or more".to_owned(),
        ));
    }
    if arguments.part == Some(Part::Certs) {
        progress("signatures, one thread");
        let figures = bench_certs::run(arguments.rounds, seconds.min(0.5))?;
        report(&figures, arguments.json);
        return Ok(());
    }
    if arguments.part == Some(Part::Connectors) {
        let hub = arguments.hub.as_deref();
        return bench_connectors::run(arguments.changes, hub, arguments.json).await;
    }
    let temporary = tempfile::Builder::new().prefix("yihao-bench-").tempdir();
    let temporary = temporary.map_err(Error::file(Path::new("a temporary folder")))?;
    let bench = Bench::set_up(arguments, temporary.path()).await?;
    let wanted = |part| arguments.part.is_none_or(|only| only == part);
    let mut figures = Vec::new();
    // Issuing last: it changes what the others read.
    if wanted(Part::Pull) {
        figures.push(bench.pull().await?);
    }
    if wanted(Part::Search) {
        figures.push(bench.search().await?);
    }
    if wanted(Part::Issue) {
        figures.push(bench.issue().await?);
    }
    bench.hub.stop()?;
    report(&figures, arguments.json);
    Ok(())
}

fn report(figures: &[Figure], json: bool) {
    if json {
        println!("{}", serde_json::to_string_pretty(figures).unwrap_or_default());
    } else {
        print_table(figures);
    }
}

fn print_table(figures: &[Figure]) {
    println!("{:<8} {:>12} {:>12} {:>12} {:>8}  unit", "name", "ours", "floor", "peer", "ratio");
    for figure in figures {
        let peer = figure.peer.map_or_else(|| "–".to_owned(), |peer| format!("{peer:.0}"));
        println!(
            "{:<8} {:>12.0} {:>12.0} {:>12} {:>8.3}  {}",
            figure.name, figure.ours, figure.floor, peer, figure.ratio, figure.unit
        );
    }
}

/// A hub with a district in it.
struct Bench<'a> {
    arguments: &'a Arguments,
    district: District,
    folder: Folder,
    authority: Authority,
    hub: Hub,
    at: SocketAddr,
    /// The hub's folders as they were when it was stopped after the import.
    copy: PathBuf,
}

impl<'a> Bench<'a> {
    /// Generates, imports, waits until everything can be found, and starts the hub anew beside a
    /// copy of its folders.
    async fn set_up(arguments: &'a Arguments, root: &Path) -> Result<Self, Error> {
        let program = match &arguments.hub {
            Some(program) => program.clone(),
            None => hub::beside()?,
        };
        let district = District::new(SEED, DistrictSize::for_licences(arguments.licences));
        progress(&format!("generating {} licences", district.licence_count()));
        let folder = generate(root, SEED, &district, 10_000)?;
        let authority = Authority::new(SEED)?;
        let at = free_address()?;
        folder.write_settings(at, "")?;
        let hub = Hub::start(&program, &folder)?;
        for department in district::issuing_departments() {
            progress(&format!("importing the licences of {}", department.name_en));
            let imported = Import::start(&program, &folder, &department, at)?.finish()?;
            if !imported.success {
                return Err(Error::Program {
                    program: "hub import".to_owned(),
                    said: format!("{} refused, {} missing", imported.refused, imported.missing),
                });
            }
        }
        let clerk = &district::consuming_departments()[0];
        hub::wait_for_search(&hub::target(&folder, at, clerk)?).await?;
        hub.stop()?;
        let copy = root.join("copy");
        copy_folder(&folder.data().join("store"), &copy.join("store"))?;
        copy_folder(&folder.data().join("search"), &copy.join("search"))?;
        let hub = Hub::start(&program, &folder)?;
        Ok(Self { arguments, district, folder, authority, hub, at, copy })
    }

    fn round(&self) -> Duration {
        Duration::from_secs_f64(self.arguments.seconds)
    }

    async fn pull(&self) -> Result<Figure, Error> {
        progress("pulling");
        let connections = self.arguments.connections;
        let clerk = &district::consuming_departments()[0];
        let ours = hub::target(&self.folder, self.at, clerk)?;
        let calls = pull_calls(&self.folder.pulls(), &ours)?;
        let floor_at = free_address()?;
        let _floor = Floor::start(&self.folder, &self.copy.join("store"), floor_at)?;
        let floor = hub::target(&self.folder, floor_at, clerk)?;
        require_same_licences(&ours, &floor, &calls).await?;
        let warm_up = Until::Elapsed(self.round().min(Duration::from_secs(2)));
        closed_loop(&ours, calls.clone(), connections, 0, warm_up).await?;
        closed_loop(&floor, calls.clone(), connections, 0, warm_up).await?;
        let (mut of_ours, mut of_floor) = (Vec::new(), Vec::new());
        for _ in 0..self.arguments.rounds {
            let until = Until::Elapsed(self.round());
            let round = closed_loop(&ours, calls.clone(), connections, 0, until).await?;
            round.tally.require_clean("pulling")?;
            of_ours.push(round.rate());
            let round = closed_loop(&floor, calls.clone(), connections, 0, until).await?;
            round.tally.require_clean("pulling at the floor")?;
            of_floor.push(round.rate());
        }
        Ok(figure("pull", of_ours, of_floor, "pulls/s"))
    }

    async fn search(&self) -> Result<Figure, Error> {
        progress("searching");
        let texts = self.texts();
        let clerk = &district::consuming_departments()[0];
        let ours = hub::target(&self.folder, self.at, clerk)?;
        let floor = SearchFloor::open(&self.copy.join("search"))?;
        for text in texts.iter().take(20) {
            if floor.count(text)? == 0 {
                let said = "a name that is in the index is not found directly".to_owned();
                return Err(Error::Program { program: "tantivy".to_owned(), said });
            }
        }
        let bodies: Vec<_> = texts.iter().map(|text| json!({ "q": text }).to_string()).collect();
        let calls: Calls = Arc::new(move |number| {
            Call::post("/v1/search", bodies[number as usize % bodies.len()].clone())
        });
        let connections = self.arguments.connections;
        let warm_up = Until::Elapsed(self.round().min(Duration::from_secs(1)));
        closed_loop(&ours, calls.clone(), connections, 0, warm_up).await?;
        let (mut of_ours, mut of_floor) = (Vec::new(), Vec::new());
        for _ in 0..self.arguments.rounds {
            let until = Until::Elapsed(self.round());
            let round = closed_loop(&ours, calls.clone(), connections, 0, until).await?;
            round.tally.require_clean("searching")?;
            of_ours.push(round.rate());
            of_floor.push(floor.rate(&texts, self.round())?);
        }
        Ok(figure("search", of_ours, of_floor, "searches/s"))
    }

    /// Parts of 2 to 6 characters of enterprises' names.
    fn texts(&self) -> Vec<String> {
        let enterprises = self.district.size().enterprises.min(1_000);
        (0..enterprises)
            .map(|index| {
                let name: Vec<char> = self.district.enterprise(index).name.chars().collect();
                let length = 2 + index as usize % 5;
                let first = (index as usize * 7) % (name.len() - length + 1);
                name[first..first + length].iter().collect()
            })
            .collect()
    }

    async fn issue(&self) -> Result<Figure, Error> {
        progress("issuing");
        let regulator = &district::issuing_departments()[0];
        let target = hub::target(&self.folder, self.at, regulator)?;
        let signer = KeySigner::generate(Suite::EcdsaP256Sha256, &SystemRandom::new())?;
        let identity = self.authority.issuer_with_key(regulator, signer)?;
        let connections = self.arguments.connections;
        let mut issued = 0;
        // A short round tells how many licences a round of the wanted length takes.
        let trial = 200;
        let calls = self.licences_to_issue(regulator, &identity, &mut issued, trial)?;
        let round = closed_loop(&target, calls, connections, 0, Until::Sent(trial)).await?;
        round.tally.require_clean("issuing")?;
        let count = (round.rate() * self.arguments.seconds).clamp(200.0, 50_000.0) as u64;
        let message = self.district.licence(0).to_bytes();
        let (mut of_ours, mut of_floor) = (Vec::new(), Vec::new());
        for _ in 0..self.arguments.rounds {
            let calls = self.licences_to_issue(regulator, &identity, &mut issued, count)?;
            let round = closed_loop(&target, calls, connections, 0, Until::Sent(count)).await?;
            round.tally.require_clean("issuing")?;
            of_ours.push(round.rate());
            of_floor.push(verification_rate(&message, self.round())?);
        }
        Ok(figure("issue", of_ours, of_floor, "licences/s"))
    }

    /// New business licences, each signed by itself.
    fn licences_to_issue(
        &self,
        regulator: &Department,
        identity: &SigningIdentity,
        issued: &mut u64,
        count: u64,
    ) -> Result<Calls, Error> {
        let template = (0..self.district.licence_count())
            .map(|index| self.district.licence(index))
            .find(|licence| licence.licence_type.as_str() == crate::enterprises::BUSINESS_LICENCE);
        let mut licence = template.ok_or_else(|| {
            Error::Argument("--licences is too small to hold a business licence".to_owned())
        })?;
        let enterprises = self.district.size().enterprises.max(1);
        let mut bodies = Vec::new();
        for _ in 0..count {
            let enterprise = self.district.enterprise(*issued % enterprises);
            // The serials of the district are 14 digits, so these are new.
            let serial = format!("BENCH{issued:010}");
            let (of, by) = (&licence.licence_type, &licence.issuer);
            licence.identifier = LicenceId::build(of, by, &serial, 1)
                .map_err(|error| Error::Argument(error.to_string()))?;
            licence.holders[0].name = enterprise.name.clone();
            licence.holders[0].id = enterprise.id.clone();
            licence.number = enterprise.code().to_owned();
            let document = licence.to_bytes();
            let signature = sign_detached(identity, &document, Timestamp::now())?;
            let body = json!({
                "licence": STANDARD.encode(&document),
                "signature": STANDARD.encode(&signature),
            });
            bodies.push(bytes::Bytes::from(body.to_string()));
            *issued += 1;
        }
        debug_assert_eq!(licence.issuer.credit_code(), &regulator.code);
        Ok(Arc::new(move |number| {
            Call::post("/v1/licences", bodies[number as usize % bodies.len()].clone())
        }))
    }
}

/// A figure of several rounds: the medians.
pub fn figure(name: &'static str, ours: Vec<f64>, floor: Vec<f64>, unit: &'static str) -> Figure {
    let (ours, floor) = (median(ours), median(floor));
    Figure { name, ours, floor, peer: None, ratio: ours / floor, unit }
}

/// Progress goes to standard error: standard output is the report.
fn progress(what: &str) {
    eprintln!("bench: {what}");
}

/// A running `loadtest floor`. Killed when dropped.
struct Floor(Child);

impl Floor {
    fn start(folder: &Folder, store: &Path, at: SocketAddr) -> Result<Self, Error> {
        let own = std::env::current_exe().map_err(Error::file(Path::new("loadtest")))?;
        let child = bound_to_us(&own, "KILL")
            .arg("floor")
            .arg("--folder")
            .arg(folder.root())
            .arg("--store")
            .arg(store)
            .arg("--listen")
            .arg(at.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::file(&own))?;
        let mut floor = Self(child);
        let output = floor.0.stdout.take();
        let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
        match lines.map_while(Result::ok).find(|line| line == "ready") {
            Some(_) => Ok(floor),
            None => Err(Error::Program {
                program: "loadtest floor".to_owned(),
                said: "ended before it was ready".to_owned(),
            }),
        }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A comparison with a floor that reads something else would be worth nothing.
async fn require_same_licences(ours: &Target, floor: &Target, calls: &Calls) -> Result<(), Error> {
    let mut shown = 0;
    for number in 0..50 {
        let call = calls(number);
        let answer: Value = ours.once(&call).await?.json("POST /v1/pulls")?;
        let licences = answer["licences"].as_array().cloned().unwrap_or_default();
        let raw = floor.once(&call).await?;
        for licence in &licences {
            let identifier = licence["identifier"].as_str().unwrap_or("?").as_bytes();
            if !raw.body.windows(identifier.len()).any(|window| window == identifier) {
                return Err(Error::Program {
                    program: "loadtest floor".to_owned(),
                    said: "the floor does not read the licences that the hub shows".to_owned(),
                });
            }
        }
        shown += licences.len();
    }
    if shown == 0 {
        let said = "50 pulls found no licence".to_owned();
        return Err(Error::Program { program: "hub".to_owned(), said });
    }
    Ok(())
}
