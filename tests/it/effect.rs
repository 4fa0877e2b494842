//! Estimators, assignment, complaints and the report.

mod calls;
mod complaints;
mod end_to_end;
mod estimators;
mod holdout;
mod world;
