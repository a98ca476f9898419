//! People submit a material once: matters are run as cases, what the repository holds is never asked for, what was
//! handed in before is used again, and the holder decides and sees who looks.
//!
//! * [`case`]: what a case is, and which steps it may take.
//! * [`cases`]: the steps themselves; [`checklist`]: what is held and what is missing; [`prefill`]: forms filled from
//!   licences; [`promise`]: what may follow; [`package`]: what is handed to the department, signed.
//! * [`outbox`]: what goes to the departments' counterparts, in order.
//! * [`materials`]: files handed in once and used again; [`upload`]: how they arrive; [`sniff`], [`scan`]: what they are.
//! * [`who`]: on whose behalf something is done.
//!
//! Every room records what it changes with [`crate::records`], together with the uses that belong to it.

pub mod case;
pub mod cases;
pub mod checklist;
pub mod materials;
pub mod outbox;
pub mod package;
pub mod prefill;
pub mod promise;
pub mod scan;
pub mod sniff;
pub mod upload;
pub mod who;

pub use who::{Clerk, Who};
