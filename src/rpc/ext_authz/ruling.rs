//! A verdict as Envoy reads it: encoded, with the prefix that gRPC puts before a message, so that one that was written before
//! goes out as it is.

use std::sync::OnceLock;

use bytes::Bytes;
use prost::Message;
use tonic::Code;

use super::super::convert;
use super::super::unary::{Outgoing, PREFIX};
use crate::gateway::{Identity, Refusal};
use crate::proto::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use crate::proto::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use crate::proto::envoy::service::auth::v3::check_response::HttpResponse;
use crate::proto::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use crate::proto::envoy::r#type::v3::HttpStatus;
use crate::proto::google::rpc;
use crate::token::{AccessClaims, Encoded, Known};

/// The holder of a token passes. All of this stays the same for as long as the token lives.
pub(super) fn holder(known: &Known) -> Bytes {
    let encoded = &known.note.get_or_init(Encoded::default).ruling;
    encoded.get_or_init(|| passes(&Identity::of(&known.claims), Some(metadata(&known.claims)))).clone()
}

/// A request without a token passes.
pub(super) fn nobody() -> Bytes {
    static NOBODY: OnceLock<Bytes> = OnceLock::new();
    NOBODY.get_or_init(|| passes(&Identity::default(), None)).clone()
}

fn passes(identity: &Identity, dynamic_metadata: Option<prost_types::Struct>) -> Bytes {
    let ok = OkHttpResponse {
        headers: identity.told().map(|(name, value)| overwriting(name, value)).collect(),
        headers_to_remove: identity.untold().map(str::to_owned).collect(),
    };
    let status = Some(rpc::Status::default());
    let http_response = Some(HttpResponse::OkResponse(ok));
    framed(&[], &CheckResponse { status, dynamic_metadata, http_response })
}

/// A message behind its prefix. Whoever reads one that comes in two parts puts them together, lists end to end: so it may follow
/// another.
fn framed(before: &[u8], response: &CheckResponse) -> Bytes {
    let mut outgoing = Outgoing::with_capacity(before.len() + response.encoded_len());
    outgoing.buffer().extend_from_slice(before);
    outgoing.buffer().extend_from_slice(&response.encode_to_vec());
    outgoing.framed()
}

/// The same, and these headers of the client's are removed.
pub(super) fn without(ruling: Bytes, shadows: &[&str]) -> Bytes {
    if shadows.is_empty() {
        return ruling;
    }
    let headers_to_remove = shadows.iter().copied().map(str::to_owned).collect();
    let more = OkHttpResponse { headers_to_remove, ..Default::default() };
    let more = CheckResponse { http_response: Some(HttpResponse::OkResponse(more)), ..Default::default() };
    framed(&ruling[PREFIX..], &more)
}

/// A request does not pass.
pub(super) fn refused(refusal: &Refusal) -> Bytes {
    let code = match refusal.status {
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        503 => Code::Unavailable,
        _ => Code::Internal,
    };
    let mut headers = vec![overwriting("content-type", "application/json"), overwriting("cache-control", "no-store")];
    headers.extend(refusal.www_authenticate().map(|challenge| overwriting("www-authenticate", &challenge)));
    headers.extend(refusal.retry_after.map(|seconds| overwriting("retry-after", &seconds.to_string())));
    let denied =
        DeniedHttpResponse { status: Some(HttpStatus { code: refusal.status.into() }), headers, body: refusal.body() };
    let status = Some(rpc::Status { code: code.into(), message: refusal.description.to_owned(), ..Default::default() });
    let http_response = Some(HttpResponse::DeniedResponse(denied));
    framed(&[], &CheckResponse { status, http_response, ..Default::default() })
}

/// Takes the place of whatever the client has sent under this name. Envoy 1.40 goes by `append` alone, other gateways by
/// `append_action`: both say it.
fn overwriting(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value: value.to_owned(), ..Default::default() }),
        append: Some(false),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
    }
}

/// Who passes, for what comes later in the gateway.
fn metadata(claims: &AccessClaims) -> prost_types::Struct {
    let members = serde_json::json!({
        "subject": claims.sub,
        "session": claims.sid,
        "roles": claims.roles,
        "scopes": claims.scope.split(' ').filter(|scope| !scope.is_empty()).collect::<Vec<_>>(),
        "anonymous": claims.anon,
        "client_id": claims.client_id,
        "expires_at": claims.exp,
    });
    members.as_object().map(convert::object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::IDENTITY;

    fn read(ruling: &Bytes) -> CheckResponse {
        CheckResponse::decode(&ruling[PREFIX..]).unwrap()
    }

    fn passing(ruling: &Bytes) -> OkHttpResponse {
        match read(ruling).http_response {
            Some(HttpResponse::OkResponse(ok)) => ok,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_nobody_nothing_is_told_and_everything_removed() {
        let ok = passing(&nobody());
        assert_eq!((ok.headers.len(), ok.headers_to_remove), (0, IDENTITY.map(str::to_owned).to_vec()));
        let ok = passing(&without(nobody(), &["x_auth_subject"]));
        assert_eq!(ok.headers_to_remove.len(), 6);
        assert_eq!(ok.headers_to_remove[5], "x_auth_subject");
    }

    #[test]
    fn a_refusal_is_a_whole_answer() {
        let ruling = read(&refused(&Refusal::unknown()));
        assert_eq!(ruling.status.unwrap().code, i32::from(Code::Unavailable));
        let Some(HttpResponse::DeniedResponse(denied)) = ruling.http_response else { panic!("it passes") };
        assert_eq!(denied.status.unwrap().code, 503);
        let header = |name: &str| {
            let headers = denied.headers.iter().filter_map(|option| option.header.as_ref());
            headers.filter(|header| header.key == name).map(|header| header.value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(header("retry-after"), ["1"]);
        assert_eq!(header("content-type"), ["application/json"]);
        assert!(header("www-authenticate").is_empty());
        assert!(denied.body.contains("temporarily_unavailable"));
    }
}
