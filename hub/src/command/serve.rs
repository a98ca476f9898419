//! `hub serve`: the real thing.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::fail;
use crate::{Hub, clock::Clock, config::Config, http::server, login::sessions};

/// Arguments of `hub serve`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The settings file (TOML); see docs/operations.md.
    #[arg(long)]
    config: PathBuf,
}

/// Serves until told to stop (SIGTERM, SIGINT). SIGHUP reads anchors and revocation lists again.
pub async fn run(arguments: Arguments) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    let config = match Config::read(&arguments.config) {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    let hub = match Hub::open(config, Clock::System).await {
        Ok(hub) => hub,
        Err(error) => return fail(&error),
    };
    let running = match server::start(&hub) {
        Ok(running) => running,
        Err(error) => {
            hub.shut().await;
            return fail(&error);
        }
    };
    println!("https://{}", running.https);
    if let Some(pages) = running.pages {
        println!("http://{pages}/ (pages, demo mode)");
    }
    println!("ready");
    signals.until_stopped(&hub).await;
    tracing::info!("stopping");
    running.stop().await;
    hub.shut().await;
    ExitCode::SUCCESS
}

/// What the process is told from outside. Listened for from the start: until then a signal ends the
/// process as it stands.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for a signal to stop; reads anchors and revocation lists again meanwhile, and every hour takes away
    /// sessions that are over.
    pub async fn until_stopped(&mut self, hub: &Arc<Hub>) {
        let mut every_minute = tokio::time::interval(Duration::from_secs(60));
        every_minute.tick().await;
        let mut minutes = 0_u64;
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {}
                _ = every_minute.tick() => {}
            }
            let again = hub.clone();
            match tokio::task::spawn_blocking(move || again.reload_trust()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %error, "anchors and revocation lists stay as they were");
                }
                Err(_) => tracing::warn!("reading anchors and revocation lists did not finish"),
            }
            if let Err(error) = crate::reuse::upload::sweep(hub).await {
                tracing::warn!(error = %error, "unfinished uploads were not swept, the next time will");
            }
            minutes += 1;
            if minutes % 60 != 1 {
                continue;
            }
            let (limits, now) = (hub.session_limits(), hub.clock.now());
            if let Err(error) = sessions::sweep(&*hub.store, limits, now).await {
                tracing::warn!(error.code = error.code(), "old sessions could not be taken away");
            }
        }
    }
}
