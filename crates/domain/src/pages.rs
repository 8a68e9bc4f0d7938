//! The pages of the web interface: one table with address, title, readers and place in the navigation. Routes,
//! navigation, keyboard shortcuts, titles and the policy rows of pages are derived from it.

use std::fmt::Display;

use crate::policy::{Who, matches};

/// A group of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Whether this release can go, and the releases before it.
    Release,
    /// What is being done to the stack, and what went wrong.
    Operations,
    /// What was agreed and what was recorded.
    Records,
    /// Who may use the server.
    Administration,
}

impl Group {
    /// All groups, in the order of the navigation.
    pub const ALL: [Group; 4] = [Group::Release, Group::Operations, Group::Records, Group::Administration];

    /// The heading of the group.
    pub const fn label(self) -> &'static str {
        match self {
            Group::Release => "Release",
            Group::Operations => "Operations",
            Group::Records => "Records",
            Group::Administration => "Administration",
        }
    }

    /// The pages of the group, in the order of the navigation.
    pub fn pages(self) -> impl Iterator<Item = Page> {
        Page::ALL.iter().copied().filter(move |page| page.group() == Some(self))
    }
}

/// Where a page is in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// An entry of a group, with the key that opens it.
    Entry(Group, char),
    /// Not an entry; the entry of this page is marked as the current one.
    Below(Page),
    /// Not in the navigation.
    Apart,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    path: &'static str,
    title: &'static str,
    place: Place,
    readers: Who,
    is_cacheable: bool,
}

impl Row {
    const fn entry(group: Group, key: char, path: &'static str, title: &'static str) -> Row {
        Row { path, title, place: Place::Entry(group, key), readers: Who::SignedIn, is_cacheable: true }
    }

    const fn below(page: Page, path: &'static str, title: &'static str) -> Row {
        Row { path, title, place: Place::Below(page), readers: Who::SignedIn, is_cacheable: true }
    }

    const fn apart(path: &'static str, title: &'static str) -> Row {
        Row { path, title, place: Place::Apart, readers: Who::SignedIn, is_cacheable: true }
    }

    const fn for_anyone(self) -> Row {
        Row { readers: Who::Anyone, ..self }
    }

    const fn never_cached(self) -> Row {
        Row { is_cacheable: false, ..self }
    }
}

macro_rules! pages {
    ($($(#[$doc:meta])* $page:ident = $row:expr;)*) => {
        /// A page of the web interface.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Page {
            $($(#[$doc])* $page,)*
        }

        impl Page {
            /// All pages, in the order of the navigation.
            pub const ALL: &'static [Page] = &[$(Page::$page),*];

            const fn row(self) -> Row {
                match self {
                    $(Page::$page => $row,)*
                }
            }
        }
    };
}

// The table. `{x}` in a path stands for one segment. Titles are also the labels in the navigation; pages about one
// object add its name.
pages! {
    /// Verdict, blockers, gates and to-dos.
    Board = Row::entry(Group::Release, 'b', "/", "Board");
    /// The criteria, steps and checks of a gate.
    Gate = Row::below(Page::Board, "/gates/{id}", "Gate");
    /// The test matrix.
    Matrix = Row::entry(Group::Release, 'm', "/matrix", "Matrix");
    /// Sign-offs and the decision.
    SignOffs = Row::entry(Group::Release, 's', "/sign-offs", "Sign-offs");
    /// Deploy, roll back, and the history of releases.
    Releases = Row::entry(Group::Release, 'r', "/releases", "Releases");
    /// A release.
    Release = Row::below(Page::Releases, "/releases/{id}", "Release");
    /// Everything that was executed.
    Runs = Row::entry(Group::Operations, 'u', "/runs", "Runs");
    /// A run with its log.
    Run = Row::below(Page::Runs, "/runs/{id}", "Run");
    /// Rollbacks with their cause and follow-ups.
    Incidents = Row::entry(Group::Operations, 'i', "/incidents", "Incidents");
    /// An incident.
    Incident = Row::below(Page::Incidents, "/incidents/{id}", "Incident");
    /// What was recognised in the runbook.
    Runbook = Row::entry(Group::Records, 'k', "/runbook", "Runbook");
    /// The fields of the ownership log.
    Ownership = Row::entry(Group::Records, 'o', "/ownership", "Ownership");
    /// The earlier values of a field of the ownership log.
    FieldHistory = Row::below(Page::Ownership, "/ownership/{id}", "Field history");
    /// The audit log.
    Activity = Row::entry(Group::Records, 'a', "/activity", "Activity");
    /// People, their roles and invitations. A new invitation's link is shown once.
    People = Row::entry(Group::Administration, 'p', "/people", "People").never_cached();
    /// The reader's own account.
    Account = Row::apart("/account", "Account").never_cached();
    /// Sign in with a password.
    SignIn = Row::apart("/sign-in", "Sign in").for_anyone().never_cached();
    /// A one-time link: the first account, an invitation, or a new password.
    Link = Row::apart("/link/{token}", "One-time link").for_anyone().never_cached();
}

impl Page {
    /// The pattern of its address; `{x}` stands for one segment.
    pub const fn path(self) -> &'static str {
        self.row().path
    }

    /// The title, which is also the label in the navigation.
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// The title with the name of the object that the page is about: `Gate A`.
    pub fn title_of(self, object: impl Display) -> String {
        format!("{} {object}", self.title())
    }

    /// Who may read it.
    pub const fn readers(self) -> Who {
        self.row().readers
    }

    /// Whether a rendered copy may be kept. Not for content that is shown once or concerns the reader's own account.
    pub const fn is_cacheable(self) -> bool {
        self.row().is_cacheable
    }

    /// The group of the navigation that lists it.
    pub const fn group(self) -> Option<Group> {
        match self.row().place {
            Place::Entry(group, _) => Some(group),
            Place::Below(_) | Place::Apart => None,
        }
    }

    /// The key that opens it, after `g`.
    pub const fn key(self) -> Option<char> {
        match self.row().place {
            Place::Entry(_, key) => Some(key),
            Place::Below(_) | Place::Apart => None,
        }
    }

    /// The page whose entry in the navigation is marked while this one is open.
    pub const fn entry(self) -> Option<Page> {
        match self.row().place {
            Place::Entry(..) => Some(self),
            Place::Below(page) => Some(page),
            Place::Apart => None,
        }
    }

    /// The page at an address, with or without query and fragment.
    pub fn at(address: &str) -> Option<Page> {
        let path = address.split(['?', '#']).next().unwrap_or_default();
        Page::ALL.iter().copied().find(|page| matches(page.path(), path))
    }

    /// The page that a key opens, after `g`.
    pub fn with_key(key: &str) -> Option<Page> {
        let mut letters = key.chars();
        let letter = letters.next().filter(|_| letters.next().is_none())?;
        Page::ALL.iter().copied().find(|page| page.key() == Some(letter))
    }

    /// The address of a page that needs no id.
    pub fn href(self) -> &'static str {
        let path = self.path();
        debug_assert!(!path.contains('{'), "the address of {self:?} needs an id");
        path
    }

    /// The address of the page about the object with this id.
    pub fn href_of(self, id: impl Display) -> String {
        let (before, _) = self.path().split_once('{').unwrap_or_default();
        debug_assert!(!before.is_empty(), "the address of {self:?} has no id");
        format!("{before}{id}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn paths_titles_and_keys_are_unique() {
        let all = || Page::ALL.iter();
        assert_eq!(all().map(|p| p.path()).collect::<BTreeSet<_>>().len(), Page::ALL.len());
        assert_eq!(all().map(|p| p.title()).collect::<BTreeSet<_>>().len(), Page::ALL.len());
        let keys: Vec<char> = all().filter_map(|p| p.key()).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        // `g` begins every shortcut.
        assert!(keys.iter().all(|key| key.is_ascii_lowercase() && *key != 'g'));
        assert!(all().all(|p| !p.title().is_empty() && p.path().starts_with('/')));
    }

    #[test]
    fn every_page_is_found_at_its_own_address() {
        for page in Page::ALL {
            let address = if page.path().contains('{') { page.href_of(7) } else { page.href().to_owned() };
            assert_eq!(Page::at(&address), Some(*page), "{address}");
            assert_eq!(Page::at(&format!("{address}?before=3#L7")), Some(*page), "{address}");
        }
        assert_eq!(Page::Gate.href_of("A"), "/gates/A");
        for unknown in ["", "/nowhere", "/gates", "/gates/", "/gates/A/B", "/runsx", "/runs/1/log", "matrix"]
        {
            assert_eq!(Page::at(unknown), None, "{unknown}");
        }
    }

    /// The parameter has to be the last segment, since `href_of` ends there.
    #[test]
    fn a_path_has_at_most_one_parameter_at_its_end() {
        for page in Page::ALL {
            let fixed = page.path().split_once('{').map_or(page.path(), |(before, rest)| {
                assert!(before.ends_with('/') && rest.find('}') == Some(rest.len() - 1), "{}", page.path());
                before
            });
            assert!(!fixed.contains(['{', '}', '*', ':']), "{}", page.path());
        }
    }

    #[test]
    fn the_navigation_lists_every_entry_once_and_marks_an_entry() {
        let listed: Vec<Page> = Group::ALL.into_iter().flat_map(Group::pages).collect();
        let entries: Vec<Page> = Page::ALL.iter().copied().filter(|p| p.group().is_some()).collect();
        assert_eq!(listed, entries, "the table has the order of the navigation");
        for page in Page::ALL {
            let marked = listed.iter().filter(|entry| page.entry() == Some(**entry)).count();
            let expected = usize::from(!matches!(page, Page::Account | Page::SignIn | Page::Link));
            assert_eq!(marked, expected, "{page:?}");
        }
    }

    #[test]
    fn a_key_opens_a_page_that_needs_no_id() {
        for page in Page::ALL.iter().filter(|page| page.group().is_some()) {
            assert_eq!(page.key().and_then(|key| Page::with_key(&key.to_string())), Some(*page));
            assert_eq!(page.href(), page.path());
        }
        for other in ["", "x", "B", "bb", "Enter"] {
            assert_eq!(Page::with_key(other), None, "{other}");
        }
    }

    #[test]
    fn only_sign_in_and_links_are_read_without_a_session() {
        let open: Vec<Page> =
            Page::ALL.iter().copied().filter(|page| page.readers() == Who::Anyone).collect();
        assert_eq!(open, [Page::SignIn, Page::Link]);
        assert!(open.iter().all(|page| !page.is_cacheable()));
    }
}
