//! What comes of a proof, before anyone is signed in.

use domain::facts::Actor;

/// The outcome of verifying a proof. A way to prove who one is that takes several requests adds its state here, and the
/// match in `sign_in.rs` says what follows from it.
pub(super) enum Outcome {
    /// The proof is right.
    Proven(Proven),
    /// The proof is wrong, or there is no such person: the answer must not reveal which.
    Wrong,
}

/// A person who has given one right proof. Whether that is enough to be signed in is decided in `sign_in.rs`: only it
/// makes a [`SignedIn`](super::SignedIn) of it, and only that opens a session.
pub(super) struct Proven {
    pub actor: Actor,
    pub credential: Credential,
}

/// What the person has used.
pub(super) enum Credential {
    /// Their password. `hash` is the stored hash that it matched.
    Password { login: String, hash: String },
    /// A one-time link, with the hash of their password after its use; `None`: they have none.
    Link { password_hash: Option<String> },
}
