//! Reads a sender's key from standard input: a command line or an environment variable would be seen by others.

use std::fmt;
use std::io::{self, IsTerminal, Stdin, Write};
use std::os::fd::AsFd;

use aftersign_core::platform::Platform;
use aftersign_core::secret::Secret;
use anyhow::Context;
use rustix::io::retry_on_intr;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

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
        let text = all(&stdin).context("cannot read standard input")?;
        return understood(&text, wanted).map_err(|why| unread(why, wanted));
    }
    let unseen = Unseen::begin(&stdin).context("cannot keep what is typed from being shown")?;
    let mut fields = Vec::new();
    for name in wanted {
        eprint!("{name} of the sender at {} (not shown): ", platform.name());
        io::stderr().flush()?;
        let line = line(&stdin).context("cannot read from the terminal")?;
        eprintln!();
        let Some(line) = line else {
            let next = "run the command again when the key is at hand";
            return Err(Failure::new("broken off; nothing was stored", next).into());
        };
        let text = plain(&line).map_err(|why| unread(why, wanted))?;
        fields.push(((*name).to_owned(), text));
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

/// A buffer that never moves and is zeroed when it is dropped: what moves leaves a copy behind.
fn buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(KEY_BYTES_MAX + 1))
}

/// All of the input, as far as it can be a key. Not by way of the standard library's own buffer, which is never zeroed.
fn all(input: impl AsFd) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut piece = Zeroizing::new([0u8; 1024]);
    let mut bytes = buffer();
    while bytes.len() <= KEY_BYTES_MAX {
        let room = (KEY_BYTES_MAX + 1 - bytes.len()).min(piece.len());
        let read = retry_on_intr(|| rustix::io::read(&input, &mut piece[..room]))?;
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(&piece[..read]);
    }
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
    let Ok(Object(written)) = serde_json::from_str(text) else { return Err("is no JSON object") };
    let mut fields: Vec<(String, Secret)> = Vec::new();
    for (name, value) in written {
        let name = name.0.as_ref().map(Secret::expose).unwrap_or_default();
        if !wanted.contains(&name) {
            return Err("has a field that keys here do not have");
        }
        if fields.iter().any(|(other, _)| other == name) {
            return Err("has a field twice");
        }
        match value.0.filter(|text| !text.expose().trim().is_empty()) {
            Some(text) => fields.push((name.to_owned(), text)),
            None => return Err("has a field that is no text, or an empty one"),
        }
    }
    if fields.len() == wanted.len() { Ok(fields) } else { Err("lacks a field") }
}

/// An object as it is written. Its texts are zeroed whatever becomes of them, the names too: a key may stand in their place.
struct Object(Vec<(Text, Text)>);

/// A text, or `None` for any other value.
struct Text(Option<Secret>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(Secret::new(text))))
            }
            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// What a key on the keyboard does to a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// The line goes on.
    More,
    /// It is at its end.
    End,
    /// Whoever types breaks it off.
    Abort,
}

/// Takes one byte from the keyboard into a line. The terminal does none of this for us while it is [`Unseen`].
fn typed(line: &mut Zeroizing<Vec<u8>>, byte: u8) -> Step {
    match byte {
        b'\r' | b'\n' | 0x04 => return Step::End,
        0x03 => return Step::Abort,
        // Backspace, in both its forms, takes a character away, with all of its bytes.
        0x08 | 0x7f => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
        // Ctrl-U takes all away.
        0x15 => line.clear(),
        0x00..0x20 => {}
        // One too many says that it is too large.
        _ if line.len() <= KEY_BYTES_MAX => line.push(byte),
        _ => {}
    }
    Step::More
}

/// One line of the terminal; `None` if it was broken off.
fn line(terminal: &Stdin) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut line = buffer();
    let mut byte = Zeroizing::new([0u8; 1]);
    loop {
        if retry_on_intr(|| rustix::io::read(terminal, &mut byte[..]))? == 0 {
            return Ok(Some(line));
        }
        match typed(&mut line, byte[0]) {
            Step::More => {}
            Step::End => return Ok(Some(line)),
            Step::Abort => return Ok(None),
        }
    }
}

/// As long as it lives, the terminal shows nothing that is typed, and gives every byte to us: Ctrl-C must not end the process
/// before the terminal is as it was.
struct Unseen<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Unseen<'a> {
    fn begin(terminal: &'a Stdin) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ISIG | LocalModes::ICANON);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
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
        let fields = understood(text.as_bytes(), wanted)?;
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
            ("{\"api_key\": [\"k\", {\"a\": null}]}", ONE, "has a field that is no text, or an empty one"),
            ("{\"api_key\": {\"a\": [1.5, true]}}", ONE, "has a field that is no text, or an empty one"),
            ("{\"api_key\": \"k\", \"api_key\": \"l\"}", ONE, "has a field twice"),
            ("{\"api_key\": \"k\"} x", ONE, "is no JSON object"),
            ("{\"api_key\": \" \"}", ONE, "has a field that is no text, or an empty one"),
            ("{\"apikey\": \"k\"}", ONE, "has a field that keys here do not have"),
            ("{\"api_token\": \"t\"}", TWO, "lacks a field"),
            ("{}", ONE, "lacks a field"),
        ] {
            assert_eq!(read(text, wanted).unwrap_err(), why, "{text:.40}");
        }
        assert_eq!(understood(&[0xff, 0xfe], ONE).unwrap_err(), "is no text");
    }
    #[test]
    fn a_line_is_edited_ended_and_broken_off_at_the_keyboard() {
        let type_in = |text: &[u8]| {
            let mut line = buffer();
            let step = text.iter().map(|byte| typed(&mut line, *byte)).find(|step| *step != Step::More);
            (String::from_utf8(line.to_vec()).unwrap(), step)
        };
        let ended = |text: &str| (text.to_owned(), Some(Step::End));
        assert_eq!(type_in(b"k3y\n"), ended("k3y"));
        assert_eq!(type_in(b"k3y\x04"), ended("k3y"));
        assert_eq!(type_in(b"\x7fk4\x083y\t\r"), ended("k3y"));
        assert_eq!(type_in("kä\x7f3y\n".as_bytes()), ended("k3y"));
        assert_eq!(type_in(b"wrong\x15k3y\n"), ended("k3y"));
        assert_eq!(type_in(b"k3y\x03").1, Some(Step::Abort));
        let (line, step) = type_in(&[b'x'; KEY_BYTES_MAX + 2]);
        assert_eq!((line.len(), step), (KEY_BYTES_MAX + 1, None), "the buffer does not grow");
    }

    #[test]
    fn input_is_read_to_its_end_or_to_what_is_too_large_for_a_key() {
        use std::io::Seek;
        for length in [0, 1, 3_000, KEY_BYTES_MAX, KEY_BYTES_MAX + 1, KEY_BYTES_MAX + 9_000] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![b'x'; length]).unwrap();
            file.rewind().unwrap();
            let bytes = all(&file).unwrap();
            assert_eq!(bytes.len(), length.min(KEY_BYTES_MAX + 1));
            assert_eq!(bytes.capacity(), KEY_BYTES_MAX + 1, "it did not move");
        }
    }
}
