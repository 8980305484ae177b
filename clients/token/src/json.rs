//! JSON that can be read in one way only. Owns the strict reader that token headers, claims and key sets go through.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep objects and arrays may lie in each other, the outermost counted.
pub const MAX_DEPTH: usize = 16;

/// Why a text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON, is cut off, or goes on after its end.
    #[error("not valid JSON")]
    Syntax,
    /// It is JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Two members of one object have the same name.
    #[error("a member occurs twice")]
    DuplicateMember,
    /// It is nested deeper than [`MAX_DEPTH`].
    #[error("nested too deeply")]
    TooDeep,
}

/// Reads one JSON object from all of `text`.
///
/// Parsers differ in which of two members with one name they believe, which is how one side checks what the other does
/// not use; RFC 7515 §4 and RFC 7519 §4 leave refusing them as the safe choice.
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let cause = Cell::new(JsonError::Syntax);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth: 0, cause: &cause }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|_| cause.get())?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::NotAnObject),
    }
}

/// Builds a value and notes why it could not: serde's own errors carry text alone.
#[derive(Clone, Copy)]
struct Strict<'c> {
    depth: usize,
    cause: &'c Cell<JsonError>,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(self, cause: JsonError) -> E {
        self.cause.set(cause);
        E::custom(cause)
    }

    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.refuse(JsonError::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            // Before its value is read, so that a big second value costs nothing.
            if object.contains_key(&name) {
                return Err(self.refuse(JsonError::DuplicateMember));
            }
            object.insert(name, members.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_equals_what_serde_json_reads() {
        let text = r#" {"a":[1,-2,3.5,"x",null,true,{"b":{}}],"c":18446744073709551615,"d":"\u06f1\n"} "#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Value::Object(parse_object(text.as_bytes()).unwrap()), expected);
    }

    #[test]
    fn ambiguous_and_broken_texts_are_refused() {
        for (text, cause) in [
            (r#"{"a":1,"a":1}"#, JsonError::DuplicateMember),
            (r#"{"a":1,"\u0061":2}"#, JsonError::DuplicateMember),
            (r#"{"b":[{"c":{"a":1,"x":2,"a":3}}]}"#, JsonError::DuplicateMember),
            ("[]", JsonError::NotAnObject),
            ("\"a\"", JsonError::NotAnObject),
            ("null", JsonError::NotAnObject),
            ("", JsonError::Syntax),
            ("{}{}", JsonError::Syntax),
            ("{} x", JsonError::Syntax),
            ("{}\0", JsonError::Syntax),
            ("\u{feff}{}", JsonError::Syntax),
            (r#"{"a":1,}"#, JsonError::Syntax),
            (r#"{"a":01}"#, JsonError::Syntax),
            (r#"{"a":1e400}"#, JsonError::Syntax),
            (r#"{"a":NaN}"#, JsonError::Syntax),
            (r#"{"a":"\ud800"}"#, JsonError::Syntax),
            ("{'a':1}", JsonError::Syntax),
            ("{\"a\":\"\n\"}", JsonError::Syntax),
            ("/**/{}", JsonError::Syntax),
        ] {
            assert_eq!(parse_object(text.as_bytes()), Err(cause), "{text}");
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}"), Err(JsonError::Syntax));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(parse_object(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(parse_object(nested(MAX_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep));
        assert!(parse_object("[".repeat(100_000).as_bytes()).is_err());
    }
}
