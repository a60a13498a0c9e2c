//! A world in a file: a header, the world in postcard, a checksum and an end mark.
//!
//! The file is written under a temporary name and renamed after it is on disk, so a snapshot is never partial. A file
//! of another program, a truncated or damaged file, and a snapshot of a simulator with other kinds or switches is
//! refused.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use crate::{
    model::Kind,
    world::{Switches, World},
};

const MAGIC: &[u8; 8] = b"CLOSESIM";
const END: &[u8; 8] = b"SIM-END.";
/// Increased when the stored form changes other than by kinds and switches.
const FORMAT: u32 = 1;
/// Magic, format and fingerprint before the world; checksum and mark after it.
const BEFORE: usize = 16;
const AFTER: usize = 12;

/// Writes a world and returns the bytes of the file.
///
/// # Errors
/// The file cannot be written; an earlier file stays.
pub fn write(world: &World, path: &Path) -> io::Result<u64> {
    let name = path.file_name().ok_or_else(|| invalid(path, "is not a file name"))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(beside);
    let written = write_part(world, &part).and_then(|bytes| fs::rename(&part, path).map(|()| bytes));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    let bytes =
        written.map_err(|error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display())))?;
    // The directory with the new name must reach the disk as well.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()?;
    Ok(bytes)
}

fn write_part(world: &World, part: &Path) -> io::Result<u64> {
    let mut file =
        Summed { out: BufWriter::with_capacity(1 << 20, File::create(part)?), sum: crc32fast::Hasher::new(), bytes: 0 };
    file.write_all(MAGIC)?;
    file.write_all(&FORMAT.to_le_bytes())?;
    file.write_all(&fingerprint().to_le_bytes())?;
    let mut file = postcard::to_io(world, file).map_err(io::Error::other)?;
    let sum = file.sum.clone().finalize();
    file.write_all(&sum.to_le_bytes())?;
    file.write_all(END)?;
    let bytes = file.bytes;
    file.out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(bytes)
}

/// # Errors
/// The file cannot be read or is not a complete snapshot of this simulator; the message says which.
pub fn read(path: &Path) -> io::Result<World> {
    let bytes = fs::read(path)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display())))?;
    if !bytes.starts_with(MAGIC) {
        return Err(invalid(path, "is not a snapshot of close-simulator"));
    }
    if bytes.len() < BEFORE + AFTER || !bytes.ends_with(END) {
        return Err(invalid(path, "is truncated: its end is missing"));
    }
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    if (number(8), number(12)) != (FORMAT, fingerprint()) {
        return Err(invalid(path, "was written by another version of close-simulator"));
    }
    let end = bytes.len() - AFTER;
    if crc32fast::hash(&bytes[..end]) != number(end) {
        return Err(invalid(path, "is damaged: its checksum is wrong"));
    }
    let mut world: World = postcard::from_bytes(&bytes[BEFORE..end])
        .map_err(|error| invalid(path, &format!("cannot be read: {error}")))?;
    drop(bytes);
    for (id, version) in world.history.share() {
        if world.store.get(id).is_some_and(|present| **present == *version) {
            world.store.put(version);
        }
    }
    Ok(world)
}

fn invalid(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} {what}", path.display()))
}

/// Depends on the kinds and the switches, whose numbers and order determine the stored form.
fn fingerprint() -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for kind in Kind::ALL {
        sum.update(format!("{kind:?} ").as_bytes());
    }
    for (name, _) in Switches::MEANINGS {
        sum.update(name.as_bytes());
    }
    sum.finalize()
}

/// A file that computes its checksum while it is written.
struct Summed {
    out: BufWriter<File>,
    sum: crc32fast::Hasher,
    bytes: u64,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
