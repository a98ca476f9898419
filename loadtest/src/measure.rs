//! What was measured: latencies and errors, and how they are shown.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{client::Answer, error::Error};

/// Latencies of successful requests, and counts of the others by cause.
pub struct Tally {
    latencies: Histogram<u64>,
    errors: BTreeMap<String, u64>,
}

impl Tally {
    /// Nothing yet. Resolution: three digits, up to two minutes.
    pub fn new() -> Self {
        let latencies = Histogram::new_with_bounds(1, 120_000_000, 3);
        Self { latencies: latencies.expect("constant bounds"), errors: BTreeMap::new() }
    }

    /// Counts one exchange. An answer counts as an error unless it is 2xx.
    pub fn record(&mut self, outcome: &Result<Answer, Error>, latency: Duration) {
        match outcome {
            Ok(answer) if (200..300).contains(&answer.status) => {
                let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(micros.max(1));
            }
            Ok(answer) => {
                self.error(format!("{} {}", answer.status, answer.problem()).trim_end());
            }
            Err(error) => self.error(error.code()),
        }
    }

    /// Counts a request that failed, or was not even sent.
    pub fn error(&mut self, cause: &str) {
        *self.errors.entry(cause.to_owned()).or_default() += 1;
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies).expect("one set of bounds");
        for (cause, count) in &other.errors {
            *self.errors.entry(cause.clone()).or_default() += count;
        }
    }

    /// Successful requests.
    pub fn succeeded(&self) -> u64 {
        self.latencies.len()
    }

    /// Failed ones.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The failures by cause, in words.
    pub fn told(&self) -> String {
        let told: Vec<_> =
            self.errors.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        told.join(", ")
    }

    /// An error if anything failed.
    ///
    /// # Errors
    /// `Measured`.
    pub fn require_clean(&self, what: &str) -> Result<(), Error> {
        if self.failed() == 0 {
            return Ok(());
        }
        Err(Error::Measured {
            what: what.to_owned(),
            errors: self.failed(),
            sent: self.failed() + self.succeeded(),
            told: self.told(),
        })
    }

    /// The latencies in milliseconds.
    pub fn latency(&self) -> Latency {
        let at = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1_000.0;
        Latency {
            mean: self.latencies.mean() / 1_000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.latencies.max() as f64 / 1_000.0,
        }
    }

    /// The failures by cause.
    pub fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90 of 100.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

impl Latency {
    /// One line for a terminal.
    pub fn line(&self) -> String {
        let mut line = String::new();
        for (name, value) in [
            ("mean", self.mean),
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p99.9", self.p999),
            ("max", self.max),
        ] {
            let _ = write!(line, "{name} {value:.2}  ");
        }
        line.trim_end().to_owned()
    }
}

/// CPU time that this process has used, all threads: fields 14 and 15 of `/proc/self/stat`, in
/// ticks of 10 ms.
pub fn own_cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in brackets and may hold blanks.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok());
    Duration::from_millis((ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0)) * 10)
}

/// The median of some figures; 0 of none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => figures[odd / 2],
        even => (figures[even / 2 - 1] + figures[even / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Result<Answer, Error> {
        Ok(Answer { status, body: br#"{"code":"not_permitted"}"#.as_slice().into() })
    }

    #[test]
    fn only_success_has_a_latency_and_failures_are_counted_by_cause() {
        let mut tally = Tally::new();
        tally.record(&answer(200), Duration::from_millis(3));
        tally.record(&answer(403), Duration::from_millis(900));
        tally.record(&answer(403), Duration::from_millis(900));
        tally.error("overflow");
        assert_eq!((tally.succeeded(), tally.failed()), (1, 3));
        assert_eq!(tally.told(), "2 403 not_permitted, 1 overflow");
        assert!((2.9..3.1).contains(&tally.latency().max));
        assert_eq!(tally.require_clean("a test").unwrap_err().code(), "failed_requests");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn our_own_cpu_time_grows_with_work() {
        let before = own_cpu_time();
        let start = std::time::Instant::now();
        let mut sum = 0_u64;
        while start.elapsed() < Duration::from_millis(200) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        assert!(own_cpu_time() > before);
    }
}
