//! Alerts as others write them, and chains of alerts.

use super::at;
use CapMessage::{Alert, Cancel, Update};
use forewarn::geography::{
    AlertStep, AreaFault, AreaNo, AreaWarning, CapAlert, CapMessage, KnownMessage, alert_step,
    decode_xml, read_cap,
};

fn file(name: &str) -> String {
    let bytes = std::fs::read(format!("fixtures/cap/{name}.cap")).unwrap();
    decode_xml(&bytes).unwrap()
}

fn alert(name: &str) -> CapAlert {
    read_cap(&file(name)).unwrap()
}

#[track_caller]
fn refusals(name: &str) -> Vec<String> {
    let errors = read_cap(&file(name)).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn an_alert_with_a_polygon() {
    let alert = alert("thunderstorm");
    assert_eq!(alert.identity.sender, "KSTO@NWS.NOAA.GOV");
    assert_eq!(alert.identity.identifier, "KSTO1055887203");
    assert_eq!(alert.message, CapMessage::Alert);
    assert!(alert.is_actual());
    // 14:57 and 16:00 in Sacramento.
    assert_eq!(alert.onset_ms, 1_055_887_020_000);
    assert_eq!(alert.expires_ms, Some(1_055_890_800_000));
    assert_eq!(alert.texts[0].event, "SEVERE THUNDERSTORM");
    assert_eq!(alert.texts[0].language, "en-US");
    assert!(alert.names[0].starts_with("EXTREME NORTH CENTRAL TUOLUMNE"));
    let area = alert.area.unwrap();
    assert_eq!(area.warnings, []);
    assert!(area.area.contains(at(38.47, -119.9)));
    assert!(!area.area.contains(at(38.47, -119.6)));
}

#[test]
fn an_update_in_two_languages_whose_shapes_count_once() {
    let alert = alert("canada");
    assert_eq!(alert.message, CapMessage::Update);
    assert_eq!(alert.references.len(), 2);
    assert_eq!(alert.references[1].identifier, "2.49.0.1.124.60f31a3a.2012");
    let languages: Vec<_> = alert.texts.iter().map(|text| &text.language).collect();
    assert_eq!(languages, ["en-CA", "fr-CA"]);
    let area = alert.area.unwrap();
    let edges = area.area.edge_count();
    let polygons = file("canada");
    let polygons: Vec<&str> = polygons
        .split("<polygon>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap())
        .collect();
    let pairs = |polygon: &str| polygon.split_whitespace().count() - 1;
    assert_eq!(polygons.len(), 4);
    assert_eq!(edges, pairs(polygons[0]) + pairs(polygons[1]));
    assert!(area.area.contains(at(42.1, -82.8)) && !area.area.contains(at(43.5, -82.8)));
}

#[test]
fn a_circle_has_its_radius_in_kilometres() {
    let alert = alert("australia");
    let area = alert.area.unwrap().area;
    let (latitude, longitude) = (-35.3888, 147.0598);
    // 25 km are 0.225 degrees of latitude.
    assert!(area.contains(at(latitude + 0.224, longitude)));
    assert!(!area.contains(at(latitude + 0.227, longitude)));
}

/// As the USGS gives the centre of an earthquake.
const NO_SIZE: &str = "info[1].area[1].circle[1]: it has no size, and nothing else is in the area";

#[test]
fn a_circle_without_radius_is_no_area() {
    let errors = refusals("earthquake");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with(NO_SIZE), "{errors:?}");
}

#[test]
fn a_circle_without_radius_is_left_out_beside_what_has_a_size() {
    let polygon = "<polygon>-16,-174 -16,-173 -15,-173 -15,-174 -16,-174</polygon>";
    let other = "<circle>-17.5,-173.274 20</circle>";
    for shape in [polygon, other] {
        let text = file("earthquake").replace("<circle>", &format!("{shape}<circle>"));
        let area = read_cap(&text).unwrap().area.unwrap();
        let number = if shape == polygon { 1 } else { 2 };
        let warnings: Vec<String> = area.warnings.iter().map(ToString::to_string).collect();
        let says =
            format!("info[1].area[1].circle[{number}]: a ring or circle without size was left out");
        assert_eq!(warnings, [says]);
        assert_eq!(area.warnings[0].code(), "no_size");
        assert!(!area.area.contains(at(-16.053, -173.274)));
        let inside = if shape == polygon {
            at(-15.5, -173.5)
        } else {
            at(-17.6, -173.274)
        };
        assert!(area.area.contains(inside));
    }
    // Its centre has to be somewhere, and a radius below 0 is no radius.
    let nowhere = file("earthquake").replace("-16.053,-173.274", "-116.053,-173.274");
    let errors = read_cap(&nowhere).unwrap_err();
    assert!(
        errors[0].to_string().contains("latitude -116.053"),
        "{errors:?}"
    );
    let negative = file("earthquake").replace(" 0.0<", " -0.5<");
    let errors = read_cap(&negative).unwrap_err();
    assert!(
        errors[0].to_string().contains("radius -500 m"),
        "{errors:?}"
    );
}

#[test]
fn a_cancellation_needs_no_size() {
    let references = "<references>s,a,2026-03-10T08:00:00Z</references>";
    let info =
        "<info><event>E</event><area><areaDesc>x</areaDesc><circle>42,12 0</circle></area></info>";
    let cancel = read_cap(&composed("Cancel", references, info)).unwrap();
    assert_eq!(cancel.area, None);
}

#[test]
fn latin_1_is_decoded() {
    let text = file("earthquake-iso8859-1");
    assert!(text.contains("Usulután"));
    assert!(refusals("earthquake-iso8859-1")[0].starts_with(NO_SIZE));
    let declared_wrong = decode_xml(b"<?xml version=\"1.0\"?><a>\xe9</a>").unwrap_err();
    assert!(matches!(declared_wrong.fault, AreaFault::Unreadable { .. }));
}

#[test]
fn an_alert_that_only_names_its_areas_is_refused() {
    let errors = refusals("weather");
    assert_eq!(errors, ["cap: there is no polygon and no circle in it"]);
}

#[test]
fn entities_are_refused() {
    let errors = refusals("xee");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("XML document"), "{errors:?}");
}

#[test]
fn broken_alerts_are_refused_with_every_fault() {
    let update = "references: expected the messages that this one is about, found none";
    assert_eq!(refusals("canada_errors"), [update]);
    let broken = file("canada_errors")
        .replace("<msgType>Update", "<msgType>Ack")
        .replace("<status>Actual</status>", "")
        .replace("2012-05-03T00:20:00-00:00", "tomorrow")
        .replace("42.3481,-82.9314", "42.3481");
    let errors = read_cap(&broken).unwrap_err();
    let places: Vec<&str> = errors.iter().map(|error| error.place.as_str()).collect();
    let polygon = "info[1].area[1].polygon[1]";
    assert_eq!(places, ["status", "msgType", "info[1].expires", polygon]);
    assert_eq!(
        refusals("invalid"),
        ["cap: there is no polygon and no circle in it"]
    );
    let feed = "<feed xmlns=\"http://www.w3.org/2005/Atom\"/>";
    let error = read_cap(feed).unwrap_err().swap_remove(0).to_string();
    assert!(
        error.contains("expected the element alert of CAP 1.2"),
        "{error}"
    );
}

fn composed(message: &str, references: &str, infos: &str) -> String {
    format!(
        "<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\"><identifier>i</identifier>\
         <sender>s</sender><sent>2026-03-10T09:00:00-00:00</sent><status>Exercise</status>\
         <msgType>{message}</msgType>{references}{infos}</alert>"
    )
}

#[test]
fn parts_with_different_times_are_taken_together_and_said() {
    let area = "<area><areaDesc>x</areaDesc><circle>42,12 3</circle></area>";
    let infos = format!(
        "<info><event>E</event><onset>2026-03-10T12:00:00+01:00</onset>\
         <expires>2026-03-10T15:00:00+01:00</expires>{area}</info>\
         <info><language>it</language><event>E</event><effective>2026-03-10T10:00:00Z</effective>\
         <expires>2026-03-10T18:00:00+01:00</expires>\
         <area><areaDesc>y</areaDesc></area></info>"
    );
    let alert = read_cap(&composed("Alert", "", &infos)).unwrap();
    assert_eq!(alert.onset_ms, 1_773_136_800_000);
    assert_eq!(alert.expires_ms, Some(1_773_162_000_000));
    assert!(!alert.is_actual());
    let warnings = alert.area.unwrap().warnings;
    let expected = [
        AreaWarning::NoShape {
            place: "info[2].area[1]".to_owned(),
            name: "y".to_owned(),
        },
        AreaWarning::DifferentTimes {
            onset: "2026-03-10T10:00:00Z".to_owned(),
            expires: "2026-03-10T17:00:00Z".to_owned(),
        },
        AreaWarning::NotActual {
            status: "Exercise".to_owned(),
        },
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn a_cancellation_needs_no_area_but_what_it_cancels() {
    let references = "<references>s,a,2026-03-10T08:00:00Z</references>";
    let cancel = read_cap(&composed("Cancel", references, "")).unwrap();
    assert_eq!(cancel.message, CapMessage::Cancel);
    assert_eq!(cancel.area, None);
    assert_eq!(cancel.references[0].identifier, "a");
    let errors = read_cap(&composed("Cancel", "", "")).unwrap_err();
    assert_eq!(errors[0].place, "references");
    let errors = read_cap(&composed("Ack", "", "")).unwrap_err();
    assert!(
        errors[0]
            .to_string()
            .contains("Alert, Update or Cancel, found Ack")
    );
}

#[test]
fn what_a_message_does_depends_on_what_is_known() {
    let open = |no: i64| {
        Some(KnownMessage {
            area: Some(AreaNo(no)),
            open: true,
        })
    };
    let ended = Some(KnownMessage {
        area: Some(AreaNo(9)),
        open: false,
    });
    let withdrawn = Some(KnownMessage {
        area: None,
        open: false,
    });
    for (message, own, referred, step) in [
        (Alert, None, vec![], AlertStep::Declare),
        (Alert, open(3), vec![], AlertStep::Known(AreaNo(3))),
        (Alert, withdrawn, vec![], AlertStep::Withdrawn),
        (Update, None, vec![None], AlertStep::Declare),
        (Update, None, vec![ended, None], AlertStep::Declare),
        (
            Update,
            None,
            vec![open(2), open(1), open(2)],
            AlertStep::Replace(AreaNo(2), vec![AreaNo(1)]),
        ),
        (Update, ended, vec![open(2)], AlertStep::Known(AreaNo(9))),
        (
            Cancel,
            None,
            vec![None, open(1), ended, withdrawn],
            AlertStep::End(vec![AreaNo(1)]),
        ),
        (Cancel, None, vec![None], AlertStep::End(vec![])),
    ] {
        assert_eq!(alert_step(message, own, &referred), step);
    }
}
