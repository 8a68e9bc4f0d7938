//! The changes of a deploy or rollback that are undone when it ends before any service was changed.
//!
//! Each change is written to the journal before it is made, so that the changes of a crashed run are undone as well: by
//! the recovery, or by the next deploy or rollback that does not complete either.

use std::path::PathBuf;

use secrets::{EnvCopy, EnvSource};
use serde::{Deserialize, Serialize};

/// One change, and what was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Undo {
    /// An image name that is moved to another image.
    Name {
        /// The name.
        name: String,
        /// The image that had it; `None`: no image did.
        before: Option<String>,
        /// The image that gets it; `None`: the result of a build.
        after: Option<String>,
    },
    /// The values of the env source, which are replaced by those kept with a release.
    Env {
        /// The source.
        #[serde(rename = "path")]
        source: EnvSource,
        /// How both copies are decrypted.
        copy: EnvCopy,
        /// The copy of the previous values; `None`: there were none.
        before: Option<EncryptedCopy>,
        /// The copy of the new values.
        after: EncryptedCopy,
    },
}

/// Where an encrypted copy of an env file is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptedCopy {
    /// The directory.
    pub dir: PathBuf,
    /// The release that it is bound to.
    pub release: String,
}

impl Undo {
    /// What is changed: an image name or a file.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Name { name, .. } => format!("image {name}"),
            Self::Env { source, .. } => format!("file {}", source.describe()),
        }
    }
}

/// The changes that can still be undone, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UndoStack(Vec<Undo>);

impl UndoStack {
    /// Whether there is nothing to undo.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a change. What was changed before keeps its first entry: that one knows what was there at the beginning.
    pub fn push(&mut self, undo: Undo) {
        let subject = undo.subject();
        match self.0.iter_mut().find(|one| one.subject() == subject) {
            None => self.0.push(undo),
            Some(first) => {
                if let (Undo::Name { after, .. }, Undo::Name { after: newer, .. }) = (&mut *first, &undo) {
                    after.clone_from(newer);
                }
                if let (Undo::Env { after, .. }, Undo::Env { after: newer, .. }) = (first, &undo) {
                    after.clone_from(newer);
                }
            }
        }
    }

    /// The next change to undo: the newest.
    pub(crate) fn pop(&mut self) -> Option<Undo> {
        self.0.pop()
    }

    /// Puts changes that could not be undone back, oldest first.
    pub(crate) fn restore(&mut self, left: Vec<Undo>) {
        self.0 = left;
    }
}

/// What was undone of an [`UndoStack`], one sentence each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenBack {
    /// What was undone.
    pub done: Vec<String>,
    /// What could not be undone.
    pub failed: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str, before: Option<&str>, after: Option<&str>) -> Undo {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Undo::Name { name: name.to_owned(), before: owned(before), after: owned(after) }
    }

    #[test]
    fn the_newest_change_is_undone_first_and_the_oldest_state_wins() {
        let mut stack = UndoStack::default();
        stack.push(name("web", Some("1"), Some("2")));
        stack.push(name("db", None, Some("7")));
        // A second run that continued from there.
        stack.push(name("web", Some("2"), Some("3")));
        assert_eq!(stack.pop(), Some(name("db", None, Some("7"))));
        assert_eq!(stack.pop(), Some(name("web", Some("1"), Some("3"))), "what was there at the beginning");
        assert!(stack.pop().is_none());
    }

    #[test]
    fn a_stack_reads_back_from_the_journal_in_order() {
        let mut stack = UndoStack::default();
        stack.push(name("web", Some("1"), Some("2")));
        let copy = EnvCopy { key: "/keys/copy".into(), stack: "shop".into() };
        let at = |release: &str| EncryptedCopy {
            dir: format!("/rollback/{release}").into(),
            release: release.into(),
        };
        stack.push(Undo::Env {
            source: EnvSource::File("/stack/.env".into()),
            copy,
            before: Some(at("replaced")),
            after: at("r3"),
        });
        let text = serde_json::to_string(&stack).unwrap();
        assert_eq!(serde_json::from_str::<UndoStack>(&text).unwrap(), stack);
        // A journal of an earlier version is undone by this one.
        let env = r#"{"kind":"env","path":"/stack/.env","copy":{"key":"/keys/copy","stack":"shop"},"before":{"dir":"/rollback/replaced","release":"replaced"},"after":{"dir":"/rollback/r3","release":"r3"}}"#;
        assert!(text.ends_with(&format!(",{env}]")), "{text}");
    }
}
