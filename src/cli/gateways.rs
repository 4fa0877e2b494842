//! From where the network of a map is supplied, as the command line says it.

use crate::topology::GatewayRule;

/// A map does not say where service comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct GatewayArgs {
    /// Maps (.graphml) only: the label of a node from which service is supplied; can be repeated
    #[arg(long, value_name = "LABEL", conflicts_with = "gateway_rule")]
    pub gateway: Vec<String>,
    /// Maps (.graphml) only: how to find the gateways: `external` (nodes outside the network) or
    /// `most-connected=N` (in every connected part the N nodes with the most edges)
    #[arg(long, value_name = "RULE", value_parser = gateway_rule)]
    pub gateway_rule: Option<GatewayRule>,
}

impl GatewayArgs {
    /// The rule; `None` when nothing was said.
    pub fn rule(&self) -> Option<GatewayRule> {
        match &self.gateway_rule {
            None if self.gateway.is_empty() => None,
            None => Some(GatewayRule::Named(self.gateway.clone())),
            rule => rule.clone(),
        }
    }
}

fn gateway_rule(text: &str) -> Result<GatewayRule, String> {
    if text == "external" {
        return Ok(GatewayRule::External);
    }
    text.strip_prefix("most-connected=")
        .and_then(|count| count.parse().ok())
        .filter(|count| *count > 0)
        .map(GatewayRule::MostConnected)
        .ok_or_else(|| "expected `external` or `most-connected=N` with N from 1".to_owned())
}
