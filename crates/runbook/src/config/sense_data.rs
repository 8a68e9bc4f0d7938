//! Finds declarations that make no sense, in checks on data, secrets and the stack.

use domain::check::{CheckSpec, ComposeAssert, DatabaseAssert, DatabaseSpec, EnvAssert};

use super::parse_duration;
use super::sense::Say;

/// Reports a key that the `assert` does not use: the author expects an effect that it does not have.
fn only(say: Say<'_>, key: &str, given: bool, used: bool) {
    if given && !used {
        say(key, &format!("`{key}` has no effect with this `assert`"), "remove it, or correct `assert`");
    }
}

fn span(say: Say<'_>, key: &str, text: Option<&str>) {
    if text.is_some_and(|text| parse_duration(text).is_none()) {
        say(key, &format!("`{key}` is not a duration"), "write it as 90s, 10m, 24h or 7d");
    }
}

pub(super) fn database(say: Say<'_>, spec: &DatabaseSpec) {
    use DatabaseAssert::{Backup, Migrations, Restore, Rows};
    let of = |asserts: &[DatabaseAssert]| asserts.contains(&spec.assert);
    if spec.service.is_none() && spec.assert != Backup {
        say("assert", "this check has no `service`", "set it to the service that runs the database");
    }
    for (key, given) in [
        ("service", spec.service.is_some()),
        ("user", spec.user.is_some()),
        ("database", spec.database.is_some()),
    ] {
        only(say, key, given, spec.assert != Backup);
    }
    for (key, given) in
        [("tool", spec.tool.is_some()), ("query", spec.query.is_some()), ("files", spec.files.is_some())]
    {
        only(say, key, given, of(&[Migrations]));
    }
    only(say, "rows", !spec.rows.is_empty(), of(&[Rows]));
    only(say, "path", spec.path.is_some(), of(&[Backup, Restore]));
    only(say, "max_age", spec.max_age.is_some(), of(&[Backup, Restore]));
    only(say, "min_bytes", spec.min_bytes.is_some(), of(&[Backup]));
    only(say, "exact", spec.exact, of(&[Restore]));
    span(say, "max_age", spec.max_age.as_deref());
    match spec.assert {
        Migrations if spec.files.is_none() => {
            say(
                "assert",
                "this check has no `files`",
                "add the files of the migrations: files = \"migrations/*.mjs\"",
            );
        }
        Migrations if spec.tool.is_some() == spec.query.is_some() => {
            say(
                "assert",
                "this check must have exactly one of `tool` and `query`",
                "keep or add one of them: it reads the applied migrations",
            );
        }
        Rows if spec.rows.is_empty() => {
            say(
                "assert",
                "this check has no `rows`",
                "add tables with their minimum of rows: rows = { media = 10 }",
            );
        }
        Backup | Restore if spec.path.is_none() => {
            say(
                "assert",
                "this check has no `path`",
                "add the path of the backup: path = \"backups/*.dump\"",
            );
        }
        _ => {}
    }
}

pub(super) fn env_file(say: Say<'_>, spec: &CheckSpec) {
    let CheckSpec::EnvFile {
        assert,
        keys,
        equals,
        mode,
        owner,
        min_length,
        min_bits,
        schemes,
        declared,
        rotated,
        max_age,
    } = spec
    else {
        return;
    };
    let is = |asserts: &[EnvAssert]| asserts.contains(assert);
    only(say, "keys", !keys.is_empty(), !is(&[EnvAssert::Mode, EnvAssert::Owner, EnvAssert::Untracked]));
    only(say, "equals", equals.is_some(), is(&[EnvAssert::Equals, EnvAssert::Origins]));
    only(say, "mode", mode.is_some(), is(&[EnvAssert::Mode]));
    only(say, "owner", owner.is_some(), is(&[EnvAssert::Owner]));
    only(say, "min_length", min_length.is_some(), is(&[EnvAssert::Secrets]));
    only(say, "min_bits", min_bits.is_some(), is(&[EnvAssert::Secrets]));
    only(say, "schemes", !schemes.is_empty(), is(&[EnvAssert::Urls]));
    only(say, "declared", !declared.is_empty(), is(&[EnvAssert::Urls]));
    only(say, "rotated", !rotated.is_empty(), is(&[EnvAssert::Rotated]));
    only(say, "max_age", max_age.is_some(), is(&[EnvAssert::Rotated]));
    span(say, "max_age", max_age.as_deref());
    if *assert == EnvAssert::Rotated && max_age.is_none() {
        say("assert", "this check has no `max_age`", "add max_age = \"90d\"");
    }
}

pub(super) fn compose(say: Say<'_>, spec: &CheckSpec) {
    let CheckSpec::Compose { assert, services, seconds, allowed, engine, compose } = spec else { return };
    let is = |asserts: &[ComposeAssert]| asserts.contains(assert);
    let whole = is(&[ComposeAssert::Versions, ComposeAssert::RollbackImages, ComposeAssert::Valid]);
    only(say, "services", !services.is_empty(), !whole);
    only(say, "seconds", seconds.is_some(), is(&[ComposeAssert::NoRestarts]));
    only(say, "allowed", !allowed.is_empty(), is(&[ComposeAssert::Ports]));
    only(say, "engine", engine.is_some(), is(&[ComposeAssert::Versions]));
    only(say, "compose", compose.is_some(), is(&[ComposeAssert::Versions]));
}
