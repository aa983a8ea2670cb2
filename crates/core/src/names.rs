//! Safe file and folder names from foreign text.
//!
//! A name that comes out is one path component: never empty, `.` or `..`, without separators, control
//! characters, characters or device names that Windows reserves, leading or trailing dots and spaces, and at
//! most [`FILE_NAME_BYTES_MAX`] minus [`FILE_NAME_BYTES_RESERVED`] bytes of UTF-8. A name that had to be
//! changed so much that two could become one bears a short digest of the original.

use crate::digest::Digest;
use crate::limits::{FILE_NAME_BYTES_MAX, FILE_NAME_BYTES_RESERVED};

/// Longest name that comes out, in bytes.
const BYTES_MAX: usize = FILE_NAME_BYTES_MAX - FILE_NAME_BYTES_RESERVED;

/// One safe path component for display purposes (a document's name): readable before unique.
pub fn safe_file_name(text: &str) -> String {
    let cleaned = clean(text);
    let (stem, ending) = crate::artifact::split_extension(&cleaned);
    let stem = guard_reserved(stem);
    let room = BYTES_MAX - ending.len();
    if stem.len() <= room {
        return format!("{stem}{ending}");
    }
    format!("{}~{}{ending}", cut(&stem, room - 9).trim_end(), short_digest(text))
}

/// One safe path component that stays unique: any change to the text adds a digest of the original.
pub fn safe_key(text: &str) -> String {
    let name = safe_file_name(text);
    if name == text { name } else { format!("{}~{}", cut(&name, BYTES_MAX - 9), short_digest(text)) }
}

fn clean(text: &str) -> String {
    let replaced: String = text.chars().map(|c| if is_unsafe(c) { '_' } else { c }).collect();
    let trimmed = replaced.trim_matches(|c: char| c == '.' || c.is_whitespace());
    if trimmed.is_empty() { "_".into() } else { trimmed.into() }
}

fn is_unsafe(c: char) -> bool {
    // Direction marks and zero-width characters make a name look like another one.
    let invisible =
        matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}');
    c.is_control() || invisible || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

fn guard_reserved(stem: &str) -> String {
    let device = stem.split('.').next().unwrap_or(stem).trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        device.strip_prefix(prefix).is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
    };
    let reserved = matches!(device.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT");
    if reserved { format!("_{stem}") } else { stem.into() }
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn short_digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()[..8].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_one_harmless_component() {
        for (text, safe) in [
            ("contract.pdf", "contract.pdf"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", "_"),
            ("", "_"),
            (" . ", "_"),
            ("a\0b\nc.pdf", "a_b_c.pdf"),
            ("CON.pdf", "_CON.pdf"),
            ("com1", "_com1"),
            ("Vertrag \u{202E}fdp.exe", "Vertrag _fdp.exe"),
            ("Übergabe – Nº 1.pdf", "Übergabe – Nº 1.pdf"),
            ("C:\\x", "C__x"),
        ] {
            assert_eq!(safe_file_name(text), safe, "{text:?}");
        }
    }

    #[test]
    fn long_names_stay_within_the_limit_keep_their_extension_and_stay_different() {
        let one = safe_file_name(&format!("{}1.pdf", "ü".repeat(300)));
        let two = safe_file_name(&format!("{}2.pdf", "ü".repeat(300)));
        assert!(one.len() <= BYTES_MAX && one.ends_with(".pdf"));
        assert_ne!(one, two);
    }

    #[test]
    fn keys_that_had_to_be_changed_stay_unique() {
        assert_eq!(
            safe_key("fa5c8a0b0f492d768749333ad6fcc214c111e967"),
            "fa5c8a0b0f492d768749333ad6fcc214c111e967"
        );
        assert_ne!(safe_key("a/b"), safe_key("a_b"));
        assert_ne!(safe_key("a/b"), safe_key("a\\b"));
    }
}
