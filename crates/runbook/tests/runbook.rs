//! Tests the parser with runbooks of many forms. Each file in `data/runbooks` has its expected
//! result beside it as JSON, written by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use std::path::{Path, PathBuf};

use domain::runbook::{FieldKind, Runbook, Severity, StepKind};
use runbook::{Report, parse};
use serde_json::{Value, json};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The parts of a runbook that show whether it was understood, in a short form.
fn digest_of(runbook: &Runbook) -> Value {
    let steps = runbook.steps.iter().map(|s| {
        let mut words = vec![s.id.clone(), s.title.clone(), s.command.clone()];
        words.extend((!s.note.is_empty()).then(|| format!("note: {}", s.note)));
        words.extend((!s.vars.is_empty()).then(|| format!("vars: {}", s.vars.join(" "))));
        words.extend((s.kind != StepKind::Normal).then(|| format!("{:?}", s.kind).to_lowercase()));
        words.extend(s.manual.then(|| "manual".to_owned()));
        json!(words)
    });
    let owned = runbook.ownership.iter().map(|o| {
        let fields = o.fields.iter().map(|f| format!("{} {:?}: {}", f.id, f.kind, f.label));
        json!([o.text, fields.collect::<Vec<_>>()])
    });
    let row = |r: &domain::runbook::MatrixRow| {
        json!([r.id, r.category, r.method, r.commands, r.owners, r.acceptance])
    };
    json!({
        "title": runbook.title,
        "gates": runbook.gates.iter().map(|g| json!([g.line, g.id, g.phase, g.title])).collect::<Vec<_>>(),
        "criteria": runbook.criteria.iter().map(|c| json!([c.line, c.id, c.text])).collect::<Vec<_>>(),
        "steps": steps.collect::<Vec<_>>(),
        "matrix": runbook.matrix.iter().map(row).collect::<Vec<_>>(),
        "checklist": runbook.checklist.iter().map(|c| json!([c.id, c.text, c.checked])).collect::<Vec<_>>(),
        "dris": runbook.dris.iter().map(|d| json!([d.role, d.duties])).collect::<Vec<_>>(),
        "signoff_roles": runbook.signoff_roles.iter().map(|s| s.role.clone()).collect::<Vec<_>>(),
        "ownership": owned.collect::<Vec<_>>(),
        "problems": runbook.problems.iter().map(|p| format!("{}:{} {} {}", p.line, p.column, p.severity.label(), p.message)).collect::<Vec<_>>(),
    })
}

#[test]
fn runbooks_of_many_forms_are_read_as_expected() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(data("runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    files.sort();
    assert!(files.len() >= 12, "only {} runbooks were found", files.len());
    let mut wrong = Vec::new();
    for file in &files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let got = digest_of(&parse(&std::fs::read(file).unwrap()));
        let expected = std::fs::read_to_string(file.with_extension("json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        for (key, want) in expected.as_object().unwrap() {
            if got[key] != *want {
                wrong.push(format!("{name}, {key}:\n   got {}\n  want {want}", got[key]));
            }
        }
        assert_eq!(got.as_object().unwrap().len(), expected.as_object().unwrap().len(), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is true for the staging runbook and for the similar one of the tests.
fn has_the_shape_of_the_staging_runbook(bytes: &[u8], criteria: [usize; 8]) -> Runbook {
    let runbook = parse(bytes);
    let letters: String = runbook.gates.iter().map(|g| g.id.as_str()).collect();
    assert_eq!(letters, "ABCDEFGH");
    assert_eq!(runbook.gates.iter().map(|g| g.phase).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    for (gate, want) in runbook.gates.iter().zip(criteria) {
        let have = runbook.criteria.iter().filter(|c| c.gate == gate.id).count();
        assert_eq!(have, want, "criteria of Gate {}", gate.id);
    }
    assert_eq!(runbook.matrix.len(), 6);
    assert_eq!(runbook.matrix[1].owners, ["Devs", "QA"]);
    assert_eq!(runbook.matrix[3].commands.len(), 2);
    let items: Vec<&str> = runbook.checklist.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(items, ["H.c1", "H.c2", "H.c3", "H.c4", "H.c5", "H.c6", "H.c7"]);
    let dris: Vec<&str> = runbook.dris.iter().map(|d| d.role.as_str()).collect();
    assert_eq!(dris, ["DevOps", "Backend", "Frontend", "QA", "Security", "Docs"]);
    let signers: Vec<&str> = runbook.signoff_roles.iter().map(|s| s.role.as_str()).collect();
    assert_eq!(signers, ["Backend", "Frontend", "QA", "Security", "DevOps", "PO"]);
    let fields: Vec<Vec<FieldKind>> =
        runbook.ownership.iter().map(|o| o.fields.iter().map(|f| f.kind).collect()).collect();
    use FieldKind::{Commit, Date, Duration, Person, Tags, Text};
    assert_eq!(
        fields,
        [
            vec![Person, Date],
            vec![Person, Date],
            vec![Commit, Date, Tags],
            vec![Date, Duration, Text],
            vec![Person],
        ]
    );
    let worst = runbook.problems.iter().map(|p| p.severity).max();
    assert!(worst <= Some(Severity::Note), "{:#?}", runbook.problems);
    runbook
}

#[test]
fn a_runbook_like_the_staging_runbook_is_understood_completely() {
    let bytes = std::fs::read(data("staging.md")).unwrap();
    let runbook = has_the_shape_of_the_staging_runbook(&bytes, [3, 2, 2, 2, 1, 3, 1, 0]);
    assert_eq!(runbook.title, "Bookshelf staging runbook");
    let metrics = runbook.step("F.s1").unwrap();
    assert_eq!(
        metrics.command,
        "curl -fsS -H \"Authorization: Bearer ${METRICS_TOKEN}\" \\\n  http://127.0.0.1:${PORT:-3000}/metrics | head -n 20"
    );
    assert_eq!(metrics.vars, ["METRICS_TOKEN", "PORT"]);
    assert_eq!(metrics.title, "Metrics (bearer)");
    assert!(runbook.step("F.s2").unwrap().manual);
    assert_eq!(runbook.step("A.s3").unwrap().note, "wants ≥ 65% of lines");
    assert_eq!(runbook.step("A.s4").unwrap().kind, StepKind::Optional);
    assert_eq!(runbook.step("H.s2").unwrap().kind, StepKind::Rollback);
    assert_eq!(runbook.step("commands-in-short.s2").unwrap().gate, None);
    assert_eq!(runbook.gate("H").unwrap().title, "Go/No\u{2011}Go & Rollback");
}

/// The real file lies outside this repository, so this test runs only where `STAGING_RUNBOOK`
/// names it: `STAGING_RUNBOOK=… cargo test -p runbook --test runbook -- --ignored`.
#[test]
#[ignore = "needs the environment variable STAGING_RUNBOOK"]
fn the_staging_runbook_itself_is_understood_completely() {
    let path = std::env::var("STAGING_RUNBOOK").expect("STAGING_RUNBOOK must name the file");
    let bytes = std::fs::read(path).unwrap();
    let runbook = has_the_shape_of_the_staging_runbook(&bytes, [3, 2, 2, 2, 1, 3, 1, 0]);
    assert_eq!(runbook.steps.len(), 36);
    assert_eq!(runbook.steps.iter().filter(|s| s.kind == StepKind::Rollback).count(), 2);
    assert_eq!(runbook.problems.len(), 1);
}

#[test]
fn ids_and_digests_do_not_change_with_other_parts() {
    let text = std::fs::read_to_string(data("staging.md")).unwrap();
    let before = parse(text.as_bytes());
    let changed = text
        .replace("Before anything is deployed:", "Some other words.\n\nAnd more of them.")
        .replace("- The proxy ends TLS.", "- The proxy ends TLS.\n- And one criterion more.");
    let after = parse(changed.as_bytes());
    assert_ne!(before.digest, after.digest);
    for criterion in &before.criteria {
        let same = after.criteria.iter().find(|c| c.id == criterion.id).unwrap();
        assert_eq!((&same.text, &same.digest), (&criterion.text, &criterion.digest));
    }
    for step in &before.steps {
        let same = after.step(&step.id).unwrap();
        assert_eq!((&same.command, &same.digest), (&step.command, &step.digest));
    }
    let respaced = text.replace("is private (`chmod", "is  private\n  (`chmod");
    let again = parse(respaced.as_bytes());
    assert_eq!(again.criteria[5].digest, before.criteria[5].digest);
    let reworded = parse(text.replace("is private", "is secret").as_bytes());
    assert_ne!(reworded.criteria[5].digest, before.criteria[5].digest);
}

#[test]
fn the_json_has_the_promised_keys_and_every_one_is_a_list() {
    let bytes = std::fs::read(data("staging.md")).unwrap();
    let json = serde_json::to_value(Report::of_runbook("staging.md", &bytes)).unwrap();
    let lists = [
        "gates",
        "criteria",
        "steps",
        "matrix",
        "checklist",
        "dris",
        "signoff_roles",
        "ownership",
        "problems",
        "recognised",
        "findings",
    ];
    for key in lists {
        assert!(json[key].is_array(), "{key}");
    }
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.len(), lists.len() + 2, "{keys:?}");
    assert_eq!(json["digest"].as_str().unwrap().len(), 64);
    assert_eq!(json["ownership"][0]["fields"][0]["kind"], "person");
    assert_eq!(json["steps"][3]["kind"], "optional");
    let runbook: Runbook = serde_json::from_value(json).unwrap();
    assert_eq!(runbook.gates, parse(&bytes).gates);
}

#[test]
fn the_text_report_lists_every_recognised_line() {
    let bytes = std::fs::read(data("staging.md")).unwrap();
    let report = Report::of_runbook("docs/staging.md", &bytes);
    assert!(report.is_usable());
    let text = report.to_string();
    for part in [
        "gate            A           Baseline",
        "criterion       A.1",
        "[optional]",
        "[manual]",
        "[rollback]",
        "[needs METRICS_TOKEN, PORT]",
        "docs/staging.md:",
        "8 gates, 14 criteria",
        "0 errors, 0 warnings, 1 note",
    ] {
        assert!(text.contains(part), "“{part}” is missing in:\n{text}");
    }
    assert!(!Report::of_runbook("x.md", b"").is_usable());
}

#[test]
fn big_files_and_deep_nesting_are_read_in_bounded_time() {
    // Unoptimised code is slow: it gets less to read, and more time.
    let (mega, seconds) = if cfg!(debug_assertions) { (1 << 20, 30) } else { (5 << 20, 2) };
    let fill = |head: &str, line: &str| head.to_owned() + &line.repeat((mega - head.len()) / line.len());
    let staging = std::fs::read_to_string(data("staging.md")).unwrap();
    let limit = std::time::Duration::from_secs(seconds);
    for (name, text) in [
        ("the runbook over and over", fill("", &staging)),
        ("quotes", fill(&format!("{}a\n", "> ".repeat(10_000)), "a\n")),
        ("lists", fill(&format!("{}a\n", "- ".repeat(10_000)), "a\n")),
        ("brackets", fill("", "[")),
        ("gates", (0..mega / 50).map(|i| format!("## X (Gate Z{i})\n\nAcceptance:\n- a\n\n")).collect()),
        ("criteria", fill("## X (Gate A)\n\nAcceptance:\n", "- a\n")),
        ("commands", fill("```bash\n", "ls\n")),
        ("an open quote", fill("```bash\necho '", "ls\n")),
        ("blanks", fill("## Ownership\n\n- ", "by: ____ ")),
    ] {
        let start = std::time::Instant::now();
        parse(text.as_bytes());
        assert!(start.elapsed() < limit, "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn a_file_beyond_the_limit_is_refused_with_a_problem() {
    let runbook = parse(&vec![b'a'; runbook::LARGEST + 1]);
    assert_eq!(runbook.problems.len(), 1);
    assert_eq!(runbook.problems[0].severity, Severity::Error);
}
