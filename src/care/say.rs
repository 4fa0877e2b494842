//! Sentences for the agent, in Italian and English.

use super::{Concern, Standing};
use crate::clock::Millis;
use crate::experience::Learned;
use crate::experience::backtest::Coverage;
use crate::incident::{CauseKind, Estimate};
use crate::notice::expectation::Expectation;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A language in which answers can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Italian,
    English,
}

impl Language {
    /// What [`Self::spoken`] understands.
    pub const TAGS: &str = "en or it, alone or with a region as in it-CH";

    /// The language of a BCP 47 tag, whatever its region, if it is spoken here.
    pub fn spoken(tag: &str) -> Option<Self> {
        let base = tag.split(['-', '_']).next().unwrap_or_default();
        match base.to_ascii_lowercase().as_str() {
            "it" => Some(Self::Italian),
            "en" => Some(Self::English),
            _ => None,
        }
    }

    /// The first of `wanted` (BCP 47 tags) that is spoken here, else English.
    pub fn choose(wanted: &[&str]) -> Self {
        let spoken = wanted.iter().find_map(|tag| Self::spoken(tag));
        spoken.unwrap_or(Self::English)
    }
}

/// The kind of a cause in words that a customer understands, as part of a sentence.
pub fn cause_in_words(kind: CauseKind, language: Language) -> &'static str {
    match (language, kind) {
        (Language::English, CauseKind::FibreCut) => "a damaged fibre cable",
        (Language::English, CauseKind::Equipment) => "a failed device in our network",
        (Language::English, CauseKind::Power) => "a power cut",
        (Language::English, CauseKind::Upstream) => "a fault in a network that ours depends on",
        (Language::English, CauseKind::PlannedWork) => "planned work on our network",
        (Language::English, CauseKind::Unknown) => "not known yet",
        (Language::Italian, CauseKind::FibreCut) => "un cavo in fibra danneggiato",
        (Language::Italian, CauseKind::Equipment) => "un apparato guasto nella nostra rete",
        (Language::Italian, CauseKind::Power) => "un'interruzione di corrente",
        (Language::Italian, CauseKind::Upstream) => {
            "un guasto in una rete da cui dipende la nostra"
        }
        (Language::Italian, CauseKind::PlannedWork) => "lavori programmati sulla nostra rete",
        (Language::Italian, CauseKind::Unknown) => "non ancora nota",
    }
}

/// What the agent can say now, in whole sentences; times in the person's own zone.
pub fn what_to_say(
    standing: Standing<'_>,
    language: Language,
    time_zone: &str,
    now_ms: Millis,
) -> String {
    let say = Speaker {
        language,
        zone: TimeZone::get(time_zone).unwrap_or(TimeZone::UTC),
        now_ms,
    };
    let sentences = match standing {
        Standing::Affected(concern) => say.affected(concern),
        Standing::Suspected(_) => vec![say.suspected()],
        Standing::AtRisk(_) => vec![say.at_risk()],
        Standing::Retracted(_) => vec![say.retracted(), say.usual_checks()],
        Standing::Restored(concern) => vec![say.restored(concern), say.usual_checks()],
        Standing::PlannedWork(until_ms) => vec![say.planned_work(until_ms)],
        Standing::Unconcerned => vec![say.unconcerned(), say.usual_checks()],
    };
    sentences.join(" ")
}

/// Who speaks: language, the listener's clock, and now.
struct Speaker {
    language: Language,
    zone: TimeZone,
    now_ms: Millis,
}

impl Speaker {
    fn pick(&self, english: impl Into<String>, italian: impl Into<String>) -> String {
        match self.language {
            Language::English => english.into(),
            Language::Italian => italian.into(),
        }
    }

    fn affected(&self, concern: &Concern) -> Vec<String> {
        let incident = &concern.incident;
        let since = self.moment(concern.since_ms);
        let mut sentences = vec![if incident.cause.kind == CauseKind::PlannedWork {
            self.pick(
                format!("Planned work on our network has interrupted your service since {since}."),
                format!("Lavori programmati sulla nostra rete interrompono il suo servizio dalle {since}."),
            )
        } else {
            self.pick(
                format!("A fault in our network has interrupted your service since {since}."),
                format!("Un guasto nella nostra rete interrompe il suo servizio dalle {since}."),
            )
        }];
        match incident.cause.kind {
            CauseKind::PlannedWork => {}
            CauseKind::Unknown => sentences
                .push(self.pick("The cause is not known yet.", "La causa non è ancora nota.")),
            kind => {
                let cause = cause_in_words(kind, self.language);
                sentences.push(if incident.cause.set_by_operator {
                    self.pick(
                        format!("The cause is {cause}."),
                        format!("La causa è {cause}."),
                    )
                } else {
                    self.pick(
                        format!("The cause, as far as we can see, is {cause}."),
                        format!("La causa, per quanto vediamo, è {cause}."),
                    )
                });
            }
        }
        sentences.push(self.until(incident.estimate));
        sentences.extend(concern.learned.as_ref().and_then(|l| self.usually(l)));
        sentences.push(match concern.told.fault_ms {
            Some(told_ms) => {
                let at = self.moment(told_ms);
                self.pick(
                    format!("We told you at {at}, and will tell you when service is back. We are sorry for the interruption."),
                    format!("L'abbiamo avvisata alle {at} e la avviseremo quando il servizio tornerà. Ci scusiamo per il disagio."),
                )
            }
            None if concern.told.is_unwanted => self.pick(
                "We are sorry for the interruption. You need not report it again.",
                "Ci scusiamo per il disagio. Non occorre che lo segnali di nuovo.",
            ),
            None => self.pick(
                "We are sorry for the interruption, and that you hear of it from us only now. You need not report it again.",
                "Ci scusiamo per il disagio e perché lo apprende da noi solo ora. Non occorre che lo segnali di nuovo.",
            ),
        });
        sentences
    }

    /// When service is expected.
    fn until(&self, estimate: Option<Estimate>) -> String {
        match Expectation::of(estimate, self.now_ms) {
            Expectation::Unknown => self.pick(
                "We do not know yet when it will work again.",
                "Non sappiamo ancora quando tornerà a funzionare.",
            ),
            Expectation::Late => self.pick(
                "It takes longer than we had expected, and we do not have a new time yet.",
                "Occorre più tempo del previsto e non abbiamo ancora un nuovo orario.",
            ),
            Expectation::Around(at_ms) => {
                let at = self.moment(at_ms);
                self.pick(
                    format!("We expect it to work again at about {at}."),
                    format!("Prevediamo che torni a funzionare verso le {at}."),
                )
            }
            Expectation::By(at_ms) => {
                let at = self.moment(at_ms);
                self.pick(
                    format!("We expect it to work again by {at}."),
                    format!("Prevediamo che torni a funzionare entro le {at}."),
                )
            }
            Expectation::Between(from_ms, to_ms) => {
                let (start, end) = self.ends(from_ms, to_ms);
                self.pick(
                    format!("We expect it to work again between {start} and {end}."),
                    format!("Prevediamo che torni a funzionare tra le {start} e le {end}."),
                )
            }
        }
    }

    /// When like faults ended, and how far that can be relied on.
    fn usually(&self, learned: &Learned) -> Option<String> {
        let when = match Expectation::of(Some(learned.range), self.now_ms) {
            Expectation::Unknown | Expectation::Late => return None,
            Expectation::Around(at_ms) => {
                let at = self.moment(at_ms);
                self.pick(format!("at about {at}"), format!("verso le {at}"))
            }
            Expectation::By(at_ms) => {
                let at = self.moment(at_ms);
                self.pick(format!("by {at}"), format!("entro le {at}"))
            }
            Expectation::Between(from_ms, to_ms) => {
                let (start, end) = self.ends(from_ms, to_ms);
                self.pick(
                    format!("between {start} and {end}"),
                    format!("tra le {start} e le {end}"),
                )
            }
        };
        let Coverage { tried, held } = learned.coverage;
        Some(self.pick(
            format!("Faults like this one usually end {when}: {held} of {tried} did so in the time that we would have named. That is what experience says, and no promise."),
            format!("Guasti come questo di solito si risolvono {when}: {held} su {tried} si sono risolti nel tempo che avremmo indicato. È ciò che dice l'esperienza, non una promessa."),
        ))
    }

    /// The ends of a range; the day only once when both have it in common.
    fn ends(&self, from_ms: Millis, to_ms: Millis) -> (String, String) {
        let from = self.zoned(from_ms);
        let start = if from.date() == self.zoned(to_ms).date() {
            self.time(&from)
        } else {
            self.moment(from_ms)
        };
        (start, self.moment(to_ms))
    }

    fn suspected(&self) -> String {
        self.pick(
            "We are checking a possible fault that may concern your connection. It is not confirmed, so I cannot give you a cause or a time yet.",
            "Stiamo verificando un possibile guasto che potrebbe riguardare la sua linea. Non è confermato, perciò non posso ancora indicarle una causa o un orario.",
        )
    }

    fn at_risk(&self) -> String {
        self.pick(
            "By our data your service works. A reserve path in our network has failed, so an interruption is more likely than usual until it is repaired. You need not do anything.",
            "Dai nostri dati il suo servizio funziona. Un collegamento di riserva della nostra rete è guasto, perciò fino alla riparazione un'interruzione è più probabile del solito. Non deve fare nulla.",
        )
    }

    fn retracted(&self) -> String {
        self.pick(
            "We told you of a fault that, as we found out afterwards, does not concern your connection. We are sorry for the mistake. By our data your service works.",
            "L'abbiamo avvisata di un guasto che, come abbiamo poi verificato, non riguarda la sua linea. Ci scusiamo per l'errore. Dai nostri dati il suo servizio funziona.",
        )
    }

    fn restored(&self, concern: &Concern) -> String {
        let incident = &concern.incident;
        let from = self.moment(concern.since_ms);
        match incident.restored_ms {
            Some(restored_ms) => {
                let to = self.moment(restored_ms);
                if from == to {
                    return self.pick(
                        format!("A fault in our network interrupted your service for a moment at {from}. By our data it works again. We are sorry for the interruption."),
                        format!("Un guasto nella nostra rete ha interrotto per un momento il suo servizio alle {from}. Dai nostri dati ora funziona di nuovo. Ci scusiamo per il disagio."),
                    );
                }
                self.pick(
                    format!("A fault in our network interrupted your service from {from} to {to}. By our data it works again. We are sorry for the interruption."),
                    format!("Un guasto nella nostra rete ha interrotto il suo servizio dalle {from} alle {to}. Dai nostri dati ora funziona di nuovo. Ci scusiamo per il disagio."),
                )
            }
            None => self.pick(
                format!("A fault that began at {from} interrupted your service. By our data yours works again, while others still wait. We are sorry for the interruption."),
                format!("Un guasto iniziato alle {from} ha interrotto il suo servizio. Dai nostri dati per lei ora funziona di nuovo, mentre per altri non ancora. Ci scusiamo per il disagio."),
            ),
        }
    }

    fn planned_work(&self, until_ms: Millis) -> String {
        let until = self.moment(until_ms);
        self.pick(
            format!("Planned work on our network may interrupt your service until {until}. You need not report it."),
            format!("Lavori programmati sulla nostra rete possono interrompere il suo servizio fino alle {until}. Non occorre che lo segnali."),
        )
    }

    fn unconcerned(&self) -> String {
        self.pick(
            "We know of no fault that concerns your connection.",
            "Non ci risultano guasti che riguardino la sua linea.",
        )
    }

    fn usual_checks(&self) -> String {
        self.pick(
            "If it does not work for you, please check that the router has power and its cables are firm, switch it off for thirty seconds and on again; if that does not help, I will have your line tested.",
            "Se non le funziona, verifichi che il router sia alimentato e i cavi ben inseriti, lo spenga per trenta secondi e lo riaccenda; se non basta, farò controllare la sua linea.",
        )
    }

    fn zoned(&self, at_ms: Millis) -> Zoned {
        Timestamp::from_millisecond(at_ms)
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .to_zoned(self.zone.clone())
    }

    fn time(&self, at: &Zoned) -> String {
        let (hour, minute) = (at.hour(), at.minute());
        self.pick(
            format!("{hour:02}:{minute:02}"),
            format!("ore {hour:02}:{minute:02}"),
        )
    }

    /// Time and day: "14:00 today", "ore 14:00 di oggi".
    fn moment(&self, at_ms: Millis) -> String {
        let at = self.zoned(at_ms);
        let day = self.day(at.date(), self.zoned(self.now_ms).date());
        format!("{} {day}", self.time(&at))
    }

    fn day(&self, day: Date, today: Date) -> String {
        let month = usize::try_from(day.month() - 1).unwrap_or_default();
        if day == today {
            self.pick("today", "di oggi")
        } else if Some(day) == today.yesterday().ok() {
            self.pick("yesterday", "di ieri")
        } else if Some(day) == today.tomorrow().ok() {
            self.pick("tomorrow", "di domani")
        } else {
            self.pick(
                format!("on {} {}", day.day(), ENGLISH_MONTHS[month]),
                format!("del {} {}", day.day(), ITALIAN_MONTHS[month]),
            )
        }
    }
}

const ENGLISH_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const ITALIAN_MONTHS: [&str; 12] = [
    "gennaio",
    "febbraio",
    "marzo",
    "aprile",
    "maggio",
    "giugno",
    "luglio",
    "agosto",
    "settembre",
    "ottobre",
    "novembre",
    "dicembre",
];
