//! The plain forwarders of this package: the cost of the obvious use of a runtime.

use std::io;

use crate::peers::Task;
use crate::process::{Output, Process};
use crate::workshop::Workshop;

/// One thread for each core that it may run on, which is as many as the task has workers.
pub(crate) fn start(workshop: &Workshop, task: &Task<'_>, program: &str) -> io::Result<Process> {
    let mut command = vec![workshop.program(program), task.address.to_string()];
    command.extend(task.backends.iter().map(ToString::to_string));
    workshop.start(program, task.place(), &command, Output::Log)
}
