//! Texts, as people get them.

use super::*;

fn own() -> Templates {
    Templates::load("", "Keyhouse", "").unwrap()
}

#[test]
fn every_text_message_is_short_and_says_what_it_is_about() {
    let now = DateTime::UNIX_EPOCH;
    let texts: Vec<_> = Locale::ALL
        .into_iter()
        .flat_map(|locale| samples(now).into_iter().map(move |content| (locale, content)))
        .map(|(locale, content)| own().sms(locale, &content, now).unwrap().expose().clone())
        .collect();
    // Two parts of a long message in either alphabet.
    assert!(texts.iter().all(|text| text.chars().count() <= if text.is_ascii() { 306 } else { 134 }), "{texts:#?}");
    insta::assert_snapshot!(texts.join("\n---\n"));
}

#[test]
fn a_mail_is_marked_up_in_its_own_direction() {
    let now = DateTime::UNIX_EPOCH;
    let code = &samples(now)[0];
    let english = own().mail(Locale::En, code, now).unwrap();
    assert_eq!(english.subject, "123456 is your Keyhouse code");
    assert!(english.html.expose().contains("<html lang=\"en\" dir=\"ltr\">"));
    let persian = own().mail(Locale::Fa, code, now).unwrap();
    assert_eq!(persian.subject, "کد Keyhouse: 123456");
    for text in [persian.html.expose(), persian.text.expose()] {
        assert!(text.contains("123456") && text.contains("تا ۲ دقیقه"), "{text}");
    }
    assert!(persian.html.expose().contains("<html lang=\"fa\" dir=\"rtl\">"));
}

#[test]
fn what_comes_from_outside_is_escaped_and_stays_in_its_line() {
    let templates = Templates::load("", "<b>Key & house</b>", "").unwrap();
    let new_masked = "<script>\r\nBcc: x@example.com".to_owned();
    let content = Content::IdentifierChanged { at: DateTime::UNIX_EPOCH, new_masked };
    let mail = templates.mail(Locale::En, &content, DateTime::UNIX_EPOCH).unwrap();
    assert!(mail.html.expose().contains("&lt;b&gt;Key &amp; house&lt;"), "{}", mail.html.expose());
    assert!(mail.html.expose().contains("&lt;script&gt;Bcc: x@example.com"), "{}", mail.html.expose());
    assert!(mail.text.expose().contains("<script>Bcc:"), "{}", mail.text.expose());
    assert!(!mail.subject.contains(char::is_control));
}

#[test]
fn a_page_finds_its_code_in_the_last_line() {
    let templates = Templates::load("", "Keyhouse", "example.com").unwrap();
    let text = templates.sms(Locale::Fa, &samples(DateTime::UNIX_EPOCH)[0], DateTime::UNIX_EPOCH).unwrap();
    assert_eq!(text.expose().lines().last(), Some("@example.com #123456"));
    let news = Content::PasswordChanged { at: DateTime::UNIX_EPOCH };
    assert!(!templates.sms(Locale::Fa, &news, DateTime::UNIX_EPOCH).unwrap().expose().contains('@'));
}

#[test]
fn minutes_are_rounded_up() {
    let Content::PasswordReset { url, expires_at } = samples(DateTime::UNIX_EPOCH)[Purpose::ALL.len()].clone() else {
        panic!("the link comes after the codes");
    };
    let content = Content::PasswordReset { url, expires_at };
    for (seconds, minutes) in [(0, "2 min"), (1, "2 min"), (61, "1 min"), (500, "1 min")] {
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let text = own().sms(Locale::En, &content, now).unwrap();
        assert!(text.expose().contains(minutes), "{seconds}: {}", text.expose());
    }
}

#[test]
fn an_operators_text_takes_the_place_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("fa")).unwrap();
    std::fs::write(folder.path().join("fa/code.sms"), "{{ app_name }} {{ code }}\n").unwrap();
    let templates = Templates::load(folder.path().to_str().unwrap(), "Keyhouse", "").unwrap();
    let content = &samples(DateTime::UNIX_EPOCH)[0];
    assert_eq!(templates.sms(Locale::Fa, content, DateTime::UNIX_EPOCH).unwrap().expose(), "Keyhouse 123456");
    let english = templates.sms(Locale::En, content, DateTime::UNIX_EPOCH).unwrap();
    assert!(english.expose().starts_with("123456 is your code"));
}

#[test]
fn a_bad_text_is_named_with_its_line() {
    for (file, text, line, fault) in [
        ("en/code.sms", "a\n{{ code", 2, "syntax error"),
        ("en/code.html", "a\n\n{{ cod }}", 3, "undefined"),
        ("fa/password_changed.txt", "{{ code }}", 1, "undefined"),
        ("en/code.txt", "{% if purpose == 'delete_account' %}\n{{ nobody }}{% endif %}", 2, "undefined"),
        ("en/code.subject", "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", 1, "fuel"),
        ("fa/layout.html", "{% include 'secrets' %}", 1, "template not found"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for language in ["en", "fa"] {
            std::fs::create_dir(folder.path().join(language)).unwrap();
        }
        std::fs::write(folder.path().join(file), text).unwrap();
        let error = Templates::load(folder.path().to_str().unwrap(), "Keyhouse", "").unwrap_err().to_string();
        assert!(error.contains(&format!("{file}:{line}")) && error.contains(fault), "{error}");
    }
    let error = Templates::load("/nowhere/at/all", "Keyhouse", "").unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}
