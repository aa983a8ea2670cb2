//! The JSON Schema of the config file, made from the model's types, and the little of JSON Schema that our own
//! checks need.
//!
//! A key that the compiled-in defaults hold is not required, and the schema names its default.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json};
use toml::Value;

use super::model::Config;

/// The schema, with `defaults` (the parsed `config/default.toml`) worked in.
pub(super) fn schema(defaults: &toml::Table) -> Json {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    drop_null(&mut schema);
    work_in(&mut schema, defaults);
    if let Json::Object(object) = &mut schema {
        object.insert("title".into(), "aftersign.toml".into());
    }
    schema
}

/// TOML has no null: an optional key is one that may be left out.
fn drop_null(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            if let Some(Json::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Json::Array(variants)) = object.get_mut("anyOf") {
                variants.retain(|variant| variant.get("type").is_none_or(|name| name != "null"));
                if let [Json::Object(only)] = variants.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            if object.get("default").is_some_and(Json::is_null) {
                object.remove("default");
            }
            object.values_mut().for_each(drop_null);
        }
        Json::Array(list) => list.iter_mut().for_each(drop_null),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn work_in(schema: &mut Json, defaults: &toml::Table) {
    if let Some(Json::Array(required)) = schema.get_mut("required") {
        required.retain(|name| name.as_str().is_some_and(|name| !defaults.contains_key(name)));
    }
    for (name, value) in defaults {
        let Some(property) = schema.pointer_mut(&format!("/properties/{name}")) else { continue };
        match value {
            Value::Table(table) => work_in(property, table),
            other => {
                if let (Json::Object(property), Ok(default)) = (property, serde_json::to_value(other)) {
                    property.insert("default".into(), default);
                }
            }
        }
    }
}

const NOTHING: &Json = &Json::Null;

/// The schema of the member `name`; null if there is none.
pub(super) fn property<'a>(schema: &'a Json, name: &str) -> &'a Json {
    let named = schema.get("properties").and_then(|properties| properties.get(name));
    named.or_else(|| schema.get("additionalProperties").filter(|other| other.is_object())).unwrap_or(NOTHING)
}

/// The schema of a list's elements; null if it says nothing about them.
pub(super) fn items(schema: &Json) -> &Json {
    schema.get("items").unwrap_or(NOTHING)
}

/// The names of the members that a table may have.
pub(super) fn names(schema: &Json) -> Vec<&str> {
    let properties = schema.get("properties").and_then(Json::as_object);
    properties.map(Map::keys).into_iter().flatten().map(String::as_str).collect()
}

/// The names of the members that a table must have.
pub(super) fn required(schema: &Json) -> Vec<&str> {
    let list = schema.get("required").and_then(Json::as_array);
    list.into_iter().flatten().filter_map(Json::as_str).collect()
}

/// The words of a closed set; empty if it is none.
pub(super) fn words(schema: &Json) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    let variants = schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
    listed.chain(variants.filter_map(|variant| variant.get("const")?.as_str())).collect()
}

/// The types that are accepted, by JSON Schema's names.
pub(super) fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(many)) => many.iter().filter_map(Json::as_str).collect(),
        _ if !words(schema).is_empty() => vec!["string"],
        _ => Vec::new(),
    }
}

/// Whether a value of type `name` is accepted.
pub(super) fn accepts(schema: &Json, name: &str) -> bool {
    let types = types(schema);
    types.contains(&name) || (name == "integer" && types.contains(&"number"))
}

/// JSON Schema's name for the type of a TOML value.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Integer(_) => "integer",
        Value::Float(_) => "number",
        Value::Boolean(_) => "boolean",
        Value::Datetime(_) => "date",
        Value::Array(_) => "array",
        Value::Table(_) => "object",
    }
}
