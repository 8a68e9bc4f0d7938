//! The roles of people. The DRIs and the signers of a runbook are different sets on purpose.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a person is responsible for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Infrastructure, deployments, rollback, observability.
    DevOps,
    /// The API, migrations and seeds.
    Backend,
    /// The web frontend.
    Frontend,
    /// The verification matrix and manual acceptance tests.
    Qa,
    /// Secrets, scans, hardening.
    Security,
    /// The runbook itself.
    Docs,
    /// Product Owner: records the decision.
    Po,
    /// Manages people. Decides nothing about a release.
    Admin,
}

impl Role {
    /// Every role, in the order shown on pages.
    pub const ALL: [Role; 8] = [
        Role::DevOps,
        Role::Backend,
        Role::Frontend,
        Role::Qa,
        Role::Security,
        Role::Docs,
        Role::Po,
        Role::Admin,
    ];

    /// The name shown to people.
    pub fn label(self) -> &'static str {
        match self {
            Role::DevOps => "DevOps",
            Role::Backend => "Backend",
            Role::Frontend => "Frontend",
            Role::Qa => "QA",
            Role::Security => "Security",
            Role::Docs => "Docs",
            Role::Po => "PO",
            Role::Admin => "Admin",
        }
    }

    /// The stable name used in the store, in forms and on the command line.
    pub fn slug(self) -> &'static str {
        match self {
            Role::DevOps => "devops",
            Role::Backend => "backend",
            Role::Frontend => "frontend",
            Role::Qa => "qa",
            Role::Security => "security",
            Role::Docs => "docs",
            Role::Po => "po",
            Role::Admin => "admin",
        }
    }

    /// The roles meant by an owner name of a runbook. `Devs` means Backend and Frontend.
    /// An unknown name gives no role.
    pub fn from_owner_word(word: &str) -> Vec<Role> {
        let key: String = word.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
        match key.as_str() {
            "dev" | "devs" | "developer" | "developers" | "engineering" | "engineers" => {
                vec![Role::Backend, Role::Frontend]
            }
            "ops" | "sre" | "infra" | "infrastructure" | "platform" => vec![Role::DevOps],
            "api" => vec![Role::Backend],
            "ui" | "web" => vec![Role::Frontend],
            "test" | "tester" | "testers" | "testing" | "quality" => vec![Role::Qa],
            "sec" | "secops" | "infosec" => vec![Role::Security],
            "productowner" | "product" => vec![Role::Po],
            "documentation" | "docswriter" => vec![Role::Docs],
            other => other.parse().map(|r| vec![r]).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// The text is not the name of a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "role “{0}” is not known; the known roles are DevOps, Backend, Frontend, QA, Security, Docs, PO, Admin"
)]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(s: &str) -> Result<Role, UnknownRole> {
        let wanted = s.trim().to_lowercase();
        Role::ALL
            .into_iter()
            .find(|r| r.slug() == wanted || r.label().to_lowercase() == wanted)
            .ok_or_else(|| UnknownRole(s.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_reads_back_from_both_names() {
        for role in Role::ALL {
            assert_eq!(role.slug().parse(), Ok(role));
            assert_eq!(role.label().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
    }

    #[test]
    fn owner_names_of_runbooks_give_roles() {
        assert_eq!(Role::from_owner_word("Devs"), vec![Role::Backend, Role::Frontend]);
        assert_eq!(Role::from_owner_word(" QA "), vec![Role::Qa]);
        assert_eq!(Role::from_owner_word("Product Owner"), vec![Role::Po]);
        assert!(Role::from_owner_word("Marketing").is_empty());
    }
}
