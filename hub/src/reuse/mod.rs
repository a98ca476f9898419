//! People submit a material once: matters are run as cases, what the repository holds is never asked for, what was
//! handed in before is used again, and the holder decides and sees who looks.
//!
//! * [`case`]: what a case is, and which steps it may take.
//! * [`cases`]: the steps themselves; [`checklist`]: what is held and what is missing; [`prefill`]: forms filled from
//!   licences; [`promise`]: what may follow; [`package`]: what is handed to the department, signed.
//! * [`outbox`]: what goes to the departments' counterparts, in order; [`courier`]: carries it, and the answers back.
//! * [`materials`]: files handed in once and used again; [`upload`]: how they arrive; [`sniff`], [`scan`]: what they are.
//! * [`consents`], [`terms`]: what a holder allows, and what bounds a grant; [`mandates`]: what needs no consent.
//! * [`reach`]: how far clerks see into that.
//! * [`corrections`]: a holder disputes a field, its issuer answers.
//! * [`own`]: a holder's look at their own licences; [`uses`]: who looked, as the holder sees it.
//! * [`who`]: on whose behalf something is done.
//!
//! Every room records what it changes with [`crate::records`], together with the uses that belong to it.

pub mod case;
pub mod cases;
pub mod checklist;
pub mod consents;
pub mod corrections;
pub mod courier;
pub mod mandates;
pub mod materials;
pub mod outbox;
pub mod own;
pub mod package;
pub mod prefill;
pub mod promise;
pub mod reach;
pub mod scan;
pub mod sniff;
pub mod terms;
pub mod upload;
pub mod uses;
pub mod who;

pub use who::{Clerk, Who};
