//! Whose file it is.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use domain::check::CheckSpec;
use domain::evidence::Finding;

use super::super::finding::{failed, passed, unknown};
use super::Subject;

pub(super) fn judge(file: &Subject<'_>, spec: &CheckSpec) -> Finding {
    let CheckSpec::EnvFile { owner, .. } = spec else {
        return unknown("an env file", "this check is about no env file", "Correct the declaration.");
    };
    // Where there is no list of users, numbers still do.
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let (uid, who) = match owner.as_deref() {
        // What this process is: the kernel gives its own files in /proc that owner.
        None => match fs::metadata("/proc/self") {
            Ok(own) => (own.uid(), "the user that Stagegate runs as".to_owned()),
            Err(_) => {
                return unknown("an owner", "nobody knows as which user Stagegate runs", "Name the `owner`.");
            }
        },
        Some(name) => match name.parse().ok().or_else(|| uid_of(&users, name)) {
            Some(uid) => (uid, name.to_owned()),
            None => {
                let saw = format!("there is no user “{name}” on this machine");
                return unknown(format!("owner {name}"), saw, "Correct `owner`, or give its number.");
            }
        },
    };
    let wanted = format!("the file belongs to {who} (uid {uid})");
    match fs::metadata(file.path) {
        Ok(about) => {
            let saw =
                format!("{} belongs to {} (uid {})", file.shown, name_of(&users, about.uid()), about.uid());
            if about.uid() == uid {
                passed(wanted, saw)
            } else {
                failed(wanted, saw, format!("chown {uid} {}", file.shown))
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => file.missing(&wanted),
        Err(error) => {
            let saw = format!("{} cannot be looked at ({})", file.shown, error.kind());
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
