//! Who people are: sign-in, one-time links, the administration of people, and the confirmation of an action by the
//! password.

mod links;
mod people;
mod sign_in;

pub use links::NewPerson;
pub(crate) use links::token_hash;
pub use people::Access;
pub use sign_in::{Origin, SignedIn};
