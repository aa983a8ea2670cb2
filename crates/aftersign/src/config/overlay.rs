//! Lays the user's file over the defaults, and the environment over both.
//!
//! A variable's value is read as TOML where that gives the type which the key wants, else as plain text: an API
//! key of digits stays a text, and `{ env = "NAME" }` stays a reference.

use serde_json::Value as Json;
use toml::{Table, Value};

use super::problem::{Origins, Place, Problem, element, member};
use super::schema;

/// What every variable of the overlay begins with.
const PREFIX: &str = "AFTERSIGN__";

/// Lays `upper` over `lower`: tables merge, everything else is replaced.
pub(super) fn merge(lower: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                lower.insert(key, value);
            }
        }
    }
}

/// Lays the variables over `table`. Parents come before their members, whatever order they were given in.
pub(super) fn apply<'a>(
    table: &mut Table,
    origins: &mut Origins,
    schema: &Json,
    variables: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<Problem> {
    let mut ours: Vec<_> = variables
        .filter_map(|(name, value)| {
            let start = name.get(..PREFIX.len())?;
            let path = name.get(PREFIX.len()..)?.to_ascii_lowercase();
            start.eq_ignore_ascii_case(PREFIX).then_some((segments(&path), name, value))
        })
        .collect();
    ours.sort();
    let mut problems = Vec::new();
    let mut root = Value::Table(std::mem::take(table));
    for (path, name, text) in ours {
        let mut key = String::new();
        if let Err(message) = set(&mut root, &mut key, schema, &path, text) {
            let next = "name the key as AFTERSIGN__SECTION__KEY, and lists by position from 0".into();
            problems.push(Problem { place: Place::Environment(name.into()), key, message, next });
        } else {
            origins.note(&key, Place::Environment(name.into()));
        }
    }
    if let Value::Table(merged) = root {
        *table = merged;
    }
    problems
}

/// A segment of a variable's name; numbers sort as numbers, so that element 10 follows element 9.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Segment {
    Index(usize),
    Name(String),
}

fn segments(path: &str) -> Vec<Segment> {
    let segment = |text: &str| match text.parse() {
        Ok(index) => Segment::Index(index),
        Err(_) => Segment::Name(text.into()),
    };
    path.split("__").map(segment).collect()
}

fn set(
    target: &mut Value,
    key: &mut String,
    schema: &Json,
    path: &[Segment],
    text: &str,
) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else {
        *target = read(text, schema);
        return Ok(());
    };
    let (child, below) = match (target, first) {
        (Value::Array(list), Segment::Index(index)) => {
            *key = element(key, *index);
            if *index > list.len() {
                return Err(format!("there is no element before it: the list has {}", list.len()));
            }
            let below = schema::items(schema);
            if *index == list.len() {
                list.push(empty(below));
            }
            (&mut list[*index], below)
        }
        (Value::Table(table), segment) => {
            let name = match segment {
                Segment::Name(name) => name.clone(),
                Segment::Index(index) => index.to_string(),
            };
            *key = member(key, &name);
            let below = schema::property(schema, &name);
            (table.entry(name).or_insert_with(|| empty(below)), below)
        }
        (Value::Array(_), Segment::Name(name)) => {
            return Err(format!("this is a list: `{name}` should be a position from 0"));
        }
        (_, _) => return Err("this key holds a single value, nothing lies below it".into()),
    };
    if !rest.is_empty() && !child.is_table() && !child.is_array() {
        // A reference that replaces an inline secret member by member begins anew.
        if !schema::accepts(below, "object") && !schema::accepts(below, "array") {
            return Err("this key holds a single value, nothing lies below it".into());
        }
        *child = empty(below);
    }
    set(child, key, below, rest, text)
}

/// The empty value of the shape that `schema` wants, for members to be set in.
fn empty(schema: &Json) -> Value {
    if schema::accepts(schema, "array") { Value::Array(Vec::new()) } else { Value::Table(Table::new()) }
}

fn read(text: &str, schema: &Json) -> Value {
    let plain = || Value::String(text.into());
    let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok().and_then(|mut table| {
        // More than one key means that the text broke out of its line.
        (table.len() == 1).then(|| table.remove("value")).flatten()
    });
    match parsed {
        Some(value) if schema::accepts(schema, schema::type_of(&value)) => value,
        Some(value) if !schema::accepts(schema, "string") => value,
        _ => plain(),
    }
}
