//! Finds declarations that make no sense, in checks of what the stack serves.

use domain::check::{CheckSpec, HttpCors, HttpGate, HttpRateLimit, TlsSpec, Want};

use super::parse_duration;
use super::sense::{Say, pointer};

/// Most requests of one check, and most of them at a time.
const REQUESTS_MAX: u32 = 100_000;
const CONCURRENT_MAX: u32 = 64;

pub(super) fn http(say: Say<'_>, spec: &CheckSpec, want: Option<&Want>, timeout_ms: u64) {
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
    if let (Some(key), Some(_)) = (special, requests) {
        let message = format!("`requests` has no effect together with `{key}`");
        say("requests", &message, "remove it");
    }
    how_many(say, *requests, *concurrency, rate_limit.as_deref());
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
        protection(say, gate, status, headers.keys().map(String::as_str));
    }
    if let Some(cors) = cors {
        origins(say, cors);
    }
    if let Some(rate_limit) = rate_limit {
        limit(say, rate_limit, status, timeout_ms);
    }
}

fn how_many(
    say: Say<'_>,
    requests: Option<u32>,
    concurrency: Option<u32>,
    rate_limit: Option<&HttpRateLimit>,
) {
    if requests.is_some_and(|n| n == 0 || n > REQUESTS_MAX) {
        say("requests", "`requests` must be from 1 to 100000", "");
    }
    if concurrency.is_some_and(|n| n == 0 || n > CONCURRENT_MAX) {
        say("concurrency", "`concurrency` must be from 1 to 64", "");
    } else if concurrency.is_some() && requests.is_none_or(|n| n < 2) && rate_limit.is_none() {
        say("concurrency", "`concurrency` requires at least 2 `requests`", "set `requests`");
    }
}

fn protection<'h>(say: Say<'_>, gate: &HttpGate, status: &[u16], mut headers: impl Iterator<Item = &'h str>) {
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

fn limit(say: Say<'_>, limit: &HttpRateLimit, status: &[u16], timeout_ms: u64) {
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

pub(super) fn tls(say: Say<'_>, tls: &TlsSpec, want: Option<&Want>) {
    if tls.address.starts_with("http://") {
        say("address", "an http:// address has no certificate", "use the https:// address, or host:port");
    }
    if want.is_some_and(|want| !matches!(want.unit.as_str(), "" | "d" | "h" | "min" | "s" | "ms")) {
        say("expect", "the value of a certificate check is the remaining time", "write expect = \">= 14 d\"");
    }
}
