//! `rondel completions`: prints a completion script for a shell.

use clap::Command;
use clap_complete::Shell;

use crate::outcome::{Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel completions bash > /usr/share/bash-completion/completions/rondel
  rondel completions zsh > \"${fpath[1]}/_rondel\"
  rondel completions fish > ~/.config/fish/completions/rondel.fish")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn completions(arguments: &Arguments, command: &mut Command) -> Outcome {
    // Through a buffer, because clap_complete panics if a write fails.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "rondel", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}
