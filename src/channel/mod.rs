//! Ways to hand a notice to a person.

pub mod email;
