//! How the live alarms, which the correlator owns, are asked for.

use crate::alarm::{AlarmKey, AlarmState, ServiceEffect, Severity, SourceId};
use crate::clock::Millis;
use crate::incident::Correlator;
use std::collections::BTreeSet;
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

/// What a question finds among the alarms of the correlator.
pub(super) fn alarm_page(core: &Correlator, query: &AlarmQuery) -> AlarmPage {
    let unmapped: BTreeSet<LiveAlarmKey> = core.unmapped().map(live_key).collect();
    let mut wanted: Vec<(LiveAlarmKey, &AlarmState)> = core
        .book()
        .iter()
        .map(|(_, alarm)| alarm)
        .filter(|alarm| alarm.is_active())
        .map(|alarm| (live_key(alarm), alarm))
        .filter(|(key, _)| query.after.as_ref().is_none_or(|after| key > after))
        .filter(|(key, _)| !query.unmapped_only || unmapped.contains(key))
        .collect();
    wanted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let more = wanted.len() > query.limit;
    wanted.truncate(query.limit);
    let alarms = wanted.into_iter().map(|((source, key), alarm)| LiveAlarm {
        unmapped: unmapped.contains(&(source, key.clone())),
        source,
        key,
        severity: alarm.severity(),
        service_effect: alarm.effect(),
        raised_ms: alarm.raised_ms(),
        changed_ms: alarm.changed_ms(),
        text: alarm.text().to_owned(),
    });
    AlarmPage {
        alarms: alarms.collect(),
        more,
        total: core.book().active_count() as u64,
        unmapped: core.unmapped_count() as u64,
    }
}

fn live_key(alarm: &AlarmState) -> LiveAlarmKey {
    (alarm.source(), alarm.key().clone())
}
