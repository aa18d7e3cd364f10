//! Exit codes, signals and environment variables: one list for the help and the manual page.

/// The tables, each with its title.
pub(crate) const TABLES: [(&str, &[(&str, &str)]); 3] =
    [("Exit codes", EXIT_CODES), ("Signals", SIGNALS), ("Environment", ENVIRONMENT)];

/// The exit codes and their meanings.
const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "Success. After SIGTERM: every connection has finished."),
    ("1", "A failure at run time."),
    ("2", "The command line is invalid."),
    ("3", "The configuration is invalid or cannot be read, or a command was refused."),
    ("4", "The address of a listener, the admin interface or the access log cannot be opened."),
    ("5", "The kernel lacks or forbids a feature that rondel needs, such as io_uring."),
    ("6", "The drain timeout expired, and the connections that were left were closed."),
];

/// The signals that `run`, `tcp` and `demo` handle.
const SIGNALS: &[(&str, &str)] = &[
    ("SIGHUP", "Reload the configuration file; an invalid file changes nothing. `demo` ends."),
    ("SIGUSR1", "Reopen the access log file, after log rotation."),
    ("SIGTERM, SIGINT", "Drain: accept no connections, and end within runtime.drain_timeout."),
    ("a second one", "End immediately, and close the connections that are left."),
    ("SIGUSR2", "Ignored."),
];

/// The environment variables.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("RONDEL_CONFIG", "The configuration file of `run`, unless --config is given."),
    ("RONDEL_SOCKET", "The admin socket that commands use, unless --socket is given."),
    ("RUST_LOG", "The log level: error, warn, info (default), debug, trace."),
];
