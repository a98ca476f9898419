//! `hub connector`: operates the connectors of a running hub, over its interface.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use jiff::civil::Date;
use licence::{HolderId, HolderKind, Sha256Digest};
use reqwest::Url;
use serde_json::{Value, json};

use super::{
    fail,
    import::{ImportError, client},
};

/// The largest file that says whose licences are sent again.
const HOLDER_BYTES: u64 = 1_000;
/// The largest code map that the hub takes.
const CODE_MAP_BYTES: u64 = 1 << 20;

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
    /// Send everything again from a change or a day on, or the licences of one holder.
    Replay(ReplayArguments),
    /// Compare both sides, and send again what differs; exit code 1 if they do not agree.
    Reconcile(ActionArguments),
    /// The records that the counterpart refused.
    SetAside(SetAsideArguments),
    /// Send what is set aside once more.
    Retry(RetryArguments),
    /// The code map: print it, or put another in its place.
    CodeMap(CodeMapArguments),
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
#[group(id = "start", required = true, multiple = false, args = ["from", "day", "holder"])]
pub struct ReplayArguments {
    /// Number of the first change to send again.
    #[arg(long)]
    from: Option<u64>,
    /// Day of the first change to send again, in Chinese time.
    #[arg(long)]
    day: Option<Date>,
    /// Only the licences of one holder: a file with a line `KIND NUMBER` (持证主体代码类型, such as 111, and the number);
    /// `-` is standard input. The number never stands in the command line, where others on this machine can read it.
    #[arg(long, value_name = "FILE")]
    holder: Option<PathBuf>,
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

/// Arguments of `hub connector code-map`.
#[derive(Args)]
pub struct CodeMapArguments {
    /// The connector.
    name: String,
    /// A file with the code map that takes the place of the one there; `-` is standard input. Without it, the one there
    /// is printed as it is, and its SHA-256 on standard error.
    #[arg(long, value_name = "FILE", requires = "why")]
    replace: Option<PathBuf>,
    /// SHA-256 of the one that was read: refused if another is there by now.
    #[arg(long, value_name = "SHA256", requires = "replace")]
    replaces: Option<Sha256Digest>,
    /// Why, for the trace.
    #[arg(long, requires = "replace")]
    why: Option<String>,
    #[command(flatten)]
    hub: Hub,
}

/// Why a connector could not be operated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// Certificate, key or anchor.
    #[error(transparent)]
    Identity(#[from] ImportError),
    /// `--to`.
    #[error("--to is no address of a hub, such as https://localhost:8443")]
    Address,
    /// The hub could not be reached.
    #[error("the hub could not be reached")]
    Unreachable(#[from] reqwest::Error),
    /// What answered is no hub.
    #[error("the answer ({0}) is not that of a hub: look at --to")]
    NoHub(reqwest::StatusCode),
    /// A file, or standard input.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It has more than such a file may have.
    #[error("{path}: more than {most} bytes")]
    TooLarge {
        /// Which.
        path: String,
        /// How many it may have.
        most: u64,
    },
    /// No holder stands there. What does is not told: it may be a citizen's number.
    #[error("{path}: no line `KIND NUMBER` of a holder, such as `111` and an identity number")]
    Holder {
        /// Where.
        path: String,
    },
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
        SourceCommand::List(asked) => {
            asked.hub.get(&["inbound"], &[]).await.map(|said| print(&said))
        }
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
        Command::List(asked) => print(&asked.hub.get(&["connectors"], &[]).await?),
        Command::Preview(asked) => {
            let body = json!({ "seq": asked.seq, "why": asked.why });
            shown(&asked.hub.post("connectors", &asked.name, "preview", body).await?);
        }
        Command::Pause(asked) => asked.act("connectors", "pause", json!({})).await?,
        Command::Resume(asked) => asked.act("connectors", "resume", json!({})).await?,
        Command::Replay(asked) => {
            let body = match (asked.day, &asked.holder) {
                (Some(day), _) => json!({ "day": day }),
                (None, Some(file)) => {
                    let holder = holder_in(file)?;
                    let kind = holder.kind().code();
                    json!({ "holder": { "kind": kind, "number": holder.number() } })
                }
                (None, None) => json!({ "from": asked.from }),
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
            let mut asks = vec![("state", state.to_owned())];
            loop {
                let page = asked.hub.get(&["connectors", &asked.name, "set-aside"], &asks).await?;
                for record in page["set_aside"].as_array().into_iter().flatten() {
                    println!("{record}");
                }
                let Some(next) = page["next"].as_str() else { break };
                asks.truncate(1);
                asks.push(("after", next.to_owned()));
            }
        }
        Command::Retry(asked) => {
            let body = if asked.all { json!({}) } else { json!({ "seqs": asked.seqs }) };
            asked.action.act("connectors", "retry", body).await?;
        }
        Command::CodeMap(asked) => match &asked.replace {
            None => {
                let map = asked.hub.get(&["connectors", &asked.name, "code-map"], &[]).await?;
                print!("{}", map["text"].as_str().unwrap_or_default());
                eprintln!("SHA-256 {}", map["sha256"].as_str().unwrap_or_default());
            }
            Some(file) => {
                let bytes = read(file, CODE_MAP_BYTES)?;
                let path = shown_path(file);
                let text = String::from_utf8(bytes).map_err(|error| ConnectorError::File {
                    path,
                    source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
                })?;
                let mut body = json!({ "text": text, "why": asked.why });
                if let Some(digest) = asked.replaces {
                    body["replaces"] = json!(digest);
                }
                let map = asked.hub.put("connectors", &asked.name, "code-map", body).await?;
                println!("{:#}", json!({ "sha256": map["sha256"] }));
            }
        },
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
    async fn get(&self, path: &[&str], asks: &[(&str, String)]) -> Result<Value, ConnectorError> {
        let mut address = self.address(path)?;
        if !asks.is_empty() {
            address.query_pairs_mut().extend_pairs(asks);
        }
        answer(self.client()?.get(address)).await
    }

    async fn post(
        &self,
        of: &str,
        name: &str,
        word: &str,
        body: Value,
    ) -> Result<Value, ConnectorError> {
        answer(self.client()?.post(self.address(&[of, name, word])?).json(&body)).await
    }

    async fn put(
        &self,
        of: &str,
        name: &str,
        word: &str,
        body: Value,
    ) -> Result<Value, ConnectorError> {
        answer(self.client()?.put(self.address(&[of, name, word])?).json(&body)).await
    }

    fn client(&self) -> Result<reqwest::Client, ConnectorError> {
        Ok(client(&self.identity, &self.key, &self.ca)?)
    }

    fn address(&self, path: &[&str]) -> Result<Url, ConnectorError> {
        let mut address: Url = self.to.parse().map_err(|_| ConnectorError::Address)?;
        let mut segments = address.path_segments_mut().map_err(|()| ConnectorError::Address)?;
        segments.pop_if_empty().push("v1").extend(path);
        drop(segments);
        Ok(address)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value, ConnectorError> {
    let answer = request.send().await?;
    let status = answer.status();
    let said = answer.json::<Value>().await.map_err(|_| ConnectorError::NoHub(status))?;
    if !status.is_success() {
        let text = |member: &str| said[member].as_str().map(str::to_owned);
        return Err(ConnectorError::Refused {
            code: text("code").ok_or(ConnectorError::NoHub(status))?,
            detail: text("detail").unwrap_or_default(),
        });
    }
    Ok(said)
}

/// The holder that a file names.
fn holder_in(path: &Path) -> Result<HolderId, ConnectorError> {
    let no_holder = || ConnectorError::Holder { path: shown_path(path) };
    let bytes = read(path, HOLDER_BYTES)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| no_holder())?.trim();
    let (kind, number) = text.split_once(char::is_whitespace).ok_or_else(no_holder)?;
    let kind = HolderKind::from_code(kind).map_err(|_| no_holder())?;
    HolderId::parse(kind, number.trim()).map_err(|_| no_holder())
}

/// A file, or standard input, of at most so many bytes.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, ConnectorError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        let file = std::fs::File::open(path);
        file.and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    read.map_err(|source| ConnectorError::File { path: shown_path(path), source })?;
    if bytes.len() as u64 > most {
        return Err(ConnectorError::TooLarge { path: shown_path(path), most });
    }
    Ok(bytes)
}

fn shown_path(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
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
