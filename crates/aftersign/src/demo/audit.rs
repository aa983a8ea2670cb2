//! The judge: the sandbox's ledger against the bytes in the archive.
//!
//! It reads files and hashes them, and believes nobody. A file is hashed once per size and time of change.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use aftersign_core::digest::{Digest, Digester};
use aftersign_sandbox::{ArtifactRecord, DeletedBy, EnvelopeRecord, Ledger, Outcome, Vendor};

/// The archive as files.
pub(super) struct Archive {
    root: PathBuf,
    hashes: Mutex<HashMap<PathBuf, (u64, SystemTime, Digest)>>,
}

/// How far the archive is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct State {
    /// Envelopes that must be archived.
    pub(super) due: u64,
    /// Of them those whose every artifact was found.
    pub(super) archived: u64,
    /// Of them those that are to be removed at the platform.
    pub(super) disposable: u64,
    /// Of these those removed by us.
    pub(super) disposed: u64,
}

impl State {
    pub(super) fn is_complete(&self) -> bool {
        self.archived == self.due && self.disposed == self.disposable
    }
}

/// What the judge found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Verdict {
    /// Completed envelopes of which an artifact is missing.
    pub(super) lost: u64,
    /// Files beyond the first with the same artifact's bytes.
    pub(super) duplicates: u64,
    /// Files that are neither an artifact of their envelope nor our or the platform's record of it.
    pub(super) strays: u64,
    /// Removals by us of what was not archived, not completed, still to be extended or to be kept.
    pub(super) premature_disposals: u64,
    /// Artifacts of the ledger whose bytes were found.
    pub(super) delivered: u64,
    /// Of them those that `metadata.json` lists with the right digest.
    pub(super) verified: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// An envelope that completed and that nobody else removed before us.
pub(super) fn is_due(envelope: &EnvelopeRecord) -> bool {
    envelope.outcome == Outcome::Completed
        && envelope.deleted.as_ref().is_none_or(|deletion| deletion.by == DeletedBy::Client)
}

/// One that the demo's rules let us remove: what the platform lets us remove, and not what waits for an extension that never
/// comes.
pub(super) fn is_disposable(envelope: &EnvelopeRecord) -> bool {
    match envelope.vendor {
        Vendor::DropboxSign | Vendor::ESignAnyWhere | Vendor::OneSpan => true,
        Vendor::Scrive => envelope.extends,
        Vendor::ScriveFlow => false,
    }
}

/// What must lie in the archive. A first version that was replaced before anybody was told of the end and before anybody had
/// fetched it is not to be had any more: the demo's seals are extended within seconds, so an end whose callback was withheld
/// can be found later than that.
fn promised(envelope: &EnvelopeRecord) -> impl Iterator<Item = &ArtifactRecord> {
    let replaced = |artifact: &ArtifactRecord| {
        let latest = envelope.artifacts.iter().filter(|other| other.kind == artifact.kind);
        latest.map(|other| other.version).max() > Some(artifact.version)
    };
    let was_to_be_had =
        |artifact: &ArtifactRecord| artifact.served > 0 || envelope.announced_before_extension;
    envelope.artifacts.iter().filter(move |artifact| was_to_be_had(artifact) || !replaced(artifact))
}

impl Archive {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, hashes: Mutex::new(HashMap::new()) }
    }

    /// How many of an envelope's artifacts are not in the archive.
    pub(super) fn missing(&self, envelope: &EnvelopeRecord) -> usize {
        let found: HashSet<String> = self
            .folders(envelope)
            .iter()
            .flat_map(|folder| files(folder))
            .filter_map(|f| self.hash(&f))
            .collect();
        promised(envelope).filter(|artifact| !found.contains(&artifact.sha256)).count()
    }

    /// How far the archive is.
    pub(super) fn state(&self, ledger: &Ledger) -> State {
        let due: Vec<&EnvelopeRecord> = ledger.envelopes.iter().filter(|envelope| is_due(envelope)).collect();
        let count = |matches: &dyn Fn(&EnvelopeRecord) -> bool| {
            u64::try_from(due.iter().filter(|envelope| matches(envelope)).count()).unwrap_or(0)
        };
        State {
            due: count(&|_| true),
            archived: count(&|envelope| self.missing(envelope) == 0 && self.is_recorded(envelope)),
            disposable: count(&|envelope| is_disposable(envelope)),
            disposed: count(&|envelope| is_disposable(envelope) && envelope.deleted.is_some()),
        }
    }

    /// Whether `metadata.json` lists every artifact: it is written last.
    fn is_recorded(&self, envelope: &EnvelopeRecord) -> bool {
        let folders = self.folders(envelope);
        let files = folders.iter().flat_map(|folder| files(folder));
        let listed: Vec<Listed> =
            files.filter(|file| is_manifest(file)).flat_map(|file| listed(&file)).collect();
        promised(envelope).all(|artifact| listed.iter().any(|entry| entry.sha256 == artifact.sha256))
    }

    /// Judges the whole archive.
    pub(super) fn judge(&self, ledger: &Ledger) -> Verdict {
        let everything = files(&self.root);
        let mut copies: HashMap<String, u64> = HashMap::new();
        for hash in everything.iter().filter_map(|file| self.hash(file)) {
            *copies.entry(hash).or_default() += 1;
        }
        let mut verdict = Verdict { premature_disposals: ledger.templates_touched, ..Verdict::default() };
        let mut accounted = 0;
        for envelope in &ledger.envelopes {
            if is_due(envelope) && (envelope.artifacts.is_empty() || self.missing(envelope) > 0) {
                verdict.lost += 1;
            }
            if let Some(deletion) = &envelope.deleted
                && deletion.by == DeletedBy::Client
                && (deletion.missing_at_disposal > 0
                    || !deletion.was_complete
                    || deletion.before_extension
                    || !is_disposable(envelope))
            {
                verdict.premature_disposals += 1;
            }
            for artifact in &envelope.artifacts {
                verdict.duplicates += copies.get(&artifact.sha256).copied().unwrap_or(0).saturating_sub(1);
            }
            for folder in self.folders(envelope) {
                accounted += files(&folder).len();
                self.judge_folder(envelope, &folder, &mut verdict);
            }
        }
        // What lies in no envelope's folder has no business in the archive.
        verdict.strays += u64::try_from(everything.len().saturating_sub(accounted)).unwrap_or(u64::MAX);
        verdict
    }

    fn judge_folder(&self, envelope: &EnvelopeRecord, folder: &Path, verdict: &mut Verdict) {
        let found = files(folder);
        let (manifests, others): (Vec<_>, Vec<_>) = found.iter().partition(|file| is_manifest(file));
        let listed: Vec<Listed> = manifests.iter().flat_map(|file| listed(file)).collect();
        for hash in others.iter().filter_map(|file| self.hash(file)) {
            let artifact = envelope.artifacts.iter().find(|artifact| artifact.sha256 == hash);
            let entry = listed.iter().find(|entry| entry.sha256 == hash);
            match (artifact, entry) {
                (Some(artifact), entry) => {
                    verdict.delivered += 1;
                    verdict.bytes += artifact.bytes;
                    verdict.verified += u64::from(entry.is_some_and(|entry| entry.bytes == artifact.bytes));
                }
                (None, Some(entry)) if is_living_record(envelope, entry) => {}
                (None, Some(_)) if envelope.extras.iter().any(|extra| extra.sha256 == hash) => {}
                (None, _) => verdict.strays += 1,
            }
        }
    }

    /// The envelope's folders: `{platform}/{account}/{year}/{month}/{envelope_id}`, as the demo's rule has it.
    fn folders(&self, envelope: &EnvelopeRecord) -> Vec<PathBuf> {
        let account = self.root.join(envelope.vendor.platform()).join(&envelope.account_id);
        let months = entries(&account).into_iter().flat_map(|year| entries(&year));
        months.map(|month| month.join(&envelope.id)).filter(|folder| folder.is_dir()).collect()
    }

    fn hash(&self, file: &Path) -> Option<String> {
        let about = std::fs::metadata(file).ok()?;
        let (bytes, changed) = (about.len(), about.modified().ok()?);
        let known = self.hashes.lock().unwrap_or_else(PoisonError::into_inner).get(file).copied();
        if let Some((_, _, digest)) = known.filter(|known| (known.0, known.1) == (bytes, changed)) {
            return Some(digest.to_string());
        }
        let digest = hash_file(file).ok()?;
        self.hashes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(file.to_path_buf(), (bytes, changed, digest));
        Some(digest.to_string())
    }
}

fn hash_file(path: &Path) -> std::io::Result<Digest> {
    let mut file = std::fs::File::open(path)?;
    let mut digester = Digester::default();
    let mut buffer = vec![0u8; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digester.finish()),
            count => digester.update(&buffer[..count]),
        }
    }
}

/// All files below a folder, without our temporary ones. What is gone meanwhile is left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (folders, mut found): (Vec<_>, Vec<_>) = entries(folder).into_iter().partition(|path| path.is_dir());
    found.extend(folders.iter().flat_map(|folder| files(folder)));
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')))
        .collect()
}

/// Whether it is a version of our `metadata.json`.
fn is_manifest(file: &Path) -> bool {
    file.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        name == "metadata.json" || (name.starts_with("metadata.v") && name.ends_with(".json"))
    })
}

/// What a `metadata.json` says of one artifact.
struct Listed {
    sha256: String,
    bytes: u64,
    kind: String,
}

/// What the platform writes anew at every request, so that nobody can promise its bytes: the record of the envelope, and
/// Scrive's history.
fn is_living_record(envelope: &EnvelopeRecord, entry: &Listed) -> bool {
    let scrive = matches!(envelope.vendor, Vendor::Scrive | Vendor::ScriveFlow);
    entry.kind == "platform_record" || (scrive && entry.kind == "audit_trail")
}

fn listed(manifest: &Path) -> Vec<Listed> {
    let text = std::fs::read_to_string(manifest).unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let artifacts = value["artifacts"].as_array().map_or(&[][..], Vec::as_slice);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    artifacts
        .iter()
        .map(|artifact| Listed {
            sha256: text(&artifact["sha256"]),
            bytes: artifact["bytes"].as_u64().unwrap_or_default(),
            kind: text(&artifact["kind"]),
        })
        .collect()
}
