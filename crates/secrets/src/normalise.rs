//! Removes text that may occur inside a secret without being part of it: escape codes, control and other invisible
//! characters, and line wraps.

use std::ops::Range;

use super::escape::{Token, token};

/// The number of consecutive bytes that are skipped between two characters of a secret.
const GAP_MAX: usize = 8 * 1024;

/// Raw bytes without the parts that a terminal does not print, with a mapping to the places in the raw bytes.
pub(super) struct Normalised {
    pub(super) text: Vec<u8>,
    gaps: Vec<Gap>,
    /// End of the raw bytes that were processed; an unfinished code follows.
    pub(super) certain: usize,
}

struct Gap {
    /// Place in the text that follows it.
    at: usize,
    start: usize,
    len: usize,
    /// Whether it must be kept after a mask: colours and line breaks must.
    works: bool,
    /// Raw place of the text inside a string for the terminal.
    inner: Option<Range<usize>>,
}

impl Normalised {
    pub(super) fn of(raw: &[u8], last: bool) -> Self {
        let mut this = Self { text: Vec::with_capacity(raw.len()), gaps: Vec::new(), certain: raw.len() };
        let mut at = 0;
        let mut in_a_row = 0;
        while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
            let (len, works, inner) = match token(rest, last) {
                Token::Plain(len) => {
                    this.text.extend_from_slice(&rest[..len]);
                    at += len;
                    in_a_row = 0;
                    continue;
                }
                Token::Unfinished => {
                    this.certain = at;
                    break;
                }
                Token::Break(len) | Token::Style(len, _) | Token::Code(len) => (len, true, None),
                Token::Text(len, (from, to)) => (len, false, Some(at + from..at + to)),
                Token::Hidden(len) => (len, false, None),
            };
            if in_a_row + len > GAP_MAX {
                this.text.extend_from_slice(&rest[..len]);
                in_a_row = 0;
            } else {
                this.gaps.push(Gap { at: this.text.len(), start: at, len, works, inner });
                in_a_row += len;
            }
            at += len;
        }
        this
    }

    /// Raw place of the byte `at` of the text.
    pub(super) fn raw(&self, at: usize) -> usize {
        let gaps = self.gaps.partition_point(|gap| gap.at <= at);
        gaps.checked_sub(1)
            .and_then(|last| self.gaps.get(last))
            .map_or(at, |gap| gap.start + gap.len + (at - gap.at))
    }

    /// Raw place just after the byte before `at` of the text.
    pub(super) fn raw_end(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.raw(before) + 1)
    }

    /// Raw places of the gaps strictly between two places of the text that must be kept after a mask.
    pub(super) fn working(&self, start: usize, end: usize) -> impl Iterator<Item = Range<usize>> {
        let from = self.gaps.partition_point(|gap| gap.at <= start);
        let inside = self.gaps.iter().skip(from).take_while(move |gap| gap.at < end);
        inside.filter(|gap| gap.works).map(|gap| gap.start..gap.start + gap.len)
    }

    /// Raw places of the texts inside strings for the terminal, in order.
    pub(super) fn inner(&self) -> impl Iterator<Item = Range<usize>> {
        self.gaps.iter().filter_map(|gap| gap.inner.clone())
    }
}

/// The bytes as [`Normalised`] shows them, and the texts inside strings for the terminal.
pub(super) fn normalised(bytes: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let all = Normalised::of(bytes, true);
    let inner = all.inner().map(|place| bytes[place].to_vec()).collect();
    (all.text, inner)
}
