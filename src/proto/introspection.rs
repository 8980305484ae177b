//! What the server sends for `IntrospectResponse`: most of it was encoded when the token was first asked about.
//!
//! Nearly all that a token says stays the same for as long as it lives, and encoding fifteen texts anew for each call costs
//! more than judging the token. Protobuf lets a message be put together from encoded parts, so that these bytes are what the
//! whole message would have been. Clients have the message as it was generated.

use bytes::BufMut;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

/// Where a `BatchIntrospectResponse` has its results.
const RESULTS: u32 = 1;

/// An `IntrospectResponse` on its way out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Introspection<'t> {
    /// The fields that do not change, encoded; none where the token is not active.
    pub lasting: &'t [u8],
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

impl Introspection<'_> {
    /// How long it is.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.lasting.len() + self.passing.encoded_len()
    }

    /// Writes it.
    pub fn encode(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(self.lasting);
        self.passing.encode_raw(buffer);
    }

    /// Writes it as the next of the results of a `BatchIntrospectResponse`, which consists of nothing else.
    pub fn encode_in_batch(&self, buffer: &mut impl BufMut) {
        encode_key(RESULTS, WireType::LengthDelimited, buffer);
        encode_varint(self.encoded_len() as u64, buffer);
        self.encode(buffer);
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
        let encoded = lasting.encode_to_vec();
        let parts = Introspection { lasting: &encoded, passing };
        let mut one = Vec::new();
        parts.encode(&mut one);
        assert_eq!(one, whole.encode_to_vec());
        assert_eq!(one.len(), parts.encoded_len());

        let mut many = Vec::new();
        parts.encode_in_batch(&mut many);
        Introspection::default().encode_in_batch(&mut many);
        let whole = BatchIntrospectResponse { results: vec![whole, IntrospectResponse::default()] };
        assert_eq!(many, whole.encode_to_vec());
    }
}
