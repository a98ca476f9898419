//! Holds what is believed now, and notices within two seconds when what it was made of changes.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak},
    time::Duration,
};

use certs::TrustStore;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Before, Fault, Gathered, ListState, MadeOf, Problem, Sources, Statics, TrustFolder,
    folder::{Print, dropped},
    gather, read_statics, settings,
};
use crate::{
    Hub,
    config::{Config, ConfigError},
    tls::{Admitted, Doors},
};

/// How often the files are looked at; reading what changed comes on top.
const LOOK: Duration = Duration::from_millis(500);

/// The hub's trust material.
pub struct Keeper {
    settings: Config,
    folder: TrustFolder,
    store: RwLock<Arc<TrustStore>>,
    told: RwLock<Arc<Told>>,
    work: Mutex<Work>,
    sources: Sources,
    doors: OnceLock<Arc<Doors>>,
    /// Why the files of `[tls]` that are there now are not in use.
    doors_problem: RwLock<Option<Problem>>,
}

/// What there is to tell of the material that was read last.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What should be mended.
    pub problems: Vec<Problem>,
    /// Each list of the folder.
    pub lists: Vec<ListState>,
    /// When the material changed last.
    pub changed_at: Timestamp,
}

struct Work {
    /// As they were read last, whole.
    statics: Statics,
    seen: Vec<Print>,
    made_of: MadeOf,
    /// When the window of an anchor opens or closes next.
    turns_at: Option<Timestamp>,
    doors: DoorsWork,
}

/// What connections were last opened with.
struct DoorsWork {
    admitted: Admitted,
    seen: Vec<Print>,
}

impl Keeper {
    /// Reads everything.
    ///
    /// # Errors
    /// What the settings name and cannot be used. What is wrong in the folder is told later.
    pub fn open(config: &Config, now: Timestamp) -> Result<Self, ConfigError> {
        let folder = TrustFolder::of(config);
        folder.make().map_err(|source| ConfigError::File {
            key: "trust.folder",
            path: folder.path().to_owned(),
            source,
        })?;
        let seen = prints(config, &folder);
        let statics = read_statics(config)?;
        let gathered = gather(&folder, &statics, now, None, true)?;
        let work = Work {
            statics,
            seen,
            made_of: gathered.made_of.clone(),
            turns_at: gathered.register.turns_at(now),
            doors: DoorsWork { admitted: admitted(&gathered), seen: tls_prints(config) },
        };
        let (store, told) = split(gathered, now);
        Ok(Self {
            settings: config.clone(),
            folder,
            store: RwLock::new(Arc::new(store)),
            told: RwLock::new(Arc::new(told)),
            work: Mutex::new(work),
            sources: Sources::open(config),
            doors: OnceLock::new(),
            doors_problem: RwLock::default(),
        })
    }

    /// What signatures are judged by, as last read.
    #[must_use]
    pub fn store(&self) -> Arc<TrustStore> {
        self.store.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What there is to tell of it.
    #[must_use]
    pub fn told(&self) -> Arc<Told> {
        self.told.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the doors for a server; they stay open for what changes.
    ///
    /// # Errors
    /// `File` or `Content`, with the key in the settings.
    pub fn open_doors(&self) -> Result<Arc<Doors>, ConfigError> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.doors.seen = tls_prints(&self.settings);
        let doors = Arc::new(Doors::open(&self.settings.tls, &work.doors.admitted)?);
        Ok(self.doors.get_or_init(|| doors).clone())
    }

    /// Where connections come in, once a server listens.
    #[must_use]
    pub fn doors(&self) -> Option<&Doors> {
        self.doors.get().map(AsRef::as_ref)
    }

    /// Reads the files of `[tls]` again if one of them, or whom the folder lets in, changed.
    fn exchange_doors(&self, work: &mut DoorsWork, admitted: Option<Admitted>, anew: bool) {
        let Some(doors) = self.doors.get() else {
            work.admitted = admitted.unwrap_or_else(|| work.admitted.clone());
            return;
        };
        let seen = tls_prints(&self.settings);
        let other = admitted.filter(|admitted| *admitted != work.admitted);
        // An exchange forgets sessions: there is one only where something changed, or could not be read before.
        let failing = || {
            let problem = self.doors_problem.read().unwrap_or_else(PoisonError::into_inner);
            problem.is_some()
        };
        if other.is_none() && seen == work.seen && !(anew && failing()) {
            return;
        }
        work.seen = seen;
        work.admitted = other.unwrap_or_else(|| work.admitted.clone());
        let exchanged = doors.exchange(&self.settings.tls, &work.admitted);
        let problem = exchanged.err().map(|error| {
            tracing::warn!(error = %error, "connections are accepted as before");
            Problem::new("tls", Fault::Tls.code(), &error)
        });
        *self.doors_problem.write().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Where lists and answers are fetched from.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What should be mended as of now: of the files, of lists past their time, of sources that fail.
    #[must_use]
    pub fn problems(&self, now: Timestamp) -> Vec<Problem> {
        let mut problems = self.told().problems.clone();
        problems.extend(self.doors_problem.read().unwrap_or_else(PoisonError::into_inner).clone());
        problems.extend(stale(&self.store(), now));
        problems.extend(self.sources.problems());
        problems
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &TrustFolder {
        &self.folder
    }

    /// Reads what changed since the last time; whether anything that counts did. The work of a blocking thread.
    ///
    /// * `anew`: read everything, changed or not.
    ///
    /// # Errors
    /// A file of the settings: what it held before stays in force, with all else as it is now.
    pub fn read_again(&self, now: Timestamp, anew: bool) -> Result<bool, ConfigError> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before reading: what is written meanwhile is seen the next time.
        let seen = prints(&self.settings, &self.folder);
        let turned = work.turns_at.is_some_and(|at| at <= now);
        if !anew && !turned && seen == work.seen {
            self.exchange_doors(&mut work.doors, None, anew);
            return Ok(false);
        }
        work.seen = seen;
        let held = self.store();
        let Work { made_of, .. } = &*work;
        let before = Before { store: &held, made_of };
        let gathered = |statics: &Statics| gather(&self.folder, statics, now, Some(&before), true);
        let read = read_statics(&self.settings).and_then(|statics| {
            let gathered = gathered(&statics)?;
            Ok((statics, gathered))
        });
        let (gathered, failure) = match read {
            Ok((statics, gathered)) => {
                work.statics = statics;
                (gathered, None)
            }
            Err(error) => {
                let mut gathered = gathered(&work.statics)?;
                gathered.problems.push(Problem::new("settings", Fault::Settings.code(), &error));
                (gathered, Some(error))
            }
        };
        let changed = gathered.made_of != work.made_of;
        self.exchange_doors(&mut work.doors, Some(admitted(&gathered)), anew);
        work.made_of = gathered.made_of.clone();
        work.turns_at = gathered.register.turns_at(now);
        let (store, mut told) = split(gathered, now);
        if changed {
            *self.store.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(store);
        } else {
            told.changed_at = self.told().changed_at;
        }
        *self.told.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(told);
        match failure {
            None => Ok(changed),
            Some(error) => Err(error),
        }
    }

    /// Looks at the files of a hub, and fetches what is due, until it closes.
    pub fn watch(hub: &Arc<Hub>, shutdown: CancellationToken) -> JoinHandle<()> {
        let hub = Arc::downgrade(hub);
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = keep_looking(&hub) => {}
                () = keep_fetching(&hub) => {}
            }
        })
    }
}

async fn keep_looking(hub: &Weak<Hub>) {
    let mut every = every_look();
    while look(hub).await {
        every.tick().await;
    }
}

async fn keep_fetching(hub: &Weak<Hub>) {
    let mut every = every_look();
    while fetch(hub).await {
        every.tick().await;
    }
}

fn every_look() -> tokio::time::Interval {
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    every
}

/// Fetches what is due; whether the hub is still there. It is not held while a source keeps us waiting.
async fn fetch(hub: &Weak<Hub>) -> bool {
    let Some(held) = hub.upgrade() else { return false };
    let Some(mut errand) = held.trust_keeper().sources.next_due(held.clock.now()) else {
        return true;
    };
    let store = held.trust();
    drop(held);
    errand.run(&store).await;
    let Some(held) = hub.upgrade() else { return false };
    held.trust_keeper().sources.done(errand, held.clock.now());
    true
}

/// One look; whether the hub is still there.
async fn look(hub: &Weak<Hub>) -> bool {
    let Some(hub) = hub.upgrade() else { return false };
    let read = tokio::task::spawn_blocking(move || {
        let read = hub.trust_keeper().read_again(hub.clock.now(), false);
        let problems = hub.trust_keeper().told().problems.len();
        (read, problems)
    });
    match read.await {
        Ok((Ok(false), _)) => {}
        Ok((Ok(true), problems)) => {
            tracing::info!(problems, "anchors and revocation lists were read again");
        }
        Ok((Err(error), _)) => {
            tracing::warn!(error = %error, "anchors and revocation lists of the settings stay as they were");
        }
        Err(_) => tracing::warn!("reading anchors and revocation lists did not finish"),
    }
    true
}

/// Lists and answers that are past their time: what they speak about is undetermined.
#[must_use]
pub fn stale(store: &TrustStore, now: Timestamp) -> Vec<Problem> {
    let stale = store.crls().into_iter().filter(|list| list.next_update <= now);
    let mut problems: Vec<_> = stale
        .map(|list| {
            let said = format!("the next list was due at {}", list.next_update);
            Problem::new(format!("list of {}", list.issuer_text), Fault::StaleList.code(), said)
        })
        .collect();
    let (answers, old) = store.ocsp_answers(now);
    if old > 0 {
        let said = format!("{old} of {answers} answers are past their time");
        problems.push(Problem::new("ocsp", Fault::StaleAnswers.code(), said));
    }
    problems
}

fn admitted(gathered: &Gathered) -> Admitted {
    Admitted {
        anchors: gathered.client_anchors.clone(),
        overruled: gathered.overruled.clone(),
        lists: gathered.client_lists.clone(),
    }
}

fn tls_prints(config: &Config) -> Vec<Print> {
    let tls = &config.tls;
    let own = [&tls.certificate, &tls.key, &tls.client_anchors].into_iter();
    own.chain(&tls.client_crls).map(|path| Print::of(path)).collect()
}

fn split(gathered: Gathered, now: Timestamp) -> (TrustStore, Told) {
    let Gathered { store, problems, lists, .. } = gathered;
    (store, Told { problems, lists, changed_at: now })
}

/// The state of everything that is read.
fn prints(config: &Config, folder: &TrustFolder) -> Vec<Print> {
    let mut prints = settings::prints(config);
    prints.push(Print::of(&folder.register()));
    for below in [folder.anchors(), folder.intermediates(), folder.crls(), folder.ocsp()] {
        prints.extend(dropped(&below).unwrap_or_default().iter().map(|path| Print::of(path)));
    }
    prints
}
