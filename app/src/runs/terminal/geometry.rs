//! Converts scroll positions to lines and back, for logs taller than a browser can scroll.

/// Height of a row in CSS pixels; the style sheet has the same value.
pub const ROW: f64 = 20.0;
/// The tallest scrolled box, in CSS pixels. Browsers stop counting between 17 and 33 million.
pub const TALLEST: f64 = 8_000_000.0;
/// Rows kept above and below the visible ones, so that they are present when the reader scrolls.
pub const AROUND: u64 = 60;

/// A log of `total` lines in a window `height` pixels high.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// Lines laid out.
    pub total: u64,
    /// Height of the window, pixels.
    pub height: f64,
}

impl Geometry {
    fn content(self) -> f64 {
        self.total as f64 * ROW
    }

    /// Height of the box that is scrolled.
    pub fn spacer(self) -> f64 {
        self.content().min(TALLEST)
    }

    /// The greatest scroll position.
    pub fn bottom(self) -> f64 {
        (self.spacer() - self.height).max(0.0)
    }

    /// The line at the upper edge, with the share of it that is scrolled away.
    pub fn line_at(self, scroll: f64) -> f64 {
        let lines = (self.content() - self.height).max(0.0) / ROW;
        if self.bottom() > 0.0 { (scroll / self.bottom()).clamp(0.0, 1.0) * lines } else { 0.0 }
    }

    /// Whether one scrolled pixel is more than one pixel of the log: new lines then move the visible ones.
    pub fn is_scaled(self) -> bool {
        self.content() > TALLEST
    }

    /// The scroll position with `top` at the upper edge; the inverse of [`Geometry::line_at`].
    pub fn scroll_at(self, top: f64) -> f64 {
        let lines = (self.content() - self.height).max(0.0) / ROW;
        if lines > 0.0 { top.clamp(0.0, lines) / lines * self.bottom() } else { 0.0 }
    }

    /// The upper edge that puts `line` a third down the window.
    pub fn top_for(self, line: u64) -> f64 {
        (line as f64 - self.height / ROW / 3.0).max(0.0)
    }

    /// The lines to lay out, first and one past the last, when the upper edge is at `top`.
    pub fn window(self, top: f64) -> (u64, u64) {
        let first = (top as u64).saturating_sub(AROUND);
        let last = (top + self.height / ROW) as u64 + 1 + AROUND;
        (first.min(self.total), last.min(self.total))
    }
}

/// A number with thousands separators: `1,000,000`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_log_scrolls_pixel_by_pixel() {
        let g = Geometry { total: 1_000, height: 700.0 };
        assert!(!g.is_scaled() && g.spacer() == 20_000.0);
        assert_eq!(g.line_at(0.0), 0.0);
        assert!((g.line_at(130.0) - 6.5).abs() < 1e-9);
        assert_eq!(g.line_at(g.bottom()), 965.0);
    }

    #[test]
    fn every_line_of_a_million_can_be_reached_and_found_again() {
        let g = Geometry { total: 1_000_000, height: 700.0 };
        assert!(g.is_scaled() && g.spacer() == TALLEST);
        assert_eq!(g.line_at(g.bottom()), 999_965.0);
        for line in [0, 1, 17, 499_999, 750_123, 999_980, 999_999] {
            // A browser keeps scroll positions to about a pixel.
            let top = g.line_at(g.scroll_at(g.top_for(line)).round());
            assert!(top <= line as f64 + 0.01 && (line as f64) < top + 35.0, "{line} {top}");
        }
    }

    #[test]
    fn few_rows_are_laid_out_at_every_position() {
        for total in [0, 1, 30, 1_000, 1_000_000, 50_000_000] {
            let g = Geometry { total, height: 900.0 };
            for share in [0.0, 0.3, 1.0] {
                let (first, last) = g.window(g.line_at(g.bottom() * share));
                assert!(first <= last && last <= total && last - first <= 200, "{total} {share}");
            }
        }
        let end = Geometry { total: 1_000_000, height: 900.0 };
        assert_eq!(end.window(end.line_at(end.bottom())).1, 1_000_000);
    }

    #[test]
    fn a_log_that_fits_does_not_scroll() {
        let g = Geometry { total: 3, height: 700.0 };
        assert_eq!((g.bottom(), g.line_at(50.0), g.scroll_at(g.top_for(2))), (0.0, 0.0, 0.0));
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
