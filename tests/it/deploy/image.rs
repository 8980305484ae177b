//! The image's recipe. That it really builds and runs is for `scripts/try-image`, which needs a container engine; what would
//! keep it from doing so is found here.

use std::process::Command;

use super::{config_check, file, is_secret, manual, python, run, setting, text};

/// The instructions of the recipe, each on one line.
fn instructions() -> Vec<String> {
    let recipe = text("Dockerfile").replace("\\\n", " ");
    let lines = recipe.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Those of the last stage, from which the image is.
fn last_stage() -> Vec<String> {
    let all = instructions();
    let from = all.iter().rposition(|line| line.starts_with("FROM ")).unwrap();
    all[from..].to_vec()
}

/// What follows the one instruction of a kind in the last stage.
#[track_caller]
fn the(instruction: &str) -> String {
    let stage = last_stage();
    let mut found = stage.iter().filter_map(|line| line.strip_prefix(instruction)?.strip_prefix(' '));
    let first = found.next().unwrap_or_else(|| panic!("there is no {instruction}"));
    assert!(found.next().is_none(), "more than one {instruction}");
    first.to_owned()
}

#[test]
fn the_linter_has_nothing_to_say() {
    let Some(python) = python() else { return };
    let said = run(Command::new(python.with_file_name("hadolint")).arg(file("Dockerfile")), "");
    assert_eq!(said, Ok(String::new()));
}

/// The folder that everything of the build lies in, by the rules of `.dockerignore`: nothing but what is let in.
#[test]
fn what_is_copied_is_there_and_let_in() {
    let rules = text(".dockerignore");
    let rules: Vec<_> = rules.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(rules[0], "*", "nothing is let in that is not named");
    let let_in: Vec<_> = rules[1..].iter().map(|rule| rule.strip_prefix('!').unwrap()).collect();
    assert!(let_in.iter().all(|path| file(path).exists()), "{let_in:?}");
    let mut copied = Vec::new();
    for line in instructions().iter().filter_map(|line| line.strip_prefix("COPY ")) {
        if line.starts_with("--from=") {
            continue;
        }
        let words: Vec<_> = line.split(' ').collect();
        copied.extend(words[..words.len() - 1].iter().map(ToString::to_string));
    }
    for path in &copied {
        assert!(file(path).exists(), "{path} is not there");
        let within = |allowed: &&str| path == allowed || path.starts_with(&format!("{allowed}/"));
        assert!(let_in.iter().any(within), "{path} is not let in");
    }
    // Every package of the workspace, else cargo refuses the whole of it.
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    for member in manifest["workspace"]["members"].as_array().unwrap() {
        let wanted = format!("{}/Cargo.toml", member.as_str().unwrap());
        assert!(copied.contains(&wanted), "{wanted} is not copied");
    }
    // What the sources read at compile time.
    for folder in ["src", "proto", "migrations", "build.rs", "Cargo.lock"] {
        assert!(copied.iter().any(|path| path == folder), "{folder} is not copied");
    }
}

/// What a source takes in from elsewhere when it is compiled is in a folder that is copied as well.
#[test]
fn what_the_sources_take_in_is_copied() {
    let (mut folders, mut seen) = (vec![file("src"), file("clients/token/src")], 0);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for taken in ["include_str!(\"", "include_bytes!(\""].iter().flat_map(|call| source.split(call).skip(1)) {
                let place = path.parent().unwrap().join(taken.split_once('"').unwrap().0).canonicalize().unwrap();
                let within = |folder: &&str| place.starts_with(file(folder).canonicalize().unwrap());
                assert!(["src", "proto", "migrations", "clients/token/src"].iter().any(within), "{place:?}");
                seen += 1;
            }
        }
    }
    assert!(seen > 3);
}

#[test]
fn it_is_built_by_the_release_of_rust_that_the_manifest_names() {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let wanted = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert!(text("Dockerfile").contains(&format!("/rust:{wanted}-slim-bookworm")));
    assert!(text(".github/workflows/ci.yml").contains(&format!("rustup toolchain install {wanted} ")));
    let chart = text("helm/countersign/Chart.yaml");
    let version = manifest["workspace"]["package"]["version"].as_str().unwrap();
    assert!(chart.contains(&format!("appVersion: \"{version}\"")), "the chart is of another version");
}

#[test]
fn it_runs_as_nobody_and_says_how_it_is() {
    let user = the("USER");
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
    assert_eq!(the("STOPSIGNAL"), "SIGTERM");
    assert_eq!(the("ENTRYPOINT"), r#"["countersign"]"#);
    assert_eq!(the("CMD"), r#"["serve"]"#);
    let check = the("HEALTHCHECK");
    assert!(check.ends_with(r#"CMD ["countersign", "healthcheck"]"#), "{check}");
    for command in ["serve", "healthcheck", "migrate", "purge"] {
        let known = run(Command::new(env!("CARGO_BIN_EXE_countersign")).args([command, "--help"]), "");
        assert!(known.is_ok(), "{command}: {known:?}");
    }
}

#[test]
fn its_settings_exist_and_nothing_starts_half_configured() {
    let (manual, environment) = (manual(), the("ENV"));
    let variables: Vec<_> = environment.split(' ').map(|pair| pair.split_once('=').unwrap()).collect();
    let variables: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for (variable, _) in &variables {
        let setting = setting(variable).unwrap();
        assert!(manual.contains_key(&setting) && !is_secret(&setting), "{setting}");
    }
    let complaint = config_check(variables.iter().map(|(name, value)| (name, value))).unwrap_err();
    for setting in ["database.url", "cache.url", "secrets.root_key", "token.issuer"] {
        assert!(complaint.contains(&format!("- {setting} (")), "{complaint}");
    }
    let listened = |setting: &str| {
        let value = &variables.iter().find(|(name, _)| name.ends_with(setting)).unwrap().1;
        value.strip_prefix("0.0.0.0:").unwrap().to_owned()
    };
    assert_eq!(the("EXPOSE"), format!("{} {}", listened("GRPC__LISTEN"), listened("HTTP__LISTEN")));
}
