//! One measured figure, and how figures are reported.

use serde::Serialize;
use std::path::Path;

/// A measured value, with the peer measured in the same run and the goal, where there are any.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub figure: String,
    pub value: f64,
    pub unit: &'static str,
    /// Size of the data, in words.
    pub size: String,
    pub peer: Option<String>,
    pub peer_value: Option<f64>,
    /// How many times better than the peer (or the share of the peer that is reached).
    pub ratio: Option<f64>,
    /// In words, for instance "< 50 ns" or "ratio >= 0.6".
    pub goal: Option<String>,
    pub met: Option<bool>,
}

impl Figure {
    /// A figure without peer and goal.
    pub fn new(
        figure: impl Into<String>,
        value: f64,
        unit: &'static str,
        size: impl Into<String>,
    ) -> Self {
        Self {
            figure: figure.into(),
            value,
            unit,
            size: size.into(),
            peer: None,
            peer_value: None,
            ratio: None,
            goal: None,
            met: None,
        }
    }

    /// Names the peer, its value in the same unit, and the ratio.
    pub fn against(mut self, peer: impl Into<String>, peer_value: f64, ratio: f64) -> Self {
        self.peer = Some(peer.into());
        self.peer_value = Some(peer_value);
        self.ratio = Some(ratio);
        self
    }

    /// States the goal and whether it was met.
    pub fn goal(mut self, goal: impl Into<String>, met: bool) -> Self {
        self.goal = Some(goal.into());
        self.met = Some(met);
        self
    }
}

/// Prints the figures as a table and writes `target/bench/NAME.json`.
pub fn report(name: &str, figures: &[Figure]) {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "figure",
        "value",
        "unit",
        "size",
        "peer",
        "peer value",
        "ratio",
        "goal",
        "met",
    ]);
    for f in figures {
        table.add_row([
            f.figure.clone(),
            number(f.value),
            f.unit.to_owned(),
            f.size.clone(),
            f.peer.clone().unwrap_or_default(),
            f.peer_value.map(number).unwrap_or_default(),
            f.ratio.map(number).unwrap_or_default(),
            f.goal.clone().unwrap_or_default(),
            f.met
                .map(|met| if met { "yes" } else { "NO" }.to_owned())
                .unwrap_or_default(),
        ]);
    }
    println!("{table}");
    let dir = Path::new("target/bench");
    std::fs::create_dir_all(dir).expect("make target/bench");
    let json = serde_json::to_string_pretty(figures).expect("figures as JSON");
    std::fs::write(dir.join(format!("{name}.json")), json).expect("write the figures");
}

/// Four significant digits.
fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let digits = (3.0 - value.abs().log10().floor()).clamp(0.0, 9.0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=9"
    )]
    let digits = digits as usize;
    format!("{value:.digits$}")
}
