//! People who sign in as people do, so that the tokens that are measured are real ones.

use std::collections::HashMap;
use std::time::Duration;

use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::identifier::Kind;
use countersign::proto::v1::login_request::Credential;
use countersign::proto::v1::{Identifier, LoginRequest, OtpCredential, RequestOtpRequest, Tokens};
use tokio::time::sleep;

use crate::Result;
use crate::server::Server;

/// Signs in that many people, each with an account of their own.
pub(crate) async fn sign_in(server: &Server, count: usize) -> Result<Vec<Tokens>> {
    let mut auth = AuthServiceClient::new(server.channel.clone());
    let mut challenges = Vec::with_capacity(count);
    for person in 0..count {
        let identifier = Some(Identifier { kind: Some(Kind::Email(format!("person{person}@example.com"))) });
        let answer = auth.request_otp(RequestOtpRequest { identifier, ..Default::default() }).await?.into_inner();
        challenges.push(answer.challenge.ok_or("no challenge in the answer")?.challenge_id);
    }
    let mut tokens = Vec::with_capacity(count);
    let mut codes = codes(server, count).await?;
    for challenge_id in challenges {
        let code = codes.remove(&challenge_id).ok_or("the log has no code for a challenge")?;
        let credential = Some(Credential::Otp(OtpCredential { challenge_id, code }));
        let answer = auth.login(LoginRequest { credential, ..Default::default() }).await?.into_inner();
        tokens.push(answer.tokens.ok_or("no tokens in the answer")?);
    }
    Ok(tokens)
}

/// The codes that were sent, by challenge. In development the log has a line with `challenge_id=… code=…` for each; it is
/// written after the answer to the request, so the last ones may take a moment.
async fn codes(server: &Server, count: usize) -> Result<HashMap<String, String>> {
    for _ in 0..500 {
        let log = server.log()?;
        let codes: HashMap<_, _> =
            log.lines().filter_map(|line| Some((field(line, "challenge_id=")?, field(line, "code=")?))).collect();
        if codes.len() >= count {
            return Ok(codes);
        }
        sleep(Duration::from_millis(10)).await;
    }
    Err("the log does not have a code for every challenge".into())
}

/// The value of a field in a line of the log, which may be quoted.
fn field(line: &str, name: &str) -> Option<String> {
    let (_, value) = line.split_once(name)?;
    let value = value.trim_start_matches('"');
    Some(value.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect())
}
