//! The database migrations that are applied, as a command of the stack lists them.

use std::path::Path;
use std::time::Duration;

use runner::{Cmd, Session};

/// Limits for listing migrations: time, and size of the list.
const TIMEOUT: Duration = Duration::from_secs(60);
const MAX_BYTES: usize = 256 * 1024;

/// The names that the command prints. `None` when the command fails: unknown is not the same as no migrations.
pub async fn applied_migrations(session: &Session, command: &str, dir: &Path) -> Option<Vec<String>> {
    let mut cmd = Cmd::bash(command);
    cmd.cwd = Some(dir.to_owned());
    cmd.timeout = Some(TIMEOUT);
    let (exit, out) = session.capture(cmd, MAX_BYTES).await;
    if !exit.is_success() {
        session.say(&format!("The applied migrations could not be listed ({exit})."));
        return None;
    }
    let text = session.redact(&String::from_utf8_lossy(&out));
    Some(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
