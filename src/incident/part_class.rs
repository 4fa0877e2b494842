//! What kind of part has failed: faults of one class are repaired by the same people in the same way.

use crate::topology::{ElementKind, Network, Part};
use serde::{Deserialize, Serialize};

/// Class of the parts that a cause names.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum PartClass {
    /// The equipment of one home.
    Home,
    Splitter,
    /// A PON port.
    Port,
    Olt,
    /// A CMTS or a fibre node.
    Cable,
    Cell,
    /// A router, a switch or a BNG.
    Transport,
    PowerFeed,
    Link,
    /// A shared-risk group, a duct or a cabinet.
    Group,
    /// An element of the kind `other`.
    Other,
    /// Parts of several classes.
    Several,
    /// No part that the network knows.
    #[default]
    Unknown,
}

impl PartClass {
    /// Every class.
    pub const ALL: [Self; 13] = [
        Self::Home,
        Self::Splitter,
        Self::Port,
        Self::Olt,
        Self::Cable,
        Self::Cell,
        Self::Transport,
        Self::PowerFeed,
        Self::Link,
        Self::Group,
        Self::Other,
        Self::Several,
        Self::Unknown,
    ];

    /// Name in the database and the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Splitter => "splitter",
            Self::Port => "port",
            Self::Olt => "olt",
            Self::Cable => "cable",
            Self::Cell => "cell",
            Self::Transport => "transport",
            Self::PowerFeed => "power_feed",
            Self::Link => "link",
            Self::Group => "group",
            Self::Other => "other",
            Self::Several => "several",
            Self::Unknown => "unknown",
        }
    }

    /// The class of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// The class that all of `parts` have.
    pub fn of(parts: &[Part], network: &Network) -> Self {
        let mut classes = parts.iter().map(|part| Self::of_part(*part, network));
        match classes.next() {
            None => Self::Unknown,
            Some(first) if classes.all(|class| class == first) => first,
            Some(_) => Self::Several,
        }
    }

    fn of_part(part: Part, network: &Network) -> Self {
        let element = match part {
            Part::Link(_) => return Self::Link,
            Part::Group(_) => return Self::Group,
            Part::Element(element) => element,
        };
        match network.kind(element) {
            ElementKind::Router | ElementKind::Switch | ElementKind::Bng => Self::Transport,
            ElementKind::Olt => Self::Olt,
            ElementKind::PonPort => Self::Port,
            ElementKind::Splitter => Self::Splitter,
            ElementKind::Ont => Self::Home,
            ElementKind::Cmts | ElementKind::FibreNode => Self::Cable,
            ElementKind::Cell => Self::Cell,
            ElementKind::PowerFeed => Self::PowerFeed,
            ElementKind::Duct | ElementKind::Cabinet => Self::Group,
            ElementKind::Other => Self::Other,
        }
    }
}
