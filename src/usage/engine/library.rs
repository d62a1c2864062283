//! Where the engine's library is.

use std::path::{Path, PathBuf};

/// The file that `make setup` installs; the version is part of the name, so two gateways can differ.
pub const FILE_NAME: &str = "libchdb-26.7.3.so";

/// There is no library.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the embedded usage store needs {FILE_NAME}, which is not installed: run `make setup`, or set usage.clickhouse.url (looked in {})", looked_in(.folders))]
pub struct NoLibrary {
    pub folders: Vec<PathBuf>,
}

fn looked_in(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The library: the configured file, or the first of the folders that has it.
///
/// # Errors
/// When the configured file does not exist, or no folder has it.
pub fn find(configured: Option<&Path>, folders: &[PathBuf]) -> Result<PathBuf, NoLibrary> {
    let candidates: Vec<PathBuf> = match configured {
        Some(path) => vec![path.to_owned()],
        None => folders.iter().map(|folder| folder.join(FILE_NAME)).collect(),
    };
    let found = candidates.iter().find(|path| path.is_file()).cloned();
    found.ok_or(NoLibrary { folders: configured.map_or_else(|| folders.to_vec(), |path| vec![path.to_owned()]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_that_has_it_wins_and_a_configured_file_stands_alone() {
        let (empty, full) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let library = full.path().join(FILE_NAME);
        std::fs::write(&library, "").unwrap();
        let folders = [empty.path().to_owned(), full.path().to_owned()];
        assert_eq!(find(None, &folders).unwrap(), library);
        assert_eq!(find(Some(&library), &[]).unwrap(), library);
        let missing = find(Some(Path::new("/nonexistent")), &folders).unwrap_err().to_string();
        assert!(missing.contains("make setup") && missing.contains("/nonexistent"), "{missing}");
    }
}
