//! The configuration file that a command is given: the path of a file, or `-` for standard input.

use std::io;
use std::path::Path;

use config::Config;

use crate::outcome::Failed;

/// A configuration as it was written, not yet parsed.
pub(crate) struct Given {
    /// What messages call it.
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
}

impl Given {
    /// Reads the file, or standard input to its end.
    pub(crate) fn read(file: &Path) -> Result<Self, Failed> {
        if is_stdin(file) {
            let text = Config::text_from(STDIN_NAME, io::stdin().lock()).map_err(Failed::Config)?;
            return Ok(Self { name: STDIN_NAME.to_owned(), text });
        }
        let text = Config::text_of(file).map_err(Failed::Config)?;
        Ok(Self { name: file.display().to_string(), text })
    }

    pub(crate) fn parse(&self) -> Result<Config, Failed> {
        Config::parse(&self.name, &self.text).map_err(Failed::Config)
    }
}

/// Whether a path stands for standard input. A file of this name is `./-`.
pub(crate) fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

const STDIN_NAME: &str = "<stdin>";
