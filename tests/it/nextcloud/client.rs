//! The client by itself: how it asks, and what the answers mean.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::connect::{CloudError, Creation, Field, Folder, NewCloudUser, Nextcloud};
use countersign::secret::Secret;

use super::cloud::{ADMIN, Mood, NextcloudServer, PASSWORD};
use crate::harness::{Authority, Backend, TestApp};

const ID: &str = "018f0000-0000-7000-8000-00000000000a";

fn client(clock: &Clock, url: &str, own: &[(&str, &str)]) -> Nextcloud {
    let settings =
        [("enabled", "true"), ("url", url), ("username", ADMIN), ("password", PASSWORD), ("timeout", "300ms")];
    let variables = settings
        .iter()
        .chain(own)
        .map(|(name, value)| (format!("COUNTERSIGN__NEXTCLOUD__{}", name.to_ascii_uppercase()), (*value).to_owned()));
    Nextcloud::new(Config::load(None, variables).unwrap().nextcloud, clock.clone())
}

fn clock() -> Clock {
    Clock::manual(DateTime::from_timestamp(1_900_000_000, 0).unwrap())
}

fn password() -> Secret<String> {
    Secret::new("Aa1-of-some-length".to_owned())
}

fn new(password: &Secret<String>) -> NewCloudUser<'_> {
    NewCloudUser { id: ID, password, display_name: "Maryam & ثریا", email: "" }
}

fn is_away<T>(outcome: &Result<T, CloudError>) -> bool {
    matches!(outcome, Err(CloudError::Away { .. }))
}

#[tokio::test]
async fn a_user_from_the_first_day_to_the_last() {
    let server = NextcloudServer::start().await;
    // With a slash at the end or without, it is the same place.
    for url in [server.url.clone(), format!("{}/", server.url)] {
        let nextcloud = client(&clock(), &url, &[("groups", "people"), ("quota", "1 GB")]);
        assert_eq!(nextcloud.user(ID).await, Ok(None));
        assert_eq!(nextcloud.create(&new(&password())).await, Ok(Creation::Created));
        assert_eq!(nextcloud.create(&new(&password())).await, Ok(Creation::Existed));
        let user = nextcloud.user(ID).await.unwrap().unwrap();
        assert_eq!(
            (user.enabled, user.was_used(), user.value(Field::DisplayName)),
            (Some(true), false, "Maryam & ثریا")
        );
        assert!(user.is_in("people") && !user.is_in("admin"));
        assert!(!format!("{user:?}").contains("Maryam"));
        let path = ["پوشه", "a+b c%20#?"].map(str::to_owned);
        assert_eq!(nextcloud.make_folder(ID, &password(), &path).await, Ok(Folder::There));
        assert_eq!(nextcloud.make_folder(ID, &password(), &path).await, Ok(Folder::There));
        let wrong = Secret::new("wrong".to_owned());
        assert_eq!(nextcloud.make_folder(ID, &wrong, &path).await, Ok(Folder::Locked));
        assert_eq!(server.user(ID).unwrap().folders, ["پوشه".to_owned(), path.join("/")].into());
        assert!(nextcloud.user(ID).await.unwrap().unwrap().was_used());
        assert_eq!(nextcloud.set(ID, Field::Email, "a+b@example.com").await, Ok(true));
        assert_eq!(server.user(ID).unwrap().email, "a+b@example.com");
        assert_eq!(nextcloud.set_enabled(ID, false).await, Ok(true));
        assert_eq!(nextcloud.make_folder(ID, &password(), &path).await, Ok(Folder::Locked));
        assert_eq!(nextcloud.set_enabled(ID, true).await, Ok(true));
        assert_eq!(nextcloud.delete(ID).await, Ok(true));
        // What is gone meanwhile is found to be so with the next try.
        assert!(matches!(nextcloud.delete(ID).await, Err(CloudError::Refused(_))));
        assert!(server.users().is_empty());
    }
}

#[tokio::test]
async fn whom_a_failure_concerns() {
    let server = NextcloudServer::start().await;
    let nextcloud = client(&clock(), &server.url, &[("failures", "1000")]);
    let html = "<html>گذرواژه</html>".to_owned();
    let everybody = [
        Mood::Maintenance { retry_after: "soon" },
        Mood::Text(200, html.clone()),
        Mood::Text(401, html.clone()),
        Mood::Text(403, html.clone()),
        Mood::Text(404, html.clone()),
        Mood::Text(500, html.clone()),
        Mood::Text(502, html.clone()),
        Mood::Redirect("http://127.0.0.1:9/".to_owned()),
        Mood::Silence,
        Mood::Endless,
        Mood::Code(503, 503),
    ];
    for mood in everybody {
        server.mood(Some(mood.clone()));
        for outcome in [nextcloud.user(ID).await.map(drop), nextcloud.create(&new(&password())).await.map(drop)] {
            assert!(is_away(&outcome), "{mood:?}: {outcome:?}");
        }
        let told = nextcloud.set_enabled(ID, false).await.unwrap_err().to_string();
        assert!(told.starts_with("Nextcloud ") && !told.contains("گذرواژه") && !told.contains(PASSWORD), "{told}");
    }
    for (code, status) in [(101, 400), (103, 400), (104, 400), (107, 400), (110, 400), (996, 500), (999, 500)] {
        server.mood(Some(Mood::Code(status, code)));
        let outcome = nextcloud.create(&new(&password())).await;
        assert!(matches!(outcome, Err(CloudError::Refused(_))), "{code}: {outcome:?}");
    }
    // Whoever may not create users cannot serve anybody; whoever may not touch one user still can.
    for (code, status) in [(997, 401), (403, 403)] {
        server.mood(Some(Mood::Code(status, code)));
        assert!(is_away(&nextcloud.create(&new(&password())).await), "{code}");
        assert!(matches!(nextcloud.delete(ID).await, Err(CloudError::Refused(_))), "{code}");
    }
    // Nobody is known, not even the administrator.
    server.mood(Some(Mood::Code(404, 998)));
    assert!(is_away(&nextcloud.user(ID).await) && is_away(&nextcloud.create(&new(&password())).await));
    for status in [403, 409, 423, 500, 507] {
        server.mood(Some(Mood::Text(status, String::new())));
        let outcome = nextcloud.make_folder(ID, &password(), &["x".to_owned()]).await;
        assert!(matches!(outcome, Err(CloudError::Refused(_))), "{status}: {outcome:?}");
    }
    server.mood(None);
    assert_eq!(nextcloud.user(ID).await, Ok(None));
}

#[tokio::test]
async fn it_is_left_alone_while_it_fails_and_for_as_long_as_it_says() {
    let server = NextcloudServer::start().await;
    let clock = clock();
    let nextcloud = client(&clock, &server.url, &[("failures", "2"), ("open_for", "30s")]);
    server.mood(Some(Mood::Text(502, String::new())));
    for _ in 0..5 {
        assert!(is_away(&nextcloud.user(ID).await));
    }
    assert_eq!(server.calls().len(), 2);
    server.mood(None);
    clock.advance(TimeDelta::seconds(30));
    assert_eq!(nextcloud.user(ID).await, Ok(None));
    server.calls();

    server.mood(Some(Mood::Maintenance { retry_after: "120" }));
    assert!(is_away(&nextcloud.user(ID).await));
    server.mood(None);
    clock.advance(TimeDelta::seconds(119));
    assert!(is_away(&nextcloud.user(ID).await));
    assert_eq!(server.calls().len(), 1);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(nextcloud.user(ID).await, Ok(None));
    // Nobody keeps it away for a year.
    server.mood(Some(Mood::Maintenance { retry_after: "31536000" }));
    assert!(is_away(&nextcloud.user(ID).await));
    server.mood(None);
    clock.advance(TimeDelta::minutes(10));
    assert_eq!(nextcloud.user(ID).await, Ok(None));

    // Of several calls at once one is told how long; what the others meet afterwards makes it no shorter.
    let nextcloud = client(&clock, &server.url, &[("failures", "1000"), ("timeout", "600ms")]);
    server.mood_for("GET", 1, Some(Mood::Silence));
    let silent = async { assert!(is_away(&nextcloud.user(ID).await)) };
    let told = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.mood_for("POST", 1, Some(Mood::Maintenance { retry_after: "120" }));
        assert!(is_away(&nextcloud.create(&new(&password())).await));
    };
    tokio::join!(silent, told);
    server.mood(None);
    clock.advance(TimeDelta::seconds(119));
    assert!(is_away(&nextcloud.user(ID).await));
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(nextcloud.user(ID).await, Ok(None));
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_believed_where_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = authority.certify(&["localhost"]).write(folder.path());
    // Any server with TLS will do: that it is no Nextcloud is known once its certificate has been believed.
    let settings = [("tls.certificate_file", certificate.to_str().unwrap()), ("tls.key_file", key.to_str().unwrap())];
    let app = TestApp::with(Backend::Embedded, &settings).await;
    let url = format!("https://localhost:{}", app.node().http.port());
    let told = async |ca_file: &str| {
        let nextcloud = client(&clock(), &url, &[("ca_file", ca_file), ("timeout", "5s")]);
        nextcloud.user(ID).await.unwrap_err().to_string()
    };
    assert_eq!(told("").await, "Nextcloud cannot be connected to");
    assert_eq!(told(&file("other.pem", &Authority::new().pem)).await, "Nextcloud cannot be connected to");
    assert_eq!(told(&file("ca.pem", &authority.pem)).await, "Nextcloud is not there: check nextcloud.url (404)");
    app.stop().await;
}
