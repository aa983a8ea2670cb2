//! Reading a file through one bounded buffer, digesting on the way.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Write};

use aftersign_core::digest::{Digest, Digester};

/// Large enough that system calls do not count, small enough for hundreds of transfers at once.
pub(super) const BUFFER_BYTES: usize = 128 * 1024;

/// Which side of a copy failed.
#[derive(Debug)]
pub(super) enum CopyError {
    /// The file that is read.
    Read(Error),
    /// The file that is written.
    Write(Error),
}

/// Copies `from` to `to` and gives the digest and number of the bytes. Stops behind `bytes_max`: what is
/// longer than expected is wrong already and need not fill the disk.
pub(super) fn copy(from: &mut File, to: &mut File, bytes_max: u64) -> Result<(Digest, u64), CopyError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut digester = Digester::default();
    let mut bytes = 0;
    while bytes <= bytes_max {
        let piece = read_piece(from, &mut buffer).map_err(CopyError::Read)?;
        if piece.is_empty() {
            break;
        }
        digester.update(piece);
        to.write_all(piece).map_err(CopyError::Write)?;
        bytes += piece.len() as u64;
    }
    Ok((digester.finish(), bytes))
}

/// The digest and number of the bytes that are left in `file`.
pub(super) fn digest_of(file: &mut File) -> Result<(Digest, u64), Error> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut digester = Digester::default();
    let mut bytes = 0;
    loop {
        let piece = read_piece(file, &mut buffer)?;
        if piece.is_empty() {
            return Ok((digester.finish(), bytes));
        }
        digester.update(piece);
        bytes += piece.len() as u64;
    }
}

fn read_piece<'a>(file: &mut File, buffer: &'a mut [u8]) -> Result<&'a [u8], Error> {
    loop {
        match file.read(buffer) {
            Ok(count) => return Ok(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
