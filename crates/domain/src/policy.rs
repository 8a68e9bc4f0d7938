//! Who may do what: one table for all pages, actions, streams and files of the server.
//! Everything that is not in the table is refused.

use crate::action::Action;
use crate::pages::Page;
use crate::role::Role;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// A page, read with GET.
    Page,
    /// A server function that changes something, POST only.
    Action(Action),
    /// The event stream, or data read by an island.
    Stream,
    /// A file: styles, WASM, images; a log or a report to download.
    File,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The routes that are neither pages nor actions.
const OTHER_ROUTES: &[Rule] = &[
    // Without a session.
    rule("/healthz", RouteKind::File, Who::Anyone),
    rule("/pkg/{*rest}", RouteKind::File, Who::Anyone),
    rule("/favicon.svg", RouteKind::File, Who::Anyone),
    // Files and streams.
    rule("/board.json", RouteKind::File, Who::SignedIn),
    rule("/ownership.md", RouteKind::File, Who::SignedIn),
    rule("/incidents/{id}/report.md", RouteKind::File, Who::SignedIn),
    rule("/runs/{id}/log", RouteKind::File, Who::SignedIn),
    rule("/runs/{id}/lines", RouteKind::Stream, Who::SignedIn),
    rule("/events", RouteKind::Stream, Who::SignedIn),
];

const RULE_COUNT: usize = Page::ALL.len() + Action::ALL.len() + OTHER_ROUTES.len();

/// The table: the pages of [`crate::pages`], the actions of [`crate::action`], then everything else.
pub const RULES: &[Rule] = &table();

const fn table() -> [Rule; RULE_COUNT] {
    let mut rules = [OTHER_ROUTES[0]; RULE_COUNT];
    let mut i = 0;
    while i < RULE_COUNT {
        rules[i] = if i < Page::ALL.len() {
            let page = Page::ALL[i];
            rule(page.path(), RouteKind::Page, page.readers())
        } else if i < Page::ALL.len() + Action::ALL.len() {
            let action = Action::ALL[i - Page::ALL.len()];
            rule(action.path(), RouteKind::Action(action), action.who())
        } else {
            OTHER_ROUTES[i - Page::ALL.len() - Action::ALL.len()]
        };
        i += 1;
    }
    rules
}

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

/// Whether a person with `roles` may do this; pages disable refused actions.
pub fn may(action: Action, roles: &[Role]) -> bool {
    admits(action.who(), Some(roles))
}

/// Who may do this, as text: `DevOps or Backend`.
pub fn who_may(action: Action) -> String {
    match action.who() {
        Who::Anyone => "anyone".to_owned(),
        Who::SignedIn => "signed-in users".to_owned(),
        Who::GateOwner => "the owners of the gate".to_owned(),
        Who::Signer => "holders of the role".to_owned(),
        Who::Roles(roles) => {
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
        for action in Action::ALL.iter().copied() {
            let rule = rule_for(action.path()).unwrap();
            assert_eq!((rule.kind, rule.who), (RouteKind::Action(action), action.who()));
            assert_eq!(admits(rule.who, None), rule.who == Who::Anyone, "{action:?}");
            for role in Role::ALL {
                let want = match rule.who {
                    Who::Anyone | Who::SignedIn => true,
                    Who::GateOwner | Who::Signer => role != Role::Admin,
                    Who::Roles(roles) => roles.contains(&role),
                };
                assert_eq!(may(action, &[role]), want, "{action:?} {role}");
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
        let is_open = |action: &Action| admits(action.who(), None);
        let open: Vec<Action> = Action::ALL.iter().copied().filter(is_open).collect();
        assert_eq!(open, [Action::SignIn, Action::UseLink]);
    }
}
