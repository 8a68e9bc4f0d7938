//! Finds declarations that are well-formed but make no sense, before anything runs.

use domain::check::{CheckSpec, GitAssert, HttpCors, HttpGate, HttpRateLimit, Twice, ValueSource, Want};
use regex::Regex;
use toml::de::DeTable;

use super::parse_duration;
use super::walk::Walk;

/// Most requests of one check, and most of them at a time.
const REQUESTS_MAX: u32 = 100_000;
const CONCURRENT_MAX: u32 = 64;

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
        CheckSpec::Command { value, twice, run, .. } => {
            if let Some(value) = value {
                source(&mut say, value, want);
            } else if want.is_some_and(Want::is_absent) {
                say("expect", "“absent” requires `value`", "add `value` with a pointer or a regex");
            }
            if let Some(twice) = twice {
                run_twice(&mut say, twice, run.is_some(), value.is_some() || want.is_some());
            }
        }
        CheckSpec::Http { .. } => http(&mut say, spec, want, timeout_ms),
        CheckSpec::Git { assert, path, commit, branch, tag } => {
            let pins = [("commit", commit), ("branch", branch), ("tag", tag)];
            let named: Vec<&str> = pins.iter().filter(|(_, v)| v.is_some()).map(|(k, _)| *k).collect();
            git(&mut say, *assert, path.is_some(), &named);
            if let Some(commit) = commit.as_deref().filter(|c| !c.contains("${"))
                && (!(7..=64).contains(&commit.len()) || !commit.bytes().all(|b| b.is_ascii_hexdigit()))
            {
                say("commit", "`commit` is not a commit id", "write at least 7 hexadecimal digits");
            }
        }
        CheckSpec::Port { address, open } => {
            let port = address.rsplit_once(':').map(|(_, port)| port);
            let good = |port: &str| port.contains('}') || port.parse::<u16>().is_ok_and(|port| port > 0);
            if !address.contains("${") && !port.is_some_and(good) {
                say("address", "`address` is not host:port", "write 127.0.0.1:5432 or [::1]:5432");
            }
            if *open == Some(false) && want.is_some() {
                say("expect", "a port that must be closed has no value to compare", "remove `expect`");
            }
        }
        CheckSpec::Database(spec) => super::sense_data::database(&mut say, spec),
        CheckSpec::EnvFile { .. } => super::sense_data::env_file(&mut say, spec),
        CheckSpec::Compose { .. } => super::sense_data::compose(&mut say, spec),
        CheckSpec::Tls(tls) => {
            if tls.address.starts_with("http://") {
                say(
                    "address",
                    "an http:// address has no certificate",
                    "use the https:// address, or host:port",
                );
            }
            if want.is_some_and(|want| !matches!(want.unit.as_str(), "" | "d" | "h" | "min" | "s" | "ms")) {
                say(
                    "expect",
                    "the value of a certificate check is the remaining time",
                    "write expect = \">= 14 d\"",
                );
            }
        }
        CheckSpec::Prometheus(_) | CheckSpec::Grafana(_) | CheckSpec::Logs(_) => {
            super::sense_monitor::spans(&mut say, spec);
            super::sense_monitor::prometheus(&mut say, spec, want);
        }
        _ => {}
    }
    let may_be_absent = match spec {
        CheckSpec::Command { .. } => true,
        CheckSpec::Http { pointer, .. } => pointer.is_some(),
        CheckSpec::Prometheus(asked) => asked.query.is_some(),
        _ => false,
    };
    if want.is_some_and(Want::is_absent) && !may_be_absent {
        say(
            "expect",
            "“absent” is possible only with a pointer, a regex or a query",
            "write a threshold such as “== 0”",
        );
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
    regex(say, "value.regex", value.regex.as_deref(), !absent);
}

fn pointer(say: Say<'_>, path: &str, pointer: Option<&str>) {
    if pointer.is_some_and(|p| !p.is_empty() && !p.starts_with('/')) {
        say(path, "this is not a JSON pointer", "start it with a slash: /total/lines/pct");
    }
}

fn regex(say: Say<'_>, path: &str, pattern: Option<&str>, needs_group: bool) {
    match pattern.map(Regex::new) {
        Some(Err(_)) => {
            say(path, "this is not a valid regular expression", "check for brackets that are not closed")
        }
        Some(Ok(regex)) if needs_group && regex.captures_len() < 2 => {
            say(path, "the regular expression has no group", "put parentheses around the number");
        }
        _ => {}
    }
}

fn run_twice(say: Say<'_>, twice: &Twice, has_run: bool, has_value: bool) {
    let ways = [&twice.pointer, &twice.regex, &twice.says];
    if ways.iter().filter(|way| way.is_some()).count() != 1 {
        say(
            "idempotence",
            "`idempotence` must have exactly one of pointer, regex and contains",
            "keep or add one of them: it shows that the second run changed nothing",
        );
    }
    if !has_run {
        say("idempotence", "`idempotence` works only with `run`", "use `run` instead of `step`");
    }
    if has_value {
        say(
            "idempotence",
            "`value` and `expect` have no effect together with `idempotence`",
            "use a separate check for `value` and `expect`",
        );
    }
    pointer(say, "idempotence.pointer", twice.pointer.as_deref());
    regex(say, "idempotence.regex", twice.regex.as_deref(), true);
    regex(say, "idempotence.contains", twice.says.as_deref(), false);
}

fn http(say: Say<'_>, spec: &CheckSpec, want: Option<&Want>, timeout_ms: u64) {
    let CheckSpec::Http {
        url,
        requests,
        concurrency,
        measure,
        pointer: at,
        ca,
        gate,
        cors,
        rate_limit,
        status,
        headers,
        ..
    } = spec
    else {
        return;
    };
    let questions = [
        ("measure", measure.is_some()),
        ("pointer", at.is_some()),
        ("gate", gate.is_some()),
        ("cors", cors.is_some()),
        ("rate_limit", rate_limit.is_some()),
    ];
    let asked: Vec<&str> = questions.iter().filter(|(_, is)| *is).map(|(key, _)| *key).collect();
    if let [first, second, ..] = asked.as_slice() {
        let message = format!("`{first}` and `{second}` cannot be used in the same check");
        say(second, &message, "use a separate check for each");
    }
    let special = asked.iter().find(|key| matches!(**key, "gate" | "cors" | "rate_limit"));
    if let Some(key) = special.filter(|_| requests.is_some()) {
        let message = format!("`requests` has no effect together with `{key}`");
        say("requests", &message, "remove it");
    }
    if requests.is_some_and(|n| n == 0 || n > REQUESTS_MAX) {
        say("requests", "`requests` must be from 1 to 100000", "");
    }
    if concurrency.is_some_and(|n| n == 0 || n > CONCURRENT_MAX) {
        say("concurrency", "`concurrency` must be from 1 to 64", "");
    } else if concurrency.is_some() && requests.is_none_or(|n| n < 2) && rate_limit.is_none() {
        say("concurrency", "`concurrency` requires at least 2 `requests`", "set `requests`");
    }
    if want.is_some() && (asked.is_empty() || asked == ["gate"] || asked == ["cors"]) {
        say(
            "expect",
            "there is no value to compare with `expect`",
            "add `measure`, `pointer` or `rate_limit` to the check",
        );
    }
    if ca.is_some() && url.starts_with("http://") {
        say("ca", "`ca` has no effect for an http:// address", "remove it, or use an https:// address");
    }
    pointer(say, "pointer", at.as_deref());
    if let Some(gate) = gate {
        a_gate(say, gate, status, headers.keys().map(String::as_str));
    }
    if let Some(cors) = cors {
        origins(say, cors);
    }
    if let Some(limit) = rate_limit {
        a_limit(say, limit, status, timeout_ms);
    }
}

fn a_gate<'h>(say: Say<'_>, gate: &HttpGate, status: &[u16], mut headers: impl Iterator<Item = &'h str>) {
    let name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if gate.env.is_empty() || !gate.env.bytes().all(name) {
        say("gate.env", "`env` must be the name of a key of the env file", "write env = \"METRICS_TOKEN\"");
    }
    if headers.any(|header| header.eq_ignore_ascii_case(gate.header())) {
        let message = format!("`headers` and `gate` both set {}", gate.header());
        say("gate", &message, "remove it from `headers`");
    }
    let usual = if gate.refused.is_empty() { &[401, 403][..] } else { &gate.refused };
    if gate.refused.iter().any(|code| (200..300).contains(code)) {
        say(
            "gate.refused",
            "a status code from 200 to 299 is not a refusal",
            "use status codes of a refusal: [401, 403]",
        );
    } else if status.iter().any(|code| usual.contains(code)) {
        say(
            "status",
            "this status code means both accepted and refused",
            "list only codes of accepted requests",
        );
    }
}

fn origins(say: Say<'_>, cors: &HttpCors) {
    let is_origin = |text: &str| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        text.contains("${")
            || rest.is_some_and(|rest| !rest.is_empty() && !rest.trim_end_matches('/').contains('/'))
    };
    let hint = "write scheme and host: https://web.example";
    if !is_origin(&cors.allowed) {
        say("cors.allowed", "`allowed` is not an origin", hint);
    }
    if let Some(foreign) = &cors.foreign {
        if !is_origin(foreign) {
            say("cors.foreign", "`foreign` is not an origin", hint);
        } else if foreign.trim_end_matches('/') == cors.allowed.trim_end_matches('/') {
            say(
                "cors.foreign",
                "`foreign` is the same origin as `allowed`",
                "use an origin that must be refused",
            );
        }
    }
}

fn a_limit(say: Say<'_>, limit: &HttpRateLimit, status: &[u16], timeout_ms: u64) {
    if !(2..=REQUESTS_MAX).contains(&limit.requests) {
        say(
            "rate_limit.requests",
            "`requests` must be from 2 to 100000",
            "send more requests than the limit allows",
        );
    }
    let mut spans = vec![];
    for (path, text) in
        [("rate_limit.within", &limit.within), ("rate_limit.recovers_within", &limit.recovers_within)]
    {
        match parse_duration(text) {
            Some(ms) => spans.push(ms),
            None => say(path, &format!("“{text}” is not a duration"), "write it as “10s” or “2m”"),
        }
    }
    if spans.len() == 2 && spans.iter().sum::<u64>() > timeout_ms {
        let message = "`timeout` is shorter than `within` and `recovers_within` together";
        say("rate_limit", message, "use a longer `timeout`");
    }
    if status.contains(&429) {
        say("status", "`status` cannot include 429 together with `rate_limit`", "remove 429");
    }
}

fn git(say: Say<'_>, assert: GitAssert, has_path: bool, pins: &[&str]) {
    if let Some(pin) = pins.first().filter(|_| assert != GitAssert::At) {
        let message = format!("`{pin}` has no effect with this `assert`");
        say(pin, &message, "remove it, or use assert = \"at\"");
    }
    match assert {
        GitAssert::At if pins.len() != 1 => {
            say("assert", "`at` requires exactly one of commit, branch and tag", "write branch = \"main\"");
        }
        GitAssert::Untracked if !has_path => {
            say("assert", "`untracked` requires `path`", "set it to the file that must not be committed");
        }
        GitAssert::At | GitAssert::Clean if has_path => {
            say(
                "path",
                "`path` has no effect with this `assert`",
                "remove it, or use assert = \"untracked\"",
            );
        }
        _ => {}
    }
}
