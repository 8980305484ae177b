//! V7: where the service is gone, nothing passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::envoy::{Envoy, SETTINGS};
use super::exchange::{get_as, request, send};
use crate::harness::{Backend, Program, TestApp, figure, has_services};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v7_nothing_passes_once_the_service_is_killed() {
    if !has_services() {
        return;
    }
    let app = TestApp::today(Backend::Shared, SETTINGS).await;
    let person = app.sign_in("09121234567").await;
    let program = Program::start(&app.settings);
    let grpc = program.address().await.trim_start_matches("http://").parse().unwrap();
    let Some(envoy) = Envoy::start(grpc, app.node().http, &app.api_key, &[]).await else { return };
    for _ in 0..100 {
        if get_as(envoy.judged, "/", &person.access_token).await.status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(get_as(envoy.judged, "/", &person.access_token).await.status, 200);

    let killed = Arc::new(AtomicBool::new(false));
    let (judged, token) = (envoy.judged, person.access_token.clone());
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (killed, token) = (Arc::clone(&killed), token.clone());
            tokio::spawn(async move {
                let (mut passed_before, mut passed_after, mut refused) = (0, 0, 0);
                let question = request("GET", "/", &[("authorization", &format!("Bearer {token}"))], b"");
                while refused < figure(2_000, 200) {
                    // Whether it had been killed before the request was made.
                    let was_killed = killed.load(Ordering::SeqCst);
                    match send(judged, &question).await.map(|answer| answer.status) {
                        Ok(200) if was_killed => passed_after += 1,
                        Ok(200) => passed_before += 1,
                        Ok(503) => refused += 1,
                        other => panic!("{other:?}"),
                    }
                }
                (passed_before, passed_after, refused)
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    program.ended();
    killed.store(true, Ordering::SeqCst);
    let (mut before, mut after, mut refused) = (0, 0, 0);
    for task in asking {
        let counted = task.await.unwrap();
        (before, after, refused) = (before + counted.0, after + counted.1, refused + counted.2);
    }
    eprintln!("V7: {before} requests passed before the service was killed, of {} after it {after}", refused + after);
    assert!(before > 0);
    assert_eq!(after, 0);
    app.stop().await;
}
