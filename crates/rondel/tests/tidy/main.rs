//! Rules of the project that a machine can check.

mod language;
mod layout;
mod workspace;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{crates, each_file, each_source, extension, root};

/// The table of the crates in `docs/internals.md` says what each may import of ours.
#[test]
fn crates_import_what_their_table_lists() {
    let manifests = manifests();
    let internals = internals();
    let words =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows: BTreeMap<String, Vec<String>> = section(&internals, "## The crates")
        .filter(|row| row.starts_with("| `"))
        .map(|row| row.split(" | ").collect::<Vec<_>>())
        .map(|cells| (words(cells[0])[0].clone(), words(cells[3])))
        .collect();
    let names = |map: Vec<&String>| map.into_iter().cloned().collect::<Vec<String>>();
    assert_eq!(
        names(rows.keys().collect()),
        names(manifests.keys().collect()),
        "a crate has no row, or a row has no crate"
    );
    for (name, allowed) in rows {
        let imported = imports(&manifests[&name]).filter(|import| manifests.contains_key(*import));
        for import in imported {
            assert!(
                allowed.iter().any(|name| name == import),
                "{name} imports {import}, which its row does not list"
            );
        }
    }
}

#[test]
fn crates_take_their_lints_from_the_workspace() {
    for (name, manifest) in manifests() {
        // The one crate that may say `unsafe` has to spell its lints out.
        let inherited = section(&manifest, "[lints]").any(|line| line == "workspace = true");
        assert_eq!(inherited, name != "driver", "{name}");
    }
}

#[test]
fn what_decides_reads_no_clock_and_touches_no_socket() {
    let crates = root().join("crates");
    let decides = ["rise_fall", "ejection", "roles", "lag", "schedule", "tracker"]
        .map(|file| format!("health/src/{file}.rs"));
    for path in ["connection/src", "table/src"].into_iter().chain(decides.iter().map(String::as_str)) {
        each_line(&crates.join(path), &mut |file, number, line| {
            // Only a clock makes the first `Instant` of a test.
            if file.ends_with("tests.rs") {
                return;
            }
            for word in
                ["Instant::now", "SystemTime", "std::fs", "std::io::", "TcpStream", "TcpListener", "rand::"]
            {
                assert!(!line.contains(word), "{}:{number}: {word}", file.display());
            }
        });
    }
}

#[test]
fn every_unsafe_block_has_its_row_in_the_documentation() {
    let mut blocks = 0;
    each_line(&root().join("crates/driver/src"), &mut |_, _, line| {
        blocks += usize::from(line.contains(concat!("unsafe", " {")));
    });
    let internals = internals();
    let rows = section(&internals, "## The `unsafe`");
    let listed: usize = rows.filter_map(|row| row.split('|').nth(2)?.trim().parse::<usize>().ok()).sum();
    assert_eq!(blocks, listed, "the table of `unsafe` in docs/internals.md is not current");
}

/// The page that describes the crates.
fn internals() -> String {
    fs::read_to_string(root().join("docs/internals.md")).unwrap()
}

#[test]
fn nothing_unfinished_is_left_in_the_sources() {
    // Spelled apart, so that this file does not find itself.
    let words =
        [concat!("dbg", "!("), concat!("FIX", "ME"), concat!("todo", "!("), concat!("unimpl", "emented!(")];
    for folder in ["crates", "benches", "configs", "scripts"] {
        each_line(&root().join(folder), &mut |file, number, line| {
            for word in words {
                assert!(!line.contains(word), "{}:{number}: {word}", file.display());
            }
        });
    }
}

/// `scripts/test --long` takes hours to find out.
#[test]
fn scripts_and_faults_name_crates_that_exist() {
    let manifests = manifests();
    for folder in ["scripts", "crates/sim/mutations"] {
        each_line(&root().join(folder), &mut |file, number, line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let options = words.windows(2).filter(|pair| matches!(pair[0], "--package" | "--packages"));
            let folders = line.split("crates/").skip(1).filter_map(|rest| rest.split_once('/'));
            let options = options.map(|pair| pair[1].trim_matches('"'));
            for name in options.chain(folders.map(|(name, _)| name)) {
                let exists = manifests.contains_key(name) || name.contains('$');
                assert!(exists, "{}:{number}: no crate is called {name}", file.display());
            }
        });
    }
}

/// `scripts/mutate` makes them, which takes longer than to see that it can.
#[test]
fn every_fault_made_on_purpose_can_still_be_made() {
    let table = fs::read_to_string(root().join("crates/sim/mutations/README.md")).unwrap();
    for patch in patches() {
        let applied = Command::new("git")
            .args(["apply", "--check", "--recount"])
            .arg(&patch)
            .current_dir(root())
            .output();
        let said = applied.expect("git, of the package of that name");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let name = patch.file_name().unwrap().to_str().unwrap();
        assert!(
            table.contains(&format!("[patch]({name})")),
            "{name} is not in the table: run scripts/mutate"
        );
    }
}

/// A filter that matches no test would pass with any fault.
#[test]
fn every_fault_names_tests_that_exist() {
    let mut sources = Vec::new();
    each_source(&root().join("crates"), &mut |path, text| {
        sources.push((path.display().to_string(), text.to_owned()));
    });
    for patch in patches() {
        let text = fs::read_to_string(&patch).unwrap();
        let Some(arguments) = text.lines().find_map(|line| line.strip_prefix("Tests: ")) else { continue };
        let filter = arguments.split_whitespace().next_back().unwrap();
        if arguments.ends_with(&format!("--test {filter}")) {
            continue;
        }
        let exists = filter.split("::").all(|part| {
            let file = format!("/{part}.rs");
            sources.iter().any(|(path, text)| {
                path.ends_with(&file)
                    || text.contains(&format!("fn {part}"))
                    || text.contains(&format!("mod {part}"))
            })
        });
        assert!(exists, "{}: no test is called {filter}", patch.display());
    }
}

/// The faults that are made on purpose.
fn patches() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("crates/sim/mutations")).unwrap().map(|file| file.unwrap().path());
    let patches: Vec<_> = entries.filter(|path| extension(path) == "patch").collect();
    assert!(patches.len() >= 15, "they are elsewhere");
    patches
}

#[test]
fn every_example_is_named_as_yaml() {
    let entries = fs::read_dir(root().join("configs")).unwrap().map(|file| file.unwrap().path());
    for file in entries.filter(|path| path.is_file()) {
        assert!(extension(&file) == "yaml", "{}", file.display());
    }
}

/// The manifest of every crate of ours, by the crate's name.
fn manifests() -> BTreeMap<String, String> {
    crates()
        .into_iter()
        .chain([root().join("benches")])
        .filter_map(|folder| {
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
            Some((folder.file_name()?.to_str()?.to_owned(), manifest))
        })
        .collect()
}

/// What a crate imports when it is built, tests aside.
fn imports(manifest: &str) -> impl Iterator<Item = &str> {
    section(manifest, "[dependencies]")
        .chain(section(manifest, "[build-dependencies]"))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
}

/// The lines of one section of a manifest, or of a table that follows a heading.
fn section<'a>(manifest: &'a str, header: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = manifest.lines().map(str::trim);
    lines
        .skip_while(move |line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with('[') && !line.starts_with("## "))
}

/// Shows every line of a text file, or of every one below a folder.
fn each_line(path: &Path, show: &mut impl FnMut(&Path, usize, &str)) {
    each_file(path, &mut |path, text| {
        text.lines().enumerate().for_each(|(number, line)| show(path, number + 1, line));
    });
}
