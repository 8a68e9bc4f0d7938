//! The stack as Compose interprets it: the parsed output of `docker compose config`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::tool::{Answer, Tool};
use crate::container::{HostPort, PublishedPort};
use crate::error::{OrchestratorError, Result};
use crate::rendered::{Condition, Dependency, Rendered, RenderedService};
use crate::stack_files::StackFiles;
use runner::{Exit, Session};
use secrets::redact::Secrets;
use secrets::{EnvValues, Key, canonical, hide};
use system::files::off_thread;

/// Longest part of an error message of Compose that is shown, in characters.
const MESSAGE_CAP: usize = 600;

/// Reads the project's configuration with Compose. `key` hides secret values in what is stored of it.
///
/// # Errors
/// When the directory or env file is missing, the file is not valid, or Compose is not installed.
pub(crate) async fn render(project: &StackFiles, key: &Key) -> Result<Rendered> {
    render_own(Tool::Direct, project, key).await
}

/// The same for a check. The digests in the result can be compared within this run only.
pub(crate) async fn render_in(session: &Session, project: &StackFiles) -> Result<Rendered> {
    render_own(Tool::Check(session), project, &Key::from([0; 32])).await
}

pub(super) async fn render_own(tool: Tool<'_>, project: &StackFiles, key: &Key) -> Result<Rendered> {
    render_argv(tool, project, project.argv(&["config", "--format", "json"]), key).await
}

pub(super) async fn render_stored(
    tool: Tool<'_>,
    project: &StackFiles,
    name: &str,
    files: &[&Path],
    key: &Key,
) -> Result<Rendered> {
    render_argv(tool, project, project.argv_with(name, files, &["config", "--format", "json"]), key).await
}

async fn render_argv(tool: Tool<'_>, project: &StackFiles, argv: Vec<String>, key: &Key) -> Result<Rendered> {
    let own = project.clone();
    let files = off_thread(move || -> Result<(EnvValues, Vec<String>)> {
        own.check()?;
        let env = match own.env_in_use() {
            Some(source) => source.values().map_err(|error| OrchestratorError::EnvFileInvalid {
                file: source.describe(),
                why: error.to_string(),
            })?,
            None => EnvValues::default(),
        };
        Ok((env, roots(&own)))
    });
    let (env, roots) =
        files.await.map_err(OrchestratorError::io("read the project's files", &project.dir))??;
    let _env_file = project.env_file().await?;
    let out = read(tool, project, argv, &env).await?;
    let config: Value = serde_json::from_slice(&out)
        .map_err(|error| OrchestratorError::ToolOutput { why: format!("not JSON, {error}") })?;
    let values: Vec<String> = env.vars.into_iter().map(|var| var.value).collect();
    Ok(take_apart(config, &values, &roots, key))
}

/// The values as they are, and as Compose prints them, with `$` escaped as `$$`.
fn spellings(values: &[String]) -> Vec<String> {
    let doubled = values.iter().filter(|value| value.contains('$')).map(|value| value.replace('$', "$$"));
    values.iter().cloned().chain(doubled).collect()
}

/// Runs a Compose command that reads the project, and turns its messages into errors.
pub(super) async fn read(
    tool: Tool<'_>,
    project: &StackFiles,
    argv: Vec<String>,
    env: &EnvValues,
) -> Result<Vec<u8>> {
    let answer = tool.run(argv, &project.dir).await.map_err(|_| OrchestratorError::ToolMissing)?;
    if answer.exit.is_success() {
        return Ok(answer.out);
    }
    match answer.exit {
        Exit::Code(_) => {}
        Exit::NotStarted(_) => return Err(OrchestratorError::ToolMissing),
        exit => return Err(OrchestratorError::ToolStuck { why: exit.to_string() }),
    }
    // A `docker` without the plugin fails with a code of its own.
    let version = ["docker", "compose", "version"].map(str::to_owned).to_vec();
    match tool.run(version, &project.dir).await {
        Ok(Answer { exit, .. }) if exit.is_success() => {}
        _ => return Err(OrchestratorError::ToolMissing),
    }
    let message = Secrets::of(env, &[]).map_or_else(
        |_| "the message of Docker Compose cannot be shown, because its secrets cannot be masked".to_owned(),
        |secrets| secrets.redact(&error_lines(&answer.err)),
    );
    Err(OrchestratorError::DefinitionInvalid { message })
}

/// The lines that are not warnings, shortened.
fn error_lines(text: &str) -> String {
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains("level=warning"));
    let mut message = lines.collect::<Vec<_>>().join("; ");
    if message.is_empty() {
        message = "Docker Compose gave no reason".to_owned();
    }
    message.chars().take(MESSAGE_CAP).collect()
}

/// The project's directories, as declared and with links resolved, longest first.
fn roots(project: &StackFiles) -> Vec<String> {
    let mut roots: Vec<PathBuf> = Vec::new();
    for dir in [project.base(), project.dir.clone()] {
        roots.extend(std::path::absolute(&dir));
        roots.extend(std::fs::canonicalize(&dir));
    }
    let mut roots: Vec<String> = roots.into_iter().map(|dir| dir.to_string_lossy().into_owned()).collect();
    roots.sort_by_key(|root| std::cmp::Reverse(root.len()));
    roots.dedup();
    roots.retain(|root| root.len() > 1);
    roots
}

/// `values` are those of the env source.
fn take_apart(mut config: Value, values: &[String], roots: &[String], key: &Key) -> Rendered {
    let name = config.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let services = config.get("services").and_then(Value::as_object);
    let mut services: Vec<_> =
        services.into_iter().flatten().map(|(name, service)| one(name, service)).collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let plain_start = plain_start(&config);
    let mut shown = config.clone();
    hide(&mut shown, &spellings(values), roots, key);
    drop_project_name(&mut shown, &name);
    // The digests are stored with releases and evidence, so their input must not change: texts with a value in another
    // spelling are included unchanged. The digest is keyed and reveals nothing about them.
    hide(&mut config, values, roots, key);
    drop_project_name(&mut config, &name);
    let digest = key.digest(canonical(&config).as_bytes());
    let mut run = config.clone();
    for service in
        run.get_mut("services").and_then(Value::as_object_mut).into_iter().flat_map(|map| map.values_mut())
    {
        if let Some(map) = service.as_object_mut() {
            map.remove("build");
        }
    }
    let run_digest = key.digest(canonical(&run).as_bytes());
    Rendered { name, services, digest, shown, plain_start, run_digest }
}

/// A project that is named after its directory has the name in its networks and volumes too.
fn drop_project_name(config: &mut Value, name: &str) {
    if let Some(map) = config.as_object_mut() {
        map.remove("name");
    }
    for kind in ["networks", "volumes", "configs", "secrets"] {
        let members = config.get_mut(kind).and_then(Value::as_object_mut);
        for member in members.into_iter().flat_map(|map| map.values_mut()) {
            if let Some(Value::String(text)) = member.get_mut("name")
                && let Some(rest) = text.strip_prefix(name).and_then(|rest| rest.strip_prefix('_'))
            {
                *text = format!("_{rest}");
            }
        }
    }
}

fn one(name: &str, service: &Value) -> RenderedService {
    let texts = |field: &str| -> Vec<String> {
        let items = service.get(field).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let check = service.get("healthcheck");
    let disabled = check.and_then(|check| check.get("disable")).and_then(Value::as_bool).unwrap_or(false);
    let replicas =
        service.pointer("/deploy/replicas").or_else(|| service.get("scale")).and_then(Value::as_u64);
    RenderedService {
        name: name.to_owned(),
        image: service.get("image").and_then(Value::as_str).map(str::to_owned),
        build: service.get("build").is_some_and(|build| !build.is_null()),
        ports: service
            .get("ports")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(port)
            .collect(),
        has_healthcheck: check.is_some_and(|check| !check.is_null()) && !disabled,
        profiles: texts("profiles"),
        replicas: replicas.unwrap_or(1),
        keeps_data: service.get("volumes").and_then(Value::as_array).is_some_and(|list| !list.is_empty()),
        dependencies: dependencies(service),
    }
}

/// `depends_on`, to which Compose adds the services that a service shares something with (network, volumes, …).
fn dependencies(service: &Value) -> Vec<Dependency> {
    let all = service.get("depends_on").and_then(Value::as_object).into_iter().flatten();
    all.map(|(name, how)| Dependency {
        service: name.clone(),
        condition: match how.get("condition").and_then(Value::as_str) {
            Some("service_healthy") => Condition::ServiceHealthy,
            Some("service_completed_successfully") => Condition::ServiceCompletedSuccessfully,
            _ => Condition::ServiceStarted,
        },
    })
    .collect()
}

/// Compose itself must start services with hooks, providers or models, and services with secrets or configs whose
/// content is not in a file: Compose copies those into the container just before the start.
fn plain_start(config: &Value) -> bool {
    const COMPOSES_OWN: [&str; 3] = ["post_start", "provider", "models"];
    let services = config.get("services").and_then(Value::as_object).into_iter().flatten();
    let handed = |kind: &str| {
        let all = config.get(kind).and_then(Value::as_object).into_iter().flatten();
        all.into_iter().any(|(_, one)| one.get("content").is_some() || one.get("environment").is_some())
    };
    !handed("secrets")
        && !handed("configs")
        && services.into_iter().all(|(_, service)| {
            COMPOSES_OWN.iter().all(|field| service.get(field).is_none_or(Value::is_null))
        })
}

/// A port that is published on a fixed port of the host.
fn port(port: &Value) -> Option<PublishedPort> {
    let published = port.get("published")?;
    let published = published.as_str().map_or_else(|| published.to_string(), str::to_owned);
    let address = port.get("host_ip").and_then(Value::as_str).unwrap_or_default();
    // Without a number the engine selects a free port; the container has the selected port.
    (!published.is_empty() && published != "0").then_some(PublishedPort {
        host: HostPort::new(address, &published),
        container: port.get("target").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok())?,
        tcp: port.get("protocol").and_then(Value::as_str).is_none_or(|protocol| protocol == "tcp"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn other_tasks_continue_while_the_project_is_read() {
        let home = tempfile::tempdir().unwrap();
        let project = StackFiles { dir: home.path().join("none"), ..StackFiles::default() };
        let others = tokio::spawn(async {});
        for _ in 0..20 {
            let missing = render(&project, &Key::from([1; 32])).await;
            assert!(matches!(missing, Err(OrchestratorError::DirectoryMissing { .. })), "{missing:?}");
        }
        assert!(others.is_finished(), "the only thread of this runtime was blocked");
    }

    fn config(name: &str, root: &str, secret: &str) -> Value {
        json!({
            "name": name,
            "networks": {"default": {"name": format!("{name}_default")}},
            "services": {
                "web": {
                    "build": {"context": root, "args": {"V": "1"}},
                    "environment": {"TOKEN": secret},
                    "ports": [{"host_ip": "127.0.0.1", "target": 80, "published": "8080"}, {"target": 90}],
                    "healthcheck": {"test": ["CMD", "true"]},
                    "volumes": [{"type": "bind", "source": format!("{root}/data")}],
                },
                "db": {"image": "db:1", "healthcheck": {"disable": true}, "deploy": {"replicas": 0}},
            },
        })
    }

    fn rendered(value: Value, secret: &str, root: &str) -> Rendered {
        take_apart(value, &[secret.to_owned()], &[root.to_owned()], &Key::from([1; 32]))
    }

    #[test]
    fn services_are_described_as_declared() {
        let all = rendered(config("shop", "/srv/a", "topsecret"), "topsecret", "/srv/a");
        let web = all.service("web").unwrap();
        let ports: Vec<_> = web.ports.iter().map(PublishedPort::to_string).collect();
        assert_eq!(ports, ["127.0.0.1:8080→80"]);
        assert!(web.build && web.has_healthcheck && web.keeps_data);
        assert_eq!(all.image_name(web), "shop-web");
        assert!(!all.service("db").unwrap().has_healthcheck);
        assert_eq!(all.expected().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["web"]);
    }

    #[test]
    fn only_ports_that_are_fixed_on_the_host_are_declared() {
        let shown = |value: Value| port(&value).map(|port| (port.to_string(), port.tcp));
        let fixed = json!({"target": 80, "published": "8080", "protocol": "tcp"});
        assert_eq!(shown(fixed), Some(("0.0.0.0:8080→80".to_owned(), true)));
        let range = json!({"host_ip": "::1", "target": 53, "published": "53-55", "protocol": "udp"});
        assert_eq!(shown(range), Some(("::1:53-55→53".to_owned(), false)));
        for free in [
            json!({"target": 80}),
            json!({"target": 80, "published": "0"}),
            json!({"target": 80, "published": ""}),
        ] {
            assert_eq!(shown(free), None, "the engine selects the port");
        }
    }

    #[test]
    fn the_digest_ignores_the_location_of_the_checkout_and_nothing_else() {
        let one = rendered(config("a", "/srv/a", "topsecret"), "topsecret", "/srv/a");
        let moved = rendered(config("b", "/srv/b", "topsecret"), "topsecret", "/srv/b");
        assert_eq!(one.digest, moved.digest);
        let rotated = rendered(config("a", "/srv/a", "othersecret"), "othersecret", "/srv/a");
        assert_ne!(one.digest, rotated.digest);
        assert!(!one.shown.to_string().contains("topsecret"));
    }

    #[test]
    fn a_secret_with_a_dollar_is_hidden_as_compose_spells_it() {
        let shown = config("a", "/srv/a", "top$$secret$$9");
        let all = rendered(shown, "top$secret$9", "/srv/a");
        assert!(!all.shown.to_string().contains("secret"), "{}", all.shown);
    }

    /// Releases and evidence are stored with this digest: a different one would invalidate sign-offs on every upgraded
    /// installation. The values were computed independently of this code, from the form that versions before the
    /// masking of `$$` stored.
    #[test]
    fn the_digest_of_a_configuration_does_not_change_even_with_a_dollar_in_a_secret() {
        let digest =
            |shown: &str, value: &str| rendered(config("a", "/srv/a", shown), value, "/srv/a").digest;
        assert_eq!(
            digest("topsecret9", "topsecret9"),
            "64722549006ded56d187a3a225fefac9071149330f3748173ac5637441bf0591"
        );
        assert_eq!(
            digest("top$$secret$$9", "top$secret$9"),
            "6f7dbfb44c326b77d5b48a9aa9b9e27b2ed16db341a659345aa5935adb1f397b"
        );
        assert_ne!(digest("top$$secret$$8", "top$secret$8"), digest("top$$secret$$9", "top$secret$9"));
    }

    #[test]
    fn how_an_image_is_built_matters_to_the_release_and_not_to_its_containers() {
        let one = rendered(config("a", "/srv/a", "topsecret"), "topsecret", "/srv/a");
        let mut other = config("a", "/srv/a", "topsecret");
        other["services"]["web"]["build"]["args"]["V"] = json!("2");
        let other = rendered(other, "topsecret", "/srv/a");
        assert_ne!(one.digest, other.digest);
        assert_eq!(one.run_digest, other.run_digest);
    }

    #[test]
    fn what_a_service_waits_for_is_known() {
        let mut value = config("shop", "/srv/a", "topsecret");
        value["services"]["web"]["depends_on"] = json!({
            "db": {"condition": "service_healthy", "required": true},
            "job": {"condition": "service_completed_successfully"},
            "log": {"condition": "service_started"},
        });
        let all = rendered(value, "topsecret", "/srv/a");
        let conditions: Vec<_> =
            all.service("web").unwrap().dependencies.iter().map(|one| one.condition).collect();
        use Condition::*;
        assert_eq!(conditions, [ServiceHealthy, ServiceCompletedSuccessfully, ServiceStarted]);
    }

    #[test]
    fn compose_starts_what_needs_work_between_creation_and_start() {
        let with = |path: &str, what: Value| {
            let mut value = config("shop", "/srv/a", "topsecret");
            let (parent, name) = path.rsplit_once('/').unwrap();
            let parent = value.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            parent.insert(name.to_owned(), what);
            rendered(value, "topsecret", "/srv/a").plain_start
        };
        assert!(with("/secrets", json!({"a": {"file": "/a"}})));
        assert!(!with("/secrets", json!({"a": {"environment": "A"}})));
        assert!(!with("/configs", json!({"a": {"content": "x"}})));
        assert!(!with("/services/web/post_start", json!([{"command": "x"}])));
        assert!(!with("/services/db/provider", json!({"type": "x"})));
    }

    #[test]
    fn warnings_are_not_errors() {
        let text = "time=\"x\" level=warning msg=\"V is not set\"\nyaml: line 3: bad\n";
        assert_eq!(error_lines(text), "yaml: line 3: bad");
    }
}
