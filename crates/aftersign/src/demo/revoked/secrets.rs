//! Every secret that the scenario saw, and the search for them in whatever it leaves behind.
//!
//! A secret is searched as it is and as others would write it down: percent-encoded, in hexadecimal, and in base64, whatever
//! stands before it there. What is found is named by its kind and its place, never shown.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aftersign_core::secret::Secret;
use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// The kind of the key of the vault: its file holds it in base64, its bytes are searched too.
pub(super) const VAULT_KEY: &str = "vault key";
/// The kind of what the platform's token endpoint gives out.
pub(super) const ACCESS_TOKEN: &str = "access token";
/// Shortest secret that is searched, in bytes: a shorter one would be found anywhere by chance.
const SECRET_BYTES_MIN: usize = 16;
/// Bytes by which a place is recognised before the whole form is compared.
const HEAD_BYTES: usize = 4;

/// The secrets seen so far; clones share them.
#[derive(Clone, Default)]
pub(super) struct Secrets(Arc<Mutex<Vec<(&'static str, Secret)>>>);

impl Secrets {
    /// Keeps a secret, once.
    pub(super) fn note(&self, kind: &'static str, text: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.iter().any(|(_, secret)| secret.expose() == text) {
            known.push((kind, Secret::new(text)));
        }
    }

    /// How many there are of a kind.
    pub(super) fn count(&self, kind: &str) -> usize {
        self.all().iter().filter(|(known, _)| *known == kind).count()
    }

    /// All of them, in the order in which they were seen.
    pub(super) fn all(&self) -> Vec<(&'static str, Secret)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes them to a file for somebody who searches on their own: kind, tabulator, secret.
    pub(super) fn reveal(&self, file: &Path) -> anyhow::Result<()> {
        let lines = self.all();
        let lines = lines.iter().map(|(kind, secret)| format!("{kind}\t{}\n", secret.expose()));
        let text: String = lines.collect();
        let mut options = std::fs::OpenOptions::new();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(file);
        opened
            .and_then(|mut opened| opened.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

/// One form of one secret.
struct Form {
    kind: &'static str,
    way: &'static str,
    bytes: Vec<u8>,
}

/// A search for all forms of all secrets at once.
pub(super) struct Search {
    forms: Vec<Form>,
    heads: HashMap<[u8; HEAD_BYTES], Vec<usize>>,
    /// By the first two bytes: most places end here.
    begins: Vec<bool>,
    files: u64,
    bytes: u64,
    found: BTreeSet<String>,
}

impl Search {
    /// A search for these secrets.
    ///
    /// # Errors
    /// If one of them is too short to be told from chance.
    pub(super) fn new(secrets: &Secrets) -> anyhow::Result<Self> {
        let mut forms = Vec::new();
        for (kind, secret) in secrets.all() {
            let text = secret.expose();
            if text.len() < SECRET_BYTES_MIN {
                anyhow::bail!("a {kind} has less than {SECRET_BYTES_MIN} bytes: it cannot be searched");
            }
            forms.extend(forms_of(kind, text.as_bytes()));
            if kind == VAULT_KEY {
                let raw = STANDARD.decode(text).context("the vault key is not base64")?;
                forms.extend(forms_of(kind, &raw));
            }
        }
        let mut search = Self {
            heads: HashMap::new(),
            begins: vec![false; 1 << 16],
            files: 0,
            bytes: 0,
            found: BTreeSet::new(),
            forms,
        };
        for (index, form) in search.forms.iter().enumerate() {
            let Some(head) = form.bytes.first_chunk::<HEAD_BYTES>() else { continue };
            search.heads.entry(*head).or_default().push(index);
            search.begins[begin(head[0], head[1])] = true;
        }
        Ok(search)
    }

    /// Which secrets stand in these bytes, as kind and way.
    pub(super) fn within(&self, bytes: &[u8]) -> BTreeSet<(&'static str, &'static str)> {
        let mut found = BTreeSet::new();
        for (at, head) in bytes.windows(HEAD_BYTES).enumerate() {
            if !self.begins[begin(head[0], head[1])] {
                continue;
            }
            let candidates = head.first_chunk().and_then(|head: &[u8; HEAD_BYTES]| self.heads.get(head));
            let forms = candidates.into_iter().flatten().map(|index| &self.forms[*index]);
            found.extend(
                forms.filter(|form| bytes[at..].starts_with(&form.bytes)).map(|form| (form.kind, form.way)),
            );
        }
        found
    }

    /// Searches something that has a name.
    pub(super) fn look_into(&mut self, name: &str, bytes: &[u8]) {
        self.files += 1;
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let found = self.within(bytes);
        self.found.extend(found.iter().map(|(kind, way)| format!("{kind} ({way}) in {name}")));
    }

    /// Searches every file below a folder, and every file's name, except the `spared` ones. What is gone meanwhile is left out.
    ///
    /// # Errors
    /// If a file is there and cannot be read: what was not read was not searched.
    pub(super) fn look_below(&mut self, root: &Path, spared: &[PathBuf]) -> anyhow::Result<()> {
        for file in files(root)?.iter().filter(|file| !spared.contains(file)) {
            let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
            match std::fs::read(file) {
                Ok(bytes) => self.look_into(&name, &bytes),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
            }
            let in_name = self.within(name.as_bytes());
            self.found
                .extend(in_name.iter().map(|(kind, way)| format!("{kind} ({way}) in the name of a file")));
        }
        Ok(())
    }

    /// What was searched (files or other things with a name), and their bytes.
    pub(super) fn extent(&self) -> (u64, u64) {
        (self.files, self.bytes)
    }

    /// What was found: kind, way and place.
    pub(super) fn found(&self) -> Vec<String> {
        self.found.iter().cloned().collect()
    }
}

fn begin(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

fn forms_of(kind: &'static str, secret: &[u8]) -> Vec<Form> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut ways: Vec<(&'static str, Vec<u8>)> = vec![
        ("plain", secret.to_vec()),
        ("url", percent_encoded(secret, false)),
        ("url", percent_encoded(secret, true)),
        ("hex", hex.to_uppercase().into_bytes()),
        ("hex", hex.into_bytes()),
    ];
    for before in 0..3 {
        let text = base64_behind(secret, before);
        ways.push(("base64", text.replace('+', "-").replace('/', "_").into_bytes()));
        ways.push(("base64", text.into_bytes()));
    }
    let mut seen = BTreeSet::new();
    ways.retain(|(_, bytes)| seen.insert(bytes.clone()));
    ways.into_iter().map(|(way, bytes)| Form { kind, way, bytes }).collect()
}

/// What does not depend on its neighbours when a secret is encoded behind `before` other bytes.
fn base64_behind(secret: &[u8], before: usize) -> String {
    let whole = [vec![0; before], secret.to_vec()].concat();
    let text = STANDARD_NO_PAD.encode(&whole);
    let (first, end) = ((before * 8).div_ceil(6), whole.len() * 8 / 6);
    text.get(first..end).unwrap_or_default().to_owned()
}

fn percent_encoded(secret: &[u8], lower: bool) -> Vec<u8> {
    let encoded = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => vec![*byte],
        _ if lower => format!("%{byte:02x}").into_bytes(),
        _ => format!("%{byte:02X}").into_bytes(),
    };
    secret.iter().flat_map(encoded).collect()
}

/// All files below a folder, hidden ones too.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "tok+en/ABCDEFGHIJ0123456789";

    fn search() -> Search {
        let secrets = Secrets::default();
        secrets.note(ACCESS_TOKEN, SECRET);
        secrets.note(VAULT_KEY, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        Search::new(&secrets).unwrap()
    }

    #[test]
    fn a_secret_is_found_in_every_way_of_writing_it_and_wherever_it_stands() {
        let search = search();
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut ways = vec![
            ("plain", SECRET.to_owned()),
            ("url", SECRET.replace('+', "%2B").replace('/', "%2F")),
            ("url", SECRET.replace('+', "%2b").replace('/', "%2f")),
            ("hex", hex.to_uppercase()),
            ("hex", hex),
        ];
        for before in ["", "a", "ab", "abc", "user:"] {
            ways.push(("base64", STANDARD.encode(format!("{before}{SECRET}z"))));
        }
        for (way, text) in ways {
            for text in [text.clone(), format!("x{text}"), format!("xyz{text}123")] {
                assert_eq!(search.within(text.as_bytes()), BTreeSet::from([(ACCESS_TOKEN, way)]), "{text}");
            }
        }
        let raw: Vec<u8> = (0..32).collect();
        assert_eq!(search.within(&raw), BTreeSet::from([(VAULT_KEY, "plain")]));
    }

    #[test]
    fn what_only_resembles_a_secret_is_not_found() {
        let search = search();
        assert!(search.within(&SECRET.as_bytes()[1..]).is_empty());
        assert!(search.within(&SECRET.as_bytes()[..SECRET.len() - 1]).is_empty());
        assert!(search.within(SECRET.to_lowercase().as_bytes()).is_empty());
        assert!(search.within(b"").is_empty());
    }

    #[test]
    fn every_file_below_a_folder_is_searched_but_those_that_are_spared() {
        let folder = std::env::temp_dir().join(format!("aftersign-search-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("a/.b")).unwrap();
        std::fs::write(folder.join("a/.b/c"), format!("1{SECRET}2")).unwrap();
        std::fs::write(folder.join("spared"), SECRET).unwrap();
        let mut search = search();
        let searched = search.look_below(&folder, &[folder.join("spared")]);
        std::fs::remove_dir_all(&folder).unwrap();
        searched.unwrap();
        assert_eq!(
            (search.found(), search.extent().0),
            (vec!["access token (plain) in a/.b/c".to_owned()], 1)
        );
    }
}
