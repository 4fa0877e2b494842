//! Estimators, assignment, complaints and the report.

mod complaints;
mod end_to_end;
mod estimators;
mod holdout;
mod world;
