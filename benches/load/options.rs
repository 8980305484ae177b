//! What was asked for on the command line.

use crate::{
    Result, check, codes, footprint, http, introspect, local_verify, passwords, propagation, refresh, revocations,
    scale, unary, watch,
};

/// The names of all figures.
const KNOWN: &[&[&str]] = &[
    footprint::FIGURES,
    introspect::FIGURES,
    unary::FIGURES,
    check::FIGURES,
    http::FIGURES,
    revocations::FIGURES,
    watch::FIGURES,
    local_verify::FIGURES,
    passwords::FIGURES,
    refresh::FIGURES,
    codes::FIGURES,
    propagation::FIGURES,
    scale::FIGURES,
];

/// What was asked for.
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) check: bool,
    pub(crate) profile: bool,
    figures: Vec<String>,
}

impl Options {
    /// Reads the command line; nothing comes of it where the program was not started as a benchmark, as `cargo test
    /// --all-targets` does.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut options = Self { quick: false, check: false, profile: false, figures: Vec::new() };
        let mut is_benchmark = false;
        for argument in arguments {
            match argument.as_str() {
                "--bench" => is_benchmark = true,
                "--quick" => options.quick = true,
                "--check" => options.check = true,
                "--profile" => options.profile = true,
                name if KNOWN.concat().contains(&name) => options.figures.push(argument),
                _ => {
                    return Err(
                        format!("{argument} is not known. The figures are: {}", KNOWN.concat().join(", ")).into()
                    );
                }
            }
        }
        Ok(is_benchmark.then_some(options))
    }

    /// Whether one of these figures is asked for. Those that are measured together are printed together.
    pub(crate) fn wants(&self, figures: &[&str]) -> bool {
        self.figures.is_empty() || self.figures.iter().any(|asked| figures.contains(&asked.as_str()))
    }
    /// Whether the large database is asked for, which nobody gets unasked.
    pub(crate) fn wants_scale(&self) -> bool {
        self.figures.iter().any(|asked| asked == scale::NAME)
    }
}
