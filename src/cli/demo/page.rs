//! How the walk looks: headings, calls, aligned rows, and a sentence on why it matters. Colours only on a terminal.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const ITALIC: &str = "\x1b[3m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// What is printed on.
pub(super) struct Page {
    coloured: bool,
    steps: Cell<u32>,
}

impl Page {
    /// Standard output.
    pub(super) fn on_stdout() -> Self {
        let coloured = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { coloured, steps: Cell::new(0) }
    }

    /// What all of it is about.
    pub(super) fn title(&self, circumstances: &str) {
        let name = self.styled(BOLD, concat!("Countersign ", env!("CARGO_PKG_VERSION")));
        print(format_args!("{name}  sessions and people, {circumstances}\n"));
    }

    /// The next step.
    pub(super) fn step(&self, heading: &str) {
        self.steps.set(self.steps.get() + 1);
        print(format_args!("\n{}\n", self.styled(BOLD, &format!("{}  {heading}", self.steps.get()))));
    }

    /// What was called, with what, and how long the answer took.
    pub(super) fn call(&self, rpc: &str, with: &str, took: Duration) {
        let took = self.styled(DIM, &milliseconds(took));
        print(format_args!("   {}{with:<26}{took}\n", self.styled(GREEN, &format!("{rpc:<33}"))));
    }

    /// Something that came back.
    pub(super) fn row(&self, name: &str, value: &dyn Display) {
        print(format_args!("     {}{value}\n", self.styled(DIM, &format!("{name:<15}"))));
    }

    /// A row that somebody completes.
    pub(super) fn ask(&self, name: &str, question: &str) {
        print(format_args!("     {}{question}", self.styled(DIM, &format!("{name:<15}"))));
    }

    /// Why it matters.
    pub(super) fn why(&self, text: &str) {
        print(format_args!("   {}\n", self.styled(ITALIC, text)));
    }

    /// Ends a line.
    pub(super) fn end_line() {
        print(format_args!("\n"));
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.coloured { format!("{style}{text}{PLAIN}") } else { text.to_owned() }
    }
}

/// Whoever has stopped reading, as `head` does, misses nothing.
fn print(text: std::fmt::Arguments<'_>) {
    let mut output = stdout().lock();
    let _ = output.write_fmt(text).and_then(|()| output.flush());
}

/// A span, to a hundredth of a millisecond.
pub(super) fn milliseconds(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1_000.0)
}

/// Enough of a token to tell it from others, and too little to use it: all of a session's tokens begin alike.
pub(super) fn shortened(token: &str) -> String {
    const SHOWN: usize = 6;
    match (token.get(..SHOWN), token.len().checked_sub(SHOWN).and_then(|at| token.get(at..))) {
        (Some(start), Some(end)) if token.len() > 8 * SHOWN => format!("{start}…{end}"),
        _ => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown_whole() {
        let token = format!("csr_AA{}zyxwvu", "-".repeat(60));
        assert_eq!(shortened(&token), "csr_AA…zyxwvu");
        assert_eq!(shortened("csr_short"), "…");
        assert_eq!(shortened(""), "…");
    }
}
