//! Which buttons work for whom. Pages show it and actions enforce it with the same functions, so that a button never
//! offers what would be refused.

use std::collections::BTreeSet;

use domain::action::Action;
use domain::facts::{Actor, Choice};
use domain::gate::GateState;
use domain::item::ItemState;
use domain::policy;
use domain::release::{Release, ReleaseComponent, ReleaseComponents};
use domain::role::Role;
use domain::runbook::Step;

use crate::assessment::{Assessment, all, when};
use crate::view::{EnvSince, Permission, RestartOffer, RollbackOffer};
use store::runs::RunKind;

impl Assessment {
    /// The stack is usable: directory, Compose file, Docker engine.
    fn stack_works(&self) -> Permission {
        if let Some(why) = self.observed.faults.first() {
            return Permission::Denied(why.clone());
        }
        Permission::Allowed
    }

    /// The stack's directory exists, as it was last observed.
    pub(crate) fn directory_is_there(&self) -> Permission {
        when(!self.observed.directory_missing, || {
            format!("The stack's directory {} does not exist.", self.stack.dir.display())
        })
    }

    fn engine_answers(&self) -> Permission {
        when(self.observed.unreachable_since.is_none(), || {
            format!("The Docker engine cannot be reached: {}", self.observed.unreachable_why)
        })
    }

    fn nothing_changes(&self) -> Permission {
        match self.snapshot.changing() {
            None => Permission::Allowed,
            Some(run) => Permission::Denied(format!(
                "“{}” (run {}) is in progress, started by {} at {} UTC. Wait until it has ended.",
                run.title,
                run.id,
                run.by_name,
                run.started_at.short()
            )),
        }
    }

    pub(crate) fn offer_deploy(&self, actor: &Actor) -> Permission {
        all([
            self.may(actor, Action::Deploy),
            self.stack_works(),
            self.engine_answers(),
            self.nothing_changes(),
        ])
    }

    /// The command that backs up the database before a deploy; none before the first deploy, when there is nothing to
    /// back up.
    pub(crate) fn backup_before_deploy(&self) -> Option<&String> {
        let ran = self.snapshot.releases.iter().any(|release| release.deployed_at.is_some());
        self.stack.db_backup.as_ref().filter(|_| self.stack.backup_before && ran)
    }

    /// The drill: its target, and whether this person may start it now.
    pub(crate) fn offer_drill(&self, actor: &Actor) -> (Option<Release>, Permission) {
        let current = self.release();
        let runs_whole = current.is_some_and(|r| {
            r.state == domain::release::ReleaseState::Deployed && r.parts.images == self.observed.parts.images
        });
        let earlier = self.rollbacks(actor).into_iter().find(|r| current.is_none_or(|c| c.id != r.target.id));
        let offer = all([
            self.may(actor, Action::Drill),
            self.stack_works(),
            self.engine_answers(),
            self.nothing_changes(),
            when(runs_whole, || {
                "A drill requires that the current release runs as it was deployed.".to_owned()
            }),
            earlier.as_ref().map_or_else(
                || Permission::Denied("There is no earlier release to roll back to.".to_owned()),
                |w| w.offer.clone(),
            ),
        ]);
        (earlier.map(|w| w.target), offer)
    }

    pub(crate) fn offer_open(&self, actor: &Actor) -> Permission {
        all([
            self.may(actor, Action::OpenRelease),
            self.stack_works(),
            when(self.release().is_none() || !self.moved_parts().is_empty(), || {
                "The checkout has not changed since the current release was opened.".to_owned()
            }),
        ])
    }

    pub(crate) fn offer_step(&self, actor: &Actor, step: &Step) -> Permission {
        let running = self
            .snapshot
            .running()
            .into_iter()
            .find(|r| r.kind == RunKind::Step && r.subject == step.id)
            .map(|r| r.id);
        all([
            when(!step.manual, || "This step is done by hand.".to_owned()),
            when(!step.deploys(), || {
                "This step starts the stack. Use Deploy instead: it pins the images, so that you can roll back.".to_owned()
            }),
            self.may(actor, Action::RunStep),
            when(running.is_none(), || {
                format!("This step is already running (run {}).", running.unwrap_or_default())
            }),
            self.directory_is_there(),
        ])
    }

    pub(crate) fn offer_check(&self, actor: &Actor, check: &str) -> Permission {
        let running =
            self.snapshot.running().into_iter().find(|r| r.kind == RunKind::Check && r.subject == check);
        let can_be_run = self.stack.check(check).is_none_or(|c| c.spec.can_be_run());
        all([
            when(can_be_run, || {
                "A drill records the result of this check. Start one on the Releases page.".to_owned()
            }),
            self.may(actor, Action::RunCheck),
            when(running.is_none(), || "This check is already running.".to_owned()),
            self.directory_is_there(),
        ])
    }

    pub(crate) fn offer_accept(&self, actor: &Actor, gate: &str) -> Permission {
        let Some(view) = self.judgement.gate(gate) else {
            return Permission::Denied(format!("There is no gate {gate}."));
        };
        let open = view.items.len() - view.satisfied();
        all([
            when(!view.is_decision, || {
                "This is the decision gate. Record the decision on the Sign-offs page.".to_owned()
            }),
            self.owns(actor, gate),
            when(self.release().is_some(), || "No release is open yet.".to_owned()),
            when(open == 0, || match open {
                1 => "1 criterion is still open.".to_owned(),
                n => format!("{n} criteria are still open."),
            }),
            when(view.waits_for.is_empty(), || {
                format!("Gates are accepted in order; waiting for {}.", view.waits_for.join(", "))
            }),
            when(view.state != GateState::Accepted, || "This gate is already accepted.".to_owned()),
        ])
    }

    pub(crate) fn offer_attest(&self, actor: &Actor, gate: &str) -> Permission {
        all([
            when(actor.holds_any(&self.attesters(gate)), || {
                format!("Only {} can do this.", crate::assessment::names(&self.attesters(gate)))
            }),
            when(self.release().is_some(), || {
                "No release is open yet. Run a step or open a release first.".to_owned()
            }),
        ])
    }

    /// Who may attest in a gate: its owners; in the decision gate every signing role.
    fn attesters(&self, gate: &str) -> Vec<Role> {
        let mut roles: Vec<Role> = self.judgement.gate(gate).map(|g| g.owners.clone()).unwrap_or_default();
        if self.judgement.gate(gate).is_none_or(|g| g.is_decision) {
            roles.extend(self.judgement.sign_offs.iter().filter_map(|s| s.role));
        }
        roles.sort();
        roles.dedup();
        roles
    }

    pub(crate) fn offer_waive(&self, actor: &Actor) -> Permission {
        self.may(actor, Action::Waive)
    }

    /// Whether this person ran none of the checks that a waiver of the item would waive: a person must not waive the
    /// result of their own run. Every run for this release counts, not only the last one.
    pub(crate) fn did_not_run(&self, actor: &Actor, item: &ItemState) -> Permission {
        let mut runners = self.snapshot.check_runners.iter();
        let ran = runners.find(|r| r.by == actor.id && item.checks.iter().any(|c| c.check == r.check));
        when(ran.is_none(), || {
            let ran = ran.map(|r| format!("“{}” (run {})", r.check, r.run)).unwrap_or_default();
            format!(
                "You ran the check {ran}. The person who ran a check cannot waive its result. Ask another person with the role {}.",
                policy::who_may(Action::Waive)
            )
        })
    }

    /// Whether this person may sign for `role`.
    pub(crate) fn offer_sign(&self, actor: &Actor, role: Role, choice: Choice) -> Permission {
        let Some(release) = self.release() else {
            return Permission::Denied("No release is open yet.".to_owned());
        };
        let named = self.judgement.sign_offs.iter().any(|s| s.role == Some(role));
        let mine = self
            .snapshot
            .words
            .sign_offs
            .iter()
            .rfind(|s| s.release == release.id && s.by == actor.id && s.role != role);
        let again = self.judgement.sign_offs.iter().any(|s| {
            s.role == Some(role)
                && s.counts() == Some(choice)
                && s.last.as_ref().is_some_and(|l| l.by == actor.id)
        });
        let blockers = &self.judgement.before_signing;
        let only = self.judgement.sign_offs.len() == 1 && release.deployed_by == Some(actor.id);
        all([
            when(named, || format!("The runbook does not require a sign-off by {role}.")),
            when(actor.roles.contains(&role), || format!("Only {role} can do this.")),
            when(mine.is_none(), || {
                format!(
                    "You have already signed this release as {}. A person can sign for one role only.",
                    mine.map_or("another role", |s| s.role.label())
                )
            }),
            when(!again, || format!("You have already signed {}.", choice.label())),
            when(choice == Choice::NoGo || !only, || {
                "You deployed this release, and the runbook requires only one sign-off. Another person must sign."
                    .to_owned()
            }),
            when(choice == Choice::NoGo || blockers.is_empty(), || {
                let first = blockers.first().map_or("", |b| b.what.as_str());
                match blockers.len() {
                    0 | 1 => format!("Not possible yet: {first}."),
                    n => format!("Not possible yet: {first}, and {} more.", n - 1),
                }
            }),
        ])
    }

    pub(crate) fn offer_decide(&self, actor: &Actor, choice: Choice) -> Permission {
        let verdict = &self.judgement.verdict;
        all([
            self.may(actor, Action::Decide),
            when(self.release().is_some(), || "No release is open yet.".to_owned()),
            when(choice == Choice::NoGo || verdict.is_go(), || {
                let first = verdict.blockers.first().map_or("", |b| b.what.as_str());
                format!("The verdict is No-Go: {first}.")
            }),
            when(self.judgement.decision.as_ref().is_none_or(|d| d.choice != choice), || {
                format!("{} is already recorded.", choice.label())
            }),
        ])
    }

    /// The clean restart: its release, and whether this person may start it now.
    pub(crate) fn offer_restart(&self, actor: &Actor) -> RestartOffer {
        let running = &self.observed.parts.images;
        let is_good = |r: &&Release| {
            r.state == domain::release::ReleaseState::Deployed
                && r.deployed_at.is_some()
                && !r.parts.images.is_empty()
        };
        // The running release; if no known release is running, the current one.
        let runs = self.snapshot.releases.iter().filter(is_good).find(|r| r.parts.images == *running);
        let target = self.release().filter(is_good).filter(|r| runs.is_none() || r.parts.images == *running);
        let target = target.or(runs).or_else(|| self.rollback_targets().into_iter().next()).cloned();
        let offer = match &target {
            None => Permission::Denied("No release has been deployed successfully yet.".to_owned()),
            Some(target) => self.rollback_to(actor, target).offer,
        };
        RestartOffer {
            digest: self.restart_digest(target.as_ref()),
            target,
            stack: self.stack.name.clone(),
            backup: self.stack.db_backup.is_some(),
            fill: self.stack.db_fresh.is_some(),
            offer,
        }
    }

    /// The rollback targets, best first: validated releases, then those that were healthy.
    pub(crate) fn rollbacks(&self, actor: &Actor) -> Vec<RollbackOffer> {
        self.rollback_targets().into_iter().map(|target| self.rollback_to(actor, target)).collect()
    }

    /// The offer to roll back to `target`.
    pub(crate) fn rollback_to(&self, actor: &Actor, target: &Release) -> RollbackOffer {
        let left = self.stack.images.read();
        let seen = left.images;
        let among = |ids: &BTreeSet<String>| -> Vec<String> {
            let all = target.parts.images.iter().filter(|(_, image)| ids.contains(*image));
            all.map(|(service, _)| service.clone()).collect()
        };
        let (missing, unusable) = (among(&seen.missing), among(&seen.unusable));
        let images: BTreeSet<&String> = target.parts.images.values().collect();
        let bytes = images.into_iter().filter_map(|id| seen.bytes.get(id)).sum();
        let running = &self.observed.parts;
        // Without a recorded value, or without a current one, no change can be detected.
        let env = |parts: &ReleaseComponents| parts.get(ReleaseComponent::Env);
        let differs = env(&target.parts).is_some() && env(&target.parts) != env(running);
        let kept = self.stack.env_copy.is_some() && left.env_copies.contains(&target.id);
        let env = match (differs, kept) {
            (false, _) => EnvSince::Same,
            (true, false) => EnvSince::Changed,
            (true, true) => EnvSince::Kept,
        };
        let migrations = self
            .release()
            .and_then(|from| domain::release::migrations_between(from, target))
            .map(|(only_now, _)| only_now);
        let mut offer = RollbackOffer {
            target: target.clone(),
            good_since: target.rollback_point_at.or(target.deployed_at).unwrap_or_default(),
            services: target.parts.changed_services(running),
            migrations,
            offer: all([
                self.may(actor, Action::RollBack),
                self.engine_answers(),
                when(missing.is_empty(), || {
                    format!("The images of {} no longer exist on this host.", missing.join(", "))
                }),
                when(unusable.is_empty(), || {
                    format!(
                        "The images of {} cannot be used: no container can be created from them.",
                        unusable.join(", ")
                    )
                }),
                self.nothing_changes(),
            ]),
            missing_images: missing,
            bytes,
            can_roll_back_database: self.stack.db_rollback.is_some(),
            can_make_database_anew: self.stack.db_fresh.is_some(),
            env,
            stack: self.stack.name.clone(),
            digest: String::new(),
        };
        offer.digest = self.rollback_digest(&offer);
        offer
    }
}
