//! The simulated customers: some notice that service is gone and complain, and fewer do so when they
//! have been told before.

use crate::cli::client::Connection;
use crate::proto::v1::complaint_service_client::ComplaintServiceClient;
use crate::proto::v1::{Complaint, StreamComplaintsRequest};
use anyhow::Context as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

/// Probability to complain of somebody who lost service and was not told.
pub(super) const COMPLAINS_UNTOLD: f64 = 0.16;
/// Of somebody who was told.
pub(super) const COMPLAINS_TOLD: f64 = 0.05;

/// How the customers of one fault react: who complains, in the order of the accounts.
pub(super) fn complainers(
    affected: &BTreeSet<String>,
    told: &BTreeSet<String>,
    seed: u64,
) -> Vec<String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    affected
        .iter()
        .filter(|account| {
            let hazard = if told.contains(*account) {
                COMPLAINS_TOLD
            } else {
                COMPLAINS_UNTOLD
            };
            random.random_bool(hazard)
        })
        .cloned()
        .collect()
}

/// Lets the accounts complain, as the ticket system of the care centre would report it. Answers how
/// many complaints were taken.
pub(super) async fn complain(
    connection: Connection,
    fault: &str,
    accounts: &[String],
    now_ms: i64,
) -> anyhow::Result<u64> {
    let channels = ["call", "ticket", "chat"];
    let requests: Vec<_> = accounts
        .iter()
        .zip(channels.iter().cycle())
        .enumerate()
        .map(|(number, (account, channel))| StreamComplaintsRequest {
            complaint: Some(Complaint {
                id: format!("demo-{fault}-{number}"),
                account: account.clone(),
                at_ms: now_ms,
                channel: (*channel).to_owned(),
                category: "no_service".to_owned(),
                text: "No connection since a while.".to_owned(),
                ..Complaint::default()
            }),
        })
        .collect();
    let mut answers = ComplaintServiceClient::new(connection)
        .stream_complaints(tokio_stream::iter(requests))
        .await
        .context("streaming complaints")?
        .into_inner();
    let mut taken = 0;
    while let Some(answer) = answers.message().await? {
        anyhow::ensure!(
            answer.rejected.is_empty(),
            "complaints were refused: {:?}",
            answer.rejected
        );
        taken = answer.taken;
    }
    Ok(taken)
}
