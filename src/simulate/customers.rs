//! Customers: they notice after a while, and some complain, fewer when they have been told.

use super::chance::{Purpose, exponential_ms, generator, mixed};
use super::truth::Truth;
use super::world::{Home, World};
use crate::clock::Millis;
use crate::effect::complaint::ComplaintChannel;
use crate::topology::SubscriberNo;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How customers behave. Hazards are per minute without service, after it was noticed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Customers {
    /// From the loss of service until somebody at home notices, on average, milliseconds.
    pub notice_ms: i64,
    /// The same for businesses.
    pub business_notice_ms: i64,
    /// Hazard to complain of somebody who knows nothing.
    pub untold_per_minute: f64,
    /// Of somebody who was told after noticing: annoyed already.
    pub told_late_per_minute: f64,
    /// Of somebody who was told before noticing.
    pub told_in_time_per_minute: f64,
    /// So many times the hazard for businesses, and for those who depend on the service.
    pub business_factor: f64,
    pub vulnerable_factor: f64,
    /// Nobody complains later than this after the loss.
    pub patience_ms: i64,
}

impl Default for Customers {
    fn default() -> Self {
        Self {
            notice_ms: 25 * 60_000,
            business_notice_ms: 5 * 60_000,
            untold_per_minute: 0.002,
            told_late_per_minute: 0.001,
            told_in_time_per_minute: 0.000_5,
            business_factor: 2.0,
            vulnerable_factor: 1.5,
            patience_ms: 8 * 3_600_000,
        }
    }
}

/// A customer who makes contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomerComplaint {
    pub subscriber: SubscriberNo,
    pub at_ms: Millis,
    pub channel: ComplaintChannel,
    /// The fault behind it, as an index in the truth.
    pub fault: usize,
}

/// Who complains of the faults, in order of time; `told_ms` says when somebody was told, if ever.
///
/// Each customer has draws of their own, so that telling one does not change another.
pub fn complaints(
    world: &World,
    truth: &Truth,
    customers: &Customers,
    seed: u64,
    told_ms: &dyn Fn(SubscriberNo) -> Option<Millis>,
) -> Vec<CustomerComplaint> {
    let mut complaints = Vec::new();
    for (index, fault) in truth.faults.iter().enumerate() {
        // When each one lost service, and when it came back.
        let mut without: BTreeMap<SubscriberNo, [Millis; 2]> = BTreeMap::new();
        for (at, stage) in fault.stages.iter().enumerate() {
            let until_ms = fault
                .stages
                .get(at + 1)
                .map_or(Millis::MAX, |next| next.at_ms);
            for subscriber in world.network().subscribers(&stage.lost) {
                let times = without.entry(subscriber).or_insert([stage.at_ms, until_ms]);
                times[1] = until_ms;
            }
        }
        for (subscriber, times) in without {
            let home = world.homes().get(subscriber.0 as usize);
            let own = mixed(seed ^ mixed(index as u64)) ^ u64::from(subscriber.0);
            let mut rng = generator(own, Purpose::Customers);
            let Some(home) = home else { continue };
            let told = told_ms(subscriber);
            if let Some(at_ms) = complains(*home, times, told, customers, &mut rng) {
                complaints.push(CustomerComplaint {
                    subscriber,
                    at_ms,
                    channel: channel(home.business, &mut rng),
                    fault: index,
                });
            }
        }
    }
    complaints.sort_by_key(|complaint| (complaint.at_ms, complaint.subscriber));
    complaints
}

/// When a customer complains. The hazard is constant in pieces, so the time comes from one
/// exponential draw that is used up piece by piece.
fn complains(
    home: Home,
    [lost_ms, back_ms]: [Millis; 2],
    told_ms: Option<Millis>,
    customers: &Customers,
    rng: &mut impl Rng,
) -> Option<Millis> {
    let mean_ms = if home.business {
        customers.business_notice_ms
    } else {
        customers.notice_ms
    };
    let noticed_ms = lost_ms + exponential_ms(mean_ms as f64, rng);
    let until_ms = back_ms.min(lost_ms + customers.patience_ms);
    let budget = -(1.0 - rng.random::<f64>()).ln();
    let mut factor = 1.0;
    if home.business {
        factor *= customers.business_factor;
    }
    if home.vulnerable {
        factor *= customers.vulnerable_factor;
    }
    let after = |from_ms: Millis, hazard: f64, left: f64| {
        let minutes = left / (hazard * factor).max(f64::MIN_POSITIVE);
        from_ms as f64 + minutes * 60_000.0
    };
    let told_ms = told_ms.unwrap_or(Millis::MAX);
    let at = if told_ms <= noticed_ms {
        after(noticed_ms, customers.told_in_time_per_minute, budget)
    } else {
        let untold = after(noticed_ms, customers.untold_per_minute, budget);
        if untold <= told_ms as f64 {
            untold
        } else {
            let minutes = (told_ms - noticed_ms) as f64 / 60_000.0;
            let left = budget - minutes * customers.untold_per_minute * factor;
            after(told_ms, customers.told_late_per_minute, left)
        }
    };
    (at < until_ms as f64).then(|| super::chance::whole(at))
}

fn channel(business: bool, rng: &mut impl Rng) -> ComplaintChannel {
    let drawn: f64 = rng.random();
    let call = if business { 0.75 } else { 0.6 };
    if drawn < call {
        ComplaintChannel::Call
    } else if drawn < call + 0.1 {
        ComplaintChannel::Chat
    } else if drawn < call + 0.15 {
        ComplaintChannel::Ticket
    } else if drawn < call + 0.2 {
        ComplaintChannel::Mail
    } else {
        ComplaintChannel::Social
    }
}
