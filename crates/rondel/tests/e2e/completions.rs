//! Completions in real shells, with the names of a running process.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::lb::{Lb, binary};
use crate::peers::Backend;
use crate::place::{Folder, PATIENCE, address, eventually};
use crate::setup::{Setup, target_at};
use crate::terminal::Terminal;

/// A running rondel: listener `web`, pool `web` with the backends `alpha` and one that has its address for a name.
struct Running {
    _lb: Lb,
    _backend: Backend,
    folder: Folder,
}

impl Running {
    fn start() -> Self {
        let backend = Backend::named("alpha", 9001);
        let folder = Folder::new();
        let unnamed = target_at(&address(9002).to_string(), address(9002)).named(&address(9002).to_string());
        let setup = Setup::to(&[backend.target(), unnamed]);
        let lb = Lb::start(&setup.admin(&format!("socket: {}", folder.file("admin.sock").display())));
        Self { _lb: lb, _backend: backend, folder }
    }

    fn socket(&self) -> String {
        self.folder.file("admin.sock").display().to_string()
    }

    /// A terminal with a shell that finds the binary and the socket.
    fn shell(&self, shell: &[&str]) -> Terminal {
        let folder = binary().parent().unwrap().display().to_string();
        let path = format!("PATH={folder}:{}", std::env::var("PATH").unwrap());
        let socket = format!("RONDEL_SOCKET={}", self.socket());
        let home = format!("HOME={}", self.folder.path().display());
        let words: Vec<&str> =
            [path.as_str(), &socket, &home, "PS1=prompt:"].into_iter().chain(shell.iter().copied()).collect();
        Terminal::run(Path::new("env"), &words, "")
    }
}

#[test]
fn bash_completes_commands_options_and_names() {
    let running = Running::start();
    let mut terminal = running.shell(&["bash", "--norc", "--noprofile", "-i"]);
    terminal.shows("prompt:");
    terminal.keys("source <(rondel completions bash); echo load''ed\n");
    terminal.shows("loaded");
    completes_a_command_and_backends(&mut terminal);
    terminal.keys("rondel connections --listener=w\t; echo co''de=$?\n");
    terminal.shows("there is no connection of listener web now");
    terminal.shows("code=0");
    terminal.keys("rondel explain no_re\t\n");
    terminal.shows("no_resources: ");
}

#[test]
fn zsh_completes_commands_and_names() {
    let running = Running::start();
    let script = print("zsh", &[]);
    std::fs::write(running.folder.file("_rondel"), script.stdout).unwrap();
    let mut terminal = running.shell(&["zsh", "-f", "-i"]);
    terminal.shows("prompt:");
    // As a file in the path of functions, which is loaded by the first completion.
    terminal.keys("fpath=($HOME $fpath); autoload -U compinit; compinit -u -d $HOME/dump; echo load''ed\n");
    terminal.shows("loaded");
    completes_a_command_and_backends(&mut terminal);
}

#[test]
fn fish_completes_commands_and_names() {
    let running = Running::start();
    let line = |line: &str| {
        let script = format!("rondel completions fish | source; complete --do-complete '{line}'");
        let folder = binary().parent().unwrap().display().to_string();
        let said = Command::new("fish")
            .args(["--no-config", "--command", &script])
            .env("PATH", format!("{folder}:{}", std::env::var("PATH").unwrap()))
            .env("HOME", running.folder.path())
            .env("RONDEL_SOCKET", running.socket())
            .output()
            .unwrap_or_else(|error| panic!("fish, of the package of that name: {error}"));
        String::from_utf8(said.stdout).unwrap()
    };
    assert!(line("rondel undr").starts_with("undrain\t"), "{}", line("rondel undr"));
    eventually("the backend is a candidate", || line("rondel drain web/al").starts_with("web/alpha\t"));
    assert!(line("rondel drain web/al").contains(&address(9001).to_string()));
}

#[test]
fn a_completion_is_silent_without_an_answer() {
    let running = Running::start();
    let named = |line: &[&str]| {
        let said = print("bash", line);
        assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
        let text = String::from_utf8(said.stdout).unwrap();
        text.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect::<Vec<_>>()
    };
    let socket = running.socket();
    eventually("names are candidates", || named(&["rondel", "failback", "--socket", &socket, ""]) == ["web"]);
    assert_eq!(named(&["rondel", "failback", "--socket", "/nonexistent", ""]), [""; 0]);
    // A process that accepts and does not answer, as one that is stopped.
    let silent = running.folder.file("silent.sock");
    let _silent = UnixListener::bind(&silent).unwrap();
    let began = Instant::now();
    assert_eq!(named(&["rondel", "failback", "--socket", silent.to_str().unwrap(), ""]), [""; 0]);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

/// Each command is executed, so the completed line was right.
#[track_caller]
fn completes_a_command_and_backends(terminal: &mut Terminal) {
    terminal.keys("rondel undr\tweb/al\t\n");
    terminal.shows("alpha has no overrides: nothing changed");
    // Bash takes a colon for the end of a word.
    let unnamed = address(9002).to_string();
    let (written, _) = unnamed.rsplit_once("02").unwrap();
    terminal.keys(&format!("rondel drain web/{written}\t\n"));
    terminal.shows(&format!("{unnamed} is drained"));
}

/// What the shell's script gets for this line; the script itself for none.
pub(crate) fn print(shell: &str, line: &[&str]) -> Output {
    let mut command = Command::new(binary());
    if line.is_empty() {
        command.args(["completions", shell]);
    } else {
        command.env("_RONDEL_COMPLETE", shell).arg("--").args(line);
    }
    command.env_remove("RONDEL_SOCKET").stdin(Stdio::null()).output().unwrap()
}
