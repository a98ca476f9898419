//! A relay between a connector and its counterpart, on which the network fails as a test wants it to.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Fair,
    /// New connections are ended at once, those that are open too.
    Refuse,
    /// Nothing passes any more, and nothing ends.
    Hang,
    /// So many bytes a second each way.
    Slow(u64),
    /// Connections end after so many more bytes to the counterpart, counted over all connections.
    CutSending(u64),
    /// Connections end after so many more bytes from the counterpart: what was asked for may have been done.
    CutAnswer(u64),
}

/// A relay on a port of the loopback. Dropping it ends it.
pub struct Relay {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    left: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Relay {
    /// A relay to this address, in fair weather.
    pub async fn to(counterpart: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, watched) = watch::channel(Weather::Fair);
        let left = Arc::new(AtomicU64::new(0));
        let shared = left.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((near, _)) = listener.accept().await else { return };
                let (weather, left) = (watched.clone(), shared.clone());
                tokio::spawn(async move {
                    if *weather.borrow() == Weather::Refuse {
                        return;
                    }
                    let Ok(far) = TcpStream::connect(counterpart).await else { return };
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    // Either way's end is the end of both.
                    tokio::select! {
                        () = pass(near_in, far_out, weather.clone(), left.clone(), true) => {}
                        () = pass(far_in, near_out, weather.clone(), left, false) => {}
                        () = refused(weather) => {}
                    }
                });
            }
        });
        Self { address, weather, left, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, for open connections too.
    pub fn set(&self, weather: Weather) {
        if let Weather::CutSending(bytes) | Weather::CutAnswer(bytes) = weather {
            self.left.store(bytes, Ordering::SeqCst);
        }
        self.weather.send_replace(weather);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.weather.send_replace(Weather::Refuse);
        self.task.abort();
    }
}

async fn refused(mut weather: watch::Receiver<Weather>) {
    // An error means that the relay is gone, which ends connections as well.
    let _ = weather.wait_for(|now| *now == Weather::Refuse).await;
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    left: Arc<AtomicU64>,
    sending: bool,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if weather.wait_for(|now| *now != Weather::Hang).await.is_err() {
            return;
        }
        let now = *weather.borrow();
        let bytes = match (now, sending) {
            (Weather::Refuse, _) => return,
            (Weather::CutSending(_), true) | (Weather::CutAnswer(_), false) => {
                let before = left.load(Ordering::SeqCst);
                let passes = before.min(read as u64);
                left.store(before - passes, Ordering::SeqCst);
                &buffer[..passes as usize]
            }
            _ => &buffer[..read],
        };
        if let Weather::Slow(rate) = now {
            for piece in bytes.chunks(256) {
                tokio::time::sleep(Duration::from_secs_f64(piece.len() as f64 / rate as f64)).await;
                if to.write_all(piece).await.is_err() {
                    return;
                }
            }
        } else if to.write_all(bytes).await.is_err() {
            return;
        }
        if bytes.len() < read {
            return;
        }
    }
}
