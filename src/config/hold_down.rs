//! The entries of `correlation.hold_down`.

use crate::incident::CauseKind;
use toml::Value;

/// Whether the list is one, and what is expected of its entries that are wrong.
pub(super) fn expected(value: &Value) -> (bool, String) {
    let wrong = value
        .as_array()
        .map_or_else(Vec::new, |list| problems(list));
    (wrong.is_empty(), wrong.join("; "))
}

/// What each entry of `correlation.hold_down` that is wrong must be.
fn problems(list: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut known: Vec<(&str, i64)> = Vec::new();
    for (nth, entry) in (1..).zip(list) {
        let mut expect = |what: &str| wrong.push(format!("in entry {nth} {what}"));
        let Some(entry) = entry.as_table() else {
            expect("a table such as { cause = \"power\", subscribers = 1000, seconds = 30 }");
            continue;
        };
        let names = ["cause", "subscribers", "seconds"];
        if entry.keys().any(|key| !names.contains(&key.as_str())) {
            expect("only the keys cause, subscribers and seconds");
        }
        let whole = |key: &str, most: i64| {
            let number = entry.get(key).and_then(Value::as_integer);
            number.is_some_and(|number| (0..=most).contains(&number))
        };
        if !whole("seconds", 86_400) {
            expect("seconds, a whole number from 0 to 86400");
        }
        if entry.contains_key("subscribers") && !whole("subscribers", u32::MAX.into()) {
            expect("for subscribers a whole number from 0 on");
        }
        let cause = entry
            .get("cause")
            .map(|cause| cause.as_str().unwrap_or_default());
        if cause.is_some_and(|cause| CauseKind::parse(cause).is_none()) {
            let kinds = CauseKind::ALL.map(CauseKind::as_str).join(", ");
            expect(&format!("for cause one of {kinds}, or none for all"));
        }
        let subscribers = entry.get("subscribers").and_then(Value::as_integer);
        let class = (cause.unwrap_or_default(), subscribers.unwrap_or(0));
        if known.contains(&class) {
            expect("another cause or number of subscribers than in an entry before");
        }
        known.push(class);
    }
    wrong
}
