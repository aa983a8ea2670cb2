//! Names that must not stand in certain places: what would let I/O into the pure crates, SQL out of the store,
//! a platform's name into code that serves them all, or a shortcut past review.

use super::source::{Source, is_identifier};
use super::{Finding, Tree};

/// Crates that take bytes, values and `now`, and give values.
const PURE: [&str; 2] = ["crates/core/", "crates/platforms/"];
const IMPURE: [&str; 11] = [
    "tokio",
    "reqwest",
    "rusqlite",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "std::env",
    "std::fs",
    "std::net",
    "std::thread",
];
/// The same, imported as a group: `use std::{env, fs};`.
const IMPURE_IN_STD: [&str; 4] = ["env", "fs", "net", "thread"];

const STORE: &str = "crates/store/";
const SQL: [&str; 8] = [
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "ALTER TABLE ",
    "PRAGMA ",
    "BEGIN IMMEDIATE",
];

/// Platforms by name, in lower case without `-`, `_` and spaces.
const PLATFORMS: [&str; 4] = ["dropboxsign", "esignanywhere", "onespan", "scrive"];
const KNOWS_PLATFORMS: [&str; 4] =
    ["crates/platforms/", "crates/sandbox/", "crates/aftersign/src/demo", "xtask/"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        let rules = [pure, vault, sql, serde, platforms, shortcuts, attributes, globs, sleeps];
        findings.extend(
            rules
                .iter()
                .flat_map(|rule| rule(source))
                .map(|(at, what)| Finding::new(&source.path, source.line(at), what)),
        );
    }
    findings
}

/// Offset, and what is wrong there with what to do.
type Hits = Vec<(usize, String)>;

fn pure(source: &Source) -> Hits {
    if !is_in(source, &PURE) {
        return Vec::new();
    }
    let advice = "has no place in a pure crate: take it as an argument or behind a seam of core";
    let named =
        IMPURE.iter().flat_map(|name| source.uses(name).map(move |at| (at, format!("`{name}` {advice}"))));
    let grouped = source.imports().flat_map(|(at, import)| {
        let names = import.strip_prefix("std::{").map(group_heads).unwrap_or_default();
        let banned = names.into_iter().filter(|name| IMPURE_IN_STD.contains(&name.as_str()));
        banned.map(|name| (at, format!("`std::{name}` {advice}"))).collect::<Hits>()
    });
    named.chain(grouped).filter(|(at, _)| !source.is_test(*at)).collect()
}

/// The front door cannot reach credentials.
fn vault(source: &Source) -> Hits {
    if !is_in(source, &["crates/intake/"]) {
        return Vec::new();
    }
    let advice = "`Vault` must not be seen by intake: the front door never opens a credential";
    source.uses("Vault").filter(|at| !source.is_test(*at)).map(|at| (at, advice.into())).collect()
}

fn sql(source: &Source) -> Hits {
    if is_in(source, &[STORE, "xtask/"]) {
        return Vec::new();
    }
    let advice = "outside the store: add a verb to one of its handles instead";
    let texts =
        source.strings.iter().filter(|(_, text)| SQL.iter().any(|word| text.trim_start().starts_with(word)));
    let texts = texts.map(|(at, _)| (*at, format!("SQL {advice}")));
    let names = source.uses("rusqlite").map(|at| (at, format!("`rusqlite` {advice}")));
    texts.chain(names).filter(|(at, _)| !source.is_test(*at)).collect()
}

/// Wire shapes never become domain types, so the derives stand where shapes are read and written.
fn serde(source: &Source) -> Hits {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let named = |start: &str| file.starts_with(start) || folder.split('/').any(|part| part == start);
    let is_shape = matches!(file, "wire.rs" | "rows.rs" | "manifest.rs") || named("config") || named("json");
    if is_shape || is_in(source, &["crates/sandbox/", "crates/web/"]) {
        return Vec::new();
    }
    let derives = source.attributes().filter(|(at, text)| {
        let words = || text.split(|c| !is_identifier(c));
        !source.is_test(*at)
            && words().any(|word| word == "derive")
            && words().any(|word| matches!(word, "Serialize" | "Deserialize"))
    });
    let what = "a serde derive outside wire.rs, rows.rs, manifest.rs, config and json: move the shape there";
    derives.map(|(at, _)| (at, what.into())).collect()
}

/// Nothing outside `platforms` may match on a platform's name.
fn platforms(source: &Source) -> Hits {
    if is_in(source, &KNOWS_PLATFORMS) {
        return Vec::new();
    }
    let names_one = |text: &str| {
        let plain: String = text.to_lowercase().chars().filter(|c| !matches!(c, '-' | '_' | ' ')).collect();
        PLATFORMS.iter().any(|name| plain.contains(name))
    };
    let words = source.code.split(|c| !is_identifier(c)).filter(|word| names_one(word));
    let words = words.map(|word| (word.as_ptr() as usize - source.code.as_ptr() as usize, word));
    let texts = source.strings.iter().map(|(at, text)| (*at, text.as_str()));
    let hits = words.chain(texts.filter(|(_, text)| names_one(text))).filter(|(at, _)| !source.is_test(*at));
    hits.map(|(at, text)| {
        let text: String = text.chars().take(40).collect();
        (at, format!("`{text}` names a platform: ask the adapter (its name, its capabilities) instead"))
    })
    .collect()
}

/// Macros that say "later".
fn shortcuts(source: &Source) -> Hits {
    let macros = ["todo", "unimplemented", "dbg"].into_iter();
    macros
        .flat_map(|name| {
            let calls = source.uses(name).filter(move |at| source.code[at + name.len()..].starts_with('!'));
            calls.map(move |at| (at, format!("`{name}!` must not be committed: finish it or leave it out")))
        })
        .collect()
}

fn attributes(source: &Source) -> Hits {
    let judge = |text: &str| {
        let name = text.split(|c| !is_identifier(c)).next().unwrap_or_default();
        let inner = text
            .strip_prefix("cfg_attr(")
            .map_or(text, |rest| rest.split_once(',').map_or("", |(_, rest)| rest.trim()));
        match name {
            "ignore" => Some("`#[ignore]` hides a test: make it run everywhere or remove it"),
            _ if text.starts_with("allow(") || inner.starts_with("allow(") => {
                Some("`allow` outlives its cause: use `#[expect(…, reason = \"…\")]`")
            }
            "expect" if !text.contains("reason") => Some("`expect` without a reason: say why it is right"),
            _ => None,
        }
    };
    source.attributes().filter_map(|(at, text)| Some((at, judge(text)?.into()))).collect()
}

fn globs(source: &Source) -> Hits {
    let what = "a glob import hides where names come from: list them (`use super::*` is for test modules)";
    let globs = source.imports().filter(|(at, text)| {
        text.contains('*') && !text.starts_with('<') && !(text == "super::*" && source.is_test(*at))
    });
    globs.map(|(at, _)| (at, what.into())).collect()
}

/// A sleeping test is slow on a good day and fails on a bad one.
fn sleeps(source: &Source) -> Hits {
    let named = ["thread::sleep", "time::sleep"].into_iter().flat_map(|name| source.uses(name));
    let grouped = source.imports().filter(|(_, text)| {
        ["thread::{", "time::{"].iter().any(|path| {
            text.split_once(path)
                .is_some_and(|(_, rest)| group_heads(rest).iter().any(|name| name == "sleep"))
        })
    });
    let what = "a test must not sleep: inject the clock, or wait for the thing itself with a time limit";
    let hits = named.chain(grouped.map(|(at, _)| at)).filter(|at| source.is_test(*at));
    hits.map(|at| (at, what.into())).collect()
}

fn is_in(source: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| source.path.starts_with(place))
}

/// The first component of each path in an import's group, from behind its opening brace.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = vec![String::new()];
    let mut depth = 0usize;
    let mut in_head = true;
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(String::new());
                in_head = true;
            }
            ':' if depth == 0 => in_head = false,
            c if depth == 0 && in_head => heads.last_mut().into_iter().for_each(|head| head.push(c)),
            _ => {}
        }
    }
    heads
}
