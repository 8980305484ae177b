//! A wire between a client and a server that a test can cut, slow down, let swallow what it should carry, or lead elsewhere.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::Socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Longer than all that a server says of itself before it answers, and shorter than any answer with a token in it.
const ANSWER: usize = 300;

const OPEN: u8 = 0;
/// What comes back is swallowed, and the wire is cut once that was an answer.
const LOSING: u8 = 1;
const CUT: u8 = 2;
/// Everything is swallowed, both ways, and nobody is told.
const HOLE: u8 = 3;
/// As cut, but each end is told that the other never knew of it.
const RESET: u8 = 4;

/// A wire to one server.
pub(crate) struct Wire {
    /// Where to connect.
    pub address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    mode: AtomicU8,
    server: Mutex<SocketAddr>,
    /// How often all connections were abandoned.
    abandoned: AtomicU64,
    /// How many bytes come through in a second, each way of each connection; 0 is as many as there are.
    rate: AtomicU64,
    /// How long everything is on its way, in milliseconds.
    delay: AtomicU64,
    turned: Notify,
}

impl Wire {
    /// A wire that carries everything.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            mode: AtomicU8::new(OPEN),
            server: Mutex::new(server),
            abandoned: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            delay: AtomicU64::new(0),
            turned: Notify::new(),
        });
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !shared.is_cut() {
                    tokio::spawn(carry(client, Arc::clone(&shared)));
                }
            }
        });
        Self { address, state, accepting }
    }

    /// Loses the next answer of each connection, and the connection with it.
    pub(crate) fn lose_answers(&self) {
        self.turn(LOSING);
    }

    /// Ends every connection, and lets none come about.
    pub(crate) fn cut(&self) {
        self.turn(CUT);
    }

    /// The same, and both ends are told in the rudest way (RST).
    pub(crate) fn reset(&self) {
        self.turn(RESET);
    }

    /// Leads new connections to another server.
    pub(crate) fn lead_to(&self, server: SocketAddr) {
        *self.state.server.lock() = server;
    }

    /// Swallows what the present connections carry, for ever, and whatever their ends do. New ones are carried.
    pub(crate) fn abandon(&self) {
        self.state.abandoned.fetch_add(1, Ordering::SeqCst);
    }

    /// Lets so many bytes through in a second; 0 is as many as there are.
    pub(crate) fn throttle(&self, rate: u64) {
        self.state.rate.store(rate, Ordering::SeqCst);
    }

    /// Swallows everything. Connections stay, and new ones come about, but nothing comes through.
    pub(crate) fn swallow(&self) {
        self.turn(HOLE);
    }

    /// Takes so long for everything, each way.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.delay.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Carries everything again, at once.
    pub(crate) fn mend(&self) {
        self.delay(Duration::ZERO);
        self.throttle(0);
        self.turn(OPEN);
    }

    fn turn(&self, mode: u8) {
        self.state.mode.store(mode, Ordering::SeqCst);
        self.state.turned.notify_waiters();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

impl State {
    fn mode(&self) -> u8 {
        self.mode.load(Ordering::SeqCst)
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.delay.load(Ordering::SeqCst))
    }

    fn is_cut(&self) -> bool {
        matches!(self.mode(), CUT | RESET)
    }

    fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::SeqCst)
    }

    /// How long so many bytes take.
    fn time_for(&self, length: usize) -> Duration {
        match self.rate.load(Ordering::SeqCst) {
            0 => Duration::ZERO,
            rate => Duration::from_micros(u64::try_from(length).unwrap() * 1_000_000 / rate),
        }
    }

    /// Waits until something holds, which is looked at whenever the wire is turned.
    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let turned = self.turned.notified();
            if holds(self) {
                break;
            }
            turned.await;
        }
    }
}

async fn carry(client: TcpStream, state: Arc<State>) {
    let to = *state.server.lock();
    let Ok(server) = TcpStream::connect(to).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ends = [client.as_fd(), server.as_fd()].map(|end| Socket::from(end.try_clone_to_owned().unwrap()));
    let since = state.abandoned();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, &state, since, false) => {}
        () = pump(from_server, to_client, &state, since, true) => {}
        () = state.until(State::is_cut) => {}
    }
    if state.mode() == RESET {
        let _ = ends.map(|end| end.set_linger(Some(Duration::ZERO)));
    }
}

/// Carries one way, in order, until one end has nothing more to say.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, since: u64, back: bool) {
    let (sender, mut on_its_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let (mut buffer, mut swallowed) = ([0; 16 * 1024], 0);
        let is_abandoned = || state.abandoned() > since;
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            match state.mode() {
                _ if is_abandoned() => {}
                HOLE => swallowed += length,
                LOSING if back => {
                    swallowed += length;
                    if swallowed > ANSWER {
                        break;
                    }
                }
                // A stream with a hole in it is none.
                _ if swallowed > 0 => break,
                _ => {
                    let Ok(()) = sender.send((Instant::now() + state.delay(), buffer[..length].to_vec())) else {
                        break;
                    };
                }
            }
        }
        // That one end has gone is swallowed as well.
        state.until(|state| !is_abandoned() && state.mode() != HOLE).await;
    };
    let write = async move {
        while let Some((at, bytes)) = on_its_way.recv().await {
            sleep_until(at).await;
            tokio::time::sleep(state.time_for(bytes.len())).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(read, write);
}
