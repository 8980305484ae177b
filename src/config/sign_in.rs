//! `[sign_in]`: what a guided sign-in asks of whom.

use chrono::TimeDelta;

use super::read::span;
use super::source::Settings;

section! {
    /// `[sign_in]`
    SignIn {
        reveal_accounts: bool,
        first_step: FirstStep,
        new_account_steps: Vec<NewAccountStep>,
        profile_fields: Vec<ProfileField>,
        lifetime: TimeDelta,
    }
}

/// What everybody is asked for first, where nobody is to learn who has an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstStep {
    /// A code.
    Code,
    /// A password, with a code as the way out.
    Password,
}

/// What a new person is asked for once they have proved themself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewAccountStep {
    /// A password.
    SetPassword,
    /// What they are called.
    Profile,
}

/// What a new person must say of themself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileField {
    /// Their given name.
    FirstName,
    /// Their family name.
    LastName,
}

pub(super) fn read(s: &mut Settings) -> Option<SignIn> {
    let first_step = match s.text("sign_in.first_step") {
        "code" => Some(FirstStep::Code),
        "password" => Some(FirstStep::Password),
        _ => {
            s.fault("sign_in.first_step", "must be `code` or `password`".to_owned());
            None
        }
    };
    let steps = [("set_password", NewAccountStep::SetPassword), ("profile", NewAccountStep::Profile)];
    let new_account_steps = words(s, "sign_in.new_account_steps", &steps);
    let fields = [("first_name", ProfileField::FirstName), ("last_name", ProfileField::LastName)];
    let profile_fields = words(s, "sign_in.profile_fields", &fields);
    let lifetime = span(s, "sign_in.lifetime", "1m", "1d");
    Some(SignIn {
        reveal_accounts: s.flag("sign_in.reveal_accounts"),
        first_step: first_step?,
        new_account_steps: new_account_steps?,
        profile_fields: profile_fields?,
        lifetime: lifetime?,
    })
}

/// A list of known words, each at most once.
fn words<T: Copy + PartialEq>(s: &mut Settings, name: &str, known: &[(&str, T)]) -> Option<Vec<T>> {
    let mut read = Vec::new();
    for word in s.list(name) {
        match known.iter().find(|(own, _)| *own == word).map(|(_, meaning)| *meaning) {
            Some(meaning) if !read.contains(&meaning) => read.push(meaning),
            _ => {
                let words: Vec<_> = known.iter().map(|(word, _)| format!("`{word}`")).collect();
                s.fault(name, format!("must be of {}, each at most once", words.join(" and ")));
                return None;
            }
        }
    }
    Some(read)
}
