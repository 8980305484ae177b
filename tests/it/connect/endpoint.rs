//! An endpoint of the operator's own.

use aws_lc_rs::hmac;
use countersign::clock::Clock;
use countersign::connect::{Finding, IdentityProvider, Input, ProviderError};
use countersign::model::{BirthDate, IdentitySource};
use serde_json::{Value, json};

use super::registry::{Registry, Reply};
use super::{BORN, NATIONAL_ID, PHONE, clock, provider, unavailable, verify};

const SECRET: &str = "a secret that both sides know";

fn endpoint_at(clock: &Clock, url: &str) -> IdentityProvider {
    provider(clock, &[("provider", "http"), ("http.url", url), ("http.secret", SECRET), ("failures", "1000")])
}

#[tokio::test]
async fn what_is_stated_arrives_signed() {
    let registry = Registry::start().await;
    let endpoint = endpoint_at(&clock(), &format!("{}/people?of=iran", registry.url));
    registry.say(&json!({ "matched": false }));
    assert!(verify(&endpoint, Some(PHONE), NATIONAL_ID, Some(BORN)).await == Ok(Finding::NotMatched));
    assert!(verify(&endpoint, None, NATIONAL_ID, None).await == Ok(Finding::NotMatched));
    let [whole, bare] = registry.questions().try_into().unwrap();
    assert_eq!(whole.path, "/people");
    assert_eq!(whole.json(), json!({ "national_id": NATIONAL_ID, "phone": PHONE, "birth_date": "1991-04-20" }));
    assert_eq!(bare.json(), json!({ "national_id": NATIONAL_ID, "phone": null, "birth_date": null }));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    for question in [whole, bare] {
        let signature = question.header("x-countersign-signature").strip_prefix("sha256=").unwrap();
        let bytes = (0..signature.len()).step_by(2).map(|at| u8::from_str_radix(&signature[at..at + 2], 16));
        let signature = bytes.collect::<Result<Vec<_>, _>>().unwrap();
        hmac::verify(&key, &question.body, &signature).expect("the secret's signature over the bytes of the body");
    }
}

#[tokio::test]
async fn what_it_answers_is_read_with_care() {
    let registry = Registry::start().await;
    let endpoint = endpoint_at(&clock(), &registry.url);
    registry.say(&json!({
        "matched": true, "first_name": " Maryam\u{0} ", "last_name": "Mirzakhani", "birth_date": "1370-01-31",
        "alive": true, "favourite_colour": "green",
    }));
    for stated in [None, Some(BORN)] {
        let Ok(Finding::Matched(person)) = verify(&endpoint, None, NATIONAL_ID, stated).await else {
            panic!("not matched");
        };
        assert_eq!(person.source, IdentitySource::Http);
        assert_eq!(person.full_name().as_deref(), Some("Maryam Mirzakhani"));
        assert!(person.birth_date == BORN.parse::<BirthDate>().ok() && person.alive == Some(true));
    }
    // It says that the date matches, and that it is another.
    unavailable(verify(&endpoint, None, NATIONAL_ID, Some("1370/02/01")).await);

    registry.say(&json!({ "matched": true, "first_name": null }));
    let Ok(Finding::Matched(person)) = verify(&endpoint, None, NATIONAL_ID, Some(BORN)).await else {
        panic!("not matched");
    };
    assert!(person.full_name().is_none() && person.alive.is_none() && person.birth_date.is_some());

    let wrong: [Value; 6] = [
        json!({}),
        json!([]),
        json!({ "matched": "true" }),
        json!({ "matched": null }),
        json!({ "matched": true, "first_name": 7 }),
        json!({ "matched": true, "birth_date": "yesterday" }),
    ];
    for document in wrong {
        registry.say(&document);
        unavailable(verify(&endpoint, None, NATIONAL_ID, None).await);
    }
}

#[tokio::test]
async fn a_status_says_whose_fault_it_is() {
    let registry = Registry::start().await;
    let endpoint = endpoint_at(&clock(), &registry.url);
    for status in [400, 422] {
        registry.reply(Some(Reply::Text(status, String::new())));
        let outcome = verify(&endpoint, None, NATIONAL_ID, None).await;
        assert_eq!(outcome, Err(ProviderError::Refused(Input::NationalId)));
    }
    // What looks like a finding is none if the status says otherwise.
    for status in [201, 401, 403, 404, 409, 429, 500, 503] {
        registry.reply(Some(Reply::Text(status, json!({ "matched": true }).to_string())));
        unavailable(verify(&endpoint, None, NATIONAL_ID, None).await);
    }
}
