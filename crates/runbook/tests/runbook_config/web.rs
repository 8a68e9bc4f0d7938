//! Checks over the network, of figures and of the repository: mistakes in their declarations.

use domain::check::CheckSpec;

use crate::{errors, load};

const HEAD: &str = "runbook = 'docs/staging.md'\n[stack]\n[[check]]\nid = 'a'\nproves = ['A.1']\n";

fn of(body: &str) -> Vec<String> {
    errors(&format!("{HEAD}{body}\n"))
}

#[test]
fn every_key_is_understood() {
    for (body, days) in [
        (
            "kind = 'http'\nurl = 'https://a/'\nca = 'ca.pem'\nrequests = 50\nconcurrency = 5\nmeasure = 'p99'\nexpect = '< 1 s'",
            None,
        ),
        (
            "kind = 'http'\nurl = 'http://a/'\ngate = { env = 'TOKEN', header = 'x-key', scheme = 'Key', refused = [404] }",
            None,
        ),
        (
            "kind = 'http'\nurl = 'http://a/'\ncors = { allowed = '${web}', foreign = 'https://b.example', method = 'PUT', headers = ['x-a'], credentials = true }",
            None,
        ),
        (
            "kind = 'http'\nurl = 'http://a/'\nrate_limit = { requests = 50, within = '5s', recovers_within = '30s' }\nconcurrency = 4\nexpect = '<= 20'",
            None,
        ),
        ("kind = 'http'\nurl = 'http://a/'\npointer = '/error'\nexpect = 'absent'", None),
        (
            "kind = 'tls'\naddress = 'https://${web}'\nserver_name = 'web.example'\nca = 'ca.pem'\nexpect = '>= 14 d'",
            Some(86_400_000),
        ),
        ("kind = 'tls'\naddress = 'a:8443'\nvalid_for = '2h'", Some(7_200_000)),
        ("kind = 'command'\nrun = 'x'\nvalue = { regex = 'ERROR' }\nexpect = 'absent'", None),
        ("kind = 'command'\nrun = 'x'\nidempotence = { regex = 'ran (\\d+)', file = 'a.log' }", None),
        ("kind = 'git'\nassert = 'at'\nbranch = 'main'", None),
        ("kind = 'git'\nassert = 'at'\ncommit = '${COMMIT}'", None),
        ("kind = 'port'\naddress = '[::1]:${PORT}'\nopen = false", None),
    ] {
        let loaded = load(&format!("{HEAD}{body}\n")).unwrap_or_else(|e| panic!("{body}: {e:#?}"));
        assert_eq!(loaded.config.checks[0].valid_for_ms, days, "{body}");
    }
    for format in ["playwright", "playwright_flaky", "k6_p95", "k6_errors", "prisma_status", "knex_status"] {
        let body = format!("{HEAD}kind = 'command'\nrun = 'x'\nvalue = {{ format = '{format}' }}\n");
        let loaded = load(&body).unwrap();
        assert!(matches!(&loaded.config.checks[0].spec, CheckSpec::Command { value: Some(_), .. }));
    }
}

#[test]
fn unknown_keys_and_values_of_tables_are_reported_with_their_places() {
    for (body, wanted) in [
        (
            "kind = 'tls'\naddress = 'a'\nserver_nmae = 'b'",
            "8:1 unknown key `server_nmae` in this check (did you mean `server_name`?)",
        ),
        ("kind = 'tls'", "3:1 this check is incomplete: missing field `address` ()"),
        (
            "kind = 'http'\nurl = 'http://a'\ngate = { en = 'X' }",
            "8:10 unknown key `en` in `gate` (did you mean `env`?)",
        ),
        (
            "kind = 'http'\nurl = 'http://a'\ncors = { allowed = 'https://a', foriegn = 'https://b' }",
            "8:33 unknown key `foriegn` in `cors` (did you mean `foreign`?)",
        ),
        (
            "kind = 'http'\nurl = 'http://a'\nmeasure = 'p59'",
            "8:11 `measure` cannot be `p59` (did you mean `p50`?)",
        ),
        (
            "kind = 'http'\nurl = 'http://a'\nrate_limit = { requests = 'x', within = '1s', recovers_within = '1s' }",
            "8:14 `rate_limit`: invalid type",
        ),
        (
            "kind = 'command'\nrun = 'x'\nidempotence = { say = 'x' }",
            "8:17 unknown key `say` in `idempotence`",
        ),
        ("kind = 'command'\nrun = 'x'\nvalue = { format = 'k7_p95' }", "8:9 `value` cannot be `k7_p95`"),
        ("kind = 'git'\nassert = 'att'", "7:10 `assert` cannot be `att` (did you mean `at`?)"),
    ] {
        let found = of(body);
        assert!(found.len() == 1 && found[0].starts_with(wanted), "{body}: {found:#?}");
    }
}

#[test]
fn combinations_that_make_no_sense_are_errors() {
    let http = |rest: &str| format!("kind = 'http'\nurl = 'http://a'\n{rest}");
    let command = |rest: &str| format!("kind = 'command'\nrun = 'x'\n{rest}");
    let git = |rest: &str| format!("kind = 'git'\n{rest}");
    let mut wrong = vec![];
    let limit = |n: &str, within: &str, recovers: &str| {
        http(&format!(
            "rate_limit = {{ requests = {n}, within = '{within}', recovers_within = '{recovers}' }}"
        ))
    };
    for (body, wanted) in [
        (
            http("gate = { env = 'T' }\npointer = '/a'"),
            "8:8 `pointer` and `gate` cannot be used in the same check",
        ),
        (http("measure = 'p95'\nrequests = 0"), "9:12 `requests` must be from 1 to 100000"),
        (http("gate = { env = 'T' }\nrequests = 5"), "9:12 `requests` has no effect together with `gate`"),
        (http("concurrency = 5"), "8:15 `concurrency` requires at least 2 `requests`"),
        (http("requests = 9\nconcurrency = 65\nmeasure = 'max'"), "9:15 `concurrency` must be from 1 to 64"),
        (http("expect = '< 3'"), "8:10 there is no value to compare"),
        (http("ca = 'x.pem'"), "8:6 `ca` has no effect for an http:// address"),
        (http("pointer = 'a/b'"), "8:11 this is not a JSON pointer"),
        (http("gate = { env = '${T}' }"), "8:16 `env` must be the name of a key"),
        (
            http("gate = { env = 'T' }\nheaders = { authorization = 'x' }"),
            "8:8 `headers` and `gate` both set Authorization",
        ),
        (
            http("gate = { env = 'T' }\nstatus = [200, 401]"),
            "9:10 this status code means both accepted and refused",
        ),
        (
            http("gate = { env = 'T', refused = [204] }"),
            "8:31 a status code from 200 to 299 is not a refusal",
        ),
        (http("cors = { allowed = '*' }"), "8:20 `allowed` is not an origin"),
        (http("cors = { allowed = 'https://a/b' }"), "8:20 `allowed` is not an origin"),
        (
            http("cors = { allowed = 'https://a', foreign = 'https://a/' }"),
            "8:43 `foreign` is the same origin as `allowed`",
        ),
        (limit("1", "1s", "2s"), "8:27 `requests` must be from 2 to 100000"),
        (limit("5", "soon", "2s"), "8:39 “soon” is not a duration"),
        (limit("5", "10s", "2m"), "8:14 `timeout` is shorter than"),
        (limit("5", "1s", "2s") + "\nstatus = [429]", "9:10 `status` cannot include 429"),
        (http("measure = 'p95'\nexpect = 'absent'"), "9:10 “absent” is possible only with"),
        (
            command("value = { format = 'junit' }\nexpect = 'absent'"),
            "9:10 “absent” requires a pointer or a regex",
        ),
        (command("expect = 'absent'"), "8:10 “absent” requires `value`"),
        (
            command("value = { regex = 'a', pointer = '/a' }\nexpect = 'absent'"),
            "8:9 `value` has more than one of",
        ),
        (command("value = { regex = 'a' }"), "8:19 the regular expression has no group"),
        (command("value = { regex = '(' }"), "8:19 this is not a valid regular expression"),
        (command("idempotence = {}"), "8:15 `idempotence` must have exactly one"),
        (
            command("idempotence = { contains = 'x', regex = '(x)' }"),
            "8:15 `idempotence` must have exactly one",
        ),
        (
            command("idempotence = { contains = 'x' }\nvalue = { pointer = '/a' }"),
            "8:15 `value` and `expect` have no effect",
        ),
        (
            "kind = 'command'\nstep = 'A.s1'\nidempotence = { contains = 'x' }".to_owned(),
            "8:15 `idempotence` works only with `run`",
        ),
        (git("assert = 'at'"), "7:10 `at` requires exactly one"),
        (git("assert = 'at'\ntag = 'a'\nbranch = 'b'"), "7:10 `at` requires exactly one"),
        (git("assert = 'at'\ncommit = 'main'"), "8:10 `commit` is not a commit id"),
        (git("assert = 'clean'\ntag = 'a'"), "8:7 `tag` has no effect"),
        (git("assert = 'clean'\npath = 'a'"), "8:8 `path` has no effect"),
        (git("assert = 'untracked'"), "7:10 `untracked` requires `path`"),
        ("kind = 'port'\naddress = 'localhost'".to_owned(), "7:11 `address` is not host:port"),
        (
            "kind = 'port'\naddress = 'a:1'\nopen = false\nexpect = '< 3 ms'".to_owned(),
            "9:10 a port that must be closed",
        ),
        ("kind = 'tls'\naddress = 'http://a'".to_owned(), "7:11 an http:// address has no certificate"),
        (
            "kind = 'tls'\naddress = 'a'\nexpect = '>= 5 %'".to_owned(),
            "8:10 the value of a certificate check is the remaining time",
        ),
        ("kind = 'tls'\naddress = 'a'\nexpect = 'absent'".to_owned(), "8:10 “absent” is possible only with"),
    ] {
        let found = of(&body);
        if found.len() != 1 || !found[0].starts_with(wanted) {
            wrong.push(format!("{body}\n wanted {wanted}\n {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
