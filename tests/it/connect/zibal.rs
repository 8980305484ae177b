//! Zibal asked: what it is told, what its answers mean, and who learns of its refusals.

use std::io::Write;
use std::sync::Arc;

use countersign::connect::{Finding, Input, ProviderError};
use countersign::model::{BirthDate, IdentitySource, VerifiedIdentity};
use parking_lot::Mutex;
use serde_json::json;

use super::registry::{FIRST_NAME, LAST_NAME, Registry, TOKEN};
use super::{BORN, NATIONAL_ID, PHONE, clock, provider, unavailable, verify, zibal_at};

#[tokio::test]
async fn a_phone_number_alone_is_matched_and_names_nobody() {
    let registry = Registry::start().await;
    let zibal = zibal_at(&clock(), &registry.url);
    let person = VerifiedIdentity {
        source: IdentitySource::Zibal,
        first_name: None,
        last_name: None,
        birth_date: None,
        alive: None,
    };
    assert!(verify(&zibal, Some(PHONE), NATIONAL_ID, None).await == Ok(Finding::Matched(person)));
    let [question] = registry.questions().try_into().unwrap();
    assert_eq!(question.path, "/v1/facility/shahkarInquiry");
    assert_eq!(question.json(), json!({ "mobile": "09121234567", "nationalCode": NATIONAL_ID }));
    assert_eq!(question.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(question.header("content-type"), "application/json");
}

#[tokio::test]
async fn with_a_date_of_birth_the_person_is_known() {
    let registry = Registry::start().await;
    // A slash at the end of the address makes no difference.
    let zibal = zibal_at(&clock(), &format!("{}/", registry.url));
    let born: BirthDate = BORN.parse().unwrap();
    for spelling in [BORN, "1991-04-20"] {
        let Ok(Finding::Matched(person)) = verify(&zibal, Some(PHONE), NATIONAL_ID, Some(spelling)).await else {
            panic!("not matched");
        };
        assert_eq!(person.full_name(), Some(format!("{FIRST_NAME} {LAST_NAME}")));
        assert!(person.birth_date == Some(born) && person.alive == Some(false));
        let [first, second] = registry.questions().try_into().unwrap();
        assert_eq!(first.path, "/v1/facility/shahkarInquiry");
        assert_eq!(second.path, "/v1/facility/nationalIdentityInquiry");
        assert_eq!(second.json(), json!({ "nationalCode": NATIONAL_ID, "birthDate": BORN }));
        assert_eq!(second.header("authorization"), format!("Bearer {TOKEN}"));
    }
}

#[tokio::test]
async fn what_does_not_match_is_a_finding_and_the_second_question_is_saved() {
    let registry = Registry::start().await;
    let zibal = zibal_at(&clock(), &registry.url);
    let stranger = "+989121234568";
    assert!(verify(&zibal, Some(stranger), NATIONAL_ID, Some(BORN)).await == Ok(Finding::NotMatched));
    assert_eq!(registry.questions().len(), 1);
    assert!(verify(&zibal, Some(PHONE), NATIONAL_ID, Some("1370/02/01")).await == Ok(Finding::NotMatched));
    assert_eq!(registry.questions().len(), 2);
    registry.refuse(44);
    assert!(verify(&zibal, Some(PHONE), NATIONAL_ID, Some(BORN)).await == Ok(Finding::NotMatched));
    assert_eq!(registry.questions().len(), 1);
}

#[tokio::test]
async fn a_number_that_no_registry_has_costs_nothing() {
    let registry = Registry::start().await;
    let zibal = zibal_at(&clock(), &registry.url);
    for phone in [None, Some("+4915112345678"), Some("+982188776655")] {
        assert_eq!(verify(&zibal, phone, NATIONAL_ID, Some(BORN)).await, Err(ProviderError::NotSupported));
    }
    assert_eq!(registry.questions().len(), 0);
}

#[tokio::test]
async fn refused_input_is_named_and_does_not_count_as_a_failure() {
    let registry = Registry::start().await;
    let zibal = zibal_at(&clock(), &registry.url);
    registry.refuse(6);
    for _ in 0..5 {
        let outcome = verify(&zibal, Some(PHONE), NATIONAL_ID, None).await;
        assert_eq!(outcome, Err(ProviderError::Refused(Input::NationalId)));
    }
    assert_eq!(registry.questions().len(), 5);
    registry.refuse_only("nationalIdentityInquiry", 6);
    let outcome = verify(&zibal, Some(PHONE), NATIONAL_ID, Some(BORN)).await;
    assert_eq!(outcome, Err(ProviderError::Refused(Input::BirthDate)));
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap()
    }
}

#[tokio::test]
async fn what_the_operator_must_mend_is_said_once_and_nothing_personal_with_it() {
    let (log, _guard) = Log::start();
    let registry = Registry::start().await;
    let mut said = String::new();
    for (result, hint) in [
        (2, "did not get the token"),
        (3, "check identity.zibal.token"),
        (4, "unlocked"),
        (7, "address"),
        (8, "inactive"),
        (29, "wallet"),
    ] {
        let clock = clock();
        let zibal = zibal_at(&clock, &registry.url);
        registry.refuse(result);
        for _ in 0..5 {
            assert!(unavailable(verify(&zibal, Some(PHONE), NATIONAL_ID, Some(BORN)).await) > 0);
        }
        assert_eq!(registry.questions().len(), 3, "the breaker spares the rest");
        let lines = log.take();
        assert_eq!(lines.matches("ERROR").count(), 1, "{lines}");
        assert!(lines.contains(hint) && lines.contains(&format!("({result})")), "{lines}");
        said += &lines;

        registry.reply(None);
        clock.advance(chrono::TimeDelta::seconds(30));
        assert!(matches!(verify(&zibal, Some(PHONE), NATIONAL_ID, Some(BORN)).await, Ok(Finding::Matched(_))));
        let lines = log.take();
        assert_eq!(lines.matches("answers again").count(), 1, "{lines}");
        said += &lines;
        registry.questions();
    }
    for secret in [NATIONAL_ID, "9121234567", "1370/", "1991-", FIRST_NAME, LAST_NAME, TOKEN] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

/// Otherwise whoever knows a person about whom it says so could keep everybody else from being verified.
#[tokio::test]
async fn a_result_that_is_not_known_is_reported_once_and_does_not_count_as_a_failure() {
    let (log, _guard) = Log::start();
    let registry = Registry::start().await;
    let zibal = zibal_at(&clock(), &registry.url);
    for result in [21, 99] {
        registry.refuse(result);
        for _ in 0..5 {
            unavailable(verify(&zibal, Some(PHONE), NATIONAL_ID, None).await);
        }
        assert_eq!(registry.questions().len(), 5);
        let lines = log.take();
        assert_eq!(lines.matches("WARN").count(), 1, "{lines}");
        assert!(lines.contains(&format!("({result})")) && !lines.contains(NATIONAL_ID), "{lines}");
    }
}

#[tokio::test]
async fn a_token_that_zibal_does_not_know_is_the_operators_to_mend() {
    let (log, _guard) = Log::start();
    let registry = Registry::start().await;
    let settings = [("provider", "zibal"), ("zibal.url", registry.url.as_str()), ("zibal.token", "another")];
    unavailable(verify(&provider(&clock(), &settings), Some(PHONE), NATIONAL_ID, None).await);
    let lines = log.take();
    assert!(lines.contains("ERROR") && lines.contains("does not know the token"), "{lines}");
}
