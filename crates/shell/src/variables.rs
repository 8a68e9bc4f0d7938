//! Which variables a command needs from outside.

use std::collections::HashSet;

#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// In order of first use.
    needed: Vec<String>,
    /// The name whose value is being read; it is declared only after the value.
    assigning: Option<String>,
    declared: HashSet<String>,
    listed: HashSet<String>,
}

impl Variables {
    pub(crate) fn into_needed(self) -> Vec<String> {
        self.needed
    }

    pub(crate) fn used(&mut self, name: &str) {
        let usable = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !usable || name == "_" || self.declared.contains(name) || self.listed.contains(name) {
            return;
        }
        self.listed.insert(name.to_owned());
        self.needed.push(name.to_owned());
    }

    pub(crate) fn declare(&mut self, name: &str) {
        self.declared.insert(name.to_owned());
    }

    /// The value is read first, as in bash: `A=$A` needs A from outside.
    pub(crate) fn begin_assignment(&mut self, name: &str) {
        self.assigning = Some(name.to_owned());
    }

    /// Declares the name whose value has ended; returns whether there was one.
    pub(crate) fn end_assignment(&mut self) -> bool {
        let Some(name) = self.assigning.take() else { return false };
        self.declared.insert(name);
        true
    }
}
