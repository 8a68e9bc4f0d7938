//! Compares pages with committed snapshots. Each element is on a line of its own, so that differences are readable.

use super::NOTICE_TEXT;

/// Compares a page with `app/snapshots/<name>.snap`. After an intended change, run the test with `INSTA_UPDATE=always`,
/// which writes a new snapshot, and review the difference before you commit it.
pub fn assert_page(name: &str, html: &str) {
    assert_references(html);
    insta::with_settings!({
        snapshot_path => "../../snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, outline(html));
    });
}

/// Every id that an attribute refers to exists, once. The message of the last action is outside of the views.
pub fn assert_references(html: &str) {
    for attribute in [" aria-describedby=\"", " aria-labelledby=\"", " for=\""] {
        for rest in html.split(attribute).skip(1) {
            let ids = rest.split('"').next().unwrap_or_default();
            assert_ne!(ids, "", "{attribute} refers to nothing");
            for id in ids.split(' ').filter(|id| *id != NOTICE_TEXT) {
                assert_eq!(html.matches(&format!(" id=\"{id}\"")).count(), 1, "{attribute}{ids}: {html}");
            }
        }
    }
}

/// The document as an outline: one element per line, its content indented below it. End tags, comments and the paths of
/// icons are omitted. Keys and digests differ in every response and are replaced by placeholders.
fn outline(html: &str) -> String {
    let mut rest = html;
    let root = children(&mut rest, "");
    assert!(rest.is_empty(), "an end tag without a start tag: {rest:.80}");
    let mut lines = String::new();
    for node in &root {
        node.write(&mut lines, 0);
    }
    lines
}

enum Node {
    Text(String),
    Element { start: String, children: Vec<Node> },
}

/// Elements without content and end tag.
const VOID: &[&str] = &["br", "col", "hr", "img", "input", "link", "meta", "wbr"];

/// Reads nodes from `rest` up to and including the end tag of `parent`.
fn children(rest: &mut &str, parent: &str) -> Vec<Node> {
    let mut nodes = vec![];
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("</") {
            let (name, after) = after.split_once('>').expect("an end tag ends");
            assert_eq!(name, parent, "end tags come in order");
            *rest = after;
            return nodes;
        }
        if rest.starts_with("<!") {
            let end = if rest.starts_with("<!--") { "-->" } else { ">" };
            *rest = rest.split_once(end).expect("a comment ends").1;
        } else if rest.starts_with('<') {
            nodes.push(element(rest));
        } else {
            let (text, after) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
            *rest = after;
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if !text.is_empty() {
                nodes.push(Node::Text(named(&text)));
            }
        }
    }
    assert_eq!(parent, "", "the element is closed");
    nodes
}

fn element(rest: &mut &str) -> Node {
    let mut quoted = false;
    let end = rest.find(|c: char| {
        quoted ^= c == '"';
        c == '>' && !quoted
    });
    let (start, after) = rest.split_at(end.expect("a start tag ends") + 1);
    *rest = after;
    let name = start.trim_start_matches('<').split([' ', '>', '/']).next().unwrap_or_default();
    let mut children = match VOID.contains(&name) || start.ends_with("/>") {
        true => vec![],
        false => children(rest, name),
    };
    // Only the presence of an icon is compared, not its path.
    let start = match start.split_once("class=\"icon") {
        Some((_, class)) if name == "svg" => {
            children.clear();
            format!("<svg class=\"icon{class}")
        }
        _ => named(start),
    };
    Node::Element { start, children }
}

impl Node {
    fn write(&self, lines: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        match self {
            Node::Text(text) => lines.push_str(&format!("{indent}{text}\n")),
            Node::Element { start, children } => match children.as_slice() {
                [Node::Text(text)] => lines.push_str(&format!("{indent}{start} {text}\n")),
                children => {
                    lines.push_str(&format!("{indent}{start}\n"));
                    children.iter().for_each(|child| child.write(lines, depth + 1));
                }
            },
        }
    }
}

/// The text with keys (32 hex digits) and digests (64) replaced by placeholders.
fn named(text: &str) -> String {
    let mut out = String::new();
    let mut hex = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() {
            hex.push(c);
            continue;
        }
        match hex.len() {
            32 => out.push_str("[key]"),
            64 => out.push_str("[digest]"),
            _ => out.push_str(&hex),
        }
        hex.clear();
        out.push(c);
    }
    out.pop();
    out
}

#[test]
fn an_outline_has_one_element_per_line_and_placeholders_for_keys_and_digests() {
    let key = "0123456789abcdef".repeat(2);
    let html = format!(
        "<main class=\"a>b\"><!><p>One <b>two</b>\n three</p><!--x--><input value=\"{key}\"><i></i>\
         <svg class=\"icon\"><path d=\"M1\"/></svg><code>{key}{key} abc</code></main>"
    );
    let expected = "<main class=\"a>b\">\n  <p>\n    One\n    <b> two\n    three\n  <input value=\"[key]\">\n  <i>\n  \
                    <svg class=\"icon\">\n  <code> [digest] abc\n";
    assert_eq!(outline(&html), expected);
}
