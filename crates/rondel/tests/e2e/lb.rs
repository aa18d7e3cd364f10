//! The binary under test: started with a generated configuration, observed, and required to end cleanly.
//!
//! No test sleeps to let something happen: it waits for the log.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::peers::{Client, End};
use crate::place::{Folder, PATIENCE, address, eventually, holds_within};
use crate::servers::run;
use crate::setup::PORT;

/// A running `rondel`. Dropping it shuts it down, and fails the test unless that succeeds.
pub(crate) struct Lb {
    child: Child,
    log: Arc<Log>,
    readers: Vec<JoinHandle<()>>,
    folder: Folder,
    status: Option<ExitStatus>,
}

/// A line of the log, by its number.
pub(crate) type Mark = usize;

/// The exit status and the output of a command.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) text: String,
}

/// The binary to test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("RONDEL_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_rondel").into()).into()
}

/// Runs `rondel` with these arguments until it ends.
#[track_caller]
pub(crate) fn rondel<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Said {
    Lb::spawn(Command::new(binary()).args(arguments), Folder::new()).said()
}

/// The same, run by another command, as in [`Lb::start_under`].
#[track_caller]
pub(crate) fn rondel_under(wrapper: &[&str], arguments: &[&str]) -> Said {
    let binary = binary();
    let words: Vec<&OsStr> = wrapper
        .iter()
        .map(OsStr::new)
        .chain([binary.as_os_str()])
        .chain(arguments.iter().map(OsStr::new))
        .collect();
    Lb::spawn(Command::new(words[0]).args(&words[1..]), Folder::new()).said()
}

/// Runs `rondel run` with this configuration, for a start that fails; the wrapper as in [`Lb::start_under`].
#[track_caller]
pub(crate) fn run_with(wrapper: &[&str], config: &impl Display) -> Said {
    Lb::run_under(wrapper, config).said()
}

impl Lb {
    /// `rondel run` with this configuration, ready.
    #[track_caller]
    pub(crate) fn start(config: &impl Display) -> Self {
        Self::start_under(&[], config)
    }

    /// The same, run by another command that becomes it, such as `prlimit --nofile=64`.
    #[track_caller]
    pub(crate) fn start_under(wrapper: &[&str], config: &impl Display) -> Self {
        let lb = Self::run_under(wrapper, config);
        lb.wait_for(" ready", 0);
        lb
    }

    /// The same without waiting: for a balancer whose log is not read, or that does not become ready.
    #[track_caller]
    pub(crate) fn run_under(wrapper: &[&str], config: &impl Display) -> Self {
        let folder = Folder::new();
        let file = folder.file("rondel.yaml");
        fs::write(&file, config.to_string()).unwrap();
        let binary = binary();
        let words: Vec<&OsStr> = wrapper
            .iter()
            .map(OsStr::new)
            .chain([binary.as_os_str(), OsStr::new("run"), OsStr::new("--config"), file.as_os_str()])
            .collect();
        Self::spawn(Command::new(words[0]).args(&words[1..]), folder)
    }

    /// `rondel` with these arguments, once it has logged `ready`.
    #[track_caller]
    pub(crate) fn command(arguments: &[&str], ready: &str) -> Self {
        let lb = Self::spawn(Command::new(binary()).args(arguments), Folder::new());
        lb.wait_for(ready, 0);
        lb
    }

    fn spawn(command: &mut Command, folder: Folder) -> Self {
        let mut child = command
            .env("RUST_LOG", "info,totals=debug")
            .env_remove("RONDEL_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let log = Arc::new(Log::default());
        let readers = vec![
            Log::read(&log, child.stdout.take().unwrap()),
            Log::read(&log, child.stderr.take().unwrap()),
        ];
        Self { child, log, readers, folder, status: None }
    }

    /// The address of the first listener of most tests.
    #[expect(clippy::unused_self, reason = "an address is the address of a balancer")]
    pub(crate) fn address(&self) -> SocketAddr {
        address(PORT)
    }

    /// A client of that listener.
    #[track_caller]
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// The end of a client that gets nothing else; a reset may arrive before the client knows that it is connected.
    #[track_caller]
    pub(crate) fn turn_away(&self) -> End {
        match TcpStream::connect(self.address()) {
            Ok(stream) => Client::over(stream).end(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
            Err(error) => panic!("connecting: {error}"),
        }
    }

    /// Replaces the file, requests a reload and waits until it is done; its log begins at the mark.
    #[track_caller]
    pub(crate) fn reload(&self, config: &impl Display) -> Mark {
        self.reload_to("reloaded", config)
    }

    /// Replaces the file, requests a reload and waits until it is rejected; its log begins at the mark.
    #[track_caller]
    pub(crate) fn reload_refused(&self, config: &impl Display) -> Mark {
        self.reload_to("reload refused", config)
    }

    /// Requests a reload of the file as it is, and waits until it is done; the totals are logged from the mark on.
    #[track_caller]
    pub(crate) fn reload_unchanged(&self) -> Mark {
        self.reload_the_file("reloaded: nothing changed")
    }

    #[track_caller]
    fn reload_to(&self, expected: &str, config: &impl Display) -> Mark {
        self.write_config(config);
        self.reload_the_file(expected)
    }

    #[track_caller]
    fn reload_the_file(&self, expected: &str) -> Mark {
        let mark = self.mark();
        self.signal(Signal::HUP);
        match self.log.wait_for(&["reloaded", "reload refused"], mark) {
            Some(line) if line.contains(expected) => mark,
            _ => panic!("not {expected}:\n{}", self.log.text(mark)),
        }
    }

    /// Replaces the configuration file in one step, as editors do.
    pub(crate) fn write_config(&self, config: &impl Display) {
        self.replace_config(|draft| fs::write(draft, config.to_string()).unwrap());
    }

    /// Replaces the configuration file in one step by what is made at another path.
    pub(crate) fn replace_config(&self, make: impl FnOnce(&Path)) {
        let draft = self.folder.file("rondel.yaml.draft");
        make(&draft);
        fs::rename(&draft, self.folder.file("rondel.yaml")).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        assert!(self.status.is_none(), "it has ended");
        kill_process(self.pid(), signal).unwrap();
    }

    /// Its process was started here and not waited for, so the number is still its own.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The number that its next descriptor would get.
    pub(crate) fn next_descriptor(&self) -> usize {
        let is_free = |number: &usize| !self.proc("fd").join(number.to_string()).is_symlink();
        (0..=usize::MAX).find(is_free).expect("there are not so many")
    }

    /// Limits its descriptors to numbers below `files`; the limit can be raised again up to the first one. The
    /// wrapper as in [`Lb::start_under`]: only its own user may do this.
    pub(crate) fn limit_files(&self, wrapper: &[&str], files: usize) {
        let pid = self.child.id().to_string();
        // With its colon, prlimit(1) leaves the hard limit unchanged.
        let limit = format!("--nofile={files}:");
        let words = [wrapper, &["prlimit", "--pid", &pid, &limit]].concat();
        run(Command::new(words[0]).args(&words[1..]));
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }

    // The log.

    pub(crate) fn log_text(&self) -> String {
        self.log.text(0)
    }

    /// The current end of the log.
    pub(crate) fn mark(&self) -> Mark {
        self.log.len()
    }

    /// The log from the mark on.
    pub(crate) fn log_from(&self, mark: Mark) -> String {
        self.log.text(mark)
    }

    /// Waits for a line that contains `word`, from the mark on.
    #[track_caller]
    pub(crate) fn wait_for(&self, word: &str, mark: Mark) {
        let found = self.log.wait_for(&[word], mark);
        assert!(found.is_some(), "no line with {word:?} from line {mark} on:\n{}", self.log.text(0));
    }

    // What the kernel reports about it.

    /// Its private memory in bytes: `RssAnon` of proc(5).
    pub(crate) fn memory(&self) -> usize {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
    }

    /// Its CPU time, user and system.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(self.proc("stat")).unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // utime and stime, in ticks of a hundredth of a second.
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    /// The CPU time of its control thread, which is the first thread of the process; see `schedstat` in proc(5).
    pub(crate) fn cpu_time_of_control(&self) -> Duration {
        let task = self.proc("task").join(self.child.id().to_string());
        let stat = fs::read_to_string(task.join("schedstat")).unwrap();
        Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
    }

    /// The CPU time that it uses over `span` while it has nothing to do.
    pub(crate) fn cpu_time_over(&self, span: Duration) -> Duration {
        let before = self.cpu_time();
        thread::sleep(span);
        self.cpu_time().saturating_sub(before)
    }

    /// Asserts that it waits, and does not call the kernel in a loop.
    #[track_caller]
    pub(crate) fn does_not_spin(&self) {
        let busy = self.cpu_time_over(Duration::from_secs(1));
        assert!(busy < Duration::from_millis(200), "{busy:?} of a second on a CPU");
    }

    /// The names of its threads.
    pub(crate) fn threads(&self) -> BTreeSet<String> {
        thread_names(&self.proc("task"))
    }

    /// The ID of its thread of this name.
    #[track_caller]
    pub(crate) fn thread(&self, name: &str) -> u32 {
        let tasks = fs::read_dir(self.proc("task")).unwrap().map(|task| task.unwrap().path());
        let is_it = |task: &PathBuf| fs::read_to_string(task.join("comm")).unwrap_or_default().trim() == name;
        let task = tasks.into_iter().find(is_it).unwrap_or_else(|| panic!("no thread {name}"));
        task.file_name().unwrap().to_str().unwrap().parse().unwrap()
    }

    /// The names of all threads that it had while `what` ran.
    pub(crate) fn threads_during<R>(&self, what: impl FnOnce() -> R) -> (R, BTreeSet<String>) {
        let tasks = self.proc("task");
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut names = thread_names(&tasks);
                while !over.load(Ordering::Relaxed) {
                    names.extend(thread_names(&tasks));
                    thread::sleep(Duration::from_millis(5));
                }
                names
            });
            let result = what();
            over.store(true, Ordering::Relaxed);
            (result, watch.join().unwrap())
        })
    }

    /// Its open descriptors by kind: `socket`, `pipe`, `anon_inode`, or a file.
    pub(crate) fn descriptors(&self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        let Ok(files) = fs::read_dir(self.proc("fd")) else { return kinds };
        for target in files.filter_map(|file| fs::read_link(file.ok()?.path()).ok()) {
            let target = target.to_string_lossy();
            let kind = target.split_once(':').map_or(&*target, |(kind, _)| kind);
            *kinds.entry(kind.to_owned()).or_default() += 1;
        }
        kinds
    }

    /// Its sockets except for listening ones: connections, and their remains.
    pub(crate) fn sockets(&self) -> usize {
        let mut others = HashSet::new();
        for table in ["net/tcp", "net/tcp6"] {
            let text = fs::read_to_string(self.proc(table)).unwrap_or_default();
            for line in text.lines().skip(1) {
                let fields: Vec<&str> = line.split_whitespace().collect();
                if fields[3] == LISTENING {
                    others.insert(fields[9].to_owned());
                }
            }
        }
        let text = fs::read_to_string(self.proc("net/unix")).unwrap_or_default();
        others.extend(
            text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(6).map(str::to_owned)),
        );

        let Ok(files) = fs::read_dir(self.proc("fd")) else { return 0 };
        files
            .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
            .filter(|target| {
                let target = target.to_string_lossy();
                target
                    .strip_prefix("socket:[")
                    .and_then(|inode| inode.strip_suffix(']'))
                    .is_some_and(|inode| !others.contains(inode))
            })
            .count()
    }

    // The end.

    /// Waits until it has ended, and returns its exit code.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> i32 {
        let mut status = None;
        let ended = holds_within(PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(ended, "it does not end; the log:\n{}", self.log_text());
        self.status = status;
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        let status = status.unwrap();
        status.code().unwrap_or_else(|| panic!("{status}; the log:\n{}", self.log_text()))
    }

    #[track_caller]
    fn said(mut self) -> Said {
        let code = self.ended();
        Said { code, text: self.log_text() }
    }

    /// Shuts it down without open connections, and checks what holds at the end of every test: no socket left, no
    /// kernel worker thread, no panic, exit code 0. Returns the log, including the totals.
    #[track_caller]
    pub(crate) fn end(mut self) -> String {
        self.end_well();
        self.log_text()
    }

    #[track_caller]
    fn end_well(&mut self) {
        eventually("no socket of an ended connection is left", || self.sockets() == 0);
        assert_no_kernel_workers(&self.threads());
        self.signal(Signal::TERM);
        let code = self.ended();
        assert_eq!(code, 0, "the log:\n{}", self.log_text());
    }

    /// Kills it, for a test that holds connections it no longer needs.
    pub(crate) fn kill(mut self) {
        self.end_by_force();
    }

    fn end_by_force(&mut self) {
        let _ = self.child.kill();
        self.status = self.child.wait().ok();
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
    }
}

impl Drop for Lb {
    fn drop(&mut self) {
        if thread::panicking() {
            self.end_by_force();
            eprintln!("its log:\n{}", self.log_text());
            return;
        }
        if self.status.is_none() {
            let ended = panic::catch_unwind(AssertUnwindSafe(|| self.end_well()));
            if let Err(why) = ended {
                // Otherwise it would outlive the test.
                self.end_by_force();
                panic::resume_unwind(why);
            }
        }
        let log = self.log_text();
        assert!(!log.contains("panicked at"), "it panicked:\n{log}");
    }
}

/// Asserts that the kernel never handed an operation to a thread of its own.
#[track_caller]
pub(crate) fn assert_no_kernel_workers(threads: &BTreeSet<String>) {
    assert!(!threads.iter().any(|name| name.starts_with("iou-wrk")), "kernel workers: {threads:?}");
}

/// How many connections of the listener `web` ended for `reason`.
#[track_caller]
pub(crate) fn closes(log: &str, reason: &str) -> u64 {
    total(log, "listener=web", &format!("closed_{reason}"))
}

/// How many connections of the listener `web` ended, by reason; reasons that never occurred are missing.
#[track_caller]
pub(crate) fn all_closes(log: &str) -> BTreeMap<String, u64> {
    let closed =
        |(name, value): (&str, &str)| Some((name.strip_prefix("closed_")?.into(), value.parse().unwrap()));
    totals(log, "listener=web").filter_map(closed).collect()
}

/// The value of `key` in the last logged totals, in the line of `whose`, such as `listener=web`. A reason that
/// never occurred is missing there.
#[track_caller]
pub(crate) fn total(log: &str, whose: &str, key: &str) -> u64 {
    totals(log, whose).find(|(name, _)| *name == key).map_or(0, |(_, value)| value.parse().unwrap())
}

/// The pairs of the line of `whose` in the last logged totals.
#[track_caller]
fn totals<'a>(log: &'a str, whose: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let is_of = |line: &&str| line.contains(" totals ") && line.split(' ').any(|word| word == whose);
    let line = log.lines().rfind(is_of).unwrap_or_else(|| panic!("no totals of {whose} in\n{log}"));
    line.split(' ').filter_map(|word| word.split_once('='))
}

fn thread_names(tasks: &Path) -> BTreeSet<String> {
    let Ok(tasks) = fs::read_dir(tasks) else { return BTreeSet::new() };
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

/// `TCP_LISTEN` as in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// The lines that a process wrote, and a condition variable that signals each.
#[derive(Default)]
struct Log {
    written: Mutex<Written>,
    bell: Condvar,
}

#[derive(Default)]
struct Written {
    lines: Vec<String>,
    /// The number of its open streams, standard output and standard error.
    streams_ended: usize,
}

impl Log {
    fn read(log: &Arc<Self>, stream: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = Arc::clone(log);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                log.written.lock().unwrap().lines.push(String::from_utf8_lossy(&line).into_owned());
                log.bell.notify_all();
            }
            log.written.lock().unwrap().streams_ended += 1;
            log.bell.notify_all();
        })
    }

    fn len(&self) -> usize {
        self.written.lock().unwrap().lines.len()
    }

    fn text(&self, mark: Mark) -> String {
        self.written.lock().unwrap().lines[mark..].join("\n")
    }

    /// The first line from the mark on that contains one of these words; none if the process ended or patience ran
    /// out.
    fn wait_for(&self, words: &[&str], mark: Mark) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut written = self.written.lock().unwrap();
        loop {
            let mut lines = written.lines.iter().skip(mark);
            let found = lines.find(|line| words.iter().any(|word| line.contains(word))).cloned();
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || written.streams_ended == 2 || left.is_zero() {
                return found;
            }
            written = self.bell.wait_timeout(written, left).unwrap().0;
        }
    }
}
