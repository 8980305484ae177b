//! Signing in while the Redis that holds the codes falls and another takes its place.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign::proto::v1;
use tonic::{Code, Status};

use super::limits::number;
use crate::harness::{
    Backend, Fall, OwnCluster, OwnSentinel, TestApp, details, figure, has_services, login, phone_number,
};

/// How long anybody may be kept waiting on a machine that runs many tests at once. One sign-in asks Redis a handful of times,
/// for 50 ms each.
const AT_MOST: Duration = Duration::from_secs(2);

/// Signs somebody new in. What cannot be done now is to be refused at once, with the word when to come again.
async fn sign_in(app: &TestApp) -> Result<(), Status> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let person = number(NEXT.fetch_add(1, Ordering::Relaxed));
    let began = Instant::now();
    let outcome = async {
        let request = v1::RequestOtpRequest { identifier: Some(phone_number(&person)), ..Default::default() };
        let challenge = app.node().auth().request_otp(request).await?.into_inner().challenge.unwrap();
        let code = app.code(&challenge.challenge_id).await;
        app.node().auth().login(login(&challenge.challenge_id, &code)).await.map(drop)
    };
    let outcome = outcome.await;
    assert!(began.elapsed() < AT_MOST, "answered after {:?}", began.elapsed());
    outcome
}

/// Signs people in until that works and the cause of the trouble is over. Tells when that was, when the first one got in
/// after that, and how many were refused before.
async fn until_people_get_in(app: &TestApp, over: impl Future<Output = ()>) -> (Duration, Duration, usize) {
    let (began, mut over, mut was_over) = (Instant::now(), std::pin::pin!(over), None);
    let mut refused = 0;
    loop {
        let signed_in = sign_in(app).await;
        if let (Some(was_over), Ok(())) = (was_over, &signed_in) {
            return (was_over, began.elapsed().saturating_sub(was_over), refused);
        }
        if let Err(status) = signed_in {
            refused += 1;
            let told = details(&status);
            // A code that went with the Redis that fell is one that nobody knows of.
            let lost = (told.code, told.reason.as_str()) == (Code::Unauthenticated, "INVALID_CREDENTIALS");
            assert!(lost || (told.code, told.retry_seconds) == (Code::Unavailable, Some(1)), "{told:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(30), "nobody gets in");
        tokio::select! {
            () = &mut over, if was_over.is_none() => was_over = Some(began.elapsed()),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}

const SETTINGS: [(&str, &str); 4] = [
    ("cache.timeout", "50ms"),
    ("limits.codes_per_network.count", "100000"),
    ("limits.unused_codes.network", "100000"),
    ("limits.attempts_per_network.count", "100000"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_get_in_again_once_sentinels_have_another_master() {
    if !has_services() {
        return;
    }
    let Some(mut servers) = OwnSentinel::start().await else { return };
    let url = servers.url();
    let app = TestApp::with(Backend::Shared, &[SETTINGS.as_slice(), &[("cache.url", &url)]].concat()).await;
    for round in 0..figure(12, 3) {
        let how = [Fall::Killed, Fall::Hung, Fall::Demoted][round % 3];
        let fallen = servers.fall(how);
        let (replaced, later, refused) = until_people_get_in(&app, servers.replaced(fallen)).await;
        eprintln!(
            "a master {how:?}: replaced after {replaced:?}; people get in {later:?} later, {refused} were refused"
        );
        assert!(later < Duration::from_secs(3));
        servers.restore(fallen).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_get_in_again_once_a_replica_has_taken_the_slots() {
    if !has_services() {
        return;
    }
    let Some(mut servers) = OwnCluster::start().await else { return };
    let url = servers.url();
    let app = TestApp::with(Backend::Shared, &[SETTINGS.as_slice(), &[("cache.url", &url)]].concat()).await;
    // Whoever has the limits is asked in each sign-in.
    let (_, fallen) = servers.owner("{limits}");
    servers.server(fallen).stop();
    let (replaced, later, refused) = until_people_get_in(&app, servers.replaced(fallen)).await;
    eprintln!("a cluster's master: replaced after {replaced:?}; people get in {later:?} later, {refused} were refused");
    assert!(later < Duration::from_secs(3));
    app.stop().await;
}
