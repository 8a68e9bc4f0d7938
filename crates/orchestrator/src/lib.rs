//! Renders, observes, deploys and rolls back the stack. The only crate that uses Docker.

pub mod compose;
