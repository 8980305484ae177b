//! Who may call what: every method of the contract times every kind of caller, against a table that is written down here once
//! more, so that neither can change alone.

use std::collections::BTreeSet;

use countersign::proto::{DESCRIPTORS, v1};
use countersign::random::Random;
use countersign::store::Store;
use prost::Message;
use prost_types::FileDescriptorSet;
use serde_json::json;
use tonic::{Code, Request};

use super::forge::{Attacker, by_server, parts, with};
use super::raw;
use crate::harness::{Backend, TestApp, bearer, details, on_both_backends};

on_both_backends!(
    every_method_lets_in_whom_it_should,
    what_is_not_there_is_unimplemented,
    what_is_somebody_elses_is_not_there,
);

/// In this order: nobody, a visitor, a person, an administrator; callers that may only introspect, revoke, act for clients,
/// administer, watch, check; a deleted caller, an unknown key; a token that is expired, revoked, forged.
///
/// `+` is let in; `?` is asked for credentials; `-` may not; `t` and `k` are told that their token or key does not count.
const TABLE: &[(&str, &str)] = &[
    ("/countersign.v1.AccountService/ChangeIdentifier", "?-++------kkttt"),
    ("/countersign.v1.AccountService/DeleteAccount", "?-++------kkttt"),
    ("/countersign.v1.AccountService/GetProfile", "?-++------kkttt"),
    ("/countersign.v1.AccountService/ListSessions", "?-++------kkttt"),
    ("/countersign.v1.AccountService/RevokeSession", "?-++------kkttt"),
    ("/countersign.v1.AccountService/UpdateProfile", "?-++------kkttt"),
    ("/countersign.v1.AccountService/VerifyIdentity", "?-++------kkttt"),
    ("/countersign.v1.AdminService/BlockAccount", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/CreateAccount", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/CreateCaller", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/CreateWebhook", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/DeleteAccount", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/DeleteCaller", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/DeleteWebhook", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/EnableWebhook", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/GetAccount", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/ImportAccounts", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/ListAccountSessions", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/ListAccounts", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/ListAuditEvents", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/ListCallers", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/ListDeliveries", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/ListJobs", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/ListSigningKeys", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/ListWebhooks", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/PurgeExpired", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/ReplayDeliveries", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/RevokeAccountSessions", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/RotateCallerKey", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/RotateSigningKey", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/RotateWebhookSecret", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/RunJob", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/UnblockAccount", "?--+---+--kkttt"),
    ("/countersign.v1.AdminService/UpdateAccount", "?--+---+--kkttt"),
    ("/countersign.v1.AuthService/BeginSignIn", "++++++++++kk+++"),
    ("/countersign.v1.AuthService/ChangePassword", "?-++------kkttt"),
    ("/countersign.v1.AuthService/ContinueSignIn", "++++++++++kk+++"),
    ("/countersign.v1.AuthService/IssueAnonymousToken", "++++++++++kk+++"),
    ("/countersign.v1.AuthService/Login", "++++++++++kk+++"),
    // Without a refresh token it wants an access token.
    ("/countersign.v1.AuthService/Logout", "?+++??????kkttt"),
    ("/countersign.v1.AuthService/LogoutAll", "?-++------kkttt"),
    ("/countersign.v1.AuthService/Register", "++++++++++kk+++"),
    ("/countersign.v1.AuthService/RequestOtp", "++++++++++kk+++"),
    ("/countersign.v1.AuthService/RequestPasswordReset", "++++++++++kk+++"),
    ("/countersign.v1.AuthService/ResendOtp", "++++++++++kk+++"),
    ("/countersign.v1.AuthService/ResetPassword", "++++++++++kk+++"),
    ("/countersign.v1.TokenService/BatchIntrospect", "?---+-----kkttt"),
    ("/countersign.v1.TokenService/Blacklist", "?----+----kkttt"),
    ("/countersign.v1.TokenService/GetJwks", "++++++++++kk+++"),
    ("/countersign.v1.TokenService/Introspect", "?---+-----kkttt"),
    ("/countersign.v1.TokenService/Refresh", "++++++++++kk+++"),
    ("/countersign.v1.TokenService/Revoke", "?+++-+----kkttt"),
    ("/countersign.v1.TokenService/Verify", "++++++++++kk+++"),
    ("/countersign.v1.TokenService/WatchRevocations", "?-------+-kkttt"),
    ("/envoy.service.auth.v3.Authorization/Check", "?--------+kkttt"),
];

/// Every method that the contract has.
fn methods() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let ours = set.file.iter().filter(|file| !file.package().starts_with("google."));
    let services = ours.flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
    services
        .flat_map(|(package, service)| {
            service.method.iter().map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
        })
        .collect()
}

#[test]
fn every_method_is_in_the_table() {
    let table: BTreeSet<_> = TABLE.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(methods(), table);
}

/// Everybody who might call.
struct Everybody {
    app: TestApp,
    visitor: serde_json::Value,
    person: serde_json::Value,
    administrator: serde_json::Value,
    /// The credentials that stay the same, by their place in the table.
    constant: [Option<String>; 15],
}

impl Everybody {
    async fn new(backend: Backend) -> Self {
        let app = TestApp::new(backend).await;
        let answer = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
        let visitor = parts(&answer.into_inner().access_token).claims;
        let person = app.sign_in("09121234567").await;
        let administrator = app.sign_in("09121234568").await;
        make_administrator(&app, &administrator.account_id).await;
        let administrator = app.sign_in("09121234568").await;
        let token = parts(&person.access_token);
        let revoked = app.sign_in("09121234569").await.access_token;
        app.node().auth().logout(bearer(v1::LogoutRequest::default(), &revoked)).await.unwrap();

        let mut constant: [Option<String>; 15] = Default::default();
        let permissions = [
            v1::Permission::Introspect,
            v1::Permission::Revoke,
            v1::Permission::ActForClients,
            v1::Permission::Admin,
            v1::Permission::Watch,
            v1::Permission::Check,
        ];
        for (at, permission) in permissions.into_iter().enumerate() {
            constant[4 + at] = Some(create_caller(&app, &format!("caller-{at}"), permission).await.1);
        }
        let (deleted, key) = create_caller(&app, "deleted", v1::Permission::Introspect).await;
        let request = bearer(v1::DeleteCallerRequest { caller_id: deleted }, &app.api_key);
        app.node().admin().delete_caller(request).await.unwrap();
        constant[10] = Some(key);
        constant[11] = Some(app.api_key.replace("csk_", "csk_A"));
        let past = app.now().timestamp() - 60;
        constant[12] = Some(by_server(&app, with(&token.claims, "exp", past).to_string()));
        constant[13] = Some(revoked);
        constant[14] = Some(Attacker::new().sign(&token.header, &token.claims));
        let administrator = parts(&administrator.access_token).claims;
        assert_eq!(administrator["roles"], json!(["admin"]));
        Self { app, visitor, person: token.claims, administrator, constant }
    }

    /// What somebody brings. Holders bring a new token each time, because some calls end the one they came with.
    fn credential(&self, who: usize) -> Option<String> {
        let claims = match who {
            0 => return None,
            1 => &self.visitor,
            2 => &self.person,
            3 => &self.administrator,
            _ => return self.constant[who].clone(),
        };
        self.app.advance(1);
        let now = self.app.now();
        let mut claims = with(claims, "iat", now.timestamp());
        claims["jti"] = json!(Random.id(now));
        claims["exp"] = json!(now.timestamp() + 300);
        // Its session may have been ended by a call before.
        claims.as_object_mut().unwrap().remove("sid");
        Some(by_server(&self.app, claims.to_string()))
    }
}

async fn create_caller(app: &TestApp, name: &str, permission: v1::Permission) -> (String, String) {
    let request =
        v1::CreateCallerRequest { name: name.to_owned(), permissions: vec![permission.into()], ..Default::default() };
    let answer = app.node().admin().create_caller(bearer(request, &app.api_key)).await.unwrap().into_inner();
    (answer.caller.unwrap().caller_id, answer.api_key)
}

async fn make_administrator(app: &TestApp, account: &str) {
    let sql = "UPDATE accounts SET roles = 'admin' WHERE id = $1";
    let account = uuid::Uuid::parse_str(account).unwrap();
    let changed = match &app.node().app().store {
        Store::Postgres(pool) => sqlx::query(sql).bind(account).execute(pool).await.unwrap().rows_affected(),
        Store::Sqlite(pool) => sqlx::query(sql).bind(account).execute(pool).await.unwrap().rows_affected(),
    };
    assert_eq!(changed, 1);
}

async fn every_method_lets_in_whom_it_should(backend: Backend) {
    let everybody = Everybody::new(backend).await;
    let mut wrong = Vec::new();
    for (path, expected) in TABLE {
        let mut row = String::new();
        for who in 0..15 {
            let request = match everybody.credential(who) {
                Some(credential) => bearer(Vec::new(), &credential),
                None => Request::new(Vec::new()),
            };
            row.push(match raw::call(&everybody.app.node().channel, path, request).await {
                Ok(_) => '+',
                Err(status) => match details(&status).reason.as_str() {
                    "CREDENTIALS_MISSING" => '?',
                    "PERMISSION_DENIED" => '-',
                    "ACCESS_TOKEN_INVALID" => 't',
                    "API_KEY_INVALID" => 'k',
                    "INVALID_FIELD" | "REFRESH_TOKEN_INVALID" | "KEY_ROTATION_UNSAFE" => '+',
                    other => panic!("{path} by {who}: {other}"),
                },
            });
        }
        if row != *expected {
            wrong.push(format!("{path}\n  is        {row}\n  should be {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    everybody.app.stop().await;
}

async fn what_is_not_there_is_unimplemented(backend: Backend) {
    let app = TestApp::new(backend).await;
    for path in [
        "/countersign.v1.TokenService/Destroy",
        "/countersign.v1.TokenService/introspect",
        "/countersign.v1.TokenService/Introspect/",
        "/countersign.v1.NoService/Introspect",
        "/countersign.v2.TokenService/Introspect",
        "/grpc.health.v1.Health/Forget",
        "/",
        "/a",
        "//countersign.v1.TokenService/Introspect",
    ] {
        let refused = raw::call(&app.node().channel, path, bearer(Vec::new(), &app.api_key)).await.unwrap_err();
        let refused = details(&refused);
        assert_eq!((refused.code, refused.reason.as_str()), (Code::Unimplemented, "UNKNOWN_METHOD"), "{path}");
    }
    app.stop().await;
}

async fn what_is_somebody_elses_is_not_there(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (owner, other) = (app.sign_in("09121234567").await, app.sign_in("09121234568").await);
    let request = bearer(v1::ListSessionsRequest::default(), &owner.access_token);
    let sessions = app.node().accounts().list_sessions(request).await.unwrap().into_inner().sessions;
    assert_eq!(sessions.len(), 1);
    let session_id = sessions[0].session_id.clone();
    let unknown = Random.id(app.now()).to_string();
    let mut refusals = Vec::new();
    for session_id in [session_id.clone(), unknown] {
        let request = bearer(v1::RevokeSessionRequest { session_id }, &other.access_token);
        let refused = app.node().accounts().revoke_session(request).await.unwrap_err();
        assert_eq!(details(&refused).reason, "SESSION_NOT_FOUND");
        refusals.push((refused.code(), refused.message().to_owned(), refused.details().to_vec()));
    }
    assert_eq!(refusals[0], refusals[1]);
    // Nor does a foreign token get revoked, whatever the answer.
    for token in [&owner.access_token, &owner.refresh_token] {
        let request = v1::RevokeRequest { token: token.clone(), ..Default::default() };
        app.node().tokens().revoke(bearer(request, &other.access_token)).await.unwrap();
    }
    assert!(app.is_active(&owner.access_token).await);
    let request = bearer(v1::RevokeSessionRequest { session_id }, &owner.access_token);
    app.node().accounts().revoke_session(request).await.unwrap();
    assert!(!app.is_active(&owner.access_token).await);
    app.stop().await;
}
