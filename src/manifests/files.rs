use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ManifestError;

const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// Folders are followed so deep: links may lead in circles.
const DEEPEST: usize = 32;

/// The files that these paths name, those of folders sorted by path.
pub(super) fn list(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ManifestError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        walk(path, 0, &mut files)?;
        if files.len() == before {
            let problem = "holds no .yaml, .yml or .json file: expected manifests".to_owned();
            return Err(of(path, problem));
        }
    }
    Ok(files)
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), ManifestError> {
    if depth > DEEPEST {
        return Err(of(folder, format!("lies deeper than {DEEPEST} folders: expected less")));
    }
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| of(folder, format!("cannot be read: {error}")))?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort_unstable();
    for path in paths {
        if path.is_dir() {
            walk(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|one| ending == *one)) {
            files.push(path);
        }
    }
    Ok(())
}

fn of(path: &Path, problem: String) -> ManifestError {
    ManifestError { file: path.display().to_string(), line: None, object: None, problem }
}
