//! Passwords, hashed and verified as they would be at a sign-in.

mod foreign;
mod malformed;

use super::*;

fn settings() -> config::Password {
    config::Password {
        minimum_length: 8,
        memory_kib: 7168,
        passes: 1,
        threads: 2,
        queue: 16,
        reset_url: String::new(),
        reset_lifetime: chrono::TimeDelta::hours(1),
    }
}

fn passwords() -> Passwords {
    Passwords::start(&settings()).unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

async fn verdict(passwords: &Passwords, stored: &str, text: &str) -> Verdict {
    let stored = StoredHash::parse(stored).unwrap();
    passwords.verify(Some(stored), &secret(text)).await.unwrap()
}

async fn hash(passwords: &Passwords, text: &str) -> StoredHash {
    passwords.hash(passwords.check(&secret(text), &[]).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_password_is_hashed_and_found_right() {
    let passwords = passwords();
    let stored = hash(&passwords, "correct horse battery staple").await;
    assert!(stored.as_str().starts_with("$argon2id$v=19$m=7168,t=1,p=1$"), "{stored}");
    let right = Verdict::Right { upgrade: false };
    assert_eq!(verdict(&passwords, stored.as_str(), "correct horse battery staple").await, right);
    assert_eq!(verdict(&passwords, stored.as_str(), "correct horse battery stapl").await, Verdict::Wrong);
    assert_eq!(passwords.verify(None, &secret("correct horse battery staple")).await, Ok(Verdict::Wrong));
    assert_ne!(stored.as_str(), hash(&passwords, "correct horse battery staple").await.as_str());
}

/// Threat O14: every character counts, the last as much as the first.
#[tokio::test]
async fn as_many_unicode_characters_as_there_may_be_round_trip() {
    let passwords = passwords();
    for length in [128, 256] {
        let text: String = "گذرواژه🦀é".chars().cycle().take(length).collect();
        let stored = hash(&passwords, &text).await;
        assert!(stored.as_str().starts_with("$argon2id$"), "never bcrypt, which sees 72 bytes");
        assert_eq!(verdict(&passwords, stored.as_str(), &text).await, Verdict::Right { upgrade: false });
        let mut last: Vec<_> = text.chars().collect();
        *last.last_mut().unwrap() = '!';
        let (last, short) = (String::from_iter(&last), String::from_iter(&last[..length - 1]));
        assert_eq!(verdict(&passwords, stored.as_str(), &last).await, Verdict::Wrong);
        assert_eq!(verdict(&passwords, stored.as_str(), &short).await, Verdict::Wrong);
    }
}

#[tokio::test]
async fn a_password_is_the_same_from_every_keyboard() {
    let passwords = passwords();
    let stored = hash(&passwords, "cre\u{300}me bru\u{302}le\u{301}e").await;
    let right = Verdict::Right { upgrade: false };
    assert_eq!(verdict(&passwords, stored.as_str(), "cr\u{e8}me\u{a0}br\u{fb}l\u{e9}e").await, right);
    assert_eq!(verdict(&passwords, stored.as_str(), "cre\u{300}me\u{3000}br\u{fb}le\u{301}e").await, right);
    assert_eq!(verdict(&passwords, stored.as_str(), "creme brulee").await, Verdict::Wrong);
}

#[tokio::test]
async fn a_hash_is_made_anew_when_it_costs_something_else() {
    let before = passwords();
    let after = Passwords::start(&config::Password { passes: 2, memory_kib: 8192, ..settings() }).unwrap();
    let stored = hash(&before, "zzyyxxwwv").await;
    assert_eq!(verdict(&after, stored.as_str(), "zzyyxxwwv").await, Verdict::Right { upgrade: true });
    let anew = after.rehash(&secret("zzyyxxwwv")).await.unwrap();
    assert_eq!(verdict(&after, anew.as_str(), "zzyyxxwwv").await, Verdict::Right { upgrade: false });
    // One that takes more memory than is set now is verified all the same.
    assert_eq!(verdict(&before, anew.as_str(), "zzyyxxwwv").await, Verdict::Right { upgrade: true });
}

/// What somebody without a password waits for is what a wrong password costs.
#[test]
fn the_hash_of_nobody_costs_what_ours_do() {
    let cost = Cost::new(&settings()).unwrap();
    let nobody = StoredHash::own(ArgonHash::dummy(&cost));
    assert!(!nobody.wants_upgrade(&cost, "", "") && !nobody.is_foreign());
    assert_eq!(nobody.place(settings().memory_kib), Place::Own);
}

#[tokio::test]
async fn nothing_of_any_length_is_right_for_nobody() {
    let passwords = passwords();
    for text in [String::new(), "\0".to_owned(), "e\u{301}".repeat(2000), "x".repeat(1_000_000)] {
        assert_eq!(passwords.verify(None, &Secret::new(text)).await, Ok(Verdict::Wrong));
    }
}

#[tokio::test]
async fn no_secret_is_printed() {
    let passwords = passwords();
    let new = passwords.check(&secret("zzyyxxwwv"), &[]).unwrap();
    assert_eq!(format!("{new:?}"), "NewPassword([redacted])");
    let stored = passwords.hash(new).await.unwrap();
    assert_eq!(format!("{stored:?}"), "[redacted]");
    assert_eq!(StoredHash::parse(stored.as_str()).unwrap().to_string(), stored.as_str());
}

/// Threat O15: whatever comes at once, only so much is computed at once, in so much memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_at_once_take_no_more_memory_than_the_threads_have() {
    let passwords = Passwords::start(&config::Password { queue: 100, ..settings() }).unwrap();
    let own = hash(&passwords, "zzyyxxwwv").await;
    let larger = config::Password { memory_kib: 16_384, ..settings() };
    let larger = hash(&Passwords::start(&larger).unwrap(), "zzyyxxwwv").await;
    let calls: Vec<_> = (0..2000)
        .map(|number| {
            let (passwords, stored) = (passwords.clone(), [&own, &own, &own, &larger][number % 4].clone());
            tokio::spawn(async move {
                let outcome = passwords.verify(Some(stored), &secret("zzyyxxwwv")).await;
                assert!(passwords.running() <= 2 && passwords.waiting() <= 100);
                outcome
            })
        })
        .collect();
    let (mut right, mut busy) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(Verdict::Right { .. }) => right += 1,
            Err(PasswordError::Busy { retry_after }) => {
                assert!((TimeDelta::seconds(1)..=TimeDelta::seconds(30)).contains(&retry_after));
                busy += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(right + busy, 2000);
    assert!(right >= 100 && busy > 0, "{right} were verified and {busy} turned away");
    let most = 2 * 7168 + 16_384;
    assert!(passwords.pool.ledger().peak() <= most, "{} KiB", passwords.pool.ledger().peak());
    assert!(passwords.memory() <= 2 * 7168 * 1024);
}
