//! Composes a message: subject, text and HTML, in the person's language and time zone.

use super::expectation::Expectation;
use super::quiet::time_zone;
use super::template::{ClockFace, TemplateError, Templates, TimeWords, Words};
use super::{Addressee, Stage};
use crate::clock::Millis;
use crate::experience::Learned;
use crate::incident::{Cause, CauseKind, Incident};
use crate::subscriber::Segment;
use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};
use serde::Serialize;

/// Who writes, and where readers are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Name under which messages are signed.
    pub brand: String,
    /// Shown as it is; empty shows none.
    pub phone: String,
    /// Page with the state of the network; empty shows none.
    pub status_url: String,
}

/// A message that is ready to be handed to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The language it is in.
    pub language: &'static str,
    pub template_version: String,
}

/// What a message is made from, besides templates and sender.
#[derive(Clone, Copy, Debug)]
pub struct MessageInput<'a> {
    pub stage: Stage,
    pub incident: &'a Incident,
    /// Since when the person is, or was, without service.
    pub lost_since_ms: Millis,
    pub person: &'a Addressee,
    pub unsubscribe_url: &'a str,
    /// Told as a guess while the incident has no estimate; `None` tells nothing of it.
    pub learned: Option<Learned>,
    /// When the message was decided: whoever hears that service is back had it then.
    pub planned_at_ms: Millis,
    pub now_ms: Millis,
}

/// Line between subject and body in the text layout.
const SUBJECT_END: &str = "\n---\n";

#[derive(Debug, Serialize)]
struct Context<'a> {
    layout: &'static str,
    language: &'a str,
    words: &'a Words,
    tone: Tone,
    greeting: String,
    business: bool,
    vulnerable: bool,
    address: String,
    account: &'a str,
    incident: String,
    cause: &'a str,
    estimate: String,
    estimate_sentence: String,
    facts: Vec<Fact<'a>>,
    advice: Vec<&'a str>,
    brand: &'a str,
    phone: &'a str,
    phone_link: String,
    status_url: &'a str,
    unsubscribe_url: &'a str,
}

#[derive(Debug, Serialize)]
struct Fact<'a> {
    label: &'a str,
    value: String,
    strong: bool,
}

/// Colour of a stage on a light and on a dark ground; each has contrast 4.5 or more.
#[derive(Debug, Serialize)]
struct Tone {
    light: &'static str,
    dark: &'static str,
}

/// Makes the message.
pub fn compose(
    templates: &Templates,
    sender: &Sender,
    input: &MessageInput<'_>,
) -> Result<Message, TemplateError> {
    let language = templates.language_for(&input.person.language);
    let words = templates
        .words(language)
        .ok_or_else(|| TemplateError::NoDefault(language.to_owned()))?;
    let mut context = context(language, words, sender, input);
    let name = format!("{language}/{}", input.stage.as_str());
    let text = templates.render(&format!("{name}.txt"), &context)?;
    context.layout = "layout.html";
    let html = templates.render(&format!("{name}.html"), &context)?;
    let (subject, text) = text.split_once(SUBJECT_END).unwrap_or(("", &text));
    Ok(Message {
        subject: one_line(subject),
        text: text.trim().to_owned(),
        html,
        language,
        template_version: templates.version(language, input.stage).to_owned(),
    })
}

fn context<'a>(
    language: &'a str,
    words: &'a Words,
    sender: &'a Sender,
    input: &MessageInput<'a>,
) -> Context<'a> {
    let person = input.person;
    let clock = LocalClock::new(&person.time_zone, input.now_ms, &words.time);
    let told = Told::of(&clock, words, input);
    let name = one_line(&person.name);
    Context {
        layout: "layout.txt",
        language,
        words,
        tone: tone(input.stage),
        greeting: if name.is_empty() {
            words.greeting_nameless.clone()
        } else {
            words.greeting.replace("{name}", &name)
        },
        business: person.segment == Segment::Business,
        vulnerable: person.vulnerable,
        address: one_line(&person.address),
        account: &person.account,
        incident: input.incident.no.to_string(),
        cause: cause_in_words(words, &input.incident.cause),
        facts: facts(&clock, words, input, &told),
        advice: advice(words, input),
        estimate: told.estimate,
        estimate_sentence: told.sentence,
        brand: &sender.brand,
        phone: &sender.phone,
        phone_link: sender
            .phone
            .chars()
            .filter(|c| c.is_ascii_digit() || *c == '+')
            .collect(),
        status_url: &sender.status_url,
        unsubscribe_url: input.unsubscribe_url,
    }
}

fn facts<'a>(
    clock: &LocalClock<'_>,
    words: &'a Words,
    input: &MessageInput<'a>,
    told: &Told,
) -> Vec<Fact<'a>> {
    let address = one_line(&input.person.address);
    let mut facts = Vec::new();
    if !address.is_empty() {
        facts.push(Fact {
            label: &words.facts.address,
            value: address,
            strong: false,
        });
    }
    let incident = input.incident;
    let short = words.cause_short.get(incident.cause.kind.as_str());
    let cause = short.map(|text| Fact {
        label: &words.facts.cause,
        value: if is_only_likely(words, &incident.cause) {
            words.facts.likely.replace("{cause}", text)
        } else {
            text.clone()
        },
        strong: false,
    });
    match input.stage {
        Stage::Retraction => {}
        Stage::Restored => {
            let end_ms = incident.restored_ms.unwrap_or(input.planned_at_ms);
            facts.push(Fact {
                label: &words.facts.lasted,
                value: clock.span(input.lost_since_ms.min(end_ms), end_ms),
                strong: false,
            });
            facts.extend(cause.filter(|_| incident.cause.kind != CauseKind::Unknown));
        }
        Stage::First | Stage::Update | Stage::Estimate => {
            facts.push(Fact {
                label: &words.facts.since,
                value: clock.at(input.lost_since_ms),
                strong: false,
            });
            facts.extend(cause);
            let ranges = [
                (&words.facts.estimate, &told.estimate, true),
                (&words.facts.usual, &told.usual, false),
            ];
            let ranges = ranges.into_iter().filter(|(_, range, _)| !range.is_empty());
            facts.extend(ranges.map(|(label, range, strong)| Fact {
                label,
                value: range.clone(),
                strong,
            }));
        }
    }
    facts
}

/// Whether the cause is what the alarms suggest, and nobody has said that it is so.
fn is_only_likely(words: &Words, cause: &Cause) -> bool {
    !cause.set_by_operator && words.cause_likely.contains_key(cause.kind.as_str())
}

fn cause_in_words<'a>(words: &'a Words, cause: &Cause) -> &'a str {
    let sentences = if is_only_likely(words, cause) {
        &words.cause_likely
    } else {
        &words.cause
    };
    let sentence = sentences.get(cause.kind.as_str());
    sentence.map_or("", String::as_str)
}

fn advice<'a>(words: &'a Words, input: &MessageInput<'_>) -> Vec<&'a str> {
    let business = input.person.segment == Segment::Business;
    let advice = &words.advice;
    let no_power = input.incident.cause.kind == CauseKind::Power;
    let mut lines: Vec<&str> = match input.stage {
        Stage::First | Stage::Update if no_power => &advice.power,
        Stage::First if business => &advice.first_business,
        Stage::First => &advice.first,
        Stage::Update => &advice.update,
        Stage::Estimate => &advice.estimate,
        Stage::Restored if business => &advice.restored_business,
        Stage::Restored => &advice.restored,
        Stage::Retraction => &advice.retraction,
    }
    .iter()
    .map(String::as_str)
    .collect();
    if input.stage == Stage::First && input.person.vulnerable {
        lines.splice(0..0, advice.first_vulnerable.iter().map(String::as_str));
    }
    lines
}

fn tone(stage: Stage) -> Tone {
    match stage {
        Stage::First | Stage::Update | Stage::Estimate => Tone {
            light: "#a34700",
            dark: "#ffb36b",
        },
        Stage::Restored => Tone {
            light: "#1b7a3d",
            dark: "#6fd694",
        },
        Stage::Retraction => Tone {
            light: "#3d5a80",
            dark: "#a9c4ec",
        },
    }
}

/// What is said of when service will be back.
struct Told {
    /// An estimate that was given, as a range in words; empty when there is none.
    estimate: String,
    /// When like faults end, as a range in words; empty when it is not told.
    usual: String,
    sentence: String,
}

impl Told {
    fn of(clock: &LocalClock<'_>, words: &Words, input: &MessageInput<'_>) -> Self {
        let forms = &words.estimate;
        let given = Expectation::of(input.incident.estimate, clock.now_ms);
        if let Some(estimate) = range(clock, words, given) {
            return Self {
                sentence: forms.sentence.replace("{estimate}", &estimate),
                estimate,
                usual: String::new(),
            };
        }
        let learned = input.learned.filter(|_| given == Expectation::Unknown);
        let learned = Expectation::of(learned.map(|learned| learned.range), clock.now_ms);
        let usual = range(clock, words, learned);
        Self {
            estimate: String::new(),
            sentence: match (given, &usual) {
                (Expectation::Late, _) => forms.late.clone(),
                (_, None) => forms.none.clone(),
                (_, Some(usual)) => forms.usual.replace("{estimate}", usual),
            },
            usual: usual.unwrap_or_default(),
        }
    }
}

/// A range in words, when there is one that is not over.
fn range(clock: &LocalClock<'_>, words: &Words, expected: Expectation) -> Option<String> {
    let forms = &words.estimate;
    let (form, from_ms, to_ms) = match expected {
        Expectation::Unknown | Expectation::Late => return None,
        Expectation::By(at_ms) => (&forms.until, at_ms, at_ms),
        Expectation::Around(at_ms) => (&forms.around, at_ms, at_ms),
        Expectation::Between(from_ms, to_ms) => {
            let same_day = clock.local(from_ms).date() == clock.local(to_ms).date();
            let form = if same_day {
                &forms.range_same_day
            } else {
                &forms.range
            };
            (form, from_ms, to_ms)
        }
    };
    let (from, from_day) = clock.time_and_day(from_ms);
    let (to, to_day) = clock.time_and_day(to_ms);
    let range = form
        .replace("{from}", &from)
        .replace("{to}", &to)
        .replace("{day}", &from_day)
        .replace("{to_day}", &to_day);
    Some(range)
}

/// Tells times as the person's clock shows them and as the language says them.
struct LocalClock<'a> {
    zone: TimeZone,
    now_ms: Millis,
    words: &'a TimeWords,
}

impl<'a> LocalClock<'a> {
    fn new(zone: &str, now_ms: Millis, words: &'a TimeWords) -> Self {
        Self {
            zone: time_zone(zone),
            now_ms,
            words,
        }
    }

    fn local(&self, at_ms: Millis) -> Zoned {
        Timestamp::from_millisecond(at_ms)
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .to_zoned(self.zone.clone())
    }

    /// "14:30" or "2:30 pm"; and "today" or a date.
    fn time_and_day(&self, at_ms: Millis) -> (String, String) {
        let at = self.local(at_ms);
        let (hour, minute) = (at.hour(), at.minute());
        let time = match self.words.clock {
            ClockFace::TwentyFour => format!("{hour:02}:{minute:02}"),
            ClockFace::Twelve => {
                let half = if hour < 12 { "am" } else { "pm" };
                let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
                format!("{hour}:{minute:02}\u{a0}{half}")
            }
        };
        (time, self.day(&at))
    }

    fn day(&self, at: &Zoned) -> String {
        let today = self.local(self.now_ms).date();
        if at.date() == today {
            return self.words.today.clone();
        }
        if today.checked_add(1.day()).is_ok_and(|day| day == at.date()) {
            return self.words.tomorrow.clone();
        }
        if today.checked_sub(1.day()).is_ok_and(|day| day == at.date()) {
            return self.words.yesterday.clone();
        }
        let weekday = usize::try_from(at.weekday().to_monday_zero_offset()).unwrap_or(0);
        let month = usize::try_from(at.month() - 1).unwrap_or(0);
        self.words
            .day
            .replace("{weekday}", &self.words.weekdays[weekday])
            .replace("{date}", &at.day().to_string())
            .replace("{month}", &self.words.months[month])
    }

    fn at(&self, at_ms: Millis) -> String {
        let (time, day) = self.time_and_day(at_ms);
        self.words
            .at
            .replace("{time}", &time)
            .replace("{day}", &day)
    }

    fn span(&self, from_ms: Millis, to_ms: Millis) -> String {
        let (from, from_day) = self.time_and_day(from_ms);
        let (to, day) = self.time_and_day(to_ms);
        if (&from, &from_day) == (&to, &day) {
            let moment = self.words.moment.replace("{time}", &from);
            return moment.replace("{day}", &day);
        }
        let from = if from_day == day {
            from
        } else {
            self.words
                .at
                .replace("{time}", &from)
                .replace("{day}", &from_day)
        };
        self.words
            .span
            .replace("{from}", &from)
            .replace("{to}", &to)
            .replace("{day}", &day)
    }
}

/// Line breaks and runs of blanks become one blank: a header or a greeting has one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
