//! What the server sends for `IntrospectResponse`: most of it was encoded when the token was first asked about.
//!
//! Nearly all that a token says stays the same for as long as it lives, and encoding fifteen texts anew for each call costs
//! more than judging the token. Protobuf lets a message be put together from encoded parts, so that these bytes are what the
//! whole message would have been. Clients have the message as it was generated.

use bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint, int64, message};

/// Where a `BatchIntrospectResponse` has its results.
const RESULTS: u32 = 1;
/// Where an `IntrospectResponse` has what changes; these are its highest numbers.
const EXPIRES_IN: u32 = 20;
const CACHE_TTL: u32 = 21;
const AS_OF: u32 = 22;

/// An `IntrospectResponse` on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Introspection<'t> {
    /// The fields that do not change, encoded; none where the token is not active.
    pub lasting: &'t [u8],
    /// Seconds until the token expires.
    pub expires_in: i64,
    /// The other fields that change.
    pub passing: Passing,
}

/// The fields that are different from one call to the next, but the same for many tokens of a batch: encoded once for them.
#[derive(Clone, Copy, Debug)]
pub struct Passing {
    encoded: [u8; Self::ROOM],
    length: usize,
}

impl Passing {
    /// Two messages of two numbers of at most ten bytes each, and six keys and lengths.
    const ROOM: usize = 2 * (3 + 2 * 11);

    /// How long the answer may be kept, and up to when revocations are known.
    #[must_use]
    pub fn new(cache_ttl: Option<prost_types::Duration>, as_of: prost_types::Timestamp) -> Self {
        let mut encoded = [0; Self::ROOM];
        let mut rest = &mut encoded[..];
        if let Some(cache_ttl) = cache_ttl {
            message::encode(CACHE_TTL, &cache_ttl, &mut rest);
        }
        message::encode(AS_OF, &as_of, &mut rest);
        let length = Self::ROOM - rest.len();
        Self { encoded, length }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.encoded[..self.length]
    }
}

impl Introspection<'_> {
    /// How long it is.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let expires_in = if self.expires_in == 0 { 0 } else { int64::encoded_len(EXPIRES_IN, &self.expires_in) };
        self.lasting.len() + expires_in + self.passing.length
    }

    /// Writes it.
    pub fn encode(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(self.lasting);
        if self.expires_in != 0 {
            int64::encode(EXPIRES_IN, &self.expires_in, buffer);
        }
        buffer.put_slice(self.passing.as_bytes());
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
    use prost::Message;

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
        let as_of = prost_types::Timestamp { seconds: 1_800_000_000, nanos: 7 };
        let whole = IntrospectResponse { expires_in: 60, cache_ttl, as_of: Some(as_of), ..lasting.clone() };
        let encoded = lasting.encode_to_vec();
        let parts = Introspection { lasting: &encoded, expires_in: 60, passing: Passing::new(cache_ttl, as_of) };
        let mut one = Vec::new();
        parts.encode(&mut one);
        assert_eq!(one, whole.encode_to_vec());
        assert_eq!(one.len(), parts.encoded_len());

        let inactive = Introspection { lasting: &[], expires_in: 0, passing: Passing::new(None, as_of) };
        let mut many = Vec::new();
        parts.encode_in_batch(&mut many);
        inactive.encode_in_batch(&mut many);
        let results = vec![whole, IntrospectResponse { as_of: Some(as_of), ..Default::default() }];
        assert_eq!(many, BatchIntrospectResponse { results }.encode_to_vec());
    }

    #[test]
    fn the_largest_numbers_have_room() {
        let cache_ttl = Some(prost_types::Duration { seconds: i64::MIN, nanos: i32::MIN });
        let as_of = prost_types::Timestamp { seconds: i64::MIN, nanos: i32::MIN };
        let whole = IntrospectResponse { expires_in: -1, cache_ttl, as_of: Some(as_of), ..Default::default() };
        let mut parts = Vec::new();
        Introspection { lasting: &[], expires_in: -1, passing: Passing::new(cache_ttl, as_of) }.encode(&mut parts);
        assert_eq!(parts, whole.encode_to_vec());
    }
}
