//! Deny by default: the server does not start while a route or server function is not in the policy
//! table, or the table names one that does not exist.

use std::collections::BTreeSet;

use domain::policy::RULES;

/// The routes and the policy table do not agree.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the policy table and the routes do not match: {}", problems.join("; "))]
pub struct RoutesError {
    problems: Vec<String>,
}

/// Compares everything that is served with the table.
pub fn check<'a>(served: impl IntoIterator<Item = &'a str>) -> Result<(), RoutesError> {
    let served: BTreeSet<&str> = served.into_iter().collect();
    let stated: BTreeSet<&str> = RULES.iter().map(|r| r.path).collect();
    let mut problems: Vec<String> =
        served.difference(&stated).map(|p| format!("{p} has no policy")).collect();
    problems.extend(stated.difference(&served).map(|p| format!("{p} has a policy but is not served")));
    if problems.is_empty() { Ok(()) } else { Err(RoutesError { problems }) }
}

#[cfg(test)]
mod tests {
    use domain::action::Action;

    use super::*;

    #[test]
    fn a_route_without_a_policy_is_found() {
        let mut served: Vec<&str> = RULES.iter().map(|r| r.path).collect();
        assert_eq!(check(served.clone()), Ok(()));
        served.push("/secret");
        assert!(check(served.clone()).unwrap_err().to_string().contains("/secret has no policy"));
        served.retain(|p| *p != "/secret" && *p != "/api/deploy");
        assert!(check(served).unwrap_err().to_string().contains("/api/deploy has a policy but"));
    }

    #[test]
    fn each_action_has_its_server_function() {
        let served: BTreeSet<&str> =
            leptos::server_fn::axum::server_fn_paths().map(|(path, _)| path).collect();
        assert_eq!(served, Action::ALL.iter().map(|action| action.path()).collect());
        let mut all: Vec<&str> = RULES.iter().map(|r| r.path).collect();
        all.push("/api/rename_action");
        assert!(check(all).unwrap_err().to_string().contains("/api/rename_action has no policy"));
    }
}
