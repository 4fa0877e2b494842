//! What an account may say, and what is said of one that is wrong.

use super::*;

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
