//! What messages may cost, where they may go, and whether they are used (O10).

use countersign::proto::v1;
use countersign::random::Random;
use futures_util::{StreamExt, stream};
use tonic::{Code, Status};

use super::limits::{from, limit_of, number};
use super::{ask, enter};
use crate::harness::{Backend, TestApp, bearer, details, figure, mail_address, on_both_backends, storm};

on_both_backends!(
    o10_no_message_leaves_beyond_any_budget,
    a_day_has_a_budget_and_each_country_its_price,
    only_countries_that_are_served_get_messages,
    a_source_whose_codes_are_not_used_gets_no_more,
    strangers_do_not_use_up_the_codes_of_somebody_elsewhere,
    a_refusal_by_a_narrow_limit_uses_up_no_wide_one,
);

/// How many calls are under way at a time.
const AT_ONCE: usize = 50;

/// Asks for a code on behalf of somebody at an address.
async fn ask_from(app: &TestApp, ip: &str, phone: &str) -> Result<v1::OtpChallenge, Status> {
    let answer = app.node().auth().request_otp(bearer(from(ip, phone), &app.api_key)).await?;
    Ok(answer.into_inner().challenge.unwrap())
}

async fn o10_no_message_leaves_beyond_any_budget(backend: Backend) {
    let _storm = storm().await;
    // The embedded cache serves one node.
    let nodes = if backend == Backend::Shared { 2 } else { 1 };
    for (setting, value, budget) in [
        ("limits.spend.per_day", "40", 40),
        ("limits.codes_in_all.count", "40", 40),
        ("limits.codes_per_prefix.count", "4", 40),
        ("limits.unused_codes.prefix", "4", 40),
    ] {
        let app = TestApp::cluster(backend, nodes, &[(setting, value)]).await;
        let requests = (0..figure(25_000, 1_000)).map(|n| {
            let ip = std::net::Ipv4Addr::from_bits(u32::from_be_bytes(Random.bytes())).to_string();
            // Ten prefixes.
            let request = bearer(from(&ip, &format!("091{}{:07}", n % 10, n)), &app.api_key);
            let mut auth = app.nodes[n % nodes].auth();
            async move { auth.request_otp(request).await }
        });
        let answers: Vec<_> = stream::iter(requests).buffer_unordered(AT_ONCE).collect().await;
        let (mut admitted, mut unknown) = (0, 0);
        for answer in answers {
            match answer.map_err(|status| details(&status).reason) {
                Ok(_) => admitted += 1,
                // A machine that is busy with all of this may get no answer from Redis in time; it may have counted.
                Err(reason) if reason == "DEPENDENCY_UNAVAILABLE" => unknown += 1,
                Err(reason) => assert_eq!(reason, "RATE_LIMITED"),
            }
        }
        for _ in 0..200 {
            if app.messages_so_far() >= admitted {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let sent = app.messages_so_far();
        assert!(sent <= budget && admitted <= budget && sent + unknown >= budget, "{setting}: {sent} of {budget}");
        app.stop().await;
    }
}

async fn a_day_has_a_budget_and_each_country_its_price(backend: Backend) {
    let settings = [("limits.spend.per_day", "10"), ("limits.spend.countries", "AE=4")];
    let app = TestApp::with(backend, &settings).await;
    for phone in ["+971501234567", "+971501234568", "09121234567", "09121234568"] {
        app.challenge(phone).await;
    }
    let refused = app.node().auth().request_otp(ask("09121234569")).await.unwrap_err();
    // It is 17:46:40 UTC.
    assert_eq!((limit_of(&refused).as_str(), details(&refused).retry_seconds), ("spend", Some(22_400)));
    let figures = app.node().app().metrics.render().unwrap();
    assert!(figures.contains("countersign_guard_spend 10\n"), "{figures}");
    assert!(figures.contains("countersign_guard_refusals_total{limit=\"spend\"} 1\n"), "{figures}");
    // Mail costs nothing here.
    let mail = v1::RequestOtpRequest { identifier: Some(mail_address("ali@example.com")), ..Default::default() };
    app.node().auth().request_otp(mail).await.unwrap();
    app.advance(22_400);
    for phone in ["+971501234567", "+971501234568"] {
        app.challenge(phone).await;
    }
    // There is room for two at home, not for one there.
    let refused = app.node().auth().request_otp(ask("+971501234569")).await.unwrap_err();
    assert_eq!((limit_of(&refused).as_str(), details(&refused).retry_seconds), ("spend", Some(86_400)));
    app.challenge("09121234567").await;
    app.challenge("09121234568").await;
    app.stop().await;
}

async fn only_countries_that_are_served_get_messages(backend: Backend) {
    let app = TestApp::with(backend, &[("limits.countries", "IR, CA")]).await;
    for phone in ["+971501234567", "+14155550100", "+18765550100"] {
        let refused = details(&app.node().auth().request_otp(ask(phone)).await.unwrap_err());
        assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "COUNTRY_NOT_SERVED"));
    }
    for phone in ["09121234567", "+14165550100"] {
        let id = app.challenge(phone).await.challenge_id;
        app.code(&id).await;
    }
    let mail = v1::RequestOtpRequest { identifier: Some(mail_address("ali@example.com")), ..Default::default() };
    let mail = app.node().auth().request_otp(mail).await.unwrap().into_inner().challenge.unwrap();
    app.code(&mail.challenge_id).await;
    assert_eq!(app.messages_so_far(), 3);
    app.stop().await;
}

async fn a_source_whose_codes_are_not_used_gets_no_more(backend: Backend) {
    let settings = [("limits.unused_codes.network", "3"), ("limits.unused_codes.one_in", "2")];
    let app = TestApp::with(backend, &settings).await;
    let mut challenges = Vec::new();
    for n in 0..3 {
        challenges.push(ask_from(&app, "192.0.2.1", &number(n)).await.unwrap().challenge_id);
    }
    let refused = ask_from(&app, "192.0.2.1", &number(3)).await.unwrap_err();
    // Windows follow the clock.
    assert_eq!((limit_of(&refused).as_str(), details(&refused).retry_seconds), ("unused_codes", Some(800)));
    ask_from(&app, "192.0.2.2", &number(4)).await.unwrap();
    // One in two must be used. It does not matter from where.
    for (id, admits) in challenges.iter().zip([0, 1, 2]) {
        let code = app.code(id).await;
        enter(&app, id, &code).await.unwrap();
        for n in 0..admits {
            ask_from(&app, "192.0.2.1", &number(10 + n)).await.unwrap();
        }
        ask_from(&app, "192.0.2.1", &number(5)).await.unwrap_err();
    }
    app.advance(800);
    ask_from(&app, "192.0.2.1", &number(6)).await.unwrap();
    app.stop().await;
}

async fn strangers_do_not_use_up_the_codes_of_somebody_elsewhere(backend: Backend) {
    let app = TestApp::with(backend, &[("limits.codes_per_identifier.count", "5")]).await;
    app.sign_in("09121234567").await;
    let mut refused = 0;
    for n in 0..20 {
        if let Err(status) = ask_from(&app, &format!("192.0.2.{n}"), "09121234567").await {
            assert_eq!(limit_of(&status), "codes_per_identifier");
            refused += 1;
        }
    }
    assert_eq!(refused, 16, "the owner's own was one of the five");
    app.sign_in("09121234567").await;
    // A stranger in one network has less than that.
    let app = TestApp::with(backend, &[("limits.codes_per_identifier_and_network.count", "2")]).await;
    for n in 0..30 {
        assert_eq!(ask_from(&app, "192.0.2.1", "09121234567").await.is_ok(), n < 2);
    }
    app.sign_in("09121234567").await;
    app.stop().await;
}

async fn a_refusal_by_a_narrow_limit_uses_up_no_wide_one(backend: Backend) {
    let settings = [
        ("limits.codes_per_identifier_and_network.count", "1"),
        ("limits.codes_per_network.count", "2"),
        ("limits.codes_in_all.count", "2"),
    ];
    let app = TestApp::with(backend, &settings).await;
    app.challenge(&number(0)).await;
    for _ in 0..10 {
        let refused = app.node().auth().request_otp(ask(&number(0))).await.unwrap_err();
        assert_eq!(limit_of(&refused), "codes_per_identifier_and_network");
    }
    app.challenge(&number(1)).await;
    let refused = ask_from(&app, "192.0.2.1", &number(2)).await.unwrap_err();
    assert_eq!(limit_of(&refused), "codes_in_all");
    app.stop().await;
}
