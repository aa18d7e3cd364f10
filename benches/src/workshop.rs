//! The environment of a benchmark: a folder, our programs, and the janitor.

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::janitor::{Janitor, Thing};
use crate::process::{Output, Place, Process};

/// What is needed to start a process.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// The folder of configurations and logs.
    pub(crate) folder: PathBuf,
    /// The folder of our own programs.
    pub(crate) programs: PathBuf,
    /// Ends what was started, if this process does not.
    pub(crate) janitor: Arc<Janitor>,
}

impl Workshop {
    /// Creates the folder, and ensures that nothing is left however this process ends.
    pub(crate) fn open() -> io::Result<Self> {
        let programs = env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default();
        let janitor = Arc::new(Janitor::start(&programs.join("janitor"))?);
        end_on_signals(&janitor)?;
        let folder = env::temp_dir().join(format!("rondel-bench-{}", process::id()));
        let folder =
            janitor.making(|| fs::create_dir(&folder).map(|()| folder), |folder| Thing::Folder(folder))?;
        Ok(Self { folder, programs, janitor })
    }

    /// A program of this workspace.
    pub(crate) fn program(&self, name: &str) -> String {
        self.programs.join(name).display().to_string()
    }

    /// Writes a file into the folder, and returns its path.
    pub(crate) fn write(&self, name: &str, content: &str) -> io::Result<String> {
        let path = self.folder.join(name);
        fs::write(&path, content)?;
        Ok(path.display().to_string())
    }

    /// Starts `command` on `cores`, in a network namespace if one is named. Its output goes to `NAME.log`, except
    /// for standard output if `output` redirects it.
    pub(crate) fn start(
        &self,
        name: &str,
        place: Place<'_>,
        command: &[String],
        output: Output,
    ) -> io::Result<Process> {
        let log = self.folder.join(format!("{name}.log"));
        let errors = File::create(&log)?;
        let mut words: Vec<String> = Vec::new();
        if let Some(namespace) = place.namespace {
            words.extend(["ip", "netns", "exec", namespace].map(str::to_owned));
        }
        words.extend(["taskset", "--cpu-list", place.cores.list()].map(str::to_owned));
        words.extend(command.iter().cloned());
        let mut starting = Command::new(&words[0]);
        starting.args(&words[1..]).process_group(0).stderr(errors.try_clone()?);
        match output {
            Output::Log => starting.stdin(Stdio::null()).stdout(errors),
            Output::Piped => starting.stdin(Stdio::piped()).stdout(Stdio::piped()),
        };
        let child = self
            .janitor
            .making(|| starting.spawn(), |child| Thing::Group(child.id()))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", words[0])))?;
        Ok(Process { name: name.to_owned(), child, log, janitor: Arc::clone(&self.janitor), reaped: false })
    }
}

/// Ends this process and everything it started, on a signal.
fn end_on_signals(janitor: &Arc<Janitor>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let janitor = Arc::clone(janitor);
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            eprintln!("bench: interrupted; ending what was started");
            // Held until the end, so that nothing more is started.
            let _nothing_more = janitor.clean_up();
            process::exit(128 + signal);
        }
    });
    Ok(())
}
