//! `forewarn token create`, `list` and `revoke`: works on the database itself, so that the first
//! token can be made before there is one.

use crate::clock::Millis;
use crate::rpc::auth::{Role, new_token};
use crate::store::Store;
use anyhow::{bail, ensure};
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;

/// What to do with the tokens.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it; it cannot be printed again.
    Create {
        /// Who will hold it, for instance "opennms-north".
        #[arg(long)]
        name: String,
        /// What it allows.
        #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)))]
        role: String,
    },
    /// Print names, roles and ages of all tokens.
    List,
    /// Make a token worthless; running services notice within 5 seconds.
    Revoke {
        #[arg(long)]
        name: String,
    },
}

/// The text to print.
pub async fn run(command: TokenCommand, store: &Store, now_ms: Millis) -> anyhow::Result<String> {
    match command {
        TokenCommand::Create { name, role } => create(store, &name, &role, now_ms).await,
        TokenCommand::List => list(store).await,
        TokenCommand::Revoke { name } => {
            ensure!(
                store.revoke_token(&name, now_ms).await?,
                "there is no valid token of the name `{name}`"
            );
            Ok(format!("token `{name}` is revoked\n"))
        }
    }
}

async fn create(store: &Store, name: &str, role: &str, now_ms: Millis) -> anyhow::Result<String> {
    let Some(role) = Role::parse(role) else {
        bail!("there is no role `{role}`");
    };
    ensure!((1..=128).contains(&name.len()), "a name has 1 to 128 bytes");
    let (secret, stored) = new_token(name, role, now_ms);
    ensure!(
        store.add_token(&stored).await?,
        "there is a token of the name `{name}` already, perhaps a revoked one: take another name"
    );
    Ok(format!("{secret}\n"))
}

async fn list(store: &Store) -> anyhow::Result<String> {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["name", "role", "created", "revoked"]);
    for token in store.tokens().await? {
        table.add_row([
            token.name,
            token.role,
            instant(token.created_at_ms),
            token.revoked_at_ms.map(instant).unwrap_or_default(),
        ]);
    }
    Ok(format!("{table}\n"))
}

fn instant(at_ms: Millis) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| at.to_string())
}
