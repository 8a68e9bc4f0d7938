//! Checks on data, secrets and the stack: mistakes in their declarations.

use crate::{errors, load};

const HEAD: &str = "runbook = 'docs/staging.md'\n[stack]\n[[check]]\nid = 'a'\nproves = ['A.1']\n";

#[test]
fn every_key_of_data_is_understood() {
    for body in [
        "kind = 'database'\nassert = 'migrations'\nservice = 'db'\ntool = 'knex'\nfiles = 'm/*.mjs'",
        "kind = 'database'\nassert = 'migrations'\nengine = 'postgres'\nservice = 'db'\nquery = 'select v from done'\nfiles = 'm/*'",
        "kind = 'database'\nassert = 'rows'\nservice = 'db'\nuser = 'u'\ndatabase = 'd'\nrows = { media = 10 }",
        "kind = 'database'\nassert = 'backup'\npath = 'b/*.dump'\nmax_age = '24h'\nmin_bytes = 100",
        "kind = 'database'\nassert = 'restore'\nservice = 'db'\npath = 'b/*.dump'\nexact = true",
        "kind = 'env_file'\nassert = 'owner'\nowner = 'deploy'",
        "kind = 'env_file'\nassert = 'secrets'\nkeys = ['JWT_SECRET']\nmin_length = 32\nmin_bits = 100",
        "kind = 'env_file'\nassert = 'urls'\nschemes = ['https']\ndeclared = { FRONTEND_URL = '${web}' }",
        "kind = 'env_file'\nassert = 'rotated'\nmax_age = '90d'\nrotated = { JWT_SECRET = '2026-10-01' }",
        "kind = 'compose'\nassert = 'internal'\nservices = ['db']",
        "kind = 'compose'\nassert = 'port_mapping'",
    ] {
        load(&format!("{HEAD}{body}\n")).unwrap_or_else(|e| panic!("{body}: {e:#?}"));
    }
}

#[test]
fn mistakes_are_reported_with_their_places() {
    for (body, wanted) in [
        (
            "kind = 'database'\nassert = 'rows'\nservice = 'db'\nrows = { m = 1 }\nuzer = 'x'",
            "10:1 unknown key `uzer`",
        ),
        ("kind = 'database'\nassert = 'row'\nservice = 'db'", "7:10 `assert` cannot be `row`"),
        (
            "kind = 'database'\nengine = 'mysql'\nassert = 'rows'\nservice = 'db'\nrows = { m = 1 }",
            "7:10 `engine` cannot be `mysql`",
        ),
        ("kind = 'database'\nassert = 'rows'\nrows = { m = 1 }", "7:10 this check has no `service`"),
        ("kind = 'database'\nassert = 'rows'\nservice = 'db'", "7:10 this check has no `rows`"),
        ("kind = 'database'\nassert = 'backup'\npath = 'b'\nexact = true", "9:9 `exact` has no effect"),
        (
            "kind = 'database'\nassert = 'backup'\npath = 'b'\nmax_age = 'soon'",
            "9:11 `max_age` is not a duration",
        ),
        ("kind = 'database'\nassert = 'restore'\nservice = 'db'", "7:10 this check has no `path`"),
        (
            "kind = 'database'\nassert = 'migrations'\nservice = 'db'\nfiles = 'm/*'",
            "7:10 this check must have exactly one of `tool` and `query`",
        ),
        (
            "kind = 'database'\nassert = 'migrations'\nservice = 'db'\ntool = 'knex'",
            "7:10 this check has no `files`",
        ),
        ("kind = 'env_file'\nassert = 'mode'\nmin_bits = 3", "8:12 `min_bits` has no effect"),
        ("kind = 'env_file'\nassert = 'rotated'", "7:10 this check has no `max_age`"),
        ("kind = 'compose'\nassert = 'internal'\nseconds = 3", "8:11 `seconds` has no effect"),
    ] {
        let told = errors(&format!("{HEAD}{body}\n"));
        assert!(told.iter().any(|t| t.contains(wanted)), "{body}\nwanted {wanted}\n{told:#?}");
    }
}
