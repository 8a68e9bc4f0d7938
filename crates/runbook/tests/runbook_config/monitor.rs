//! Checks of what watches the stack: mistakes in their declarations.

use crate::{errors, load};

const HEAD: &str = "runbook = 'docs/staging.md'\n[stack]\n[[check]]\nid = 'a'\nproves = ['A.1']\n";
const PROMETHEUS: &str = "kind = 'prometheus'\nurl = 'http://a/'\n";

#[test]
fn what_makes_sense_is_accepted() {
    for body in [
        format!("{PROMETHEUS}assert = 'query'\nquery = 'x'\nwant = 'absent'"),
        format!("{PROMETHEUS}assert = 'target'\njob = 'x'\nwithin = '30s'"),
        format!("{PROMETHEUS}assert = 'rule'\nalert = 'x'\nfor = '10m'"),
        format!("{PROMETHEUS}assert = 'alert'\nalertmanager = 'http://b/'"),
        "kind = 'logs'\nsource = 'docker'\nassert = 'retention'\nkeep = '7d'".to_owned(),
    ] {
        assert!(load(&format!("{HEAD}{body}\n")).is_ok(), "{body}: {:?}", errors(&format!("{HEAD}{body}\n")));
    }
}

#[test]
fn what_makes_no_sense_is_told() {
    let prometheus = |body: &str| format!("{PROMETHEUS}{body}");
    for (body, message) in [
        (prometheus("assert = 'target'\njob = 'x'\nwithin = 'soon'"), "“soon” is no span of time"),
        (prometheus("assert = 'rule'\nalert = 'x'\nfor = '10 minutes'"), "“10 minutes” is no span of time"),
        (prometheus("assert = 'target'"), "this question needs `job`"),
        (prometheus("assert = 'rule'"), "this question needs `alert`"),
        (prometheus("assert = 'query'\nwant = '< 1'"), "this question needs `query`"),
        (prometheus("assert = 'alert'\nalert = 'x'"), "this question needs `alertmanager`"),
        (prometheus("assert = 'query'\nquery = 'x'"), "a query without `want`"),
        (
            prometheus("assert = 'alert'\nalert = 'x'\nalertmanager = 'http://b/'\nfire = 'x'"),
            "`clear` to end it",
        ),
        (prometheus("assert = 'target'\njob = 'x'\nwant = 'absent'"), "or a query, can be “absent”"),
        (
            "kind = 'logs'\nsource = 'docker'\nassert = 'retention'\nkeep = '30 days'".to_owned(),
            "“30 days” is no span of time",
        ),
        (
            "kind = 'grafana'\nfile = 'd.json'\nprometheus = 'http://a/'\nfresh = '5'".to_owned(),
            "“5” is no span of time",
        ),
    ] {
        let found = errors(&format!("{HEAD}{body}\n"));
        assert!(found.iter().any(|e| e.contains(message)), "{message} is not in {found:?}");
    }
}
