//! The two ways to put load on a hub.
//!
//! *Open loop*: requests arrive on a fixed schedule whether or not earlier ones were answered, as
//! they do from many clerks, and latency counts from the moment a request was due, so that a stall
//! shows in every request it delayed. *Closed loop*: so many connections, each sending as soon as
//! it was answered; gives the highest rate, says little about latency.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, mpsc};

use crate::{
    client::{Call, Target},
    error::Error,
    measure::Tally,
};

/// Makes the n-th request.
pub type Calls = Arc<dyn Fn(u64) -> Call + Send + Sync>;

/// A schedule.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Requests a second.
    pub rate: f64,
    /// How long.
    pub duration: Duration,
    /// Connections; each carries one request at a time.
    pub connections: usize,
    /// Requests that may wait for a free connection; one that is due beyond that is an error
    /// (`overflow`) and is not sent.
    pub waiting: usize,
}

/// What an open loop gave.
pub struct OpenLoop {
    /// Requests that were due.
    pub due: u64,
    /// Latencies from the due time, and errors.
    pub tally: Tally,
    /// From the first request's due time to the last answer.
    pub elapsed: Duration,
}

/// Sends requests on schedule.
///
/// # Errors
/// `Connection` if the connections cannot be opened at the start; later failures are counted.
pub async fn open_loop(
    target: &Target,
    calls: Calls,
    schedule: Schedule,
) -> Result<OpenLoop, Error> {
    let (due_to, due) = mpsc::channel::<(u64, Instant)>(schedule.waiting.max(1));
    let due = Arc::new(Mutex::new(due));
    let mut workers = Vec::with_capacity(schedule.connections);
    for _ in 0..schedule.connections.max(1) {
        let connection = target.connect().await?;
        workers.push((target.clone(), connection, due.clone(), calls.clone()));
    }
    let workers: Vec<_> = workers
        .into_iter()
        .map(|(target, connection, due, calls)| {
            tokio::spawn(async move {
                let mut tally = Tally::new();
                let mut connection = Some(connection);
                loop {
                    // The lock is held while waiting: the connections take turns.
                    let Some((number, at)) = due.lock().await.recv().await else { return tally };
                    let outcome = match connection.take() {
                        Some(open) => Ok(open),
                        None => target.connect().await,
                    };
                    let outcome = match outcome {
                        Ok(mut open) => {
                            let outcome = open.send(&calls(number)).await;
                            connection = outcome.is_ok().then_some(open);
                            outcome
                        }
                        Err(error) => Err(error),
                    };
                    tally.record(&outcome, at.elapsed());
                }
            })
        })
        .collect();

    let start = Instant::now() + Duration::from_millis(20);
    // The runtime's timer ticks every millisecond, which would add that to every latency; a thread
    // of its own sleeps to some tens of microseconds.
    let clock = std::thread::spawn(move || keep_schedule(schedule, start, due_to));
    let mut tally = Tally::new();
    for worker in workers {
        let of_worker = worker.await.map_err(|error| Error::Program {
            program: "a connection's task".to_owned(),
            said: error.to_string(),
        })?;
        tally.add(&of_worker);
    }
    let elapsed = start.elapsed();
    let (due, overflow) = clock.join().unwrap_or_default();
    for _ in 0..overflow {
        tally.error("overflow");
    }
    Ok(OpenLoop { due, tally, elapsed })
}

/// Hands out every request when it is due; returns how many were due and how many of them found
/// the queue full.
fn keep_schedule(
    schedule: Schedule,
    start: Instant,
    due: mpsc::Sender<(u64, Instant)>,
) -> (u64, u64) {
    let count = (schedule.rate * schedule.duration.as_secs_f64()).round() as u64;
    let mut overflow = 0;
    for number in 0..count {
        let at = start + Duration::from_secs_f64(number as f64 / schedule.rate);
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if due.try_send((number, at)).is_err() {
            overflow += 1;
        }
    }
    (count, overflow)
}

/// What a closed loop gave.
pub struct ClosedLoop {
    /// Latencies and errors.
    pub tally: Tally,
    /// How long it took.
    pub elapsed: Duration,
}

impl ClosedLoop {
    /// Successful requests a second.
    pub fn rate(&self) -> f64 {
        self.tally.succeeded() as f64 / self.elapsed.as_secs_f64()
    }
}

/// When a closed loop ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so long.
    Elapsed(Duration),
    /// After so many requests.
    Sent(u64),
}

/// Sends requests numbered from `first`, on so many connections, each as soon as it was answered.
///
/// # Errors
/// `Connection` if the connections cannot be opened at the start; later failures are counted.
pub async fn closed_loop(
    target: &Target,
    calls: Calls,
    connections: usize,
    first: u64,
    until: Until,
) -> Result<ClosedLoop, Error> {
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections.max(1) {
        opened.push(target.connect().await?);
    }
    let next = Arc::new(AtomicU64::new(first));
    let start = Instant::now();
    let (deadline, last) = match until {
        Until::Elapsed(duration) => (Some(start + duration), u64::MAX),
        Until::Sent(count) => (None, first.saturating_add(count)),
    };
    let workers: Vec<_> = opened
        .into_iter()
        .map(|mut connection| {
            let (target, next, calls) = (target.clone(), next.clone(), calls.clone());
            tokio::spawn(async move {
                let mut tally = Tally::new();
                while deadline.is_none_or(|deadline| Instant::now() < deadline) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= last {
                        break;
                    }
                    let sent = Instant::now();
                    let outcome = connection.send(&calls(number)).await;
                    tally.record(&outcome, sent.elapsed());
                    if outcome.is_err() {
                        match target.connect().await {
                            Ok(again) => connection = again,
                            Err(error) => {
                                tally.error(error.code());
                                break;
                            }
                        }
                    }
                }
                tally
            })
        })
        .collect();
    let mut tally = Tally::new();
    for worker in workers {
        let of_worker = worker.await.map_err(|error| Error::Program {
            program: "a connection's task".to_owned(),
            said: error.to_string(),
        })?;
        tally.add(&of_worker);
    }
    Ok(ClosedLoop { tally, elapsed: start.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_hands_out_every_request_in_order_and_not_before_it_is_due() {
        let schedule = Schedule {
            rate: 2_000.0,
            duration: Duration::from_millis(100),
            connections: 1,
            waiting: 1_000,
        };
        let (sender, mut due) = mpsc::channel(schedule.waiting);
        let start = Instant::now();
        assert_eq!(keep_schedule(schedule, start, sender), (200, 0));
        assert!(start.elapsed() >= Duration::from_millis(99), "sent early");
        for expected in 0..200 {
            let (number, at) = due.try_recv().unwrap();
            assert_eq!(number, expected);
            assert_eq!((at - start).as_micros(), u128::from(expected) * 500);
        }
    }

    #[test]
    fn what_finds_the_queue_full_is_an_overflow_and_not_a_delay() {
        let schedule = Schedule {
            rate: 10_000.0,
            duration: Duration::from_millis(10),
            connections: 1,
            waiting: 30,
        };
        let (sender, _due) = mpsc::channel(schedule.waiting);
        assert_eq!(keep_schedule(schedule, Instant::now(), sender), (100, 70));
    }
}
