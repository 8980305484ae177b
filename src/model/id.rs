//! Identifiers of what only the service knows of; those in access tokens come with the tokens.

pub use countersign_token::{AccountId, InvalidId, SessionId, TokenId};

countersign_token::ids! {
    /// A service or gateway that calls this one.
    CallerId;
    /// One request for a code.
    ChallengeId;
    /// What a client chose to name one intent by, kept over its retries.
    RequestId;
    /// An endpoint that events are posted to.
    WebhookId;
}
