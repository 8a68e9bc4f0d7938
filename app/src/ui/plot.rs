//! The measured values of a check as a small chart: one value per release, with the threshold.

use domain::check::{Check, Want};
use domain::evidence::{Evidence, Outcome};
use domain::flaky::TrendPoint;
use leptos::prelude::*;

/// The units of the chart; the style sheet sets its size.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 36.0;
const EDGE: f64 = 4.0;

/// One value of the chart.
struct Point {
    /// The release or run of the value: `#3`, `run 42`.
    name: String,
    value: f64,
    outcome: Outcome,
}

/// The trend over releases or, while there is only one release, the last values. Empty with fewer than two values.
/// `history` is newest first.
pub fn trend_plot(check: &Check, trend: &[TrendPoint], history: &[Evidence]) -> AnyView {
    let (what, points): (&str, Vec<Point>) = if trend.len() > 1 {
        let point =
            |p: &TrendPoint| Point { name: format!("#{}", p.release), value: p.value, outcome: p.outcome };
        ("by release", trend.iter().map(point).collect())
    } else {
        let point = |e: &Evidence| {
            let value = e.finding.value.filter(|v| v.is_finite())?;
            Some(Point { name: format!("run {}", e.run), value, outcome: e.finding.outcome })
        };
        ("of the last runs", history.iter().rev().filter_map(point).collect())
    };
    match points.as_slice() {
        [_, .., last] => draw(check, what, &points, last),
        _ => ().into_any(),
    }
}

fn draw(check: &Check, what: &str, points: &[Point], last: &Point) -> AnyView {
    let want = check.want.as_ref();
    let unit = want.map(|w| w.unit.clone()).unwrap_or_default();
    let number = |value: f64| {
        let text = ((value * 100.0).round() / 100.0).to_string();
        if unit.is_empty() { text } else { format!("{text} {unit}") }
    };
    let scale = Scale::of(points, want);
    let step = (WIDTH - 2.0 * EDGE) / (points.len() - 1) as f64;
    let place = |at: usize, value: f64| (EDGE + at as f64 * step, scale.y(value));
    let line: Vec<String> = points
        .iter()
        .enumerate()
        .map(|(at, p)| {
            let (x, y) = place(at, p.value);
            format!("{x:.1},{y:.1}")
        })
        .collect();
    let marks = points
        .iter()
        .enumerate()
        .map(|(at, p)| {
            let (x, y) = place(at, p.value);
            let class = format!("plot__{}", p.outcome.slug());
            view! { <circle class=class cx=format!("{x:.1}") cy=format!("{y:.1}") r="2"></circle> }
        })
        .collect_view();
    let border = want.map(|w| {
        let y = format!("{:.1}", scale.y(w.number));
        view! { <line class="plot__want" x1="0" x2=WIDTH.to_string() y1=y.clone() y2=y></line> }
    });
    let values: Vec<String> = points.iter().map(|p| format!("{} {}", p.name, number(p.value))).collect();
    let expected = want.map(|w| format!(", expected {w}")).unwrap_or_default();
    let label = format!("Values {what}: {}{expected}", values.join(", "));
    let title = label.clone();
    view! {
        <span class="row">
            <svg class="plot" viewBox=format!("0 0 {WIDTH} {HEIGHT}") role="img" aria-label=label>
                <title>{title}</title>
                {border}
                <polyline class="plot__line" points=line.join(" ")></polyline>
                {marks}
            </svg>
            <span class="small muted num">{format!("{} {}", last.name, number(last.value))}</span>
        </span>
    }
    .into_any()
}

/// Converts values to heights. The threshold is always inside the chart.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(points: &[Point], want: Option<&Want>) -> Scale {
        let values = points.iter().map(|p| p.value).chain(want.map(|w| w.number));
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        Scale { low, high }
    }

    fn y(&self, value: f64) -> f64 {
        let spread = self.high - self.low;
        let share = if spread > 0.0 { (value - self.low) / spread } else { 0.5 };
        HEIGHT - EDGE - share * (HEIGHT - 2.0 * EDGE)
    }
}
