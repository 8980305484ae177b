//! Where things belong in traces that others may have begun: read from the headers of what comes in, and written to the headers
//! of what goes out (W3C Trace Context).

use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Longer lists of other systems' notes are not passed on (W3C Trace Context §3.3.1.5).
const LONGEST_STATE: usize = 512;

static IS_TRACING: AtomicBool = AtomicBool::new(false);

/// Whether traces are told of at all.
#[must_use]
pub fn is_tracing() -> bool {
    IS_TRACING.load(Ordering::Relaxed)
}

/// Notes that from now on there are traces.
pub(super) fn begin() {
    IS_TRACING.store(true, Ordering::Relaxed);
}

/// A place in a trace.
#[derive(Clone, Debug, Default)]
pub struct Context(opentelemetry::Context);

impl Context {
    /// The place that headers name, if they do.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        headers.contains_key(&TRACEPARENT).then(|| TraceContextPropagator::new().extract(&Incoming(headers))).and_then(
            |context| {
                let is_valid = context.span().span_context().is_valid();
                is_valid.then_some(Self(context))
            },
        )
    }

    /// Where the work is that is going on now.
    #[must_use]
    pub fn current() -> Self {
        if is_tracing() { Self::of(&Span::current()) } else { Self::default() }
    }

    /// Where a span is.
    #[must_use]
    pub fn of(span: &Span) -> Self {
        Self(span.context())
    }

    /// Whether whoever began the trace keeps it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.0.span().span_context().is_sampled()
    }

    /// The name of the trace.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        let span = self.0.span();
        Some(span.span_context()).filter(|context| context.is_valid()).map(|context| context.trace_id().to_string())
    }

    /// Makes a span that has not begun yet a part of it.
    pub fn adopt(self, span: &Span) {
        // Where spans go nowhere, there is nothing to be part of.
        let _ = span.set_parent(self.0);
    }

    /// Names it in headers, if there is anything to name.
    pub fn write(&self, headers: &mut HeaderMap) {
        TraceContextPropagator::new().inject_context(&self.0, &mut Outgoing(headers));
    }
}

struct Incoming<'h>(&'h HeaderMap);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key)?.to_str().ok()?;
        (value.len() <= LONGEST_STATE).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Outgoing<'h>(&'h mut HeaderMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty list says nothing.
        if value.is_empty() {
            return;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_place_is_read_and_written_as_it_was() {
        let incoming = headers(&[("traceparent", PARENT), ("tracestate", "vendor=value")]);
        let context = Context::read(&incoming).unwrap();
        assert!(context.is_sampled());
        assert_eq!(context.trace_id().unwrap(), "0af7651916cd43dd8448eb211c80319c");
        let mut outgoing = HeaderMap::new();
        context.write(&mut outgoing);
        assert_eq!(outgoing, incoming);
    }

    #[test]
    fn what_names_no_place_is_none() {
        let zeros = "00-00000000000000000000000000000000-0000000000000000-01";
        for bad in ["", "09121234567", "00-xyz-b7ad6b7169203331-01", zeros] {
            assert!(Context::read(&headers(&[("traceparent", bad)])).is_none(), "{bad}");
        }
        let context = Context::read(&headers(&[("traceparent", PARENT), ("tracestate", "09121234567")])).unwrap();
        let mut outgoing = HeaderMap::new();
        context.write(&mut outgoing);
        assert_eq!(outgoing, headers(&[("traceparent", PARENT)]));
        let mut outgoing = HeaderMap::new();
        Context::default().write(&mut outgoing);
        assert_eq!(outgoing, HeaderMap::new());
    }
}
