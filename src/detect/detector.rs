//! All series of all rules.

use super::absence::Attendance;
use super::phase::Raised;
use super::series::{Point, Series, Taken};
use super::source_clock::SourceClock;
use super::{Condition, Rule, SOURCE_PREFIX};
use crate::alarm::{AlarmDetail, AlarmEvent, AlarmEventKind, AlarmKey, SourceId};
use crate::clock::Millis;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Resources of one rule; samples of further ones do not concern it.
const RESOURCES_PER_RULE: usize = 1_000_000;
/// A resource that has not been heard for so long, by the clock of its source, is forgotten unless
/// something is raised on it.
const FORGET_MS: i64 = 30 * 86_400_000;
/// Samples between two looks for such resources.
const FORGET_EVERY: i64 = 100_000;

/// A measured value of a resource at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Rises from sample to sample.
    pub position: i64,
    pub source: SourceId,
    pub resource: &'a str,
    pub metric: &'a str,
    /// Finite.
    pub value: f64,
    /// By the clock of the source.
    pub sampled_at_ms: Millis,
    /// By our clock.
    pub received_at_ms: Millis,
}

/// Something begins or ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Place of the rule.
    pub rule: usize,
    /// Number within the rule, from 1 without gaps.
    pub sequence: u64,
    /// Who reported the samples.
    pub reporter: SourceId,
    pub resource: Arc<str>,
    /// Raise or clear.
    pub kind: AlarmEventKind,
    pub at_ms: Millis,
    pub text: String,
}

/// The state of detection.
#[derive(Debug, Default)]
pub struct Detector {
    pub(super) rules: Vec<RuleState>,
    by_metric: HashMap<String, Vec<usize>>,
    /// Rules of absence.
    absences: Vec<usize>,
    pub(super) clocks: BTreeMap<SourceId, SourceClock>,
    /// Samples that came too late, or twice, since the detector was made.
    ignored: u64,
}

#[derive(Debug)]
pub(super) struct RuleState {
    pub(super) rule: Rule,
    /// Number that was given last.
    pub(super) sequence: u64,
    pub(super) watch: Watch,
    pub(super) resources: usize,
}

/// What a rule keeps, by source.
#[derive(Debug)]
pub(super) enum Watch {
    Values(HashMap<SourceId, HashMap<Arc<str>, Series>>),
    Presence(HashMap<SourceId, Attendance>),
}

impl RuleState {
    pub(super) fn new(rule: Rule) -> Self {
        let watch = match rule.condition {
            Condition::Threshold(_) | Condition::Drop(_) => Watch::Values(HashMap::new()),
            Condition::Absence(_) => Watch::Presence(HashMap::new()),
        };
        Self {
            rule,
            sequence: 0,
            watch,
            resources: 0,
        }
    }

    /// A sample that concerns the rule; whether it counts.
    fn take(
        &mut self,
        sample: &Sample<'_>,
        point: Point,
        clock_ms: Millis,
        out: &mut Vec<Outcome>,
    ) -> bool {
        let is_full = self.resources >= RESOURCES_PER_RULE;
        match (&mut self.watch, &self.rule.condition) {
            (Watch::Presence(sources), Condition::Absence(rule)) => {
                let attendance = sources.entry(sample.source).or_default();
                let known = attendance.resources.len();
                if is_full && !attendance.resources.contains_key(sample.resource) {
                    return false;
                }
                if let Some(at_ms) = attendance.heard(rule, sample.resource, point.at_ms, clock_ms)
                {
                    out.push(Outcome::cleared(sample.resource, at_ms));
                }
                self.resources += attendance.resources.len() - known;
                true
            }
            (Watch::Values(sources), condition) => {
                let all = sources.entry(sample.source).or_default();
                if !all.contains_key(sample.resource) {
                    if is_full {
                        return false;
                    }
                    all.insert(sample.resource.into(), Series::new(clock_ms));
                    self.resources += 1;
                }
                let Some(series) = all.get_mut(sample.resource) else {
                    return false;
                };
                series.heard_ms = clock_ms;
                match series.take(condition, point) {
                    Taken::Nothing => {}
                    Taken::Ignored => return false,
                    Taken::Raised { at_ms, raised } => out.push(Outcome {
                        resource: sample.resource.into(),
                        kind: AlarmEventKind::Raise,
                        at_ms,
                        text: raised_text(&self.rule, raised),
                    }),
                    Taken::Cleared { at_ms } => {
                        out.push(Outcome::cleared(sample.resource, at_ms));
                    }
                }
                true
            }
            (Watch::Presence(_), _) => false,
        }
    }

    /// The clock of a source has moved.
    fn pass(&mut self, source: SourceId, clock: &SourceClock, out: &mut Vec<Outcome>) {
        let (Watch::Presence(sources), Condition::Absence(rule)) =
            (&mut self.watch, &self.rule.condition)
        else {
            return;
        };
        let Some(attendance) = sources.get_mut(&source) else {
            return;
        };
        for (resource, at_ms) in attendance.overdue(rule, clock) {
            out.push(Outcome {
                resource,
                kind: AlarmEventKind::Raise,
                at_ms,
                text: absent_text(&self.rule.metric),
            });
        }
    }

    /// What is raised, in the order of reporter and resource.
    fn raised(&self) -> Vec<(SourceId, Outcome)> {
        let mut raised = Vec::new();
        let mut add = |source: SourceId, resource: &Arc<str>, at_ms, text| {
            let outcome = Outcome {
                resource: Arc::clone(resource),
                kind: AlarmEventKind::Raise,
                at_ms,
                text,
            };
            raised.push((source, outcome));
        };
        match &self.watch {
            Watch::Values(sources) => {
                for (source, all) in sources {
                    for (resource, series) in all {
                        if let Some((said, at_ms)) = series.raised() {
                            add(*source, resource, at_ms, raised_text(&self.rule, said));
                        }
                    }
                }
            }
            Watch::Presence(sources) => {
                for (source, attendance) in sources {
                    for (resource, presence) in &attendance.resources {
                        if let Some(at_ms) = presence.absent_since_ms {
                            add(*source, resource, at_ms, absent_text(&self.rule.metric));
                        }
                    }
                }
            }
        }
        raised.sort_by(|(a, x), (b, y)| (a, &x.resource).cmp(&(b, &y.resource)));
        raised
    }

    fn forget(&mut self, clocks: &BTreeMap<SourceId, SourceClock>) {
        let oldest = |source: &SourceId| {
            clocks
                .get(source)
                .map_or(Millis::MIN, |c| c.now_ms - FORGET_MS)
        };
        match (&mut self.watch, &self.rule.condition) {
            (Watch::Values(sources), _) => {
                for (source, all) in sources {
                    let oldest_ms = oldest(source);
                    all.retain(|_, s| s.heard_ms >= oldest_ms || s.raised().is_some());
                }
            }
            (Watch::Presence(sources), Condition::Absence(rule)) => {
                for (source, attendance) in sources {
                    let oldest_ms = oldest(source);
                    attendance.retain(rule, |_, p| {
                        p.seen_ms >= oldest_ms || p.absent_since_ms.is_some()
                    });
                }
            }
            (Watch::Presence(_), _) => {}
        }
        self.count();
    }

    pub(super) fn count(&mut self) {
        self.resources = match &self.watch {
            Watch::Values(sources) => sources.values().map(HashMap::len).sum(),
            Watch::Presence(sources) => sources.values().map(|a| a.resources.len()).sum(),
        };
    }

    /// The rule under its new definition, with what it has seen as far as that still means the same.
    fn redefined(mut self, rule: Rule) -> Self {
        let is_same_kind = match (&self.rule.condition, &rule.condition) {
            (Condition::Threshold(_), Condition::Threshold(_))
            | (Condition::Absence(_), Condition::Absence(_)) => true,
            (Condition::Drop(old), Condition::Drop(new)) => {
                if let (Watch::Values(sources), true) =
                    (&mut self.watch, old.window_s != new.window_s)
                {
                    let all = sources.values_mut().flat_map(HashMap::values_mut);
                    all.for_each(Series::forget_past);
                }
                true
            }
            _ => false,
        };
        if !is_same_kind || self.rule.metric != rule.metric {
            return Self::new(rule);
        }
        match (&mut self.watch, &rule.condition) {
            (Watch::Values(sources), _) => {
                for all in sources.values_mut() {
                    all.retain(|resource, _| rule.covers(resource));
                }
            }
            (Watch::Presence(sources), Condition::Absence(absence)) => {
                for attendance in sources.values_mut() {
                    attendance.retain(absence, |resource, _| rule.covers(resource));
                    attendance.plan_anew(absence);
                }
            }
            (Watch::Presence(_), _) => {}
        }
        self.rule = rule;
        self.count();
        self
    }
}

/// A detection before it has a number.
struct Outcome {
    resource: Arc<str>,
    kind: AlarmEventKind,
    at_ms: Millis,
    text: String,
}

impl Outcome {
    fn cleared(resource: &str, at_ms: Millis) -> Self {
        Self {
            resource: resource.into(),
            kind: AlarmEventKind::Clear,
            at_ms,
            text: String::new(),
        }
    }
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new(rules: Vec<Rule>) -> Self {
        let rules = rules.into_iter().map(RuleState::new).collect();
        Self::of(rules, BTreeMap::new())
    }

    pub(super) fn of(rules: Vec<RuleState>, clocks: BTreeMap<SourceId, SourceClock>) -> Self {
        let mut by_metric: HashMap<String, Vec<usize>> = HashMap::new();
        let mut absences = Vec::new();
        for (no, state) in rules.iter().enumerate() {
            let metric = state.rule.metric.clone();
            by_metric.entry(metric).or_default().push(no);
            if matches!(state.rule.condition, Condition::Absence(_)) {
                absences.push(no);
            }
        }
        Self {
            rules,
            by_metric,
            absences,
            clocks,
            ignored: 0,
        }
    }

    /// The rules, by place.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|state| &state.rule)
    }

    /// Goes over to other rules. What a rule of the same name, kind and metric has seen stays; the
    /// numbers begin anew, see [`Self::set_sequence`].
    #[must_use]
    pub fn with_rules(self, rules: Vec<Rule>) -> Self {
        let mut known: HashMap<String, RuleState> = self
            .rules
            .into_iter()
            .map(|state| (state.rule.name.clone(), state))
            .collect();
        let rules = rules
            .into_iter()
            .map(|rule| match known.remove(&rule.name) {
                Some(state) => state.redefined(rule),
                None => RuleState::new(rule),
            });
        Self::of(rules.collect(), self.clocks)
    }

    /// The next sample, in the order of their positions.
    pub fn apply(&mut self, sample: &Sample<'_>, out: &mut Vec<Detection>) {
        let point = Point {
            at_ms: sample.sampled_at_ms.min(sample.received_at_ms),
            value: sample.value,
        };
        let clock = self
            .clocks
            .entry(sample.source)
            .or_insert_with(|| SourceClock::new(point.at_ms));
        let moved = clock.leap_to(point.at_ms);
        let clock_ms = clock.now_ms;
        let mut outcomes = Vec::new();
        let concerned = self.by_metric.get(sample.metric);
        for no in concerned.map_or(&[][..], Vec::as_slice) {
            let Some(state) = self.rules.get_mut(*no) else {
                continue;
            };
            if state.rule.covers(sample.resource) {
                let counts = state.take(sample, point, clock_ms, &mut outcomes);
                self.ignored += u64::from(!counts);
                state.number(*no, sample.source, &mut outcomes, out);
            }
        }
        if moved {
            self.pass(sample.source, out);
        }
        if sample.position % FORGET_EVERY == 0 {
            for state in &mut self.rules {
                state.forget(&self.clocks);
            }
        }
    }

    /// The source was alive until its clock showed `clock_ms`, although it sent no samples.
    pub fn tick(&mut self, source: SourceId, clock_ms: Millis, out: &mut Vec<Detection>) {
        let Some(clock) = self.clocks.get_mut(&source) else {
            return;
        };
        clock.live_to(clock_ms);
        self.pass(source, out);
    }

    /// Looks who is absent, by the clock of a source that has moved.
    fn pass(&mut self, source: SourceId, out: &mut Vec<Detection>) {
        let Some(clock) = self.clocks.get(&source) else {
            return;
        };
        let mut outcomes = Vec::new();
        for no in &self.absences {
            if let Some(state) = self.rules.get_mut(*no) {
                state.pass(source, clock, &mut outcomes);
                state.number(*no, source, &mut outcomes, out);
            }
        }
    }

    /// What the clock of a source shows; `None` before its first sample.
    pub fn clock_ms(&self, source: SourceId) -> Option<Millis> {
        self.clocks.get(&source).map(|clock| clock.now_ms)
    }

    /// When the first resource of a source is overdue, by the clock of that source.
    pub fn next_due_ms(&self, source: SourceId) -> Option<Millis> {
        let of = |no: &usize| match &self.rules.get(*no)?.watch {
            Watch::Presence(sources) => sources.get(&source)?.next_due_ms(),
            Watch::Values(_) => None,
        };
        self.absences.iter().filter_map(of).min()
    }

    /// Number that a rule gave last.
    pub fn sequence(&self, rule: usize) -> u64 {
        self.rules.get(rule).map_or(0, |state| state.sequence)
    }

    /// The numbers of a rule go on after this one.
    pub fn set_sequence(&mut self, rule: usize, sequence: u64) {
        if let Some(state) = self.rules.get_mut(rule) {
            state.sequence = sequence;
        }
    }

    /// Everything that a rule has raised and not cleared, with new numbers.
    pub fn list(&mut self, rule: usize) -> Vec<Detection> {
        let mut out = Vec::new();
        if let Some(state) = self.rules.get_mut(rule) {
            for (reporter, outcome) in state.raised() {
                state.number(rule, reporter, &mut vec![outcome], &mut out);
            }
        }
        out
    }

    /// Samples that counted for nothing under a rule that they concern: too late, a second one of
    /// their time, or of a resource too many.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// The alarm event of a detection; `reporter` is the name of the source of the samples.
    pub fn event(&self, detection: &Detection, reporter: &str) -> Option<AlarmEvent> {
        let rule = &self.rules.get(detection.rule)?.rule;
        let attributes = [("metric", rule.metric.as_str()), ("rule", &rule.name)];
        Some(AlarmEvent {
            kind: detection.kind,
            key: AlarmKey {
                resource: detection.resource.to_string(),
                alarm_type: rule.alarm_type.clone(),
                qualifier: reporter.to_owned(),
            },
            severity: rule.severity,
            event_at_ms: detection.at_ms,
            detail: AlarmDetail {
                probable_cause: "threshold-crossed".to_owned(),
                text: detection.text.clone(),
                attributes: attributes
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
                service_effect: Some(rule.effect),
                ..AlarmDetail::default()
            },
        })
    }
}

impl RuleState {
    fn number(
        &mut self,
        rule: usize,
        reporter: SourceId,
        outcomes: &mut Vec<Outcome>,
        out: &mut Vec<Detection>,
    ) {
        for outcome in outcomes.drain(..) {
            self.sequence += 1;
            out.push(Detection {
                rule,
                sequence: self.sequence,
                reporter,
                resource: outcome.resource,
                kind: outcome.kind,
                at_ms: outcome.at_ms,
                text: outcome.text,
            });
        }
    }
}

fn raised_text(rule: &Rule, raised: Raised) -> String {
    let metric = &rule.metric;
    let value = shown(raised.value);
    let base = shown(raised.base);
    match rule.condition {
        Condition::Drop(_) => format!("{metric} fell to {value} from {base}"),
        _ => format!("{metric} is {value}; the limit is {base}"),
    }
}

fn absent_text(metric: &str) -> String {
    format!("no {metric} any more, while its source reports others")
}

/// At most three decimals.
fn shown(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Whether a name belongs to the sources of rules.
pub fn is_rule_source(name: &str) -> bool {
    name.starts_with(SOURCE_PREFIX)
}
