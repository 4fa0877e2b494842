//! Whether the holes of a polygon lie where holes can lie: within the outline, beside one another.
//!
//! Only for warnings: what a hole encloses is outside anyhow. Looked at is a point inside of each hole,
//! which stands for all of them where no rings cross.

use super::point_index::PointIndex;
use super::polygon::Contour;
use super::problem::AreaWarning;
use super::ring::Ring;
use crate::topology::Position;
use std::collections::BTreeSet;

/// Adds a warning for each hole that lies elsewhere. Where rings cross (`knows_sides` is false) only
/// holes that are far from the outline are named.
pub(super) fn look_at(
    outline: &Contour,
    holes: &[(&Ring, Contour)],
    knows_sides: bool,
    warnings: &mut Vec<AreaWarning>,
) {
    if holes.is_empty() {
        return;
    }
    let points = (0..).zip(holes).filter_map(|(number, (_, hole))| {
        let point = hole.some_point_inside()?;
        let position = Position {
            latitude: point.y,
            longitude: point.x,
        };
        Some((number, position))
    });
    let points = PointIndex::new(points);
    let mut outside: BTreeSet<u32> = points.numbers.iter().copied().collect();
    for slot in points.within_contour(outline).into_iter().flatten() {
        if let Some(number) = points.numbers.get(slot) {
            outside.remove(number);
        }
    }
    let overlapping = overlapping(&points, holes);
    for (number, (ring, hole)) in (0..).zip(holes) {
        let is_outside = outside.contains(&number) || !hole.bounds.is_within(&outline.bounds);
        let place = ring.place.clone();
        if hole.bounds.is_apart_from(&outline.bounds) || knows_sides && is_outside {
            warnings.push(AreaWarning::HoleOutside { place });
        } else if knows_sides && overlapping.contains(&number) {
            warnings.push(AreaWarning::HolesOverlap { place });
        }
    }
}

/// The holes whose point lies in another one too.
fn overlapping(points: &PointIndex, holes: &[(&Ring, Contour)]) -> BTreeSet<u32> {
    // At how many runs more than before a slot lies.
    let mut steps = vec![0_i64; points.len() + 1];
    for (_, hole) in holes {
        for run in points.within_contour(hole) {
            for (slot, step) in [(run.start, 1), (run.end, -1)] {
                if let Some(at) = steps.get_mut(slot) {
                    *at += step;
                }
            }
        }
    }
    let times = steps.iter().scan(0, |times, step| {
        *times += step;
        Some(*times)
    });
    let numbers = points.numbers.iter().zip(times);
    // Each lies in its own.
    numbers
        .filter(|(_, times)| *times > 1)
        .map(|(number, _)| *number)
        .collect()
}
