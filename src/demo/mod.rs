//! (empty)

pub mod smtp_capture;
