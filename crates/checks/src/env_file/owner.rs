//! The owner of the env file.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use domain::check::CheckSpec;
use domain::evidence::Finding;

use super::super::finding::{failed, passed, unknown};
use super::Subject;

pub(super) fn judge(file: &Subject, spec: &CheckSpec) -> Finding {
    let CheckSpec::EnvFile { owner, .. } = spec else {
        return unknown(
            "an env file",
            "this is not an env file check",
            "Correct the check in stagegate.toml.",
        );
    };
    // Without a list of users, numbers still work.
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let (uid, who) = match owner.as_deref() {
        // The user of this process owns its files in /proc.
        None => match fs::metadata("/proc/self") {
            Ok(own) => (own.uid(), "the user that Stagegate runs as".to_owned()),
            Err(_) => {
                return unknown(
                    "an owner",
                    "the user that Stagegate runs as is unknown",
                    "Set `owner` in the check.",
                );
            }
        },
        Some(name) => match name.parse().ok().or_else(|| uid_of(&users, name)) {
            Some(uid) => (uid, name.to_owned()),
            None => {
                let saw = format!("user “{name}” does not exist on this host");
                return unknown(format!("owner {name}"), saw, "Correct `owner`, or write its user ID.");
            }
        },
    };
    let wanted = format!("the file belongs to {who} (uid {uid})");
    let path = match file.own_file(&wanted) {
        Ok(path) => path,
        Err(found) => return found,
    };
    match fs::metadata(path) {
        Ok(about) => {
            let saw =
                format!("{} belongs to {} (uid {})", file.shown, name_of(&users, about.uid()), about.uid());
            if about.uid() == uid {
                passed(wanted, saw)
            } else {
                failed(wanted, saw, format!("Run chown {uid} {}", file.shown))
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => file.missing(&wanted),
        Err(error) => {
            let saw = format!("{} cannot be read ({})", file.shown, error.kind());
            unknown(wanted, saw, "Correct the permissions of its directory.")
        }
    }
}

fn uid_of(users: &str, name: &str) -> Option<u32> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

fn name_of(users: &str, uid: u32) -> String {
    let number = uid.to_string();
    let line = users.lines().find(|line| line.split(':').nth(2) == Some(&number));
    line.and_then(|line| line.split(':').next()).unwrap_or("a user without a name").to_owned()
}
