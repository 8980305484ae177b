//! The chart's manifests, asked for what tests want to know of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{file, run};

/// What a chart comes to, or the complaint about it.
pub(super) type Rendered = Result<Manifests, String>;

/// Everything that an installation consists of.
#[derive(Clone, Debug)]
pub(super) struct Manifests {
    all: Vec<Value>,
    pub notes: String,
}

/// Values to render the chart with: a file of `helm/countersign/ci`, others over it, and whether it is an upgrade.
pub(super) fn request(set: &str, values: &Value, upgrade: bool) -> Value {
    let path = file(&format!("helm/countersign/ci/{set}-values.yaml"));
    json!({ "file": path.display().to_string(), "values": values, "upgrade": upgrade })
}

/// Renders the chart once for each request. Whatever is rendered has been linted and held against the schemas.
pub(super) fn render(python: &Path, requests: &[Value]) -> Vec<Rendered> {
    let mut command = Command::new(python);
    command.arg(file("tests/helm/render.py")).arg(file("helm/countersign"));
    let answers = run(&mut command, &Value::from(requests).to_string()).unwrap_or_else(|error| panic!("{error}"));
    let answers: Vec<Value> = serde_json::from_str(&answers).unwrap();
    assert_eq!(answers.len(), requests.len());
    let rendered = answers.into_iter().map(|mut answer| match answer["error"].take() {
        Value::String(error) => Err(error),
        _ => Ok(Manifests {
            all: answer["manifests"].as_array().unwrap().clone(),
            notes: answer["notes"].as_str().unwrap().to_owned(),
        }),
    });
    rendered.collect()
}

/// Renders one set of values that is sound.
#[track_caller]
pub(super) fn sound(python: &Path, set: &str, values: &Value) -> Manifests {
    let rendered = render(python, &[request(set, values, false)]).pop().unwrap();
    rendered.unwrap_or_else(|error| panic!("{set}: {error}"))
}

impl Manifests {
    /// All of a kind.
    pub(super) fn of(&self, kind: &str) -> Vec<&Value> {
        self.all.iter().filter(|manifest| manifest["kind"] == kind).collect()
    }

    /// The one of a kind.
    #[track_caller]
    pub(super) fn the(&self, kind: &str) -> &Value {
        let found = self.of(kind);
        assert_eq!(found.len(), 1, "{kind}: {:?}", found.iter().map(|manifest| name(manifest)).collect::<Vec<_>>());
        found[0]
    }

    /// The one of a kind with a name.
    pub(super) fn named(&self, kind: &str, wanted: &str) -> Option<&Value> {
        self.of(kind).into_iter().find(|manifest| name(manifest) == wanted)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.all.iter()
    }

    /// Every template of a pod, with what it belongs to.
    pub(super) fn pods(&self) -> Vec<(&Value, &Value)> {
        let template = |manifest: &'_ Value| match manifest["kind"].as_str() {
            Some("Deployment" | "Job") => Some("/spec/template"),
            Some("CronJob") => Some("/spec/jobTemplate/spec/template"),
            _ => None,
        };
        let pods = self.all.iter().filter_map(|owner| Some((owner, owner.pointer(template(owner)?).unwrap())));
        pods.collect()
    }

    /// The variables of a pod's own container, wherever they stand.
    #[track_caller]
    pub(super) fn variables(pod: &Value) -> BTreeMap<String, String> {
        let container = &pod["spec"]["containers"][0];
        assert!(
            container["envFrom"].is_null(),
            "a pod that is started anew would read the settings of a later release"
        );
        items(&container["env"]).map(|variable| (said(&variable["name"]), said(&variable["value"]))).collect()
    }

    /// The files of a pod by their paths, with the Secret and the key that each comes from.
    pub(super) fn files(pod: &Value) -> BTreeMap<String, (String, String)> {
        let mut files = BTreeMap::new();
        let mut note = |folder: &str, secret: &Value, items_of: &Value| {
            for item in items(items_of) {
                files.insert(format!("{folder}/{}", said(&item["path"])), (said(secret), said(&item["key"])));
            }
        };
        for mount in items(&pod["spec"]["containers"][0]["volumeMounts"]) {
            let volume = items(&pod["spec"]["volumes"]).find(|volume| volume["name"] == mount["name"]);
            let volume = volume.unwrap_or_else(|| panic!("{} is mounted but nowhere", mount["name"]));
            let folder = said(&mount["mountPath"]);
            note(&folder, &volume["secret"]["secretName"], &volume["secret"]["items"]);
            for source in items(&volume["projected"]["sources"]) {
                note(&folder, &source["secret"]["name"], &source["secret"]["items"]);
            }
        }
        files
    }

    /// What a Secret of the chart's own says under a key; none where it comes from elsewhere.
    pub(super) fn secret(&self, name: &str, key: &str) -> Option<String> {
        let encoded =
            self.named("Secret", name)?["data"][key].as_str().unwrap_or_else(|| panic!("{name} has no {key}"));
        Some(String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap())
    }
}

pub(super) fn name(manifest: &Value) -> &str {
    manifest["metadata"]["name"].as_str().unwrap()
}

/// The items of a list that may be absent.
pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A text that must be there.
#[track_caller]
pub(super) fn said(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Whether every label that a selector wants is there.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().unwrap();
    !wanted.is_empty() && wanted.iter().all(|(label, value)| labels[label] == *value)
}
