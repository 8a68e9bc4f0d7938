//! The actions: everything that people can ask Stagegate to change.

use crate::policy::Who;
use crate::role::Role;

/// Declares the actions with their names.
macro_rules! actions {
    ($($(#[$doc:meta])* $action:ident = $name:literal,)*) => {
        /// Something that a person can do. The form of an action is posted to [`Action::path`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $action,)*
        }

        impl Action {
            /// All actions.
            pub const ALL: &[Action] = &[$(Action::$action,)*];

            /// The name in addresses and forms.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Action::$action => $name,)*
                }
            }

            /// The address to which the form is posted: `/api/<name>`.
            pub const fn path(self) -> &'static str {
                match self {
                    $(Action::$action => concat!("/api/", $name),)*
                }
            }
        }
    };
}

actions! {
    /// Signs in with a login and a password.
    SignIn = "sign_in",
    /// Uses a one-time link: to join, to sign in, or to choose a new password.
    UseLink = "use_link",
    /// Ends the current session.
    SignOut = "sign_out",
    /// Changes the person's own password.
    ChangePassword = "change_password",
    /// Opens a release from the checkout without deploying it.
    OpenRelease = "open_release",
    /// Runs a step of the runbook.
    RunStep = "run_step",
    /// Runs one check.
    RunCheck = "run_check",
    /// Runs all checks of a gate or of the matrix.
    RunGate = "run_gate",
    /// Cancels a run.
    CancelRun = "cancel_run",
    /// Deploys the checkout.
    Deploy = "deploy",
    /// Rolls back to an earlier release.
    RollBack = "roll_back",
    /// Recreates all containers of a release.
    CleanRestart = "clean_restart",
    /// Rolls back and returns, for practice.
    Drill = "drill",
    /// Records the cause of an incident.
    NameCause = "name_cause",
    /// Adds a follow-up to an incident.
    AddFollowUp = "add_follow_up",
    /// Marks a follow-up of an incident as done.
    FinishFollowUp = "finish_follow_up",
    /// Attests a criterion, or withdraws the attestation.
    Attest = "attest",
    /// Accepts a gate.
    AcceptGate = "accept_gate",
    /// Waives a criterion.
    Waive = "waive",
    /// Ends a waiver early.
    EndWaiver = "end_waiver",
    /// Signs the release for a role.
    SignOff = "sign_off",
    /// Records the decision on the release.
    Decide = "decide",
    /// Fills a field of the ownership log.
    FillField = "fill_field",
    /// Invites a person.
    Invite = "invite",
    /// Withdraws an invitation.
    WithdrawInvitation = "withdraw_invitation",
    /// Sets the roles of a person.
    SetRoles = "set_roles",
    /// Resets the password of a person.
    ResetPerson = "reset_person",
    /// Ends or restores the access of a person.
    DisablePerson = "disable_person",
    /// Verifies the whole audit log and all records.
    VerifyEverything = "verify_everything",
}

const OPERATORS: Who = Who::Roles(&[Role::DevOps, Role::Backend, Role::Frontend, Role::Qa, Role::Security]);
const DEPLOYERS: Who = Who::Roles(&[Role::DevOps, Role::Backend]);
const ROLLBACK_ROLES: Who =
    Who::Roles(&[Role::DevOps, Role::Backend, Role::Frontend, Role::Qa, Role::Security, Role::Po]);
const DRIS: Who = Who::Roles(&[
    Role::DevOps,
    Role::Backend,
    Role::Frontend,
    Role::Qa,
    Role::Security,
    Role::Docs,
    Role::Po,
]);
const WAIVERS: Who = Who::Roles(&[Role::Security, Role::Po]);
const PO: Who = Who::Roles(&[Role::Po]);
const ADMIN: Who = Who::Roles(&[Role::Admin]);

impl Action {
    /// Who may do it.
    pub const fn who(self) -> Who {
        match self {
            Action::SignIn | Action::UseLink => Who::Anyone,
            Action::SignOut | Action::ChangePassword => Who::SignedIn,
            Action::OpenRelease
            | Action::RunStep
            | Action::RunCheck
            | Action::RunGate
            | Action::CancelRun => OPERATORS,
            Action::Deploy | Action::Drill => DEPLOYERS,
            Action::RollBack | Action::CleanRestart => ROLLBACK_ROLES,
            Action::NameCause | Action::AddFollowUp | Action::FinishFollowUp | Action::FillField => DRIS,
            Action::Attest | Action::AcceptGate => Who::GateOwner,
            Action::Waive | Action::EndWaiver => WAIVERS,
            Action::SignOff => Who::Signer,
            Action::Decide => PO,
            Action::Invite
            | Action::WithdrawInvitation
            | Action::SetRoles
            | Action::ResetPerson
            | Action::DisablePerson
            | Action::VerifyEverything => ADMIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::who_may;

    #[test]
    fn names_and_rights_are_those_that_forms_and_people_rely_on() {
        const OPERATORS: &str = "DevOps, Backend, Frontend, QA or Security";
        const ROLLBACK_ROLES: &str = "DevOps, Backend, Frontend, QA, Security or PO";
        const DRIS: &str = "DevOps, Backend, Frontend, QA, Security, Docs or PO";
        let stated: Vec<(&str, String)> = Action::ALL.iter().map(|a| (a.name(), who_may(*a))).collect();
        let expected = [
            ("sign_in", "anyone"),
            ("use_link", "anyone"),
            ("sign_out", "signed-in users"),
            ("change_password", "signed-in users"),
            ("open_release", OPERATORS),
            ("run_step", OPERATORS),
            ("run_check", OPERATORS),
            ("run_gate", OPERATORS),
            ("cancel_run", OPERATORS),
            ("deploy", "DevOps or Backend"),
            ("roll_back", ROLLBACK_ROLES),
            ("clean_restart", ROLLBACK_ROLES),
            ("drill", "DevOps or Backend"),
            ("name_cause", DRIS),
            ("add_follow_up", DRIS),
            ("finish_follow_up", DRIS),
            ("attest", "the owners of the gate"),
            ("accept_gate", "the owners of the gate"),
            ("waive", "Security or PO"),
            ("end_waiver", "Security or PO"),
            ("sign_off", "holders of the role"),
            ("decide", "PO"),
            ("fill_field", DRIS),
            ("invite", "Admin"),
            ("withdraw_invitation", "Admin"),
            ("set_roles", "Admin"),
            ("reset_person", "Admin"),
            ("disable_person", "Admin"),
            ("verify_everything", "Admin"),
        ];
        assert_eq!(stated, expected.map(|(name, who)| (name, who.to_owned())));
    }

    #[test]
    fn the_path_is_made_of_the_name_and_no_name_is_used_twice() {
        for (i, action) in Action::ALL.iter().enumerate() {
            assert_eq!(action.path(), format!("/api/{}", action.name()));
            assert!(Action::ALL[i + 1..].iter().all(|other| other.name() != action.name()), "{action:?}");
        }
    }
}
