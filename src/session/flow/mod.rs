//! Guided sign-in: a flow that is kept here and says at each step what it needs next. It lives in the cache, under a name
//! that only its client knows, and is of use to that client alone.
//!
//! A step that was taken may be taken again with the same input and changes nothing then; with another input it is out of
//! order. Of two different inputs at once one is taken.

mod kept;
mod step;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use self::kept::{Flow, Stage, Taken};
pub use self::step::{FlowError, Input, Needed, Next, Profile, Step};
use super::sign_in::{Admission, Registration, amr_of};
use super::{Sessions, SignInError, SignedIn, Visitor};
use crate::cache::{Cache, CacheError};
use crate::clock::Clock;
use crate::config::{FirstStep, NewAccountStep, ProfileField, SignIn};
use crate::credential::{Challenge, CodeError, RequestCode};
use crate::model::{AccountId, Channel, Identifier, Network, Purpose, RequestId};
use crate::random::Random;
use crate::root_key::MacKey;
use crate::secret::Secret;
use crate::store::{Intent, Proved, StoreError};

/// What the name of a flow begins with.
const PREFIX: &str = "csf_";

/// The guided sign-ins of this installation.
#[derive(Clone, Debug)]
pub struct Flows {
    /// What they lead to.
    pub sessions: Sessions,
    /// Where they are kept.
    pub cache: Cache,
    /// The time.
    pub clock: Clock,
    /// What they ask for.
    pub settings: SignIn,
    /// Names them, and binds them to their clients.
    pub mac: MacKey,
}

impl Flows {
    /// Begins a flow. The same intent of the same client is answered with the same flow.
    pub async fn begin(&self, identifier: &Identifier, visitor: Visitor<'_>) -> Result<Step, FlowError> {
        let bound_to = self.binding(visitor);
        let seed = match visitor.request_id {
            Some(id) => self.mac.mac(&[b"flow", id.0.as_bytes(), &bound_to]),
            None => Random.bytes(),
        };
        let flow_id = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(seed)));
        let key = self.key(flow_id.expose());
        if let Some(begun) = self.kept(&key).await? {
            if begun.identifier().as_ref() != Some(identifier) {
                return Err(FlowError::IntentReused);
            }
            return standing(flow_id, begun);
        }
        self.sessions.codes.guard.admit_sign_in(visitor.client.ip.into()).await?;
        let now = self.clock.now();
        let mut flow = Flow::new(identifier, bound_to, Stage::Password, now + self.settings.lifetime);
        if self.first_step(identifier).await? == FirstStep::Code {
            flow.stage = Stage::Code(self.send_code(&key, &flow, identifier, visitor).await?);
        }
        self.keep(&key, &flow).await?;
        standing(flow_id, flow)
    }

    /// Takes the next step of a flow.
    pub async fn go_on(&self, flow_id: &str, input: Input, visitor: Visitor<'_>) -> Result<Step, FlowError> {
        let key = self.key(flow_id);
        let mut flow = self.kept(&key).await?.ok_or(FlowError::NotFound)?;
        let is_theirs = verify_slices_are_equal(&flow.bound_to, &self.binding(visitor)).is_ok();
        let Some(identifier) = flow.identifier().filter(|_| is_theirs && self.clock.now() < flow.ends_at) else {
            return Err(FlowError::NotFound);
        };
        let flow_id = Secret::new(flow_id.to_owned());
        let taken = self.taken(&key, &input);
        if flow.last == Some(taken) {
            return self.answer_again(flow_id, &key, flow, &identifier, input, visitor).await;
        }
        match (flow.stage.clone(), input) {
            (Stage::Password, Input::UseCode) => {
                flow.stage = Stage::Code(self.send_code(&key, &flow, &identifier, visitor).await?);
            }
            (Stage::Code(sent), Input::UseCode) => {
                // Repeated in haste, it is the same wish; later it asks for another code.
                if self.clock.now() >= sent.resend_at {
                    flow.codes += 1;
                    flow.stage = Stage::Code(self.send_code(&key, &flow, &identifier, visitor).await?);
                }
            }
            (Stage::Password, Input::Password(password)) => {
                let signed_in = self.sign_in(&key, &identifier, &password, visitor).await?;
                return self.finish(flow_id, &key, flow, taken, signed_in).await;
            }
            (Stage::Code(challenge), Input::Code(code)) => {
                let channel = self.redeem(&key, &challenge, &code, visitor).await?;
                flow.proved_by = Some(channel);
                flow.is_new = self.sessions.store.locale_of(&identifier).await?.is_none();
                if flow.is_new && !self.sessions.open_registration {
                    return Err(SignInError::RegistrationClosed.into());
                }
                flow.stage = self.stage_after(&flow, None);
                flow.last = Some(taken);
            }
            (Stage::SetPassword, Input::NewPassword(password)) => {
                let registration = Registration { password: Some(password), ..flow.registration() };
                let judged = self.sessions.judge(&registration, Some(&identifier)).map_err(SignInError::from)?;
                self.claim(&key, &flow, &taken).await?;
                if let Some(password) = judged {
                    let hash = self.sessions.passwords.hash(password).await.map_err(SignInError::from)?;
                    flow.password_hash = Some(hash.as_str().to_owned());
                }
                flow.stage = self.stage_after(&flow, Some(NewAccountStep::SetPassword));
                flow.last = Some(taken);
            }
            (Stage::Profile, Input::Profile(profile)) => {
                self.is_complete(&profile)?;
                self.claim(&key, &flow, &taken).await?;
                flow.tell(profile);
                flow.stage = self.stage_after(&flow, Some(NewAccountStep::Profile));
                flow.last = Some(taken);
            }
            (stage, _) => return Err(FlowError::WrongStep { needed: stage.needed() }),
        }
        flow.steps += 1;
        if flow.stage == Stage::Done {
            let signed_in = self.admit(&key, &flow, &identifier, visitor).await?;
            return self.finish(flow_id, &key, flow, taken, signed_in).await;
        }
        self.keep(&key, &flow).await?;
        standing(flow_id, flow)
    }

    /// Answers a step that was taken already. What led to a session leads to the same one, while that is as it was then.
    async fn answer_again(
        &self,
        flow_id: Secret<String>,
        key: &str,
        flow: Flow,
        identifier: &Identifier,
        input: Input,
        visitor: Visitor<'_>,
    ) -> Result<Step, FlowError> {
        let signed_in = match (&flow.stage, input) {
            (Stage::Done, Input::Password(password)) => self.sign_in(key, identifier, &password, visitor).await,
            (Stage::Done, _) => self.admit(key, &flow, identifier, visitor).await,
            _ => return standing(flow_id, flow),
        };
        match signed_in {
            Ok(signed_in) => Ok(Step { flow_id, expires_at: flow.ends_at, next: Next::Done(Box::new(signed_in)) }),
            Err(FlowError::SignIn(SignInError::Refused)) => Err(FlowError::NotFound),
            Err(error) => Err(error),
        }
    }

    /// What everybody is asked for first; only where accounts are no secret it depends on the account.
    async fn first_step(&self, identifier: &Identifier) -> Result<FirstStep, StoreError> {
        if !self.settings.reveal_accounts {
            return Ok(self.settings.first_step);
        }
        let account = self.sessions.store.account_for_password(identifier).await?;
        let has_password = account.is_some_and(|account| account.password_hash.is_some());
        Ok(if has_password { FirstStep::Password } else { FirstStep::Code })
    }

    /// What follows for somebody who has proved themself: what is asked of a new person, one after the other; nothing for
    /// others.
    fn stage_after(&self, flow: &Flow, taken: Option<NewAccountStep>) -> Stage {
        let steps = if flow.is_new { self.settings.new_account_steps.as_slice() } else { &[] };
        let after = taken.and_then(|taken| steps.iter().position(|step| *step == taken)).map_or(0, |at| at + 1);
        match steps.get(after) {
            Some(NewAccountStep::SetPassword) => Stage::SetPassword,
            Some(NewAccountStep::Profile) => Stage::Profile,
            None => Stage::Done,
        }
    }

    fn is_complete(&self, profile: &Profile) -> Result<(), FlowError> {
        let said = |field: &ProfileField| match field {
            ProfileField::FirstName => !profile.first_name.is_empty(),
            ProfileField::LastName => !profile.last_name.is_empty(),
        };
        match self.settings.profile_fields.iter().find(|field| !said(field)) {
            Some(missing) => Err(FlowError::Missing(*missing)),
            None => Ok(()),
        }
    }

    async fn send_code(
        &self,
        key: &str,
        flow: &Flow,
        identifier: &Identifier,
        visitor: Visitor<'_>,
    ) -> Result<Challenge, CodeError> {
        let request_id = Some(self.request_id(key, &format!("code {}", flow.codes)));
        let asked = RequestCode { identifier, purpose: Purpose::SignIn, client: visitor.client, request_id };
        self.sessions.codes.request(asked).await
    }

    async fn redeem(
        &self,
        key: &str,
        challenge: &Challenge,
        code: &Secret<String>,
        visitor: Visitor<'_>,
    ) -> Result<Channel, FlowError> {
        // The same code of the same flow is the same use, so that a try that was cut off can be repeated.
        let user = self.mac.mac(&[b"user", key.as_bytes(), code.expose().as_bytes()]);
        let network: Network = visitor.client.ip.into();
        match self.sessions.codes.redeem(challenge.id, code.expose(), Purpose::SignIn, &user, network).await {
            Ok(proof) => Ok(proof.channel),
            Err(CodeError::Wrong) => Err(SignInError::Refused.into()),
            Err(error) => Err(error.into()),
        }
    }

    async fn sign_in(
        &self,
        key: &str,
        identifier: &Identifier,
        password: &Secret<String>,
        visitor: Visitor<'_>,
    ) -> Result<SignedIn, FlowError> {
        let named = Visitor { request_id: Some(self.request_id(key, "done")), ..visitor };
        Ok(self.sessions.sign_in_with_password(identifier, password, named).await?)
    }

    /// Signs in whoever has taken all steps. Named by the flow, so that a repetition finds the same session.
    async fn admit(
        &self,
        key: &str,
        flow: &Flow,
        identifier: &Identifier,
        visitor: Visitor<'_>,
    ) -> Result<SignedIn, FlowError> {
        let new_account = flow.is_new.then(|| {
            let hash = flow.password_hash.clone().map(Secret::new);
            flow.registration().account(AccountId(Random.id(self.clock.now())), hash)
        });
        let admission = Admission {
            proved: Proved::Owner { identifier, must_be_new: false },
            amr: amr_of(flow.proved_by.unwrap_or(Channel::of(identifier))),
            new_account,
            intent: Some(Intent {
                request_id: self.request_id(key, "done"),
                digest: self.mac.mac(&[b"done", key.as_bytes()]),
            }),
        };
        Ok(self.sessions.admit(admission, visitor).await?)
    }

    async fn finish(
        &self,
        flow_id: Secret<String>,
        key: &str,
        mut flow: Flow,
        taken: Taken,
        signed_in: SignedIn,
    ) -> Result<Step, FlowError> {
        (flow.last, flow.stage, flow.password_hash) = (Some(taken), Stage::Done, None);
        self.keep(key, &flow).await?;
        Ok(Step { flow_id, expires_at: flow.ends_at, next: Next::Done(Box::new(signed_in)) })
    }

    /// Takes a step for one input: whoever sends another one at the same time is too late.
    async fn claim(&self, key: &str, flow: &Flow, taken: &Taken) -> Result<(), FlowError> {
        let claim = format!("{key}:{}", flow.steps);
        match self.cache.put_if_absent(&claim, taken, flow.ends_at).await? {
            Some(other) if other != taken => Err(FlowError::WrongStep { needed: flow.stage.needed() }),
            _ => Ok(()),
        }
    }

    /// What a flow is bound to: the application, and the device or, where that has no name, the network.
    fn binding(&self, visitor: Visitor<'_>) -> [u8; 32] {
        let network = Network::from(visitor.client.ip).to_string();
        let device = visitor.client.device_id.as_bytes();
        let (kind, name): (&[u8], _) =
            if device.is_empty() { (b"network", network.as_bytes()) } else { (b"device", device) };
        self.mac.mac(&[b"binding", visitor.client_id.as_bytes(), kind, name])
    }

    fn taken(&self, key: &str, input: &Input) -> Taken {
        let digest = |kind: &[u8], text: &str| self.mac.mac(&[b"taken", key.as_bytes(), kind, text.as_bytes()]);
        match input {
            Input::Code(code) => digest(b"code", code.expose()),
            Input::Password(password) => digest(b"password", password.expose()),
            Input::NewPassword(password) => digest(b"new_password", password.expose()),
            Input::UseCode => digest(b"use_code", ""),
            Input::Profile(Profile { first_name, last_name, locale, metadata }) => {
                let said = serde_json::json!([first_name, last_name, locale, metadata]);
                digest(b"profile", &said.to_string())
            }
        }
    }

    /// A name for what a flow does once.
    fn request_id(&self, key: &str, what: &str) -> RequestId {
        let mac = self.mac.mac(&[b"request", key.as_bytes(), what.as_bytes()]);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&mac[..16]);
        RequestId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The name in the cache gives nothing away of the flow's own.
    fn key(&self, flow_id: &str) -> String {
        let mac = self.mac.mac(&[b"key", flow_id.as_bytes()]);
        format!("{{flow:{}}}", Uuid::from_slice(&mac[..16]).unwrap_or_default())
    }

    async fn kept(&self, key: &str) -> Result<Option<Flow>, CacheError> {
        Ok(self.cache.get(key).await?.as_deref().and_then(Flow::decode))
    }

    async fn keep(&self, key: &str, flow: &Flow) -> Result<(), CacheError> {
        self.cache.put(key, &flow.encode(), flow.ends_at).await
    }
}

/// Where a flow stands, for its client. One that is done has nothing more to say to whoever does not repeat its last step.
fn standing(flow_id: Secret<String>, flow: Flow) -> Result<Step, FlowError> {
    let next = match flow.stage {
        Stage::Code(challenge) => Next::Code(challenge),
        Stage::Password => Next::Password,
        Stage::SetPassword => Next::SetPassword,
        Stage::Profile => Next::Profile,
        Stage::Done => return Err(FlowError::NotFound),
    };
    Ok(Step { flow_id, expires_at: flow.ends_at, next })
}
