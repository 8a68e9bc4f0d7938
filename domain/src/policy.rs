//! Who may do what: one table for every page, act, stream and file that the server offers.
//! What is not in the table is refused.

use serde::{Deserialize, Serialize};

use crate::role::Role;

/// Who may use a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Who {
    /// Anybody, signed in or not.
    Anyone,
    /// Everybody who is signed in.
    SignedIn,
    /// Holders of one of these roles.
    Roles(&'static [Role]),
    /// Owners of the gate concerned; the engine, which knows the gate, decides.
    GateOwner,
    /// Holders of the signing role concerned; the engine decides.
    Signer,
}

/// What kind of door it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Door {
    /// A page, read with GET.
    Page,
    /// A server function that changes something, POST only.
    Act,
    /// The event stream, or data read by an island.
    Stream,
    /// A file: styles, WASM, images; a log or a report to download.
    File,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Path; `{x}` stands for one segment, a trailing `{*rest}` for the rest.
    pub path: &'static str,
    /// What kind of door it is.
    pub door: Door,
    /// Who may use it.
    pub who: Who,
}

const fn rule(path: &'static str, door: Door, who: Who) -> Rule {
    Rule { path, door, who }
}

const OPERATORS: Who = Who::Roles(&[Role::DevOps, Role::Backend, Role::Frontend, Role::Qa, Role::Security]);
const DEPLOYERS: Who = Who::Roles(&[Role::DevOps, Role::Backend]);
const RETURNERS: Who =
    Who::Roles(&[Role::DevOps, Role::Backend, Role::Frontend, Role::Qa, Role::Security, Role::Po]);
const DRIS: Who = Who::Roles(&[
    Role::DevOps,
    Role::Backend,
    Role::Frontend,
    Role::Qa,
    Role::Security,
    Role::Docs,
    Role::Po,
]);
const WAIVERS: Who = Who::Roles(&[Role::Security, Role::Po]);
const PO: Who = Who::Roles(&[Role::Po]);
const ADMIN: Who = Who::Roles(&[Role::Admin]);

/// The table.
pub const RULES: &[Rule] = &[
    // Doors without a session.
    rule("/sign-in", Door::Page, Who::Anyone),
    rule("/link/{token}", Door::Page, Who::Anyone),
    rule("/healthz", Door::File, Who::Anyone),
    rule("/pkg/{*rest}", Door::File, Who::Anyone),
    rule("/favicon.svg", Door::File, Who::Anyone),
    rule("/api/sign_in", Door::Act, Who::Anyone),
    rule("/api/use_link", Door::Act, Who::Anyone),
    // Pages.
    rule("/", Door::Page, Who::SignedIn),
    rule("/board.json", Door::File, Who::SignedIn),
    rule("/gates/{id}", Door::Page, Who::SignedIn),
    rule("/matrix", Door::Page, Who::SignedIn),
    rule("/sign-offs", Door::Page, Who::SignedIn),
    rule("/ownership", Door::Page, Who::SignedIn),
    rule("/ownership/{id}", Door::Page, Who::SignedIn),
    rule("/ownership.md", Door::File, Who::SignedIn),
    rule("/releases", Door::Page, Who::SignedIn),
    rule("/releases/{id}", Door::Page, Who::SignedIn),
    rule("/incidents", Door::Page, Who::SignedIn),
    rule("/incidents/{id}", Door::Page, Who::SignedIn),
    rule("/incidents/{id}/report.md", Door::File, Who::SignedIn),
    rule("/runs", Door::Page, Who::SignedIn),
    rule("/runs/{id}", Door::Page, Who::SignedIn),
    rule("/runs/{id}/log", Door::File, Who::SignedIn),
    rule("/runs/{id}/lines", Door::Stream, Who::SignedIn),
    rule("/events", Door::Stream, Who::SignedIn),
    rule("/activity", Door::Page, Who::SignedIn),
    rule("/runbook", Door::Page, Who::SignedIn),
    rule("/people", Door::Page, Who::SignedIn),
    rule("/account", Door::Page, Who::SignedIn),
    // Acts.
    rule("/api/sign_out", Door::Act, Who::SignedIn),
    rule("/api/change_password", Door::Act, Who::SignedIn),
    rule("/api/open_release", Door::Act, OPERATORS),
    rule("/api/run_step", Door::Act, OPERATORS),
    rule("/api/run_check", Door::Act, OPERATORS),
    rule("/api/run_gate", Door::Act, OPERATORS),
    rule("/api/cancel_run", Door::Act, OPERATORS),
    rule("/api/deploy", Door::Act, DEPLOYERS),
    rule("/api/roll_back", Door::Act, RETURNERS),
    rule("/api/clean_restart", Door::Act, RETURNERS),
    rule("/api/drill", Door::Act, DEPLOYERS),
    rule("/api/name_cause", Door::Act, DRIS),
    rule("/api/add_follow_up", Door::Act, DRIS),
    rule("/api/finish_follow_up", Door::Act, DRIS),
    rule("/api/attest", Door::Act, Who::GateOwner),
    rule("/api/accept_gate", Door::Act, Who::GateOwner),
    rule("/api/waive", Door::Act, WAIVERS),
    rule("/api/end_waiver", Door::Act, WAIVERS),
    rule("/api/sign_off", Door::Act, Who::Signer),
    rule("/api/decide", Door::Act, PO),
    rule("/api/fill_field", Door::Act, DRIS),
    rule("/api/invite", Door::Act, ADMIN),
    rule("/api/withdraw_invitation", Door::Act, ADMIN),
    rule("/api/set_roles", Door::Act, ADMIN),
    rule("/api/reset_person", Door::Act, ADMIN),
    rule("/api/disable_person", Door::Act, ADMIN),
    rule("/api/verify_everything", Door::Act, ADMIN),
];

/// The rule for a request path; `None` means refused.
pub fn rule_for(path: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| matches(r.path, path))
}

/// Whether somebody with `roles` (`None`: not signed in) passes `who`. For the two kinds that the
/// engine settles this only says whether they may ask.
pub fn admits(who: Who, roles: Option<&[Role]>) -> bool {
    match (who, roles) {
        (Who::Anyone, _) => true,
        (_, None) => false,
        (Who::SignedIn, Some(_)) => true,
        (Who::GateOwner | Who::Signer, Some(held)) => held.iter().any(|r| *r != Role::Admin),
        (Who::Roles(wanted), Some(held)) => held.iter().any(|r| wanted.contains(r)),
    }
}

/// Whether somebody with `roles` may use the act `/api/<name>`; pages disable what is refused.
pub fn may(act: &str, roles: &[Role]) -> bool {
    RULES
        .iter()
        .find(|r| r.path.strip_prefix("/api/") == Some(act))
        .is_some_and(|r| admits(r.who, Some(roles)))
}

/// Who may use the act `/api/<name>`, in words: `DevOps or Backend`.
pub fn who_may(act: &str) -> String {
    match RULES.iter().find(|r| r.path.strip_prefix("/api/") == Some(act)).map(|r| r.who) {
        None => "nobody".to_owned(),
        Some(Who::Anyone) => "anybody".to_owned(),
        Some(Who::SignedIn) => "everybody who is signed in".to_owned(),
        Some(Who::GateOwner) => "the owners of the gate".to_owned(),
        Some(Who::Signer) => "holders of the role".to_owned(),
        Some(Who::Roles(roles)) => {
            let names: Vec<&str> = roles.iter().map(|r| r.label()).collect();
            match names.split_last() {
                Some((last, rest)) if !rest.is_empty() => {
                    format!("{} or {last}", rest.join(", "))
                }
                _ => names.concat(),
            }
        }
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut wanted = pattern.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(w), Some(g)) if w.starts_with("{*") => return !g.is_empty(),
            (Some(w), Some(g)) if w.starts_with('{') => {
                if g.is_empty() {
                    return false;
                }
            }
            (Some(w), Some(g)) if w == g => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_table_is_refused() {
        for path in ["/nowhere", "/gates", "/gates/", "/gates/A/B", "/api", "/api/", "/API/deploy"] {
            assert_eq!(rule_for(path), None, "{path}");
        }
        assert_eq!(rule_for("/gates/A").map(|r| r.path), Some("/gates/{id}"));
        assert_eq!(rule_for("/pkg/a/b.wasm").map(|r| r.path), Some("/pkg/{*rest}"));
    }

    #[test]
    fn every_role_meets_every_act_as_the_table_says() {
        for rule in RULES.iter().filter(|r| r.door == Door::Act) {
            assert_eq!(admits(rule.who, None), rule.who == Who::Anyone, "{}", rule.path);
            for role in Role::ALL {
                let want = match rule.who {
                    Who::Anyone | Who::SignedIn => true,
                    Who::GateOwner | Who::Signer => role != Role::Admin,
                    Who::Roles(roles) => roles.contains(&role),
                };
                assert_eq!(admits(rule.who, Some(&[role])), want, "{} {role}", rule.path);
            }
        }
    }

    #[test]
    fn no_path_stands_twice() {
        for (i, rule) in RULES.iter().enumerate() {
            assert!(RULES[i + 1..].iter().all(|r| r.path != rule.path), "{}", rule.path);
        }
    }

    #[test]
    fn only_sign_in_and_links_act_without_a_session() {
        let open: Vec<&str> =
            RULES.iter().filter(|r| r.door == Door::Act && r.who == Who::Anyone).map(|r| r.path).collect();
        assert_eq!(open, ["/api/sign_in", "/api/use_link"]);
    }
}
