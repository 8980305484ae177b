//! A wire between a client and a server that a test can cut, slow down, or let swallow what it should carry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

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

/// A wire to one server.
pub(crate) struct Wire {
    /// Where to connect.
    pub address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    mode: AtomicU8,
    /// How long everything is on its way, in milliseconds.
    delay: AtomicU64,
    turned: Notify,
}

impl Wire {
    /// A wire that carries everything.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.mode() != CUT {
                    tokio::spawn(carry(client, server, Arc::clone(&shared)));
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

    async fn cut(&self) {
        loop {
            let turned = self.turned.notified();
            if self.mode() == CUT {
                break;
            }
            turned.await;
        }
    }
}

async fn carry(client: TcpStream, server: SocketAddr, state: Arc<State>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, &state, false) => {}
        () = pump(from_server, to_client, &state, true) => {}
        () = state.cut() => {}
    }
}

/// Carries one way, in order, until one end has nothing more to say.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, back: bool) {
    let (sender, mut on_its_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let (mut buffer, mut swallowed) = ([0; 16 * 1024], 0);
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            match state.mode() {
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
    };
    let write = async move {
        while let Some((at, bytes)) = on_its_way.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(read, write);
}
