//! Compares the env file with its example, the runbook and the variables of the Compose files.

use std::collections::{BTreeMap, BTreeSet};

use domain::preflight::Weight;

use super::model::Variable;
use super::{Look, Told, about};
use secrets::{EnvValues, unfilled_secret};

/// Checks the keys.
pub(super) fn look(look: &mut Look<'_>, runbook_text: &str) {
    let gate = look.gates.config.clone();
    let required = required_keys(runbook_text);
    let Some((name, missing)) = look.env_source.as_ref().map(|source| look.repo.env_name(source)) else {
        return;
    };
    let example = look.example_path.clone().and_then(|p| {
        let text = look.repo.text(&p)?;
        EnvValues::parse(text.as_bytes()).ok().map(|file| (look.repo.name(&p), file))
    });
    let Some(vars) = look.env_values.as_ref().map(|values| values.vars.clone()) else {
        if missing {
            let hint = match &example {
                Some((example, _)) => {
                    format!("Copy {example} to {name}, fill in the values, and run chmod 600 {name}.")
                }
                None => format!("Create {name}, and run chmod 600 {name}."),
            };
            let (file, line) = (look.config_name.clone(), look.line_in_config("env_file"));
            let message = format!("the env file {name} does not exist");
            look.tell(
                gate,
                Weight::Breaks,
                Told { file, line, kind: "env-file-missing", about: about([&name]), message, hint },
            );
        } else if let Some(why) = &look.env_error {
            let about = why.identity();
            let message = format!("the env file {name} cannot be used: {why}");
            let hint = "Correct that line. Each line must be one NAME=value.".to_owned();
            look.tell(
                gate,
                Weight::Breaks,
                Told { file: name, line: 1, kind: "env-file-broken", about, message, hint },
            );
        }
        return;
    };
    let set: BTreeMap<&str, &str> = vars.iter().map(|v| (v.key.as_str(), v.value.as_str())).collect();
    missing_from_example(look, &gate, &name, &set, example.as_ref());
    missing_from_runbook(look, &gate, &name, &set, &required);
    for var in &vars {
        if unfilled_secret(&var.key, &var.value) {
            let message = format!("{} still has a placeholder value", var.key);
            let hint = "Set the real value in the env file.".to_owned();
            let (file, about) = (name.clone(), about([&var.key]));
            let told = Told { file, line: var.line, kind: "placeholder", about, message, hint };
            look.tell(gate.clone(), Weight::Breaks, told);
        }
    }
    unset_variables(look, &set);
    if look.model.complete {
        undelivered(look, &gate, &name, &required);
    }
}

fn missing_from_example(
    look: &mut Look<'_>,
    gate: &Option<String>,
    name: &str,
    set: &BTreeMap<&str, &str>,
    example: Option<&(String, EnvValues)>,
) {
    let Some((example_name, example)) = example else { return };
    for var in &example.vars {
        if set.contains_key(var.key.as_str()) {
            continue;
        }
        // Without a value in the example the key is optional.
        let weight = if var.value.is_empty() { Weight::Note } else { Weight::Breaks };
        let message = format!("{} is missing in {name} (it is set in {example_name})", var.key);
        let hint = format!("Set {} in {name}.", var.key);
        let (file, about) = (example_name.clone(), about(["example", &var.key]));
        let told = Told { file, line: var.line, kind: "env-key-missing", about, message, hint };
        look.tell(gate.clone(), weight, told);
    }
}

fn missing_from_runbook(
    look: &mut Look<'_>,
    gate: &Option<String>,
    name: &str,
    set: &BTreeMap<&str, &str>,
    required: &[Required],
) {
    for key in required.iter().filter(|k| !k.optional) {
        let there = match key.name.strip_suffix('*') {
            Some(prefix) => set.keys().any(|k| k.starts_with(prefix)),
            None => set.get(key.name.as_str()).is_some_and(|v| !v.is_empty()),
        };
        if !there {
            let message = format!("{} is not set in {name} (the runbook requires it)", key.name);
            let hint = format!("Set {} in {name}.", key.name);
            let (file, about) = (look.runbook_name.clone(), about(["runbook", &key.name]));
            let told = Told { file, line: key.line, kind: "env-key-missing", about, message, hint };
            look.tell(gate.clone(), Weight::Breaks, told);
        }
    }
}

/// Variables of the Compose files that are not set.
fn unset_variables(look: &mut Look<'_>, set: &BTreeMap<&str, &str>) {
    let gate = look.gates.compose.clone();
    let mut told: BTreeSet<String> = BTreeSet::new();
    for Variable { name, has_default, required, at } in look.model.variables.clone() {
        let given = set.get(name.as_str()).is_some_and(|v| !(required && v.is_empty()));
        // Compose sets its project name itself; a deploy sets the commit for the build.
        let by_itself =
            matches!(name.as_str(), "COMPOSE_PROJECT_NAME" | "GIT_COMMIT" | "HOME" | "PWD" | "USER" | "PATH");
        if given || has_default || by_itself || !told.insert(name.clone()) {
            continue;
        }
        let message = if required {
            format!("{name} has no value: Compose stops with an error")
        } else {
            format!("{name} is not set: Compose substitutes an empty string")
        };
        let hint = format!("Set {name} in the env file, or give it a default: ${{{name}:-…}}.");
        let about = about([&name, if required { "required" } else { "optional" }]);
        let told = Told { file: at.file, line: at.line, kind: "variable-unset", about, message, hint };
        look.tell(gate.clone(), Weight::Breaks, told);
    }
}

/// Keys of the env file that are passed to no service.
fn undelivered(look: &mut Look<'_>, gate: &Option<String>, name: &str, required: &[Required]) {
    let gets_all = look.model.services.values().any(|s| {
        s.env_files.iter().any(|(f, _)| {
            // A path that cannot be resolved may be this file.
            super::model::filled(f, &look.env)
                .is_none_or(|f| look.is_env_file(&look.repo.at(std::path::Path::new(""), &f)))
        })
    });
    if gets_all || look.model.services.is_empty() {
        return;
    }
    let mut received: BTreeSet<&str> = look.model.variables.iter().map(|v| v.name.as_str()).collect();
    received.extend(look.model.services.values().flat_map(|s| s.environment.keys().map(String::as_str)));
    received.extend(
        look.model
            .services
            .values()
            .flat_map(|s| s.build.iter().flat_map(|b| b.args.keys().map(String::as_str))),
    );
    received.extend(look.model.from_environment.iter().map(String::as_str));
    let used = look.used_elsewhere.clone();
    let lost: Vec<(String, usize)> = look
        .env_values
        .iter()
        .flat_map(|values| &values.vars)
        .filter(|v| {
            !received.contains(v.key.as_str()) && !used.contains(&v.key) && !v.key.starts_with("COMPOSE_")
        })
        .map(|v| (v.key.clone(), v.line))
        .collect();
    for (key, line) in lost {
        let needed = required
            .iter()
            .any(|r| r.name == key || r.name.strip_suffix('*').is_some_and(|p| key.starts_with(p)));
        let weight = if needed { Weight::Breaks } else { Weight::Note };
        let message = format!("{key} is set in the env file but passed to no service");
        let hint = format!(
            "Add {key} to `environment` of the service that needs it, or add `env_file: {name}` to that service."
        );
        let (file, about) = (name.to_owned(), about([&key]));
        let told = Told { file, line, kind: "env-key-unused", about, message, hint };
        look.tell(gate.clone(), weight, told);
    }
}

/// A key that the runbook requires.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Required {
    name: String,
    optional: bool,
    line: usize,
}

/// The keys of the list below a line with the words "required keys": names in backticks. A `?` after a name makes it
/// optional; `*` matches any text.
fn required_keys(text: &str) -> Vec<Required> {
    let mut keys: Vec<Required> = Vec::new();
    let mut within = false;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        let is_item = trimmed.starts_with(['-', '*', '+', '|']);
        let starts = trimmed.to_lowercase().replace('*', "").contains("required keys");
        if starts {
            within = true;
        } else if within && !trimmed.is_empty() && !is_item && !line.starts_with([' ', '\t']) {
            within = false;
        }
        if within && (is_item || starts) {
            for code in trimmed.split('`').skip(1).step_by(2) {
                let optional = code.ends_with('?');
                let name = code.trim_end_matches('?');
                let plain = name.len() > 2
                    && name.starts_with(|c: char| c.is_ascii_uppercase())
                    && name
                        .trim_end_matches('*')
                        .bytes()
                        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
                    && name.contains('_');
                if plain && !keys.iter().any(|k| k.name == name) {
                    keys.push(Required { name: name.to_owned(), optional, line: number + 1 });
                }
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_keys_are_those_of_the_list_below_the_words() {
        let text = "Set `NOT_THIS`.\n\nRequired keys (see the example):\n- App: `JWT_SECRET`, `JWT_ROTATION?`\n\n- Flags: `FLAG_*`, `lower`, `PORT`\n\nThen `NOR_THIS`.\n- `NEITHER_ONE`\n";
        let keys = required_keys(text);
        let seen: Vec<(&str, bool, usize)> =
            keys.iter().map(|k| (k.name.as_str(), k.optional, k.line)).collect();
        assert_eq!(seen, [("JWT_SECRET", false, 4), ("JWT_ROTATION", true, 4), ("FLAG_*", false, 6)]);
    }
}
