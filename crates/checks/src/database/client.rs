//! `psql` and `pg_restore` inside the database's own container.

use std::path::Path;
use std::time::Duration;

use domain::check::DatabaseSpec;

use super::super::probe::Probe;
use super::backup::{Compression, Dump, Form};
use runner::{Cmd, Exit};

/// Most bytes of a result.
const ANSWER: usize = 16 << 20;
/// Longest time of the clean-up after the check was stopped.
const CLEAN_UP: Duration = Duration::from_secs(20);
/// The password is taken inside the container: Stagegate does not know it, and it is on no command line. Debian keeps
/// the server programs outside of PATH.
const INSIDE: &str = "export PGPASSWORD=\"${PGPASSWORD-${POSTGRES_PASSWORD-}}\" PGCONNECT_TIMEOUT=5; \
                      PATH=\"$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)\"; exec \"$@\"";

/// The client of one database.
pub(super) struct Client<'a> {
    probe: &'a Probe<'a>,
    service: String,
    user: String,
    /// The database that is checked.
    pub(super) database: String,
}

/// A row of a result.
pub(super) type Row = Vec<String>;

impl<'a> Client<'a> {
    /// The client as declared. The error names what is missing.
    pub(super) fn new(probe: &'a Probe<'a>, spec: &DatabaseSpec) -> Result<Client<'a>, String> {
        let fill = |text: &str| probe.names.fill(text).map(|f| f.text).map_err(|error| error.to_string());
        let service = spec.service.clone().ok_or("the check names no service")?;
        let user = fill(spec.user.as_deref().unwrap_or("postgres"))?;
        let database = spec.database.as_deref().map_or_else(|| Ok(user.clone()), fill)?;
        // A name that looks like an option would be read as one; `=` would make it a connection string.
        let odd = |name: &str| name.is_empty() || name.starts_with('-') || name.contains(['=', '/']);
        if odd(&service) || odd(&user) || odd(&database) {
            return Err("the name of the service, user or database is not valid".to_owned());
        }
        Ok(Client { probe, service, user, database })
    }

    /// Whether the database responds.
    pub(super) async fn greet(&self) -> Result<(), String> {
        self.probe.say(&format!("Querying database {} in {}.", self.database, self.service));
        match self.query("show server_version").await {
            Ok(rows) => {
                let version = rows.first().map(|row| row.join(" ")).unwrap_or_default();
                self.probe.say(&format!("Connected to PostgreSQL {version}."));
                Ok(())
            }
            Err(exit) => Err(format!(
                "database {} in service {} does not respond ({exit})",
                self.database, self.service
            )),
        }
    }

    /// The rows of a query on the checked database.
    pub(super) async fn query(&self, sql: &str) -> Result<Vec<Row>, Exit> {
        self.query_in(&self.database, sql).await
    }

    /// The rows of a query on another database of the same server.
    pub(super) async fn query_in(&self, database: &str, sql: &str) -> Result<Vec<Row>, Exit> {
        let argv = self.argv(&self.psql(database, &["-c", sql]));
        let (exit, answer) = self.probe.session.capture(self.cmd(argv), ANSWER).await;
        if !exit.is_success() {
            return Err(exit);
        }
        let text = String::from_utf8_lossy(&answer);
        Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    /// Drops a temporary database, also when the check was stopped meanwhile. Open connections to it are
    /// closed first: a client that was stopped may still run inside the container.
    pub(super) async fn drop_database(&self, name: &str) -> Exit {
        let cut = format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = {}",
            literal(name)
        );
        let drop = format!("drop database if exists {}", ident(name));
        let mut cmd =
            self.cmd(self.argv(&self.psql(&self.database, &["-o", "/dev/null", "-c", &cut, "-c", &drop])));
        cmd.shielded = true;
        cmd.timeout = Some(CLEAN_UP);
        self.probe.session.exec(cmd).await
    }

    /// Restores a file of this format into a database.
    pub(super) async fn restore(&self, file: &Path, form: Form, database: &str) -> Exit {
        let user = self.user.as_str();
        let tool = match form.dump {
            Dump::Custom => {
                vec![
                    "pg_restore",
                    "--exit-on-error",
                    "--no-owner",
                    "--no-privileges",
                    "-U",
                    user,
                    "-d",
                    database,
                ]
            }
            // The output of a dump is not needed; its errors are on standard error.
            Dump::Sql => self.psql(database, &["-o", "/dev/null"]),
        };
        let script = match form.compression {
            Compression::Gzip => "set -o pipefail; f=$1; shift; gzip -dc -- \"$f\" | \"$@\"",
            Compression::None => "f=$1; shift; exec \"$@\" <\"$f\"",
        };
        let start = ["bash", "-c", script, "bash", &file.to_string_lossy()].map(str::to_owned);
        let argv = start.into_iter().chain(self.argv(&tool)).collect();
        self.probe.session.exec(self.cmd(argv)).await
    }

    fn psql<'b>(&'b self, database: &'b str, more: &[&'b str]) -> Vec<&'b str> {
        let mut argv =
            vec!["psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-U", &self.user, "-d", database];
        argv.extend(more);
        argv
    }

    fn argv(&self, inside: &[&str]) -> Vec<String> {
        let mut argv = vec!["sh", "-c", INSIDE, "sh"];
        argv.extend(inside);
        self.probe.work.stack.exec_argv(&self.service, &argv)
    }

    fn cmd(&self, argv: Vec<String>) -> Cmd {
        let mut cmd = Cmd::new(argv);
        cmd.cwd = Some(self.probe.work.stack.dir().to_owned());
        // Compose reads the env file itself; variables of the shell would override it.
        cmd.clear = true;
        cmd.timeout = Some(self.probe.left());
        cmd
    }
}

/// A quoted SQL identifier.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted SQL string.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `media` or `public.media` as a quoted SQL name.
pub(super) fn table(name: &str) -> String {
    name.splitn(2, '.').map(ident).collect::<Vec<_>>().join(".")
}
