//! Getting into a Redis that lets not everybody in, and that proves who it is.

use countersign::cache::{Cache, CacheError};
use countersign::clock::Clock;

use crate::harness::{OwnCluster, OwnRedis, OwnSentinel};

async fn connect(url: &str, ca_file: &str) -> Result<(), CacheError> {
    Cache::connect(url, ca_file, "prefix", super::PATIENCE, Clock::System).await?.ping().await
}

/// With names and passwords in an address.
fn with(url: &str, credentials: &str) -> String {
    url.replacen("//", &format!("//{credentials}@"), 1)
}

/// That somebody is not let in, and that nobody is told what was tried.
async fn refused(url: &str) {
    let error = connect(url, "").await.unwrap_err();
    assert!(matches!(error, CacheError::Unreachable { .. }), "{url}: {error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_and_sentinels_have_passwords_of_their_own() {
    let Some(servers) = OwnSentinel::start().await else { return };
    servers.tell_all(false, "ACL SETUSER app on >secret ~* &* +@all");
    // The Sentinels let everybody in, which is how most are.
    connect(&with(&servers.url(), "app:secret"), "").await.unwrap();
    refused(&with(&servers.url(), "app:hunter2")).await;

    servers.tell_all(true, "ACL SETUSER watcher on >other +@all");
    let url = format!("{}&sentinelUsername=watcher&sentinelPassword=other", with(&servers.url(), "app:secret"));
    connect(&url, "").await.unwrap();
    refused(&url.replace("=other", "=hunter2")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_has_one_password_for_all() {
    let Some(servers) = OwnCluster::start().await else { return };
    servers.tell_all("ACL SETUSER app on >secret ~* &* +@all");
    connect(&with(&servers.url(), "app:secret"), "").await.unwrap();
    refused(&with(&servers.url(), "app:hunter2")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_is_vouched_for_is_spoken_to() {
    let Some((server, port, authority)) = OwnRedis::with_tls().await else { return };
    let ca_file = authority.display().to_string();
    let url = format!("rediss://localhost:{port}");
    connect(&url, &ca_file).await.unwrap();
    // Nobody vouches for it; it is somebody else; it does not speak TLS.
    let plain = format!("rediss://localhost:{}", server.port);
    for (url, ca_file) in [(&url, ""), (&url.replace("localhost", "127.0.0.1"), &ca_file), (&plain, &ca_file)] {
        let error = connect(url, ca_file).await.unwrap_err();
        assert!(matches!(error, CacheError::Unreachable { .. }), "{url}: {error:?}");
    }
    for (file, told) in [("/nowhere", "No such file"), (file!(), "holds none")] {
        let error = connect(&url, file).await.unwrap_err();
        assert!(matches!(&error, CacheError::Certificates(cause) if cause.contains(told)), "{error:?}");
    }
}
