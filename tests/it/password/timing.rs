//! Whether somebody is known shows neither in what is answered nor in how long that takes (O8).
#![expect(clippy::cast_precision_loss, reason = "counts of timings are small")]

use std::time::Instant;

use countersign::proto::v1;
use countersign::proto::v1::OtpPurpose;

use super::{OTHER, PASSWORD, UNLIMITED, bytes, log_in, somebody};
use crate::harness::{Backend, TestApp, figure, login, on_both_backends, phone_number, storm};

on_both_backends!(
    o8_a_password_tells_nothing_of_whether_there_is_an_account,
    o8_a_code_tells_nothing_of_whether_there_is_an_account,
    o8_a_forgotten_password_tells_nothing_of_whether_there_is_an_account,
);

const KNOWN: &str = "09121234567";
const UNKNOWN: &str = "09121234568";

/// Neither of the two is told from the other oftener than a coin would, by as much as such a number of timings can say.
fn assert_alike(what: &str, known: &[f64], unknown: &[f64]) {
    let auc = auc(known, unknown);
    let (n, m) = (known.len() as f64, unknown.len() as f64);
    // The standard error of an area of one half (Mann and Whitney). 5,000 of each say it to a hundredth.
    let error = ((n + m + 1.0) / (12.0 * n * m)).sqrt();
    let bound = 0.05_f64.max(4.0 * error);
    eprintln!("O8: {what}: AUC {auc:.3} of {n} and {m} timings, bound 0.5 ± {bound:.3}");
    assert!((auc - 0.5).abs() <= bound, "{what}: AUC {auc}");
}

/// How often one of the first takes longer than one of the second.
fn auc(first: &[f64], second: &[f64]) -> f64 {
    let mut sorted = second.to_vec();
    sorted.sort_by(f64::total_cmp);
    let below = |time: &f64| sorted.partition_point(|other| other < time) as f64;
    let equal = |time: &f64| sorted.partition_point(|other| other <= time) as f64 - below(time);
    let wins: f64 = first.iter().map(|time| below(time) + equal(time) / 2.0).sum();
    wins / (first.len() as f64 * sorted.len() as f64)
}

/// Times two calls in turn, with what comes first changing, and tells their answers' bytes once they are the same.
async fn compare<F: Future<Output = ()>>(what: &str, count: usize, call: impl Fn(&'static str) -> F) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for round in 0..count + 10 {
        let order = if round % 2 == 0 { [KNOWN, UNKNOWN] } else { [UNKNOWN, KNOWN] };
        for phone in order {
            let begun = Instant::now();
            call(phone).await;
            let took = begun.elapsed().as_secs_f64();
            // The first rounds warm up.
            if round >= 10 {
                if phone == KNOWN { known.push(took) } else { unknown.push(took) }
            }
        }
    }
    assert_alike(what, &known, &unknown);
}

async fn o8_a_password_tells_nothing_of_whether_there_is_an_account(backend: Backend) {
    let _storm = storm().await;
    let app = TestApp::with(backend, &UNLIMITED).await;
    somebody(&app, KNOWN, PASSWORD).await;
    let refusals = [log_in(&app, KNOWN, OTHER).await, log_in(&app, UNKNOWN, OTHER).await];
    let [known, unknown] = refusals.map(|refusal| bytes(&refusal.unwrap_err()));
    assert_eq!(known, unknown);
    compare("passwords", figure(5_000, 150), |phone| {
        let app = &app;
        async move { drop(log_in(app, phone, OTHER).await.unwrap_err()) }
    })
    .await;
    app.stop().await;
}

async fn o8_a_code_tells_nothing_of_whether_there_is_an_account(backend: Backend) {
    let _storm = storm().await;
    let more = [("limits.codes_per_prefix.count", "1000000"), ("notify.queue", "1000000")];
    let settings: Vec<_> = UNLIMITED.iter().copied().chain(more).collect();
    let mut app = TestApp::with(backend, &settings).await;
    app.sign_in(KNOWN).await;
    app.restart_with("accounts.open_registration", "false").await;
    let count = figure(5_000, 500);
    compare("codes, asked for", count, |phone| {
        let app = &app;
        async move { drop(app.challenge(phone).await) }
    })
    .await;
    let [known, unknown] = [app.challenge(KNOWN).await, app.challenge(UNKNOWN).await];
    let code = app.code(&known.challenge_id).await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let mut refusals = Vec::new();
    for challenge in [&known, &unknown] {
        refusals.push(bytes(&app.node().auth().login(login(&challenge.challenge_id, wrong)).await.unwrap_err()));
    }
    assert_eq!(refusals[0], refusals[1]);
    compare("codes, sent back wrong", count, |phone| {
        let (app, id) = (&app, if phone == KNOWN { &known.challenge_id } else { &unknown.challenge_id });
        async move { drop(app.node().auth().login(login(id, wrong)).await.unwrap_err()) }
    })
    .await;
    app.stop().await;
}

async fn o8_a_forgotten_password_tells_nothing_of_whether_there_is_an_account(backend: Backend) {
    let _storm = storm().await;
    let more = [
        ("limits.resets_per_identifier_and_network.count", "1000000"),
        ("limits.codes_per_prefix.count", "1000000"),
        ("notify.queue", "1000000"),
        ("password.reset_url", "https://example.org/{token}"),
    ];
    let settings: Vec<_> = UNLIMITED.iter().copied().chain(more).collect();
    let app = TestApp::with(backend, &settings).await;
    somebody(&app, KNOWN, PASSWORD).await;
    let count = figure(5_000, 500);
    compare("links, asked for", count, |phone| {
        let identifier = Some(phone_number(phone));
        let request = v1::RequestPasswordResetRequest { identifier, ..Default::default() };
        let mut auth = app.node().auth();
        async move { drop(auth.request_password_reset(request).await.unwrap()) }
    })
    .await;
    compare("codes for it, asked for", count, |phone| {
        let app = &app;
        async move { drop(super::challenge(app, phone_number(phone), OtpPurpose::ResetPassword).await) }
    })
    .await;
    app.stop().await;
}
