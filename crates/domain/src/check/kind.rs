//! The kinds of check, and what each kind declares.

use std::fmt;

use super::{CheckSpec, PrometheusAssert};

/// One day, milliseconds.
const DAY_MS: u64 = 24 * 60 * 60_000;

/// Declares the kinds together with the list of them, so that the list cannot miss one.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)+) => {
        /// What a check looks at. Its keys are in the variant of [`CheckSpec`] with the same name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CheckKind {
            $($(#[$doc])* $kind,)+
        }

        impl CheckKind {
            /// All kinds, in the order in which hints list them.
            pub const ALL: &'static [CheckKind] = &[$(CheckKind::$kind),+];
        }
    };
}

kinds! {
    /// A command of the runbook or of `stagegate.toml`.
    Command,
    /// HTTP requests to a URL of the stack.
    Http,
    /// A condition of the running stack.
    Compose,
    /// A condition of the env file.
    EnvFile,
    /// A file that must exist and be recent.
    File,
    /// The state of the repository.
    Git,
    /// A TCP port.
    Port,
    /// A TLS certificate.
    Tls,
    /// A condition of Prometheus.
    Prometheus,
    /// A dashboard of Grafana.
    Grafana,
    /// Log lines of services.
    Logs,
    /// A database of the stack.
    Database,
    /// A rollback drill.
    Drill,
}

/// What a kind declares.
struct Properties {
    /// Its name in `stagegate.toml` and in stored evidence.
    name: &'static str,
    /// Whether it changes nothing, so that it may run on schedule.
    only_reads: bool,
    /// Whether a person or the schedule can run it.
    can_be_run: bool,
    /// How long it may take when the declaration does not say, milliseconds.
    timeout_ms: u64,
    /// How long its evidence counts when the declaration does not say, milliseconds.
    valid_for_ms: Option<u64>,
}

impl Properties {
    /// What most kinds declare: they read something within a minute.
    const fn reads(name: &'static str) -> Properties {
        Properties { name, only_reads: true, can_be_run: true, timeout_ms: 60_000, valid_for_ms: None }
    }
}

impl CheckKind {
    /// The place in which a kind is declared. What depends on its keys is in the methods of [`CheckSpec`].
    const fn properties(self) -> Properties {
        match self {
            CheckKind::Command => {
                Properties { only_reads: false, timeout_ms: 15 * 60_000, ..Properties::reads("command") }
            }
            CheckKind::Http => Properties::reads("http"),
            CheckKind::Compose => Properties::reads("compose"),
            CheckKind::EnvFile => Properties::reads("env_file"),
            CheckKind::File => Properties::reads("file"),
            CheckKind::Git => Properties::reads("git"),
            CheckKind::Port => Properties::reads("port"),
            // A certificate comes closer to its end, and a database changes, while the release stays the same.
            CheckKind::Tls => Properties { valid_for_ms: Some(DAY_MS), ..Properties::reads("tls") },
            CheckKind::Prometheus => Properties::reads("prometheus"),
            CheckKind::Grafana => Properties::reads("grafana"),
            CheckKind::Logs => Properties::reads("logs"),
            // A restore test creates a database.
            CheckKind::Database => {
                Properties { only_reads: false, valid_for_ms: Some(DAY_MS), ..Properties::reads("database") }
            }
            // The run of a drill writes the evidence.
            CheckKind::Drill => {
                Properties { only_reads: false, can_be_run: false, ..Properties::reads("drill") }
            }
        }
    }

    /// Its name in `stagegate.toml`.
    pub fn name(self) -> &'static str {
        self.properties().name
    }

    /// The name on pages: `env file`.
    pub fn label(self) -> String {
        self.name().replace('_', " ")
    }

    /// Whether checks of this kind change nothing, unless their keys ask for it (see [`CheckSpec::only_reads`]).
    pub fn only_reads(self) -> bool {
        self.properties().only_reads
    }

    /// Whether a check of this kind can be run. A drill is only recorded.
    pub fn can_be_run(self) -> bool {
        self.properties().can_be_run
    }

    /// Longest time a check may take when its declaration has no `timeout`, milliseconds.
    pub fn default_timeout_ms(self) -> u64 {
        self.properties().timeout_ms
    }

    /// Age at which evidence becomes stale when the declaration has no `valid_for`, milliseconds. `None`: never
    /// because of its age alone.
    pub fn default_valid_for_ms(self) -> Option<u64> {
        self.properties().valid_for_ms
    }
}

impl fmt::Display for CheckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl CheckSpec {
    /// Its kind.
    pub fn kind(&self) -> CheckKind {
        match self {
            CheckSpec::Command { .. } => CheckKind::Command,
            CheckSpec::Http { .. } => CheckKind::Http,
            CheckSpec::Compose { .. } => CheckKind::Compose,
            CheckSpec::EnvFile { .. } => CheckKind::EnvFile,
            CheckSpec::File { .. } => CheckKind::File,
            CheckSpec::Git { .. } => CheckKind::Git,
            CheckSpec::Port { .. } => CheckKind::Port,
            CheckSpec::Drill {} => CheckKind::Drill,
            CheckSpec::Tls(_) => CheckKind::Tls,
            CheckSpec::Prometheus(_) => CheckKind::Prometheus,
            CheckSpec::Grafana(_) => CheckKind::Grafana,
            CheckSpec::Logs(_) => CheckKind::Logs,
            CheckSpec::Database(_) => CheckKind::Database,
        }
    }

    /// Whether it can be run. A drill is only recorded.
    pub fn can_be_run(&self) -> bool {
        self.kind().can_be_run()
    }

    /// Whether running it changes nothing, so that it may run on schedule.
    pub fn only_reads(&self) -> bool {
        self.kind().only_reads() && !self.keys_ask_for_a_change()
    }

    /// Whether its keys make a check change something although its kind only reads.
    fn keys_ask_for_a_change(&self) -> bool {
        match self {
            // Testing a rate limit sends many requests.
            CheckSpec::Http { rate_limit: Some(_), .. } => true,
            CheckSpec::Http { method, .. } => method
                .as_deref()
                .is_some_and(|m| !["GET", "HEAD", "OPTIONS"].iter().any(|safe| m.eq_ignore_ascii_case(safe))),
            CheckSpec::Prometheus(spec) => spec.assert == PrometheusAssert::Alert,
            CheckSpec::Command { .. }
            | CheckSpec::Compose { .. }
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
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The smallest declaration of each kind.
    fn smallest(kind: CheckKind) -> CheckSpec {
        let mut keys = match kind {
            CheckKind::Command => json!({ "run": "true" }),
            CheckKind::Http => json!({ "url": "http://127.0.0.1/" }),
            CheckKind::Compose => json!({ "assert": "healthy" }),
            CheckKind::EnvFile => json!({ "assert": "mode" }),
            CheckKind::File => json!({ "path": "backup.dump" }),
            CheckKind::Git => json!({ "assert": "clean" }),
            CheckKind::Port => json!({ "address": "127.0.0.1:5432" }),
            CheckKind::Tls => json!({ "address": "web.example:443" }),
            CheckKind::Prometheus => json!({ "url": "http://127.0.0.1:9090", "assert": "target" }),
            CheckKind::Grafana => json!({ "file": "dashboard.json" }),
            CheckKind::Logs => json!({ "source": "loki", "assert": "fresh" }),
            CheckKind::Database => json!({ "assert": "rows" }),
            CheckKind::Drill => json!({}),
        };
        keys["kind"] = Value::from(kind.name());
        serde_json::from_value(keys).unwrap_or_else(|error| panic!("{kind}: {error}"))
    }

    #[test]
    fn the_name_of_each_kind_is_the_one_in_files_and_in_the_store() {
        for &kind in CheckKind::ALL {
            let spec = smallest(kind);
            assert_eq!(spec.kind(), kind);
            assert_eq!(serde_json::to_value(&spec).unwrap()["kind"], kind.name());
        }
    }

    #[test]
    fn the_list_has_each_kind_that_can_be_declared() {
        let error = serde_json::from_value::<CheckSpec>(json!({ "kind": "no such kind" })).unwrap_err();
        let text = error.to_string();
        let mut declared: Vec<&str> = text.split('`').skip(3).step_by(2).collect();
        let mut listed: Vec<&str> = CheckKind::ALL.iter().map(|kind| kind.name()).collect();
        declared.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, declared, "{text}");
    }

    #[test]
    fn what_each_kind_declares() {
        // Name, only reads, can be run, timeout in seconds, evidence counts for hours.
        let table = [
            ("command", false, true, 900, None),
            ("http", true, true, 60, None),
            ("compose", true, true, 60, None),
            ("env_file", true, true, 60, None),
            ("file", true, true, 60, None),
            ("git", true, true, 60, None),
            ("port", true, true, 60, None),
            ("tls", true, true, 60, Some(24)),
            ("prometheus", true, true, 60, None),
            ("grafana", true, true, 60, None),
            ("logs", true, true, 60, None),
            ("database", false, true, 60, Some(24)),
            ("drill", false, false, 60, None),
        ];
        let declared: Vec<_> = CheckKind::ALL
            .iter()
            .map(|kind| {
                let hours = kind.default_valid_for_ms().map(|ms| ms / 3_600_000);
                let seconds = kind.default_timeout_ms() / 1_000;
                (kind.name(), kind.only_reads(), kind.can_be_run(), seconds, hours)
            })
            .collect();
        assert_eq!(declared, table);
    }

    #[test]
    fn keys_can_make_a_check_change_something() {
        let spec = |keys: Value| serde_json::from_value::<CheckSpec>(keys).unwrap();
        let http = |more: Value| {
            let mut keys = json!({ "kind": "http", "url": "http://127.0.0.1/" });
            keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            spec(keys)
        };
        for reads in [json!({}), json!({ "method": "head" }), json!({ "method": "OPTIONS" })] {
            assert!(http(reads.clone()).only_reads(), "{reads}");
        }
        let limit = json!({ "requests": 9, "within": "1s", "recovers_within": "2s" });
        for changes in [json!({ "method": "POST" }), json!({ "rate_limit": limit })] {
            assert!(!http(changes.clone()).only_reads(), "{changes}");
        }
        let prometheus = |assert: &str| {
            spec(json!({ "kind": "prometheus", "url": "http://127.0.0.1:9090", "assert": assert }))
        };
        assert!(prometheus("rule").only_reads());
        assert!(!prometheus("alert").only_reads());
    }

    #[test]
    fn the_documentation_has_a_section_for_each_kind() {
        let page = include_str!("../../../../docs/checks.md");
        for kind in CheckKind::ALL {
            assert!(page.lines().any(|line| line == format!("## {kind}")), "docs/checks.md misses `{kind}`");
        }
    }
}
