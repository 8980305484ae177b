//! Where settings come from: the documented defaults, a file over them, the environment over both. Knows which names there
//! are and who set what; what the values mean is left to `config.rs`.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

use super::secrets::SecretFiles;

/// The variables that set something begin with this.
pub(super) const PREFIX: &str = "COUNTERSIGN__";
/// The defaults, which are also the list of all names.
pub(super) const DEFAULTS: &str = include_str!("../config.default.toml");

/// Who set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Defaults,
    File(String),
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("the defaults"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which setting.
    pub setting: String,
    /// Who set it.
    pub origin: String,
    /// What is wrong with it.
    pub fault: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.setting, self.origin, self.fault)
    }
}

/// Every setting by its dotted name, with its value and who set it.
pub(super) struct Settings {
    values: BTreeMap<String, (Value, Origin)>,
    pub(super) problems: Vec<Problem>,
    pub(super) secret_files: SecretFiles,
}

impl Settings {
    /// Lays the sources over one another. What is unknown or of the wrong type is a problem, and the default stays.
    pub(super) fn gather(file: Option<(&str, &str)>, environment: impl Iterator<Item = (String, String)>) -> Self {
        let mut settings = Self { values: BTreeMap::new(), problems: Vec::new(), secret_files: SecretFiles::default() };
        match DEFAULTS.parse::<Table>() {
            Ok(defaults) => flatten("", &defaults, &mut |name, value| {
                settings.values.insert(name, (value.clone(), Origin::Defaults));
            }),
            Err(error) => settings.complain("config.default.toml", &Origin::Defaults, error.to_string()),
        }
        if let Some((path, text)) = file {
            settings.lay_file_over(path, text);
        }
        for (variable, text) in environment {
            if let Some(rest) = variable.strip_prefix(PREFIX) {
                let name = rest.to_ascii_lowercase().replace("__", ".");
                settings.lay_text_over(&name, &text, Origin::Variable(variable));
            }
        }
        settings
    }

    fn lay_file_over(&mut self, path: &str, text: &str) {
        let origin = Origin::File(path.to_owned());
        let table = match text.parse::<Table>() {
            Ok(table) => table,
            Err(error) => {
                return self.complain("the whole file", &origin, format!("is not TOML: {}", error.message()));
            }
        };
        let mut found = Vec::new();
        flatten("", &table, &mut |name, value| found.push((name, value.clone())));
        for (name, value) in found {
            match self.values.get_mut(&name) {
                None => self.complain(&name, &origin, "there is no such setting".to_owned()),
                Some(_) if value.as_array().is_some_and(|items| !items.iter().all(Value::is_str)) => {
                    self.complain(&name, &origin, "must be a list of texts".to_owned());
                }
                Some((current, set_by)) if current.same_type(&value) => {
                    *current = value;
                    *set_by = origin.clone();
                }
                Some((current, _)) => {
                    let fault = format!("must be {}, not {}", type_name(current), type_name(&value));
                    self.complain(&name, &origin, fault);
                }
            }
        }
    }

    fn lay_text_over(&mut self, name: &str, text: &str, origin: Origin) {
        let Some((current, _)) = self.values.get(name) else {
            return self.complain(name, &origin, "there is no such setting".to_owned());
        };
        let value = match current {
            Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
            Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
            Value::Array(_) => Some(Value::Array(
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect(),
            )),
            _ => Some(Value::from(text)),
        };
        match value {
            Some(value) => {
                self.values.insert(name.to_owned(), (value, origin));
            }
            None => {
                let fault = format!("must be {}", type_name(current));
                self.complain(name, &origin, fault);
            }
        }
    }

    /// A text, trimmed.
    pub(super) fn text(&self, name: &str) -> &str {
        self.values.get(name).and_then(|(value, _)| value.as_str()).unwrap_or_default().trim()
    }

    /// A whole number within bounds.
    pub(super) fn number<T: TryFrom<i64>>(&mut self, name: &str, bounds: std::ops::RangeInclusive<i64>) -> Option<T> {
        let number = self.values.get(name).and_then(|(value, _)| value.as_integer()).unwrap_or_default();
        let read = Some(number).filter(|number| bounds.contains(number)).and_then(|number| T::try_from(number).ok());
        if read.is_none() {
            self.fault(name, format!("must be from {} to {}", bounds.start(), bounds.end()));
        }
        read
    }

    /// Yes or no.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.values.get(name).and_then(|(value, _)| value.as_bool()).unwrap_or_default()
    }

    /// A list of texts.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let items = self.values.get(name).and_then(|(value, _)| value.as_array());
        items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// A text that is read by its own type's rules.
    pub(super) fn parsed<T>(&mut self, name: &str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        match self.text(name).parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(name, error.to_string());
                None
            }
        }
    }

    /// A secret: by value, or from the file that `…_file` names.
    pub(super) fn secret(&mut self, name: &str) -> String {
        let file_setting = format!("{name}_file");
        let path = self.text(&file_setting).to_owned();
        let by_value = self.text(name).to_owned();
        if path.is_empty() {
            return by_value;
        }
        let by_default = matches!(self.values.get(name), Some((_, Origin::Defaults)));
        if !by_value.is_empty() && !by_default {
            self.fault(&file_setting, format!("`{name}` is set as well; set one of the two"));
        }
        match std::fs::read_to_string(&path) {
            // Whoever writes it may have emptied it first; what was meant to be secret must not be switched off by that.
            Ok(text) if text.trim().is_empty() => {
                self.fault(&file_setting, format!("there is nothing in {path}"));
                String::new()
            }
            Ok(text) => {
                self.secret_files.note(name, &path, text.trim());
                text.trim().to_owned()
            }
            Err(error) => {
                self.fault(&file_setting, format!("cannot read {path}: {error}"));
                String::new()
            }
        }
    }

    /// Notes that a setting's value is wrong.
    pub(super) fn fault(&mut self, name: &str, fault: String) {
        let origin = self.values.get(name).map_or(Origin::Defaults, |(_, origin)| origin.clone());
        self.complain(name, &origin, fault);
    }

    fn complain(&mut self, setting: &str, origin: &Origin, fault: String) {
        self.problems.push(Problem { setting: setting.to_owned(), origin: origin.to_string(), fault });
    }
}

/// Visits every leaf with its dotted name.
fn flatten(prefix: &str, table: &Table, visit: &mut impl FnMut(String, &Value)) {
    for (name, value) in table {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&name, inner, visit),
            leaf => visit(name, leaf),
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
        Value::String(_) => "a text",
        Value::Float(_) => "a fraction",
        Value::Datetime(_) => "a date",
    }
}
