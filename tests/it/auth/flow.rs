//! Guided sign-in, step by step: no step is skipped, repeated or taken out of order, nobody else goes on with it, and nobody
//! learns from it who has an account.

use countersign::proto::v1;
use countersign::proto::v1::continue_sign_in_request::Input;
use futures_util::future::join_all;
use tonic::Status;

use crate::harness::{Backend, TestApp, bearer, details, figure, on_both_backends, phone_number, request_id};

on_both_backends!(
    a_new_person_is_led_to_an_account,
    somebody_known_needs_nothing_but_the_code,
    a_password_is_asked_for_where_accounts_are_no_secret,
    everybody_is_asked_for_the_same_first,
    a_code_is_the_way_out_of_a_password,
    steps_are_configured,
    no_step_is_skipped_or_taken_out_of_order,
    a_step_may_be_repeated_and_changes_nothing,
    of_two_inputs_at_once_one_is_taken,
    a_flow_is_of_no_use_to_anybody_else,
    a_flow_expires_and_another_code_can_be_had,
    beginning_again_with_the_same_intent_is_the_same_flow,
    a_visitor_becomes_a_person,
    o13_a_flow_yields_one_session,
);

const PHONE: &str = "09121234567";
const PASSWORD: &str = "seven wooden ladders";

fn begin(phone: &str) -> v1::BeginSignInRequest {
    v1::BeginSignInRequest { identifier: Some(phone_number(phone)), ..Default::default() }
}

async fn begun(app: &TestApp, phone: &str) -> v1::SignInStep {
    app.node().auth().begin_sign_in(begin(phone)).await.unwrap().into_inner().step.unwrap()
}

async fn go_on(app: &TestApp, flow: &v1::SignInStep, input: Input) -> Result<v1::SignInStep, Status> {
    let request = v1::ContinueSignInRequest { flow_id: flow.flow_id.clone(), input: Some(input), ..Default::default() };
    Ok(app.node().auth().continue_sign_in(request).await?.into_inner().step.unwrap())
}

async fn reason(app: &TestApp, flow: &v1::SignInStep, input: Input) -> String {
    details(&go_on(app, flow, input).await.unwrap_err()).reason
}

async fn right_code(app: &TestApp, step: &v1::SignInStep) -> Input {
    Input::Code(app.code(&step.challenge.as_ref().unwrap().challenge_id).await)
}

fn new_password() -> Input {
    Input::NewPassword(PASSWORD.to_owned())
}

fn profile() -> Input {
    let (first_name, last_name) = ("سارا".to_owned(), "احمدی".to_owned());
    Input::Profile(v1::SignInProfile { first_name, last_name, locale: "fa".to_owned(), ..Default::default() })
}

/// Leads a new person through all steps.
async fn signed_up(app: &TestApp, phone: &str) -> v1::SignInStep {
    let step = begun(app, phone).await;
    let code = right_code(app, &step).await;
    let step = go_on(app, &step, code).await.unwrap();
    let step = go_on(app, &step, new_password()).await.unwrap();
    go_on(app, &step, profile()).await.unwrap()
}

async fn a_new_person_is_led_to_an_account(backend: Backend) {
    let app = TestApp::new(backend).await;
    let step = begun(&app, PHONE).await;
    assert_eq!(step.next(), v1::SignInNext::Code);
    assert!(step.tokens.is_none() && step.account.is_none());
    let code = right_code(&app, &step).await;
    let step = go_on(&app, &step, code).await.unwrap();
    assert_eq!((step.next(), step.challenge.is_none()), (v1::SignInNext::SetPassword, true));
    assert_eq!(app.rows("accounts").await, 0);
    let step = go_on(&app, &step, new_password()).await.unwrap();
    assert_eq!(step.next(), v1::SignInNext::Profile);
    assert_eq!(app.rows("accounts").await, 0);
    let step = go_on(&app, &step, profile()).await.unwrap();
    assert_eq!((step.next(), step.created), (v1::SignInNext::Done, true));
    let account = step.account.clone().unwrap();
    assert_eq!((account.first_name.as_str(), account.last_name.as_str()), ("سارا", "احمدی"));
    assert!(account.phone_verified && account.has_password && account.locale == "fa" && account.roles.is_empty());
    assert!(app.is_active(&step.tokens.unwrap().access_token).await);

    let credential = v1::login_request::Credential::Password(v1::PasswordCredential {
        identifier: Some(phone_number(PHONE)),
        password: PASSWORD.to_owned(),
    });
    let request = v1::LoginRequest { credential: Some(credential), ..Default::default() };
    let answer = app.node().auth().login(request).await.unwrap().into_inner();
    assert_eq!(answer.account.unwrap().account_id, account.account_id);
}

async fn somebody_known_needs_nothing_but_the_code(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in(PHONE).await;
    let step = begun(&app, PHONE).await;
    let code = right_code(&app, &step).await;
    let step = go_on(&app, &step, code).await.unwrap();
    assert_eq!((step.next(), step.created), (v1::SignInNext::Done, false));
    assert_eq!(step.account.unwrap().account_id, person.account_id);
}

async fn a_password_is_asked_for_where_accounts_are_no_secret(backend: Backend) {
    let app = TestApp::with(backend, &[("sign_in.reveal_accounts", "true")]).await;
    assert_eq!(begun(&app, "09121234560").await.next(), v1::SignInNext::Code);
    let account = signed_up(&app, PHONE).await.account.unwrap();
    let step = begun(&app, PHONE).await;
    assert_eq!((step.next(), step.challenge.is_none()), (v1::SignInNext::Password, true));
    assert_eq!(reason(&app, &step, Input::Password("wrong".to_owned())).await, "INVALID_CREDENTIALS");
    let step = go_on(&app, &step, Input::Password(PASSWORD.to_owned())).await.unwrap();
    assert_eq!((step.next(), step.created), (v1::SignInNext::Done, false));
    assert_eq!(step.account.unwrap().account_id, account.account_id);
}

async fn everybody_is_asked_for_the_same_first(backend: Backend) {
    for first in ["code", "password"] {
        let app = TestApp::with(backend, &[("sign_in.first_step", first)]).await;
        app.sign_in("09121234561").await;
        let known = begun(&app, "09121234561").await;
        let unknown = begun(&app, "09121234562").await;
        assert_eq!(known.next(), unknown.next());
        let shape = |step: &v1::SignInStep| {
            (step.flow_id.len(), step.expires_at, step.challenge.as_ref().map(|challenge| challenge.expires_at))
        };
        assert_eq!(shape(&known), shape(&unknown));
        if first == "password" {
            for step in [known, unknown] {
                assert_eq!(step.next(), v1::SignInNext::Password);
                let refused = reason(&app, &step, Input::Password("some password".to_owned())).await;
                assert_eq!(refused, "INVALID_CREDENTIALS");
            }
        }
    }
}

async fn a_code_is_the_way_out_of_a_password(backend: Backend) {
    let app = TestApp::with(backend, &[("sign_in.first_step", "password")]).await;
    let step = begun(&app, PHONE).await;
    let step = go_on(&app, &step, Input::UseCode(true)).await.unwrap();
    assert_eq!(step.next(), v1::SignInNext::Code);
    let challenge = step.challenge.clone().unwrap().challenge_id;
    // Asked for again in haste, it is the same code.
    let again = go_on(&app, &step, Input::UseCode(true)).await.unwrap();
    let code = right_code(&app, &step).await;
    assert_eq!((again.challenge.unwrap().challenge_id, app.messages_so_far()), (challenge, 1));
    assert_eq!(go_on(&app, &step, code).await.unwrap().next(), v1::SignInNext::SetPassword);
}

async fn steps_are_configured(backend: Backend) {
    for (steps, expected) in [
        ("", vec![v1::SignInNext::Done]),
        ("profile", vec![v1::SignInNext::Profile, v1::SignInNext::Done]),
        ("profile,set_password", vec![v1::SignInNext::Profile, v1::SignInNext::SetPassword, v1::SignInNext::Done]),
    ] {
        let settings = [("sign_in.new_account_steps", steps), ("sign_in.profile_fields", "last_name")];
        let app = TestApp::with(backend, &settings).await;
        let mut step = begun(&app, PHONE).await;
        for next in expected {
            let input = match step.next() {
                v1::SignInNext::Code => right_code(&app, &step).await,
                v1::SignInNext::Profile => {
                    let nameless = Input::Profile(v1::SignInProfile::default());
                    let refusal = details(&go_on(&app, &step, nameless).await.unwrap_err());
                    assert_eq!(refusal.fields, ["profile.last_name"]);
                    profile()
                }
                _ => new_password(),
            };
            step = go_on(&app, &step, input).await.unwrap();
            assert_eq!(step.next(), next);
        }
    }
}

async fn no_step_is_skipped_or_taken_out_of_order(backend: Backend) {
    let app = TestApp::new(backend).await;
    let step = begun(&app, PHONE).await;
    let others = || [new_password(), profile(), Input::Password(PASSWORD.to_owned())];
    for input in others() {
        assert_eq!(reason(&app, &step, input).await, "WRONG_STEP");
    }
    assert_eq!(reason(&app, &step, Input::Code("0000000".to_owned())).await, "INVALID_FIELD");
    let code = right_code(&app, &step).await;
    let step = go_on(&app, &step, code).await.unwrap();
    for input in
        [profile(), Input::Password(PASSWORD.to_owned()), Input::UseCode(true), Input::Code("123456".to_owned())]
    {
        assert_eq!(reason(&app, &step, input).await, "WRONG_STEP");
    }
    for unfit in ["short", "password123", PHONE] {
        assert_eq!(reason(&app, &step, Input::NewPassword(unfit.to_owned())).await, "PASSWORD_UNFIT", "{unfit}");
    }
    let step = go_on(&app, &step, new_password()).await.unwrap();
    assert_eq!(reason(&app, &step, Input::NewPassword("another good password".to_owned())).await, "WRONG_STEP");
    let step = go_on(&app, &step, profile()).await.unwrap();
    assert_eq!(step.next(), v1::SignInNext::Done);
    for input in others().into_iter().take(2).skip(1).chain([Input::UseCode(true)]) {
        let is_last = matches!(input, Input::Profile(_));
        let again = go_on(&app, &step, input).await;
        assert_eq!(again.is_ok(), is_last);
    }
    assert_eq!((app.rows("accounts").await, app.rows("sessions").await), (1, 1));
}

async fn a_step_may_be_repeated_and_changes_nothing(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut step = begun(&app, PHONE).await;
    let code = right_code(&app, &step).await;
    for input in [code, new_password(), profile()] {
        let first = go_on(&app, &step, input.clone()).await.unwrap();
        let again = go_on(&app, &step, input).await.unwrap();
        assert_eq!((first.next, &first.flow_id, first.created), (again.next, &again.flow_id, again.created));
        let session = |step: &v1::SignInStep| step.tokens.as_ref().map(|tokens| tokens.refresh_token.clone());
        assert_eq!(session(&first), session(&again));
        step = first;
    }
    assert_eq!(step.next(), v1::SignInNext::Done);
    // Once the session has moved on, the flow has nothing to give.
    let refresh_token = step.tokens.clone().unwrap().refresh_token;
    app.node().tokens().refresh(v1::RefreshRequest { refresh_token, ..Default::default() }).await.unwrap();
    assert_eq!(reason(&app, &step, profile()).await, "FLOW_NOT_FOUND");
    assert_eq!((app.rows("accounts").await, app.rows("sessions").await), (1, 1));
}

async fn of_two_inputs_at_once_one_is_taken(backend: Backend) {
    let app = TestApp::new(backend).await;
    let step = begun(&app, PHONE).await;
    let code = right_code(&app, &step).await;
    let step = go_on(&app, &step, code).await.unwrap();
    let passwords: Vec<_> = (0..8).map(|n| format!("seven wooden ladders {n}")).collect();
    let tries = passwords.iter().map(|password| go_on(&app, &step, Input::NewPassword(password.clone())));
    let taken: Vec<_> = join_all(tries).await.into_iter().map(|outcome| outcome.is_ok()).collect();
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    go_on(&app, &step, profile()).await.unwrap();
    let identifier = Some(phone_number(PHONE));
    let password = passwords[taken.iter().position(|taken| *taken).unwrap()].clone();
    let credential = v1::login_request::Credential::Password(v1::PasswordCredential { identifier, password });
    let request = v1::LoginRequest { credential: Some(credential), ..Default::default() };
    app.node().auth().login(request).await.unwrap();
}

async fn a_flow_is_of_no_use_to_anybody_else(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mine = v1::ClientContext { device_id: "mine".to_owned(), ..Default::default() };
    let request = v1::BeginSignInRequest { client: Some(mine.clone()), ..begin(PHONE) };
    let step = app.node().auth().begin_sign_in(request).await.unwrap().into_inner().step.unwrap();
    let code = right_code(&app, &step).await;
    let as_client = |client: Option<v1::ClientContext>| v1::ContinueSignInRequest {
        flow_id: step.flow_id.clone(),
        input: Some(code.clone()),
        client,
    };
    let theirs = v1::ClientContext { device_id: "theirs".to_owned(), ..Default::default() };
    for client in [None, Some(theirs)] {
        let refusal = app.node().auth().continue_sign_in(as_client(client)).await.unwrap_err();
        assert_eq!(details(&refusal).reason, "FLOW_NOT_FOUND");
    }
    // Another application, too: a caller that acts for its own users.
    let refusal =
        app.node().auth().continue_sign_in(bearer(as_client(Some(mine.clone())), &app.api_key)).await.unwrap_err();
    assert_eq!(details(&refusal).reason, "FLOW_NOT_FOUND");
    app.node().auth().continue_sign_in(as_client(Some(mine))).await.unwrap();

    // Without a device, it is bound to the network, which only those who act for clients can tell of.
    let from = |ip: &str| Some(v1::ClientContext { ip: ip.to_owned(), ..Default::default() });
    let request = v1::BeginSignInRequest { client: from("192.0.2.1"), ..begin("09121234560") };
    let step = app.node().auth().begin_sign_in(bearer(request, &app.api_key)).await.unwrap().into_inner().step.unwrap();
    let code = right_code(&app, &step).await;
    for (ip, is_theirs) in [("192.0.2.2", false), ("2001:db8::1", false), ("192.0.2.1", true)] {
        let request =
            v1::ContinueSignInRequest { flow_id: step.flow_id.clone(), input: Some(code.clone()), client: from(ip) };
        let outcome = app.node().auth().continue_sign_in(bearer(request, &app.api_key)).await;
        assert_eq!(outcome.is_ok(), is_theirs, "{ip}");
    }
    // And an invented name is nobody's.
    let invented = v1::SignInStep { flow_id: format!("csf_{}", "A".repeat(43)), ..Default::default() };
    assert_eq!(reason(&app, &invented, Input::UseCode(true)).await, "FLOW_NOT_FOUND");
}

async fn a_flow_expires_and_another_code_can_be_had(backend: Backend) {
    let app = TestApp::new(backend).await;
    let step = begun(&app, PHONE).await;
    let old = right_code(&app, &step).await;
    app.advance(130);
    assert_eq!(reason(&app, &step, old).await, "INVALID_CREDENTIALS");
    let next = go_on(&app, &step, Input::UseCode(true)).await.unwrap();
    assert_ne!(next.challenge.as_ref().unwrap().challenge_id, step.challenge.unwrap().challenge_id);
    let code = right_code(&app, &next).await;
    let next = go_on(&app, &next, code).await.unwrap();
    app.advance(15 * 60 - 131);
    assert_eq!(go_on(&app, &next, new_password()).await.unwrap().next(), v1::SignInNext::Profile);
    app.advance(1);
    assert_eq!(reason(&app, &next, profile()).await, "FLOW_NOT_FOUND");
}

async fn beginning_again_with_the_same_intent_is_the_same_flow(backend: Backend) {
    let app = TestApp::new(backend).await;
    let named = v1::BeginSignInRequest { request_id: request_id(), ..begin(PHONE) };
    let first = app.node().auth().begin_sign_in(named.clone()).await.unwrap().into_inner();
    let again = app.node().auth().begin_sign_in(named.clone()).await.unwrap().into_inner();
    right_code(&app, first.step.as_ref().unwrap()).await;
    assert_eq!((first.step.as_ref().unwrap(), app.messages_so_far()), (again.step.as_ref().unwrap(), 1));
    let other = v1::BeginSignInRequest { identifier: Some(phone_number("09121234560")), ..named.clone() };
    let refusal = app.node().auth().begin_sign_in(other).await.unwrap_err();
    assert_eq!(details(&refusal).reason, "REQUEST_ID_REUSED");
    // Done, it gives no session away to whoever begins again.
    let mut step = first.step.unwrap();
    let code = right_code(&app, &step).await;
    for input in [code, new_password(), profile()] {
        step = go_on(&app, &step, input).await.unwrap();
    }
    let refusal = app.node().auth().begin_sign_in(named).await.unwrap_err();
    assert_eq!(details(&refusal).reason, "FLOW_NOT_FOUND");
}

async fn a_visitor_becomes_a_person(backend: Backend) {
    let app = TestApp::new(backend).await;
    let visitor = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
    let visitor = visitor.into_inner();
    app.sign_in(PHONE).await;
    let step = begun(&app, PHONE).await;
    let input = Some(right_code(&app, &step).await);
    let request = v1::ContinueSignInRequest { flow_id: step.flow_id, input, client: None };
    let answer = app.node().auth().continue_sign_in(bearer(request, &visitor.access_token)).await.unwrap();
    assert_eq!(answer.into_inner().step.unwrap().upgraded_from, visitor.anonymous_id);
    assert!(!app.is_active(&visitor.access_token).await);
}

/// A thousand replays of the right code, all at once, open one session.
async fn o13_a_flow_yields_one_session(backend: Backend) {
    let app = TestApp::new(backend).await;
    app.sign_in(PHONE).await;
    let step = begun(&app, PHONE).await;
    let code = right_code(&app, &step).await;
    let tries = (0..figure(1_000, 60)).map(|_| go_on(&app, &step, code.clone()));
    let answers: Vec<_> = join_all(tries).await.into_iter().flatten().collect();
    assert!(!answers.is_empty());
    let mut sessions: Vec<_> = answers.into_iter().map(|step| step.tokens.unwrap().refresh_token).collect();
    sessions.sort();
    sessions.dedup();
    assert_eq!((sessions.len(), app.rows("sessions").await), (1, 2));
}
