//! The commands besides `run`: each does what its help text says.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::lb::{Lb, binary, rondel};
use crate::peers::Backend;
use crate::place::{Folder, address};
use crate::programs::shell;
use crate::setup::Setup;

#[test]
fn check_accepts_every_file_in_configs() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut checked = 0;
    for file in fs::read_dir(configs).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "yaml") {
            let said = rondel(["check".as_ref(), file.as_os_str()]);
            assert_eq!(said.code, 0, "{}: {}", file.display(), said.text);
            checked += 1;
        }
    }
    assert!(checked > 0, "there are examples");
}

#[test]
fn check_reports_problems_with_their_place() {
    let folder = Folder::new();
    let file = folder.file("wrong.yaml");
    fs::write(&file, "version: 1\nlisteners:\n  - { name: web, address: nonsense, pool: web }\n").unwrap();
    let said = rondel(["check".as_ref(), file.as_os_str()]);
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("wrong.yaml:3"), "{}", said.text);
    assert!(said.text.contains("nonsense"), "{}", said.text);
}

#[test]
fn check_warns_of_tcp_probes_of_a_database() {
    let folder = Folder::new();
    let file = folder.file("db.yaml");
    let text = "listeners: [{ address: \"127.0.0.1:80\", pool: db }]\n\
        pools: [{ name: db, probe: { tcp: {} }, backends: [{ address: \"10.0.0.1:3306\" }] }]\n";
    fs::write(&file, text).unwrap();
    let said = rondel(["check".as_ref(), file.as_os_str()]);
    assert_eq!(said.code, 0, "the file is valid: {}", said.text);
    assert!(
        said.text.contains("warning: pool db: ") && said.text.contains("probe: { mysql"),
        "{}",
        said.text
    );
}

#[test]
fn commands_read_a_file_from_standard_input() {
    let with = |arguments: &[&str], text: &str| {
        let mut command = Command::new(binary());
        let mut process = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end before it has read everything.
        let _ = process.stdin.take().unwrap().write_all(text.as_bytes());
        let output = process.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    };
    let folder = Folder::new();
    let socket = folder.file("admin.sock").display().to_string();
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]).admin(&format!("socket: {socket}"));
    let _lb = Lb::start(&setup);
    let next = setup.pool("next", "", &[backend.target()]).to_string();
    let wrong = next.replace("version: 1", "version: 1\nlistner: 1");

    let (code, text) = with(&["check", "-"], &next);
    assert_eq!(code, 0, "{text}");
    let (code, text) = with(&["plan", "-", "--socket", &socket], &next);
    assert!(code == 0 && text.contains("next"), "{text}");
    for arguments in [&["check", "-"][..], &["plan", "-", "--socket", &socket], &["doctor", "-"]] {
        let (code, text) = with(arguments, &wrong);
        assert_eq!(code, 3, "{arguments:?}: {text}");
        assert!(text.contains("<stdin>:2:1") && text.contains("listeners"), "{arguments:?}: {text}");
    }
    let (code, text) = with(&["run", "--config", "-"], &next);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("standard input") && text.contains("a reload reads the file again"), "{text}");
}

#[test]
fn manual_pages_render_without_a_warning() {
    for page in ["rondel", "rondel.yaml"] {
        let said = rondel(["man", page]);
        let folder = Folder::new();
        let file = folder.file(page);
        fs::write(&file, &said.text).unwrap();
        for line in [
            ["mandoc", "-T", "lint", "-W", "warning"].as_slice(),
            &["groff", "-man", "-ww", "-z", "-K", "utf8"],
        ] {
            let said = Command::new(line[0])
                .args(&line[1..])
                .arg(&file)
                .output()
                .unwrap_or_else(|error| panic!("{}, see scripts/test: {error}", line[0]));
            let text = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
            assert!(said.status.success() && text.is_empty(), "{page}, {line:?}:\n{text}");
        }
    }
}

#[test]
fn a_missing_file_exits_with_3() {
    for command in
        [["check", "/nonexistent/rondel.yaml"].as_slice(), &["run", "--config", "/nonexistent/rondel.yaml"]]
    {
        let said = rondel(command);
        assert_eq!(said.code, 3, "{command:?}: {}", said.text);
        assert!(said.text.contains("/nonexistent/rondel.yaml"), "{}", said.text);
    }
}

#[test]
fn wrong_arguments_exit_with_2() {
    for line in [
        "",
        "balance",
        "run --confg x",
        "check",
        "tcp --listen 127.0.0.1:1",
        "tcp --listen nonsense --to 127.0.0.1:1",
    ] {
        let said = rondel(line.split_whitespace());
        assert_eq!(said.code, 2, "rondel {line}: {}", said.text);
        assert!(!said.text.is_empty(), "rondel {line} prints nothing");
    }
}

#[test]
fn explain_knows_codes_and_reasons_and_rejects_other_words() {
    let said = rondel(["explain", "sD"]);
    assert_eq!(said.code, 0);
    assert!(
        said.text.contains("The backend had to answer") && said.text.contains("What to check"),
        "{}",
        said.text
    );
    let said = rondel(["explain", "idle"]);
    assert_eq!(said.code, 0);
    for word in ["No byte moved", "cD: ", "sD: ", "What to check"] {
        assert!(said.text.contains(word), "{word}: {}", said.text);
    }
    let said = rondel(["explain", "XX"]);
    assert_eq!(said.code, 2);
    assert!(said.text.contains("codes: --, PR"), "{}", said.text);
}

#[test]
fn help_version_completions_and_manual_are_printed() {
    for (line, word) in [
        ("--help", "Usage"),
        ("--version", env!("CARGO_PKG_VERSION")),
        ("completions bash", "complete"),
        ("completions zsh", "#compdef"),
        ("completions fish", "complete"),
        ("man", ".TH rondel 8"),
        ("man rondel.yaml", ".TH rondel.yaml 5"),
    ] {
        let said = rondel(line.split_whitespace());
        assert_eq!(said.code, 0, "rondel {line}: {}", said.text);
        assert!(said.text.contains(word), "rondel {line}: {}", said.text);
    }
}

#[test]
fn tcp_balances_without_a_file() {
    let backends = [Backend::named("a", 9001), Backend::named("b", 9002)];
    let [listen, a, b] = [8080, 9001, 9002].map(|port| address(port).to_string());
    let lb = Lb::command(&["tcp", "--listen", &listen, "--to", &a, "--to", &b], " ready");

    let picks: String = (0..6).map(|_| lb.connect().line()).collect();
    assert_eq!(picks, "ababab");
    drop((lb, backends));
}

#[test]
fn the_demo_works_as_printed() {
    let listen = address(8080).to_string();
    let dashboard = address(9907).to_string();
    let demo = ["demo", "--listen", &listen, "--dashboard", &dashboard, "--traffic", "0"];
    let lb = Lb::command(&demo, "Ctrl-C ends it");

    let text = lb.log_text();
    let line = text.lines().map(str::trim).find(|line| line.contains("curl")).unwrap();
    assert!(line.contains(&listen), "{line}");
    // As pasted: it sends six requests.
    let answers = shell(line);
    let names: Vec<&str> = ["backend-1", "backend-2", "backend-3"].into();
    let answered: Vec<&str> =
        answers.match_indices("backend-").map(|(at, _)| &answers[at..at + "backend-1".len()]).collect();
    assert_eq!(answered, names.repeat(2), "{answers}");
}
