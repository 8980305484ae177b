//! Failures: counted first, by identifier and network before anything wider, for codes and passwords apart (O3, O9).

use std::net::{IpAddr, Ipv4Addr};

use countersign::guard::{Factor, GuardError};
use countersign::model::{EmailAddress, Identifier, Network, Phone};
use countersign::proto::v1;
use futures_util::future::join_all;
use tonic::{Code, Status};

use super::limits::{from, limit_of, number};
use super::{ask, enter, other_code, resend};
use crate::harness::{
    Backend, OwnRedis, TestApp, bearer, details, figure, has_services, login, on_both_backends, storm,
};

on_both_backends!(
    three_failures_block_an_identifier_in_one_network_for_an_hour,
    a_right_code_begins_the_counting_anew,
    o3_resends_and_new_challenges_reset_no_counter,
    o9_an_attack_from_elsewhere_locks_nobody_out,
    of_many_attempts_at_once_three_are_judged,
    codes_and_passwords_are_counted_apart,
    many_identifiers_from_one_network_are_one_matter,
    a_strangers_identifier_is_treated_like_any_other,
    each_other_limit_refuses_by_its_name,
);

fn identifier(phone: &str) -> Identifier {
    Phone::parse(phone, "IR".parse().unwrap()).unwrap().into()
}

/// One network of many.
fn network(n: u32) -> Network {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n)).into()
}

/// Exchanges a code from an address.
async fn enter_from(app: &TestApp, ip: &str, challenge_id: &str, code: &str) -> Result<(), Status> {
    let client = Some(v1::ClientContext { ip: ip.to_owned(), ..Default::default() });
    let request = v1::LoginRequest { client, ..login(challenge_id, code) };
    app.node().auth().login(bearer(request, &app.api_key)).await.map(drop)
}

async fn challenge_from(app: &TestApp, ip: &str, phone: &str) -> String {
    let answer = app.node().auth().request_otp(bearer(from(ip, phone), &app.api_key)).await.unwrap();
    answer.into_inner().challenge.unwrap().challenge_id
}

async fn three_failures_block_an_identifier_in_one_network_for_an_hour(backend: Backend) {
    let app = TestApp::with(backend, &[("otp.lifetime", "1h")]).await;
    let id = app.challenge("09121234567").await.challenge_id;
    let code = app.code(&id).await;
    for step in 1..=3 {
        app.advance(60);
        let refused = details(&enter(&app, &id, &other_code(&code, step)).await.unwrap_err());
        assert_eq!(refused.reason, "INVALID_CREDENTIALS");
    }
    app.advance(60);
    let refused = enter(&app, &id, &code).await.unwrap_err();
    assert_eq!(limit_of(&refused), "failed_codes");
    let told = details(&refused);
    assert_eq!((told.code, told.reason.as_str()), (Code::ResourceExhausted, "SIGN_IN_BLOCKED"));
    assert_eq!(told.retry_seconds, Some(3_540), "an hour from the third failure");
    let figures = app.node().app().metrics.render().unwrap();
    assert!(figures.contains("countersign_guard_refusals_total{limit=\"failed_codes\"} 1\n"), "{figures}");

    // Elsewhere, and for others here, nothing is blocked.
    let elsewhere = challenge_from(&app, "192.0.2.1", "09121234567").await;
    let code = app.code(&elsewhere).await;
    enter_from(&app, "192.0.2.1", &elsewhere, &code).await.unwrap();
    app.sign_in("09121234568").await;
    // What is refused meanwhile does not make it longer.
    app.advance(3_539);
    let id = app.challenge("09121234567").await.challenge_id;
    let code = app.code(&id).await;
    assert_eq!(details(&enter(&app, &id, &code).await.unwrap_err()).retry_seconds, Some(1));
    app.advance(1);
    enter(&app, &id, &code).await.unwrap();
    app.stop().await;
}

async fn a_right_code_begins_the_counting_anew(backend: Backend) {
    let app = TestApp::new(backend).await;
    for _ in 0..5 {
        let id = app.challenge("09121234567").await.challenge_id;
        let code = app.code(&id).await;
        for step in 1..=2 {
            enter(&app, &id, &other_code(&code, step)).await.unwrap_err();
        }
        enter(&app, &id, &code).await.unwrap();
    }
    app.stop().await;
}

async fn o3_resends_and_new_challenges_reset_no_counter(backend: Backend) {
    let _storm = storm().await;
    let settings = [
        ("otp.guesses", "10"),
        ("otp.resend_after", "0s"),
        ("otp.lifetime", "1h"),
        ("limits.codes_per_identifier_and_network.count", "100000"),
        ("limits.codes_per_identifier.count", "100000"),
        ("limits.codes_per_network.count", "100000"),
        ("limits.unused_codes.network", "100000"),
        ("limits.attempts_per_identifier.count", "20"),
    ];
    let app = TestApp::with(backend, &settings).await;
    let rounds = figure(100, 10);
    // From one network, and then from one after the other.
    for (networks, judged_at_most) in [(1, 3), (rounds, 17)] {
        let mut judged = 0;
        for round in 0..rounds {
            let ip = format!("198.51.100.{}", round % networks + networks % 7);
            let id = challenge_from(&app, &ip, "09121234567").await;
            for sent in 1..=2 {
                if sent == 2 {
                    resend(&app, &id).await.unwrap();
                }
                let code = app.codes_sent(&id, sent).await.pop().unwrap();
                for step in 1..=5 {
                    match enter_from(&app, &ip, &id, &other_code(&code, step)).await {
                        Ok(()) => panic!("a wrong code was taken"),
                        Err(status) if details(&status).reason == "SIGN_IN_BLOCKED" => {}
                        Err(status) => {
                            assert_eq!(details(&status).reason, "INVALID_CREDENTIALS");
                            judged += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(judged, judged_at_most, "from {networks} networks");
    }
    app.stop().await;
}

async fn o9_an_attack_from_elsewhere_locks_nobody_out(backend: Backend) {
    let _storm = storm().await;
    let settings =
        [("limits.codes_per_identifier_and_network.count", "100000"), ("limits.codes_per_network.count", "100000")];
    let app = TestApp::with(backend, &settings).await;
    let guard = &app.node().app().codes.guard;
    let victim = identifier("09121234567");
    app.sign_in("09121234567").await;
    let rounds = figure(1_000, 30);
    let (mut by_code, mut by_password) = (0, 0);
    for round in 0..rounds {
        // A hundred guesses in a second, each network's own.
        let of_this_second = u32::try_from(round % 600 * 100).unwrap();
        let victim = &victim;
        let attack = (0..100).map(|n| async move {
            for factor in [Factor::Code, Factor::Password] {
                drop(guard.admit_attempt(factor, victim, network(of_this_second + n)).await);
            }
        });
        join_all(attack).await;
        app.advance(1);
        let id = app.challenge("09121234567").await.challenge_id;
        let code = app.code(&id).await;
        by_code += usize::from(enter(&app, &id, &code).await.is_ok());
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST).into();
        if let Ok(attempt) = guard.admit_attempt(Factor::Password, victim, home).await {
            attempt.succeeded().await;
            by_password += 1;
        }
    }
    eprintln!("O9: of {rounds} sign-ins {by_code} by code and {by_password} by password");
    assert!(by_code * 100 >= rounds * 99 && by_password * 100 >= rounds * 99, "{by_code} {by_password} of {rounds}");
    // The attack itself has been stopped.
    let refused = guard.admit_attempt(Factor::Password, &victim, network(9_999_999)).await.unwrap_err();
    assert!(matches!(refused, GuardError::Blocked { limit: "attempts_per_identifier", .. }), "{refused:?}");
    app.stop().await;
}

async fn of_many_attempts_at_once_three_are_judged(backend: Backend) {
    let _storm = storm().await;
    let nodes = if backend == Backend::Shared { 2 } else { 1 };
    let app = TestApp::cluster(backend, nodes, &[]).await;
    let who = identifier("09121234567");
    let attempts = (0..figure(10_000, 1_000)).map(|n| {
        let (guard, who) = (&app.nodes[n % nodes].app().codes.guard, &who);
        async move { guard.admit_attempt(Factor::Password, who, network(1)).await.map(drop) }
    });
    let answers = join_all(attempts).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    // None of those that were refused counted towards what is wider.
    for n in 0..297 {
        let guard = &app.node().app().codes.guard;
        drop(guard.admit_attempt(Factor::Password, &who, network(2 + n)).await.unwrap());
    }
    app.node().app().codes.guard.admit_attempt(Factor::Password, &who, network(1_000)).await.unwrap_err();
    app.stop().await;
}

async fn codes_and_passwords_are_counted_apart(backend: Backend) {
    let app = TestApp::new(backend).await;
    let guard = &app.node().app().codes.guard;
    let who = identifier("09121234567");
    let home = IpAddr::V4(Ipv4Addr::LOCALHOST).into();
    for _ in 0..3 {
        drop(guard.admit_attempt(Factor::Password, &who, home).await.unwrap());
    }
    let refused = guard.admit_attempt(Factor::Password, &who, home).await.unwrap_err();
    assert!(matches!(refused, GuardError::Blocked { limit: "failed_passwords", .. }), "{refused:?}");
    app.sign_in("09121234567").await;
    guard.admit_attempt(Factor::Password, &who, home).await.unwrap_err();
    app.stop().await;
}

async fn many_identifiers_from_one_network_are_one_matter(backend: Backend) {
    let app = TestApp::with(backend, &[("limits.attempts_per_network.count", "5")]).await;
    let guard = &app.node().app().codes.guard;
    // Who signs in fails nowhere, however many do.
    for n in 0..50 {
        guard.admit_attempt(Factor::Password, &identifier(&number(n)), network(1)).await.unwrap().succeeded().await;
    }
    for n in 0..5 {
        drop(guard.admit_attempt(Factor::Password, &identifier(&number(n)), network(1)).await.unwrap());
    }
    let refused = guard.admit_attempt(Factor::Code, &identifier(&number(7)), network(1)).await.unwrap_err();
    assert!(matches!(refused, GuardError::Limited { limit: "attempts_per_network", .. }), "{refused:?}");
    guard.admit_attempt(Factor::Code, &identifier(&number(7)), network(2)).await.unwrap().withdrawn().await;
    app.stop().await;
}

async fn a_strangers_identifier_is_treated_like_any_other(backend: Backend) {
    let app = TestApp::new(backend).await;
    app.sign_in("09121234567").await;
    let mut answers = Vec::new();
    for phone in ["09121234567", "09121234568"] {
        let id = app.challenge(phone).await.challenge_id;
        let code = app.code(&id).await;
        let mut seen = Vec::new();
        for step in 1..=4 {
            let status = enter(&app, &id, &other_code(&code, step)).await.unwrap_err();
            seen.push((status.code(), status.message().to_owned(), status.details().to_vec()));
        }
        answers.push(seen);
    }
    assert_eq!(answers[0], answers[1]);
    app.stop().await;
}

async fn each_other_limit_refuses_by_its_name(backend: Backend) {
    let names = ["sign_ins_per_network", "registrations_per_network", "resets_per_identifier_and_network"];
    let names = [names.as_slice(), &["verifications_per_account"]].concat();
    let settings: Vec<_> = names.iter().map(|name| (format!("limits.{name}.count"), "2")).collect();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let app = TestApp::with(backend, &settings).await;
    let guard = &app.node().app().codes.guard;
    let mail = Identifier::Email(EmailAddress::parse("ali@example.com").unwrap());
    let account = app.sign_in("09121234567").await.account_id.parse().unwrap();
    for n in 0..3 {
        let answers = [
            guard.admit_sign_in(network(1)).await,
            guard.admit_registration(network(1)).await,
            guard.admit_reset(&mail, network(1)).await,
            guard.admit_verification(account).await,
        ];
        for (name, answer) in names.iter().zip(answers) {
            match answer {
                Ok(()) => assert!(n < 2, "{name}"),
                Err(GuardError::Limited { limit, .. }) => assert_eq!((n, limit), (2, *name)),
                Err(other) => panic!("{name}: {other}"),
            }
        }
    }
    guard.admit_reset(&mail, network(2)).await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_cache_nothing_is_judged_and_introspection_goes_on() {
    if !has_services() {
        return;
    }
    let Some(mut redis) = OwnRedis::start().await else { return };
    let app = TestApp::with(Backend::Shared, &[("cache.url", &redis.url())]).await;
    let person = app.sign_in("09121234567").await;
    let id = app.challenge("09121234568").await.challenge_id;
    let code = app.code(&id).await;
    redis.stop();
    let sent = app.messages_so_far();
    for _ in 0..5 {
        let refused = details(&app.node().auth().request_otp(ask("09121234569")).await.unwrap_err());
        assert_eq!((refused.code, refused.reason.as_str()), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"));
        let refused = details(&enter(&app, &id, &code).await.unwrap_err());
        assert_eq!((refused.code, refused.retry_seconds), (Code::Unavailable, Some(1)));
        let guard = &app.node().app().codes.guard;
        let who = identifier("09121234567");
        let attempt = guard.admit_attempt(Factor::Password, &who, network(1)).await;
        assert!(matches!(attempt, Err(GuardError::Cache(_))), "{attempt:?}");
        assert!(app.is_active(&person.access_token).await);
    }
    assert_eq!(app.messages_so_far(), sent);
    app.stop().await;
}
