//! One HTTP/2 connection that keeps a number of unary calls under way. Owns its protocol and no socket: bytes come in by
//! [`Connection::receive`] and go out by [`Connection::out`].
//!
//! A complete client costs more than the server under test and would measure itself. This one writes header blocks that
//! were encoded beforehand and reads answers frame by frame, without looking into their headers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::Result;
use crate::frame::{self, Frame};
use crate::request::{HeaderBlocks, Load};

/// Of this many answers, one is looked into.
const SAMPLE_EVERY: u64 = 1000;
/// The largest frame that we accept. Only batches have larger ones than everybody must accept.
const LARGEST_FRAME: u32 = 64 * 1024;
/// The server may send this much before it hears from us again: half of the largest window.
const CREDIT: u32 = frame::MAX_WINDOW / 2;

/// The state of one connection.
pub(crate) struct Connection {
    load: Arc<Load>,
    headers: HeaderBlocks,
    out: BytesMut,
    calls: Vec<Call>,
    uploads: Vec<Upload>,
    settled: bool,
    next_stream: u32,
    next_body: usize,
    begun: u64,
    /// How much the server lets us send: in all, and on a new stream.
    window: i64,
    stream_window: i64,
    max_frame: usize,
    /// What has arrived since we last gave credit.
    consumed: u32,
}

/// A call under way.
struct Call {
    stream: u32,
    started: Instant,
    received: usize,
    sample: Option<Vec<u8>>,
}

/// A body that has not been sent in full, because a window is shut.
struct Upload {
    stream: u32,
    body: usize,
    sent: usize,
    window: i64,
}

impl Connection {
    /// A connection whose first words are ready to be sent. `place` is its number among the others and says
    /// with which body to begin, so that they do not all send the same at the same time.
    pub(crate) fn new(load: Arc<Load>, authority: &str, place: usize) -> Self {
        let mut out = BytesMut::from(frame::PREFACE);
        frame::write_settings(
            &mut out,
            &[
                (frame::SETTINGS_ENABLE_PUSH, 0),
                (frame::SETTINGS_INITIAL_WINDOW_SIZE, frame::MAX_WINDOW),
                (frame::SETTINGS_MAX_FRAME_SIZE, LARGEST_FRAME),
            ],
        );
        let credit = frame::MAX_WINDOW - frame::DEFAULT_WINDOW;
        frame::write(&mut out, frame::WINDOW_UPDATE, 0, 0, &credit.to_be_bytes());
        Self {
            headers: HeaderBlocks::new(&load, authority),
            next_body: place * load.bodies.len() / load.connections,
            calls: Vec::with_capacity(load.streams),
            load,
            out,
            uploads: Vec::new(),
            settled: false,
            next_stream: 1,
            begun: 0,
            window: i64::from(frame::DEFAULT_WINDOW),
            stream_window: i64::from(frame::DEFAULT_WINDOW),
            max_frame: frame::DEFAULT_MAX_FRAME,
            consumed: 0,
        }
    }

    /// What waits to be sent. Whoever sends it takes it out.
    pub(crate) fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Whether no call is under way, although calls have been made.
    pub(crate) fn is_idle(&self) -> bool {
        self.settled && self.calls.is_empty()
    }

    /// Begins a call because it is time for one.
    pub(crate) fn begin(&mut self) {
        if self.settled {
            self.call(Instant::now());
        }
    }

    /// Reads the complete frames in `bytes` and says how many bytes that were. Each finished call is reported to `done` with
    /// its latency, and followed by another unless `draining`, or unless calls begin by the clock.
    pub(crate) fn receive(&mut self, bytes: &[u8], draining: bool, mut done: impl FnMut(Duration)) -> Result<usize> {
        let now = Instant::now();
        let mut used = 0;
        while let Some(frame) = Frame::parse(&bytes[used..]) {
            used += frame.len();
            if self.handle(&frame, now, &mut done)? && !draining && self.load.every.is_none() {
                self.call(now);
            }
        }
        Ok(used)
    }

    /// Takes in one frame, and says whether it was the last of a call.
    fn handle(&mut self, frame: &Frame<'_>, now: Instant, done: &mut impl FnMut(Duration)) -> Result<bool> {
        match frame.kind {
            frame::DATA | frame::HEADERS => return self.answer(frame, now, done),
            frame::SETTINGS if !frame.has(frame::ACK) => self.settle(frame, now)?,
            frame::PING if !frame.has(frame::ACK) => {
                frame::write(&mut self.out, frame::PING, frame::ACK, 0, frame.payload);
            }
            frame::WINDOW_UPDATE => self.open(frame.stream, frame.number(0)),
            frame::RST_STREAM => return Err(format!("the server reset a call with error {}", frame.number(0)).into()),
            frame::GOAWAY => {
                let words = String::from_utf8_lossy(frame.payload.get(8..).unwrap_or_default());
                return Err(format!("the server hung up with error {}: {words}", frame.number(4)).into());
            }
            _ => {}
        }
        Ok(false)
    }

    /// Takes in a part of an answer.
    fn answer(&mut self, frame: &Frame<'_>, now: Instant, done: &mut impl FnMut(Duration)) -> Result<bool> {
        let Some(index) = self.calls.iter().position(|call| call.stream == frame.stream) else {
            return Err(format!("an answer on stream {}, where nothing was asked", frame.stream).into());
        };
        if frame.kind == frame::DATA {
            if frame.has(frame::PADDED) {
                return Err("padded data, which this client does not read".into());
            }
            let call = &mut self.calls[index];
            call.received += frame.payload.len();
            if let Some(sample) = &mut call.sample {
                sample.extend_from_slice(frame.payload);
            }
            self.give_credit(frame.payload.len());
        }
        if !frame.has(frame::END_STREAM) {
            return Ok(false);
        }
        let call = self.calls.swap_remove(index);
        self.check(&call)?;
        done(now - call.started);
        Ok(true)
    }

    /// A refusal is an answer without a message, so the message is what tells success.
    fn check(&self, call: &Call) -> Result<()> {
        let message = call.received.saturating_sub(5);
        if message == 0 || message < self.load.at_least {
            return Err(format!(
                "{} was answered with {message} bytes where at least {} are expected: it was refused",
                self.load.path,
                self.load.at_least.max(1),
            )
            .into());
        }
        if self.uploads.iter().any(|upload| upload.stream == call.stream) {
            return Err(format!("{} was answered before it was sent in full", self.load.path).into());
        }
        match &call.sample {
            Some(sample) if !(self.load.accept)(&sample[5..]) => {
                Err(format!("{} was answered with something else: {}", self.load.path, sample[5..].escape_ascii())
                    .into())
            }
            _ => Ok(()),
        }
    }

    /// Takes in the server's settings; the first ones let calls begin.
    fn settle(&mut self, frame: &Frame<'_>, now: Instant) -> Result<()> {
        for (setting, value) in frame.settings() {
            match setting {
                frame::SETTINGS_INITIAL_WINDOW_SIZE => {
                    let change = i64::from(value) - self.stream_window;
                    self.stream_window += change;
                    self.uploads.iter_mut().for_each(|upload| upload.window += change);
                }
                frame::SETTINGS_MAX_FRAME_SIZE => self.max_frame = value as usize,
                frame::SETTINGS_MAX_CONCURRENT_STREAMS if (value as usize) < self.load.streams => {
                    return Err(format!("the server allows {value} streams, fewer than {}", self.load.streams).into());
                }
                _ => {}
            }
        }
        frame::write(&mut self.out, frame::SETTINGS, frame::ACK, 0, &[]);
        if !self.settled {
            self.settled = true;
            let at_once = if self.load.every.is_none() { self.load.streams } else { 0 };
            for _ in 0..at_once {
                self.call(now);
            }
        }
        Ok(())
    }

    /// Begins a call.
    fn call(&mut self, now: Instant) {
        let stream = self.next_stream;
        let block = if stream == 1 { &self.headers.first } else { &self.headers.later };
        frame::write(&mut self.out, frame::HEADERS, frame::END_HEADERS, stream, block);
        let sample = self.begun.is_multiple_of(SAMPLE_EVERY).then(Vec::new);
        self.begun += 1;
        self.next_stream += 2;
        self.calls.push(Call { stream, started: now, received: 0, sample });

        let body = self.next_body;
        self.next_body = (body + 1) % self.load.bodies.len();
        let mut upload = Upload { stream, body, sent: 0, window: self.stream_window };
        if !self.send(&mut upload) {
            self.uploads.push(upload);
        }
    }

    /// Sends as much of a body as the windows allow, and says whether that was the end of it.
    fn send(&mut self, upload: &mut Upload) -> bool {
        let body = &self.load.bodies[upload.body];
        loop {
            let rest = &body[upload.sent..];
            let open = usize::try_from(self.window.min(upload.window)).unwrap_or(0);
            let length = rest.len().min(self.max_frame).min(open);
            if length == 0 {
                return false;
            }
            let last = length == rest.len();
            let flags = if last { frame::END_STREAM } else { 0 };
            frame::write(&mut self.out, frame::DATA, flags, upload.stream, &rest[..length]);
            upload.sent += length;
            let taken = i64::try_from(length).unwrap_or(i64::MAX);
            self.window -= taken;
            upload.window -= taken;
            if last {
                return true;
            }
        }
    }

    /// The server has room for more.
    fn open(&mut self, stream: u32, more: u32) {
        if stream == 0 {
            self.window += i64::from(more);
        } else if let Some(upload) = self.uploads.iter_mut().find(|upload| upload.stream == stream) {
            upload.window += i64::from(more);
        }
        let mut uploads = std::mem::take(&mut self.uploads);
        uploads.retain_mut(|upload| !self.send(upload));
        self.uploads = uploads;
    }

    /// Lets the server go on sending. Streams are short and their windows are as large as can be.
    fn give_credit(&mut self, length: usize) {
        self.consumed += u32::try_from(length).unwrap_or(u32::MAX);
        if self.consumed >= CREDIT {
            frame::write(&mut self.out, frame::WINDOW_UPDATE, 0, 0, &self.consumed.to_be_bytes());
            self.consumed = 0;
        }
    }
}
