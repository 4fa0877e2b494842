//! When like faults end, in the words of a message.

use super::{MINUTE, addressee};
use crate::operators::incident;
use forewarn::experience::backtest::Coverage;
use forewarn::experience::{Learned, Likeness};
use forewarn::incident::{CauseKind, Estimate, Incident, IncidentState};
use forewarn::notice::Stage;
use forewarn::notice::compose::{MessageInput, Sender, compose};
use forewarn::notice::template::Templates;

/// 14:00 in Rome.
const NOW_MS: i64 = 1_778_587_200_000;

fn range(from: i64, to: i64) -> Estimate {
    Estimate {
        from_ms: NOW_MS + from * MINUTE,
        to_ms: NOW_MS + to * MINUTE,
    }
}

fn learned() -> Learned {
    Learned {
        range: range(12, 217),
        likeness: Likeness {
            kind: CauseKind::Equipment,
            class: None,
            size: None,
        },
        learned_from: 57,
        coverage: Coverage {
            tried: 57,
            held: 46,
        },
    }
}

#[test]
fn what_is_learned_is_told_as_a_guess_and_only_without_an_estimate() {
    let templates = Templates::built_in("en").unwrap();
    let sender = Sender {
        brand: "Rete Esempio".to_owned(),
        phone: String::new(),
        status_url: String::new(),
    };
    let mut fault = incident(42, IncidentState::Confirmed);
    let write = |fault: &Incident, language: &str, stage, learned| {
        let mut person = addressee(0);
        person.language = language.to_owned();
        let input = MessageInput {
            stage,
            incident: fault,
            lost_since_ms: fault.onset_ms,
            person: &person,
            unsubscribe_url: "https://notices.example.net/unsubscribe/x",
            learned,
            planned_at_ms: NOW_MS,
            now_ms: NOW_MS,
        };
        compose(&templates, &sender, &input).unwrap()
    };
    for (language, guess, fact, none) in [
        (
            "en",
            "Faults like this one usually end between 2:10\u{a0}pm and 5:40\u{a0}pm today",
            "Usually over: between",
            "We do not have a time for the repair",
        ),
        (
            "it",
            "Guasti come questo di solito si risolvono tra le 14:10 e le 17:40 di oggi",
            "Di solito: tra le",
            "Non abbiamo ancora un orario",
        ),
    ] {
        for stage in [Stage::First, Stage::Update, Stage::Estimate] {
            let message = write(&fault, language, stage, Some(learned()));
            for part in [&message.text, &message.html] {
                assert!(part.contains(guess) && part.contains(none), "{part}");
            }
            assert!(message.text.contains(fact), "{}", message.text);
            // Nothing is promised in the subject.
            let without = write(&fault, language, stage, None);
            assert_eq!(message.subject, without.subject);
            assert!(!without.text.contains(fact) && without.text.contains(none));
        }
        // An estimate that was given goes before it, also one whose time has passed.
        for given in [range(60, 90), range(-20, -10)] {
            fault.estimate = Some(given);
            let message = write(&fault, language, Stage::First, Some(learned()));
            assert!(!message.text.contains(fact), "{}", message.text);
            assert_eq!(message, write(&fault, language, Stage::First, None));
        }
        fault.estimate = None;
        for stage in [Stage::Restored, Stage::Retraction] {
            let message = write(&fault, language, stage, Some(learned()));
            assert_eq!(message, write(&fault, language, stage, None));
        }
    }
}
