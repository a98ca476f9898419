//! `hub rebuild search`: throw a follower away and replay the log.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

use indexes::{LicenceStore, RocksStore};
use indicatif::{ProgressBar, ProgressStyle};

use super::fail;
use crate::{
    config::Config,
    hub::{folders, store_options},
};

/// What can be rebuilt.
#[derive(clap::Subcommand)]
pub enum Command {
    /// The full-text index. The hub must be stopped.
    Search {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
}

/// Rebuilds; shows progress.
pub async fn run(command: Command) -> ExitCode {
    let Command::Search { config } = command;
    let config = match Config::read(&config) {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    let folders = folders(&config);
    let store: Arc<dyn LicenceStore> =
        match RocksStore::open(&folders.store, store_options(&config)) {
            Ok(store) => Arc::new(store),
            Err(error) => return fail(&error),
        };
    let started = Instant::now();
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {pos}/{len} entries, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let rebuilt = indexes::search::rebuild(&folders.search, store, move |done, of| {
        shown.set_length(of);
        shown.set_position(done);
    });
    let head = match rebuilt.await {
        Ok(head) => head,
        Err(error) => return fail(&error),
    };
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    println!("the search index was built anew from {head} entries in {seconds:.1} s");
    ExitCode::SUCCESS
}
