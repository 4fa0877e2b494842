//! From the outbox to a real mail conversation and back.

mod crossing;
mod learned;
mod relay;

use crate::operators::incident;
use crate::support::{Backend, TestStore, insert_people, store};
use forewarn::app::email_channel;
use forewarn::channel::email::EmailChannel;
use forewarn::channel::recorder::Recorder;
use forewarn::channel::smtp_pool::{SmtpOptions, SmtpTls};
use forewarn::channel::{Channel, SendOutcome};
use forewarn::clock::Clock;
use forewarn::config::Config;
use forewarn::delivery::backoff::Backoff;
use forewarn::delivery::unsubscribe::UnsubscribeLinks;
use forewarn::demo::smtp_capture::{Capture, CaptureOptions, Moment, Reaction, Rule};
use forewarn::incident::{Estimate, Incident, IncidentNo, IncidentState};
use forewarn::notice::compose::Sender;
use forewarn::notice::plan::{NoticePolicy, Plan, PlanInput, plan};
use forewarn::notice::template::Templates;
use forewarn::notice::{Decision, NoticeState, Recipient, Stage};
use forewarn::pipeline::dispatcher::{DispatchOptions, Dispatcher, Outlet, Progress};
use forewarn::store::{DatasetKind, NoticeFilter, NoticePage, NoticeRecord, Store};
use forewarn::subscriber::{ChannelKind, ContactKind, ContactPoint, Segment, Subscriber};
use forewarn::topology::{Redundancy, SubscriberNo};
use forewarn::web::{Web, router};
use mail_parser::{MessageParser, MimeHeaders};
use rstest::rstest;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// 2026-05-12T12:00:00Z, 14:00 in Rome.
const NOW_MS: i64 = 1_778_587_200_000;
const MINUTE: i64 = 60_000;

fn subscriber(number: usize) -> Subscriber {
    Subscriber {
        account: format!("A-{number}"),
        name: "Niccolò D’Amè".to_owned(),
        language: if number.is_multiple_of(2) {
            "it-IT"
        } else {
            "en"
        }
        .to_owned(),
        time_zone: "Europe/Rome".to_owned(),
        segment: Segment::Residential,
        vulnerable: false,
        contact_points: vec![ContactPoint {
            kind: ContactKind::Email,
            value: format!("Person{number}@example.net"),
        }],
        channels: vec![ChannelKind::Email],
        quiet_hours: None,
        consent: true,
        address: format!("Via Libertà {number} <b>, Roma"),
        position: None,
        served_by: vec![format!("ONT-{number}")],
        redundancy: Redundancy::Any,
        cpe_serial: String::new(),
    }
}

async fn with_people(backend: Backend, people: &[Subscriber]) -> TestStore {
    let t = store(backend).await;
    let network = t
        .store
        .begin_version(DatasetKind::Topology, 1)
        .await
        .unwrap();
    assert!(t.store.publish_version(&network, 1).await.unwrap());
    let ticket = t
        .store
        .begin_version(DatasetKind::Subscribers, 1)
        .await
        .unwrap();
    let mut tx = t.store.begin().await.unwrap();
    insert_people(&mut tx, ticket.version, people).await;
    tx.commit().await.unwrap();
    assert!(t.store.publish_version(&ticket, 1).await.unwrap());
    t
}

fn confirmed() -> Incident {
    let mut incident = incident(1, IncidentState::Confirmed);
    incident.onset_ms = NOW_MS - 10 * MINUTE;
    incident
}

/// What the correlator does with one change: incident and plan in one transaction.
async fn change(store: &Store, incident: &Incident, lost: &[u32], now_ms: i64) -> Plan {
    change_after(store, incident, &[], lost, now_ms).await
}

/// The same, after others went on in this incident.
async fn change_after(
    store: &Store,
    incident: &Incident,
    merged: &[IncidentNo],
    lost: &[u32],
    now_ms: i64,
) -> Plan {
    let people = People {
        lost,
        merged,
        ..People::default()
    };
    change_for(store, incident, people, now_ms).await
}

#[derive(Clone, Copy, Default)]
struct People<'a> {
    lost: &'a [u32],
    /// Whom the incident never concerned, as has just been said.
    never_lost: &'a [&'a str],
    /// Incidents that went on in this one.
    merged: &'a [IncidentNo],
    /// It does not know what others have told.
    is_unaware: bool,
}

async fn change_for(store: &Store, incident: &Incident, people: People<'_>, now_ms: i64) -> Plan {
    let never_lost = people.never_lost.iter().map(|who| (*who).to_owned());
    let numbers: Vec<_> = people.lost.iter().map(|n| SubscriberNo(*n)).collect();
    let mut tx = store.begin().await.unwrap();
    tx.save_incident(incident, &[]).await.unwrap();
    let prior = tx.prior_notices(incident.no).await.unwrap();
    let mut recipients = tx.recipients(1, &numbers, now_ms).await.unwrap();
    let accounts: Vec<String> = recipients.iter().map(|r| r.account.clone()).collect();
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let elsewhere = tx
        .told_elsewhere(incident.no, people.merged, &accounts)
        .await
        .unwrap();
    for recipient in recipients.iter_mut().filter(|_| !people.is_unaware) {
        recipient.covered_by = elsewhere.get(&recipient.account).copied();
    }
    let made = plan(&PlanInput {
        incident,
        now_ms,
        policy: &NoticePolicy::default(),
        recipients: &recipients,
        never_lost: &never_lost.collect(),
        prior: &prior,
    });
    tx.write_plan(&made).await.unwrap();
    tx.commit().await.unwrap();
    made
}

pub(crate) fn dispatcher(store: &Store, channel: Channel) -> Dispatcher {
    let outlet = Outlet {
        channel,
        templates: Templates::built_in("en").unwrap(),
        sender: Sender {
            brand: "Rete Esempio".to_owned(),
            phone: "800 000 000".to_owned(),
            status_url: "https://status.example.net/".to_owned(),
        },
        links: links(),
        policy: NoticePolicy::default(),
        options: DispatchOptions {
            batch: 100,
            concurrency: 4,
            backoff: Backoff {
                first_ms: 1_000,
                longest_ms: 10_000,
                max_attempts: 3,
            },
            ..DispatchOptions::default()
        },
    };
    Dispatcher::new(store.clone(), outlet)
}

fn links() -> UnsubscribeLinks {
    UnsubscribeLinks::new(vec![1; 32], "https://notices.example.net")
}

fn accept() -> Channel {
    Channel::Recorder(Recorder::new(|_| SendOutcome::Accepted))
}

async fn records(store: &Store) -> Vec<NoticeRecord> {
    let page = NoticePage {
        after: None,
        size: 1_000,
    };
    let (mut all, _) = store
        .list_notices(&NoticeFilter::default(), page)
        .await
        .unwrap();
    all.sort_by(|a, b| (&a.account, a.incident, a.stage).cmp(&(&b.account, b.incident, b.stage)));
    all
}

async fn capture(options: CaptureOptions) -> (Capture, SmtpOptions, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let shutdown = CancellationToken::new();
    let (capture, server) = Capture::new(listener, options, shutdown.clone());
    #[allow(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    let _server = tokio::spawn(server);
    let mut client = SmtpOptions::new("127.0.0.1", port, SmtpTls::None);
    client.step_timeout = Duration::from_secs(5);
    client.data_timeout = Duration::from_secs(5);
    (capture, client, shutdown.drop_guard())
}

fn smtp(options: SmtpOptions) -> Channel {
    let from = "Rete Esempio <avvisi@mail.example.net>";
    Channel::Email(EmailChannel::smtp(from, options).unwrap())
}

fn ruled(rule: impl Fn(Moment, &str) -> Reaction + Send + Sync + 'static) -> CaptureOptions {
    let rule: Rule = Box::new(rule);
    CaptureOptions {
        rule: Some(rule),
        ..CaptureOptions::default()
    }
}

#[rstest]
#[tokio::test]
async fn a_fault_is_told_updated_and_closed_in_one_thread(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0), subscriber(1)]).await;
    let (capture, options, _guard) = capture(CaptureOptions::default()).await;
    let worker = dispatcher(&t.store, smtp(options));
    let mut incident = confirmed();
    change(&t.store, &incident, &[0, 1], NOW_MS).await;
    assert_eq!(worker.step(NOW_MS).await.unwrap().sent, 2);
    incident.estimate = Some(Estimate {
        from_ms: NOW_MS + 90 * MINUTE,
        to_ms: NOW_MS + 150 * MINUTE,
    });
    change(&t.store, &incident, &[0, 1], NOW_MS + MINUTE).await;
    assert_eq!(worker.step(NOW_MS + 2 * MINUTE).await.unwrap().sent, 2);
    assert_eq!(
        worker.step(NOW_MS + 40 * MINUTE).await.unwrap(),
        Progress::default()
    );
    incident.state = IncidentState::Restored;
    incident.restored_ms = Some(NOW_MS + 60 * MINUTE);
    change(&t.store, &incident, &[], NOW_MS + 60 * MINUTE).await;
    assert_eq!(worker.step(NOW_MS + 60 * MINUTE).await.unwrap().sent, 2);

    let mails = capture.mails();
    let mut mine: Vec<_> = mails
        .iter()
        .filter(|m| m.to == ["Person0@example.net"])
        .collect();
    assert_eq!(mine.len(), 3);
    let parsed: Vec<_> = mine
        .drain(..)
        .map(|m| MessageParser::default().parse(&m.data).unwrap())
        .collect();
    let root = parsed[0].message_id().unwrap().to_owned();
    assert!(root.ends_with("@mail.example.net"));
    assert!(parsed[0].in_reply_to().as_text().is_none());
    for later in &parsed[1..] {
        assert_eq!(later.in_reply_to().as_text(), Some(root.as_str()));
        assert_eq!(later.references().as_text(), Some(root.as_str()));
    }
    let first = &parsed[0];
    assert_eq!(
        first.header_raw("Auto-Submitted").unwrap().trim(),
        "auto-generated"
    );
    let unsubscribe = first.header_raw("List-Unsubscribe").unwrap();
    assert_eq!(unsubscribe.trim(), format!("<{}>", links().url("A-0")));
    let one_click = first.header_raw("List-Unsubscribe-Post").unwrap();
    assert_eq!(one_click.trim(), "List-Unsubscribe=One-Click");
    assert_eq!(first.date().unwrap().to_timestamp() * 1_000, NOW_MS);
    assert_eq!(
        first.subject(),
        Some("Internet non funziona da te? Ci stiamo già lavorando")
    );
    assert_eq!(first.content_type().unwrap().subtype(), Some("alternative"));
    let text = first.body_text(0).unwrap();
    assert!(text.contains("Buongiorno Niccolò D’Amè,"), "{text}");
    assert!(text.contains("Via Libertà 0 <b>, Roma"), "{text}");
    assert!(text.contains("Inizio: 13:50 di oggi"), "{text}");
    let html = first.body_html(0).unwrap();
    assert!(html.contains("Via Libertà 0 &lt;b&gt;, Roma"), "{html}");
    let estimate = parsed[1].body_text(0).unwrap();
    assert!(
        estimate.contains("tra le 15:30 e le 16:30 di oggi"),
        "{estimate}"
    );

    let kept = records(&t.store).await;
    assert_eq!(kept.len(), 6);
    assert!(kept.iter().all(|n| n.state == NoticeState::Sent));
    let normal = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
    assert_eq!(normal(&kept[0].body), normal(&text));
    assert_eq!(kept[0].template_version.len(), 16);
}

#[rstest]
#[tokio::test]
async fn a_temporary_refusal_is_tried_again_under_the_same_message_id(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("421 4.3.2 closing", "451 4.3.0 later", "hangup")] answer: &'static str,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&tries);
    let react = move |moment: Moment, _: &str| match (moment, answer) {
        (Moment::Content, "hangup") if seen.fetch_add(1, Ordering::SeqCst) == 0 => Reaction::Hangup,
        (Moment::End, "hangup") | (Moment::Content, _) => Reaction::Accept,
        (Moment::End, answer) if seen.fetch_add(1, Ordering::SeqCst) == 0 => {
            Reaction::Answer(answer.to_owned())
        }
        _ => Reaction::Accept,
    };
    let (capture, options, _guard) = capture(ruled(react)).await;
    let worker = dispatcher(&t.store, smtp(options));
    let made = change(&t.store, &confirmed(), &[0], NOW_MS).await;
    assert_eq!(worker.step(NOW_MS).await.unwrap().retried, 1);
    assert_eq!(worker.step(NOW_MS + 100).await.unwrap().claimed, 0);
    assert_eq!(worker.step(NOW_MS + 5_000).await.unwrap().sent, 1);
    let mails = capture.mails();
    assert_eq!(mails.len(), 1);
    let parsed = MessageParser::default().parse(&mails[0].data).unwrap();
    let id = made.notices[0].id;
    assert_eq!(
        parsed.message_id(),
        Some(format!("{id}@mail.example.net").as_str())
    );
    let (record, attempts) = t.store.notice(id).await.unwrap().unwrap();
    assert_eq!(record.state, NoticeState::Sent);
    let outcomes: Vec<_> = attempts.iter().map(|a| a.outcome.as_str()).collect();
    assert_eq!(outcomes, ["retry", "sent"]);
    if answer != "hangup" {
        assert!(
            attempts[0].detail.contains(&answer[..3]),
            "{}",
            attempts[0].detail
        );
    }
}

#[rstest]
#[tokio::test]
async fn an_address_refused_for_good_is_not_tried_by_the_next_notice(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0), subscriber(2)]).await;
    let react = |moment: Moment, to: &str| match moment {
        Moment::Recipient if to == "Person0@example.net" => {
            Reaction::Answer("550 5.1.1 nobody here".to_owned())
        }
        Moment::Recipient => Reaction::Answer("550 5.7.1 not from you".to_owned()),
        _ => Reaction::Accept,
    };
    let (_capture, options, _guard) = capture(ruled(react)).await;
    let worker = dispatcher(&t.store, smtp(options));
    change(&t.store, &confirmed(), &[0, 1], NOW_MS).await;
    assert_eq!(worker.step(NOW_MS).await.unwrap().bounced, 2);
    let mut next = confirmed();
    next.no = IncidentNo(2);
    change(&t.store, &next, &[0, 1], NOW_MS + MINUTE).await;
    let decided: Vec<_> = records(&t.store)
        .await
        .into_iter()
        .filter(|n| n.incident == next.no)
        .map(|n| (n.account, n.decision))
        .collect();
    // The address of the second is good: only this mail was not wanted.
    let expected = [
        ("A-0".to_owned(), Decision::SuppressedAddress),
        ("A-2".to_owned(), Decision::Send),
    ];
    assert_eq!(decided, expected);
}

#[rstest]
#[tokio::test]
async fn after_the_last_try_a_notice_is_a_dead_letter_that_can_be_driven_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let works = Arc::new(AtomicUsize::new(0));
    let rule = Arc::clone(&works);
    let channel = Channel::Recorder(Recorder::new(move |_| match rule.load(Ordering::SeqCst) {
        0 => SendOutcome::Retry {
            after: Some(Duration::from_secs(20)),
            detail: "busy".to_owned(),
        },
        _ => SendOutcome::Accepted,
    }));
    let worker = dispatcher(&t.store, channel);
    let id = change(&t.store, &confirmed(), &[0], NOW_MS).await.notices[0].id;
    assert_eq!(worker.step(NOW_MS).await.unwrap().retried, 1);
    assert_eq!(worker.step(NOW_MS + 19_000).await.unwrap().claimed, 0);
    assert_eq!(worker.step(NOW_MS + 20_000).await.unwrap().retried, 1);
    assert_eq!(worker.step(NOW_MS + 60_000).await.unwrap().dead, 1);
    assert_eq!(worker.step(NOW_MS + 120_000).await.unwrap().claimed, 0);
    works.store(1, Ordering::SeqCst);
    let now_ms = NOW_MS + 180_000;
    let mut tx = t.store.begin().await.unwrap();
    assert!(
        tx.redrive_notice(id, now_ms, now_ms + MINUTE)
            .await
            .unwrap()
    );
    assert!(
        !tx.redrive_notice(id, now_ms, now_ms + MINUTE)
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    assert_eq!(worker.step(now_ms).await.unwrap().sent, 1);
}

#[rstest]
#[tokio::test]
async fn a_redriven_notice_is_tried_as_often_as_a_new_one(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let channel = Channel::Recorder(Recorder::new(|_| SendOutcome::Retry {
        after: None,
        detail: "busy".to_owned(),
    }));
    let worker = dispatcher(&t.store, channel);
    let id = change(&t.store, &confirmed(), &[0], NOW_MS).await.notices[0].id;
    // The pauses until a notice is given up, and how it was claimed.
    let tries = async |mut now_ms: i64| {
        let mut waited = Vec::new();
        loop {
            let step = worker.step(now_ms).await.unwrap();
            assert_eq!(step.claimed, 1);
            if step.dead == 1 {
                return waited;
            }
            let due_ms = t.store.next_notice_due_ms().await.unwrap().unwrap();
            waited.push(due_ms - now_ms);
            now_ms = due_ms;
        }
    };
    let first = tries(NOW_MS).await;
    assert_eq!(first.len(), 2);
    let again_ms = NOW_MS + 10 * MINUTE;
    let mut tx = t.store.begin().await.unwrap();
    let useless_after_ms = again_ms + 60 * MINUTE;
    let redriven = tx.redrive_notice(id, again_ms, useless_after_ms).await;
    assert!(redriven.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(tries(again_ms).await, first, "the schedule begins anew");
    // Each try is on record, under a number of its own.
    let (_, log) = t.store.notice(id).await.unwrap().unwrap();
    let numbers: Vec<u32> = log.iter().map(|tried| tried.attempt).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

#[rstest]
#[tokio::test]
async fn a_panic_over_one_letter_costs_no_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0), subscriber(1), subscriber(2)]).await;
    let channel = Channel::Recorder(Recorder::new(|outgoing| {
        assert!(
            !outgoing.to.starts_with("Person1@"),
            "a letter that cannot be sent"
        );
        SendOutcome::Accepted
    }));
    let worker = dispatcher(&t.store, channel);
    change(&t.store, &confirmed(), &[0, 1, 2], NOW_MS).await;
    let first = worker.step(NOW_MS).await.unwrap();
    assert_eq!((first.sent, first.retried), (2, 1));
    assert_eq!(worker.step(NOW_MS + 20 * MINUTE).await.unwrap().retried, 1);
    assert_eq!(worker.step(NOW_MS + 50 * MINUTE).await.unwrap().dead, 1);
    assert_eq!(worker.step(NOW_MS + 90 * MINUTE).await.unwrap().claimed, 0);
}

#[rstest]
#[tokio::test]
async fn a_claim_that_was_taken_over_does_not_settle(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    change(&t.store, &confirmed(), &[0], NOW_MS).await;
    let mut tx = t.store.begin().await.unwrap();
    let lost = tx.claim_notices(NOW_MS, NOW_MS + 1_000, 10).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(lost.len(), 1);
    let worker = dispatcher(&t.store, accept());
    assert_eq!(worker.step(NOW_MS + 999).await.unwrap().claimed, 0);
    assert_eq!(worker.step(NOW_MS + 1_000).await.unwrap().sent, 1);
    let late = forewarn::store::Settlement {
        id: lost[0].id,
        attempt: lost[0].attempt,
        at_ms: NOW_MS + 2_000,
        outcome: forewarn::store::Outcome::Dead {
            detail: "late".to_owned(),
        },
    };
    let mut tx = t.store.begin().await.unwrap();
    assert_eq!(tx.settle_notices(&[late]).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(records(&t.store).await[0].state, NoticeState::Sent);
}

#[rstest]
#[tokio::test]
async fn a_fault_that_ends_before_its_notice_left_is_never_mentioned(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let worker = dispatcher(&t.store, accept());
    let mut incident = confirmed();
    change(&t.store, &incident, &[0], NOW_MS).await;
    incident.state = IncidentState::Restored;
    change(&t.store, &incident, &[], NOW_MS + 1_000).await;
    assert_eq!(worker.step(NOW_MS + 2_000).await.unwrap().claimed, 0);
    let kept = records(&t.store).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].state, NoticeState::Cancelled);
    assert_eq!(kept[0].state_reason, "restored");
}

#[rstest]
#[tokio::test]
async fn the_notices_of_some_people_are_theirs_among_all_of_the_incident(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let people: Vec<_> = (0..4).map(subscriber).collect();
    let t = with_people(backend, &people).await;
    let mut other = confirmed();
    other.no = IncidentNo(2);
    change(&t.store, &confirmed(), &[0, 1, 2], NOW_MS).await;
    change(&t.store, &other, &[2, 3], NOW_MS + 1_000).await;
    let asked = ["A-0", "A-2", "A-3", "nobody"].map(str::to_owned);
    let mut tx = t.store.begin().await.unwrap();
    let some = tx.prior_notices_of(IncidentNo(1), asked.into()).await;
    let mut some = some.unwrap();
    let mut all = tx.prior_notices(IncidentNo(1)).await.unwrap();
    all.retain(|notice| notice.account != "A-1");
    some.sort_by(|a, b| a.account.cmp(&b.account));
    all.sort_by(|a, b| a.account.cmp(&b.account));
    assert_eq!(some.len(), 2);
    assert_eq!(some, all);
}

#[rstest]
#[tokio::test]
async fn two_incidents_tell_a_person_once_and_say_restored_when_both_are_over(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let worker = dispatcher(&t.store, accept());
    let mut first = confirmed();
    let mut second = confirmed();
    second.no = IncidentNo(2);
    change(&t.store, &first, &[0], NOW_MS).await;
    assert_eq!(worker.step(NOW_MS).await.unwrap().sent, 1);
    change(&t.store, &second, &[0], NOW_MS + 1_000).await;
    assert_eq!(records(&t.store).await[1].decision, Decision::Covered);
    first.state = IncidentState::Restored;
    change(&t.store, &first, &[], NOW_MS + 2_000).await;
    assert_eq!(worker.step(NOW_MS + 3_000).await.unwrap().cancelled, 1);
    second.state = IncidentState::Restored;
    change(&t.store, &second, &[], NOW_MS + 4_000).await;
    assert_eq!(worker.step(NOW_MS + 5_000).await.unwrap().sent, 1);
    let sent: Vec<_> = records(&t.store)
        .await
        .into_iter()
        .filter(|n| n.state == NoticeState::Sent)
        .map(|n| (n.incident.0, n.stage))
        .collect();
    assert_eq!(sent, [(1, Stage::First), (2, Stage::Restored)]);
}

#[rstest]
#[tokio::test]
async fn the_history_is_read_page_by_page_without_loss(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let people: Vec<_> = (0..2_500).map(subscriber).collect();
    let t = with_people(backend, &people).await;
    let all: Vec<u32> = (0..2_500).collect();
    change(&t.store, &confirmed(), &all, NOW_MS).await;
    let filter = NoticeFilter {
        incident: Some(IncidentNo(1)),
        stage: Some(Stage::First),
        decision: Some(Decision::Send),
        state: Some(NoticeState::Pending),
        from_ms: Some(NOW_MS),
        to_ms: Some(NOW_MS + 1),
        account: None,
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut after = None;
    loop {
        let page = NoticePage { after, size: 999 };
        let (notices, next) = t.store.list_notices(&filter, page).await.unwrap();
        for notice in notices {
            assert!(seen.insert(notice.account), "shown twice");
        }
        let Some(cursor) = next else { break };
        after = forewarn::store::NoticeCursor::parse(&cursor.to_string());
        assert_eq!(after, Some(cursor));
    }
    assert_eq!(seen.len(), 2_500);
    assert_eq!(
        t.store.notices_of_account("A-7", 10).await.unwrap().len(),
        1
    );
}

/// One request over a plain connection: the status line and the rest.
async fn request(port: u16, request: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

#[rstest]
#[tokio::test]
async fn one_click_ends_the_notices_and_looking_does_not(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let web = Web {
        store: t.store.clone(),
        links: links(),
        clock: Clock::manual(NOW_MS),
        brand: "Rete <Esempio>".to_owned(),
        phone: "+39 06 5550 0100".to_owned(),
        templates: Arc::new(Templates::built_in("en").unwrap()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    #[allow(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    let _server = tokio::spawn(async move { axum::serve(listener, router(web)).await });
    let path = format!("/unsubscribe/{}", links().token("A-0"));
    let end = "Host: x\r\nConnection: close\r\n";
    let opted_out = async || {
        let mut tx = t.store.begin().await.unwrap();
        let found: Vec<Recipient> = tx.recipients(1, &[SubscriberNo(0)], 0).await.unwrap();
        found[0].opted_out
    };

    let (status, page) = request(port, &format!("GET {path} HTTP/1.1\r\n{end}\r\n")).await;
    assert_eq!(status, 200);
    assert!(page.contains("Non voglio più avvisi") && page.contains("Rete &lt;Esempio&gt;"));
    assert!(!opted_out().await);

    let forged = format!("POST {path}x HTTP/1.1\r\n{end}Content-Length: 0\r\n\r\n");
    assert_eq!(request(port, &forged).await.0, 404);
    assert!(!opted_out().await);

    let body = "List-Unsubscribe=One-Click";
    let click = format!(
        "POST {path} HTTP/1.1\r\n{end}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(request(port, &click).await.0, 200);
    assert_eq!(request(port, &click).await.0, 200);
    assert!(opted_out().await);

    let (_, again) = request(port, &format!("GET {path} HTTP/1.1\r\n{end}\r\n")).await;
    assert!(again.contains("non ricevi avvisi") && again.contains("+39 06 5550 0100"));
    assert!(
        again.contains(&format!("action=\"{path}/undo\"")),
        "{again}"
    );
    let undo = format!("POST {path}/undo HTTP/1.1\r\n{end}Content-Length: 0\r\n\r\n");
    let forged = undo.replace("/undo", "x/undo");
    assert_eq!(request(port, &forged).await.0, 404);
    assert!(opted_out().await);
    assert_eq!(request(port, &undo).await.0, 200);
    assert!(!opted_out().await);

    let (status, page) = request(port, &format!("GET / HTTP/1.1\r\n{end}\r\n")).await;
    assert_eq!(status, 404);
    assert!(page.contains("There is no page at this address"), "{page}");
}

#[rstest]
#[tokio::test]
async fn what_a_merged_incident_told_is_closed_once_and_not_retracted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = with_people(backend, &[subscriber(0)]).await;
    let worker = dispatcher(&t.store, accept());
    let mut merged = confirmed();
    change(&t.store, &merged, &[0], NOW_MS).await;
    worker.step(NOW_MS).await.unwrap();
    let mut survivor = incident(2, IncidentState::Confirmed);
    merged.state = IncidentState::Restored;
    merged.merged_into = Some(survivor.no);
    change(&t.store, &merged, &[0], NOW_MS + MINUTE).await;
    let mergers = t.store.mergers().await.unwrap();
    assert_eq!(mergers, [(merged.no, survivor.no)]);
    let told = async |asking: i64| {
        let mut tx = t.store.begin().await.unwrap();
        let told = tx
            .told_elsewhere(IncidentNo(asking), &[merged.no], &["A-0"])
            .await
            .unwrap();
        told.get("A-0").copied()
    };
    let coverage = told(2).await.unwrap();
    assert_eq!(coverage.incident, merged.no);
    assert!(coverage.settled && coverage.merged);
    change_after(&t.store, &survivor, &[merged.no], &[0], NOW_MS + 2 * MINUTE).await;
    survivor.state = IncidentState::Rejected;
    change(&t.store, &survivor, &[], NOW_MS + 3 * MINUTE).await;
    for minute in 3..8 {
        worker.step(NOW_MS + minute * MINUTE).await.unwrap();
    }
    let seen = records(&t.store).await;
    let seen: Vec<_> = seen
        .iter()
        .map(|n| (n.incident.0, n.stage, n.decision, n.state))
        .collect();
    assert_eq!(
        seen,
        [
            (1, Stage::First, Decision::Send, NoticeState::Sent),
            (2, Stage::First, Decision::Covered, NoticeState::NotSent),
            (2, Stage::Restored, Decision::Send, NoticeState::Sent),
            (2, Stage::Retraction, Decision::Send, NoticeState::Cancelled),
        ]
    );
    // Whoever goes on in the same place later finds nothing left to say.
    assert_eq!(told(3).await, None);
    assert_eq!(told(2).await, None);
}
