//! What messages say, in whose words.

use super::*;
use forewarn::notice::compose::Message;

/// 2026-05-12T12:00:00Z, 14:00 in Rome.
const NOON_MS: i64 = 1_778_587_200_000;

fn written(stage: Stage, fault: &Incident, person: &Addressee, now_ms: i64) -> Message {
    let sender = Sender {
        brand: "Rete Esempio".to_owned(),
        phone: "+39 800 000 000".to_owned(),
        status_url: "https://status.example.net/".to_owned(),
    };
    let input = MessageInput {
        stage,
        incident: fault,
        lost_since_ms: fault.onset_ms,
        person,
        unsubscribe_url: "https://notices.example.net/unsubscribe/x",
        learned: None,
        planned_at_ms: now_ms,
        now_ms,
    };
    compose(&Templates::built_in("en").unwrap(), &sender, &input).unwrap()
}

#[test]
fn every_message_reads_the_same_in_both_parts_and_in_the_persons_words() {
    let now_ms = NOON_MS;
    let mut fault = incident(42, IncidentState::Confirmed);
    fault.onset_ms = now_ms - 25 * MINUTE;
    fault.restored_ms = Some(now_ms);
    fault.cause.kind = CauseKind::FibreCut;
    fault.estimate = Some(Estimate {
        from_ms: now_ms + 121 * MINUTE,
        to_ms: now_ms + 11 * 60 * MINUTE,
    });
    for (language, expected) in [("it-CH", "it"), ("en-GB", "en"), ("fr", "en"), ("", "en")] {
        for (stage, vulnerable, business) in Stage::ALL
            .into_iter()
            .flat_map(|s| [(s, false, false), (s, true, false), (s, false, true)])
        {
            let mut person = addressee(0);
            person.language = language.to_owned();
            person.vulnerable = vulnerable;
            person.name = "Zoë <script> Österlund".to_owned();
            if business {
                person.segment = Segment::Business;
            }
            let message = written(stage, &fault, &person, now_ms);
            assert_eq!(message.language, expected);
            assert!(!message.subject.is_empty() && !message.subject.contains('\n'));
            assert!(
                message.text.contains("Zoë <script> Österlund"),
                "{}",
                message.text
            );
            assert!(message.html.contains("Zoë &lt;script&gt; Österlund"));
            assert!(!message.html.contains("<script>"));
            for part in [&message.text, &message.html] {
                assert!(
                    part.contains("INC-42")
                        && part.replace("&#x2f;", "/").contains("/unsubscribe/x"),
                    "{part}"
                );
                assert!(!part.contains("{from}") && !part.contains("{{"), "{part}");
            }
            if stage == Stage::First && expected == "it" {
                let range = "tra le 16:00 di oggi e le 01:00 di domani";
                assert!(message.text.contains(range), "{}", message.text);
            }
        }
    }
}

#[test]
fn an_outage_of_seconds_has_one_time() {
    let now_ms = NOON_MS;
    let mut fault = incident(42, IncidentState::Restored);
    for (language, seconds, expected) in [
        ("it", 20, "14:00 di oggi, per meno di un minuto"),
        ("it", 60, "dalle 14:00 alle 14:01 di oggi"),
        ("en", 20, "2:00\u{a0}pm today, for less than a minute"),
    ] {
        fault.onset_ms = now_ms;
        fault.restored_ms = Some(now_ms + seconds * 1_000);
        let mut person = addressee(0);
        person.language = language.to_owned();
        let message = written(Stage::Restored, &fault, &person, now_ms + MINUTE);
        assert!(message.text.contains(expected), "{}", message.text);
    }
}

#[test]
fn a_missing_address_and_a_withdrawn_estimate_leave_no_holes() {
    let now_ms = NOON_MS;
    let mut fault = incident(42, IncidentState::Confirmed);
    fault.restored_ms = Some(now_ms);
    for (language, withdrawn, line) in [
        ("en", "no longer holds", "Line"),
        ("it", "non vale più", "Linea"),
    ] {
        for (stage, business) in Stage::ALL.into_iter().flat_map(|s| [(s, false), (s, true)]) {
            let mut person = addressee(0);
            person.language = language.to_owned();
            person.address = " ".to_owned();
            if business {
                person.segment = Segment::Business;
            }
            let message = written(stage, &fault, &person, now_ms);
            for text in [&message.subject, &message.text] {
                for hole in [" :", " ,", " at is", " in è", " in era", " di ne"] {
                    assert!(!text.contains(hole), "{hole:?} in {text}");
                }
                let words = text.lines().map(str::trim);
                assert!(words.into_iter().all(|l| !l.contains("  ")), "{text}");
            }
            assert!(
                !message.text.contains(&format!("{line}:")),
                "{}",
                message.text
            );
            if stage == Stage::Estimate {
                assert!(message.subject.contains(withdrawn), "{}", message.subject);
                assert!(message.text.contains(withdrawn), "{}", message.text);
            }
        }
    }
}
