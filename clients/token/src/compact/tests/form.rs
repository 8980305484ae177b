//! Texts that are almost tokens: threat T10.

use proptest::prelude::*;

use super::*;

#[test]
fn t10_malformed_forms_are_refused() {
    let issuer = Issuer::new(Algorithm::EdDsa);
    let token = &issuer.token;
    let [h, p, s] = issuer.parts();
    let standard = token.replace('-', "+").replace('_', "/");
    for forged in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "....".to_owned(),
        h.to_owned(),
        format!("{h}.{p}"),
        format!("{h}.{p}."),
        format!(".{p}.{s}"),
        format!("{h}..{s}"),
        format!("..{s}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{s}"),
        format!("{h}.{p}.{s}.{h}.{p}"),
        format!("{h}.{p}..{s}"),
        format!("{token}="),
        format!("{token}=="),
        format!("{h}=.{p}.{s}"),
        format!("{h}.{p}=.{s}"),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
        format!("\u{feff}{token}"),
        format!("{token}\0"),
        format!("{h}. {p}.{s}"),
        format!("{h}.{p}\r\n.{s}"),
        format!("Bearer {token}"),
        format!("\"{token}\""),
        format!("{token},{token}"),
        format!("{h}.{p}.{}", "A".repeat(86)),
        format!("{h}.{p}.{}é", &s[..84]),
        format!("{h}%2E{p}%2E{s}"),
        format!("{h}。{p}。{s}"),
        format!("{p}.{h}.{s}"),
        format!(r#"{{"protected":"{h}","payload":"{p}","signature":"{s}"}}"#),
    ] {
        assert!(verify_compact(&forged, &issuer.keys).is_err(), "{forged:?}");
    }
    assert!(standard == *token || verify_compact(&standard, &issuer.keys).is_err());

    let of_length = |payload| issuer.pair.sign("at+jwt", &vec![b' '; payload]).unwrap();
    let longest = (5_900..6_200).map(of_length).take_while(|token| token.len() <= MAX_COMPACT_BYTES).last().unwrap();
    assert!(verify_compact(&longest, &issuer.keys).is_ok());
    assert!(longest.len() > MAX_COMPACT_BYTES - 4);
    assert_eq!(verify_compact(&of_length(6_200), &issuer.keys), Err(Rejection::TooLong));
}

#[test]
fn t10_every_changed_character_is_noticed() {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n";
    for algorithm in ALL {
        let issuer = Issuer::new(algorithm);
        for index in 0..issuer.token.len() {
            let mut forged = issuer.token.clone().into_bytes();
            let honest = forged[index];
            for &letter in letters.iter().filter(|&&letter| letter != honest) {
                forged[index] = letter;
                let forged = str::from_utf8(&forged).unwrap();
                assert!(verify_compact(forged, &issuer.keys).is_err(), "{algorithm}: {letter} at {index}");
            }
            forged.remove(index);
            assert!(verify_compact(str::from_utf8(&forged).unwrap(), &issuer.keys).is_err());
        }
    }
}

fn issuer() -> &'static Issuer {
    static ISSUER: std::sync::OnceLock<Issuer> = std::sync::OnceLock::new();
    ISSUER.get_or_init(|| Issuer::new(Algorithm::EdDsa))
}

proptest! {
    #[test]
    fn t10_nothing_panics_and_nothing_random_is_accepted(text in ".{0,200}", parts in "[A-Za-z0-9_-]{0,60}(\\.[A-Za-z0-9_-]{0,90}){0,4}") {
        prop_assert!(verify_compact(&text, &issuer().keys).is_err());
        prop_assert!(verify_compact(&parts, &issuer().keys).is_err());
    }

    #[test]
    fn t10_spliced_tokens_are_refused(from in 0..200_usize, length in 0..40_usize, text in "[A-Za-z0-9_.-]{0,40}") {
        let token = &issuer().token;
        let from = from.min(token.len());
        let to = (from + length).min(token.len());
        let spliced = format!("{}{text}{}", &token[..from], &token[to..]);
        prop_assert_eq!(verify_compact(&spliced, &issuer().keys).is_ok(), spliced == *token);
    }

    #[test]
    fn t10_random_headers_do_not_panic(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>()) {
        let token = issuer().pair.sign_with_header(&header, &payload).unwrap();
        prop_assert!(verify_compact(&token, &issuer().keys).is_err());
    }
}
