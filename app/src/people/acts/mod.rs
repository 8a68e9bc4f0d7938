//! The server functions of accounts. The engine checks and decides. A password is never kept to fill in a form
//! again.

mod account;
mod admin;
mod invitations;
mod link;
pub mod session;
mod sign_in;

pub(super) use account::ChangePassword;
pub(crate) use account::SignOut;
pub(super) use admin::{DisablePerson, ResetPerson, SetRoles};
pub(super) use invitations::{Invite, WithdrawInvitation};
pub(super) use link::UseLink;
pub(super) use sign_in::SignIn;

use engine::{Done, Error, FormField};

use crate::ssr::local_path;

/// The two fields of a new password must be equal.
fn same(password: &str, again: &str) -> Result<(), Error> {
    if password == again {
        Ok(())
    } else {
        Err(Error::invalid(
            "The two passwords are different. Nothing was changed. Enter the same password twice.",
        )
        .in_field(FormField::RepeatedPassword))
    }
}

fn go_to(page: &str) -> Done {
    Done { to: local_path(page), said: String::new() }
}
