//! The hub: server, pages and the operator's command line.
//!
//! This is the only crate that knows all others. What it does itself: decide who may do what
//! ([`policy`]), take licences in ([`intake`]), judge and hand them out ([`judge`], [`pull`]), speak
//! HTTP ([`http`]), show pages ([`pages`]) and run ([`command`]). What a licence *is* stands in
//! `licence`, what a signature proves in `certs`, where records live in `indexes`, where they go in
//! `connectors`.

pub mod clock;
pub mod command;
pub mod config;
pub mod connector_ops;
pub mod exchange;
pub mod face_files;
pub mod http;
pub mod hub;
pub mod inbound;
pub mod intake;
pub mod judge;
pub mod keys;
pub mod login;
pub mod matters;
pub mod pages;
pub mod policy;
pub mod pull;
pub mod records;
pub mod reuse;
pub mod stamps;
pub mod sweep;
pub mod tls;
pub mod trust;
pub mod verify;

pub use hub::Hub;
