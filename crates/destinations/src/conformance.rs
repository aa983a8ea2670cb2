//! What every kind of destination must do, written once.
//!
//! A destination supplies a [`Harness`] and calls [`conformance_tests!`](crate::conformance_tests): each check
//! becomes a test of its own. A check acts as the engine does and looks at the archive as its owner would,
//! past the destination. What only one kind can do (links, modes, object locks) is tested beside that kind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aftersign_core::digest::Digest;
use aftersign_core::seams::{ArchiveKey, Destination, Metadata, Receipt, StagedFile, Verification};
use aftersign_core::{Error, ErrorKind, Remedy};
use async_trait::async_trait;

/// Writers at once in the checks of concurrency.
const WRITERS: usize = 32;
/// More than any buffer, and not a multiple of one.
const LARGE_BYTES: usize = 3 * 1024 * 1024 + 17;

/// One empty archive with the hands of its owner.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A fresh handle, as another node would open it.
    fn destination(&self) -> Arc<dyn Destination>;
    /// A folder for staged files, outside the archive.
    fn staging(&self) -> &Path;
    /// Everything that lies in the archive, unfinished files included, as locations of receipts.
    async fn locations(&self) -> BTreeSet<String>;
    /// The bytes at a location.
    async fn read(&self, location: &str) -> Vec<u8>;
    /// Damages what lies there, past the destination.
    async fn replace(&self, location: &str, bytes: &[u8]);
    /// Loses what lies there, past the destination.
    async fn remove(&self, location: &str);
}

/// Makes a test of every check: `conformance_tests!(async_function_that_makes_a_harness)`.
#[macro_export]
macro_rules! conformance_tests {
    ($make:path) => {
        $crate::conformance_tests!(@each $make:
            a_file_arrives_whole_and_its_receipt_is_true
            empty_and_large_files_arrive
            the_same_bytes_again_give_the_same_location
            other_bytes_become_a_version_and_replace_nothing
            earlier_bytes_again_give_their_earlier_version
            staged_files_with_other_bytes_are_refused_and_leave_nothing
            verification_says_what_lies_there_now
            names_of_every_script_and_length_are_kept
            names_that_climb_or_hide_are_refused
            many_writers_of_the_same_bytes_make_one_file
            many_writers_of_different_bytes_make_a_version_each
            a_probe_of_a_sound_archive_leaves_nothing
        );
    };
    (@each $make:path: $($check:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let harness = $make().await;
                $crate::conformance::$check(&harness).await;
            }
        )+
    };
}

/// A key in a folder of two components.
pub fn key(file_name: &str) -> ArchiveKey {
    ArchiveKey { folder: "hr/e1".into(), file_name: file_name.into() }
}

/// Writes `bytes` as a staged file.
pub fn stage(harness: &dyn Harness, name: &str, bytes: &[u8]) -> PathBuf {
    let path = harness.staging().join(name);
    std::fs::write(&path, bytes).expect("the staging folder can be written to");
    path
}

/// Stages `bytes` and puts them.
pub async fn put(harness: &dyn Harness, key: &ArchiveKey, bytes: &[u8]) -> Result<Receipt, Error> {
    let digest = Digest::of(bytes);
    let path = stage(harness, &digest.to_string(), bytes);
    let file = StagedFile { path: &path, digest, bytes: bytes.len() as u64 };
    harness.destination().put(key, file, &Metadata::new()).await
}

async fn must_put(harness: &dyn Harness, key: &ArchiveKey, bytes: &[u8]) -> Receipt {
    put(harness, key, bytes).await.expect("a sound file is taken")
}

/// The bytes lie at the receipt's location, and the receipt says so.
async fn assert_holds(harness: &dyn Harness, receipt: &Receipt, bytes: &[u8]) {
    assert_eq!(harness.read(&receipt.location).await, bytes);
    assert_eq!((receipt.digest, receipt.bytes), (Digest::of(bytes), bytes.len() as u64));
    let verified = harness.destination().verify(receipt).await.expect("it can be read back");
    assert_eq!(verified, Verification::Present { digest: receipt.digest, bytes: receipt.bytes });
}

/// One file arrives under its key.
pub async fn a_file_arrives_whole_and_its_receipt_is_true(harness: &dyn Harness) {
    let receipt = must_put(harness, &key("contract.pdf"), b"%PDF- one").await;
    assert_holds(harness, &receipt, b"%PDF- one").await;
    assert_eq!((receipt.version, receipt.already_there), (1, false));
    assert_eq!(harness.locations().await, BTreeSet::from([receipt.location]));
}

/// Sizes at both ends.
pub async fn empty_and_large_files_arrive(harness: &dyn Harness) {
    let large: Vec<u8> = (0..LARGE_BYTES).map(|at| u8::try_from(at % 251).expect("below 251")).collect();
    let one = must_put(harness, &key("empty"), b"").await;
    let two = must_put(harness, &key("large.bin"), &large).await;
    assert_holds(harness, &one, b"").await;
    assert_holds(harness, &two, &large).await;
}

/// A step that ran twice has the effect of one.
pub async fn the_same_bytes_again_give_the_same_location(harness: &dyn Harness) {
    let first = must_put(harness, &key("contract.pdf"), b"one").await;
    let again = must_put(harness, &key("contract.pdf"), b"one").await;
    assert_eq!(again, Receipt { already_there: true, ..first.clone() });
    assert_eq!(harness.locations().await, BTreeSet::from([first.location]));
}

/// Nothing is overwritten, be the new bytes as many or not.
pub async fn other_bytes_become_a_version_and_replace_nothing(harness: &dyn Harness) {
    let key = key("contract.pdf");
    let texts: [&[u8]; 3] = [b"one", b"two", b"longer"];
    let mut receipts = Vec::new();
    for text in texts {
        receipts.push(must_put(harness, &key, text).await);
    }
    for (at, (receipt, text)) in receipts.iter().zip(texts).enumerate() {
        assert_eq!((receipt.version as usize, receipt.already_there), (at + 1, false));
        assert_holds(harness, receipt, text).await;
    }
    assert_eq!(harness.locations().await.len(), 3);
}

/// Old bytes are found among the versions.
pub async fn earlier_bytes_again_give_their_earlier_version(harness: &dyn Harness) {
    let key = key("contract.pdf");
    must_put(harness, &key, b"one").await;
    let second = must_put(harness, &key, b"two").await;
    must_put(harness, &key, b"three").await;
    let again = must_put(harness, &key, b"two").await;
    assert_eq!(again, Receipt { already_there: true, ..second });
    assert_eq!(harness.locations().await.len(), 3);
}

/// Truncated, longer, changed, gone: the engine takes `Corrupt` for "download it again".
pub async fn staged_files_with_other_bytes_are_refused_and_leave_nothing(harness: &dyn Harness) {
    let promised = b"the whole contract";
    let wrong: [Option<&[u8]>; 5] = [
        Some(b"the whole"),
        Some(b""),
        Some(b"the whole contract and more"),
        Some(b"the whole c0ntract"),
        None,
    ];
    for (at, bytes) in wrong.into_iter().enumerate() {
        let path = stage(harness, &format!("wrong-{at}"), bytes.unwrap_or_default());
        if bytes.is_none() {
            std::fs::remove_file(&path).expect("it was just written");
        }
        let file = StagedFile { path: &path, digest: Digest::of(promised), bytes: promised.len() as u64 };
        let outcome = harness.destination().put(&key("contract.pdf"), file, &Metadata::new()).await;
        let error = outcome.expect_err("other bytes than promised must not be taken");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error.chain());
        assert_eq!(error.remedy(), Remedy::Retry(None));
    }
    assert_eq!(harness.locations().await, BTreeSet::new());
}

/// What lies there counts, not what was put.
pub async fn verification_says_what_lies_there_now(harness: &dyn Harness) {
    let receipt = must_put(harness, &key("contract.pdf"), b"one").await;
    harness.replace(&receipt.location, b"forged").await;
    let found = harness.destination().verify(&receipt).await.expect("it can be read");
    assert_eq!(found, Verification::Present { digest: Digest::of(b"forged"), bytes: 6 });
    harness.remove(&receipt.location).await;
    let found = harness.destination().verify(&receipt).await.expect("its absence can be seen");
    assert_eq!(found, Verification::Missing);
    let elsewhere = Receipt { location: "hr/other/contract.pdf".into(), ..receipt };
    let found = harness.destination().verify(&elsewhere).await.expect("its absence can be seen");
    assert_eq!(found, Verification::Missing);
}

/// Names are kept as core made them.
pub async fn names_of_every_script_and_length_are_kept(harness: &dyn Harness) {
    let longest = format!("{}.pdf", "ü".repeat(98));
    for name in ["Übergabe – Nº 1.pdf", "契約書.pdf", "עברית 🖋.pdf", "no ending", "a'b&c #1%20.pdf", &longest]
    {
        let key = ArchiveKey { folder: format!("{name}/e1"), file_name: name.into() };
        let first = must_put(harness, &key, b"one").await;
        let second = must_put(harness, &key, b"two").await;
        assert_holds(harness, &first, b"one").await;
        assert_holds(harness, &second, b"two").await;
    }
}

/// Core makes names safe; a destination does not count on it.
pub async fn names_that_climb_or_hide_are_refused(harness: &dyn Harness) {
    let before = harness.locations().await;
    for (folder, file_name) in [
        ("", "a.pdf"),
        ("..", "a.pdf"),
        ("hr/..", "a.pdf"),
        ("hr/../../x", "a.pdf"),
        ("/abs", "a.pdf"),
        ("hr//e1", "a.pdf"),
        ("hr/./e1", "a.pdf"),
        ("hr/", "a.pdf"),
        ("hr\0", "a.pdf"),
        ("hr", ""),
        ("hr", ".."),
        ("hr", "."),
        ("hr", "a/b.pdf"),
        ("hr", "/etc/passwd"),
        ("hr", "a\0.pdf"),
    ] {
        let key = ArchiveKey { folder: folder.into(), file_name: file_name.into() };
        let error = put(harness, &key, b"one").await.expect_err("it must be refused");
        assert_eq!(error.remedy(), Remedy::AskPerson, "{key:?}");
    }
    assert_eq!(harness.locations().await, before);
}

/// Same bytes collapse to one location, whoever is first.
pub async fn many_writers_of_the_same_bytes_make_one_file(harness: &dyn Harness) {
    let receipts = put_at_once(harness, |_| b"the same".to_vec()).await;
    assert_eq!(receipts.iter().filter(|receipt| !receipt.already_there).count(), 1);
    let locations: BTreeSet<_> = receipts.iter().map(|receipt| receipt.location.clone()).collect();
    assert_eq!(locations.len(), 1);
    assert_eq!(harness.locations().await, locations);
}

/// Exactly one writer wins each version, and none is lost.
pub async fn many_writers_of_different_bytes_make_a_version_each(harness: &dyn Harness) {
    let text = |at: usize| format!("text {}", at % 8).into_bytes();
    let receipts = put_at_once(harness, text).await;
    assert_eq!(receipts.iter().filter(|receipt| !receipt.already_there).count(), 8);
    let versions: BTreeSet<_> = receipts.iter().map(|receipt| receipt.version).collect();
    assert_eq!(versions, (1..=8).collect());
    for (at, receipt) in receipts.iter().enumerate() {
        assert_holds(harness, receipt, &text(at)).await;
    }
    assert_eq!(harness.locations().await.len(), 8);
}

/// Looking whether it can be written to changes nothing.
pub async fn a_probe_of_a_sound_archive_leaves_nothing(harness: &dyn Harness) {
    harness.destination().probe().await.expect("a sound archive");
    assert_eq!(harness.locations().await, BTreeSet::new());
}

/// Puts of one key by [`WRITERS`] tasks, each with a handle of its own; receipts in the order of the tasks.
async fn put_at_once(harness: &dyn Harness, bytes: impl Fn(usize) -> Vec<u8>) -> Vec<Receipt> {
    let writers: Vec<_> = (0..WRITERS)
        .map(|at| {
            let (destination, bytes) = (harness.destination(), bytes(at));
            let path = stage(harness, &format!("writer-{at}"), &bytes);
            tokio::spawn(async move {
                let file = StagedFile { path: &path, digest: Digest::of(&bytes), bytes: bytes.len() as u64 };
                destination.put(&key("contract.pdf"), file, &Metadata::new()).await
            })
        })
        .collect();
    let mut receipts = Vec::new();
    for writer in writers {
        receipts.push(writer.await.expect("no writer panics").expect("every writer succeeds"));
    }
    receipts
}
