//! The page rondel.yaml(5), made of the same list as `docs/reference/configuration.md`.

use std::io;

use clap_mangen::roff::{Roff, bold, roman};
use config::reference::{Absent, Key, sections};

use crate::man::prose::{DATE, prose, verbatim};
use crate::run::CONFIG_DEFAULT;

pub(super) fn page() -> io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    let version = concat!("rondel ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["rondel.yaml", "5", DATE, version, "File Formats"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("rondel.yaml - the configuration file of rondel(8)")]);
    roff.control("SH", ["DESCRIPTION"]);
    for (index, paragraph) in DESCRIPTION.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text(prose(paragraph));
    }
    for section in sections() {
        let title = if section.path.is_empty() { "THE FILE" } else { section.path };
        roff.control("SH", [title]);
        roff.text(prose(section.about));
        section.keys.iter().for_each(|key| append(&mut roff, key));
    }
    roff.control("SH", ["EXAMPLE"]);
    verbatim(&mut roff, EXAMPLE.lines());
    roff.control("SH", ["FILES"]);
    roff.control("TP", []);
    roff.text([bold(CONFIG_DEFAULT)]);
    roff.text([roman("The default configuration file.")]);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("rondel"), roman("(8)")]);
    let mut page = Vec::new();
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// Appends a key: its name, its type, its range, its default and its meaning.
fn append(roff: &mut Roff, key: &Key) {
    roff.control("TP", []);
    roff.text([bold(key.name)]);
    let mut facts = key.value.type_name().to_owned();
    let range = key.value.range();
    if !range.is_empty() {
        facts = format!("{facts}: {range}");
    }
    let absent = match key.absent {
        Absent::Required => "required".to_owned(),
        Absent::Written("null") => "no default".to_owned(),
        Absent::Written("''") => "default: nothing".to_owned(),
        Absent::Written(default) => format!("default: `{default}`"),
        Absent::Otherwise(text) => format!("default: {text}"),
    };
    roff.text(prose(&format!("{} ({facts}; {absent})", key.meaning)));
}

const DESCRIPTION: [&str; 3] = [
    "A YAML file. Listeners accept connections and pass them to a pool, which distributes them over its backends. \
     Everything else has a default.",
    "`rondel check FILE` prints what a file means, or what is wrong with it, by line and column. `rondel plan FILE` \
     prints what a reload would change. A reload applies a file completely or not at all.",
    "Durations are written 500ms, 5s, 10m, 1h, 1d or 1m30s. Addresses are IP addresses with a port; names are not \
     resolved. A value of `null` is the same as no key.",
];

const EXAMPLE: &str = include_str!("../../../../configs/minimal.yaml");

#[cfg(test)]
mod tests {
    use config::reference::sections;

    #[test]
    fn the_page_has_every_section_and_key() {
        let page = String::from_utf8(super::page().unwrap()).unwrap();
        // A hyphen is escaped, so that it is copied as one.
        let page = page.replace("\\-", "-").replace("\\&", "");
        for section in sections() {
            assert!(page.contains(&format!(".SH {}", section.path)), "{}: {page}", section.path);
            for key in section.keys {
                assert!(page.contains(&format!("\\fB{}\\fR", key.name)), "{}", key.name);
            }
        }
    }
}
