//! Texts that are no hashes, or ask for too much.

use proptest::prelude::*;

use super::*;

/// One of each form, and cheap.
const CHEAP: &[&str] = &[
    "pbkdf2_sha256$12$a.b/salt$z8GOp7BM9Vnh4g0iBHHvDuqsa+Ljxx2P5FeT2SR6ExA=",
    "scrypt$1024$seasalt$4$2$JY6c4Aka1nM4KlbhnFGVPwAV0EkbNsGs/HqvD72YIYm0OKVBWxydvoKDUk8EUfpCHtpW2chNvhL1zakMUI3N6w==",
    "$argon2id$v=19$m=512,t=2,p=2$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4",
    "argon2$argon2i$v=16$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$XF8V2LIvArKINtgOwuF0yA",
    "bcrypt_sha256$$2b$04$xIjA2C/9rOReOK2DwOyvwukqTvkfrKghyU6inP2goxSN9U3CSzchO",
    "$2a$04$yhe19TsZwf19O0GD97RGiukyx73Fwsu6zZwGnbQ3FrV6JQoWpbiGi",
];

fn refusal(text: &str) -> UnfitHash {
    StoredHash::parse(text).err().unwrap_or_else(|| panic!("{text} was accepted"))
}

#[test]
fn what_costs_too_much_is_refused() {
    for text in [
        "pbkdf2_sha256$5000001$a.b/salt$z8GOp7BM9Vnh4g0iBHHvDuqsa+Ljxx2P5FeT2SR6ExA=",
        "pbkdf2_sha256$9999999999$a.b/salt$z8GOp7BM9Vnh4g0iBHHvDuqsa+Ljxx2P5FeT2SR6ExA=",
        "$argon2id$v=19$m=262145,t=1,p=1$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4",
        "$argon2id$v=19$m=262144,t=9,p=1$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4",
        "$argon2id$v=19$m=4294967295,t=1,p=1$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4",
        "$argon2id$v=19$m=512,t=65,p=1$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4",
        "$2b$16$aHhZQUvm4BSKWOj5KJMIi.YVaDAm3NbuH0ypl2AodL8Xsiw.h4b5C",
        "bcrypt$$2b$31$aHhZQUvm4BSKWOj5KJMIi.YVaDAm3NbuH0ypl2AodL8Xsiw.h4b5C",
        "scrypt$262144$seasalt$8$1$JY6c4Aka1nM4KlbhnFGVPwAV0EkbNsGs/HqvD72YIYm0OKVBWxydvoKDUk8EUfpCHtpW2chNvhL1zakMUI3N6w==",
        "scrypt$131072$seasalt$8$64$JY6c4Aka1nM4KlbhnFGVPwAV0EkbNsGs/HqvD72YIYm0OKVBWxydvoKDUk8EUfpCHtpW2chNvhL1zakMUI3N6w==",
        "scrypt$1024$seasalt$4294967295$1$JY6c4Aka1nM4KlbhnFGVPwAV0EkbNsGs/HqvD72YIYm0OKVBWxydvoKDUk8EUfpCHtpW2chNvhL1zakMUI3N6w==",
    ] {
        assert_eq!(refusal(text), UnfitHash::TooExpensive, "{text}");
    }
}

#[test]
fn what_is_of_no_known_kind_is_refused() {
    for text in
        ["", "$", "!", "!Vt4Gd9Cy9nrkS3aNxtQ8jXbfV0", "plain", "md5$salt$0011", "sha1$$00", "$1$salt$hash", "$5$a$b"]
    {
        assert_eq!(refusal(text), UnfitHash::Unknown, "{text}");
    }
}

#[test]
fn what_is_malformed_is_refused() {
    for text in [
        // Parameters in other forms: a sign, a space, none, zero, one too many, in another order.
        "pbkdf2_sha256$+12$salt$z8GOp7BM9Vnh4g0iBHHvDuqsa+Ljxx2P5FeT2SR6ExA=",
        "pbkdf2_sha256$ 12$salt$z8GOp7BM9Vnh4g0iBHHvDuqsa+Ljxx2P5FeT2SR6ExA=",
        "pbkdf2_sha256$$salt$z8GOp7BM9Vnh4g0iBHHvDuqsa+Ljxx2P5FeT2SR6ExA=",
        "pbkdf2_sha256$0$salt$z8GOp7BM9Vnh4g0iBHHvDuqsa+Ljxx2P5FeT2SR6ExA=",
        "$argon2id$v=19$m=512,t=2,p=2,k=1$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4",
        "$argon2id$v=19$t=2,m=512,p=2$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4",
        "$argon2id$v=18$m=512,t=2,p=2$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4",
        "$argon2id$v=19$m=15,t=2,p=2$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4",
        "scrypt$1000$seasalt$4$2$JY6c4Aka1nM4KlbhnFGVPwAV0EkbNsGs/HqvD72YIYm0OKVBWxydvoKDUk8EUfpCHtpW2chNvhL1zakMUI3N6w==",
        // A hash so short that many passwords would fit.
        "pbkdf2_sha256$12$salt$z8GO",
        "$argon2id$v=19$m=512,t=2,p=2$LAtScp0s2BBFvTiN1YIvEA$Od+v0w",
        "$argon2id$v=19$m=512,t=2,p=2$LAtScp0s2BBFvTiN1YIvEA$",
        "scrypt$1024$seasalt$4$2$JY6c4A==",
        // Parts that are missing, or too many.
        "$argon2id$v=19$m=512,t=2,p=2$LAtScp0s2BBFvTiN1YIvEA",
        "$argon2id$v=19$m=512,t=2,p=2$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4$",
        "$2b$05$aHhZQUvm4BSKWOj5KJMIi.YVaDAm3NbuH0ypl2AodL8Xsiw.h4b5",
        "$2x$05$aHhZQUvm4BSKWOj5KJMIi.YVaDAm3NbuH0ypl2AodL8Xsiw.h4b5C",
        "$2b$5$aHhZQUvm4BSKWOj5KJMIi.YVaDAm3NbuH0ypl2AodL8Xsiw.h4b5C",
        "$2b$03$aHhZQUvm4BSKWOj5KJMIi.YVaDAm3NbuH0ypl2AodL8Xsiw.h4b5C",
        "bcrypt$2b$05$aHhZQUvm4BSKWOj5KJMIi.YVaDAm3NbuH0ypl2AodL8Xsiw.h4b5C",
    ] {
        assert_eq!(refusal(text), UnfitHash::Malformed, "{text}");
    }
    assert_eq!(refusal(&format!("pbkdf2_sha256$12${}$", "a".repeat(600))), UnfitHash::Malformed);
}

/// A hash in which one place was changed: a character put in, taken out, or another in its stead.
fn changed() -> impl Strategy<Value = String> {
    let places = (0..CHEAP.len(), any::<prop::sample::Index>(), any::<Option<char>>(), any::<bool>());
    places.prop_map(|(which, at, put, take)| {
        let mut characters: Vec<_> = CHEAP[which].chars().collect();
        let at = at.index(characters.len());
        if take {
            characters.remove(at);
        }
        if let Some(put) = put {
            characters.insert(at, put);
        }
        characters.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*") {
        let _ = StoredHash::parse(&text);
        let _ = StoredHash::parse(&format!("$argon2id${text}"));
        let _ = StoredHash::parse(&format!("$2b$04${text}"));
        let _ = StoredHash::parse(&format!("scrypt${text}"));
    }

    #[test]
    fn a_changed_hash_is_refused_or_read_as_it_is(text in changed()) {
        if let Ok(stored) = StoredHash::parse(&text) {
            prop_assert_eq!(stored.as_str(), text);
        }
    }

    #[test]
    fn whatever_is_read_can_be_verified(which in 0..CHEAP.len(), garbage in "[A-Za-z0-9+/.]{1,40}", password in any::<String>()) {
        // The parameters stay, so that it stays cheap.
        let text = CHEAP[which];
        let kept = text.len().saturating_sub(garbage.len());
        let text = format!("{}{garbage}", &text[..kept]);
        if let Ok(stored) = StoredHash::parse(&text) {
            let mut memory = Memory::new(512, Arc::default());
            prop_assert!(!stored.verify(&password, &mut memory).unwrap());
        }
    }
}
