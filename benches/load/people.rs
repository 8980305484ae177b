//! People who sign in as people do, so that the tokens that are measured are real ones.

use std::collections::HashMap;
use std::time::Duration;

use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::identifier::Kind;
use countersign::proto::v1::login_request::Credential;
use countersign::proto::v1::{
    Identifier, LoginRequest, OtpCredential, OtpPurpose, RegisterRequest, RequestOtpRequest, Tokens,
};
use tokio::time::sleep;

use crate::Result;
use crate::server::Server;

/// Everybody's password, where they have one.
pub(crate) const PASSWORD: &str = "slow rivers carry small boats";

/// How somebody is known.
pub(crate) fn identifier(person: usize) -> Identifier {
    Identifier { kind: Some(Kind::Email(email(person))) }
}

/// Their mail address.
pub(crate) fn email(person: usize) -> String {
    format!("person{person}@example.com")
}

/// Signs in that many people, each with an account of their own.
pub(crate) async fn sign_in(server: &Server, count: usize) -> Result<Vec<Tokens>> {
    let mut auth = AuthServiceClient::new(server.channel.clone());
    let mut tokens = Vec::with_capacity(count);
    for (challenge_id, code) in prove(server, count, OtpPurpose::SignIn).await? {
        let credential = Some(Credential::Otp(OtpCredential { challenge_id, code }));
        let answer = auth.login(LoginRequest { credential, ..Default::default() }).await?.into_inner();
        tokens.push(answer.tokens.ok_or("no tokens in the answer")?);
    }
    Ok(tokens)
}

/// Opens accounts with a password for that many people.
pub(crate) async fn register(server: &Server, count: usize) -> Result<Vec<Tokens>> {
    let mut auth = AuthServiceClient::new(server.channel.clone());
    let mut tokens = Vec::with_capacity(count);
    for (challenge_id, code) in prove(server, count, OtpPurpose::Register).await? {
        let request = RegisterRequest { challenge_id, code, password: PASSWORD.to_owned(), ..Default::default() };
        let answer = auth.register(request).await?.into_inner();
        tokens.push(answer.tokens.ok_or("no tokens in the answer")?);
    }
    Ok(tokens)
}

/// A challenge and its code for each of so many people.
async fn prove(server: &Server, count: usize, purpose: OtpPurpose) -> Result<Vec<(String, String)>> {
    let mut auth = AuthServiceClient::new(server.channel.clone());
    let mut challenges = Vec::with_capacity(count);
    for person in 0..count {
        let request =
            RequestOtpRequest { identifier: Some(identifier(person)), purpose: purpose.into(), ..Default::default() };
        let answer = auth.request_otp(request).await?.into_inner();
        challenges.push(answer.challenge.ok_or("no challenge in the answer")?.challenge_id);
    }
    let mut codes = Codes::default();
    let mut proofs = Vec::with_capacity(count);
    for challenge in challenges {
        let code = codes.take(server, &challenge).await?;
        proofs.push((challenge, code));
    }
    Ok(proofs)
}

/// The codes that a server has sent. In development its log has a line with `challenge_id=… code=…` for each.
#[derive(Default)]
pub(crate) struct Codes {
    place: u64,
    seen: HashMap<String, String>,
}

impl Codes {
    /// The code of a challenge. It is written after the answer to the request, so the last ones may take a moment.
    pub(crate) async fn take(&mut self, server: &Server, challenge: &str) -> Result<String> {
        for _ in 0..500 {
            if let Some(code) = self.seen.remove(challenge) {
                return Ok(code);
            }
            let (log, place) = server.log_after(self.place)?;
            self.place = place;
            let pair = |line: &str| Some((field(line, "challenge_id=")?, field(line, "code=")?));
            self.seen.extend(log.lines().filter_map(pair));
            if !self.seen.contains_key(challenge) {
                sleep(Duration::from_millis(10)).await;
            }
        }
        Err("the log does not have a code for every challenge".into())
    }
}

/// The value of a field in a line of the log, which may be quoted.
fn field(line: &str, name: &str) -> Option<String> {
    let (_, value) = line.split_once(name)?;
    let value = value.trim_start_matches('"');
    Some(value.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect())
}
