//! Which way things point: each room knows only what lies below it, and each outside library lives in one room.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may use of the others. What is not here may not be used.
const ROOMS: &[(&str, &str)] = &[
    ("main", "cli"),
    (
        "cli",
        "app clock config events identity jobs model proto random root_key secret server shutdown store telemetry token upkeep",
    ),
    ("server", "app config health http jobs load metrics model random rpc shutdown"),
    ("jobs", "app cache clock config events health model random rpc shutdown store token upkeep"),
    ("http", "app config cors gateway health identity load model session store token upkeep"),
    (
        "rpc",
        "app cache clock config connect cors credential events gateway guard health identity load metrics model notify proto random secret session store telemetry token upkeep",
    ),
    ("gateway", "token"),
    ("health", "app"),
    (
        "app",
        "cache clock config connect credential events guard identity load metrics model notify root_key secret session shutdown store token upkeep",
    ),
    ("upkeep", "clock config events metrics model random secret shutdown store token"),
    ("events", "breaker clock config connect metrics model random root_key seal secret signature store"),
    ("identity", "cache clock config connect credential guard metrics model notify random root_key secret store token"),
    ("session", "cache clock config credential guard identity metrics model notify random root_key secret store token"),
    ("credential", "cache clock config guard metrics model notify random root_key secret store"),
    ("token", "cache clock config metrics model random root_key seal secret store"),
    ("load", "clock config metrics model"),
    ("guard", "cache clock config metrics model root_key"),
    ("notify", "breaker clock config metrics model random secret signature telemetry"),
    ("connect", "breaker clock config metrics model random secret signature telemetry"),
    ("store", "model random secret"),
    ("cache", "clock random secret"),
    ("breaker", "clock"),
    ("telemetry", "clock config metrics random secret"),
    ("cors", "config"),
    ("config", "model root_key secret"),
    ("root_key", "random secret"),
    ("seal", "random secret"),
    ("model", "random secret"),
    ("proto", ""),
    ("signature", "secret"),
    ("metrics", ""),
    ("clock", ""),
    ("random", ""),
    ("secret", ""),
    ("shutdown", ""),
];

/// Where each library may be used.
const LIBRARIES: &[(&str, &str)] = &[
    ("tonic", "rpc server cli proto telemetry"),
    ("tonic_health", "rpc cli"),
    ("tonic_reflection", "rpc"),
    ("tonic_types", "rpc cli"),
    ("tonic_web", "rpc"),
    ("form_urlencoded", "http connect"),
    ("tower", "rpc server cli"),
    ("axum", "http server"),
    ("rustls", "cache server cli"),
    ("tokio_rustls", "server cli"),
    ("webpki", "server"),
    ("sqlx", "store"),
    ("fred", "cache"),
    ("argon2", "credential"),
    ("bcrypt", "credential"),
    ("scrypt", "credential"),
    ("rustix", "credential"),
    ("lapin", "events"),
    ("lettre", "notify"),
    ("minijinja", "notify"),
    ("prometheus_client", "metrics"),
    ("opentelemetry", "telemetry"),
    ("opentelemetry_sdk", "telemetry"),
    ("opentelemetry_otlp", "telemetry"),
    ("opentelemetry_proto", "telemetry"),
    ("tracing_opentelemetry", "telemetry"),
    ("tracing_subscriber", "telemetry"),
    ("reqwest", "notify connect events"),
    ("clap", "cli"),
];

/// The most lines a file may have before its tests. Past 400 it wants splitting by what it knows; a few lines over do not
/// tell where.
const LONGEST: usize = 450;

/// Every file of the program with its path below `src`; not those that hold tests alone.
fn files() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let below = path.strip_prefix(&root).unwrap().to_owned();
                found.insert(below, fs::read_to_string(path).unwrap());
            }
        }
    }
    assert!(found.len() > 50);
    found
}

fn room(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

/// The lines that say something, numbered: neither comments nor what stands in a file's tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(at, line)| (at + 1, line))
}

/// The names that follow `prefix` in a line, as whole words.
fn names<'t>(line: &'t str, prefix: &'t str) -> impl Iterator<Item = &'t str> {
    line.match_indices(prefix).filter_map(move |(at, _)| {
        let before = line[..at].chars().next_back();
        let rest = &line[at + prefix.len()..];
        let end = rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let is_whole = before.is_none_or(|before| !before.is_ascii_alphanumeric() && before != '_');
        Some(&rest[..end.unwrap_or(rest.len())]).filter(|_| is_whole)
    })
}

/// The rooms that a file uses. `use crate::{a, b}` counts as well, however it is broken into lines.
fn uses(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, line) in code(text) {
        for name in names(line, "crate::") {
            if name.is_empty() {
                let group = text.lines().skip(at - 1).collect::<Vec<_>>().join(" ");
                let (_, group) = group.split_once("crate::{").unwrap_or_default();
                let mut depth = 0;
                let mut word = String::new();
                for character in group.chars() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => word.clear(),
                        _ if depth == 0 && character.is_ascii_alphanumeric() || character == '_' => {
                            word.push(character);
                        }
                        ':' if depth == 0 && !word.is_empty() => found.push((at, std::mem::take(&mut word))),
                        _ => {}
                    }
                }
                found.extend((!word.is_empty()).then_some((at, word)));
            } else {
                found.push((at, name.to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_arrow_points_down() {
    let rooms: BTreeMap<_, Vec<_>> = ROOMS.iter().map(|(room, below)| (*room, below.split(' ').collect())).collect();
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let room = room(&path);
        if room == "lib" {
            continue;
        }
        let Some(below) = rooms.get(room.as_str()) else {
            wrong.push(format!("{}: nothing is said of the room {room}", path.display()));
            continue;
        };
        for (line, used) in uses(&text) {
            if rooms.contains_key(used.as_str()) && used != room && !below.contains(&used.as_str()) {
                wrong.push(format!("src/{}:{line}: {room} may not use {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_library_lives_in_its_room() {
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let room = room(&path);
        for (library, homes) in LIBRARIES {
            let prefix = format!("{library}::");
            let line = code(&text).find(|(_, line)| names(line, &prefix).next().is_some());
            if let Some((line, _)) = line.filter(|_| !homes.split(' ').any(|home| home == room)) {
                wrong.push(format!("src/{}:{line}: {library} belongs in {homes}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    let mut wrong = Vec::new();
    for (path, text) in files() {
        if !text.starts_with("//! ") {
            wrong.push(format!("src/{} does not open with `//!`", path.display()));
        }
        // Tests stand beside what they test, and may be as long as they need.
        let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
        if lines > LONGEST {
            wrong.push(format!("src/{} has {lines} lines; split it by what it knows", path.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
