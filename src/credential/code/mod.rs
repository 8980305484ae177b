//! One-time codes: made, sent, guessed at, used up. All of it lives in the cache; losing it costs a person another code.
//!
//! What is kept of a code is a MAC under a key that is not kept there.

mod challenge;
mod kept;

use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq;
use uuid::Uuid;

pub use self::challenge::{Challenge, CodeError, Proof, RequestCode};
use self::kept::{
    Answered, Kept, carried_out_key, challenge_key, decode, encode, guesses_key, message_key, repetitions_key, used_key,
};
use super::unseen::unseen;
use crate::cache::{Cache, CacheError};
use crate::clock::Clock;
use crate::config::Otp;
use crate::guard::{Factor, Guard};
use crate::model::{ChallengeId, Channel, ClientContext, Content, Identifier, Message, Network, Purpose, RequestId};
use crate::notify::{Notifier, Place};
use crate::random::Random;
use crate::root_key::MacKey;
use crate::secret::Secret;
use crate::store::Store;

/// How often, within how long, a sign-in may be repeated for one challenge after its code was used up.
const REPETITIONS: u64 = 100;
const REPETITION_WINDOW: TimeDelta = TimeDelta::hours(1);

/// The codes of this installation.
#[derive(Clone, Debug)]
pub struct Codes {
    /// Where codes live.
    pub cache: Cache,
    /// What bounds how many are sent.
    pub guard: Guard,
    /// Through which they leave.
    pub notifier: Notifier,
    /// Who is known, where only those may sign in.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// How long they are and live.
    pub settings: Otp,
    /// Whether people who are not known get a code.
    pub open_registration: bool,
    /// Hashes codes.
    pub mac: MacKey,
}

impl Codes {
    /// Makes a code and sends it.
    pub async fn request(&self, request: RequestCode<'_>) -> Result<Challenge, CodeError> {
        let RequestCode { identifier, purpose, client, request_id } = request;
        if purpose == Purpose::Register && !self.open_registration {
            return Err(CodeError::RegistrationClosed);
        }
        let channel = Channel::of(identifier);
        if !self.notifier.offers(channel) {
            return Err(CodeError::ChannelNotOffered);
        }
        let digest = self.mac.mac(&[b"request", identifier.as_str().as_bytes(), purpose.as_str().as_bytes()]);
        let intent_key = request_id.map(|id| format!("{{otp:intent:{id}}}"));
        if let Some(key) = &intent_key
            && let Some(answered) = self.cache.get(key).await?
        {
            return self.answer_again(&answered, &digest, identifier);
        }
        self.guard.admit_code(identifier, client.ip.into()).await?;
        let place = self.notifier.reserve()?;

        let now = self.clock.now();
        // Nothing but chance may lead to a challenge: a version 7 identifier has 74 random bits.
        let id = ChallengeId(Random.id(now));
        let code = self.draw();
        let lives = i32::try_from(self.settings.messages).unwrap_or(i32::MAX);
        let (phone, email) = match identifier {
            Identifier::Phone(phone) => (Some(phone.as_str().to_owned()), None),
            Identifier::Email(email) => (None, Some(email.as_str().to_owned())),
        };
        let kept = Kept {
            phone,
            email,
            purpose,
            code_mac: self.code_mac(id, purpose, identifier, code.expose()),
            expires_at: now + self.settings.lifetime,
            resend_at: now + self.settings.resend_after,
            ends_at: now + self.settings.lifetime * lives,
            messages: 1,
            asked_from: client.ip,
        };
        self.keep(id, &kept).await?;
        if let Some(key) = &intent_key {
            // Who writes this down is who sends: of two tries at once, one message leaves.
            let answered = encode(&Answered { digest, challenge_id: id, at: now });
            let other = match self.cache.put_if_absent(key, &answered, kept.ends_at).await {
                Ok(other) => other,
                Err(error) => {
                    // It may have been written all the same; a retry must not take that for a message that has left.
                    let _ = self.cache.delete(key).await;
                    return Err(error.into());
                }
            };
            if let Some(other) = other {
                self.cache.delete(&challenge_key(id)).await?;
                return self.answer_again(&other, &digest, identifier);
            }
        }
        self.send(place, kept.purpose, self.message(id, &kept, identifier, code));
        Ok(self.challenge(id, identifier, kept.expires_at, kept.resend_at))
    }

    /// Sends another code for a challenge. The one before no longer counts; guesses go on being counted.
    pub async fn resend(
        &self,
        id: ChallengeId,
        client: &ClientContext,
        request_id: Option<RequestId>,
    ) -> Result<Challenge, CodeError> {
        let mut kept = self.kept(id).await?.ok_or(CodeError::NoChallenge)?;
        let identifier = kept.identifier().ok_or(CodeError::NoChallenge)?;
        let named = request_id.map(|name| self.mac.mac(&[b"resend", name.0.as_bytes()]));
        if let Some(intent) = &named {
            // Any of the messages so far may be this intent's: its retry can come after somebody else's resend.
            for number in 2..=kept.messages {
                if self.cache.get(&message_key(id, number)).await?.is_some_and(|sender| sender == intent) {
                    return Ok(self.challenge(id, &identifier, kept.expires_at, kept.resend_at));
                }
            }
        }
        let intent = named.unwrap_or_else(|| Random.bytes());
        if self.cache.get(&used_key(id)).await?.is_some() {
            return Err(CodeError::NoChallenge);
        }
        let now = self.clock.now();
        if now < kept.resend_at {
            return Err(CodeError::TooSoon { retry_after: kept.resend_at - now });
        }
        if kept.messages >= self.settings.messages {
            return Err(self.guard.refuse("otp.messages", kept.expires_at).into());
        }
        self.guard.admit_code(&identifier, client.ip.into()).await?;
        let place = self.notifier.reserve()?;
        kept.messages += 1;
        kept.asked_from = client.ip;
        if let Some(other) = self.cache.put_if_absent(&message_key(id, kept.messages), &intent, kept.ends_at).await? {
            if other == intent {
                return Ok(self.challenge(
                    id,
                    &identifier,
                    now + self.settings.lifetime,
                    now + self.settings.resend_after,
                ));
            }
            return Err(CodeError::TooSoon { retry_after: self.settings.resend_after });
        }
        let code = self.draw();
        kept.code_mac = self.code_mac(id, kept.purpose, &identifier, code.expose());
        kept.expires_at = (now + self.settings.lifetime).min(kept.ends_at);
        kept.resend_at = now + self.settings.resend_after;
        if let Err(error) = self.keep(id, &kept).await {
            // Whoever asks again must not take this for a message that has left.
            let _ = self.cache.delete(&message_key(id, kept.messages)).await;
            return Err(error.into());
        }
        self.send(place, kept.purpose, self.message(id, &kept, &identifier, code));
        Ok(self.challenge(id, &identifier, kept.expires_at, kept.resend_at))
    }

    /// Uses a code up, on behalf of somebody in `network`. `user` tells one use from another: the same one may try again
    /// after it was cut off.
    pub async fn redeem(
        &self,
        id: ChallengeId,
        code: &str,
        purpose: Purpose,
        user: &[u8; 32],
        network: Network,
    ) -> Result<Proof, CodeError> {
        let proof = self.use_up(id, code, purpose, user, network).await;
        let (channel, event) = match &proof {
            Ok(proof) => (proof.channel.as_str(), "used"),
            Err(CodeError::Wrong) => ("any", "refused"),
            Err(_) => return proof,
        };
        self.guard.metrics().code(channel, event);
        proof
    }

    async fn use_up(
        &self,
        id: ChallengeId,
        code: &str,
        purpose: Purpose,
        user: &[u8; 32],
        network: Network,
    ) -> Result<Proof, CodeError> {
        let kept = self.kept(id).await?.filter(|kept| kept.purpose == purpose).ok_or(CodeError::Wrong)?;
        let identifier = kept.identifier().ok_or(CodeError::Wrong)?;
        // Counted first and compared after, so that guesses at once are no more guesses than one after the other.
        let guess = self.cache.increment(&guesses_key(id), kept.ends_at).await?;
        if guess.value > self.settings.guesses {
            // The one that has already proved itself is not guessing: it was cut off on its way to the database.
            let is_proven = self.cache.get(&used_key(id)).await?.is_some_and(|by| by == user);
            return if is_proven { Ok(Proof::by(identifier)) } else { Err(CodeError::Wrong) };
        }
        let attempt = self.guard.admit_attempt(Factor::Code, &identifier, network).await?;
        let mac = self.code_mac(id, purpose, &identifier, code);
        if !bool::from(mac.ct_eq(&kept.code_mac)) {
            return Err(CodeError::Wrong);
        }
        let until = kept.ends_at.max(self.clock.now() + REPETITION_WINDOW);
        match self.cache.put_if_absent(&used_key(id), user, until).await? {
            None => attempt.succeeded_with_code(kept.asked_from.into()).await,
            Some(by) if by == user => attempt.succeeded().await,
            Some(_) => {
                // An app that sends a right code twice has not guessed.
                attempt.withdrawn().await;
                return Err(CodeError::Wrong);
            }
        }
        Ok(Proof::by(identifier))
    }

    /// Whether it was this user who used a code up. Whoever does not know is guessing, and may do so as often as an app
    /// repeats itself, and no oftener.
    pub async fn was_redeemed_by(&self, id: ChallengeId, user: &[u8; 32]) -> Result<bool, CacheError> {
        let Some(by) = self.cache.get(&used_key(id)).await? else { return Ok(false) };
        let deadline = self.clock.now() + REPETITION_WINDOW;
        let count = self.cache.increment(&repetitions_key(id), deadline).await?;
        Ok(count.value <= REPETITIONS && by == user)
    }

    /// To whom the code of a challenge was sent, for whoever is about to redeem it.
    pub async fn sent_to(&self, id: ChallengeId, purpose: Purpose) -> Result<Option<Identifier>, CodeError> {
        Ok(self.kept(id).await?.filter(|kept| kept.purpose == purpose).and_then(|kept| kept.identifier()))
    }

    /// Makes a code count again that was used up a moment ago for something that could not be done. Only for whoever used
    /// it; a guess it was all the same.
    pub async fn give_back(&self, id: ChallengeId) {
        if let Err(error) = self.cache.delete(&used_key(id)).await {
            tracing::debug!(%error, "a code stays used up");
        }
    }

    /// Notes that what a code was used for has been carried out, so that the same use does not carry it out once more.
    pub async fn carried_out(&self, id: ChallengeId) {
        let messages = i32::try_from(self.settings.messages).unwrap_or(i32::MAX);
        let until = self.clock.now() + REPETITION_WINDOW.max(self.settings.lifetime * messages);
        if let Err(error) = self.cache.put(&carried_out_key(id), b"1", until).await {
            tracing::debug!(%error, "a code can be used for the same once more");
        }
    }

    /// Whether what a code was used for has been carried out.
    pub async fn was_carried_out(&self, id: ChallengeId) -> Result<bool, CacheError> {
        Ok(self.cache.get(&carried_out_key(id)).await?.is_some())
    }

    /// Forgets a challenge whose code has served. Its mark of use stays, so that nothing can bring it back.
    pub async fn discard(&self, id: ChallengeId) -> Result<(), CacheError> {
        self.cache.delete(&challenge_key(id)).await
    }

    /// Sends what is for anybody, in the language of whoever is known by the identifier; anything else only to them. The
    /// caller must not be able to tell from its waiting whether somebody is: the look into the database happens behind its
    /// back, in the place that is already taken.
    fn send(&self, place: Place, purpose: Purpose, message: Message) {
        self.guard.metrics().code(message.channel.as_str(), "sent");
        let is_for_anybody = match purpose {
            Purpose::SignIn | Purpose::Register => self.open_registration,
            Purpose::ChangeIdentifier => true,
            Purpose::ResetPassword | Purpose::DeleteAccount => false,
        };
        let store = self.store.clone();
        let work = async move {
            match store.locale_of(&message.to).await {
                Ok(Some(locale)) => place.send(Message { locale: locale.parse().unwrap_or(message.locale), ..message }),
                Ok(None) if is_for_anybody => place.send(message),
                Ok(None) => {}
                Err(error) if is_for_anybody => {
                    tracing::debug!(%error, "a code is sent in no language of its receiver's own");
                    place.send(message);
                }
                Err(error) => tracing::error!(%error, "a code was not sent, because its owner could not be looked up"),
            }
        };
        if is_for_anybody {
            // Known or not, as much is done.
            tokio::spawn(work);
        } else {
            unseen(work);
        }
    }

    fn answer_again(
        &self,
        answered: &[u8],
        digest: &[u8; 32],
        identifier: &Identifier,
    ) -> Result<Challenge, CodeError> {
        let answered: Answered = decode(answered).ok_or(CodeError::IntentReused)?;
        if answered.digest != *digest {
            return Err(CodeError::IntentReused);
        }
        let (expires_at, resend_at) = (answered.at + self.settings.lifetime, answered.at + self.settings.resend_after);
        Ok(self.challenge(answered.challenge_id, identifier, expires_at, resend_at))
    }

    fn challenge(
        &self,
        id: ChallengeId,
        identifier: &Identifier,
        expires_at: DateTime<Utc>,
        resend_at: DateTime<Utc>,
    ) -> Challenge {
        Challenge {
            id,
            expires_at,
            resend_at,
            code_length: self.settings.length,
            channel: Channel::of(identifier),
            masked_destination: identifier.masked(),
        }
    }

    fn message(&self, id: ChallengeId, kept: &Kept, to: &Identifier, code: Secret<String>) -> Message {
        Message {
            id: self.message_id(id, kept.messages),
            channel: Channel::of(to),
            to: to.clone(),
            locale: self.notifier.default_locale(),
            content: Content::Code { challenge_id: id, purpose: kept.purpose, code, expires_at: kept.expires_at },
        }
    }

    /// The same for every try to send the same message.
    fn message_id(&self, id: ChallengeId, number: u64) -> Uuid {
        let mac = self.mac.mac(&[b"message", id.0.as_bytes(), &number.to_be_bytes()]);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&mac[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    fn draw(&self) -> Secret<String> {
        let digits = (0..self.settings.length).map(|_| char::from(b'0' + u8::try_from(Random.below(10)).unwrap_or(0)));
        Secret::new(digits.collect())
    }

    fn code_mac(&self, id: ChallengeId, purpose: Purpose, identifier: &Identifier, code: &str) -> [u8; 32] {
        self.mac.mac(&[
            b"code",
            id.0.as_bytes(),
            purpose.as_str().as_bytes(),
            identifier.as_str().as_bytes(),
            code.as_bytes(),
        ])
    }

    async fn keep(&self, id: ChallengeId, kept: &Kept) -> Result<(), CacheError> {
        self.cache.put(&challenge_key(id), &encode(kept), kept.expires_at).await
    }

    async fn kept(&self, id: ChallengeId) -> Result<Option<Kept>, CacheError> {
        Ok(self.cache.get(&challenge_key(id)).await?.as_deref().and_then(decode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// χ² over the ten digits of a million codes: 9 degrees of freedom stay below 27.9 in 999 of 1,000 runs, and below 45
    /// in all but one of a million.
    #[test]
    fn codes_are_drawn_evenly() {
        let mut counts = [0_u32; 10];
        let draws = 1_000_000;
        for _ in 0..draws {
            counts[Random.below(10) as usize] += 1;
        }
        let expected = f64::from(draws) / 10.0;
        let chi_squared: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
        assert!(chi_squared < 45.0, "χ² = {chi_squared}, counts {counts:?}");
    }
}
