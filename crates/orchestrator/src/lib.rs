//! What runs the stack: renders, observes, deploys and rolls back. The only crate that knows Docker.

pub mod compose;
