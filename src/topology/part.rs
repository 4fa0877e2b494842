//! What can fail, by number.

/// Number of an element, valid within one [`super::Network`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ElementNo(pub u32);

/// Number of a link, valid within one [`super::Network`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkNo(pub u32);

/// Number of a shared-risk group, valid within one [`super::Network`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupNo(pub u32);

/// What can fail: an element, a link, or a shared-risk group, which fails all its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Element(ElementNo),
    Link(LinkNo),
    Group(GroupNo),
}
