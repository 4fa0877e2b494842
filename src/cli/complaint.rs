//! `forewarn import complaints`: a file of complaints, straight into the database.

use super::import::{Failure, refused};
use crate::clock::Millis;
use crate::effect::complaint::read_csv;
use crate::store::{ComplaintsTaken, Store};
use crate::subscriber::Numbering;
use anyhow::Context as _;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Arguments of `forewarn import complaints`.
#[derive(Clone, Debug, clap::Args)]
pub struct ImportComplaintsArgs {
    /// CSV file with a header: `id`, `at_ms`, `channel` (call, ticket, chat, mail, social), and any of
    /// `account`, `contact`, `latitude`, `longitude`, `category`, `text`
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Reads the file and keeps its complaints, all or none. Returns what became of them.
pub(super) async fn import(
    file: &Path,
    store: &Store,
    numbering: &Numbering,
    now_ms: Millis,
) -> Result<ComplaintsTaken, Failure> {
    let name = file.display().to_string();
    let input = File::open(file)
        .with_context(|| format!("cannot open {name}"))
        .map_err(Failure::Other)?;
    let complaints = read_csv(BufReader::new(input), &name, now_ms, numbering).map_err(refused)?;
    store
        .take_complaints(&complaints, now_ms)
        .await
        .context("cannot keep the complaints")
        .map_err(Failure::Other)
}

/// The line for a person.
pub fn summary(taken: ComplaintsTaken) -> String {
    let summary = format!(
        "{} complaints added ({} of them matched to an incident), {} were known already",
        taken.added, taken.matched, taken.duplicates
    );
    match taken.unknown_accounts {
        0 => summary,
        unknown => format!(
            "{summary}\nwarning: {unknown} of the file name an account that no subscriber has"
        ),
    }
}
