//! When it happens: one step function and one thin loop each.

pub mod alarm_log;
pub mod alarm_query;
pub mod correlator;
pub mod declarations;
pub mod detector;
pub mod difference;
pub mod dispatcher;
pub mod housekeeper;
pub mod importer;
pub mod intake;
pub mod live;
pub mod meter;
pub mod pace;
pub mod planner;
mod restart;
pub mod tail;
