//! Who lives there: synthetic people with plausible names, languages and preferences.

use crate::subscriber::{ChannelKind, ContactKind, ContactPoint, QuietHours, Segment, Subscriber};
use crate::topology::{Position, Redundancy};
use rand::{Rng, RngExt};

/// Share of business accounts.
const BUSINESS: f64 = 0.12;
/// Share of residential accounts that depend on the service: 1.5 % of all accounts.
const VULNERABLE_RESIDENTIAL: f64 = 0.015 / (1.0 - BUSINESS);
const HAS_EMAIL: f64 = 0.96;
const HAS_PHONE: f64 = 0.90;
const HAS_PUSH: f64 = 0.10;
const HAS_WEBHOOK: f64 = 0.05;
const CONSENTS: f64 = 0.98;
const ELSEWHERE_TIME: f64 = 0.01;

/// Language, share in a thousand, given names, family names.
type Population = (
    &'static str,
    u32,
    &'static [&'static str],
    &'static [&'static str],
);

const POPULATIONS: [Population; 6] = [
    (
        "it",
        870,
        &[
            "Anna", "Bruno", "Carla", "Dario", "Elena", "Fabio", "Giulia", "Ivano", "Laura",
            "Marco", "Nicolò", "Ornella", "Paolo", "Rita", "Sara", "Tommaso", "Ugo", "Viola",
        ],
        &[
            "Albani", "Barbieri", "Conti", "De Luca", "Esposito", "Ferri", "Gallo", "Leone",
            "Mancini", "Neri", "Orlandi", "Pace", "Ricci", "Sartori", "Testa", "Valli",
        ],
    ),
    (
        "en",
        50,
        &["Alice", "Ben", "Chloe", "Daniel", "Emma", "Frank"],
        &["Archer", "Baker", "Cooper", "Dyer", "Ellis", "Fletcher"],
    ),
    (
        "ro",
        35,
        &["Andrei", "Ioana", "Mihai", "Ștefan", "Elena", "Mădălina"],
        &[
            "Popescu",
            "Ionescu",
            "Dumitru",
            "Stănescu",
            "Marin",
            "Țurcanu",
        ],
    ),
    (
        "de",
        15,
        &["Anja", "Jörg", "Karin", "Lukas", "Ulrike", "Stefan"],
        &["Bauer", "Fischer", "Groß", "Müller", "Schäfer", "Weber"],
    ),
    (
        "fr",
        15,
        &["Amélie", "Benoît", "Céline", "François", "Hélène", "Luc"],
        &["Bernard", "Durand", "Girard", "Lefèvre", "Moreau", "Petit"],
    ),
    (
        "ar",
        15,
        &["أحمد", "فاطمة", "يوسف", "مريم", "خالد", "ليلى"],
        &["حداد", "نجار", "منصور", "سليمان", "خوري", "عباس"],
    ),
];

const TRADES: [&str; 8] = [
    "Bar",
    "Farmacia",
    "Ferramenta",
    "Forno",
    "Officina",
    "Osteria",
    "Studio",
    "Tipografia",
];

const STREETS: [&str; 24] = [
    "Via Roma",
    "Via Garibaldi",
    "Via Mazzini",
    "Via Cavour",
    "Via Dante",
    "Via Verdi",
    "Via dei Mille",
    "Via della Fontana",
    "Via del Lavatoio",
    "Via San Rocco",
    "Via Leopardi",
    "Via Marconi",
    "Via dei Tigli",
    "Via delle Rose",
    "Via del Mulino",
    "Via Cassia",
    "Via della Pace",
    "Via Matteotti",
    "Viale Europa",
    "Viale Trento",
    "Corso Umberto",
    "Corso Italia",
    "Piazza del Popolo",
    "Vicolo Stretto",
];

const TIME_ZONES_ELSEWHERE: [&str; 3] = ["Europe/London", "Europe/Bucharest", "Europe/Berlin"];

const QUIET_HOURS: [(u32, &str); 3] = [(15, "22:00-07:00"), (5, "23:30-08:30"), (3, "13:00-15:30")];

/// A street name.
pub(super) fn street(rng: &mut impl Rng) -> &'static str {
    STREETS[rng.random_range(0..STREETS.len())]
}

/// A synthetic account without premises: the caller adds what the place decides.
pub(super) fn person(number: u32, rng: &mut impl Rng) -> Subscriber {
    let account = format!("A{number:07}");
    let (language, _, given, family) = population(rng);
    let given = given[rng.random_range(0..given.len())];
    let family = family[rng.random_range(0..family.len())];
    let business = rng.random_bool(BUSINESS);
    let name = if business {
        format!("{} {family}", TRADES[rng.random_range(0..TRADES.len())])
    } else {
        format!("{given} {family}")
    };
    let contact_points = contact_points(number, &account, &name, business, rng);
    let channels = channels(&contact_points, rng);
    Subscriber {
        cpe_serial: format!("FWRD{number:08X}"),
        account,
        name,
        language: (*language).to_owned(),
        time_zone: time_zone(rng).to_owned(),
        segment: if business {
            Segment::Business
        } else {
            Segment::Residential
        },
        vulnerable: !business && rng.random_bool(VULNERABLE_RESIDENTIAL),
        contact_points,
        channels,
        quiet_hours: quiet_hours(rng),
        consent: rng.random_bool(CONSENTS),
        address: String::new(),
        position: None::<Position>,
        served_by: Vec::new(),
        redundancy: Redundancy::Any,
    }
}

fn population(rng: &mut impl Rng) -> &'static Population {
    let mut drawn = rng.random_range(0..1000_u32);
    for population in &POPULATIONS {
        if drawn < population.1 {
            return population;
        }
        drawn -= population.1;
    }
    &POPULATIONS[0]
}

/// E-mail under example.net (RFC 2606); phone numbers under +999, a country code that ITU-T E.164
/// has never assigned, so none can ring anywhere and every account has its own.
fn contact_points(
    number: u32,
    account: &str,
    name: &str,
    business: bool,
    rng: &mut impl Rng,
) -> Vec<ContactPoint> {
    let mut points = Vec::with_capacity(2);
    let mut add = |kind, value| points.push(ContactPoint { kind, value });
    if rng.random_bool(HAS_EMAIL) {
        let email = format!("{}.{number}@example.net", local_part(name));
        add(ContactKind::Email, email);
    }
    if rng.random_bool(HAS_PHONE) {
        add(ContactKind::Phone, format!("+999 {number:09}"));
    }
    if rng.random_bool(HAS_PUSH) {
        let push = format!("https://push.example.net/{:016x}", rng.random::<u64>());
        add(ContactKind::Push, push);
    }
    if business && rng.random_bool(HAS_WEBHOOK) {
        add(
            ContactKind::Webhook,
            format!("https://hooks.example.net/{account}"),
        );
    }
    points
}

/// The letters of a name that an address may hold; "utente" (user) where there are none.
fn local_part(name: &str) -> String {
    let words: Vec<String> = name
        .split(' ')
        .map(|word| {
            word.chars()
                .filter(char::is_ascii_alphabetic)
                .map(|c| c.to_ascii_lowercase())
                .collect()
        })
        .filter(|word: &String| !word.is_empty())
        .collect();
    if words.is_empty() {
        "utente".to_owned()
    } else {
        words.join(".")
    }
}

/// What the contact points allow, in an order of preference that differs from person to person.
fn channels(points: &[ContactPoint], rng: &mut impl Rng) -> Vec<ChannelKind> {
    let has = |kind| points.iter().any(|point| point.kind == kind);
    let mut channels = Vec::with_capacity(3);
    if has(ContactKind::Webhook) {
        channels.push(ChannelKind::Webhook);
    }
    if has(ContactKind::Push) {
        channels.push(ChannelKind::Push);
    }
    let mut usual = Vec::with_capacity(2);
    if has(ContactKind::Email) {
        usual.push(ChannelKind::Email);
    }
    if has(ContactKind::Phone) {
        usual.push(if rng.random_bool(0.95) {
            ChannelKind::Sms
        } else {
            ChannelKind::Voice
        });
    }
    if rng.random_bool(0.25) {
        usual.reverse();
    }
    channels.extend(usual);
    channels
}

fn time_zone(rng: &mut impl Rng) -> &'static str {
    if rng.random_bool(ELSEWHERE_TIME) {
        TIME_ZONES_ELSEWHERE[rng.random_range(0..TIME_ZONES_ELSEWHERE.len())]
    } else {
        "Europe/Rome"
    }
}

fn quiet_hours(rng: &mut impl Rng) -> Option<QuietHours> {
    let mut drawn = rng.random_range(0..100_u32);
    for (share, hours) in QUIET_HOURS {
        if drawn < share {
            return QuietHours::parse(hours);
        }
        drawn -= share;
    }
    None
}
