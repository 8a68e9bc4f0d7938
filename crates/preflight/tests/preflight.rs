//! Preflight on small repositories: valid ones in unusual forms, which must have no finding, and broken ones, in which
//! exactly the mistake must be found, at its line.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::path::Path;

use domain::preflight::{Finding, Weight};
use preflight::preflight;
use runbook::Config;

#[path = "preflight_parts/identities.rs"]
mod identities;

/// Writes files given as `== path` headers with their text below, and runs the preflight. A repository without a
/// `stagegate.toml` gets a default one. Each finding is shown as `breaks kind gate file:line`.
fn found(files: &str) -> Vec<String> {
    look(files).iter().map(|(shown, _)| shown.clone()).collect()
}

fn look(files: &str) -> Vec<(String, String)> {
    let shown = |f: &Finding| {
        let word = if f.weight == Weight::Breaks { "breaks" } else { "note" };
        let gate = f.gate.as_deref().unwrap_or("-");
        (format!("{word} {} {gate} {}", f.kind, f.place()), format!("{} ({})", f.message, f.hint))
    };
    findings(files).iter().map(shown).collect()
}

fn findings(files: &str) -> Vec<Finding> {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    let usual = "== stagegate.toml\nrunbook = \"runbook.md\"\n[stack]\ndirectory = \".\"\nfiles = [\"docker-compose.yml\"]\nenv_file = \".env.staging\"\nenv_example = \".env.staging.example\"\n";
    let mut all = usual.to_owned();
    if !files.contains("== runbook.md") {
        all.push_str(
            "== runbook.md\n## Phase 1 — Up (Gate A)\n\nAcceptance (Gate A):\n- `.env.staging` is private.\n",
        );
    }
    if !files.contains("== .env.staging\n") {
        all.push_str("== .env.staging\nA=1\n");
    }
    if !files.contains("== .env.staging.example") {
        all.push_str("== .env.staging.example\n# empty\n");
    }
    if !files.contains("== docker-compose.yml") {
        all.push_str("== docker-compose.yml\nservices:\n  web:\n    image: web:${A}\n");
    }
    write(root, &all);
    write(root, files);
    let git = |args: &[&str]| {
        assert!(
            std::process::Command::new("git")
                .arg("-C")
                .arg(root)
                .args(args)
                .output()
                .unwrap()
                .status
                .success()
        );
    };
    git(&["init", "-q"]);
    let loaded = Config::load(&root.join("stagegate.toml")).unwrap_or_else(|p| panic!("{p:?}"));
    preflight(&loaded.config, &loaded.runbook).findings
}

fn write(root: &Path, files: &str) {
    for part in files.split("== ").skip(1) {
        let (path, text) = part.split_once('\n').unwrap();
        let path = root.join(path.trim());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn runbook(step: &str) -> String {
    format!(
        "== runbook.md\n## Phase 1 — Up (Gate A)\n\n```bash\n{step}\n```\n\nAcceptance (Gate A):\n- `.env.staging` is private.\n"
    )
}

fn compose(text: &str) -> String {
    format!("== docker-compose.yml\n{text}\n")
}

#[test]
fn valid_repositories_in_unusual_forms_have_no_finding() {
    let good: &[&str] = &[
        // A monorepo with workspaces, scripts that call scripts, a subshell.
        &(runbook(
            "npm ci\n(cd api && npm run e2e -- --x)\nnpm run --silent check -w api && npm test\nnpm --prefix api run e2e\nnpm run build:all",
        ) + "== package-lock.json\n{}\n== package.json\n{\"workspaces\":[\"api\",\"packages/*\"],\"scripts\":{\"test\":\"vitest\",\"build:all\":\"npm run check -w @x/ui && node scripts/a.mjs\"}}\n== scripts/a.mjs\n== api/package.json\n{\"name\":\"api\",\"scripts\":{\"e2e\":\"playwright test\",\"check\":\"tsc\"}}\n== packages/ui/package.json\n{\"name\":\"@x/ui\",\"scripts\":{\"check\":\"tsc\"}}\n"),
        // Parts that are not certain are skipped.
        &runbook(
            "npm run $SCRIPT\nnode dist/server.js\n./node_modules/.bin/tool\nfor s in a b; do npm run $s; done\nnpm run maybe --if-present\ncd $DIR && npm run x\nbash -c 'npm run y'\nyarn run vite",
        ),
        // Created by an earlier step.
        &(runbook(
            "cp .env.staging.example .env.local\ndocker compose --env-file .env.local config\nmkdir -p outbox\ncd outbox\necho hi > note.sh\nsh ../outbox/note.sh",
        ) + "== .env.staging.example\nA=\n"),
        // Compose: anchors, merges, long forms, profiles, several forms of everything.
        &compose(
            "x-base: &base\n  restart: always\n  logging: {options: {max-size: '${UNUSED_IN_X}'}}\nservices:\n  web:\n    <<: *base\n    logging: {}\n    image: web:${A:-1}\n    environment:\n      - A\n      - B=${C:-x}\n    ports:\n      - target: 80\n        published: \"8080\"\n        host_ip: 127.0.0.1\n      - 9090-9091:9090-9091\n  job:\n    image: web:1\n    profiles: [jobs]\n    ports: ['8080:80']\n    depends_on: {web: {condition: service_started}}",
        ),
        // A Dockerfile with stages, arguments in FROM, here-documents, Windows line ends.
        &(compose(
            "services:\n  web:\n    image: w:${A}\n    healthcheck: {test: [CMD, 'true']}\n    build:\n      context: .\n      target: run\n      args: [V]",
        ) + "== Dockerfile\nARG V=20\r\nFROM node:${V} AS deps\r\nWORKDIR /app\r\nCOPY package*.json ./\r\nRUN <<EOF\r\nnpm ci\r\nEOF\r\nFROM deps AS run\r\nCOPY --from=deps /app/x /y\r\nCOPY . .\r\n"),
        // The same port for different protocols and addresses; PORT agrees.
        &(compose(
            "services:\n  a:\n    image: a:${A}\n    ports: ['127.0.0.1:53:53/udp', '127.0.0.1:53:53']\n  b:\n    image: b\n    ports: ['127.0.0.2:53:53']\n    environment: {PORT: 53}",
        )),
        // All keys are passed by env_file; a data store is not published.
        &(compose(
            "services:\n  web:\n    image: w\n    env_file: [{path: .env.staging, required: true}]\n  db:\n    image: docker.io/library/postgres:16\n    expose: ['5432']",
        ) + "== .env.staging\nTOKEN=k9f8s7d6f5\nUNKNOWN=1\n"),
        // Includes and extends: services that are declared elsewhere are not missing.
        &(runbook("docker compose exec other npm run x\ndocker compose logs other")
            + &compose("include: [more.yml]\nservices:\n  web:\n    image: w:${A}\n    depends_on: [other]")),
        // npm in a container whose files are not certain.
        &(runbook("docker compose exec -T web npm run anything")
            + &compose(
                "services:\n  web:\n    image: w:${A}\n    healthcheck: {test: [CMD, 'true']}\n    build: {context: ., dockerfile: D}",
            )
            + "== D\nFROM base\nCOPY --from=other /app /app\nWORKDIR /app\n"),
    ];
    for files in good {
        let seen = look(files);
        assert!(seen.is_empty(), "{seen:#?}\nin\n{files}");
    }
}

#[test]
fn steps_that_cannot_run_are_reported_at_their_line() {
    let package = "== package.json\n{\n  \"scripts\": {\n    \"a\": \"npm run b\",\n    \"c\": \"node scripts/gone.mjs\"\n  }\n}\n";
    for (files, want) in [
        (runbook("echo\nnpm run missing"), "breaks package-missing A runbook.md:5"),
        (runbook("npm run missing") + package, "breaks script-missing A runbook.md:4"),
        (runbook("npm run a") + package, "breaks script-missing A package.json:3"),
        (runbook("npm run c") + package, "breaks file-missing A package.json:4"),
        (runbook("pnpm run nope") + package, "breaks script-missing A runbook.md:4"),
        (runbook("yarn run db:nope") + package, "breaks script-missing A runbook.md:4"),
        (runbook("npm ci") + package, "breaks lock-file-missing A runbook.md:4"),
        (
            runbook("npm run a -w gone") + "== package.json\n{\"workspaces\":[\"x\"]}\n",
            "breaks workspace-missing A runbook.md:4",
        ),
        (runbook("cd gone && ls"), "breaks directory-missing A runbook.md:4"),
        (runbook("cp gone.example .env"), "breaks file-missing A runbook.md:4"),
        (runbook("bash scripts/gone.sh"), "breaks file-missing A runbook.md:4"),
        (runbook("./gone.sh"), "breaks file-missing A runbook.md:4"),
        (runbook("./x.sh") + "== x.sh\necho\n", "breaks not-executable A runbook.md:4"),
        (
            runbook("make deploy") + "== Makefile\nbuild: x\n\techo\n",
            "breaks make-target-missing A runbook.md:4",
        ),
        (runbook("docker compose -f gone.yml ps"), "breaks compose-file-missing A runbook.md:4"),
        (runbook("docker compose exec api ls"), "breaks service-missing A runbook.md:4"),
        (
            runbook("curl x |\n  head\ndocker-compose logs --tail 5 api"),
            "breaks service-missing A runbook.md:6",
        ),
        (runbook("docker compose --env-file .env.gone config"), "breaks env-file-missing A runbook.md:4"),
    ] {
        assert_eq!(found(&files), [want], "{files}");
    }
}

#[test]
fn a_script_in_a_container_is_searched_for_in_the_sources_of_the_image() {
    let stack = |dockerfile: &str| {
        runbook("docker compose exec backend npm run db:migrate")
            + &compose(
                "services:\n  backend:\n    image: b:${A}\n    healthcheck: {test: [CMD, 'true']}\n    build: {context: ., dockerfile: D}",
            )
            + "== package.json\n{\"scripts\":{\"db:migrate\":\"x\"}}\n== backend/package.json\n{\"scripts\":{\"start\":\"x\"}}\n== D\n"
            + dockerfile
    };
    let missing = ["breaks script-missing A runbook.md:4"];
    assert_eq!(found(&stack("FROM n\nWORKDIR /app\nCOPY . .\n")), [""; 0]);
    assert_eq!(found(&stack("FROM n\nWORKDIR /app/backend\nCOPY . /app\n")), missing);
    assert_eq!(found(&stack("FROM n\nWORKDIR /srv\nCOPY backend /srv\n")), missing);
    assert_eq!(
        found(&stack(
            "FROM n\nWORKDIR /srv\nCOPY backend/package*.json ./\nCOPY backend/src ./src\n== backend/src/a.js\n"
        )),
        missing
    );
    let said = look(&stack("FROM n\nWORKDIR /srv\nCOPY backend /srv\n"));
    assert!(
        said[0].1.contains("in the container of backend") && said[0].1.contains("backend/package.json"),
        "{said:?}"
    );
}

#[test]
fn keys_of_the_env_file_are_compared_with_their_uses() {
    let keys = "== runbook.md\n## Phase 1 — Config (Gate C)\n\nRequired keys:\n- `JWT_SECRET`, `JWT_ROTATION?`, `FLAG_*`\n\nAcceptance (Gate C):\n- `.env.staging` is private.\n";
    let env = |text: &str| format!("== .env.staging\n{text}");
    let all = compose("services:\n  web:\n    image: w\n    env_file: .env.staging");
    for (files, want) in [
        (keys.to_owned() + &env("FLAG_X=1\n") + &all, vec!["breaks env-key-missing C runbook.md:4"]),
        (
            keys.to_owned() + &env("JWT_SECRET=k3j4h5g6\n") + &all,
            vec!["breaks env-key-missing C runbook.md:4"],
        ),
        (
            keys.to_owned()
                + &env("FLAG_X=1\nJWT_SECRET=k3j4h5g6\nSPARE=1\n")
                + &compose("services:\n  web:\n    image: w\n    environment: {F: \"${FLAG_X}\"}"),
            vec!["breaks env-key-unused C .env.staging:2", "note env-key-unused C .env.staging:3"],
        ),
        (
            "== .env.staging.example\nA=1\nNEEDED=x\nMAYBE=\n".to_owned(),
            vec![
                "breaks env-key-missing A .env.staging.example:2",
                "note env-key-missing A .env.staging.example:3",
            ],
        ),
        (
            env("A=1\nAPI_TOKEN=CHANGE_ME_token\nURL=postgres://u:changeme@db/x\n") + &all,
            vec!["breaks placeholder A .env.staging:2", "breaks placeholder A .env.staging:3"],
        ),
        (env("no assignment\n"), vec!["breaks env-file-broken A .env.staging:1"]),
        (
            compose(
                "services:\n  web:\n    image: w:${A}${TAG:?tag}\n    environment: {X: \"${Y}\", Z: \"${Y}\"}",
            ),
            vec![
                "breaks variable-unset A docker-compose.yml:3",
                "breaks variable-unset A docker-compose.yml:4",
            ],
        ),
    ] {
        assert_eq!(found(&files), want, "{files}");
    }
    let said = look(&(env("A=1\nAPI_TOKEN=CHANGE_ME_7f3a\n") + &all));
    assert!(said.iter().all(|(_, text)| !text.contains("7f3a")), "a value was shown: {said:?}");
}

#[test]
fn mistakes_in_the_compose_file_are_reported_at_their_line() {
    let web = |more: &str| {
        compose(&format!(
            "services:\n  web:\n    image: w:${{A}}\n    healthcheck: {{test: [CMD, 'true']}}\n{more}"
        ))
    };
    for (files, want) in [
        (compose("services: [\n"), vec!["breaks compose-file-broken"]),
        (web("    build: gone"), vec!["breaks build-context-missing A docker-compose.yml:5"]),
        (web("    build: ."), vec!["breaks dockerfile-missing A docker-compose.yml:5"]),
        (
            web("    build:\n      context: .\n      target: prod"),
            vec!["breaks dockerfile-missing A docker-compose.yml:5"],
        ),
        (
            web("    build:\n      context: .\n      target: prod") + "== Dockerfile\nFROM a AS dev\n",
            vec!["breaks build-target-missing A docker-compose.yml:7"],
        ),
        (
            web("    build: .") + "== Dockerfile\nFROM a\n\nCOPY src /x\nCOPY gone.txt /x\n== src/a\n",
            vec!["breaks copy-source-missing A Dockerfile:4"],
        ),
        (web("    depends_on: [db]"), vec!["breaks service-missing A docker-compose.yml:5"]),
        (
            web("    ports: ['80:80']\n  api:\n    image: a\n    ports:\n      - '0.0.0.0:80:3000'"),
            vec!["breaks host-port-twice A docker-compose.yml:9"],
        ),
        (
            web("    ports: ['70-90:70-90']\n  zap:\n    image: a\n    ports: ['${A}:3', '80:3000']"),
            vec!["breaks host-port-twice A docker-compose.yml:8"],
        ),
        (
            web("  db:\n    image: postgres:16-alpine\n    ports: ['5432:5432']"),
            vec!["breaks store-published A docker-compose.yml:7"],
        ),
        (
            web("  db:\n    image: redis\n    ports: ['127.0.0.1:6379:6379']"),
            vec!["note store-published A docker-compose.yml:7"],
        ),
        (
            web("  api:\n    build: .") + "== Dockerfile\nFROM a\nHEALTHCHECK CMD true\n",
            vec!["note image-name-missing A docker-compose.yml:6"],
        ),
        (
            web("  api:\n    image: x\n    build: .") + "== Dockerfile\nFROM a\n",
            vec!["note health-check-missing A docker-compose.yml:5"],
        ),
        (web("  api: {}\n"), vec!["breaks service-without-image A docker-compose.yml:5"]),
    ] {
        let seen = found(&files);
        assert_eq!(seen.len(), want.len(), "{seen:#?}\nin\n{files}");
        assert!(
            seen.iter().zip(&want).all(|(s, w)| s.starts_with(w)),
            "{seen:#?} is not {want:#?}\nin\n{files}"
        );
    }
}

#[test]
fn a_port_mismatch_names_host_container_and_process() {
    let trap = |env: &str, source: &str| {
        format!("== .env.staging\n{env}")
            + &compose(
                "services:\n  backend:\n    image: b\n    healthcheck: {test: [CMD, 'true']}\n    build: .\n    env_file: .env.staging\n    ports:\n      - \"${PORT:-3000}:3000\"",
            )
            + "== Dockerfile\nFROM node\nCOPY src /app\n== src/server.ts\n"
            + source
    };
    let reads = "app.listen(process.env.PORT ?? 3000)\n";
    let said = look(&trap("PORT=3001\n", reads));
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].0, "breaks port-mismatch A docker-compose.yml:8");
    for part in
        ["host port 3001 is mapped to container port 3000", "PORT=3001", "src/server.ts", "Set PORT=3000"]
    {
        assert!(said[0].1.contains(part), "{part} in {said:?}");
    }
    assert_eq!(found(&trap("PORT=3000\n", reads)), [""; 0]);
    // Whether an unknown process listens on PORT is not known.
    assert_eq!(found(&trap("PORT=3001\n", "listen(80)\n")), ["note port-mismatch A docker-compose.yml:8"]);
}

#[test]
fn a_value_inlined_at_build_time_must_be_a_build_argument() {
    let page = |build: &str, package: &str| {
        "== .env.staging\nNEXT_PUBLIC_API_URL=http://x\n".to_owned()
            + &compose(&format!(
                "services:\n  page:\n    image: p\n    healthcheck: {{test: [CMD, 'true']}}\n    build: {build}\n    environment:\n      NEXT_PUBLIC_API_URL: ${{NEXT_PUBLIC_API_URL}}"
            ))
            + "== Dockerfile\nFROM node\n== package.json\n"
            + package
    };
    let next = "{\"dependencies\":{\"next\":\"15\"}}\n";
    assert_eq!(found(&page(".", next)), ["breaks inlined-too-late A docker-compose.yml:7"]);
    assert_eq!(found(&page("{context: ., args: [NEXT_PUBLIC_API_URL]}", next)), [""; 0]);
    assert_eq!(found(&page(".", "{\"dependencies\":{\"express\":\"4\"}}\n")), [""; 0]);
}

#[test]
fn a_missing_env_file_is_only_one_finding() {
    let files = "== stagegate.toml\nrunbook = \"runbook.md\"\n[stack]\ndirectory = \".\"\nfiles = [\"docker-compose.yml\"]\nenv_file = \".env.gone\"\n".to_owned()
        + &compose("services:\n  web:\n    image: w:${A}:${B:?}")
        + "== runbook.md\n## Phase 1 — Up (Gate A)\n\n```bash\ndocker compose --env-file .env.gone ps\n```\n\nAcceptance (Gate A):\n- ok\n";
    assert_eq!(found(&files), ["breaks env-file-missing A stagegate.toml:5"]);
}

#[test]
fn invalid_files_cause_no_panic() {
    for text in [
        "\u{0}\u{1}",
        "{{{{",
        "- - - -\n- x: [",
        "services: 3",
        "services:\n  web: 3\n  a: [1]\n",
        "a: &a\n  <<: *a\n",
        "services:\n  w:\n    ports: 80\n    build: {context: {}}\n    environment: 3\n",
    ] {
        found(&(compose(text) + "== Dockerfile\n\u{0}FROM\nCOPY\n== package.json\n[]\n"));
    }
}
