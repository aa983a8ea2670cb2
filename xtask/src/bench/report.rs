//! Medians, spreads and ratios, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::SATURATED;
use super::load::Measured;
use super::server::Ground;

/// Least share of the store-less path that durable acknowledgements must reach.
const DURABLE_SHARE_MIN: f64 = 0.45;
/// Most that the p99 at half of saturation may be, in p99s of one `fdatasync`.
const OPEN_LOOP_P99_MAX: f64 = 5.0;
/// Least speed of a storm of repeats, in that of unique callbacks.
const REPEATS_MIN: f64 = 1.0;
/// Most processor time per callback, in that of the store-less path.
const CPU_MAX: f64 = 2.2;

/// One run, as far as the report needs it.
#[derive(Clone, Copy)]
struct Run {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: Option<f64>,
}

impl From<Measured> for Run {
    fn from(measured: Measured) -> Self {
        let count = f64::from(u32::try_from(measured.latencies.len()).unwrap_or(u32::MAX));
        Self {
            rate: count / measured.elapsed.as_secs_f64(),
            p50_ms: percentile_ms(&measured.latencies, 50),
            p99_ms: percentile_ms(&measured.latencies, 99),
            cpu_us: measured.cpu_seconds.map(|seconds| seconds * 1e6 / count),
        }
    }
}

/// Of latencies in ascending order.
fn percentile_ms(micros: &[u32], percent: usize) -> f64 {
    let last = micros.len().saturating_sub(1);
    micros.get(last * percent / 100).map_or(f64::NAN, |micros| f64::from(*micros) / 1e3)
}

/// All runs of all rounds.
pub(super) struct Report {
    rounds: u16,
    seconds: u16,
    /// By scenario, in the order of their names.
    runs: BTreeMap<String, Vec<Run>>,
    sync_p50_ms: Vec<f64>,
    sync_p99_ms: Vec<f64>,
    open_loop_rates: Vec<f64>,
    held: (u64, u64),
}

fn name(ground: Ground, connections: usize) -> String {
    format!("{connections:>3} connections, {}", ground.as_str())
}

const REPEATS: &str = "256 connections, sqlite, repeats";
const OPEN_LOOP: &str = "half of saturation, sqlite";

/// One figure against its target.
struct Target {
    what: &'static str,
    values: Vec<f64>,
    limit: f64,
    at_least: bool,
}

impl Target {
    fn met(&self) -> bool {
        let value = median(&self.values);
        if self.at_least { value >= self.limit } else { value <= self.limit }
    }
}

impl Report {
    pub(super) fn new(rounds: u16, seconds: u16) -> Self {
        Self {
            rounds,
            seconds,
            runs: BTreeMap::new(),
            sync_p50_ms: Vec::new(),
            sync_p99_ms: Vec::new(),
            open_loop_rates: Vec::new(),
            held: (0, 0),
        }
    }

    pub(super) fn saturated(&mut self, ground: Ground, connections: usize, measured: Measured) {
        self.push(name(ground, connections), measured);
    }

    pub(super) fn repeats(&mut self, measured: Measured) {
        self.push(REPEATS.to_owned(), measured);
    }

    pub(super) fn open_loop(&mut self, rate: f64, measured: Measured) {
        self.open_loop_rates.push(rate);
        self.push(OPEN_LOOP.to_owned(), measured);
    }

    pub(super) fn disk(&mut self, mut latencies: Vec<u32>) {
        latencies.sort_unstable();
        self.sync_p50_ms.push(percentile_ms(&latencies, 50));
        self.sync_p99_ms.push(percentile_ms(&latencies, 99));
    }

    pub(super) fn held(&mut self, firsts: u64, repeats: u64) {
        self.held = (firsts, repeats);
    }

    /// Callbacks per second of this round's run.
    pub(super) fn last_rate(&self, ground: Ground, connections: usize) -> f64 {
        self.of(&name(ground, connections)).last().map_or(f64::NAN, |run| run.rate)
    }

    fn push(&mut self, scenario: String, measured: Measured) {
        self.runs.entry(scenario).or_default().push(Run::from(measured));
    }

    fn of(&self, scenario: &str) -> &[Run] {
        self.runs.get(scenario).map_or(&[], Vec::as_slice)
    }

    /// A figure of one scenario in another's, round by round.
    fn ratios(&self, above: &str, below: &str, figure: impl Fn(&Run) -> f64) -> Vec<f64> {
        let pairs = self.of(above).iter().zip(self.of(below));
        pairs.map(|(above, below)| figure(above) / figure(below)).collect()
    }

    fn targets(&self) -> Vec<Target> {
        let [sqlite, none, bare] = Ground::ALL.map(|ground| name(ground, SATURATED));
        let rate = |run: &Run| run.rate;
        let cpu = |run: &Run| run.cpu_us.unwrap_or(f64::NAN);
        let open_loop = self.of(OPEN_LOOP).iter().zip(&self.sync_p99_ms);
        let target = |what, values, limit, at_least| Target { what, values, limit, at_least };
        vec![
            target("acks/s, sqlite / none", self.ratios(&sqlite, &none, rate), DURABLE_SHARE_MIN, true),
            target("acks/s, sqlite / bare", self.ratios(&sqlite, &bare, rate), 0.0, true),
            target("acks/s, repeats / unique", self.ratios(REPEATS, &sqlite, rate), REPEATS_MIN, true),
            target("CPU per callback, sqlite / none", self.ratios(&sqlite, &none, cpu), CPU_MAX, false),
            target(
                "p99 at half of saturation / p99 of fdatasync",
                open_loop.map(|(run, sync)| run.p99_ms / sync).collect(),
                OPEN_LOOP_P99_MAX,
                false,
            ),
        ]
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{} rounds of {} s; median (least to most)\n\n{:<36} {:>26} {:>22} {:>22} {:>8}\n",
            self.rounds, self.seconds, "scenario", "acks/s", "p50 ms", "p99 ms", "CPU µs"
        );
        for (scenario, runs) in &self.runs {
            let column = |figure: fn(&Run) -> f64, digits| spread(&figures(runs, figure), digits);
            let cpu = median(&figures(runs, |run| run.cpu_us.unwrap_or(f64::NAN)));
            let _infallible = writeln!(
                text,
                "{scenario:<36} {:>26} {:>22} {:>22} {cpu:>8.1}",
                column(|run| run.rate, 0),
                column(|run| run.p50_ms, 2),
                column(|run| run.p99_ms, 2),
            );
        }
        let _infallible = writeln!(
            text,
            "{:<36} {:>26} {:>22} {:>22}\n",
            "one fdatasync of 1.2 KB",
            "",
            spread(&self.sync_p50_ms, 2),
            spread(&self.sync_p99_ms, 2)
        );
        for target in self.targets() {
            let sign = if target.at_least { "≥" } else { "≤" };
            let verdict = match (target.limit, target.met()) {
                (0.0, _) => String::new(),
                (limit, true) => format!("target {sign} {limit}: met"),
                (limit, false) => format!("target {sign} {limit}: MISSED"),
            };
            let _infallible =
                writeln!(text, "{:<46} {:>22}  {verdict}", target.what, spread(&target.values, 2));
        }
        let (firsts, repeats) = self.held;
        let _infallible = writeln!(
            text,
            "\nThe store holds all {firsts} callbacks and {repeats} repeats that were acknowledged."
        );
        text
    }

    pub(super) fn json(&self) -> Value {
        let summary = |values: &[f64]| {
            let (least, most) = bounds(values);
            json!({ "median": median(values), "min": least, "max": most })
        };
        let scenario = |(scenario, runs): (&String, &Vec<Run>)| {
            json!({
                "scenario": scenario.trim(),
                "acks_per_second": summary(&figures(runs, |run| run.rate)),
                "p50_ms": summary(&figures(runs, |run| run.p50_ms)),
                "p99_ms": summary(&figures(runs, |run| run.p99_ms)),
                "cpu_us_per_callback": summary(&figures(runs, |run| run.cpu_us.unwrap_or(f64::NAN))),
            })
        };
        let target = |target: Target| {
            let limit = (target.limit > 0.0).then_some(target.limit);
            json!({
                "what": target.what,
                "ratio": summary(&target.values),
                "target": limit,
                "at_least": target.at_least,
                "met": limit.map(|_| target.met()),
            })
        };
        json!({
            "rounds": self.rounds,
            "seconds": self.seconds,
            "scenarios": self.runs.iter().map(scenario).collect::<Vec<_>>(),
            "fdatasync_p50_ms": summary(&self.sync_p50_ms),
            "fdatasync_p99_ms": summary(&self.sync_p99_ms),
            "open_loop_per_second": summary(&self.open_loop_rates),
            "ratios": self.targets().into_iter().map(target).collect::<Vec<_>>(),
            "held": { "callbacks": self.held.0, "repeats": self.held.1 },
        })
    }
}

fn figures(runs: &[Run], figure: impl Fn(&Run) -> f64) -> Vec<f64> {
    runs.iter().map(figure).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (length, middle) if length % 2 == 1 => sorted[middle],
        (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

fn bounds(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    (least, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

fn spread(values: &[f64], digits: usize) -> String {
    let (least, most) = bounds(values);
    format!("{:.digits$} ({least:.digits$} to {most:.digits$})", median(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert!(median(&[]).is_nan());
        let micros: Vec<u32> = (1..=101).map(|value| value * 1_000).collect();
        assert_eq!((percentile_ms(&micros, 50), percentile_ms(&micros, 99)), (51.0, 100.0));
        assert_eq!(spread(&[1.0, 2.0, 4.0], 1), "2.0 (1.0 to 4.0)");
    }
}
