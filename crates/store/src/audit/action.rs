//! The names of actions in the log.

use crate::run_follow_ups::FollowUpKind;
use crate::runs::RunKind;

/// Declares the actions with their stored names.
macro_rules! actions {
    ($($(#[$doc:meta])* $action:ident = $name:literal,)*) => {
        /// What an event is about: an action of a person or of Stagegate itself. The names are part of the hash of
        /// each event, so a stored name never changes. A log can also contain names of other versions; they are read as
        /// text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AuditAction {
            $($(#[$doc])* $action,)*
        }

        impl AuditAction {
            /// All actions.
            pub const ALL: &[AuditAction] = &[$(AuditAction::$action,)*];

            /// The name in the log.
            pub const fn name(self) -> &'static str {
                match self {
                    $(AuditAction::$action => $name,)*
                }
            }
        }
    };
}

actions! {
    /// A release was opened from the checkout.
    ReleaseOpen = "release.open",
    /// A role signed a release.
    ReleaseSign = "release.sign",
    /// A decision on a release.
    ReleaseDecide = "release.decide",
    /// A gate was accepted.
    GateAccept = "gate.accept",
    /// All checks of a gate or of the matrix.
    GateRun = "gate.run",
    /// An attestation of a criterion.
    ItemAttest = "item.attest",
    /// An attestation was withdrawn.
    ItemAttestWithdraw = "item.attest.withdraw",
    /// A waiver of a criterion.
    ItemWaive = "item.waive",
    /// A waiver was ended early.
    ItemWaiveEnd = "item.waive.end",
    /// A field of the ownership log was filled.
    OwnershipFill = "ownership.fill",
    /// The cause of an incident.
    IncidentCause = "incident.cause",
    /// A follow-up of an incident.
    IncidentFollowUp = "incident.follow_up",
    /// A follow-up of an incident is done.
    IncidentDone = "incident.done",
    /// A step of the runbook.
    StepRun = "step.run",
    /// A check.
    CheckRun = "check.run",
    /// Checks that were due.
    ScheduleRun = "schedule.run",
    /// Checks after a deploy or rollback.
    ValidationRun = "validation.run",
    /// The list of applied migrations.
    MigrationsList = "migrations.list",
    /// A deploy.
    DeployStart = "deploy.start",
    /// A rollback.
    RollbackStart = "rollback.start",
    /// A clean restart.
    RestartStart = "restart.start",
    /// A rollback drill.
    DrillStart = "drill.start",
    /// The row of a run, from its start.
    RunCreate = "run.create",
    /// A run was cancelled.
    RunCancel = "run.cancel",
    /// A run was interrupted, and its consequences could not be stored.
    RunEnd = "run.end",
    /// A step ended.
    StepEnd = "step.end",
    /// A run of checks ended.
    CheckEnd = "check.end",
    /// A deploy ended.
    DeployEnd = "deploy.end",
    /// A rollback or a clean restart ended.
    RollbackEnd = "rollback.end",
    /// A rollback drill ended.
    DrillEnd = "drill.end",
    /// A recovery was not done.
    RecoveryNone = "recovery.none",
    /// An automatic rollback was not done.
    AutomaticRollbackNone = "automatic_rollback.none",
    /// The checks after a deploy or rollback were not run.
    ValidationNone = "validation.none",
    /// The applied migrations were not listed.
    MigrationListNone = "migration_list.none",
    /// A sign-in.
    SessionSignIn = "session.sign_in",
    /// A sign-out.
    SessionSignOut = "session.sign_out",
    /// A person changed their password.
    PasswordChange = "password.change",
    /// The password was asked for again before an action.
    PasswordConfirm = "password.confirm",
    /// A one-time link for a person, made on the command line.
    LinkMake = "link.make",
    /// The one-time link for the first admin.
    LinkSetup = "link.setup",
    /// A one-time link was used.
    LinkUse = "link.use",
    /// A person was added on the command line.
    PersonAdd = "person.add",
    /// A person was invited.
    PersonInvite = "person.invite",
    /// An invitation was withdrawn.
    PersonInviteWithdraw = "person.invite.withdraw",
    /// The password of a person was reset.
    PersonReset = "person.reset",
    /// The roles of a person were set.
    PersonRoles = "person.roles",
    /// The access of a person was ended.
    PersonDisable = "person.disable",
    /// The access of a person was restored.
    PersonEnable = "person.enable",
    /// A request that the access policy does not allow.
    RouteRefused = "door.refused",
    /// A full verification.
    AuditVerify = "audit.verify",
    /// Records that were written outside of an action.
    RecordsWrite = "records.write",
    /// Records of a version that kept no digests were added to the log.
    RecordsAdopt = "records.adopt",
    /// Records that differ from the log were accepted.
    RecordsAccept = "records.accept",
    /// Old records were deleted.
    RetentionPrune = "retention.prune",
}

impl AuditAction {
    /// A run of this kind ended.
    pub const fn end_of(kind: RunKind) -> AuditAction {
        match kind {
            RunKind::Step => AuditAction::StepEnd,
            RunKind::Check => AuditAction::CheckEnd,
            RunKind::Deploy => AuditAction::DeployEnd,
            RunKind::Rollback => AuditAction::RollbackEnd,
            RunKind::Drill => AuditAction::DrillEnd,
        }
    }

    /// A follow-up of this kind was not done.
    pub const fn not_done(kind: FollowUpKind) -> AuditAction {
        match kind {
            FollowUpKind::Recovery => AuditAction::RecoveryNone,
            FollowUpKind::AutomaticRollback => AuditAction::AutomaticRollbackNone,
            FollowUpKind::Validation => AuditAction::ValidationNone,
            FollowUpKind::MigrationList => AuditAction::MigrationListNone,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_those_in_existing_logs() {
        let expected = [
            "audit.verify",
            "automatic_rollback.none",
            "check.end",
            "check.run",
            "deploy.end",
            "deploy.start",
            "door.refused",
            "drill.end",
            "drill.start",
            "gate.accept",
            "gate.run",
            "incident.cause",
            "incident.done",
            "incident.follow_up",
            "item.attest",
            "item.attest.withdraw",
            "item.waive",
            "item.waive.end",
            "link.make",
            "link.setup",
            "link.use",
            "migration_list.none",
            "migrations.list",
            "ownership.fill",
            "password.change",
            "password.confirm",
            "person.add",
            "person.disable",
            "person.enable",
            "person.invite",
            "person.invite.withdraw",
            "person.reset",
            "person.roles",
            "records.accept",
            "records.adopt",
            "records.write",
            "recovery.none",
            "release.decide",
            "release.open",
            "release.sign",
            "restart.start",
            "retention.prune",
            "rollback.end",
            "rollback.start",
            "run.cancel",
            "run.create",
            "run.end",
            "schedule.run",
            "session.sign_in",
            "session.sign_out",
            "step.end",
            "step.run",
            "validation.none",
            "validation.run",
        ];
        let names: BTreeSet<&str> = AuditAction::ALL.iter().map(|action| action.name()).collect();
        assert_eq!(names.len(), AuditAction::ALL.len(), "a name is used twice");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn ends_of_runs_and_missing_follow_ups_have_the_name_of_their_kind() {
        for kind in RunKind::ALL {
            assert_eq!(AuditAction::end_of(kind).name(), format!("{}.end", kind.slug()));
        }
        for kind in FollowUpKind::ALL {
            assert_eq!(AuditAction::not_done(kind).name(), format!("{}.none", kind.slug()));
        }
    }
}
