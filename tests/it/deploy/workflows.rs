//! The workflows for GitHub: of the right shape, with no more rights than they need, and of commands that exist.

use std::process::Command;

use serde_json::Value;

use super::manifests::items;
use super::{file, python, run, yaml};

const WORKFLOWS: &[&str] = &[".github/workflows/ci.yml", ".github/workflows/release.yml"];

#[test]
fn they_are_what_github_expects() {
    let Some(python) = python() else { return };
    let mut check = Command::new(python.with_file_name("check-jsonschema"));
    check.args(["--builtin-schema", "vendor.github-workflows"]).args(WORKFLOWS.iter().map(|path| file(path)));
    run(&mut check, "").unwrap_or_else(|complaint| panic!("{complaint}"));
}

#[test]
fn nobody_else_can_make_them_do_anything() {
    let Some(python) = python() else { return };
    let mut audit = Command::new(python.with_file_name("zizmor"));
    run(audit.args(["--offline", "--quiet"]).arg(file(".github")), "")
        .unwrap_or_else(|complaint| panic!("{complaint}"));
}

/// Looks at every job and each of its steps.
fn each(mut look: impl FnMut(&str, &Value, &[&Value])) {
    let Some(python) = python() else { return };
    for path in WORKFLOWS {
        let workflow = yaml(&python, path);
        assert_eq!(workflow["permissions"], serde_json::json!({"contents": "read"}), "{path}");
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            let steps: Vec<_> = items(&job["steps"]).collect();
            assert!(!steps.is_empty(), "{path}, {name}");
            look(&format!("{path}, {name}"), job, &steps);
        }
    }
}

#[test]
fn they_have_no_more_rights_than_they_need() {
    each(|place, job, steps| {
        assert!(job["timeout-minutes"].is_string(), "{place} may run for ever");
        let rights = job["permissions"].as_object().cloned().unwrap_or_default();
        let writes = |right: &str| rights.get(right).is_some_and(|level| level == "write");
        let uses =
            |wanted: &str| steps.iter().any(|step| step["uses"].as_str().unwrap_or_default().starts_with(wanted));
        assert!(!place.contains("ci.yml") || rights.is_empty(), "{place} only reads");
        assert_eq!(writes("attestations"), uses("actions/attest-build-provenance@"), "{place}");
        assert_eq!(writes("id-token"), writes("attestations"), "{place}");
        assert_eq!(writes("contents"), place.ends_with(", release"), "{place}");
        for step in steps {
            let action = step["uses"].as_str().unwrap_or_default();
            if action.starts_with("actions/checkout@") {
                assert_eq!(step["with"]["persist-credentials"], "false", "{place}: the token stays behind");
            }
            if let Some((_, release)) = action.split_once('@') {
                let pinned = release.strip_prefix('v').is_some_and(|major| major.parse::<u32>().is_ok())
                    || (release.len() == 40 && release.bytes().all(|byte| byte.is_ascii_hexdigit()));
                assert!(pinned, "{place}: {action}");
            }
            // What somebody else may choose, such as the name of a branch, is never part of a script.
            assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{place}: {step}");
        }
    });
}

#[test]
fn their_commands_exist() {
    let mut found = Vec::new();
    each(|place, _, steps| {
        for script in steps.iter().filter_map(|step| step["run"].as_str()) {
            for word in script.split(|c: char| c.is_whitespace() || "\"';()|&<>".contains(c)) {
                let ours = ["scripts/", "examples/", "tests/", "helm/", ".ci/"];
                if !ours.iter().any(|folder| word.starts_with(folder)) || word.contains("/made/") {
                    continue;
                }
                let exists = match word.split_once('*') {
                    None => file(word).exists(),
                    Some((folder, end)) => std::fs::read_dir(file(folder))
                        .unwrap()
                        .any(|entry| entry.unwrap().file_name().to_string_lossy().ends_with(end)),
                };
                assert!(exists, "{place}: there is no {word}");
                found.push(word.to_owned());
            }
        }
    });
    if !found.is_empty() {
        for command in ["scripts/test", "scripts/try-image", "examples/compose/prepare", "helm/countersign"] {
            assert!(found.iter().any(|word| word == command), "nothing runs {command}");
        }
    }
}

/// What the workflows call has its parts: cargo's subcommands with these arguments, and the stages of the image.
#[test]
fn the_release_takes_the_program_from_the_image() {
    let Some(python) = python() else { return };
    let release = yaml(&python, ".github/workflows/release.yml");
    let targets = items(&release["jobs"]["image"]["steps"]).filter_map(|step| step["with"]["target"].as_str());
    let stages = super::text("Dockerfile");
    for target in targets.chain(["program"]) {
        assert!(stages.lines().any(|line| line.starts_with("FROM ") && line.ends_with(&format!(" AS {target}"))));
    }
    let shell = super::text("scripts/try-image");
    assert!(shell.starts_with("#!/usr/bin/env bash\n"));
    for script in ["scripts/try-image", "scripts/test", "scripts/with-services", "examples/compose/prepare"] {
        run(Command::new("bash").arg("-n").arg(file(script)), "").unwrap();
    }
}
