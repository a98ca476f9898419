//! The listening sockets: HTTPS for departments and for people, and in demo mode plain-HTTP pages on the loopback.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle, Service, ServiceResponse},
    middleware::from_fn,
    web,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::{Hub, config::ConfigError, login::middleware::find_person, pages, tls};

/// Why the hub cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Settings or their files.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Somebody else listens there.
    #[error(
        "port in use: another program listens on {0}; stop it, or set another `listen` in the \
         settings"
    )]
    PortInUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// Servers that are running.
pub struct Running {
    /// Where HTTPS is served (the real port, if 0 was asked for).
    pub https: SocketAddr,
    /// Where pages are served.
    pub pages: Option<SocketAddr>,
    handles: Vec<ServerHandle>,
    tasks: Vec<tokio::task::JoinHandle<std::io::Result<()>>>,
}

impl Running {
    /// Stops listening, lets running requests end, and returns when they have.
    pub async fn stop(self) {
        for handle in &self.handles {
            handle.stop(true).await;
        }
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// Starts the servers of a hub.
///
/// # Errors
/// See [`ListenError`].
pub fn start(hub: &Arc<Hub>) -> Result<Running, ListenError> {
    let settings = hub.settings();
    let tls_settings = hub.trust_keeper().open_doors()?.server_config(&settings.tls)?;
    let metrics = metrics_handle();
    let workers = settings
        .workers
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, std::num::NonZero::get));

    let shared = hub.clone();
    let login = settings.login.as_ref();
    let pages_too = login.is_some_and(|login| login.address.starts_with("https://"));
    let app = move || {
        App::new()
            .app_data(web::Data::from(shared.clone()))
            .app_data(web::Data::new(metrics.clone()))
            .wrap_fn(|request, service| {
                let started = Instant::now();
                let answer = service.call(request);
                async move { answer.await.inspect(|answer| count(answer, started)) }
            })
            .wrap(from_fn(find_person))
            .configure(super::configure)
            .configure(|config| {
                if pages_too {
                    pages::configure_beside_interface(config);
                }
            })
    };
    let https = HttpServer::new(app)
        .workers(workers)
        .on_connect(tls::remember_peer)
        .keep_alive(Duration::from_secs(75))
        .client_request_timeout(Duration::from_secs(15))
        .shutdown_timeout(10)
        .disable_signals()
        .bind_rustls_0_23(settings.listen, tls_settings)
        .map_err(|source| listen_error(settings.listen, source))?;
    let https_address = https.addrs().first().copied().unwrap_or(settings.listen);
    let mut running =
        Running { https: https_address, pages: None, handles: Vec::new(), tasks: Vec::new() };

    let mut servers: Vec<Server> = vec![https.run()];
    if let Some(address) = settings.pages_listen {
        let shared = hub.clone();
        let app = move || {
            App::new().app_data(web::Data::from(shared.clone())).configure(pages::configure)
        };
        let server = HttpServer::new(app)
            .workers(1)
            .shutdown_timeout(2)
            .disable_signals()
            .bind(address)
            .map_err(|source| listen_error(address, source))?;
        running.pages = server.addrs().first().copied();
        servers.push(server.run());
    }
    for server in servers {
        running.handles.push(server.handle());
        running.tasks.push(tokio::spawn(server));
    }
    Ok(running)
}

fn listen_error(address: SocketAddr, source: std::io::Error) -> ListenError {
    if source.kind() == std::io::ErrorKind::AddrInUse {
        ListenError::PortInUse(address)
    } else {
        ListenError::Address { address, source }
    }
}

/// Counts an answer by its route's pattern, never by the address itself.
fn count<B>(answer: &ServiceResponse<B>, started: Instant) {
    let route = answer.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    let status = answer.status().as_u16().to_string();
    metrics::histogram!("yihao_http_seconds", "route" => route, "status" => status)
        .record(started.elapsed().as_secs_f64());
}

/// The process's one metrics recorder.
pub fn metrics_handle() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            let builder = builder
                .set_buckets_for_metric(
                    Matcher::Full("yihao_http_seconds".to_owned()),
                    &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0],
                )
                .unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            // Another recorder can only be there in a test that set its own.
            let _ = metrics::set_global_recorder(recorder);
            handle
        })
        .clone()
}
