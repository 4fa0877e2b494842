//! Sends what is due: claims a batch, asks the gate, composes, hands over, settles.
//!
//! Invariant: what was handed over but not settled when the process dies is at most one batch, and
//! goes out again under the same `Message-ID`.

use crate::channel::{Channel, Outgoing, SendOutcome};
use crate::clock::{Clock, Millis};
use crate::delivery::backoff::Backoff;
use crate::delivery::unsubscribe::UnsubscribeLinks;
use crate::experience::Learned;
use crate::incident::{Incident, IncidentNo};
use crate::notice::compose::{Message, MessageInput, Sender, compose};
use crate::notice::gate::{Elsewhere, GateInput, Verdict, decide};
use crate::notice::plan::NoticePolicy;
use crate::notice::standing::History;
use crate::notice::template::Templates;
use crate::notice::{Addressee, Facts, NoticeId, PriorNotice, Stage};
use crate::pipeline::live::LiveReceiver;
use crate::store::{Claimed, Histories, Outcome, Result, Settlement, Store};
use crate::subscriber::{ContactKind, contact_key};
use futures_util::FutureExt;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How fast and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchOptions {
    /// Notices claimed at a time: the most that can go out twice after a crash.
    pub batch: u32,
    /// After this time another worker may take a claimed notice over. Must be several times the
    /// timeouts of the channel: the first half of it is used to begin new messages.
    pub lease_ms: Millis,
    /// Messages on their way at the same time.
    pub concurrency: usize,
    pub backoff: Backoff,
}

impl Default for DispatchOptions {
    fn default() -> Self {
        Self {
            batch: 500,
            lease_ms: 5 * 60_000,
            concurrency: 20,
            backoff: Backoff::default(),
        }
    }
}

/// All that sending needs besides the store.
#[derive(Debug)]
pub struct Outlet {
    pub channel: Channel,
    pub templates: Templates,
    pub sender: Sender,
    pub links: UnsubscribeLinks,
    pub policy: NoticePolicy,
    pub options: DispatchOptions,
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub claimed: usize,
    pub sent: usize,
    pub retried: usize,
    pub waiting: usize,
    pub cancelled: usize,
    pub bounced: usize,
    pub dead: usize,
}

/// The worker.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    store: Store,
    outlet: Arc<Outlet>,
    /// Where it is learned when service may be back; `None`: that is not told.
    experience: Option<LiveReceiver>,
}

/// Sleep when nothing is due and nobody wakes the worker: also how late a new notice of another
/// process can be.
const IDLE_SLEEP: Duration = Duration::from_secs(2);
/// Pause after the database failed.
const ERROR_SLEEP: Duration = Duration::from_secs(1);

impl Dispatcher {
    pub fn new(store: Store, outlet: Outlet) -> Self {
        Self {
            store,
            outlet: Arc::new(outlet),
            experience: None,
        }
    }

    /// Lets messages that are sent anyway tell when like faults end, as long as nobody has given an
    /// estimate.
    #[must_use]
    pub fn telling_experience(mut self, live: LiveReceiver) -> Self {
        self.experience = Some(live);
        self
    }

    /// What it sends through.
    pub fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// Sends one batch of what is due.
    pub async fn step(&self, now_ms: Millis) -> Result<Progress> {
        let options = self.outlet.options;
        let mut tx = self.store.begin().await?;
        let claimed = tx
            .claim_notices(now_ms, now_ms + options.lease_ms, options.batch)
            .await?;
        tx.commit().await?;
        if claimed.is_empty() {
            return Ok(Progress::default());
        }
        let batch = self.look_up(&claimed, now_ms).await?;
        let (mut settled, letters) = self.gate(claimed, &batch, now_ms);
        settled.extend(self.send(letters, now_ms).await);
        let progress = count(&settled);
        let mut tx = self.store.begin().await?;
        tx.settle_notices(&settled).await?;
        tx.commit().await?;
        Ok(progress)
    }

    /// Works until asked to stop; a batch that is under way is finished. `wake` is a hint that
    /// something may be due.
    pub async fn run(&self, clock: Clock, wake: Arc<Notify>, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let pause = match self.step(clock.now_ms()).await {
                Ok(progress) if progress.claimed > 0 => {
                    tracing::debug!(?progress, "sent a batch of notices");
                    let Progress {
                        retried,
                        bounced,
                        dead,
                        sent,
                        ..
                    } = progress;
                    if retried + bounced + dead > 0 {
                        tracing::warn!(
                            sent,
                            retried,
                            refused = bounced,
                            given_up = dead,
                            "not all messages were taken; `forewarn notice show` says why"
                        );
                    }
                    continue;
                }
                Ok(_) => IDLE_SLEEP,
                Err(error) => {
                    tracing::warn!(%error, "notices wait for the database");
                    ERROR_SLEEP
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Reads the present: after the claim, so that nothing decided here is older than it.
    async fn look_up(&self, claimed: &[Claimed], now_ms: Millis) -> Result<Batch> {
        let mut wanted: BTreeMap<IncidentNo, BTreeSet<String>> = BTreeMap::new();
        let mut asking: BTreeMap<IncidentNo, BTreeSet<String>> = BTreeMap::new();
        for notice in claimed {
            let people = wanted.entry(notice.incident).or_default();
            people.insert(notice.account.clone());
            if notice.stage == Stage::First || notice.stage.closes() {
                let people = asking.entry(notice.incident).or_default();
                people.insert(notice.account.clone());
            }
        }
        let accounts: BTreeSet<String> = wanted.values().flatten().cloned().collect();
        let accounts: Vec<String> = accounts.into_iter().collect();
        let mut incidents = BTreeMap::new();
        let live = self.experience.as_ref().map(|live| live.borrow().clone());
        let mut learned = BTreeMap::new();
        for no in wanted.keys() {
            let Some(incident) = self.store.incident(*no).await? else {
                continue;
            };
            let known = live
                .as_ref()
                .and_then(|live| live.learned(&incident, now_ms));
            learned.extend(known.map(|known| (*no, known)));
            incidents.insert(*no, Arc::new(incident));
        }
        let mut elsewhere = BTreeMap::new();
        for (no, people) in asking {
            for (account, found) in self.store.lost_elsewhere(no, &people).await? {
                elsewhere.insert((no, account), found);
            }
        }
        Ok(Batch {
            histories: self.store.notice_histories(&wanted).await?,
            people: self.store.addressees(&accounts).await?,
            incidents,
            learned,
            elsewhere,
        })
    }

    /// Sorts a batch into what is settled without sending and what is to be sent.
    fn gate(
        &self,
        claimed: Vec<Claimed>,
        batch: &Batch,
        now_ms: Millis,
    ) -> (Vec<Settlement>, VecDeque<Letter>) {
        let mut settled = Vec::new();
        let mut letters = VecDeque::new();
        for claim in claimed {
            let outcome = match self.verdict(&claim, batch, now_ms) {
                Verdict::Send => match batch.letter(claim.clone()) {
                    Some(letter) => {
                        letters.push_back(letter);
                        continue;
                    }
                    None => cancel("no_contact_point"),
                },
                Verdict::Wait { until_ms, reason } => Outcome::Wait {
                    until_ms,
                    reason: reason.to_owned(),
                },
                Verdict::Cancel(reason) => cancel(reason),
            };
            settled.push(settlement(&claim, now_ms, outcome));
        }
        (settled, letters)
    }

    fn verdict(&self, claim: &Claimed, batch: &Batch, now_ms: Millis) -> Verdict {
        let history = batch.history(claim);
        let Some(notice) = history.iter().find(|n| n.id == claim.id) else {
            return Verdict::Cancel("taken_over");
        };
        let key = (claim.incident, claim.account.clone());
        decide(&GateInput {
            notice,
            useless_after_ms: claim.useless_after_ms,
            incident: batch.incidents.get(&claim.incident).map(|i| &**i),
            history,
            person: batch.people.get(&claim.account).map(|p| &**p),
            elsewhere: batch.elsewhere.get(&key).copied().unwrap_or_default(),
            now_ms,
            policy: &self.outlet.policy,
        })
    }

    /// Composes and hands over, so many at a time.
    async fn send(&self, letters: VecDeque<Letter>, now_ms: Millis) -> Vec<Settlement> {
        let workers = self
            .outlet
            .options
            .concurrency
            .clamp(1, letters.len().max(1));
        let begun = Instant::now();
        let lease =
            Duration::from_millis(u64::try_from(self.outlet.options.lease_ms).unwrap_or(0) / 2);
        let queue = Arc::new(Mutex::new(letters));
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            let queue = Arc::clone(&queue);
            let outlet = Arc::clone(&self.outlet);
            tasks.spawn(async move {
                let mut settled = Vec::new();
                while let Some(letter) = next(&queue) {
                    let outcome = if begun.elapsed() > lease {
                        Outcome::Wait {
                            until_ms: now_ms,
                            reason: "lease_ending".to_owned(),
                        }
                    } else {
                        outlet.send_guarded(&letter, now_ms).await
                    };
                    let passed = i64::try_from(begun.elapsed().as_millis()).unwrap_or(0);
                    settled.push(settlement(&letter.claim, now_ms + passed, outcome));
                }
                settled
            });
        }
        let mut settled = Vec::new();
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(done) => settled.extend(done),
                // What it held goes out again when the lease ends.
                Err(error) => tracing::error!(%error, "a sending task failed"),
            }
        }
        settled
    }
}

fn next(queue: &Mutex<VecDeque<Letter>>) -> Option<Letter> {
    queue
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .pop_front()
}

fn cancel(reason: &str) -> Outcome {
    Outcome::Cancel {
        reason: reason.to_owned(),
    }
}

fn settlement(claim: &Claimed, at_ms: Millis, outcome: Outcome) -> Settlement {
    Settlement {
        id: claim.id,
        attempt: claim.attempt,
        at_ms,
        outcome,
    }
}

fn count(settled: &[Settlement]) -> Progress {
    let mut progress = Progress {
        claimed: settled.len(),
        ..Progress::default()
    };
    for settlement in settled {
        match settlement.outcome {
            Outcome::Sent { .. } => progress.sent += 1,
            Outcome::Retry { .. } => progress.retried += 1,
            Outcome::Wait { .. } => progress.waiting += 1,
            Outcome::Cancel { .. } => progress.cancelled += 1,
            Outcome::Bounced { .. } => progress.bounced += 1,
            Outcome::Dead { .. } => progress.dead += 1,
        }
    }
    progress
}

/// The present, as far as a batch needs it.
#[derive(Debug)]
struct Batch {
    histories: Histories,
    people: BTreeMap<String, Arc<Addressee>>,
    incidents: BTreeMap<IncidentNo, Arc<Incident>>,
    learned: BTreeMap<IncidentNo, Learned>,
    elsewhere: BTreeMap<(IncidentNo, String), Elsewhere>,
}

impl Batch {
    fn history(&self, claim: &Claimed) -> &[PriorNotice] {
        self.histories
            .get(&(claim.incident, claim.account.clone()))
            .map_or(&[], Vec::as_slice)
    }

    fn letter(&self, claim: Claimed) -> Option<Letter> {
        let person = self.people.get(&claim.account)?;
        let incident = self.incidents.get(&claim.incident)?;
        let mut history = self.history(&claim).iter();
        let planned = history.find(|n| n.id == claim.id).and_then(|n| n.facts);
        Some(Letter {
            to: person.email()?.to_owned(),
            person: Arc::clone(person),
            facts: Facts {
                onset_ms: planned.map_or(incident.onset_ms, |planned| planned.onset_ms),
                ..Facts::of(incident)
            },
            incident: Arc::clone(incident),
            learned: self.learned.get(&claim.incident).copied(),
            thread: History::new(self.history(&claim))
                .root()
                .filter(|root| *root != claim.id),
            claim,
        })
    }
}

/// A notice that the gate has let through.
#[derive(Debug)]
struct Letter {
    claim: Claimed,
    person: Arc<Addressee>,
    incident: Arc<Incident>,
    facts: Facts,
    learned: Option<Learned>,
    thread: Option<NoticeId>,
    to: String,
}

impl Outlet {
    /// Sends; a panic over this letter counts as a failed attempt at it, and costs no other.
    async fn send_guarded(&self, letter: &Letter, now_ms: Millis) -> Outcome {
        let sending = AssertUnwindSafe(self.send(letter, now_ms)).catch_unwind();
        sending.await.unwrap_or_else(|_| {
            tracing::error!(notice = %letter.claim.id.0, "sending a notice panicked");
            self.failed(letter, None, "sending broke off".to_owned(), now_ms)
        })
    }

    async fn send(&self, letter: &Letter, now_ms: Millis) -> Outcome {
        let url = self.links.url(&letter.claim.account);
        let input = MessageInput {
            stage: letter.claim.stage,
            incident: &letter.incident,
            lost_since_ms: letter.facts.onset_ms,
            person: &letter.person,
            unsubscribe_url: &url,
            learned: letter.learned,
            planned_at_ms: letter.claim.planned_at_ms,
            now_ms,
        };
        let message = match compose(&self.templates, &self.sender, &input) {
            Ok(message) => message,
            Err(error) => {
                return Outcome::Dead {
                    detail: error.to_string(),
                };
            }
        };
        let outgoing = Outgoing {
            notice: letter.claim.id,
            thread: letter.thread,
            to: letter.to.clone(),
            subject: message.subject.clone(),
            text: message.text.clone(),
            html: message.html.clone(),
            language: message.language,
            unsubscribe_url: url,
            now_ms,
        };
        let result = self.channel.send(&outgoing).await;
        self.outcome(letter, message, result, now_ms)
    }

    fn outcome(
        &self,
        letter: &Letter,
        message: Message,
        result: SendOutcome,
        now_ms: Millis,
    ) -> Outcome {
        match result {
            SendOutcome::Accepted => Outcome::Sent {
                facts: letter.facts,
                template_version: message.template_version,
                subject: message.subject,
                body: message.text,
            },
            SendOutcome::Retry { after, detail } => self.failed(letter, after, detail, now_ms),
            SendOutcome::Permanent {
                detail,
                address_is_bad,
            } => Outcome::Bounced {
                detail,
                bad_address: address_is_bad.then(|| contact_key(ContactKind::Email, &letter.to)),
            },
        }
    }

    fn failed(
        &self,
        letter: &Letter,
        after: Option<Duration>,
        detail: String,
        now_ms: Millis,
    ) -> Outcome {
        let backoff = &self.options.backoff;
        if letter.claim.try_no >= backoff.max_attempts {
            return Outcome::Dead { detail };
        }
        let asked = after.map(|after| i64::try_from(after.as_millis()).unwrap_or(0));
        let delay = backoff.delay_ms(letter.claim.id.0, letter.claim.try_no, asked);
        Outcome::Retry {
            at_ms: now_ms + delay,
            detail,
        }
    }
}
