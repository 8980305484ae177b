//! Ends that meet a refresh half-way (R8): after the acknowledgement nothing is usable, whoever came first.

use std::time::Duration;

use countersign::proto::v1;
use countersign::proto::v1::blacklist_request::Target;

use super::{newcomer, reason, refresh, session_of};
use crate::harness::database::block;
use crate::harness::{Backend, Person, TestApp, bearer, figure, on_both_backends};

on_both_backends!(r8_whatever_ends_a_session_wins_over_a_refresh);

/// What may come between.
#[derive(Clone, Copy, Debug)]
enum End {
    LogoutAll,
    RevokeSession,
    Blacklist,
    Block,
}

const ENDS: [End; 4] = [End::LogoutAll, End::RevokeSession, End::Blacklist, End::Block];

async fn r8_whatever_ends_a_session_wins_over_a_refresh(backend: Backend) {
    let app = TestApp::new(backend).await;
    let races = figure(1_000, 60);
    let (mut refreshed, mut usable) = (0, 0);
    for race in 0..races {
        let person = newcomer(&app).await;
        let kind = ENDS[race % ENDS.len()];
        // The end strikes at another place each time.
        let delay = Duration::from_millis(u64::try_from(race / ENDS.len() % 8).unwrap());
        let (tokens, ()) = tokio::join!(refresh_until_refused(&app, &person), async {
            tokio::time::sleep(delay).await;
            end(&app, &person, kind).await;
            assert!(!app.is_active(&person.access_token).await, "{kind:?}");
        });
        refreshed += tokens.len();
        for tokens in &tokens {
            usable += usize::from(app.is_active(&tokens.access_token).await);
        }
        let last = tokens.last().map_or(&person.refresh_token, |tokens| &tokens.refresh_token);
        usable += usize::from(refresh(&app, last).await.is_ok());
    }
    eprintln!("R8: {races} races, {refreshed} refreshes among them, {usable} tokens usable afterwards");
    assert_eq!(usable, 0);
    app.stop().await;
}

/// Carries the session on, again and again, and tells what that brought.
async fn refresh_until_refused(app: &TestApp, person: &Person) -> Vec<v1::Tokens> {
    let (mut all, mut token) = (Vec::new(), person.refresh_token.clone());
    loop {
        match refresh(app, &token).await {
            Ok(tokens) => {
                token.clone_from(&tokens.refresh_token);
                all.push(tokens);
            }
            outcome => {
                assert_eq!(reason(outcome), "SESSION_ENDED");
                return all;
            }
        }
    }
}

async fn end(app: &TestApp, person: &Person, kind: End) {
    match kind {
        End::LogoutAll => {
            let request = bearer(v1::LogoutAllRequest::default(), &person.access_token);
            app.node().auth().logout_all(request).await.unwrap();
        }
        End::RevokeSession => {
            let session_id = session_of(app, &person.access_token).to_string();
            let request = bearer(v1::RevokeSessionRequest { session_id }, &person.access_token);
            app.node().accounts().revoke_session(request).await.unwrap();
        }
        End::Blacklist => {
            let target = Some(Target::AccountId(person.account_id.clone()));
            let request = bearer(v1::BlacklistRequest { target, ..Default::default() }, &app.api_key);
            app.node().tokens().blacklist(request).await.unwrap();
        }
        End::Block => {
            block(&app.node().app().store, person.account_id.parse().unwrap(), app.now()).await;
            // Nobody told this node; it learns of it when it compares itself with the database.
            app.node().app().revocations.reconcile().await.unwrap();
        }
    }
}
