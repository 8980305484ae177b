//! `IntrospectRequest` and `BatchIntrospectRequest` as the server reads them: where they lie. A token that a node remembers is
//! only compared, and copying it first, or finding out that it is UTF-8, would take as long as that.

use prost::encoding::{DecodeContext, WireType, check_wire_type, decode_key, decode_varint, int32, skip_field, string};

/// An `IntrospectRequest` that came in.
#[derive(Default)]
pub struct Question<'m> {
    /// The token, of which nothing is known yet.
    pub token: &'m [u8],
    /// What else is asked of it.
    pub demanded: Demanded,
}

/// A `BatchIntrospectRequest` that came in.
#[derive(Default)]
pub struct Questions<'m> {
    /// The tokens, of which nothing is known yet.
    pub tokens: Vec<&'m [u8]>,
    /// What else is asked of each of them.
    pub demanded: Demanded,
}

/// What both messages have besides tokens. Few callers use it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Demanded {
    /// Whom tokens must be meant for.
    pub audience: String,
    /// What they must be good for.
    pub required_scopes: Vec<String>,
}

/// Bytes that are not such a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of the expected type")]
pub struct Malformed;

impl From<prost::DecodeError> for Malformed {
    fn from(_: prost::DecodeError) -> Self {
        Self
    }
}

impl<'m> Question<'m> {
    /// Reads one, and refuses what the generated message would refuse, but for a token that is not UTF-8.
    pub fn read(message: &'m [u8]) -> Result<Self, Malformed> {
        let mut question = Self::default();
        let mut hint = 0;
        each_field(message, |field| match field.number {
            1 => {
                // The last of several counts, but all of them are read.
                str::from_utf8(question.token).map_err(|_| Malformed)?;
                question.token = field.bytes()?;
                Ok(())
            }
            2 => Ok(int32::merge(field.wire_type, &mut hint, field.rest, DecodeContext::default())?),
            3 => field.text(&mut question.demanded.audience),
            4 => field.texts(&mut question.demanded.required_scopes),
            _ => field.skip(),
        })?;
        Ok(question)
    }
}

impl<'m> Questions<'m> {
    /// Reads one, and refuses what the generated message would refuse, but for tokens that are not UTF-8.
    pub fn read(message: &'m [u8]) -> Result<Self, Malformed> {
        let mut questions = Self::default();
        each_field(message, |field| match field.number {
            1 => field.bytes().map(|token| questions.tokens.push(token)),
            2 => field.text(&mut questions.demanded.audience),
            3 => field.texts(&mut questions.demanded.required_scopes),
            _ => field.skip(),
        })?;
        Ok(questions)
    }
}

/// A field whose key has been read, and all that follows the key.
struct Field<'f, 'm> {
    number: u32,
    wire_type: WireType,
    rest: &'f mut &'m [u8],
}

fn each_field<'m>(
    mut message: &'m [u8],
    mut read: impl FnMut(Field<'_, 'm>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while !message.is_empty() {
        let (number, wire_type) = decode_key(&mut message)?;
        read(Field { number, wire_type, rest: &mut message })?;
    }
    Ok(())
}

impl<'m> Field<'_, 'm> {
    fn bytes(self) -> Result<&'m [u8], Malformed> {
        check_wire_type(WireType::LengthDelimited, self.wire_type)?;
        let length = usize::try_from(decode_varint(self.rest)?).map_err(|_| Malformed)?;
        let (bytes, behind) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        *self.rest = behind;
        Ok(bytes)
    }

    fn text(self, text: &mut String) -> Result<(), Malformed> {
        Ok(string::merge(self.wire_type, text, self.rest, DecodeContext::default())?)
    }

    fn texts(self, texts: &mut Vec<String>) -> Result<(), Malformed> {
        Ok(string::merge_repeated(self.wire_type, texts, self.rest, DecodeContext::default())?)
    }

    fn skip(self) -> Result<(), Malformed> {
        Ok(skip_field(self.wire_type, self.number, self.rest, DecodeContext::default())?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::proto::v1::{BatchIntrospectRequest, IntrospectRequest};

    fn agrees_on_one(bytes: &[u8]) {
        let generated = IntrospectRequest::decode(bytes).ok();
        // Text is what tells them apart.
        let read = Question::read(bytes).ok().and_then(|question| {
            let token = str::from_utf8(question.token).ok()?.to_owned();
            Some((token, question.demanded))
        });
        let expected = generated.map(|message| {
            let IntrospectRequest { token, audience, required_scopes, .. } = message;
            (token, Demanded { audience, required_scopes })
        });
        assert_eq!(read, expected, "{bytes:x?}");
    }

    fn agrees_on_many(bytes: &[u8]) {
        let generated = BatchIntrospectRequest::decode(bytes).ok();
        let read = Questions::read(bytes).ok().and_then(|questions| {
            let texts = questions.tokens.iter().map(|token| str::from_utf8(token).ok().map(str::to_owned));
            Some((texts.collect::<Option<Vec<_>>>()?, questions.demanded))
        });
        let expected = generated.map(|message| {
            let BatchIntrospectRequest { tokens, audience, required_scopes } = message;
            (tokens, Demanded { audience, required_scopes })
        });
        assert_eq!(read, expected, "{bytes:x?}");
    }

    #[test]
    fn whole_messages_are_read_as_the_generated_ones() {
        let required_scopes = vec!["a".to_owned(), String::new()];
        let one = IntrospectRequest {
            token: "one".to_owned(),
            token_type_hint: 2,
            audience: "somebody".to_owned(),
            required_scopes: required_scopes.clone(),
        };
        agrees_on_one(&one.encode_to_vec());
        // Fields that come twice, and fields of a later version.
        agrees_on_one(&[one.encode_to_vec(), one.encode_to_vec(), b"\x7a\x01x\xf8\x01\x05".to_vec()].concat());
        let tokens = vec!["one".to_owned(), String::new(), "two".to_owned()];
        let many = BatchIntrospectRequest { tokens, audience: "somebody".to_owned(), required_scopes };
        agrees_on_many(&many.encode_to_vec());
        agrees_on_many(&[many.encode_to_vec(), many.encode_to_vec()].concat());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_as_by_the_generated_ones(
            fields in prop::collection::vec((0_u8..48, prop::collection::vec(any::<u8>(), 0..4)), 0..6)
        ) {
            let bytes: Vec<u8> = fields.into_iter().flat_map(|(key, rest)| [vec![key], rest].concat()).collect();
            agrees_on_one(&bytes);
            agrees_on_many(&bytes);
        }
    }
}
