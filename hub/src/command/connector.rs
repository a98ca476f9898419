//! `hub connector`: operates the connectors of a running hub, over its interface.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::{
    fail,
    import::{ImportError, client},
};

/// What `hub connector` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// The state of every connector.
    List(ListArguments),
    /// Exactly what would be sent for one change, without sending it.
    Preview(PreviewArguments),
    /// Stop sending until resumed; also across restarts.
    Pause(ActionArguments),
    /// Go on sending, at once.
    Resume(ActionArguments),
    /// Send everything again from a change or a day on.
    Replay(ReplayArguments),
    /// Compare both sides, and send again what differs; exit code 1 if they do not agree.
    Reconcile(ActionArguments),
    /// The records that the counterpart refused.
    SetAside(SetAsideArguments),
    /// Send what is set aside once more.
    Retry(RetryArguments),
}

/// Where the hub is, and who asks.
#[derive(Args)]
pub struct Hub {
    /// Address of the hub, such as <https://localhost:8443>.
    #[arg(long)]
    to: String,
    /// Client certificate of the department that operates, PEM.
    #[arg(long)]
    identity: PathBuf,
    /// Its key, PEM.
    #[arg(long)]
    key: PathBuf,
    /// Anchor of the hub's own certificate, PEM.
    #[arg(long)]
    ca: PathBuf,
}

/// Arguments of `hub connector list`.
#[derive(Args)]
pub struct ListArguments {
    #[command(flatten)]
    hub: Hub,
}

/// Arguments of `hub connector preview`.
#[derive(Args)]
pub struct PreviewArguments {
    /// The connector.
    name: String,
    /// Number of the change.
    seq: u64,
    /// Why, for the trace and the access log: what is shown is a licence.
    #[arg(long, default_value = "试看将要发送的内容 (hub connector preview)")]
    why: String,
    #[command(flatten)]
    hub: Hub,
}

/// Arguments of what is done to a connector or a source.
#[derive(Args)]
pub struct ActionArguments {
    /// The connector or the source.
    name: String,
    /// Why, for the trace.
    #[arg(long)]
    why: String,
    #[command(flatten)]
    hub: Hub,
}

/// Arguments of `hub connector replay`.
#[derive(Args)]
#[group(id = "start", required = true, multiple = false, args = ["from", "day"])]
pub struct ReplayArguments {
    /// Number of the first change to send again.
    #[arg(long)]
    from: Option<u64>,
    /// Day of the first change to send again, in Chinese time.
    #[arg(long)]
    day: Option<Date>,
    #[command(flatten)]
    action: ActionArguments,
}

/// Arguments of `hub connector set-aside`.
#[derive(Args)]
pub struct SetAsideArguments {
    /// The connector.
    name: String,
    /// Those that were taken since.
    #[arg(long)]
    settled: bool,
    #[command(flatten)]
    hub: Hub,
}

/// Arguments of `hub connector retry`.
#[derive(Args)]
#[group(id = "which", required = true, multiple = false, args = ["all", "seqs"])]
pub struct RetryArguments {
    /// Everything that is set aside.
    #[arg(long)]
    all: bool,
    /// Numbers of changes.
    #[arg(long = "seq")]
    seqs: Vec<u64>,
    #[command(flatten)]
    action: ActionArguments,
}

/// Why a connector could not be operated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// Certificate, key or anchor.
    #[error(transparent)]
    Identity(#[from] ImportError),
    /// The hub could not be reached.
    #[error("the hub could not be reached: {0}")]
    Unreachable(String),
    /// The hub refuses.
    #[error("{code}: {detail}")]
    Refused {
        /// The hub's code.
        code: String,
        /// In words.
        detail: String,
    },
}

/// What `hub inbound` does.
#[derive(clap::Subcommand)]
pub enum SourceCommand {
    /// The state of every source of rows.
    List(ListArguments),
    /// Fetch nothing until resumed; also across restarts.
    Pause(ActionArguments),
    /// Go on fetching, at once.
    Resume(ActionArguments),
}

/// Operates sources of rows; exit code 1 if it was refused.
pub async fn run_source(command: SourceCommand) -> ExitCode {
    let done = match command {
        SourceCommand::List(asked) => asked.hub.get("inbound", "").await.map(|said| print(&said)),
        SourceCommand::Pause(asked) => asked.act("inbound", "pause", json!({})).await,
        SourceCommand::Resume(asked) => asked.act("inbound", "resume", json!({})).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Operates; exit code 1 if it was refused.
pub async fn run(command: Command) -> ExitCode {
    match operate(command).await {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn operate(command: Command) -> Result<ExitCode, ConnectorError> {
    match command {
        Command::List(asked) => print(&asked.hub.get("connectors", "").await?),
        Command::Preview(asked) => {
            let body = json!({ "seq": asked.seq, "why": asked.why });
            shown(&asked.hub.post("connectors", &asked.name, "preview", body).await?);
        }
        Command::Pause(asked) => asked.act("connectors", "pause", json!({})).await?,
        Command::Resume(asked) => asked.act("connectors", "resume", json!({})).await?,
        Command::Replay(asked) => {
            let body = match asked.day {
                Some(day) => json!({ "day": day }),
                None => json!({ "from": asked.from }),
            };
            asked.action.act("connectors", "replay", body).await?;
        }
        Command::Reconcile(asked) => {
            let body = json!({ "why": asked.why });
            let report = asked.hub.post("connectors", &asked.name, "reconcile", body).await?;
            print(&report);
            if report["agrees"] != true {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::SetAside(asked) => {
            let state = if asked.settled { "settled" } else { "open" };
            let mut after = String::new();
            loop {
                let path = format!("/{}/set-aside?state={state}{after}", asked.name);
                let page = asked.hub.get("connectors", &path).await?;
                for record in page["set_aside"].as_array().into_iter().flatten() {
                    println!("{record}");
                }
                let Some(next) = page["next"].as_str() else { break };
                after = format!("&after={next}");
            }
        }
        Command::Retry(asked) => {
            let body = if asked.all { json!({}) } else { json!({ "seqs": asked.seqs }) };
            asked.action.act("connectors", "retry", body).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl ActionArguments {
    /// * `of`: `connectors` or `inbound`.
    async fn act(&self, of: &str, word: &str, mut body: Value) -> Result<(), ConnectorError> {
        body["why"] = json!(self.why);
        print(&self.hub.post(of, &self.name, word, body).await?);
        Ok(())
    }
}

impl Hub {
    async fn get(&self, of: &str, path: &str) -> Result<Value, ConnectorError> {
        let client = client(&self.identity, &self.key, &self.ca)?;
        answer(client.get(self.address(of, path))).await
    }

    async fn post(
        &self,
        of: &str,
        name: &str,
        word: &str,
        body: Value,
    ) -> Result<Value, ConnectorError> {
        let client = client(&self.identity, &self.key, &self.ca)?;
        answer(client.post(self.address(of, &format!("/{name}/{word}"))).json(&body)).await
    }

    fn address(&self, of: &str, path: &str) -> String {
        format!("{}/v1/{of}{path}", self.to.trim_end_matches('/'))
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value, ConnectorError> {
    let unreachable = |error: reqwest::Error| ConnectorError::Unreachable(error.to_string());
    let answer = request.send().await.map_err(unreachable)?;
    let refused = !answer.status().is_success();
    let status = answer.status();
    let said: Value = answer.json().await.map_err(unreachable)?;
    if refused {
        let text = |member: &str| said[member].as_str().map(str::to_owned);
        return Err(ConnectorError::Refused {
            code: text("code").unwrap_or_else(|| status.to_string()),
            detail: text("detail").unwrap_or_default(),
        });
    }
    Ok(said)
}

fn print(said: &Value) {
    println!("{said:#}");
}

/// Each piece under its title, as it would be sent.
fn shown(preview: &Value) {
    for part in preview["parts"].as_array().into_iter().flatten() {
        println!("== {}", part["title"].as_str().unwrap_or_default());
        println!("{}", part["text"].as_str().unwrap_or_default());
    }
    for refused in preview["refused"].as_array().into_iter().flatten() {
        println!("== would be set aside");
        println!("{refused}");
    }
}
