//! How the live alarms, which the correlator owns, are asked for.

use crate::alarm::{AlarmKey, ServiceEffect, Severity, SourceId};
use crate::clock::Millis;
use tokio::sync::{mpsc, oneshot};

/// Identity of a live alarm; the order of the list.
pub type LiveAlarmKey = (SourceId, AlarmKey);

/// A question to the correlator: one page of the live alarms.
#[derive(Debug)]
pub struct AlarmQuery {
    /// Only alarms whose resource no imported topology knows.
    pub unmapped_only: bool,
    /// The page begins after this one.
    pub after: Option<LiveAlarmKey>,
    pub limit: usize,
    pub answer: oneshot::Sender<AlarmPage>,
}

/// Live alarms in the order of their keys.
#[derive(Clone, Debug, Default)]
pub struct AlarmPage {
    pub alarms: Vec<LiveAlarm>,
    /// Whether there are alarms after these.
    pub more: bool,
    /// Live alarms in all, and how many of them are unmapped.
    pub total: u64,
    pub unmapped: u64,
}

/// An alarm that has been raised and not cleared.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveAlarm {
    pub source: SourceId,
    pub key: AlarmKey,
    pub severity: Severity,
    /// As the source said or the alarm type implies.
    pub service_effect: ServiceEffect,
    pub raised_ms: Millis,
    pub changed_ms: Millis,
    pub text: String,
    pub unmapped: bool,
}

/// Hands questions to the correlator.
pub type AlarmQuerySender = mpsc::Sender<AlarmQuery>;
