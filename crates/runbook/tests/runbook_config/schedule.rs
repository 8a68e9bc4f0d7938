//! `binds` and the keys of the schedule, and mistakes in them.

use domain::release::ReleaseComponent;
use runbook::Config;

use super::{GOOD, project};

fn with(check: &str, rest: &str) -> String {
    format!("{GOOD}\n[[check]]\nid = \"extra\"\nproves = [{{ criterion = \"A.1\" }}]\n{check}\n{rest}\n")
}

fn errors(toml: &str) -> Vec<(String, String)> {
    let (_dir, path) = project(toml);
    match Config::load(&path) {
        Ok(_) => vec![],
        Err(problems) => problems.into_iter().map(|p| (p.message, p.hint)).collect(),
    }
}

#[test]
fn binds_and_schedule_of_a_check_are_read() {
    let file = "kind = \"file\"\npath = \"x\"\nevery = \"10m\"\nafter = [\"coverage\", \"A.s1\"]\nparallel = false\n\
                after_deploy = true\nbinds = [\"image:api\", \"env\", \"image:db\"]\nvalid_for = \"2h\"";
    let (_dir, path) = project(&with(file, ""));
    let loaded = Config::load(&path).unwrap_or_else(|p| panic!("{p:?}"));
    let check = loaded.config.checks.iter().find(|c| c.id == "extra").unwrap();
    assert_eq!(check.binds, [ReleaseComponent::Images, ReleaseComponent::Env]);
    assert_eq!(check.images, ["api", "db"]);
    let schedule = &check.schedule;
    assert_eq!(
        (schedule.every_ms, schedule.parallel, schedule.after_deploy),
        (Some(600_000), Some(false), true)
    );
    assert_eq!(schedule.after, ["coverage", "A.s1"]);
    let plain = loaded.config.checks.iter().find(|c| c.id == "coverage").unwrap();
    assert!(plain.images.is_empty() && plain.schedule == domain::check::Schedule::default());
}

#[test]
fn mistakes_are_reported_with_a_hint() {
    let file = "kind = \"file\"\npath = \"x\"\n";
    for (check, rest, message, hint) in [
        ("binds = [\"image:\"]", "", "`image:` is not a part", "image:backend"),
        ("binds = [\"images\", \"image:api\"]", "", "already includes the images", "keep either `images`"),
        ("binds = [\"image\"]", "", "`image` is not a part", "images"),
        ("after = [\"coverag\"]", "", "`after` names `coverag`", "coverage"),
        ("after = [\"extra\"]", "", "forms a cycle: extra", "remove `after`"),
        ("every = \"1s\"", "", "at least 10s", ""),
        ("every = \"often\"", "", "not a duration", "90s"),
        ("parallel = \"yes\"", "", "must be a boolean", "true or false"),
        ("after_deploy = 1", "", "must be a boolean", ""),
        ("", "[schedule]\ncommand = true", "unknown key `command` in [schedule]", "commands"),
    ] {
        let found = errors(&with(&format!("{file}{check}"), rest));
        assert!(
            found.iter().any(|(m, h)| m.contains(message) && h.contains(hint)),
            "{message} / {hint} in {found:?}"
        );
    }
}

#[test]
fn checks_that_may_change_something_run_on_schedule_only_if_allowed() {
    let command = "kind = \"command\"\nrun = \"npm run seed\"\nevery = \"10m\"";
    let found = errors(&with(command, ""));
    assert!(
        found.iter().any(|(m, h)| m.contains("may change something") && h.contains("commands = true")),
        "{found:?}"
    );
    assert!(errors(&with(command, "[schedule]\ncommands = true")).is_empty());
    let post = "kind = \"http\"\nurl = \"${api}/x\"\nmethod = \"POST\"\nevery = \"10m\"";
    assert!(errors(&with(post, "")).iter().any(|(m, _)| m.contains("may change something")));
    let drill = "kind = \"drill\"\nevery = \"7d\"";
    let found = errors(&with(drill, "[schedule]\ncommands = true"));
    assert!(found.iter().any(|(m, _)| m.contains("cannot be scheduled")), "{found:?}");
}
