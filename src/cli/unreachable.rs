//! Why a server could not be talked to, and what to do about it.

use super::client::ClientArgs;
use anyhow::anyhow;
use rustls::{CertificateError, Error as TlsError};
use std::error::Error;
use std::io::ErrorKind;

/// Why no connection came about.
pub(super) fn explain_connecting(
    args: &ClientArgs,
    error: &(dyn Error + 'static),
) -> anyhow::Error {
    let server = &args.server;
    if let Some((what, advice)) = reason_of_tls(args, error) {
        return anyhow!("{server}: {what}\n{advice}");
    }
    let broken_off = find::<std::io::Error>(error).is_some_and(|io| {
        matches!(
            io.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        )
    });
    if broken_off && server.starts_with("https://") {
        return anyhow!("{server}: {}\n{}", NO_TLS.0, NO_TLS.1);
    }
    if broken_off {
        return not_grpc(args);
    }
    anyhow!(
        "no server answers at {server}: {}\n\
         Start one with `forewarn serve`, or name another with --server or FOREWARN_SERVER.",
        root_cause(error)
    )
}

/// Why a connection that had come about ended before the first answer. Who ended it may not have had
/// the time to say why.
pub(super) fn explain_greeting(args: &ClientArgs, error: &(dyn Error + 'static)) -> anyhow::Error {
    let server = &args.server;
    if !server.starts_with("https://") {
        return not_grpc(args);
    }
    let (what, advice) = reason_of_tls(args, error).unwrap_or_else(|| {
        let alert = if args.client_cert.is_some() {
            "UnknownCA"
        } else {
            "CertificateRequired"
        };
        let (what, advice) = explain_alert(alert, args.client_cert.is_some());
        let what = format!("the server closed the encrypted connection at once; perhaps {what}");
        (what, advice)
    });
    anyhow!("{server}: {what}\n{advice}")
}

/// What the TLS layer of either side has against the other.
fn reason_of_tls(args: &ClientArgs, error: &(dyn Error + 'static)) -> Option<(String, String)> {
    if let Some(tls) = find::<TlsError>(error) {
        return Some(explain_tls(args, tls));
    }
    // The HTTP/2 layer keeps only the text of what ended its connection.
    let last = root_cause(error);
    let alert = last.strip_prefix(RECEIVED_ALERT)?;
    Some(explain_alert(alert, args.client_cert.is_some()))
}

/// Something listens, but does not speak gRPC in the clear.
pub(super) fn not_grpc(args: &ClientArgs) -> anyhow::Error {
    let server = &args.server;
    let address = server.trim_start_matches("http://");
    anyhow!(
        "{server}: something listens there, but does not speak gRPC without TLS\n\
         If the server has TLS write --server https://{address}; otherwise check the port \
         (rpc.listen of the server)."
    )
}

/// What rustls says before the name of an alert.
const RECEIVED_ALERT: &str = "received fatal alert: ";
const NO_TLS: (&str, &str) = (
    "the server does not speak TLS",
    "Write http:// instead of https:// if it is meant to serve without TLS; otherwise check the port.",
);

/// What happened, and what to do.
fn explain_tls(args: &ClientArgs, error: &TlsError) -> (String, String) {
    let ca = args.ca.as_ref().map(|file| file.display().to_string());
    match error {
        TlsError::InvalidCertificate(reason) => explain_certificate(reason, ca.as_deref()),
        TlsError::InvalidMessage(_) => (NO_TLS.0.to_owned(), NO_TLS.1.to_owned()),
        TlsError::AlertReceived(alert) => {
            explain_alert(&format!("{alert:?}"), args.client_cert.is_some())
        }
        other => (
            format!("the encrypted connection failed: {other}"),
            "Look at the server's log.".to_owned(),
        ),
    }
}

fn explain_certificate(reason: &CertificateError, ca: Option<&str>) -> (String, String) {
    use CertificateError as E;
    match reason {
        E::NotValidForName => (
            "the server's certificate is for another name".to_owned(),
            "Write the name in the certificate after https://.".to_owned(),
        ),
        E::NotValidForNameContext {
            expected,
            presented,
        } => (
            format!(
                "the server's certificate is for {}, not for {}",
                names(presented),
                expected.to_str()
            ),
            "Write a name of the certificate after https://.".to_owned(),
        ),
        E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. } => (
            "the server's certificate has expired, or is not valid yet".to_owned(),
            "Renew it on the server, and check the clocks of both machines.".to_owned(),
        ),
        // Also what a certificate comes to that signed itself.
        E::UnknownIssuer | E::BadSignature | E::Other(_) => match ca {
            Some(file) => (
                format!("the server's certificate was not signed by the authority in {file}"),
                "Name the file of the authority that signed it with --ca or FOREWARN_CA."
                    .to_owned(),
            ),
            None => (
                "the server's certificate was not signed by a public authority".to_owned(),
                "If the authority is a private one, name its file with --ca or FOREWARN_CA."
                    .to_owned(),
            ),
        },
        other => (
            format!("the server's certificate cannot be accepted: {other}"),
            "Have the server given another one (rpc.tls_certificate).".to_owned(),
        ),
    }
}

/// `alert` as rustls names it.
fn explain_alert(alert: &str, has_certificate: bool) -> (String, String) {
    match alert {
        "CertificateRequired" => (
            "the server asks for a certificate of the client (mTLS)".to_owned(),
            "Name one, and its key, with --client-cert and --client-key.".to_owned(),
        ),
        "UnknownCA" | "BadCertificate" | "DecryptError" | "CertificateUnknown"
            if has_certificate =>
        {
            (
                "the server does not accept the certificate of --client-cert".to_owned(),
                "It must be signed by an authority in the server's rpc.client_ca.".to_owned(),
            )
        }
        "CertificateExpired" if has_certificate => (
            "the certificate of --client-cert has expired".to_owned(),
            "Renew it.".to_owned(),
        ),
        other => (
            format!("the server broke the encrypted connection off ({other})"),
            "Look at the server's log.".to_owned(),
        ),
    }
}

/// `DnsName("a.example")` and the like, as names.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    match presented {
        [] => "no name".to_owned(),
        names => names.iter().map(plain).collect::<Vec<_>>().join(", "),
    }
}

/// The first error of that type among the causes, those inside an I/O error included.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inside = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if let Some(found) = inside.and_then(|inside| find(inside)) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The innermost reason: what the operating system said.
fn root_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
