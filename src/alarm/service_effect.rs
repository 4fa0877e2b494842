//! What an alarm type does to service when its source does not say so.

use super::{AlarmEvent, ServiceEffect, Severity};

/// Types that take service away from everything behind the resource.
pub const LOSS_TYPES: [&str; 22] = [
    "card-failure",
    "device-down",
    "down",
    "dying-gasp",
    "equipment-failure",
    "fibre-cut",
    "heartbeat-loss",
    "lof",
    "link-down",
    "lob",
    "los",
    "loss-of-frame",
    "loss-of-signal",
    "node-down",
    "offline",
    "olt-los",
    "onu-los",
    "pon-los",
    "port-down",
    "power-failure",
    "silent",
    "unreachable",
];

/// Types that make service worse.
pub const DEGRADED_TYPES: [&str; 7] = [
    "congestion",
    "high-ber",
    "high-latency",
    "high-temperature",
    "low-optical-power",
    "packet-loss",
    "signal-degrade",
];

/// Types that say nothing about the provider's service: the customer's side of the premise.
pub const HARMLESS_TYPES: [&str; 3] = ["lan-los", "uni-los", "wifi-down"];

/// The effect that the event names, else that of its alarm type; a type that is in no table takes
/// service away exactly if its severity is critical, the X.733 word for that.
pub fn effect_of(event: &AlarmEvent) -> ServiceEffect {
    if let Some(effect) = event.detail.service_effect {
        return effect;
    }
    let is_in = |table: &[&str]| {
        table
            .iter()
            .any(|name| same_type(name, &event.key.alarm_type))
    };
    if is_in(&LOSS_TYPES) {
        ServiceEffect::Loss
    } else if is_in(&DEGRADED_TYPES) {
        ServiceEffect::Degraded
    } else if !is_in(&HARMLESS_TYPES) && event.severity == Severity::Critical {
        ServiceEffect::Loss
    } else {
        ServiceEffect::None
    }
}

/// `link-down`, `LINK_DOWN` and `Link_Down` are one type.
fn same_type(name: &str, given: &str) -> bool {
    name.len() == given.len()
        && name
            .bytes()
            .zip(given.bytes())
            .all(|(n, g)| n == g.to_ascii_lowercase() || (n == b'-' && g == b'_'))
}

/// Whether the type tells of power gone at the resource itself.
pub fn is_power(alarm_type: &str) -> bool {
    ["dying-gasp", "power-failure"]
        .iter()
        .any(|name| same_type(name, alarm_type))
}

/// Whether the type tells what a device says when it loses power and can say nothing more.
pub fn is_last_word(alarm_type: &str) -> bool {
    same_type("dying-gasp", alarm_type)
}

/// Whether the type tells what became of the service itself, as who counts sessions sees it, and not of
/// a device.
pub fn is_service_seen(alarm_type: &str) -> bool {
    same_type("silent", alarm_type)
}

/// Whether the type tells of the resource's own hardware, not of the way to it.
pub fn is_own_fault(alarm_type: &str) -> bool {
    is_power(alarm_type)
        || ["card-failure", "equipment-failure", "node-down"]
            .iter()
            .any(|name| same_type(name, alarm_type))
}

/// Whether the type tells of a part that does not work, though nobody has cut its line or its power.
pub fn is_hardware_fault(alarm_type: &str) -> bool {
    (is_own_fault(alarm_type) && !is_power(alarm_type)) || same_type("port-down", alarm_type)
}

/// Whether the type tells of a missing signal, as after a cut.
pub fn is_signal_loss(alarm_type: &str) -> bool {
    [
        "fibre-cut",
        "link-down",
        "lob",
        "lof",
        "los",
        "loss-of-frame",
        "loss-of-signal",
        "olt-los",
        "onu-los",
        "pon-los",
        "port-down",
    ]
    .iter()
    .any(|name| same_type(name, alarm_type))
}
