//! Restores the env file of a rollback target from its encrypted copy, before anything else is done. An encrypted copy
//! of the replaced file is kept.

use std::io;
use std::path::Path;

use super::rollout::{Rollout, Stop};
use crate::progress::DeployPhase;
use crate::release_files::REPLACED;
use crate::stack_files::StackFiles;
use crate::undo::{EncryptedCopy, Undo};
use crate::work::RollbackTarget;
use secrets::{EnvCopy, EnvSource, EnvSourceError, EnvValues};
use system::files::off_thread;

/// Restores the values that are stored with `target`, unless they are already in place.
pub(super) async fn restore_env(
    rollout: &mut Rollout<'_>,
    project: &StackFiles,
    target: &RollbackTarget,
    copy: &EnvCopy,
) -> Result<(), Stop> {
    let source = project.env_or_default();
    let name = source.describe();
    let (own, copies) = (source.clone(), copy.clone());
    let (snapshot_dir, release_tag) = (target.snapshot_dir.clone(), target.release_tag.clone());
    let read = off_thread(move || both(&own, &copies, &snapshot_dir, &release_tag));
    let Both { text, env, before } =
        read.await.unwrap_or_else(|error| Err(error.to_string())).map_err(cannot)?;
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
    // Before the values are replaced: any failure from here on, also while they are made durable, undoes it.
    rollout.will_change([Undo::Env {
        source: source.clone(),
        copy: copy.clone(),
        before: before.as_ref().map(|_| kept),
        after: EncryptedCopy { dir: target.snapshot_dir.clone(), release: target.release_tag.clone() },
    }])?;
    let written = off_thread(move || source.restore(Some(&text)).map_err(io::Error::from)).await.flatten();
    written.map_err(|error| cannot(format!("{name} cannot be written ({})", error.kind())))?;
    rollout.session.say(&format!(
        "{name} was restored from {}; an encrypted copy of the replaced file is kept.",
        target.release_tag
    ));
    Ok(())
}

fn cannot(why: String) -> Stop {
    Stop(format!("The env file cannot be restored: {why}. No service was changed."))
}

/// What is stored with the target, and what the source has now.
struct Both {
    text: Vec<u8>,
    env: EnvValues,
    before: Option<Vec<u8>>,
}

fn both(source: &EnvSource, copy: &EnvCopy, snapshot_dir: &Path, release_tag: &str) -> Result<Both, String> {
    let text = copy.open(snapshot_dir, release_tag).map_err(|error| error.to_string())?;
    let env = EnvValues::parse(&text).map_err(|error| format!("in the copy, {error}"))?;
    let before = match source.text() {
        Ok(before) => Some(before),
        Err(EnvSourceError::Missing) => None,
        Err(error) => {
            let kind = io::Error::from(error).kind();
            return Err(format!("{} cannot be read ({kind})", source.describe()));
        }
    };
    Ok(Both { text, env, before })
}
