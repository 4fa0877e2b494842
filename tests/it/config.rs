//! Settings: layers, errors, secrets.

use crate::authority::Authority;
use forewarn::alarm::ServiceEffect;
use forewarn::config::{Config, ConfigErrors, DEFAULT_TOML, EmailTransport, LogFormat};
use forewarn::detect::Condition;
use forewarn::incident::CauseKind;
use std::path::{Path, PathBuf};

fn load(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let dir = tempfile::tempdir().unwrap();
    let path: Option<PathBuf> = file.map(|text| {
        let path = dir.path().join("forewarn.toml");
        std::fs::write(&path, text).unwrap();
        path
    });
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(path.as_deref(), environment)
}

/// The keys that are wrong.
fn wrong(file: Option<&str>, environment: &[(&str, &str)]) -> Vec<String> {
    let errors = load(file, environment).unwrap_err();
    errors.0.into_iter().map(|error| error.key).collect()
}

#[test]
fn the_defaults_are_valid() {
    let config = load(None, &[]).unwrap();
    assert_eq!(config.rpc.listen.to_string(), "127.0.0.1:50551");
    assert_eq!(config.rpc.max_message_mib, 64);
    assert_eq!(config.database.url, "sqlite:forewarn.db");
    assert_eq!(config.email.transport, EmailTransport::File);
    assert!(!config.correlation.single_premise_incidents);
    assert_eq!(load(Some(DEFAULT_TOML), &[]).unwrap(), config);
    assert_eq!(load(Some(&config.show()), &[]).unwrap(), config);
}

#[test]
fn every_default_is_explained() {
    let mut explained = false;
    let mut count = 0;
    for line in DEFAULT_TOML.lines() {
        if line.starts_with('#') {
            explained = true;
        } else if line.is_empty() || line.starts_with('[') {
            explained = false;
        } else {
            count += 1;
            // A setting may share the comment of the one above.
            assert!(
                explained || line.contains("_s = ") || !line.contains(" = "),
                "{line}"
            );
        }
    }
    assert!(count > 40, "{count}");
}

#[test]
fn the_file_goes_over_the_defaults_and_the_environment_over_both() {
    let file = "[rpc]\nmax_message_mib = 32\n[web]\nlisten = \"127.0.0.1:9000\"\n[notice]\nholdout_percent = 5\n";
    let environment = [
        ("FOREWARN_RPC__MAX_MESSAGE_MIB", "16"),
        ("FOREWARN_LOG__FORMAT", "json"),
        ("FOREWARN_CORRELATION__SINGLE_PREMISE_INCIDENTS", "true"),
        ("FOREWARN_TOKEN", "not a setting"),
        ("FOREWARNER_BOGUS", "not ours"),
        ("PATH", "/bin"),
    ];
    let config = load(Some(file), &environment).unwrap();
    assert_eq!(config.rpc.max_message_mib, 16);
    assert_eq!(config.web.listen.port(), 9_000);
    assert!((config.notice.holdout_percent - 5.0).abs() < f64::EPSILON);
    assert_eq!(config.log.format, LogFormat::Json);
    assert!(config.correlation.single_premise_incidents);
}

#[test]
fn a_mistyped_variable_is_named_and_its_value_hidden() {
    let environment = [
        ("FOREWARN_RPC_LISTEN", "s3cret"),
        ("FOREWARN_BOGUS", "s3cret"),
    ];
    let errors = load(None, &environment).unwrap_err();
    let text = errors.to_string();
    assert_eq!(errors.0.len(), 2, "{text}");
    assert!(text.contains("FOREWARN_RPC_LISTEN"), "{text}");
    assert!(text.contains("FOREWARN_SECTION__KEY"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn all_errors_come_in_one_go() {
    let file = r#"
        [rpc]
        listen = "localhost"
        max_message_mib = "many"
        colour = "red"
        [correlation]
        decide_within_s = -1
        hold_down = [{ cause = "rain", seconds = 5 }, { seconds = 5 }, { seconds = 6, colour = 1 }]
        [notice]
        holdout_percent = 60
        [weather]
        rain = true
        [email]
        tls = "perhaps"
    "#;
    let environment = [("FOREWARN_INGEST__BATCH_EVENTS", "0")];
    let mut keys = wrong(Some(file), &environment);
    keys.sort();
    assert_eq!(
        keys,
        [
            "correlation.decide_within_s",
            "correlation.hold_down",
            "email.tls",
            "ingest.batch_events",
            "notice.holdout_percent",
            "rpc.colour",
            "rpc.listen",
            "rpc.max_message_mib",
            "weather.rain",
        ]
    );
    let text = load(Some(file), &environment).unwrap_err().to_string();
    for part in [
        "rpc.listen = \"localhost\"",
        "expected an address and a port",
        "FOREWARN_INGEST__BATCH_EVENTS",
        "forewarn.toml",
        "expected a whole number",
        "a number from 0 to 50",
        "in entry 1 for cause one of fibre_cut, equipment",
        "in entry 3 only the keys cause, subscribers and seconds",
        "in entry 3 another cause or number of subscribers than in an entry before",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn settings_must_fit_each_other() {
    let cases: [(&str, &[&str]); 16] = [
        ("[rpc]\nlisten = \"0.0.0.0:50551\"", &["rpc.listen"]),
        (
            "[rpc]\ntls_key = \"/nonexistent\"",
            &["rpc.tls_certificate", "rpc.tls_key"],
        ),
        (
            "[rpc]\nclient_ca = \"/nonexistent\"",
            &["rpc.client_ca", "rpc.client_ca"],
        ),
        ("[email]\ntransport = \"smtp\"", &["email.url"]),
        ("[email]\nurl = \"smtp://user@relay\"", &["email.url"]),
        ("[care]\ncountry_code = \"+39\"", &["care.country_code"]),
        ("[email]\nehlo_name = \"my host\"", &["email.ehlo_name"]),
        ("[email]\ndata_timeout_s = 0", &["email.data_timeout_s"]),
        ("[email]\nca_file = \"/nonexistent\"", &["email.ca_file"]),
        ("[email]\nca_file = \"Cargo.toml\"", &["email.ca_file"]),
        ("[email]\ndirectory = \"\"", &["email.directory"]),
        ("[web]\nlisten = \"127.0.0.1:50551\"", &["web.listen"]),
        ("[ingest]\nqueue_events = 1000", &["ingest.batch_events"]),
        (
            "[correlation]\nhold_down_s = 300",
            &["correlation.decide_within_s"],
        ),
        (
            "[[correlation.hold_down]]\ncause = \"power\"\nseconds = 300",
            &["correlation.decide_within_s"],
        ),
        (
            "[correlation]\nflap_ended_percent = 31",
            &["correlation.flap_ended_percent"],
        ),
    ];
    for (file, keys) in cases {
        assert_eq!(wrong(Some(file), &[]), keys, "{file}");
    }
    let told = "[rpc]\nlisten = \"0.0.0.0:50551\"\nallow_plaintext_beyond_loopback = true";
    load(Some(told), &[]).unwrap();
}

#[test]
fn texts_of_messages_are_of_one_line() {
    let keys = [
        "notice.provider_name",
        "notice.provider_phone",
        "notice.provider_url",
        "notice.from_address",
        "notice.reply_to",
        "notice.experiment",
        "web.public_url",
    ];
    for key in keys {
        for control in ["\n", "\r", "\t", "\u{0}", "\u{7f}", "\u{85}"] {
            let name = key.replace('.', "__").to_uppercase();
            let good = match key {
                "notice.from_address" | "notice.reply_to" => "a@example.net",
                "notice.provider_url" | "web.public_url" => "https://example.net",
                _ => "Acme",
            };
            let text = format!("{good}{control}X");
            let given_by = format!("FOREWARN_{name}");
            load(None, &[(&given_by, good)]).unwrap();
            let errors = load(None, &[(&given_by, &text)]).unwrap_err();
            let [error] = &errors.0[..] else {
                panic!("{errors}");
            };
            assert_eq!((error.key.as_str(), &error.given_by), (key, &given_by));
            assert_eq!(errors.to_string().lines().count(), 1, "{errors}");
            assert!(error.value.contains(good), "{errors}");
        }
    }
}

#[test]
fn a_database_is_a_server_or_a_file_that_can_be_there() {
    let check = |url: &str, expected: Option<&str>| {
        let file = format!("[database]\nurl = \"{url}\"\n");
        let Some(expected) = expected else {
            load(Some(&file), &[]).unwrap_or_else(|error| panic!("{url}: {error}"));
            return;
        };
        let error = load(Some(&file), &[]).unwrap_err().to_string();
        let begin = format!("database.url = \"{url}\" (");
        assert!(error.starts_with(&begin), "{error}");
        let end = format!("forewarn.toml): expected {expected}");
        assert!(error.ends_with(&end), "{error}");
    };
    for good in [
        "sqlite:x.db",
        "sqlite://x.db",
        "sqlite:/tmp/x.db?mode=rwc",
        "sqlite:/t%6dp/x.db",
        "postgres://forewarn@db.example.net/forewarn",
    ] {
        check(good, None);
    }
    let form = "sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE";
    for wrong in [
        "",
        "sqlite:",
        "sqlite://",
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite:?mode=memory",
        "sqlite:x.db?mode=memory",
        "sqlite:x.db?mode=ro",
        "sqlite:x.db?immutable=1",
        "sqlite:file:x.db",
        "mysql:x",
    ] {
        check(wrong, Some(form));
    }
    for nowhere in ["sqlite:/nonexistent/x.db", "sqlite:/tmp", "sqlite:/tmp/"] {
        check(nowhere, Some("sqlite:FILE in a folder that exists"));
    }
}

#[test]
fn relations_are_checked_beside_errors_as_far_as_they_depend_on_none() {
    let file = r#"
        [rpc]
        tls_certificate = "/nonexistent"
        max_message_mib = 0
        [ingest]
        queue_events = 1000
        [email]
        transport = "smtp"
        timeout_s = 200
        tls = "perhaps"
        ca_file = "Cargo.toml"
        [notice]
        default_language = "xx"
        [correlation]
        hold_down_s = 300
        unstable_factor = "thrice"
        flap_raised_percent = 100
        flap_ended_percent = 40
    "#;
    let mut keys = wrong(Some(file), &[]);
    keys.sort();
    assert_eq!(
        keys,
        [
            // decide_within_s depends on the factor, flap_ended_percent on the percentage.
            "correlation.flap_raised_percent",
            "correlation.unstable_factor",
            "email.ca_file",
            "email.lease_s",
            "email.tls",
            "email.url",
            "ingest.batch_events",
            "notice.default_language",
            "rpc.max_message_mib",
            "rpc.tls_certificate",
            "rpc.tls_key",
        ]
    );
    // Of a file that cannot be read nothing is known.
    let broken = [("FOREWARN_EMAIL__TRANSPORT", "smtp")];
    assert_eq!(wrong(Some("[email]\nurl = \n"), &broken), ["file"]);
    let rule = "[[detect.rule]]\nname = \"x\"\n[email]\ntransport = \"smtp\"";
    let keys = wrong(Some(rule), &[]);
    assert!(keys.contains(&"email.url".to_owned()), "{keys:?}");
}

#[test]
fn the_default_language_is_one_that_there_are_messages_in() {
    for language in ["en", "it", "IT"] {
        load(None, &[("FOREWARN_NOTICE__DEFAULT_LANGUAGE", language)]).unwrap();
    }
    for language in ["de", "en-GB", ""] {
        let given = [("FOREWARN_NOTICE__DEFAULT_LANGUAGE", language)];
        let errors = load(None, &given).unwrap_err();
        let text = errors.to_string();
        assert!(text.starts_with("notice.default_language = "), "{text}");
        assert!(text.ends_with("expected en or it"), "{text}");
    }
}

#[test]
fn hold_downs_are_given_by_tables_or_by_the_environment() {
    let file = "[[correlation.hold_down]]\ncause = \"power\"\nseconds = 120\n\
                [[correlation.hold_down]]\nsubscribers = 5000\nseconds = 15\n";
    let config = load(Some(file), &[]).unwrap();
    let classes = &config.correlation.hold_down;
    let known: Vec<_> = classes
        .iter()
        .map(|class| (class.cause, class.subscribers, class.seconds))
        .collect();
    assert_eq!(known, [(Some(CauseKind::Power), 0, 120), (None, 5_000, 15)]);
    let shown = config.show();
    assert!(shown.contains("cause = \"power\""), "{shown}");
    let given = [("FOREWARN_CORRELATION__HOLD_DOWN", "[{ seconds = 7 }]")];
    let config = load(Some(file), &given).unwrap();
    assert_eq!(config.correlation.hold_down[0].seconds, 7);
    let given = [("FOREWARN_CORRELATION__HOLD_DOWN", "often")];
    assert_eq!(wrong(None, &given), ["correlation.hold_down"]);
}

#[test]
fn the_port_of_a_relay_follows_its_encryption() {
    for (tls, port) in [("tls", 465), ("starttls", 587), ("none", 25)] {
        let config = load(None, &[("FOREWARN_EMAIL__TLS", tls)]).unwrap();
        assert_eq!(config.email.tls.usual_port(), port);
    }
    for name in ["mail.example.net", "[192.0.2.1]", "[IPv6:2001:db8::1]", ""] {
        load(None, &[("FOREWARN_EMAIL__EHLO_NAME", name)]).unwrap();
    }
    for name in ["-x.net", "a..b", "192.0.2.1]", "[192.0.2]", "naïve.example"] {
        let given = [("FOREWARN_EMAIL__EHLO_NAME", name)];
        assert_eq!(wrong(None, &given), ["email.ehlo_name"], "{name}");
    }
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let errors = load(Some("[rpc]\nlisten = \n"), &[]).unwrap_err();
    assert!(errors.to_string().contains("line 2"), "{errors}");
    let missing = Config::load(Some("/nonexistent.toml".as_ref()), std::iter::empty());
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("/nonexistent.toml")
    );
}

#[test]
fn secrets_are_never_shown() {
    let urls = [
        (
            "FOREWARN_DATABASE__URL",
            "postgres://forewarn:hunter2@db.example.net/forewarn",
        ),
        (
            "FOREWARN_DATABASE__URL",
            "postgres://db.example.net/forewarn?user=a&password=hunter2",
        ),
        (
            "FOREWARN_EMAIL__URL",
            "smtp://mailer:hunter2@mail.example.net:587",
        ),
        (
            "FOREWARN_EMAIL__URL",
            "smtp://mailer:p@hunter2@mail.example.net:587",
        ),
    ];
    for (name, url) in urls {
        let shown = load(None, &[(name, url)]).unwrap().show();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("example.net") && shown.contains("***"),
            "{shown}"
        );
    }
    let error = load(None, &[("FOREWARN_EMAIL__PASSWORD", "hunter2")]).unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    for url in ["mysql://root:hunter2@db.example.net/x", "root:hunter2@db"] {
        let error = load(None, &[("FOREWARN_DATABASE__URL", url)]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn the_readme_tells_of_every_setting() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let defaults: toml::Table = DEFAULT_TOML.parse().unwrap();
    let mut missing = Vec::new();
    for (section, settings) in &defaults {
        for key in settings.as_table().unwrap().keys() {
            let name = format!("{section}.{key}");
            if !readme.contains(&format!("| `{name}` |")) {
                missing.push(name);
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn tls_files_must_hold_what_is_needed_and_belong_together() {
    let ours = Authority::new();
    let files = ours.server_files(true);
    let key_of_another = Authority::new().server_files(false).key;
    let settings = |certificate: &Path, key: &Path, ca: &Path| {
        format!("[rpc]\ntls_certificate = {certificate:?}\ntls_key = {key:?}\nclient_ca = {ca:?}\n")
    };
    let ca = files.client_ca.unwrap();
    load(Some(&settings(&files.certificate, &files.key, &ca)), &[]).unwrap();
    let not_pem = Path::new("Cargo.toml");
    for (certificate, key, ca, expected) in [
        (&*files.certificate, &*key_of_another, &*ca, "rpc.tls_key"),
        (&files.certificate, &files.certificate, &ca, "rpc.tls_key"),
        (not_pem, &files.key, &ca, "rpc.tls_certificate"),
        (&files.certificate, &files.key, not_pem, "rpc.client_ca"),
    ] {
        let file = settings(certificate, key, ca);
        assert_eq!(wrong(Some(&file), &[]), [expected], "{file}");
    }
}

const RULES: &str = r#"
    [[detect.rule]]
    name = "sessions-drop"
    kind = "drop"
    metric = "sessions"
    alarm_type = "sessions-drop"
    severity = "major"
    effect = "loss"
    fall_percent = 60
    window_s = 1800
    minimum_base = 20
    recover_percent = 80.0
    [[detect.rule]]
    name = "rx-power-low"
    kind = "threshold"
    metric = "rx_power_dbm"
    resource_prefix = "ont-"
    alarm_type = "low-optical-power"
    severity = "minor"
    effect = "degraded"
    direction = "below"
    raise_at = -28
    clear_at = -26.5
    hold_s = 300
    [[detect.rule]]
    name = "olt-unreachable"
    kind = "absence"
    metric = "uptime_s"
    alarm_type = "unreachable"
    severity = "critical"
    effect = "loss"
    intervals = 3
"#;

#[test]
fn rules_of_detection_are_read() {
    let config = load(Some(RULES), &[]).unwrap();
    let names: Vec<_> = config.detect.rule.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["sessions-drop", "rx-power-low", "olt-unreachable"]);
    let Condition::Drop(fall) = config.detect.rule[0].condition else {
        panic!("{:?}", config.detect.rule[0]);
    };
    assert!((fall.fall_percent - 60.0).abs() < f64::EPSILON && fall.hold_s == 0);
    assert_eq!(config.detect.rule[1].effect, ServiceEffect::Degraded);
    assert_eq!(load(Some(&config.show()), &[]).unwrap(), config);
}

/// `silent` is believed at one word: whoever counts sessions may say it, not whoever misses samples.
#[test]
fn samples_that_do_not_come_raise_no_alarm_that_the_service_is_gone() {
    let rules = RULES.replace("\"unreachable\"", "\"Silent\"");
    let error = load(Some(&rules), &[]).unwrap_err().to_string();
    for part in [
        "detect.rule[3].alarm_type = \"Silent\"",
        "another type, such as unreachable",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn the_example_of_the_defaults_is_valid() {
    let lines = DEFAULT_TOML.lines();
    let example: Vec<&str> = lines.filter_map(|line| line.strip_prefix("#   ")).collect();
    let example = example.join("\n");
    assert_eq!(load(Some(&example), &[]).unwrap().detect.rule.len(), 4);
}

#[test]
fn everything_that_is_wrong_with_rules_is_named() {
    let file = RULES
        .replace("fall_percent = 60", "fall_percent = 0")
        .replace("minimum_base = 20", "minimum = 20")
        .replace("clear_at = -26.5", "clear_at = -29")
        .replace("name = \"olt-unreachable\"", "name = \"rx-power-low\"")
        .replace("intervals = 3", "intervals = true");
    assert_eq!(
        wrong(Some(&file), &[]),
        [
            "detect.rule[1].fall_percent",
            "detect.rule[1].minimum_base",
            "detect.rule[1].minimum",
            "detect.rule[2].clear_at",
            "detect.rule[3].intervals",
            "detect.rule[3].name",
        ]
    );
    let text = load(Some(&file), &[]).unwrap_err().to_string();
    for part in [
        "detect.rule[1].minimum_base = nothing",
        "forewarn.toml): expected a number above 0",
        "detect.rule[2].clear_at = -29",
        "expected a number greater than raise_at, which is -28",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let kind = RULES.replace("kind = \"drop\"", "kind = \"dorp\"");
    assert_eq!(wrong(Some(&kind), &[]), ["detect.rule[1].kind"]);
    let recover = RULES.replace("recover_percent = 80.0", "recover_percent = 40");
    assert_eq!(
        wrong(Some(&recover), &[]),
        ["detect.rule[1].recover_percent"]
    );
    assert_eq!(wrong(Some("[detect]\nrule = [5]"), &[]), ["detect.rule[1]"]);
    assert_eq!(wrong(Some("[detect]\nrule = 5"), &[]), ["detect.rule"]);
    let given = [("FOREWARN_DETECT__RULE", "drop")];
    assert_eq!(wrong(None, &given), ["detect.rule"]);
}
