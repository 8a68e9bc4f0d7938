//! The result of many responses: faults, percentiles, error rate, 429 responses.

use std::collections::BTreeMap;

use domain::check::HttpMeasure;
use domain::evidence::Finding;

use super::super::finding::{count_of, failed, figure, judge_value, passed, unknown};
use super::super::http_client::{Answer, NoAnswer};
use super::super::must_not_contain;
use super::super::values::by_pointer;
use super::question::Question;

/// The results of all requests.
#[derive(Default)]
pub(super) struct Tally {
    /// Milliseconds of each expected response.
    pub(super) good_ms: Vec<f64>,
    pub(super) limited: u32,
    /// Unexpected responses other than 429, by what was wrong with them.
    pub(super) bad: BTreeMap<String, u32>,
    /// Set when only the end of a long body, which was not read, could decide.
    pub(super) unseen: Option<String>,
    pub(super) silent: Vec<NoAnswer>,
    pub(super) last: Option<Answer>,
}

impl Tally {
    /// Counts one response, or a missing one.
    pub(super) fn take(&mut self, question: &Question, answer: Result<Answer, NoAnswer>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(none) => return self.silent.push(none),
        };
        if answer.status == 429 && !question.expected.status.contains(&429) {
            self.limited += 1;
        } else {
            match question.expected.fault(&answer) {
                Ok(None) => {
                    self.limited += u32::from(answer.status == 429);
                    self.good_ms.push(answer.ms);
                }
                Ok(Some(fault)) => *self.bad.entry(fault).or_default() += 1,
                Err(unseen) => self.unseen = Some(unseen),
            }
        }
        self.last = Some(answer);
    }

    fn bad_count(&self) -> u32 {
        self.bad.values().sum()
    }

    /// The faults, each with its count.
    fn faults(&self) -> String {
        let many = self.bad_count() > 1 || self.bad.len() > 1;
        let each =
            |(fault, n): (&String, &u32)| if many { format!("{fault} ({n} ×)") } else { fault.clone() };
        self.bad.iter().take(4).map(each).collect::<Vec<_>>().join(", ")
    }

    /// The finding over all requests.
    pub(super) fn judge(self, question: &Question, wanted: String) -> Finding {
        let Some(last) = &self.last else {
            let (saw, next) = self.silent.into_iter().next().map_or_else(
                || ("no request was sent".to_owned(), "Run the check again.".to_owned()),
                |none| (none.saw, none.next),
            );
            return unknown(wanted, saw, next);
        };
        let mut found = match question.measure {
            None => self.judge_answers(question, last),
            Some(measure) if measure.percentile().is_some() => self.judge_time(question, measure),
            Some(HttpMeasure::ErrorRate) => self.judge_errors(question),
            Some(_) => self.judge_limit(question),
        };
        found.wanted = wanted;
        found
    }

    fn judge_answers(&self, question: &Question, last: &Answer) -> Finding {
        let look = "Check the log of the service, and the response in the run's log.";
        if !self.bad.is_empty() {
            return failed("", format!("{}: {}", question.url.path(), self.faults()), look);
        }
        if self.limited > 0 && !question.expected.status.contains(&429) {
            let saw =
                format!("{} of {} responses were 429 (Too Many Requests)", self.limited, question.requests);
            return unknown("", saw, "Wait until the rate limit has reset, then run the check again.");
        }
        if let Some(unseen) = &self.unseen {
            return unknown("", unseen.clone(), "Use a text that is within the first 64 KiB of the body.");
        }
        if let Some(none) = self.silent.first() {
            let saw = format!(
                "{} of {} requests got no response: {}",
                self.silent.len(),
                question.requests,
                none.saw
            );
            return unknown("", saw, none.next.clone());
        }
        let saw = format!("status {} in {:.0} ms", last.status, last.ms);
        let Some(pointer) = &question.expected.pointer else {
            if question.want.is_some() {
                return unknown(
                    "",
                    format!("{saw}, but the check names no value to compare"),
                    "Give the check a `measure` or a `pointer`.",
                );
            }
            return passed("", saw);
        };
        if last.cut {
            return unknown(
                "",
                "the body is longer than 64 KiB and was not read completely",
                "Request a smaller body.",
            );
        }
        let body = String::from_utf8_lossy(&last.body);
        if question.want.as_ref().is_some_and(|want| want.is_absent()) {
            return must_not_contain::judge(
                must_not_contain::at_pointer(pointer, &body),
                "absent",
                &saw,
                look,
            );
        }
        match by_pointer(pointer, &body) {
            Ok(reading) => {
                let saw = format!("{saw}, {}", reading.detail);
                judge_value(question.want.as_ref(), reading.value, "", saw, look)
            }
            Err(none) => unknown("", format!("{saw}, but {}", none.saw), none.next),
        }
    }

    fn judge_time(&self, question: &Question, measure: HttpMeasure) -> Finding {
        let counted = self.good_ms.len() + self.bad_count() as usize + self.silent.len();
        let rank = measure.percentile().unwrap_or(100.0);
        let Some(ms) = percentile(&self.good_ms, rank) else {
            let saw = format!("no response to measure: {}", self.summary(question));
            return unknown("", saw, "Make the service respond as expected first.");
        };
        let saw = format!(
            "{} {} ms over {}{}{}",
            measure.label(),
            figure(ms),
            count_of(self.good_ms.len(), "response", "responses"),
            self.spread(measure),
            self.remarks()
        );
        if self.limited as usize > self.good_ms.len() {
            return unknown(
                "",
                saw,
                "Most responses were 429. Exempt this host from the rate limit, or send fewer requests.",
            );
        }
        if self.good_ms.len() * 10 < counted * 9 {
            // Otherwise fast errors would look like a fast service.
            return failed(
                "",
                format!("{saw}; more than 10 % of the requests failed"),
                "Check the log of the service.",
            );
        }
        judge_value(question.want.as_ref(), ms, "ms", saw, "Find out what slows the service down.")
    }

    /// The median and the maximum in addition to the judged value.
    fn spread(&self, measure: HttpMeasure) -> String {
        if self.good_ms.len() < 2 {
            return String::new();
        }
        let others = [HttpMeasure::P50, HttpMeasure::Max].into_iter().filter(|other| *other != measure);
        let each = others.filter_map(|other| {
            let ms = percentile(&self.good_ms, other.percentile()?)?;
            Some(format!("{} {ms:.1}", other.label()))
        });
        format!(" ({})", each.collect::<Vec<_>>().join(", "))
    }

    fn judge_errors(&self, question: &Question) -> Finding {
        let errors = self.bad_count() as usize + self.silent.len();
        let counted = self.good_ms.len() + errors;
        if counted == 0 {
            let saw = format!("no request could be counted: {}", self.summary(question));
            return unknown("", saw, "Wait until the rate limit has reset, then run the check again.");
        }
        let rate = errors as f64 * 100.0 / counted as f64;
        let saw = format!("{errors} of {counted} requests failed ({} %){}", figure(rate), self.remarks());
        judge_value(
            question.want.as_ref(),
            rate,
            "%",
            saw,
            "Check the log of the service for the failed requests.",
        )
    }

    fn judge_limit(&self, question: &Question) -> Finding {
        let saw = self.summary(question);
        let next = "Enable the rate limit, or send more requests than it allows.";
        let found = judge_value(question.want.as_ref(), f64::from(self.limited), "", saw, next);
        let most_failed = (self.bad_count() as usize + self.silent.len()) * 2 > question.requests as usize;
        if found.outcome == domain::evidence::Outcome::Fail && most_failed {
            // A failing service does not show whether its rate limit works.
            return unknown(
                "",
                found.saw,
                "Make the service respond as expected first, then run the check again.",
            );
        }
        found
    }

    fn summary(&self, question: &Question) -> String {
        let n = question.requests;
        format!("{} of {n} responses were 429{}", self.limited, self.other_faults())
    }

    fn remarks(&self) -> String {
        let limited = match self.limited {
            0 => String::new(),
            n => format!("; 429 responses counted separately: {n}"),
        };
        format!("{limited}{}", self.other_faults())
    }

    /// What else went wrong, as the end of a sentence.
    pub(super) fn other_faults(&self) -> String {
        let mut text = String::new();
        if !self.bad.is_empty() {
            text.push_str(&format!("; {}", self.faults()));
        }
        if let Some(none) = self.silent.first() {
            text.push_str(&format!("; {} without response ({})", self.silent.len(), none.saw));
        }
        text
    }
}

/// The nearest-rank percentile: the smallest value that `per_cent` of all values do not exceed.
fn percentile(values: &[f64], per_cent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (per_cent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 95.0), Some(95.0));
        assert_eq!(percentile(&[7.0], 95.0), Some(7.0));
        assert_eq!(percentile(&values[..10], 95.0), Some(100.0));
        assert_eq!(percentile(&[], 95.0), None);
    }
}
