//! What Envoy asks, as the server reads it: only what matters is looked at. Clients have the messages as they were generated.

use std::fmt;

use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};

use super::Malformed;

/// A `CheckRequest` whose attributes are not decoded: a message inside another has the form of bytes.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct CheckQuestion {
    /// An `AttributeContext`.
    #[prost(bytes = "bytes", tag = "1")]
    attributes: Bytes,
}

impl fmt::Debug for CheckQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckQuestion { [redacted] }")
    }
}

/// One thing that a question says.
#[derive(Clone, Copy)]
pub enum Said<'q> {
    /// A header of the request.
    Header(&'q [u8], &'q [u8]),
    /// Something that the configuration of the route adds.
    Extension(&'q [u8], &'q [u8]),
}

impl CheckQuestion {
    /// Goes through what is said.
    pub fn visit<'q>(&'q self, mut hear: impl FnMut(Said<'q>)) -> Result<(), Malformed> {
        for field in Fields(&self.attributes) {
            match field? {
                (4, request) => {
                    for http in Fields(request).filter(is(2)) {
                        headers(http?.1, &mut hear)?;
                    }
                }
                (10, entry) => {
                    let [name, value, _] = pair(entry)?;
                    hear(Said::Extension(name, value));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn headers<'q>(http: &'q [u8], hear: &mut impl FnMut(Said<'q>)) -> Result<(), Malformed> {
    for field in Fields(http) {
        match field? {
            (3, entry) => {
                let [name, value, _] = pair(entry)?;
                hear(Said::Header(name, value));
            }
            (13, map) => {
                for header in Fields(map).filter(is(1)) {
                    let [name, value, raw] = pair(header?.1)?;
                    hear(Said::Header(name, if raw.is_empty() { value } else { raw }));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

type Field<'b> = Result<(u32, &'b [u8]), Malformed>;

/// Lets the fields with this number through, and faults.
fn is<'b>(wanted: u32) -> impl Fn(&Field<'b>) -> bool {
    move |field| field.as_ref().map_or(true, |(number, _)| *number == wanted)
}

/// The first three fields of a message: name and value of an entry of a map, and the raw value of a header.
fn pair(message: &[u8]) -> Result<[&[u8]; 3], Malformed> {
    let mut parts: [&[u8]; 3] = [&[]; 3];
    for field in Fields(message) {
        let (number, value) = field?;
        let place = (number as usize).checked_sub(1).and_then(|at| parts.get_mut(at));
        if let Some(place) = place {
            *place = value;
        }
    }
    Ok(parts)
}

/// The fields of a message that have a length, by number. All others are skipped.
struct Fields<'b>(&'b [u8]);

impl<'b> Iterator for Fields<'b> {
    type Item = Field<'b>;

    fn next(&mut self) -> Option<Field<'b>> {
        while !self.0.is_empty() {
            match self.step() {
                Ok(None) => {}
                Ok(Some(field)) => return Some(Ok(field)),
                Err(fault) => {
                    self.0 = &[];
                    return Some(Err(fault));
                }
            }
        }
        None
    }
}

impl<'b> Fields<'b> {
    fn step(&mut self) -> Result<Option<(u32, &'b [u8])>, Malformed> {
        let (number, wire_type) = decode_key(&mut self.0)?;
        match wire_type {
            WireType::LengthDelimited => {
                let length = decode_varint(&mut self.0)?;
                let split = usize::try_from(length).ok().and_then(|length| self.0.split_at_checked(length));
                let (value, rest) = split.ok_or(Malformed)?;
                self.0 = rest;
                return Ok(Some((number, value)));
            }
            WireType::Varint => drop(decode_varint(&mut self.0)?),
            WireType::ThirtyTwoBit if self.0.len() >= 4 => self.0.advance(4),
            WireType::SixtyFourBit if self.0.len() >= 8 => self.0.advance(8),
            _ => return Err(Malformed),
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::envoy::config::core::v3::{HeaderMap, HeaderValue};
    use crate::proto::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
    use crate::proto::envoy::service::auth::v3::{AttributeContext, CheckRequest};

    fn whole() -> Vec<u8> {
        let raw = HeaderValue { key: "cookie".to_owned(), raw_value: b"a=b".to_vec(), ..Default::default() };
        let plain = HeaderValue { key: "accept".to_owned(), value: "*/*".to_owned(), ..Default::default() };
        let http = HttpRequest {
            headers: [("authorization".to_owned(), "Bearer x".to_owned())].into(),
            header_map: Some(HeaderMap { headers: vec![raw, plain] }),
        };
        let context_extensions = [("scopes".to_owned(), "read".to_owned())].into();
        let attributes = AttributeContext { request: Some(Request { http: Some(http) }), context_extensions };
        CheckRequest { attributes: Some(attributes) }.encode_to_vec()
    }

    fn read(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
        let question = CheckQuestion::decode(bytes)?;
        let mut heard = Vec::new();
        question.visit(|said| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            heard.push(match said {
                Said::Header(name, value) => format!("{}: {}", text(name), text(value)),
                Said::Extension(name, value) => format!("{} = {}", text(name), text(value)),
            });
        })?;
        Ok(heard)
    }

    #[test]
    fn all_that_matters_is_heard_and_the_rest_skipped() {
        let expected = ["authorization: Bearer x", "cookie: a=b", "accept: */*", "scopes = read"];
        assert_eq!(read(&whole()).unwrap(), expected);
        // Fields of every kind that a later Envoy may add: a number, a text, 64 and 32 bits.
        let mut attributes = whole()[2..].to_vec();
        attributes.extend([0xa0, 0x06, 0x96, 0x01, 0xaa, 0x06, 0x01, b'x', 0xb1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]);
        attributes.extend([0xbd, 0x06, 1, 2, 3, 4]);
        let longer = CheckQuestion { attributes: attributes.into() }.encode_to_vec();
        assert_eq!(read(&longer).unwrap(), expected);
    }

    #[test]
    fn what_ends_too_early_is_malformed() {
        let whole = CheckQuestion::decode(whole().as_slice()).unwrap().attributes;
        let mut understood = 0;
        for end in 0..whole.len() {
            let cut = CheckQuestion { attributes: whole.slice(..end) };
            understood += usize::from(cut.visit(|_| {}).is_ok());
        }
        // Nothing at all, and what ends where a field does.
        assert_eq!(understood, 2);
        // A group, a length that no memory has, and a number without an end.
        for broken in [&[0x0b][..], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], &[0x80], &[0xff; 12]]
        {
            let question = CheckQuestion { attributes: Bytes::copy_from_slice(broken) };
            assert_eq!(question.visit(|_| {}), Err(Malformed), "{broken:?}");
        }
    }
}
