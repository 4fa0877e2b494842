//! When it happens: one step function and one thin loop each.

pub mod correlator;
pub mod difference;
pub mod dispatcher;
pub mod housekeeper;
pub mod importer;
pub mod live;
pub mod meter;
