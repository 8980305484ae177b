//! Who may call what: one table. What is not in it is denied.

use tonic::Status;

use super::peer::{Peer, Refused};
use super::status;
use crate::metrics::MethodName;
use crate::model::Permission;

/// Who may call an RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Anyone, whoever they are.
    Anyone,
    /// Anyone; what it does depends on whose access token comes along, if one does.
    AnyoneOrHolder,
    /// The holder of an access token, but not an anonymous one.
    Person,
    /// The holder of any access token, or a caller with this permission.
    HolderOr(Permission),
    /// A caller with this permission.
    Caller(Permission),
    /// A caller with the permission to administer, or a person with the role.
    Administrator,
}

/// Every RPC that is served. Those that are called most stand first.
const TABLE: &[(&str, Rule)] = &[
    ("/countersign.v1.TokenService/Introspect", Rule::Caller(Permission::Introspect)),
    ("/envoy.service.auth.v3.Authorization/Check", Rule::Caller(Permission::Check)),
    ("/countersign.v1.TokenService/BatchIntrospect", Rule::Caller(Permission::Introspect)),
    ("/countersign.v1.TokenService/Verify", Rule::Anyone),
    ("/countersign.v1.TokenService/Refresh", Rule::Anyone),
    ("/countersign.v1.TokenService/Revoke", Rule::HolderOr(Permission::Revoke)),
    ("/countersign.v1.TokenService/Blacklist", Rule::Caller(Permission::Revoke)),
    ("/countersign.v1.TokenService/GetJwks", Rule::Anyone),
    ("/countersign.v1.TokenService/WatchRevocations", Rule::Caller(Permission::Watch)),
    ("/countersign.v1.AuthService/RequestOtp", Rule::Anyone),
    ("/countersign.v1.AuthService/ResendOtp", Rule::Anyone),
    ("/countersign.v1.AuthService/Login", Rule::AnyoneOrHolder),
    ("/countersign.v1.AuthService/Register", Rule::AnyoneOrHolder),
    ("/countersign.v1.AuthService/BeginSignIn", Rule::Anyone),
    ("/countersign.v1.AuthService/ContinueSignIn", Rule::AnyoneOrHolder),
    ("/countersign.v1.AuthService/IssueAnonymousToken", Rule::Anyone),
    // Whoever has the refresh token may; without one, the handler wants an access token.
    ("/countersign.v1.AuthService/Logout", Rule::AnyoneOrHolder),
    ("/countersign.v1.AuthService/LogoutAll", Rule::Person),
    ("/countersign.v1.AuthService/ChangePassword", Rule::Person),
    ("/countersign.v1.AuthService/RequestPasswordReset", Rule::Anyone),
    ("/countersign.v1.AuthService/ResetPassword", Rule::Anyone),
    ("/countersign.v1.AccountService/GetProfile", Rule::Person),
    ("/countersign.v1.AccountService/UpdateProfile", Rule::Person),
    ("/countersign.v1.AccountService/ChangeIdentifier", Rule::Person),
    ("/countersign.v1.AccountService/VerifyIdentity", Rule::Person),
    ("/countersign.v1.AccountService/DeleteAccount", Rule::Person),
    ("/countersign.v1.AccountService/ListSessions", Rule::Person),
    ("/countersign.v1.AccountService/RevokeSession", Rule::Person),
    ("/countersign.v1.AdminService/ListAccounts", Rule::Administrator),
    ("/countersign.v1.AdminService/GetAccount", Rule::Administrator),
    ("/countersign.v1.AdminService/CreateAccount", Rule::Administrator),
    ("/countersign.v1.AdminService/UpdateAccount", Rule::Administrator),
    ("/countersign.v1.AdminService/BlockAccount", Rule::Administrator),
    ("/countersign.v1.AdminService/UnblockAccount", Rule::Administrator),
    ("/countersign.v1.AdminService/DeleteAccount", Rule::Administrator),
    ("/countersign.v1.AdminService/ImportAccounts", Rule::Administrator),
    ("/countersign.v1.AdminService/ListAccountSessions", Rule::Administrator),
    ("/countersign.v1.AdminService/RevokeAccountSessions", Rule::Administrator),
    ("/countersign.v1.AdminService/ListAuditEvents", Rule::Administrator),
    ("/countersign.v1.AdminService/CreateCaller", Rule::Administrator),
    ("/countersign.v1.AdminService/ListCallers", Rule::Administrator),
    ("/countersign.v1.AdminService/RotateCallerKey", Rule::Administrator),
    ("/countersign.v1.AdminService/DeleteCaller", Rule::Administrator),
    ("/countersign.v1.AdminService/ListSigningKeys", Rule::Administrator),
    ("/countersign.v1.AdminService/RotateSigningKey", Rule::Administrator),
    ("/countersign.v1.AdminService/PurgeExpired", Rule::Administrator),
    ("/countersign.v1.AdminService/ListJobs", Rule::Administrator),
    ("/countersign.v1.AdminService/RunJob", Rule::Administrator),
    ("/countersign.v1.AdminService/CreateWebhook", Rule::Administrator),
    ("/countersign.v1.AdminService/ListWebhooks", Rule::Administrator),
    ("/countersign.v1.AdminService/DeleteWebhook", Rule::Administrator),
    ("/countersign.v1.AdminService/EnableWebhook", Rule::Administrator),
    ("/countersign.v1.AdminService/RotateWebhookSecret", Rule::Administrator),
    ("/countersign.v1.AdminService/ListDeliveries", Rule::Administrator),
    ("/countersign.v1.AdminService/ReplayDeliveries", Rule::Administrator),
    ("/grpc.health.v1.Health/Check", Rule::Anyone),
    ("/grpc.health.v1.Health/Watch", Rule::Anyone),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Rule::Anyone),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Rule::Anyone),
];

/// So many of them are called for each request that somebody else serves.
const FREQUENT: usize = 4;
/// Those whose answer goes on.
const STREAMS: [&str; 4] = [
    "/countersign.v1.TokenService/WatchRevocations",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// A method by its place in the table. Whatever is not in it is one more, so that no caller can make figures up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method(usize);

impl Method {
    /// Where it is counted.
    pub(crate) const fn number(self) -> usize {
        self.0
    }

    /// Its service and its name.
    pub(crate) fn names(self) -> MethodName {
        TABLE.get(self.0).map_or(UNKNOWN, |(path, _)| names_of(path))
    }

    /// Whether it is called so often that telling of it must cost next to nothing.
    pub(crate) const fn is_frequent(self) -> bool {
        self.0 < FREQUENT
    }

    /// Whether its answer goes on.
    pub(crate) fn is_stream(self) -> bool {
        TABLE.get(self.0).is_some_and(|(path, _)| STREAMS.contains(path))
    }
}

const UNKNOWN: MethodName = ("unknown", "unknown");

/// The method that a path names.
pub(crate) fn method(path: &str) -> Method {
    Method(TABLE.iter().position(|(known, _)| *known == path).unwrap_or(TABLE.len()))
}

/// The services and names of all methods, in the order of their numbers.
pub(crate) fn names() -> impl Iterator<Item = MethodName> {
    TABLE.iter().map(|(path, _)| names_of(path)).chain([UNKNOWN])
}

fn names_of(path: &'static str) -> MethodName {
    path.trim_start_matches('/').split_once('/').unwrap_or(UNKNOWN)
}

/// The rule for a path, if there is one.
pub(crate) fn rule(path: &str) -> Option<Rule> {
    TABLE.iter().find(|(known, _)| *known == path).map(|(_, rule)| *rule)
}

/// Whether a peer may call what has this rule.
pub(crate) fn decide(rule: Rule, peer: &Peer) -> Result<(), Status> {
    // A service with a wrong key must notice, also where anyone may call: it would be taken for somebody else.
    if peer.refused == Some(Refused::ApiKey) {
        return Err(status::api_key_invalid());
    }
    let is_person = peer.holder.as_ref().is_some_and(|holder| !holder.token.claims.anon);
    let allowed = match rule {
        Rule::Anyone | Rule::AnyoneOrHolder => true,
        Rule::Person => is_person,
        Rule::HolderOr(permission) => peer.holder.is_some() || peer.may(permission),
        Rule::Caller(permission) => peer.may(permission),
        Rule::Administrator => peer.is_administrator(),
    };
    if allowed {
        return Ok(());
    }
    Err(match (peer.refused, peer.caller.is_some() || peer.holder.is_some()) {
        (Some(Refused::AccessToken | Refused::UnknownKey), _) => status::access_token_invalid(),
        (_, true) => status::permission_denied(),
        (_, false) => status::credentials_missing(),
    })
}
