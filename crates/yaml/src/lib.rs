//! YAML as a tree with line numbers. Scalars stay text: their meaning is left to Compose.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser};

/// Most nodes of one document; aliases copy their anchors, and a document must not grow without limit.
const MOST_NODES: usize = 200_000;

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its line, from 1.
    pub line: usize,
    /// Its value.
    pub value: Value,
    /// It carries a tag such as `!reset`, which changes how files are merged.
    pub tagged: bool,
}

/// The value of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A scalar as written, quotes removed; `plain` when it had none.
    Text {
        /// The text.
        text: String,
        /// It was written without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map in order.
    Map(Vec<(String, Node)>),
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadYaml {
    /// Line, from 1.
    pub line: usize,
    /// Why.
    pub why: String,
}

impl Node {
    /// The node under `key`, merge keys (`<<`) followed.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        if let Some((_, node)) = entries.iter().rfind(|(k, _)| k == key) {
            return Some(node);
        }
        entries.iter().filter(|(k, _)| k == "<<").find_map(|(_, merged)| match &merged.value {
            Value::List(all) => all.iter().find_map(|m| m.get(key)),
            _ => merged.get(key),
        })
    }

    /// The entries of a map, merge keys followed; its own entries come first.
    pub fn entries(&self) -> Vec<(&str, &Node)> {
        let Value::Map(own) = &self.value else { return vec![] };
        let mut all: Vec<(&str, &Node)> =
            own.iter().filter(|(k, _)| k != "<<").map(|(k, n)| (k.as_str(), n)).collect();
        for (_, merged) in own.iter().filter(|(k, _)| k == "<<") {
            let sources: Vec<&Node> = match &merged.value {
                Value::List(list) => list.iter().collect(),
                _ => vec![merged],
            };
            for (key, node) in sources.into_iter().flat_map(Node::entries) {
                if !all.iter().any(|(k, _)| *k == key) {
                    all.push((key, node));
                }
            }
        }
        all
    }

    /// The items of a list.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar; `None` for lists, maps and an empty plain one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text { text, plain } if !(*plain && matches!(text.as_str(), "" | "~" | "null")) => {
                Some(text)
            }
            _ => None,
        }
    }

    /// A scalar, or the scalars of a list.
    pub fn texts(&self) -> Vec<(&str, usize)> {
        match &self.value {
            Value::List(items) => items.iter().filter_map(|n| Some((n.text()?, n.line))).collect(),
            _ => self.text().map(|t| (t, self.line)).into_iter().collect(),
        }
    }

    /// Calls `each` with every scalar that is a value, not a key.
    pub fn scalars<'a>(&'a self, each: &mut impl FnMut(&'a str, usize)) {
        match &self.value {
            Value::Text { text, .. } => each(text, self.line),
            Value::List(items) => items.iter().for_each(|n| n.scalars(each)),
            // Merged entries count unless they are overridden.
            Value::Map(_) => self.entries().into_iter().for_each(|(_, n)| n.scalars(each)),
        }
    }

    fn any_tag(&self) -> bool {
        self.tagged
            || match &self.value {
                Value::Text { .. } => false,
                Value::List(items) => items.iter().any(Node::any_tag),
                Value::Map(entries) => entries.iter().any(|(_, n)| n.any_tag()),
            }
    }

    /// Whether it contains a tag of Compose (`!reset`, `!override`).
    pub fn has_tags(&self) -> bool {
        self.any_tag()
    }
}

/// Reads the first document of a text. An empty one is an empty map.
pub fn read(text: &str) -> Result<Node, BadYaml> {
    let mut reader = Reader { anchors: HashMap::new(), nodes: 0 };
    let mut events = Parser::new_from_str(text);
    loop {
        let (event, line) = next(&mut events)?;
        match event {
            Event::StreamEnd => return Ok(Node { line: 1, value: Value::Map(vec![]), tagged: false }),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            other => return reader.node(&mut events, other, line),
        }
    }
}

fn next<'a>(events: &mut Parser<'a, saphyr_parser::StrInput<'a>>) -> Result<(Event<'a>, usize), BadYaml> {
    match events.next() {
        Some(Ok((event, span))) => Ok((event, span.start.line())),
        Some(Err(error)) => Err(BadYaml { line: error.marker().line(), why: error.info().to_owned() }),
        None => Ok((Event::StreamEnd, 1)),
    }
}

struct Reader {
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl Reader {
    fn node<'a>(
        &mut self,
        events: &mut Parser<'a, saphyr_parser::StrInput<'a>>,
        event: Event<'a>,
        line: usize,
    ) -> Result<Node, BadYaml> {
        self.count(1, line)?;
        let (anchor, node) = match event {
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(BadYaml { line, why: "an alias refers to an unknown anchor".to_owned() });
                };
                self.count(size(&node), line)?;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == saphyr_parser::ScalarStyle::Plain;
                let value = Value::Text { text: text.into_owned(), plain };
                (anchor, Node { line, value, tagged: own_tag(tag.as_deref()) })
            }
            Event::SequenceStart(anchor, tag) => {
                let tagged = own_tag(tag.as_deref());
                let mut items = Vec::new();
                loop {
                    match next(events)? {
                        (Event::SequenceEnd, _) => break,
                        (event, line) => items.push(self.node(events, event, line)?),
                    }
                }
                (anchor, Node { line, value: Value::List(items), tagged })
            }
            Event::MappingStart(anchor, tag) => {
                let tagged = own_tag(tag.as_deref());
                let mut entries = Vec::new();
                loop {
                    let key = match next(events)? {
                        (Event::MappingEnd, _) => break,
                        (event, line) => self.node(events, event, line)?,
                    };
                    let (event, line) = next(events)?;
                    let mut node = self.node(events, event, line)?;
                    // An entry has the line of its key, unless its value is a text with its own line.
                    if !matches!(node.value, Value::Text { .. }) {
                        node.line = key.line;
                    }
                    if let Value::Text { text, .. } = key.value {
                        entries.push((text, node));
                    }
                }
                (anchor, Node { line, value: Value::Map(entries), tagged })
            }
            _ => return Err(BadYaml { line, why: "the document is incomplete".to_owned() }),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, more: usize, line: usize) -> Result<(), BadYaml> {
        self.nodes += more;
        if self.nodes > MOST_NODES {
            return Err(BadYaml { line, why: "it has too many nodes (the limit is 200,000)".to_owned() });
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Text { .. } => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, n)| size(n)).sum(),
    }
}

/// Standard tags of YAML (`!!str`) do not count.
fn own_tag(tag: Option<&saphyr_parser::Tag>) -> bool {
    tag.is_some_and(|t| t.handle == "!")
}

/// The text at a path of keys in a YAML document.
pub fn text_at(text: &str, path: &[&str]) -> Option<String> {
    let root = read(text).ok()?;
    let mut node = &root;
    for key in path {
        node = node.get(key)?;
    }
    node.text().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_anchors_and_merges_are_followed() {
        let node = read("a: &x\n  one: 1\n  two: '2'\nb:\n  <<: *x\n  two: 3\nc: [u, v]\n").unwrap();
        let b = node.get("b").unwrap();
        assert_eq!(b.get("one").and_then(Node::text), Some("1"));
        assert_eq!(b.get("two").map(|n| (n.text(), n.line)), Some((Some("3"), 6)));
        assert_eq!(b.entries().iter().map(|(k, _)| *k).collect::<Vec<_>>(), ["two", "one"]);
        assert_eq!(b.line, 4);
        assert_eq!(node.get("c").map(|n| n.texts().len()), Some(2));
        assert_eq!(read("").unwrap().entries().len(), 0);
        assert_eq!(read("a:\nb: ~\n").unwrap().get("a").and_then(Node::text), None);
    }

    #[test]
    fn invalid_yaml_is_reported_with_its_line() {
        let bad = read("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(bad.line >= 2, "{bad:?}");
        assert!(read("a: !reset null\n").unwrap().has_tags());
        assert!(!read("a: !!str 1\n").unwrap().has_tags());
    }

    #[test]
    fn aliases_cannot_grow_without_limit() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..9 {
            let names = vec![format!("*a{}", i - 1); 10].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{names}]\n"));
        }
        assert_eq!(read(&text).unwrap_err().why, "it has too many nodes (the limit is 200,000)");
    }
}
