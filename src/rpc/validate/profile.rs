//! What people are called, in which language they are written to, and what services keep with them. Whoever sets these, and
//! through whichever method, they are read here.

use prost_types::value::Kind;
use serde_json::{Map, Number, Value};

use super::Faults;
use crate::model::{Account, ClaimRule, Locale, parse_name};

/// The first integer that has neighbours which a float cannot tell apart.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Faults {
    /// A given or a family name, or an empty text. What surrounds it is left out.
    pub(crate) fn name(&mut self, field: &str, text: &str) -> String {
        parse_name(text).map_err(|fault| self.add(field, fault)).unwrap_or_default()
    }

    /// The language of messages in its one spelling, or an empty text for the service's own.
    pub(crate) fn locale(&mut self, field: &str, tag: &str) -> String {
        if tag.is_empty() {
            return String::new();
        }
        self.parse::<Locale>(field, tag).map(|locale| locale.as_str().to_owned()).unwrap_or_default()
    }

    /// What somebody says of themself that services are to keep. What tokens say by these rules is for operators to set:
    /// else everybody could have them say what they like.
    pub(crate) fn own_metadata(
        &mut self,
        field: &str,
        given: Option<&prost_types::Struct>,
        rules: &[ClaimRule],
    ) -> Map<String, Value> {
        let members = self.metadata(field, given);
        if let Some(member) = rules.iter().flat_map(ClaimRule::members).find(|member| members.contains_key(*member)) {
            self.add(field, format_args!("`{member}` is for operators to set, since access tokens say it"));
        }
        members
    }

    /// What services keep with an account: nothing where nothing is said.
    pub(crate) fn metadata(&mut self, field: &str, given: Option<&prost_types::Struct>) -> Map<String, Value> {
        let Some(given) = given else { return Map::new() };
        match object(given, Account::METADATA_DEPTH) {
            Ok(members) if Value::Object(members.clone()).to_string().len() <= Account::MOST_METADATA => {
                return members;
            }
            Ok(_) => self.add(field, format_args!("must be at most {} bytes as JSON", Account::MOST_METADATA)),
            Err(fault) => self.add(field, fault),
        }
        Map::new()
    }
}

const TOO_DEEP: &str = "must not lie deeper than 8 levels";
const NO_NUMBER: &str = "must hold only finite numbers";

fn object(given: &prost_types::Struct, depth: usize) -> Result<Map<String, Value>, &'static str> {
    let below = depth.checked_sub(1).ok_or(TOO_DEEP)?;
    given.fields.iter().map(|(name, item)| Ok((name.clone(), value(item, below)?))).collect()
}

fn value(given: &prost_types::Value, depth: usize) -> Result<Value, &'static str> {
    Ok(match &given.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(*flag),
        Some(Kind::NumberValue(number)) => Value::Number(self::number(*number).ok_or(NO_NUMBER)?),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::StructValue(members)) => Value::Object(object(members, depth)?),
        Some(Kind::ListValue(list)) => {
            let below = depth.checked_sub(1).ok_or(TOO_DEEP)?;
            Value::Array(list.values.iter().map(|item| value(item, below)).collect::<Result<_, _>>()?)
        }
    })
}

/// Protobuf knows only floats; a whole number is kept as one, so that `7` does not become `7.0`.
fn number(number: f64) -> Option<Number> {
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough to be exact")]
        return Some(Number::from(number as i64));
    }
    Number::from_f64(number)
}

#[cfg(test)]
mod tests {
    use prost_types::{ListValue, Struct};

    use super::*;

    fn text(text: impl Into<String>) -> prost_types::Value {
        prost_types::Value { kind: Some(Kind::StringValue(text.into())) }
    }

    fn one(name: &str, value: prost_types::Value) -> Struct {
        Struct { fields: [(name.to_owned(), value)].into() }
    }

    fn metadata(given: &Struct) -> Option<Map<String, Value>> {
        let mut faults = Faults::default();
        let read = faults.metadata("metadata", Some(given));
        faults.none().ok().map(|()| read)
    }

    fn faultless<T>(read: impl FnOnce(&mut Faults) -> T) -> Option<T> {
        let mut faults = Faults::default();
        let value = read(&mut faults);
        faults.none().ok().map(|()| value)
    }

    #[test]
    fn names_are_of_any_script_and_steer_nothing() {
        for (given, read) in
            [("", ""), (" Ali ", "Ali"), ("میرزا\u{200c}خانی", "میرزا\u{200c}خانی"), ("O'Neil-Łuk", "O'Neil-Łuk")]
        {
            assert_eq!(faultless(|faults| faults.name("first_name", given)).as_deref(), Some(read), "{given}");
        }
        for given in ["a\nb", "a\0b", "\u{1b}[31m", "a\u{202e}b", "a\u{2028}b", "a\u{2066}b", "a\u{85}b"] {
            assert_eq!(faultless(|faults| faults.name("first_name", given)), None, "{given:?}");
        }
        assert!(faultless(|faults| faults.name("first_name", &"ن".repeat(64))).is_some());
        assert!(faultless(|faults| faults.name("first_name", &"ن".repeat(65))).is_none());
    }

    #[test]
    fn languages_have_one_spelling() {
        for (given, read) in [("", ""), ("fa", "fa"), ("fa-IR", "fa"), ("EN_us", "en")] {
            assert_eq!(faultless(|faults| faults.locale("locale", given)).as_deref(), Some(read), "{given}");
        }
        for given in [" ", "de", "-", "fas"] {
            assert_eq!(faultless(|faults| faults.locale("locale", given)), None, "{given}");
        }
    }

    #[test]
    fn metadata_end_at_4_kib_of_json() {
        // {"a":"…"}
        assert!(metadata(&one("a", text("x".repeat(4096 - 8)))).is_some());
        assert!(metadata(&one("a", text("x".repeat(4096 - 7)))).is_none());
        // What is written with an escape counts as it is written.
        assert!(metadata(&one("a", text("\0".repeat(1000)))).is_none());
    }

    #[test]
    fn metadata_end_at_eight_levels() {
        let nested = |levels: usize, list: bool| {
            (1..levels).fold(text("x"), |inner, _| prost_types::Value {
                kind: Some(if list {
                    Kind::ListValue(ListValue { values: vec![inner] })
                } else {
                    Kind::StructValue(one("a", inner))
                }),
            })
        };
        for list in [false, true] {
            assert!(metadata(&one("a", nested(8, list))).is_some());
            assert!(metadata(&one("a", nested(9, list))).is_none());
        }
    }

    #[test]
    fn numbers_stay_what_they_were() {
        let number = |number: f64| {
            let value = prost_types::Value { kind: Some(Kind::NumberValue(number)) };
            metadata(&one("n", value)).map(|read| Value::Object(read).to_string())
        };
        assert_eq!(number(7.0).as_deref(), Some(r#"{"n":7}"#));
        assert_eq!(number(-0.5).as_deref(), Some(r#"{"n":-0.5}"#));
        assert_eq!(number(1e300).as_deref(), Some(r#"{"n":1e+300}"#));
        assert_eq!(number(f64::NAN), None);
        assert_eq!(number(f64::INFINITY), None);
        assert_eq!(faultless(|faults| faults.metadata("metadata", None)), Some(Map::new()));
    }
}
