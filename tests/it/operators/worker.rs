//! What operators decide, and what imports bring, by the real correlator over a database, with
//! restarts in between.

use super::*;
use forewarn::alarm::{AlarmDetail, AlarmEvent, AlarmEventKind, AlarmKey, LogRecord, Severity};
use forewarn::effect::holdout::Experiment;
use forewarn::incident::{CauseKind, CorrelatorSettings, OperatorCommand, PartClass};
use forewarn::notice::plan::NoticePolicy;
use forewarn::pipeline::alarm_log::AlarmLog;
use forewarn::pipeline::alarm_query::AlarmQuery;
use forewarn::pipeline::correlator::{CorrelatorPorts, CorrelatorWorker, nothing_live};
use forewarn::pipeline::intake::{Intake, IntakeLimits, Parcel};
use forewarn::pipeline::planner::Planner;
use forewarn::proto::v1::incident_service_server::IncidentService as _;
use forewarn::store::{NoticeFilter, NoticePage};
use tokio::sync::{Notify, oneshot};

const SECOND: i64 = 1_000;

/// A database, and the correlator on it.
struct Service {
    t: TestStore,
    worker: CorrelatorWorker,
    intake: Intake<AlarmLog>,
    commands: mpsc::Sender<PendingCommand>,
    queries: mpsc::Sender<AlarmQuery>,
    live: LiveReceiver,
    now_ms: i64,
    sequence: u64,
}

impl Service {
    async fn start(backend: Backend) -> Self {
        let t = store(backend).await;
        // On gateways of their own, so that nothing above explains both OLTs.
        let mut network = network();
        network.elements.push(element("bng2", ElementKind::Bng));
        network.links.retain(|link| link.b != "olt2");
        network.links.push(link("bng2", "olt2"));
        import_topology(&t.store, network, NOW_MS, &|_, _, _| {})
            .await
            .unwrap();
        import_people(&t.store, 4).await;
        Self::open(t, NOW_MS, 1).await
    }

    async fn open(t: TestStore, now_ms: i64, sequence: u64) -> Self {
        let log = Arc::new(AlarmLog::open(t.store.clone()).await.unwrap());
        let limits = IntakeLimits {
            queue_events: 1_000,
            batch_events: 100,
        };
        let clock = Clock::manual(now_ms);
        let intake = Intake::open(Arc::clone(&log), t.store.clone(), clock, limits);
        let intake = intake.await.unwrap();
        let settings = CorrelatorSettings {
            gather_ms: 0,
            hold_down_ms: 10 * SECOND,
            lone_alarm_ms: Some(0),
            ..CorrelatorSettings::default()
        };
        let experiment = Experiment {
            name: "none".to_owned(),
            holdout_percent: 0.0,
        };
        let planner = Planner::new(NoticePolicy::default(), experiment, [1; 32]);
        let (commands, pending) = mpsc::channel(8);
        let (queries, asked) = mpsc::channel(8);
        let (shown, live) = watch::channel(Arc::new(nothing_live()));
        let ports = CorrelatorPorts {
            commands: pending,
            queries: asked,
            live: shown,
            planned: Arc::new(Notify::new()),
            declared: Arc::new(Notify::new()),
            batteries: Arc::default(),
        };
        let worker = CorrelatorWorker::open(t.store.clone(), log, settings, planner, ports, now_ms);
        let worker = worker.await.unwrap();
        Self {
            t,
            worker,
            intake,
            commands,
            queries,
            live,
            now_ms,
            sequence,
        }
    }

    /// Ends, and begins again on the same database.
    async fn restart(self) -> Self {
        let (t, now_ms, sequence) = (self.t, self.now_ms, self.sequence);
        drop((self.worker, self.intake));
        let mut service = Self::open(t, now_ms + SECOND, sequence).await;
        service.pass(0).await;
        service
    }

    async fn say(&mut self, kind: AlarmEventKind, resource: &str) {
        let record = LogRecord::Event(AlarmEvent {
            kind,
            key: AlarmKey {
                resource: resource.to_owned(),
                alarm_type: "unreachable".to_owned(),
                qualifier: String::new(),
            },
            severity: Severity::Critical,
            event_at_ms: self.now_ms,
            detail: AlarmDetail::default(),
        });
        let feed = self.intake.feed("noc", 0).await.unwrap();
        let parcel = Parcel {
            records: vec![(self.sequence, record)],
            through: self.sequence,
            rejected: false,
        };
        feed.accept(parcel).unwrap();
        self.intake.commit_pending().await.unwrap();
        self.sequence += 1;
        self.pass(1).await;
    }

    /// `olt1` and `olt2` fail, too far apart in time to have one cause; both are believed.
    async fn fail_one_after_the_other(&mut self) {
        self.say(AlarmEventKind::Raise, "olt1").await;
        self.pass(1_800).await;
        self.say(AlarmEventKind::Raise, "olt2").await;
        self.pass(30).await;
    }

    /// Lets so many seconds pass.
    async fn pass(&mut self, seconds: i64) {
        self.worker.step(self.now_ms).await.unwrap();
        self.now_ms += seconds * SECOND;
        self.worker.step(self.now_ms).await.unwrap();
    }

    async fn act(&mut self, no: i64, action: OperatorAction) -> Incident {
        self.try_to(no, action).await.unwrap()
    }

    async fn try_to(&mut self, no: i64, action: OperatorAction) -> Result<Incident, CommandError> {
        let (answer, answered) = oneshot::channel();
        let command = OperatorCommand {
            incident: IncidentNo(no),
            by: "noc".to_owned(),
            action,
        };
        let pending = PendingCommand { command, answer };
        self.commands.send(pending).await.unwrap();
        self.pass(1).await;
        answered.await.unwrap()
    }

    /// Open incidents with their cause and how many are without service, as shown.
    fn open_now(&self) -> Vec<(i64, String, u64)> {
        let live = self.live.borrow();
        let open = live.incidents.iter().map(|live| &live.incident);
        open.filter(|incident| incident.state.is_open())
            .map(|i| (i.no.0, i.cause.resources.join("+"), i.affected))
            .collect()
    }

    /// Alarms of resources that the network does not know: how many, and which.
    async fn unmapped(&mut self) -> (u64, Vec<String>) {
        let (answer, answered) = oneshot::channel();
        let query = AlarmQuery {
            after: None,
            unmapped_only: true,
            limit: 10,
            answer,
        };
        self.queries.send(query).await.unwrap();
        self.worker.step(self.now_ms).await.unwrap();
        let page = answered.await.unwrap();
        assert_eq!(page.unmapped, self.live.borrow().unmapped_alarms);
        let resources = page.alarms.into_iter().map(|alarm| alarm.key.resource);
        (page.unmapped, resources.collect())
    }

    /// Notices as account, incident, stage, and state or reason.
    async fn notices(&self) -> Vec<String> {
        let page = NoticePage {
            after: None,
            size: 100,
        };
        let filter = NoticeFilter::default();
        let (notices, _) = self.t.store.list_notices(&filter, page).await.unwrap();
        let mut lines: Vec<String> = notices
            .into_iter()
            .map(|n| {
                let state = match n.state {
                    forewarn::notice::NoticeState::NotSent => n.decision.as_str(),
                    state => state.as_str(),
                };
                format!("{} {} {} {state}", n.account, n.incident, n.stage.as_str())
            })
            .collect();
        lines.sort();
        lines
    }

    /// Everything that is due leaves.
    async fn deliver(&mut self) {
        let mut tx = self.t.store.begin().await.unwrap();
        let until_ms = self.now_ms + 60 * SECOND;
        let claimed = tx.claim_notices(self.now_ms, until_ms, 100).await.unwrap();
        for notice in claimed {
            let incident = self.t.store.incident(notice.incident).await.unwrap();
            let outcome = Outcome::Sent {
                facts: Facts::of(&incident.unwrap()),
                template_version: "1".to_owned(),
                subject: "Your service".to_owned(),
                body: "Dear customer".to_owned(),
            };
            let settlement = Settlement {
                id: notice.id,
                attempt: notice.attempt,
                at_ms: self.now_ms,
                outcome,
            };
            tx.settle_notices(&[settlement]).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
}

async fn import_people(store: &Store, count: u32) {
    let people = (1..=count).map(|no| person(no, "en", Segment::Residential, false));
    import_subscribers(store, people.collect(), NOW_MS, &|_, _, _| {})
        .await
        .unwrap();
}

/// Asks over gRPC while the correlator works.
async fn ask<T>(
    service: &mut Service,
    call: impl AsyncFnOnce(&IncidentApi) -> Result<tonic::Response<T>, Status>,
) -> Result<T, Status> {
    let api = IncidentApi {
        store: service.t.store.clone(),
        live: service.live.clone(),
        commands: service.commands.clone(),
        declared: Arc::default(),
        clock: Clock::manual(service.now_ms),
        tasks: TaskTracker::new(),
        shutdown: CancellationToken::new(),
    };
    let work = async {
        loop {
            service.pass(0).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = call(&api) => answer.map(tonic::Response::into_inner),
        () = work => unreachable!(),
    }
}

fn by_operator<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let (name, role) = ("noc".to_owned(), Role::Operator);
    request.extensions_mut().insert(Caller { name, role });
    request
}

#[tokio::test]
async fn mergers_splits_and_causes_that_cannot_be_are_refused_by_field() {
    let mut service = Service::start(Backend::Sqlite).await;
    service.fail_one_after_the_other().await;
    let merge = |id: &str, into: &str| {
        by_operator(v1::MergeIncidentsRequest {
            id: id.to_owned(),
            into: into.to_owned(),
            reason: "one cut".to_owned(),
        })
    };
    for into in ["INC-1", "INC-7", "none"] {
        let request = merge("INC-1", into);
        let refused = ask(&mut service, async |api| api.merge_incidents(request).await).await;
        assert_eq!(fields(&refused.unwrap_err()), ["into"], "{into}");
    }
    let request = merge("INC-2", "INC-1");
    let merged = ask(&mut service, async |api| api.merge_incidents(request).await).await;
    assert_eq!(merged.unwrap().cause.unwrap().resources, ["olt1", "olt2"]);
    let request = merge("INC-1", "INC-2");
    let refused = ask(&mut service, async |api| api.merge_incidents(request).await).await;
    assert_eq!(fields(&refused.unwrap_err()), ["into"], "closed");

    let split = |resources: &[&str]| {
        by_operator(v1::SplitIncidentRequest {
            id: "INC-1".to_owned(),
            resources: resources.iter().map(|id| (*id).to_owned()).collect(),
            reason: String::new(),
        })
    };
    for resources in [&[][..], &["olt1", "olt2"], &["bng"], &["nothing"]] {
        let request = split(resources);
        let refused = ask(&mut service, async |api| api.split_incident(request).await).await;
        assert_eq!(
            fields(&refused.unwrap_err()),
            ["resources"],
            "{resources:?}"
        );
    }
    let request = split(&["olt2"]);
    let new = ask(&mut service, async |api| api.split_incident(request).await).await;
    let new = new.unwrap();
    assert_eq!(
        (new.id.as_str(), new.split_from.as_str()),
        ("INC-3", "INC-1")
    );

    let cause = |resources: &[&str]| {
        by_operator(v1::SetCauseRequest {
            id: "INC-1".to_owned(),
            kind: "power".to_owned(),
            text: String::new(),
            resources: resources.iter().map(|id| (*id).to_owned()).collect(),
        })
    };
    let request = cause(&["ont1", "nothing"]);
    let refused = ask(&mut service, async |api| api.set_cause(request).await).await;
    assert_eq!(fields(&refused.unwrap_err()), ["resources"]);
    let request = cause(&["ont1", "ont2"]);
    let set = ask(&mut service, async |api| api.set_cause(request).await).await;
    assert_eq!(set.unwrap().affected, 2);
    let request = split(&["ont1"]);
    let refused = ask(&mut service, async |api| api.split_incident(request).await).await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
    for expected in [Ok(()), Err(Code::FailedPrecondition)] {
        let request = by_operator(v1::WithdrawCauseRequest {
            id: "INC-1".to_owned(),
            reason: String::new(),
        });
        let given_back = ask(&mut service, async |api| api.withdraw_cause(request).await).await;
        let outcome = given_back.map(drop).map_err(|status| status.code());
        assert_eq!(outcome, expected);
    }
}

fn merge(into: i64) -> OperatorAction {
    OperatorAction::Merge {
        into: IncidentNo(into),
        reason: "one cut".to_owned(),
    }
}

#[rstest]
#[tokio::test]
async fn an_alarm_of_an_unknown_resource_is_kept_until_an_import_brings_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut service = Service::start(backend).await;
    service.say(AlarmEventKind::Raise, "olt3").await;
    service.pass(60).await;
    assert_eq!(service.open_now(), []);
    let kept = (1, vec!["olt3".to_owned()]);
    assert_eq!(service.unmapped().await, kept);
    let mut service = service.restart().await;
    assert_eq!(service.unmapped().await, kept);

    let mut grown = network();
    grown.elements.push(element("olt3", ElementKind::Olt));
    grown.elements.push(element("ont5", ElementKind::Ont));
    grown
        .links
        .extend([link("bng", "olt3"), link("olt3", "ont5")]);
    import_topology(&service.t.store, grown, NOW_MS, &|_, _, _| {})
        .await
        .unwrap();
    import_people(&service.t.store, 5).await;
    service.pass(5).await;
    assert_eq!(service.open_now(), [(1, "olt3".to_owned(), 1)]);
    assert_eq!(service.unmapped().await, (0, Vec::new()));
    let mut service = service.restart().await;
    service.pass(60).await;
    assert_eq!(service.open_now(), [(1, "olt3".to_owned(), 1)]);
    assert_eq!(service.notices().await, ["A5 INC-1 first pending"]);

    // And back: the network forgets it, and the alarm stays.
    import_topology(&service.t.store, network(), NOW_MS, &|_, _, _| {})
        .await
        .unwrap();
    import_people(&service.t.store, 4).await;
    service.pass(60).await;
    assert_eq!(service.unmapped().await, kept);
}

#[rstest]
#[tokio::test]
async fn a_merger_holds_across_a_restart_and_its_people_hear_the_end_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut service = Service::start(backend).await;
    service.fail_one_after_the_other().await;
    service.deliver().await;
    let merged = service.act(2, merge(1)).await;
    assert_eq!(merged.no, IncidentNo(1));
    let both = [(1, "olt1+olt2".to_owned(), 4)];
    assert_eq!(service.open_now(), both);
    let mut service = service.restart().await;
    service.pass(600).await;
    assert_eq!(service.open_now(), both);
    let kept = service
        .t
        .store
        .incident(IncidentNo(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.merged_into, Some(IncidentNo(1)));
    let refused = service.try_to(2, merge(1)).await.unwrap_err();
    assert_eq!(refused, CommandError::NoSuchIncident(IncidentNo(2)));
    for no in [1, 2] {
        let timeline = service.t.store.timeline(IncidentNo(no)).await.unwrap();
        let told = timeline.iter().find(|e| e.what == TimelineKind::Merged);
        assert_eq!(told.unwrap().by, "noc");
    }
    service.say(AlarmEventKind::Clear, "olt1").await;
    service.say(AlarmEventKind::Clear, "olt2").await;
    service.pass(120).await;
    assert_eq!(service.open_now(), []);
    let expected = [
        "A1 INC-1 first sent",
        "A1 INC-1 restored pending",
        "A2 INC-1 first sent",
        "A2 INC-1 restored pending",
        "A3 INC-1 first sent",
        "A3 INC-1 restored pending",
        "A4 INC-1 first covered",
        "A4 INC-1 restored pending",
        "A4 INC-2 first sent",
    ];
    assert_eq!(service.notices().await, expected);
}

#[rstest]
#[tokio::test]
async fn a_split_tells_nobody_anew_and_a_named_cause_retracts_what_never_was(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut service = Service::start(backend).await;
    service.fail_one_after_the_other().await;
    service.deliver().await;
    service.act(2, merge(1)).await;
    service.pass(30).await;
    let split = OperatorAction::Split {
        resources: vec!["olt2".to_owned()],
        reason: "two cuts".to_owned(),
    };
    assert_eq!(service.act(1, split).await.no, IncidentNo(3));
    let apart = [(1, "olt1".to_owned(), 3), (3, "olt2".to_owned(), 1)];
    assert_eq!(service.open_now(), apart);
    let mut service = service.restart().await;
    service.pass(60).await;
    assert_eq!(service.open_now(), apart);
    let lines = service.notices().await;
    let covered = "A4 INC-3 first covered".to_owned();
    assert!(lines.contains(&covered), "{lines:?}");

    let named = OperatorAction::SetCause {
        kind: CauseKind::FibreCut,
        text: "digger".to_owned(),
        resources: vec!["ont1".to_owned()],
    };
    assert_eq!(service.act(1, named).await.affected, 1);
    let mut service = service.restart().await;
    service.pass(600).await;
    assert_eq!(service.open_now()[0], (1, "ont1".to_owned(), 1));
    let lines = service.notices().await;
    for line in ["A2 INC-1 retraction pending", "A3 INC-1 retraction pending"] {
        assert!(lines.iter().any(|l| l == line), "{lines:?}");
    }
    assert!(!lines.iter().any(|l| l.starts_with("A1 INC-1 retraction")));
    let withdraw = OperatorAction::WithdrawCause {
        reason: String::new(),
    };
    service.act(1, withdraw).await;
    assert_eq!(service.open_now(), apart);
}

#[rstest]
#[tokio::test]
async fn how_long_a_fault_took_is_remembered_across_a_restart(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut service = Service::start(backend).await;
    service.say(AlarmEventKind::Raise, "olt1").await;
    service.pass(30).await;
    assert!(service.live.borrow().experience.is_empty());
    let onset_ms = service.live.borrow().incidents[0].incident.onset_ms;
    service.say(AlarmEventKind::Clear, "olt1").await;
    service.pass(60).await;
    let past = Arc::clone(&service.live.borrow().experience);
    let kept = service.t.store.ended_episodes(0, 9).await.unwrap();
    assert_eq!(*past, Experience::new(kept.clone()));
    let [episode] = kept[..] else {
        panic!("{kept:?}")
    };
    assert_eq!(episode.like.class, PartClass::Olt);
    assert_eq!(episode.onset_ms, onset_ms);
    assert_eq!(episode.ended_ms, onset_ms + 31 * SECOND);
    let service = service.restart().await;
    assert_eq!(service.live.borrow().experience, past);
}

#[tokio::test]
async fn one_that_ends_for_good_is_answered_with_its_end() {
    let mut service = Service::start(Backend::Sqlite).await;
    service.say(AlarmEventKind::Raise, "olt1").await;
    service.pass(30).await;
    service.say(AlarmEventKind::Clear, "olt1").await;
    let reason = "a test".to_owned();
    let rejected = service.act(1, OperatorAction::Reject { reason }).await;
    assert_eq!(rejected.state, IncidentState::Rejected);
}
