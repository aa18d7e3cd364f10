//! `rondel man`: prints the manual page, one page for all commands.

use clap::{Arg, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::cli::{Cli, ENVIRONMENT, EXIT_CODES, SIGNALS};
use crate::outcome::{Failed, Outcome, print};
use crate::run::CONFIG_DEFAULT;

pub(crate) fn man() -> Outcome {
    let page = page().map_err(|error| Failed::Runtime(format!("manual page: {error}")))?;
    print(String::from_utf8_lossy(&page).trim_end())
}

fn page() -> std::io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let page = Man::new(command.clone()).section("8").manual("System Administration");
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
    for (title, rows) in [
        ("EXIT STATUS", EXIT_CODES.as_slice()),
        ("SIGNALS", SIGNALS.as_slice()),
        ("ENVIRONMENT", ENVIRONMENT.as_slice()),
        ("FILES", &[(CONFIG_DEFAULT, "The default configuration file.")]),
    ] {
        roff.control("SH", [title]);
        for (name, meaning) in rows {
            roff.control("TP", []);
            roff.text([bold(*name)]);
            roff.text([roman(*meaning)]);
        }
    }
    roff.to_writer(&mut out)?;
    Ok(out)
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
        roff.text([roman(argument.get_help().map(ToString::to_string).unwrap_or_default())]);
    }
    if let Some(examples) = command.get_after_help() {
        roff.control("PP", []);
        roff.control("nf", []);
        for line in examples.to_string().lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
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
    for name in argument.get_value_names().unwrap_or_default() {
        signature.push(italic(name.as_str()));
    }
    for default in argument.get_default_values() {
        signature.push(roman(format!(" [default: {}]", default.to_string_lossy())));
    }
    signature
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_page_has_its_sections_and_every_command() {
        let page = String::from_utf8(page().unwrap()).unwrap();
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
