//! What happens to files whose content is in bronze.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use medallion_pipeline::{After, Arrival, Ready};

use crate::arrived::ReadFile;
use crate::discovery::split_ending;
use crate::opened::Stamp;
use crate::readiness::is_marker_of;

/// The folder in the drop folder for files that are done with.
const ARCHIVE: &str = "archive";

/// Digits of a file's hash in its name in the archive.
const HASH_DIGITS: usize = 16;

/// Moves or removes files, as the customer wants it. Returns why some had to stay, one sentence for each.
#[must_use]
pub fn put_away(drop_folder: &Path, files: &[ReadFile], arrival: &Arrival) -> Vec<String> {
    let archive = arrival.archive.clone().unwrap_or_else(|| drop_folder.join(ARCHIVE));
    let put = |read: &ReadFile| match arrival.after {
        After::Keep => Ok(()),
        After::Archive => still_as_read(read).and_then(|()| move_to(&archive, read)),
        After::Delete => still_as_read(read).and_then(|()| fs::remove_file(&read.file.path)),
    };
    let put = |read: &ReadFile| {
        put(read)?;
        let is_done_with = arrival.ready == Ready::Done && arrival.after != After::Keep;
        if is_done_with { remove_markers(drop_folder, &read.file.name) } else { Ok(()) }
    };
    let stays = |(read, error): (&ReadFile, io::Error)| format!("{} stays in the drop folder: {error}", read.file.name);
    files.iter().filter_map(|read| Some((read, put(read).err()?))).map(stays).collect()
}

/// A marker must not say of the next file of the same name that it is complete.
fn remove_markers(drop_folder: &Path, name: &str) -> io::Result<()> {
    for entry in fs::read_dir(drop_folder)? {
        let entry = entry?;
        if is_marker_of(&entry.file_name().to_string_lossy(), name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Somebody may have put another file in its place.
fn still_as_read(read: &ReadFile) -> io::Result<()> {
    let metadata = fs::symlink_metadata(&read.file.path)?;
    if metadata.is_file() && Stamp::of(&metadata)? == read.file.stamp {
        return Ok(());
    }
    Err(io::Error::other("it changed after it was read"))
}

fn move_to(archive: &Path, read: &ReadFile) -> io::Result<()> {
    // Whoever fills the drop folder must not decide where its files go.
    if fs::symlink_metadata(archive).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(io::Error::other(format!("{} is a link; make it a folder", archive.display())));
    }
    fs::create_dir_all(archive)?;
    let target = archive.join(archived_name(read));
    match fs::rename(&read.file.path, &target) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {}
        other => return other,
    }
    // Under its name only when it is there as a whole.
    let unfinished = PathBuf::from(format!("{}.part", target.display()));
    fs::copy(&read.file.path, &unfinished)?;
    fs::File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, &target)?;
    fs::remove_file(&read.file.path)
}

/// `users_20250630.csv.gz` becomes `users_20250630.<hash>.csv.gz`.
fn archived_name(read: &ReadFile) -> String {
    let name = &read.file.name;
    let (stem, ending) = split_ending(name);
    // The stem comes back in lower case; the file keeps its own spelling.
    let stem = name.get(..stem.len()).unwrap_or(name);
    let ending = name.get(name.len() - ending.len()..).unwrap_or_default();
    format!("{stem}.{}{ending}", &read.hash[..HASH_DIGITS])
}
