//! Writes what the correlator decided: incidents, and for each affected person a notice or the
//! reason why not. Loads what the pure plan needs, and runs inside the correlator's transaction.

use crate::clock::Millis;
use crate::effect::holdout::{Assignment, Candidate, Experiment, assign};
use crate::incident::{CauseKind, Incident, IncidentChange, IncidentNo, joined_later};
use crate::notice::plan::{NoticePolicy, Plan, PlanInput, concerns_people, is_being_told, plan};
use crate::notice::{Arm, NoticeState, Recipient};
use crate::store::{ClusterAssignment, DatasetVersions, Store, StoreError, Tx};
use crate::topology::{Network, Part, SubscriberSet};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often an open incident is looked at again although nothing happens: quiet hours end, and the
/// time between two updates passes.
const REPLAN_INTERVAL_MS: Millis = 5 * 60_000;

/// The same for one that has not given anything to plan for long: each time that nothing came of it
/// the next look waits twice as long, up to this. What is planned already waits for its time in the
/// outbox, so all that is found this late is a person's new address or consent.
const LONGEST_INTERVAL_MS: Millis = 40 * 60_000;

/// Plans notices; remembers what it has planned, so that it only looks again when it must.
#[derive(Debug)]
pub struct Planner {
    policy: NoticePolicy,
    experiment: Experiment,
    /// Key of the holdout's hash.
    key: [u8; 32],
    /// Incidents as they were planned for last.
    planned: BTreeMap<IncidentNo, Planned>,
    /// Incidents that another one has taken over, by that one.
    merged: BTreeMap<IncidentNo, BTreeSet<IncidentNo>>,
    /// Open incidents whose notices may change although they do not.
    looks: BTreeMap<IncidentNo, Look>,
}

/// An incident as it was planned for last.
#[derive(Debug)]
struct Planned {
    incident: Incident,
    versions: DatasetVersions,
    /// There is news since of people who neither lost service now nor have it again now.
    is_behind: bool,
}

/// For whom a change is planned.
struct Concerned<'a> {
    /// Who is without service.
    lost: Cow<'a, SubscriberSet>,
    /// Others, who have service again; `None` when it is planned for everybody.
    back: Option<SubscriberSet>,
}

/// When to look at an incident again although it does not change.
#[derive(Debug)]
struct Look {
    again_at_ms: Millis,
    interval_ms: Millis,
    /// Other incidents that have told some of its people, so that this one need not.
    covered_by: BTreeSet<IncidentNo>,
    /// A look at everybody found nothing to say and nothing on its way: until the incident changes,
    /// nothing is to be found with those who have been told all, so the next look leaves them out.
    leaves_out_told: bool,
}

impl Look {
    /// After a plan for everybody. `idle`: nothing has come of it, and nothing is on its way.
    fn after_all(
        before: Option<Self>,
        idle: bool,
        covered_by: BTreeSet<IncidentNo>,
        now_ms: Millis,
    ) -> Self {
        let before_ms = before.filter(|_| idle).map(|before| before.interval_ms);
        let interval_ms = before_ms.map_or(REPLAN_INTERVAL_MS, |before_ms| 2 * before_ms);
        let interval_ms = interval_ms.min(LONGEST_INTERVAL_MS);
        Self {
            again_at_ms: now_ms + interval_ms,
            interval_ms,
            covered_by,
            leaves_out_told: idle,
        }
    }

    /// After a look that left out those who have been told all; whether one of the others
    /// [`is_being_told`].
    fn after_few(
        before: Self,
        idle: bool,
        mut covered_by: BTreeSet<IncidentNo>,
        is_being_told: bool,
        now_ms: Millis,
    ) -> Self {
        covered_by.extend(&before.covered_by);
        Self {
            leaves_out_told: before.leaves_out_told && !is_being_told,
            ..Self::after_all(Some(before), idle, covered_by, now_ms)
        }
    }

    /// After some have been planned for: the others are looked at when it was meant to be.
    fn after_some(mut self, mut covered_by: BTreeSet<IncidentNo>, is_being_told: bool) -> Self {
        self.leaves_out_told &= !is_being_told;
        self.covered_by.append(&mut covered_by);
        self
    }
}

/// The network that the subscriber sets of a plan speak of.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    pub network: &'a Network,
    pub versions: DatasetVersions,
}

/// The people of some incidents, as read before they are planned for.
#[derive(Debug, Default)]
pub struct People(BTreeMap<IncidentNo, Read>);

#[derive(Debug)]
struct Read {
    recipients: Vec<Recipient>,
    are_all: bool,
}

async fn read_recipients(
    tx: &mut Tx,
    lost: &SubscriberSet,
    ground: Ground<'_>,
    now_ms: Millis,
) -> Result<Vec<Recipient>, StoreError> {
    let numbers: Vec<_> = ground.network.subscribers(lost).collect();
    tx.recipients(ground.versions.subscribers, &numbers, now_ms)
        .await
}

/// Those for whom a plan is made.
struct Who {
    /// Without service.
    recipients: Vec<Recipient>,
    /// Accounts of others.
    others: Others,
    never_lost: BTreeSet<String>,
}

/// For whom else than those without service a plan is made.
enum Others {
    /// Everybody who has a notice of the incident.
    All,
    /// These accounts, which have service again.
    Back(BTreeSet<String>),
    /// Nobody, as it is a look at those for whom something could be found.
    Nobody,
}

/// Fills in who lost service later than the incident began.
fn date(incident: &Incident, network: &Network, recipients: &mut [Recipient]) {
    let joined = joined_later(incident, network);
    if joined.is_empty() {
        return;
    }
    for recipient in recipients {
        let Some(number) = network.subscriber(&recipient.account) else {
            continue;
        };
        let rank = network.rank_of(number);
        let mut later = joined.iter();
        let since = later.find(|(_, people)| people.contains(rank));
        recipient.lost_since_ms = since.map(|(at_ms, _)| *at_ms);
    }
}

fn accounts_of(set: &SubscriberSet, network: &Network) -> BTreeSet<String> {
    let accounts = network.subscribers(set);
    accounts.map(|s| network.account(s).to_owned()).collect()
}

fn ranks_of<'a>(accounts: impl Iterator<Item = &'a str>, network: &Network) -> SubscriberSet {
    let numbers = accounts.filter_map(|account| network.subscriber(account));
    let ranks = numbers.map(|number| network.rank_of(number));
    SubscriberSet::from_runs(ranks.map(|rank| (rank, rank + 1)).collect())
}

impl Planner {
    pub fn new(policy: NoticePolicy, experiment: Experiment, key: [u8; 32]) -> Self {
        Self {
            policy,
            experiment,
            key,
            planned: BTreeMap::new(),
            merged: BTreeMap::new(),
            looks: BTreeMap::new(),
        }
    }

    /// Forgets what it has planned; `mergers` are the incidents that go on in another, with that one.
    pub fn restart(&mut self, mergers: &[(IncidentNo, IncidentNo)]) {
        self.planned.clear();
        self.merged.clear();
        self.looks.clear();
        for (no, survivor) in mergers {
            self.merged.entry(*survivor).or_default().insert(*no);
        }
    }

    /// Reads the people whom the coming changes concern, so that the transaction that writes the
    /// plan need not, and others who write wait less. What changes meanwhile the gate sees.
    pub async fn read_people(
        &self,
        store: &Store,
        changes: &[IncidentChange],
        ground: Ground<'_>,
        now_ms: Millis,
    ) -> Result<People, StoreError> {
        let mut people = People::default();
        let goes_on = changes.iter().filter(|c| c.incident.merged_into.is_none());
        let wanted = goes_on.filter_map(|change| {
            let concerned = self.concerned(change, changes, ground.versions)?;
            Some((change.incident.no, concerned))
        });
        let wanted: Vec<(IncidentNo, Concerned<'_>)> = wanted.collect();
        if wanted.is_empty() {
            return Ok(people);
        }
        let mut tx = store.begin_read().await?;
        for (incident, concerned) in wanted {
            let recipients = read_recipients(&mut tx, &concerned.lost, ground, now_ms).await?;
            let are_all = concerned.back.is_none();
            let read = Read {
                recipients,
                are_all,
            };
            people.0.insert(incident, read);
        }
        Ok(people)
    }

    /// The people for whom a change is to be planned, if it concerns anybody: where only some lost
    /// service or have it again, and all else is as it was planned for, these.
    fn concerned<'a>(
        &self,
        change: &'a IncidentChange,
        changes: &[IncidentChange],
        versions: DatasetVersions,
    ) -> Option<Concerned<'a>> {
        if change.incident.is_unplaced() {
            return None;
        }
        let moved = change.lost != change.previously_lost;
        let (incident, planned) = (&change.incident, self.planned.get(&change.incident.no));
        let before = planned.map(|planned| &planned.incident);
        if !concerns_people(before, incident, moved) {
            return None;
        }
        let is_as_planned = planned.is_some_and(|planned| {
            let before = &planned.incident;
            planned.versions == versions
                && !planned.is_behind
                && !concerns_people(Some(before), incident, false)
                && self
                    .policy
                    .decides_alike(before.affected, incident.affected)
        });
        if !is_as_planned || !incident.state.is_open() {
            return Some(Concerned {
                lost: Cow::Borrowed(&change.lost),
                back: None,
            });
        }
        // What those that it takes over have said counts, also to people whom it had already.
        let mergers = changes
            .iter()
            .filter(|other| other.incident.merged_into == Some(incident.no));
        let joined = mergers.fold(
            change.lost.difference(&change.previously_lost),
            |joined, other| joined.union(&change.lost.intersection(&other.previously_lost)),
        );
        let back = change.previously_lost.difference(&change.lost);
        Some(Concerned {
            lost: Cow::Owned(joined),
            back: Some(back.union(&change.never_lost)),
        })
    }

    /// Of an incident that was taken over: those of its people whom the survivor leaves without
    /// service, to whom it need not say that it is over.
    async fn kept_by(
        survivor: &SubscriberSet,
        tx: &mut Tx,
        incident: IncidentNo,
        network: &Network,
    ) -> Result<SubscriberSet, StoreError> {
        let prior = tx.prior_notices(incident).await?;
        let people = ranks_of(prior.iter().map(|n| n.account.as_str()), network);
        Ok(people.intersection(survivor))
    }

    /// Writes the changes of one settling and the notices that follow from them. `lost` says who is
    /// without service by the open incidents.
    pub async fn write(
        &mut self,
        tx: &mut Tx,
        changes: &[IncidentChange],
        lost: &BTreeMap<IncidentNo, Arc<SubscriberSet>>,
        mut people: People,
        at: (Ground<'_>, Millis),
    ) -> Result<(), StoreError> {
        let (ground, now_ms) = at;
        for change in changes {
            tx.save_incident(&change.incident, &change.timeline).await?;
            for declared in &change.incident.declared {
                tx.save_declared_incident(declared.id, change.incident.no)
                    .await?;
            }
            self.note_merger(&change.incident);
        }
        // Whoever was taken over says its last word first, so that the survivor sees whom it covers;
        // and whoever was split off its first, as long as its people are known to have been told.
        let mut in_order: Vec<&IncidentChange> = changes.iter().collect();
        // Incidents with news of people for whom nothing has been planned now.
        let mut unheard: BTreeSet<IncidentNo> = changes
            .iter()
            .filter_map(|change| change.incident.merged_into)
            .collect();
        in_order.sort_by_key(|change| {
            let incident = &change.incident;
            let is_new = !self.planned.contains_key(&incident.no);
            match (incident.merged_into, incident.split_from) {
                (Some(_), _) => 0,
                (None, Some(_)) if is_new => 1,
                _ => 2,
            }
        });
        for change in in_order {
            let incident = &change.incident;
            if let Some(mut concerned) = self.concerned(change, changes, ground.versions) {
                let survivor = incident
                    .merged_into
                    .and_then(|survivor| lost.get(&survivor));
                if let Some(survivor) = survivor {
                    let kept = Self::kept_by(survivor, tx, incident.no, ground.network).await?;
                    concerned.lost = Cow::Owned(kept);
                }
                let are_all = concerned.back.is_none();
                let recipients = match people.0.remove(&incident.no) {
                    Some(read) if read.are_all == are_all => read.recipients,
                    _ => read_recipients(tx, &concerned.lost, ground, now_ms).await?,
                };
                let others = match concerned.back {
                    Some(back) => Others::Back(accounts_of(&back, ground.network)),
                    None => Others::All,
                };
                let who = Who {
                    recipients,
                    others,
                    never_lost: accounts_of(&change.never_lost, ground.network),
                };
                self.plan_for(tx, incident, who, ground, now_ms).await?;
                unheard.remove(&incident.no);
            } else if change.lost != change.previously_lost {
                unheard.insert(incident.no);
            }
            if !change.incident.state.is_open() {
                // People whom it covered may now be told by another incident.
                let no = change.incident.no;
                self.look_again(|look| look.covered_by.contains(&no), now_ms);
            }
        }
        for no in unheard {
            if let Some(planned) = self.planned.get_mut(&no) {
                planned.is_behind = true;
            }
        }
        Ok(())
    }

    /// Plans one incident again, which is as it was, because it is [`Self::due`].
    pub async fn look(
        &mut self,
        tx: &mut Tx,
        incident: &Incident,
        lost: &SubscriberSet,
        ground: Ground<'_>,
        now_ms: Millis,
    ) -> Result<(), StoreError> {
        if incident.is_unplaced() {
            if let Some(look) = self.looks.get_mut(&incident.no) {
                look.again_at_ms = now_ms + LONGEST_INTERVAL_MS;
            }
            return Ok(());
        }
        let look = self.looks.get(&incident.no);
        let (lost, others) = if look.is_some_and(|look| look.leaves_out_told) {
            let taken_over = self.taken_over(incident.no);
            let accounts = tx.accounts_to_look_at(incident.no, &taken_over).await?;
            let people = ranks_of(accounts.iter().map(String::as_str), ground.network);
            (Cow::Owned(people.intersection(lost)), Others::Nobody)
        } else {
            (Cow::Borrowed(lost), Others::All)
        };
        let who = Who {
            recipients: read_recipients(tx, &lost, ground, now_ms).await?,
            others,
            never_lost: BTreeSet::new(),
        };
        self.plan_for(tx, incident, who, ground, now_ms).await
    }

    async fn plan_for(
        &mut self,
        tx: &mut Tx,
        incident: &Incident,
        who: Who,
        ground: Ground<'_>,
        now_ms: Millis,
    ) -> Result<(), StoreError> {
        let Who {
            mut recipients,
            others,
            never_lost,
        } = who;
        let logged = tx.assignments(incident.no).await?;
        let assigned = self.assign_arms(incident, ground.network, &logged, &mut recipients);
        self.cover(tx, incident.no, &mut recipients).await?;
        date(incident, ground.network, &mut recipients);
        let is_for_all = matches!(others, Others::All);
        let is_for_some = matches!(others, Others::Back(_));
        let mut accounts = match others {
            Others::Back(accounts) => accounts,
            Others::All | Others::Nobody => BTreeSet::new(),
        };
        let prior = if is_for_all {
            tx.prior_notices(incident.no).await?
        } else {
            accounts.extend(recipients.iter().map(|r| r.account.clone()));
            tx.prior_notices_of(incident.no, accounts).await?
        };
        let plan = plan(&PlanInput {
            incident,
            now_ms,
            policy: &self.policy,
            recipients: &recipients,
            never_lost: &never_lost,
            prior: &prior,
        });
        tx.save_assignments(incident.no, &self.experiment.name, &assigned, now_ms)
            .await?;
        tx.write_plan(&plan).await?;
        tracing::info!(
            incident = %incident.no,
            affected = recipients.len(),
            planned = plan.notices.len(),
            cancelled = plan.cancel.len(),
            "planned notices"
        );
        let planned = Planned {
            incident: incident.clone(),
            versions: ground.versions,
            is_behind: false,
        };
        self.planned.insert(incident.no, planned);
        let before = self.looks.remove(&incident.no);
        if incident.state.is_open() {
            let told = recipients.iter().filter_map(|r| r.covered_by);
            let covers = prior.iter().filter_map(|n| n.cover);
            let covered_by = told
                .map(|coverage| coverage.incident)
                .chain(covers.map(|cover| cover.incident))
                .collect();
            let is_waiting = prior.iter().any(|n| {
                n.state == NoticeState::Pending || n.cover.is_some_and(|cover| cover.is_unsettled())
            });
            let is_idle = !is_waiting && plan == Plan::default();
            let told = is_being_told(&prior, &plan);
            let look = match before {
                Some(before) if is_for_some => before.after_some(covered_by, told),
                Some(before) if !is_for_all => {
                    Look::after_few(before, is_idle, covered_by, told, now_ms)
                }
                before => Look::after_all(before, is_idle, covered_by, now_ms),
            };
            self.looks.insert(incident.no, look);
        }
        Ok(())
    }

    /// Takes note that what is known of people has changed.
    pub fn look_at_all(&mut self, now_ms: Millis) {
        self.look_again(|_| true, now_ms);
    }

    fn look_again(&mut self, of: impl Fn(&Look) -> bool, now_ms: Millis) {
        for look in self.looks.values_mut().filter(|look| of(look)) {
            look.again_at_ms = now_ms;
            look.interval_ms = REPLAN_INTERVAL_MS;
            look.leaves_out_told = false;
        }
    }

    /// Incidents to plan again because time has passed or another incident has ended.
    pub fn due(&self, now_ms: Millis) -> Vec<IncidentNo> {
        let due = self.looks.iter();
        let due = due.filter(|(_, look)| look.again_at_ms <= now_ms);
        due.map(|(incident, _)| *incident).collect()
    }

    /// When [`Self::due`] will next name something.
    pub fn next_deadline_ms(&self) -> Option<Millis> {
        self.looks.values().map(|look| look.again_at_ms).min()
    }

    fn note_merger(&mut self, incident: &Incident) {
        if let Some(survivor) = incident.merged_into {
            self.merged.entry(survivor).or_default().insert(incident.no);
        }
    }

    /// The incidents that go on in this one, also by way of others.
    fn taken_over(&self, incident: IncidentNo) -> Vec<IncidentNo> {
        let mut found = vec![incident];
        let mut next = 0;
        while let Some(survivor) = found.get(next) {
            found.extend(self.merged.get(survivor).into_iter().flatten());
            next += 1;
        }
        found.split_off(1)
    }

    /// Fills in cluster and arm; the answer lists each cluster once. A cluster keeps the arm that was
    /// logged for it, also when the settings have changed since.
    fn assign_arms(
        &self,
        incident: &Incident,
        network: &Network,
        logged: &BTreeMap<String, Arm>,
        recipients: &mut [Recipient],
    ) -> Vec<ClusterAssignment> {
        let mut clusters: BTreeMap<String, Arm> = BTreeMap::new();
        for recipient in recipients {
            let Some(number) = network.subscriber(&recipient.account) else {
                continue;
            };
            let cluster = Part::Element(network.cluster(number));
            network.part_id(cluster).clone_into(&mut recipient.cluster);
            let assignment = assign(
                &self.key,
                &self.experiment,
                Candidate {
                    incident: incident.no,
                    cluster: &recipient.cluster,
                    vulnerable: recipient.vulnerable,
                    must_be_told: false,
                    planned_work: incident.cause.kind == CauseKind::PlannedWork,
                },
            );
            recipient.arm = assignment.arm();
            if !matches!(assignment, Assignment::NotAssigned(_)) {
                if let Some(arm) = logged.get(&recipient.cluster) {
                    recipient.arm = *arm;
                }
                clusters.insert(recipient.cluster.clone(), recipient.arm);
            }
        }
        let listed = clusters.into_iter();
        listed
            .map(|(cluster, arm)| ClusterAssignment { cluster, arm })
            .collect()
    }

    async fn cover(
        &self,
        tx: &mut Tx,
        incident: IncidentNo,
        recipients: &mut [Recipient],
    ) -> Result<(), StoreError> {
        let merged = self.taken_over(incident);
        let accounts: Vec<&str> = recipients.iter().map(|r| r.account.as_str()).collect();
        let elsewhere = tx.told_elsewhere(incident, &merged, &accounts).await?;
        for recipient in recipients {
            recipient.covered_by = elsewhere.get(&recipient.account).copied();
        }
        Ok(())
    }
}
