//! Bounded file access off the async threads, the clock, and reserved disk space.

pub mod clock;
pub mod disk_reserve;
pub mod files;
