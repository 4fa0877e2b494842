//! Estimates of risk from counts, each with its 95 % interval.
//!
//! Invariants: pure functions of the counts; what cannot be computed is `None`, never a number
//! made computable by adding halves to empty cells. A ratio is not computable when nobody
//! complained in one of the arms, or when everybody complained in both: its variance would be
//! infinite, or zero by accident.
//!
//! Subscribers are taken as independent. They are assigned by cluster, so where complaints run
//! in clusters these intervals are too narrow; the report says so.

/// 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Subscribers of one arm, and how many of them complained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArmCounts {
    pub subscribers: u64,
    /// At most `subscribers`.
    pub complained: u64,
}

impl ArmCounts {
    /// Share that complained; `None` for an empty arm.
    pub fn risk(self) -> Option<f64> {
        (self.subscribers > 0).then(|| self.complained as f64 / self.subscribers as f64)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            subscribers: self.subscribers + other.subscribers,
            complained: self.complained + other.complained,
        }
    }
}

/// The two arms of one incident: the told against the held out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arms {
    pub told: ArmCounts,
    pub held_out: ArmCounts,
}

impl Arms {
    /// Whether there is anything to compare.
    pub fn both_present(self) -> bool {
        self.told.subscribers > 0 && self.held_out.subscribers > 0
    }

    /// Sums of the counts. Counts only: a ratio of these sums mixes incidents of different risk
    /// and can have the wrong sign, so none is ever computed.
    pub fn total(strata: &[Self]) -> Self {
        strata.iter().fold(Self::default(), |sum, arms| Self {
            told: sum.told.plus(arms.told),
            held_out: sum.held_out.plus(arms.held_out),
        })
    }
}

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    /// Whether the interval, bounds included, covers `value`.
    pub fn covers(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// From an estimate of the logarithm and its variance; `None` without a spread.
    fn from_log(log: f64, variance: f64) -> Option<Self> {
        (variance.is_finite() && variance > 0.0).then(|| {
            let spread = Z * variance.sqrt();
            Self {
                value: log.exp(),
                low: (log - spread).exp(),
                high: (log + spread).exp(),
            }
        })
    }
}

/// Wilson's score interval for one proportion (Wilson 1927, JASA 22:209).
pub fn wilson(arm: ArmCounts) -> Option<Estimate> {
    let p = arm.risk()?;
    let n = arm.subscribers as f64;
    let centre = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some(Estimate {
        value: p,
        low: ((centre - spread) / scale).clamp(0.0, p),
        high: ((centre + spread) / scale).clamp(p, 1.0),
    })
}

/// Risk of the told minus risk of the held out, with Newcombe's hybrid score interval
/// (Newcombe 1998, Statistics in Medicine 17:873, method 10). `None` when an arm is empty.
pub fn risk_difference(arms: Arms) -> Option<Estimate> {
    let told = wilson(arms.told)?;
    let held_out = wilson(arms.held_out)?;
    let value = told.value - held_out.value;
    Some(Estimate {
        value,
        low: value - (told.value - told.low).hypot(held_out.high - held_out.value),
        high: value + (told.high - told.value).hypot(held_out.value - held_out.low),
    })
}

/// Risk of the told over risk of the held out, with Katz's log interval (Katz et al. 1978,
/// Biometrics 34:469). `None` when nobody complained in an arm, or everybody in both.
pub fn risk_ratio(arms: Arms) -> Option<Estimate> {
    let (told, held_out) = (arms.told, arms.held_out);
    if told.complained == 0 || held_out.complained == 0 {
        return None;
    }
    let log = told.risk()?.ln() - held_out.risk()?.ln();
    let variance = |arm: ArmCounts| 1.0 / arm.complained as f64 - 1.0 / arm.subscribers as f64;
    Estimate::from_log(log, variance(told) + variance(held_out))
}

/// 1 - risk ratio: the share of complaints that telling spares. The bounds change places.
pub fn reduction(risk_ratio: Estimate) -> Estimate {
    Estimate {
        value: 1.0 - risk_ratio.value,
        low: 1.0 - risk_ratio.high,
        high: 1.0 - risk_ratio.low,
    }
}

/// Mantel-Haenszel risk ratio over incidents, with the variance of its logarithm by Greenland
/// and Robins (1985, Biometrics 41:55). Incidents without one of the arms carry no weight.
/// `None` when nobody complained in one of the arms of the rest, or everybody in both.
pub fn pooled_risk_ratio(strata: &[Arms]) -> Option<Estimate> {
    let (mut told_sum, mut held_out_sum, mut spread) = (0.0, 0.0, 0.0);
    for arms in strata.iter().filter(|arms| arms.both_present()) {
        let (n1, n0) = (
            arms.told.subscribers as f64,
            arms.held_out.subscribers as f64,
        );
        let (a, c) = (arms.told.complained as f64, arms.held_out.complained as f64);
        let n = n1 + n0;
        told_sum += a * n0 / n;
        held_out_sum += c * n1 / n;
        spread += ((a + c) * (n1 / n) * (n0 / n)) - a * c / n;
    }
    if told_sum <= 0.0 || held_out_sum <= 0.0 {
        return None;
    }
    Estimate::from_log(
        (told_sum / held_out_sum).ln(),
        spread / (told_sum * held_out_sum),
    )
}
