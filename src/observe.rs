//! What the process says of itself: one subscriber of `tracing`, set at start.
//!
//! Invariant: no event names a person, an address, a contact or the text of a message.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error("log filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("a subscriber is already set")]
    AlreadySet(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Writes events that pass the filter to standard error.
pub fn init(format: Format, filter: &str) -> Result<(), ObserveError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_writer(std::io::stderr);
    match format {
        Format::Text => builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(ObserveError::AlreadySet)
}
