//! Finds declarations that are well-formed but make no sense, before anything runs.

use domain::check::{CheckSpec, GitAssert, ValueSource, Want};
use regex::Regex;
use toml::de::DeTable;

use super::walk::Walk;

/// The table of a check, and the places within it.
struct Place<'t, 'i> {
    table: &'t DeTable<'i>,
    /// Where the table begins.
    start: usize,
}

impl Place<'_, '_> {
    /// The place of the value of a key; `gate.env` is a key within `gate`.
    fn of(&self, path: &str) -> usize {
        let (outer, inner) = path.split_once('.').unwrap_or((path, ""));
        let Some(value) = self.table.get(outer) else { return self.start };
        let within = value.get_ref().as_table().and_then(|table| table.get(inner));
        within.map_or(value.span().start, |value| value.span().start)
    }
}

/// Reports mistakes in a check whose keys were all understood.
pub(super) fn make_sense(
    walk: &mut Walk<'_>,
    table: &DeTable<'_>,
    start: usize,
    spec: &CheckSpec,
    want: Option<&Want>,
    timeout_ms: u64,
) {
    let place = Place { table, start };
    let mut say = |path: &str, message: &str, hint: &str| walk.error(place.of(path), message, hint);
    match spec {
        CheckSpec::Command { .. } => command(&mut say, spec, want),
        CheckSpec::Http { .. } => super::sense_web::http(&mut say, spec, want, timeout_ms),
        CheckSpec::Git { .. } => git(&mut say, spec),
        CheckSpec::Port { address, open } => port(&mut say, address, *open, want),
        CheckSpec::Database(database) => super::sense_data::database(&mut say, database),
        CheckSpec::EnvFile { .. } => super::sense_data::env_file(&mut say, spec),
        CheckSpec::Compose { .. } => super::sense_data::compose(&mut say, spec),
        CheckSpec::Tls(tls) => super::sense_web::tls(&mut say, tls, want),
        CheckSpec::Prometheus(prometheus) => super::sense_monitor::prometheus(&mut say, prometheus, want),
        CheckSpec::Grafana(grafana) => super::sense_monitor::grafana(&mut say, grafana),
        CheckSpec::Logs(logs) => super::sense_monitor::logs(&mut say, logs),
        // Their keys cannot contradict each other.
        CheckSpec::File { .. } | CheckSpec::Drill {} => {}
    }
    if want.is_some_and(Want::is_absent) && !may_have_no_value(spec) {
        say(
            "expect",
            "“absent” is possible only with a pointer, a regex or a query",
            "write a threshold such as “== 0”",
        );
    }
}

/// Whether the check can find that there is no value, so that `absent` can be expected.
fn may_have_no_value(spec: &CheckSpec) -> bool {
    match spec {
        CheckSpec::Command { .. } => true,
        CheckSpec::Http { pointer, .. } => pointer.is_some(),
        CheckSpec::Prometheus(prometheus) => prometheus.query.is_some(),
        CheckSpec::Compose { .. }
        | CheckSpec::EnvFile { .. }
        | CheckSpec::File { .. }
        | CheckSpec::Git { .. }
        | CheckSpec::Port { .. }
        | CheckSpec::Drill {}
        | CheckSpec::Tls(_)
        | CheckSpec::Grafana(_)
        | CheckSpec::Logs(_)
        | CheckSpec::Database(_) => false,
    }
}

pub(super) type Say<'a> = &'a mut dyn FnMut(&str, &str, &str);

fn source(say: Say<'_>, value: &ValueSource, want: Option<&Want>) {
    let ways = [value.pointer.is_some(), value.regex.is_some(), value.format.is_some()];
    if ways.iter().filter(|way| **way).count() > 1 {
        say("value", "`value` has more than one of pointer, regex and format", "keep only one of them");
    }
    let absent = want.is_some_and(Want::is_absent);
    if absent && value.pointer.is_none() && value.regex.is_none() {
        say("expect", "“absent” requires a pointer or a regex", "add one of them to `value`");
    }
    pointer(say, "value.pointer", value.pointer.as_deref());
    let groups = if absent { Groups::Any } else { Groups::One };
    regex(say, "value.regex", value.regex.as_deref(), groups);
}

pub(super) fn pointer(say: Say<'_>, path: &str, pointer: Option<&str>) {
    if pointer.is_some_and(|p| !p.is_empty() && !p.starts_with('/')) {
        say(path, "this is not a JSON pointer", "start it with a slash: /total/lines/pct");
    }
}

/// What a regular expression must have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Groups {
    /// A group, which captures the value.
    One,
    /// Nothing: only whether it matches counts.
    Any,
}

fn regex(say: Say<'_>, path: &str, pattern: Option<&str>, groups: Groups) {
    match pattern.map(Regex::new) {
        Some(Err(_)) => {
            say(path, "this is not a valid regular expression", "check for brackets that are not closed")
        }
        Some(Ok(regex)) if groups == Groups::One && regex.captures_len() < 2 => {
            say(path, "the regular expression has no group", "put parentheses around the number");
        }
        _ => {}
    }
}

fn command(say: Say<'_>, spec: &CheckSpec, want: Option<&Want>) {
    let CheckSpec::Command { value, twice, run, .. } = spec else { return };
    if let Some(value) = value {
        source(say, value, want);
    } else if want.is_some_and(Want::is_absent) {
        say("expect", "“absent” requires `value`", "add `value` with a pointer or a regex");
    }
    let Some(twice) = twice else { return };
    let ways = [&twice.pointer, &twice.regex, &twice.says];
    if ways.iter().filter(|way| way.is_some()).count() != 1 {
        say(
            "idempotence",
            "`idempotence` must have exactly one of pointer, regex and contains",
            "keep or add one of them: it shows that the second run changed nothing",
        );
    }
    if run.is_none() {
        say("idempotence", "`idempotence` works only with `run`", "use `run` instead of `step`");
    }
    if value.is_some() || want.is_some() {
        say(
            "idempotence",
            "`value` and `expect` have no effect together with `idempotence`",
            "use a separate check for `value` and `expect`",
        );
    }
    pointer(say, "idempotence.pointer", twice.pointer.as_deref());
    regex(say, "idempotence.regex", twice.regex.as_deref(), Groups::One);
    regex(say, "idempotence.contains", twice.says.as_deref(), Groups::Any);
}

fn git(say: Say<'_>, spec: &CheckSpec) {
    let CheckSpec::Git { assert, path, commit, branch, tag } = spec else { return };
    let pins: Vec<&str> = [("commit", commit), ("branch", branch), ("tag", tag)]
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .map(|(key, _)| key)
        .collect();
    if let Some(pin) = pins.first().filter(|_| *assert != GitAssert::At) {
        let message = format!("`{pin}` has no effect with this `assert`");
        say(pin, &message, "remove it, or use assert = \"at\"");
    }
    match assert {
        GitAssert::At if pins.len() != 1 => {
            say("assert", "`at` requires exactly one of commit, branch and tag", "write branch = \"main\"");
        }
        GitAssert::Untracked if path.is_none() => {
            say("assert", "`untracked` requires `path`", "set it to the file that must not be committed");
        }
        GitAssert::At | GitAssert::Clean if path.is_some() => {
            say(
                "path",
                "`path` has no effect with this `assert`",
                "remove it, or use assert = \"untracked\"",
            );
        }
        GitAssert::At | GitAssert::Clean | GitAssert::Untracked => {}
    }
    if let Some(commit) = commit.as_deref().filter(|c| !c.contains("${"))
        && (!(7..=64).contains(&commit.len()) || !commit.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        say("commit", "`commit` is not a commit id", "write at least 7 hexadecimal digits");
    }
}

fn port(say: Say<'_>, address: &str, open: Option<bool>, want: Option<&Want>) {
    let port = address.rsplit_once(':').map(|(_, port)| port);
    let good = |port: &str| port.contains('}') || port.parse::<u16>().is_ok_and(|port| port > 0);
    if !address.contains("${") && !port.is_some_and(good) {
        say("address", "`address` is not host:port", "write 127.0.0.1:5432 or [::1]:5432");
    }
    if open == Some(false) && want.is_some() {
        say("expect", "a port that must be closed has no value to compare", "remove `expect`");
    }
}
