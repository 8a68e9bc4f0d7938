//! The output of `prisma migrate status` and `knex migrate:list`: how many migrations are pending.

use super::finding::{brief, names};
use super::values::{NoValue, Reading};

fn pending(names_of: &[String]) -> Reading {
    let detail = match names_of {
        [] => "no pending migration".to_owned(),
        some => format!("{} pending: {}", some.len(), names(some)),
    };
    Reading {
        // A count of migrations is far below 2^53.
        value: names_of.len() as f64,
        unit: "migrations",
        detail,
        explains_exit: !names_of.is_empty(),
    }
}

/// The lines under the one that `is_head` accepts, up to the next empty one.
fn under(text: &str, is_head: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| is_head(line))?;
    Some(lines.take_while(|line| !line.is_empty()).map(|line| brief(line, 80)).collect())
}

/// Migrations that `prisma migrate status` lists as not yet applied. A history that differs from the
/// database's, a failed migration, and a database without Prisma's table are failures.
pub(super) fn prisma(text: &str) -> Result<Reading, NoValue> {
    let text: String = text.replace('\r', "");
    let has = |words: &str| text.contains(words);
    if has("migrations table from your database are different") {
        let theirs =
            under(&text, |l| l.contains("are not found locally") || l.contains("is not found locally"));
        let ours = under(&text, |l| l.contains("have not yet been applied")).unwrap_or_default();
        let saw = format!(
            "drift: the migration histories differ (only in the database: {}; only in the repository: {})",
            names(theirs.unwrap_or_default()),
            names(ours)
        );
        let next = "Check out the commit that contains these migrations, or resolve them with prisma migrate resolve.";
        return Err(NoValue::bad(saw, next));
    }
    if has("Drift detected") {
        let next = "Compare the database with the schema (prisma migrate diff).";
        return Err(NoValue::bad("drift: the schema of the database differs from its migrations", next));
    }
    if let Some(failed) =
        under(&text, |l| l.starts_with("Following migration") && l.ends_with("have failed:"))
    {
        let saw = format!("{} failed: {}", failed.len(), names(&failed));
        return Err(NoValue::bad(saw, "Repair the database, then run prisma migrate resolve."));
    }
    if has("The current database is not managed by Prisma Migrate") {
        let saw = "the database is not managed by Prisma Migrate: no migration was ever applied to it";
        return Err(NoValue::bad(saw, "Run prisma migrate deploy, or correct DATABASE_URL."));
    }
    let behind =
        under(&text, |l| l.starts_with("Following migration") && l.ends_with("have not yet been applied:"));
    if let Some(names) = behind.filter(|names| !names.is_empty()) {
        return Ok(pending(&names));
    }
    if has("No migration found in") {
        let next = "Run the command in the directory of the migrations.";
        return Err(NoValue::did_not_look("Prisma found no migration in the repository", next));
    }
    if has("Database schema is up to date") {
        return Ok(pending(&[]));
    }
    if let Some(error) = text.lines().find(|l| l.trim_start().starts_with("Error")) {
        let next = "Make the database reachable for the command, then run it again.";
        return Err(NoValue::did_not_look(format!("Prisma reported an error: {}", brief(error, 160)), next));
    }
    Err(NoValue::new(
        "no output of prisma migrate status found",
        "Point the check at the output of prisma migrate status.",
    ))
}

/// Migrations that `knex migrate:list` lists as pending. An applied migration without its file is
/// a failure.
pub(super) fn knex(text: &str) -> Result<Reading, NoValue> {
    let next = "Point the check at the output of knex migrate:list.";
    if let Some(line) = text.lines().find(|l| l.contains("migration directory is corrupt")) {
        let missing = line.split_once("files are missing:").map_or("", |(_, names)| names.trim());
        let saw =
            format!("drift: applied migrations without a file in the repository: {}", brief(missing, 160));
        return Err(NoValue::bad(saw, "Check out the commit that the database was migrated with."));
    }
    let found = |which: &str| {
        text.lines().find_map(|line| {
            let line = line.trim();
            if line.starts_with(&format!("No {which} Migration files Found")) {
                return Some(0);
            }
            let rest = line.strip_prefix("Found ")?;
            let (number, words) = rest.split_once(' ')?;
            words.starts_with(&format!("{which} Migration file")).then(|| number.parse::<usize>().ok())?
        })
    };
    let Some(announced) = found("Pending") else {
        let saw = "the output does not contain the number of pending migrations";
        return Err(NoValue::new(saw, next));
    };
    if announced == 0 && found("Completed") == Some(0) {
        let saw = "knex found no migration, neither completed nor pending";
        return Err(NoValue::did_not_look(saw, "Run the command in the directory of the knexfile."));
    }
    let listed = under(text, |l| l.starts_with("Found ") && l.contains(" Pending Migration file"));
    let mut listed = listed.unwrap_or_default();
    listed.truncate(announced);
    if listed.len() != announced {
        let saw = format!("{announced} pending according to the total, but {} listed", listed.len());
        return Err(NoValue::new(saw, next));
    }
    Ok(pending(&listed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(read: Result<Reading, NoValue>) -> Result<f64, (String, bool, bool)> {
        read.map(|r| r.value).map_err(|n| (n.saw, n.is_bad, n.did_not_look))
    }

    const HEAD: &str = "Prisma schema loaded from prisma/schema.prisma\nDatasource \"db\": PostgreSQL database \"app\"\n\n3 migrations found in prisma/migrations\n";

    #[test]
    fn pending_prisma_migrations_are_counted() {
        assert_eq!(value(prisma(&format!("{HEAD}\n\nDatabase schema is up to date!\n"))), Ok(0.0));
        let two = format!(
            "{HEAD}Following migrations have not yet been applied:\n20240101_a\n20240202_b\n\nTo apply migrations in production run prisma migrate deploy.\n"
        );
        let reading = prisma(&two).unwrap();
        assert_eq!((reading.value, reading.explains_exit), (2.0, true));
        assert!(reading.detail.contains("20240202_b"), "{}", reading.detail);
        let one = format!("{HEAD}Following migration have not yet been applied:\n20240101_a\n\nTo apply\n");
        assert_eq!(value(prisma(&one)), Ok(1.0));
    }

    #[test]
    fn prisma_drift_and_failures_fail_and_errors_are_inconclusive() {
        let drift = format!(
            "{HEAD}Your local migration history and the migrations table from your database are different:\n\nThe last common migration is: 20240101_a\n\nThe migration have not yet been applied:\n20240202_b\n\nThe migrations from the database are not found locally in prisma/migrations:\n20240203_x\n"
        );
        let failed = format!("{HEAD}Following migration have failed:\n20240101_a\n\nDuring development\n");
        let foreign =
            format!("{HEAD}\nThe current database is not managed by Prisma Migrate.\n\nRead more\n");
        for text in [drift.as_str(), &failed, &foreign] {
            assert!(prisma(text).unwrap_err().is_bad, "{text}");
        }
        assert!(prisma(&drift).unwrap_err().saw.contains("20240203_x"));
        let unreachable = "Error: P1001: Can't reach database server at `localhost:5432`";
        assert!(prisma(unreachable).unwrap_err().did_not_look);
        let none = "No migration found in prisma/migrations\n\nDatabase schema is up to date!";
        assert!(prisma(none).unwrap_err().did_not_look);
        let other = prisma("hello").unwrap_err();
        assert!(!other.is_bad && !other.did_not_look);
    }

    #[test]
    fn the_knex_list_is_read() {
        let done = "Using environment: staging\nFound 2 Completed Migration file/files.\n1_a.js\n2_b.js\nNo Pending Migration files Found.\n\n";
        assert_eq!(value(knex(done)), Ok(0.0));
        let open = "Found 1 Completed Migration file/files.\n1_a.js\nFound 2 Pending Migration file/files.\n2_b.js\n3_c.js\n\n";
        assert_eq!(value(knex(open)), Ok(2.0));
        let fresh = "No Completed Migration files Found.\nFound 1 Pending Migration file/files.\n1_a.js\n";
        assert_eq!(value(knex(fresh)), Ok(1.0));
        let nothing = "No Completed Migration files Found.\nNo Pending Migration files Found.\n";
        assert!(knex(nothing).unwrap_err().did_not_look);
        let corrupt = "Error: The migration directory is corrupt, the following files are missing: 9_x.js";
        let corrupt = knex(corrupt).unwrap_err();
        assert!(corrupt.is_bad && corrupt.saw.contains("9_x.js"));
        for broken in ["", "connect ECONNREFUSED", "Found 3 Pending Migration file/files.\n1_a.js\n"] {
            let none = knex(broken).unwrap_err();
            assert!(!none.is_bad, "{broken}");
        }
    }
}
