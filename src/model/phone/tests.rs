//! Spellings of numbers, right and wrong.

use std::collections::HashSet;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn parse(text: &str, name: &str) -> Result<String, InvalidPhone> {
    Phone::parse(text, region(name)).map(|phone| phone.as_str().to_owned())
}

#[test]
fn every_spelling_is_one_number() {
    for (name, number, spellings) in [
        (
            "IR",
            "+989121234567",
            &[
                "+989121234567",
                "09121234567",
                "9121234567",
                "00989121234567",
                "989121234567",
                "980 912 123 4567",
                "+98 (0)912 123-4567",
                "0098 0912 123 4567",
                "۰۹۱۲۱۲۳۴۵۶۷",
                "٠٩١٢١٢٣٤٥٦٧",
                "＋９８９１２１２３４５６７",
                "\u{202a}+98\u{a0}912\u{2011}123\u{200c}45\u{200b}67\u{202c}",
                "\u{2066}(+۹۸) ۹۱۲.۱۲۳/۴۵۶۷\u{2069}",
                "\u{200f}0912 – 123 — 45−67",
            ][..],
        ),
        ("IR", "+982188776655", &["021 88776655", "2188776655", "+98 21 8877 6655", "+98 (0) 21 8877 6655"]),
        (
            "US",
            "+14155550100",
            &[
                "(415) 555-0100",
                "1-415-555-0100",
                "+1 415 555 0100",
                "011 1 415 555 0100",
                "001 415 555 0100",
                "+1 (1) 415 555 0100",
            ],
        ),
        (
            "GB",
            "+447911123456",
            &["07911 123456", "+44 7911 123456", "+44 (0)7911 123456", "00447911123456", "447911123456", "7911123456"],
        ),
        ("GB", "+442079460000", &["020 7946 0000", "+44 (0)20 7946 0000", "442079460000"]),
        (
            "DE",
            "+4915112345678",
            &["0151/12345678", "+49 (0) 151 12345678", "004915112345678", "4915112345678", "15112345678"],
        ),
        ("DE", "+4930123456", &["030 123456", "+49 30 123456", "+49 (0)30 / 12 34 56", "0049 30 123456"]),
        ("IT", "+393331234567", &["333 1234567", "+39 333 123 4567", "00393331234567", "393331234567"]),
        ("IT", "+390612345678", &["06 1234 5678", "+39 06 12345678", "+39 (0)6 12345678", "390612345678"]),
        ("IT", "+393931234567", &["393 1234567", "+39 393 1234567", "393931234567"]),
        (
            "FR",
            "+33612345678",
            &["06 12 34 56 78", "+33 6 12 34 56 78", "+33 (0)6 12 34 56 78", "0033612345678", "33612345678"],
        ),
        (
            "IN",
            "+919812345678",
            &["98123 45678", "098123-45678", "+91 98123 45678", "+91 098123 45678", "919812345678", "00919812345678"],
        ),
        ("IN", "+919123456789", &["9123456789", "919123456789"]),
        (
            "TR",
            "+905321234567",
            &["0532 123 45 67", "(532) 123 45 67", "+90 532 123 45 67", "+90 (0532) 123 45 67", "905321234567"],
        ),
        ("RU", "+79161234567", &["8 (916) 123-45-67", "9161234567", "79161234567", "8 10 7 916 1234567"]),
        ("MX", "+525512345678", &["55 1234 5678", "+52 1 55 1234 5678", "044 55 1234 5678", "01 55 1234 5678"]),
        ("HU", "+36301234567", &["06 30 123 4567", "+36 30 123 4567", "+36 (06) 30 123 4567", "30 123 4567"]),
        ("BY", "+375291234567", &["8 029 123 45 67", "+375 29 123-45-67", "+375 (8029) 1234567", "029 1234567"]),
        ("AU", "+989121234567", &["0011 98 912 123 4567", "0098 912 123 4567", "+98 912 123 4567"]),
    ] {
        for spelling in spellings {
            assert_eq!(parse(spelling, name).as_deref(), Ok(number), "{spelling} in {name}");
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (text, name, why) in [
        ("", "IR", InvalidPhone::Empty),
        (" - ", "IR", InvalidPhone::Empty),
        ("00", "IR", InvalidPhone::CallingCode),
        ("0912123456", "IR", InvalidPhone::Length),
        ("091212345678", "IR", InvalidPhone::Length),
        ("+98912123456", "IR", InvalidPhone::Length),
        ("+98 00 9121234567", "IR", InvalidPhone::Length),
        ("+98", "IR", InvalidPhone::Length),
        ("+98 0000000000", "IR", InvalidPhone::Length),
        ("5550100", "US", InvalidPhone::Length),
        ("+1 015 555 0100", "US", InvalidPhone::Length),
        ("+1 (0)415 555 0100", "US", InvalidPhone::Length),
        ("+45 (0)12 34 56 78", "DK", InvalidPhone::Length),
        ("+999 123 456 789", "IR", InvalidPhone::CallingCode),
        ("+0098 912 123 4567", "IR", InvalidPhone::CallingCode),
        ("+1234567890123456", "IR", InvalidPhone::Length),
        ("0912 123 4567 ext 5", "IR", InvalidPhone::Character),
        ("09121234567#5", "IR", InvalidPhone::Character),
        ("09121234567;ext=5", "IR", InvalidPhone::Character),
        ("tel:+989121234567", "IR", InvalidPhone::Character),
        ("++989121234567", "IR", InvalidPhone::Character),
        ("00+989121234567", "IR", InvalidPhone::Character),
        ("989121234567+", "IR", InvalidPhone::Character),
        ("09121234567\n", "IR", InvalidPhone::Character),
        ("0912\t1234567", "IR", InvalidPhone::Character),
        ("0912\u{2028}1234567", "IR", InvalidPhone::Character),
        ("0912\x001234567", "IR", InvalidPhone::Character),
        ("                              09121234567", "IR", InvalidPhone::TooLong),
        // 0493 01234567 without its zero, or Berlin without the plus.
        ("49301234567", "DE", InvalidPhone::Ambiguous),
        ("3906123456", "IT", InvalidPhone::Ambiguous),
    ] {
        assert_eq!(parse(text, name), Err(why), "{text} in {name}");
    }
}

/// Threat O5: who spells a number in another way meets the same limit.
#[test]
fn ten_thousand_spellings_are_one_number() {
    const DIGITS: [char; 4] = ['0', '\u{660}', '\u{6f0}', '\u{ff10}'];
    const BETWEEN: &str = " \u{a0}\u{2009}\u{202f}\u{3000}-\u{2010}\u{2011}\u{2013}\u{2014}\u{2212}\u{ff0d}./()\
        \u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{2066}\u{2067}\u{2069}\u{61c}\u{feff}";
    let between: Vec<char> = BETWEEN.chars().collect();
    let starts = ["+98", "+980", "＋98", "＋980", "0098", "00980", "98", "980", "0", ""];
    let mut random = StdRng::seed_from_u64(5);
    let mut spellings = HashSet::new();
    let mut numbers = HashSet::new();
    while spellings.len() < 10_000 {
        let start = starts.choose(&mut random).unwrap();
        let mut spelling = String::new();
        for character in start.chars().chain("9121234567".chars()) {
            while random.random_ratio(1, 3) {
                spelling.push(*between.choose(&mut random).unwrap());
            }
            let zero = u32::from(*DIGITS.choose(&mut random).unwrap());
            let digit = character.to_digit(10).and_then(|digit| char::from_u32(zero + digit));
            spelling.push(digit.unwrap_or(character));
        }
        if spelling.chars().count() <= MAX_INPUT {
            numbers.insert(parse(&spelling, "IR").unwrap());
            spellings.insert(spelling);
        }
    }
    assert_eq!(Vec::from_iter(numbers), ["+989121234567"]);
}

#[test]
fn a_number_tells_its_parts_and_a_log_shows_two_digits() {
    for (text, code, prefix, masked) in [
        ("+989121234567", "98", "98912", "+98*******67"),
        ("+14155550100", "1", "1415", "+1*******00"),
        ("+35312345678", "353", "353123", "+353*******78"),
        ("+50012345", "500", "500123", "+500*******45"),
    ] {
        let phone = Phone::parse(text, region("IR")).unwrap();
        assert_eq!((phone.calling_code(), phone.prefix()), (code, prefix));
        assert_eq!(phone.masked(), masked);
        assert_eq!(format!("{phone:?}"), masked);
    }
}

#[test]
fn the_stored_form_is_read_back_and_no_other() {
    let phone = Phone::parse("09121234567", region("IR")).unwrap();
    assert_eq!(phone.as_str().parse(), Ok(phone));
    for (text, why) in [
        ("", InvalidPhone::CallingCode),
        ("09121234567", InvalidPhone::CallingCode),
        ("+98 9121234567", InvalidPhone::Character),
        ("+98۹121234567", InvalidPhone::Character),
        ("+9891212", InvalidPhone::Length),
        ("+9991234567", InvalidPhone::CallingCode),
    ] {
        assert_eq!(text.parse::<Phone>(), Err(why), "{text}");
    }
}

fn regions() -> impl Strategy<Value = Region> {
    const NAMES: &[&str] =
        &["IR", "US", "GB", "DE", "IT", "FR", "IN", "TR", "RU", "JP", "AU", "KE", "MX", "SM", "LU", "KP"];
    proptest::sample::select(NAMES).prop_map(region)
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".*", region in regions()) {
        let _ = Phone::parse(&text, region);
        let _ = text.parse::<Phone>();
    }

    #[test]
    fn a_number_reads_as_itself_everywhere(
        text in "[+]?[0-9]{4,16}",
        region in regions(),
        elsewhere in regions(),
    ) {
        if let Ok(phone) = Phone::parse(&text, region) {
            prop_assert_eq!(Phone::parse(phone.as_str(), elsewhere), Ok(phone.clone()));
            prop_assert_eq!(phone.as_str().parse(), Ok(phone.clone()));
            prop_assert!(phone.prefix().starts_with(phone.calling_code()));
            let digits = phone.as_str().strip_prefix('+').unwrap();
            prop_assert!((8..=15).contains(&digits.len()));
            prop_assert_eq!(Phone::parse(&format!("00{digits}"), self::region("IR")), Ok(phone));
        }
    }
}
