//! Causes that people declare, beside those that alarms show: areas, faults that an operator opens by
//! hand, and planned work.
//!
//! - What a declaration explains follows from it, the network, the alarms and the instant, not from
//!   the order in which they came.
//! - An alarm that a declaration explains does not reach the localisation: it backs the declared
//!   cause, or is part of the planned work.
//! - A declaration that opens no incident explains nothing, unless it is planned work: no alarm
//!   vanishes behind an area that holds nobody.

mod cause;
mod standing;
mod statement;

pub(in crate::incident) use cause::{Stated, cause_text, combined_impact};
pub(in crate::incident) use standing::Declared;
pub use statement::{Declaration, DeclarationEnd, DeclarationId, DeclarationRef, Statement};
