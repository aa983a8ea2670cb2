//! The suite of all destinations, and what only a folder can do: links, modes, crashes, full disks.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use tempfile::TempDir;

use super::copy::copy;
use super::*;
use crate::conformance::{Harness, key, put, stage};

struct Disk {
    /// Holds `archive` and `staging`, and everything a name could climb to.
    home: TempDir,
    staging: PathBuf,
}

impl Disk {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let staging = home.path().join("staging");
        fs::create_dir(&staging).unwrap();
        let disk = Self { home, staging };
        fs::create_dir(disk.archive()).unwrap();
        disk
    }

    fn archive(&self) -> PathBuf {
        self.home.path().join("archive")
    }

    fn filesystem(&self) -> Filesystem {
        Filesystem::open(DestinationId::new("archive"), self.archive()).unwrap()
    }
}

#[async_trait]
impl Harness for Disk {
    fn destination(&self) -> Arc<dyn Destination> {
        Arc::new(self.filesystem())
    }

    fn staging(&self) -> &Path {
        &self.staging
    }

    async fn locations(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.archive()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.symlink_metadata().unwrap().is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.strip_prefix(self.archive()).unwrap().to_str().unwrap().into());
                }
            }
        }
        found
    }

    async fn read(&self, location: &str) -> Vec<u8> {
        fs::read(self.archive().join(location)).unwrap()
    }

    async fn replace(&self, location: &str, bytes: &[u8]) {
        fs::write(self.archive().join(location), bytes).unwrap();
    }

    async fn remove(&self, location: &str) {
        fs::remove_file(self.archive().join(location)).unwrap();
    }
}

async fn disk() -> Disk {
    Disk::new()
}

crate::conformance_tests!(disk);

#[tokio::test]
async fn versions_stand_beside_each_other_under_telling_names() {
    let disk = Disk::new();
    for text in ["one", "two", "three"] {
        put(&disk, &key("contract.pdf"), text.as_bytes()).await.unwrap();
    }
    let expected = ["hr/e1/contract.pdf", "hr/e1/contract.v2.pdf", "hr/e1/contract.v3.pdf"];
    assert_eq!(disk.locations().await, expected.map(String::from).into());
}

#[tokio::test]
async fn a_link_in_place_of_a_folder_is_not_followed() {
    let disk = Disk::new();
    let outside = disk.home.path().join("outside");
    fs::create_dir_all(outside.join("e1")).unwrap();
    for (at, link) in ["hr", "it/e1"].into_iter().enumerate() {
        let link = disk.archive().join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&outside, &link).unwrap();
        let folder = ["hr/e1", "it/e1"][at].into();
        let error = put(&disk, &ArchiveKey { folder, ..key("a.pdf") }, b"one").await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::AskPerson);
        assert!(error.to_string().contains("a symbolic link, which is never followed"), "{error}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_dir(outside.join("e1")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_link_in_place_of_the_file_is_neither_followed_nor_believed() {
    let disk = Disk::new();
    let outside = disk.home.path().join("outside.pdf");
    fs::write(&outside, b"one").unwrap();
    fs::create_dir_all(disk.archive().join("hr/e1")).unwrap();
    symlink(&outside, disk.archive().join("hr/e1/contract.pdf")).unwrap();
    let error = put(&disk, &key("contract.pdf"), b"one").await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::AskPerson);
    let receipt = Receipt {
        location: "hr/e1/contract.pdf".into(),
        version: 1,
        digest: Digest::of(b"one"),
        bytes: 3,
        already_there: false,
    };
    let error = disk.filesystem().verify(&receipt).await.unwrap_err();
    assert!(error.to_string().contains("must be a file and is a symbolic link"), "{error}");
    assert_eq!(fs::read(&outside).unwrap(), b"one");
}

#[tokio::test]
async fn a_receipt_that_climbs_is_refused() {
    let disk = Disk::new();
    fs::write(disk.home.path().join("secret"), b"one").unwrap();
    let good = put(&disk, &key("contract.pdf"), b"one").await.unwrap();
    for location in ["../secret", "hr/../../secret", "/etc/passwd", "passwd", ""] {
        let receipt = Receipt { location: location.into(), ..good.clone() };
        let error = disk.filesystem().verify(&receipt).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::AskPerson, "{location}");
    }
}

#[tokio::test]
async fn a_file_or_folder_in_the_way_is_said_clearly() {
    let disk = Disk::new();
    fs::write(disk.archive().join("hr"), b"a file").unwrap();
    let error = put(&disk, &key("a.pdf"), b"one").await.unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Storage, Remedy::AskPerson));
    assert!(error.to_string().contains("hr must be a folder and is a file"), "{error}");

    fs::create_dir_all(disk.archive().join("it/a.pdf")).unwrap();
    let error = put(&disk, &ArchiveKey { folder: "it".into(), ..key("a.pdf") }, b"one").await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::AskPerson);
    assert!(error.to_string().contains("it/a.pdf must be a file and is a folder"), "{error}");
}

#[tokio::test]
async fn the_longest_name_is_kept_and_a_version_of_it_is_a_question() {
    let disk = Disk::new();
    let longest = format!("{}.pdf", "x".repeat(251));
    put(&disk, &key(&longest), b"one").await.unwrap();
    assert!(put(&disk, &key(&longest), b"one").await.unwrap().already_there);
    let error = put(&disk, &key(&longest), b"two").await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::AskPerson);
    assert!(error.to_string().contains("too long for a version number"), "{error}");
    let error = put(&disk, &key(&format!("{longest}x")), b"one").await.unwrap_err();
    assert!(error.to_string().contains("is too long"), "{error}");
    assert_eq!(disk.locations().await.len(), 1);
}

#[tokio::test]
async fn too_many_versions_are_a_question() {
    let disk = Disk::new();
    let folder = disk.archive().join("hr/e1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.pdf"), b"").unwrap();
    for version in 2..=VERSIONS_MAX {
        fs::write(folder.join(format!("a.v{version}.pdf")), b"").unwrap();
    }
    let error = put(&disk, &key("a.pdf"), b"one").await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::AskPerson);
    assert!(error.to_string().contains("has 1000 versions"), "{error}");
    assert_eq!(disk.locations().await.len(), VERSIONS_MAX as usize);
}

#[tokio::test]
async fn what_a_crash_left_of_the_same_file_goes_once_it_is_old() {
    let disk = Disk::new();
    put(&disk, &key("a.pdf"), b"one").await.unwrap();
    let folder = disk.archive().join("hr/e1");
    let prefix = |target: &str| format!(".aftersign-{}-", &Digest::of(target.as_bytes()).to_string()[..16]);
    let left = |name: String, days: u64| {
        fs::write(folder.join(&name), b"half").unwrap();
        let file = OpenOptions::new().write(true).open(folder.join(&name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(days * 86_400)).unwrap();
        format!("hr/e1/{name}")
    };
    let old = left(format!("{}00.part", prefix("a.pdf")), 2);
    let young = left(format!("{}01.part", prefix("a.pdf")), 0);
    let of_another = left(format!("{}02.part", prefix("b.pdf")), 2);
    put(&disk, &key("a.pdf"), b"two").await.unwrap();
    let found = disk.locations().await;
    assert!(!found.contains(&old) && found.contains(&young) && found.contains(&of_another), "{found:?}");
}

#[tokio::test]
async fn a_name_for_unfinished_files_is_no_name_for_an_artifact() {
    let error = put(&Disk::new(), &key(".aftersign-00.part"), b"one").await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::AskPerson);
}

#[tokio::test]
async fn files_and_folders_are_closed_to_others() {
    let disk = Disk::new();
    let receipt = put(&disk, &key("a.pdf"), b"one").await.unwrap();
    let mode = |path: &str| fs::metadata(disk.archive().join(path)).unwrap().permissions().mode() & 0o7777;
    // The umask of whoever runs the tests may take more away.
    assert_eq!((mode(&receipt.location) & !0o640, mode("hr") & !0o750, mode("hr/e1") & !0o750), (0, 0, 0));
}

#[test]
fn without_a_rename_that_refuses_links_keep_the_promise() {
    let disk = Disk::new();
    let root = disk.archive();
    let site = Site::new("store", &root);
    let folder = Folder::open_or_create(&site, "hr").unwrap();
    let write = |bytes: &[u8]| {
        let path = stage(&disk, "staged", bytes);
        let staged = Staged { path, digest: Digest::of(bytes), bytes: bytes.len() as u64 };
        Part::write(&folder, "a.pdf", &staged).unwrap()
    };
    assert_eq!(write(b"one").publish_by_link("a.pdf").unwrap(), Published::Now);
    assert_eq!(write(b"two").publish_by_link("a.pdf").unwrap(), Published::Taken);
    assert_eq!(fs::read(root.join("hr/a.pdf")).unwrap(), b"one");
    assert_eq!(fs::read_dir(root.join("hr")).unwrap().count(), 1);
}

#[test]
fn a_full_disk_is_seen_while_writing_and_said_in_words() {
    let disk = Disk::new();
    let mut from = File::open(stage(&disk, "staged", b"one")).unwrap();
    let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let Err(copy::CopyError::Write(error)) = copy(&mut from, &mut full, 3) else {
        panic!("/dev/full took bytes");
    };
    let root = disk.archive();
    let error = Site::new("store", &root).failed("cannot write a.pdf", error);
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Storage, Remedy::Retry(None)));
    assert!(error.to_string().contains("the disk is full; free some space"), "{error}");
}

#[test]
fn what_an_operator_can_mend_is_tried_again_and_says_how() {
    let root = Path::new("/srv/archive");
    for (errno, advice) in [
        (Errno::NOSPC, "the disk is full"),
        (Errno::DQUOT, "the quota is used up"),
        (Errno::ACCESS, "permission denied; give /srv/archive"),
        (Errno::ROFS, "the file system is read-only; mount /srv/archive"),
        (Errno::IO, "system's log"),
    ] {
        let error = Site::new("store", root).failed("cannot write a.pdf", errno.into());
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Storage, Remedy::Retry(None)));
        assert!(error.to_string().contains(advice), "{error}");
    }
}

#[tokio::test]
async fn a_probe_says_what_to_mend() {
    let disk = Disk::new();
    let probe = async |root: PathBuf| {
        let archive = Filesystem::open(DestinationId::new("archive"), root).unwrap();
        archive.probe().await.map_err(|error| error.to_string())
    };
    assert_eq!(probe(disk.home.path().join("new")).await, Ok(()));
    let error = probe(disk.home.path().join("no/such")).await.unwrap_err();
    assert!(error.contains("nor does the folder above it"), "{error}");
    fs::write(disk.home.path().join("file"), b"").unwrap();
    let error = probe(disk.home.path().join("file")).await.unwrap_err();
    assert!(error.contains("file is not a folder"), "{error}");
    // Nobody, root included, can make a file there; containers mount it read-only besides.
    let error = probe("/sys".into()).await.unwrap_err();
    assert!(error.contains("cannot write to the archive folder /sys"), "{error}");
    assert!(error.contains("permission denied") || error.contains("read-only"), "{error}");
}

#[tokio::test]
async fn a_root_that_went_away_is_not_a_lost_document_and_is_not_made_anew() {
    let disk = Disk::new();
    let archive = disk.filesystem();
    let receipt = put(&disk, &key("a.pdf"), b"one").await.unwrap();
    fs::rename(disk.archive(), disk.home.path().join("unmounted")).unwrap();
    let error = archive.verify(&receipt).await.unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Storage, Remedy::Retry(None)));
    let path = stage(&disk, "staged", b"one");
    let file = StagedFile { path: &path, digest: Digest::of(b"one"), bytes: 3 };
    let error = archive.put(&key("a.pdf"), file, &Metadata::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Storage, Remedy::Retry(None)));
    assert!(!disk.archive().exists());
}

#[test]
fn an_empty_root_is_a_mistake_in_the_config() {
    let error = Filesystem::open(DestinationId::new("archive"), PathBuf::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
}
