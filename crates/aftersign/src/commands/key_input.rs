//! Reads a sender's key from standard input: a command line or an environment variable would be seen by others.

use std::io::{self, BufRead, IsTerminal, Read, Stdin, Write};

use aftersign_core::platform::Platform;
use aftersign_core::secret::Secret;
use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::Value;

use crate::failure::Failure;

/// Largest key that is taken, in bytes: ten times the longest token of any platform.
const KEY_BYTES_MAX: usize = 16 * 1024;

/// The fields of a key, as the platform names them.
pub(super) fn read(platform: &dyn Platform) -> anyhow::Result<Vec<(String, Secret)>> {
    let wanted = platform.key_fields();
    if wanted.is_empty() {
        let message = format!("no key of a sender can be given at {}", platform.name());
        return Err(
            Failure::usage(message, "let them consent: `aftersign accounts urls` prints the page").into()
        );
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let text = all(stdin.lock()).context("cannot read standard input")?;
        return understood(&text, wanted).map_err(|why| unread(why, wanted));
    }
    let unseen = Unseen::begin(&stdin).context("cannot keep what is typed from being shown")?;
    let mut fields = Vec::new();
    for name in wanted {
        eprint!("{name} of the sender at {} (not shown): ", platform.name());
        io::stderr().flush()?;
        let line = line(&stdin).context("cannot read from the terminal")?;
        let line = line.map_err(|why| unread(why, wanted))?;
        fields.push(((*name).to_owned(), line));
    }
    drop(unseen);
    Ok(fields)
}

/// What was wrong with the input; never what stood in it.
type Why = &'static str;

fn unread(why: Why, wanted: &[&str]) -> anyhow::Error {
    let object: Vec<String> = wanted.iter().map(|name| format!("\"{name}\": \"…\"")).collect();
    let object = format!("{{ {} }}", object.join(", "));
    let next = match wanted {
        [_] => format!("give the key as it is, or as {object}: aftersign grants set ACCOUNT < key.txt"),
        _ => format!("give a JSON object {object}: aftersign grants set ACCOUNT < key.json"),
    };
    Failure::new(format!("the key on standard input {why}; nothing was stored"), next).into()
}

/// All of the input, in a buffer that never moves: what moves leaves a copy behind.
fn all(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(KEY_BYTES_MAX + 1);
    input.take((KEY_BYTES_MAX + 1) as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn understood(bytes: &[u8], wanted: &[&str]) -> Result<Vec<(String, Secret)>, Why> {
    let text = plain(bytes)?;
    match wanted {
        [name] if !text.expose().starts_with('{') => Ok(vec![((*name).to_owned(), text)]),
        _ => object(text.expose(), wanted),
    }
}

/// A text without the blanks around it.
fn plain(bytes: &[u8]) -> Result<Secret, Why> {
    if bytes.len() > KEY_BYTES_MAX {
        return Err("is larger than 16 KiB");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is no text")?.trim();
    match text.is_empty() {
        true => Err("is empty"),
        false => Ok(Secret::new(text)),
    }
}

fn object(text: &str, wanted: &[&str]) -> Result<Vec<(String, Secret)>, Why> {
    let Ok(Value::Object(object)) = serde_json::from_str(text) else { return Err("is no JSON object") };
    let mut fields = Vec::new();
    for (name, value) in object {
        match value {
            _ if !wanted.contains(&name.as_str()) => return Err("has a field that keys here do not have"),
            Value::String(text) if !text.trim().is_empty() => fields.push((name, Secret::new(text))),
            _ => return Err("has a field that is no text, or an empty one"),
        }
    }
    if fields.len() == wanted.len() { Ok(fields) } else { Err("lacks a field") }
}

/// One line of the terminal; the inner failure is what is wrong with it.
fn line(stdin: &Stdin) -> io::Result<Result<Secret, Why>> {
    let mut bytes = Vec::with_capacity(KEY_BYTES_MAX + 1);
    stdin.lock().take((KEY_BYTES_MAX + 1) as u64).read_until(b'\n', &mut bytes)?;
    Ok(plain(&bytes))
}

/// As long as it lives, the terminal shows nothing that is typed but the end of a line.
struct Unseen<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Unseen<'a> {
    fn begin(terminal: &'a Stdin) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing anyway.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[&str] = &["api_key"];
    const TWO: &[&str] = &["api_token", "api_secret"];

    fn read(text: &str, wanted: &[&str]) -> Result<Vec<(String, String)>, Why> {
        let fields = understood(&all(text.as_bytes()).unwrap(), wanted)?;
        Ok(fields.into_iter().map(|(name, secret)| (name, secret.expose().to_owned())).collect())
    }

    #[test]
    fn a_key_of_one_part_is_a_text_or_an_object_and_one_of_several_an_object() {
        for text in ["k3y", " k3y \r\n", "{\"api_key\": \"k3y\"}"] {
            assert_eq!(read(text, ONE).unwrap(), [("api_key".to_owned(), "k3y".to_owned())], "{text}");
        }
        let two = read("{\"api_secret\": \"s\", \"api_token\": \"t\"}", TWO).unwrap();
        assert_eq!(two.len(), 2);
    }

    #[test]
    fn what_is_no_key_is_told_without_quoting_it() {
        let large = "x".repeat(KEY_BYTES_MAX + 1);
        for (text, wanted, why) in [
            ("", ONE, "is empty"),
            (" \n", TWO, "is empty"),
            (large.as_str(), ONE, "is larger than 16 KiB"),
            ("a text", TWO, "is no JSON object"),
            ("[\"a\"]", TWO, "is no JSON object"),
            ("{\"api_key\": ", ONE, "is no JSON object"),
            ("{\"api_key\": 7}", ONE, "has a field that is no text, or an empty one"),
            ("{\"api_key\": \" \"}", ONE, "has a field that is no text, or an empty one"),
            ("{\"apikey\": \"k\"}", ONE, "has a field that keys here do not have"),
            ("{\"api_token\": \"t\"}", TWO, "lacks a field"),
            ("{}", ONE, "lacks a field"),
        ] {
            assert_eq!(read(text, wanted).unwrap_err(), why, "{text:.40}");
        }
        assert_eq!(understood(&[0xff, 0xfe], ONE).unwrap_err(), "is no text");
    }
}
