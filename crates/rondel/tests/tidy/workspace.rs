//! The files of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The folders of the crates, without `benches`.
pub(crate) fn crates() -> Vec<PathBuf> {
    fs::read_dir(root().join("crates")).unwrap().map(|folder| folder.unwrap().path()).collect()
}

/// Shows a text file, or every one below a folder, with its path.
pub(crate) fn each_file(path: &Path, show: &mut impl FnMut(&Path, &str)) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            each_file(&entry.unwrap().path(), show);
        }
    } else if let Ok(text) = fs::read_to_string(path) {
        show(path, &text);
    } else {
        assert!(path.exists(), "{}", path.display());
    }
}

/// Shows every source file below a folder, with its path.
pub(crate) fn each_source(folder: &Path, show: &mut impl FnMut(&Path, &str)) {
    each_file(folder, &mut |path, text| {
        if extension(path) == "rs" {
            show(path, text);
        }
    });
}

pub(crate) fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}
