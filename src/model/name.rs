//! What people are called: any script, but nothing that changes how the text around it is shown.

/// The longest name, in bytes.
const LONGEST: usize = 128;

/// Why a text is no name. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Longer than a name is kept.
    #[error("must be at most {LONGEST} bytes")]
    TooLong,
    /// A line break, a zero byte and the like.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// A separator of lines, or an override of the direction.
    #[error("must not contain characters that break lines or turn the direction of writing")]
    Steering,
}

/// Reads a given or a family name, or an empty text. What surrounds it is left out.
pub fn parse_name(text: &str) -> Result<String, InvalidName> {
    let name = text.trim();
    if name.len() > LONGEST {
        return Err(InvalidName::TooLong);
    }
    if name.chars().any(char::is_control) {
        return Err(InvalidName::ControlCharacter);
    }
    if name.chars().any(steers) { Err(InvalidName::Steering) } else { Ok(name.to_owned()) }
}

/// Whether a character changes how the text around it is shown. Joiners and the marks of direction, which Persian needs, do
/// not.
const fn steers(character: char) -> bool {
    matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
