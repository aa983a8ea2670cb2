//! Folders below the root, opened one component at a time so that no link can lead out of it, and what their
//! failures mean.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use aftersign_core::limits::FILE_NAME_BYTES_MAX;
use aftersign_core::{Error, ErrorKind, Remedy};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fsync, mkdirat, open, openat, statat};
use rustix::io::Errno;

use super::part::PART_PREFIX;
use super::shown;

/// Mode of new folders: the owner writes, the group reads.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o750);

const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An archive's root and what is being done there; makes its errors.
pub(super) struct Site<'a> {
    pub(super) operation: &'static str,
    pub(super) root: &'a Path,
}

impl<'a> Site<'a> {
    pub(super) fn new(operation: &'static str, root: &'a Path) -> Self {
        Self { operation, root }
    }

    /// Makes the root if only its last component is missing, and makes that durable.
    pub(super) fn make_root(&self) -> Result<(), Error> {
        match rustix::fs::mkdir(self.root, FOLDER_MODE) {
            Err(Errno::EXIST) => Ok(()),
            Err(Errno::NOENT) => {
                let message = format!(
                    "the archive folder {} does not exist, nor does the folder above it: create it or mount \
                     its disk",
                    self.root.display()
                );
                Err(Error::new(ErrorKind::Storage, Remedy::Retry(None), self.operation, message))
            }
            Err(errno) => Err(self.failed(&format!("cannot create {}", self.root.display()), errno.into())),
            Ok(()) => match self.root.parent() {
                Some(parent) => open(parent, FOLDER_FLAGS, Mode::empty())
                    .and_then(fsync)
                    .map_err(|errno| self.failed(&format!("cannot sync {}", parent.display()), errno.into())),
                None => Ok(()),
            },
        }
    }

    /// Core makes folders safe; this is the last place to be sure of it.
    pub(super) fn check_folder(&self, folder: &str) -> Result<(), Error> {
        folder.split('/').try_for_each(|component| self.check_name(component))
    }

    /// Whether `name` is one component that stays in its folder.
    pub(super) fn check_name(&self, name: &str) -> Result<(), Error> {
        let wrong = match name {
            "" => "is empty",
            "." | ".." => "climbs",
            _ if name.contains(['/', '\0']) => "contains a separator",
            _ if name.len() > FILE_NAME_BYTES_MAX => "is too long",
            _ if name.starts_with(PART_PREFIX) => "is reserved for unfinished files",
            _ => return Ok(()),
        };
        let message = format!("the name {name:?} {wrong} and cannot be used in an archive: report this");
        Err(self.ask(ErrorKind::Rejected, message))
    }

    /// A failure that only a person can mend.
    pub(super) fn ask(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, Remedy::AskPerson, self.operation, message)
    }

    /// What the system's refusal means to an operator. All of these are tried again: disks get space and
    /// folders get owners without anyone telling us.
    pub(super) fn failed(&self, what: &str, error: io::Error) -> Error {
        let root = self.root.display();
        let advice = match Errno::from_io_error(&error) {
            Some(Errno::NOSPC) => "the disk is full; free some space and it goes on by itself".into(),
            Some(Errno::DQUOT) => "the quota is used up; raise it and it goes on by itself".into(),
            Some(Errno::ACCESS | Errno::PERM) => {
                format!("permission denied; give {root} and all in it to the user that runs aftersign")
            }
            Some(Errno::ROFS) => format!("the file system is read-only; mount {root} for writing"),
            Some(Errno::NOENT) => format!("it is gone; see that {root} exists and its disk is mounted"),
            Some(Errno::NAMETOOLONG) => "the name is too long for this file system".into(),
            Some(Errno::IO | Errno::STALE | Errno::HOSTDOWN | Errno::TIMEDOUT) => {
                "the disk or mount reports an error; look into the system's log".into()
            }
            _ => "the system refused".to_string(),
        };
        let message = format!("{what}: {advice}");
        Error::new(ErrorKind::Storage, Remedy::Retry(None), self.operation, message).caused_by(error)
    }
}

/// An open folder together with all folders above it, up to the root.
pub(super) struct Folder<'a> {
    pub(super) site: &'a Site<'a>,
    /// The root first, this folder last; never empty.
    chain: Vec<OwnedFd>,
    /// Relative to the root; empty for the root.
    path: String,
}

impl<'a> Folder<'a> {
    /// The root, which must exist: a root that has gone is a disk that is not mounted, not an empty archive.
    pub(super) fn open_root(site: &'a Site<'a>) -> Result<Self, Error> {
        match open(site.root, FOLDER_FLAGS, Mode::empty()) {
            Ok(root) => Ok(Self { site, chain: vec![root], path: String::new() }),
            Err(Errno::NOTDIR) => {
                let message = format!(
                    "{} is not a folder: move it away or set the destination's `root` to a folder",
                    site.root.display()
                );
                Err(site.ask(ErrorKind::Storage, message))
            }
            Err(errno) => {
                Err(site
                    .failed(&format!("cannot open the archive folder {}", site.root.display()), errno.into()))
            }
        }
    }

    /// The folder `path` below the root; `None` if it is not there.
    pub(super) fn open(site: &'a Site<'a>, path: &str) -> Result<Option<Self>, Error> {
        let mut folder = Self::open_root(site)?;
        for component in path.split('/') {
            if !folder.enter(component)? {
                return Ok(None);
            }
        }
        Ok(Some(folder))
    }

    /// The folder `path` below the root; what is missing is made, and is durable after [`sync`](Self::sync).
    pub(super) fn open_or_create(site: &'a Site<'a>, path: &str) -> Result<Self, Error> {
        let mut folder = Self::open_root(site)?;
        for component in path.split('/') {
            if folder.enter(component)? {
                continue;
            }
            match mkdirat(folder.handle(), component, FOLDER_MODE) {
                // Somebody else was faster: just as good.
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(folder.failed("cannot create", component, &errno.into())),
            }
            if !folder.enter(component)? {
                return Err(folder.failed("cannot enter", component, &Errno::NOENT.into()));
            }
        }
        Ok(folder)
    }

    /// Goes one folder down, never through a link. `false` if it is not there.
    fn enter(&mut self, component: &str) -> Result<bool, Error> {
        match openat(self.handle(), component, FOLDER_FLAGS | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(next) => {
                self.chain.push(next);
                if !self.path.is_empty() {
                    self.path.push('/');
                }
                self.path.push_str(component);
                Ok(true)
            }
            Err(Errno::NOENT) => Ok(false),
            Err(Errno::NOTDIR | Errno::LOOP) => Err(self.in_the_way(component, "a folder")),
            Err(errno) => Err(self.failed("cannot open", component, &errno.into())),
        }
    }

    /// The regular file `name`, for reading; `None` if nothing has that name.
    pub(super) fn open_file(&self, name: &str) -> Result<Option<File>, Error> {
        let stat = match statat(self.handle(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.failed("cannot look at", name, &errno.into())),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.in_the_way(name, "a file"));
        }
        // NONBLOCK: should it have become a pipe since, opening must not wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(self.handle(), name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP) => Err(self.in_the_way(name, "a file")),
            Err(errno) => Err(self.failed("cannot open", name, &errno.into())),
        }
    }

    /// Makes the file's bytes durable.
    pub(super) fn sync_file(&self, file: &File, name: &str) -> Result<(), Error> {
        file.sync_all().map_err(|error| self.failed("cannot sync", name, &error))
    }

    /// Makes the names in this folder durable, and this folder's in the one above it, up to the root: another
    /// writer may have made a folder of ours and not have synced it yet.
    pub(super) fn sync(&self) -> Result<(), Error> {
        for folder in self.chain.iter().rev() {
            fsync(folder).map_err(|errno| self.failed("cannot sync", "", &errno.into()))?;
        }
        Ok(())
    }

    /// The folder itself, for calls relative to it.
    pub(super) fn handle(&self) -> BorrowedFd<'_> {
        self.chain[self.chain.len() - 1].as_fd()
    }

    /// A failure at `name` in this folder (empty: at the folder).
    pub(super) fn failed(&self, what: &str, name: &str, error: &io::Error) -> Error {
        // io::Error cannot be cloned; its number says all that the system said.
        let cause =
            error.raw_os_error().map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error);
        self.site.failed(&format!("{what} {}", shown(self.site.root, &self.path, name)), cause)
    }

    fn in_the_way(&self, name: &str, expected: &str) -> Error {
        let found = match statat(self.handle(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => "a symbolic link, which is never followed",
                FileType::RegularFile => "a file",
                FileType::Directory => "a folder",
                _ => "a device, pipe or socket",
            },
            Err(_) => "something else",
        };
        let path = shown(self.site.root, &self.path, name);
        let message = format!("{path} must be {expected} and is {found}: move it away, then redrive");
        self.site.ask(ErrorKind::Storage, message)
    }
}
