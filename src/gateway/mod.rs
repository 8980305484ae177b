//! What gateways ask: whether a request may pass, and as whom. One decision for all of them, in whichever protocol they ask;
//! how it is asked and answered in each is for `rpc` and `http`.

mod complaint;
mod headers;
mod needs;
mod presented;
mod refusal;

use std::sync::Arc;

pub use self::complaint::Complaint;
pub use self::headers::{IDENTITY, Identity, is_shadow};
pub use self::needs::{Needs, Unreadable};
pub use self::presented::{Presented, bearer, cookie};
pub use self::refusal::{Challenge, Refusal};
use crate::token::{AccessClaims, AccessError, AccessTokens, Demands, Known};

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It passes, as the holder of this token.
    Holder(Arc<Known>),
    /// It passes, and nobody is known to be behind it.
    Nobody,
    /// It does not pass.
    Refused(Refusal),
}

/// Judges what a request brings against what it needs. Waits only where memory does not suffice, as an introspection does.
pub async fn judge(access: &AccessTokens, presented: Presented<'_>, needs: &Needs<'_>) -> Verdict {
    let token = match presented {
        Presented::Nothing if needs.optional() => return Verdict::Nobody,
        Presented::Nothing => return Verdict::Refused(Refusal::token_missing()),
        Presented::Unusable => return Verdict::Refused(Refusal::token_invalid()),
        Presented::Token(token) => token,
    };
    let demands = Demands { audience: needs.audience, scopes: &[] };
    let recalled = access.recall(token.as_bytes(), demands, &access.moment());
    let verdict = match recalled {
        Some(verdict) => verdict,
        None => match access.introspect(token, demands).await {
            Ok(answer) => answer.verdict,
            Err(error) => return Verdict::Refused(unknown(&error)),
        },
    };
    match verdict.map(|known| (lacking(&known.claims, needs), known)) {
        Ok((None, known)) => Verdict::Holder(known),
        Ok((Some(refusal), _)) => Verdict::Refused(refusal),
        // Why it does not count is not for whoever holds it.
        Err(_) => Verdict::Refused(Refusal::token_invalid()),
    }
}

/// What a token that counts is not good enough for.
fn lacking(claims: &AccessClaims, needs: &Needs<'_>) -> Option<Refusal> {
    if claims.anon && !needs.anonymous() {
        return Some(Refusal::visitor());
    }
    let has_scope = |scope: &str| claims.scope.split(' ').any(|own| own == scope);
    if !needs.scopes().all(has_scope) {
        return Some(Refusal::scope_missing(needs.scopes()));
    }
    // What is anonymous has no roles, whatever else it says.
    let has_role = |role: &str| !claims.anon && claims.roles.iter().any(|own| own == role);
    if needs.roles().next().is_some() && !needs.roles().any(has_role) {
        return Some(Refusal::role_missing());
    }
    None
}

/// Nothing passes that could not be judged.
fn unknown(error: &AccessError) -> Refusal {
    if error.is_passing() {
        tracing::debug!(%error, "a request cannot be judged");
        return Refusal::unknown();
    }
    tracing::error!(%error, "internal error");
    Refusal::internal()
}

#[cfg(test)]
mod tests;
