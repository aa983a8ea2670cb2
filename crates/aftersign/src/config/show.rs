//! Shows the effective configuration, without its secrets.

use toml::{Table, Value};

use super::model::Config;

/// As TOML: sections as tables, lists of tables as such, everything below on one line each.
pub(crate) fn toml(config: &Config) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut push = |header: String, table: &Table| {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&header);
        for (key, value) in table {
            text.push_str(&format!("{key} = {value}\n"));
        }
    };
    let sections = Table::try_from(config)?;
    for (name, section) in &sections {
        match section {
            Value::Table(table) => push(format!("[{name}]\n"), table),
            Value::Array(list) => {
                for table in list.iter().filter_map(Value::as_table) {
                    push(format!("[[{name}]]\n"), table);
                }
            }
            other => push(String::new(), &Table::from_iter([(name.clone(), other.clone())])),
        }
    }
    Ok(text)
}
