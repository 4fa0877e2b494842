//! Random streams of alarms: order, repetition, batches and crashes do not matter.

use super::commands::{act, command};
use super::*;
use forewarn::topology::Part;

/// One alarm of a random stream, with the instants at which it is raised and cleared in turn.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) source: i64,
    pub(super) resource: String,
    pub(super) alarm_type: &'static str,
    pub(super) at_ms: Vec<i64>,
}

pub(super) const SPAN: i64 = 5 * MINUTE;

pub(super) fn stories() -> impl Strategy<Value = Vec<Story>> {
    let (definition, _) = metro();
    let mut resources: Vec<String> = definition.elements.iter().map(|e| e.id.clone()).collect();
    resources.extend(definition.links.iter().map(|l| l.id.clone()));
    resources.push("cable3".to_owned());
    resources.push("unknown-thing".to_owned());
    let story = (
        1..=3_i64,
        prop::sample::select(resources),
        prop::sample::select(vec![
            "los",
            "unreachable",
            "power-failure",
            "signal-degrade",
            "dying-gasp",
            "link-down",
            "silent",
        ]),
        prop::collection::btree_set(1..SPAN, 1..6),
    )
        .prop_map(|(source, resource, alarm_type, at_ms)| Story {
            source,
            resource,
            alarm_type,
            at_ms: at_ms.into_iter().collect(),
        });
    let above = prop::sample::select(vec!["olt2", "olt2-p1", "olt3", "oltd", "s2"]);
    let outage = (above, any::<bool>()).prop_flat_map(|(above, is_power)| {
        let (definition, _) = metro();
        let below = definition.elements.into_iter().map(|element| element.id);
        let below = below.filter(|id| id.starts_with(above) && id.contains("-h"));
        // Power goes at once, and most homes can say so.
        let (within_ms, gasps) = if is_power { (MINUTE, 0.7) } else { (SPAN, 0.0) };
        let story = |resource: String| {
            let drawn = (
                1..within_ms,
                prop::bool::weighted(0.15),
                prop::bool::weighted(gasps),
            );
            drawn.prop_map(move |(at_ms, clears, gasps)| Story {
                source: 1,
                resource: resource.clone(),
                alarm_type: if gasps { "dying-gasp" } else { "onu-los" },
                at_ms: if clears {
                    vec![at_ms, at_ms + 1]
                } else {
                    vec![at_ms]
                },
            })
        };
        below.map(story).collect::<Vec<_>>()
    });
    (
        prop::collection::vec(story, 0..14),
        prop::option::of(outage),
    )
        .prop_map(|(stories, outage)| {
            stories
                .into_iter()
                .chain(outage.into_iter().flatten())
                .collect()
        })
}

/// The stream of the stories in the order of its events; one alarm is told once.
pub(super) fn stream(stories: &[Story]) -> Vec<LogEntry> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for story in stories {
        if !seen.insert((story.source, &story.resource, story.alarm_type)) {
            continue;
        }
        for (turn, at_ms) in story.at_ms.iter().enumerate() {
            let kind = if turn % 2 == 0 {
                AlarmEventKind::Raise
            } else {
                AlarmEventKind::Clear
            };
            entries.push(alarm_entry(
                story.source,
                0,
                kind,
                &story.resource,
                story.alarm_type,
                *at_ms,
            ));
        }
    }
    entries.sort_by_key(|e| e.received_at_ms);
    for (sequence, entry) in (1..).zip(&mut entries) {
        entry.sequence = sequence;
    }
    entries
}

/// What must not depend on the order of arrival; of the onset, see [`onset`].
pub(super) fn essence(correlator: &Correlator) -> Vec<String> {
    let mut open: Vec<String> = correlator
        .live()
        .filter(|live| live.incident.state.is_open() && live.incident.evidence_count > 0)
        .map(|live| {
            let i = live.incident;
            format!(
                "{:?} {:?} unstable {} stale {} lost {:?} at risk {:?} evidence {} {:?}",
                i.state,
                i.cause,
                i.unstable,
                i.stale,
                live.lost,
                live.at_risk,
                i.evidence_count,
                i.evidence
            )
        })
        .collect();
    open.sort();
    open
}

fn is_premise(network: &Network, resource: &str) -> bool {
    network.part(resource).is_none() || resource.contains("-h")
}

/// Whether two parts behind an alarm, or links at it, have come back since.
fn has_outlived(correlator: &Correlator, alarm: &forewarn::alarm::AlarmState) -> bool {
    let network = correlator.network();
    let part = network.part(&alarm.key().resource).unwrap();
    let lost = network.lost_alone(part);
    let is_behind = |other| {
        let behind = network.lost_alone(other);
        let is_at = match (part, other) {
            (Part::Element(device), Part::Link(link)) => {
                let (a, b) = network.link_ends(link);
                a == device || b == device
            }
            _ => false,
        };
        is_at || !behind.is_empty() && behind.difference(&lost).is_empty()
    };
    let back = correlator.book().iter().filter(|(_, other)| {
        let part = network.part(&other.key().resource);
        let is_back = other.cleared_ms() > Some(alarm.raised_ms() + 2 * MINUTE);
        is_back && part.is_some_and(is_behind)
    });
    let back: BTreeSet<&str> = back
        .map(|(_, other)| other.key().resource.as_str())
        .collect();
    back.len() >= 2
}

/// Every alarm of loss that is not one home's belongs to exactly one open incident, or is kept by one
/// that ends and whose people it would not be believed of, or to none when what is behind it has come
/// back; and the people of an incident are exactly
/// those whom its cause cuts off.
pub(super) fn check_invariants(correlator: &Correlator) {
    let network = correlator.network();
    for live in correlator.live().filter(|l| l.incident.state.is_open()) {
        let parts: Vec<_> = live
            .incident
            .cause
            .resources
            .iter()
            .filter_map(|id| network.part(id))
            .collect();
        assert_eq!(**live.lost, network.lost(&parts));
        assert_eq!(live.incident.affected, live.lost.len() as u64);
    }
    for (_, alarm) in correlator.book().iter().filter(|(_, a)| a.is_active()) {
        if alarm.effect() != forewarn::alarm::ServiceEffect::Loss
            || is_premise(network, &alarm.key().resource)
        {
            continue;
        }
        let open = || correlator.incidents().filter(|i| i.state.is_open());
        let holds = |i: &&Arc<Incident>| {
            let mut evidence = i.evidence.iter();
            evidence.any(|e| e.key == *alarm.key() && e.source == alarm.source())
        };
        let is_ending = |i: &&Arc<Incident>| i.life.quiet_since_ms.is_some();
        let mut holders = open().filter(|i| !is_ending(i)).filter(holds).count();
        if holders == 0 {
            let was_believed = |i: &&Arc<Incident>| i.state == Confirmed;
            holders = open()
                .filter(is_ending)
                .filter(was_believed)
                .filter(holds)
                .count();
        }
        let mut outlived = correlator.outlived();
        if outlived.any(|other| other.key() == alarm.key() && other.source() == alarm.source()) {
            assert!(has_outlived(correlator, alarm), "{:?}", alarm.key());
            let goes_on = open().filter(|i| !is_ending(i)).filter(holds).count();
            assert_eq!(goes_on, 0, "{:?} is left aside", alarm.key());
            continue;
        }
        assert_eq!(holders, 1, "{:?} is explained {holders} times", alarm.key());
    }
}

pub(super) fn shuffled(mut entries: Vec<LogEntry>, mut state: u64) -> Vec<LogEntry> {
    for at in (1..entries.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        entries.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
    }
    entries
}

/// Takes the stream in its own order, and shuffled with repetitions after all of it has happened.
pub(super) fn straight_and_crooked(
    stories: &[Story],
    seed: u64,
    repeats: usize,
    batch: usize,
) -> (Desk, Desk) {
    let entries = stream(stories);
    let mut straight = Desk::new();
    for entry in &entries {
        straight.until(entry.received_at_ms);
        straight.take(entry.clone());
    }
    let mut all = entries.clone();
    for _ in 0..repeats {
        all.extend(entries.iter().cloned());
    }
    let mut crooked = Desk::new();
    let count = i64::try_from(all.len()).unwrap().max(1);
    for (at, entry) in shuffled(all, seed).into_iter().enumerate() {
        crooked.now_ms = SPAN + 2 * MINUTE * i64::try_from(at).unwrap() / count;
        crooked.take(entry);
        if at % batch == 0 {
            crooked.settle();
        }
    }
    straight.until(SPAN + 7 * MINUTE);
    crooked.until(SPAN + 7 * MINUTE);
    (straight, crooked)
}

proptest! {
    #![proptest_config(crate::support::draws(96))]

    #[test]
    fn order_repetition_and_batches_do_not_matter(
        stories in stories(),
        seed in any::<u64>(),
        repeats in 0..3_usize,
        batch in 1..9_usize,
    ) {
        let (straight, crooked) = straight_and_crooked(&stories, seed, repeats, batch);
        prop_assert_eq!(essence(&straight.correlator), essence(&crooked.correlator));
    }

    #[test]
    fn a_crash_changes_nothing(
        stories in stories(),
        crash in 0..40_usize,
        snapshot in 0..40_usize,
        commands in prop::collection::btree_map(0..60_usize, (1..4_i64, any::<bool>()), 0..4),
        acts in prop::collection::btree_map(0..60_usize, act(), 0..5),
        records in prop::collection::btree_map(0..40_usize, 0..4_usize, 0..6),
    ) {
        let mut entries = stream(&stories);
        for (at, kind) in &records {
            let at_ms = entries.get(*at).map_or(SPAN, |e| e.received_at_ms);
            let record = [LogRecord::Stale, LogRecord::Heard, LogRecord::SnapshotBegin, LogRecord::SnapshotEnd][*kind].clone();
            let place = (*at).min(entries.len());
            entries.insert(place, LogEntry { position: 0, source: SourceId(1), sequence: 1_000_000, received_at_ms: at_ms, record });
        }
        for (position, entry) in (1..).zip(&mut entries) {
            entry.position = position;
        }
        let settings = CorrelatorSettings { gather_ms: 500, ..CorrelatorSettings::default() };
        let mut steady = Correlator::new(settings.clone(), built());
        let mut shaky = Correlator::new(settings.clone(), built());
        let mut kept: BTreeMap<IncidentNo, String> = BTreeMap::new();
        let mut saved = (0, Vec::new());
        let rounds = entries.len().max(40) + 40;
        let mut now_ms = 0;
        for round in 0..rounds {
            if let Some(entry) = entries.get(round) {
                now_ms = now_ms.max(entry.received_at_ms);
                steady.apply(entry);
                shaky.apply(entry);
            } else {
                now_ms += 11 * SECOND;
            }
            if let Some((no, reject)) = commands.get(&round) {
                let action = if *reject {
                    OperatorAction::Reject { reason: "no".to_owned() }
                } else {
                    OperatorAction::Confirm { note: String::new() }
                };
                let command = OperatorCommand { incident: IncidentNo(*no), by: "noc".to_owned(), action };
                prop_assert_eq!(steady.command(&command, now_ms), shaky.command(&command, now_ms));
            }
            if let Some(command) = acts.get(&round).and_then(|act| command(act, &steady)) {
                prop_assert_eq!(steady.command(&command, now_ms), shaky.command(&command, now_ms));
            }
            let (a, b) = (steady.settle(now_ms), shaky.settle(now_ms));
            prop_assert_eq!(format!("{a:?}"), format!("{b:?}"));
            for change in b {
                kept.insert(change.incident.no, serde_json::to_string(&change.incident).unwrap());
            }
            if round == snapshot {
                saved = (round + 1, shaky.book().pages().collect::<Result<_, _>>().unwrap());
            }
            if round == crash {
                let from = saved.0.min(round + 1);
                let mut book = AlarmBook::from_pages(saved.1.iter().map(Vec::as_slice)).unwrap();
                for entry in entries.iter().take(round + 1).skip(from) {
                    book.apply(entry);
                }
                prop_assert!(book == *shaky.book());
                let incidents: Vec<Incident> = kept
                    .values()
                    .map(|text| serde_json::from_str::<Incident>(text).unwrap())
                    .filter(|incident| incident.is_followed(&settings, now_ms))
                    .collect();
                shaky = Correlator::restore(settings.clone(), built(), book, incidents, shaky.last_incident_no());
            }
        }
    }

    #[test]
    fn every_alarm_is_explained_once_and_the_lost_are_those_cut_off(stories in stories()) {
        let settings = CorrelatorSettings { gather_ms: 0, ..CorrelatorSettings::default() };
        let mut desk = Desk::with(settings, built());
        for entry in stream(&stories) {
            desk.until(entry.received_at_ms);
            desk.take(entry);
            desk.settle();
            check_invariants(&desk.correlator);
        }
        desk.until(SPAN + 5 * MINUTE);
        check_invariants(&desk.correlator);
    }
}
