//! What is asked of a target, over and over, and what counts as an answer.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use prost::Message;

/// A unary call that is repeated.
pub(crate) struct Load {
    /// `/package.Service/Method`.
    pub(crate) path: &'static str,
    /// Goes into `authorization`.
    pub(crate) bearer: String,
    /// The messages to send, in turn, each as gRPC frames it.
    pub(crate) bodies: Vec<Vec<u8>>,
    /// An answer's message with fewer bytes is a failure, and so is none at all.
    pub(crate) at_least: usize,
    /// Asked about the first answer on each connection and about every thousandth after it.
    pub(crate) accept: fn(&[u8]) -> bool,
    /// How many connections there are.
    pub(crate) connections: usize,
    /// How many calls are under way at any time on each of them.
    pub(crate) streams: usize,
    /// How long after one call the next begins on each connection, whatever has become of the first; then `streams` is only
    /// how many the server must allow. Otherwise each answer is followed by a call.
    pub(crate) every: Option<Duration>,
}

/// A message with the prefix that gRPC puts before it: not compressed, and its length.
pub(crate) fn framed(message: &impl Message) -> Vec<u8> {
    let mut body = BytesMut::with_capacity(message.encoded_len() + 5);
    body.put_u8(0);
    body.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    body.put_slice(&message.encode_to_vec());
    body.to_vec()
}

/// The header blocks of one connection (HPACK, RFC 7541). The first request puts its fields into the server's dynamic
/// table, the later ones point there, as grpc-go and grpc-java do.
pub(crate) struct HeaderBlocks {
    pub(crate) first: Vec<u8>,
    pub(crate) later: Vec<u8>,
}

/// Fields that are in the static table as they are. The highest bit says that an index is all there is.
const METHOD_POST: u8 = 0x83;
const SCHEME_HTTP: u8 = 0x86;
/// Names in the static table, by index.
const AUTHORITY: u8 = 1;
const PATH: u8 = 4;
const AUTHORIZATION: u8 = 23;
const CONTENT_TYPE: u8 = 31;
const USER_AGENT: u8 = 58;
/// A literal that is added to the dynamic table; the name's index is added to this, or 0 for a name that follows.
const LITERAL_INDEXED: u8 = 0x40;
/// The newest entry of the dynamic table.
const NEWEST: u8 = 0x80 + 62;
/// How many fields the first request adds to the dynamic table.
const ADDED: u8 = 6;

impl HeaderBlocks {
    pub(crate) fn new(load: &Load, authority: &str) -> Self {
        let bearer = format!("Bearer {}", load.bearer);
        let fields = [
            (PATH, load.path),
            (AUTHORITY, authority),
            (CONTENT_TYPE, "application/grpc"),
            (USER_AGENT, "countersign-bench"),
            (AUTHORIZATION, &bearer),
        ];
        let mut first = vec![METHOD_POST, SCHEME_HTTP];
        for (name, value) in fields {
            first.push(LITERAL_INDEXED + name);
            push_string(&mut first, value);
        }
        first.push(LITERAL_INDEXED);
        push_string(&mut first, "te");
        push_string(&mut first, "trailers");

        let mut later = vec![METHOD_POST, SCHEME_HTTP];
        later.extend((NEWEST..NEWEST + ADDED).rev());
        Self { first, later }
    }
}

/// A string without Huffman coding: its length, in seven bits and as many bytes as are needed beyond, and its bytes.
fn push_string(block: &mut Vec<u8>, value: &str) {
    let length = value.len();
    if length < 127 {
        block.push(u8::try_from(length).unwrap_or(0));
    } else {
        block.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap_or(0) | 0x80);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap_or(0));
    }
    block.extend_from_slice(value.as_bytes());
}
