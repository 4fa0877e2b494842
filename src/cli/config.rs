//! `forewarn config check` and `forewarn config show`.

use crate::config::Config;
use crate::store;
use anyhow::anyhow;
use std::path::Path;

/// What to do with the settings.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Name everything that is wrong with the settings.
    Check,
    /// Print all settings as they apply, with secrets hidden.
    Show,
}

/// The text to print.
pub fn run(command: ConfigCommand, file: Option<&Path>) -> anyhow::Result<String> {
    let config = Config::load(file, std::env::vars())?;
    Ok(match command {
        ConfigCommand::Check => {
            store::check_url(&config.database.url)
                .map_err(|error| anyhow!("database.url: {error}"))?;
            "the settings are valid\n".to_owned()
        }
        ConfigCommand::Show => config.show(),
    })
}
