//! What people choose in forms. Each choice has one value in the form, in the idempotency key's digest and in the notice
//! that fills the form again; everywhere else it is the enum.

use std::fmt;
use std::str::FromStr;

/// The text is not one of the values that the form offers. The message says what to choose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAChoice(&'static str);

/// Declares a choice: the message for any other value, and the value of each answer in the form.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident: $message:literal { $($(#[$about:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$about])* $variant,)+
        }

        impl $name {
            /// All answers, in the order in which a form offers them.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The value in the form.
            pub const fn value(self) -> &'static str {
                match self {
                    $($name::$variant => $value,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.value())
            }
        }

        impl FromStr for $name {
            type Err = NotAChoice;

            fn from_str(value: &str) -> Result<$name, NotAChoice> {
                let known = $name::ALL.iter().copied().find(|choice| choice.value() == value);
                known.ok_or(NotAChoice($message))
            }
        }
    };
}

choices! {
    /// What a rollback does with the database.
    #[derive(Default)]
    DatabaseChoice: "Please choose what happens to the database." {
        /// The schema stays as it is.
        #[default]
        Keep = "keep",
        /// The stack's command rolls the migrations back.
        Rollback = "rollback",
        /// A backup is made, then the database is recreated.
        Fresh = "fresh",
    }
}

choices! {
    /// What a rollback does with the env file.
    #[derive(Default)]
    EnvChoice: "Please choose what happens to the env file." {
        /// The current file stays.
        #[default]
        Keep = "keep",
        /// The file of the release is restored from its copy.
        Restore = "back",
    }
}

choices! {
    /// What a clean restart does with the volumes.
    #[derive(Default)]
    VolumesChoice: "Please choose what happens to the volumes." {
        /// They stay.
        #[default]
        Keep = "keep",
        /// They are removed with all data.
        Remove = "remove",
    }
}

choices! {
    /// What a person says about a criterion.
    AttestationChoice: "The attestation has no valid answer. State whether the criterion is met: yes or no." {
        /// It is met.
        Attest = "yes",
        /// The attestation no longer holds.
        Withdraw = "no",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back<T: Copy + PartialEq + fmt::Debug + fmt::Display + FromStr<Err = NotAChoice>>(all: &[T]) {
        for choice in all {
            assert_eq!(choice.to_string().parse(), Ok(*choice));
        }
        for other in ["", " keep", "KEEP", "other"] {
            assert!(other.parse::<T>().is_err(), "{other:?}");
        }
    }

    #[test]
    fn choices_are_read_back_from_their_values() {
        read_back(DatabaseChoice::ALL);
        read_back(EnvChoice::ALL);
        read_back(VolumesChoice::ALL);
        read_back(AttestationChoice::ALL);
    }

    #[test]
    fn the_values_in_forms_are_fixed() {
        let values = |all: Vec<&'static str>| all.join(" ");
        assert_eq!(values(DatabaseChoice::ALL.iter().map(|c| c.value()).collect()), "keep rollback fresh");
        assert_eq!(values(EnvChoice::ALL.iter().map(|c| c.value()).collect()), "keep back");
        assert_eq!(values(VolumesChoice::ALL.iter().map(|c| c.value()).collect()), "keep remove");
        assert_eq!(values(AttestationChoice::ALL.iter().map(|c| c.value()).collect()), "yes no");
    }

    #[test]
    fn nothing_is_changed_by_default() {
        assert_eq!(DatabaseChoice::default(), DatabaseChoice::Keep);
        assert_eq!(EnvChoice::default(), EnvChoice::Keep);
        assert_eq!(VolumesChoice::default(), VolumesChoice::Keep);
    }

    #[test]
    fn an_unknown_value_says_what_to_choose() {
        let error = "delete".parse::<DatabaseChoice>().unwrap_err();
        assert_eq!(error.to_string(), "Please choose what happens to the database.");
    }
}
