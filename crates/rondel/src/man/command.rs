//! The page rondel(8): the options, every command, exit codes, signals and the environment.

use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::conventions::TABLES;
use crate::man::prose::{DATE, prose, verbatim};
use crate::run::CONFIG_DEFAULT;

pub(super) fn page(mut command: Command) -> io::Result<Vec<u8>> {
    command.build();
    let page = Man::new(command.clone()).section("8").date(DATE).manual("System Administration");
    let mut out = Vec::new();
    page.render_title(&mut out)?;
    page.render_name_section(&mut out)?;
    page.render_synopsis_section(&mut out)?;
    page.render_options_section(&mut out)?;

    let mut roff = Roff::new();
    // clap_mangen would make a page for each command. One page is easier to read and to install.
    roff.control("SH", ["COMMANDS"]);
    for command in command.get_subcommands() {
        subcommand(&mut roff, command);
    }
    let tables = TABLES.map(|(title, rows)| (heading(title), rows));
    let files: &[_] = &[(CONFIG_DEFAULT, "The default configuration file, see rondel.yaml(5).")];
    for (title, rows) in tables.into_iter().chain([("FILES".to_owned(), files)]) {
        roff.control("SH", [title.as_str()]);
        for (name, meaning) in rows {
            roff.control("TP", []);
            roff.text([bold(*name)]);
            roff.text(prose(meaning));
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("rondel.yaml"), roman("(5)")]);
    roff.to_writer(&mut out)?;
    Ok(out)
}

/// The title of a section; manual pages call exit codes the exit status.
fn heading(title: &str) -> String {
    if title == "Exit codes" { "EXIT STATUS".to_owned() } else { title.to_uppercase() }
}

/// Appends the description, the arguments and the examples of a command.
fn subcommand(roff: &mut Roff, command: &Command) {
    roff.control("SS", [command.get_bin_name().unwrap_or_else(|| command.get_name())]);
    if let Some(about) = command.get_about() {
        roff.text([roman(format!("{about}."))]);
    }
    for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
        roff.control("TP", []);
        roff.text(signature(argument));
        roff.text(prose(&argument.get_help().map(ToString::to_string).unwrap_or_default()));
    }
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for paragraph in notes.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        roff.control("PP", []);
        match paragraph.split_once("\n ") {
            // What is indented is pasted.
            Some((title, lines)) => {
                roff.text(prose(title));
                verbatim(roff, format!(" {lines}").lines());
            }
            None => {
                roff.text(prose(paragraph));
            }
        }
    }
}

/// The names, the value and the default of an argument.
fn signature(argument: &Arg) -> Vec<Inline> {
    let mut signature = Vec::new();
    if let Some(short) = argument.get_short() {
        signature.extend([bold(format!("-{short}")), roman(", ")]);
    }
    if let Some(long) = argument.get_long() {
        signature.extend([bold(format!("--{long}")), roman(" ")]);
    }
    if !argument.get_action().takes_values() {
        return signature;
    }
    for name in argument.get_value_names().unwrap_or_default() {
        signature.push(italic(name.as_str()));
    }
    for default in argument.get_default_values().iter().filter(|default| !default.is_empty()) {
        signature.push(roman(format!(" [default: {}]", default.to_string_lossy())));
    }
    signature
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::page;
    use crate::cli::Cli;

    #[test]
    fn the_page_has_its_sections_and_every_command() {
        let page = String::from_utf8(page(Cli::command()).unwrap()).unwrap();
        for part in [
            ".TH rondel 8",
            ".SH NAME",
            ".SH SYNOPSIS",
            ".SS \"rondel run\"",
            ".SS \"rondel demo\"",
            ".SH \"EXIT STATUS\"",
            ".SH SIGNALS",
            ".SH ENVIRONMENT",
            ".SH FILES",
        ] {
            assert!(page.contains(part), "{part} is missing in\n{page}");
        }
    }
}
