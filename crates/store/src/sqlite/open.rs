//! Opening the database: every way in which that can fail is said in words that tell what to do.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::Role;
use crate::StoreError;
use crate::limits::{BUSY_WAIT, READER_CACHE_KIB, STATEMENTS_MAX, WAL_PAGES_MAX, WRITER_CACHE_KIB};

/// Stands in the file's header, so that another program's database is not taken for ours (`AftS`).
const APPLICATION_ID: i64 = 0x4166_7453;

mod schema {
    refinery::embed_migrations!("src/sqlite/migrations");
}

/// An open write connection, with the server's lock.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) lock: Option<File>,
}

/// Opens, checks and migrates.
pub(super) fn open(path: &Path, role: Role) -> Result<Opened, StoreError> {
    create(path)?;
    let lock = match role {
        Role::Server => Some(take_lock(path)?.ok_or_else(|| StoreError::InUse { path: path.into() })?),
        Role::Tool => None,
    };
    let mut conn = write_connection(path).map_err(|error| explain(path, &error))?;
    let found = check(&conn, path)?;
    if found < known_version() {
        // A command migrates only while no server works on the file.
        let passing = match &lock {
            Some(_) => None,
            None => Some(take_lock(path)?.ok_or_else(|| {
                cannot(
                    path,
                    "it has to be migrated and a server of another version works on it: stop that first",
                )
            })?),
        };
        schema::migrations::runner()
            .run(&mut conn)
            .map_err(|error| cannot(path, &format!("the migration failed and was undone: {error}")))?;
        drop(passing);
    }
    Ok(Opened { conn, lock })
}

/// A connection that may write, as the writer needs it.
pub(super) fn write_connection(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_WAIT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    conn.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA temp_store = MEMORY;"
    ))?;
    conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES_MAX)?;
    Ok(conn)
}

/// A connection that only reads.
pub(super) fn read_connection(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_WAIT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.execute_batch(&format!("PRAGMA cache_size = -{READER_CACHE_KIB}; PRAGMA temp_store = MEMORY;"))?;
    Ok(conn)
}

fn known_version() -> u32 {
    let versions = schema::migrations::runner();
    versions.get_migrations().iter().map(|m| u32::try_from(m.version()).unwrap_or(0)).max().unwrap_or(0)
}

/// The schema's version, 0 for a new file; an error for a file that is not ours or newer than we are.
fn check(conn: &Connection, path: &Path) -> Result<u32, StoreError> {
    let one = |sql: &str| {
        conn.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))
            .optional()
            .map(|n| n.flatten().unwrap_or(0))
            .map_err(|error| explain(path, &error))
    };
    let is_ours = one("SELECT application_id FROM pragma_application_id")? == APPLICATION_ID;
    if !is_ours {
        if one("SELECT count(*) FROM sqlite_schema")? > 0 {
            return Err(cannot(path, "it is another program's database: name another file in [store] url"));
        }
        conn.pragma_update(None, "application_id", APPLICATION_ID).map_err(|error| explain(path, &error))?;
        return Ok(0);
    }
    if one("SELECT count(*) FROM sqlite_schema WHERE name = 'refinery_schema_history'")? == 0 {
        return Ok(0);
    }
    let found = u32::try_from(one("SELECT max(version) FROM refinery_schema_history")?).unwrap_or(u32::MAX);
    let known = known_version();
    if found > known {
        return Err(StoreError::NewerSchema { path: path.into(), found, known });
    }
    Ok(found)
}

/// Makes the folder and an empty file that only its owner may read; SQLite gives its log the same rights.
fn create(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).map_err(|error| {
            cannot(path, &format!("its folder {} cannot be made: {error}", folder.display()))
        })?;
    }
    match private_file(path) {
        Ok(_) => {
            sync_folder(path).map_err(|error| cannot(path, &format!("its folder cannot be synced: {error}")))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot(path, &format!("it cannot be made: {error}. Is its folder writable?"))),
    }
}

/// Makes a new file with mode 0600.
pub(super) fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a new name in a folder durable.
pub(super) fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// The advisory lock beside the database; `None` if somebody else holds it. It ends with the process.
fn take_lock(path: &Path) -> Result<Option<File>, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let fail = |error: std::io::Error| cannot(path, &format!("cannot lock {}: {error}", name.display()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&name).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(fail(error)),
    }
}

fn explain(path: &Path, error: &rusqlite::Error) -> StoreError {
    let reason = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => "it is not an SQLite database: name another file in [store] url",
        Some(ErrorCode::DatabaseCorrupt) => "it is damaged: restore it from a backup",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "it or its folder is not writable for the user that runs Aftersign"
        }
        Some(ErrorCode::CannotOpen) => "it, or its log beside it, is not readable and writable",
        Some(ErrorCode::DiskFull) => "the disk is full",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process has been writing to it for too long"
        }
        _ => return cannot(path, &error.to_string()),
    };
    cannot(path, reason)
}

fn cannot(path: &Path, reason: &str) -> StoreError {
    StoreError::CannotOpen { path: path.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use refinery::Target;

    use super::*;

    #[test]
    fn a_database_of_the_first_version_is_migrated_with_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aftersign.db");
        create(&path).unwrap();
        let mut conn = write_connection(&path).unwrap();
        assert_eq!(check(&conn, &path).unwrap(), 0);
        schema::migrations::runner().set_target(Target::Version(1)).run(&mut conn).unwrap();
        conn.execute_batch(
            "INSERT INTO accounts VALUES (1, 'hr'); INSERT INTO platforms VALUES (1, 'p');
             INSERT INTO envelopes (id, account, platform, status, confirmed, settled, announced, swept, gap,
                 first_seen_at, updated_at) VALUES ('e1', 1, 1, 'completed', 1, 1, 1, 0, 0, 5, 5);
             INSERT INTO transfers (id, account, envelope, phase, parked, lease_token, state)
                 VALUES (x'00', 1, 1, 'ask', 'access_needed', 0, '');
             INSERT INTO tasks (id, key, kind, account, opened_at, assignee, what, todo)
                 VALUES (zeroblob(16), 'k', 'quarantined', 'hr', 5, 'admins', 'w', 't');
             INSERT INTO timeline (envelope, part, at, heard_at, kind, kind_at_platform)
                 VALUES (1, 0, 5, 5, 'sent', 'sent');
             INSERT INTO vault (account, owner, key_id, wrapped, sealed, sealed_at)
                 VALUES ('hr', 'sam', 'k', x'00', x'00', 5);",
        )
        .unwrap();
        assert_eq!(check(&conn, &path).unwrap(), 1);
        drop(conn);
        let opened = open(&path, Role::Server).unwrap();
        assert_eq!(check(&opened.conn, &path).unwrap(), known_version());
        let envelope = super::super::envelopes::load(&opened.conn, 1).unwrap().known;
        assert_eq!((envelope.id.as_str(), envelope.revision), ("e1", None));
        let account = super::super::senders::parked_for(&opened.conn, 1, None).unwrap();
        assert_eq!(account, 1, "what waited waits for the account's own access");
        let one = |sql: &str| opened.conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(one("SELECT count(*) FROM vault"), 0);
        assert_eq!(one("SELECT count(*) FROM tasks WHERE mail_queued_at IS NULL AND mailed_at IS NULL"), 1);
        assert_eq!(one("SELECT by_us FROM timeline"), 0);
    }
}
