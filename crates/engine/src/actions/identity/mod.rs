//! Who people are: proof of identity, sign-in and sessions, re-authentication, one-time links, and the administration
//! of people.

mod account;
mod console;
mod invitations;
mod link_proof;
mod links;
mod origin;
mod password_proof;
mod people;
mod proof;
mod proven;
mod reauthentication;
mod refusal_log;
mod sessions;
mod sign_in;

pub use console::NewPerson;
pub use origin::Origin;
pub use people::Access;
pub use proof::Proof;
pub use sessions::SignedIn;
