//! What comes out: one line per figure, `name value unit ratio`, with the verdict on its budget, and the same as JSON.
#![expect(clippy::print_stdout, reason = "printing figures is what a benchmark is for")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Result;

/// One figure.
pub(crate) struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    ratio: Option<f64>,
    budget: Option<Budget>,
    remark: Option<String>,
}

/// What a figure must keep to. Where a figure has a ratio the budget is for that, else for its value.
#[derive(Clone, Copy)]
pub(crate) enum Budget {
    AtLeast(f64),
    AtMost(f64),
}

impl Figure {
    pub(crate) fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, ratio: None, budget: None, remark: None }
    }

    /// What it is compared with, as a quotient.
    pub(crate) fn ratio(self, ratio: f64) -> Self {
        Self { ratio: Some(ratio), ..self }
    }

    pub(crate) fn budget(self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// A reservation that a reader should know of.
    pub(crate) fn remark(self, remark: Option<String>) -> Self {
        Self { remark, ..self }
    }

    /// Whether it keeps to its budget, if it has one.
    fn met(&self) -> Option<bool> {
        let judged = self.ratio.unwrap_or(self.value);
        self.budget.map(|budget| match budget {
            Budget::AtLeast(bound) => judged >= bound,
            Budget::AtMost(bound) => judged <= bound,
        })
    }

    fn line(&self) -> String {
        let ratio = self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let verdict = match (self.budget, self.met()) {
            (Some(budget), Some(met)) => format!("{} ({budget})", if met { "met" } else { "MISSED" }),
            _ => "-".to_owned(),
        };
        let remark = self.remark.as_ref().map_or_else(String::new, |remark| format!("  # {remark}"));
        let line =
            format!("{:<32} {:>10} {:<9} {ratio:>6}  {verdict}{remark}", self.name, short(self.value), self.unit);
        line.trim_end().to_owned()
    }

    fn json(&self) -> Value {
        let budget = self.budget.map(|budget| match budget {
            Budget::AtLeast(bound) => json!({ "at_least": bound }),
            Budget::AtMost(bound) => json!({ "at_most": bound }),
        });
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "ratio": self.ratio,
            "budget": budget,
            "met": self.met(),
            "remark": self.remark,
        })
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::AtMost(bound) => write!(f, "<= {bound}"),
        }
    }
}

/// A number with about four digits that mean something.
fn short(value: f64) -> String {
    let decimals = if value >= 1000.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        3
    };
    format!("{value:.decimals$}")
}

/// All figures of a run.
pub(crate) struct Report(Vec<Figure>);

impl Report {
    /// Begins with the names of the columns.
    pub(crate) fn new() -> Self {
        println!("{:<32} {:>10} {:<9} {:>6}  budget", "name", "value", "unit", "ratio");
        Self(Vec::new())
    }

    /// Prints a figure as soon as it is there.
    pub(crate) fn add(&mut self, figure: Figure) {
        println!("{}", figure.line());
        self.0.push(figure);
    }

    /// Writes the JSON.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let figures: Vec<Value> = self.0.iter().map(Figure::json).collect();
        let text = serde_json::to_string_pretty(&json!({ "figures": figures }))?;
        fs::write(path, text + "\n").map_err(|error| format!("{} cannot be written: {error}", path.display()).into())
    }

    /// The figures that miss their budget.
    pub(crate) fn missed(&self) -> Vec<&'static str> {
        self.0.iter().filter(|figure| figure.met() == Some(false)).map(|figure| figure.name).collect()
    }
}
