//! What messages say: the service's own texts, and an operator's in their place. All of them are tried before anything is
//! sent, so that a slip in one stops the start and not a message.

use std::error::Error;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use minijinja::{Environment, UndefinedBehavior, Value, context};

use crate::model::{ChallengeId, Content, Locale, Purpose};
use crate::secret::Secret;

/// How much work one text may be: enough for any message, and an end for a loop without one.
const FUEL: u64 = 20_000;

macro_rules! embedded {
    ($($locale:literal: $($name:literal)*;)*) => {
        &[$($((concat!($locale, "/", $name), include_str!(concat!("templates/", $locale, "/", $name))),)*)*]
    };
}

/// The service's own texts.
const EMBEDDED: &[(&str, &str)] = embedded! {
    "en":
        "layout.html"
        "code.sms" "code.subject" "code.txt" "code.html"
        "password_reset.sms" "password_reset.subject" "password_reset.txt" "password_reset.html"
        "password_changed.sms" "password_changed.subject" "password_changed.txt" "password_changed.html"
        "identifier_changed.sms" "identifier_changed.subject" "identifier_changed.txt" "identifier_changed.html"
        "account_deleted.sms" "account_deleted.subject" "account_deleted.txt" "account_deleted.html";
    "fa":
        "layout.html"
        "code.sms" "code.subject" "code.txt" "code.html"
        "password_reset.sms" "password_reset.subject" "password_reset.txt" "password_reset.html"
        "password_changed.sms" "password_changed.subject" "password_changed.txt" "password_changed.html"
        "identifier_changed.sms" "identifier_changed.subject" "identifier_changed.txt" "identifier_changed.html"
        "account_deleted.sms" "account_deleted.subject" "account_deleted.txt" "account_deleted.html";
};

/// A text that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the template {place} cannot be used: {fault}")]
pub struct TemplateError {
    /// Its file, and the line where there is one.
    pub place: String,
    /// What is wrong with it.
    pub fault: String,
}

/// The texts in use.
#[derive(Debug)]
pub(super) struct Templates {
    texts: Environment<'static>,
    app_name: String,
    /// The web site that may fill in codes.
    autofill_domain: String,
}

/// A mail's texts.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) subject: String,
    pub(super) text: Secret<String>,
    pub(super) html: Secret<String>,
}

impl Templates {
    /// Reads the operator's folder, where there is one, over the service's own texts, and tries them all.
    pub(super) fn load(folder: &str, app_name: &str, autofill_domain: &str) -> Result<Self, TemplateError> {
        let mut texts = Environment::new();
        texts.set_undefined_behavior(UndefinedBehavior::Strict);
        texts.set_fuel(Some(FUEL));
        for (name, own) in EMBEDDED {
            let text = if folder.is_empty() { None } else { read(&Path::new(folder).join(name))? };
            let text = text.unwrap_or_else(|| (*own).to_owned());
            texts.add_template_owned(*name, text).map_err(|error| fault(folder, name, &error))?;
        }
        let templates = Self { texts, app_name: app_name.to_owned(), autofill_domain: autofill_domain.to_owned() };
        templates.try_all(folder)?;
        Ok(templates)
    }

    fn try_all(&self, folder: &str) -> Result<(), TemplateError> {
        let now = DateTime::UNIX_EPOCH;
        for (locale, content) in
            Locale::ALL.iter().flat_map(|locale| samples(now).into_iter().map(move |one| (*locale, one)))
        {
            for form in ["sms", "subject", "txt", "html"] {
                let name = format!("{}/{}.{form}", locale.as_str(), content.kind());
                self.render(&name, locale, &content, now).map_err(|error| fault(folder, &name, &error))?;
            }
        }
        Ok(())
    }

    /// The text of a text message. A code that a page may fill in is repeated in its last line, the way browsers look for it.
    pub(super) fn sms(&self, locale: Locale, content: &Content, now: DateTime<Utc>) -> Result<Secret<String>, String> {
        let mut text = self.text("sms", locale, content, now)?.trim().to_owned();
        if let (Content::Code { code, .. }, false) = (content, self.autofill_domain.is_empty()) {
            text = format!("{text}\n\n@{} #{}", self.autofill_domain, code.expose());
        }
        Ok(Secret::new(text))
    }

    /// The texts of a mail.
    pub(super) fn mail(&self, locale: Locale, content: &Content, now: DateTime<Utc>) -> Result<Mail, String> {
        let subject = self.text("subject", locale, content, now)?;
        // A subject is one line, whoever wrote the template.
        let subject = subject.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        Ok(Mail {
            subject: subject.collect::<Vec<_>>().join(" "),
            text: Secret::new(self.text("txt", locale, content, now)?),
            html: Secret::new(self.text("html", locale, content, now)?),
        })
    }

    fn text(&self, form: &str, locale: Locale, content: &Content, now: DateTime<Utc>) -> Result<String, String> {
        let name = format!("{}/{}.{form}", locale.as_str(), content.kind());
        // The cause may repeat what was to be shown; the place does not.
        self.render(&name, locale, content, now)
            .map_err(|error| format!("{}: {}", place("", &name, &error), error.kind()))
    }

    fn render(
        &self,
        name: &str,
        locale: Locale,
        content: &Content,
        now: DateTime<Utc>,
    ) -> Result<String, minijinja::Error> {
        self.texts.get_template(name)?.render(self.context(locale, content, now))
    }

    fn context(&self, locale: Locale, content: &Content, now: DateTime<Utc>) -> Value {
        let app_name = self.app_name.as_str();
        let minutes = |until: DateTime<Utc>| {
            let seconds = (until - now).num_seconds().max(0);
            shown(locale, &(seconds.saturating_add(59) / 60).max(1).to_string())
        };
        let time = |at: &DateTime<Utc>| shown(locale, &at.format("%Y-%m-%d %H:%M UTC").to_string());
        match content {
            Content::Code { purpose, code, expires_at, .. } => context! {
                app_name, purpose => purpose.as_str(), code => one_line(code.expose()), minutes => minutes(*expires_at),
            },
            Content::PasswordReset { url, expires_at } => {
                context! { app_name, url => one_line(url.expose()), minutes => minutes(*expires_at) }
            }
            Content::PasswordChanged { at } | Content::AccountDeleted { at } => context! { app_name, at => time(at) },
            Content::IdentifierChanged { at, new_masked } => {
                context! { app_name, at => time(at), new_masked => one_line(new_masked) }
            }
        }
    }
}

/// A text of the operator's own; none where there is no such file.
fn read(path: &Path) -> Result<Option<String>, TemplateError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.parent().is_some_and(folder_may_lack) => {
            Ok(None)
        }
        Err(error) => Err(TemplateError { place: path.display().to_string(), fault: error.to_string() }),
    }
}

/// A language may be left out, the folder as a whole may not: a slip in its name would go unnoticed.
fn folder_may_lack(language: &Path) -> bool {
    language.parent().is_some_and(Path::is_dir)
}

fn fault(folder: &str, name: &str, error: &minijinja::Error) -> TemplateError {
    let mut fault =
        error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    if let Some(cause) = error.source() {
        fault = format!("{fault}: {cause}");
    }
    TemplateError { place: place(folder, name, error), fault }
}

/// Where a text is wrong: in it, or in one that it is made of.
fn place(folder: &str, name: &str, error: &minijinja::Error) -> String {
    let name = error.name().unwrap_or(name);
    let path = if folder.is_empty() { Path::new(name).to_owned() } else { Path::new(folder).join(name) };
    error.line().map_or_else(|| path.display().to_string(), |line| format!("{}:{line}", path.display()))
}

/// Text from outside must not begin a line of its own.
fn one_line(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

/// Digits as the language writes them. Codes are left alone: they are copied and typed.
fn shown(locale: Locale, text: &str) -> String {
    match locale {
        Locale::En => text.to_owned(),
        Locale::Fa => {
            text.chars().map(|c| c.to_digit(10).and_then(|digit| char::from_u32(0x06f0 + digit)).unwrap_or(c)).collect()
        }
    }
}

/// One message of each kind, with a code for each purpose.
fn samples(now: DateTime<Utc>) -> Vec<Content> {
    let expires_at = now + TimeDelta::minutes(2);
    let code = |purpose| Content::Code {
        challenge_id: ChallengeId(uuid::Uuid::nil()),
        purpose,
        code: Secret::new("123456".to_owned()),
        expires_at,
    };
    let mut all: Vec<_> = Purpose::ALL.into_iter().map(code).collect();
    all.extend([
        Content::PasswordReset { url: Secret::new("https://example.com/".to_owned()), expires_at },
        Content::PasswordChanged { at: now },
        Content::IdentifierChanged { at: now, new_masked: "a***@example.com".to_owned() },
        Content::AccountDeleted { at: now },
    ]);
    all
}

#[cfg(test)]
mod tests;
