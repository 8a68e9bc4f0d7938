//! Turns blocks into a runbook: reads the file once from top to bottom, then checks it as a whole.

mod gates;
mod lists;
mod steps;
mod whole;

use std::collections::HashMap;

use domain::runbook::{Problem, Runbook, Severity, SignoffRole};

use super::blocks::{Block, Cell, Row, read_blocks};
use super::matrix::Columns;
use super::phrase::{Lead, acceptance_lead};
use super::section::Sections;
use super::text::{Decoded, LineIndex, fold};

/// The number of problems that are listed; further ones are only counted.
const MOST_PROBLEMS: usize = 200;

/// Criteria, steps, items, rows and lines of each kind that are read. More than a page can show.
const MOST_OF_A_KIND: usize = 20_000;

/// Gates that are read.
const MOST_GATES: usize = 1_000;

/// Reads a decoded file.
pub(super) fn read(decoded: &Decoded) -> Runbook {
    let text = decoded.text.as_str();
    let mut reader = Reader {
        text,
        lines: LineIndex::new(text),
        out: Runbook::default(),
        sections: Sections::default(),
        pending: None,
        counters: HashMap::new(),
        tables: Vec::new(),
        sign_offs: Vec::new(),
        unlisted_problems: 0,
        full: Vec::new(),
    };
    reader.bytes_problems(decoded);
    for block in read_blocks(text) {
        reader.block(block);
    }
    reader.close_lead();
    reader.finish();
    reader.out
}

/// An acceptance lead-in whose list has not been read yet.
struct Pending {
    gate: Option<String>,
    offset: usize,
    found: usize,
    /// Whether its list has been read.
    listed: bool,
    /// Other blocks may come between a heading and its list, but not between a paragraph and its list.
    is_heading: bool,
}

/// A table that may be the matrix.
struct Candidate {
    columns: Columns,
    rows: Vec<Row>,
    at: usize,
}

/// Roles found in one place; the lowest rank is used.
struct SignOffs {
    rank: u8,
    roles: Vec<SignoffRole>,
}

struct Reader<'a> {
    text: &'a str,
    lines: LineIndex,
    out: Runbook,
    sections: Sections,
    pending: Option<Pending>,
    /// The last number used, by id prefix.
    counters: HashMap<String, usize>,
    tables: Vec<Candidate>,
    sign_offs: Vec<SignOffs>,
    unlisted_problems: usize,
    /// Kinds with too many entries that were already reported.
    full: Vec<&'static str>,
}

impl Reader<'_> {
    fn bytes_problems(&mut self, decoded: &Decoded) {
        if decoded.binary {
            self.problem(
                Severity::Error,
                0,
                "this file looks like a binary file, not like text",
                "use the Markdown file of the runbook",
            );
        }
        if let Some(at) = decoded.too_deep {
            self.problem(
                Severity::Warning,
                at,
                "this line is nested too deeply and was not read",
                "lists and quotes can be nested up to 32 levels deep",
            );
        }
        if let (Some((at, count)), false) = (decoded.damaged, decoded.binary) {
            self.problem(
                Severity::Warning,
                at,
                match count {
                    1 => "one place in the file is not valid text; it is in this line".to_owned(),
                    _ => format!(
                        "{count} places in the file are not valid text; the first one is in this line"
                    ),
                },
                "save the file as UTF-8",
            );
        }
    }

    /// Adds a problem at a byte offset.
    fn problem(
        &mut self,
        severity: Severity,
        at: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.out.problems.len() >= MOST_PROBLEMS {
            self.unlisted_problems += 1;
            return;
        }
        let (line, column) = self.lines.position(self.text, at);
        let (message, hint) = (message.into(), hint.into());
        self.out.problems.push(Problem { file: None, line, column, severity, message, hint });
    }

    /// Whether one more entry of a kind can be added; reports once when the limit is reached.
    fn has_room(&mut self, kind: &'static str, have: usize, most: usize, at: usize) -> bool {
        if have < most {
            return true;
        }
        if !self.full.contains(&kind) {
            self.full.push(kind);
            let message =
                format!("the runbook has more than {most} {kind}; those from this line on were not read");
            self.problem(Severity::Error, at, message, "split the runbook");
        }
        false
    }

    /// The next number under a prefix, from 1.
    fn count(&mut self, prefix: &str) -> usize {
        let counter = self.counters.entry(prefix.to_owned()).or_default();
        *counter += 1;
        *counter
    }

    fn block(&mut self, block: Block) {
        match block {
            Block::Heading { level, text, at } => self.heading(level, &text, at),
            Block::Paragraph { text, range } => {
                if !text.is_empty() {
                    self.paragraph(&text, range);
                }
            }
            Block::List { items } => self.list(&items),
            Block::Code { info, text, at, inside, closed } => {
                self.close_paragraph_lead();
                self.fence(&info, &text, at, &inside, closed);
            }
            Block::Table { header, rows, at } => {
                self.close_paragraph_lead();
                self.table(&header, rows, at);
            }
            Block::Boundary => self.close_paragraph_lead(),
            Block::Html { at } => self.problem(
                Severity::Note,
                at,
                "headings, lists and tables in HTML are not read",
                "write them in Markdown if they are gates, criteria, steps or tables of the runbook",
            ),
        }
    }

    fn heading(&mut self, level: u8, text: &str, at: usize) {
        self.close_lead();
        let first = self.out.title.is_empty() && self.out.gates.is_empty();
        let gate = self.sections.enter(level, text);
        if let Some(gate) = gate {
            self.gate(gate, at);
        } else if let Some(lead) = acceptance_lead(text) {
            self.open_lead(lead, at, true);
        } else if first {
            self.out.title = text.to_owned();
        }
    }

    fn paragraph(&mut self, text: &str, range: std::ops::Range<usize>) {
        self.close_paragraph_lead();
        if let Some(lead) = acceptance_lead(text) {
            self.close_lead();
            self.open_lead(lead, range.start, false);
            return;
        }
        if text.ends_with([':', '：']) {
            self.sections.lead = fold(&text.chars().take(300).collect::<String>());
        }
        self.sign_off_line(text, range.start, 1);
        if self.sections.traits().ownership {
            self.ownership_lines(range);
        }
    }

    fn open_lead(&mut self, lead: Lead, offset: usize, is_heading: bool) {
        let around = self.sections.gate().map(str::to_owned);
        if let (Some(named), Some(around)) = (&lead.gate, &around)
            && named != around
        {
            self.problem(
                Severity::Warning,
                offset,
                format!("the acceptance list of Gate {named} is in the section of Gate {around}"),
                format!("it is used for Gate {named}; move it there, or correct the letter"),
            );
        }
        let gate = lead.gate.or(around);
        if gate.is_none() {
            self.problem(
                Severity::Warning,
                offset,
                "this acceptance list belongs to no gate and is not used",
                "write “Acceptance (Gate A):”, or move it into the section of its gate",
            );
        }
        self.pending = Some(Pending { gate, offset, found: 0, listed: false, is_heading });
        if !lead.inline.is_empty() {
            self.criterion(&lead.inline, offset);
        }
    }

    fn close_paragraph_lead(&mut self) {
        if self.pending.as_ref().is_some_and(|p| !p.is_heading) {
            self.close_lead();
        }
    }

    fn close_lead(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        if pending.found == 0 && pending.gate.is_some() {
            self.problem(
                Severity::Warning,
                pending.offset,
                "no list follows this acceptance line",
                "write the criteria as a list (“- …”) directly below it",
            );
        }
    }

    fn table(&mut self, header: &[Cell], rows: Vec<Row>, at: usize) {
        let columns = Columns::of(header);
        if columns.is_matrix() {
            self.tables.push(Candidate { columns, rows, at });
        } else if self.sections.traits().matrix {
            self.problem(
                Severity::Warning,
                at,
                format!(
                    "this table is not read as the verification matrix: no column for {}",
                    columns.missing().join(", ")
                ),
                "name the columns Category, Command/Method, Owner, Acceptance",
            );
        }
    }
}
