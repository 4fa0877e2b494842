//! Confidence intervals of 95 %.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const Z: f64 = 1.959_964;

/// Wilson's score interval of a share.
pub(crate) fn wilson(right: usize, of: usize) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (of as f64, right as f64 / of as f64);
    let centre = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    ((centre - spread) / scale, (centre + spread) / scale)
}

/// Percentile interval of a ratio of sums over clusters, by resampling whole clusters.
pub(crate) fn bootstrap(clusters: &[(usize, usize)]) -> (f64, f64) {
    const TIMES: usize = 1_000;
    if clusters.is_empty() {
        return (0.0, 1.0);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(95);
    let mut ratios: Vec<f64> = (0..TIMES)
        .map(|_| {
            let mut sums = (0, 0);
            for _ in clusters {
                let (right, of) = clusters[rng.random_range(0..clusters.len())];
                sums = (sums.0 + right, sums.1 + of);
            }
            if sums.1 == 0 {
                1.0
            } else {
                sums.0 as f64 / sums.1 as f64
            }
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    (ratios[TIMES / 40], ratios[TIMES - 1 - TIMES / 40])
}
