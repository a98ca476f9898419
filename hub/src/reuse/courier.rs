//! Carries cases to the departments' counterparts, and their answers back: one task for each counterpart, so that one
//! that is down delays nothing else.
//!
//! In rounds: what waits in the [`super::outbox`] is handed over, oldest first; what the counterpart finds fault with is set
//! aside with its remark; its steps become steps of the cases. At least once in both directions, and taken once: the
//! counterpart drops what it has by `row_guid`, [`cases::step`] by the step's reference.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use connectors::{
    DeliveryError, LastError, RunnerSettings,
    casebase::{Answer, AnswerStep, CaseBase, Handover, Happened, Material, Obtained, Package},
};
use indexes::StoreError;
use jiff::{SignedDuration, Timestamp};
use licence::CreditCode;
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time,
};

use super::{
    Who,
    case::{Case, StepKind, SupplementItem},
    cases::{self, CaseError, DepartmentStep},
    outbox::{self, Outgoing, OutgoingKind, SetAside},
    package::{PackedBy, SignedFile},
};
use crate::{
    Hub,
    records::{self, Draft, Held},
    tls::Caller,
};

/// Entries of the outbox that are read at a time.
const PAGE: usize = 50;
/// Entries that are counted at most.
const COUNTED: usize = 10_000;

/// How a counterpart for cases is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CourierState {
    /// The connector's name.
    pub name: String,
    /// `casebase`.
    pub kind: &'static str,
    /// The departments whose cases go there.
    pub departments: Vec<CreditCode>,
    /// What waits for it; counted up to 10,000.
    pub waiting: u64,
    /// Age in seconds of the oldest that waits; 0 if nothing does.
    pub waiting_seconds: u64,
    /// An operator paused it; stays so across restarts.
    pub paused: bool,
    /// Handed over since the start of the program, repeats included.
    pub delivered: u64,
    /// Steps taken from it since the start of the program.
    pub steps: u64,
    /// Steps refused since the start of the program; the counterpart reads why.
    pub steps_refused: u64,
    /// What it did not take; counted up to 10,000.
    pub set_aside: u64,
    /// When it last answered.
    pub last_success: Option<Timestamp>,
    /// The last failure, also when it is over: compare its time with `last_success`.
    pub last_error: Option<LastError>,
    /// When the next attempt is made; only after a failure.
    pub next_attempt: Option<Timestamp>,
}

/// Why a courier did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CourierError {
    /// The store failed.
    #[error("the licence store failed: {0}")]
    Store(#[from] StoreError),
    /// It has been stopped.
    #[error("the connector has been stopped")]
    Stopped,
}

impl CourierError {
    /// Part of the public interface: never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Stopped => "connector_stopped",
        }
    }
}

enum Command {
    Pause(bool, oneshot::Sender<Result<(), StoreError>>),
    SendAgain(oneshot::Sender<Result<u64, StoreError>>),
    Stop,
}

/// Operates a running courier. Dropping it stops it.
pub struct Courier {
    name: String,
    departments: Vec<CreditCode>,
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<CourierState>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Courier {
    /// Starts the task. Must be called inside a tokio runtime. The task ends when the hub is gone.
    #[must_use]
    pub fn start(hub: &Arc<Hub>, counterpart: CaseBase, settings: RunnerSettings) -> Self {
        let (commands, inbox) = mpsc::channel(16);
        let (name, departments) =
            (counterpart.name().to_owned(), counterpart.departments().to_vec());
        let (state, watched) = watch::channel(CourierState {
            name: name.clone(),
            kind: "casebase",
            departments: departments.clone(),
            waiting: 0,
            waiting_seconds: 0,
            paused: false,
            delivered: 0,
            steps: 0,
            steps_refused: 0,
            set_aside: 0,
            last_success: None,
            last_error: None,
            next_attempt: None,
        });
        let task =
            Task { hub: Arc::downgrade(hub), counterpart, settings, inbox, state, failures: 0 };
        let task = Mutex::new(Some(tokio::spawn(task.run())));
        Self { name, departments, commands, state: watched, task }
    }

    /// The connector's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is doing.
    #[must_use]
    pub fn state(&self) -> CourierState {
        self.state.borrow().clone()
    }

    /// To be told when the state changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<CourierState> {
        self.state.clone()
    }

    /// Carries nothing until [`Courier::resume`], also across restarts.
    ///
    /// # Errors
    /// `Store`: it may not be paused. `Stopped`.
    pub async fn pause(&self) -> Result<(), CourierError> {
        self.ask(|answer| Command::Pause(true, answer)).await
    }

    /// Goes on, at once: a pause after a failure is cut short too.
    ///
    /// # Errors
    /// `Store`, `Stopped`.
    pub async fn resume(&self) -> Result<(), CourierError> {
        self.ask(|answer| Command::Pause(false, answer)).await
    }

    /// Puts all that is set aside into the outbox again; answers how much that is.
    ///
    /// # Errors
    /// `Store`, `Stopped`.
    pub async fn send_again(&self) -> Result<u64, CourierError> {
        self.ask(Command::SendAgain).await
    }

    /// What is set aside, oldest first within a department, at most `limit`.
    ///
    /// # Errors
    /// The store's.
    pub async fn set_asides(&self, hub: &Hub, limit: usize) -> Result<Vec<SetAside>, StoreError> {
        let mut all = Vec::new();
        for department in &self.departments {
            let left = limit.saturating_sub(all.len());
            let held = outbox::set_aside(&*hub.store, department, left).await?;
            all.extend(held.into_iter().map(|held| held.value));
        }
        Ok(all)
    }

    /// Stops the task and waits for it. What was under way is done again after the next start.
    pub async fn stop(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(task) = task else { return };
        // It fails only when the task has ended already.
        let _ = self.commands.send(Command::Stop).await;
        if task.await.is_err() {
            tracing::error!(connector = self.name, "the courier's task had failed");
        }
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Result<T, CourierError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| CourierError::Stopped)?;
        Ok(answered.await.map_err(|_| CourierError::Stopped)??)
    }
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Courier").field(&self.name).finish()
    }
}

/// Why an entry is set aside, or a step refused, without the counterpart or the case saying so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// There is none of this number, or its department is not served by this counterpart.
    #[error("there is no such case")]
    UnknownCase,
    /// The list of matters has changed.
    #[error("the case's version of its matter is gone from the list of matters")]
    UnknownMatter,
    /// The file store has lost it, or the case was never handed in.
    #[error("the package of the case is not in the file store")]
    PackageMissing,
    /// Not as it was written.
    #[error("the package of the case is damaged")]
    PackageUnreadable,
    /// The case says something else than the outbox.
    #[error("the case has no such step to tell of")]
    StepMissing,
    /// The counterpart's row says nothing that can be understood.
    #[error("{0}")]
    StepUnreadable(&'static str),
    /// The counterpart found fault with it after it had taken it; its remark says why.
    #[error("the counterpart refused it later")]
    RefusedLater,
}

impl Obstacle {
    /// Part of the public interface: never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownCase => "unknown_case",
            Self::UnknownMatter => "unknown_matter",
            Self::PackageMissing => "package_gone",
            Self::PackageUnreadable => "package_shape",
            Self::StepMissing => "step_missing",
            Self::StepUnreadable(_) => "step_unreadable",
            Self::RefusedLater => "error_row",
        }
    }
}

/// Why a round ended early: it is made again.
enum Trouble {
    Counterpart(DeliveryError),
    Hub(CaseError),
}

impl From<DeliveryError> for Trouble {
    fn from(error: DeliveryError) -> Self {
        Self::Counterpart(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Hub(error.into())
    }
}

struct Task {
    /// Weak, so that a hub which nobody closes does not live on through its couriers.
    hub: Weak<Hub>,
    counterpart: CaseBase,
    settings: RunnerSettings,
    inbox: mpsc::Receiver<Command>,
    state: watch::Sender<CourierState>,
    failures: u32,
}

impl Task {
    async fn run(mut self) {
        let mut pause = time::Duration::ZERO;
        loop {
            tokio::select! {
                command = self.inbox.recv() => match command {
                    None | Some(Command::Stop) => return,
                    Some(command) => {
                        let Some(hub) = self.hub.upgrade() else { return };
                        self.obey(&hub, command).await;
                        pause = time::Duration::ZERO;
                    }
                },
                () = time::sleep(pause) => {
                    let Some(hub) = self.hub.upgrade() else { return };
                    // A command breaks a round off: it is made again.
                    let command = tokio::select! {
                        command = self.inbox.recv() => Some(command),
                        next = Self::round(&self.counterpart, &self.settings, &self.state, &mut self.failures, &hub) => {
                            pause = next;
                            None
                        }
                    };
                    match command {
                        None => {}
                        Some(None | Some(Command::Stop)) => return,
                        Some(Some(command)) => {
                            self.obey(&hub, command).await;
                            pause = time::Duration::ZERO;
                        }
                    }
                }
            }
        }
    }

    async fn obey(&mut self, hub: &Hub, command: Command) {
        match command {
            Command::Stop => {}
            Command::Pause(paused, answer) => {
                let done = hub.store.set_flag(self.counterpart.name(), paused).await;
                if done.is_ok() {
                    self.failures = 0;
                    self.state.send_modify(|state| {
                        state.paused = paused;
                        state.next_attempt = None;
                    });
                }
                let _ = answer.send(done);
            }
            Command::SendAgain(answer) => {
                let _ = answer.send(send_again(hub, self.counterpart.departments()).await);
            }
        }
    }

    /// One round; how long to wait for the next.
    async fn round(
        counterpart: &CaseBase,
        settings: &RunnerSettings,
        state: &watch::Sender<CourierState>,
        failures: &mut u32,
        hub: &Hub,
    ) -> time::Duration {
        let round = Round { hub, counterpart, state };
        let paused = hub.store.flag(counterpart.name()).await;
        let done = match paused {
            Ok(true) => {
                state.send_modify(|state| state.paused = true);
                round.count().await.map_err(Trouble::from)
            }
            Ok(false) => round.run().await,
            Err(error) => Err(error.into()),
        };
        // Counting tells on the pages what waits, above all when nothing moves.
        let done = match done {
            Err(trouble) => match round.count().await {
                Ok(()) => Err(trouble),
                Err(error) => Err(error.into()),
            },
            done => done,
        };
        let Err(trouble) = done else {
            *failures = 0;
            state.send_modify(|state| state.next_attempt = None);
            return settings.poll;
        };
        *failures = failures.saturating_add(1);
        let pause = settings.pause_after(*failures);
        let now = Timestamp::now();
        let (code, message, advice) = match &trouble {
            Trouble::Counterpart(error) => (error.code(), error.to_string(), error.advice()),
            Trouble::Hub(error) => (
                error.code(),
                error.to_string(),
                "Look at the hub's own state and log; it goes on by itself.",
            ),
        };
        tracing::warn!(
            connector = counterpart.name(),
            error.code = code,
            error = message,
            "cases are not carried for now"
        );
        state.send_modify(|state| {
            state.last_error = Some(LastError {
                at: now,
                code: code.to_owned(),
                message: message.clone(),
                advice: advice.to_owned(),
            });
            let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::ZERO);
            state.next_attempt = now.checked_add(pause).ok();
        });
        pause
    }
}

/// Puts what is set aside into the outbox again, under a new reference each.
async fn send_again(hub: &Hub, departments: &[CreditCode]) -> Result<u64, StoreError> {
    let mut sent = 0;
    for department in departments {
        for held in outbox::set_aside(&*hub.store, department, COUNTED).await? {
            let mut outgoing = held.value.outgoing.clone();
            outgoing.again += 1;
            let mut draft = Draft::new();
            draft.remove(&held);
            draft.put(&outgoing.key(), &outgoing);
            // Stale: somebody else did just this.
            sent += u64::from(draft.commit(&*hub.store).await?.is_ok());
        }
    }
    Ok(sent)
}

struct Round<'a> {
    hub: &'a Hub,
    counterpart: &'a CaseBase,
    state: &'a watch::Sender<CourierState>,
}

impl Round<'_> {
    async fn run(&self) -> Result<(), Trouble> {
        for department in self.counterpart.departments() {
            loop {
                let page = outbox::waiting(&*self.hub.store, department, PAGE).await?;
                for held in &page {
                    self.hand_over(held).await?;
                }
                if page.len() < PAGE {
                    break;
                }
            }
        }
        self.note_refusals().await?;
        self.take_steps().await?;
        self.state.send_modify(|state| state.last_success = Some(Timestamp::now()));
        self.count().await?;
        Ok(())
    }

    async fn count(&self) -> Result<(), StoreError> {
        let (mut waiting, mut set_aside) = (0, 0);
        let mut oldest: Option<Timestamp> = None;
        for department in self.counterpart.departments() {
            let here = outbox::waiting(&*self.hub.store, department, COUNTED).await?;
            waiting += here.len() as u64;
            oldest = oldest.into_iter().chain(here.first().map(|held| held.value.at)).min();
            set_aside +=
                outbox::set_aside(&*self.hub.store, department, COUNTED).await?.len() as u64;
        }
        let age = oldest.map_or(0, |at| self.hub.clock.now().duration_since(at).as_secs());
        let name = self.counterpart.name().to_owned();
        metrics::gauge!("yihao_cases_waiting", "connector" => name.clone()).set(waiting as f64);
        metrics::gauge!("yihao_cases_set_aside", "connector" => name).set(set_aside as f64);
        self.state.send_modify(|state| {
            state.waiting = waiting;
            state.waiting_seconds = u64::try_from(age).unwrap_or(0);
            state.set_aside = set_aside;
        });
        Ok(())
    }

    /// Hands one entry over, takes it out of the outbox and notes it in the case; or sets it aside.
    async fn hand_over(&self, held: &Held<Outgoing>) -> Result<(), Trouble> {
        let outgoing = &held.value;
        let handover = match self.handover(outgoing).await? {
            Ok(handover) => handover,
            Err(obstacle) => {
                return self.set_aside(held, obstacle.code(), &obstacle.to_string()).await;
            }
        };
        match self.counterpart.deliver(&handover).await {
            Ok(()) => {}
            Err(DeliveryError::Refused(problem)) => {
                return self.set_aside(held, problem.code(), &problem.to_string()).await;
            }
            Err(error) => return Err(error.into()),
        }
        if let OutgoingKind::Submitted { .. } = outgoing.what {
            let reference = format!("{}/{}", self.counterpart.name(), outgoing.reference());
            let who = self.department(&outgoing.department)?;
            let delivered = DepartmentStep::Delivered;
            match cases::step(self.hub, &who, &outgoing.case, delivered, Some(&reference)).await {
                Ok(_) => {}
                Err(error) if passes(&error) => return Err(Trouble::Hub(error)),
                Err(error) => tracing::warn!(
                    error.code = error.code(),
                    "a case was handed over, but that could not be noted in it"
                ),
            }
        }
        let mut draft = Draft::new();
        draft.remove(held);
        // Stale: somebody else removed it. Either way it is gone.
        let _ = draft.commit(&*self.hub.store).await?;
        self.state.send_modify(|state| state.delivered += 1);
        Ok(())
    }

    async fn set_aside(
        &self,
        held: &Held<Outgoing>,
        code: &str,
        remark: &str,
    ) -> Result<(), Trouble> {
        let set_aside = SetAside {
            outgoing: held.value.clone(),
            code: code.to_owned(),
            remark: remark.to_owned(),
            at: self.hub.clock.now(),
        };
        let mut draft = Draft::new();
        draft.remove(held);
        draft.put(&held.value.key(), &set_aside);
        let _ = draft.commit(&*self.hub.store).await?;
        tracing::warn!(
            connector = self.counterpart.name(),
            code,
            "a case was set aside: its counterpart did not take it"
        );
        Ok(())
    }

    /// What is handed over for an entry; or a code and why there is nothing to hand over.
    async fn handover(&self, outgoing: &Outgoing) -> Result<Result<Handover, Obstacle>, Trouble> {
        let Some(case) = self.case(&outgoing.case).await? else {
            return Ok(Err(Obstacle::UnknownCase));
        };
        let Ok(matter) = cases::matter_of(self.hub, &case) else {
            return Ok(Err(Obstacle::UnknownMatter));
        };
        let package = match &outgoing.what {
            OutgoingKind::Submitted { package } => Some(*package),
            OutgoingKind::Withdrawn | OutgoingKind::Step { .. } => case.package,
        };
        let Some(digest) = package else {
            return Ok(Err(Obstacle::PackageMissing));
        };
        let bytes =
            self.hub.blobs.get(&digest).await.map_err(|error| Trouble::Hub(error.into()))?;
        let Some(bytes) = bytes else {
            return Ok(Err(Obstacle::PackageMissing));
        };
        let Ok(package) = SignedFile::parse(&bytes).and_then(|file| file.package()) else {
            return Ok(Err(Obstacle::PackageUnreadable));
        };
        let what = match &outgoing.what {
            OutgoingKind::Submitted { .. } => Happened::Submitted(Package {
                again: package.round > 1,
                bytes,
                digest,
                materials: package.items.iter().map(material).collect(),
            }),
            OutgoingKind::Withdrawn => Happened::Withdrawn,
            OutgoingKind::Step { number } => match happened(&case, *number) {
                Some(happened) => happened,
                None => return Ok(Err(Obstacle::StepMissing)),
            },
        };
        let name = |code: &String| {
            self.hub.organisations.node(code).map_or_else(|| code.clone(), |node| node.name.clone())
        };
        Ok(Ok(Handover {
            reference: outgoing.reference(),
            case: case.id.clone(),
            at: outgoing.at,
            matter: case.matter.clone(),
            matter_name: matter.name.clone(),
            matter_version: case.version,
            department: case.department,
            department_name: self.hub.department_name(&case.department).to_owned(),
            applicant: case.holder.clone(),
            applicant_name: package.holder.name.unwrap_or_default(),
            window: case.window.as_ref().map(name),
            due: case.due,
            what,
        }))
    }

    /// What the counterpart finds fault with is set aside with its remark.
    async fn note_refusals(&self) -> Result<(), Trouble> {
        for refusal in self.counterpart.refusals().await? {
            if let Some(outgoing) = self.outgoing_of(&refusal.reference).await? {
                let set_aside = SetAside {
                    outgoing,
                    code: Obstacle::RefusedLater.code().to_owned(),
                    remark: refusal.remark.clone(),
                    at: self.hub.clock.now(),
                };
                let mut draft = Draft::new();
                draft.put(&set_aside.outgoing.key(), &set_aside);
                let _ = draft.commit(&*self.hub.store).await?;
                tracing::warn!(
                    connector = self.counterpart.name(),
                    "a case was set aside: its counterpart finds fault with it"
                );
            }
            self.counterpart.noted(&refusal).await?;
        }
        Ok(())
    }

    /// The entry that a reference was made for, from the case itself: the outbox has it no more.
    async fn outgoing_of(&self, reference: &str) -> Result<Option<Outgoing>, Trouble> {
        let (first, again) = match reference.rsplit_once("-again") {
            Some((first, again)) => (first, again.parse().unwrap_or(0)),
            None => (reference, 0),
        };
        let Some((id, _)) = first.rsplit_once('-') else { return Ok(None) };
        let Some(case) = self.case(id).await? else { return Ok(None) };
        if !self.counterpart.departments().contains(&case.department) {
            return Ok(None);
        }
        let entries = (0..).zip(&case.steps).map(|(number, step)| {
            let what = match &step.what {
                StepKind::Submitted { package } => OutgoingKind::Submitted { package: *package },
                StepKind::Withdrawn => OutgoingKind::Withdrawn,
                _ => OutgoingKind::Step { number },
            };
            let (department, case) = (case.department, case.id.clone());
            Outgoing { department, case, what, at: step.at, again }
        });
        Ok(entries.into_iter().find(|entry| entry.reference() == reference))
    }

    /// Steps of the departments' systems become steps of the cases.
    async fn take_steps(&self) -> Result<(), Trouble> {
        for answer in self.counterpart.answers().await? {
            match self.take_step(&answer).await? {
                Ok(()) => {
                    self.counterpart.taken(&answer.reference, None).await?;
                    self.state.send_modify(|state| state.steps += 1);
                }
                Err((code, why)) => {
                    self.counterpart.taken(&answer.reference, Some((&code, &why))).await?;
                    tracing::warn!(
                        connector = self.counterpart.name(),
                        code,
                        "a department's step was refused"
                    );
                    self.state.send_modify(|state| state.steps_refused += 1);
                }
            }
        }
        Ok(())
    }

    /// One step; or the code and why it is refused, for the counterpart to read.
    async fn take_step(&self, answer: &Answer) -> Result<Result<(), (String, String)>, Trouble> {
        let refused =
            |obstacle: Obstacle| Ok(Err((obstacle.code().to_owned(), obstacle.to_string())));
        let step = match &answer.step {
            Ok(step) => department_step(step),
            Err(why) => return refused(Obstacle::StepUnreadable(why)),
        };
        // A case of a department that this counterpart does not serve is not there for it.
        let unknown = || refused(Obstacle::UnknownCase);
        let Some(case) = self.case(&answer.case).await? else { return unknown() };
        if !self.counterpart.departments().contains(&case.department) {
            return unknown();
        }
        let who = self.department(&case.department)?;
        let reference = format!("{}/{}", self.counterpart.name(), answer.reference);
        match cases::step(self.hub, &who, &case.id, step, Some(&reference)).await {
            Ok(_) => Ok(Ok(())),
            Err(error) if passes(&error) => Err(Trouble::Hub(error)),
            Err(error) => Ok(Err((error.code().to_owned(), error.to_string()))),
        }
    }

    async fn case(&self, id: &str) -> Result<Option<Case>, Trouble> {
        // What is no id is not looked up: keys have a greatest length.
        if id.is_empty() || id.len() > 64 {
            return Ok(None);
        }
        let held = records::read::<Case>(&*self.hub.store, id.as_bytes()).await?;
        Ok(held.map(|held| held.value))
    }

    /// The department, through its counterpart: the access log names the hub's own certificate.
    fn department(&self, department: &CreditCode) -> Result<Who, Trouble> {
        let service = cases::service(self.hub).map_err(Trouble::Hub)?;
        Ok(Who::Department(Caller { department: *department, certificate: service.certificate }))
    }
}

/// Whether an error is about this moment, not about the step.
fn passes(error: &CaseError) -> bool {
    matches!(
        error,
        CaseError::Store(_)
            | CaseError::Files(_)
            | CaseError::Busy
            | CaseError::NoService
            | CaseError::Signer(_)
    )
}

fn department_step(step: &AnswerStep) -> DepartmentStep {
    match step.clone() {
        AnswerStep::Accept => DepartmentStep::Accept,
        AnswerStep::Supplement(items) => DepartmentStep::Supplement {
            items: items
                .into_iter()
                .map(|asked| SupplementItem { requirement: asked.requirement, why: asked.why })
                .collect(),
        },
        AnswerStep::Decline { reason } => DepartmentStep::Decline { reason },
        AnswerStep::Decide { granted, reason } => DepartmentStep::Decide { granted, reason },
        AnswerStep::Result { licence } => DepartmentStep::Result { licence },
    }
}

/// A step that a clerk took, in the words of the counterpart.
fn happened(case: &Case, number: u32) -> Option<Happened> {
    let step = case.steps.get(usize::try_from(number).ok()?)?;
    let (word, remark, licence) = match &step.what {
        StepKind::Accepted => ("accept", String::new(), None),
        StepKind::SupplementAsked { items } => {
            let items: Vec<String> =
                items.iter().map(|item| format!("{}：{}", item.requirement, item.why)).collect();
            ("supplement", items.join("；"), None)
        }
        StepKind::Declined { reason } => ("decline", reason.clone(), None),
        StepKind::Decided { granted, reason } => {
            (if *granted { "grant" } else { "refuse" }, reason.clone(), None)
        }
        StepKind::Resulted { licence } => ("result", String::new(), Some(licence.clone())),
        _ => return None,
    };
    Some(Happened::Step { step: word, remark, licence })
}

fn material(item: &super::package::PackedItem) -> Material {
    let (obtained, file, digest, licence) = match &item.by {
        PackedBy::Licence { identifier } => {
            (Obtained::Licence, None, None, Some(identifier.clone()))
        }
        PackedBy::Fact { identifier, .. } => (Obtained::Fact, None, None, Some(identifier.clone())),
        PackedBy::Material { file_name, sha256, reused, .. } => {
            let obtained = if *reused { Obtained::Reused } else { Obtained::HandedIn };
            (obtained, Some(file_name.clone()), Some(*sha256), None)
        }
        PackedBy::Promised { .. } => (Obtained::Promised, None, None, None),
    };
    let (requirement, name) = (item.requirement.clone(), item.name.clone());
    Material { requirement, name, obtained, file, digest, licence }
}

/// The couriers by their connectors' names.
pub type Couriers = BTreeMap<String, Courier>;
