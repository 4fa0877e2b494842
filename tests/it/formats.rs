//! Import formats: what is written comes back, and what is wrong is said with its place.

mod accounts;
mod maps;

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
    #![proptest_config(crate::support::draws(256))]

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
