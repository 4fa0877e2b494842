//! A channel that keeps messages in memory.

use super::{Outgoing, SendOutcome};
use std::sync::{Mutex, PoisonError};

/// Keeps messages and answers by rule.
pub struct Recorder {
    rule: Box<dyn Fn(&Outgoing) -> SendOutcome + Send + Sync>,
    accepted: Mutex<Vec<Outgoing>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recorder {
    /// `rule` says what becomes of each message.
    pub fn new(rule: impl Fn(&Outgoing) -> SendOutcome + Send + Sync + 'static) -> Self {
        Self {
            rule: Box::new(rule),
            accepted: Mutex::default(),
        }
    }

    pub(super) fn send(&self, message: &Outgoing) -> SendOutcome {
        let outcome = (self.rule)(message);
        if outcome == SendOutcome::Accepted {
            let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
            accepted.push(message.clone());
        }
        outcome
    }

    /// Takes out what was accepted so far.
    pub fn take(&self) -> Vec<Outgoing> {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *accepted)
    }
}
