//! Links between documents lead to files that exist, and to headings that they have.

use std::path::{Component, Path, PathBuf};

use crate::text::{anchors, links, prose};
use crate::{documents, read, root};

#[test]
fn links_lead_to_files_and_headings() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for document in documents() {
        let text = read(&document);
        for (number, line) in prose(&text) {
            for link in links(line).into_iter().filter(|link| !link.contains("://")) {
                followed += 1;
                if let Err(why) = follow(&document, link) {
                    broken.push(format!("{document}:{number}: {link}: {why}"));
                }
            }
        }
    }
    assert!(followed > 100, "only {followed} links were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = read("docs/SUMMARY.md");
    let listed: Vec<_> = prose(&summary)
        .flat_map(|(_, line)| links(line))
        .map(|link| resolve("docs/SUMMARY.md", link))
        .collect();
    for document in documents().into_iter().filter(|document| document.starts_with("docs/")) {
        let is_it = document == "docs/SUMMARY.md";
        assert!(is_it || listed.contains(&PathBuf::from(&document)), "{document} is not in docs/SUMMARY.md");
    }
}

fn follow(document: &str, link: &str) -> Result<(), String> {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let path = if path.is_empty() { PathBuf::from(document) } else { resolve(document, path) };
    if !root().join(&path).exists() {
        return Err("there is no such file".to_owned());
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let anchors = anchors(&read(path.to_str().expect("it was text")));
    if anchors.iter().any(|known| known == anchor) {
        Ok(())
    } else {
        Err(format!("the headings are {anchors:?}"))
    }
}

/// The path from the root of what a document links to.
fn resolve(document: &str, link: &str) -> PathBuf {
    let folder = Path::new(document).parent().expect("it is a file");
    let mut path = PathBuf::new();
    for component in folder.join(link).components() {
        match component {
            Component::ParentDir => assert!(path.pop(), "{document}: {link} leaves the project"),
            other => path.push(other),
        }
    }
    path
}
