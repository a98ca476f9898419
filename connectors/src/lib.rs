//! Pushes shared records to other systems: one folder a system, one runner for all.
//!
//! * [`Connector`] is what a counterpart looks like from here: it takes batches in order, at least once, and can say
//!   how many valid licences it holds. [`frontdb`] writes into a front-end exchange database 前置库, [`http`] pushes
//!   JSON to an HTTPS receiver. Every connector passes the suite in [`rules`]. [`KINDS`] is the list of the others.
//! * [`code_map`] is how one counterpart writes what a licence says, as data.
//! * [`inbound`] is the other direction: rows that departments and the province have for us.
//! * [`casebase`] hands cases to a department's system through the same kind of database, and reads its answers; the hub
//!   drives it, since what follows from an answer is not decided here.
//! * [`Runner`] owns everything that is the same for all of them: the durable cursor, batches, retries, what is set
//!   aside, pause, replay, reconciliation and metrics. One task for each counterpart: a slow one delays no other.
//! * [`ConnectorSettings`] is one `[[connectors]]` table of the settings file, as written; checking it reports all
//!   problems at once.
//! * [`files`] drops batches on a file server; [`sftp`] is files on another machine.
//! * [`city_receiver`], [`local_postgres`], [`local_mariadb`], [`local_sshd`] and [`department_desk`] are counterparts to
//!   try the connectors on: the demo's city, province and department.
//!
//! Left to others: what is stored and in which order (`indexes`), what a record means (`licence`), who may operate
//! a connector and how its state is shown (`hub`). No error, log line or metric here holds a number, a name or a
//! field of a licence.

mod bounded_list;
pub mod casebase;
pub mod city_receiver;
pub mod code_map;
mod connector;
pub mod department_desk;
pub mod files;
mod filter;
pub mod frontdb;
pub mod http;
pub mod inbound;
mod kind;
pub mod local_mariadb;
pub mod local_postgres;
pub mod local_sshd;
mod mark;
mod operation;
mod pem;
mod problem;
pub mod provincial_gateway;
pub mod push;
mod remark;
pub mod rest;
pub mod rules;
mod runner;
mod settings;
pub mod sftp;
mod window;

pub use connector::{
    Batch, Connector, Delivered, Preview, PreviewPart, Refused, Reply, ReplyPage, ReplyPosition,
    Shared,
};
pub use filter::{Filter, SharingWord, TypeFilter, TypeTerms, Types};
pub use kind::{KINDS, Kind, Opener};
pub use mark::{Bucket, Holding, Mark, Tally};
pub use operation::Operation;
pub use problem::{DeliveryError, Problem};
pub use runner::{
    BucketCount, Clock, Comparison, ConnectorState, Difference, DifferenceKind, Explanation,
    LastError, ReconcileError, Reconciliation, Runner, RunnerError, RunnerHandle, RunnerSettings,
    Sample, TypeCount,
};
pub use settings::{
    CheckedConnector, CheckedSettings, ConnectorSettings, SettingsError, SettingsProblem, check_all,
};
pub use window::Window;
