//! `POST /oauth2/introspect` (RFC 7662). The rules are those of the RPC `Introspect`.

use axum::Extension;
use axum::extract::{Request, State as Shared};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};

use super::client::Client;
use super::fault::Fault;
use super::{Remote, View, form};
use crate::model::Permission;
use crate::token::{AccessClaims, Demands, Encoded, Known};

/// All that is said of a token that does not count, for whichever reason.
const INACTIVE: &[u8] = b"{\"active\":false}";
/// Members of the answer that no claim can stand in for.
const OURS: [&str; 4] = ["active", "token_type", "cache_ttl", "anonymous"];

/// Tells whether a token counts, and what it says.
pub(super) async fn introspect(
    Shared(view): Shared<View>,
    Extension(remote): Extension<Remote>,
    request: Request,
) -> Result<Response, Fault> {
    let app = &view.app;
    let (parts, body) = request.into_parts();
    let _turn = Client::turn(&parts.headers, &remote, app, Permission::Introspect)?;
    let form = form::read(&parts.headers, body).await?;
    let demands = Demands { audience: form.audience.as_deref(), scopes: &[] };
    let answer = match app.access.introspect(&form.token, demands).await?.verdict {
        Ok(known) => {
            let lasts = (known.claims.exp - app.clock.now().timestamp()).max(0);
            active(&known, lasts.min(app.access.bound().num_seconds()))
        }
        Err(_) => Bytes::from_static(INACTIVE),
    };
    let form = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((form, answer).into_response())
}

fn active(known: &Known, cache_ttl: i64) -> Bytes {
    let members = known.note.get_or_init(Encoded::default).members.get_or_init(|| members(&known.claims));
    // As in the RPC's answer. The claim, which is there only where it is true, stays among the members.
    let anonymous = known.claims.anon;
    let start = "{\"active\":true,\"token_type\":\"Bearer\"";
    let start = format!("{start},\"cache_ttl\":{cache_ttl},\"anonymous\":{anonymous},");
    let mut answer = BytesMut::with_capacity(start.len() + members.len());
    answer.put_slice(start.as_bytes());
    answer.put_slice(members);
    answer.freeze()
}

/// The claims, which always are some, without the brace before them.
fn members(claims: &AccessClaims) -> Bytes {
    let mut claims = claims.clone();
    claims.extra.retain(|name, _| !OURS.contains(&name.as_str()));
    Bytes::from(claims.to_json()).split_off(1)
}
