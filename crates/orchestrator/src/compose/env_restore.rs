//! Restores the env file of a rollback target from its encrypted copy, before anything else is done. An encrypted copy
//! of the replaced file is kept.

use std::fs;
use std::io;

use super::rollout::{Rollout, Stop};
use crate::progress::DeployPhase;
use crate::release_files::REPLACED;
use crate::stack_files::StackFiles;
use crate::undo::{EncryptedCopy, Undo};
use crate::work::RollbackTarget;
use secrets::env_file::EnvFile;
use secrets::{EnvCopy, replace};

/// Restores the env file that is stored with `target`, unless it is already in place.
pub(super) fn restore_env(
    rollout: &mut Rollout<'_>,
    project: &StackFiles,
    target: &RollbackTarget,
    copy: &EnvCopy,
) -> Result<(), Stop> {
    let cannot =
        |why: String| Stop(format!("The env file cannot be restored: {why}. No service was changed."));
    let path = project.env_place();
    let text =
        copy.open(&target.snapshot_dir, &target.release_tag).map_err(|error| cannot(error.to_string()))?;
    let env = EnvFile::parse(&text).map_err(|error| cannot(format!("in the copy, {error}")))?;
    let before = match fs::read(&path) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(cannot(format!("{} cannot be read ({})", path.display(), error.kind()))),
    };
    if before.as_ref() == Some(&text) {
        rollout.session.say("The env file already matches the release.");
        return Ok(());
    }
    // Written first: after a crash from here on, the rollback is completed.
    rollout.enter(DeployPhase::Restoring)?;
    let kept = EncryptedCopy { dir: target.snapshot_dir.join(REPLACED), release: REPLACED.to_owned() };
    if let Some(before) = &before {
        copy.keep(before, &kept.dir, &kept.release).map_err(|error| cannot(error.to_string()))?;
    }
    // Later output may contain old values as well as new ones.
    rollout.session.learn(&env).map_err(|error| cannot(error.to_string()))?;
    // Before the file is replaced: any failure from here on, also while it is made durable, undoes it.
    rollout.will_change([Undo::Env {
        path: path.clone(),
        copy: copy.clone(),
        before: before.as_ref().map(|_| kept),
        after: EncryptedCopy { dir: target.snapshot_dir.clone(), release: target.release_tag.clone() },
    }])?;
    replace(&path, &text)
        .map_err(|error| cannot(format!("{} cannot be written ({})", path.display(), error.kind())))?;
    rollout.session.say(&format!(
        "{} was restored from {}; an encrypted copy of the replaced file is kept.",
        path.display(),
        target.release_tag
    ));
    Ok(())
}
