//! An HTTP service with one route for people and one for visitors as well.
//!
//! Start the development server (`cargo run --release`), which prints an API key. Then, with that key:
//!
//! ```text
//! cargo run -p countersign-client --example protected_axum -- API_KEY [URL] [LISTEN]
//! ```
//!
//! It serves on 127.0.0.1:8090. Sign in as the README says, and ask with the access token and without:
//!
//! ```text
//! curl -i -H 'authorization: Bearer ACCESS_TOKEN' http://127.0.0.1:8090/orders
//! curl -i http://127.0.0.1:8090/orders
//! ```

use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use countersign_client::{Connection, Identity, Require, Verifier};

async fn orders(Extension(identity): Extension<Identity>) -> String {
    format!("the orders of {}\n", identity.account_id())
}

async fn shop(Extension(identity): Extension<Identity>) -> String {
    let who = if identity.is_anonymous() { "visitor" } else { "person" };
    format!("welcome, {who} {}\n", identity.account_id())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The verifier says in its log what keeps it from judging, such as a wrong API key.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let api_key = arguments.next().ok_or("usage: protected_axum API_KEY [URL] [LISTEN]")?;
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8090".to_owned());

    let connection = Connection::to(url).api_key(api_key).connect()?;
    // The development server's issuer and audience (`token.issuer`, `token.audience`).
    let verifier = Verifier::builder(connection, "http://127.0.0.1:8080", "countersign").start();
    tokio::time::timeout(Duration::from_secs(10), verifier.ready())
        .await
        .map_err(|_| "cannot judge any token after 10 s; the log above says why")?;

    let app = Router::new()
        .route("/orders", get(orders).layer(verifier.protect(Require::new())))
        .route("/shop", get(shop).layer(verifier.protect(Require::new().anonymous_allowed())));
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    eprintln!("serves on {listen}");
    axum::serve(listener, app).await?;
    Ok(())
}
