//! The public keys: the same by gRPC and by HTTP, of the algorithm that is configured, and enough to verify tokens with.

use countersign::proto::v1;
use countersign::token::{KeySet, verify_compact};
use serde_json::Value;

use crate::harness::{Backend, TestApp, on_both_backends};

on_both_backends!(both_ways_give_the_same_keys, each_algorithm_signs_what_its_keys_verify);

async fn published(app: &TestApp) -> String {
    let address = format!("http://{}/.well-known/jwks.json", app.node().http);
    reqwest::get(address).await.unwrap().text().await.unwrap()
}

async fn both_ways_give_the_same_keys(backend: Backend) {
    let app = TestApp::new(backend).await;
    let answer = app.node().tokens().get_jwks(v1::GetJwksRequest {}).await.unwrap().into_inner();
    assert_eq!(answer.cache_ttl.unwrap().seconds, 300);
    let set: Value = serde_json::from_str(&published(&app).await).unwrap();
    let members = |key: &v1::Jwk| {
        let all = [
            ("kty", &key.kty),
            ("kid", &key.kid),
            ("use", &key.r#use),
            ("alg", &key.alg),
            ("crv", &key.crv),
            ("x", &key.x),
            ("y", &key.y),
            ("n", &key.n),
            ("e", &key.e),
        ];
        let there = all.into_iter().filter(|(_, value)| !value.is_empty());
        Value::Object(there.map(|(name, value)| (name.to_owned(), value.clone().into())).collect())
    };
    assert_eq!(set["keys"], Value::Array(answer.keys.iter().map(members).collect()));
    assert!(!answer.keys.is_empty());
    app.stop().await;
}

async fn each_algorithm_signs_what_its_keys_verify(backend: Backend) {
    for (algorithm, kind) in [("ES256", "EC"), ("EdDSA", "OKP"), ("RS256", "RSA")] {
        let app = TestApp::with(backend, &[("keys.algorithm", algorithm)]).await;
        let token = app.sign_in("09121234567").await.access_token;
        assert!(app.is_active(&token).await);
        let set = published(&app).await;
        let verified = verify_compact(&token, &KeySet::from_jwks(&set).unwrap()).unwrap();
        assert_eq!((verified.algorithm.as_str(), verified.typ.as_deref()), (algorithm, Some("at+jwt")));
        let set: Value = serde_json::from_str(&set).unwrap();
        for key in set["keys"].as_array().unwrap() {
            assert_eq!((key["kty"].as_str(), key["use"].as_str()), (Some(kind), Some("sig")));
            assert!(["d", "p", "q", "k"].iter().all(|private| key.get(private).is_none()));
        }
        app.stop().await;
    }
}
