//! The tables other than the checks, and the reading of the whole file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::role::Role;
use domain::runbook::{Runbook, Severity};
use toml::de::DeTable;

use super::checks::read_checks;
use super::cross::{References, cross_check};
use super::old_keys::rename_old_keys;
use super::rules::{check_rules, read_rules};
use super::schedule::{check_schedules, read_commands_allowed};
use super::walk::{At, Walk, suggestion};
use super::{Config, Deploy, OnFailedDeploy, Reading, Retention, Rollback, Stack};

/// Compose files that are used when `files` is not set, in the order of Compose.
const USUAL_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// The largest value of `keep`.
const MOST_KEPT: u32 = 100;

/// The keys and tables of the document.
const KEYS: [&str; 13] = [
    "runbook",
    "attest",
    "server",
    "stack",
    "deploy",
    "rollback",
    "retention",
    "gates",
    "schedule",
    "attestations",
    "waivers",
    "checklist",
    "check",
];

/// Reads the document and its runbook.
pub(super) fn read_document(path: &Path, file: &str, text: &str) -> Reading {
    let mut walk = Walk::new(text, file);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |s| s.start);
        walk.error(at, format!("this is not valid TOML: {}", error.message()), "");
    }
    if !errors.is_empty() {
        // The text recovered around a mistake would only cause more errors.
        let mut problems = walk.problems;
        problems.sort_by_key(|p| (p.line, p.column));
        return Reading { config: None, runbook: None, runbook_file: file.to_owned(), problems };
    }
    let mut root = root.into_inner();
    rename_old_keys(&mut walk, &mut root);
    read_tables(walk, &root, path, file)
}

/// Reads the tables of a document that is valid TOML, and compares them with the runbook.
fn read_tables(mut walk: Walk<'_>, root: &DeTable<'_>, path: &Path, file: &str) -> Reading {
    walk.unknown_keys(root, &KEYS, "the file");
    let base = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (runbook_path, runbook) = read_runbook(&mut walk, root, base);
    check_server(&mut walk, root);
    let stack = read_stack(&mut walk, root, base);
    let mut references = References::default();
    let deploy = read_deploy(&mut walk, root, &mut references);
    let rollback = read_rollback(&mut walk, root, base);
    let retention = read_retention(&mut walk, root);
    let gate_owners = read_owners(&mut walk, root, &mut references);
    references.items = walk.strings(root, "attest").unwrap_or_default();
    let checks = read_checks(&mut walk, root);
    let commands_allowed = read_commands_allowed(&mut walk, root);
    check_schedules(&mut walk, runbook.as_ref(), &checks, commands_allowed);
    cross_check(&mut walk, runbook.as_ref(), &checks, &references);
    let read = read_rules(&mut walk, root);
    check_rules(&mut walk, runbook.as_ref(), &checks, &read);
    let runbook_file = runbook_path.as_ref().map_or(file.to_owned(), |p| p.display().to_string());
    if let Some(runbook) = &runbook {
        super::cross::note_attestations(&mut walk.problems, runbook, &checks, &runbook_file);
    }
    let config = match (runbook_path, stack) {
        (Some(runbook), Some(stack)) => Some(Config {
            path: path.to_owned(),
            runbook,
            stack,
            deploy,
            rollback,
            retention,
            gate_owners,
            attest: references.items.iter().map(|i| i.value.clone()).collect(),
            rules: read.rules,
            checks: checks.into_iter().filter_map(|c| c.check).collect(),
        }),
        _ => None,
    };
    let mut problems = walk.problems;
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    Reading { config, runbook, runbook_file, problems }
}

fn read_runbook(walk: &mut Walk<'_>, root: &DeTable<'_>, base: &Path) -> (Option<PathBuf>, Option<Runbook>) {
    let Some(At { value, span }) = walk.string(root, "runbook") else {
        if !root.contains_key("runbook") {
            let hint = "add runbook = \"docs/staging-runbook.md\" above the first table";
            walk.error(0, "`runbook` is missing", hint);
        }
        return (None, None);
    };
    let path = base.join(&value);
    match super::super::read_file(&path) {
        Ok(runbook) => (Some(path), Some(runbook)),
        Err(error) => {
            let message = format!("the runbook “{value}” cannot be read: {error}");
            walk.error(span.start, message, "correct the path: it is relative to this file");
            (Some(path), None)
        }
    }
}

/// The server reads its table itself ([`super::server_table`]); this function only reports mistakes in it.
fn check_server(walk: &mut Walk<'_>, root: &DeTable<'_>) {
    let Some(table) = walk.table(root, "server") else { return };
    walk.unknown_keys(table, &["listen", "data", "public_url", "allowed_hosts", "share_host"], "[server]");
    for key in ["listen", "data", "public_url"] {
        walk.string(table, key);
    }
    walk.strings(table, "allowed_hosts");
    walk.yes_or_no(table, "share_host");
}

fn read_stack(walk: &mut Walk<'_>, root: &DeTable<'_>, base: &Path) -> Option<Stack> {
    let known = [
        "name",
        "project",
        "directory",
        "files",
        "env_file",
        "env_example",
        "public_keys",
        "stateless",
        "urls",
    ];
    if !root.contains_key("stack") {
        walk.error(0, "[stack] is missing", "add it with the directory and the files of the Compose project");
    }
    let table = walk.table(root, "stack")?;
    walk.unknown_keys(table, &known, "[stack]");
    let directory = walk.string(table, "directory");
    let place = base.join(directory.as_ref().map_or(".", |d| d.value.as_str()));
    let exists = place.is_dir();
    if let (Some(At { value, span }), false) = (&directory, exists) {
        let message = format!("the directory “{value}” does not exist");
        walk.error(span.start, message, "correct the path: it is relative to this file");
    }
    let project = walk.string(table, "project").and_then(|p| project_name(walk, p));
    let files = read_files(walk, table, &place, exists);
    let env_file = walk.string(table, "env_file").map(|At { value, span }| {
        if exists && !place.join(&value).is_file() {
            let message = format!("the env file “{value}” does not exist yet");
            walk.say(Severity::Note, span.start, message, "create it before the first deploy");
        }
        PathBuf::from(value)
    });
    let env_example = walk.string(table, "env_example").map(|example| {
        must_exist(walk, &place, exists, &example);
        PathBuf::from(example.value)
    });
    let name = walk.string(table, "name").map(|n| n.value).or(project.clone()).unwrap_or_else(|| {
        let full = place.canonicalize().unwrap_or_else(|_| place.clone());
        full.file_name().map_or("stack".to_owned(), |n| n.to_string_lossy().into_owned())
    });
    let texts = |found: Option<Vec<At<String>>>| -> Vec<String> {
        found.unwrap_or_default().into_iter().map(|t| t.value).collect()
    };
    let public_keys = texts(walk.strings(table, "public_keys"));
    let stateless = texts(walk.strings(table, "stateless"));
    let (urls, url_places) = read_urls(walk, table);
    Some(Stack {
        name,
        project,
        directory: place,
        files,
        env_file,
        env_example,
        public_keys,
        stateless,
        urls,
        url_places,
    })
}

/// Compose accepts lowercase letters, digits, `-` and `_`, starting with a letter or digit.
fn project_name(walk: &mut Walk<'_>, name: At<String>) -> Option<String> {
    let At { value, span } = name;
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let first = value.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if first && value.bytes().all(inside) {
        return Some(value);
    }
    let message = format!("“{value}” is not a valid Compose project name");
    walk.error(
        span.start,
        message,
        "use lowercase letters, digits, `-` and `_`, starting with a letter or digit",
    );
    None
}

fn must_exist(walk: &mut Walk<'_>, place: &Path, directory_exists: bool, file: &At<String>) {
    if directory_exists && !place.join(&file.value).is_file() {
        let message = format!("the file “{}” does not exist", file.value);
        walk.error(
            file.span.start,
            message,
            "correct the path: it is relative to the directory of the stack",
        );
    }
}

fn read_files(walk: &mut Walk<'_>, table: &DeTable<'_>, place: &Path, exists: bool) -> Vec<PathBuf> {
    if let Some(files) = walk.strings(table, "files") {
        for file in &files {
            must_exist(walk, place, exists, file);
        }
        return files.into_iter().map(|f| PathBuf::from(f.value)).collect();
    }
    let usual = USUAL_FILES.into_iter().find(|f| place.join(f).is_file());
    if usual.is_none() && exists && !table.contains_key("files") {
        let at = table.keys().next().map_or(0, |k| k.span().start);
        let message = "the directory of the stack has no Compose file";
        walk.error(at, message, "set files = [\"docker-compose.yml\"] in [stack]");
    }
    usual.map(PathBuf::from).into_iter().collect()
}

/// Addresses by name, and the place of each: line and column.
type Urls = (BTreeMap<String, String>, BTreeMap<String, (usize, usize)>);

fn read_urls(walk: &mut Walk<'_>, table: &DeTable<'_>) -> Urls {
    let (mut out, mut places) = (BTreeMap::new(), BTreeMap::new());
    let Some(urls) = walk.table(table, "urls") else { return (out, places) };
    for key in urls.keys() {
        let name: &str = key.get_ref();
        let Some(At { value, span }) = walk.string(urls, name) else { continue };
        if value.starts_with("http://") || value.starts_with("https://") || value.starts_with("${") {
            out.insert(name.to_owned(), value);
            places.insert(name.to_owned(), walk.lines.position(walk.text, span.start));
        } else {
            let message = format!("`{name}` is not a web address");
            walk.error(span.start, message, "start it with http:// or https://");
        }
    }
    (out, places)
}

fn read_deploy(walk: &mut Walk<'_>, root: &DeTable<'_>, references: &mut References) -> Deploy {
    let mut deploy = Deploy::default();
    let Some(table) = walk.table(root, "deploy") else { return deploy };
    let known = [
        "steps_before",
        "health_timeout",
        "on_failed_deploy",
        "migrations",
        "db_rollback",
        "db_backup",
        "backup_before_deploy",
        "db_recreate",
        "smoke",
    ];
    walk.unknown_keys(table, &known, "[deploy]");
    if let Some(ms) = walk.duration(table, "health_timeout") {
        deploy.health_timeout_ms = ms;
    }
    if let Some(At { value, span }) = walk.string(table, "on_failed_deploy") {
        match value.as_str() {
            "stay" => deploy.on_failed = OnFailedDeploy::Stay,
            "rollback" => deploy.on_failed = OnFailedDeploy::Rollback,
            other => {
                let message = format!("`on_failed_deploy` cannot be `{other}`");
                walk.error(span.start, message, suggestion(other, &["stay", "rollback"]));
            }
        }
    }
    deploy.migrations = walk.string(table, "migrations").map(|c| c.value);
    deploy.db_rollback = walk.string(table, "db_rollback").map(|c| c.value);
    deploy.db_backup = walk.string(table, "db_backup").map(|c| c.value);
    deploy.backup_before = walk.yes_or_no(table, "backup_before_deploy").unwrap_or_default();
    if deploy.backup_before && deploy.db_backup.is_none() {
        let at = table.get("backup_before_deploy").map_or(0, |value| value.span().start);
        walk.error(
            at,
            "`backup_before_deploy` requires `db_backup`",
            "set `db_backup` to the backup command",
        );
    }
    if let Some(At { value, span }) = walk.string(table, "db_recreate") {
        if deploy.db_backup.is_none() {
            let message = "`db_recreate` requires `db_backup`";
            walk.error(
                span.start,
                message,
                "set `db_backup`: the database is backed up before it is recreated",
            );
        }
        deploy.db_fresh = Some(value);
    }
    for step in walk.strings(table, "steps_before").unwrap_or_default() {
        deploy.steps_before.push(step.value.clone());
        references.steps.push(step);
    }
    for check in walk.strings(table, "smoke").unwrap_or_default() {
        deploy.smoke.push(check.value.clone());
        references.checks.push(check);
    }
    deploy
}

fn read_rollback(walk: &mut Walk<'_>, root: &DeTable<'_>, base: &Path) -> Rollback {
    let mut rollback = Rollback::default();
    let Some(table) = walk.table(root, "rollback") else { return rollback };
    walk.unknown_keys(table, &["keep", "env_copy_key"], "[rollback]");
    rollback.env_copy_key = walk.string(table, "env_copy_key").map(|key| base.join(key.value));
    let Some(keep) = walk.number(table, "keep", MOST_KEPT) else { return rollback };
    rollback.keep = keep as usize;
    if rollback.keep < Rollback::LEAST {
        let at = table.get("keep").map_or(0, |value| value.span().start);
        let message = format!("`keep` must be at least {}", Rollback::LEAST);
        walk.error(at, message, "use a larger number: Stagegate retains at least two rollback targets");
    }
    rollback
}

fn read_retention(walk: &mut Walk<'_>, root: &DeTable<'_>) -> Retention {
    let Some(table) = walk.table(root, "retention") else { return Retention::default() };
    walk.unknown_keys(table, &["runs", "evidence"], "[retention]");
    let mut age = |key: &str| {
        let ms = walk.duration(table, key)?;
        if ms < Retention::LEAST_MS {
            let at = table.get(key).map_or(0, |value| value.span().start);
            let hint = "write it as \"90d\", or remove the key to keep everything";
            walk.error(at, format!("`{key}` must be at least one day"), hint);
        }
        Some(ms)
    };
    Retention { runs_ms: age("runs"), evidence_ms: age("evidence") }
}

fn read_owners(
    walk: &mut Walk<'_>,
    root: &DeTable<'_>,
    references: &mut References,
) -> BTreeMap<String, Vec<Role>> {
    let mut owners = BTreeMap::new();
    let Some(gates) = walk.table(root, "gates") else { return owners };
    for key in gates.keys() {
        let name: &str = key.get_ref();
        references.gates.push(At { value: name.to_owned(), span: key.span() });
        let Some(table) = walk.table(gates, name) else { continue };
        walk.unknown_keys(table, &["owners"], &format!("[gates.{name}]"));
        let mut roles: Vec<Role> = Vec::new();
        for At { value, span } in walk.strings(table, "owners").unwrap_or_default() {
            let found = Role::from_owner_word(&value);
            if found.is_empty() {
                let labels: Vec<&str> = Role::ALL.iter().map(|r| r.label()).collect();
                walk.error(span.start, format!("unknown role “{value}”"), suggestion(&value, &labels));
            }
            roles.extend(found);
        }
        roles.sort();
        roles.dedup();
        owners.insert(name.to_owned(), roles);
    }
    owners
}
