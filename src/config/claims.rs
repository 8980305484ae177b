//! What of `[token]` says which custom claims access tokens have.

use super::source::Settings;
use crate::model::ClaimRule;

/// The rules, in order; what is wrong with any of them is a fault.
pub(super) fn read(s: &mut Settings) -> Vec<ClaimRule> {
    let mut rules: Vec<ClaimRule> = Vec::new();
    for text in s.list("token.claims") {
        match text.parse::<ClaimRule>() {
            Ok(rule) if rules.iter().any(|other| other.name() == rule.name()) => {
                s.fault("token.claims", format!("`{}` stands there twice", rule.name()));
            }
            Ok(rule) => rules.push(rule),
            Err(fault) => s.fault("token.claims", fault.to_string()),
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(claims: &str) -> usize {
        let file = format!("[token]\nclaims = [{claims}]");
        let mut settings = Settings::gather(Some(("test.toml", &file)), std::iter::empty());
        read(&mut settings);
        settings.problems.len()
    }

    #[test]
    fn all_wrong_rules_are_told_at_once() {
        assert_eq!(faults("'phone = phone', 'username = phone|email'"), 0);
        assert_eq!(faults("'phone = phone', 'phone = email'"), 1);
        assert_eq!(faults("'sub = phone', 'x = nothing', 'y'"), 3);
    }
}
