//! A Nextcloud that is away, slow, being maintained or set up wrongly: events wait for it, and nobody else does.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::cloud::Mood;
use super::person::signs_in_at_once;
use super::{Outside, delete, rows, settled, unblock, verified};
use crate::admin::block;
use crate::harness::{Backend, figure, on_both_backends};

on_both_backends!(nothing_is_lost_while_it_is_away, each_way_of_failing_makes_events_wait);

async fn nothing_is_lost_while_it_is_away(backend: Backend) {
    let outside = Outside::start().await;
    let app = outside.app(backend, &[]).await;
    let known = verified(&app, 1).await;
    settled(&app).await;
    outside.cloud.leave().await;
    let (span, people) = (Duration::from_secs(1) * u32::try_from(figure(30, 3)).unwrap(), 20);
    let began = Instant::now();
    let mut all = Vec::new();
    for n in 0..people {
        let someone = verified(&app, 100 + n).await;
        match n % 4 {
            1 => drop(block(&app, &someone.account_id, "abuse", None).await),
            2 => {
                block(&app, &someone.account_id, "abuse", None).await;
                unblock(&app, &someone).await;
            }
            3 => delete(&app, &someone).await,
            _ => {}
        }
        all.push(someone);
    }
    block(&app, &known.account_id, "abuse", None).await;
    signs_in_at_once(&app, 99).await;
    tokio::time::sleep(span.saturating_sub(began.elapsed())).await;
    assert!(app.rows("deliveries").await > 20);
    assert_eq!(app.rows("deliveries WHERE attempts > 0").await, 0, "time away is no attempt");
    outside.cloud.come_back().await;
    let back = Instant::now();
    settled(&app).await;
    eprintln!(
        "Nextcloud away for {:?} with {people} people coming and going: all in step {:?} after its return",
        back - began,
        back.elapsed()
    );
    assert!(!outside.user_of(&known).unwrap().enabled);
    for (n, someone) in all.iter().enumerate() {
        let user = outside.user_of(someone);
        match n % 4 {
            // A user that has never been is not made to be shut out.
            1 | 3 => assert_eq!(user, None, "{n}"),
            _ => assert!(user.is_some_and(|user| user.enabled && user.folders.contains("Documents")), "{n}"),
        }
    }
    assert_eq!(app.rows("deliveries").await, 0);
    app.stop().await;
}

async fn each_way_of_failing_makes_events_wait(backend: Backend) {
    let outside = Outside::start().await;
    let app = outside.app(backend, &[("nextcloud.timeout", "200ms")]).await;
    let someone = verified(&app, 1).await;
    settled(&app).await;
    let elsewhere = "http://127.0.0.1:9/login".to_owned();
    for (at, mood) in [
        Mood::Maintenance { retry_after: "120" },
        Mood::Text(429, String::new()),
        Mood::Text(200, "<html>Welcome to the hotel</html>".to_owned()),
        Mood::Text(404, "<html>Not Found</html>".to_owned()),
        Mood::Text(500, "<html>Internal Server Error</html>".to_owned()),
        Mood::Code(401, 997),
        Mood::Redirect(elsewhere),
        Mood::Silence,
        Mood::Endless,
        // The app is switched off: users cannot be told from users that are not there.
        Mood::Code(404, 998),
    ]
    .into_iter()
    .enumerate()
    {
        let is_blocked = at % 2 == 0;
        outside.cloud.mood(Some(mood.clone()));
        if is_blocked {
            block(&app, &someone.account_id, "abuse", None).await;
        } else {
            unblock(&app, &someone).await;
        }
        app.collected().await;
        outside.cloud.asked().await;
        signs_in_at_once(&app, 200 + at).await;
        assert_eq!(app.rows("deliveries WHERE state = 'pending' AND attempts = 0").await, 1, "{mood:?}");
        assert_eq!(outside.user_of(&someone).unwrap().enabled, is_blocked, "{mood:?}");
        outside.cloud.mood(None);
        // What asked to be left alone, is.
        app.advance(121);
        settled(&app).await;
        assert_eq!(outside.user_of(&someone).unwrap().enabled, !is_blocked, "{mood:?}");
    }
    app.stop().await;
}

/// F8: a Nextcloud that is set up wrongly is a matter of Nextcloud.
#[tokio::test]
async fn f8_wrong_settings_and_signing_in_works() {
    let outside = Outside::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let garbage = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(garbage.path(), "no certificate").unwrap();
    let (closed, garbage) = (format!("http://{closed}"), garbage.path().display().to_string());
    let elsewhere = format!("{}/elsewhere", outside.cloud.url);
    for (setting, value) in [
        ("nextcloud.url", closed.as_str()),
        ("nextcloud.url", "https://nextcloud.invalid"),
        ("nextcloud.url", elsewhere.as_str()),
        ("nextcloud.username", "nobody"),
        ("nextcloud.password", "wrong"),
        ("nextcloud.ca_file", "/nowhere/ca.pem"),
        ("nextcloud.ca_file", garbage.as_str()),
    ] {
        let app = outside.app(Backend::Embedded, &[(setting, value), ("nextcloud.timeout", "300ms")]).await;
        let someone = verified(&app, 1).await;
        rows(&app, "deliveries WHERE state = 'pending'", 1).await;
        signs_in_at_once(&app, 2).await;
        assert_eq!(app.rows("deliveries WHERE attempts > 0 OR state = 'dead'").await, 0, "{setting} = {value}");
        assert_eq!(outside.user_of(&someone), None, "{setting} = {value}");
        app.stop().await;
    }
}
