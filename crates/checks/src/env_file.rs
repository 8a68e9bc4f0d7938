//! The env file: permissions, keys, placeholders, declared values. A finding never contains a value.

mod owner;
mod rotated;
mod strength;
mod urls;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use domain::check::{CheckSpec, EnvAssert};
use domain::evidence::Finding;

use super::finding::{count_of, failed, names, passed, unknown, with_value};
use super::git::never_committed;
use super::origins;
use super::probe::Probe;
use domain::pattern::fits;
use secrets::{EnvSource, EnvSourceError, EnvValues};
use secrets::{could_be_secret, is_placeholder, is_secret_key, password_in};
use system::files::off_thread;

const USUAL_MODE: u32 = 0o600;

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let CheckSpec::EnvFile { assert, keys, equals, mode, .. } = &probe.work.check.spec else {
        return unknown(
            "an env file",
            "this is not an env file check",
            "Correct the check in stagegate.toml.",
        );
    };
    let (Some(source), Some(declared)) = (probe.work.env_source(), &probe.work.stack.files().env_source)
    else {
        return unknown("an env file", "the stack declares no env file", "Set `env_file` in [stack].");
    };
    let shown = declared.describe();
    probe.say(&format!("Checking {shown} ({assert:?})."));
    let file = Subject { source, shown };
    match assert {
        EnvAssert::Mode => file.mode(mode.as_deref()),
        EnvAssert::Untracked => match file.own_file("a file that was never committed") {
            Ok(path) => never_committed(probe, path, &file.shown).await,
            Err(found) => found,
        },
        EnvAssert::Keys => file.keys(probe, keys).await,
        EnvAssert::NoPlaceholders => file.placeholders(probe, keys).await,
        EnvAssert::Equals => file.equals(probe, keys, equals.as_deref()).await,
        EnvAssert::Origins => file.origins(probe, keys, equals.as_deref()).await,
        EnvAssert::Owner => owner::judge(&file, &probe.work.check.spec),
        EnvAssert::Secrets => strength::judge(&file, &probe.work.check.spec).await,
        EnvAssert::Urls => urls::judge(&file, probe).await,
        EnvAssert::Rotated => rotated::judge(&file, probe).await,
    }
}

/// The env source of the stack.
struct Subject {
    source: EnvSource,
    shown: String,
}

impl Subject {
    /// The file that the values are kept in, for checks of the file itself.
    fn own_file(&self, wanted: &str) -> Result<&Path, Finding> {
        self.source.own_file().ok_or_else(|| {
            let saw = format!("{} is not a file", self.shown);
            unknown(wanted, saw, "Remove this check: it applies to env files only.")
        })
    }

    fn missing(&self, wanted: &str) -> Finding {
        failed(
            wanted,
            format!("{} does not exist", self.shown),
            "Create it from the example env file and fill in the values from the vault.",
        )
    }

    async fn values(&self, wanted: &str) -> Result<EnvValues, Finding> {
        let source = self.source.clone();
        let values = off_thread(move || source.values()).await;
        let values = values.unwrap_or_else(|error| Err(EnvSourceError::Unreadable(error)));
        values.map_err(|error| match error {
            EnvSourceError::Missing => self.missing(wanted),
            error => unknown(
                wanted,
                format!("{}: {error}", self.shown),
                "Correct the env file, then run the check again.",
            ),
        })
    }

    fn mode(&self, mode: Option<&str>) -> Finding {
        let wanted_mode = match mode.map(|text| u32::from_str_radix(text.trim_start_matches("0o"), 8)) {
            None => USUAL_MODE,
            Some(Ok(mode)) if mode <= 0o7777 => mode,
            Some(_) => {
                return unknown("a mode", "the mode in the check is not octal", "Write `mode` as 0600.");
            }
        };
        let wanted = format!("mode {wanted_mode:04o} or stricter");
        let path = match self.own_file(&wanted) {
            Ok(path) => path,
            Err(found) => return found,
        };
        let about = match fs::metadata(path) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.missing(&wanted),
            Err(error) => {
                let saw = format!("{} cannot be read ({})", self.shown, error.kind());
                return unknown(wanted, saw, "Correct the permissions of its directory.");
            }
        };
        if !about.is_file() {
            return failed(
                wanted,
                format!("{} is not a regular file", self.shown),
                "Replace it with a regular file.",
            );
        }
        let found = about.permissions().mode() & 0o7777;
        let saw = format!("{} has mode {found:04o}", self.shown);
        if found & !wanted_mode == 0 {
            passed(wanted, saw)
        } else {
            failed(wanted, saw, format!("Run chmod {wanted_mode:o} {}", self.shown))
        }
    }

    fn example(&self, probe: &Probe<'_>, wanted: &str) -> Result<Option<EnvValues>, Finding> {
        let Some(example) = probe.work.example() else { return Ok(None) };
        example.values().map(Some).map_err(|error| {
            unknown(wanted, format!("example env file: {error}"), "Correct the example env file.")
        })
    }

    async fn keys(&self, probe: &Probe<'_>, keys: &[String]) -> Finding {
        let mut wanted = "every required key present and not empty".to_owned();
        let read = self.values(&wanted).await.and_then(|file| Ok((file, self.example(probe, &wanted)?)));
        let (file, example) = match read {
            Ok(both) => both,
            Err(found) => return found,
        };
        // A question mark after a key makes it optional.
        let optional: BTreeSet<&str> = keys.iter().filter_map(|k| k.strip_suffix('?')).collect();
        let mut required: BTreeSet<&str> =
            keys.iter().map(String::as_str).filter(|k| !k.ends_with('?')).collect();
        if let Some(example) = &example {
            required.extend(example.vars.iter().map(|v| v.key.as_str()));
        }
        required.retain(|key| !optional.contains(key));
        if required.is_empty() {
            return unknown(
                wanted,
                "no required key is declared",
                "Set `keys` in the check, or `env_example` in [stack].",
            );
        }
        wanted = format!("{} present and not empty", count_of(required.len(), "key", "keys"));
        let filled = |pattern: &str| {
            let mut fitting = file.vars.iter().filter(|v| fits(pattern, &v.key));
            fitting.any(|v| !file.get(&v.key).unwrap_or_default().trim().is_empty())
        };
        let lacking: Vec<String> = required
            .iter()
            .filter(|key| !filled(key))
            .map(|key| match file.get(key) {
                Some(_) => format!("{key} (empty)"),
                None => format!("{key} (missing)"),
            })
            .collect();
        let good = (required.len() - lacking.len()) as f64;
        if lacking.is_empty() {
            return with_value(
                passed(wanted, format!("{} present and not empty", count_of(required.len(), "key", "keys"))),
                good,
            );
        }
        let next = format!("Set these keys in {} to the values from the vault.", self.shown);
        with_value(failed(wanted, names(lacking), next), good)
    }

    async fn placeholders(&self, probe: &Probe<'_>, keys: &[String]) -> Finding {
        let wanted = "no placeholder, and no secret copied from the example";
        let read = self.values(wanted).await.and_then(|file| Ok((file, self.example(probe, wanted)?)));
        let (file, example) = match read {
            Ok(both) => both,
            Err(found) => return found,
        };
        if file.vars.is_empty() {
            return unknown(
                wanted,
                format!("{} has no keys", self.shown),
                "Fill in the values from the vault.",
            );
        }
        let named = |key: &str| keys.iter().any(|pattern| fits(pattern, key));
        let mut bad = BTreeSet::new();
        for var in &file.vars {
            let (key, value) = (var.key.as_str(), file.get(&var.key).unwrap_or_default());
            let password = password_in(value);
            if is_placeholder(value) || password.is_some_and(is_placeholder) {
                bad.insert(format!("{key} (placeholder)"));
                continue;
            }
            let Some(given) = example.as_ref().and_then(|e| e.get(key)) else { continue };
            let same = (is_secret_key(key) || named(key)) && given == value && could_be_secret(value);
            let same_password = password.is_some() && password == password_in(given);
            if same || same_password {
                bad.insert(format!("{key} (same as in the example)"));
            }
        }
        if bad.is_empty() {
            let compared = if example.is_some() { ", compared with the example" } else { "" };
            let many = file.vars.iter().map(|v| &v.key).collect::<BTreeSet<_>>().len();
            return with_value(
                passed(wanted, format!("{} without placeholder{compared}", count_of(many, "key", "keys"))),
                0.0,
            );
        }
        let many = bad.len() as f64;
        with_value(
            failed(wanted, names(bad), "Replace these values with the real ones from the vault."),
            many,
        )
    }

    async fn equals(&self, probe: &Probe<'_>, keys: &[String], equals: Option<&str>) -> Finding {
        let ([key], Some(template)) = (keys, equals) else {
            return unknown(
                "one key and its value",
                "the check does not declare exactly one key and `equals`",
                "Set one key in `keys`, and `equals`.",
            );
        };
        // The template is shown, not the filled text, which may contain values of the env file.
        let wanted = format!("{key} is {template}");
        let (file, value) = match (self.values(&wanted).await, probe.names.fill(template)) {
            (Ok(file), Ok(value)) => (file, value.text),
            (Err(found), _) => return found,
            (_, Err(error)) => {
                return unknown(wanted, error.to_string(), "Correct `equals` or the env file.");
            }
        };
        match file.get(key) {
            None => failed(wanted, format!("{key} is missing"), format!("Add {key} to {}.", self.shown)),
            Some(found) if found == value => passed(wanted, format!("{key} has the declared value")),
            Some(found) => {
                let slash = found.trim_end_matches('/') == value.trim_end_matches('/');
                let how = if slash { " by a trailing slash" } else { "" };
                failed(
                    wanted,
                    format!("{key} differs from the declared value{how}"),
                    format!("Correct {key} in {}, then deploy again.", self.shown),
                )
            }
        }
    }

    async fn origins(&self, probe: &Probe<'_>, keys: &[String], equals: Option<&str>) -> Finding {
        let key = match keys {
            [] => "ALLOWED_ORIGINS",
            [key] => key,
            _ => {
                return unknown(
                    "a list of origins",
                    "the check names more than one key",
                    "Keep one key in `keys`.",
                );
            }
        };
        let (declared, exactly) = match equals.map(|template| probe.names.fill(template)) {
            Some(Ok(filled)) => (origins::parse_list(&filled.text), true),
            Some(Err(error)) => return unknown("a list of origins", error.to_string(), "Correct `equals`."),
            None => (Ok(probe.names.urls().values().filter_map(|url| origins::of_url(url)).collect()), false),
        };
        let declared: BTreeSet<String> = match declared {
            Ok(declared) if !declared.is_empty() => declared,
            Ok(_) => {
                return unknown(
                    "a list of origins",
                    "the stack declares no URL to compare with",
                    "Declare the URLs in [stack.urls].",
                );
            }
            Err(saw) => return unknown("a list of origins", saw, "Correct `equals`."),
        };
        let list = declared.iter().cloned().collect::<Vec<_>>().join(", ");
        let wanted = format!("{key} contains {} {list}, and no *", if exactly { "exactly" } else { "only" });
        let file = match self.values(&wanted).await {
            Ok(file) => file,
            Err(found) => return found,
        };
        let next = format!("Correct {key} in {}, then deploy again.", self.shown);
        let Some(value) = file.get(key) else {
            return failed(wanted, format!("{key} is missing"), next);
        };
        let found = match origins::parse_list(value) {
            Ok(found) => found,
            Err(saw) => return failed(wanted, saw, next),
        };
        let extra: Vec<&String> = found.difference(&declared).collect();
        let lacking: Vec<&String> = declared.difference(&found).filter(|_| exactly).collect();
        if found.is_empty() {
            failed(wanted, format!("{key} is empty"), next)
        } else if !extra.is_empty() {
            failed(wanted, format!("{key} also contains {}", names(extra)), next)
        } else if !lacking.is_empty() {
            failed(wanted, format!("{key} does not contain {}", names(lacking)), next)
        } else {
            passed(wanted, format!("{key} contains {}", names(&found)))
        }
    }
}
