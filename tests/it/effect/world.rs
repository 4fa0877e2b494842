//! Subscribers, incidents and notices for the tests of this part.

use crate::operators::incident;
use crate::support::insert_people;
use forewarn::effect::complaint::{Complaint, ComplaintDraft};
use forewarn::incident::{Incident, IncidentNo, IncidentState};
use forewarn::notice::plan::{Plan, PlannedNotice};
use forewarn::notice::{Arm, Decision, Facts, NoticeId, PersonKey, Stage};
use forewarn::store::{DatasetKind, Outcome, Settlement, Store};
use forewarn::subscriber::{
    ChannelKind, ContactKind, ContactPoint, Numbering, Segment, Subscriber,
};
use forewarn::topology::{Position, Redundancy};
use uuid::Uuid;

pub(super) const HOUR: i64 = 3_600_000;
pub(super) const ONSET: i64 = 1_790_000_000_000;
pub(super) const HOME: Position = Position {
    latitude: 41.8883,
    longitude: 12.4771,
};

/// `metres` to the east and to the north of a position.
pub(super) fn beside(from: Position, east_m: f64, north_m: f64) -> Position {
    let degree_m = 111_195.0;
    Position {
        latitude: from.latitude + north_m / degree_m,
        longitude: from.longitude + east_m / degree_m / from.latitude.to_radians().cos(),
    }
}

pub(super) fn person(account: &str, phone: &str, position: Option<Position>) -> Subscriber {
    let contact = |kind, value: &str| ContactPoint {
        kind,
        value: value.to_owned(),
    };
    Subscriber {
        account: account.to_owned(),
        name: format!("Person {account}"),
        language: "it".to_owned(),
        time_zone: "Europe/Rome".to_owned(),
        segment: Segment::Residential,
        vulnerable: false,
        contact_points: vec![
            contact(ContactKind::Email, &format!("{account}@example.net")),
            contact(ContactKind::Phone, phone),
        ],
        channels: vec![ChannelKind::Email],
        quiet_hours: None,
        consent: true,
        address: String::new(),
        position,
        served_by: vec!["ont1".to_owned()],
        redundancy: Redundancy::Any,
        cpe_serial: String::new(),
    }
}

/// Makes these the current subscribers.
pub(super) async fn publish(store: &Store, people: &[Subscriber]) {
    let network = store.begin_version(DatasetKind::Topology, 1).await.unwrap();
    assert!(store.publish_version(&network, 1).await.unwrap());
    let ticket = store
        .begin_version(DatasetKind::Subscribers, 1)
        .await
        .unwrap();
    let mut tx = store.begin().await.unwrap();
    insert_people(&mut tx, ticket.version, people).await;
    tx.commit().await.unwrap();
    assert!(store.publish_version(&ticket, 1).await.unwrap());
}

/// An incident with its onset; restored when that is given.
pub(super) fn fault(no: i64, onset_ms: i64, restored_ms: Option<i64>) -> Incident {
    Incident {
        onset_ms,
        restored_ms,
        ..incident(
            no,
            match restored_ms {
                None => IncidentState::Confirmed,
                Some(_) => IncidentState::Restored,
            },
        )
    }
}

pub(super) async fn save(store: &Store, incident: &Incident) {
    let mut tx = store.begin().await.unwrap();
    tx.save_incident(incident, &[]).await.unwrap();
    tx.commit().await.unwrap();
}

/// The decision about one person's first notice.
#[derive(Clone, Copy)]
pub(super) struct First<'a> {
    pub(super) account: &'a str,
    pub(super) arm: Arm,
    pub(super) decision: Decision,
    /// Milliseconds after onset.
    pub(super) sent: Option<i64>,
}

pub(super) fn told(account: &str, sent: i64) -> First<'_> {
    First {
        account,
        arm: Arm::Told,
        decision: Decision::Send,
        sent: Some(sent),
    }
}

pub(super) fn held_out(account: &str) -> First<'_> {
    First {
        account,
        arm: Arm::HeldOut,
        decision: Decision::HeldOut,
        sent: None,
    }
}

pub(super) async fn notify(store: &Store, incident: &Incident, firsts: &[First<'_>]) {
    let facts = Facts::of(incident);
    let id = |index: usize| {
        let low = u128::try_from(index).unwrap();
        NoticeId(Uuid::from_u128(
            u128::from(incident.no.0.unsigned_abs()) << 64
                | u128::from(incident.reopened) << 32
                | low,
        ))
    };
    let planned = |(index, first): (usize, &First<'_>)| PlannedNotice {
        id: id(index),
        incident: incident.no,
        account: first.account.to_owned(),
        episode: incident.reopened,
        stage: Stage::First,
        stage_no: 0,
        decision: first.decision,
        covered_by: None,
        person: PersonKey {
            cluster: "pon1".to_owned(),
            arm: first.arm,
            segment: Segment::Residential,
            vulnerable: false,
            language: "it".to_owned(),
            channel: Some(ChannelKind::Email),
        },
        planned_at_ms: incident.onset_ms,
        available_at_ms: incident.onset_ms,
        useless_after_ms: incident.onset_ms + 24 * HOUR,
        facts,
    };
    let settled = |(index, first): (usize, &First<'_>)| {
        first.sent.map(|sent| Settlement {
            id: id(index),
            attempt: 1,
            at_ms: incident.onset_ms + sent,
            outcome: Outcome::Sent {
                facts,
                template_version: String::new(),
                subject: String::new(),
                body: String::new(),
            },
        })
    };
    let settled: Vec<_> = firsts.iter().enumerate().filter_map(settled).collect();
    let plan = Plan {
        notices: firsts.iter().enumerate().map(planned).collect(),
        ..Plan::default()
    };
    let mut tx = store.begin().await.unwrap();
    tx.write_plan(&plan).await.unwrap();
    tx.claim_notices(incident.onset_ms, incident.onset_ms, 100_000)
        .await
        .unwrap();
    let done = tx.settle_notices(&settled).await.unwrap();
    assert_eq!(done, settled.len() as u64);
    tx.commit().await.unwrap();
}

pub(super) fn draft(id: &str, at_ms: i64) -> ComplaintDraft {
    ComplaintDraft {
        id: id.to_owned(),
        at_ms,
        channel: "call".to_owned(),
        ..ComplaintDraft::default()
    }
}

pub(super) fn italy() -> Numbering {
    Numbering {
        country_code: "39".to_owned(),
        trunk_prefix: String::new(),
    }
}

pub(super) fn by_account(id: &str, account: &str, at_ms: i64) -> Complaint {
    let account = account.to_owned();
    ComplaintDraft {
        account,
        ..draft(id, at_ms)
    }
    .check(i64::MAX, &italy())
    .unwrap()
}

pub(super) fn by_contact(id: &str, contact: &str, at_ms: i64) -> Complaint {
    let contact = contact.to_owned();
    ComplaintDraft {
        contact,
        ..draft(id, at_ms)
    }
    .check(i64::MAX, &italy())
    .unwrap()
}

pub(super) fn by_position(id: &str, position: Position, at_ms: i64) -> Complaint {
    let position = Some(position);
    ComplaintDraft {
        position,
        ..draft(id, at_ms)
    }
    .check(i64::MAX, &italy())
    .unwrap()
}

/// Id, incident and manner of the match of each complaint, by id.
pub(super) async fn matches(store: &Store) -> Vec<(String, Option<i64>, String)> {
    let filter = forewarn::store::ComplaintFilter {
        limit: 10_000,
        ..Default::default()
    };
    let kept = store.complaints(&filter).await.unwrap();
    let mut matches: Vec<_> = kept
        .into_iter()
        .map(|kept| {
            let incident = kept.incident.map(|IncidentNo(no)| no);
            (kept.complaint.id, incident, kept.matched_by)
        })
        .collect();
    matches.sort();
    matches
}
