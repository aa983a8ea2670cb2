//! Reads TOML and remembers on which line each key stands.
//!
//! Messages about syntax are passed on without the line's text, which the TOML library would print: it may hold
//! a secret.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Origins, Place, Problem, element, member};

/// A parsed file.
pub(super) struct Document {
    /// Its values.
    pub(super) table: toml::Table,
    /// Where they stand.
    pub(super) origins: Origins,
}

/// Reads `text`, which is the content of the file `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Document, Problem> {
    let wrong = |error: &toml::de::Error| Problem {
        place: place(path, text, error.span().map_or(0, |span| span.start)),
        key: String::new(),
        message: format!("this is not TOML: {}", error.message()),
        next: "correct the line; https://toml.io shows the syntax".into(),
    };
    let spans = DeTable::parse(text).map_err(|error| wrong(&error))?;
    let table = toml::from_str(text).map_err(|error| wrong(&error))?;
    let mut origins = Origins::new(path);
    let at = |offset| place(path, text, offset);
    note_table(&mut origins, "", spans.get_ref(), &at);
    Ok(Document { table, origins })
}

fn note_table(origins: &mut Origins, parent: &str, table: &DeTable<'_>, at: &dyn Fn(usize) -> Place) {
    for (name, value) in table {
        let key = member(parent, name.get_ref());
        origins.note(&key, at(name.span().start));
        note_value(origins, &key, value, at);
    }
}

fn note_value(origins: &mut Origins, key: &str, value: &Spanned<DeValue<'_>>, at: &dyn Fn(usize) -> Place) {
    match value.get_ref() {
        DeValue::Table(table) => note_table(origins, key, table, at),
        DeValue::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                let key = element(key, index);
                origins.note(&key, at(value.span().start));
                note_value(origins, &key, value, at);
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

fn place(path: &Path, text: &str, offset: usize) -> Place {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    Place::File {
        path: path.into(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}
