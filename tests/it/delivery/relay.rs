//! What a relay does, or does not; and mail that is written as files.

use super::*;

#[tokio::test]
async fn a_server_that_says_nothing_costs_one_timeout() {
    let t = with_people(Backend::Sqlite, &[subscriber(0)]).await;
    let react = |moment: Moment, _: &str| match moment {
        Moment::Recipient => Reaction::Stall(Duration::from_mins(1)),
        _ => Reaction::Accept,
    };
    let (_capture, mut options, _guard) = capture(ruled(react)).await;
    options.step_timeout = Duration::from_millis(200);
    let worker = dispatcher(&t.store, smtp(options));
    let id = change(&t.store, &confirmed(), &[0], NOW_MS).await.notices[0].id;
    let step = tokio::time::timeout(Duration::from_secs(20), worker.step(NOW_MS));
    assert_eq!(step.await.unwrap().unwrap().retried, 1);
    let (_, attempts) = t.store.notice(id).await.unwrap().unwrap();
    assert_eq!(attempts[0].detail, "RCPT TO: no answer in time");
}

fn certificate() -> (tokio_rustls::TlsAcceptor, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem().into_bytes();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    (tokio_rustls::TlsAcceptor::from(Arc::new(config)), pem)
}

#[rstest]
#[tokio::test]
async fn mail_goes_out_encrypted_and_logged_in(
    #[values(SmtpTls::StartTls, SmtpTls::Implicit)] tls: SmtpTls,
    #[values("right", "wrong")] password: &str,
) {
    let t = with_people(Backend::Sqlite, &[subscriber(0)]).await;
    let (acceptor, ca_pem) = certificate();
    let (capture, mut options, _guard) = capture(CaptureOptions {
        tls: Some(acceptor),
        implicit_tls: tls == SmtpTls::Implicit,
        login: Some(("relay".to_owned(), "right".to_owned())),
        ..CaptureOptions::default()
    })
    .await;
    options.host = "localhost".to_owned();
    options.tls = tls;
    options.ca_pem = Some(ca_pem);
    options.login = Some(("relay".to_owned(), password.to_owned()));
    let worker = dispatcher(&t.store, smtp(options));
    change(&t.store, &confirmed(), &[0], NOW_MS).await;
    let progress = worker.step(NOW_MS).await.unwrap();
    if password == "wrong" {
        assert_eq!(progress.retried, 1);
        assert_eq!(capture.count(), 0);
        return;
    }
    assert_eq!(progress.sent, 1, "{:?}", records(&t.store).await);
    let mails = capture.mails();
    assert!(mails[0].encrypted);
    assert_eq!(mails[0].user, "relay");
}

#[tokio::test]
async fn mail_can_be_written_as_files() {
    let t = with_people(Backend::Sqlite, &[subscriber(0)]).await;
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let channel = EmailChannel::files("avvisi@example.net", &out).unwrap();
    let worker = dispatcher(&t.store, Channel::Email(channel));
    change(&t.store, &confirmed(), &[0], NOW_MS).await;
    assert_eq!(worker.step(NOW_MS).await.unwrap().sent, 1);
    let file = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap();
    let mail = std::fs::read(file.path()).unwrap();
    let parsed = MessageParser::default().parse(&mail).unwrap();
    assert!(
        parsed
            .subject()
            .unwrap()
            .starts_with("Internet non funziona")
    );
}

/// The settings refuse such a name; whoever sets the channel up otherwise learns of it from the notice.
#[tokio::test]
async fn a_name_that_no_header_may_hold_fails_the_notice_with_the_reason() {
    let t = with_people(Backend::Sqlite, &[subscriber(0)]).await;
    let dir = tempfile::tempdir().unwrap();
    let channel = EmailChannel::files("avvisi@example.net", dir.path()).unwrap();
    let channel = channel.with_name("Acme\nBcc: all@example.net");
    let worker = dispatcher(&t.store, Channel::Email(channel));
    let id = change(&t.store, &confirmed(), &[0], NOW_MS).await.notices[0].id;
    assert_eq!(worker.step(NOW_MS).await.unwrap().bounced, 1);
    let (_, attempts) = t.store.notice(id).await.unwrap().unwrap();
    let reason = "the name of the sender holds control characters";
    assert!(
        attempts[0].detail.starts_with(reason),
        "{}",
        attempts[0].detail
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// What the settings say reaches the relay: encryption with a certificate of a private authority,
/// login, and the name in EHLO.
#[rstest]
#[tokio::test]
async fn the_settings_lead_to_a_relay_with_a_private_authority(
    #[values("starttls", "tls")] tls: &str,
    #[values(true, false)] trusted: bool,
) {
    let t = with_people(Backend::Sqlite, &[subscriber(0)]).await;
    let (acceptor, ca_pem) = certificate();
    let (_, other_pem) = certificate();
    let (capture, relay, _guard) = capture(CaptureOptions {
        tls: Some(acceptor),
        implicit_tls: tls == "tls",
        login: Some(("relay".to_owned(), "p:w".to_owned())),
        ..CaptureOptions::default()
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, if trusted { ca_pem } else { other_pem }).unwrap();
    let url = format!("smtp://relay:p%3Aw@localhost:{}", relay.port);
    let settings = [
        ("FOREWARN_EMAIL__TRANSPORT", "smtp"),
        ("FOREWARN_EMAIL__URL", &url),
        ("FOREWARN_EMAIL__TLS", tls),
        ("FOREWARN_EMAIL__CA_FILE", ca_file.to_str().unwrap()),
        ("FOREWARN_EMAIL__EHLO_NAME", "notices.example.net"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::load(None, settings.into_iter()).unwrap();
    let channel = Channel::Email(email_channel(&config).unwrap());
    let worker = dispatcher(&t.store, channel);
    let id = change(&t.store, &confirmed(), &[0], NOW_MS).await.notices[0].id;
    let progress = worker.step(NOW_MS).await.unwrap();
    if !trusted {
        assert_eq!((progress.retried, capture.count()), (1, 0));
        let (_, attempts) = t.store.notice(id).await.unwrap().unwrap();
        assert!(
            attempts[0].detail.contains("certificate"),
            "{}",
            attempts[0].detail
        );
        return;
    }
    assert_eq!(progress.sent, 1, "{:?}", records(&t.store).await);
    let mail = &capture.mails()[0];
    assert!(mail.encrypted);
    assert_eq!(
        (mail.hello.as_str(), mail.user.as_str()),
        ("notices.example.net", "relay")
    );
}

#[tokio::test]
async fn a_relay_that_never_says_that_it_has_the_message_is_given_up_in_time() {
    let t = with_people(Backend::Sqlite, &[subscriber(0)]).await;
    let react = |moment, _: &str| match moment {
        Moment::End => Reaction::Stall(Duration::from_mins(1)),
        _ => Reaction::Accept,
    };
    let (_capture, mut options, _guard) = capture(ruled(react)).await;
    options.data_timeout = Duration::from_millis(200);
    let worker = dispatcher(&t.store, smtp(options));
    let id = change(&t.store, &confirmed(), &[0], NOW_MS).await.notices[0].id;
    let step = tokio::time::timeout(Duration::from_secs(20), worker.step(NOW_MS));
    assert_eq!(step.await.unwrap().unwrap().retried, 1);
    let (_, attempts) = t.store.notice(id).await.unwrap().unwrap();
    assert_eq!(attempts[0].detail, "DATA: no answer in time");
}
