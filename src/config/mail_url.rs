//! The URL of a mail relay.

/// Where a mail relay is found: `smtp://USER:PASSWORD@HOST:PORT`.
#[derive(Clone, PartialEq, Eq)]
pub struct MailUrl {
    /// A name or an address, without brackets.
    pub host: String,
    /// Not given: the usual one of the encryption.
    pub port: Option<u16>,
    /// User and password.
    pub login: Option<(String, String)>,
}

impl std::fmt::Debug for MailUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailUrl")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl MailUrl {
    /// Reads the URL. User with password, and port, may be missing; special characters in user and
    /// password are percent-encoded; an IPv6 address stands in brackets.
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("smtp://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => {
                let (user, password) = login.split_once(':')?;
                (
                    Some((percent_decode(user)?, percent_decode(password)?)),
                    place,
                )
            }
            None => (None, rest),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(address) => {
                let (address, port) = address.split_once(']')?;
                address.parse::<std::net::Ipv6Addr>().ok()?;
                (address, port)
            }
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let port = match port {
            "" => None,
            port => Some(port.strip_prefix(':')?.parse().ok()?),
        };
        let is_host = !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_alphanumeric() || "-._:".contains(c));
        (is_host && port != Some(0)).then(|| Self {
            host: host.to_owned(),
            port,
            login,
        })
    }
}

pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [*rest.next()?, *rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, host: &str, port: Option<u16>, login: Option<(&str, &str)>) {
        let expected = MailUrl {
            host: host.to_owned(),
            port,
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
        };
        assert_eq!(MailUrl::parse(url), Some(expected), "{url}");
    }

    #[test]
    fn a_url_is_read_or_refused() {
        check("smtp://relay", "relay", None, None);
        check("smtp://relay:2525/", "relay", Some(2525), None);
        check("smtp://[::1]:25", "::1", Some(25), None);
        check("smtp://[2001:db8::1]", "2001:db8::1", None, None);
        let login = Some(("u@x", "p:w"));
        check(
            "smtp://u%40x:p%3Aw@mail.example.net",
            "mail.example.net",
            None,
            login,
        );
        check(
            "smtp://u:p@w@relay:587",
            "relay",
            Some(587),
            Some(("u", "p@w")),
        );
        for wrong in [
            "",
            "smtp://",
            "http://x",
            "smtps://x",
            "smtp://x?tls=none",
            "smtp://x:port",
            "smtp://x:0",
            "smtp://x:99999",
            "smtp://::1",
            "smtp://[relay]",
            "smtp://[::1",
            "smtp://user@relay",
            "smtp://u:%zz@relay",
            "smtp://two words",
        ] {
            assert_eq!(MailUrl::parse(wrong), None, "{wrong}");
        }
    }
}
