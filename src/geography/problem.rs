//! What is wrong with an area, and what is odd about it.

use std::fmt;

/// Why an area is refused: one fault at one place of what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct AreaError {
    /// Where, for instance `features[2].coordinates[0][1]` or `info[1].area[1].polygon[1]`.
    pub place: String,
    pub fault: AreaFault,
}

/// What an area may not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AreaFault {
    #[error("expected {expected}, found {found}")]
    Unreadable {
        expected: &'static str,
        found: String,
    },
    #[error("the ring is not closed: its last point must repeat its first")]
    UnclosedRing,
    #[error("the ring has {0} points: expected at least 4, the last repeating the first")]
    TooFewPoints(usize),
    #[error("more than {MOST_POINTS} points")]
    TooManyPoints,
    #[error("`{0}` is not a number that can be a coordinate or a length")]
    NotANumber(String),
    #[error("latitude {0} is not between -90 and 90{hint}", hint = swap_hint(.0))]
    Latitude(String),
    #[error("longitude {0} is not between -180 and 180")]
    Longitude(String),
    #[error("radius {0} m is not greater than 0 and at most {LARGEST_RADIUS_M} m")]
    Radius(String),
    #[error(
        "the ring goes around a pole: cut it at the antimeridian and let it run along the pole \
         (RFC 7946, 3.1.9)"
    )]
    AroundPole,
    #[error(
        "it has no size, and nothing else is in the area: all points of a ring lie on one line, or \
         the radius of a circle is 0"
    )]
    NoSize,
    #[error("there is no polygon and no circle in it")]
    NoShape,
}

/// Most points that one area may have: a coast at full detail has some tens of thousands.
pub const MOST_POINTS: usize = 200_000;
/// A larger disc is a slip of units.
pub const LARGEST_RADIUS_M: f64 = 5_000_000.0;

impl AreaError {
    pub(super) fn new(place: impl Into<String>, fault: AreaFault) -> Self {
        Self {
            place: place.into(),
            fault,
        }
    }
}

/// A number beyond 90 that would do as a longitude.
fn swap_hint(latitude: &str) -> &'static str {
    match latitude.parse::<f64>() {
        Ok(value) if value.abs() <= 180.0 => "; are latitude and longitude swapped?",
        _ => "",
    }
}

/// What is odd about an area, though it can be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AreaWarning {
    /// Rings of one polygon cross each other or themselves.
    SelfCrossing { place: String },
    /// A polygon is too entangled to be checked for crossings in reasonable time.
    CrossingsUnchecked { place: String },
    /// A hole lies outside the outline, or around it.
    HoleOutside { place: String },
    /// A hole lies within another hole, around it, or upon it.
    HolesOverlap { place: String },
    /// A ring jumps by more than 180 degrees of longitude.
    CrossesAntimeridian { place: String },
    /// A ring or circle without size was left out.
    NoSize { place: String },
    /// A named part of an alert, or a feature that is located nowhere (RFC 7946, 3.2), has no shape.
    NoShape { place: String, name: String },
    /// The parts of an alert do not agree on the time.
    DifferentTimes { onset: String, expires: String },
    /// The alert is a test or a draft.
    NotActual { status: String },
    /// No subscriber lives inside.
    HoldsNobody,
    /// Nobody lives inside, but many would with latitude and longitude swapped.
    AxesSwapped { subscribers: usize },
    /// The area covers latitude 0, longitude 0, and premises claim to be there.
    NullIsland { premises: usize },
    /// So many subscribers have no position: none of them can be found inside of anything.
    Unplaced { subscribers: usize, of: usize },
}

impl AreaWarning {
    /// Name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SelfCrossing { .. } => "self_crossing",
            Self::CrossingsUnchecked { .. } => "crossings_unchecked",
            Self::HoleOutside { .. } => "hole_outside",
            Self::HolesOverlap { .. } => "holes_overlap",
            Self::CrossesAntimeridian { .. } => "crosses_antimeridian",
            Self::NoSize { .. } => "no_size",
            Self::NoShape { .. } => "no_shape",
            Self::DifferentTimes { .. } => "different_times",
            Self::NotActual { .. } => "not_actual",
            Self::HoldsNobody => "holds_nobody",
            Self::AxesSwapped { .. } => "axes_swapped",
            Self::NullIsland { .. } => "null_island",
            Self::Unplaced { .. } => "unplaced",
        }
    }
}

impl fmt::Display for AreaWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfCrossing { place } => write!(
                f,
                "{place}: the outline crosses itself or a hole; what one ring encloses an even \
                 number of times counts as outside of it"
            ),
            Self::CrossingsUnchecked { place } => write!(
                f,
                "{place}: the outline is too entangled to be checked for crossing itself"
            ),
            Self::HoleOutside { place } => write!(
                f,
                "{place}: a hole does not lie within the outline; what is inside of it is not \
                 inside the area"
            ),
            Self::HolesOverlap { place } => write!(
                f,
                "{place}: a hole overlaps another one; what is inside of either is not inside the \
                 area"
            ),
            Self::CrossesAntimeridian { place } => write!(
                f,
                "{place}: an edge jumps by more than 180 degrees of longitude; it was taken the \
                 short way, across the antimeridian"
            ),
            Self::NoSize { place } => {
                write!(f, "{place}: a ring or circle without size was left out")
            }
            Self::NoShape { place, name } if name.is_empty() => {
                write!(
                    f,
                    "{place}: it has no polygon and no circle, and was left out"
                )
            }
            Self::NoShape { place, name } => write!(
                f,
                "{place}: \"{name}\" has no polygon and no circle; it was left out"
            ),
            Self::DifferentTimes { onset, expires } => write!(
                f,
                "the parts of the alert differ in time; the earliest onset, {onset}, and the \
                 latest end, {expires}, were taken"
            ),
            Self::NotActual { status } => {
                write!(
                    f,
                    "the status of the alert is {status}: it is not meant in earnest"
                )
            }
            Self::HoldsNobody => write!(f, "no subscriber lives inside this area"),
            Self::AxesSwapped { subscribers } => write!(
                f,
                "nobody lives inside, but {subscribers} subscribers would if latitude and \
                 longitude were swapped: they most likely are"
            ),
            Self::NullIsland { premises } => write!(
                f,
                "{premises} subscribers inside stand at latitude 0, longitude 0, which is what a \
                 failed geocoder writes"
            ),
            Self::Unplaced { subscribers, of } => write!(
                f,
                "{subscribers} of {of} subscribers have no position and were not looked for"
            ),
        }
    }
}
