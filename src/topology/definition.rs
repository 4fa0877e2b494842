//! A network as it is described by an importer: what there is, before anything is computed.

use serde::{Deserialize, Serialize};

/// A whole network, by external ids. Order carries no meaning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkDefinition {
    pub sites: Vec<Site>,
    pub elements: Vec<Element>,
    pub links: Vec<Link>,
    pub groups: Vec<SharedRiskGroup>,
}

/// Degrees, WGS 84.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
}

/// Where elements stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    pub id: String,
    pub name: String,
    pub position: Option<Position>,
}

/// Kind of an element (after ITU-T M.3100 and TMF639).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementKind {
    Router,
    Switch,
    Bng,
    Olt,
    PonPort,
    Splitter,
    Ont,
    Cmts,
    FibreNode,
    Cell,
    PowerFeed,
    Duct,
    Cabinet,
    Other,
}

impl ElementKind {
    /// Every kind, in declaration order.
    pub const ALL: [Self; 14] = [
        Self::Router,
        Self::Switch,
        Self::Bng,
        Self::Olt,
        Self::PonPort,
        Self::Splitter,
        Self::Ont,
        Self::Cmts,
        Self::FibreNode,
        Self::Cell,
        Self::PowerFeed,
        Self::Duct,
        Self::Cabinet,
        Self::Other,
    ];

    /// Name in import formats, the interface and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Switch => "switch",
            Self::Bng => "bng",
            Self::Olt => "olt",
            Self::PonPort => "pon_port",
            Self::Splitter => "splitter",
            Self::Ont => "ont",
            Self::Cmts => "cmts",
            Self::FibreNode => "fibre_node",
            Self::Cell => "cell",
            Self::PowerFeed => "power_feed",
            Self::Duct => "duct",
            Self::Cabinet => "cabinet",
            Self::Other => "other",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether such an element carries the traffic of others unless the data say otherwise.
    pub fn transits_by_default(self) -> bool {
        matches!(self, Self::Router | Self::Switch | Self::Bng | Self::Other)
    }
}

/// Which of several parents an element or a subscriber needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redundancy {
    /// One parent with service is enough.
    Any,
    /// Every parent must have service.
    All,
}

/// A network element or passive part.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    pub id: String,
    pub kind: ElementKind,
    pub name: String,
    /// Id of a site.
    pub site: Option<String>,
    /// Service is supplied from here.
    pub gateway: bool,
    /// Whether traffic of others may pass through; `None` takes the default of the kind.
    pub transit: Option<bool>,
    /// Needed when an element without transit has several incoming links.
    pub redundancy: Option<Redundancy>,
    /// Minutes that it runs without mains power; `None`: what the settings say of its kind.
    pub battery_minutes: Option<u32>,
}

/// A connection of two elements.
///
/// Service runs both ways over a link that carries transit, otherwise from `a` to `b` only.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub id: String,
    /// The end nearer to the gateways.
    pub a: String,
    pub b: String,
    /// `None`: carries transit if both ends do.
    pub transit: Option<bool>,
}

/// Kind of a shared-risk group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    Duct,
    Cable,
    Cabinet,
    PowerFeed,
    Site,
    Other,
}

impl GroupKind {
    /// Every kind, in declaration order.
    pub const ALL: [Self; 6] = [
        Self::Duct,
        Self::Cable,
        Self::Cabinet,
        Self::PowerFeed,
        Self::Site,
        Self::Other,
    ];

    /// Name in import formats, the interface and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duct => "duct",
            Self::Cable => "cable",
            Self::Cabinet => "cabinet",
            Self::PowerFeed => "power_feed",
            Self::Site => "site",
            Self::Other => "other",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Elements and links that fail together.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedRiskGroup {
    pub id: String,
    pub kind: GroupKind,
    pub name: String,
    /// Ids of elements and links.
    pub members: Vec<String>,
}

/// What serves one subscriber: an entry of the network's attachment list.
///
/// The index of an attachment in that list is the subscriber's number ([`SubscriberNo`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    pub account: String,
    /// Ids of the elements that serve the account, usually one ONT.
    pub served_by: Vec<String>,
    /// Meaningful when there are several.
    pub redundancy: Redundancy,
}

/// Index of a subscriber in the import that is current; not a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriberNo(pub u32);
