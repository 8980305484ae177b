//! Servers that are none: what is set up wrongly leads to one of these.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// Their ports, on this machine.
pub(crate) struct Nowhere {
    /// Nobody listens.
    pub closed: u16,
    /// Takes connections, and says nothing.
    pub silent: u16,
    /// Answers in another language, and hangs up.
    pub rude: u16,
}

impl Nowhere {
    pub(crate) async fn start() -> Self {
        let [closed, silent, rude] = [listen().await, listen().await, listen().await];
        let [closed_port, silent_port, rude_port] =
            [&closed, &silent, &rude].map(|listener| listener.local_addr().unwrap().port());
        drop(closed);
        tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = silent.accept() => held.push(stream),
                    Ok((mut stream, _)) = rude.accept() => {
                        // Whoever has left by then has not heard it.
                        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                    }
                }
            }
        });
        Self { closed: closed_port, silent: silent_port, rude: rude_port }
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}
