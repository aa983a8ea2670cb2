//! What people read on standard output: aligned columns that fit the terminal, and JSON for machines.
//!
//! Foreign text (names, senders, errors) may hold control characters; they are replaced, so that no envelope's
//! name can steer a terminal.

use std::io::{self, IsTerminal, Write};

use aftersign_core::Timestamp;
use serde::Serialize;

/// Narrowest a column is made, in characters.
const COLUMN_CHARS_MIN: usize = 8;
/// Characters between two columns.
const GAP: usize = 2;

/// Rows under headers.
pub(crate) struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(headers: &[&'static str]) -> Self {
        Self { headers: headers.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with one cell per header.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }

    /// Writes it, cut to `width` characters if given.
    pub(crate) fn write(&self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        let widths = self.widths(width);
        let headers: Vec<String> = self.headers.iter().map(|header| (*header).into()).collect();
        for row in std::iter::once(&headers).chain(&self.rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let cell = cut(cell, *width);
                line.push_str(&format!("{cell:<width$}{:GAP$}", ""));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headers.iter().map(|header| header.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let Some(room) = width else { return widths };
        let gaps = GAP * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > room {
            match widths.iter_mut().max() {
                Some(widest) if *widest > COLUMN_CHARS_MIN => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The text on one line, without control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The terminal's width; `None` if the output goes elsewhere.
pub(crate) fn width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

/// A time for people, to the second.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time that may be absent.
pub(crate) fn maybe_time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".into(), time)
}

/// A text that may be absent.
pub(crate) fn maybe(text: Option<&str>) -> String {
    text.unwrap_or("-").into()
}

/// Writes a value as JSON.
pub(crate) fn json(out: &mut dyn Write, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Says below a list that there is more.
pub(crate) fn more(out: &mut dyn Write, next_cursor: Option<&str>) -> io::Result<()> {
    match next_cursor {
        Some(cursor) => writeln!(out, "\nmore with: --cursor {cursor}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(width: Option<usize>) -> String {
        let mut table = Table::new(&["ID", "NAME"]);
        table.row(["1".into(), "a long name\x1b[2J of an envelope".into()]);
        table.row(["22".into(), "short".into()]);
        let mut out = Vec::new();
        table.write(&mut out, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_no_text_steers_the_terminal() {
        assert_eq!(written(None), "ID  NAME\n1   a long name [2J of an envelope\n22  short\n");
    }

    #[test]
    fn a_table_fits_the_width_it_is_given() {
        let text = written(Some(20));
        assert_eq!(text, "ID  NAME\n1   a long name [2J…\n22  short\n");
        assert!(text.lines().all(|line| line.chars().count() <= 20));
    }
}
