//! Settings that must fit each other.

use super::check::Problem;
use super::database_url::{has_folder, sqlite_file};
use super::{Config, Correlation, Email, EmailTls, EmailTransport, Rpc};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::Path;

/// Settings that do not fit each other. Those `unknown` (keys, or sections as a whole) are wrong by
/// themselves: nothing is said of what depends on them.
pub(super) fn relations(config: &Config, unknown: &[String]) -> Vec<Problem> {
    let mut relations = Relations {
        unknown,
        wrong: Vec::new(),
    };
    relations.check(
        &["database.url"],
        sqlite_file(&config.database.url).is_none_or(|file| has_folder(&file)),
        "sqlite:FILE in a folder that exists",
    );
    tls(&config.rpc, &mut relations);
    let rpc = &config.rpc;
    relations.check(
        &["web.listen", "rpc.listen"],
        rpc.listen.port() == 0 || rpc.listen != config.web.listen,
        "another address than rpc.listen",
    );
    relations.check(
        &["ingest.batch_events", "ingest.queue_events"],
        config.ingest.batch_events <= config.ingest.queue_events,
        "at most ingest.queue_events",
    );
    correlation(&config.correlation, &mut relations);
    email(&config.email, &mut relations);
    relations.wrong
}

struct Relations<'a> {
    unknown: &'a [String],
    wrong: Vec<Problem>,
}

impl Relations<'_> {
    /// `keys` are those that it depends on; the first is to be changed.
    fn check(&mut self, keys: &[&'static str], holds: bool, expected: &str) {
        let is_unknown = |key: &str| {
            let section = key.split('.').next().unwrap_or_default();
            self.unknown.iter().any(|u| u == key || u == section)
        };
        if holds || keys.iter().any(|key| is_unknown(key)) {
            return;
        }
        self.wrong.extend(keys.first().map(|&key| Problem {
            key: key.into(),
            value: None,
            expected: expected.to_owned(),
        }));
    }
}

fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

fn tls(rpc: &Rpc, relations: &mut Relations<'_>) {
    const CERTIFICATE: &str = "rpc.tls_certificate";
    const KEY: &str = "rpc.tls_key";
    const CLIENT_CA: &str = "rpc.client_ca";
    let has_certificate = is_set(&rpc.tls_certificate);
    relations.check(
        &[CERTIFICATE, KEY],
        has_certificate || !is_set(&rpc.tls_key),
        "a PEM file, since rpc.tls_key is set",
    );
    relations.check(
        &[KEY, CERTIFICATE],
        is_set(&rpc.tls_key) || !has_certificate,
        "a PEM file, since rpc.tls_certificate is set",
    );
    relations.check(
        &[CLIENT_CA, CERTIFICATE],
        has_certificate || !is_set(&rpc.client_ca),
        "nothing, since rpc.tls_certificate is not set",
    );
    relations.check(
        &[
            "rpc.listen",
            CERTIFICATE,
            "rpc.allow_plaintext_beyond_loopback",
        ],
        has_certificate || rpc.listen.ip().is_loopback() || rpc.allow_plaintext_beyond_loopback,
        "an address of loopback such as 127.0.0.1:50551, or TLS (rpc.tls_certificate and \
         rpc.tls_key), or rpc.allow_plaintext_beyond_loopback = true",
    );
    for (key, path) in [
        (CERTIFICATE, &rpc.tls_certificate),
        (CLIENT_CA, &rpc.client_ca),
    ] {
        relations.check(
            &[key],
            !is_set(path) || holds_certificates(path),
            "a PEM file with at least one certificate",
        );
    }
    relations.check(
        &[KEY, CERTIFICATE],
        !is_set(&rpc.tls_key)
            || holds_private_key(&rpc.tls_key) && !holds_certificates(&rpc.tls_certificate)
            || is_key_of(&rpc.tls_key, &rpc.tls_certificate),
        "a PEM file with the private key of rpc.tls_certificate",
    );
}

fn correlation(correlation: &Correlation, relations: &mut Relations<'_>) {
    let classes = correlation.hold_down.iter().map(|class| class.seconds);
    let longest = classes.chain([correlation.hold_down_s]).max().unwrap_or(0);
    let needed = u64::from(longest) * u64::from(correlation.unstable_factor);
    relations.check(
        &[
            "correlation.decide_within_s",
            "correlation.hold_down",
            "correlation.hold_down_s",
            "correlation.unstable_factor",
        ],
        u64::from(correlation.decide_within_s) >= needed,
        &format!(
            "at least the longest hold-down times correlation.unstable_factor, {longest} x {} = {needed}",
            correlation.unstable_factor
        ),
    );
    relations.check(
        &[
            "correlation.flap_ended_percent",
            "correlation.flap_raised_percent",
        ],
        correlation.flap_ended_percent <= correlation.flap_raised_percent,
        "at most correlation.flap_raised_percent",
    );
}

fn email(email: &Email, relations: &mut Relations<'_>) {
    const CA_FILE: &str = "email.ca_file";
    const TRANSPORT: &str = "email.transport";
    relations.check(
        &["email.lease_s", "email.timeout_s"],
        email.lease_s >= 3 * email.timeout_s,
        "at least three times email.timeout_s",
    );
    relations.check(
        &[CA_FILE],
        !is_set(&email.ca_file) || holds_certificates(&email.ca_file),
        "a PEM file with at least one certificate",
    );
    relations.check(
        &[CA_FILE, "email.tls"],
        !is_set(&email.ca_file) || email.tls != EmailTls::None,
        "nothing, since email.tls is none",
    );
    relations.check(
        &["email.url", TRANSPORT],
        email.transport == EmailTransport::File || !email.url.is_empty(),
        "smtp://USER:PASSWORD@HOST:PORT, since email.transport is smtp",
    );
    relations.check(
        &["email.directory", TRANSPORT],
        email.transport == EmailTransport::Smtp || is_set(&email.directory),
        "a folder, since email.transport is file",
    );
}

/// Whether the file can be read and has at least one certificate, all of them readable.
fn holds_certificates(path: &Path) -> bool {
    let Ok(certificates) = CertificateDer::pem_file_iter(path) else {
        return false;
    };
    let mut count = 0;
    let mut each = certificates.map(|found| found.map(|_| count += 1));
    each.all(|found| found.is_ok()) && count > 0
}

fn holds_private_key(path: &Path) -> bool {
    PrivateKeyDer::from_pem_file(path).is_ok()
}

/// Whether the file holds the private key that belongs to the first certificate of the other.
fn is_key_of(key: &Path, certificates: &Path) -> bool {
    let Ok(key) = PrivateKeyDer::from_pem_file(key) else {
        return false;
    };
    let Ok(certificates) = CertificateDer::pem_file_iter(certificates) else {
        return false;
    };
    let chain = certificates.filter_map(Result::ok).collect();
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).is_ok()
}
