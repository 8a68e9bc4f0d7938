//! Files read and written with bounds and off the async threads, the clock, and room reserved on the disk.

pub mod clock;
pub mod disk_reserve;
pub mod files;
