//! What the server sends for `IntrospectResponse`: most of it was encoded when the token was first asked about.
//!
//! Nearly all that a token says stays the same for as long as it lives, and encoding fifteen texts anew for each call costs
//! more than judging the token. Protobuf lets a message be put together from encoded parts, so that these bytes are what the
//! whole message would have been. Clients have the message as it was generated.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};

/// An `IntrospectResponse` on its way out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Introspection {
    /// The fields that do not change, encoded; none where the token is not active.
    pub lasting: Bytes,
    /// The fields that do.
    pub passing: Passing,
}

/// The fields of an `IntrospectResponse` that are different from one call to the next. They have its highest numbers.
#[derive(Clone, PartialEq, Message)]
pub struct Passing {
    /// Seconds until the token expires.
    #[prost(int64, tag = "20")]
    pub expires_in: i64,
    /// How long the answer may be kept.
    #[prost(message, optional, tag = "21")]
    pub cache_ttl: Option<prost_types::Duration>,
    /// Up to when revocations are known.
    #[prost(message, optional, tag = "22")]
    pub as_of: Option<prost_types::Timestamp>,
}

/// A `BatchIntrospectResponse` on its way out.
#[derive(Clone, PartialEq, Message)]
pub struct Introspections {
    /// One for each token.
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<Introspection>,
}

impl Message for Introspection {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.lasting);
        self.passing.encode_raw(buffer);
    }

    /// A server reads none of these; what it would read, it could only keep in part.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        self.passing.merge_field(tag, wire_type, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.lasting.len() + self.passing.encoded_len()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{BatchIntrospectResponse, IntrospectResponse};

    #[test]
    fn the_parts_make_the_message() {
        let lasting = IntrospectResponse {
            active: true,
            sub: "somebody".to_owned(),
            aud: vec!["a".to_owned(), "b".to_owned()],
            claims: Some(prost_types::Struct::default()),
            ..Default::default()
        };
        let cache_ttl = Some(prost_types::Duration { seconds: 5, nanos: 0 });
        let as_of = Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 7 });
        let whole = IntrospectResponse { expires_in: 60, cache_ttl, as_of, ..lasting.clone() };
        let passing = Passing { expires_in: 60, cache_ttl, as_of };
        let parts = Introspection { lasting: lasting.encode_to_vec().into(), passing };
        assert_eq!(parts.encode_to_vec(), whole.encode_to_vec());

        let parts = Introspections { results: vec![parts, Introspection::default()] };
        let whole = BatchIntrospectResponse { results: vec![whole, IntrospectResponse::default()] };
        assert_eq!(parts.encode_to_vec(), whole.encode_to_vec());
    }
}
