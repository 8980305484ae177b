//! The steps, up to the first visitor (`people` has the rest). Each does one thing, shows what came back, and fails where that is not what it says.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::client::{Answer, Client, Refusal};
use super::code::Codes;
use super::page::{Page, milliseconds, shortened};
use super::people::phone;
use crate::cli::Failure;
use crate::clock::Clock;
use crate::proto::v1;
use crate::random::Random;

/// How many checks are timed.
const BURST: u32 = 1_000;
/// How long a revocation may take to reach the node that answers, where there are several.
const FRESHNESS_BOUND: Duration = Duration::from_secs(5);

/// The walk.
pub(super) struct Walk {
    pub client: Client,
    pub codes: Codes,
    pub page: Page,
    /// Who signs in.
    pub phone: String,
    /// Who signs up later.
    pub newcomer: String,
    /// What a provider elsewhere may be asked about.
    pub national_id: Option<String>,
}

/// A pair of tokens on the app's side. Printed by number, R1 and A1 first.
pub(super) struct Pair {
    pub access: String,
    pub refresh: String,
    expires_in: i64,
}

/// Somebody without an account.
pub(super) struct Visitor {
    pub id: String,
    pub token: String,
}

impl Walk {
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        // Before anybody looks for a code in vain: the key must be good for everything that follows.
        ensure(!self.client.introspect("none").await?.message.active, "a text that is no token does not count")?;
        self.client.revoke("none").await?;

        self.page.step("Ask for a code");
        let (challenge, code) = self.request_code(&self.phone.clone(), v1::OtpPurpose::SignIn).await?;
        self.page.why(
            "Nothing to remember, nothing to steal: the server keeps a keyed hash of the code, for a few guesses.",
        );

        self.page.step("Sign in");
        let first = self.sign_in(&challenge, &code).await?;
        self.page.why("The app sends A1 along with every request, and keeps R1 to itself.");

        self.page.step("Check the token, as your services do");
        let sid = self.check(&first).await?;
        self.page.why("Answered from memory, with no database on the way, knowing all revocations up to `as_of`.");

        self.page.step("Refresh");
        let lost = request_id();
        let second = self.refresh(&first, &lost).await?;
        self.page.why("Access tokens are short-lived. R1 has served, and R2 takes its place.");

        self.page.step("The answer gets lost, the app asks again");
        self.repeat(&first, &lost, &second).await?;
        self.page.why("A tunnel or an empty battery signs nobody out: the same request gets the same successor.");

        self.page.step("A thief replays a stolen token");
        self.steal(&first, &second).await?;
        self.page.why(
            "Only a copy comes back that late. The session ends for both, and its access tokens with it, at once.",
        );

        self.page.step("Sign in on a new device, and take that back");
        self.take_back(&sid).await?;
        self.page.why("A lost phone, an employee who left: one call, and the token is dead minutes before it expires.");

        self.page.step("A visitor without an account");
        let visitor = self.visit().await?;
        self.page.why("Carts and limits work before anybody signs in, through the same check.");

        self.meet(&visitor).await?;

        self.page.step("Where to go next");
        self.page.row("serve", &"`cargo run --release` serves, and prints the line that runs this against it");
        self.page.row("the API", &"proto/countersign/v1: every call, field and error with its comment");
        self.page.row("settings", &"`countersign config default` prints each with what it means");
        self.page.row("inside", &"README.md, then docs/ARCHITECTURE.md");
        Ok(())
    }

    pub(super) async fn request_code(
        &mut self,
        number: &str,
        purpose: v1::OtpPurpose,
    ) -> Result<(v1::OtpChallenge, String), Failure> {
        let request = v1::RequestOtpRequest {
            identifier: Some(phone(number)),
            purpose: purpose.into(),
            request_id: request_id(),
            ..Default::default()
        };
        let answer = self.client.request_otp(request).await?;
        self.page.call("AuthService/RequestOtp", number, answer.took);
        let challenge = answer.message.challenge.ok_or("RequestOtp answered without a challenge")?;
        self.page.row("challenge_id", &challenge.challenge_id);
        let code = self.codes.code(&challenge, &self.page).await?;
        Ok((challenge, code))
    }

    async fn login(
        &mut self,
        challenge: &v1::OtpChallenge,
        code: &str,
        device: &str,
    ) -> Result<Answer<v1::LoginResponse>, Refusal> {
        let otp = v1::OtpCredential { challenge_id: challenge.challenge_id.clone(), code: code.to_owned() };
        let client = v1::ClientContext {
            user_agent: concat!("countersign-demo/", env!("CARGO_PKG_VERSION")).to_owned(),
            device_name: device.to_owned(),
            ..Default::default()
        };
        let credential = Some(v1::login_request::Credential::Otp(otp));
        self.client.login(v1::LoginRequest { credential, client: Some(client), request_id: request_id() }).await
    }

    async fn sign_in(&mut self, challenge: &v1::OtpChallenge, code: &str) -> Result<Pair, Failure> {
        let Answer { message, took } = self.login(challenge, code, "a phone").await?;
        self.page.call("AuthService/Login", "the code", took);
        let account = message.account.ok_or("Login answered without an account")?;
        // On a running server the number may have been here before.
        ensure(message.created || matches!(self.codes, Codes::Typed), "the first sign-in opens the account")?;
        let opened = if message.created { "opened just now" } else { "known from before" };
        self.page.row("account", &format!("{}, {opened}", account.account_id));
        let pair = Pair::of(message.tokens)?;
        self.show(1, &pair);
        Ok(pair)
    }

    async fn check(&mut self, pair: &Pair) -> Result<String, Failure> {
        let Answer { message: seen, took } = self.client.introspect(&pair.access).await?;
        self.page.call("TokenService/Introspect", "A1", took);
        ensure(seen.active, "a token just issued counts")?;
        ensure(
            !seen.anonymous && !seen.sub.is_empty() && !seen.sid.is_empty(),
            "a token names its account and session",
        )?;
        ensure(seen.amr.iter().any(|method| method == "otp"), "a token tells how its holder signed in")?;
        let roles = if seen.roles.is_empty() { "none".to_owned() } else { seen.roles.join(", ") };
        self.page.row("active", &true);
        self.page.row("sub", &seen.sub);
        self.page.row("roles, amr", &format!("{roles}; {}", seen.amr.join(" ")));
        self.page.row("as_of", &time(seen.as_of)?);
        let start = Instant::now();
        for _ in 0..BURST {
            ensure(
                self.client.introspect(&pair.access).await?.message.active,
                "a token counts until it is taken back",
            )?;
        }
        let each = milliseconds(start.elapsed() / BURST);
        let build = if cfg!(debug_assertions) { "; a release build is faster" } else { "" };
        self.page.row("1,000 more", &format!("{each} each, one after the other over one connection{build}"));
        Ok(seen.sid)
    }

    async fn refresh(&mut self, pair: &Pair, request_id: &str) -> Result<Pair, Failure> {
        let Answer { message, took } = self.client.refresh(&pair.refresh, request_id).await?;
        self.page.call("TokenService/Refresh", "R1 and a request_id", took);
        let next = Pair::of(message.tokens)?;
        ensure(next.refresh != pair.refresh, "a refresh gives a new refresh token")?;
        self.show(2, &next);
        Ok(next)
    }

    async fn repeat(&mut self, first: &Pair, request_id: &str, second: &Pair) -> Result<(), Failure> {
        let Answer { message, took } = self.client.refresh(&first.refresh, request_id).await?;
        self.page.call("TokenService/Refresh", "R1, the same request_id", took);
        let again = Pair::of(message.tokens)?;
        ensure(again.refresh == second.refresh, "the same request gets the same successor")?;
        self.page.row("refresh token", &format!("{}  it is R2, compared and equal", shortened(&again.refresh)));
        Ok(())
    }

    async fn steal(&mut self, first: &Pair, second: &Pair) -> Result<(), Failure> {
        let Answer { message, took } = self.client.refresh(&second.refresh, &request_id()).await?;
        self.page.call("TokenService/Refresh", "R2, the app goes on", took);
        let third = Pair::of(message.tokens)?;
        ensure(self.client.introspect(&third.access).await?.message.active, "the app's newest token counts")?;
        self.page.row("refresh token", &format!("R3 {}", shortened(&third.refresh)));

        let refusal = refused(self.client.refresh(&first.refresh, &request_id()).await, "REFRESH_TOKEN_REUSED")?;
        self.page.call("TokenService/Refresh", "R1, the thief tries", refusal.took);
        self.page.row("refused", &refusal.reason);
        self.show_inactive("A3", &third.access).await?;
        let refusal = refused(self.client.refresh(&third.refresh, &request_id()).await, "SESSION_ENDED")?;
        self.page.call("TokenService/Refresh", "R3, the app again", refusal.took);
        self.page.row("refused", &format!("{}: sign in again", refusal.reason));
        Ok(())
    }

    async fn take_back(&mut self, first_session: &str) -> Result<(), Failure> {
        let (challenge, code) = self.request_code(&self.phone.clone(), v1::OtpPurpose::SignIn).await?;
        let Answer { message, took } = self.login(&challenge, &code, "a new phone").await?;
        self.page.call("AuthService/Login", "the code", took);
        ensure(!message.created, "signing in again opens no second account")?;
        let pair = Pair::of(message.tokens)?;
        let seen = self.client.introspect(&pair.access).await?.message;
        ensure(seen.active && seen.sid != first_session, "signing in again opens a new session")?;
        self.page.row("session", &seen.sid);
        let took = self.client.blacklist_session(&seen.sid).await?.took;
        self.page.call("TokenService/Blacklist", "that session", took);
        self.show_inactive("its access token", &pair.access).await
    }

    async fn visit(&mut self) -> Result<Visitor, Failure> {
        let Answer { message, took } = self.client.anonymous_token().await?;
        self.page.call("AuthService/IssueAnonymousToken", "nothing", took);
        let seen = self.client.introspect(&message.access_token).await?.message;
        ensure(seen.active && seen.anonymous && seen.sub == message.anonymous_id, "an anonymous token counts as such")?;
        self.page.row("sub", &format!("{}, anonymous", seen.sub));
        Ok(Visitor { id: message.anonymous_id, token: message.access_token })
    }

    /// Asks until the token is dead: at once where one node answers, within the bound where another one may.
    pub(super) async fn show_inactive(&mut self, name: &str, token: &str) -> Result<(), Failure> {
        let start = Instant::now();
        let mut answer = self.client.introspect(token).await?;
        while answer.message.active && start.elapsed() < FRESHNESS_BOUND {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = self.client.introspect(token).await?;
        }
        ensure(!answer.message.active, "a token that was taken back does not count")?;
        self.page.call("TokenService/Introspect", name, answer.took);
        self.page.row("active", &format!("false, {} later", milliseconds(start.elapsed())));
        Ok(())
    }

    fn show(&self, number: u32, pair: &Pair) {
        self.page.row(
            "access token",
            &format!("A{number} {}  signed, good for {} s", shortened(&pair.access), pair.expires_in),
        );
        self.page.row(
            "refresh token",
            &format!("R{number} {}  to be exchanged for the next pair", shortened(&pair.refresh)),
        );
    }
}

impl Pair {
    pub(super) fn of(tokens: Option<v1::Tokens>) -> Result<Self, Failure> {
        let tokens = tokens.ok_or("the server answered without tokens")?;
        Ok(Self { access: tokens.access_token, refresh: tokens.refresh_token, expires_in: tokens.expires_in })
    }
}

pub(super) fn ensure(holds: bool, promise: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(format!("the server breaks a promise: {promise}").into()) }
}

/// A call that must be refused for this reason.
pub(super) fn refused<T>(outcome: Result<Answer<T>, Refusal>, reason: &str) -> Result<Refusal, Failure> {
    match outcome {
        Err(refusal) if refusal.reason == reason => Ok(refusal),
        Err(refusal) => Err(refusal.into()),
        Ok(_) => Err(format!("the server breaks a promise: it should have answered {reason}").into()),
    }
}

fn time(timestamp: Option<prost_types::Timestamp>) -> Result<String, Failure> {
    let timestamp = timestamp.ok_or("Introspect answered without as_of")?;
    let nanos = u32::try_from(timestamp.nanos).unwrap_or(0);
    let time: DateTime<Utc> = DateTime::from_timestamp(timestamp.seconds, nanos).ok_or("as_of is out of range")?;
    Ok(time.format("%H:%M:%S%.3f UTC").to_string())
}

pub(super) fn request_id() -> String {
    Random.id(Clock::System.now()).to_string()
}
