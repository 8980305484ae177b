//! An app that signs somebody in with a code, and stays signed in: over lost answers, restarts and crashes.
//!
//! Start the development server (`cargo run --release`), best with tokens that live for ten seconds, so that there is
//! something to see (`COUNTERSIGN__TOKEN__ACCESS_LIFETIME=10s`). Then:
//!
//! ```text
//! cargo run -p countersign-client --example stay_signed_in -- [FILE] [URL] [PHONE] [ROUNDS]
//! ```
//!
//! The code appears in the server's log. Stop the app and start it again: it goes on where it was. Stop the server for a
//! while: the app waits. It asks who it is every few seconds, `ROUNDS` times, and signs out in the end.
#![expect(clippy::print_stdout, reason = "an app for a terminal")]

use std::io::{BufRead, Write};
use std::time::Duration;

use countersign_client::proto::v1::account_service_client::AccountServiceClient;
use countersign_client::proto::v1::{self, identifier, login_request};
use countersign_client::{Connection, FileStore, Resumed, Session, SessionBuilder};
use tonic::transport::Endpoint;
use tower::Layer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "session.json".to_owned());
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let phone = arguments.next().unwrap_or_else(|| "0912 123 4567".to_owned());
    let rounds: u32 = arguments.next().map_or(Ok(5), |rounds| rounds.parse())?;

    let connection = Connection::to(url.clone()).connect()?;
    let builder = Session::builder(connection.clone(), FileStore::open(file)?);
    let session = match builder.resume().await? {
        Resumed::Session(session) => session,
        Resumed::Nothing(builder) => sign_in(&connection, builder, phone).await?,
    };

    // Calls to any service that takes these tokens go through the session, which sends the current one along.
    let channel = session.attach().layer(Endpoint::from_shared(url)?.connect_lazy());
    let mut accounts = AccountServiceClient::new(channel);
    for round in 1..=rounds {
        let until = session.access_token().await?.expires_at();
        match accounts.get_profile(v1::GetProfileRequest {}).await {
            Ok(answer) => {
                let account = answer.into_inner().account.unwrap_or_default();
                println!("{round}: signed in as {}, the token is good until {until}", account.account_id);
            }
            Err(status) => println!("{round}: {:?}: {}", status.code(), status.message()),
        }
        if round < rounds {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }
    session.sign_out().await?;
    println!("signed out");
    Ok(())
}

async fn sign_in(
    connection: &Connection,
    builder: SessionBuilder,
    phone: String,
) -> Result<Session, Box<dyn std::error::Error>> {
    let mut auth = connection.auth();
    let identifier = Some(v1::Identifier { kind: Some(identifier::Kind::Phone(phone)) });
    let asked = auth.request_otp(v1::RequestOtpRequest { identifier, ..Default::default() }).await?.into_inner();
    let challenge_id = asked.challenge.ok_or("an answer without a challenge")?.challenge_id;

    print!("code for {challenge_id}: ");
    std::io::stdout().flush()?;
    let mut code = String::new();
    std::io::stdin().lock().read_line(&mut code)?;

    let proof = v1::OtpCredential { challenge_id, code: code.trim().to_owned() };
    let credential = Some(login_request::Credential::Otp(proof));
    let answer = auth.login(v1::LoginRequest { credential, ..Default::default() }).await?.into_inner();
    Ok(builder.begin(answer.tokens.ok_or("an answer without tokens")?).await?)
}
