//! How long a call may take: what its client says in `grpc-timeout`; and how long its message may be under way, whoever reads it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Sleep, sleep, timeout};
use tonic::Status;
use tonic::body::Body;

use super::status;

/// How long a message may be under way.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How long the client waits. What cannot be read is taken for nothing, as other servers do.
pub(super) fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(&GRPC_TIMEOUT)?.to_str().ok()?;
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    if number.is_empty() || number.len() > 8 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = number.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 60 * 60)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Answers for as long as the client waits.
pub(super) async fn within<E>(
    deadline: Option<Duration>,
    answer: impl Future<Output = Result<Response<Body>, E>>,
) -> Result<Response<Body>, E> {
    match deadline {
        None => answer.await,
        Some(deadline) => timeout(deadline, answer).await.unwrap_or_else(|_| Ok(status::deadline_over().into_http())),
    }
}

/// What is asked once a message is there, before anything is done with it.
pub(super) type AtEnd = Box<dyn FnOnce() -> Result<(), Status> + Send>;

/// Lets a request's message be under way for so long, and no longer; and asks at its end whether it is to be read at all.
pub(super) fn bounded(request: Request<Body>, at_end: Option<AtEnd>) -> Request<Body> {
    request.map(|body| {
        let is_plain = body.is_end_stream() && at_end.is_none();
        if is_plain { body } else { Body::new(Bounded { body, patience: None, at_end }) }
    })
}

/// A message that is under way.
struct Bounded {
    body: Body,
    /// There once it has had to be waited for.
    patience: Option<Pin<Box<Sleep>>>,
    at_end: Option<AtEnd>,
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(frame) = &polled {
            let is_end = frame.as_ref().is_none_or(|frame| frame.as_ref().is_ok_and(Frame::is_trailers));
            if is_end
                && let Some(at_end) = self.at_end.take()
                && let Err(refusal) = at_end()
            {
                return Poll::Ready(Some(Err(refusal)));
            }
            return polled;
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        patience.as_mut().poll(context).map(|()| Some(Err(status::too_slow())))
    }

    fn is_end_stream(&self) -> bool {
        self.at_end.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_read_in_every_unit() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(&GRPC_TIMEOUT, text.parse().unwrap());
            of(&headers)
        };
        let seconds = ["2H", "3M", "4S", "5000m", "6000000u", "70000n"].map(read).map(Option::unwrap);
        assert_eq!(seconds[..5], [7_200, 180, 4, 5, 6].map(Duration::from_secs));
        assert_eq!(seconds[5], Duration::from_micros(70));
        assert!(read("99999999H").is_some());
        for wrong in ["", "1", "S", "-1S", "+1S", "1s", "123456789S", "1.5S", "1 S", "1é"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
