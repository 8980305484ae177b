//! A wire between a client and a server that a test can cut, or let swallow what comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Longer than all that a server says of itself before it answers, and shorter than any answer with a token in it.
const ANSWER: usize = 300;

const OPEN: u8 = 0;
/// What comes back is swallowed, and the wire is cut once that was an answer.
const LOSING: u8 = 1;
const CUT: u8 = 2;

/// A wire to one server.
pub(crate) struct Wire {
    /// Where to connect.
    pub address: SocketAddr,
    state: Arc<(AtomicU8, Notify)>,
    accepting: JoinHandle<()>,
}

impl Wire {
    /// A wire that carries everything.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new((AtomicU8::new(OPEN), Notify::new()));
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.0.load(Ordering::SeqCst) != CUT {
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

    /// Carries everything again.
    pub(crate) fn mend(&self) {
        self.turn(OPEN);
    }

    fn turn(&self, state: u8) {
        self.state.0.store(state, Ordering::SeqCst);
        self.state.1.notify_waiters();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn carry(client: TcpStream, server: SocketAddr, state: Arc<(AtomicU8, Notify)>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async { drop(tokio::io::copy(&mut from_client, &mut to_server).await) };
    let back = async {
        let (mut buffer, mut swallowed) = ([0; 16 * 1024], 0);
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            if state.0.load(Ordering::SeqCst) == LOSING {
                swallowed += length;
                if swallowed > ANSWER {
                    break;
                }
            } else if to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let cut = async {
        loop {
            let turned = state.1.notified();
            if state.0.load(Ordering::SeqCst) == CUT {
                break;
            }
            turned.await;
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
        () = cut => {}
    }
}
