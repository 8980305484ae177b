//! Hashes from elsewhere. All were made by the systems they stand for: Django 5.2, argon2-cffi, bcrypt and the C library.

use super::*;

/// What they are hashes of. It is in NFC.
const PASSWORD: &str = "Trombone-7 caf\u{e9}";

/// As Django makes them by default.
const COSTLY: &[&str] = &[
    "pbkdf2_sha256$1000000$6MdA9TiySDwYQtcqMlVuCp$eXpHwLDdvSvIKR57zJwboQdqSPPCVVMLW+lwIHbEl0g=",
    "pbkdf2_sha1$1000000$jm5bgkYF73nwc7c4wCqrfd$jMJMRBGjSnMkdMToxnSikw61Rp0=",
    "argon2$argon2id$v=19$m=102400,t=2,p=8$cU5DcmxMSlB2bGtqUkNuNnJlMjRibg$wUIv0bvWcIzhRu78xJTobu+idd1UyMc2tY5Aixmi/6Q",
    "bcrypt$$2b$12$f7yBjY9c3PsJr70KSewoU.05pz2pFazhPHQ3jFHE27UZ6pMZKMW8q",
    "bcrypt_sha256$$2b$12$rlZdoiGQMgVZrOMcESzQq.t0UKAWGYwRXbtqC4r5hr.k/butEDVfO",
    "scrypt$16384$hZ40E4gcil87qxUvHvNHvT$8$5$WJAzO01HTNoGGpGyrMynDYDTW69hOSb3YVea3y0wBmghRd8WutQd8zhgO4g3v/ONOOUm/cZH1fSwIm1AxfZ4xA==",
];

/// With smaller parameters, and from elsewhere.
const CHEAP: &[&str] = &[
    "pbkdf2_sha256$12$a.b/salt$z8GOp7BM9Vnh4g0iBHHvDuqsa+Ljxx2P5FeT2SR6ExA=",
    "scrypt$1024$seasalt$4$2$JY6c4Aka1nM4KlbhnFGVPwAV0EkbNsGs/HqvD72YIYm0OKVBWxydvoKDUk8EUfpCHtpW2chNvhL1zakMUI3N6w==",
    "bcrypt_sha256$$2b$04$xIjA2C/9rOReOK2DwOyvwukqTvkfrKghyU6inP2goxSN9U3CSzchO",
    "pbkdf2_sha1$12$seasalt$WSSQDx6hA5jebTUZVTY6a1UmgT4=",
    "bcrypt$$2b$04$pu94jjBb.6Z.Rt47uvZuB.GV4xDnyKpXKSPlUbgQiUaqzks0o50S2",
    "argon2$argon2id$v=19$m=512,t=1,p=2$c2FsdHNhbHRzYWx0$f1dNOpkA40CTU4vcr4ZwXeQbERVzI2REsO3fNhyzuQ0",
    "$argon2id$v=19$m=512,t=2,p=2$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4",
    "$argon2i$v=19$m=512,t=2,p=2$HDNdTO+DXJLblOy6ATHuqQ$fP5pOF+Rc/hT4lGkQeLmHn8IKCnm60/Jh2uEYZswVn0",
    "$argon2d$v=19$m=512,t=2,p=2$EmG4PoPr0gz3JPAbI76t+g$FRqOC3VFdWsakCxpITXtJJBWBXLzvinWgp3xfvfFuZs",
    "$argon2i$v=16$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$XF8V2LIvArKINtgOwuF0yA",
    "$argon2i$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$XF8V2LIvArKINtgOwuF0yA",
    "$2a$05$yhe19TsZwf19O0GD97RGiukyx73Fwsu6zZwGnbQ3FrV6JQoWpbiGi",
    "$2b$05$aHhZQUvm4BSKWOj5KJMIi.YVaDAm3NbuH0ypl2AodL8Xsiw.h4b5C",
    "$2y$05$abcdefghijklmnopqrstuuhpdemtHZwE0dOGOY1zTyFrDq0JvVCSK",
];

#[tokio::test]
async fn each_form_is_verified_as_it_is_made_today() {
    let passwords = passwords();
    for stored in COSTLY {
        assert_eq!(verdict(&passwords, stored, PASSWORD).await, Verdict::Right { upgrade: true }, "{stored}");
    }
}

#[tokio::test]
async fn each_form_is_told_from_a_wrong_password() {
    let passwords = passwords();
    for stored in CHEAP {
        assert_eq!(verdict(&passwords, stored, PASSWORD).await, Verdict::Right { upgrade: true }, "{stored}");
        assert_eq!(verdict(&passwords, stored, "Trombone-7 cafe").await, Verdict::Wrong, "{stored}");
        // Typed as two characters, é is still the password.
        let typed = "Trombone-7\u{a0}cafe\u{301}";
        assert_eq!(verdict(&passwords, stored, typed).await, Verdict::Right { upgrade: true }, "{stored}");
    }
}

#[tokio::test]
async fn what_another_system_hashed_as_it_was_typed_is_found_as_typed() {
    let passwords = passwords();
    let stored = "pbkdf2_sha256$1000$saltsalt$MuU2gLpZ7mI05K6F2h/SgbE053ZI6ZPgoCuLNKhakUg=";
    let typed = "cafe\u{301} creme brule\u{301}e";
    assert_eq!(verdict(&passwords, stored, typed).await, Verdict::Right { upgrade: true });
    // After the upgrade it no longer matters how it is typed.
    let upgraded = passwords.rehash(&secret(typed)).await.unwrap();
    for either in [typed, "caf\u{e9} creme brul\u{e9}e"] {
        let right = Verdict::Right { upgrade: false };
        assert_eq!(verdict(&passwords, upgraded.as_str(), either).await, right);
    }
}

#[tokio::test]
async fn bcrypt_is_kept_where_it_has_not_seen_all_of_a_password() {
    let passwords = passwords();
    let stored = "$2b$04$GpXXc1oVYWSPUvdSF0yCBelD.c7TUJw.FWlIXGvWek38CIB8QWv8.";
    assert_eq!(verdict(&passwords, stored, &"x".repeat(72)).await, Verdict::Right { upgrade: true });
    assert_eq!(verdict(&passwords, stored, &"x".repeat(80)).await, Verdict::Right { upgrade: false });
    let typed = format!("{}e\u{301}", "x".repeat(72));
    assert_eq!(verdict(&passwords, stored, &typed).await, Verdict::Right { upgrade: false });
    assert_eq!(verdict(&passwords, stored, &"x".repeat(71)).await, Verdict::Wrong);
    // Django's other form sees it all.
    let stored = "bcrypt_sha256$$2b$04$8PfwIPNzasmH0Wxe6MTxieYPIsbsACwt5qM1.7tZELggKCrErd0PW";
    assert_eq!(verdict(&passwords, stored, &"y".repeat(100)).await, Verdict::Right { upgrade: true });
    assert_eq!(verdict(&passwords, stored, &"y".repeat(99)).await, Verdict::Wrong);
}
