//! Settings as people may see them.

use super::Config;
use toml::{Table, Value};

/// What stands for a secret.
pub(super) const HIDDEN: &str = "***";

/// Settings that are URLs with a password in them.
const URLS_WITH_SECRETS: [&str; 2] = ["database.url", "email.url"];

pub(super) fn to_toml(config: &Config) -> String {
    let Ok(mut all) = Table::try_from(config) else {
        return String::new();
    };
    for name in URLS_WITH_SECRETS {
        if let Some((section, key)) = name.split_once('.')
            && let Some(Value::String(url)) = all.get_mut(section).and_then(|s| s.get_mut(key))
        {
            *url = without_password(url);
        }
    }
    toml::to_string(&all).unwrap_or_default()
}

/// A value in an error.
pub(super) fn value(name: &str, value: &str) -> String {
    if URLS_WITH_SECRETS.contains(&name) {
        without_password(value)
    } else {
        value.to_owned()
    }
}

/// Hides what stands between the user and the host, and a `password` parameter.
fn without_password(url: &str) -> String {
    let (before, query) = url
        .split_once('?')
        .map_or((url, None), |(b, q)| (b, Some(q)));
    let mut shown = match (before.find("://"), before.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            let (user, has_password) = match before[scheme + 3..at].split_once(':') {
                Some((user, _)) => (user, true),
                None => (&before[scheme + 3..at], false),
            };
            let secret = if has_password { ":***" } else { "" };
            format!("{}{user}{secret}{}", &before[..scheme + 3], &before[at..])
        }
        // No form in which a secret could be told from the rest.
        (None, Some(_)) => HIDDEN.to_owned(),
        _ => before.to_owned(),
    };
    if let Some(query) = query {
        let parameters: Vec<String> = query.split('&').map(without_secret_parameter).collect();
        shown.push('?');
        shown.push_str(&parameters.join("&"));
    }
    shown
}

fn without_secret_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if name.to_lowercase().contains("password") => format!("{name}={HIDDEN}"),
        _ => parameter.to_owned(),
    }
}
