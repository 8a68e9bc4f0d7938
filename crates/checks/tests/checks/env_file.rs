use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::probe::Stack;

const SECRET: &str = "Zk3-nobody-may-see-this";

fn ask(assert: &str, more: Value) -> Value {
    let mut spec = json!({ "kind": "env_file", "assert": assert });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

#[test]
fn every_permission_bit_is_judged() {
    let mut stack = Stack::new();
    let path = stack.env("A=b\n");
    for (mode, good) in
        [(0o600, true), (0o400, true), (0o644, false), (0o640, false), (0o604, false), (0o700, false)]
    {
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let seen = stack.see(ask("mode", json!({})));
        let shown = format!("mode {mode:04o}");
        if good {
            seen.passes(&shown)
        } else {
            seen.fails(&shown)
        };
    }
    set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    stack.see(ask("mode", json!({ "mode": "0640" }))).passes("0640");
    stack.see(ask("mode", json!({ "mode": "rw" }))).unsure("not octal");
}

#[test]
fn a_missing_file_fails_and_an_undeclared_one_is_inconclusive() {
    let mut stack = Stack::new();
    stack.see(ask("mode", json!({}))).unsure("declares no env file");
    stack.env_file = true;
    for assert in ["mode", "no_placeholders"] {
        stack.see(ask(assert, json!({}))).fails(".env.staging does not exist");
    }
    stack.see(ask("keys", json!({ "keys": ["A"] }))).fails("does not exist");
}

#[test]
fn every_required_key_must_be_filled() {
    let mut stack = Stack::new();
    stack.env(&format!("JWT_SECRET={SECRET}\nPORT=3000\nFEATURE_FLAG_X=true\nEMPTY=\n"));
    stack
        .see(ask("keys", json!({ "keys": ["JWT_SECRET", "FEATURE_FLAG_*"] })))
        .passes("2 keys present")
        .hides(SECRET);
    let seen = stack.see(ask("keys", json!({ "keys": ["JWT_SECRET", "EMPTY", "REDIS_URL", "PLEX_*"] })));
    seen.fails("EMPTY (empty), PLEX_* (missing), REDIS_URL (missing)").hides(SECRET);
    stack.see(ask("keys", json!({}))).unsure("no required key");
    stack.example("JWT_SECRET=\nPORT=3000\nROTATION=\n");
    stack.see(ask("keys", json!({}))).fails("ROTATION (missing)");
    stack.see(ask("keys", json!({ "keys": ["ROTATION?"] }))).passes("2 keys present");
}

#[test]
fn an_example_that_cannot_be_read_is_inconclusive() {
    let mut stack = Stack::new();
    stack.env("A=b\n");
    stack.example = true;
    stack.see(ask("keys", json!({}))).unsure("example env file");
    stack.example("what is this\n");
    stack.see(ask("no_placeholders", json!({}))).unsure("line 1");
}

#[test]
fn placeholders_and_secrets_of_the_example_are_found() {
    let mut stack = Stack::new();
    stack.example("JWT_SECRET=dev-only-jwt\nNODE_ENV=staging\nDATABASE_URL=postgres://app:dev-pw-1@db/app\nCODE=abcdef\nTOKEN_TTL=15m\n");
    let url = "DATABASE_URL=postgres://app:real-pw-77@db/app\nTOKEN_TTL=15m\nNODE_ENV=staging\n";
    stack.env(&format!("JWT_SECRET={SECRET}\n{url}CODE=abcdef\n"));
    stack
        .see(ask("no_placeholders", json!({})))
        .passes("without placeholder")
        .hides(SECRET)
        .hides("real-pw-77");
    stack
        .see(ask("no_placeholders", json!({ "keys": ["CODE"] })))
        .fails("CODE (same as in the example)")
        .hides("abcdef");
    stack.env("JWT_SECRET=dev-only-jwt\nDATABASE_URL=postgres://x:dev-pw-1@other/app\nMAIL=<your mail>\n");
    let seen = stack.see(ask("no_placeholders", json!({})));
    let seen = seen.fails(
        "DATABASE_URL (same as in the example), JWT_SECRET (same as in the example), MAIL (placeholder)",
    );
    seen.hides("dev-only-jwt").hides("dev-pw-1");
    stack.env("# nothing\n");
    stack.see(ask("no_placeholders", json!({}))).unsure("has no keys");
}

#[test]
fn a_key_must_equal_what_is_declared() {
    let mut stack = Stack::new();
    stack.url("api", "http://127.0.0.1:${PORT:-3000}");
    stack.env("NEXT_PUBLIC_API_URL=http://127.0.0.1:3000\nPORT=3000\nOTHER=http://127.0.0.1:3000/\n");
    let equals = |key: &str| ask("equals", json!({ "keys": [key], "equals": "${api}" }));
    stack.see(equals("NEXT_PUBLIC_API_URL")).passes("has the declared value");
    stack.see(equals("OTHER")).fails("by a trailing slash");
    stack.see(equals("PORT")).fails("PORT differs");
    stack.see(equals("NONE")).fails("NONE is missing");
    stack.see(ask("equals", json!({ "keys": ["PORT"], "equals": "${web}" }))).unsure("${web}");
    stack.see(ask("equals", json!({ "keys": ["PORT"] }))).unsure("does not declare");
}

#[test]
fn origins_are_only_the_declared_ones() {
    let mut stack = Stack::new();
    stack.url("api", "https://api.staging.example.com");
    stack.url("web", "https://staging.example.com/");
    let plain = || ask("origins", json!({}));
    let exact = || ask("origins", json!({ "equals": "${web}" }));
    stack.env("ALLOWED_ORIGINS=https://staging.example.com\n");
    stack.see(plain()).passes("https://staging.example.com");
    stack.url("web", "https://staging.example.com");
    stack.see(exact()).passes("https://staging.example.com");
    for (value, saw) in [
        ("*", "allows any origin"),
        ("https://staging.example.com,https://evil.example", "also contains https://evil.example"),
        ("https://staging.example.com/", "not in the form that browsers send"),
        ("", "is empty"),
    ] {
        stack.env(&format!("ALLOWED_ORIGINS={value}\n"));
        stack.see(plain()).fails(saw);
        stack.see(exact()).fails(saw);
    }
    stack.env("ALLOWED_ORIGINS=https://api.staging.example.com\n");
    stack.see(plain()).passes("api");
    stack.see(exact()).fails("also contains https://api");
    stack.env("CORS=https://staging.example.com\n");
    stack.see(plain()).fails("ALLOWED_ORIGINS is missing");
    stack.see(ask("origins", json!({ "keys": ["CORS"] }))).passes("staging");
    stack.urls.clear();
    stack.see(plain()).unsure("declares no URL");
}

#[test]
fn the_env_file_must_never_have_been_committed() {
    let mut stack = Stack::new();
    stack.env(&format!("A={SECRET}\n"));
    let ask = || ask("untracked", json!({}));
    stack.see(ask()).unsure("not in a git repository");
    stack.git(&["init", "-q"]);
    stack.git(&["commit", "-q", "--allow-empty", "-m", "one"]);
    stack.see(ask()).passes("is not in any commit");
    stack.git(&["add", "-f", ".env.staging"]);
    stack.see(ask()).fails("is tracked by git").hides(SECRET);
}

#[test]
fn the_owner_is_compared_by_number_and_name() {
    let mut stack = Stack::new();
    stack.env("A=b\n");
    stack.see(ask("owner", json!({}))).passes("belongs to ");
    stack.see(ask("owner", json!({ "owner": "64123" }))).fails("belongs to ");
    stack.see(ask("owner", json!({ "owner": "nobody-of-this-name" }))).unsure("does not exist on this host");
    std::fs::remove_file(stack.dir().join(".env.staging")).unwrap();
    stack.see(ask("owner", json!({}))).fails("does not exist");
}

#[test]
fn weak_and_shared_secrets_are_reported_without_their_values() {
    let good = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";
    let other = "q83vEjRWeJCrze8SNFZ4kKvN7xI0";
    let mut stack = Stack::new();
    stack.env(&format!("JWT_SECRET={good}\nMETRICS_TOKEN={other}\nTOKEN_TTL=15m\nROTATION_KEY=\n"));
    stack.see(ask("secrets", json!({}))).passes("2 secrets").hides(good).hides(other);
    stack.see(ask("secrets", json!({ "min_length": 64 }))).fails("JWT_SECRET has 40 characters");
    stack.see(ask("secrets", json!({ "min_bits": 512 }))).fails("bits");
    stack.see(ask("secrets", json!({ "keys": ["ROTATION_KEY"] }))).fails("ROTATION_KEY is empty");
    stack.see(ask("secrets", json!({ "keys": ["NONE"] }))).fails("NONE is missing");
    stack.env(&format!("A_SECRET={good}\nB_SECRET={good}\nC_TOKEN=StagingPassword123456\n"));
    stack.see(ask("secrets", json!({}))).fails("A_SECRET and B_SECRET are the same").hides(good);
    stack
        .see(ask("secrets", json!({ "keys": ["C_TOKEN"] })))
        .fails("common words")
        .hides("StagingPassword123456");
    stack.env("PORT=3000\n");
    stack.see(ask("secrets", json!({}))).unsure("no key with the name of a secret");
}

#[test]
fn urls_are_read_and_compared() {
    let mut stack = Stack::new();
    stack.url("frontend", "http://127.0.0.1:${PORT}");
    stack.env(&format!("PORT=3001\nFRONTEND_URL=http://127.0.0.1:3001/\nDATABASE_URL=postgres://u:{SECRET}@db:5432/app\nPLEX_URL=\n"));
    stack.see(ask("urls", json!({}))).passes("2 URLs").hides(SECRET);
    let declared = json!({ "declared": { "FRONTEND_URL": "${frontend}" } });
    stack.see(ask("urls", declared.clone())).passes("2 URLs");
    stack
        .see(ask("urls", json!({ "schemes": ["https"], "keys": ["FRONTEND_URL"] })))
        .fails("FRONTEND_URL has scheme http://");
    stack.see(ask("urls", json!({ "keys": ["PLEX_URL"] }))).fails("PLEX_URL is missing or empty");
    stack.see(ask("urls", json!({ "declared": { "FRONTEND_URL": "${nowhere}" } }))).unsure("nowhere");
    stack.env(&format!("PORT=3002\nFRONTEND_URL=http://127.0.0.1:3001\nOTHER_URL=127.0.0.1/{SECRET}\n"));
    stack
        .see(ask("urls", declared))
        .fails("FRONTEND_URL differs from ${frontend}, OTHER_URL is not a valid URL")
        .hides(SECRET);
    stack.env("PORT=3000\n");
    stack.see(ask("urls", json!({}))).unsure("no key with the name of a URL");
}

#[test]
fn a_declared_rotation_ages_and_must_not_contradict_the_file() {
    let mut stack = Stack::new();
    let path = stack.env(&format!("JWT_SECRET={SECRET}\n"));
    let spec =
        |day: &str, age: &str| ask("rotated", json!({ "rotated": { "JWT_SECRET": day }, "max_age": age }));
    stack.see(spec("2020-02-29", "3650d")).passes("1 secret, oldest rotation").hides(SECRET);
    stack.see(spec("2020-02-29", "90d")).fails("JWT_SECRET was rotated");
    stack.see(spec("2999-01-01", "90d")).fails("in the future");
    stack.see(spec("2020-13-01", "90d")).unsure("is not a date");
    stack.see(ask("rotated", json!({ "max_age": "90d" }))).unsure("no rotation date is declared");
    let more = json!({ "rotated": { "JWT_SECRET": "2020-02-29" }, "keys": ["OTHER"], "max_age": "90d" });
    stack.see(ask("rotated", more)).unsure("no rotation date is declared for OTHER");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_500_000_000)).unwrap();
    stack.see(spec("2020-02-29", "3650d")).fails("was last written before");
}
