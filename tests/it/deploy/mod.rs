//! What it is deployed with: the Helm chart, rendered by the real Helm library and held against the schemas of Kubernetes, the
//! image's recipe, the compose file, and the workflows.

mod chart;
mod compose;
mod image;
mod manifests;
mod packed;
mod reached;
mod refusals;
mod started;
mod upgrade;
mod workflows;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::led_to;

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a file of the repository says.
#[track_caller]
fn text(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Python with Helm, and what else knows the shapes of such files.
fn python() -> Option<PathBuf> {
    led_to("COUNTERSIGN_TEST_HELM_PYTHON")
}

/// Runs a program to its end: what it printed if it went well, else what it complained of.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(said(&output.stdout))
    } else {
        Err(format!("{}{}", said(&output.stdout), said(&output.stderr)))
    }
}

/// Reads YAML with every scalar as a text, as compose files and workflows are written, and with `<<` for what is shared.
const AS_JSON: &str = r#"
import json, re, sys, yaml
class Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile("^<<$"))]}
json.dump(yaml.load(open(sys.argv[1]), Loader), sys.stdout)
"#;

/// A YAML file as JSON.
fn yaml(python: &Path, path: &str) -> Value {
    let read = run(Command::new(python).args(["-c", AS_JSON]).arg(file(path)), "");
    serde_json::from_str(&read.unwrap_or_else(|error| panic!("{path}: {error}"))).unwrap()
}

/// Every setting of the manual with its default, by its dotted name.
fn manual() -> BTreeMap<String, toml::Value> {
    fn flatten(prefix: &str, table: toml::Table, into: &mut BTreeMap<String, toml::Value>) {
        for (name, value) in table {
            match value {
                toml::Value::Table(inner) => flatten(&format!("{prefix}{name}."), inner, into),
                leaf => drop(into.insert(format!("{prefix}{name}"), leaf)),
            }
        }
    }
    let mut found = BTreeMap::new();
    flatten("", countersign::config::Config::manual().parse().unwrap(), &mut found);
    found
}

/// The setting that a variable sets, if it is one of ours.
fn setting(variable: &str) -> Option<String> {
    variable.strip_prefix("COUNTERSIGN__").map(|rest| rest.to_ascii_lowercase().replace("__", "."))
}

/// Whether a setting holds a secret itself, rather than the place of one.
fn is_secret(setting: &str) -> bool {
    manual().contains_key(&format!("{setting}_file"))
}

/// What the program says of a configuration that consists of these variables and nothing else.
fn config_check<'v>(variables: impl IntoIterator<Item = (&'v String, &'v String)>) -> Result<String, String> {
    run(Command::new(env!("CARGO_BIN_EXE_countersign")).args(["config", "check"]).env_clear().envs(variables), "")
}
