//! The identities of findings. Waivers, acceptances and signatures are stored with them, so they must not change: a
//! changed line in this file makes waivers invalid on every installation that is upgraded.

use super::{compose, findings, runbook};

/// The identity of each finding: `kind file: about, about`.
fn known_by(files: &str) -> Vec<String> {
    findings(files).iter().map(|f| format!("{} {}: {}", f.kind, f.file, f.about.join(", "))).collect()
}

fn web(more: &str) -> String {
    compose(&format!(
        "services:\n  web:\n    image: w:${{A}}\n    healthcheck: {{test: [CMD, 'true']}}\n{more}"
    ))
}

#[test]
fn findings_of_steps_are_identified_by_step_and_name() {
    let package = "== package.json\n{\n  \"scripts\": {\n    \"a\": \"npm run b\",\n    \"c\": \"node scripts/gone.mjs\"\n  }\n}\n";
    for (files, want) in [
        (runbook("npm run missing"), "package-missing runbook.md: step:A.s1, "),
        (
            runbook("npm run missing") + package,
            "script-missing runbook.md: step:A.s1, npm run, missing, , package.json",
        ),
        (runbook("npm run a") + package, "script-missing package.json: script:a, npm run, b, , package.json"),
        (runbook("npm run c") + package, "file-missing package.json: script:c, node, scripts/gone.mjs"),
        (runbook("npm ci") + package, "lock-file-missing runbook.md: step:A.s1"),
        (
            runbook("npm run a -w gone") + "== package.json\n{\"workspaces\":[\"x\"]}\n",
            "workspace-missing runbook.md: step:A.s1, gone",
        ),
        (runbook("cd gone && ls"), "directory-missing runbook.md: step:A.s1, gone"),
        (runbook("cp gone.example .env"), "file-missing runbook.md: step:A.s1, cp, gone.example"),
        (runbook("./gone.sh"), "file-missing runbook.md: step:A.s1, ./gone.sh"),
        (runbook("./x.sh") + "== x.sh\necho\n", "not-executable runbook.md: step:A.s1, ./x.sh"),
        (runbook("make"), "make-target-missing runbook.md: step:A.s1"),
        (
            runbook("make deploy") + "== Makefile\nbuild: x\n\techo\n",
            "make-target-missing runbook.md: step:A.s1, deploy",
        ),
        (runbook("docker compose -f gone.yml ps"), "compose-file-missing runbook.md: step:A.s1, gone.yml"),
        (runbook("docker compose exec api ls"), "service-missing runbook.md: step:A.s1, exec, api"),
        (
            runbook("docker compose --env-file .env.gone config"),
            "env-file-missing runbook.md: step:A.s1, .env.gone",
        ),
    ] {
        assert_eq!(known_by(&files), [want], "{files}");
    }
}

#[test]
fn findings_of_the_env_file_are_identified_by_key() {
    let env = |text: &str| format!("== .env.staging\n{text}");
    let all = compose("services:\n  web:\n    image: w\n    env_file: .env.staging");
    let keys = "== runbook.md\n## Phase 1 — Config (Gate C)\n\nRequired keys:\n- `JWT_SECRET`\n\nAcceptance (Gate C):\n- `.env.staging` is private.\n";
    for (files, want) in [
        (keys.to_owned() + &env("A=1\n") + &all, vec!["env-key-missing runbook.md: runbook, JWT_SECRET"]),
        (
            "== .env.staging.example\nA=1\nNEEDED=x\n".to_owned(),
            vec!["env-key-missing .env.staging.example: example, NEEDED"],
        ),
        (env("A=1\nAPI_TOKEN=CHANGE_ME_token\n") + &all, vec!["placeholder .env.staging: API_TOKEN"]),
        (env("A=1\nSPARE=1\n"), vec!["env-key-unused .env.staging: SPARE"]),
        (env("no assignment\n"), vec!["env-file-broken .env.staging: no-assignment"]),
        (env("A='1\n"), vec!["env-file-broken .env.staging: open-quote, A"]),
        (
            compose("services:\n  web:\n    image: w:${A}${TAG:?tag}\n    environment: {X: \"${Y}\"}"),
            vec![
                "variable-unset docker-compose.yml: TAG, required",
                "variable-unset docker-compose.yml: Y, optional",
            ],
        ),
    ] {
        assert_eq!(known_by(&files), want, "{files}");
    }
}

#[test]
fn findings_of_compose_are_identified_by_service_and_value() {
    let file = "docker-compose.yml";
    for (files, want) in [
        (compose("services: [\n"), format!("compose-file-broken {file}: ")),
        (web("    build: gone"), format!("build-context-missing {file}: web, gone")),
        (web("    build: ."), format!("dockerfile-missing {file}: web, Dockerfile")),
        (
            web("    build:\n      context: .\n      target: prod") + "== Dockerfile\nFROM a AS dev\n",
            format!("build-target-missing {file}: web, prod"),
        ),
        (
            web("    build: .") + "== Dockerfile\nFROM a\nCOPY gone.txt /x\n",
            "copy-source-missing Dockerfile: web, gone.txt".to_owned(),
        ),
        (web("    depends_on: [db]"), format!("service-missing {file}: web, db")),
        (
            web("    ports: ['80:80']\n  api:\n    image: a\n    ports:\n      - '0.0.0.0:80:3000'"),
            format!("host-port-twice {file}: api, web, 80"),
        ),
        (
            web("  db:\n    image: postgres:16-alpine\n    ports: ['5432:5432']"),
            format!("store-published {file}: db, postgres, world"),
        ),
        (
            web("  db:\n    image: redis\n    ports: ['127.0.0.1:6379:6379']"),
            format!("store-published {file}: db, redis, local"),
        ),
        (
            web("  api:\n    build: .") + "== Dockerfile\nFROM a\nHEALTHCHECK CMD true\n",
            format!("image-name-missing {file}: api"),
        ),
        (
            web("  api:\n    image: x\n    build: .") + "== Dockerfile\nFROM a\n",
            format!("health-check-missing {file}: api"),
        ),
        (web("  api: {}\n"), format!("service-without-image {file}: api")),
        (
            "== .env.staging\nPORT=3001\n".to_owned()
                + &compose(
                    "services:\n  web:\n    image: b\n    healthcheck: {test: [CMD, 'true']}\n    build: .\n    env_file: .env.staging\n    ports: ['${PORT:-3000}:3000']",
                )
                + "== Dockerfile\nFROM node\nCOPY src /app\n== src/server.ts\napp.listen(process.env.PORT)\n",
            format!("port-mismatch {file}: web, 3001, 3000, 3001, src/server.ts"),
        ),
        (
            "== .env.staging\nNEXT_PUBLIC_URL=http://x\n".to_owned()
                + &compose(
                    "services:\n  page:\n    image: p\n    healthcheck: {test: [CMD, 'true']}\n    build: .\n    environment:\n      NEXT_PUBLIC_URL: ${NEXT_PUBLIC_URL}",
                )
                + "== Dockerfile\nFROM node\n== package.json\n{\"dependencies\":{\"next\":\"15\"}}\n",
            format!("inlined-too-late {file}: page, NEXT_PUBLIC_URL, next"),
        ),
    ] {
        assert_eq!(known_by(&files), [want], "{files}");
    }
    let files = "== stagegate.toml\nrunbook = \"runbook.md\"\n[stack]\ndirectory = \".\"\nfiles = [\"docker-compose.yml\"]\nenv_file = \".env.gone\"\n";
    assert_eq!(known_by(files), ["env-file-missing stagegate.toml: .env.gone"]);
}
