//! How shells, languages and formats quote a text. Each function returns the text without the outer quotes.

use std::fmt::Write as _;

/// How a language writes characters beyond ASCII, and control characters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wide {
    /// As they are; control characters as `\x1b`.
    Kept,
    /// `\u00e9`, with surrogate pairs, lowercase digits: JSON for ASCII.
    Pairs,
    /// The same with uppercase digits.
    PairsUpper,
    /// `\xe9`, `\u20ac`, `\U0001f511`: Python.
    Python,
    /// `\u00e9`, `\U0001f511`: Go and TOML.
    Go,
    /// `\u{e9}`: Rust, JavaScript, Ruby.
    Braces,
    /// `\x{e9}`: Perl.
    Perl,
    /// `\xc3\xa9`: the bytes.
    Bytes,
    /// `\xC3\xA9`: the same with uppercase digits.
    BytesUpper,
    /// `\303\251`: the bytes in octal, as shells do.
    Octal,
    /// As they are; control characters in octal.
    OctalKept,
}

const WIDE: [Wide; 11] = [
    Wide::Kept,
    Wide::Pairs,
    Wide::PairsUpper,
    Wide::Python,
    Wide::Go,
    Wide::Braces,
    Wide::Perl,
    Wide::Bytes,
    Wide::BytesUpper,
    Wide::Octal,
    Wide::OctalKept,
];

/// Characters that are written as `\u003c` in texts for HTML.
const HTML: &str = "<>&";
/// The same for .NET and PHP.
const HTML_MORE: &str = "<>&'\"+`";

/// Characters that get a backslash before them, one set for each kind of tool.
const BACKSLASHED: &[&str] = &[
    "'",
    "\"",
    "$",
    "`",
    "'\\",
    "\"\\",
    "'\"\\",
    "`\\$",
    "\"\\$`",
    "\"\\$`!",
    "\"\\#$",
    // Properties files.
    "\\:=#! ",
    // Special characters of shells: `printf %q` and others, which differ for commas and braces.
    " \t'\"\\|&;()<>!{}*[]?^$`,",
    " \t'\"\\|&;()<>!{}*[]?^$`",
    " \t'\"\\|&;()<>!{}*[]?^$`,#~",
    " \t'\"\\|&;()<>!{}*[]?^$`,#~=%",
    " \t'\"\\|&;()<>!{}*[]?^$`#~",
    // Regular expressions.
    "\\.+*?()|[]{}^$",
    "\\.+*?()|[]{}^$/",
    "\\.+*?()|[]{}^$#&-~",
    "\\.+*?()|[]{}^$#&-~ \t",
];

/// Characters that are written twice.
const DOUBLED: &[&str] = &["'", "\"", "$", "%", "\\", "`", "{}", "'\\", "'$", "\"$", "$%", "\\$"];

/// The HTML entities for `"` and `'`, and for further characters that some tools escape.
const ENTITIES: &[&[(char, &str)]] = &[
    &[('"', "&quot;"), ('\'', "&#39;")],
    &[('"', "&quot;"), ('\'', "&#x27;")],
    &[('"', "&quot;"), ('\'', "&#039;")],
    &[('"', "&quot;"), ('\'', "&apos;")],
    &[('"', "&#34;"), ('\'', "&#39;")],
    &[('"', "&#34;"), ('\'', "&#39;"), ('+', "&#43;")],
    &[('"', "&quot;")],
    &[('"', "&#34;")],
    &[('\'', "&#39;")],
    &[],
    &[('"', "&quot;"), ('\'', "&#x27;"), ('`', "&#x60;"), ('=', "&#x3D;")],
    &[('"', "&quot;"), ('\'', "&#39;"), ('`', "&#x60;"), ('=', "&#x3D;"), ('/', "&#x2F;")],
    &[('"', "&quot;"), ('\'', "&#x27;"), ('/', "&#x2F;")],
    &[('"', "&quot;"), ('\'', "&#39;"), ('`', "&#96;")],
];

/// Characters that are not changed by percent encoding, by tool.
const PERCENT_KEPT: &[&str] = &[
    "",
    "-_.",
    "-_.~",
    "-_.*",
    "-_.~/",
    "-_.~!*'()",
    "-_.~!*'();:@&=+$,/?#",
    "-_.~!*'();:@&=+$,/?#[]",
    "-_.~!$&'()*+,;=",
    "-_.~!$&'()*+,;=:@",
    "-_.~!$&'()*+,;=:@/",
    "-_.~!$&'()*+,;=:@/?",
    "-_.~!$&'()*+,%",
    "-_.~!$&'()*+,;=:@/%[]\\^|",
    "-_.~!$&'()*+,;=:@/%[]\\^|`{}?",
    "-_.*/:=,@",
];

/// Every way in which a tool may quote `text`.
pub(super) fn quoted(text: &str) -> Vec<String> {
    let mut out = vec![text.to_owned()];
    for wide in WIDE {
        for extra in ["", HTML, HTML_MORE] {
            out.push(json(text, wide, extra, false));
        }
        out.push(json(text, wide, "", true));
        for quotes in ["'", "\"", "'\"", "`", "", "\"$@", "\"$`"] {
            out.push(escaped(text, quotes, wide));
        }
    }
    out.extend(BACKSLASHED.iter().map(|set| mapped(text, |c| set.contains(c).then(|| format!("\\{c}")))));
    out.push(mapped(text, |c| {
        (c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_').then(|| format!("\\{c}"))
    }));
    out.push(mapped(text, |c| (c.is_ascii() && !is_shell_plain(c)).then(|| format!("\\{c}"))));
    out.extend(DOUBLED.iter().map(|set| mapped(text, |c| set.contains(c).then(|| format!("{c}{c}")))));
    out.push(text.replace('\'', r"'\''"));
    out.push(text.replace('\'', r#"'"'"'"#));
    out.push(text.replace('\'', r"'\''").replace('!', r"'\!'"));
    out.push(in_pieces(text));
    for entities in ENTITIES {
        out.push(html(text, entities, |_| None));
        out.push(html(text, entities, |c| (!c.is_ascii()).then(|| format!("&#{};", u32::from(c)))));
        out.push(html(text, entities, |c| (!c.is_ascii()).then(|| format!("&#x{:x};", u32::from(c)))));
        out.push(html(text, entities, |c| (!c.is_ascii()).then(|| format!("&#x{:X};", u32::from(c)))));
    }
    out.extend(percents(text.as_bytes()));
    out.push(bytes(text.as_bytes(), |b| {
        (!matches!(b, b' '..=b'~') || b == b'=').then(|| format!("={b:02X}"))
    }));
    out
}

/// The ways of quoting that are often applied to a text that is already quoted.
pub(super) fn around(text: &str) -> Vec<String> {
    let again = json(text, Wide::Kept, "", false);
    vec![
        json(&again, Wide::Kept, "", false),
        json(text, Wide::Kept, HTML, false),
        json(text, Wide::Kept, "", true),
        json(text, Wide::Pairs, "", false),
        escaped(text, "'", Wide::Kept),
        text.replace('\\', r"\\"),
        mapped(text, |c| "\"\\$`".contains(c).then(|| format!("\\{c}"))),
        mapped(text, |c| (c == '\'').then(|| "''".to_owned())),
        mapped(text, |c| (c == '$').then(|| "$$".to_owned())),
        text.replace('\'', r"'\''"),
        html(text, &[('"', "&quot;"), ('\'', "&#39;")], |_| None),
        html(text, &[('"', "&#34;"), ('\'', "&#39;")], |_| None),
        bytes(text.as_bytes(), |b| (!is_unreserved(b)).then(|| format!("%{b:02X}"))),
        again,
    ]
}

/// Every usual percent encoding of `raw`.
fn percents(raw: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    for kept in PERCENT_KEPT {
        let keeps = |b: u8| b.is_ascii_alphanumeric() || kept.as_bytes().contains(&b);
        let upper = bytes(raw, |b| (!keeps(b)).then(|| format!("%{b:02X}")));
        out.push(bytes(raw, |b| (!keeps(b)).then(|| format!("%{b:02x}"))));
        out.push(upper.replace("%20", "+"));
        out.push(upper);
    }
    out.push(bytes(raw, |b| Some(format!("%{b:02X}"))));
    out.push(bytes(raw, |b| Some(format!("%{b:02x}"))));
    out
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
}

fn is_shell_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '=' | '@' | '%' | '+' | ',')
}

fn mapped(text: &str, with: impl Fn(char) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match with(c) {
            Some(instead) => out.push_str(&instead),
            None => out.push(c),
        }
    }
    out
}

/// Writes bytes, with the replacements of `with`. Bytes beyond ASCII must be replaced to be kept correctly.
fn bytes(raw: &[u8], with: impl Fn(u8) -> Option<String>) -> String {
    let mut out = Vec::with_capacity(raw.len());
    for byte in raw {
        match with(*byte) {
            Some(instead) => out.extend_from_slice(instead.as_bytes()),
            None => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn html(text: &str, entities: &[(char, &str)], wide: impl Fn(char) -> Option<String>) -> String {
    mapped(text, |c| match c {
        '&' => Some("&amp;".to_owned()),
        '<' => Some("&lt;".to_owned()),
        '>' => Some("&gt;".to_owned()),
        _ => entities
            .iter()
            .find(|(known, _)| *known == c)
            .map(|(_, entity)| (*entity).to_owned())
            .or_else(|| wide(c)),
    })
}

/// A JSON text; characters in `extra` are written with their number, and `/` as `\/` when `slash`.
fn json(text: &str, wide: Wide, extra: &str, slash: bool) -> String {
    let number = |c: char| match wide {
        Wide::PairsUpper => format!("\\u{:04X}", u32::from(c)),
        _ if extra == HTML_MORE => format!("\\u{:04X}", u32::from(c)),
        _ => format!("\\u{:04x}", u32::from(c)),
    };
    mapped(text, |c| match c {
        c if extra.contains(c) => Some(number(c)),
        '"' => Some("\\\"".to_owned()),
        '\\' => Some("\\\\".to_owned()),
        '\n' => Some("\\n".to_owned()),
        '\r' => Some("\\r".to_owned()),
        '\t' => Some("\\t".to_owned()),
        '\u{8}' => Some("\\b".to_owned()),
        '\u{c}' => Some("\\f".to_owned()),
        '\0'..='\u{1f}' => Some(number(c)),
        '/' if slash => Some("\\/".to_owned()),
        c if !c.is_ascii() => beyond(c, wide),
        _ => None,
    })
}

/// A text as in C: backslashes and `quotes` escaped, control characters as letter or number.
fn escaped(text: &str, quotes: &str, wide: Wide) -> String {
    mapped(text, |c| match c {
        '\\' => Some("\\\\".to_owned()),
        c if quotes.contains(c) => Some(format!("\\{c}")),
        '\n' => Some("\\n".to_owned()),
        '\r' => Some("\\r".to_owned()),
        '\t' => Some("\\t".to_owned()),
        '\u{1b}' if matches!(wide, Wide::Octal | Wide::OctalKept) => Some("\\E".to_owned()),
        '\u{1b}' if wide == Wide::Perl => Some("\\e".to_owned()),
        '\u{7}' | '\u{8}' | '\u{b}' | '\u{c}' if matches!(wide, Wide::Octal | Wide::OctalKept | Wide::Go) => {
            let letter = match c {
                '\u{7}' => 'a',
                '\u{8}' => 'b',
                '\u{b}' => 'v',
                _ => 'f',
            };
            Some(format!("\\{letter}"))
        }
        '\0'..='\u{1f}' | '\u{7f}' => Some(match wide {
            Wide::Octal | Wide::OctalKept => format!("\\{:03o}", u32::from(c)),
            Wide::Pairs => format!("\\u{:04x}", u32::from(c)),
            Wide::PairsUpper => format!("\\u{:04X}", u32::from(c)),
            Wide::BytesUpper => format!("\\x{:02X}", u32::from(c)),
            Wide::Braces => format!("\\u{{{:x}}}", u32::from(c)),
            Wide::Perl => format!("\\x{{{:x}}}", u32::from(c)),
            Wide::Kept | Wide::Python | Wide::Go | Wide::Bytes => format!("\\x{:02x}", u32::from(c)),
        }),
        c if !c.is_ascii() => beyond(c, wide),
        _ => None,
    })
}

/// A text in single quotes with control characters outside of them, `'a'$'\t''b'`: `printf %q` and `ls` of coreutils.
fn in_pieces(text: &str) -> String {
    let mut out = String::new();
    let mut within = false;
    for c in text.chars() {
        let is_control = c.is_ascii_control();
        if is_control != within {
            out.push_str(if is_control { "'$'" } else { "''" });
            within = is_control;
        }
        match c {
            '\u{1b}' => out.push_str(r"\033"),
            c if is_control => out.push_str(&escaped(c.encode_utf8(&mut [0; 4]), "", Wide::Octal)),
            '\'' => out.push_str(r"'\''"),
            c => out.push(c),
        }
    }
    out
}

/// A character beyond ASCII; `None` when it is not changed.
fn beyond(c: char, wide: Wide) -> Option<String> {
    let number = u32::from(c);
    let mut out = String::new();
    let by_byte = |out: &mut String, with: fn(&mut String, u8) -> std::fmt::Result| {
        c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| with(out, byte))
    };
    let by_pair = |out: &mut String, with: fn(&mut String, u16) -> std::fmt::Result| {
        c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| with(out, *unit))
    };
    let wrote = match wide {
        Wide::Kept | Wide::OctalKept => return None,
        Wide::Pairs => by_pair(&mut out, |out, unit| write!(out, "\\u{unit:04x}")),
        Wide::PairsUpper => by_pair(&mut out, |out, unit| write!(out, "\\u{unit:04X}")),
        Wide::Python if number < 0x100 => write!(out, "\\x{number:02x}"),
        Wide::Python | Wide::Go if number < 0x1_0000 => write!(out, "\\u{number:04x}"),
        Wide::Python | Wide::Go => write!(out, "\\U{number:08x}"),
        Wide::Braces => write!(out, "\\u{{{number:x}}}"),
        Wide::Perl => write!(out, "\\x{{{number:x}}}"),
        Wide::Bytes => by_byte(&mut out, |out, byte| write!(out, "\\x{byte:02x}")),
        Wide::BytesUpper => by_byte(&mut out, |out, byte| write!(out, "\\x{byte:02X}")),
        Wide::Octal => by_byte(&mut out, |out, byte| write!(out, "\\{byte:03o}")),
    };
    wrote.is_ok().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_quoting_is_included() {
        let has =
            |text: &str, form: &str| assert!(quoted(text).contains(&form.to_owned()), "{form} of {text}");
        has("a'b c$d", "a''b c$d");
        has("a'b c$d", "a'b c$$d");
        has("a'b c$d", r"a\'b c$d");
        has("a'b c$d", r"a\'b\ c\$d");
        has("a'b c$d", r"a'\''b c$d");
        has("a'b c$d", r#"a'"'"'b c$d"#);
        has("a,b{c} #", r"a\,b\{c\}\ #");
        has("\u{e9}\u{1f511}\"", r#"\u00e9\ud83d\udd11\""#);
        has("\u{e9}\u{1f511}\"", r#"\u00E9\uD83D\uDD11\""#);
        has("\u{e9}\u{1f511}'", r"\xe9\U0001f511\'");
        has("\u{e9}\u{1f511}\"", r#"\u{e9}\u{1f511}\""#);
        has("\u{e9}\u{1}'", r"\303\251\001\'");
        has("\u{e9}\u{1}'", r"\xc3\xa9\x01\'");
        has("a&b<c>'\"", "a&amp;b&lt;c&gt;&#39;&quot;");
        has("a&b\u{e9}=", "a&amp;b&#233;=");
        has("a/b c&d'e", "a%2Fb%20c%26d%27e");
        has("a/b c&d'e", "a%2fb%20c%26d%27e");
        has("a/b c&d'e", "a%2Fb+c%26d'e");
        has("a=b\u{e9}", "a=3Db=C3=A9");
        has("a<b'c+d", r"a\u003Cb\u0027c\u002Bd");
    }
}
