//! A gRPC service that only lets people in whose access token counts.
//!
//! Start the development server (`cargo run --release`), which prints an API key. Then, with that key:
//!
//! ```text
//! cargo run -p countersign-client --example protected_tonic -- API_KEY [URL] [LISTEN]
//! ```
//!
//! It serves on 127.0.0.1:50061. Sign in as the README says, and call it with the access token and without:
//!
//! ```text
//! grpcurl -plaintext -proto clients/rust/examples/orders.proto -H 'authorization: Bearer ACCESS_TOKEN' \
//!     127.0.0.1:50061 orders.v1.OrderService/ListOrders
//! ```
//!
//! Log out, and call it again: within a moment the same token is refused, though nobody was asked about it.

use std::time::Duration;

use countersign_client::{Connection, Identity, Require, Verifier};
use orders::order_service_server::{OrderService, OrderServiceServer};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tower::Layer;

/// The service's contract.
#[expect(unreachable_pub, clippy::allow_attributes, clippy::pedantic, reason = "generated")]
mod orders {
    include!(concat!(env!("OUT_DIR"), "/example/orders.v1.rs"));
}

struct Orders;

#[tonic::async_trait]
impl OrderService for Orders {
    async fn list_orders(
        &self,
        request: Request<orders::ListOrdersRequest>,
    ) -> Result<Response<orders::ListOrdersResponse>, Status> {
        // The layer has put it there; without it there is no way in.
        let identity = request.extensions().get::<Identity>().ok_or_else(|| Status::internal("nobody was verified"))?;
        Ok(Response::new(orders::ListOrdersResponse {
            account_id: identity.account_id().to_string(),
            orders: vec!["two quiet rivers".to_owned()],
        }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The verifier says in its log what keeps it from judging, such as a wrong API key.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let api_key = arguments.next().ok_or("usage: protected_tonic API_KEY [URL] [LISTEN]")?;
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:50061".to_owned()).parse()?;

    let connection = Connection::to(url).api_key(api_key).connect()?;
    // The development server's issuer and audience (`token.issuer`, `token.audience`).
    let verifier = Verifier::builder(connection, "http://127.0.0.1:8080", "countersign").start();
    tokio::time::timeout(Duration::from_secs(10), verifier.ready())
        .await
        .map_err(|_| "cannot judge any token after 10 s; the log above says why")?;

    let orders = verifier.protect(Require::new()).layer(OrderServiceServer::new(Orders));
    eprintln!("serves on {listen}");
    Server::builder().add_service(orders).serve(listen).await?;
    Ok(())
}
