//! What is somebody else's: whichever identifier of theirs comes along, the subject is who the token says (V9).

use countersign::proto::v1;
use countersign::proto::v1::OtpPurpose;
use countersign::proto::v1::continue_sign_in_request::Input;
use tonic::Status;

use crate::harness::{Backend, Person, TestApp, bearer, details, figure, on_both_backends, phone_number};

on_both_backends!(v9_nothing_of_somebody_elses_is_touched);

const VICTIM: &str = "09121234567";
const ATTACKER: &str = "09121234568";

/// What became of a call.
fn reason<T>(outcome: Result<T, Status>) -> String {
    outcome.map_or_else(|status| details(&status).reason, |_| "done".to_owned())
}

async fn profile(app: &TestApp, person: &Person) -> v1::Account {
    let request = bearer(v1::GetProfileRequest {}, &person.access_token);
    app.node().accounts().get_profile(request).await.unwrap().into_inner().account.unwrap()
}

/// A code of the victim's for something, which the attacker knows the challenge of.
async fn challenge(app: &TestApp, phone: &str, purpose: OtpPurpose) -> (String, String) {
    let identifier = Some(phone_number(phone));
    let request = v1::RequestOtpRequest { identifier, purpose: purpose.into(), ..Default::default() };
    let id = app.node().auth().request_otp(request).await.unwrap().into_inner().challenge.unwrap().challenge_id;
    let code = app.code(&id).await;
    (id, code)
}

async fn v9_nothing_of_somebody_elses_is_touched(backend: Backend) {
    let limits =
        ["codes_per_identifier", "codes_per_identifier_and_network", "codes_per_network", "attempts_per_network"]
            .map(|limit| (format!("limits.{limit}.count"), "100000"));
    let mut settings: Vec<_> = limits.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    settings.extend([("limits.unused_codes.network", "100000"), ("limits.failed_codes.count", "100000")]);
    settings.push(("token.access_lifetime", "1h"));
    let app = TestApp::with(backend, &settings).await;
    let (victim, attacker) = (app.sign_in(VICTIM).await, app.sign_in(ATTACKER).await);
    let before = [profile(&app, &victim).await, profile(&app, &attacker).await];
    let list = bearer(v1::ListSessionsRequest::default(), &victim.access_token);
    let session_id =
        app.node().accounts().list_sessions(list).await.unwrap().into_inner().sessions[0].session_id.clone();
    for _ in 0..figure(50, 2) {
        app.advance(61);
        let as_attacker = &attacker.access_token;
        let mut accounts = app.node().accounts();
        // A session, and the tokens of it.
        let request = v1::RevokeSessionRequest { session_id: session_id.clone() };
        assert_eq!(reason(accounts.revoke_session(bearer(request, as_attacker)).await), "SESSION_NOT_FOUND");
        for token in [&victim.access_token, &victim.refresh_token] {
            let request = v1::RevokeRequest { token: token.clone(), ..Default::default() };
            app.node().tokens().revoke(bearer(request, as_attacker)).await.unwrap();
        }
        // A code that was sent to the victim in order to leave: even with its digits it is nothing to another account.
        let (challenge_id, code) = challenge(&app, VICTIM, OtpPurpose::DeleteAccount).await;
        let otp = v1::OtpCredential { challenge_id, code };
        let proof = Some(v1::delete_account_request::Proof::Otp(otp));
        let request = v1::DeleteAccountRequest { proof };
        assert_eq!(reason(accounts.delete_account(bearer(request, as_attacker)).await), "INVALID_CREDENTIALS");
        // Codes for something else give nobody the victim's number.
        for purpose in [OtpPurpose::SignIn, OtpPurpose::ResetPassword, OtpPurpose::DeleteAccount] {
            let (challenge_id, code) = challenge(&app, VICTIM, purpose).await;
            let request = v1::ChangeIdentifierRequest { challenge_id, code };
            let refused = accounts.change_identifier(bearer(request, as_attacker)).await;
            assert_eq!(reason(refused), "INVALID_CREDENTIALS", "{purpose:?}");
        }
        // One that is for it does not either, since the victim has it.
        let (challenge_id, code) = challenge(&app, VICTIM, OtpPurpose::ChangeIdentifier).await;
        let request = v1::ChangeIdentifierRequest { challenge_id, code };
        assert_eq!(reason(accounts.change_identifier(bearer(request, as_attacker)).await), "IDENTIFIER_TAKEN");
        // A flow that was begun by another device.
        let client = Some(v1::ClientContext { device_id: "theirs".to_owned(), ..Default::default() });
        let begin = v1::BeginSignInRequest { identifier: Some(phone_number(VICTIM)), client, ..Default::default() };
        let step = app.node().auth().begin_sign_in(begin).await.unwrap().into_inner().step.unwrap();
        let code = app.code(&step.challenge.unwrap().challenge_id).await;
        let next = v1::ContinueSignInRequest { flow_id: step.flow_id, input: Some(Input::Code(code)), client: None };
        let refused = app.node().auth().continue_sign_in(bearer(next, as_attacker)).await;
        assert_eq!(reason(refused), "FLOW_NOT_FOUND");
        // An account, by the name that stands in the message.
        let account = v1::Account {
            account_id: victim.account_id.clone(),
            first_name: before[1].first_name.clone(),
            ..Default::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["first_name".to_owned()] });
        let request = v1::UpdateProfileRequest { account: Some(account), update_mask };
        let changed = accounts.update_profile(bearer(request, as_attacker)).await.unwrap().into_inner();
        assert_eq!(changed.account.unwrap().account_id, attacker.account_id);
    }
    assert_eq!([profile(&app, &victim).await, profile(&app, &attacker).await], before);
    assert!(app.is_active(&victim.access_token).await);
    assert_eq!(app.rows("sessions WHERE ended_at IS NOT NULL").await, 0);
    assert_eq!((app.rows("accounts").await, app.rows("sessions").await), (2, 2));
    app.stop().await;
}
