//! Until when a certificate is good. The verifier looks at that once, in the handshake, and tells nobody; so it is read from the
//! certificate here (RFC 5280 §4.1), which was verified before.

use chrono::{DateTime, NaiveDateTime, Utc};

const SEQUENCE: u8 = 0x30;
/// The version, which has a place of its own.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate's validity.
pub(super) fn not_after(certificate: &[u8]) -> Option<DateTime<Utc>> {
    let (certificate, _) = inside(certificate, SEQUENCE)?;
    let (mut fields, _) = inside(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // The serial number, the algorithm of the signature, and who signed.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (validity, _) = inside(fields, SEQUENCE)?;
    let (_, _, rest) = element(validity)?;
    match element(rest)? {
        (UTC_TIME, text, _) => {
            let text = std::str::from_utf8(text).ok()?;
            // Years of two digits are of 1950 to 2049 (§4.1.2.5.1).
            let century = if text.get(..2)? < "50" { "20" } else { "19" };
            time(&format!("{century}{text}"))
        }
        (GENERALIZED_TIME, text, _) => time(std::str::from_utf8(text).ok()?),
        _ => None,
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%SZ").ok().map(|time| time.and_utc())
}

/// What is inside the first element, which must be of a kind, and what follows it.
fn inside(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|element| element.0 == kind).map(|(_, inside, rest)| (inside, rest))
}

/// The kind of the first element, what is inside it, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        // No certificate is longer than four bytes can say.
        let (digits, rest) =
            rest.split_at_checked(usize::from(*first & 0x7f)).filter(|(digits, _)| digits.len() <= 4)?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    Some((*kind, inside, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn made(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 2, 3);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_in_both_spellings() {
        for year in [2026, 2049, 2050, 2999] {
            let end = not_after(&made(year)).unwrap();
            assert_eq!(end.to_rfc3339(), format!("{year}-02-03T00:00:00+00:00"));
        }
    }

    #[test]
    fn what_is_cut_off_or_no_certificate_has_none() {
        let whole = made(2026);
        assert!((0..whole.len()).all(|end| not_after(&whole[..end]).is_none()));
        for bytes in
            [&b""[..], b"0", b"\x30\x84\xff\xff\xff\xff", b"\x30\x89\x01\x01\x01\x01\x01\x01\x01\x01\x01", b"{}"]
        {
            assert_eq!(not_after(bytes), None);
        }
    }
}
