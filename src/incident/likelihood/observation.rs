//! What the alarms of one part say about its being cut off.

use super::WINDOW_MS;
use crate::alarm::{AlarmState, is_power};
use crate::clock::Millis;

/// Longest time by which a sign of life may seem to precede the alarm it belongs to, in milliseconds.
const SLACK_MS: i64 = 60_000;

/// What is seen of a part. The instants are by the clock of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::incident) enum Observation {
    /// No alarm.
    #[default]
    Silent,
    /// Without service since then.
    Alarmed(Millis),
    /// It said itself that it has no power; nothing is known of its line.
    NoPower(Millis),
    /// It was without service from then on, and has come back.
    Alive(Millis),
}

impl Observation {
    /// What it means beside those of the homes that hang where this one does, itself among them: not
    /// every home that loses power can say so, and where at least one in three of those that go dark
    /// within a window says so, all have lost it. (Of three in four who say so, fewer than one in
    /// three do in one case of fifty among five homes.)
    pub(in crate::incident) fn among(self, others: &[Self]) -> Self {
        let Self::Alarmed(at_ms) = self else {
            return self;
        };
        let near = |other: &i64| (other - at_ms).abs() <= WINDOW_MS;
        let count =
            |of: fn(&Self) -> Option<Millis>| others.iter().filter_map(of).filter(near).count();
        let gasped = count(|other| match other {
            Self::NoPower(at_ms) => Some(*at_ms),
            _ => None,
        });
        let silent = count(|other| match other {
            Self::Alarmed(at_ms) => Some(*at_ms),
            _ => None,
        });
        if gasped > 0 && 2 * gasped >= silent {
            Self::NoPower(at_ms)
        } else {
            self
        }
    }

    pub(in crate::incident) fn at_ms(self) -> Option<Millis> {
        match self {
            Self::Silent => None,
            Self::Alarmed(at) | Self::NoPower(at) | Self::Alive(at) => Some(at),
        }
    }
}

/// When the last of these alarms ended.
pub(in crate::incident) fn ended_ms<'a>(
    alarms: impl Iterator<Item = &'a AlarmState>,
) -> Option<Millis> {
    alarms.filter_map(AlarmState::cleared_ms).max()
}

/// How long a dying gasp is believed, by the time of receipt, in milliseconds: it is a last word, often
/// never taken back, and few power cuts last longer.
pub(in crate::incident) const GASP_BELIEVED_MS: i64 = 8 * 3_600_000;

/// Sums up the loss alarms of one part, active ones and those that ended lately.
///
/// A dying gasp is often never cleared: when another alarm of the part has been cleared after it, the
/// part is alive. One that came before `gasps_from_ms` says nothing any more.
pub(in crate::incident) fn observe<'a>(
    alarms: impl Iterator<Item = &'a AlarmState>,
    gasps_from_ms: Millis,
) -> Observation {
    let earliest = |known: &mut Option<Millis>, at: Millis| {
        *known = Some(known.map_or(at, |k| k.min(at)));
    };
    let (mut dark, mut gasp) = (None, None);
    let mut ended: Option<(Millis, Millis)> = None;
    for alarm in alarms {
        if alarm.is_evidence() {
            let power = is_power(&alarm.key().alarm_type);
            if power && alarm.active_received_ms() < gasps_from_ms {
                continue;
            }
            earliest(if power { &mut gasp } else { &mut dark }, alarm.raised_ms());
        } else if let Some(cleared_ms) = alarm.cleared_ms() {
            ended = ended.max(Some((cleared_ms, alarm.raised_ms())));
        }
    }
    match (dark, gasp, ended) {
        (Some(dark), Some(gasp), _) if (dark - gasp).abs() <= 2 * WINDOW_MS => {
            Observation::NoPower(gasp.min(dark))
        }
        (Some(dark), _, _) => Observation::Alarmed(dark),
        (None, Some(gasp), Some((cleared_ms, _))) if cleared_ms > gasp + SLACK_MS => {
            Observation::Alive(gasp)
        }
        (None, Some(gasp), _) => Observation::NoPower(gasp),
        (None, None, Some((_, raised_ms))) => Observation::Alive(raised_ms),
        (None, None, None) => Observation::Silent,
    }
}
