//! Prometheus with the rules of `configs/prometheus`, scraping a running balancer; and the dashboard for Grafana.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::lb::Lb;
use crate::place::{Folder, address, eventually};
use crate::programs::Nginx;
use crate::servers::{Program, run};
use crate::setup::Setup;

/// A Prometheus that scrapes the balancer five times a second, and in which every alert fires at once.
struct Prometheus {
    _program: Program,
}

impl Prometheus {
    fn start() -> Self {
        let folder = Folder::new();
        let rules = fs::read_to_string(config("prometheus/rules.yaml")).unwrap();
        let at_once = |line: &str| {
            if line.trim().starts_with("for: ") { "        for: 0s" } else { line }.to_owned() + "\n"
        };
        fs::write(folder.file("rules.yaml"), rules.lines().map(at_once).collect::<String>()).unwrap();
        let settings = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}\n\
             rule_files: [rules.yaml]\n\
             scrape_configs: [{{ job_name: rondel, static_configs: [{{ targets: [\"{}\"] }}] }}]\n",
            address(9907)
        );
        fs::write(folder.file("prometheus.yaml"), settings).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", folder.file("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.file("data").display()))
            .arg(format!("--web.listen-address={}", address(9090)));
        Self { _program: Program::start(folder, command, address(9090)) }
    }

    /// The names of the firing alerts, with their subjects.
    fn firing() -> BTreeSet<String> {
        let query = "http://{}/api/v1/query?query=ALERTS%7Balertstate%3D%22firing%22%7D";
        let url = query.replace("{}", &address(9090).to_string());
        let answer = run(Command::new("curl").args(["--silent", "--max-time", "20", &url]));
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let results = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let name = |result: &serde_json::Value| {
            let label = |name: &str| result["metric"][name].as_str().unwrap_or_default().to_owned();
            format!("{} {}", label("alertname"), label("backend")).trim_end().to_owned()
        };
        results.iter().map(name).collect()
    }
}

#[test]
fn alerts_follow_the_state() {
    let (mut a, b) = (Nginx::start("a", 9001), Nginx::start("b", 9002));
    let setup = Setup::to_with(
        "probe: { tcp: {}, interval: 200ms, fast_interval: 100ms }",
        &[a.target(), b.target()],
    )
    .admin(&format!("socket: off, http: \"{}\"", address(9907)));
    let lb = Lb::start(&setup);
    let _prometheus = Prometheus::start();
    eventually("it is read", || {
        let url = format!("http://{}/api/v1/query?query=rondel_serving", address(9090));
        run(Command::new("curl").args(["--silent", &url])).contains("\"rondel_serving\"")
    });
    assert_eq!(Prometheus::firing(), BTreeSet::new());

    a.kill();
    eventually("the alert for a fires", || Prometheus::firing().contains("RondelBackendDown a"));
    assert!(!Prometheus::firing().contains("RondelBackendDown b"), "{:?}", Prometheus::firing());
    a.start_again();
    eventually("it is over", || !Prometheus::firing().contains("RondelBackendDown a"));

    lb.reload_refused(&Setup::to_with("balance: randomly", &[a.target()]));
    eventually("the rejected reload fires", || Prometheus::firing().contains("RondelReloadRefused"));
    lb.reload(&setup);
    eventually("it is resolved", || !Prometheus::firing().contains("RondelReloadRefused"));

    let mut lb = lb;
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
    eventually("the end fires", || Prometheus::firing().contains("RondelDown"));
}

#[test]
fn rules_pass_their_tests() {
    let rules = config("prometheus/rules.yaml");
    run(Command::new("promtool").args(["check", "rules"]).arg(&rules));
    run(Command::new("promtool").args(["test", "rules"]).arg(config("prometheus/rules_test.yaml")));
    let operations = fs::read_to_string(config("../docs/operations.md")).unwrap();
    let text = fs::read_to_string(&rules).unwrap();
    let alerts: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(operations.contains(&format!("| `{alert}` |")), "{alert} is not in docs/operations.md");
    }
}

/// The rules and the dashboard use only metrics that a running balancer has.
#[test]
fn rules_and_dashboard_use_existing_metrics() {
    let backend = Nginx::start("a", 9001);
    let setup = Setup::to_with("probe: { tcp: {} }", &[backend.target()]);
    let _lb = Lb::start(&setup.admin(&format!("socket: off, http: \"{}\"", address(9907))));
    let metrics =
        run(Command::new("curl").args(["--silent", "--fail", &format!("http://{}/metrics", address(9907))]));
    // Metrics without a sample at the moment have at least a type.
    let type_of = |line: &str| {
        let mut words = line.strip_prefix("# TYPE ")?.split(' ');
        let (name, kind) = (words.next()?, words.next()?);
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        Some(endings.iter().map(move |ending| format!("{name}{ending}")).collect::<Vec<_>>())
    };
    let there: BTreeSet<String> = metrics.lines().filter_map(type_of).flatten().collect();
    for file in ["prometheus/rules.yaml", "prometheus/rules_test.yaml", "grafana/rondel.json"] {
        let text = fs::read_to_string(config(file)).unwrap();
        let is_of_a_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let words = text.split(|character| !is_of_a_name(character));
        let named: BTreeSet<String> =
            words.filter(|word| word.starts_with("rondel_")).map(str::to_owned).collect();
        assert!(named.len() > 5, "{file}: {named:?}");
        let missing: Vec<_> = named.difference(&there).collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}");
    }
}

/// Prometheus parses each expression of the dashboard, and its panels do not overlap.
#[test]
fn the_dashboard_is_valid() {
    let folder = Folder::new();
    let text = fs::read_to_string(config("grafana/rondel.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut rules, mut ids, mut places) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels of one id: {panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(
                place.0 < 24 && places.insert(place),
                "{} overlaps another panel at {place:?}",
                panel["title"]
            );
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            rules.push(serde_json::json!({ "record": format!("panel:{}", rules.len()), "expr": expression }));
        }
    }
    assert!(rules.len() > 15, "{rules:?}");
    // JSON is YAML.
    let rules = serde_json::json!({ "groups": [{ "name": "panels", "rules": rules }] });
    fs::write(folder.file("panels.yaml"), rules.to_string()).unwrap();
    run(Command::new("promtool").args(["check", "rules"]).arg(folder.file("panels.yaml")));
}

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs").join(name)
}
