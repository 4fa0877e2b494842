//! What an agent is told to say, and how an account is found.

use crate::operators::{World, incident};
use crate::support::Backend;
use forewarn::care::{
    Concern, Impact, Language, Standing, Told, is_affected, is_at_risk, standing,
    standing_beside_work, what_to_say,
};
use forewarn::cli::client::{self, connect};
use forewarn::incident::{CauseKind, Estimate, Incident, IncidentState};
use forewarn::notice::{Decision, Stage};
use forewarn::proto::v1;
use rstest::rstest;
use std::sync::Arc;

/// 2026-03-10T09:00:00Z, 10:00 in Rome.
const NOW_MS: i64 = 1_773_133_200_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// An incident that began 48 minutes before [`NOW_MS`], at 09:12 in Rome.
fn fault(state: IncidentState) -> Incident {
    let mut fault = incident(1, state);
    fault.onset_ms = NOW_MS - 48 * MINUTE_MS;
    fault.cause.kind = CauseKind::FibreCut;
    fault
}

fn concern(incident: Incident, impact: Impact, told: Told) -> Concern {
    Concern {
        since_ms: incident.onset_ms,
        incident: Arc::new(incident),
        impact,
        told,
        learned: None,
    }
}

fn told() -> Told {
    Told {
        fault_ms: Some(NOW_MS - 40 * MINUTE_MS),
        retraction_ms: None,
        by_another: false,
        is_unwanted: false,
    }
}

#[track_caller]
fn says(concerns: &[Concern], language: Language, expected: &str) {
    let said = what_to_say(standing(concerns, NOW_MS), language, "Europe/Rome", NOW_MS);
    assert_eq!(said, expected);
}

#[test]
fn an_affected_person_who_was_told_hears_since_when_why_until_when() {
    let mut fault = fault(IncidentState::Confirmed);
    fault.estimate = Some(Estimate {
        from_ms: NOW_MS + 4 * HOUR_MS,
        to_ms: NOW_MS + 4 * HOUR_MS + 90 * MINUTE_MS,
    });
    let concerns = [concern(fault, Impact::Lost, told())];
    assert!(is_affected(&concerns));
    says(
        &concerns,
        Language::English,
        "A fault in our network has interrupted your service since 09:12 today. The cause, as \
         far as we can see, is a damaged fibre cable. We expect it to work again between 14:00 and 15:30 today. We told \
         you at 09:20 today, and will tell you when service is back. We are sorry for the \
         interruption.",
    );
    says(
        &concerns,
        Language::Italian,
        "Un guasto nella nostra rete interrompe il suo servizio dalle ore 09:12 di oggi. La causa, \
         per quanto vediamo, è un cavo in fibra danneggiato. Prevediamo che torni a funzionare tra le ore 14:00 e le \
         ore 15:30 di oggi. L'abbiamo avvisata alle ore 09:20 di oggi e la avviseremo quando il \
         servizio tornerà. Ci scusiamo per il disagio.",
    );
}

#[test]
fn an_affected_person_who_was_not_told_gets_an_apology_and_no_reason() {
    let mut fault = fault(IncidentState::Confirmed);
    fault.onset_ms = NOW_MS - 12 * HOUR_MS;
    fault.cause.kind = CauseKind::Unknown;
    let concerns = [concern(fault, Impact::Lost, Told::default())];
    says(
        &concerns,
        Language::English,
        "A fault in our network has interrupted your service since 22:00 yesterday. The cause is \
         not known yet. We do not know yet when it will work again. We are sorry for the \
         interruption, and that you hear of it from us only now. You need not report it again.",
    );
    says(
        &concerns,
        Language::Italian,
        "Un guasto nella nostra rete interrompe il suo servizio dalle ore 22:00 di ieri. La causa \
         non è ancora nota. Non sappiamo ancora quando tornerà a funzionare. Ci scusiamo per il \
         disagio e perché lo apprende da noi solo ora. Non occorre che lo segnali di nuovo.",
    );
}

#[test]
fn planned_work_is_said_unless_a_fault_is_known() {
    let said = |concerns: &[Concern], language| {
        let until_ms = Some(NOW_MS + 4 * HOUR_MS);
        let standing = standing_beside_work(concerns, until_ms, NOW_MS);
        what_to_say(standing, language, "Europe/Rome", NOW_MS)
    };
    assert_eq!(
        said(&[], Language::English),
        "Planned work on our network may interrupt your service until 14:00 today. You need not \
         report it."
    );
    assert_eq!(
        said(&[], Language::Italian),
        "Lavori programmati sulla nostra rete possono interrompere il suo servizio fino alle ore \
         14:00 di oggi. Non occorre che lo segnali."
    );
    let known = concern(fault(IncidentState::Confirmed), Impact::Lost, told());
    assert!(said(&[known], Language::English).starts_with("A fault in our network"));
}

#[test]
fn planned_work_is_no_fault() {
    let mut work = fault(IncidentState::Confirmed);
    work.cause.kind = CauseKind::PlannedWork;
    let said = what_to_say(
        standing(&[concern(work, Impact::Lost, told())], NOW_MS),
        Language::English,
        "Europe/Rome",
        NOW_MS,
    );
    assert!(
        said.starts_with("Planned work on our network has interrupted your service"),
        "{said}"
    );
    assert!(!said.contains("fault"), "{said}");
}

#[test]
fn an_estimate_that_has_begun_or_passed_is_said_differently() {
    let until = |from_ms, to_ms| {
        let mut fault = fault(IncidentState::Confirmed);
        fault.estimate = Some(Estimate { from_ms, to_ms });
        what_to_say(
            standing(&[concern(fault, Impact::Lost, told())], NOW_MS),
            Language::English,
            "Europe/Rome",
            NOW_MS,
        )
    };
    let said = until(NOW_MS - HOUR_MS, NOW_MS + HOUR_MS);
    assert!(said.contains("work again by 11:00 today."), "{said}");
    let said = until(NOW_MS - HOUR_MS, NOW_MS - 1);
    assert!(
        said.contains("It takes longer than we had expected"),
        "{said}"
    );
    let said = until(NOW_MS + HOUR_MS, NOW_MS + HOUR_MS);
    assert!(said.contains("at about 11:00 today."), "{said}");
    let said = until(NOW_MS + 13 * HOUR_MS, NOW_MS + 49 * HOUR_MS);
    assert!(
        said.contains("between 23:00 today and 11:00 on 12 March."),
        "{said}"
    );
}

#[test]
fn a_suspicion_promises_nothing() {
    let mut suspected = fault(IncidentState::Suspected);
    suspected.estimate = Some(Estimate {
        from_ms: NOW_MS + HOUR_MS,
        to_ms: NOW_MS + 2 * HOUR_MS,
    });
    let concerns = [concern(suspected, Impact::Lost, Told::default())];
    assert!(!is_affected(&concerns));
    says(
        &concerns,
        Language::English,
        "We are checking a possible fault that may concern your connection. It is not confirmed, \
         so I cannot give you a cause or a time yet.",
    );
    says(
        &concerns,
        Language::Italian,
        "Stiamo verificando un possibile guasto che potrebbe riguardare la sua linea. Non è \
         confermato, perciò non posso ancora indicarle una causa o un orario.",
    );
}

#[test]
fn what_matters_most_comes_first() {
    let lost = concern(fault(IncidentState::Confirmed), Impact::Lost, told());
    let suspected = concern(fault(IncidentState::Suspected), Impact::Lost, told());
    let at_risk = concern(fault(IncidentState::Confirmed), Impact::AtRisk, told());
    let mut over = fault(IncidentState::Restored);
    over.restored_ms = Some(NOW_MS - MINUTE_MS);
    let over = concern(over, Impact::Past, told());
    let mut all = vec![over, at_risk, suspected, lost];
    assert!(matches!(standing(&all, NOW_MS), Standing::Affected(_)));
    assert!(!is_at_risk(&all));
    all.pop();
    assert!(matches!(standing(&all, NOW_MS), Standing::Suspected(_)));
    assert!(is_at_risk(&all));
    all.pop();
    assert!(matches!(standing(&all, NOW_MS), Standing::AtRisk(_)));
    all.pop();
    assert!(matches!(standing(&all, NOW_MS), Standing::Restored(_)));
    all.pop();
    assert_eq!(standing(&all, NOW_MS), Standing::Unconcerned);
}

#[test]
fn what_is_over_is_mentioned_for_a_day() {
    let mut over = fault(IncidentState::Restored);
    over.restored_ms = Some(NOW_MS - 2 * MINUTE_MS);
    says(
        &[concern(over.clone(), Impact::Past, told())],
        Language::English,
        "A fault in our network interrupted your service from 09:12 today to 09:58 today. By our \
         data it works again. We are sorry for the interruption. If it does not work for you, \
         please check that the router has power and its cables are firm, switch it off for thirty \
         seconds and on again; if that does not help, I will have your line tested.",
    );
    over.restored_ms = Some(over.onset_ms + 20_000);
    let concerns = [concern(over.clone(), Impact::Past, told())];
    for (language, start) in [
        (
            Language::English,
            "A fault in our network interrupted your service for a moment at 09:12 today. By our",
        ),
        (
            Language::Italian,
            "Un guasto nella nostra rete ha interrotto per un momento il suo servizio alle ore \
             09:12 di oggi. Dai",
        ),
    ] {
        let said = what_to_say(standing(&concerns, NOW_MS), language, "Europe/Rome", NOW_MS);
        assert!(said.starts_with(start), "{said}");
    }
    over.restored_ms = Some(NOW_MS - 25 * HOUR_MS);
    assert_eq!(
        standing(&[concern(over, Impact::Past, told())], NOW_MS),
        Standing::Unconcerned
    );
}

#[test]
fn only_who_was_told_hears_of_a_mistake() {
    let rejected = || fault(IncidentState::Rejected);
    let retracted = Told {
        retraction_ms: Some(NOW_MS - MINUTE_MS),
        ..told()
    };
    let concerns = [concern(rejected(), Impact::Past, retracted)];
    let said = what_to_say(
        standing(&concerns, NOW_MS),
        Language::choose(&["", "it-IT"]),
        "Europe/Rome",
        NOW_MS,
    );
    assert!(said.contains("non riguarda la sua linea"), "{said}");
    assert_eq!(
        standing(
            &[concern(rejected(), Impact::Past, Told::default())],
            NOW_MS
        ),
        Standing::Unconcerned
    );
}

#[test]
fn whoever_was_told_of_a_mistake_is_not_told_of_the_fault_that_others_have() {
    let retracted = Told {
        retraction_ms: Some(NOW_MS - MINUTE_MS),
        ..told()
    };
    for state in [IncidentState::Confirmed, IncidentState::Restored] {
        let mut over = fault(state);
        over.restored_ms = (state == IncidentState::Restored).then_some(NOW_MS);
        let concerns = [concern(over, Impact::Past, retracted)];
        let found = standing(&concerns, NOW_MS);
        assert!(matches!(found, Standing::Retracted(_)), "{found:?}");
        let found = standing(&concerns, NOW_MS + 25 * HOUR_MS);
        assert_eq!(found, Standing::Unconcerned);
    }
}

#[test]
fn nobody_is_told_that_we_should_have_told_them_who_asked_us_not_to() {
    let unwanted = Told {
        is_unwanted: true,
        ..Told::default()
    };
    for (told, is_sorry) in [(Told::default(), true), (unwanted, false)] {
        let concerns = [concern(fault(IncidentState::Confirmed), Impact::Lost, told)];
        let said = what_to_say(
            standing(&concerns, NOW_MS),
            Language::English,
            "Europe/Rome",
            NOW_MS,
        );
        assert_eq!(said.contains("only now"), is_sorry, "{said}");
    }
}

#[test]
fn a_language_nobody_speaks_falls_back() {
    assert_eq!(Language::choose(&["de", "it"]), Language::Italian);
    assert_eq!(Language::choose(&["de-AT", "fr"]), Language::English);
    assert_eq!(Language::choose(&["en-GB", "it"]), Language::English);
}

async fn lookup(world: &World, query: &str, language: &str) -> v1::LookupResponse {
    let connection = connect(&world.args("care")).await.unwrap();
    let request = v1::LookupRequest {
        query: query.to_owned(),
        language: language.to_owned(),
    };
    let answer = client::care(&connection).lookup(request).await;
    answer.unwrap().into_inner()
}

#[rstest]
#[tokio::test]
async fn a_customer_is_found_by_whatever_they_say(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::start(backend).await;
    for (query, expected) in [
        ("A2", "A2 account"),
        ("a2", "A2 account"),
        (" PERSON.3@example.net ", "A3 email"),
        ("+39 (06) 5550-0104", "A4 phone"),
        ("00390655500104", "A4 phone"),
        ("06 5550 0104", "A4 phone"),
        ("0655500104", "A4 phone"),
        ("(06) 5550-0104", "A4 phone"),
        ("cpe0001", "A1 cpe_serial"),
        ("via dei SALUMI 3", "A3 address"),
        (
            "Via dei Salumi",
            "A1 address, A2 address, A3 address, A4 address",
        ),
        ("via dei salumi 33", ""),
        ("nobody@example.net", ""),
    ] {
        let found = lookup(&world, query, "").await;
        let found: Vec<_> = found
            .answers
            .iter()
            .map(|answer| format!("{} {}", answer.account, answer.matched_by))
            .collect();
        assert_eq!(found.join(", "), expected, "{query}");
    }
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn the_answer_joins_impact_history_and_words(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::start(backend).await;
    let mut fault = fault(IncidentState::Confirmed);
    fault.detected_ms = fault.onset_ms + MINUTE_MS;
    world.show(&[(fault.clone(), "olt1")]).await;
    let (held_out, send) = (Decision::HeldOut, Decision::Send);
    world.notice(&fault, "A1", Stage::First, held_out).await;
    world.notice(&fault, "A2", Stage::First, send).await;

    let told = lookup(&world, "A2", "").await.answers.remove(0);
    assert!(told.affected);
    assert_eq!(told.incidents[0].cause, "a damaged fibre cable");
    assert_eq!(told.sent[0].text, "Dear A2");
    assert!(told.not_sent.is_empty());
    assert!(told.what_to_say.contains("We told you at 10:00 today"));

    let held_out = lookup(&world, "A1", "").await.answers.remove(0);
    assert!(held_out.affected);
    assert!(held_out.sent.is_empty());
    assert_eq!(held_out.not_sent[0].decision, "held_out");
    assert!(held_out.what_to_say.contains("lo apprende da noi solo ora"));
    let english = lookup(&world, "A1", "en-GB").await.answers.remove(0);
    assert!(english.what_to_say.contains("hear of it from us only now"));

    let unconcerned = lookup(&world, "A4", "en").await.answers.remove(0);
    assert!(!unconcerned.affected && unconcerned.incidents.is_empty());
    assert!(unconcerned.what_to_say.starts_with("We know of no fault"));

    // Rejected and taken back: out of the live view, and still in the answer.
    fault.state = IncidentState::Rejected;
    fault.revision += 1;
    world.show(&[(fault.clone(), "olt1")]).await;
    world.notice(&fault, "A2", Stage::Retraction, send).await;
    let retracted = lookup(&world, "A2", "").await.answers.remove(0);
    assert!(!retracted.affected);
    assert_eq!(retracted.incidents[0].state(), v1::IncidentState::Rejected);
    assert!(
        retracted
            .what_to_say
            .contains("We are sorry for the mistake")
    );
    world.stop().await;
}

#[tokio::test]
async fn a_language_without_texts_is_refused_with_those_there_are() {
    let world = World::start(Backend::Sqlite).await;
    let connection = connect(&world.args("care")).await.unwrap();
    let ask = |language: &str| {
        let request = v1::LookupRequest {
            query: "A1".to_owned(),
            language: language.to_owned(),
        };
        let mut care = client::care(&connection);
        async move { care.lookup(request).await }
    };
    let refused = ask("de").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let said = client::explain(&refused).to_string();
    for part in ["language", "`de`", "en or it"] {
        assert!(said.contains(part), "{said}");
    }
    let swiss = ask("it-CH").await.unwrap().into_inner();
    assert!(swiss.answers[0].what_to_say.contains("guasti"), "{swiss:?}");
    world.stop().await;
}

#[tokio::test]
async fn an_empty_question_is_refused() {
    let world = World::start(Backend::Sqlite).await;
    let connection = connect(&world.args("care")).await.unwrap();
    let request = v1::LookupRequest {
        query: " ".to_owned(),
        language: String::new(),
    };
    let refused = client::care(&connection).lookup(request).await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::InvalidArgument);
    world.stop().await;
}

/// Told by an incident that was merged into another one, which covers the person: one fault, told once.
#[tokio::test]
async fn an_incident_that_goes_on_in_another_is_not_said_to_be_restored() {
    let world = World::start(Backend::Sqlite).await;
    let mut merged = fault(IncidentState::Confirmed);
    merged.detected_ms = merged.onset_ms + MINUTE_MS;
    world.show(&[(merged.clone(), "olt1")]).await;
    let send = Decision::Send;
    world.notice(&merged, "A2", Stage::First, send).await;
    let mut survivor = incident(2, IncidentState::Confirmed);
    survivor.onset_ms = merged.onset_ms;
    survivor.detected_ms = merged.detected_ms;
    merged.state = IncidentState::Restored;
    merged.restored_ms = Some(NOW_MS);
    merged.merged_into = Some(survivor.no);
    merged.revision += 1;
    let open = [(survivor.clone(), "olt1"), (merged.clone(), "olt1")];
    world.show(&open).await;
    let covered = (Stage::First, Decision::Covered);
    world
        .notice_covered(&survivor, "A2", covered, Some(merged.no))
        .await;
    let answer = lookup(&world, "A2", "en").await.answers.remove(0);
    assert!(answer.affected);
    let shown: Vec<_> = answer.incidents.iter().collect();
    let [first, second] = shown[..] else {
        panic!("{shown:?}");
    };
    assert_eq!(
        (first.id.as_str(), first.merged_into.as_str()),
        ("INC-2", "")
    );
    assert_eq!(
        (second.id.as_str(), second.merged_into.as_str()),
        ("INC-1", "INC-2")
    );
    assert_eq!(second.restored_ms, 0);
    let said = &answer.what_to_say;
    assert!(said.contains("We told you at 10:00 today"), "{said}");

    survivor.state = IncidentState::Rejected;
    survivor.revision += 1;
    world
        .show(&[(survivor.clone(), "olt1"), (merged, "olt1")])
        .await;
    let answer = lookup(&world, "A2", "en").await.answers.remove(0);
    // What the merged incident said was so: the person is written to that service is back.
    let said = &answer.what_to_say;
    assert!(said.contains("By our data it works again"), "{said}");
    world.stop().await;
}
