//! One version of a network, ready to answer.

/// An immutable version of the network with its subscribers.
#[derive(Debug)]
pub struct Network {}
