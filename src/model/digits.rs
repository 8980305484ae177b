//! Digits as keyboards of the world type them, and what people put between them.

/// The ASCII digit that an ASCII, Arabic-Indic, Persian or full-width one stands for.
#[must_use]
pub fn digit(character: char) -> Option<char> {
    let zero = match character {
        '0'..='9' => '0',
        '\u{660}'..='\u{669}' => '\u{660}',
        '\u{6f0}'..='\u{6f9}' => '\u{6f0}',
        '\u{ff10}'..='\u{ff19}' => '\u{ff10}',
        _ => return None,
    };
    char::from_digit(u32::from(character) - u32::from(zero), 10)
}

/// A plus, as wide or as small as a keyboard makes it.
pub(super) fn is_plus(character: char) -> bool {
    matches!(character, '+' | '\u{fe62}' | '\u{ff0b}')
}

/// What is written between digits and means nothing. Tabs and line breaks are not among it.
pub(super) fn is_decoration(character: char) -> bool {
    let space = matches!(character, ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}')
        || matches!(character, '\u{202f}' | '\u{205f}' | '\u{3000}');
    let dash = matches!(character, '-' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}')
        || matches!(character, '\u{2e3a}' | '\u{2e3b}' | '\u{301c}' | '\u{30fc}' | '\u{fe31}' | '\u{fe32}')
        || matches!(character, '\u{fe58}' | '\u{fe63}' | '\u{ff0d}');
    let mark = matches!(character, '.' | '\u{b7}' | '\u{ff0e}' | '/' | '\u{ff0f}')
        || matches!(character, '(' | ')' | '\u{ff08}' | '\u{ff09}');
    // Zero-width spaces and joiners, and the marks that text copied from a right-to-left page brings along.
    let invisible = matches!(character, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(character, '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    space || dash || mark || invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_of_any_keyboard_is_an_ascii_digit() {
        for digits in ["0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "０１２３４５６７８９"] {
            assert_eq!(digits.chars().filter_map(digit).collect::<String>(), "0123456789");
        }
        assert_eq!("a०²Ⅳ一\u{65f}\u{66a}\u{6ef}\u{6fa}\u{ff0f}\u{ff1a}".chars().find_map(digit), None);
    }

    #[test]
    fn decoration_is_neither_a_digit_nor_a_letter_nor_a_control_character() {
        // The Japanese length mark is a letter to Unicode and a dash in telephone numbers.
        for character in ('\0'..=char::MAX).filter(|character| *character != '\u{30fc}') {
            let means = character.is_alphanumeric() || character.is_control() || is_plus(character);
            assert!(!(means && is_decoration(character)), "{character:?}");
        }
    }
}
