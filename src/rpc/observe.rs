//! What is told of each call: to the figures how it ended and how long it took, to the log and to the caller under which name,
//! to traces what it was part of. It stands before the gate, so that what is refused is told of too.
//!
//! The calls that come most are nearly always answered from memory, in one go. They get a name and a span only where they bring
//! a name or belong to a trace that is kept, and otherwise when they have to wait.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::field::Empty;
use tracing::{Span, debug, error_span};

use super::deadline;
use super::peer::Link;
use super::policy::{self, Method};
use super::readers::{Reader, Readers};
use crate::metrics::{CallCounts, Metrics};
use crate::model::CallId;
use crate::random::Random;
use crate::telemetry;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Of the calls that come most, the time is taken of one in so many: reading the clock twice would be a visible part of them.
const TIMED: u64 = 64;

/// Puts the telling in front of a service.
#[derive(Clone, Debug)]
pub struct ObserveLayer {
    counts: Arc<CallCounts>,
}

impl ObserveLayer {
    /// Counts for one worker.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self { counts: metrics.calls_of_a_worker(policy::names()) }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { counts: Arc::clone(&self.counts), inner }
    }
}

/// A service of whose calls is told.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    counts: Arc<CallCounts>,
    inner: S,
}

impl<S> Service<Request<Body>> for Observe<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Observing<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let method = policy::method(request.uri().path());
        let headers = request.headers();
        let chosen = headers.get(&REQUEST_ID).and_then(|name| CallId::chosen(name.to_str().ok()?));
        let is_frequent = method.is_frequent();
        let parent = if is_frequent && !telemetry::is_tracing() { None } else { telemetry::Context::read(headers) };
        let is_told = !is_frequent || parent.as_ref().is_some_and(telemetry::Context::is_sampled);
        let mut call = Call { counts: Arc::clone(&self.counts), method, id: chosen, parent, began: None, limit: None };
        let mut span = Span::none();
        if is_told {
            call.id.get_or_insert_with(|| CallId::made(Random));
            call.limit = deadline::of(headers);
            span = call.span();
        }
        if is_told || self.counts.well(method.number()).is_multiple_of(TIMED) {
            call.began = Some(Instant::now());
        }
        if let Some(id) = &call.id {
            request.extensions_mut().insert(id.clone());
        }
        let link = request.extensions().get::<Link>().filter(|_| method.is_stream());
        let readers = link.map(|link| Arc::clone(&link.readers));
        let answer = span.in_scope(|| self.inner.call(request));
        Observing { answer, call: Some(call), span, readers }
    }
}

/// A call until it has ended.
#[derive(Debug)]
struct Call {
    counts: Arc<CallCounts>,
    method: Method,
    id: Option<CallId>,
    /// Its place in the caller's trace, until there is a span that has it.
    parent: Option<telemetry::Context>,
    began: Option<Instant>,
    /// How much time the caller gave it.
    limit: Option<Duration>,
}

impl Call {
    /// What stands with every line about it. It is of the highest level, so that no filter of the log leaves it out.
    fn span(&mut self) -> Span {
        let parent = self.parent.take();
        let (service, method) = self.method.names();
        let request_id = self.id.as_ref().map(CallId::as_str).unwrap_or_default();
        if !telemetry::is_tracing() {
            let span = error_span!(
                "call",
                rpc.service = service,
                rpc.method = method,
                request_id,
                trace_id = Empty,
                peer = Empty
            );
            // Whoever reads several systems' logs beside each other looks for it.
            if let Some(trace_id) = parent.and_then(|parent| parent.trace_id()) {
                span.record("trace_id", trace_id);
            }
            return span;
        }
        let span = error_span!(
            "call",
            otel.name = format!("{service}/{method}"),
            // What comes most is part of a trace that others have begun, or of none.
            otel.kind = if self.method.is_frequent() && parent.is_none() { "internal" } else { "server" },
            otel.status_code = Empty,
            rpc.system = "grpc",
            rpc.service = service,
            rpc.method = method,
            rpc.grpc.status_code = Empty,
            request_id,
            trace_id = Empty,
            peer = Empty,
        );
        if let Some(parent) = parent {
            parent.adopt(&span);
        }
        if let Some(trace_id) = telemetry::Context::of(&span).trace_id() {
            span.record("trace_id", trace_id);
        }
        span
    }

    /// It has ended, with this code.
    fn ended(&self, code: Code, span: &Span) {
        let took = self.began.map(|began| began.elapsed());
        self.counts.ended(self.method.number(), code as usize, took);
        if span.is_none() {
            return;
        }
        span.record("rpc.grpc.status_code", code as i32);
        if is_ours(code) {
            span.record("otel.status_code", "ERROR");
        }
        span.in_scope(|| debug!(?code, ?took, "answered"));
    }

    /// What became of it where nobody waits for it any more.
    fn abandoned(&self) -> Code {
        match (self.began, self.limit) {
            (Some(began), Some(limit)) if began.elapsed() >= limit => Code::DeadlineExceeded,
            _ => Code::Cancelled,
        }
    }
}

/// Whether a code says that we are at fault.
const fn is_ours(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unimplemented
    )
}

/// The code that headers or trailers tell, if they do.
fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(&GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

pin_project! {
    /// An answer that is waited for.
    #[derive(Debug)]
    pub struct Observing<F> {
        #[pin]
        answer: F,
        // None once it has been told of, or its stream has taken it over.
        call: Option<Call>,
        span: Span,
        // Who reads what is streamed.
        readers: Option<Arc<Readers>>,
    }

    impl<F> PinnedDrop for Observing<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(call) = this.call {
                call.ended(call.abandoned(), this.span);
            }
        }
    }
}

impl<F, E> Future for Observing<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = {
            let _entered = this.span.enter();
            this.answer.poll(context)
        };
        if polled.is_pending()
            && this.span.is_none()
            && let Some(call) = this.call
        {
            // It waits for something that may go wrong: what is said of it then must be found again.
            call.id.get_or_insert_with(|| CallId::made(Random));
            *this.span = call.span();
        }
        let outcome = ready!(polled);
        let Some(call) = this.call.take() else { return Poll::Ready(outcome) };
        let mut response = match outcome {
            Ok(response) => response,
            Err(error) => {
                call.ended(Code::Internal, this.span);
                return Poll::Ready(Err(error));
            }
        };
        if let Some(id) = &call.id
            && let Ok(id) = HeaderValue::from_str(id.as_str())
        {
            response.headers_mut().insert(REQUEST_ID.clone(), id);
        }
        match code(response.headers()) {
            None if call.method.is_stream() => {
                let span = this.span.clone();
                let reader = this.readers.as_ref().map(|readers| readers.begin());
                Poll::Ready(Ok(response.map(|body| Body::new(Streaming { body, call: Some(call), span, reader }))))
            }
            code => {
                call.ended(code.unwrap_or(Code::Ok), this.span);
                Poll::Ready(Ok(response))
            }
        }
    }
}

/// The answers of a call that goes on, which ends when they do.
struct Streaming {
    body: Body,
    call: Option<Call>,
    span: Span,
    reader: Option<Arc<Reader>>,
}

impl Streaming {
    fn ended(&mut self, code: Code) {
        if let Some(call) = self.call.take() {
            call.ended(code, &self.span);
        }
    }
}

impl HttpBody for Streaming {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, Status>>> {
        let span = self.span.clone();
        let _entered = span.enter();
        // The connection asks when there is room for more.
        if let Some(reader) = &self.reader {
            reader.asks();
        }
        let polled = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(reader) = &self.reader {
            reader.is_sent();
        }
        match &polled {
            Some(Ok(frame)) => {
                if let Some(code) = frame.trailers_ref().and_then(code) {
                    self.ended(code);
                }
            }
            Some(Err(status)) => self.ended(status.code()),
            None => self.ended(Code::Ok),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        let code = self.call.as_ref().map(Call::abandoned);
        if let Some(code) = code {
            self.ended(code);
        }
    }
}
