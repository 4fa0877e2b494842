//! What the rules mean, worked out from the whole history: slow, and plain.

use forewarn::alarm::AlarmEventKind;
use forewarn::detect::{Absence, Direction, Fall, Threshold};
use std::collections::BTreeMap;

/// A value at a time, in milliseconds.
pub(super) type Point = (i64, f64);
pub(super) type Event = (AlarmEventKind, i64);

/// The samples in the order of their times, of each time the first that came.
pub(super) fn history(arrived: &[Point]) -> Vec<Point> {
    let mut by_time = BTreeMap::new();
    for (at, value) in arrived {
        by_time.entry(*at).or_insert(*value);
    }
    by_time.into_iter().collect()
}

/// Raised when every value of some stretch of at least the hold is beyond the level.
pub(super) fn threshold(rule: &Threshold, history: &[Point]) -> Vec<Event> {
    let is_out = |value: f64| match rule.direction {
        Direction::Above => value >= rule.raise_at,
        Direction::Below => value <= rule.raise_at,
    };
    let is_back = |value: f64| match rule.direction {
        Direction::Above => value <= rule.clear_at,
        Direction::Below => value >= rule.clear_at,
    };
    let mut events: Vec<Event> = Vec::new();
    for (now, (at, value)) in history.iter().enumerate() {
        let is_raised = events
            .last()
            .is_some_and(|(kind, _)| *kind == AlarmEventKind::Raise);
        if is_raised {
            if is_back(*value) {
                events.push((AlarmEventKind::Clear, *at));
            }
            continue;
        }
        let stretch = history[..=now].iter().rev().take_while(|(_, v)| is_out(*v));
        if let Some((since, _)) = stretch.last()
            && at - since >= i64::from(rule.hold_s) * 1_000
        {
            events.push((AlarmEventKind::Raise, *since));
        }
    }
    events
}

/// The base at a time from the values that were learnt.
fn base(rule: &Fall, learnt: &[Point], at: i64) -> Option<f64> {
    let part_ms = i64::from(rule.window_s) * 1_000 / 8;
    let newest = at / part_ms;
    let mut parts: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for (learnt_at, value) in learnt {
        if learnt_at / part_ms > newest - 8 {
            parts.entry(learnt_at / part_ms).or_default().push(*value);
        }
    }
    let mut means: Vec<f64> = parts
        .values()
        .map(|values| values.iter().sum::<f64>() / values.len() as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    match means.len() {
        0..3 => None,
        n if n % 2 == 1 => Some(means[n / 2]),
        n => Some(f64::midpoint(means[n / 2 - 1], means[n / 2])),
    }
}

/// Raised when a value has fallen by the share against the median of the recent past.
pub(super) fn fall(rule: &Fall, history: &[Point]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut learnt: Vec<Point> = Vec::new();
    // Since when values are low, and the base then.
    let mut low: Option<(i64, f64)> = None;
    let mut is_raised = false;
    for (at, value) in history {
        if let (true, Some((_, base))) = (is_raised, low) {
            if *value >= base * rule.recover_percent / 100.0 {
                events.push((AlarmEventKind::Clear, *at));
                (is_raised, low) = (false, None);
                learnt.push((*at, *value));
            }
            continue;
        }
        let base = low
            .map(|(_, base)| base)
            .or_else(|| base(rule, &learnt, *at));
        let base = base.filter(|base| *base >= rule.minimum_base);
        let limit = base.map(|base| base * (1.0 - rule.fall_percent / 100.0));
        if let (Some(base), true) = (base, limit.is_some_and(|limit| *value <= limit)) {
            let since = low.get_or_insert((*at, base)).0;
            if at - since >= i64::from(rule.hold_s) * 1_000 {
                is_raised = true;
                events.push((AlarmEventKind::Raise, since));
            }
        } else {
            low = None;
            learnt.push((*at, *value));
        }
    }
    events
}

/// Who is absent after each arrival, where each is (resource, time) of one source: by the steps that
/// its clock has made since the resource was heard, each counted as one interval at most.
pub(super) fn absent(rule: &Absence, arrived: &[(usize, i64)], resources: usize) -> Vec<Vec<bool>> {
    let mut clocks: Vec<i64> = Vec::new();
    for (_, at) in arrived {
        let before = clocks.last().copied().unwrap_or(*at);
        clocks.push(before.max(*at));
    }
    let mut all = Vec::new();
    let mut was = vec![false; resources];
    for now in 0..arrived.len() {
        let mut is = Vec::new();
        for (resource, was_absent) in was.iter().enumerate() {
            // The arrivals that were news of the resource.
            let mut news: Vec<(usize, i64)> = Vec::new();
            for (no, (of, at)) in arrived[..=now].iter().enumerate() {
                if *of == resource && news.last().is_none_or(|(_, last)| at > last) {
                    news.push((no, *at));
                }
            }
            let mut gaps: Vec<i64> = news
                .windows(2)
                .map(|w| w[1].1 - w[0].1)
                .rev()
                .take(8)
                .collect();
            gaps.sort_unstable();
            let interval = match (rule.interval_s, gaps.len()) {
                (0, 0..4) => None,
                (0, n) => Some(gaps[n / 2].max(1_000)),
                (promised, _) => Some(i64::from(promised) * 1_000),
            };
            let Some((last, interval)) = news.last().zip(interval) else {
                is.push(false);
                continue;
            };
            // Once absent, only news ends it.
            let still = *was_absent && last.0 != now;
            let steps = (last.0 + 1..=now).map(|no| clocks[no] - clocks[no - 1]);
            let passed: i64 = steps
                .map(|step| {
                    if step > 1_000 {
                        step.min(interval)
                    } else {
                        step
                    }
                })
                .sum();
            is.push(still || passed as f64 > (interval as f64 * rule.intervals).floor());
        }
        was.clone_from(&is);
        all.push(is);
    }
    all
}
