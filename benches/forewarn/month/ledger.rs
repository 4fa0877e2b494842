//! What each person went through, and what they were told of it.

use crate::figure::Figure;
use crate::interval::bootstrap;
use forewarn::alarm::{AlarmEventKind, LogRecord};
use forewarn::incident::IncidentNo;
use forewarn::notice::{NoticeState, Stage};
use forewarn::simulate::{FaultKind, Simulation, World};
use forewarn::store::{NoticeFilter, NoticePage, Store};
use forewarn::topology::{ElementKind, ElementNo, Part};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How long before a first notice service may have been lost and come back.
const LATELY_MS: i64 = 3_600_000;
/// So long before the end of what is played no outage begins that is judged.
const NO_TIME_MS: i64 = 15 * 60_000;
/// Outages of a person with less time between them are one.
const SAME_MS: i64 = 1_000;
/// A begin that is told so far from the truth is wrong.
const WRONG_BEGIN_MS: i64 = 10 * 60_000;

/// A time without service.
#[derive(Clone, Copy)]
pub(super) struct Outage {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) kind: FaultKind,
    /// Nobody else lost service by that fault.
    is_lone: bool,
}

/// A notice that went out.
#[derive(Clone, Copy)]
struct Told {
    at_ms: i64,
    /// Since when the person was said to be without service.
    lost_since_ms: i64,
    stage: Stage,
    incident: IncidentNo,
}

pub(super) struct Ledger<'a> {
    pub(super) world: &'a World,
    /// By rank in the world's network, in order of time.
    pub(super) outages: HashMap<u32, Vec<Outage>>,
    pub(super) misplaced: &'a BTreeSet<ElementNo>,
    dark: BTreeSet<ElementNo>,
    /// Homes that lived on a battery while power had failed, from when to when at most.
    on_battery: HashMap<ElementNo, Vec<[i64; 2]>>,
    /// When alarms of homes themselves arrived, in order of time.
    pub(super) heard: HashMap<ElementNo, Vec<i64>>,
    hold_down_ms: i64,
    /// What begins later is not judged: there was no time to tell of it.
    judged_until_ms: i64,
}

#[derive(Default)]
pub(super) struct Counted {
    /// By stage.
    sent: BTreeMap<Stage, usize>,
    /// People of whom a first notice was false: misplaced, dark themselves, on battery, neither.
    false_people: [usize; 4],
    false_notices: usize,
    /// Notices to people who had lost no service, but lost it later in the same incident.
    premature_notices: usize,
    /// By incident, people whom it told wrongly, and when.
    pub(super) mistaken: BTreeMap<IncidentNo, Vec<(u32, i64)>>,
    /// By incident, its false notices and all of them.
    by_incident: BTreeMap<IncidentNo, (usize, usize)>,
    /// By fault of several homes (its begin and kind), people who were not told and all of them.
    by_fault: BTreeMap<(i64, &'static str), (usize, usize)>,
    /// The values of both, of months that were joined.
    joined: [Vec<(usize, usize)>; 2],
    /// First notices to people without service, and those that said it was lost far too early or too late.
    begins: [usize; 3],
    /// By incident, people of whom the begin was wrong, and when they were told.
    pub(super) misdated: BTreeMap<IncidentNo, Vec<(u32, i64)>>,
    /// Told that service is back while it was not.
    false_restored: usize,
    /// By incident, people of whom that is so, and when.
    pub(super) early: BTreeMap<IncidentNo, Vec<(u32, i64)>>,
    /// Outages longer than the hold-down, and those of which the person was not told; of several
    /// homes by kind, and of one home.
    several: BTreeMap<FaultKind, [usize; 2]>,
    lone: [usize; 2],
    /// People who were not told of an outage of several homes: no alarm of theirs arrived during it,
    /// their home is misplaced, neither.
    untold_people: [usize; 3],
    /// People who were not told of an outage of several homes, by its begin, end and kind.
    pub(super) untold: BTreeMap<(i64, i64, &'static str), Vec<u32>>,
    /// Milliseconds from the loss to the notice.
    lead_ms: Vec<i64>,
}

impl<'a> Ledger<'a> {
    pub(super) fn of(
        world: &'a World,
        simulation: &Simulation,
        misplaced: &'a BTreeSet<ElementNo>,
        hold_down_ms: i64,
        until_ms: i64,
    ) -> Self {
        let mut outages: HashMap<u32, Vec<Outage>> = HashMap::new();
        for fault in &simulation.truth.faults {
            let is_lone = fault.ever_lost().len() <= 1;
            let ends = fault.stages.iter().skip(1).map(|stage| stage.at_ms);
            for (stage, to_ms) in fault.stages.iter().zip(ends.chain([i64::MAX])) {
                for rank in stage.lost.iter() {
                    let outage = Outage {
                        from_ms: stage.at_ms,
                        to_ms,
                        kind: fault.fault.kind,
                        is_lone,
                    };
                    outages.entry(rank).or_default().push(outage);
                }
            }
        }
        for all in outages.values_mut() {
            all.sort_unstable_by_key(|outage| outage.from_ms);
            all.dedup_by(|next, last| {
                let same = next.from_ms - last.to_ms < SAME_MS;
                if same {
                    last.to_ms = last.to_ms.max(next.to_ms);
                    last.is_lone &= next.is_lone;
                }
                same
            });
        }
        let mut on_battery: HashMap<ElementNo, Vec<[i64; 2]>> = HashMap::new();
        for lived in simulation
            .truth
            .faults
            .iter()
            .flat_map(|f| &f.fault.on_battery)
        {
            let times = on_battery.entry(lived.device).or_default();
            times.push([lived.from_ms, lived.until_ms]);
        }
        let dark = &simulation.truth.dark_homes;
        let mut heard: HashMap<ElementNo, Vec<i64>> = HashMap::new();
        for entry in &simulation.entries {
            if let LogRecord::Event(event) = &entry.record
                && event.kind == AlarmEventKind::Raise
                && let Some(Part::Element(home)) = world.network().part(&event.key.resource)
                && world.network().kind(home) == ElementKind::Ont
            {
                heard.entry(home).or_default().push(entry.received_at_ms);
            }
        }
        Self {
            heard,
            on_battery,
            world,
            outages,
            misplaced,
            dark: dark.iter().map(|home| home.ont).collect(),
            hold_down_ms,
            judged_until_ms: until_ms - NO_TIME_MS,
        }
    }

    /// Compares with what was sent.
    pub(super) async fn count(&self, store: &Store) -> Counted {
        let told = self.told(store).await;
        let mut counted = Counted::default();
        for (rank, told) in &told {
            self.judge_notices(*rank, told, &mut counted);
        }
        for (rank, outages) in &self.outages {
            let told = told.get(rank).map_or(&[][..], Vec::as_slice);
            for outage in outages {
                self.judge_outage(*rank, outage, told, &mut counted);
            }
        }
        counted.lead_ms.sort_unstable();
        counted
    }

    /// By rank, in order of time.
    async fn told(&self, store: &Store) -> HashMap<u32, Vec<Told>> {
        let network = self.world.network();
        let mut told: HashMap<u32, Vec<Told>> = HashMap::new();
        let filter = NoticeFilter {
            state: Some(NoticeState::Sent),
            ..NoticeFilter::default()
        };
        let mut after = None;
        loop {
            let page = NoticePage { after, size: 1_000 };
            let (notices, next) = store.list_notices(&filter, page).await.unwrap();
            for notice in notices {
                let subscriber = network.subscriber(&notice.account).unwrap();
                let all = told.entry(network.rank_of(subscriber)).or_default();
                all.push(Told {
                    at_ms: notice.sent_at_ms.unwrap(),
                    lost_since_ms: notice.lost_since_ms,
                    stage: notice.stage,
                    incident: notice.incident,
                });
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        for all in told.values_mut() {
            all.sort_by_key(|told| (told.at_ms, told.stage));
        }
        told
    }

    fn judge_notices(&self, rank: u32, told: &[Told], counted: &mut Counted) {
        let outages = self.outages.get(&rank).map_or(&[][..], Vec::as_slice);
        let mut first_ms: BTreeMap<IncidentNo, i64> = BTreeMap::new();
        let mut last_first_ms = None;
        let mut is_false: BTreeMap<IncidentNo, bool> = BTreeMap::new();
        for notice in told {
            *counted.sent.entry(notice.stage).or_default() += 1;
            if notice.stage == Stage::First {
                counted.judge_begin(rank, notice, outages);
            }
            let of_incident = counted.by_incident.entry(notice.incident).or_default();
            of_incident.1 += 1;
            if notice.stage == Stage::First {
                first_ms.insert(notice.incident, notice.at_ms);
                last_first_ms = Some(notice.at_ms);
            }
            // What one incident has told first another may close, when it was split off.
            let first_ms = first_ms.get(&notice.incident).copied().or(last_first_ms);
            let since_ms = first_ms.unwrap_or(notice.at_ms) - LATELY_MS;
            let had = outages
                .iter()
                .any(|o| o.from_ms <= notice.at_ms && o.to_ms >= since_ms);
            if !had && notice.stage != Stage::Retraction {
                let ends = told.iter().filter(|other| {
                    other.incident == notice.incident
                        && other.stage.closes()
                        && other.at_ms > notice.at_ms
                });
                let end_ms = ends.map(|end| end.at_ms).min().unwrap_or(notice.at_ms);
                if outages
                    .iter()
                    .any(|o| (notice.at_ms..end_ms).contains(&o.from_ms))
                {
                    counted.premature_notices += 1;
                } else {
                    counted.false_notices += 1;
                    of_incident.0 += 1;
                }
                let known = is_false.insert(notice.incident, true).unwrap_or(false);
                if !known {
                    counted.false_people[self.reason(rank, notice.at_ms)] += 1;
                    let people = counted.mistaken.entry(notice.incident).or_default();
                    people.push((rank, notice.at_ms));
                }
            }
            let is_out = |o: &Outage| o.from_ms + SAME_MS < notice.at_ms && notice.at_ms < o.to_ms;
            if notice.stage == Stage::Restored && outages.iter().any(is_out) {
                counted.false_restored += 1;
                let early = counted.early.entry(notice.incident).or_default();
                early.push((rank, notice.at_ms));
            }
        }
    }

    fn reason(&self, rank: u32, at_ms: i64) -> usize {
        let network = self.world.network();
        let serving = network.serving(network.subscriber_at_rank(rank));
        let serving: Vec<ElementNo> = serving.collect();
        if serving.iter().any(|ont| self.misplaced.contains(ont)) {
            0
        } else if serving.iter().any(|ont| self.dark.contains(ont)) {
            1
        } else if serving.iter().any(|ont| self.lived_on_battery(*ont, at_ms)) {
            2
        } else {
            3
        }
    }

    fn lived_on_battery(&self, ont: ElementNo, at_ms: i64) -> bool {
        let mut times = self.on_battery.get(&ont).into_iter().flatten();
        times.any(|[from_ms, until_ms]| (*from_ms..=*until_ms).contains(&at_ms))
    }

    /// Whether an alarm of the person's home arrived in a time.
    pub(super) fn is_heard(&self, rank: u32, [from_ms, to_ms]: [i64; 2]) -> bool {
        let network = self.world.network();
        let mut serving = network.serving(network.subscriber_at_rank(rank));
        serving.any(|ont| {
            let mut times = self.heard.get(&ont).into_iter().flatten();
            times.any(|at_ms| (from_ms..=to_ms).contains(at_ms))
        })
    }

    fn untold_reason(&self, rank: u32, outage: &Outage) -> usize {
        let network = self.world.network();
        let serving = network.serving(network.subscriber_at_rank(rank));
        let serving: Vec<ElementNo> = serving.collect();
        if !self.is_heard(rank, [outage.from_ms, outage.to_ms]) {
            0
        } else if serving.iter().any(|ont| self.misplaced.contains(ont)) {
            1
        } else {
            2
        }
    }

    fn judge_outage(&self, rank: u32, outage: &Outage, told: &[Told], counted: &mut Counted) {
        let is_brief = outage.to_ms.saturating_sub(outage.from_ms) <= self.hold_down_ms;
        if is_brief || outage.from_ms > self.judged_until_ms {
            return;
        }
        let before = told.iter().take_while(|t| t.at_ms <= outage.from_ms);
        let knew = before.fold(false, |_, told| !told.stage.closes());
        let first = told
            .iter()
            .find(|t| !t.stage.closes() && (outage.from_ms..=outage.to_ms).contains(&t.at_ms));
        let count = if outage.is_lone {
            &mut counted.lone
        } else {
            counted.several.entry(outage.kind).or_default()
        };
        count[0] += 1;
        let mut of_fault = (0, 0);
        let by_fault = if outage.is_lone {
            &mut of_fault
        } else {
            let fault = (outage.from_ms, outage.kind.as_str());
            counted.by_fault.entry(fault).or_default()
        };
        by_fault.1 += 1;
        if !knew && first.is_none() {
            by_fault.0 += 1;
            count[1] += 1;
            if !outage.is_lone {
                counted.untold_people[self.untold_reason(rank, outage)] += 1;
                let of = (outage.from_ms, outage.to_ms, outage.kind.as_str());
                counted.untold.entry(of).or_default().push(rank);
            }
        }
        if let Some(first) = first.filter(|_| !knew) {
            counted.lead_ms.push(first.at_ms - outage.from_ms);
        }
    }
}

impl Counted {
    fn judge_begin(&mut self, rank: u32, first: &Told, outages: &[Outage]) {
        let is_now = |o: &&Outage| (o.from_ms..o.to_ms).contains(&first.at_ms);
        let Some(outage) = outages.iter().find(is_now) else {
            return;
        };
        self.begins[0] += 1;
        let is_early = first.lost_since_ms < outage.from_ms - WRONG_BEGIN_MS;
        let is_late = first.lost_since_ms > outage.from_ms + WRONG_BEGIN_MS;
        self.begins[1] += usize::from(is_early);
        self.begins[2] += usize::from(is_late);
        if is_early || is_late {
            let people = self.misdated.entry(first.incident).or_default();
            people.push((rank, first.at_ms));
        }
    }

    /// Counts another month too.
    pub(super) fn join(&mut self, next: Self) {
        for (stage, number) in next.sent {
            *self.sent.entry(stage).or_default() += number;
        }
        let sum = |all: &mut [usize], more: &[usize]| {
            for (all, more) in all.iter_mut().zip(more) {
                *all += more;
            }
        };
        sum(&mut self.false_people, &next.false_people);
        sum(&mut self.lone, &next.lone);
        sum(&mut self.begins, &next.begins);
        sum(&mut self.untold_people, &next.untold_people);
        for (kind, counts) in next.several {
            sum(self.several.entry(kind).or_default(), &counts);
        }
        self.false_notices += next.false_notices;
        self.premature_notices += next.premature_notices;
        self.false_restored += next.false_restored;
        self.joined[0].extend(next.by_incident.into_values());
        self.joined[1].extend(next.by_fault.into_values());
        self.lead_ms.extend(next.lead_ms);
        self.lead_ms.sort_unstable();
    }

    pub(super) fn figures(&self, size: &str, goal: f64) -> Vec<Figure> {
        let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
        let counted = |part: usize, of: usize| format!("{size}; {part} of {of}");
        let goal_text = format!("<= {goal}");
        let sent: usize = self.sent.values().sum();
        let firsts = self.sent.get(&Stage::First).copied().unwrap_or(0);
        let false_share = share(self.false_notices, sent);
        let within = |clusters: &[(usize, usize)], what: &str| {
            let (low, high) = bootstrap(clusters);
            format!(
                "; 95 % {low:.4} to {high:.4} over {} {what}",
                clusters.len()
            )
        };
        let [by_incident, by_fault] = &self.joined;
        let mut figures = vec![
            Figure::new(
                "notices to people who lost no service",
                false_share,
                "share",
                counted(self.false_notices, sent) + &within(by_incident, "incidents"),
            )
            .goal(&goal_text, false_share <= goal),
            Figure::new(
                "the same, and to people who lost it only later in the same incident",
                share(self.false_notices + self.premature_notices, sent),
                "share",
                counted(self.false_notices + self.premature_notices, sent),
            ),
        ];
        let reasons = [
            "their home is at a wrong place in the inventory",
            "their home was dark for its own reasons",
            "their home lived on its battery",
            "the incident took in too much",
        ];
        for (reason, people) in reasons.iter().zip(self.false_people) {
            figures.push(Figure::new(
                format!("first notices to people who had lost no service: {reason}"),
                share(people, firsts),
                "share",
                counted(people, firsts),
            ));
        }
        let [dated, early, late] = self.begins;
        for (how, wrong) in [("too early", early), ("too late", late)] {
            figures.push(Figure::new(
                format!("first notices that said service was lost more than ten minutes {how}"),
                share(wrong, dated),
                "share",
                counted(wrong, dated),
            ));
        }
        let total = self
            .several
            .values()
            .fold([0, 0], |sum, of| [sum[0] + of[0], sum[1] + of[1]]);
        let missed = share(total[1], total[0]);
        figures.push(
            Figure::new(
                "outages of several homes, longer than the hold-down: people not told",
                missed,
                "share",
                counted(total[1], total[0]) + &within(by_fault, "faults"),
            )
            .goal(&goal_text, missed <= goal),
        );
        let reasons = [
            "no alarm of theirs arrived during it",
            "their home is at a wrong place in the inventory",
            "for another reason",
        ];
        for (reason, people) in reasons.iter().zip(self.untold_people) {
            figures.push(Figure::new(
                format!("the same, {reason}"),
                share(people, total[0]),
                "share",
                counted(people, total[0]),
            ));
        }
        for (kind, [all, missed]) in &self.several {
            figures.push(Figure::new(
                format!("the same, {}", kind.as_str()),
                share(*missed, *all),
                "share",
                counted(*missed, *all),
            ));
        }
        figures.push(Figure::new(
            "outages of one home: people not told",
            share(self.lone[1], self.lone[0]),
            "share",
            counted(self.lone[1], self.lone[0]),
        ));
        let restored = self.sent.get(&Stage::Restored).copied().unwrap_or(0);
        figures.push(Figure::new(
            "told that service was back while it was not",
            share(self.false_restored, restored),
            "share",
            counted(self.false_restored, restored),
        ));
        for (stage, number) in &self.sent {
            figures.push(Figure::new(
                format!("notices sent: {}", stage.as_str()),
                *number as f64,
                "",
                size,
            ));
        }
        for (name, percent) in [("median", 50), ("95th percentile", 95)] {
            let at = (self.lead_ms.len() * percent / 100).min(self.lead_ms.len().saturating_sub(1));
            let lead_ms = self.lead_ms.get(at).copied().unwrap_or(0);
            figures.push(Figure::new(
                format!("from the loss of service to its first notice, {name}"),
                lead_ms as f64 / 1e3,
                "s",
                size,
            ));
        }
        figures
    }
}
