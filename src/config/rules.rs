//! The rules of detection as they stand in the settings: `[[detect.rule]]`.

use super::check::Problem;
use crate::alarm::is_service_seen;
use toml::{Table, Value};

/// What a key of a rule must be.
enum Form {
    Text { least: usize, most: usize },
    OneOf(&'static [&'static str]),
    Number { least: f64, most: f64 },
    Whole { least: i64, most: i64 },
}

struct Key {
    name: &'static str,
    form: Form,
    is_needed: bool,
}

const fn needed(name: &'static str, form: Form) -> Key {
    Key {
        name,
        form,
        is_needed: true,
    }
}

const fn optional(name: &'static str, form: Form) -> Key {
    Key {
        name,
        form,
        is_needed: false,
    }
}

const SEVERITIES: &[&str] = &["indeterminate", "warning", "minor", "major", "critical"];
const KINDS: &[&str] = &["threshold", "drop", "absence"];
const DAY_S: i64 = 86_400;
const ANY_NUMBER: Form = Form::Number {
    least: -1e15,
    most: 1e15,
};
const HOLD: Key = optional(
    "hold_s",
    Form::Whole {
        least: 0,
        most: DAY_S,
    },
);

/// The keys of every rule.
const ALWAYS: [Key; 7] = [
    needed("name", Form::Text { least: 1, most: 64 }),
    needed("kind", Form::OneOf(KINDS)),
    needed(
        "metric",
        Form::Text {
            least: 1,
            most: 128,
        },
    ),
    optional(
        "resource_prefix",
        Form::Text {
            least: 0,
            most: 256,
        },
    ),
    needed(
        "alarm_type",
        Form::Text {
            least: 1,
            most: 128,
        },
    ),
    needed("severity", Form::OneOf(SEVERITIES)),
    needed("effect", Form::OneOf(&["loss", "degraded"])),
];

const THRESHOLD: [Key; 4] = [
    needed("direction", Form::OneOf(&["above", "below"])),
    needed("raise_at", ANY_NUMBER),
    needed("clear_at", ANY_NUMBER),
    HOLD,
];

const DROP: [Key; 5] = [
    needed(
        "fall_percent",
        Form::Number {
            least: 1.0,
            most: 100.0,
        },
    ),
    needed(
        "window_s",
        Form::Whole {
            least: 60,
            most: DAY_S,
        },
    ),
    needed(
        "minimum_base",
        Form::Number {
            least: 1e-9,
            most: 1e15,
        },
    ),
    needed(
        "recover_percent",
        Form::Number {
            least: 1.0,
            most: 100.0,
        },
    ),
    HOLD,
];

const ABSENCE: [Key; 2] = [
    optional(
        "interval_s",
        Form::Whole {
            least: 0,
            most: DAY_S,
        },
    ),
    needed(
        "intervals",
        Form::Number {
            least: 1.5,
            most: 1_000.0,
        },
    ),
];

/// Everything that is wrong with the rules.
pub(super) fn problems(settings: &Table) -> Vec<Problem> {
    let Some(Value::Array(rules)) = settings.get("detect").and_then(|s| s.get("rule")) else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (no, rule) in rules.iter().enumerate() {
        let at = format!("detect.rule[{}]", no + 1);
        let Value::Table(rule) = rule else {
            let expected = "a table such as [[detect.rule]]".to_owned();
            wrong.push(problem(at, Some(rule), expected));
            continue;
        };
        check_rule(rule, &at, &mut wrong);
        if let Some(name) = rule.get("name").and_then(Value::as_str) {
            if names.contains(&name) {
                let expected = "a name that no other rule has".to_owned();
                wrong.push(problem(format!("{at}.name"), rule.get("name"), expected));
            }
            names.push(name);
        }
    }
    wrong
}

fn check_rule(rule: &Table, at: &str, wrong: &mut Vec<Problem>) {
    let kind = rule.get("kind").and_then(Value::as_str).unwrap_or_default();
    let of_kind: &[Key] = match kind {
        "threshold" => &THRESHOLD,
        "drop" => &DROP,
        "absence" => &ABSENCE,
        _ => &[],
    };
    let before = wrong.len();
    for key in ALWAYS.iter().chain(of_kind) {
        let value = rule.get(key.name);
        let holds = match value {
            Some(value) => key.form.holds(value),
            None => !key.is_needed,
        };
        if !holds {
            wrong.push(problem(
                format!("{at}.{}", key.name),
                value,
                key.form.expected(),
            ));
        }
    }
    // Without its kind nobody knows what else belongs to a rule.
    if of_kind.is_empty() {
        return;
    }
    let known: Vec<_> = ALWAYS.iter().chain(of_kind).map(|key| key.name).collect();
    for (key, value) in rule
        .iter()
        .filter(|(key, _)| !known.contains(&key.as_str()))
    {
        let expected = format!("one of the keys {}", known.join(", "));
        wrong.push(problem(format!("{at}.{key}"), Some(value), expected));
    }
    if wrong.len() == before {
        relations(rule, at, wrong);
    }
}

/// Keys that do not fit each other.
fn relations(rule: &Table, at: &str, wrong: &mut Vec<Problem>) {
    let text = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("kind") == "absence" && is_service_seen(text("alarm_type")) {
        let expected = "another type, such as unreachable: `silent` says that somebody who counts \
                        sessions sees none left, which samples that do not come do not say";
        let key = format!("{at}.alarm_type");
        wrong.push(problem(key, rule.get("alarm_type"), expected.to_owned()));
    }
    let number = |key: &str| rule.get(key).and_then(as_number);
    if let (Some(raise), Some(clear)) = (number("raise_at"), number("clear_at")) {
        let above = rule.get("direction").and_then(Value::as_str) == Some("above");
        let fits = if above { clear < raise } else { clear > raise };
        if !fits {
            let side = if above { "less" } else { "greater" };
            let expected = format!("a number {side} than raise_at, which is {raise}");
            let key = format!("{at}.clear_at");
            wrong.push(problem(key, rule.get("clear_at"), expected));
        }
    }
    if let (Some(fall), Some(recover)) = (number("fall_percent"), number("recover_percent"))
        && recover <= 100.0 - fall
    {
        let expected = format!(
            "a number greater than 100 - fall_percent, which is {}",
            100.0 - fall
        );
        let key = format!("{at}.recover_percent");
        wrong.push(problem(key, rule.get("recover_percent"), expected));
    }
}

fn problem(key: String, value: Option<&Value>, expected: String) -> Problem {
    Problem {
        key: key.into(),
        value: Some(value.map_or_else(|| "nothing".to_owned(), ToString::to_string)),
        expected,
    }
}

/// TOML tells 5 from 5.0; people do not.
fn as_number(value: &Value) -> Option<f64> {
    let whole = |n| i32::try_from(n).ok().map(f64::from);
    value
        .as_float()
        .or_else(|| value.as_integer().and_then(whole))
}

impl Form {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Text { least, most } => value.as_str().is_some_and(|text| {
                (*least..=*most).contains(&text.len()) && !text.contains(char::is_control)
            }),
            Self::OneOf(names) => value.as_str().is_some_and(|text| names.contains(&text)),
            Self::Number { least, most } => {
                as_number(value).is_some_and(|n| (*least..=*most).contains(&n))
            }
            Self::Whole { least, most } => value
                .as_integer()
                .is_some_and(|n| (*least..=*most).contains(&n)),
        }
    }

    fn expected(&self) -> String {
        match self {
            Self::Text { least, most } => {
                format!("a text of {least} to {most} bytes without control characters")
            }
            Self::OneOf(names) => names.join(" or "),
            Self::Number { least, most } if *most >= 1e15 && *least < 0.0 => "a number".to_owned(),
            Self::Number { most, .. } if *most >= 1e15 => "a number above 0".to_owned(),
            Self::Number { least, most } => format!("a number from {least} to {most}"),
            Self::Whole { least, most } => format!("a whole number from {least} to {most}"),
        }
    }
}
