//! `loadtest drive`: pulls at a fixed rate.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    client::{Call, Target},
    error::Error,
    load::{Calls, Schedule, open_loop},
    measure::{Latency, own_cpu_time},
    pulls::PullLine,
};

/// Arguments of `loadtest drive`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Address of the hub, such as <https://localhost:8443>.
    #[arg(long)]
    url: String,
    /// Client certificate of a department, PEM.
    #[arg(long)]
    identity: PathBuf,
    /// Its key, PEM.
    #[arg(long)]
    key: PathBuf,
    /// Anchor of the hub's certificate, PEM.
    #[arg(long)]
    ca: PathBuf,
    /// Whom to pull: a list as `loadtest generate` writes it (pulls.tsv). Lines of other departments
    /// than that of the certificate are left out.
    #[arg(long)]
    holders: PathBuf,
    /// Pulls a second.
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// Seconds.
    #[arg(long, default_value_t = 30.0)]
    duration: f64,
    /// Seconds at the same rate before, not counted.
    #[arg(long, default_value_t = 3.0)]
    warm_up: f64,
    /// Connections; each carries one pull at a time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Pulls that may wait for a connection; beyond that one that is due is an error.
    #[arg(long, default_value_t = 1_000)]
    waiting: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    rate_wanted: f64,
    rate: f64,
    due: u64,
    succeeded: u64,
    errors: &'a std::collections::BTreeMap<String, u64>,
    latency_ms: Latency,
    /// Cores that the driver itself kept busy: near 1 it measures itself.
    driver_cores: f64,
}

/// Drives, and prints what came of it.
///
/// # Errors
/// `Measured` if any pull failed.
pub async fn run(arguments: &Arguments) -> Result<(), Error> {
    let positive = |value: f64| value.is_finite() && value > 0.0;
    if !positive(arguments.rate) || !positive(arguments.duration) || arguments.warm_up < 0.0 {
        return Err(Error::Argument("--rate and --duration are above 0".to_owned()));
    }
    let Arguments { url, identity, key, ca, .. } = arguments;
    let target = Target::new(url, identity, key, ca)?;
    let calls = pull_calls(&arguments.holders, &target)?;
    let schedule = |seconds| Schedule {
        rate: arguments.rate,
        duration: Duration::from_secs_f64(seconds),
        connections: arguments.connections,
        waiting: arguments.waiting,
    };
    if arguments.warm_up > 0.0 {
        open_loop(&target, calls.clone(), schedule(arguments.warm_up)).await?;
    }
    let cpu_before = own_cpu_time();
    let driven = open_loop(&target, calls, schedule(arguments.duration)).await?;
    let tally = &driven.tally;
    let report = Report {
        rate_wanted: arguments.rate,
        rate: tally.succeeded() as f64 / driven.elapsed.as_secs_f64(),
        due: driven.due,
        succeeded: tally.succeeded(),
        errors: tally.errors(),
        latency_ms: tally.latency(),
        driver_cores: (own_cpu_time() - cpu_before).as_secs_f64() / driven.elapsed.as_secs_f64(),
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&report).unwrap_or_default());
    } else {
        println!("pulls due        {:>10}  ({:.0}/s)", report.due, report.rate_wanted);
        println!("answered         {:>10}  ({:.1}/s)", report.succeeded, report.rate);
        println!("failed           {:>10}  {}", tally.failed(), tally.told());
        println!("latency in ms    {}", report.latency_ms.line());
        println!("driver           {:>10.2}  of a core", report.driver_cores);
    }
    tally.require_clean("the drive")
}

/// The pulls of a list that the target's department may make, over and over.
///
/// # Errors
/// `File`, `Content`, or `Argument` if the department has none.
pub fn pull_calls(list: &std::path::Path, target: &Target) -> Result<Calls, Error> {
    let bodies: Vec<_> = PullLine::read_all(list)?
        .into_iter()
        .filter(|line| line.department == target.department)
        .map(|line| line.request())
        .collect();
    if bodies.is_empty() {
        return Err(Error::Argument(format!(
            "{} has no pull of this certificate's department",
            list.display()
        )));
    }
    Ok(Arc::new(move |number| {
        let body = &bodies[usize::try_from(number).unwrap_or(0) % bodies.len()];
        Call::post("/v1/pulls", body.clone())
    }))
}
