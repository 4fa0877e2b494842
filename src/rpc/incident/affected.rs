//! The subscribers of an incident, with what each was told.
//!
//! Of an open incident they come from its present impact, of a closed one from its notices.

use super::{IncidentApi, STREAM_AHEAD, invalid, one_of, store_failed};
use crate::incident::IncidentNo;
use crate::notice::Decision;
use crate::proto::v1;
use crate::store::{NoticeOutcome, StoreError};
use crate::subscriber::Segment;
use crate::topology::SubscriberNo;
use std::collections::{BTreeMap, HashMap};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// People who are read from the store in one go.
const CHUNK: usize = 1_000;

/// Whom to list.
#[derive(Debug)]
pub(super) struct Filter {
    at_risk: bool,
    segment: Option<Segment>,
    vulnerable_only: bool,
    decision: Option<Decision>,
    language: String,
}

impl Filter {
    pub(super) fn parse(request: &v1::ListAffectedRequest) -> Result<Self, Status> {
        let segment = match request.segment.as_str() {
            "" => None,
            name => Some(
                Segment::parse(name)
                    .ok_or_else(|| invalid("segment", name, "residential or business"))?,
            ),
        };
        let names = Decision::ALL.map(Decision::as_str);
        let decision = one_of("decision", &request.decision, Decision::parse, &names)?;
        Ok(Self {
            at_risk: request.include_at_risk,
            segment,
            vulnerable_only: request.vulnerable_only,
            decision,
            language: request.language.clone(),
        })
    }

    /// `first` is the decision on the first notice of the latest episode.
    fn wants(&self, person: &v1::AffectedSubscriber, first: &str) -> bool {
        let language = &person.language;
        let speaks = self.language.is_empty()
            || language.eq_ignore_ascii_case(&self.language)
            || language
                .split_once('-')
                .is_some_and(|(base, _)| base.eq_ignore_ascii_case(&self.language));
        speaks
            && self.segment.is_none_or(|s| s.as_str() == person.segment)
            && (person.vulnerable || !self.vulnerable_only)
            && self.decision.is_none_or(|d| d.as_str() == first)
    }
}

/// Why the stream ends before its end.
enum Ended {
    ClientLeft,
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) fn start(
    api: &IncidentApi,
    no: IncidentNo,
    filter: Filter,
) -> ReceiverStream<Result<v1::AffectedSubscriber, Status>> {
    let (sender, receiver) = mpsc::channel(STREAM_AHEAD);
    let lister = Lister {
        api: api.clone(),
        no,
        filter,
        sender,
    };
    api.tasks.spawn(async move {
        let outcome = tokio::select! {
            outcome = lister.run() => outcome,
            () = lister.sender.closed() => Err(Ended::ClientLeft),
            () = lister.api.shutdown.cancelled() => Err(Ended::ClientLeft),
        };
        let farewell = match outcome {
            Err(Ended::Store(error)) => store_failed(error),
            Err(Ended::ClientLeft) => {
                Status::unavailable("the list is not complete; ask for it again")
            }
            Ok(()) => return,
        };
        // A client that has left, or reads nothing, gets no farewell.
        lister.sender.try_send(Err(farewell)).ok();
    });
    ReceiverStream::new(receiver)
}

struct Lister {
    api: IncidentApi,
    no: IncidentNo,
    filter: Filter,
    sender: mpsc::Sender<Result<v1::AffectedSubscriber, Status>>,
}

impl Lister {
    async fn run(&self) -> Result<(), Ended> {
        let live = self.api.live.borrow().clone();
        let shown = live
            .incidents
            .iter()
            .find(|shown| shown.incident.no == self.no && shown.incident.state.is_open());
        let Some(shown) = shown else {
            return self.list_noticed().await;
        };
        let version = live.subscribers_version;
        let lost: Vec<SubscriberNo> = live.network.subscribers(&shown.lost).collect();
        for chunk in lost.chunks(CHUNK) {
            self.list_impact(version, chunk, "lost").await?;
        }
        if self.filter.at_risk {
            let at_risk: Vec<SubscriberNo> = live.network.subscribers(&shown.at_risk).collect();
            for chunk in at_risk.chunks(CHUNK) {
                self.list_impact(version, chunk, "at_risk").await?;
            }
        }
        Ok(())
    }

    async fn list_impact(
        &self,
        version: i64,
        numbers: &[SubscriberNo],
        impact: &str,
    ) -> Result<(), Ended> {
        let store = &self.api.store;
        let people = store.subscribers_by_no(version, numbers).await?;
        let accounts: Vec<String> = people.iter().map(|(_, p)| p.account.clone()).collect();
        let outcomes = self.outcomes(&accounts).await?;
        for (_, person) in people {
            let notices = outcomes.get(&person.account).map_or(&[][..], Vec::as_slice);
            let message = v1::AffectedSubscriber {
                account: person.account,
                name: person.name,
                segment: person.segment.as_str().to_owned(),
                vulnerable: person.vulnerable,
                language: person.language,
                impact: impact.to_owned(),
                ..latest(notices)
            };
            self.send(message, notices).await?;
        }
        Ok(())
    }

    /// Everyone about whom something was decided.
    async fn list_noticed(&self) -> Result<(), Ended> {
        let store = &self.api.store;
        let mut after = String::new();
        loop {
            let limit = i64::try_from(CHUNK).unwrap_or(i64::MAX);
            let accounts = store.accounts_of_incident(self.no, &after, limit).await?;
            let Some(last) = accounts.last() else {
                return Ok(());
            };
            after.clone_from(last);
            let outcomes = self.outcomes(&accounts).await?;
            let customers = store.customers_by_account(&accounts).await?;
            let mut names: HashMap<String, String> =
                customers.into_iter().map(|c| (c.account, c.name)).collect();
            for (account, notices) in &outcomes {
                let message = v1::AffectedSubscriber {
                    name: names.remove(account).unwrap_or_default(),
                    impact: "lost".to_owned(),
                    ..latest(notices)
                };
                self.send(message, notices).await?;
            }
        }
    }

    async fn outcomes(
        &self,
        accounts: &[String],
    ) -> Result<BTreeMap<String, Vec<NoticeOutcome>>, Ended> {
        let mut of: BTreeMap<String, Vec<NoticeOutcome>> = BTreeMap::new();
        for outcome in self.api.store.notice_outcomes(self.no, accounts).await? {
            of.entry(outcome.account.clone()).or_default().push(outcome);
        }
        Ok(of)
    }

    async fn send(
        &self,
        person: v1::AffectedSubscriber,
        notices: &[NoticeOutcome],
    ) -> Result<(), Ended> {
        let first = notices.iter().rfind(|notice| notice.stage == "first");
        if !self
            .filter
            .wants(&person, first.map_or("", |n| &n.decision))
        {
            return Ok(());
        }
        let sent = self.sender.send(Ok(person)).await;
        sent.map_err(|_| Ended::ClientLeft)
    }
}

/// What the latest of the notices says, about the person and about itself.
fn latest(notices: &[NoticeOutcome]) -> v1::AffectedSubscriber {
    let Some(notice) = notices.last() else {
        return v1::AffectedSubscriber::default();
    };
    v1::AffectedSubscriber {
        account: notice.account.clone(),
        segment: notice.segment.clone(),
        vulnerable: notice.vulnerable,
        language: notice.language.clone(),
        decision: notice.decision.clone(),
        notice_state: notice.state.clone(),
        ..v1::AffectedSubscriber::default()
    }
}
