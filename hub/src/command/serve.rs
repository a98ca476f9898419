//! `hub serve`: the real thing.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::fail;
use crate::{Hub, clock::Clock, config::Config, http::server};

/// Arguments of `hub serve`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The settings file (TOML); see docs/operations.md.
    #[arg(long)]
    config: PathBuf,
}

/// Serves until told to stop (SIGTERM, SIGINT). SIGHUP reads anchors and revocation lists again.
pub async fn run(arguments: Arguments) -> ExitCode {
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
            hub.close().await;
            return fail(&error);
        }
    };
    println!("https://{}", running.https);
    if let Some(pages) = running.pages {
        println!("http://{pages}/ (pages, demo mode)");
    }
    println!("ready");
    until_stopped(&hub).await;
    tracing::info!("stopping");
    running.stop().await;
    hub.close().await;
    ExitCode::SUCCESS
}

/// Waits for a signal to stop; reads anchors and revocation lists again meanwhile.
pub async fn until_stopped(hub: &Arc<Hub>) {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hang_up)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) else {
        tracing::error!("signals cannot be listened for; stopping");
        return;
    };
    let mut every_minute = tokio::time::interval(Duration::from_secs(60));
    every_minute.tick().await;
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            _ = hang_up.recv() => {}
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
    }
}
