//! Mistakes in the Compose file: builds, ports, health checks, data stores.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::preflight::Weight;

use super::dockerfile::Dockerfile;
use super::model::{Build, Place, Port, Service, filled};
use super::repository::Repo;
use super::shell_commands::joined;
use super::{Look, Told, about};

/// Images of data stores, by the last part of their name, and the ports they listen on.
const STORES: [(&str, u16); 15] = [
    ("postgres", 5432),
    ("postgis", 5432),
    ("timescaledb", 5432),
    ("mysql", 3306),
    ("mariadb", 3306),
    ("mongo", 27017),
    ("redis", 6379),
    ("valkey", 6379),
    ("memcached", 11211),
    ("elasticsearch", 9200),
    ("opensearch", 9200),
    ("cassandra", 9042),
    ("clickhouse-server", 8123),
    ("couchdb", 5984),
    ("etcd", 2379),
];

/// Prefixes of variables that a build writes into the pages, and the tool that does it.
const INLINED: [(&str, &str); 4] =
    [("NEXT_PUBLIC_", "next"), ("VITE_", "vite"), ("REACT_APP_", "react-scripts"), ("GATSBY_", "gatsby")];

/// Checks every service.
pub(super) fn look(look: &mut Look<'_>) {
    for (file, bad) in look.model.broken.clone() {
        let told = Told {
            file,
            line: bad.line.max(1),
            kind: "compose-file-broken",
            about: vec![],
            message: format!("the Compose file is not valid YAML: {}", bad.why),
            hint: "Correct the file. `docker compose config` shows the details.".to_owned(),
        };
        look.tell(look.gates.compose.clone(), Weight::Breaks, told);
    }
    let services = look.model.services.clone();
    for (name, service) in &services {
        if let Some(build) = &service.build {
            look_at_build(look, name, service, build);
        } else if service.image.is_none() && !service.uncertain {
            tell(
                look,
                Weight::Breaks,
                &service.at,
                ("service-without-image", about([name])),
                format!("{name} has neither `image` nor `build`"),
                "Add `image` or `build` to the service.",
            );
        }
        for (needed, at) in &service.depends_on {
            if look.model.complete && !services.contains_key(needed) {
                tell(
                    look,
                    Weight::Breaks,
                    at,
                    ("service-missing", about([name, needed])),
                    format!("{name} depends on {needed}, but there is no service {needed}"),
                    "Add the service, or correct its name.",
                );
            }
        }
        published_store(look, name, service);
        listens_elsewhere(look, name, service);
        no_health_check(look, name, service);
    }
    host_ports(look, &services);
}

/// A finding of the kind `kind.0` that is about `kind.1`.
fn tell(
    look: &mut Look<'_>,
    weight: Weight,
    at: &Place,
    kind: (&'static str, Vec<String>),
    message: String,
    hint: &str,
) {
    let gate = look.gates.compose.clone();
    let (kind, about) = kind;
    let (file, hint) = (at.file.clone(), hint.to_owned());
    look.tell(gate, weight, Told { file, line: at.line, kind, about, message, hint });
}

fn look_at_build(look: &mut Look<'_>, name: &str, service: &Service, build: &Build) {
    if service.image.is_none() && !service.uncertain {
        let message = format!("{name} is built but has no image name");
        tell(
            look,
            Weight::Note,
            &build.at,
            ("image-name-missing", about([name])),
            message,
            "Add `image: name:${TAG}`, so that the image can be identified outside this project.",
        );
    }
    let Some(context) = filled(&build.context, &look.env) else { return };
    if context.contains("://") || context.starts_with("git@") {
        return;
    }
    let dir = look.repo.at(Path::new(""), &context);
    if !look.repo.exists(&dir) {
        if !look.repo.is_made(&dir) {
            let message = format!("{name}: build context {context} does not exist");
            tell(
                look,
                Weight::Breaks,
                &build.at,
                ("build-context-missing", about([name, &context])),
                message,
                "Correct `build.context`, or add the directory.",
            );
        }
        return;
    }
    let (file_name, at) = match &build.dockerfile {
        Some((file, at)) => match filled(file, &look.env) {
            Some(file) => (file, at.clone()),
            None => return,
        },
        None => ("Dockerfile".to_owned(), build.at.clone()),
    };
    if build.inline.is_none() {
        let path = joined(&dir, &file_name).unwrap_or_else(|| dir.join(&file_name));
        if !look.repo.exists(&path) {
            if !look.repo.is_made(&path) {
                let shown = look.repo.name(&path);
                let message = format!("{name}: Dockerfile {shown} does not exist");
                tell(
                    look,
                    Weight::Breaks,
                    &at,
                    ("dockerfile-missing", about([name, &shown])),
                    message,
                    "Correct `build.dockerfile`, or add the file.",
                );
            }
            return;
        }
    }
    let Some((context, dockerfile)) = look.dockerfile(build) else { return };
    if let Some((target, at)) = &build.target
        && let Some(target) = filled(target, &look.env)
        && dockerfile.stage(Some(&target)).is_none()
    {
        let stages: Vec<&str> = dockerfile.stages.iter().filter_map(|s| s.name.as_deref()).collect();
        let message = if stages.is_empty() {
            format!("{name}: build target “{target}” does not exist in the Dockerfile (no stage has a name)")
        } else {
            let stages = stages.join(", ");
            format!("{name}: build target “{target}” does not exist in the Dockerfile (stages: {stages})")
        };
        let hint = format!("Correct `build.target`, or name a stage with `AS {target}`.");
        tell(look, Weight::Breaks, at, ("build-target-missing", about([name, &target])), message, &hint);
        return;
    }
    let shown = match &build.inline {
        Some(_) => None,
        None => joined(&dir, &file_name).map(|p| look.repo.name(&p)),
    };
    copies(look, name, build, &dockerfile, &context, shown.as_deref());
    inlined_too_late(look, name, service, build, &context);
}

/// Files that a Dockerfile copies and that do not exist.
fn copies(
    look: &mut Look<'_>,
    name: &str,
    build: &Build,
    dockerfile: &Dockerfile,
    context: &Path,
    file: Option<&str>,
) {
    let Some(stage) = dockerfile.stage(build.target.as_ref().map(|(t, _)| t.as_str())) else { return };
    for stage in dockerfile.chain(stage) {
        for copy in stage.copies.iter().filter(|c| c.certain) {
            for source in &copy.sources {
                let Some(path) = joined(context, source.trim_start_matches('/')) else { continue };
                if look.repo.exists(&path) || look.repo.is_made(&path) {
                    continue;
                }
                let place = Place {
                    file: file.unwrap_or(&build.at.file).to_owned(),
                    line: if file.is_some() { copy.line } else { build.at.line },
                };
                let message = format!(
                    "{name}: the Dockerfile copies {source}, but it does not exist in the build context"
                );
                tell(
                    look,
                    Weight::Breaks,
                    &place,
                    ("copy-source-missing", about([name, source])),
                    message,
                    "Correct the path (it is relative to `build.context`), or add the file.",
                );
            }
        }
    }
}

/// Values that a build writes into the page, but that are set only when the container starts.
fn inlined_too_late(look: &mut Look<'_>, name: &str, service: &Service, build: &Build, context: &Path) {
    for (key, (_, at)) in &service.environment {
        let Some((_, tool)) = INLINED.iter().find(|(prefix, _)| key.starts_with(prefix)) else { continue };
        if build.args.contains_key(key) || !uses(look.repo, context, tool) {
            continue;
        }
        let message = format!(
            "{name}: {key} is set when the container starts, but {tool} needs it when the image is built"
        );
        let hint = format!("Add {key} to `build.args` too, and ARG {key} to the Dockerfile.");
        tell(look, Weight::Breaks, at, ("inlined-too-late", about([name, key, tool])), message, &hint);
    }
}

/// Whether the package in the build's context, or one of its workspaces, depends on a tool.
fn uses(repo: &Repo, context: &Path, tool: &str) -> bool {
    let Some(package) = repo.package(context) else { return false };
    let workspaces = repo.workspaces(&package).unwrap_or_default();
    // With several matching packages it is not certain which one is built.
    let all: Vec<_> =
        std::iter::once(&package).chain(&workspaces).filter(|p| p.dependencies.contains(tool)).collect();
    all.len() == 1
}

fn published_store(look: &mut Look<'_>, name: &str, service: &Service) {
    let Some((image, _)) = &service.image else { return };
    let Some(image) = filled(image, &look.env) else { return };
    let last = image.rsplit('/').next().unwrap_or(&image);
    let base = last.split(['@', ':']).next().unwrap_or(last);
    let Some((store, number)) = STORES
        .iter()
        .find(|(store, _)| base == *store || base.strip_prefix(*store).is_some_and(|r| r.starts_with('-')))
    else {
        return;
    };
    for (port, at) in &service.ports {
        let container = filled(&port.container, &look.env);
        if container.as_deref().is_some_and(|c| c != number.to_string()) {
            continue;
        }
        let address = filled(&port.address, &look.env);
        let only_here =
            address.as_deref().is_some_and(|a| a.starts_with("127.") || a == "::1" || a == "localhost");
        let weight = if only_here { Weight::Note } else { Weight::Breaks };
        let reach = if only_here { "on this host only" } else { "to other hosts" };
        let message = format!("{name} ({store}): port {number} is published {reach}");
        tell(
            look,
            weight,
            at,
            ("store-published", about([name, store, if only_here { "local" } else { "world" }])),
            message,
            "Remove the port. Other services reach the data store through the network of the Compose project.",
        );
    }
}

/// Mistakes such as `${PORT}:3000`: PORT changes the host port, and also the port on which the process listens.
fn listens_elsewhere(look: &mut Look<'_>, name: &str, service: &Service) {
    if service.network_mode.is_some() || service.uncertain {
        return;
    }
    let own = service.environment.get("PORT").map(|(value, at)| (value.clone(), at.clone()));
    let listens = match own {
        Some((Some(value), at)) => filled(&value, &look.env).map(|v| (v, at)),
        Some((None, at)) => look.env.get("PORT").cloned().map(|v| (v, at)),
        None => from_env_files(look, service),
    };
    let Some((listens, _)) = listens else { return };
    if listens.parse::<u16>().is_err() {
        return;
    }
    let tcp: Vec<&(Port, Place)> = service.ports.iter().filter(|(p, _)| p.protocol == "tcp").collect();
    let [(port, at)] = tcp.as_slice() else { return };
    let Some(container) = filled(&port.container, &look.env).filter(|c| c.parse::<u16>().is_ok()) else {
        return;
    };
    if container == listens {
        return;
    }
    let host = filled(&port.host, &look.env).unwrap_or_else(|| port.host.clone());
    let mapped = format!(
        "{name}: host port {host} is mapped to container port {container}, but the container gets PORT={listens}"
    );
    match reads_port(look, service) {
        Some(file) => {
            let message = format!("{mapped}, and {file} reads PORT");
            let hint =
                format!("Set PORT={container}, or use ${{PORT}} as the container port of the mapping too.");
            let kind = ("port-mismatch", about([name, &host, &container, &listens, &file]));
            tell(look, Weight::Breaks, at, kind, message, &hint);
        }
        None => {
            let hint = "If the process listens on PORT, the mapped port gives no answer. Use the same port for both.";
            let kind = ("port-mismatch", about([name, &host, &container, &listens]));
            tell(look, Weight::Note, at, kind, mapped, hint);
        }
    }
}

fn from_env_files(look: &Look<'_>, service: &Service) -> Option<(String, Place)> {
    let mut found = None;
    for (file, at) in &service.env_files {
        let path = look.repo.at(Path::new(""), &filled(file, &look.env)?);
        let text = look.repo.text(&path)?;
        let parsed = secrets::EnvValues::parse(text.as_bytes()).ok()?;
        if let Some(value) = parsed.get("PORT") {
            found = Some((value.to_owned(), at.clone()));
        }
    }
    found
}

/// A source file of the service that reads PORT from its environment. The search is limited.
fn reads_port(look: &Look<'_>, service: &Service) -> Option<String> {
    const SIGNS: [&str; 9] = [
        "process.env.PORT",
        "env.PORT",
        "env[\"PORT\"]",
        "env['PORT']",
        "environ[\"PORT\"]",
        "environ['PORT']",
        "environ.get(\"PORT\"",
        "Getenv(\"PORT\")",
        "ENV[\"PORT\"]",
    ];
    const ENDINGS: [&str; 12] =
        ["js", "mjs", "cjs", "ts", "mts", "tsx", "py", "go", "rb", "java", "rs", "php"];
    let build = service.build.as_ref()?;
    let (context, dockerfile) = look.dockerfile(build)?;
    let stage = dockerfile.stage(build.target.as_ref().map(|(t, _)| t.as_str()))?;
    let mut roots: Vec<PathBuf> = dockerfile
        .chain(stage)
        .iter()
        .flat_map(|s| &s.copies)
        .filter(|c| c.certain)
        .flat_map(|c| c.sources.iter().map(|s| context.join(s.trim_start_matches('/'))))
        .collect();
    // With build stages the sources are copied in another one.
    roots.extend(
        dockerfile
            .stages
            .iter()
            .flat_map(|s| &s.copies)
            .filter(|c| c.certain)
            .flat_map(|c| c.sources.iter().map(|s| context.join(s.trim_start_matches('/')))),
    );
    let mut left = 2_000_usize;
    let mut queue = roots;
    while let Some(path) = queue.pop() {
        left = left.checked_sub(1)?;
        let hidden = path.file_name().is_some_and(|n| {
            let name = n.to_string_lossy();
            (name.starts_with('.') && name != ".")
                || matches!(
                    name.as_ref(),
                    "node_modules" | "dist" | "build" | "target" | "test" | "tests" | "e2e"
                )
        });
        if hidden {
            continue;
        }
        if path.is_dir() {
            queue.extend(std::fs::read_dir(&path).ok()?.flatten().map(|e| e.path()));
        } else if path.extension().is_some_and(|e| ENDINGS.iter().any(|w| e == *w))
            && let Some(text) = look.repo.text(&path)
            && SIGNS.iter().any(|s| text.contains(s))
        {
            return Some(look.repo.name(&path));
        }
    }
    None
}

fn no_health_check(look: &mut Look<'_>, name: &str, service: &Service) {
    let declared = match service.healthcheck {
        Some(on) => Some(on),
        // An image that is not built from this repository may have one.
        None => service.build.as_ref().and_then(|build| {
            let (_, dockerfile) = look.dockerfile(build)?;
            let stage = dockerfile.stage(build.target.as_ref().map(|(t, _)| t.as_str()))?;
            Some(dockerfile.chain(stage).iter().find_map(|s| s.healthcheck).unwrap_or(false))
        }),
    };
    if declared == Some(false) && !service.uncertain {
        let message = format!("{name} has no health check, in neither the Compose file nor its Dockerfile");
        tell(
            look,
            Weight::Note,
            &service.at,
            ("health-check-missing", about([name])),
            message,
            "Add `healthcheck`. Without it, a running container counts as healthy.",
        );
    }
}

/// A host port that a service uses.
struct Taken {
    service: String,
    /// `*` for all addresses.
    address: String,
    ports: (u32, u32),
    protocol: String,
    at: Place,
}

/// Two services that publish the same host port.
fn host_ports(look: &mut Look<'_>, services: &BTreeMap<String, Service>) {
    let mut taken: Vec<Taken> = Vec::new();
    for (name, service) in services {
        for (port, at) in &service.ports {
            let (address, host) = (filled(&port.address, &look.env), filled(&port.host, &look.env));
            let (Some(address), Some(ports)) = (address, host.as_deref().and_then(range)) else { continue };
            let everywhere = matches!(address.as_str(), "" | "0.0.0.0" | "::");
            let address = if everywhere { "*".to_owned() } else { address };
            let clash = taken.iter().find(|t| {
                let meets = t.address == address || t.address == "*" || address == "*";
                let overlap = ports.0 <= t.ports.1 && t.ports.0 <= ports.1;
                let together = services.get(&t.service).is_some_and(|o| run_together(o, service));
                meets && overlap && together && t.protocol == port.protocol && t.service != *name
            });
            if let Some(other) = clash {
                let number = ports.0.max(other.ports.0);
                let message = format!("{} and {name} both publish host port {number}", other.service);
                let later = if other.at.file == at.file && other.at.line > at.line { &other.at } else { at };
                tell(
                    look,
                    Weight::Breaks,
                    later,
                    ("host-port-twice", about([&other.service, name, &number.to_string()])),
                    message,
                    "Use a different host port for one of them.",
                );
            }
            let protocol = port.protocol.clone();
            taken.push(Taken { service: name.clone(), address, ports, protocol, at: at.clone() });
        }
    }
}

/// Services of a profile run only when the profile is active.
fn run_together(one: &Service, other: &Service) -> bool {
    let share = one.profiles.iter().any(|p| other.profiles.contains(p));
    share || (one.profiles.is_empty() && other.profiles.is_empty())
}

fn range(text: &str) -> Option<(u32, u32)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
}
