//! Markdown as a flat list of the relevant blocks: headings, paragraphs, lists, fences, tables.
//! The only module that uses pulldown-cmark. It works event by event without recursion, so deep nesting
//! does not use up the stack.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// The text of items nested deeper than this is added to the item at this depth.
const DEEPEST: usize = 16;

/// One block of the file. Offsets are bytes into the text.
#[derive(Debug)]
pub(super) enum Block {
    /// A heading of level 1 to 6.
    Heading { level: u8, text: String, at: usize },
    /// A paragraph outside lists.
    Paragraph { text: String, range: Range<usize> },
    /// A whole list, nested lists included.
    List { items: Vec<Item> },
    /// A fenced code block.
    Code { info: String, text: String, at: usize, inside: String, closed: bool },
    /// A table.
    Table { header: Vec<Cell>, rows: Vec<Row>, at: usize },
    /// A horizontal rule, or the beginning or end of a quote: separates the blocks before and after it.
    Boundary,
    /// An HTML block that contains a heading, list or table.
    Html { at: usize },
}

/// A list item, in the order of the file.
#[derive(Debug)]
pub(super) struct Item {
    /// 1 for items of the list itself.
    pub depth: usize,
    /// Plain text, followed by that of nested items without a box.
    pub text: String,
    /// `None` without a checkbox; else whether it is checked.
    pub task: Option<bool>,
    /// Its source, up to the first nested list.
    pub source: Range<usize>,
}

/// A table cell.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// Plain text; inline code keeps its backticks.
    pub text: String,
    /// Contents of the inline code.
    pub codes: Vec<String>,
}

/// A table row.
#[derive(Debug)]
pub(super) struct Row {
    pub cells: Vec<Cell>,
    pub at: usize,
}

/// Reads the blocks of `text`.
pub(super) fn read_blocks(text: &str) -> Vec<Block> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut builder = Builder { source: text, ..Builder::default() };
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        builder.event(event, range);
    }
    builder.blocks
}

#[derive(Default)]
struct Builder<'a> {
    source: &'a str,
    blocks: Vec<Block>,
    /// Blocks found within a list, added after it.
    after_list: Vec<Block>,
    list_depth: usize,
    items: Vec<Item>,
    /// Indexes into `items` of the open ones.
    open: Vec<usize>,
    /// Open items beyond the deepest level.
    beyond: usize,
    heading: Option<String>,
    paragraph: Option<String>,
    code: Option<Fence>,
    table: Option<Table>,
    html_seen: bool,
}

struct Fence {
    info: String,
    text: String,
    fenced: bool,
}

#[derive(Default)]
struct Table {
    header: Vec<Cell>,
    rows: Vec<Row>,
    cells: Vec<Cell>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag, range),
            Event::Text(text) => match &mut self.code {
                Some(fence) => fence.text.push_str(&text),
                None => self.push(&text),
            },
            Event::Code(code) => {
                if let Some(cell) = self.table.as_mut().and_then(|t| t.cells.last_mut()) {
                    cell.codes.push(code.to_string());
                }
                let tick = if code.contains('`') { "``" } else { "`" };
                self.push(tick);
                self.push(&code);
                self.push(tick);
            }
            Event::SoftBreak | Event::HardBreak | Event::InlineHtml(_) => self.gap(),
            Event::Rule => self.emit(Block::Boundary),
            Event::Html(html) => self.html(&html, range.start),
            Event::TaskListMarker(ticked) => {
                if let Some(item) = self.open.last().and_then(|i| self.items.get_mut(*i)) {
                    item.task = Some(ticked);
                }
            }
            // The other events belong to options that are off.
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Heading { .. } if self.list_depth == 0 => self.heading = Some(String::new()),
            Tag::Paragraph if self.list_depth == 0 => self.paragraph = Some(String::new()),
            Tag::Heading { .. } | Tag::Paragraph => self.gap(),
            Tag::CodeBlock(kind) => {
                let (info, fenced) = match kind {
                    CodeBlockKind::Fenced(info) => (info.to_string(), true),
                    CodeBlockKind::Indented => (String::new(), false),
                };
                self.code = Some(Fence { info, text: String::new(), fenced });
            }
            Tag::HtmlBlock => self.html_seen = false,
            Tag::BlockQuote(_) => self.emit(Block::Boundary),
            Tag::List(_) => {
                self.list_depth += 1;
                if let Some(item) = self.open.last().and_then(|i| self.items.get_mut(*i)) {
                    item.source.end = item.source.end.min(range.start);
                }
            }
            Tag::Item => self.start_item(range),
            Tag::Table(_) => self.table = Some(Table::default()),
            Tag::TableCell => {
                if let Some(table) = &mut self.table {
                    table.cells.push(Cell::default());
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: Range<usize>) {
        match tag {
            TagEnd::Heading(level) => {
                if let Some(text) = self.heading.take() {
                    let text = text.trim().to_owned();
                    self.blocks.push(Block::Heading { level: rank(level), text, at: range.start });
                }
            }
            TagEnd::Paragraph => {
                if let Some(text) = self.paragraph.take() {
                    let text = text.trim().to_owned();
                    self.blocks.push(Block::Paragraph { text, range });
                }
            }
            TagEnd::CodeBlock => self.end_code(range),
            TagEnd::HtmlBlock => self.html_seen = false,
            TagEnd::BlockQuote(_) => self.emit(Block::Boundary),
            TagEnd::List(_) => {
                self.list_depth = self.list_depth.saturating_sub(1);
                if self.list_depth == 0 {
                    self.blocks.push(Block::List { items: std::mem::take(&mut self.items) });
                    self.blocks.append(&mut self.after_list);
                }
            }
            TagEnd::Item => self.end_item(),
            TagEnd::TableHead => {
                if let Some(table) = &mut self.table {
                    table.header = std::mem::take(&mut table.cells);
                }
            }
            TagEnd::TableRow => {
                if let Some(table) = &mut self.table {
                    let cells = std::mem::take(&mut table.cells);
                    table.rows.push(Row { cells, at: range.start });
                }
            }
            TagEnd::Table => {
                if let Some(Table { header, rows, .. }) = self.table.take() {
                    self.emit(Block::Table { header, rows, at: range.start });
                }
            }
            _ => {}
        }
    }

    fn emit(&mut self, block: Block) {
        if self.list_depth == 0 {
            self.blocks.push(block);
        } else {
            self.after_list.push(block);
        }
    }

    fn start_item(&mut self, range: Range<usize>) {
        if self.open.len() >= DEEPEST {
            self.beyond += 1;
            self.gap();
            return;
        }
        self.open.push(self.items.len());
        self.items.push(Item { depth: self.open.len(), text: String::new(), task: None, source: range });
    }

    fn end_item(&mut self) {
        if self.beyond > 0 {
            self.beyond -= 1;
            return;
        }
        let Some(index) = self.open.pop() else { return };
        let trimmed = self.items[index].text.trim().to_owned();
        if let Some(parent) = self.open.last()
            && self.items[index].task.is_none()
            && !trimmed.is_empty()
        {
            let parent = &mut self.items[*parent].text;
            if !parent.trim().is_empty() {
                parent.truncate(parent.trim_end().len());
                parent.push_str(" • ");
            }
            parent.push_str(&trimmed);
        }
        self.items[index].text = trimmed;
    }

    fn end_code(&mut self, range: Range<usize>) {
        let Some(fence) = self.code.take() else { return };
        if !fence.fenced {
            return;
        }
        let inside = self.open.last().map(|i| self.items[*i].text.trim().to_owned()).unwrap_or_default();
        let closed = is_closed(self.source.get(range.clone()).unwrap_or_default());
        let Fence { info, text, .. } = fence;
        self.emit(Block::Code { info, text, at: range.start, inside, closed });
    }

    /// Reports HTML that has the meaning of Markdown structure, once for each block.
    fn html(&mut self, html: &str, at: usize) {
        if self.html_seen {
            return;
        }
        let small = html.to_ascii_lowercase();
        let structure = ["<h1", "<h2", "<h3", "<h4", "<h5", "<h6", "<li", "<table", "<tr", "<pre"];
        if structure.iter().any(|tag| small.contains(tag)) {
            self.html_seen = true;
            self.emit(Block::Html { at });
        }
    }

    fn buffer(&mut self) -> Option<&mut String> {
        if let Some(table) = &mut self.table {
            return table.cells.last_mut().map(|c| &mut c.text);
        }
        if let Some(heading) = &mut self.heading {
            return Some(heading);
        }
        if let Some(paragraph) = &mut self.paragraph {
            return Some(paragraph);
        }
        self.open.last().and_then(|i| self.items.get_mut(*i)).map(|item| &mut item.text)
    }

    fn push(&mut self, text: &str) {
        if let Some(buffer) = self.buffer() {
            buffer.push_str(text);
        }
    }

    fn gap(&mut self) {
        if let Some(buffer) = self.buffer()
            && !buffer.is_empty()
            && !buffer.ends_with(' ')
        {
            buffer.push(' ');
        }
    }
}

/// Whether the source of a fence ends in a closing fence.
fn is_closed(source: &str) -> bool {
    let Some((_, rest)) = source.split_once('\n') else { return false };
    let last = rest.trim_end().rsplit('\n').next().unwrap_or_default();
    let fence = last.trim_matches(|c: char| c.is_whitespace() || c == '>');
    fence.len() >= 3 && (fence.bytes().all(|b| b == b'`') || fence.bytes().all(|b| b == b'~'))
}

fn rank(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
