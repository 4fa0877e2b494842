//! Import formats: what is written comes back, and what is wrong is said with its place.

use forewarn::subscriber::{
    ChannelKind, ContactFields, ContactKind, ContactPoint, QuietHours, Segment, Subscriber,
    SubscriberFields, SubscriberParser, read_subscribers,
};
use forewarn::topology::{
    Element, ElementKind, GatewayRule, GroupKind, Link, Network, NetworkDefinition, Position,
    PositionFields, ReadError, RecordErrors, Redundancy, SharedRiskGroup, Site, TopologyFields,
    TopologyParser, read_graphml, read_topology,
};
use forewarn::{subscriber, topology};
use proptest::prelude::*;
use rstest::rstest;
use std::collections::HashSet;
use std::path::Path;

fn messages<T: std::fmt::Debug>(result: Result<T, ReadError>) -> Vec<String> {
    match result.unwrap_err() {
        ReadError::Records(errors) => lines(&errors),
        other => vec![other.to_string()],
    }
}

fn lines(errors: &RecordErrors) -> Vec<String> {
    errors.errors().iter().map(ToString::to_string).collect()
}

fn topology_errors(file: &str, text: &str) -> Vec<String> {
    messages(read_topology(text.as_bytes(), file, None))
}

fn subscriber_errors(file: &str, text: &str) -> Vec<String> {
    messages(read_subscribers(text.as_bytes(), file))
}

const KINDS: &str = "router, switch, bng, olt, pon_port, splitter, ont, cmts, fibre_node, cell, \
                     power_feed, duct, cabinet, other";

#[rstest]
#[case::no_json(
    "{\"type\":",
    "net.jsonl:1: record: expected one JSON object in UTF-8 (EOF while parsing a value at column 8)"
)]
#[case::broken_off(
    "{\"type\":\"site\",\"id\":\"a\"}\n{\"type\":\n",
    "net.jsonl:2: record: expected one JSON object in UTF-8 (EOF while parsing a value at its end)"
)]
#[case::no_object(
    "[1]",
    "net.jsonl:1: record: expected one JSON object in UTF-8, not a list"
)]
#[case::position(
    r#"{"type":"site","id":"a","position":"41.9,12.5"}"#,
    "net.jsonl:1: position: \"41.9,12.5\" is not an object with latitude and longitude"
)]
#[case::type_missing(
    r#"{"id":"a"}"#,
    "net.jsonl:1: type: expected one of site, element, link, group"
)]
#[case::type_unknown(
    r#"{"type":"node","id":"a"}"#,
    "net.jsonl:1: type: \"node\" is not one of site, element, link, group"
)]
#[case::id_missing(
    r#"{"type":"site"}"#,
    "net.jsonl:1: id: expected an id of 1 to 256 bytes without control characters or outer spaces"
)]
#[case::wrong_json_type(
    r#"{"type":"element","id":"a","kind":"olt","gateway":"yes"}"#,
    "net.jsonl:1: gateway: \"yes\" is not true or false"
)]
#[case::number_for_text(
    r#"{"type":"element","id":12,"kind":"olt"}"#,
    "net.jsonl:1: id: \"12\" is not a string"
)]
#[case::given_twice(
    r#"{"type":"site","id":"a","id":"b"}"#,
    "net.jsonl:1: id: expected to be given once"
)]
#[case::foreign_field(
    r#"{"type":"site","id":"a","gateway":true}"#,
    "net.jsonl:1: gateway: expected nothing here for a site"
)]
#[case::half_a_position(
    r#"{"type":"site","id":"a","position":{"latitude":41.9}}"#,
    "net.jsonl:1: longitude: expected a longitude where there is a latitude"
)]
#[case::out_of_range(
    r#"{"type":"site","id":"a","position":{"latitude":90.5,"longitude":12}}"#,
    "net.jsonl:1: latitude: \"90.5\" is not degrees from -90 to 90"
)]
#[case::link_to_itself(
    r#"{"type":"link","id":"l","a":"x","b":"x"}"#,
    "net.jsonl:1: b: \"x\" is not another element than a"
)]
#[case::empty_group(
    r#"{"type":"group","id":"g","kind":"duct"}"#,
    "net.jsonl:1: members: expected at least one id of an element or a link"
)]
#[case::redundancy(
    r#"{"type":"element","id":"a","kind":"olt","redundancy":"both"}"#,
    "net.jsonl:1: redundancy: \"both\" is not one of any, all"
)]
fn a_wrong_topology_record_is_explained(#[case] line: &str, #[case] expected: &str) {
    // What an end of a link or a member names may be missing besides.
    assert_eq!(topology_errors("net.jsonl", line)[0], expected);
}

#[test]
fn an_unknown_kind_or_field_is_answered_with_the_known_ones() {
    assert_eq!(
        topology_errors("net.jsonl", r#"{"type":"element","id":"a","kind":"ruter"}"#),
        [format!(
            "net.jsonl:1: kind: \"ruter\" is not one of {KINDS}"
        )]
    );
    let errors = topology_errors("net.jsonl", r#"{"type":"site","id":"a","colour":"red"}"#);
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("net.jsonl:1: colour: \"red\" is not a known field, one of type, id"),
        "{errors:?}"
    );
}

#[test]
fn every_error_of_a_file_is_reported_with_its_own_line() {
    let text = "\u{feff}{\"type\":\"site\",\"id\":\"s\"}\n\n\
                {\"type\":\"element\",\"id\":\"x\",\"kind\":\"ruter\"}\r\n\
                {\"type\":\"link\",\"id\":\"\",\"a\":\"x\",\"b\":\"y\"}\n";
    let errors = topology_errors("net.ndjson", text);
    assert_eq!(errors.len(), 3);
    assert!(errors[0].starts_with("net.ndjson:3: kind"), "{errors:?}");
    assert!(errors[1].starts_with("net.ndjson:4: id"), "{errors:?}");
    assert!(
        errors[2].starts_with("net.ndjson:4: b: \"y\""),
        "{errors:?}"
    );
}

#[test]
fn what_is_wrong_between_records_is_found_in_the_file() {
    let text = r#"{"type":"element","id":"r","kind":"router","gateway":true}
{"type":"element","id":"q","kind":"router","site":"nowhere"}
{"type":"element","id":"o","kind":"olt"}
{"type":"link","id":"l1","a":"r","b":"o"}
{"type":"link","id":"l2","a":"q","b":"o"}
{"type":"link","id":"l3","a":"r","b":"missing"}
{"type":"group","id":"g","kind":"duct","members":["lost"]}"#;
    let network = read_topology(text.as_bytes(), "net.jsonl", None).unwrap();
    let errors = Network::build(&network, &[]).unwrap_err();
    let located = topology::locate_errors(text.as_bytes(), "net.jsonl", &errors).unwrap();
    for (line, part) in [
        ("2", "nowhere"),
        ("3", "redundancy"),
        ("6", "missing"),
        ("7", "lost"),
    ] {
        let prefix = format!("net.jsonl:{line}:");
        let named = |text: &&String| text.starts_with(&prefix) && text.contains(part);
        assert_eq!(
            located.iter().filter(named).count(),
            1,
            "{part}: {located:?}"
        );
    }
    assert_eq!(located.len(), 4, "{located:?}");
}

#[rstest]
#[case::empty(
    "",
    "net.csv:1: record: expected a header line with the names of the columns"
)]
#[case::no_id("type\nsite\n", "net.csv:1: header: expected a column id")]
#[case::width(
    "type,id\nsite\n",
    "net.csv:2: record: \"1 columns\" is not 2 columns, as in the header"
)]
#[case::boolean(
    "type,id,kind,gateway\n\"element\",\"a\nb\",olt,1\nelement,c,olt,no\n",
    "net.csv:2: gateway: \"1\" is not true or false"
)]
#[case::number(
    "type,id,latitude,longitude\nsite,s,12\u{b0},41\n",
    "net.csv:2: latitude: \"12\u{b0}\" is not a number"
)]
fn a_wrong_table_is_explained(#[case] text: &str, #[case] first: &str) {
    assert_eq!(topology_errors("net.csv", text)[0], first);
}

#[test]
fn half_a_position_that_is_no_number_is_told_once() {
    let site = "type,id,latitude,longitude\nsite,s,abc,12.5\nsite,t,41.9,xyz\n";
    assert_eq!(
        topology_errors("net.csv", site),
        [
            "net.csv:2: latitude: \"abc\" is not a number",
            "net.csv:3: longitude: \"xyz\" is not a number",
        ]
    );
    let account = "account,language,time_zone,segment,consent,served_by,latitude,longitude\n\
                   A1,it,Europe/Rome,residential,maybe,o,abc,12.5\n";
    assert_eq!(
        subscriber_errors("people.csv", account),
        [
            "people.csv:2: latitude: expected a number",
            "people.csv:2: consent: \"maybe\" is not true or false",
        ]
    );
}

#[test]
fn lines_of_a_table_are_counted_over_line_breaks_in_cells() {
    let text = "type,id,name\nsite,s1,\"two\nlines\"\nsite,,x\n";
    let errors = topology_errors("net.csv", text);
    assert!(errors[0].starts_with("net.csv:2: name: "), "{errors:?}");
    assert!(errors[1].starts_with("net.csv:4: id: "), "{errors:?}");
}

#[test]
fn text_that_is_not_utf8_is_an_error_of_its_line() {
    let text = b"type,id,name\nsite,a,Forl\xec\nsite,b,Roma\n";
    let errors = messages(read_topology(&text[..], "net.csv", None));
    assert_eq!(errors, ["net.csv:2: record: expected text in UTF-8"]);
}

#[test]
fn a_hundred_errors_are_reported_and_the_others_counted() {
    let text = "{\"type\":\"node\",\"id\":\"a\"}\n".repeat(250);
    let ReadError::Records(errors) = read_topology(text.as_bytes(), "net.jsonl", None).unwrap_err()
    else {
        panic!("expected errors of records");
    };
    assert_eq!((errors.errors().len(), errors.further()), (100, 150));
    assert!(errors.to_string().ends_with("\nand 150 more errors"));
}

#[test]
fn errors_of_records_and_between_them_come_together() {
    let text = r#"{"type":"element","id":"gw","kind":"bng","gateway":true}
{"type":"element","id":"s1","kind":"swich"}
{"type":"element","id":"s2","kind":"switch"}
{"type":"element","id":"olt","kind":"olt"}
{"type":"element","id":"olt2","kind":"olt"}
{"type":"element","id":"r3","kind":"router","gateway":"yes"}
{"type":"link","id":"a","a":"gw","b":"s1"}
{"type":"link","id":"b","a":"gw","b":"s2"}
{"type":"link","id":"c","a":"s1","b":"olt"}
{"type":"link","id":"d","a":"s2","b":"olt"}
{"type":"link","id":"e","a":"s2","b":"olt2"}
{"type":"link","id":"f","a":"gw","b":"olt2"}
{"type":"link","id":"g","a":"gw","b":"r3"}
{"type":"link","id":"h","a":"gw","b":"nowhere"}
{"type":"link","id":"b","a":"gw","b":""}
{"type":"group","id":"cable","kind":"cables","members":["s1","ghost","r3"]}
"#;
    let kinds = format!("one of {KINDS}");
    assert_eq!(
        topology_errors("n.jsonl", text),
        [
            format!("n.jsonl:2: kind: \"swich\" is not {kinds}"),
            "n.jsonl:6: gateway: \"yes\" is not true or false".to_owned(),
            "n.jsonl:15: b: expected an id of 1 to 256 bytes without control characters or outer spaces".to_owned(),
            "n.jsonl:16: kind: \"cables\" is not one of duct, cable, cabinet, power_feed, site, other".to_owned(),
            "n.jsonl:15: id: \"b\" is not an id used once among elements, links and groups".to_owned(),
            "n.jsonl:14: b: \"nowhere\" is not the id of an element".to_owned(),
            // Of `olt` nobody knows what leads to it as long as `s1` is of no kind.
            "n.jsonl:5: redundancy: expected \"any\" or \"all\", because 2 links lead to it".to_owned(),
            "n.jsonl:16: members: \"ghost\" is not ids of elements and links".to_owned(),
        ]
    );
}

#[test]
fn what_may_follow_from_a_record_that_cannot_be_read_is_not_told() {
    let text = "type,id,kind,gateway,a,b\n\
        element,gw,bng\n\
        element,s1,switch,,,\n\
        link,l1,,,gw,s1\n\
        link,l1,,,s1,s9\n";
    assert_eq!(
        topology_errors("n.csv", text),
        [
            "n.csv:2: record: \"3 columns\" is not 6 columns, as in the header",
            "n.csv:5: id: \"l1\" is not an id used once among elements, links and groups",
        ]
    );
    let unknown = "type,id,kind,gateway\nelemnt,gw,bng,true\nelement,s1,switch,\n";
    assert_eq!(topology_errors("n.csv", unknown).len(), 1);
    let none = "type,id,kind,gateway\nelement,s1,switch,\nsite,,,\n";
    assert_eq!(
        topology_errors("n.csv", none)[1],
        "n.csv: gateway: expected at least one element with gateway true: service must come from \
         somewhere"
    );
}

#[test]
fn a_value_of_a_wrong_type_hides_nothing_else_of_its_record() {
    let account = r#"{"account":"A1","consent":"yes","language":7,"time_zone":"Mars/X","segment":"res","quiet_hours":"","quiet_hours":"x","served_by":[],"colour":1}"#;
    let errors = subscriber_errors("p.jsonl", account);
    let fields: Vec<&str> = errors
        .iter()
        .map(|e| e.split(": ").nth(1).unwrap())
        .collect();
    let expected = [
        "consent",
        "language",
        "quiet_hours",
        "colour",
        "time_zone",
        "segment",
        "served_by",
    ];
    assert_eq!(fields, expected, "each once: {errors:?}");

    let elements = r#"{"type":"element","id":"r1","kind":"zzz","gateway":"yes","name":5}
{"type":"link","id":["l"],"a":"r1","b":3}
{"type":"link","id":"l2","a":"r1","b":"3"}"#;
    assert_eq!(
        topology_errors("n.jsonl", elements),
        [
            "n.jsonl:1: gateway: \"yes\" is not true or false".to_owned(),
            "n.jsonl:1: name: \"5\" is not a string".to_owned(),
            format!("n.jsonl:1: kind: \"zzz\" is not one of {KINDS}"),
            // What is called `3` nobody knows as long as there is a record without an id.
            "n.jsonl:2: id: \"[\"l\"]\" is not a string".to_owned(),
            "n.jsonl:2: b: \"3\" is not a string".to_owned(),
        ]
    );
}

#[test]
fn the_format_is_told_by_the_name() {
    assert_eq!(
        topology_errors("net.xlsx", ""),
        ["net.xlsx: expected a name that ends in .jsonl, .ndjson, .csv or .graphml"]
    );
    assert_eq!(
        subscriber_errors("people", ""),
        ["people: expected a name that ends in .jsonl, .ndjson or .csv"]
    );
}

/// A right record to make wrong in one place.
fn right() -> SubscriberFields {
    SubscriberFields {
        account: "A1".to_owned(),
        name: "Anna Neri".to_owned(),
        language: "it".to_owned(),
        time_zone: "Europe/Rome".to_owned(),
        segment: "residential".to_owned(),
        consent: Some(true),
        served_by: vec!["ont-1".to_owned()],
        ..SubscriberFields::default()
    }
}

fn contact(kind: &str, value: &str) -> Vec<ContactFields> {
    vec![ContactFields {
        kind: kind.to_owned(),
        value: value.to_owned(),
    }]
}

#[rstest]
#[case::account(|f: &mut SubscriberFields| f.account = "A".repeat(65),
    "account: \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA...\" is not an id of 1 \
     to 64 bytes without control characters or outer spaces")]
#[case::language(|f: &mut SubscriberFields| f.language = "it_IT".to_owned(),
    "language: \"it_IT\" is not a BCP 47 tag such as it or en-GB")]
#[case::language_name(|f: &mut SubscriberFields| f.language = "italian".to_owned(),
    "language: \"italian\" is not a BCP 47 tag such as it or en-GB")]
#[case::language_missing(|f: &mut SubscriberFields| f.language.clear(),
    "language: expected a BCP 47 tag such as it or en-GB")]
#[case::time_zone(|f: &mut SubscriberFields| f.time_zone = "Europe/Atlantis".to_owned(),
    "time_zone: \"Europe/Atlantis\" is not an IANA time zone such as Europe/Rome")]
#[case::segment(|f: &mut SubscriberFields| f.segment = "vip".to_owned(),
    "segment: \"vip\" is not one of residential, business")]
#[case::email(|f: &mut SubscriberFields| f.contact_points = contact("email", "anna@nowhere"),
    "email: expected an e-mail address such as name@example.net")]
#[case::email_without_at(|f: &mut SubscriberFields| f.contact_points = contact("email", "a b.it"),
    "email: expected an e-mail address such as name@example.net")]
#[case::phone(|f: &mut SubscriberFields| f.contact_points = contact("phone", "call me"),
    "phone: expected a phone number of 5 to 15 digits")]
#[case::webhook(|f: &mut SubscriberFields| f.contact_points = contact("webhook", "example.net"),
    "webhook: expected a URL with http:// or https:// of at most 512 bytes")]
#[case::contact_kind(|f: &mut SubscriberFields| f.contact_points = contact("fax", "1"),
    "contact_points.kind: \"fax\" is not one of email, phone, push, webhook")]
#[case::value_for_kind(|f: &mut SubscriberFields| f.contact_points = contact("a@b.example", "email"),
    "contact_points.kind: expected one of email, phone, push, webhook")]
#[case::channel(|f: &mut SubscriberFields| f.channels = vec!["fax".to_owned()],
    "channels: \"fax\" is not one of email, sms, push, voice, webhook")]
#[case::channel_twice(|f: &mut SubscriberFields| f.channels = vec!["sms".to_owned(); 2],
    "channels: \"sms\" is not a channel that is given once")]
#[case::quiet_hours(|f: &mut SubscriberFields| f.quiet_hours = "22:00-24:00".to_owned(),
    "quiet_hours: \"22:00-24:00\" is not two different times of day such as 22:00-07:00")]
#[case::consent(|f: &mut SubscriberFields| f.consent = None,
    "consent: expected true or false")]
#[case::null_island(|f: &mut SubscriberFields| f.position = Some(PositionFields {
        latitude: Some(0.0), longitude: Some(-0.0) }),
    "position: expected a real position: 0,0 is what a failed geocoder writes; leave it out instead")]
#[case::not_served(|f: &mut SubscriberFields| f.served_by.clear(),
    "served_by: expected 1 to 16 ids of elements")]
#[case::ambiguous(|f: &mut SubscriberFields| f.served_by.push("ont-2".to_owned()),
    "redundancy: expected any or all: the account is served by several elements")]
#[case::served_twice(|f: &mut SubscriberFields| {
        f.served_by.push("ont-1".to_owned());
        f.redundancy = "any".to_owned();
    },
    "served_by: \"ont-1\" is not an element that is given once")]
#[case::name(|f: &mut SubscriberFields| f.name = "x".repeat(257),
    "name: expected text of at most 256 bytes without control characters")]
fn a_wrong_account_is_explained(#[case] spoil: fn(&mut SubscriberFields), #[case] expected: &str) {
    let mut fields = right();
    spoil(&mut fields);
    let mut parser = SubscriberParser::new(RecordErrors::of_stream());
    parser.push(1, right_with_other_account());
    parser.push(2, fields);
    let errors = parser.finish().unwrap_err();
    assert_eq!(lines(&errors), [format!("record 2: {expected}")]);
}

fn right_with_other_account() -> SubscriberFields {
    SubscriberFields {
        account: "A0".to_owned(),
        ..right()
    }
}

#[rstest]
#[case("a.b+tag@example.net", true)]
#[case("o'neill@mail.example.net", true)]
#[case("info@bücher.example", true)]
#[case("a@example", false)]
#[case("a..b@example.net", false)]
#[case("a b@example.net", false)]
#[case("a@b@example.net", false)]
#[case("a@-example.net", false)]
#[case("a@example.net.", false)]
#[case("Anna <a@example.net>", false)]
#[case("@example.net", false)]
fn mail_addresses_are_told_from_what_looks_like_them(#[case] value: &str, #[case] right: bool) {
    let mut parser = SubscriberParser::new(RecordErrors::of_stream());
    parser.push(
        1,
        SubscriberFields {
            contact_points: contact("email", value),
            ..self::right()
        },
    );
    assert_eq!(parser.finish().is_ok(), right, "{value}");
}

#[test]
fn an_account_is_given_once() {
    let mut parser = SubscriberParser::new(RecordErrors::of_stream());
    parser.push(1, right());
    parser.push(2, right());
    assert_eq!(
        lines(&parser.finish().unwrap_err()),
        ["record 2: account: \"A1\" is not unique: line 1 has it too"]
    );
}

#[test]
fn of_a_personal_value_the_type_is_named() {
    let json = r#"{"account":"A1","name":12345678,"address":["Via Segreta 1"],"position":"41.9,12.5","contact_points":{},"language":"it","time_zone":"Europe/Rome","segment":"residential","consent":true,"served_by":["o"]}"#;
    assert_eq!(
        subscriber_errors("people.jsonl", json),
        [
            "people.jsonl:1: name: expected a string, not a whole number",
            "people.jsonl:1: address: expected a string, not a list",
            "people.jsonl:1: position: expected an object with latitude and longitude, not a string",
            "people.jsonl:1: contact_points: expected a list, not an object",
        ]
    );
}

#[test]
fn personal_values_never_enter_an_error() {
    let json = r#"{"account":"A1","name":12345678,"address":["Via Segreta 1"],"position":"41.9,12.5","mail":"secret@example.net","contact_points":[{"kind":"email","value":"secret@@example.net"},{"kind":"phone","number":"+999 1234567"}]}"#;
    let csv = "account,name,language,time_zone,segment,consent,served_by,email,phone,address,\
               longitude\n\
               A1,Segreta\u{7},it,Europe/Rome,residential,true,o,secret@@example.net,+999 x,Via \
               Segreta\u{7},12.5E\n";
    for errors in [
        subscriber_errors("people.jsonl", json),
        subscriber_errors("people.csv", csv),
    ] {
        assert!(errors.len() >= 4, "{errors:?}");
        let text = errors.join("\n").to_lowercase();
        for secret in ["secret", "segreta", "999", "12345678", "12.5"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn both_formats_of_an_account_say_the_same() {
    let json = r#"{"account":"A1","name":"Anna Neri","language":"it","time_zone":"Europe/Rome","segment":"business","vulnerable":false,"contact_points":[{"kind":"phone","value":"+999 1"},{"kind":"email","value":"a@example.net"},{"kind":"email","value":"b@example.net"}],"channels":["sms","email"],"quiet_hours":"22:00-07:00","consent":true,"address":"Via Roma 1, Rieti","position":{"latitude":42.4,"longitude":12.86},"served_by":["o1","o2"],"redundancy":"any","cpe_serial":"X1"}"#
        .replace("+999 1", "+999 000000001");
    let csv = "account,served_by,redundancy,name,language,time_zone,segment,email,phone,channels,\
               quiet_hours,consent,address,latitude,longitude,cpe_serial\n\
               A1,o1; o2,any,Anna Neri,it,Europe/Rome,business,a@example.net;b@example.net,\
               +999 000000001,sms;email,22:00-07:00,true,\"Via Roma 1, Rieti\",42.4,12.86,X1\n";
    let of_json = read_subscribers(json.as_bytes(), "p.jsonl").unwrap();
    let of_csv = read_subscribers(csv.as_bytes(), "p.CSV").unwrap();
    assert_eq!(of_json, of_csv);
    assert_eq!(of_json[0].contact_points[0].value, "a@example.net");
    assert_eq!(of_json[0].redundancy, Redundancy::Any);
}

fn id() -> impl Strategy<Value = String> {
    // Everything that needs care in CSV or JSON, but no control characters and no outer spaces.
    "[a-zA-Z0-9\"',\\\\/#:.{}è\u{5d0}\u{1f4e1}-]{1,12}( [a-z,\"]{1,4})?"
}

fn position() -> impl Strategy<Value = Option<Position>> {
    proptest::option::of(
        (-90.0..90.0_f64, 0.1..180.0_f64).prop_map(|(latitude, longitude)| Position {
            latitude,
            longitude,
        }),
    )
}

prop_compose! {
    fn network()(
        ids in proptest::collection::hash_set(id(), 8),
        name in "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{0,20}",
        position in position(),
        transit in proptest::option::of(any::<bool>()),
        gateway in any::<bool>(),
        kind in 0..ElementKind::ALL.len(),
        group in 0..GroupKind::ALL.len(),
        battery_minutes in proptest::option::of(0..=43_200_u32),
    ) -> NetworkDefinition {
        let ids: Vec<String> = ids.into_iter().collect();
        let element = |id: &str, kind, site: Option<&str>| Element {
            id: id.to_owned(), kind, name: name.clone(), site: site.map(str::to_owned), gateway,
            transit, redundancy: Some(Redundancy::All), battery_minutes,
        };
        NetworkDefinition {
            sites: vec![Site { id: ids[0].clone(), name: name.clone(), position }],
            elements: vec![
                element(&ids[1], ElementKind::ALL[kind], Some(&ids[0])),
                element(&ids[2], ElementKind::Olt, None),
                Element { redundancy: None, ..element(&ids[3], ElementKind::Ont, None) },
            ],
            links: vec![
                Link { id: ids[4].clone(), a: ids[1].clone(), b: ids[2].clone(), transit },
                Link { id: ids[5].clone(), a: ids[1].clone(), b: ids[2].clone(), transit: None },
                Link { id: ids[6].clone(), a: ids[2].clone(), b: ids[3].clone(), transit: None },
            ],
            groups: vec![SharedRiskGroup {
                id: ids[7].clone(), kind: GroupKind::ALL[group], name,
                members: vec![ids[1].clone(), ids[4].clone()],
            }],
        }
    }
}

prop_compose! {
    fn account()(
        account in id(),
        name in "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{0,20}",
        address in "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{0,20}",
        flags in any::<[bool; 4]>(),
        position in position(),
        served_by in proptest::collection::hash_set(id(), 1..4),
        channels in proptest::sample::subsequence(ChannelKind::ALL.to_vec(), 0..5).prop_shuffle(),
        emails in proptest::collection::vec("[a-z]{1,8}@[a-z]{1,8}\\.example", 0..3),
        quiet in proptest::option::of((0..700_u16, 701..1440_u16)),
    ) -> Subscriber {
        let mut contact_points: Vec<ContactPoint> = emails
            .into_iter()
            .map(|value| ContactPoint { kind: ContactKind::Email, value })
            .collect();
        contact_points.push(ContactPoint { kind: ContactKind::Push, value: account.clone() });
        let several = served_by.len() > 1;
        Subscriber {
            account, name, address, position, channels, contact_points,
            language: "zh-Hant-TW".to_owned(),
            time_zone: "America/Argentina/Buenos_Aires".to_owned(),
            segment: if flags[0] { Segment::Business } else { Segment::Residential },
            vulnerable: flags[1],
            quiet_hours: quiet.map(|(to_minute, from_minute)| QuietHours { from_minute, to_minute }),
            consent: flags[2],
            served_by: served_by.into_iter().collect(),
            redundancy: if several && flags[3] { Redundancy::All } else { Redundancy::Any },
            cpe_serial: String::new(),
        }
    }
}

proptest! {
    #[test]
    fn a_network_that_is_written_comes_back(network in network()) {
        let mut jsonl = Vec::new();
        topology::write_jsonl(&network, &mut jsonl).unwrap();
        prop_assert_eq!(&read_topology(&jsonl[..], "n.jsonl", None).unwrap(), &network);
        let mut csv = Vec::new();
        topology::write_csv(&network, &mut csv).unwrap();
        prop_assert_eq!(&read_topology(&csv[..], "n.csv", None).unwrap(), &network);
    }

    #[test]
    fn an_account_that_is_written_comes_back(account in account()) {
        let accounts = [account];
        let mut jsonl = Vec::new();
        subscriber::write_jsonl(&accounts, &mut jsonl).unwrap();
        prop_assert_eq!(read_subscribers(&jsonl[..], "p.jsonl").unwrap(), accounts.to_vec());
        let mut csv = Vec::new();
        subscriber::write_csv(&accounts, &mut csv).unwrap();
        prop_assert_eq!(read_subscribers(&csv[..], "p.csv").unwrap(), accounts.to_vec());
    }

    #[test]
    fn no_input_brings_a_parser_down(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for file in ["x.jsonl", "x.csv", "x.graphml"] {
            let gateways = GatewayRule::MostConnected(1);
            if let Err(error) = read_topology(&bytes[..], file, Some(&gateways)) {
                prop_assert!(error.to_string().contains("x."));
            }
        }
        if let Err(error) = read_subscribers(&bytes[..], "x.csv") {
            prop_assert!(error.to_string().contains("x.csv"));
        }
    }
}

#[test]
fn what_csv_cannot_hold_is_refused_when_written() {
    let network = NetworkDefinition {
        groups: vec![SharedRiskGroup {
            id: "g".to_owned(),
            kind: GroupKind::Duct,
            name: String::new(),
            members: vec!["a;b".to_owned()],
        }],
        ..NetworkDefinition::default()
    };
    let error = topology::write_csv(&network, Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn records_of_the_interface_get_the_same_words_as_those_of_files() {
    let mut parser = TopologyParser::new(RecordErrors::of_stream());
    parser.push(
        7,
        TopologyFields {
            record_type: "group".to_owned(),
            id: "g".to_owned(),
            kind: "pipe".to_owned(),
            members: vec!["x".to_owned()],
            ..TopologyFields::default()
        },
    );
    let errors = parser.finish().unwrap_err();
    assert_eq!(
        lines(&errors),
        [
            "record 7: kind: \"pipe\" is not one of duct, cable, cabinet, power_feed, site, other",
            "record 7: members: \"x\" is not ids of elements and links"
        ]
    );
    assert_eq!(
        errors.errors()[0].description(),
        "\"pipe\" is not one of duct, cable, cabinet, power_feed, site, other"
    );
}

const MAP: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key attr.name="label" attr.type="string" for="edge" id="d1" />
  <key attr.name="label" attr.type="string" for="node" id="d2" />
  <key attr.name="Internal" attr.type="int" for="node" id="d3" />
  <key attr.name="Latitude" attr.type="double" for="node" id="d4" />
  <key attr.name="Longitude" attr.type="double" for="node" id="d5" />
  <graph edgedefault="undirected">
    <node id="0"><data key="d2">Rome  A</data><data key="d4">41.9</data><data key="d5">12.5</data></node>
    <node id="1"><data key="d2">Milan</data></node>
    <node id="2"><data key="d2">Milan</data><data key="d3">0</data></node>
    <node id="3"/>
    <node id="4"><data key="d2">Alone</data></node>
    <edge source="0" target="1"><data key="d1">one</data></edge>
    <edge source="0" target="1"/>
    <edge source="1" target="2"/>
    <edge source="2" target="2"/>
    <edge source="1" target="3"/>
  </graph>
</graphml>"#;

#[test]
fn a_map_keeps_parallel_edges_and_makes_ids_unique() {
    let network = read_graphml(MAP, "m.graphml", Some(&GatewayRule::External)).unwrap();
    let elements: Vec<_> = network
        .elements
        .iter()
        .map(|element| {
            (
                element.id.as_str(),
                element.gateway,
                element.site.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        elements,
        [
            ("Rome A", false, Some("site-Rome A")),
            ("Milan#1", false, None),
            ("Milan#2", true, None),
            ("#3", false, None),
            ("Alone", false, None),
        ]
    );
    let links: Vec<_> = network.links.iter().map(|link| link.id.as_str()).collect();
    assert_eq!(
        links,
        [
            "lnk-Rome A--Milan#1",
            "lnk-Rome A--Milan#1#2",
            "lnk-Milan#1--Milan#2",
            "lnk-Milan#1--#3",
        ]
    );
    assert_eq!(network.sites.len(), 1);
    let latitude = network.sites[0].position.unwrap().latitude;
    assert!((latitude - 41.9).abs() < 1e-12);
}

#[rstest]
#[case::external(GatewayRule::External, &["Milan#2"])]
#[case::most_connected(GatewayRule::MostConnected(1), &["Milan#1", "Alone"])]
#[case::most_connected_two(GatewayRule::MostConnected(2), &["Rome A", "Milan#1", "Alone"])]
#[case::named(GatewayRule::Named(vec!["Rome A".to_owned(), "#3".to_owned()]), &["Rome A", "#3"])]
fn gateways_of_a_map_follow_the_rule(#[case] rule: GatewayRule, #[case] expected: &[&str]) {
    let network = read_graphml(MAP, "m.graphml", Some(&rule)).unwrap();
    let gateways = network.elements.iter().filter(|element| element.gateway);
    let ids: Vec<_> = gateways.map(|element| element.id.as_str()).collect();
    assert_eq!(ids, expected);
}

#[test]
fn a_map_without_a_gateway_rule_or_with_an_idle_one_is_refused() {
    assert_eq!(
        messages(read_graphml(MAP, "m.graphml", None)),
        [
            "m.graphml: a map does not say where service comes from: name the gateways or a rule \
             for them"
        ]
    );
    let named = GatewayRule::Named(vec!["Milan".to_owned()]);
    assert_eq!(
        messages(read_graphml(MAP, "m.graphml", Some(&named))),
        [
            "m.graphml: no node \"Milan\" to be a gateway; a node is named by its label, or by \
             label#node where the label repeats or is missing"
        ]
    );
    let inside = MAP.replace("<data key=\"d3\">0</data>", "");
    let errors = messages(read_graphml(
        &inside,
        "m.graphml",
        Some(&GatewayRule::External),
    ));
    assert!(errors[0].contains("no external nodes"), "{errors:?}");
}

#[rstest]
#[case::broken(MAP.replace("</graph>", ""), "m.graphml:20: record: expected well-formed XML: ")]
#[case::entity(
    format!("<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>{}", &MAP[39..]),
    "m.graphml:1: record: expected well-formed XML: "
)]
#[case::edge(
    MAP.replace("target=\"3\"", "target=\"9\""),
    "m.graphml:18: target: \"9\" is not the id of a node of this map"
)]
#[case::degrees(MAP.replace("41.9", "north"), "m.graphml:9: Latitude: \"north\" is not a number")]
#[case::no_nodes("<graphml/>".to_owned(), "m.graphml:1: record: expected a GraphML map with nodes")]
fn a_wrong_map_is_explained(#[case] text: String, #[case] expected: &str) {
    let errors = messages(read_graphml(
        &text,
        "m.graphml",
        Some(&GatewayRule::External),
    ));
    assert!(errors[0].starts_with(expected), "{errors:?}");
}

#[test]
fn every_map_of_the_topology_zoo_is_read_whole() {
    let mut maps = 0;
    for entry in Path::new("fixtures/topology-zoo").read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_none_or(|extension| extension != "graphml")
        {
            continue;
        }
        maps += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.display().to_string();
        let rule = GatewayRule::MostConnected(1);
        let network = read_graphml(&text, &file, Some(&rule)).unwrap();
        let edges = text.matches("<edge ").count();
        let loops = self_loops(&text);
        assert_eq!(
            network.elements.len(),
            text.matches("<node ").count(),
            "{file}"
        );
        assert_eq!(network.links.len(), edges - loops, "{file}");
        let mut ids = HashSet::new();
        let elements = network.elements.iter().map(|element| &element.id);
        let links = network.links.iter().map(|link| &link.id);
        assert!(elements.chain(links).all(|id| ids.insert(id)), "{file}");
        // What a map becomes can be written and imported as a network.
        let mut jsonl = Vec::new();
        topology::write_jsonl(&network, &mut jsonl).unwrap();
        assert_eq!(
            read_topology(&jsonl[..], "n.jsonl", None).unwrap(),
            network,
            "{file}"
        );
    }
    assert!(maps > 0);
}

/// Edges from a node to itself, found without an XML parser.
fn self_loops(text: &str) -> usize {
    let end = |edge: &str, name: &str| {
        let (_, rest) = edge.split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    text.split("<edge ")
        .skip(1)
        .filter(|edge| end(edge, "source") == end(edge, "target"))
        .count()
}
