//! How long to wait after a failure.

use std::time::Duration;

use super::RunnerSettings;

/// The pause after this many failures in a row (from 1): the first pause, doubled for each further failure, at most
/// the longest pause, of which a random part between one half and all is taken, so that hubs that failed together
/// do not come back together.
///
/// * `random`: 0 to 1.
/// * `asked`: how long the counterpart asked to be left alone; kept to as far as the longest pause allows.
pub(super) fn pause(
    settings: &RunnerSettings,
    failures: u32,
    random: f64,
    asked: Option<Duration>,
) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let full = settings.backoff_min.saturating_mul(1 << doublings).min(settings.backoff_max);
    let part = full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
    part.max(asked.unwrap_or_default().min(settings.backoff_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> RunnerSettings {
        RunnerSettings {
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            ..RunnerSettings::default()
        }
    }

    #[test]
    fn pauses_double_up_to_the_cap_and_are_spread() {
        for (failures, random, millis) in [
            (1, 1.0, 100),
            (1, 0.0, 50),
            (2, 1.0, 200),
            (3, 0.5, 300),
            (7, 1.0, 6_400),
            (8, 1.0, 10_000),
            (8, 0.0, 5_000),
            (u32::MAX, 1.0, 10_000),
        ] {
            assert_eq!(pause(&settings(), failures, random, None), Duration::from_millis(millis));
        }
    }

    #[test]
    fn a_counterpart_that_asks_for_time_gets_it_within_the_cap() {
        let asked = |seconds| pause(&settings(), 1, 1.0, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(0), Duration::from_millis(100));
        assert_eq!(asked(3), Duration::from_secs(3));
        assert_eq!(asked(86_400), Duration::from_secs(10));
    }
}
