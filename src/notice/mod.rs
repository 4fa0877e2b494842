//! Notices: who is told what, when, and why not.

pub mod compose;
pub mod gate;
pub mod plan;
pub mod template;
