//! A real PostgreSQL in a real stack. These need a Docker engine with Compose and the image that
//! `.ci/example images` makes; without them they fail with a message.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::probe::{Seen, Stack, command};

const IMAGE: &str = "medianest/base-data:1";
const PASSWORD: &str = "q8Zr-nobody-may-see-this";

/// A stack with a database until it is dropped.
struct Live(Stack);

impl Live {
    fn up(name: &str) -> Live {
        let out = command("docker", &["images", "-q", IMAGE]).output().expect("docker");
        assert!(!out.stdout.is_empty(), "no image {IMAGE}: run .ci/example images");
        let mut stack = Stack::new();
        stack.project = Some(format!("sgdata{}{name}", std::process::id()));
        stack.timeout = Duration::from_secs(60);
        stack.file(
            "docker-compose.yml",
            &format!(
                "services:\n  db:\n    image: {IMAGE}\n    user: postgres\n    command: [run-postgres]\n    stop_signal: SIGINT\n    stop_grace_period: 1s\n    environment: {{POSTGRES_USER: app, POSTGRES_PASSWORD: {PASSWORD}}}\n    healthcheck:\n      test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, app]\n      interval: 500ms\n      retries: 60\n"
            ),
        );
        let live = Live(stack);
        live.compose(&["up", "-d", "--wait", "--pull", "never"]);
        live.sql(
            "create table media (id int primary key, title text); insert into media select i, 'm' || i from generate_series(1, 12) i; \
             create table knex_migrations (id serial, name text); insert into knex_migrations (name) values ('01_a.mjs'), ('02_b.mjs'); \
             create table empty_one (id int)",
        );
        live
    }

    fn compose(&self, args: &[&str]) -> Vec<u8> {
        let file = self.0.dir().join("docker-compose.yml").display().to_string();
        let project = self.0.project.as_deref().unwrap();
        let out =
            command("docker", &[&["compose", "-p", project, "-f", &file], args].concat()).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    fn sql(&self, sql: &str) -> String {
        let out = self.compose(&["exec", "-T", "db", "psql", "-XqAt", "-U", "app", "-d", "app", "-c", sql]);
        String::from_utf8(out).unwrap().trim().to_owned()
    }

    fn dump(&self, name: &str, args: &[&str]) {
        let bytes = self.compose(&[&["exec", "-T", "db", "pg_dump", "-U", "app", "app"], args].concat());
        let path = self.0.file(&format!("backups/{name}"), "");
        std::fs::write(path, bytes).unwrap();
    }

    fn see(&self, more: Value) -> Seen {
        self.0.see(ask(more)).hides(PASSWORD)
    }

    /// No restore test left a database.
    fn clean(&self) {
        assert_eq!(self.sql("select count(*) from pg_database where datname like 'stagegate_%'"), "0");
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let project = self.0.project.as_deref().unwrap_or_default();
        let _ = command("docker", &["compose", "-p", project, "down", "-v", "-t", "0"])
            .current_dir(self.0.dir())
            .output();
    }
}

fn ask(more: Value) -> Value {
    let mut spec = json!({ "kind": "database", "service": "db", "user": "app" });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

#[test]
fn migrations_are_compared_in_both_directions() {
    let live = Live::up("mig");
    let spec = json!({ "assert": "migrations", "tool": "knex", "files": "migrations/*.mjs" });
    live.see(spec.clone()).unsure("cannot be read");
    live.0.file("migrations/lock.json", "{}");
    live.see(spec.clone()).unsure("no migration matches");
    live.0.file("migrations/01_a.mjs", "");
    live.0.file("migrations/02_b.mjs", "");
    live.see(spec.clone()).passes("2 applied, none pending");
    live.0.file("migrations/03_c.mjs", "");
    live.see(spec.clone()).fails("1 pending: 03_c.mjs");
    std::fs::remove_file(live.0.dir().join("migrations/01_a.mjs")).unwrap();
    live.see(spec.clone()).fails("applied, but not on disk: 01_a.mjs; pending: 03_c.mjs");
    live.0.file("migrations/01_a.mjs", "");
    live.sql("drop table knex_migrations");
    live.see(spec.clone()).fails("3 pending");
    let own = json!({ "assert": "migrations", "query": "select v from done", "files": "migrations/*.mjs" });
    live.see(own.clone()).unsure("could not be read");
    live.sql("create table done (v text); insert into done values ('01_a'), ('02_b'), ('03_c')");
    live.see(own).passes("3 applied");
    // Prisma's migrations are directories, may have been rolled back, or may have stopped halfway.
    live.0.file("prisma/migrations/1_init/migration.sql", "");
    live.0.file("prisma/migrations/migration_lock.toml", "");
    let prisma = json!({ "assert": "migrations", "tool": "prisma", "files": "prisma/migrations/*" });
    live.sql("create table _prisma_migrations (migration_name text, finished_at timestamptz, rolled_back_at timestamptz); insert into _prisma_migrations values ('1_init', null, now())");
    live.see(prisma.clone()).fails("1 pending: 1_init");
    live.sql("insert into _prisma_migrations values ('1_init', null, null)");
    live.see(prisma.clone()).fails("started but not finished: 1_init");
    live.sql("update _prisma_migrations set finished_at = now() where rolled_back_at is null");
    live.see(prisma.clone()).passes("1 applied");
    live.compose(&["stop", "-t", "1", "db"]);
    live.see(prisma).unsure("does not respond");
}

#[test]
fn seed_rows_are_counted() {
    let live = Live::up("rows");
    let rows = |rows: Value| json!({ "assert": "rows", "rows": rows });
    live.see(rows(json!({ "media": 10, "public.knex_migrations": 2 }))).passes("media 12");
    live.see(rows(json!({ "media": 13 }))).fails("media has 12 rows");
    live.see(rows(json!({ "people": 1 }))).fails("table people does not exist");
    live.see(rows(json!({ "media\"; drop table media; --": 1 }))).fails("does not exist");
    live.see(rows(json!({}))).unsure("names no table");
    let other = json!({ "assert": "rows", "rows": { "media": 1 }, "database": "nowhere" });
    live.see(other).unsure("database nowhere in service db does not respond");
}

#[test]
fn a_restore_is_tested_compared_and_dropped() {
    let live = Live::up("restore");
    let spec = |file: &str| json!({ "assert": "restore", "path": format!("backups/{file}") });
    let exact = |file: &str| json!({ "assert": "restore", "path": format!("backups/{file}"), "exact": true });
    live.see(spec("*.dump")).fails("no file matches");
    live.dump("a.dump", &["-Fc"]);
    live.dump("a.sql", &[]);
    let packed = "gzip -k a.sql";
    assert!(
        command("sh", &["-c", packed]).current_dir(live.0.dir().join("backups")).status().unwrap().success()
    );
    for file in ["a.dump", "a.sql", "a.sql.gz"] {
        live.see(exact(file)).passes("3 tables with 14 rows restored, every row equals the source");
    }
    // Written since: passes unless every row must be the same.
    live.sql("insert into media values (13, 'new'); update knex_migrations set name = 'x' where id = 1");
    live.see(spec("a.dump"))
        .passes("changed since in public.knex_migrations (2 of 2 rows), public.media (12 of 13 rows)");
    live.see(exact("a.dump")).fails("rows differ");
    // A truncated backup, one without rows, one of another schema, one that writes to another database.
    let whole = std::fs::read(live.0.dir().join("backups/a.dump")).unwrap();
    let broken = live.0.file("backups/broken.dump", "");
    std::fs::write(broken, &whole[..whole.len() / 2]).unwrap();
    live.see(spec("broken.dump")).fails("the restore failed");
    live.dump("schema.dump", &["-Fc", "--schema-only"]);
    live.see(spec("schema.dump")).fails("restored without rows: public.knex_migrations, public.media");
    live.dump("part.dump", &["-Fc", "-T", "media"]);
    live.see(spec("part.dump")).fails("missing tables: public.media");
    live.dump("create.sql", &["--create"]);
    live.see(spec("create.sql")).unsure("not restored");
    live.sql("alter table media add column year int");
    live.see(spec("a.dump")).fails("columns differ in public.media");
    live.clean();
    assert_eq!(live.sql("select count(*) from media"), "13");
    // The next run drops what an aborted one left; a recent database may still be in use.
    let young = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    live.sql("create database stagegate_rehearsal_1000_0001");
    live.sql(&format!("create database stagegate_rehearsal_{young}_0001"));
    live.see(spec("part.dump")).fails("missing tables: public.media");
    assert_eq!(live.sql("select count(*) from pg_database where datname like 'stagegate_%'"), "1");
    live.sql(&format!("drop database stagegate_rehearsal_{young}_0001"));
    // A user without the right to create databases.
    live.sql("create role plain login; grant all on all tables in schema public to plain");
    let poor = json!({ "assert": "restore", "path": "backups/a.dump", "user": "plain", "database": "app" });
    live.see(poor).unsure("the temporary database could not be created");
}

#[test]
fn a_restore_test_that_times_out_drops_its_database() {
    let mut live = Live::up("late");
    // Restoring it takes longer than the timeout of the check.
    live.0.timeout = Duration::from_secs(6);
    live.dump("a.sql", &[]);
    let path = live.0.dir().join("backups/a.sql");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("CREATE TABLE", "SELECT pg_sleep(60);\nCREATE TABLE", 1)).unwrap();
    let began = Instant::now();
    live.see(json!({ "assert": "restore", "path": "backups/a.sql" })).unsure("did not");
    assert!(began.elapsed() < Duration::from_secs(50));
    live.clean();
}

#[test]
fn the_format_of_a_backup_is_detected_from_its_content() {
    let stack = Stack::new();
    let see = |more: Value| {
        let mut spec = json!({ "kind": "database", "assert": "backup", "path": "b/*" });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        stack.see(spec)
    };
    let put = |bytes: &[u8]| {
        let path = stack.file("b/x", "");
        std::fs::write(&path, bytes).unwrap();
        path
    };
    see(json!({})).fails("no file matches b/*");
    put(b"");
    see(json!({})).fails("0 bytes");
    put(b"PGDMP\x01\x0e");
    see(json!({})).passes("pg_dump custom format");
    see(json!({ "min_bytes": 100 })).fails("7 bytes");
    see(json!({ "max_age": "soon" })).unsure("is not a duration");
    put(b"--\n-- PostgreSQL database dump\n--\nselect 1;\n");
    see(json!({})).fails("the dump is incomplete");
    put(b"--\n-- PostgreSQL database dump\n--\nselect 1;\n--\n-- PostgreSQL database dump complete\n--\n");
    see(json!({})).passes("complete SQL");
    put(b"pg_dump: error: connection refused\n");
    see(json!({})).fails("not a complete dump of pg_dump");
    let script = "printf -- '-- d\\n-- PostgreSQL database dump complete\\n' | gzip > x";
    assert!(command("sh", &["-c", script]).current_dir(stack.dir().join("b")).status().unwrap().success());
    see(json!({})).passes("complete SQL, compressed");
    let whole = std::fs::read(stack.dir().join("b/x")).unwrap();
    let path = put(&whole[..whole.len() - 8]);
    see(json!({})).fails("gzip data is damaged");
    std::fs::write(&path, b"PGDMP").unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(7200)).unwrap();
    see(json!({ "max_age": "1h" })).fails("2 h 00 min old");
    file.set_modified(std::time::SystemTime::now() + Duration::from_secs(7200)).unwrap();
    see(json!({ "max_age": "1h" })).unsure("in the future");
}
