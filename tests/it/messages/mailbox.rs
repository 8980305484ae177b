//! The mail server that `scripts/with-services` starts, and the letters that it has taken in.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

/// The server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub host: String,
    /// Where it begins in the clear, and where it does not.
    pub port: String,
    pub tls_port: String,
    folder: PathBuf,
}

/// A letter, with what its envelope said.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub from: String,
    pub to: Vec<String>,
    pub tls: bool,
    pub user: Option<String>,
    pub headers: Vec<(String, String)>,
    /// As text and as HTML.
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug)]
pub(super) struct Part {
    pub kind: String,
    pub text: String,
}

#[derive(Deserialize)]
struct Taken {
    from: String,
    to: Vec<String>,
    tls: bool,
    user: Option<String>,
    data: String,
}

impl Server {
    /// The server, where there is one. Where `CI` is set there must be.
    pub(super) fn at_hand() -> Option<Self> {
        let url = std::env::var("COUNTERSIGN_TEST_SMTP_URL").ok();
        let folder = std::env::var("COUNTERSIGN_TEST_SMTP_FOLDER").ok();
        let (Some(url), Some(folder)) = (url, folder) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "COUNTERSIGN_TEST_SMTP_URL and _FOLDER must be set where CI is set"
            );
            eprintln!("skipped: COUNTERSIGN_TEST_SMTP_URL not set; scripts/test sets it");
            return None;
        };
        let (host, port) = url.strip_prefix("smtp://").unwrap().rsplit_once(':').unwrap();
        let folder = PathBuf::from(folder);
        let tls_port = std::fs::read_to_string(folder.join("tls_port")).unwrap();
        Some(Self { host: host.to_owned(), port: port.to_owned(), tls_port, folder })
    }

    pub(super) fn authority(&self) -> String {
        self.folder.join("ca.pem").display().to_string()
    }

    /// What it has taken in for an address up to now.
    pub(super) fn letters(&self, to: &str) -> Vec<Letter> {
        let taken = std::fs::read_to_string(self.folder.join("messages.jsonl")).unwrap();
        let whole = taken.rfind('\n').map_or("", |end| &taken[..end]);
        let taken = whole.lines().map(|line| serde_json::from_str::<Taken>(line).unwrap());
        taken.filter(|taken| taken.to.iter().any(|one| one == to)).map(Letter::from).collect()
    }

    /// The letters for an address, once there are so many.
    pub(super) async fn letters_so_many(&self, to: &str, at_least: usize) -> Vec<Letter> {
        for _ in 0..3_000 {
            let letters = self.letters(to);
            if letters.len() >= at_least {
                return letters;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("fewer than {at_least} letters came for {to}");
    }
}

impl Letter {
    /// A header, which must be there once.
    pub(super) fn header(&self, name: &str) -> &str {
        let mut found = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        let (_, value) = found.next().unwrap_or_else(|| panic!("no {name} in {:?}", self.headers));
        assert!(found.next().is_none(), "{name} twice");
        value
    }

    pub(super) fn text(&self) -> &str {
        &self.parts[0].text
    }

    pub(super) fn html(&self) -> &str {
        &self.parts[1].text
    }
}

impl From<Taken> for Letter {
    fn from(taken: Taken) -> Self {
        let data = String::from_utf8(BASE64.decode(taken.data).unwrap()).unwrap();
        assert!(data.is_ascii(), "what is not ASCII is encoded");
        assert!(!data.replace("\r\n", "").contains(['\r', '\n']), "a line break that is none");
        let (headers, body) = split(&data);
        let kind = header(&headers, "content-type");
        let (_, boundary) = kind.split_once("boundary=\"").expect("several parts");
        let boundary = format!("--{}", boundary.split('"').next().unwrap());
        let parts: Vec<_> = body.split(&boundary).skip(1).filter(|part| !part.starts_with("--")).map(part).collect();
        let headers = headers.into_iter().map(|(name, value)| (name, words(&value))).collect();
        Self { from: taken.from, to: taken.to, tls: taken.tls, user: taken.user, headers, parts }
    }
}

/// Headers, unfolded (RFC 5322 §2.2.3), and what follows them.
fn split(data: &str) -> (Vec<(String, String)>, &str) {
    let (head, body) = data.split_once("\r\n\r\n").unwrap();
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let headers = unfolded.split("\r\n").map(|line| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line}"));
        (name.to_owned(), value.trim().to_owned())
    });
    (headers.collect(), body)
}

fn header(headers: &[(String, String)], name: &str) -> String {
    let found = headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

fn part(text: &str) -> Part {
    let (headers, body) = split(text.trim_start_matches("\r\n"));
    let bytes = match header(&headers, "content-transfer-encoding").as_str() {
        "base64" => BASE64.decode(body.replace("\r\n", "")).unwrap(),
        "quoted-printable" => quoted(&body.replace("=\r\n", ""), false),
        "7bit" => body.as_bytes().to_vec(),
        other => panic!("encoding {other}"),
    };
    Part { kind: header(&headers, "content-type"), text: String::from_utf8(bytes).unwrap().replace("\r\n", "\n") }
}

/// Encoded words (RFC 2047) of one header.
fn words(value: &str) -> String {
    let joined = value.replace("?= =?", "?==?");
    let mut rest = joined.as_str();
    let (mut out, mut bytes) = (String::new(), Vec::new());
    while let Some((before, word)) = rest.split_once("=?") {
        if !before.is_empty() {
            out.push_str(&String::from_utf8(std::mem::take(&mut bytes)).unwrap());
            out.push_str(before);
        }
        let mut pieces = word.splitn(4, '?');
        let (charset, encoding) = (pieces.next().unwrap(), pieces.next().unwrap());
        assert!(charset.eq_ignore_ascii_case("utf-8"), "{value}");
        let text = pieces.next().unwrap();
        bytes.extend(match encoding.to_ascii_lowercase().as_str() {
            "b" => BASE64.decode(text).unwrap(),
            _ => quoted(text, true),
        });
        rest = pieces.next().unwrap().strip_prefix('=').unwrap();
    }
    out.push_str(&String::from_utf8(bytes).unwrap());
    out + rest
}

fn quoted(text: &str, in_header: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut at, mut out) = (0, Vec::new());
    while at < bytes.len() {
        match bytes[at] {
            b'=' => {
                out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
                at += 2;
            }
            b'_' if in_header => out.push(b' '),
            other => out.push(other),
        }
        at += 1;
    }
    out
}
