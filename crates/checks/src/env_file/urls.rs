//! URLs in the env file. They may contain passwords, so they are never shown.

use std::collections::BTreeSet;

use domain::check::CheckSpec;
use domain::evidence::Finding;
use reqwest::Url;

use super::super::finding::{count_of, failed, names, passed, unknown, with_value};
use super::super::probe::Probe;
use super::Subject;
use domain::pattern::fits;

/// Names of keys that usually contain a URL.
const USUAL: [&str; 4] = ["*_URL", "*_URI", "URL", "URI"];

pub(super) async fn judge(file: &Subject, probe: &Probe<'_>) -> Finding {
    let CheckSpec::EnvFile { keys, schemes, declared, .. } = &probe.work.check.spec else {
        return unknown(
            "an env file",
            "this is not an env file check",
            "Correct the check in stagegate.toml.",
        );
    };
    let mut wanted = "valid URLs".to_owned();
    if !schemes.is_empty() {
        wanted.push_str(&format!(" with scheme {}", names(schemes)));
    }
    if !declared.is_empty() {
        wanted.push_str(&format!("; {}", names(declared.iter().map(|(k, v)| format!("{k} is {v}")))));
    }
    let env = match file.values(&wanted).await {
        Ok(env) => env,
        Err(found) => return found,
    };
    let usual = keys.is_empty();
    let fitting = |key: &str| {
        if usual { USUAL.iter().any(|p| fits(p, key)) } else { keys.iter().any(|p| fits(p, key)) }
    };
    let filled = |key: &str| env.get(key).map(str::trim).filter(|value| !value.is_empty());
    let mut meant: BTreeSet<&str> =
        env.vars.iter().map(|v| v.key.as_str()).filter(|key| fitting(key)).collect();
    // An empty URL that the check does not name is not in use.
    meant.retain(|key| !usual || filled(key).is_some());
    meant.extend(keys.iter().map(String::as_str).filter(|key| !key.contains('*')));
    meant.extend(declared.keys().map(String::as_str));
    if meant.is_empty() {
        let saw = format!("{} has no key with the name of a URL", file.shown);
        return unknown(wanted, saw, "Set `keys` to the keys that contain URLs.");
    }
    let mut bad = vec![];
    for key in &meant {
        let Some(value) = filled(key) else {
            bad.push(format!("{key} is missing or empty"));
            continue;
        };
        let Some(url) = Url::parse(value).ok().filter(|url| url.has_host()) else {
            bad.push(format!("{key} is not a valid URL"));
            continue;
        };
        if !schemes.is_empty() && !schemes.iter().any(|scheme| scheme.trim_end_matches("://") == url.scheme())
        {
            bad.push(format!("{key} has scheme {}://", url.scheme()));
        }
        let Some(template) = declared.get(*key) else { continue };
        let other = match probe.names.fill(template) {
            Ok(filled) => filled.text,
            Err(error) => return unknown(wanted, error.to_string(), "Correct `declared` or the env file."),
        };
        match Url::parse(&other) {
            Ok(other) if other == url => {}
            Ok(_) => bad.push(format!("{key} differs from {template}")),
            Err(_) => {
                return unknown(
                    wanted,
                    format!("{template} is not a valid URL"),
                    "Correct `declared` or [stack.urls].",
                );
            }
        }
    }
    let many = bad.len() as f64;
    if bad.is_empty() {
        return with_value(
            passed(wanted, format!("{} as expected", count_of(meant.len(), "URL", "URLs"))),
            many,
        );
    }
    let next = format!("Correct these keys in {}, then deploy again.", file.shown);
    with_value(failed(wanted, names(bad), next), many)
}
