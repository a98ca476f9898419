//! What the judgement of one file may cost.

use std::cell::Cell;

use crate::{ChainError, PathCost};

/// What a file may cost, in checks of signatures. A file may bring dozens of signatures, each with certificates and
/// time-stamps of its own, and [`PathCost`] bounds only the search for one path. Paths that hold are remembered: a file
/// with a hundred good signatures costs some three hundred.
const BUDGET: usize = 512;

/// What the time-stamps of a single signature may cost.
const BUDGET_OF_STAMPS: usize = 32;

/// To look at so many certificates takes as long as to check one signature.
const STEPS_OF_A_CHECK: usize = 64;

/// What is left for a file, shared by everything in it that is judged.
pub(crate) struct Effort(Cell<usize>);

impl Default for Effort {
    fn default() -> Self {
        Self(Cell::new(BUDGET))
    }
}

impl Effort {
    /// For the time-stamps of a single signature, whose own path is searched besides.
    pub(crate) fn of_stamps() -> Self {
        Self(Cell::new(BUDGET_OF_STAMPS))
    }

    /// Takes `checks` off; the last one may take more than is left.
    ///
    /// # Errors
    /// `Budget` when nothing is left.
    pub(crate) fn spend(&self, checks: usize) -> Result<(), ChainError> {
        match self.0.get() {
            0 => Err(ChainError::Budget),
            left => {
                self.0.set(left.saturating_sub(checks));
                Ok(())
            }
        }
    }

    /// Takes off what the search for a path did cost.
    pub(crate) fn spend_on_path(&self, cost: &PathCost) {
        let PathCost { steps, signature_checks, paths } = *cost;
        let spent = signature_checks + paths + steps / STEPS_OF_A_CHECK;
        self.0.set(self.0.get().saturating_sub(spent));
    }
}
