//! `stagegate user`: manages people from the console, for the administrator of the host.

use std::process::ExitCode;

use domain::role::Role;
use engine::NewPerson;
use store::links::LinkKind;

use super::{CommandResult, open};
use crate::cli::User;
use crate::console;

/// Executes the action. Links are printed as paths: the console does not know the public address.
pub async fn run(action: User) -> CommandResult {
    match action {
        User::Add { stack, login, name, roles } => {
            let roles = parse(&roles)?;
            let engine = open(&stack).await?;
            let name = name.unwrap_or_else(|| login.clone());
            let path = engine.add_person(&NewPerson { name, login: login.clone(), roles }).await?;
            console::line(format_args!(
                "The person {login} was added. One-time link, valid for seven days:\n  {path}"
            ))?;
            console::line(format_args!(
                "Add the server's address in front of it, such as http://stagegate.localhost:4400."
            ))?;
        }
        User::Roles { stack, login, roles } => {
            let roles = parse(&roles)?;
            let engine = open(&stack).await?;
            engine.set_roles_from_console(&login, &roles).await?;
            let words: Vec<&str> = roles.iter().map(|r| r.label()).collect();
            match words.as_slice() {
                [] => console::line(format_args!("{login} has no roles now."))?,
                _ => console::line(format_args!("Roles of {login}: {}.", words.join(", ")))?,
            }
            console::line(format_args!("A running server applies the change within seconds."))?;
        }
        User::Reset { stack, login } => {
            let engine = open(&stack).await?;
            let path = engine.person_link(&login, LinkKind::Reset).await?;
            console::line(format_args!(
                "The old password of {login} no longer works. One-time link, valid for seven days:\n  {path}"
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(words: &[String]) -> Result<Vec<Role>, domain::role::UnknownRole> {
    words.iter().map(|w| w.parse()).collect()
}
