//! HTTP/2 frames (RFC 9113), as far as a unary gRPC client needs them. Knows bytes, not calls.

use bytes::BytesMut;

/// What a client says first (section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes before a frame's payload.
pub(crate) const HEADER_LEN: usize = 9;
/// The largest payload that may be sent to somebody who has not asked for larger ones.
pub(crate) const DEFAULT_MAX_FRAME: usize = 16_384;
/// The flow-control window both sides start with.
pub(crate) const DEFAULT_WINDOW: u32 = 65_535;
/// The largest window there can be.
pub(crate) const MAX_WINDOW: u32 = 0x7fff_ffff;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

/// On SETTINGS and PING.
pub(crate) const ACK: u8 = 0x1;
/// On DATA and HEADERS.
pub(crate) const END_STREAM: u8 = 0x1;
/// On HEADERS.
pub(crate) const END_HEADERS: u8 = 0x4;
/// On DATA and HEADERS.
pub(crate) const PADDED: u8 = 0x8;

pub(crate) const SETTINGS_ENABLE_PUSH: u16 = 2;
pub(crate) const SETTINGS_MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const SETTINGS_MAX_FRAME_SIZE: u16 = 5;

/// A frame that has arrived in full.
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first frame in `bytes`, if all of it is there.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *head;
        let payload = rest.get(..u32::from_be_bytes([0, l0, l1, l2]) as usize)?;
        Some(Self { kind, flags, stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]), payload })
    }

    /// Its length on the wire.
    pub(crate) fn len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The number in the payload at `offset`; zero if the frame is too short for one.
    pub(crate) fn number(&self, offset: usize) -> u32 {
        self.payload.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    /// The identifiers and values of a SETTINGS frame.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (u16, u32)> {
        self.payload.chunks_exact(6).map(|entry| {
            (u16::from_be_bytes([entry[0], entry[1]]), u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))
        })
    }
}

/// Appends a frame.
pub(crate) fn write(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&[length[1], length[2], length[3], kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Appends a SETTINGS frame.
pub(crate) fn write_settings(out: &mut BytesMut, settings: &[(u16, u32)]) {
    let payload: Vec<u8> =
        settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    write(out, SETTINGS, 0, 0, &payload);
}
