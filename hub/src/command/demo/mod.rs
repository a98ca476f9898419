//! `hub demo`: a complete hub with a synthetic district, ready to click.
//!
//! Nothing in it is switched off or pretended: the district's authority issues real certificates,
//! licences are signed (P-256, SM2 and Ed25519, one suite for each issuing department) and handed
//! in by `hub import`'s own code over mutual TLS, the province is a real PostgreSQL and a real gateway that checks tokens and
//! signatures, the city a real HTTPS receiver, and an office takes files from a real OpenSSH server. People log in through a real OpenID provider, the demo's own, and what has happened before they come
//! was made by the same use cases, with the clock standing in the past.

pub mod authority;
mod desk;
mod district_files;
mod file_clerk;
mod people;
mod register;
mod sealed;
mod seeds;
mod tour;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use connectors::{
    city_receiver::{CityReceiver, CitySettings},
    local_postgres::LocalPostgres,
    local_sshd::LocalSshd,
    provincial_gateway::{GatewaySettings, GatewayShape, GatewaySignatures, ProvincialGateway},
};
use jiff::Timestamp;
use licence::Seq;

use self::{
    authority::AuthorityFailure,
    district_files::{Addresses, DemoDistrict},
    people::People,
};
use super::{fail, import, serve::Signals};
use crate::{
    Hub,
    clock::Clock,
    config::{Config, ConfigError},
    http::server::{self, ListenError, Running},
    hub::OpenError,
    login::provider::{self, DemoProvider, ProviderError, ProviderSettings},
};

/// Arguments of `hub demo`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder for everything the demo writes.
    #[arg(long, default_value = "./data/demo")]
    data: PathBuf,
    /// HTTPS port; pages for a browser are on the next one, the OpenID provider on the one after.
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// Seconds between the licences that go on being issued while it runs; 0 for none.
    #[arg(long, default_value_t = 5)]
    every: u64,
    /// Whether the departments' desk accepts, decides and issues by itself; `off` leaves it to the clerks.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    desk: Switch,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Why the demo cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// A file under the demo's folder.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The district's authority.
    #[error("the demo's certificate authority: {0}")]
    Authority(#[from] AuthorityFailure),
    /// Signing a licence.
    #[error("a licence of the demo could not be signed: {0}")]
    Sign(#[from] certs::SignError),
    /// Sealing a file.
    #[error("a file of the demo could not be sealed: {0}")]
    Seal(#[from] certs::ofd::SealingError),
    /// Settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A part of the hub.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Handing in the licences.
    #[error("handing in the district's licences: {0}")]
    Import(#[from] import::ImportError),
    /// The city's receiver.
    #[error("the city's receiver: {0}")]
    City(#[from] connectors::city_receiver::CityError),
    /// The province's gateway.
    #[error("the province's gateway: {0}")]
    Gateway(#[from] connectors::provincial_gateway::GatewayError),
    /// The file server that an office takes files from.
    #[error("the office's file server: {0}")]
    Office(#[from] connectors::local_sshd::LocalSshdError),
    /// The province's database.
    #[error("the province's PostgreSQL: {0}")]
    Province(#[from] connectors::local_postgres::LocalPostgresError),
    /// A department's registers.
    #[error("the department's registers: {0}")]
    Registers(#[from] connectors::department_desk::DeskError),
    /// Where people log in.
    #[error("the demo's OpenID provider: {0}")]
    Provider(#[from] ProviderError),
    /// What happened before the visitor comes.
    #[error("making the demo's past: {0}")]
    Seeds(#[from] seeds::SeedError),
    /// Licences of the demo were refused.
    #[error(
        "{0} licences of the demo's own were refused: this is a defect, see .import-refusals.ndjson"
    )]
    Refused(usize),
}

/// Runs the demo until it is stopped.
pub async fn run(arguments: Arguments) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    let demo = tokio::select! {
        demo = Demo::start(&arguments) => demo,
        // Whatever was started ends with the future that started it.
        () = signals.stop() => {
            println!("stopped while setting up; the next start goes on from here");
            return ExitCode::FAILURE;
        }
    };
    let demo = match demo {
        Ok(demo) => demo,
        Err(error) => return fail(&error),
    };
    signals.until_stopped(&demo.hub).await;
    demo.stop().await;
    ExitCode::SUCCESS
}

struct Demo {
    hub: Arc<Hub>,
    running: Running,
    provider: DemoProvider,
    city: CityReceiver,
    gateway: ProvincialGateway,
    province: Option<LocalPostgres>,
    keys: Option<actix_web::dev::ServerHandle>,
    office: Option<(LocalSshd, tokio::task::JoinHandle<()>)>,
    live: Option<tokio::task::JoinHandle<()>>,
    desk: Option<tokio::task::JoinHandle<()>>,
}

impl Demo {
    async fn start(arguments: &Arguments) -> Result<Self, DemoError> {
        let data = std::path::absolute(&arguments.data)
            .map_err(|source| DemoError::File { path: arguments.data.clone(), source })?;
        create_folder(&data)?;
        // Ports first: finding out late wastes the visitor's time.
        let https = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
        let pages = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port.saturating_add(1)));
        free(https)?;
        let login = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port.saturating_add(2)));
        free(pages)?;
        free(login)?;

        println!("setting up the district under {}", data.display());
        let now = Timestamp::now();
        // What is signed in the demo's past needs certificates from before.
        let founded = seeds::first_day(seeds::first_day(now));
        let district = DemoDistrict::open(&data, founded)?;
        let since = read_since(&data);
        let known_since = since.unwrap_or(now);
        let people = People::of(district.district(), seeds::day(known_since))
            .ok_or(seeds::SeedError::Lacking("people for the demo"))?;
        write(&data.join("accounts.json"), people.accounts().as_bytes())?;
        district.write_samples(now)?;
        let (certificate, key) = district.city_identity()?;
        let gateway = ProvincialGateway::start(GatewaySettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            certificate: certificate.clone(),
            key: key.clone(),
            client_anchors: None,
            shape: GatewayShape::Gbt36906,
            access_id: district_files::GATEWAY_ID.to_owned(),
            secret: district.gateway_secret()?,
            signatures: GatewaySignatures::HmacSm3,
            token_lifetime: Duration::from_secs(600),
            types: None,
            journal: Some(data.join("gateway.journal")),
        })
        .await?;
        let files = file_server(&data).await;
        let city = CityReceiver::start(CitySettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            certificate,
            key,
            client_anchors: district.authority().anchor().to_pem(),
            capacity: 1_000_000,
            types: None,
        })
        .await?;
        let province = match LocalPostgres::find() {
            Some(programs) => {
                println!("starting the province's exchange database (PostgreSQL)");
                Some(LocalPostgres::start(&data.join("province"), &programs).await?)
            }
            None => {
                println!(
                    "PostgreSQL's programs are not here: going on without the province \
                     (apt-get install postgresql brings them)"
                );
                None
            }
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener =
            listener.map_err(|source| ListenError::Address { address: login, source })?;
        let keys = listener
            .local_addr()
            .map_err(|source| ListenError::Address { address: login, source })?;
        let signer = register::department().and_then(|one| district.reread_issuer(&one.code));
        let key_service = match (&province, signer) {
            (Some(province), Some(signer)) => {
                register::prepare(&district, &data, province).await?;
                Some(register::key_service(&district, listener, signer)?)
            }
            _ => None,
        };
        let address = format!("http://{pages}");
        let secret = district.client_secret()?;
        let provider = DemoProvider::start(ProviderSettings {
            listen: login,
            client_id: district_files::CLIENT_ID.to_owned(),
            client_secret: secret,
            redirect_uri: format!("{address}/login/callback"),
            accounts: provider::read_accounts(people.accounts().as_bytes())?,
        })?;
        let settings = district.write_settings(
            https,
            &Addresses {
                pages,
                issuer: provider.issuer(),
                city: city.address(),
                keys,
                gateway: gateway.address(),
            },
            province.as_ref(),
            files.as_ref(),
        )?;
        let config = Config::read(&settings)?;
        if since.is_none() {
            make_the_past(&district, &config, &people, now).await?;
            write(&data.join(SINCE), now.to_string().as_bytes())?;
        }
        district.authority().revocation_list(&[], now)?;
        let hub = Hub::open(config, Clock::System).await?;
        let running = server::start(&hub)?;
        let office = files.map(|files| {
            let clerk = file_clerk::open(files.files().join(district_files::OFFICE_FOLDER));
            (files, clerk)
        });
        // These keep what they got in memory only: they start from the beginning.
        for name in ["city", "office"] {
            if let Some(runner) = hub.connectors.get(name)
                && let Err(error) = runner.replay(Seq(0)).await
            {
                tracing::warn!(error = %error, connector = name, "it starts where it had stopped");
            }
        }
        district.hand_in(running.https, now).await?;
        let live = (arguments.every > 0)
            .then(|| district.go_on_issuing(running.https, Duration::from_secs(arguments.every)));
        let desk = match (&province, arguments.desk) {
            (Some(province), Switch::On) => {
                Some(district.desk(running.https, province, known_since).open())
            }
            _ => None,
        };
        let tour = tour::prepare(&district, &people, running.https, pages, province.as_ref(), now)?;
        println!("{tour}");
        println!("ready");
        Ok(Self {
            hub,
            running,
            provider,
            city,
            gateway,
            province,
            keys: key_service,
            office,
            live,
            desk,
        })
    }

    async fn stop(self) {
        println!("stopping");
        for task in self.live.into_iter().chain(self.desk) {
            task.abort();
        }
        self.running.stop().await;
        self.hub.shut().await;
        self.provider.stop().await;
        self.city.stop().await;
        if let Some(keys) = self.keys {
            keys.stop(false).await;
        }
        self.gateway.stop().await;
        if let Some((files, clerk)) = self.office {
            clerk.abort();
            files.stop().await;
        }
        if let Some(province) = self.province {
            province.stop().await;
        }
    }
}

/// The file server that an office takes files from; without it the demo goes on.
async fn file_server(data: &Path) -> Option<LocalSshd> {
    if !LocalSshd::is_installed() {
        println!(
            "OpenSSH's programs are not here: going on without the office that takes files \
             (apt-get install openssh-server brings them)"
        );
        return None;
    }
    let folder = data.join("file-server");
    let started = LocalSshd::start(&folder).await;
    let ready = started.map_err(|error| error.to_string()).and_then(|files| {
        let answers = files.files().join(district_files::OFFICE_FOLDER).join("answers");
        std::fs::create_dir_all(answers).map_err(|error| error.to_string())?;
        Ok(files)
    });
    match ready {
        Ok(files) => Some(files),
        Err(said) => {
            println!("going on without the office that takes files: {said}");
            None
        }
    }
}

/// The file that says since when the demo is there.
const SINCE: &str = "since";

fn read_since(data: &Path) -> Option<Timestamp> {
    std::fs::read_to_string(data.join(SINCE)).ok()?.trim().parse().ok()
}

/// Hands in the district's licences and makes what has happened since, with a hub whose clock stands in the past.
async fn make_the_past(
    district: &DemoDistrict,
    config: &Config,
    people: &People,
    now: Timestamp,
) -> Result<(), DemoError> {
    println!("making what happened in the last {} days", seeds::DAYS);
    let first_day = seeds::first_day(now);
    district.authority().revocation_list(&[], first_day)?;
    let mut config = config.clone();
    config.listen.set_port(0);
    config.pages_listen = None;
    config.login = None;
    // Rows come in when the demo is there.
    config.inbound.clear();
    // Licences are pushed when the demo is there; cases go to the province on their day.
    config.connectors.retain(|connector| connector.kind == "casebase");
    for connector in &mut config.connectors {
        connector.poll_ms = Some(20);
    }
    let hub = Hub::open(config, Clock::standing_at(first_day)).await?;
    let running = server::start(&hub)?;
    let made = match district.hand_in(running.https, first_day).await {
        Ok(()) => seeds::sow(&hub, district.district(), people).await.map_err(DemoError::from),
        Err(error) => Err(error),
    };
    running.stop().await;
    hub.shut().await;
    made
}

/// Finds out whether a port is free before anything is set up.
fn free(address: SocketAddr) -> Result<(), ListenError> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(ListenError::PortInUse(address))
        }
        Err(source) => Err(ListenError::Address { address, source }),
    }
}

fn create_folder(path: &Path) -> Result<(), DemoError> {
    std::fs::create_dir_all(path)
        .map_err(|source| DemoError::File { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), DemoError> {
    std::fs::write(path, bytes).map_err(|source| DemoError::File { path: path.to_owned(), source })
}
