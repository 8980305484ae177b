//! Passwords, hashed and verified as they would be at a sign-in.

use super::*;

fn settings() -> config::Password {
    config::Password { minimum_length: 8, memory_kib: 7168, passes: 1, threads: 2, queue: 16 }
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

#[tokio::test]
async fn a_password_is_hashed_and_found_right() {
    let passwords = Passwords::start(&settings()).unwrap();
    let text = secret("correct horse battery staple");
    let hash = passwords.hash(passwords.check(&text, &[]).unwrap()).await.unwrap();
    assert!(hash.as_str().starts_with("$argon2id$v=19$m=7168,t=1,p=1$"), "{hash}");
    let stored = StoredHash::parse(hash.as_str()).unwrap();
    assert_eq!(passwords.verify(Some(stored.clone()), &text).await, Ok(Verdict::Right { upgrade: false }));
    let wrong = secret("correct horse battery stapl");
    assert_eq!(passwords.verify(Some(stored), &wrong).await, Ok(Verdict::Wrong));
    assert_eq!(passwords.verify(None, &text).await, Ok(Verdict::Wrong));
}
