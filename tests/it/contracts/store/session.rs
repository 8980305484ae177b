//! Sessions: opened, carried on, ended, listed.

use chrono::TimeDelta;
use countersign::model::{AccountState, EmailAddress, EndReason, Identifier, Session, SessionId};
use countersign::random::Random;
use countersign::store::{OpenSession, Opened, Refreshed, Rotation};
use futures_util::future::join_all;

use super::{Fixture, intent, nobody};
use crate::harness::database::{events_about, execute, new_session, number, phone, sign_in};
use crate::harness::{Backend, on_both_backends};

on_both_backends!(
    a_first_sign_in_opens_the_account_and_later_ones_find_it,
    what_is_written_comes_back_as_it_was,
    many_first_sign_ins_open_one_account,
    registration_may_be_closed_and_accounts_blocked,
    a_repeated_intent_finds_its_session,
    many_tries_of_one_intent_open_one_session,
    a_repeated_intent_revives_nothing,
    a_rotation_has_one_winner,
    a_repetition_is_answered_as_long_as_it_is_excused,
    a_reused_token_ends_the_session_once,
    what_is_not_alive_is_not_carried_on,
    an_end_meets_each_session_once,
    all_of_an_accounts_sessions_end,
    sessions_are_listed_newest_first,
);

async fn a_first_sign_in_opens_the_account_and_later_ones_find_it(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    let mail = Identifier::Email(EmailAddress::parse("Somebody@example.com").unwrap());
    for identifier in [phone(1), mail] {
        assert!(store.locale_of(&identifier).await.unwrap().is_none());
        let cause = fixture.cause();
        let opened = store.open_session(sign_in(&identifier, new_session(fixture.now), &cause)).await.unwrap();
        let Opened::Session { account, session, created: true, .. } = opened else { panic!("{opened:?}") };
        assert!(store.locale_of(&identifier).await.unwrap().is_some());
        assert_eq!((account.state, session.account_id, session.generation), (AccountState::Active, account.id, 1));
        let opened = store.open_session(sign_in(&identifier, new_session(fixture.now), &cause)).await.unwrap();
        let Opened::Session { account: again, created: false, .. } = opened else { panic!("{opened:?}") };
        assert_eq!(again, account);
        assert_eq!(store.account(account.id).await.unwrap(), Some(*account));
    }
    assert_eq!(store.account(nobody(fixture.now)).await.unwrap(), None);
    assert_eq!((fixture.events("account.created").await, fixture.events("session.created").await), (2, 4));
}

async fn what_is_written_comes_back_as_it_was(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    for text in ["", "تلفن من 📱", "'; DROP TABLE sessions; --", "\u{feff}\u{202e}e\u{301}", "\t\"\\%_"] {
        let new = countersign::store::NewSession {
            client_id: text.to_owned(),
            device_id: text.to_owned(),
            device_name: text.repeat(8),
            user_agent: text.to_owned(),
            expires_at: fixture.now + TimeDelta::microseconds(1),
            absolute_expires_at: fixture.now + TimeDelta::microseconds(999_999),
            access_expires_at: fixture.now + TimeDelta::microseconds(500_000),
            ..new_session(fixture.now)
        };
        let (account, session) = fixture.open_as(&phone(1), new.clone()).await;
        let expected = Session {
            id: new.id,
            account_id: account.id,
            generation: 1,
            client_id: new.client_id,
            amr: new.amr,
            device_id: new.device_id,
            device_name: new.device_name,
            user_agent: new.user_agent,
            ip: "192.0.2.1".to_owned(),
            created_at: fixture.now,
            last_used_at: fixture.now,
            expires_at: new.expires_at,
            absolute_expires_at: new.absolute_expires_at,
            access_expires_at: new.access_expires_at,
            upgraded_from: None,
        };
        assert_eq!(session, expected);
        let listed = fixture.store().sessions_of(account.id, None, 100, fixture.now).await.unwrap();
        assert!(listed.contains(&expected));
        // One microsecond later it has expired.
        let later = fixture.now + TimeDelta::microseconds(1);
        assert_eq!(fixture.store().sessions_of(account.id, None, 100, later).await.unwrap(), []);
    }
}

async fn many_first_sign_ins_open_one_account(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (somebody, cause) = (phone(1), fixture.cause());
    let tries = (0..20).map(|_| fixture.store().open_session(sign_in(&somebody, new_session(fixture.now), &cause)));
    let mut created = 0;
    for opened in join_all(tries).await {
        let Ok(Opened::Session { created: new, .. }) = opened else { panic!("{opened:?}") };
        created += usize::from(new);
    }
    assert_eq!(created, 1);
    assert_eq!(number(fixture.store(), "SELECT COUNT(*) FROM accounts", &[]).await, 1);
    assert_eq!(number(fixture.store(), "SELECT COUNT(*) FROM sessions", &[]).await, 20);
}

async fn registration_may_be_closed_and_accounts_blocked(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (somebody, cause) = (phone(1), fixture.cause());
    let closed = || OpenSession { new_account: None, ..sign_in(&somebody, new_session(fixture.now), &cause) };
    assert!(matches!(fixture.store().open_session(closed()).await, Ok(Opened::Unknown)));
    let (account, _) = fixture.open(&somebody).await;
    assert!(matches!(fixture.store().open_session(closed()).await, Ok(Opened::Session { created: false, .. })));
    for state in ["blocked", "deleted"] {
        execute(fixture.store(), &format!("UPDATE accounts SET state = '{state}' WHERE id = $1"), &[account.id.0])
            .await;
        assert!(matches!(fixture.store().open_session(closed()).await, Ok(Opened::Blocked)));
    }
    assert_eq!(number(fixture.store(), "SELECT COUNT(*) FROM sessions", &[]).await, 2);
}

async fn a_repeated_intent_finds_its_session(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (somebody, cause, named) = (phone(1), fixture.cause(), intent(fixture.now, 1));
    let open = |digest| OpenSession {
        intent: Some(countersign::store::Intent { digest: [digest; 32], ..named }),
        ..sign_in(&somebody, new_session(fixture.now), &cause)
    };
    assert!(matches!(fixture.store().opened_before(named, fixture.now, fixture.after(300)).await, Ok(None)));
    let first = fixture.store().open_session(open(1)).await.unwrap();
    let Opened::Session { session, created: true, .. } = first else { panic!("{first:?}") };
    for again in [fixture.store().open_session(open(1)).await.unwrap(), opened_before(&fixture, named).await] {
        let Opened::Session { session: found, created: true, .. } = again else { panic!("{again:?}") };
        assert_eq!(found, session);
    }
    assert!(matches!(fixture.store().open_session(open(2)).await, Ok(Opened::IntentReused)));
    assert_eq!(fixture.events("session.created").await, 1);
}

async fn opened_before(fixture: &Fixture, named: countersign::store::Intent) -> Opened {
    fixture.store().opened_before(named, fixture.now, fixture.after(300)).await.unwrap().unwrap()
}

async fn many_tries_of_one_intent_open_one_session(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (somebody, cause, named) = (phone(1), fixture.cause(), intent(fixture.now, 1));
    let tries = (0..20).map(|_| {
        let new = OpenSession { intent: Some(named), ..sign_in(&somebody, new_session(fixture.now), &cause) };
        fixture.store().open_session(new)
    });
    let mut sessions: Vec<SessionId> = Vec::new();
    for opened in join_all(tries).await {
        let Ok(Opened::Session { session, .. }) = opened else { panic!("{opened:?}") };
        sessions.push(session.id);
    }
    sessions.dedup();
    assert_eq!(sessions.len(), 1);
}

async fn a_repeated_intent_revives_nothing(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (somebody, cause) = (phone(1), fixture.cause());
    for step in ["moved on", "ended", "blocked"] {
        let named = intent(fixture.now, 1);
        let new = OpenSession { intent: Some(named), ..sign_in(&somebody, new_session(fixture.now), &cause) };
        let Ok(Opened::Session { account, session, .. }) = fixture.store().open_session(new).await else { panic!() };
        match step {
            "moved on" => drop(fixture.store().refresh_session(rotation(&fixture, session.id, 1, 0)).await.unwrap()),
            "ended" => drop(fixture.store().end_session(session.id, None, EndReason::Logout, &cause).await.unwrap()),
            _ => {
                execute(fixture.store(), "UPDATE accounts SET state = 'blocked' WHERE id = $1", &[account.id.0]).await;
            }
        }
        let found = opened_before(&fixture, named).await;
        assert!(matches!(found, Opened::Unknown | Opened::Blocked), "{step}: {found:?}");
    }
}

/// A refresh some seconds after now, with the default lives and grace.
fn rotation(fixture: &Fixture, id: SessionId, generation: i64, seconds: i64) -> Rotation<'static> {
    let now = fixture.after(seconds);
    Rotation {
        id,
        generation,
        intent: None,
        now,
        grace_since: now - TimeDelta::seconds(30),
        expires_at: now + TimeDelta::days(30),
        access_expires_at: now + TimeDelta::minutes(5),
        ip: "2001:db8::1",
        request_id: "",
        with_facts: false,
    }
}

async fn a_rotation_has_one_winner(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (_, session) = fixture.open(&phone(1)).await;
    for generation in 1..=5 {
        let tries = (0..20).map(|_| fixture.store().refresh_session(rotation(&fixture, session.id, generation, 7)));
        let (mut rotated, mut repeated) = (0, 0);
        for outcome in join_all(tries).await {
            let grant = match outcome.unwrap() {
                Refreshed::Rotated(grant) => {
                    rotated += 1;
                    grant
                }
                Refreshed::Repeated(grant) => {
                    repeated += 1;
                    grant
                }
                other => panic!("{other:?}"),
            };
            assert_eq!((grant.session.generation, grant.session.last_used_at), (generation + 1, fixture.after(7)));
            assert_eq!((grant.session.ip.as_str(), grant.session.created_at), ("2001:db8::1", fixture.now));
        }
        assert_eq!((rotated, repeated), (1, 19));
    }
}

async fn a_repetition_is_answered_as_long_as_it_is_excused(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (_, session) = fixture.open(&phone(1)).await;
    let (this, other) = ([1_u8; 32], [2_u8; 32]);
    let step =
        |seconds, intent: Option<&'static [u8]>| Rotation { intent, ..rotation(&fixture, session.id, 1, seconds) };
    let this: &'static [u8] = Box::leak(Box::new(this));
    let other: &'static [u8] = Box::leak(Box::new(other));
    assert!(matches!(fixture.store().refresh_session(step(0, Some(this))).await, Ok(Refreshed::Rotated(_))));
    for (seconds, intent) in [(0, None), (29, None), (29, Some(other)), (29, Some(this)), (86_400, Some(this))] {
        let outcome = fixture.store().refresh_session(step(seconds, intent)).await;
        let Ok(Refreshed::Repeated(grant)) = outcome else { panic!("{seconds}: {outcome:?}") };
        assert_eq!(grant.session.generation, 2);
        assert_eq!(grant.session.expires_at, fixture.after(30 * 86_400));
        assert_eq!(grant.session.access_expires_at, fixture.after(seconds + 300));
    }
    assert!(matches!(fixture.store().refresh_session(step(30, Some(other))).await, Ok(Refreshed::Reused(_))));
}

async fn a_reused_token_ends_the_session_once(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (account, session) = fixture.open(&phone(1)).await;
    for generation in [1, 2] {
        fixture.store().refresh_session(rotation(&fixture, session.id, generation, 0)).await.unwrap();
    }
    let tries = (0..20).map(|_| fixture.store().refresh_session(rotation(&fixture, session.id, 1, 1)));
    let mut reused = 0;
    for outcome in join_all(tries).await {
        match outcome.unwrap() {
            Refreshed::Reused(ended) => {
                assert_eq!((ended.id, ended.account_id), (session.id, account.id));
                assert_eq!(ended.access_expires_at, fixture.after(300));
                reused += 1;
            }
            outcome => assert!(matches!(outcome, Refreshed::Ended), "{outcome:?}"),
        }
    }
    assert_eq!(reused, 1);
    assert_eq!(events_about(fixture.store(), session.id, "session.refresh_token_reused").await, 1);
    let current = fixture.store().refresh_session(rotation(&fixture, session.id, 3, 1)).await;
    assert!(matches!(current, Ok(Refreshed::Ended)));
}

async fn what_is_not_alive_is_not_carried_on(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    let unknown = rotation(&fixture, SessionId(Random.id(fixture.now)), 1, 0);
    assert!(matches!(store.refresh_session(unknown).await, Ok(Refreshed::Ended)));
    // To the microsecond.
    let new = countersign::store::NewSession { expires_at: fixture.after(60), ..new_session(fixture.now) };
    let (account, session) = fixture.open_as(&phone(1), new).await;
    assert!(matches!(store.refresh_session(rotation(&fixture, session.id, 1, 60)).await, Ok(Refreshed::Ended)));
    let mut just = rotation(&fixture, session.id, 1, 60);
    just.now -= TimeDelta::microseconds(1);
    assert!(matches!(store.refresh_session(just).await, Ok(Refreshed::Rotated(_))));
    // A generation that has not been given out yet ends nothing.
    assert!(matches!(store.refresh_session(rotation(&fixture, session.id, 3, 61)).await, Ok(Refreshed::Ended)));
    execute(store, "UPDATE accounts SET state = 'blocked' WHERE id = $1", &[account.id.0]).await;
    assert!(matches!(store.refresh_session(rotation(&fixture, session.id, 2, 61)).await, Ok(Refreshed::Ended)));
    execute(store, "UPDATE accounts SET state = 'active' WHERE id = $1", &[account.id.0]).await;
    // The absolute end is the end of all that a refresh gives.
    let late = Rotation { expires_at: fixture.after(200 * 86_400), ..rotation(&fixture, session.id, 2, 61) };
    let late = Rotation { access_expires_at: fixture.after(200 * 86_400), ..late };
    let Ok(Refreshed::Rotated(grant)) = store.refresh_session(late).await else { panic!() };
    assert_eq!((grant.session.expires_at, grant.session.access_expires_at), {
        (session.absolute_expires_at, session.absolute_expires_at)
    });
}

async fn an_end_meets_each_session_once(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (store, cause) = (fixture.store(), fixture.cause());
    let (account, session) = fixture.open(&phone(1)).await;
    let (stranger, _) = fixture.open(&phone(2)).await;
    let end = |owner| store.end_session(session.id, owner, EndReason::Logout, &cause);
    assert_eq!(end(Some(stranger.id)).await.unwrap(), None);
    let ends = join_all((0..20).map(|_| end(Some(account.id)))).await;
    assert_eq!(ends.into_iter().filter(|ended| ended.as_ref().unwrap().is_some()).count(), 1);
    assert_eq!(end(None).await.unwrap(), None);
    assert_eq!(events_about(store, session.id, "session.ended").await, 1);
    assert_eq!(number(store, "SELECT COUNT(*) FROM revocations WHERE target = $1", &[session.id.0]).await, 1);
}

async fn all_of_an_accounts_sessions_end(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (store, cause) = (fixture.store(), fixture.cause());
    let mut own = Vec::new();
    for _ in 0..5 {
        own.push(fixture.open(&phone(1)).await);
    }
    let (stranger, other) = fixture.open(&phone(2)).await;
    let (account, kept) = &own[2];
    let mut ended = store.end_sessions_of(account.id, Some(kept.id), EndReason::EndedByOwner, &cause).await.unwrap();
    ended.sort_by_key(|ended| ended.id);
    let mut expected: Vec<_> = own.iter().map(|(_, session)| session.id).filter(|id| *id != kept.id).collect();
    expected.sort();
    assert_eq!(ended.iter().map(|ended| ended.id).collect::<Vec<_>>(), expected);
    let rest = store.end_sessions_of(account.id, None, EndReason::EndedByOwner, &cause).await.unwrap();
    assert_eq!(rest.iter().map(|ended| ended.id).collect::<Vec<_>>(), [kept.id]);
    assert_eq!(store.end_sessions_of(account.id, None, EndReason::EndedByOwner, &cause).await.unwrap(), []);
    assert_eq!(store.sessions_of(stranger.id, None, 10, fixture.now).await.unwrap(), [other]);
    assert_eq!(fixture.events("session.ended").await, 5);
}

async fn sessions_are_listed_newest_first(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut expected = Vec::new();
    let mut owner = None;
    for seconds in 0..5 {
        let new = countersign::store::NewSession {
            id: SessionId(Random.id(fixture.after(seconds))),
            ..new_session(fixture.now)
        };
        let (account, session) = fixture.open_as(&phone(1), new).await;
        expected.insert(0, session);
        owner = Some(account.id);
    }
    let list = |below, limit| fixture.store().sessions_of(owner.unwrap(), below, limit, fixture.now);
    assert_eq!(list(None, 10).await.unwrap(), expected);
    assert_eq!(list(None, 2).await.unwrap(), expected[..2]);
    assert_eq!(list(Some(expected[1].id), 2).await.unwrap(), expected[2..4]);
    assert_eq!(list(Some(expected[4].id), 2).await.unwrap(), []);
}
