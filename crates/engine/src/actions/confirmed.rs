//! What a form showed when it was confirmed. Each form contains a digest of its subject; an action whose subject has
//! changed since is refused, so that only what was confirmed is done.

use domain::check::Check;
use domain::digest::digest_fields;
use domain::release::{Release, ReleaseComponent, short_commit};

use crate::assessment::{Assessment, when};
use crate::view::{EnvSince, Permission, RollbackOffer, Shown};
use supervisor::SetupStep;

impl Assessment {
    /// What a person confirms with a deploy: the parts of the checkout, and the steps that run before the deploy.
    pub(crate) fn shown_directory(&self) -> Shown {
        let part = |part| self.observed.parts.get(part).unwrap_or_default();
        let commit = part(ReleaseComponent::Commit);
        let backup = self.backup_before_deploy().cloned().unwrap_or_default();
        let mut fields = vec![
            "directory 1".to_owned(),
            commit.clone(),
            part(ReleaseComponent::Config),
            part(ReleaseComponent::Env),
        ];
        fields.extend([self.stack.runbook.digest.clone(), backup]);
        fields.extend(self.stack.steps_before.iter().cloned());
        Shown { commit, digest: digest_fields(fields) }
    }

    /// Whether the checkout is still the one in `shown`.
    pub(crate) fn still_shows(&self, shown: &Shown) -> Permission {
        let now = self.shown_directory();
        when(now == *shown, || {
            let sha = |commit: &str| commit.split('+').next().unwrap_or_default().to_owned();
            let (was, is) = (short_commit(stated(&shown.commit)), short_commit(stated(&now.commit)));
            let what = if sha(&shown.commit) != sha(&now.commit) {
                format!("HEAD has moved since this page was shown: from {was} to {is}.")
            } else if shown.commit != now.commit {
                format!("Tracked files have changed since this page was shown; HEAD is still {is}.")
            } else {
                "The configuration, the env file or the runbook has changed since this page was shown."
                    .to_owned()
            };
            format!("{what} Nothing was done. Review what is shown now, then confirm again.")
        })
    }

    /// Digest of what the confirmation of a rollback to the offer's target shows.
    pub(crate) fn rollback_digest(&self, offer: &RollbackOffer) -> String {
        let env = match offer.env {
            EnvSince::Same => "same",
            EnvSince::Changed => "changed",
            EnvSince::Kept => "kept",
        };
        let mut fields = self.return_fields("rollback 1", Some(&offer.target));
        fields.push(env.to_owned());
        match &offer.migrations {
            None => fields.push("migrations unknown".to_owned()),
            Some(names) => fields.extend(names.iter().cloned()),
        }
        digest_fields(fields)
    }

    /// Digest of what the confirmation of a clean restart shows.
    pub(crate) fn restart_digest(&self, target: Option<&Release>) -> String {
        digest_fields(self.return_fields("restart 1", target))
    }

    /// Digest of what the confirmation of a drill shows.
    pub(crate) fn drill_digest(&self, target: Option<&Release>) -> String {
        digest_fields(self.return_fields("drill 1", target))
    }

    /// The current release, the target, and the commands that a choice may run. The running containers are left out:
    /// a container that restarts must not prevent a rollback.
    fn return_fields(&self, kind: &str, target: Option<&Release>) -> Vec<String> {
        let id = |release: Option<&Release>| release.map(|r| r.id.to_string()).unwrap_or_default();
        let mut fields = vec![kind.to_owned(), id(self.release()), id(target)];
        let stack = &self.stack;
        for command in [&stack.db_rollback, &stack.db_backup, &stack.db_fresh] {
            fields.push(command.clone().unwrap_or_default());
        }
        let images = target.map(|target| target.parts.images.clone()).unwrap_or_default();
        fields.push(images.len().to_string());
        fields.extend(images.into_iter().flat_map(|(service, id)| [service, id]));
        fields
    }

    /// The checks that a gate (or `matrix`) runs together and the steps before them; `None`: the gate does not exist.
    pub(crate) fn checks_together(&self, gate: &str) -> Option<(Vec<Check>, Vec<SetupStep>)> {
        let proved: Vec<&str> = if gate == "matrix" {
            self.stack.runbook.matrix.iter().map(|r| r.id.as_str()).collect()
        } else {
            self.judgement.gate(gate)?.items.iter().map(|i| i.item.id.as_str()).collect()
        };
        let bound = |c: &&Check| c.spec.can_be_run() && c.proves.iter().any(|p| proved.contains(&p.as_str()));
        let checks: Vec<Check> = self.stack.checks.iter().filter(bound).cloned().collect();
        let steps: Vec<String> = self.stack.runbook.steps.iter().map(|s| s.id.clone()).collect();
        let checks = domain::schedule::in_order(&checks, &steps);
        let setup = self.stack.setup_of(&checks);
        Some((checks, setup))
    }

    /// Digest of one check: its declaration, and the command of the step that it judges.
    pub(crate) fn check_digest(&self, check: &Check) -> String {
        let step = check.spec.step().and_then(|id| self.stack.runbook.step(id));
        let step = step.map(|step| step.digest.clone()).unwrap_or_default();
        digest_fields(["check 1", &check.threshold_digest(), &step])
    }

    /// Digest of the checks and steps of [`Assessment::checks_together`].
    pub(crate) fn together_digest(&self, gate: &str) -> String {
        let (checks, setup) = self.checks_together(gate).unwrap_or_default();
        let checks = checks.iter().map(|check| self.check_digest(check));
        let setup = setup.into_iter().flat_map(|step| [step.id, step.command]);
        digest_fields(["checks 1".to_owned()].into_iter().chain(checks).chain(setup))
    }
}

/// Refuses an action whose form showed something else.
pub(crate) fn as_shown(shown: &str, now: &str, what: &str) -> Permission {
    when(shown == now, || {
        format!(
            "{what} has changed since this page was shown. Nothing was done. Review what is shown now, then confirm again."
        )
    })
}

fn stated(commit: &str) -> Option<&str> {
    (!commit.is_empty()).then_some(commit)
}
