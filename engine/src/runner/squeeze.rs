//! Looking past what may stand inside a secret without belonging to it: colour codes and line wraps.

/// A colour code longer than this is text.
const ESCAPE_MAX: usize = 32;
/// As many colour codes and line breaks in a row are skipped between two characters of a secret.
const GAP_MAX: usize = 8;

/// Raw bytes without colour codes and single line breaks, with the way back to the raw places.
pub(super) struct Squeezed {
    pub(super) text: Vec<u8>,
    /// Skipped stretches: place in `text` before which they stood, raw start, raw length.
    gaps: Vec<(usize, usize, usize)>,
    /// End of the raw bytes that were taken in; what follows is an unfinished code.
    pub(super) certain: usize,
}

impl Squeezed {
    pub(super) fn of(raw: &[u8], last: bool) -> Self {
        let mut this = Self { text: Vec::with_capacity(raw.len()), gaps: Vec::new(), certain: raw.len() };
        let mut at = 0;
        let mut in_a_row = 0;
        let mut after_break = false;
        while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
            let plain =
                rest.iter().position(|byte| matches!(byte, 0x1b | b'\n' | b'\r')).unwrap_or(rest.len());
            if plain > 0 {
                this.text.extend_from_slice(&rest[..plain]);
                at += plain;
                (in_a_row, after_break) = (0, false);
                continue;
            }
            let skip = match skippable(rest, last) {
                Skip::Bytes(len) => len,
                Skip::Unfinished => {
                    this.certain = at;
                    break;
                }
                Skip::No => 0,
            };
            let is_break = rest.first() == Some(&b'\n') || rest.starts_with(b"\r\n");
            if skip == 0 || in_a_row >= GAP_MAX || (is_break && after_break) {
                let len = skip.max(1);
                this.text.extend_from_slice(&rest[..len]);
                at += len;
                (in_a_row, after_break) = (0, false);
            } else {
                this.gaps.push((this.text.len(), at, skip));
                at += skip;
                in_a_row += 1;
                after_break |= is_break;
            }
        }
        this
    }

    /// Raw place of the byte `at` of the text.
    pub(super) fn raw(&self, at: usize) -> usize {
        let gaps = self.gaps.partition_point(|gap| gap.0 <= at);
        gaps.checked_sub(1)
            .and_then(|last| self.gaps.get(last))
            .map_or(at, |gap| gap.1 + gap.2 + (at - gap.0))
    }

    /// Raw place just after the byte before `at` of the text.
    pub(super) fn raw_end(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.raw(before) + 1)
    }

    /// Calls `with` for each skipped stretch strictly between two places of the text.
    pub(super) fn skipped(&self, start: usize, end: usize, mut with: impl FnMut(usize, usize)) {
        let from = self.gaps.partition_point(|gap| gap.0 <= start);
        for gap in self.gaps.iter().skip(from).take_while(|gap| gap.0 < end) {
            with(gap.1, gap.1 + gap.2);
        }
    }
}

enum Skip {
    Bytes(usize),
    Unfinished,
    No,
}

fn skippable(rest: &[u8], last: bool) -> Skip {
    let unfinished = if last { Skip::No } else { Skip::Unfinished };
    match rest {
        [b'\n', ..] => Skip::Bytes(1),
        [b'\r', b'\n', ..] => Skip::Bytes(2),
        [b'\r'] | [0x1b] => unfinished,
        [0x1b, b'[', tail @ ..] => {
            match tail.iter().take(ESCAPE_MAX).position(|byte| !matches!(byte, 0x20..=0x3f)) {
                Some(end) if matches!(tail[end], 0x40..=0x7e) => Skip::Bytes(end + 3),
                None if tail.len() < ESCAPE_MAX => unfinished,
                _ => Skip::No,
            }
        }
        [0x1b, b'(', _, ..] => Skip::Bytes(3),
        [0x1b, b'('] => unfinished,
        _ => Skip::No,
    }
}
