//! Whoever is counted cannot choose the bucket: not by headers, not by spelling, not by the rest of an IPv6 network.

use std::net::Ipv6Addr;

use countersign::proto::v1;
use countersign::random::Random;
use futures_util::{StreamExt, stream};
use tonic::{Request, Status};

use super::ask;
use crate::harness::{Backend, TestApp, bearer, details, figure, mail_address, on_both_backends, storm};

on_both_backends!(
    each_limit_refuses_and_says_for_how_long,
    o4_nobody_chooses_the_address_they_are_counted_under,
    o4_a_caller_that_acts_for_clients_is_believed,
    o5_a_number_is_one_number_however_it_is_spelled,
    o5_an_address_is_one_address_however_it_is_spelled,
    o6_a_network_is_one_network_whichever_address_of_it_comes,
);

/// How many calls are under way at a time.
const AT_ONCE: usize = 50;

/// Sends all of them at once: so many are let through, and this limit refuses the others.
async fn admits(app: &TestApp, expected: usize, limit: &str, requests: Vec<Request<v1::RequestOtpRequest>>) {
    let answers = stream::iter(requests).map(|request| {
        let mut auth = app.node().auth();
        async move { auth.request_otp(request).await }
    });
    let (mut admitted, mut unknown) = (0, 0);
    for answer in answers.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        match answer.map_err(|status| (details(&status).reason, status)) {
            Ok(_) => admitted += 1,
            // A machine that is busy with all of this may get no answer from Redis in time; it may have counted.
            Err((reason, _)) if reason == "DEPENDENCY_UNAVAILABLE" => unknown += 1,
            Err((reason, status)) => assert_eq!((reason.as_str(), limit_of(&status).as_str()), ("RATE_LIMITED", limit)),
        }
    }
    assert!(admitted <= expected && admitted + unknown >= expected, "{admitted} admitted, {unknown} unanswered");
}

/// The limit that was reached.
pub(super) fn limit_of(status: &Status) -> String {
    use tonic_types::StatusExt;
    let quota = status.get_details_quota_failure().expect("a QuotaFailure");
    assert_eq!(status.get_details_error_info().unwrap().metadata["limit"], quota.violations[0].subject);
    quota.violations[0].subject.clone()
}

/// The same request from an address that its sender names.
pub(super) fn from(ip: &str, phone: &str) -> v1::RequestOtpRequest {
    v1::RequestOtpRequest { client: Some(v1::ClientContext { ip: ip.to_owned(), ..Default::default() }), ..ask(phone) }
}

/// A number that nobody else has.
pub(super) fn number(n: usize) -> String {
    format!("0912{n:07}")
}

async fn each_limit_refuses_and_says_for_how_long(backend: Backend) {
    for (limit, same_number, by_mail) in [
        ("codes_per_network", false, true),
        ("codes_per_identifier_and_network", true, false),
        ("codes_per_identifier", true, false),
        ("codes_per_prefix", false, false),
        ("codes_in_all", false, true),
    ] {
        let name = format!("limits.{limit}");
        let settings = [(format!("{name}.count"), "2"), (format!("{name}.per"), "10m")];
        let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let app = TestApp::with(backend, &settings).await;
        let asked = |n: usize| match (same_number, by_mail) {
            (true, _) => ask(&number(0)),
            (false, true) => v1::RequestOtpRequest {
                identifier: Some(mail_address(&format!("ali{n}@example.com"))),
                ..Default::default()
            },
            (false, false) => ask(&number(n)),
        };
        for n in 0..2 {
            app.node().auth().request_otp(asked(n)).await.unwrap();
        }
        app.advance(100);
        let refused = app.node().auth().request_otp(asked(2)).await.unwrap_err();
        assert_eq!((details(&refused).retry_seconds, limit_of(&refused).as_str()), (Some(500), limit));
        app.advance(499);
        app.node().auth().request_otp(asked(3)).await.unwrap_err();
        app.advance(1);
        app.node().auth().request_otp(asked(4)).await.unwrap();
        app.stop().await;
    }
}

async fn o4_nobody_chooses_the_address_they_are_counted_under(backend: Backend) {
    let _storm = storm().await;
    let app = TestApp::with(backend, &[("limits.codes_per_network.count", "5")]).await;
    let requests = (0..figure(10_000, 1_000)).map(|n| {
        let any = u32::from_be_bytes(Random.bytes());
        let ip = if n % 2 == 0 { std::net::Ipv4Addr::from_bits(any).to_string() } else { format!("2001:db8::{n:x}") };
        let mut request = Request::new(from(&ip, &number(n)));
        let headers = [
            ("x-forwarded-for", ip.clone()),
            ("x-forwarded-for", format!("{ip}, 127.0.0.1")),
            ("x-real-ip", ip.clone()),
            ("forwarded", format!("for=\"{ip}\";proto=https")),
            ("x-client-ip", ip.clone()),
            ("cf-connecting-ip", ip.clone()),
            ("true-client-ip", ip),
        ];
        for (name, value) in headers {
            request.metadata_mut().append(name, value.parse().unwrap());
        }
        request
    });
    admits(&app, 5, "codes_per_network", requests.collect()).await;
    // An access token gives no more right to it, nor does a caller without the permission.
    let create = v1::CreateCallerRequest {
        name: "gateway".to_owned(),
        permissions: vec![v1::Permission::Introspect.into(), v1::Permission::Admin.into()],
        ..Default::default()
    };
    let key = app.node().admin().create_caller(bearer(create, &app.api_key)).await.unwrap().into_inner().api_key;
    admits(&app, 0, "codes_per_network", vec![bearer(from("192.0.2.1", &number(1)), &key)]).await;
    app.stop().await;
}

async fn o4_a_caller_that_acts_for_clients_is_believed(backend: Backend) {
    let app = TestApp::with(backend, &[("limits.codes_per_network.count", "1")]).await;
    let requests = |from_n: usize| -> Vec<_> {
        (0..50).map(|n| bearer(from(&format!("192.0.2.{n}"), &number(from_n + n)), &app.api_key)).collect()
    };
    admits(&app, 50, "", requests(0)).await;
    admits(&app, 0, "codes_per_network", requests(50)).await;
    app.stop().await;
}

/// A spelling of a text of digits that a person's device could bring forth.
fn spelled(digits: &str) -> String {
    const BETWEEN: [&str; 12] = ["", "", "", "", " ", "-", ".", "\u{200c}", "\u{a0}", "(", ")", "\u{2011}"];
    let zeros = ['0', '۰', '٠', '０'];
    let mut text = String::new();
    for digit in digits.chars() {
        match digit.to_digit(10) {
            Some(value) => {
                let zero = u32::from(zeros[Random.below(4) as usize]);
                text.push(char::from_u32(zero + value).unwrap());
            }
            None => text.push(digit),
        }
        text.push_str(BETWEEN[Random.below(12) as usize]);
    }
    text
}

async fn o5_a_number_is_one_number_however_it_is_spelled(backend: Backend) {
    let _storm = storm().await;
    let app = TestApp::with(backend, &[("limits.codes_per_network.count", "1000000")]).await;
    let spellings =
        (0..figure(10_000, 1_000)).map(|n| spelled(["09121234567", "+989121234567", "00989121234567"][n % 3]));
    let spellings: Vec<_> = spellings.filter(|text| text.chars().count() <= 40).collect();
    let requests = spellings.iter().map(|text| Request::new(ask(text))).collect();
    admits(&app, 10, "codes_per_identifier_and_network", requests).await;

    app.advance(3600);
    let mut accounts = Vec::new();
    for text in &spellings[..8] {
        accounts.push(app.sign_in(text).await.account_id);
    }
    accounts.dedup();
    assert_eq!((accounts.len(), app.rows("accounts").await), (1, 1));
    app.stop().await;
}

async fn o5_an_address_is_one_address_however_it_is_spelled(backend: Backend) {
    let _storm = storm().await;
    let app = TestApp::with(backend, &[("limits.codes_per_network.count", "1000000")]).await;
    let requests = (0..figure(10_000, 1_000)).map(|n| {
        let any = u64::from_be_bytes(Random.bytes());
        let letters = "a.user@mail.example.com".chars().enumerate();
        let text: String = letters.map(|(at, c)| if any >> at & 1 == 1 { c.to_ascii_uppercase() } else { c }).collect();
        let text = if n % 5 == 0 { format!("  {text} ") } else { text };
        // What else the request says makes no other bucket.
        let client =
            v1::ClientContext { device_id: format!("device {n}"), user_agent: text.clone(), ..Default::default() };
        Request::new(v1::RequestOtpRequest {
            identifier: Some(mail_address(&text)),
            client: Some(client),
            request_id: crate::harness::request_id(),
            ..Default::default()
        })
    });
    admits(&app, 10, "codes_per_identifier_and_network", requests.collect()).await;
    app.stop().await;
}

async fn o6_a_network_is_one_network_whichever_address_of_it_comes(backend: Backend) {
    let _storm = storm().await;
    let app = TestApp::with(backend, &[("limits.codes_per_network.count", "5")]).await;
    let network = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, 0).to_bits();
    let by = |ip: String, n: usize| bearer(from(&ip, &number(n)), &app.api_key);
    let addresses = (0..figure(10_000, 1_000)).map(|n| {
        let host = u64::from_be_bytes(Random.bytes());
        by(Ipv6Addr::from_bits(network | u128::from(host)).to_string(), n)
    });
    admits(&app, 5, "codes_per_network", addresses.collect()).await;
    admits(&app, 1, "", vec![by("2001:db8:1:3::1".to_owned(), 0)]).await;

    let spellings = ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207", "0:0:0:0:0:ffff:c000:0207"];
    let requests = (0..40).map(|n| by(spellings[n % 4].to_owned(), 20_000 + n)).collect();
    admits(&app, 5, "codes_per_network", requests).await;
    app.stop().await;
}
