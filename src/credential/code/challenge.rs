//! What is asked of codes, and what they answer: a challenge, a proof, or why there is none.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::cache::CacheError;
use crate::guard::GuardError;
use crate::model::{ChallengeId, Channel, ClientContext, Identifier, Purpose, RequestId};
use crate::notify::NotifyError;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct RequestCode<'a> {
    /// Where the code goes, and who wants to prove something.
    pub identifier: &'a Identifier,
    /// What it is for.
    pub purpose: Purpose,
    /// From where it is asked for.
    pub client: &'a ClientContext,
    /// The client's name for this intent.
    pub request_id: Option<RequestId>,
}

/// What the person is told of a code on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// What the code has to come back with.
    pub id: ChallengeId,
    /// Until when it counts.
    pub expires_at: DateTime<Utc>,
    /// When another may be sent.
    pub resend_at: DateTime<Utc>,
    /// How many digits it has.
    pub code_length: usize,
    /// How it travels.
    pub channel: Channel,
    /// Where to, with the middle left out.
    pub masked_destination: String,
}

/// What a right code proves.
#[derive(Clone, Debug)]
pub struct Proof {
    /// To whom the code was sent.
    pub identifier: Identifier,
    /// How the code travelled.
    pub channel: Channel,
}

impl Proof {
    pub(super) fn by(identifier: Identifier) -> Self {
        Self { channel: Channel::of(&identifier), identifier }
    }
}

/// Why there is no code, or no proof.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CodeError {
    /// The code is wrong, used up, expired or was never sent. These look the same.
    #[error("the code does not count")]
    Wrong,
    /// There is nothing to send another code for.
    #[error("the challenge is unknown, used up or expired")]
    NoChallenge,
    /// A code was sent a moment ago.
    #[error("a code was sent a moment ago")]
    TooSoon {
        /// How long to wait.
        retry_after: TimeDelta,
    },
    /// Nobody may sign up.
    #[error("accounts are opened by administrators")]
    RegistrationClosed,
    /// Messages do not leave by this channel here.
    #[error("this channel is not offered")]
    ChannelNotOffered,
    /// The name of the intent was used for something else.
    #[error("the request_id was used for something else")]
    IntentReused,
    /// A limit is reached, or could not be counted.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The message cannot be handed in.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// The cache gives no answer.
    #[error(transparent)]
    Cache(#[from] CacheError),
}
