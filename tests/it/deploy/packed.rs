//! The chart as it leaves the repository, and its values beside what is said of them.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use super::manifests::render;
use super::{file, python, run, text, yaml};

/// In the repository the manual is a link to the program's own. In the archive it is the text.
#[test]
fn the_archive_has_the_manual_and_no_values_of_tests() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = "import helm_python, sys; p = helm_python.package(sys.argv[1], destination=sys.argv[2]); \
                   helm_python.expand(sys.argv[2], p); print(p)";
    let mut package = Command::new(python);
    package.args(["-c", program]).arg(file("helm/countersign")).arg(folder.path());
    let archive = run(&mut package, "").unwrap_or_else(|complaint| panic!("{complaint}"));
    assert!(archive.trim().ends_with(&format!("countersign-{}.tgz", env!("CARGO_PKG_VERSION"))), "{archive}");
    let unpacked = folder.path().join("countersign");
    let manual = unpacked.join("files/config.default.toml");
    assert!(!manual.is_symlink());
    assert_eq!(std::fs::read_to_string(manual).unwrap(), countersign::config::Config::manual());
    for part in ["README.md", "values.schema.json", "files/alerts.yaml", "files/dashboard.json", "templates/NOTES.txt"]
    {
        assert!(unpacked.join(part).is_file(), "{part} is missing");
    }
    assert!(!unpacked.join("ci").exists());
}

/// What the documentation begins with is rendered as it stands there.
#[test]
fn the_first_steps_are_sound() {
    let Some(python) = python() else { return };
    let page = text("docs/deployment.md");
    let (_, block) = page.split_once("```yaml\n").unwrap();
    let (values, _) = block.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.yaml");
    std::fs::write(&path, values).unwrap();

    let readme = text("README.md").replace("\\\n", " ");
    let command = readme.lines().find(|line| line.trim_start().starts_with("helm install ")).unwrap();
    let words: Vec<_> = command.split_whitespace().collect();
    let set: Vec<_> = words.windows(2).filter(|pair| pair[0] == "--set").map(|pair| pair[1]).collect();
    assert!(set.len() > 4, "{command}");

    let requests = [json!({"file": path.display().to_string()}), json!({"set": set})];
    for rendered in render(&python, &requests) {
        let manifests = rendered.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(manifests.of("Job").len(), 1);
    }
}

/// The names of every map of values that the schema knows, with dots, as far as both sides say which names there are.
fn names(schema: &Value, all: &Value, prefix: &str, into: &mut BTreeSet<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(place) => all.pointer(place.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    };
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let full = format!("{prefix}{name}");
        names(inner, all, &format!("{full}."), into);
        into.insert(full);
    }
}

/// Every map is strict, and `values.yaml` shows everything that the schema allows: it is the documentation.
#[test]
fn every_value_is_documented() {
    let Some(python) = python() else { return };
    let schema: Value = serde_json::from_str(&text("helm/countersign/values.schema.json")).unwrap();
    let values = yaml(&python, "helm/countersign/values.yaml");
    let mut allowed = BTreeSet::new();
    names(&schema, &schema, "", &mut allowed);
    assert!(allowed.len() > 100);
    // Where there is nothing to say by default: what a probe and a pod may have besides is Kubernetes' to document.
    let left_out = |name: &str| name == "global" || name.ends_with(".claims") || name.starts_with("probes.");
    for name in allowed.iter().filter(|name| !left_out(name)) {
        let shown = values.pointer(&format!("/{}", name.replace('.', "/")));
        assert!(shown.is_some(), "values.yaml says nothing of {name}");
    }
    strict(&schema, "");
}

/// No map with names of its own lets others in.
fn strict(schema: &Value, place: &str) {
    match schema {
        Value::Object(map) => {
            if map.get("properties").is_some_and(Value::is_object) {
                assert_eq!(map.get("additionalProperties"), Some(&Value::Bool(false)), "{place}");
            }
            for (name, inner) in map {
                strict(inner, &format!("{place}/{name}"));
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| strict(inner, place)),
        _ => {}
    }
}
