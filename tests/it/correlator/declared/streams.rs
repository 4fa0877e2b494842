//! Properties over random streams of alarms with declarations between them.

use super::*;
use crate::correlator::streams::{SPAN, shuffled, stories, stream};

/// A declaration with the instant at which it comes.
#[derive(Clone, Debug)]
struct Said {
    at_ms: i64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// Homes without service; how many of those of all.
    Dark(Vec<String>),
    Powerless(Vec<(&'static str, u32)>),
    Fault(i64, &'static str),
    /// A fault opened by hand for an area with those homes.
    DarkFault(i64, Vec<String>),
    Work(i64, &'static str, i64),
    EndArea,
    CancelWork(i64),
}

const PARTS: [&str; 7] = [
    "olt2", "olt3-p1", "oltd", "s2", "cable3", "s1/oltd", "olt2-p2",
];

fn what() -> impl Strategy<Value = What> {
    let (_, people) = metro();
    let all: Vec<String> = people.iter().map(|p| p.served_by[0].clone()).collect();
    let part = || prop::sample::select(PARTS.to_vec());
    let element = prop::sample::select(vec!["olt2", "olt3-p1", "oltd", "s2", "s1"]);
    prop_oneof![
        prop::sample::subsequence(all.clone(), 0..20).prop_map(What::Dark),
        (1..3_i64, prop::sample::subsequence(all, 1..20))
            .prop_map(|(no, homes)| What::DarkFault(no, homes)),
        prop::collection::btree_map(element, 0..5_u32, 1..4)
            .prop_map(|elements| What::Powerless(elements.into_iter().collect())),
        (1..3_i64, part()).prop_map(|(no, part)| What::Fault(no, part)),
        (1..3_i64, part(), 1..4_i64).prop_map(|(no, part, long)| What::Work(no, part, long)),
        Just(What::EndArea),
        (1..3_i64).prop_map(What::CancelWork),
    ]
}

fn said() -> impl Strategy<Value = Vec<Said>> {
    let one = (1..SPAN, what()).prop_map(|(at_ms, what)| Said { at_ms, what });
    prop::collection::vec(one, 0..6).prop_map(|mut said| {
        said.sort_by_key(|said| said.at_ms);
        said
    })
}

/// What each says, with rising revisions; what ends nothing is left out.
fn declarations(said: &[Said], network: &Network) -> Vec<(i64, Declaration)> {
    let mut known: BTreeMap<DeclarationId, Declaration> = BTreeMap::new();
    let mut out = Vec::new();
    for Said { at_ms, what } in said {
        let area = DeclarationId::Area(AreaNo(7));
        let revision = |id: DeclarationId| {
            let before = known.get(&id).map_or(0, |d| d.reference().revision);
            before + 1
        };
        let end = |id: DeclarationId| {
            let mut declaration = known.get(&id)?.clone();
            let statement = Statement::clone(&declaration.statement);
            declaration.statement = Arc::new(ended(statement, *at_ms));
            Some(declaration)
        };
        let declaration = match what {
            What::Dark(homes) => {
                let statement = area_statement(revision(area), *at_ms);
                Some(dark_area(network, statement, homes))
            }
            What::Powerless(elements) => {
                let statement = area_statement(revision(area), *at_ms);
                Some(powerless_area(network, statement, elements))
            }
            // A fault is opened once.
            What::Fault(no, part) => (!known.contains_key(&DeclarationId::Fault(*no)))
                .then(|| plain(fault(*no, *at_ms, &[part]))),
            What::DarkFault(no, homes) => (!known.contains_key(&DeclarationId::Fault(*no)))
                .then(|| dark_area(network, fault(*no, *at_ms, &[]), homes)),
            What::Work(no, part, long) => {
                let id = DeclarationId::Work(*no);
                Some(plain(Statement {
                    resources: vec![(*part).to_owned()],
                    kind: CauseKind::PlannedWork,
                    until_ms: Some(at_ms + long * MINUTE),
                    ..statement(id, revision(id), *at_ms)
                }))
            }
            What::EndArea => end(area),
            What::CancelWork(no) => end(DeclarationId::Work(*no)),
        };
        if let Some(declaration) = declaration {
            known.insert(declaration.reference().id, declaration.clone());
            out.push((*at_ms, declaration));
        }
    }
    out
}

/// Each incident that stands for a declaration and for nothing else has exactly the people whom it
/// leaves without service; and no declaration is stood for twice.
fn check_declared(desk: &Desk, declared: &BTreeMap<DeclarationId, Declaration>) {
    let network = desk.correlator.network();
    let mut stood_for = BTreeSet::new();
    for live in desk
        .correlator
        .live()
        .filter(|l| l.incident.state.is_open())
    {
        assert_eq!(live.incident.affected, live.lost.len() as u64);
        let causes = live.incident.declared.iter().map(|d| d.id);
        let causes: Vec<DeclarationId> = causes
            .filter(|id| !matches!(id, DeclarationId::Work(_)))
            .collect();
        for id in &causes {
            let is_over = declared[id].statement.end.is_some();
            assert!(stood_for.insert(*id) || is_over, "{id} has two incidents");
        }
        if let [DeclarationId::Area(_)] = causes[..] {
            let area = &declared[&causes[0]];
            let resources: BTreeSet<&str> = live
                .incident
                .cause
                .resources
                .iter()
                .map(String::as_str)
                .collect();
            let impact = area.area.as_ref().unwrap();
            let failed: BTreeSet<&str> = impact
                .failed_by(desk.now_ms)
                .iter()
                .map(|f| network.part_id(forewarn::topology::Part::Element(f.element)))
                .collect();
            if area.statement.is_current(desk.now_ms) && resources == failed {
                assert_eq!(**live.lost, impact.lost_by(network, desk.now_ms));
            }
        }
    }
    for (id, declaration) in declared {
        let DeclarationId::Area(_) = id else { continue };
        let lost = declaration
            .area
            .as_ref()
            .unwrap()
            .lost_by(network, desk.now_ms);
        if declaration.statement.is_current(desk.now_ms) && !lost.is_empty() {
            assert!(stood_for.contains(id), "{id} has no incident");
        }
    }
}

proptest! {
    #![proptest_config(crate::support::draws(96))]

    #[test]
    fn order_repetition_and_batches_do_not_matter_beside_declarations(
        stories in stories(),
        said in said(),
        seed in any::<u64>(),
        repeats in 0..3_usize,
        batch in 1..9_usize,
    ) {
        let entries = stream(&stories);
        let declared = declarations(&said, &built());
        let mut straight = Desk::new();
        let mut next = declared.iter().peekable();
        for entry in &entries {
            while let Some((at_ms, declaration)) = next.next_if(|(at, _)| *at <= entry.received_at_ms) {
                straight.declare(*at_ms, declaration.clone());
            }
            straight.until(entry.received_at_ms);
            straight.take(entry.clone());
        }
        for (at_ms, declaration) in next {
            straight.declare(*at_ms, declaration.clone());
        }
        let mut all = entries.clone();
        for _ in 0..repeats {
            all.extend(entries.iter().cloned());
        }
        let mut crooked = Desk::new();
        let count = i64::try_from(all.len()).unwrap().max(1);
        // The declarations come in their order, somewhere among the alarms, and twice.
        let mut next = declared.iter().flat_map(|one| [one, one]);
        for (at, entry) in shuffled(all, seed).into_iter().enumerate() {
            crooked.now_ms = SPAN + 2 * MINUTE * i64::try_from(at).unwrap() / count;
            crooked.take(entry);
            if at % batch == 0 {
                if let Some((_, declaration)) = next.next() {
                    crooked.correlator.declare(declaration.clone());
                }
                crooked.settle();
            }
        }
        for (_, declaration) in next {
            crooked.correlator.declare(declaration.clone());
        }
        straight.until(SPAN + 12 * MINUTE);
        crooked.until(SPAN + 12 * MINUTE);
        let latest: BTreeMap<_, _> = declared.iter().map(|(_, d)| (d.reference().id, d.clone())).collect();
        check_declared(&straight, &latest);
        check_declared(&crooked, &latest);
        prop_assert_eq!(lasting(&straight), lasting(&crooked));
    }

    #[test]
    fn a_crash_changes_nothing_beside_declarations(
        stories in stories(),
        said in said(),
        crash in 0..40_usize,
        commands in prop::collection::btree_map(0..40_usize, (1..4_i64, 0..3_usize), 0..4),
    ) {
        let mut entries = stream(&stories);
        for (position, entry) in (1..).zip(&mut entries) {
            entry.position = position;
        }
        let network = built();
        let declared = declarations(&said, &network);
        let settings = CorrelatorSettings { gather_ms: 500, ..CorrelatorSettings::default() };
        let mut steady = Correlator::new(settings.clone(), Arc::clone(&network));
        let mut shaky = Correlator::new(settings.clone(), Arc::clone(&network));
        let mut kept: BTreeMap<IncidentNo, String> = BTreeMap::new();
        let mut known: BTreeMap<DeclarationId, Declaration> = BTreeMap::new();
        let mut next = declared.iter().peekable();
        let mut now_ms = 0;
        for round in 0..entries.len().max(40) + 40 {
            if let Some(entry) = entries.get(round) {
                now_ms = now_ms.max(entry.received_at_ms);
                steady.apply(entry);
                shaky.apply(entry);
            } else {
                now_ms += 11 * SECOND;
            }
            while let Some((_, declaration)) = next.next_if(|(at, _)| *at <= now_ms) {
                steady.declare(declaration.clone());
                shaky.declare(declaration.clone());
                known.insert(declaration.reference().id, declaration.clone());
            }
            if let Some((no, action)) = commands.get(&round) {
                let action = match action {
                    0 => OperatorAction::Reject { reason: "no".to_owned() },
                    1 => OperatorAction::Resolve { reason: String::new() },
                    _ => OperatorAction::Confirm { note: String::new() },
                };
                let command = OperatorCommand { incident: IncidentNo(*no), by: "noc".to_owned(), action };
                prop_assert_eq!(steady.command(&command, now_ms), shaky.command(&command, now_ms));
            }
            let (a, b) = (steady.settle(now_ms), shaky.settle(now_ms));
            prop_assert_eq!(format!("{a:?}"), format!("{b:?}"));
            for change in b {
                kept.insert(change.incident.no, serde_json::to_string(&change.incident).unwrap());
            }
            prop_assert_eq!(steady.take_withdrawn(), {
                let withdrawn = shaky.take_withdrawn();
                // As the store does, in the same transaction.
                for id in &withdrawn {
                    let declaration = known.get_mut(id).unwrap();
                    let statement = Statement::clone(&declaration.statement);
                    declaration.statement = Arc::new(ended(statement, now_ms));
                }
                withdrawn
            });
            if round == crash {
                let mut book = AlarmBook::new();
                for entry in entries.iter().take(round + 1) {
                    book.apply(entry);
                }
                let incidents: Vec<Incident> = kept
                    .values()
                    .map(|text| serde_json::from_str::<Incident>(text).unwrap())
                    .filter(|incident| incident.is_followed(&settings, now_ms))
                    .collect();
                let last = shaky.last_incident_no();
                shaky = Correlator::restore(settings.clone(), Arc::clone(&network), book, incidents, last);
                shaky.resume(known.values().cloned().collect());
            }
        }
    }
}

/// What must not depend on the order: who is without service, what is stood for, and which alarms are
/// explained. Declarations that overlap may share an incident, or have come to have one each.
fn lasting(
    desk: &Desk,
) -> (
    SubscriberSet,
    BTreeSet<DeclarationRef>,
    BTreeSet<(AlarmKey, SourceId)>,
) {
    let mut lasting = (SubscriberSet::new(), BTreeSet::new(), BTreeSet::new());
    for live in desk
        .correlator
        .live()
        .filter(|l| l.incident.state.is_open())
    {
        let incident = live.incident;
        assert_eq!(incident.state, Confirmed, "{incident:?}");
        if incident.life.quiet_since_ms.is_some() {
            continue;
        }
        lasting.0 = lasting.0.union(live.lost);
        lasting.1.extend(&incident.declared);
        lasting
            .2
            .extend(incident.evidence.iter().map(|e| (e.key.clone(), e.source)));
    }
    lasting
}
