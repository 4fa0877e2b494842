//! What the correlator shows to the rest of the process, and how commands reach it.

use crate::clock::Millis;
use crate::experience::{Experience, Learned};
use crate::geography::NetworkMap;
use crate::incident::{CommandError, Incident, OperatorCommand, Statement};
use crate::topology::{Network, SubscriberSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// The present state: replaced as a whole after each commit.
#[derive(Clone, Debug)]
pub struct Live {
    pub network: Arc<Network>,
    /// Where the subscribers and elements of that version are.
    pub map: Arc<NetworkMap>,
    pub topology_version: i64,
    pub subscribers_version: i64,
    /// Open incidents, and those restored so lately that they can reopen; by number.
    pub incidents: Vec<LiveIncident>,
    /// Planned work that is going on, by number.
    pub works: Vec<LiveWork>,
    /// How long faults took that are over.
    pub experience: Arc<Experience>,
    /// Live alarms, and how many of them name a resource that no topology knows.
    pub alarms: u64,
    pub unmapped_alarms: u64,
}

impl Live {
    /// What like faults say of an incident at `now_ms`.
    pub fn learned(&self, incident: &Incident, now_ms: Millis) -> Option<Learned> {
        let open = self.incidents.iter().map(|live| live.incident.as_ref());
        self.experience.learned(incident, open, now_ms)
    }
}

/// An incident with its present impact.
#[derive(Clone, Debug)]
pub struct LiveIncident {
    pub incident: Arc<Incident>,
    pub lost: Arc<SubscriberSet>,
    pub at_risk: Arc<SubscriberSet>,
}

/// Planned work within its window.
#[derive(Clone, Debug)]
pub struct LiveWork {
    pub statement: Arc<Statement>,
    /// Who is without service while all of it is down.
    pub lost: Arc<SubscriberSet>,
}

/// Readers hold a receiver and take `borrow().clone()`; each change is a new value.
pub type LiveReceiver = watch::Receiver<Arc<Live>>;

/// A command on its way to the correlator; the answer comes after the commit.
#[derive(Debug)]
pub struct PendingCommand {
    pub command: OperatorCommand,
    pub answer: oneshot::Sender<Result<Incident, CommandError>>,
}

/// Hands commands to the correlator.
pub type CommandSender = mpsc::Sender<PendingCommand>;
