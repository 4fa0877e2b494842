//! The command line.

pub mod care;
pub mod client;
pub mod complaint;
pub mod config;
pub mod demo;
pub mod eta;
pub mod generate;
pub mod import;
pub mod incident;
pub mod notice;
pub mod report;
pub mod serve;
pub mod table;
pub mod token;
