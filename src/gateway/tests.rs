//! Needs, spellings and challenges; whole decisions are tested through the gateways.

use super::*;

fn needs<'a>(pairs: &[(&str, &'a str)]) -> Result<Needs<'a>, Unreadable> {
    let mut needs = Needs::default();
    for (name, value) in pairs {
        needs.add(name, value)?;
    }
    Ok(needs)
}

#[test]
fn what_is_not_understood_is_no_need() {
    let read = needs(&[("scopes", " read  write "), ("roles", "a b"), ("audience", "shop")]).unwrap();
    assert_eq!(read.scopes().collect::<Vec<_>>(), ["read", "write"]);
    assert_eq!(read.roles().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((read.audience, read.anonymous(), read.optional()), (Some("shop"), false, false));
    let read = needs(&[("anonymous", "allow"), ("optional", "true")]).unwrap();
    assert!(read.anonymous() && read.optional() && read.scopes().next().is_none());
    let read = needs(&[("anonymous", "deny"), ("optional", "false")]).unwrap();
    assert!(!read.anonymous() && !read.optional());
    for wrong in [
        &[("scope", "read")][..],
        &[("Scopes", "read")],
        &[("scopes", "")],
        &[("roles", " ")],
        &[("audience", "a\nb")],
        &[("anonymous", "true")],
        &[("anonymous", "Allow")],
        &[("optional", "yes")],
        &[("scopes", "read"), ("scopes", "write")],
        &[("optional", "false"), ("optional", "true")],
        &[("", "")],
    ] {
        assert_eq!(needs(wrong).err(), Some(Unreadable), "{wrong:?}");
    }
}

#[test]
fn of_two_credentials_none_counts() {
    let one = Presented::in_authorization(b"bEARER abc");
    assert_eq!(one, Presented::Token("abc"));
    assert_eq!(Presented::Nothing.and(one), one);
    assert_eq!(one.and(one), Presented::Unusable);
    for other in [&b"Basic abc"[..], b"Bearer", b"Bearer ", b"", b"Bearer \xff", b"Bearerabc def"] {
        assert_eq!(Presented::in_authorization(other), Presented::Unusable, "{other:?}");
    }
    assert_eq!(format!("{one:?}"), "Token([redacted])");
}

#[test]
fn names_that_read_as_ours_are_shadows() {
    for shadow in
        ["x_auth_subject", "X_Auth_Subject", "x-auth_roles", "x.auth.scopes", "x_auth-anonymous", "x~auth-session"]
    {
        assert!(is_shadow(shadow.as_bytes()), "{shadow}");
    }
    for other in [
        "x-auth-subject",
        "X-Auth-Subject",
        "x-auth-roles",
        "x-auth-subjects",
        "x-author",
        "",
        "x",
        "xx",
        "x-forwarded-for",
    ] {
        assert!(!is_shadow(other.as_bytes()), "{other}");
    }
}

#[test]
fn challenges_say_what_belongs_there() {
    let scopes = Refusal::scope_missing(["read", "wr\"ite"].into_iter());
    assert_eq!(scopes.www_authenticate().as_deref(), Some("Bearer error=\"insufficient_scope\", scope=\"read write\""));
    assert_eq!(Refusal::token_missing().www_authenticate().as_deref(), Some("Bearer"));
    assert_eq!(Refusal::token_invalid().www_authenticate().as_deref(), Some("Bearer error=\"invalid_token\""));
    assert_eq!(Refusal::unknown().www_authenticate(), None);
    let body: serde_json::Value = serde_json::from_str(&Refusal::unknown().body()).unwrap();
    assert_eq!(body["error"], "temporarily_unavailable");
}
