//! The second half of the walk: a visitor becomes a person, with a password, a confirmed identity, a forgotten password and,
//! in the end, a block.

use super::client::Answer;
use super::code::Codes;
use super::walk::{Pair, Visitor, Walk, ensure, refused, request_id};
use crate::cli::Failure;
use crate::proto::v1;
use crate::proto::v1::continue_sign_in_request::Input;
use crate::proto::v1::login_request::Credential;
use crate::proto::v1::reset_password_request::Proof;

/// A national id whose check digit is right. The stand-in believes it; nobody else is asked about it.
const NATIONAL_ID: &str = "0499370899";

/// Somebody new.
struct Newcomer {
    account_id: String,
    tokens: Pair,
    /// What they sign in with, where the server asked for it.
    password: Option<String>,
}

impl Walk {
    /// The steps.
    pub(super) async fn meet(&mut self, visitor: &Visitor) -> Result<(), Failure> {
        self.page.step("The visitor signs up, led step by step");
        let mut person = self.sign_up(visitor).await?;
        self.page
            .why("The server says what it needs next. The visitor's cart can follow: `upgraded_from` links the two.");

        self.page.step("Sign in with the password");
        self.use_password(&mut person).await?;
        self.page.why("Argon2id, on threads of their own: a storm of sign-ins does not slow the checks of tokens.");

        self.page.step("Have it confirmed who somebody is");
        self.verify(&person).await?;
        self.page.why("Of the national id a keyed hash is kept, so that one person is not confirmed twice.");

        self.page.step("A forgotten password");
        self.reset(&mut person).await?;
        self.page.why("A new password ends all sessions: whoever sat in one of them is out.");

        self.page.step("An administrator blocks the account");
        self.block(&person).await?;
        self.page.why("Not when the token expires: when the answer to BlockAccount arrives.");
        Ok(())
    }

    async fn sign_up(&mut self, visitor: &Visitor) -> Result<Newcomer, Failure> {
        let identifier = Some(phone(&self.newcomer));
        let begin = v1::BeginSignInRequest { identifier, request_id: request_id(), client: None };
        let Answer { message, took } = self.client.begin_sign_in(begin).await?;
        self.page.call("AuthService/BeginSignIn", &self.newcomer, took);
        let mut step = message.step.ok_or("BeginSignIn answered without a step")?;
        let mut password = None;
        loop {
            self.page.row("next", &step.next().as_str_name().trim_start_matches("SIGN_IN_NEXT_"));
            let (with, input) = match step.next() {
                v1::SignInNext::Code => {
                    let challenge = step.challenge.as_ref().ok_or("a step asks for a code without a challenge")?;
                    self.page.row("challenge_id", &challenge.challenge_id);
                    ("the code", Input::Code(self.codes.code(challenge, &self.page).await?))
                }
                v1::SignInNext::Password => ("a code instead, please", Input::UseCode(true)),
                v1::SignInNext::SetPassword => {
                    let new = new_password();
                    password = Some(new.clone());
                    ("a new password", Input::NewPassword(new))
                }
                v1::SignInNext::Profile => {
                    let (first_name, last_name) = ("Sara".to_owned(), "Ahmadi".to_owned());
                    ("a name", Input::Profile(v1::SignInProfile { first_name, last_name, ..Default::default() }))
                }
                v1::SignInNext::Done => break,
                v1::SignInNext::Unspecified => return Err("a step does not say what is next".into()),
            };
            let flow_id = step.flow_id.clone();
            let request = v1::ContinueSignInRequest { flow_id, input: Some(input), client: None };
            let Answer { message, took } = self.client.continue_sign_in(request, &visitor.token).await?;
            self.page.call("AuthService/ContinueSignIn", with, took);
            step = message.step.ok_or("ContinueSignIn answered without a step")?;
        }
        let account = step.account.ok_or("a sign-in is done without an account")?;
        ensure(step.created || self.is_elsewhere(), "whoever is new gets an account")?;
        ensure(step.upgraded_from == visitor.id, "the person is told from which visitor they came")?;
        let opened = if step.created { "opened just now" } else { "known from before" };
        self.page.row("account", &format!("{}, {opened}", account.account_id));
        self.page.row("upgraded_from", &format!("{}, the visitor", step.upgraded_from));
        self.show_inactive("the visitor's token", &visitor.token).await?;
        Ok(Newcomer { account_id: account.account_id, tokens: Pair::of(step.tokens)?, password })
    }

    async fn use_password(&mut self, person: &mut Newcomer) -> Result<(), Failure> {
        let Some(password) = person.password.clone() else {
            self.page.row("left out", &"this server asked for none, or the number was known");
            return Ok(());
        };
        let Answer { message, took } = self.client.login(with_password(&self.newcomer, &password)).await?;
        self.page.call("AuthService/Login", "number and password", took);
        let pair = Pair::of(message.tokens)?;
        let seen = self.client.introspect(&pair.access).await?.message;
        ensure(seen.active && seen.amr == ["pwd"], "a token tells that a password was used")?;
        self.page.row("amr", &seen.amr.join(" "));
        let wrong = self.client.login(with_password(&self.newcomer, "a wrong one")).await;
        let refusal = refused(wrong, "INVALID_CREDENTIALS")?;
        self.page.call("AuthService/Login", "a wrong password", refusal.took);
        self.page.row("refused", &format!("{}, as for a stranger", refusal.reason));
        person.tokens = pair;
        Ok(())
    }

    async fn verify(&mut self, person: &Newcomer) -> Result<(), Failure> {
        let national_id = match (self.is_elsewhere(), &self.national_id) {
            (_, Some(national_id)) => national_id.clone(),
            (false, None) => NATIONAL_ID.to_owned(),
            (true, None) => {
                self.page.row("left out", &"an inquiry may cost money; --national-id NUMBER shows it");
                return Ok(());
            }
        };
        if !self.is_elsewhere() {
            self.page.row("provider", &"a stand-in of this demo, which says yes to everybody");
        }
        let outcome = self.client.verify_identity(&person.tokens.access, &national_id).await;
        match outcome {
            Ok(Answer { message, took }) => {
                self.page.call("AccountService/VerifyIdentity", "a national id", took);
                let identity = message.account.and_then(|account| account.identity);
                let identity = identity.ok_or("VerifyIdentity answered without an identity")?;
                self.page.row("identity", &format!("{}, says `{}`", identity.full_name, identity.provider));
            }
            Err(refusal) if self.is_elsewhere() && refusal.reason.starts_with("IDENTITY_") => {
                self.page.call("AccountService/VerifyIdentity", "a national id", refusal.took);
                self.page.row("refused", &refusal.reason);
            }
            Err(refusal) => return Err(refusal.into()),
        }
        Ok(())
    }

    async fn reset(&mut self, person: &mut Newcomer) -> Result<(), Failure> {
        let proof = match self.client.request_password_reset(phone(&self.newcomer)).await {
            Ok(answer) => {
                self.page.call("AuthService/RequestPasswordReset", &self.newcomer, answer.took);
                Proof::ResetToken(self.codes.reset_token(&self.page).await?)
            }
            Err(refusal) if refusal.reason == "RESET_NOT_OFFERED" && self.is_elsewhere() => {
                self.page.call("AuthService/RequestPasswordReset", &self.newcomer, refusal.took);
                self.page.row("refused", &format!("{}: no links here, so a code", refusal.reason));
                let purpose = v1::OtpPurpose::ResetPassword;
                let (challenge, code) = self.request_code(&self.newcomer.clone(), purpose).await?;
                Proof::Otp(v1::OtpCredential { challenge_id: challenge.challenge_id, code })
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let with = if matches!(proof, Proof::ResetToken(_)) { "the link's token" } else { "the code" };
        let password = new_password();
        let took = self.client.reset_password(proof.clone(), &password).await?.took;
        self.page.call("AuthService/ResetPassword", with, took);
        self.show_inactive("a token from before", &person.tokens.access).await?;
        let again = refused(self.client.reset_password(proof, &new_password()).await, "INVALID_CREDENTIALS")?;
        self.page.call("AuthService/ResetPassword", "the same once more", again.took);
        self.page.row("refused", &again.reason);
        person.password = Some(password);
        Ok(())
    }

    async fn block(&mut self, person: &Newcomer) -> Result<(), Failure> {
        let password = person.password.as_deref().unwrap_or_default();
        let answer = self.client.login(with_password(&self.newcomer, password)).await?;
        let pair = Pair::of(answer.message.tokens)?;
        ensure(self.client.introspect(&pair.access).await?.message.active, "a token counts until it is taken back")?;
        match self.client.block_account(&person.account_id).await {
            Ok(answer) => self.page.call("AdminService/BlockAccount", "the account", answer.took),
            Err(refusal) if refusal.reason == "PERMISSION_DENIED" && self.is_elsewhere() => {
                self.page.row("left out", &"this API key has no permission `admin`");
                return Ok(());
            }
            Err(refusal) => return Err(refusal.into()),
        }
        self.show_inactive("its access token", &pair.access).await?;
        let refusal = refused(self.client.refresh(&pair.refresh, &request_id()).await, "SESSION_ENDED")?;
        self.page.call("TokenService/Refresh", "its refresh token", refusal.took);
        self.page.row("refused", &refusal.reason);
        let login = self.client.login(with_password(&self.newcomer, password)).await;
        let refusal = refused(login, "ACCOUNT_BLOCKED")?;
        self.page.call("AuthService/Login", "the right password", refusal.took);
        self.page.row("refused", &refusal.reason);
        let took = self.client.unblock_account(&person.account_id).await?.took;
        self.page.call("AdminService/UnblockAccount", "the account", took);
        let took = self.client.login(with_password(&self.newcomer, password)).await?.took;
        self.page.call("AuthService/Login", "the right password", took);
        Ok(())
    }

    /// Whether the server is somebody's own, about which nothing can be taken for granted.
    const fn is_elsewhere(&self) -> bool {
        matches!(self.codes, Codes::Typed)
    }
}

/// How a person is known by number.
pub(super) fn phone(number: &str) -> v1::Identifier {
    v1::Identifier { kind: Some(v1::identifier::Kind::Phone(number.to_owned())) }
}

fn with_password(number: &str, password: &str) -> v1::LoginRequest {
    let credential = v1::PasswordCredential { identifier: Some(phone(number)), password: password.to_owned() };
    v1::LoginRequest {
        credential: Some(Credential::Password(credential)),
        request_id: request_id(),
        ..Default::default()
    }
}

/// One that nobody knows, since the server may go on after this.
fn new_password() -> String {
    format!("demo {}", request_id())
}
