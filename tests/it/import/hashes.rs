//! Hashes that a real Django 5.2 made with its own settings. The password of each is `old password` and its scheme.

pub(super) const DJANGO: [(&str, &str); 6] = [
    ("pbkdf2_sha256", "pbkdf2_sha256$1000000$1QSZYB4IxJiHsttNfgPomY$poG+vO84R73nq2aNADtbeQkMLTEe/eSJgO0w5HVw4ZE="),
    ("pbkdf2_sha1", "pbkdf2_sha1$1000000$f1AO6oXDp8IW0toOzKDMz5$Ucp3VJ2Ppxkk8ZjGnlyArFdmm9Y="),
    (
        "argon2",
        "argon2$argon2id$v=19$m=102400,t=2,p=8$TFN2QWZIYllJVlExcHRabWtaUFg1OQ$jN+5mbNoPTCMpv/WgO8RBiq4fowp8W8N7MDNP0OIOQg",
    ),
    ("bcrypt_sha256", "bcrypt_sha256$$2b$12$1D6G29u9R2awwFxMD.tlGu3jTnXFa59apiPTqmrmvww0LH6gna0Bu"),
    ("bcrypt", "bcrypt$$2b$12$mNGOXd/qyXTURlNB/d1yNO5vJ5GT/cC/RSZVlahu.fnkoXVSwuQz6"),
    (
        "scrypt",
        "scrypt$16384$e3JROmXBtJEalCLBoQ7nz6$8$5$EVj9ncOlmAepW7yB6sj8YouVStl8bsVBZDiNv8Re+54nc4foPJ14NJUIvpKVfbBixyeS07CZvi2a16BMpHtqbA==",
    ),
];

/// What Django keeps for somebody who has no password.
pub(super) const UNUSABLE: &str = "!jejX7TR9eq3eWe5REap0iETn7rssAv0hTMoCA5KA";

/// The password behind a hash.
pub(super) fn password(scheme: &str) -> String {
    format!("old password {scheme}")
}
