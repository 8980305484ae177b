//! A verifier says of a token what the service says of it.

use countersign::model::Cause;
use countersign::proto::v1;
use countersign::token::{ACCESS_TOKEN_TYPE, AccessClaims, Haste, SigningPair};
use countersign_client::{Refusal, Rejection, Require, Verifier, WhenStale};

use super::{advance, anybody, ready, refused_after, verifier};
use crate::harness::{Backend, Person, TestApp, bearer, on_both_backends};
use crate::session::{introspect, log_out, newcomer, refresh};

on_both_backends!(
    a_verifier_and_the_service_agree,
    what_is_required_is_held_against_the_token,
    an_identity_is_what_the_token_says,
);

async fn introspected(app: &TestApp, token: &str, audience: &str) -> bool {
    let request =
        v1::IntrospectRequest { token: token.to_owned(), audience: audience.to_owned(), ..Default::default() };
    let answer = app.node().tokens().introspect(bearer(request, &app.api_key)).await;
    answer.is_ok_and(|answer| answer.into_inner().active)
}

fn claims(app: &TestApp, token: &str) -> AccessClaims {
    app.node().app().access.known(token).unwrap().claims.clone()
}

fn signed(app: &TestApp, typ: &str, claims: &AccessClaims) -> String {
    app.node().app().keyring.keys().active.sign(typ, &claims.to_json()).unwrap()
}

/// Tokens that are wrong by themselves, and some that only look so.
fn made_up(app: &TestApp, person: &Person) -> Vec<(&'static str, String)> {
    let good = &person.access_token;
    let own = claims(app, good);
    let (header, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let stranger = SigningPair::generate(countersign::model::Algorithm::Es256).unwrap();
    let kid = app.node().app().access.known(good).unwrap().kid.clone();
    let by_stranger = stranger.sign(ACCESS_TOKEN_TYPE, &own.to_json()).unwrap();
    let pretender = stranger.named(&kid).unwrap();
    let ours = |change: &dyn Fn(&mut AccessClaims)| {
        let mut claims = own.clone();
        change(&mut claims);
        signed(app, ACCESS_TOKEN_TYPE, &claims)
    };
    vec![
        ("nothing", String::new()),
        ("garbage", "garbage".to_owned()),
        ("three parts", "a.b.c".to_owned()),
        ("too much", "a".repeat(9_000)),
        ("another payload", format!("{header}.e30.{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("the signature of another", format!("{header}.{payload}.{}", by_stranger.rsplit_once('.').unwrap().1)),
        ("a stranger's key", by_stranger),
        ("a stranger's key under our name", pretender.sign(ACCESS_TOKEN_TYPE, &own.to_json()).unwrap()),
        ("another kind", signed(app, "JWT", &own)),
        ("as it was", ours(&|_| {})),
        ("another issuer", ours(&|claims| claims.iss.push('/'))),
        ("another audience", ours(&|claims| claims.aud = vec!["orders".to_owned()])),
        ("two audiences", ours(&|claims| claims.aud.push("orders".to_owned()))),
        ("expired within the leeway", ours(&|claims| claims.exp = app.now().timestamp() - 2)),
        ("expired", ours(&|claims| claims.exp = app.now().timestamp() - 3)),
        ("not valid yet, within the leeway", ours(&|claims| claims.nbf += 2)),
        ("not valid yet", ours(&|claims| claims.nbf += 3)),
        ("issued in the future", ours(&|claims| claims.iat += 3)),
        ("a visitor's", ours(&|claims| (claims.anon, claims.sid) = (true, None))),
    ]
}

/// Compares both on each token, for two audiences, and tells how many counted.
async fn compare(app: &TestApp, verifier: &Verifier, tokens: &[(&str, String)]) -> (usize, usize) {
    let (mut answers, mut active) = (0, 0);
    for (what, token) in tokens {
        for audience in ["countersign", "orders"] {
            let require = anybody().audience(audience);
            let here = verifier.check(token, &require).await;
            let there = introspected(app, token, audience).await;
            assert_eq!(here.is_ok(), there, "{what} for {audience}: {here:?}");
            assert!(!matches!(here, Err(Refusal::Unsure(_))), "{what} for {audience}: {here:?}");
            // Where nothing has to be waited for, it is the same without waiting.
            assert_eq!(verifier.verify(token, &require).is_ok(), there, "{what} for {audience}");
            answers += 1;
            active += usize::from(there);
        }
    }
    (answers, active)
}

async fn a_verifier_and_the_service_agree(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (verifier, clock) = verifier(&app, WhenStale::Refuse).await;
    let people = [newcomer(&app).await, newcomer(&app).await, newcomer(&app).await, newcomer(&app).await];
    let visitor = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
    let mut tokens = made_up(&app, &people[0]);
    tokens.push(("a visitor's own", visitor.into_inner().access_token));
    let [_, ended, revoked, shut] = people;
    tokens.extend([
        ("to be ended", ended.access_token),
        ("to be revoked", revoked.access_token),
        ("to be shut", shut.access_token),
    ]);
    let (before, active_before) = compare(&app, &verifier, &tokens).await;

    let [.., (_, ended), (_, revoked), (_, of_shut)] = tokens.as_slice() else { panic!() };
    log_out(&app, ended).await;
    let request = v1::RevokeRequest { token: revoked.clone(), ..Default::default() };
    app.node().tokens().revoke(bearer(request, &app.api_key)).await.unwrap();
    let target = Some(v1::blacklist_request::Target::AccountId(shut.account_id));
    let request = bearer(v1::BlacklistRequest { target, ..Default::default() }, &app.api_key);
    app.node().tokens().blacklist(request).await.unwrap();
    for token in [ended, revoked, of_shut] {
        refused_after(&verifier, token).await;
        assert_eq!(verifier.verify(token, &anybody()).unwrap_err(), Refusal::Revoked);
    }

    // A new key at once, which the verifier has not heard of; and the old one still verifies.
    advance(&app, &clock, 2);
    ready(&verifier).await;
    app.node().app().keyring.rotate(Haste::Forced, &Cause::system(app.now())).await.unwrap();
    let renewed = refresh(&app, &newcomer(&app).await.refresh_token).await.unwrap();
    tokens.push(("by a new key", renewed.access_token));
    let (after, active_after) = compare(&app, &verifier, &tokens).await;

    // Five minutes later nothing of it counts any more.
    advance(&app, &clock, 310);
    ready(&verifier).await;
    let (late, active_late) = compare(&app, &verifier, &tokens).await;
    eprintln!(
        "a verifier and the service agreed on {} answers ({active_before}, {active_after} and {active_late} active)",
        before + after + late
    );
    assert!(active_before > active_after && active_after > active_late);
    app.stop().await;
}

async fn what_is_required_is_held_against_the_token(backend: Backend) {
    let settings = [("token.scopes", "orders.read,orders.write"), ("token.anonymous_scopes", "shop.read")];
    let app = TestApp::with(backend, &settings).await;
    let (verifier, _) = verifier(&app, WhenStale::Refuse).await;
    let person = newcomer(&app).await.access_token;
    let visitor = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
    let visitor = visitor.into_inner().access_token;
    let refused = |token: &str, require: Require| verifier.verify(token, &require).err();

    assert_eq!(refused(&person, Require::new()), None);
    assert_eq!(refused(&person, Require::new().scope("orders.read").scope("orders.write")), None);
    let lacking = Some(Refusal::Scope("orders".to_owned()));
    assert_eq!(refused(&person, Require::new().scope("orders.read").scope("orders")), lacking);
    assert_eq!(refused(&person, Require::new().role("staff")), Some(Refusal::Role("staff".to_owned())));

    // Of roles all are required, or one of a list, as is said.
    let with_roles = |token: &str, anon: bool| {
        let mut claims = claims(&app, token);
        (claims.roles, claims.anon) = (vec!["staff".to_owned(), "support".to_owned()], anon);
        signed(&app, ACCESS_TOKEN_TYPE, &claims)
    };
    let staff = with_roles(&person, false);
    assert_eq!(refused(&staff, Require::new().role("staff").role("support")), None);
    let lacking = Some(Refusal::Role("admin".to_owned()));
    assert_eq!(refused(&staff, Require::new().role("staff").role("admin")), lacking);
    assert_eq!(refused(&staff, Require::new().any_role(["admin", "staff"])), None);
    let none_of = |roles: &[&str]| Some(Refusal::AnyRole(roles.iter().map(|role| (*role).to_owned()).collect()));
    assert_eq!(refused(&staff, Require::new().any_role(["admin", "owner"])), none_of(&["admin", "owner"]));
    assert_eq!(refused(&staff, Require::new().any_role(["staff"]).any_role(["admin"])), none_of(&["admin"]));
    assert_eq!(refused(&staff, Require::new().any_role([""; 0])), none_of(&[]));
    // A visitor has no roles, whatever the token says.
    let odd = with_roles(&visitor, true);
    assert_eq!(refused(&odd, anybody()), None);
    assert_eq!(refused(&odd, anybody().role("staff")), Some(Refusal::Role("staff".to_owned())));
    assert_eq!(refused(&odd, anybody().any_role(["staff"])), none_of(&["staff"]));
    assert_eq!(verifier.verify(&odd, &anybody()).unwrap().roles(), [""; 0]);

    let elsewhere = Some(Refusal::Invalid(Rejection::WrongAudience));
    assert_eq!(refused(&person, Require::new().audience("orders")), elsewhere);
    assert_eq!(refused(&visitor, Require::new()), Some(Refusal::Anonymous));
    assert_eq!(refused(&visitor, Require::new().scope("shop.read").anonymous_allowed()), None);
    let lacking = Some(Refusal::Scope("orders.read".to_owned()));
    assert_eq!(refused(&visitor, Require::new().scope("orders.read").anonymous_allowed()), lacking);
    app.stop().await;
}

async fn an_identity_is_what_the_token_says(backend: Backend) {
    let settings = [("token.scopes", "orders.read"), ("token.claims", "username = phone,number = phone")];
    let app = TestApp::with(backend, &settings).await;
    let (verifier, _) = verifier(&app, WhenStale::Refuse).await;
    let person = app.sign_in("09121234567").await;
    let identity = verifier.verify(&person.access_token, &Require::new().scope("orders.read")).unwrap();
    let told = introspect(&app, &person.access_token).await;
    assert_eq!(identity.account_id().to_string(), person.account_id);
    assert_eq!(identity.session_id().unwrap().to_string(), told.sid);
    assert_eq!(identity.token_id().to_string(), told.jti);
    assert_eq!(identity.scopes().collect::<Vec<_>>(), ["orders.read"]);
    assert_eq!(
        (identity.roles(), identity.amr(), identity.audiences()),
        (&told.roles[..], &told.amr[..], &told.aud[..])
    );
    assert_eq!((identity.client_id(), identity.username()), (told.client_id.as_str(), Some("+989121234567")));
    assert_eq!(identity.claim("number").and_then(|claim| claim.as_str()), Some("+989121234567"));
    assert_eq!(identity.expires_at().timestamp(), told.exp);
    assert_eq!(identity.issued_at().timestamp(), told.iat);
    assert_eq!(identity.authenticated_at().unwrap().timestamp(), told.auth_time);
    assert!(!identity.is_anonymous() && identity.device_id().is_none() && !identity.has_role("admin"));
    app.stop().await;
}
