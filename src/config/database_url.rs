//! The URL of the database, as far as it can be judged without connecting.

use super::mail_url::percent_decode;
use std::path::{Path, PathBuf};

const SQLITE: &str = "sqlite:";
const POSTGRES: [&str; 2] = ["postgres:", "postgresql:"];

/// Whether a service can keep what it knows there: a server, or a file that it may write and that is
/// still there after it.
pub(super) fn is_lasting(url: &str) -> bool {
    match url.strip_prefix(SQLITE) {
        Some(rest) => {
            let (file, query) = parts(rest);
            // SQLite's own URIs are not read: `file:x.db` would be the name.
            let is_file = !file.is_empty() && file != ":memory:" && !file.starts_with("file:");
            is_file && query.is_none_or(|query| query.split('&').all(is_parameter))
        }
        None => POSTGRES.iter().any(|scheme| url.starts_with(scheme)),
    }
}

/// The file that a URL of SQLite names.
pub(super) fn sqlite_file(url: &str) -> Option<PathBuf> {
    let (file, _) = parts(url.strip_prefix(SQLITE)?);
    Some(percent_decode(file).map_or_else(|| PathBuf::from(file), PathBuf::from))
}

/// Whether a file can be there, or made there.
pub(super) fn has_folder(file: &Path) -> bool {
    let folder = file.parent();
    !file.is_dir() && folder.is_none_or(|f| f.as_os_str().is_empty() || f.is_dir())
}

fn parts(rest: &str) -> (&str, Option<&str>) {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    match rest.split_once('?') {
        Some((file, query)) => (file, Some(query)),
        None => (rest, None),
    }
}

/// Whether a parameter leaves the file one that is written: neither `mode=memory` nor `mode=ro`.
fn is_parameter(parameter: &str) -> bool {
    match parameter.split_once('=') {
        Some(("mode", mode)) => ["rw", "rwc"].contains(&mode),
        Some(("cache", cache)) => ["private", "shared"].contains(&cache),
        Some(("vfs", vfs)) => !vfs.is_empty(),
        _ => parameter.is_empty(),
    }
}
