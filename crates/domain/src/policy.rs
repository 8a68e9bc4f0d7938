//! Who may do what: one table for all pages, actions, streams and files of the server.
//! Everything that is not in the table is refused.

use serde::{Deserialize, Serialize};

use crate::pages::Page;
use crate::role::Role;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Who {
    /// Anyone, signed in or not.
    Anyone,
    /// All signed-in users.
    SignedIn,
    /// Holders of one of these roles.
    Roles(&'static [Role]),
    /// Owners of the gate; decided by the engine, which knows the gate.
    GateOwner,
    /// Holders of the signing role; decided by the engine.
    Signer,
}

/// What kind of route it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteKind {
    /// A page, read with GET.
    Page,
    /// A server function that changes something, POST only.
    Action,
    /// The event stream, or data read by an island.
    Stream,
    /// A file: styles, WASM, images; a log or a report to download.
    File,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Path; `{x}` matches one segment, a trailing `{*rest}` matches the rest.
    pub path: &'static str,
    /// What kind of route it is.
    pub kind: RouteKind,
    /// Who may use it.
    pub who: Who,
}

const fn rule(path: &'static str, kind: RouteKind, who: Who) -> Rule {
    Rule { path, kind, who }
}

const OPERATORS: Who = Who::Roles(&[Role::DevOps, Role::Backend, Role::Frontend, Role::Qa, Role::Security]);
const DEPLOYERS: Who = Who::Roles(&[Role::DevOps, Role::Backend]);
const ROLLBACK_ROLES: Who =
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

/// Everything that is not a page.
const OTHER_RULES: &[Rule] = &[
    // Without a session.
    rule("/healthz", RouteKind::File, Who::Anyone),
    rule("/pkg/{*rest}", RouteKind::File, Who::Anyone),
    rule("/favicon.svg", RouteKind::File, Who::Anyone),
    rule("/api/sign_in", RouteKind::Action, Who::Anyone),
    rule("/api/use_link", RouteKind::Action, Who::Anyone),
    // Files and streams.
    rule("/board.json", RouteKind::File, Who::SignedIn),
    rule("/ownership.md", RouteKind::File, Who::SignedIn),
    rule("/incidents/{id}/report.md", RouteKind::File, Who::SignedIn),
    rule("/runs/{id}/log", RouteKind::File, Who::SignedIn),
    rule("/runs/{id}/lines", RouteKind::Stream, Who::SignedIn),
    rule("/events", RouteKind::Stream, Who::SignedIn),
    // Actions.
    rule("/api/sign_out", RouteKind::Action, Who::SignedIn),
    rule("/api/change_password", RouteKind::Action, Who::SignedIn),
    rule("/api/open_release", RouteKind::Action, OPERATORS),
    rule("/api/run_step", RouteKind::Action, OPERATORS),
    rule("/api/run_check", RouteKind::Action, OPERATORS),
    rule("/api/run_gate", RouteKind::Action, OPERATORS),
    rule("/api/cancel_run", RouteKind::Action, OPERATORS),
    rule("/api/deploy", RouteKind::Action, DEPLOYERS),
    rule("/api/roll_back", RouteKind::Action, ROLLBACK_ROLES),
    rule("/api/clean_restart", RouteKind::Action, ROLLBACK_ROLES),
    rule("/api/drill", RouteKind::Action, DEPLOYERS),
    rule("/api/name_cause", RouteKind::Action, DRIS),
    rule("/api/add_follow_up", RouteKind::Action, DRIS),
    rule("/api/finish_follow_up", RouteKind::Action, DRIS),
    rule("/api/attest", RouteKind::Action, Who::GateOwner),
    rule("/api/accept_gate", RouteKind::Action, Who::GateOwner),
    rule("/api/waive", RouteKind::Action, WAIVERS),
    rule("/api/end_waiver", RouteKind::Action, WAIVERS),
    rule("/api/sign_off", RouteKind::Action, Who::Signer),
    rule("/api/decide", RouteKind::Action, PO),
    rule("/api/fill_field", RouteKind::Action, DRIS),
    rule("/api/invite", RouteKind::Action, ADMIN),
    rule("/api/withdraw_invitation", RouteKind::Action, ADMIN),
    rule("/api/set_roles", RouteKind::Action, ADMIN),
    rule("/api/reset_person", RouteKind::Action, ADMIN),
    rule("/api/disable_person", RouteKind::Action, ADMIN),
    rule("/api/verify_everything", RouteKind::Action, ADMIN),
];

const RULE_COUNT: usize = Page::ALL.len() + OTHER_RULES.len();

const fn table() -> [Rule; RULE_COUNT] {
    let mut rules = [rule("", RouteKind::Page, Who::Anyone); RULE_COUNT];
    let mut at = 0;
    while at < RULE_COUNT {
        rules[at] = if at < Page::ALL.len() {
            let page = Page::ALL[at];
            rule(page.path(), RouteKind::Page, page.readers())
        } else {
            OTHER_RULES[at - Page::ALL.len()]
        };
        at += 1;
    }
    rules
}

/// The table: the pages of [`crate::pages`], then everything else.
pub const RULES: &[Rule] = &table();

/// The rule for a request path; `None` means refused.
pub fn rule_for(path: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| matches(r.path, path))
}

/// Whether a person with `roles` (`None`: not signed in) is admitted by `who`. For the two kinds that the
/// engine decides, this is only the first test.
pub fn admits(who: Who, roles: Option<&[Role]>) -> bool {
    match (who, roles) {
        (Who::Anyone, _) => true,
        (_, None) => false,
        (Who::SignedIn, Some(_)) => true,
        (Who::GateOwner | Who::Signer, Some(held)) => held.iter().any(|r| *r != Role::Admin),
        (Who::Roles(wanted), Some(held)) => held.iter().any(|r| wanted.contains(r)),
    }
}

/// Whether a person with `roles` may use the action `/api/<name>`; pages disable refused actions.
pub fn may(act: &str, roles: &[Role]) -> bool {
    RULES
        .iter()
        .find(|r| r.path.strip_prefix("/api/") == Some(act))
        .is_some_and(|r| admits(r.who, Some(roles)))
}

/// Who may use the action `/api/<name>`, as text: `DevOps or Backend`.
pub fn who_may(act: &str) -> String {
    match RULES.iter().find(|r| r.path.strip_prefix("/api/") == Some(act)).map(|r| r.who) {
        // Actions that are not in the table are refused for all users.
        None => "Stagegate itself".to_owned(),
        Some(Who::Anyone) => "anyone".to_owned(),
        Some(Who::SignedIn) => "signed-in users".to_owned(),
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

/// Whether a path matches the pattern of a [`Rule`].
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
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
    fn every_role_is_admitted_to_actions_as_in_the_table() {
        for rule in RULES.iter().filter(|r| r.kind == RouteKind::Action) {
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
    fn no_path_is_listed_twice() {
        for (i, rule) in RULES.iter().enumerate() {
            assert!(!rule.path.is_empty());
            assert!(RULES[i + 1..].iter().all(|r| r.path != rule.path), "{}", rule.path);
        }
    }

    #[test]
    fn pages_have_the_readers_of_their_row_and_no_row_hides_another() {
        let rules = RULES.iter().filter(|r| r.kind == RouteKind::Page).map(|r| (r.path, r.who));
        let pages = Page::ALL.iter().map(|page| (page.path(), page.readers()));
        assert_eq!(rules.collect::<Vec<_>>(), pages.collect::<Vec<_>>());
        for rule in RULES {
            assert_eq!(rule_for(rule.path), Some(rule), "{}", rule.path);
        }
    }

    #[test]
    fn only_sign_in_and_links_are_actions_without_a_session() {
        let open: Vec<&str> = RULES
            .iter()
            .filter(|r| r.kind == RouteKind::Action && r.who == Who::Anyone)
            .map(|r| r.path)
            .collect();
        assert_eq!(open, ["/api/sign_in", "/api/use_link"]);
    }
}
