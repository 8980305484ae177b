//! Who may call what: one table. What is not in it is denied.

use tonic::Status;

use super::peer::{Peer, Refused};
use super::status;
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

/// Every RPC that is served.
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
    ("/countersign.v1.AdminService/CreateWebhook", Rule::Administrator),
    ("/countersign.v1.AdminService/ListWebhooks", Rule::Administrator),
    ("/countersign.v1.AdminService/DeleteWebhook", Rule::Administrator),
    ("/countersign.v1.AdminService/EnableWebhook", Rule::Administrator),
    ("/countersign.v1.AdminService/RotateWebhookSecret", Rule::Administrator),
    ("/countersign.v1.AdminService/ListDeliveries", Rule::Administrator),
    ("/countersign.v1.AdminService/ReplayDeliveries", Rule::Administrator),
    ("/grpc.health.v1.Health/Check", Rule::Anyone),
    ("/grpc.health.v1.Health/List", Rule::Anyone),
    ("/grpc.health.v1.Health/Watch", Rule::Anyone),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Rule::Anyone),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Rule::Anyone),
];

/// The rule for a path, if there is one. The paths asked for most stand first.
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
