//! `rondel completions`: prints what makes a shell complete commands, options and names.
//!
//! The shell calls `rondel` for each completion. Names of pools, backends and listeners come from the running process.

pub(crate) mod names; // Names that a running process has.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap::Command;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh};
use clap_complete::{CompleteEnv, Shell};

use crate::outcome::{Failed, Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(rondel completions bash)
  rondel completions bash > /etc/bash_completion.d/rondel
  rondel completions zsh > /usr/share/zsh/vendor-completions/_rondel
  rondel completions fish > ~/.config/fish/completions/rondel.fish

The script calls `rondel` at each completion. Names of pools, backends and listeners are those of the running \
process, asked through the admin socket: that of --socket on the line, of RONDEL_SOCKET, or the default one. \
Without an answer within a second there are no names. Write the script again after an update of rondel.")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn completions(arguments: &Arguments) -> Outcome {
    let name = arguments.shell.to_string();
    let shell = SHELLS.completer(&name).expect("every shell of the argument is in the list");
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, "rondel", "rondel", "rondel", &mut script)
        .map_err(|error| Failed::Runtime(format!("completion script: {error}")))?;
    let mut script = String::from_utf8_lossy(&script).trim().to_owned();
    if arguments.shell == Shell::Zsh {
        script.push_str(ZSH_AUTOLOAD);
    }
    print(&script)
}

/// Prints completions and ends the process, if the script of a shell asks for them.
pub(crate) fn complete_if_asked(command: fn() -> Command) {
    CompleteEnv::with_factory(command).var(VARIABLE).shells(SHELLS).complete();
}

/// The shells, with an adapter of its own for bash.
const SHELLS: Shells<'_> = Shells(&[&WholeWords, &Elvish, &Fish, &Powershell, &Zsh]);

/// It has the name of the shell while a script asks. It is not `COMPLETE`, which another program may have set, so
/// that `rondel run` would not start.
const VARIABLE: &str = "_RONDEL_COMPLETE";

/// The first completion of a shell that has loaded the script as a function, from the path of its functions.
const ZSH_AUTOLOAD: &str = "\n
if [[ $funcstack[1] == _rondel ]]; then
    _clap_dynamic_completer_rondel \"$@\"
fi";

/// Bash, which splits words at `:` and `=`. Addresses have colons, so the script joins what was written as one word,
/// and returns the part of each candidate that bash replaces.
struct WholeWords;

impl EnvCompleter for WholeWords {
    fn name(&self) -> &'static str {
        Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        Bash.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        _name: &str,
        _bin: &str,
        _completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        buf.write_all(include_str!("completions/rondel.bash").replace("VARIABLE", var).as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        directory: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        // The script cuts the line at the cursor.
        let current = words.len() - 1;
        for candidate in clap_complete::engine::complete(command, words, current, directory)? {
            writeln!(buf, "{}", candidate.get_value().to_string_lossy())?;
        }
        Ok(())
    }
}
