//! Thresholds of measured values.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A threshold: comparison, number, unit. Written `>= 65 %`, `< 600 ms`, `== 0`; or `absent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Want {
    /// How the measured value is compared.
    pub comparison: Comparison,
    /// The number on the right.
    pub number: f64,
    /// Unit, as written; empty for counts.
    pub unit: String,
}

/// The comparisons of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    Greater,
    /// `absent`: there must be no value. No number meets it.
    Absent,
}

impl Comparison {
    fn symbol(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::Equal => "==",
            Comparison::AtLeast => ">=",
            Comparison::Greater => ">",
            Comparison::Absent => "absent",
        }
    }
}

impl Want {
    /// Whether the threshold is `absent`.
    pub fn is_absent(&self) -> bool {
        self.comparison == Comparison::Absent
    }

    /// Whether `value` meets the threshold. NaN never does.
    pub fn is_met_by(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Less => value < self.number,
            Comparison::AtMost => value <= self.number,
            Comparison::Equal => value == self.number,
            Comparison::AtLeast => value >= self.number,
            Comparison::Greater => value > self.number,
            Comparison::Absent => false,
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_absent() {
            return f.write_str(self.comparison.symbol());
        }
        write!(f, "{} {}", self.comparison.symbol(), self.number)?;
        if !self.unit.is_empty() {
            write!(f, " {}", self.unit)?;
        }
        Ok(())
    }
}

impl From<Want> for String {
    fn from(want: Want) -> String {
        want.to_string()
    }
}

impl TryFrom<String> for Want {
    type Error = BadWant;

    fn try_from(s: String) -> Result<Want, BadWant> {
        s.parse()
    }
}

/// The text is not a threshold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a threshold; use the form “>= 65 %”, “< 600 ms”, “== 0” or “absent”")]
pub struct BadWant(pub String);

impl FromStr for Want {
    type Err = BadWant;

    fn from_str(s: &str) -> Result<Want, BadWant> {
        let bad = || BadWant(s.to_owned());
        let text = s.trim();
        if text == Comparison::Absent.symbol() {
            return Ok(Want { comparison: Comparison::Absent, number: 0.0, unit: String::new() });
        }
        let table = [
            ("<=", Comparison::AtMost),
            ("≤", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("≥", Comparison::AtLeast),
            ("==", Comparison::Equal),
            ("=", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let (symbol, comparison) =
            table.into_iter().find(|(symbol, _)| text.starts_with(symbol)).ok_or_else(bad)?;
        let rest = text[symbol.len()..].trim();
        let split =
            rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(rest.len());
        let number: f64 = rest[..split].parse().map_err(|_| bad())?;
        if !number.is_finite() {
            return Err(bad());
        }
        Ok(Want { comparison, number, unit: rest[split..].trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_read_and_print() {
        for (text, shown) in [
            (">= 65 %", ">= 65 %"),
            ("≥65%", ">= 65 %"),
            ("< 600ms", "< 600 ms"),
            ("== 0", "== 0"),
            ("≤ 1.5 %", "<= 1.5 %"),
            (" absent", "absent"),
        ] {
            assert_eq!(text.parse::<Want>().map(|w| w.to_string()), Ok(shown.to_owned()));
        }
        for text in ["", "65 %", ">=", ">= x", "about 3", "absent 3", "== absent"] {
            assert!(text.parse::<Want>().is_err(), "{text} must not be a threshold");
        }
    }

    #[test]
    fn boundary_values_are_compared_correctly() {
        let least: Want = ">= 65 %".parse().unwrap();
        assert!(least.is_met_by(65.0) && !least.is_met_by(64.999) && !least.is_met_by(f64::NAN));
        let less: Want = "< 600 ms".parse().unwrap();
        assert!(!"absent".parse::<Want>().unwrap().is_met_by(0.0));
        assert!(less.is_met_by(599.9) && !less.is_met_by(600.0));
    }
}
