//! Probing for tokens: whoever has no key learns nothing, and to whoever has one every token that does not count looks alike.

use std::collections::HashSet;

use countersign::proto::v1;
use countersign::random::Random;
use prost::Message;
use tonic::Code;

use super::forge::{Attacker, by_server, encode, parts, with};
use crate::harness::{Backend, TestApp, bearer, details, figure, on_both_backends};

on_both_backends!(inactive_answers_are_the_same_to_the_byte, nothing_is_told_without_a_key);

/// Tokens that do not count, each for a reason of its own.
pub(crate) async fn probes(app: &TestApp, how_many: usize) -> Vec<String> {
    let person = app.sign_in("09121234567").await;
    let revoked = app.sign_in("09121234568").await;
    app.node().auth().logout(bearer(v1::LogoutRequest::default(), &revoked.access_token)).await.unwrap();
    let token = parts(&person.access_token);
    let attacker = Attacker::new();
    let now = app.now().timestamp();
    let signed = |number: usize| format!("{}.{}", encode(number.to_string()), token.signature.len());
    let own = |claim: &str, value: serde_json::Value| by_server(app, with(&token.claims, claim, value).to_string());
    let mut probes = vec![
        revoked.access_token,
        revoked.refresh_token,
        person.refresh_token,
        app.api_key.clone(),
        "a".repeat(8 * 1024),
    ];
    for number in 0..how_many - probes.len() {
        probes.push(match number % 8 {
            0 => attacker.sign(&token.header, &with(&token.claims, "iat", number)),
            1 => attacker.sign(&with(&token.header, "kid", number.to_string()), &token.claims),
            2 => own("exp", (now - 6 - i64::try_from(number).unwrap()).into()),
            3 => own("iss", format!("http://{number}").into()),
            4 => own("aud", number.to_string().into()),
            5 => format!("csr_{}", encode(Random.bytes::<61>())),
            6 => signed(number),
            _ => encode(Random.bytes::<48>()),
        });
    }
    probes
}

async fn inactive_answers_are_the_same_to_the_byte(backend: Backend) {
    let app = TestApp::new(backend).await;
    let probes = probes(&app, figure(100_000, 4_000)).await;
    let mut answers = HashSet::new();
    for tokens in probes.chunks(400) {
        let request = v1::BatchIntrospectRequest { tokens: tokens.to_vec(), ..Default::default() };
        let batch = app.node().tokens().batch_introspect(bearer(request, &app.api_key)).await.unwrap().into_inner();
        assert_eq!(batch.results.len(), tokens.len());
        answers.extend(batch.results.iter().map(Message::encode_to_vec));
    }
    for token in probes.iter().take(400) {
        let request = v1::IntrospectRequest { token: token.clone(), ..Default::default() };
        let answer = app.node().tokens().introspect(bearer(request, &app.api_key)).await.unwrap();
        answers.insert(answer.into_inner().encode_to_vec());
    }
    // Time stands still here, so that `as_of` is the same as well.
    let as_of = Some(prost_types::Timestamp { seconds: app.now().timestamp(), nanos: 0 });
    let bare = v1::IntrospectResponse { as_of, ..Default::default() }.encode_to_vec();
    assert_eq!(answers, HashSet::from([bare]));
    app.stop().await;
}

async fn nothing_is_told_without_a_key(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09131234567").await;
    let probes = [probes(&app, 200).await, vec![person.access_token.clone()]].concat();
    let mut answers = HashSet::new();
    for token in probes {
        let request = v1::IntrospectRequest { token: token.clone(), ..Default::default() };
        let refused = app.node().tokens().introspect(request.clone()).await.unwrap_err();
        assert_eq!(details(&refused).code, Code::Unauthenticated);
        answers.insert((refused.message().to_owned(), refused.details().to_vec()));
        let refused = app.node().tokens().introspect(bearer(request, &person.access_token)).await.unwrap_err();
        assert_eq!(details(&refused).code, Code::PermissionDenied);
        answers.insert((refused.message().to_owned(), refused.details().to_vec()));
        let request = v1::BatchIntrospectRequest { tokens: vec![token], ..Default::default() };
        let refused = app.node().tokens().batch_introspect(request).await.unwrap_err();
        answers.insert((refused.message().to_owned(), refused.details().to_vec()));
    }
    assert_eq!(answers.len(), 2, "one refusal for nobody and one for somebody who may not");
    app.stop().await;
}
