//! Lists: criteria, checklist, roles, sign-offs, ownership lines.

use std::ops::Range;

use domain::runbook::{ChecklistItem, Dri, OwnershipLine, Severity, SignoffRole, blanks};

use super::{MOST_GATES, MOST_OF_A_KIND, Reader, SignOffs};
use crate::blocks::Item;
use crate::phrase::{role_line, sign_off_roles};
use crate::text::{shorten, squeeze, text_digest};

impl Reader<'_> {
    /// A whole list.
    pub(super) fn list(&mut self, items: &[Item]) {
        if let Some(pending) = &mut self.pending {
            if pending.is_heading || !std::mem::replace(&mut pending.listed, true) {
                for item in items.iter().filter(|i| i.depth == 1) {
                    self.criterion(&item.text, item.source.start);
                }
                return;
            }
            self.second_list(items);
        }
        let traits = self.sections.traits();
        let mut signers = Vec::new();
        for item in items {
            let at = item.source.start;
            if let Some(checked) = item.task {
                self.checklist_item(item, checked);
            } else if traits.ownership {
                self.ownership_item(item.source.clone());
            } else if traits.sign_offs && item.depth == 1 {
                signers.extend(self.signer(item));
            } else if traits.roles && item.depth == 1 {
                self.dri(item);
            } else {
                self.sign_off_line(&item.text, at, 1);
                self.stray_blanks(item);
            }
        }
        if !signers.is_empty() {
            self.sign_offs.push(SignOffs { rank: 2, roles: signers });
        }
    }

    /// A list directly below the acceptance list, with bullets of another kind.
    fn second_list(&mut self, items: &[Item]) {
        self.close_lead();
        let at = items.first().map_or(0, |i| i.source.start);
        self.problem(
            Severity::Warning,
            at,
            "this list is directly below an acceptance list but is not part of it",
            "if it lists criteria, use the same bullets; if not, add a line of text above it",
        );
    }

    fn checklist_item(&mut self, item: &Item, checked: bool) {
        let text = squeeze(&item.text);
        if text.is_empty() {
            self.problem(
                Severity::Warning,
                item.source.start,
                "this checklist item is empty",
                "write what must be true, or remove it",
            );
            return;
        }
        let have = self.out.checklist.len();
        if !self.has_room("checklist items", have, MOST_OF_A_KIND, item.source.start) {
            return;
        }
        let prefix = self.sections.gate().map(|g| format!("{g}.c")).unwrap_or("c".to_owned());
        let number = self.count(&prefix);
        let line = self.lines.line(item.source.start);
        let digest = text_digest(&text);
        self.sign_off_line(&text, item.source.start, 0);
        let id = format!("{prefix}{number}");
        self.out.checklist.push(ChecklistItem { id, text, digest, line, checked });
    }

    /// `Sign-offs: A / B`, anywhere in the file.
    pub(super) fn sign_off_line(&mut self, text: &str, at: usize, rank: u8) {
        let names = sign_off_roles(text);
        if names.is_empty() {
            return;
        }
        let line = self.lines.line(at);
        let roles = names.into_iter().map(|role| SignoffRole { role, line }).collect();
        self.sign_offs.push(SignOffs { rank, roles });
    }

    /// An item of a list under a sign-off heading.
    fn signer(&self, item: &Item) -> Option<SignoffRole> {
        let own = item.text.split(" • ").next().unwrap_or_default();
        let own = own.split("___").next().unwrap_or_default();
        let (role, _) = role_line(own)?;
        Some(SignoffRole { role, line: self.lines.line(item.source.start) })
    }

    fn dri(&mut self, item: &Item) {
        let line = self.lines.line(item.source.start);
        match role_line(&item.text) {
            Some((role, duties)) => {
                if self.has_room("roles", self.out.dris.len(), MOST_GATES, item.source.start) {
                    self.out.dris.push(Dri { role, duties, line });
                }
            }
            None => self.problem(
                Severity::Warning,
                item.source.start,
                format!("no role was recognised in “{}”", shorten(&squeeze(&item.text), 60)),
                "write it as “Backend DRI: duties”",
            ),
        }
    }

    /// Each line of a paragraph that has blanks.
    pub(super) fn ownership_lines(&mut self, range: Range<usize>) {
        let text = self.text;
        let mut offset = range.start;
        for line in text.get(range).unwrap_or_default().split_inclusive('\n') {
            self.ownership_line(line.trim(), offset);
            offset += line.len();
        }
    }

    /// A list item: one line of the ownership log, even if it is wrapped.
    fn ownership_item(&mut self, range: Range<usize>) {
        let at = range.start;
        let source = self.text.get(range).unwrap_or_default();
        let lines: Vec<&str> = source.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        self.ownership_line(&lines.join(" "), at);
    }

    fn ownership_line(&mut self, source: &str, at: usize) {
        let text = without_marker(source);
        if blanks(text).is_empty() {
            return;
        }
        if !self.has_room("ownership lines", self.out.ownership.len(), MOST_OF_A_KIND, at) {
            return;
        }
        let number = self.count("own");
        let line = self.lines.line(at);
        self.out.ownership.push(OwnershipLine::read(format!("own.{number}"), text.to_owned(), line));
    }

    fn stray_blanks(&mut self, item: &Item) {
        let source = self.text.get(item.source.clone()).unwrap_or_default();
        if source.contains("___") && !blanks(source).is_empty() {
            self.problem(
                Severity::Note,
                item.source.start,
                "this line has blanks to fill in but is outside the ownership log",
                "move it under a heading with the word “Ownership”",
            );
        }
    }
}

/// Removes the bullet or number from the beginning of a list line.
fn without_marker(line: &str) -> &str {
    let line = line.trim_start_matches(['>', ' ', '\t']);
    for bullet in ["- ", "* ", "+ "] {
        if let Some(rest) = line.strip_prefix(bullet) {
            return rest.trim_start();
        }
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    match line[digits..].strip_prefix(['.', ')']) {
        Some(rest) if digits > 0 && rest.starts_with(' ') => rest.trim_start(),
        _ => line,
    }
}
