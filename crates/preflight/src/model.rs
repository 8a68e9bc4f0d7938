//! The Compose files as one model with line numbers: what is declared, not the result that Compose renders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrets::interpolation::{
    InterpolationError, OperatorKind, Plain, Reference, Syntax, references, substitute,
};
use yaml::{BadYaml, Node, Value, read};

/// All Compose files merged.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    /// The services in order of name.
    pub(super) services: BTreeMap<String, Service>,
    /// Every service is known: no file refers to another one (`include`, `extends`), and none is broken.
    pub(super) complete: bool,
    /// Every variable that Compose substitutes, with its place.
    pub(super) variables: Vec<Variable>,
    /// Files that cannot be read, and why.
    pub(super) broken: Vec<(String, BadYaml)>,
    /// Top-level secrets and configs that are read from a variable (`environment: NAME`).
    pub(super) from_environment: Vec<String>,
}

/// A place in a Compose file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// The file as declared.
    pub(super) file: String,
    /// Line, from 1.
    pub(super) line: usize,
}

/// One service.
#[derive(Debug, Clone, Default)]
pub(super) struct Service {
    pub(super) at: Place,
    pub(super) image: Option<(String, Place)>,
    pub(super) build: Option<Build>,
    pub(super) ports: Vec<(Port, Place)>,
    /// Variables: the value, or `None` when it comes from outside.
    pub(super) environment: BTreeMap<String, (Option<String>, Place)>,
    pub(super) env_files: Vec<(String, Place)>,
    /// Whether it declares a health check: `Some(false)` when it disables it.
    pub(super) healthcheck: Option<bool>,
    pub(super) depends_on: Vec<(String, Place)>,
    /// Bind mounts: host path, container path.
    pub(super) binds: Vec<(String, PathBuf)>,
    pub(super) working_dir: Option<String>,
    pub(super) network_mode: Option<String>,
    /// Not every key could be read for certain (`extends`, tags).
    pub(super) uncertain: bool,
    /// The profiles it belongs to.
    pub(super) profiles: Vec<String>,
}

/// How a service is built.
#[derive(Debug, Clone, Default)]
pub(super) struct Build {
    pub(super) at: Place,
    pub(super) context: String,
    pub(super) dockerfile: Option<(String, Place)>,
    pub(super) inline: Option<String>,
    pub(super) target: Option<(String, Place)>,
    /// Names of build arguments, with the value where one is given.
    pub(super) args: BTreeMap<String, Option<String>>,
}

/// A published port as written, with variables not yet resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Port {
    /// Address on the host; empty for all.
    pub(super) address: String,
    /// Port or range on the host; empty when Docker chooses.
    pub(super) host: String,
    /// Port or range in the container.
    pub(super) container: String,
    /// `tcp`, `udp`.
    pub(super) protocol: String,
}

/// A variable that Compose substitutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// It has a default value.
    pub(super) has_default: bool,
    /// Compose stops with an error without it.
    pub(super) required: bool,
    pub(super) at: Place,
}

impl Model {
    /// Reads the files in order; later ones override earlier ones.
    pub(super) fn read(files: &[(String, String)]) -> Model {
        let mut model = Model { complete: true, ..Model::default() };
        for (name, text) in files {
            match read(text) {
                Ok(root) => model.take(name, &root),
                Err(bad) => {
                    model.complete = false;
                    model.broken.push((name.clone(), bad));
                }
            }
        }
        model
    }

    fn take(&mut self, file: &str, root: &Node) {
        if root.get("include").is_some() {
            self.complete = false;
        }
        // Extension fields have an effect only through an alias; their variables are found there.
        for (key, node) in root.entries() {
            if key.starts_with("x-") {
                continue;
            }
            node.scalars(&mut |text, line| {
                for variable in variables(text) {
                    let at = Place { file: file.to_owned(), line };
                    self.variables.push(Variable { at, ..variable });
                }
            });
        }
        for section in ["secrets", "configs"] {
            for (_, entry) in root.get(section).map(Node::entries).unwrap_or_default() {
                self.from_environment
                    .extend(entry.get("environment").and_then(Node::text).map(str::to_owned));
            }
        }
        for (name, node) in root.get("services").map(Node::entries).unwrap_or_default() {
            let service = self.services.entry(name.to_owned()).or_default();
            service.take(file, node);
            self.complete &= !service.uncertain;
        }
    }

    /// The service called `name`.
    pub(super) fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }
}

impl Service {
    fn take(&mut self, file: &str, node: &Node) {
        let at = |line| Place { file: file.to_owned(), line };
        self.at = at(node.line);
        self.uncertain |= node.get("extends").is_some() || node.has_tags();
        let text = |key: &str| node.get(key).and_then(|n| Some((n.text()?.to_owned(), at(n.line))));
        if let Some(image) = text("image") {
            self.image = Some(image);
        }
        if let Some(build) = node.get("build") {
            self.build = Some(Build::of(file, build, self.build.take()));
        }
        if let Some(ports) = node.get("ports") {
            self.ports.extend(ports.items().iter().filter_map(|n| Some((Port::of(n)?, at(n.line)))));
        }
        for (key, value, line) in pairs(node.get("environment")) {
            self.environment.insert(key, (value, at(line)));
        }
        if let Some(files) = node.get("env_file") {
            let paths = match &files.value {
                Value::List(items) => items
                    .iter()
                    .filter_map(|n| {
                        Some((n.text().or_else(|| n.get("path")?.text())?.to_owned(), at(n.line)))
                    })
                    .collect(),
                _ => files.text().map(|t| (t.to_owned(), at(files.line))).into_iter().collect::<Vec<_>>(),
            };
            self.env_files.extend(paths);
        }
        if let Some(check) = node.get("healthcheck") {
            let off = check.get("disable").and_then(Node::text) == Some("true")
                || check.get("test").is_some_and(|t| t.texts().first().is_some_and(|(t, _)| *t == "NONE"));
            self.healthcheck = Some(!off);
        }
        if let Some(needed) = node.get("depends_on") {
            let names: Vec<(String, Place)> = match &needed.value {
                Value::Map(_) => {
                    needed.entries().iter().map(|(k, n)| ((*k).to_owned(), at(n.line))).collect()
                }
                _ => needed.texts().iter().map(|(t, l)| ((*t).to_owned(), at(*l))).collect(),
            };
            self.depends_on.extend(names);
        }
        if let Some(volumes) = node.get("volumes") {
            self.binds.extend(volumes.items().iter().filter_map(bind));
        }
        if let Some((dir, _)) = text("working_dir") {
            self.working_dir = Some(dir);
        }
        if let Some((mode, _)) = text("network_mode") {
            self.network_mode = Some(mode);
        }
        if let Some(profiles) = node.get("profiles") {
            self.profiles.extend(profiles.texts().iter().map(|(t, _)| (*t).to_owned()));
        }
    }
}

impl Build {
    fn of(file: &str, node: &Node, before: Option<Build>) -> Build {
        let at = |line| Place { file: file.to_owned(), line };
        let mut build = before.unwrap_or_else(|| Build { context: ".".to_owned(), ..Build::default() });
        build.at = at(node.line);
        if let Some(context) = node.text() {
            build.context = context.to_owned();
            return build;
        }
        let text = |key: &str| node.get(key).and_then(|n| Some((n.text()?.to_owned(), at(n.line))));
        if let Some((context, _)) = text("context") {
            build.context = context;
        }
        build.dockerfile = text("dockerfile").or(build.dockerfile);
        build.inline = text("dockerfile_inline").map(|(t, _)| t).or(build.inline);
        build.target = text("target").or(build.target);
        build.args.extend(pairs(node.get("args")).into_iter().map(|(key, value, _)| (key, value)));
        build
    }
}

impl Port {
    /// Reads the short form (`127.0.0.1:80:8080/tcp`) and the long one.
    fn of(node: &Node) -> Option<Port> {
        let tcp = || "tcp".to_owned();
        if let Value::Map(_) = node.value {
            let get = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default().to_owned();
            let protocol = Some(get("protocol")).filter(|p| !p.is_empty()).unwrap_or_else(tcp);
            return Some(Port {
                address: get("host_ip"),
                host: get("published"),
                container: get("target"),
                protocol,
            });
        }
        let text = node.text()?;
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, protocol)) if !protocol.contains(['}', ':']) => (rest, protocol.to_owned()),
            _ => (text, tcp()),
        };
        let parts = split_outside(rest);
        let (address, host, container) = match parts.as_slice() {
            [container] => ("", "", *container),
            [host, container] => ("", *host, *container),
            [address, host, container] => (*address, *host, *container),
            _ => return None,
        };
        let address = address.trim_matches(['[', ']']).to_owned();
        Some(Port { address, host: host.to_owned(), container: container.to_owned(), protocol })
    }
}

/// Splits at colons outside `${…}` and `[…]`.
fn split_outside(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, c) in text.char_indices() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ':' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Keys and values of `environment` or `args`, a map or a list of `KEY=value`.
fn pairs(node: Option<&Node>) -> Vec<(String, Option<String>, usize)> {
    let Some(node) = node else { return vec![] };
    match &node.value {
        Value::List(items) => items
            .iter()
            .filter_map(|n| {
                let text = n.text()?;
                let (key, value) =
                    text.split_once('=').map_or((text, None), |(k, v)| (k, Some(v.to_owned())));
                Some((key.to_owned(), value, n.line))
            })
            .collect(),
        _ => node
            .entries()
            .iter()
            .map(|(key, n)| {
                // A key without a value gets it from outside; an empty quoted value is empty.
                let value = match &n.value {
                    Value::Text { plain: false, text } => Some(text.clone()),
                    _ => n.text().map(str::to_owned),
                };
                ((*key).to_owned(), value, n.line)
            })
            .collect(),
    }
}

fn bind(node: &Node) -> Option<(String, PathBuf)> {
    if let Value::Map(_) = node.value {
        let get = |key: &str| node.get(key).and_then(Node::text);
        return (get("type") == Some("bind"))
            .then(|| Some((get("source")?.to_owned(), PathBuf::from(get("target")?))))?;
    }
    let text = node.text()?;
    let parts = split_outside(text);
    let (host, container) = (parts.first()?, parts.get(1)?);
    let is_path = host.starts_with(['.', '/', '~', '$']);
    is_path.then(|| ((*host).to_owned(), Path::new(container).to_path_buf()))
}

/// The variables of a text. A variable within the operand of another counts as one with a default: it is used only
/// depending on the other.
pub(super) fn variables(text: &str) -> Vec<Variable> {
    let variable = |(reference, nested): (Reference<'_>, bool)| {
        let kind = reference.operator.map(|operator| operator.kind);
        Variable {
            name: reference.name.to_owned(),
            has_default: nested || matches!(kind, Some(OperatorKind::Default | OperatorKind::Alternative)),
            required: kind == Some(OperatorKind::Required),
            at: Place::default(),
        }
    };
    references(text, Syntax::Compose).into_iter().map(variable).collect()
}

/// A text with its variables substituted from `known`, as Compose does it; `None` when that is not certain: a variable
/// is not in `known` and has no default, or Compose refuses the text.
pub(super) fn filled(text: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let mut lookup = |name: &str| Ok::<_, InterpolationError>(known.get(name).cloned());
    substitute(text, Syntax::Compose, Plain::MustBeSet, &mut lookup).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str) -> Port {
        Port::of(&read(text).unwrap()).unwrap()
    }

    #[test]
    fn ports_of_every_form_are_read() {
        let p = port("\"127.0.0.1:${PORT:-3000}:3000/tcp\"");
        assert_eq!(
            (p.address.as_str(), p.host.as_str(), p.container.as_str()),
            ("127.0.0.1", "${PORT:-3000}", "3000")
        );
        let p = port("\"[::1]:80:8080/udp\"");
        assert_eq!((p.address.as_str(), p.host.as_str(), p.protocol.as_str()), ("::1", "80", "udp"));
        assert_eq!(port("8080").container, "8080");
        let p = port("{target: 80, published: \"8080\", host_ip: 127.0.0.1}");
        assert_eq!((p.host.as_str(), p.container.as_str(), p.protocol.as_str()), ("8080", "80", "tcp"));
    }

    #[test]
    fn later_files_override_earlier_ones() {
        let model = Model::read(&[
            (
                "a.yml".into(),
                "services:\n  web:\n    image: a\n    environment: [A=1, B]\n    ports: ['1:1']\n".into(),
            ),
            (
                "b.yml".into(),
                "services:\n  web:\n    image: b\n    environment: {A: '2'}\n    ports: ['2:2']\n".into(),
            ),
        ]);
        let web = model.service("web").unwrap();
        assert_eq!(web.image.as_ref().map(|(i, p)| (i.as_str(), p.line)), Some(("b", 3)));
        assert_eq!(web.environment["A"].0.as_deref(), Some("2"));
        assert_eq!(web.environment["B"].0, None);
        assert_eq!(web.ports.len(), 2);
        assert!(model.complete);
    }

    #[test]
    fn a_model_that_refers_to_other_files_is_not_complete() {
        for text in [
            "include: [x.yml]\nservices: {}\n",
            "services:\n  a:\n    extends: {file: x, service: y}\n",
            "services: [\n",
        ] {
            assert!(!Model::read(&[("c.yml".into(), text.into())]).complete, "{text}");
        }
    }

    #[test]
    fn defaults_of_variables_are_recognised() {
        let all = variables("${A} $B ${C:-x} ${D-} ${E:?no} $$F ${G:+y} $1");
        let seen: Vec<(&str, bool, bool)> =
            all.iter().map(|v| (v.name.as_str(), v.has_default, v.required)).collect();
        let plain = |n| (n, false, false);
        assert_eq!(
            seen,
            [
                plain("A"),
                plain("B"),
                ("C", true, false),
                ("D", true, false),
                ("E", false, true),
                ("G", true, false)
            ]
        );
        let nested = variables("${A:-${B}}");
        assert!(nested.iter().all(|v| v.has_default) && nested.len() == 2, "{nested:?}");
    }

    #[test]
    fn variables_are_substituted_as_compose_does() {
        let known: BTreeMap<String, String> =
            [("A", "1"), ("E", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        for (text, want) in [
            ("${A}:$A", Some("1:1")),
            ("${B:-${A}}x", Some("1x")),
            ("${E:-d}${E-d}", Some("d")),
            ("${B}", None),
            ("${B:?no}", None),
            ("$$A ${A:+y}${B:+n}", Some("$A y")),
        ] {
            assert_eq!(filled(text, &known).as_deref(), want, "{text}");
        }
    }
}
