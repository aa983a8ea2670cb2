//! Checks the shape of a configuration against the schema: unknown keys, missing keys, types, ranges, words.
//!
//! Serde would stop at the first mistake and name no line; this goes on and names them all.

use serde_json::Value as Json;
use toml::Value;

use super::problem::{Origins, Problem, element, member};
use super::schema;

/// Every mistake of shape in `value`.
pub(super) fn check(schema: &Json, value: &Value, origins: &Origins) -> Vec<Problem> {
    let mut shape = Shape { origins, problems: Vec::new() };
    shape.value(schema, value, "");
    shape.problems
}

struct Shape<'a> {
    origins: &'a Origins,
    problems: Vec<Problem>,
}

impl Shape<'_> {
    fn problem(&mut self, key: &str, message: String, next: String) {
        self.problems.push(Problem { place: self.origins.of(key), key: key.into(), message, next });
    }

    fn value(&mut self, schema: &Json, value: &Value, key: &str) {
        let found = schema::type_of(value);
        if !schema::accepts(schema, found) {
            let expected = expected(schema);
            let message = format!("expected {expected}, found {}", in_words(found));
            return self.problem(key, message, format!("write {expected}"));
        }
        match value {
            Value::Table(table) => self.table(schema, table, key),
            Value::Array(list) => self.list(schema, list, key),
            Value::String(text) => self.word(schema, text, key),
            Value::Integer(_) | Value::Float(_) => self.number(schema, value, key),
            Value::Boolean(_) | Value::Datetime(_) => {}
        }
    }

    fn table(&mut self, schema: &Json, table: &toml::Table, key: &str) {
        for (name, value) in table {
            let key = member(key, name);
            let below = schema::property(schema, name);
            if below.is_null() {
                self.unknown(&key, name, &schema::names(schema));
            } else {
                self.value(below, value, &key);
            }
        }
        for name in schema::required(schema).into_iter().filter(|name| !table.contains_key(*name)) {
            let what = schema::property(schema, name).get("description").and_then(Json::as_str);
            let next = format!("add `{name}`: {}", what.unwrap_or("see config/default.toml"));
            self.problem(&member(key, name), "this key is missing".into(), next);
        }
        let one_of = schema.get("maxProperties").is_some();
        if one_of && table.len() != 1 {
            let names = schema::names(schema).join("` and `");
            self.problem(
                key,
                format!("expected exactly one of `{names}`"),
                format!("write {}", expected(schema)),
            );
        }
    }

    fn unknown(&mut self, key: &str, name: &str, known: &[&str]) {
        let message = match nearest(name, known) {
            Some(nearest) => format!("unknown key `{name}`; the nearest known key is `{nearest}`"),
            None => format!("unknown key `{name}`"),
        };
        let next = format!("correct or remove it; known here: {}", known.join(", "));
        self.problem(key, message, next);
    }

    fn list(&mut self, schema: &Json, list: &[Value], key: &str) {
        let bound = |name: &str| {
            schema.get(name).and_then(Json::as_u64).and_then(|bound| usize::try_from(bound).ok())
        };
        let (min, max) = (bound("minItems").unwrap_or(0), bound("maxItems").unwrap_or(usize::MAX));
        if list.len() < min || list.len() > max {
            let room = if max == usize::MAX { format!("{min} or more") } else { format!("{min} to {max}") };
            let message = format!("expected {room} elements, found {}", list.len());
            self.problem(key, message, format!("list {room}"));
        }
        for (index, value) in list.iter().enumerate() {
            self.value(schema::items(schema), value, &element(key, index));
        }
    }

    fn word(&mut self, schema: &Json, text: &str, key: &str) {
        let words = schema::words(schema);
        if let Some(nearest) = nearest(text, &words)
            && !words.contains(&text)
        {
            let message = format!("`{text}` is none of `{}`; the nearest is `{nearest}`", words.join("`, `"));
            self.problem(key, message, format!("write one of `{}`", words.join("`, `")));
        }
    }

    fn number(&mut self, schema: &Json, value: &Value, key: &str) {
        #[expect(clippy::cast_precision_loss, reason = "no bound of ours needs more than 52 bits")]
        let number = value.as_float().or_else(|| value.as_integer().map(|n| n as f64)).unwrap_or(0.0);
        let bound = |name: &str| schema.get(name).and_then(Json::as_f64);
        let (min, max) = (bound("minimum"), bound("maximum"));
        if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
            let range = match (min, max) {
                (Some(min), Some(max)) => format!("{min} to {max}"),
                (Some(min), None) => format!("{min} or more"),
                (None, max) => format!("at most {}", max.unwrap_or(f64::MAX)),
            };
            self.problem(key, format!("{value} is out of range: expected {range}"), format!("write {range}"));
        }
    }
}

fn expected(schema: &Json) -> String {
    if schema.get("maxProperties").is_some() {
        return "a text, { env = \"NAME\" } or { file = \"path\" }".into();
    }
    let words = schema::words(schema);
    if !words.is_empty() {
        return format!("one of `{}`", words.join("`, `"));
    }
    let types: Vec<_> = schema::types(schema).into_iter().map(in_words).collect();
    types.join(" or ")
}

fn in_words(type_name: &str) -> &str {
    match type_name {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        other => other,
    }
}

/// The word of `known` that needs the fewest edits to become `name`.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().copied().min_by_key(|word| distance(name, word))
}

/// Edits (insert, remove, replace) between two words.
fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in two.iter().enumerate() {
            let replace = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[two.len()]
}
