//! How somebody proves who they are. Each way is a variant of [`Proof`], verified in a file of its own.

use super::origin::Origin;
use super::proven::Outcome;
use crate::Engine;
use crate::error::Error;
use auth::passwords::{LONGEST, Priority};
use store::people;

/// A login has at most so many characters.
const LONGEST_LOGIN: usize = 200;

/// What somebody sends to prove who they are.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// Login and password.
    Password {
        /// The login as typed.
        login: &'a str,
        /// The password as typed.
        password: &'a str,
    },
    /// A one-time link. It adds the person if they do not exist yet.
    Link {
        /// The token in the link's address.
        token: &'a str,
        /// The name of the first admin; other links have the person's name.
        name: &'a str,
        /// The login of the first admin; other links have the person's login.
        login: &'a str,
        /// The new password; ignored if the link asks for none.
        password: &'a str,
    },
}

impl std::fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Proof::Password { .. } => "Password(…)",
            Proof::Link { .. } => "Link(…)",
        })
    }
}

impl Proof<'_> {
    /// Whether the typed texts are short enough to be right. Nothing is looked up for a longer one.
    pub(super) fn fits(&self) -> bool {
        match self {
            Proof::Password { login, password } => {
                !is_longer(login, LONGEST_LOGIN) && !is_longer(password, LONGEST)
            }
            // The form of a token is checked where it is read; name, login and password by the rules for new ones.
            Proof::Link { .. } => true,
        }
    }

    /// The login whose attempts are limited, in its stored form. `None`: the proof cannot be guessed, so attempts are
    /// not counted.
    pub(super) fn limited_login(&self) -> Option<String> {
        match self {
            Proof::Password { login, .. } => Some(people::normal_login(login)),
            Proof::Link { .. } => None,
        }
    }
}

impl Engine {
    /// Verifies a proof. `priority` is for proofs that wait for the password queue.
    ///
    /// # Errors
    /// The proof could not be verified, or is refused for a reason that the person may know.
    pub(super) async fn verify(
        &self,
        proof: &Proof<'_>,
        from: Origin<'_>,
        priority: Priority,
    ) -> Result<Outcome, Error> {
        match *proof {
            Proof::Password { login, password } => {
                self.verify_password(&people::normal_login(login), password, priority).await
            }
            Proof::Link { token, name, login, password } => {
                self.verify_link(token, name, login, password, from.ip).await
            }
        }
    }
}

/// Whether a text has more characters than this; reads no more of it than necessary.
fn is_longer(text: &str, longest: usize) -> bool {
    text.chars().nth(longest).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password<'a>(login: &'a str, password: &'a str) -> Proof<'a> {
        Proof::Password { login, password }
    }

    #[test]
    fn a_proof_does_not_show_what_was_typed() {
        let link = Proof::Link { token: "hidden", name: "hidden", login: "hidden", password: "hidden" };
        for proof in [password("hidden", "hidden"), link] {
            assert!(!format!("{proof:?}").contains("hidden"), "{proof:?}");
        }
    }

    #[test]
    fn a_login_is_limited_however_it_is_typed_and_a_link_is_not() {
        assert_eq!(password(" ADA ", "x").limited_login().as_deref(), Some("ada"));
        let link = Proof::Link { token: "x", name: "", login: "ada", password: "" };
        assert_eq!(link.limited_login(), None);
    }

    #[test]
    fn texts_that_are_too_long_are_not_looked_up() {
        let (login, long) = ("ä".repeat(LONGEST_LOGIN), "ä".repeat(LONGEST));
        assert!(password(&login, &long).fits());
        assert!(!password(&format!("{login}x"), &long).fits());
        assert!(!password(&login, &format!("{long}x")).fits());
    }
}
