//! From the model to messages.

mod delivery;
mod webhook;

use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use prost_types::value::Kind;
use serde_json::Value;

pub(super) use self::delivery::delivery;
pub(super) use self::webhook::webhook;
use super::validate::Faults;
use crate::credential::Challenge;
use crate::model::{
    Account, AccountState, Caller, Channel, EmailAddress, Event, KeyState, Permission, Permissions, Phone, Revocation,
    Session, SessionId, SigningKey, Target,
};
use crate::proto::v1;
use crate::session::TokenPair;
use crate::token::{AccessClaims, Cursor, Encoded, Event as Told, Inactive, Known, PublicJwk, Rejection};

pub(super) fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0);
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

pub(super) fn duration(span: TimeDelta) -> prost_types::Duration {
    prost_types::Duration { seconds: span.num_seconds(), nanos: span.subsec_nanos() }
}

pub(super) fn challenge(challenge: &Challenge) -> v1::OtpChallenge {
    let channel = match challenge.channel {
        Channel::Sms => v1::OtpChannel::Sms,
        Channel::Email => v1::OtpChannel::Email,
    };
    v1::OtpChallenge {
        challenge_id: challenge.id.to_string(),
        expires_at: Some(timestamp(challenge.expires_at)),
        resend_at: Some(timestamp(challenge.resend_at)),
        code_length: i32::try_from(challenge.code_length).unwrap_or(0),
        channel: channel.into(),
        masked_destination: challenge.masked_destination.clone(),
    }
}

pub(super) fn tokens(pair: &TokenPair, now: DateTime<Utc>) -> v1::Tokens {
    v1::Tokens {
        expires_in: pair.access.expires_in(now),
        access_expires_at: Some(timestamp(pair.access.expires_at)),
        access_token: pair.access.token.expose().clone(),
        refresh_token: pair.refresh_token.expose().clone(),
        refresh_expires_at: Some(timestamp(pair.refresh_expires_at)),
        token_type: "Bearer".to_owned(),
    }
}

pub(super) fn account(account: Account, now: DateTime<Utc>) -> v1::Account {
    let state = account.state_at(now);
    let text = |phone: Option<Phone>| phone.map(|phone| phone.as_str().to_owned());
    let address = |email: Option<EmailAddress>| email.map(|email| email.as_str().to_owned());
    v1::Account {
        account_id: account.id.to_string(),
        phone_verified: account.phone.is_some(),
        phone: text(account.phone.or(account.claimed_phone)).unwrap_or_default(),
        email_verified: account.email.is_some(),
        email: address(account.email.or(account.claimed_email)).unwrap_or_default(),
        first_name: account.first_name,
        last_name: account.last_name,
        roles: account.roles.names().to_vec(),
        state: account_state(state).into(),
        blocked_until: account.blocked_until.filter(|_| state == AccountState::Blocked).map(timestamp),
        identity: account.identity.map(|identity| v1::Identity {
            verified_at: Some(timestamp(identity.verified_at)),
            full_name: identity.full_name,
            birth_date: identity.birth_date,
            alive: identity.alive,
            provider: identity.provider,
        }),
        has_password: account.password_hash.is_some(),
        metadata: (!account.metadata.is_empty()).then(|| object(&account.metadata)),
        locale: account.locale,
        created_at: Some(timestamp(account.created_at)),
        last_login_at: account.last_login_at.map(timestamp),
    }
}

fn account_state(state: AccountState) -> v1::AccountState {
    match state {
        AccountState::Active => v1::AccountState::Active,
        AccountState::Blocked => v1::AccountState::Blocked,
        AccountState::Deleted => v1::AccountState::Deleted,
    }
}

pub(super) fn session(session: Session, current: Option<SessionId>) -> v1::Session {
    v1::Session {
        session_id: session.id.to_string(),
        account_id: session.account_id.to_string(),
        device_id: session.device_id,
        device_name: session.device_name,
        user_agent: session.user_agent,
        ip: session.ip,
        created_at: Some(timestamp(session.created_at)),
        last_used_at: Some(timestamp(session.last_used_at)),
        expires_at: Some(timestamp(session.expires_at)),
        amr: session.amr.split_ascii_whitespace().map(str::to_owned).collect(),
        current: current == Some(session.id),
    }
}

pub(super) fn event(event: Event) -> v1::AuditEvent {
    v1::AuditEvent {
        event_id: event.id.to_string(),
        at: Some(timestamp(event.at)),
        kind: event.kind,
        account_id: event.account_id.map(|id| id.to_string()).unwrap_or_default(),
        session_id: event.session_id.map(|id| id.to_string()).unwrap_or_default(),
        actor: event.actor,
        ip: event.ip,
        request_id: event.request_id,
        detail: event.detail,
    }
}

/// What an answer about a token says for as long as the token lives, encoded when it is first asked for.
pub(super) fn lasting(known: &Known) -> &[u8] {
    let encoded = &known.note.get_or_init(Encoded::default).introspection;
    encoded.get_or_init(|| introspection(&known.claims).encode_to_vec().into())
}

fn introspection(claims: &AccessClaims) -> v1::IntrospectResponse {
    v1::IntrospectResponse {
        active: true,
        token_type: "Bearer".to_owned(),
        scope: claims.scope.clone(),
        client_id: claims.client_id.clone(),
        username: claims.username.clone().unwrap_or_default(),
        sub: claims.sub.to_string(),
        aud: claims.aud.clone(),
        iss: claims.iss.clone(),
        jti: claims.jti.to_string(),
        sid: claims.sid.map(|sid| sid.to_string()).unwrap_or_default(),
        exp: claims.exp,
        iat: claims.iat,
        nbf: claims.nbf,
        auth_time: claims.auth_time.unwrap_or_default(),
        amr: claims.amr.clone(),
        roles: claims.roles.clone(),
        anonymous: claims.anon,
        device_id: claims.device_id.clone().unwrap_or_default(),
        claims: (!claims.extra.is_empty()).then(|| object(&claims.extra)),
        ..Default::default()
    }
}

/// What a watcher is told.
pub(super) fn told(told: Told) -> v1::WatchRevocationsResponse {
    use v1::watch_revocations_response::Event;
    let event = match told {
        Told::SnapshotBegin => Event::SnapshotBegin(v1::SnapshotBegin {}),
        Told::Revocation(revocation) => Event::Revocation(self::revocation(&revocation)),
        Told::Checkpoint(as_of) => {
            Event::Checkpoint(v1::Checkpoint { cursor: Cursor::at(as_of).to_string(), as_of: Some(timestamp(as_of)) })
        }
    };
    v1::WatchRevocationsResponse { event: Some(event) }
}

fn revocation(revocation: &Revocation) -> v1::Revocation {
    use v1::revocation::Target as Named;
    let (target, revoked_at) = match revocation.target {
        Target::Token(id) => (Named::TokenId(id.to_string()), None),
        Target::Session(id) => (Named::SessionId(id.to_string()), None),
        Target::Account(id) => (Named::AccountId(id.to_string()), Some(timestamp(revocation.revoked_at))),
    };
    v1::Revocation { target: Some(target), revoked_at, expires_at: Some(timestamp(revocation.expires_at)) }
}

/// Everything that a token says.
pub(super) fn claims(known: &Known) -> prost_types::Struct {
    match serde_json::from_slice(&known.claims.to_json()) {
        Ok(Value::Object(claims)) => object(&claims),
        _ => prost_types::Struct::default(),
    }
}

pub(super) fn object(members: &serde_json::Map<String, Value>) -> prost_types::Struct {
    prost_types::Struct { fields: members.iter().map(|(name, item)| (name.clone(), value(item))).collect() }
}

fn value(value: &Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => {
            Kind::ListValue(prost_types::ListValue { values: items.iter().map(self::value).collect() })
        }
        Value::Object(members) => Kind::StructValue(object(members)),
    };
    prost_types::Value { kind: Some(kind) }
}

pub(super) fn invalid_reason(inactive: &Inactive) -> v1::InvalidReason {
    match inactive {
        Inactive::Revoked => v1::InvalidReason::Revoked,
        Inactive::Scope => v1::InvalidReason::IssuerOrAudience,
        Inactive::Rejected(rejection) => match rejection {
            Rejection::Expired => v1::InvalidReason::Expired,
            Rejection::NotYetValid | Rejection::IssuedInFuture => v1::InvalidReason::NotYetValid,
            Rejection::WrongIssuer | Rejection::WrongAudience => v1::InvalidReason::IssuerOrAudience,
            Rejection::UnknownKey | Rejection::AlgorithmMismatch | Rejection::BadSignature => {
                v1::InvalidReason::Signature
            }
            Rejection::TooLong
            | Rejection::NotCompact
            | Rejection::HeaderMalformed(_)
            | Rejection::HeaderInvalid(_)
            | Rejection::HeaderNotUnderstood(_)
            | Rejection::WrongType
            | Rejection::ClaimsMalformed(_)
            | Rejection::ClaimMissing(_)
            | Rejection::ClaimInvalid(_) => v1::InvalidReason::Malformed,
        },
    }
}

pub(super) fn jwk(jwk: PublicJwk) -> v1::Jwk {
    v1::Jwk {
        kty: jwk.kty.to_owned(),
        kid: jwk.kid,
        r#use: jwk.purpose.to_owned(),
        alg: jwk.alg.to_owned(),
        crv: jwk.crv.unwrap_or_default().to_owned(),
        x: jwk.x.unwrap_or_default(),
        y: jwk.y.unwrap_or_default(),
        n: jwk.n.unwrap_or_default(),
        e: jwk.e.unwrap_or_default(),
    }
}

pub(super) fn caller(caller: &Caller) -> v1::Caller {
    v1::Caller {
        caller_id: caller.id.to_string(),
        name: caller.name.clone(),
        permissions: caller.permissions.iter().map(|permission| outgoing(permission).into()).collect(),
        created_at: Some(timestamp(caller.created_at)),
        rotated_at: caller.rotated_at.map(timestamp),
        certificate_name: caller.certificate_name.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn outgoing(permission: Permission) -> v1::Permission {
    match permission {
        Permission::Introspect => v1::Permission::Introspect,
        Permission::Revoke => v1::Permission::Revoke,
        Permission::ActForClients => v1::Permission::ActForClients,
        Permission::Admin => v1::Permission::Admin,
        Permission::Watch => v1::Permission::Watch,
        Permission::Check => v1::Permission::Check,
    }
}

/// The permissions that a message names: at least one, and only known ones.
pub(super) fn permissions(named: &[i32], faults: &mut Faults) -> Permissions {
    if named.is_empty() {
        faults.add("permissions", "must name at least one");
    }
    let mut read = Vec::new();
    for (index, name) in named.iter().enumerate() {
        match v1::Permission::try_from(*name) {
            Ok(v1::Permission::Introspect) => read.push(Permission::Introspect),
            Ok(v1::Permission::Revoke) => read.push(Permission::Revoke),
            Ok(v1::Permission::ActForClients) => read.push(Permission::ActForClients),
            Ok(v1::Permission::Admin) => read.push(Permission::Admin),
            Ok(v1::Permission::Watch) => read.push(Permission::Watch),
            Ok(v1::Permission::Check) => read.push(Permission::Check),
            Ok(v1::Permission::Unspecified) | Err(_) => {
                faults.add(&format!("permissions[{index}]"), "is not a permission");
            }
        }
    }
    read.into_iter().collect()
}

pub(super) fn signing_key(key: &SigningKey, usable_at: DateTime<Utc>) -> v1::SigningKey {
    let state = match key.state {
        KeyState::Pending => v1::SigningKeyState::Pending,
        KeyState::Active => v1::SigningKeyState::Active,
        KeyState::Retired => v1::SigningKeyState::Retired,
    };
    v1::SigningKey {
        kid: key.kid.clone(),
        algorithm: key.algorithm.as_str().to_owned(),
        state: state.into(),
        created_at: Some(timestamp(key.created_at)),
        usable_at: (key.state == KeyState::Pending).then(|| timestamp(usable_at)),
        activated_at: key.activated_at.map(timestamp),
        retired_at: key.retired_at.map(timestamp),
    }
}
