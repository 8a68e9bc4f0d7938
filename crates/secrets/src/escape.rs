//! Text that a terminal does not print: escape codes, control characters, invisible characters. One lexer for masking,
//! which must find a secret that such codes split, and for the display, which removes or shows them.

use domain::visible::is_hidden;

/// A colour or cursor code with more bytes counts as text.
const CSI_MAX: usize = 256;
/// A string for the terminal (title, link, clipboard) with more bytes counts as text.
const STRING_MAX: usize = 4096;
/// A code with more bytes between its ESC and its last byte counts as text.
const PLAIN_MAX: usize = 16;

/// The first token of some bytes, with its length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Text.
    Plain(usize),
    /// A line break or a return to the beginning of the line.
    Break(usize),
    /// A code that selects colours and attributes; its parameters are between the two places.
    Style(usize, (usize, usize)),
    /// Another code.
    Code(usize),
    /// A string for the terminal; its text is between the two places.
    Text(usize, (usize, usize)),
    /// A control character or another invisible character.
    Hidden(usize),
    /// The beginning of a token whose end has not arrived yet.
    Unfinished,
}

/// Bytes that may start a token other than text.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 256 {
        table[at] = matches!(at, 0..=8 | 10..=31 | 0x7f | 0xc2 | 0xcd | 0xd8 | 0xdb | 0xdc | 0xe0..=0xe3 | 0xef | 0xf0 | 0xf3);
        at += 1;
    }
    table
};

/// The first token of `bytes`, which must not be empty. With `last`, nothing follows the bytes.
pub fn token(bytes: &[u8], last: bool) -> Token {
    let mut plain = 0;
    loop {
        let rest = bytes.get(plain..).unwrap_or_default();
        plain += rest.iter().position(|byte| SPECIAL[usize::from(*byte)]).unwrap_or(rest.len());
        let Some(found) = bytes.get(plain..).filter(|rest| !rest.is_empty()) else {
            return Token::Plain(plain);
        };
        match special(found, last) {
            Token::Plain(len) => plain += len,
            _ if plain > 0 => return Token::Plain(plain),
            token => return token,
        }
    }
}

fn special(bytes: &[u8], last: bool) -> Token {
    let unfinished = if last { Token::Code(bytes.len()) } else { Token::Unfinished };
    match bytes {
        [b'\n', ..] | [b'\r', ..] => Token::Break(1),
        [0x1b] => unfinished,
        [0x1b, b'[', ..] => csi(bytes, 2, last),
        [0x1b, b']' | b'P' | b'X' | b'^' | b'_', ..] => string(bytes, 2, last),
        [0x1b, b' '..=b'/', ..] => {
            let after = bytes.iter().skip(1).take(PLAIN_MAX).position(|byte| !matches!(byte, b' '..=b'/'));
            match after {
                Some(at) if matches!(bytes[at + 1], b'0'..=b'~') => Token::Code(at + 2),
                Some(at) => Token::Code(at + 1),
                None if bytes.len() <= PLAIN_MAX => unfinished,
                None => Token::Code(1),
            }
        }
        [0x1b, b'0'..=b'~', ..] => Token::Code(2),
        [0x1b, ..] => Token::Code(1),
        // The same codes as single characters of the C1 set.
        [0xc2, 0x9b, ..] => csi(bytes, 2, last),
        [0xc2, 0x90 | 0x98 | 0x9d..=0x9f, ..] => string(bytes, 2, last),
        [0..=0x1f | 0x7f, ..] => Token::Hidden(1),
        _ => character(bytes, last),
    }
}

fn csi(bytes: &[u8], from: usize, last: bool) -> Token {
    let params = bytes.get(from..).unwrap_or_default();
    match params.iter().take(CSI_MAX).position(|byte| !matches!(byte, 0x20..=0x3f)) {
        Some(len) => match params.get(len) {
            Some(b'm') => Token::Style(from + len + 1, (from, from + len)),
            Some(0x40..=0x7e) => Token::Code(from + len + 1),
            // Something else ends it before its end.
            _ => Token::Code(from + len),
        },
        None if params.len() >= CSI_MAX => Token::Code(from),
        None if last => Token::Code(bytes.len()),
        None => Token::Unfinished,
    }
}

/// A string ends with BEL, ST, CAN or SUB, before any other escape code, and with the line.
fn string(bytes: &[u8], from: usize, last: bool) -> Token {
    let body = bytes.get(from..).unwrap_or_default();
    let mut at = 0;
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty() && at < STRING_MAX) {
        let end = from + at;
        match rest {
            [0x07 | 0x18 | 0x1a, ..] => return Token::Text(end + 1, (from, end)),
            [0x1b, b'\\', ..] | [0xc2, 0x9c, ..] => return Token::Text(end + 2, (from, end)),
            [0x1b] | [0xc2] if !last => return Token::Unfinished,
            [0x1b | b'\n' | b'\r', ..] => return Token::Text(end, (from, end)),
            _ => at += 1,
        }
    }
    match () {
        // Its text then counts as plain text, so that no text is lost or hidden.
        () if body.len() >= STRING_MAX => Token::Code(from),
        () if last => Token::Text(bytes.len(), (from, bytes.len())),
        () => Token::Unfinished,
    }
}

/// A character of several bytes that may be invisible.
fn character(bytes: &[u8], last: bool) -> Token {
    let len = match bytes.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        _ => 4,
    };
    let Some(own) = bytes.get(..len) else {
        let cut = bytes.iter().skip(1).all(|byte| matches!(byte, 0x80..=0xbf));
        return if cut && !last { Token::Unfinished } else { Token::Plain(1) };
    };
    match std::str::from_utf8(own).ok().and_then(|text| text.chars().next()) {
        Some(c) if is_hidden(c) => Token::Hidden(len),
        Some(_) => Token::Plain(len),
        None => Token::Plain(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(bytes: &[u8]) -> Token {
        token(bytes, true)
    }

    #[test]
    fn codes_end_where_a_terminal_ends_them() {
        assert_eq!(first(b"abc\x1b[m"), Token::Plain(3));
        assert_eq!(first(b"\x1b[1;31mx"), Token::Style(7, (2, 6)));
        assert_eq!(first("\u{9b}1mx".as_bytes()), Token::Style(4, (2, 3)));
        assert_eq!(first(b"\x1b[?25lx"), Token::Code(6));
        assert_eq!(first(b"\x1b[31\nx"), Token::Code(4));
        assert_eq!(first(b"\x1b]0;t\x07x"), Token::Text(6, (2, 5)));
        assert_eq!(first(b"\x1b]0;t\x1b\\x"), Token::Text(7, (2, 5)));
        assert_eq!(first(b"\x1b]0;t\x1b[mx"), Token::Text(5, (2, 5)));
        assert_eq!(first(b"\x1bPq\x18x"), Token::Text(4, (2, 3)));
        assert_eq!(first("\u{9d}0;t\u{9c}x".as_bytes()), Token::Text(7, (2, 5)));
        assert_eq!(first("\u{9f}t\nx".as_bytes()), Token::Text(3, (2, 3)));
        assert_eq!(first(b"\x1b(Bx"), Token::Code(3));
        assert_eq!(first(b"\x1b7x"), Token::Code(2));
        assert_eq!(first(b"\x08x"), Token::Hidden(1));
        assert_eq!(first("\u{202e}x".as_bytes()), Token::Hidden(3));
        assert_eq!(first("\u{20ac}\u{e9}\u{1f511}x".as_bytes()), Token::Plain(10));
        assert_eq!(first(b"\r\n"), Token::Break(1));
    }

    #[test]
    fn an_unfinished_token_waits_for_its_end_up_to_a_limit() {
        for start in ["\x1b", "\x1b[1;3", "\x1b]0;title", "\x1b]0;title\x1b", "\x1b(", "\u{9d}0;"] {
            assert_eq!(token(start.as_bytes(), false), Token::Unfinished, "{start:?}");
            assert_ne!(token(start.as_bytes(), true), Token::Unfinished, "{start:?}");
        }
        assert_eq!(token(b"\xe2\x80", false), Token::Unfinished);
        assert_eq!(token(b"\xe2\x80", true), Token::Plain(2));
        assert_eq!(token(&[b"\x1b]".as_slice(), &[b'a'; 5_000]].concat(), false), Token::Code(2));
        assert_eq!(token(&[b"\x1b[".as_slice(), &[b'1'; 5_000]].concat(), false), Token::Code(2));
        assert_eq!(token(&[b"\x1b".as_slice(), &[b'('; 5_000]].concat(), false), Token::Code(1));
    }

    proptest::proptest! {
        #[test]
        fn every_byte_belongs_to_one_token(bytes in proptest::collection::vec(proptest::prop_oneof![
            proptest::prelude::any::<u8>(), proptest::sample::select(b"\x1b[];m0123:\\P(\x07\xc2\x9b\x9c\xe2\x80\n".to_vec())
        ], 0..200)) {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let len = match token(rest, true) {
                    Token::Plain(len) | Token::Break(len) | Token::Style(len, _) | Token::Code(len)
                    | Token::Text(len, _) | Token::Hidden(len) => len,
                    Token::Unfinished => panic!("unfinished at the end of {bytes:?}"),
                };
                assert!(len > 0 && len <= rest.len());
                rest = &rest[len..];
            }
        }
    }
}
