//! The layout of the sources: short files, and no circle of imports between the files of a crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::workspace::{crates, each_source, root};

/// No source file has more lines, except for tables.
const LINES_MAX: usize = 500;

/// Files that are one table, so that a reader looks up a line and does not read them from top to bottom.
const TABLES: &[&str] = &["crates/admin/src/metrics/table.rs"];

/// Files that import each other, and why. Every other circle fails the test.
const CIRCLES: &[(&str, &[&str], &str)] = &[
    (
        "control",
        &["run", "run::access", "run::event", "run::logging", "run::phases", "run::reload", "run::start"],
        "`Control` is one type, the one writer; its methods stand in a file for each part of its life",
    ),
    (
        "control",
        &["monitor::model", "monitor::model::file"],
        "a test: what it models, and the files that it reloads",
    ),
    (
        "sim",
        &[
            "check", "control", "draws", "guards", "health", "kernel", "peers", "queries", "queues", "ring",
            "run", "scenario", "world",
        ],
        "`World` is one type, and so is `Run`; their methods stand in a file for each subject",
    ),
    (
        "table",
        &["listener", "pool", "removed", "routes", "table"],
        "a table consists of listeners, pools and what was removed, and each of these is made from the table before",
    ),
];

#[test]
fn no_source_file_is_too_long() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > LINES_MAX && !TABLES.iter().any(|table| path.ends_with(table)) {
            long.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(long.is_empty(), "files of more than {LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn no_files_of_a_crate_import_each_other() {
    let mut circles = Vec::new();
    for krate in crates() {
        let name = krate.file_name().unwrap().to_str().unwrap().to_owned();
        for circle in Imports::of(&krate.join("src")).circles() {
            let listed = CIRCLES.iter().any(|(of, files, _)| {
                *of == name && circle.iter().all(|file| files.contains(&file.as_str()))
            });
            if !listed {
                circles.push(format!("{name}: {}", circle.join(", ")));
            }
        }
    }
    assert!(circles.is_empty(), "files that import each other:\n{}", circles.join("\n"));
}

#[test]
fn every_listed_circle_exists() {
    for (name, files, reason) in CIRCLES {
        assert!(!reason.is_empty(), "{name}: a circle needs a reason");
        let circles = Imports::of(&root().join("crates").join(name).join("src")).circles();
        assert!(
            files.iter().all(|file| circles.iter().flatten().any(|known| known == file)),
            "{name}: {files:?} import each other no longer"
        );
    }
}

/// Which file of a crate imports which, by module path such as `run::admin`. The root is left out: it imports all of
/// them.
struct Imports(BTreeMap<String, BTreeSet<String>>);

impl Imports {
    fn of(src: &Path) -> Self {
        let mut files = Vec::new();
        each_source(src, &mut |path, text| {
            let module = path.strip_prefix(src).unwrap().with_extension("");
            let parts: Vec<_> = module.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if !["lib", "main", "bin"].contains(&parts[0].as_str()) {
                files.push((parts, without_tests(text)));
            }
        });
        let modules: BTreeSet<Vec<String>> = files.iter().map(|(module, _)| module.clone()).collect();
        let imports = files.iter().map(|(module, text)| {
            let paths = text.split(|char: char| !is_path(char)).flat_map(|path| resolve(path, module));
            let imported = paths.filter_map(|path| longest(&modules, path));
            (
                module.join("::"),
                imported.filter(|other| other != module).map(|other| other.join("::")).collect(),
            )
        });
        Self(imports.collect())
    }

    /// Groups of files each of which reaches all others of the group.
    fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&String, BTreeSet<&String>> =
            self.0.keys().map(|file| (file, self.reached(file))).collect();
        let mut circles = BTreeSet::new();
        for (file, others) in &reached {
            let circle: Vec<String> = others
                .iter()
                .filter(|other| reached.get(*other).is_some_and(|back| back.contains(file)))
                .map(|other| (*other).clone())
                .collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reached<'a>(&'a self, from: &'a String) -> BTreeSet<&'a String> {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(file) = next.pop() {
            let imports = self.0.get(file).into_iter().flatten();
            next.extend(imports.filter(|import| reached.insert(*import)));
        }
        reached
    }
}

fn is_path(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | ':' | '{' | '}' | ',' | ' ' | '\n')
}

/// The paths within the crate that a stretch of source names, from its root.
fn resolve(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(start) {
            if text[..at].ends_with(|char: char| char.is_alphanumeric() || matches!(char, '_' | ':')) {
                continue;
            }
            let (base, rest) = base(&text[at..], module);
            paths.extend(expand(rest).into_iter().map(|tail| [base.clone(), tail].concat()));
        }
    }
    paths
}

/// Where a path begins, and what follows.
fn base<'a>(mut path: &'a str, module: &[String]) -> (Vec<String>, &'a str) {
    let mut base = module.to_vec();
    loop {
        if let Some(rest) = path.strip_prefix("crate::") {
            (base, path) = (Vec::new(), rest);
        } else if let Some(rest) = path.strip_prefix("super::") {
            base.pop();
            path = rest;
        } else if let Some(rest) = path.strip_prefix("self::") {
            path = rest;
        } else {
            return (base, path);
        }
    }
}

/// The first two names of each path: `a::b::C` is `a::b`, and `{a, b::C}` is `a` and `b::C`.
fn expand(path: &str) -> Vec<Vec<String>> {
    let name = |text: &str| -> String {
        text.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
    };
    let path = path.trim_start();
    if let Some(group) = path.strip_prefix('{') {
        let group = group.split_once('}').map_or(group, |(group, _)| group);
        return group.split(',').flat_map(expand).collect();
    }
    let first = name(path);
    match path[first.len()..].strip_prefix("::") {
        Some(rest) if !first.is_empty() => {
            expand(rest).into_iter().map(|tail| [vec![first.clone()], tail].concat()).collect()
        }
        _ => vec![vec![first]],
    }
}

/// The longest start of a path that is a file.
fn longest(modules: &BTreeSet<Vec<String>>, mut path: Vec<String>) -> Option<Vec<String>> {
    while !path.is_empty() && !modules.contains(&path) {
        path.pop();
    }
    (!path.is_empty()).then_some(path)
}

/// A file without its unit tests, which may import what they like.
fn without_tests(text: &str) -> String {
    text.split("#[cfg(test)]\n").next().unwrap_or_default().to_owned()
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    for krate in crates() {
        each_source(&krate.join("src"), &mut |path, text| sources.push((path.to_owned(), text.to_owned())));
    }
    sources
}

#[test]
fn paths_are_found_in_every_form() {
    let module = ["run".to_owned(), "admin".to_owned()];
    let paths = |text: &str| {
        let mut paths: Vec<_> = resolve(text, &module).into_iter().map(|path| path.join("::")).collect();
        paths.sort();
        paths.join(" ")
    };
    assert_eq!(paths("use crate::a::{b::C, d}"), "a::b::C a::d");
    assert_eq!(paths("use super::{Control, log}"), "run::Control run::log");
    assert_eq!(paths("super::super::wire::tier"), "wire::tier");
    assert_eq!(paths("self::part::X"), "run::admin::part::X");
    assert_eq!(paths("my_crate::x"), "");
}
