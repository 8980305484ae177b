//! Restarts (R6): what counts is in the database, and neither more nor less counts after one than before.

use super::{newcomer, reason, refresh, refresh_on, session_of};
use crate::harness::database::events_about;
use crate::harness::{Backend, TestApp, figure, on_both_backends, request_id};

on_both_backends!(r6_a_restart_revives_nothing_and_loses_nothing);

async fn r6_a_restart_revives_nothing_and_loses_nothing(backend: Backend) {
    let mut app = TestApp::new(backend).await;
    let (restarts, rotated) = (figure(50, 3), figure(1_000, 60));
    let (mut revived, mut lost) = (0, 0);
    for _ in 0..restarts {
        let mut sessions = Vec::new();
        for _ in 0..rotated {
            let person = newcomer(&app).await;
            let intent = request_id();
            let next = refresh_on(app.node(), &person.refresh_token, &intent).await.unwrap();
            sessions.push((person, intent, next));
        }
        let ended = newcomer(&app).await;
        super::log_out(&app, &ended.access_token).await;
        // Past the grace, within the life of the access tokens.
        app.advance(60);
        app.nodes.pop().unwrap().stop().await;
        app.add_node().await;

        assert!(!app.is_active(&ended.access_token).await);
        assert_eq!(reason(refresh(&app, &ended.refresh_token).await), "SESSION_ENDED");
        for (number, (person, intent, next)) in sessions.into_iter().enumerate() {
            assert!(app.is_active(&next.access_token).await);
            if number % 2 == 0 {
                // The owner whose answer was lost in the restart, and then goes on.
                let again = refresh_on(app.node(), &person.refresh_token, &intent).await;
                let same = again.is_ok_and(|tokens| tokens.refresh_token == next.refresh_token);
                lost += usize::from(!same || refresh(&app, &next.refresh_token).await.is_err());
            } else {
                let outcome = refresh(&app, &person.refresh_token).await;
                revived += usize::from(outcome.is_ok());
                assert_eq!(reason(outcome), "REFRESH_TOKEN_REUSED");
                let session = session_of(&app, &next.access_token);
                let store = &app.node().app().store;
                assert_eq!(events_about(store, session, "session.refresh_token_reused").await, 1);
            }
        }
    }
    eprintln!("R6: {restarts} restarts with {rotated} rotated tokens each, {revived} revived, {lost} sessions lost");
    assert_eq!((revived, lost), (0, 0));
    app.stop().await;
}
