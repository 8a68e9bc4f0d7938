//! Checks of the monitoring: mistakes in their declarations.

use crate::{errors, load};

const HEAD: &str = "runbook = 'docs/staging.md'\n[stack]\n[[check]]\nid = 'a'\nproves = ['A.1']\n";
const PROMETHEUS: &str = "kind = 'prometheus'\nurl = 'http://a/'\n";

#[test]
fn valid_declarations_are_accepted() {
    for body in [
        format!("{PROMETHEUS}assert = 'query'\nquery = 'x'\nexpect = 'absent'"),
        format!("{PROMETHEUS}assert = 'target'\njob = 'x'\nwithin = '30s'"),
        format!("{PROMETHEUS}assert = 'rule'\nalert = 'x'\nfor = '10m'"),
        format!("{PROMETHEUS}assert = 'alert'\nalertmanager = 'http://b/'"),
        "kind = 'logs'\nsource = 'docker'\nassert = 'retention'\nkeep = '7d'".to_owned(),
    ] {
        assert!(load(&format!("{HEAD}{body}\n")).is_ok(), "{body}: {:?}", errors(&format!("{HEAD}{body}\n")));
    }
}

#[test]
fn mistakes_are_reported() {
    let prometheus = |body: &str| format!("{PROMETHEUS}{body}");
    for (body, message) in [
        (prometheus("assert = 'target'\njob = 'x'\nwithin = 'soon'"), "“soon” is not a duration"),
        (prometheus("assert = 'rule'\nalert = 'x'\nfor = '10 minutes'"), "“10 minutes” is not a duration"),
        (prometheus("assert = 'target'"), "this `assert` requires `job`"),
        (prometheus("assert = 'rule'"), "this `assert` requires `alert`"),
        (prometheus("assert = 'query'\nexpect = '< 1'"), "this `assert` requires `query`"),
        (prometheus("assert = 'alert'\nalert = 'x'"), "this `assert` requires `alertmanager`"),
        (prometheus("assert = 'query'\nquery = 'x'"), "a query without `expect`"),
        (
            prometheus("assert = 'alert'\nalert = 'x'\nalertmanager = 'http://b/'\nfire = 'x'"),
            "`fire` requires `alert` and `clear`",
        ),
        (
            prometheus("assert = 'target'\njob = 'x'\nexpect = 'absent'"),
            "“absent” is possible only with a pointer, a regex or a query",
        ),
        (
            "kind = 'logs'\nsource = 'docker'\nassert = 'retention'\nkeep = '30 days'".to_owned(),
            "“30 days” is not a duration",
        ),
        (
            "kind = 'grafana'\nfile = 'd.json'\nprometheus = 'http://a/'\nfresh = '5'".to_owned(),
            "“5” is not a duration",
        ),
    ] {
        let found = errors(&format!("{HEAD}{body}\n"));
        assert!(found.iter().any(|e| e.contains(message)), "{message} is not in {found:?}");
    }
}
