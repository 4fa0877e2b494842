//! Complaints: what is refused, and which incident covers them.

use super::world::{
    First, HOME, HOUR, ONSET, beside, by_account, by_contact, by_position, draft, fault, held_out,
    italy, matches, notify, person, publish, save, told,
};
use crate::support::{Backend, store};
use forewarn::effect::complaint::{Complaint, ComplaintDraft, read_csv};
use forewarn::incident::{IncidentNo, IncidentState};
use forewarn::notice::{Arm, Decision};
use forewarn::store::ComplaintFilter;
use forewarn::subscriber::Numbering;
use forewarn::topology::{Position, ReadError, RecordErrors};
use rstest::rstest;

const NOW: i64 = ONSET + 25 * HOUR;

fn read(text: &str) -> Result<Vec<Complaint>, RecordErrors> {
    match read_csv(text.as_bytes(), "c.csv", NOW, &Numbering::default()) {
        Ok(complaints) => Ok(complaints),
        Err(ReadError::Records(errors)) => Err(errors),
        Err(error) => panic!("{error}"),
    }
}

fn refused(draft: ComplaintDraft) -> Vec<&'static str> {
    let violations = draft.check(NOW, &Numbering::default()).unwrap_err();
    violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

fn at(latitude: f64, longitude: f64) -> Position {
    Position {
        latitude,
        longitude,
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of cases")]
fn every_wrong_field_is_named() {
    let sound = ComplaintDraft {
        account: "A1".to_owned(),
        ..draft("T1", ONSET)
    };
    assert!(sound.clone().check(NOW, &Numbering::default()).is_ok());
    let cases = [
        (
            ComplaintDraft {
                id: String::new(),
                ..sound.clone()
            },
            "id",
        ),
        (
            ComplaintDraft {
                id: "x".repeat(129),
                ..sound.clone()
            },
            "id",
        ),
        (
            ComplaintDraft {
                account: "x".repeat(65),
                ..sound.clone()
            },
            "account",
        ),
        (
            ComplaintDraft {
                account: String::new(),
                ..sound.clone()
            },
            "account",
        ),
        (
            ComplaintDraft {
                contact: "none".to_owned(),
                ..sound.clone()
            },
            "contact",
        ),
        (
            ComplaintDraft {
                contact: "1".repeat(255),
                ..sound.clone()
            },
            "contact",
        ),
        (
            ComplaintDraft {
                position: Some(at(90.1, 0.0)),
                ..sound.clone()
            },
            "position",
        ),
        (
            ComplaintDraft {
                position: Some(at(0.0, f64::NAN)),
                ..sound.clone()
            },
            "position",
        ),
        (
            ComplaintDraft {
                at_ms: 946_684_799_999,
                ..sound.clone()
            },
            "at_ms",
        ),
        (
            ComplaintDraft {
                at_ms: NOW + 24 * HOUR + 1,
                ..sound.clone()
            },
            "at_ms",
        ),
        (
            ComplaintDraft {
                channel: "fax".to_owned(),
                ..sound.clone()
            },
            "channel",
        ),
        (
            ComplaintDraft {
                category: "x".repeat(65),
                ..sound.clone()
            },
            "category",
        ),
        (
            ComplaintDraft {
                text: "x".repeat(4_097),
                ..sound.clone()
            },
            "text",
        ),
        (
            ComplaintDraft {
                text: "\0".to_owned(),
                ..sound
            },
            "text",
        ),
    ];
    for (draft, field) in cases {
        assert_eq!(refused(draft.clone()), [field], "{draft:?}");
    }
    let nothing_right = ComplaintDraft::default();
    assert_eq!(
        refused(nothing_right),
        ["id", "account", "at_ms", "channel"]
    );
}

#[test]
fn a_file_is_read_in_any_order_of_columns() {
    let text = "\u{feff}channel,id,at_ms,contact,latitude,longitude,text\n\
        call,T1,1790000000000,+39 06 5550 0100,,,\"no, nothing\nworks\"\n\
        social,T2,1790000000001,,41.9,12.5,\n";
    let complaints = read(text).unwrap();
    assert_eq!(complaints[0].contact, "390655500100");
    assert_eq!(complaints[0].text, "no, nothing\nworks");
    assert_eq!(complaints[1].position, Some(at(41.9, 12.5)));
}

#[test]
fn errors_of_a_file_name_the_line_and_no_personal_data() {
    let text = "id,at_ms,channel,account,contact,latitude,longitude\n\
        T1,soon,call,A1,,,\n\
        T2,1790000000000,fax,,secret,,\n\
        T3,1790000000000,call,A1\n\
        T4,1790000000000,call,,,41.9,\n\
        T5,9,call,A1,,,\n";
    let errors: Vec<String> = read(text)
        .unwrap_err()
        .errors()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        errors,
        [
            "c.csv:2: at_ms: \"soon\" is not milliseconds since 1970, from the year 2000 to one day from now",
            "c.csv:3: contact: expected an e-mail address or a phone number of at most 254 bytes",
            "c.csv:3: channel: \"fax\" is not one of call, ticket, chat, mail, social",
            "c.csv:4: record: \"4 columns\" is not 7 columns, as in the header",
            "c.csv:5: longitude: expected degrees, and latitude and longitude both or neither",
            "c.csv:6: at_ms: \"9\" is not milliseconds since 1970, from the year 2000 to one day from now",
        ]
    );
}

#[rstest]
#[case("id,at_ms\n", "c.csv:1: header: expected a column channel")]
#[case(
    "id,at_ms,channel,id\n",
    "c.csv:1: header: \"id\" is not a column that is given once"
)]
#[case(
    "id,at_ms,channel,mood\n",
    "c.csv:1: header: \"mood\" is not one of id, at_ms, channel, account, contact, latitude, longitude, category, text"
)]
fn a_wrong_header_is_explained(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(read(text).unwrap_err().to_string(), expected);
}

#[test]
fn no_more_errors_than_a_person_reads() {
    let text = format!("id,at_ms,channel\n{}", ",,\n".repeat(500));
    let errors = read(&text).unwrap_err();
    assert_eq!((errors.errors().len(), errors.further()), (100, 1_900));
}

#[rstest]
#[tokio::test]
async fn complaints_find_the_incident_by_account_contact_and_position(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let people = [
        person("A1", "+39 06 5550 0101", Some(HOME)),
        person("A2", "+39 06 5550 0102", Some(beside(HOME, 2_000.0, 0.0))),
        person("A3", "+39 06 5550 0103", Some(beside(HOME, 0.0, 140.0))),
    ];
    publish(&t.store, &people).await;
    let incident = fault(1, ONSET, None);
    save(&t.store, &incident).await;
    notify(&t.store, &incident, &[told("A1", 60_000), held_out("A2")]).await;
    let complaints = [
        by_account("01-told", "A1", ONSET + 1),
        by_account("02-held-out", "A2", ONSET + 1),
        by_account("03-not-affected", "A3", ONSET + 1),
        by_contact("04-phone", "0039 06 5550 0102", ONSET + 1),
        by_contact("05-mail", "a1@EXAMPLE.net", ONSET + 1),
        by_contact("06-stranger", "nobody@example.net", ONSET + 1),
        by_position("07-near", beside(HOME, 100.0, -100.0), ONSET + 1),
        by_position("08-corner", beside(HOME, 120.0, -120.0), ONSET + 1),
        // Nearest to A3, whom the incident does not affect, but A1 is near enough.
        by_position("09-neighbour", beside(HOME, 0.0, 130.0), ONSET + 1),
        by_account("10-hour-before", "A1", ONSET - HOUR),
        by_account("11-too-early", "A1", ONSET - HOUR - 1),
        by_account("12-day-later", "A1", ONSET + 24 * HOUR),
        by_account("13-too-late", "A1", ONSET + 25 * HOUR),
        // Typed as inside the country, stored as abroad; the position is of somebody else's home.
        ComplaintDraft {
            position: Some(HOME),
            contact: "(06) 5550-0102".to_owned(),
            ..draft("14-inside", ONSET + 1)
        }
        .check(i64::MAX, &italy())
        .unwrap(),
    ];
    let taken = t.store.take_complaints(&complaints, ONSET).await.unwrap();
    assert_eq!((taken.added, taken.duplicates, taken.matched), (14, 0, 9));
    let expected = [
        ("01-told", Some(1), "account"),
        ("02-held-out", Some(1), "account"),
        ("03-not-affected", None, ""),
        ("04-phone", Some(1), "contact"),
        ("05-mail", Some(1), "contact"),
        ("06-stranger", None, ""),
        ("07-near", Some(1), "position"),
        ("08-corner", None, ""),
        ("09-neighbour", Some(1), "position"),
        ("10-hour-before", Some(1), "account"),
        ("11-too-early", None, ""),
        ("12-day-later", Some(1), "account"),
        ("13-too-late", None, ""),
        ("14-inside", Some(1), "contact"),
    ];
    let expected = expected.map(|(id, incident, by)| (id.to_owned(), incident, by.to_owned()));
    assert_eq!(matches(&t.store).await, expected);
    // The person behind a contact is known from now on.
    let of_a2 = ComplaintFilter {
        account: "A2".to_owned(),
        limit: 10,
        ..ComplaintFilter::default()
    };
    assert_eq!(t.store.complaints(&of_a2).await.unwrap().len(), 3);
}

#[rstest]
#[tokio::test]
async fn an_account_is_found_as_an_agent_finds_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let people = ["A-1", "B-1", "b-1", "c-1"].map(|account| person(account, "", None));
    publish(&t.store, &people).await;
    let incident = fault(1, ONSET, None);
    save(&t.store, &incident).await;
    let first = ["A-1", "B-1", "c-1"].map(|account| told(account, 60_000));
    notify(&t.store, &incident, &first).await;
    let complaints = [
        by_account("1-capitals", "A-1", ONSET + 1),
        by_account("2-small", "a-1", ONSET + 1),
        by_account("3-blank", " a-1 ", ONSET + 1),
        by_account("4-exact", "b-1", ONSET + 1),
        by_account("5-exact", "B-1", ONSET + 1),
        by_account("6-nobody", "z-9", ONSET + 1),
        by_contact("7-contact", "nobody@example.net", ONSET + 1),
    ];
    let taken = t.store.take_complaints(&complaints, ONSET).await.unwrap();
    assert_eq!((taken.added, taken.matched), (7, 4));
    assert_eq!(taken.unknown_accounts, 1);
    let matched = matches(&t.store).await;
    let missed = matched.iter().filter(|(_, incident, _)| incident.is_none());
    let missed: Vec<&str> = missed.map(|(id, ..)| id.as_str()).collect();
    assert_eq!(missed, ["4-exact", "6-nobody", "7-contact"]);
    let of_a = ComplaintFilter {
        account: "a-1".to_owned(),
        limit: 10,
        ..ComplaintFilter::default()
    };
    assert_eq!(t.store.complaints(&of_a).await.unwrap().len(), 3);
}

#[rstest]
#[tokio::test]
async fn who_complains_before_anybody_is_told_is_matched_later(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    publish(&t.store, &[person("A1", "+39 06 5550 0101", Some(HOME))]).await;
    let early = [
        by_account("T1", "A1", ONSET + 1),
        by_contact("T2", "A1@example.net", ONSET + 2),
        by_position("T3", HOME, ONSET + 3),
    ];
    let taken = t.store.take_complaints(&early, ONSET + 3).await.unwrap();
    assert_eq!((taken.added, taken.matched), (3, 0));
    assert_eq!(t.store.rematch_complaints(ONSET + 4).await.unwrap(), 0);
    let mut incident = fault(1, ONSET, None);
    save(&t.store, &incident).await;
    notify(&t.store, &incident, &[held_out("A1")]).await;
    assert_eq!(t.store.rematch_complaints(ONSET + 5).await.unwrap(), 3);
    assert_eq!(t.store.rematch_complaints(ONSET + 6).await.unwrap(), 0);

    // A rejected incident covers nobody, another one may.
    incident.state = IncidentState::Rejected;
    incident.revision += 1;
    save(&t.store, &incident).await;
    assert_eq!(t.store.rematch_complaints(ONSET + 7).await.unwrap(), 0);
    assert!(
        matches(&t.store)
            .await
            .iter()
            .all(|(_, incident, by)| incident.is_none() && by.is_empty())
    );
    let other = fault(2, ONSET, None);
    save(&t.store, &other).await;
    notify(&t.store, &other, &[told("A1", 1)]).await;
    assert_eq!(t.store.rematch_complaints(ONSET + 8).await.unwrap(), 3);
}

#[rstest]
#[tokio::test]
async fn of_several_incidents_the_one_that_speaks_and_is_open_and_latest_is_taken(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let covered = |account| First {
        account,
        arm: Arm::Told,
        decision: Decision::Covered,
        sent: None,
    };
    let open = fault(1, ONSET, None);
    let over = fault(2, ONSET + HOUR, Some(ONSET + 2 * HOUR));
    let small = fault(3, ONSET + HOUR, None);
    for incident in [&open, &over, &small] {
        save(&t.store, incident).await;
    }
    notify(&t.store, &open, &[told("A1", 1), told("A2", 1)]).await;
    notify(&t.store, &over, &[told("A1", 1)]).await;
    notify(&t.store, &small, &[covered("A1"), told("A2", 1)]).await;
    let complaints = [
        by_account("T1", "A1", ONSET + 3 * HOUR),
        by_account("T2", "A2", ONSET + 3 * HOUR),
    ];
    t.store
        .take_complaints(&complaints, ONSET + 3 * HOUR)
        .await
        .unwrap();
    let found: Vec<_> = matches(&t.store)
        .await
        .into_iter()
        .map(|(_, no, _)| no)
        .collect();
    assert_eq!(found, [Some(1), Some(3)]);
}

#[rstest]
#[tokio::test]
async fn a_known_id_is_a_duplicate_and_pages_do_not_overlap(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    let complaints: Vec<_> = (0..2_500)
        .map(|n| by_account(&format!("T{n}"), "A1", ONSET + n / 2))
        .collect();
    let first = t
        .store
        .take_complaints(&complaints[..2_000], ONSET)
        .await
        .unwrap();
    assert_eq!((first.added, first.duplicates), (2_000, 0));
    let mut second = complaints[1_000..].to_vec();
    second.push(complaints[2_499].clone());
    let second = t.store.take_complaints(&second, ONSET).await.unwrap();
    assert_eq!((second.added, second.duplicates), (500, 1_001));

    let mut filter = ComplaintFilter {
        account: "A1".to_owned(),
        limit: 700,
        ..ComplaintFilter::default()
    };
    let mut ids = Vec::new();
    loop {
        let page = t.store.complaints(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some((last.complaint.at_ms, last.number));
        assert!(page.is_sorted_by_key(|kept| std::cmp::Reverse(kept.complaint.at_ms)));
        ids.extend(page.into_iter().map(|kept| kept.complaint.id));
    }
    assert_eq!(ids.len(), 2_500);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2_500);
    filter.after = None;
    filter.incident = Some(IncidentNo(1));
    assert_eq!(t.store.complaints(&filter).await.unwrap(), []);
}
