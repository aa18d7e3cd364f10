//! Each promise of `docs/guarantees.md` names tests, and they exist.

use std::fs;
use std::path::{Path, PathBuf};

use crate::text::{anchors, prose};
use crate::{read, root};

#[test]
fn every_promise_names_tests_that_exist() {
    let text = read("docs/guarantees.md");
    let files = test_files();
    let mut missing = Vec::new();
    let rows = prose(&text).skip_while(|(_, line)| !line.starts_with("| promise |")).skip(2);
    let rows: Vec<_> = rows.map(|(_, line)| line).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 10, "{rows:?}");
    for row in rows {
        let tests: Vec<_> = row.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{row}");
        missing.extend(tests.iter().filter_map(|test| find(&files, test).err()));
    }
    assert!(missing.is_empty(), "docs/guarantees.md names tests that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn every_promise_has_its_section() {
    let text = read("docs/guarantees.md");
    let rows: Vec<_> = prose(&text).filter_map(|(_, line)| line.strip_prefix("| [")).collect();
    let anchors = anchors(&text);
    for row in &rows {
        let anchor = row
            .split_once("](#")
            .and_then(|(_, rest)| rest.split_once(')'))
            .expect("it links to its section")
            .0;
        assert!(anchors.iter().any(|known| known == anchor), "{row}");
    }
}

/// Finds `file::test` or `folder::file::test`; otherwise says which tests of that file are most alike.
fn find(files: &[PathBuf], test: &str) -> Result<(), String> {
    let (module, name) = test.rsplit_once("::").ok_or_else(|| format!("{test}: it has no module"))?;
    let path = format!("{}.rs", module.replace("::", "/"));
    let of_module: Vec<_> = files.iter().filter(|file| file.ends_with(Path::new(&path))).collect();
    let sources = of_module.iter().map(|file| fs::read_to_string(file).unwrap()).collect::<String>();
    if sources.contains(&format!("fn {name}(")) {
        return Ok(());
    }
    let words = |name: &str| name.split('_').map(str::to_owned).collect::<Vec<_>>();
    let wanted = words(name);
    let alike = |other: &&str| words(other).iter().filter(|word| wanted.contains(word)).count();
    let functions =
        sources.lines().filter_map(|line| line.trim_start().strip_prefix("fn ")?.split('(').next());
    Err(match functions.max_by_key(alike) {
        Some(other) => format!("{test}: perhaps {module}::{other}"),
        None => format!("{test}: there is no file {path}"),
    })
}

/// The files with tests of the behaviour: those in the `tests` of every crate.
fn test_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<_> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("tests"))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}
