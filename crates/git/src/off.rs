//! Switches off programs that a repository's configuration could run.

use std::collections::BTreeMap;

/// Settings of every call, whatever the repository's configuration contains.
const ALWAYS: &[(&str, &str)] = &[
    // Programs.
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.sshCommand", "false"),
    ("core.gitProxy", ""),
    ("core.askPass", "false"),
    ("core.editor", "false"),
    ("core.pager", "cat"),
    ("core.alternateRefsCommand", "false"),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("gpg.program", "false"),
    ("protocol.allow", "never"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // Files outside the repository.
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("safe.bareRepository", "explicit"),
    // Other repositories.
    ("submodule.recurse", "false"),
    ("status.submoduleSummary", "false"),
    // What would hide a change.
    ("core.ignoreStat", "false"),
    ("core.trustCtime", "true"),
    ("core.checkStat", "default"),
    ("core.untrackedCache", "false"),
    // Larger files are read piece by piece.
    ("core.bigFileThreshold", "8m"),
    ("log.showSignature", "false"),
    ("color.ui", "false"),
];

/// The arguments of a call.
pub(super) fn argv(args: &[&str]) -> Vec<String> {
    // The checkout may belong to another user, and reading it must not lock it.
    let careful = ["git", "--no-pager", "--no-optional-locks", "-c", "safe.directory=*"];
    careful.iter().chain(args).map(|word| (*word).to_owned()).collect()
}

/// The environment of a call of the server itself, in addition to [`env()`].
pub(super) fn base_env() -> Vec<(&'static str, String)> {
    let path = std::env::var("PATH")
        .unwrap_or_else(|_| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    vec![("PATH", path), ("LANG", "C.UTF-8".to_owned()), ("HOME", "/nonexistent".to_owned())]
}

/// The environment of a call in a repository whose configuration has `keys`.
pub(super) fn env(keys: &[&str]) -> BTreeMap<String, String> {
    let fixed = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ASKPASS", "false"),
        ("SSH_ASKPASS", "false"),
        ("GIT_SSH_COMMAND", "false"),
        ("GIT_PAGER", "cat"),
        ("GIT_EDITOR", "false"),
        // A missing object is an error; it must not be fetched.
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_ALLOW_PROTOCOL", "none"),
        // A commit must not be replaced by another one.
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("LC_ALL", "C"),
    ];
    let mut env: BTreeMap<String, String> =
        fixed.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut settings: Vec<(String, &str)> =
        ALWAYS.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
    for name in filters(keys) {
        settings.push((format!("filter.{name}.clean"), ""));
        settings.push((format!("filter.{name}.smudge"), ""));
        settings.push((format!("filter.{name}.process"), ""));
        settings.push((format!("filter.{name}.required"), "false"));
    }
    settings.extend(keys.iter().filter_map(|key| Some(((*key).to_owned(), off(key)?))));
    env.insert("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string());
    for (at, (key, value)) in settings.into_iter().enumerate() {
        env.insert(format!("GIT_CONFIG_KEY_{at}"), key);
        env.insert(format!("GIT_CONFIG_VALUE_{at}"), value.to_owned());
    }
    env
}

/// The names of the filters that a configuration with these keys defines.
pub(super) fn filters(keys: &[&str]) -> Vec<String> {
    let name = |key: &&str| {
        let (name, last) = key.strip_prefix("filter.")?.rsplit_once('.')?;
        matches!(last, "clean" | "smudge" | "process" | "required").then(|| name.to_owned())
    };
    let mut names: Vec<String> = keys.iter().filter_map(name).collect();
    names.sort();
    names.dedup();
    names
}

/// The value that switches off a key with a name in it, if it would run a program.
fn off(key: &str) -> Option<&'static str> {
    let (section, rest) = key.split_once('.')?;
    let (_, last) = rest.rsplit_once('.').unwrap_or(("", rest));
    match (section, last) {
        ("diff", "command" | "textconv") | ("credential", "helper") | ("remote", "vcs") => Some(""),
        ("remote", "promisor") => Some("false"),
        ("remote", "uploadpack" | "receivepack") | ("gpg", "program") | ("merge", "driver") => Some("false"),
        ("trailer", "command" | "cmd") | ("uploadpack", "packobjectshook") => Some("false"),
        ("pager", _) => Some("false"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_names_a_program_is_switched_off() {
        let keys = [
            "core.bare",
            "filter.big files.clean",
            "filter.a.b.process",
            "diff.word.textconv",
            "remote.origin.uploadpack",
            "credential.https://example.org.helper",
            "pager.log",
        ];
        assert_eq!(filters(&keys), ["a.b", "big files"]);
        let env = env(&keys);
        let value = |key: &str| {
            let at = env.iter().find(|(name, value)| name.starts_with("GIT_CONFIG_KEY_") && *value == key)?.0;
            env.get(&at.replace("KEY", "VALUE")).map(String::as_str)
        };
        assert_eq!(value("filter.big files.clean"), Some(""));
        assert_eq!(value("filter.a.b.process"), Some(""));
        assert_eq!(value("filter.a.b.required"), Some("false"));
        assert_eq!(value("diff.word.textconv"), Some(""));
        assert_eq!(value("remote.origin.uploadpack"), Some("false"));
        assert_eq!(value("credential.https://example.org.helper"), Some(""));
        assert_eq!(value("pager.log"), Some("false"));
        assert_eq!(value("core.bare"), None, "other keys stay unchanged");
        assert_eq!(env["GIT_CONFIG_COUNT"].parse::<usize>().unwrap() * 2, {
            env.keys()
                .filter(|key| key.starts_with("GIT_CONFIG_KEY_") || key.starts_with("GIT_CONFIG_VALUE_"))
                .count()
        });
    }
}
