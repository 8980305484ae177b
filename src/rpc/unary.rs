//! One message in, one message out: gRPC's framing, for the calls that come most. tonic reads and writes every call as a
//! stream, through buffers that are filled, copied and thrown away; a call of one message needs none of them.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;

use super::deadline::PATIENCE;
use super::gate::hear_out;
use super::status;

/// What stands before each message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;
/// How much is set aside for one before it has come.
const SET_ASIDE: usize = 64 * 1024;

static GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static OK: HeaderValue = HeaderValue::from_static("0");

/// Reads the message of a call, of at most so many bytes. What is refused is heard out, as the gate does it.
pub(super) async fn read(request: Request<Body>, most: usize) -> Result<Bytes, Status> {
    let (head, mut body) = request.into_parts();
    match timeout(PATIENCE, message(&head.headers, &mut body, most)).await {
        Ok(Ok(message)) => Ok(message),
        Ok(Err(refusal)) => {
            hear_out(body).await;
            Err(refusal)
        }
        Err(_) => Err(status::too_slow()),
    }
}

/// Nearly always a message comes in one piece and is not copied.
async fn message(headers: &HeaderMap, body: &mut Body, most: usize) -> Result<Bytes, Status> {
    let mut message = piece(body).await?.unwrap_or_default();
    while message.len() < PREFIX {
        let next = piece(body).await?.ok_or_else(status::malformed)?;
        message = [message, next].concat().into();
    }
    let whole = PREFIX + announced(&message, headers, most)?;
    if message.len() < whole {
        // What is announced need not come.
        let mut joined = BytesMut::with_capacity(whole.min(SET_ASIDE));
        joined.put(message);
        while joined.len() < whole {
            joined.put(piece(body).await?.ok_or_else(status::malformed)?);
        }
        message = joined.freeze();
    }
    if message.len() > whole || piece(body).await?.is_some() {
        return Err(status::malformed());
    }
    message.advance(PREFIX);
    Ok(message)
}

/// The next bytes of a body, if there are any. Trailers that a client sends mean nothing.
async fn piece(body: &mut Body) -> Result<Option<Bytes>, Status> {
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let frame = frame.map_err(|error| status::with_details(&error))?;
        if let Ok(piece) = frame.into_data()
            && !piece.is_empty()
        {
            return Ok(Some(piece));
        }
    }
    Ok(None)
}

/// The length that a prefix announces.
fn announced(mut prefix: &[u8], headers: &HeaderMap, most: usize) -> Result<usize, Status> {
    match prefix.get_u8() {
        0 => {}
        1 if headers.contains_key(&GRPC_ENCODING) => return Err(status::compressed()),
        _ => return Err(status::malformed()),
    }
    let length = usize::try_from(prefix.get_u32()).unwrap_or(usize::MAX);
    if length > most { Err(status::too_large()) } else { Ok(length) }
}

/// A message that is being written behind its prefix.
#[derive(Debug)]
pub(super) struct Outgoing(BytesMut);

impl Outgoing {
    /// With room for so many bytes; it grows where they do not suffice.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(PREFIX + bytes);
        buffer.put_bytes(0, PREFIX);
        Self(buffer)
    }

    /// Where the message is written.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.0
    }

    /// What has been written, as it is sent.
    pub(super) fn framed(mut self) -> Bytes {
        let length = u32::try_from(self.0.len() - PREFIX).unwrap_or(u32::MAX);
        self.0[1..PREFIX].copy_from_slice(&length.to_be_bytes());
        self.0.freeze()
    }
}

/// The answer that consists of one message with its prefix, and of the word that all went well.
pub(super) fn answer(framed: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(Answer { message: Some(framed), ended: false }));
    response.headers_mut().insert(CONTENT_TYPE, GRPC.clone());
    response
}

/// The body of an answer.
#[derive(Debug)]
struct Answer {
    message: Option<Bytes>,
    ended: bool,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        self.ended = true;
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(GRPC_STATUS.clone(), OK.clone());
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tonic::Code;

    use super::*;

    struct Pieces(VecDeque<Frame<Bytes>>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }

    async fn read_all(pieces: &[&'static [u8]], encoding: Option<&str>) -> Result<Bytes, Code> {
        let frames = pieces.iter().map(|piece| Frame::data(Bytes::from_static(piece)));
        let trailers = Frame::trailers(HeaderMap::new());
        let mut request = Request::new(Body::new(Pieces(frames.chain([trailers]).collect())));
        if let Some(encoding) = encoding {
            request.headers_mut().insert(&GRPC_ENCODING, encoding.parse().unwrap());
        }
        read(request, 6).await.map_err(|status| status.code())
    }

    #[tokio::test]
    async fn a_message_is_the_same_in_however_many_pieces() {
        for pieces in [
            &[&b"\0\0\0\0\x06abcdef"[..]][..],
            &[b"\0\0\0\0\x06", b"abcdef"],
            &[b"", b"\0\0", b"", b"\0\0\x06abc", b"", b"d", b"ef", b""],
            &[b"\0", b"\0", b"\0", b"\0", b"\x06", b"a", b"b", b"c", b"d", b"e", b"f"],
        ] {
            assert_eq!(read_all(pieces, None).await.as_deref(), Ok(&b"abcdef"[..]), "{pieces:x?}");
        }
        assert_eq!(read_all(&[b"\0\0\0\0\0"], Some("identity")).await.as_deref(), Ok(&b""[..]));
    }

    #[tokio::test]
    async fn what_is_not_one_message_is_refused() {
        for pieces in [
            &[][..],
            &[&b""[..]],
            &[b"\0\0\0\0"],
            &[b"\0\0\0\0\x06abcde"],
            &[b"\0\0\0\0\x06abcdefg"],
            &[b"\0\0\0\0\x06abcdef", b"\0\0\0\0\0"],
            &[b"\x01\0\0\0\x06abcdef"],
            &[b"\x02\0\0\0\x06abcdef"],
        ] {
            assert_eq!(read_all(pieces, None).await, Err(Code::InvalidArgument), "{pieces:x?}");
        }
        for pieces in [&[&b"\0\0\0\0\x07abcdefg"[..]][..], &[b"\0\xff\xff\xff\xff"]] {
            assert_eq!(read_all(pieces, None).await, Err(Code::ResourceExhausted), "{pieces:x?}");
        }
        assert_eq!(read_all(&[b"\x01\0\0\0\x06abcdef"], Some("gzip")).await, Err(Code::Unimplemented));
    }
}
