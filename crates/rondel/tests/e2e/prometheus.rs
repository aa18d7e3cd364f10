//! Prometheus with the rules of `configs/prometheus`, scraping a running balancer; and the dashboard for Grafana.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::lb::Lb;
use crate::place::{Folder, address, eventually};
use crate::programs::Nginx;
use crate::servers::{Program, run};
use crate::setup::Setup;
use crate::token::Token;

/// A Prometheus that scrapes the balancer five times a second, and in which every alert fires at once.
struct Prometheus {
    _program: Program,
}

impl Prometheus {
    fn start() -> Self {
        Self::start_with(&format!(
            "rule_files: [rules.yaml]\n\
             scrape_configs: [{{ job_name: rondel, static_configs: [{{ targets: [\"{}\"] }}] }}]\n",
            address(9907)
        ))
    }

    /// With these settings, except for intervals.
    fn start_with(settings: &str) -> Self {
        let folder = Folder::new();
        let rules = fs::read_to_string(config("prometheus/rules.yaml")).unwrap();
        let at_once = |line: &str| {
            if line.trim().starts_with("for: ") { "        for: 0s" } else { line }.to_owned() + "\n"
        };
        fs::write(folder.file("rules.yaml"), rules.lines().map(at_once).collect::<String>()).unwrap();
        let settings = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}\n{settings}"
        );
        fs::write(folder.file("prometheus.yaml"), settings).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", folder.file("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.file("data").display()))
            .arg(format!("--web.listen-address={}", address(9090)));
        Self { _program: Program::start(folder, command, address(9090)) }
    }

    /// The results of a query.
    fn query(expression: &str) -> Vec<Value> {
        let url = format!("http://{}/api/v1/query", address(9090));
        let data = format!("query={expression}");
        let answer =
            run(Command::new("curl").args(["--silent", "--max-time", "20", "--data-urlencode", &data, &url]));
        // While it starts, it answers with a sentence.
        let Ok(mut answer) = serde_json::from_str::<Value>(&answer) else { return Vec::new() };
        let results = answer["data"]["result"].take();
        serde_json::from_value(results).unwrap_or_else(|_| panic!("{answer}"))
    }

    /// The firing alerts, each with its pool if it has one.
    fn firing() -> BTreeSet<String> {
        let results = Self::query("ALERTS{alertstate=\"firing\"}");
        let name = |result: &Value| {
            let label = |name: &str| result["metric"][name].as_str().unwrap_or_default().to_owned();
            assert_eq!(label("backend"), "", "an alert about one backend: {result}");
            format!("{} {}", label("alertname"), label("pool")).trim_end().to_owned()
        };
        results.iter().map(name).collect()
    }
}

#[test]
fn alerts_follow_the_state() {
    let (mut a, mut b) = (Nginx::start("a", 9001), Nginx::start("b", 9002));
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
    eventually("half of the pool", || Prometheus::firing().contains("RondelBackendsDown web"));
    b.kill();
    eventually("all of it, which is one alert", || {
        Prometheus::firing() == BTreeSet::from(["RondelPoolWithoutBackend web".to_owned()])
    });
    a.start_again();
    b.start_again();
    eventually("it is over", || Prometheus::firing().is_empty());

    lb.reload_refused(&Setup::to_with("balance: randomly", &[a.target()]));
    eventually("the rejected reload fires", || Prometheus::firing().contains("RondelReloadRefused"));
    lb.reload(&setup);
    eventually("it is resolved", || !Prometheus::firing().contains("RondelReloadRefused"));

    let mut lb = lb;
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 0);
    eventually("the end fires", || Prometheus::firing().contains("RondelDown"));
}

/// By the example of `configs`, with the places of this test.
#[test]
fn a_scrape_sends_the_token() {
    let backend = Nginx::start("a", 9001);
    let token = Token::new();
    let lb = Lb::start(&token.of(Setup::to(&[backend.target()])));
    let example = fs::read_to_string(config("prometheus/prometheus.yaml")).unwrap();
    // Prometheus runs as another user.
    let folder = Folder::new();
    let copy = folder.file("token");
    fs::copy(token.path(), &copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o644)).unwrap();
    let place = |settings: &str, from: &str, to: &str| {
        assert!(settings.contains(from), "{settings}");
        settings.replace(from, to)
    };
    let settings = place(&example, "192.0.2.10:9907", &address(9907).to_string());
    let settings = place(&settings, "/etc/prometheus/rondel-token", &copy.display().to_string());
    let _prometheus = Prometheus::start_with(&settings);
    let is_up = |expected: &str| {
        Prometheus::query("up{job=\"rondel\"}").first().is_some_and(|up| up["value"][1] == expected)
    };
    eventually("it is read", || is_up("1") && !Prometheus::query("rondel_serving").is_empty());

    // The other token is read for the next scrape.
    let next = "another-token-of-32-characters--";
    fs::write(token.path(), next).unwrap();
    token.admin.done("reload");
    eventually("the scrapes are refused", || is_up("0"));
    fs::write(&copy, next).unwrap();
    eventually("it is read again", || is_up("1"));
    drop(lb);
}

#[test]
fn rules_pass_their_tests() {
    run(Command::new("promtool").args(["check", "rules"]).arg(config("prometheus/rules.yaml")));
    run(Command::new("promtool").args(["test", "rules"]).arg(config("prometheus/rules_test.yaml")));
    let operations = fs::read_to_string(config("../docs/operations.md")).unwrap();
    let rules = fs::read_to_string(config("prometheus/rules.yaml")).unwrap();
    assert!(alerts(&rules).count() > 10);
    for (alert, rule) in alerts(&rules) {
        assert!(operations.contains(&format!("| `{alert}` |")), "{alert} is not in docs/operations.md");
        for key in ["labels: { severity: ", "summary: ", "description: "] {
            assert!(rule.contains(key), "{alert} has no `{key}`");
        }
    }
}

/// 59 of 60 backends that are down are one alert of their pool, and not 59.
#[test]
fn alerts_are_counted_by_pool() {
    let folder = Folder::new();
    let rules = fs::read_to_string(config("prometheus/rules.yaml")).unwrap();
    fs::write(folder.file("rules.yaml"), &rules).unwrap();
    let series = |name: &str, labels: &str, value: u8| {
        json!({
            "series": format!("{name}{{instance=\"lb1\",pool=\"web\"{labels}}}"),
            "values": format!("{value}x40"),
        })
    };
    let mut input = vec![series("rondel_pool_backends_available", "", 1)];
    for backend in 0..60 {
        let labels = format!(",backend=\"{backend}\"");
        input.push(series("rondel_backend_up", &labels, u8::from(backend == 0)));
        input.push(series("rondel_backend_overridden", &labels, 0));
    }
    let expected = |alert: &str, rule: &str| {
        if alert != "RondelPoolMostlyDown" {
            return json!([]);
        }
        let action = "`rondel backends --pool web` shows why. Check the network and the load of the rest before single \
                      backends.";
        assert!(rule.contains("severity: critical"), "{rule}");
        json!([{
            "exp_labels": { "severity": "critical", "instance": "lb1", "pool": "web" },
            "exp_annotations": { "summary": "59 of 60 backends of pool web are down", "description": action },
        }])
    };
    let checks: Vec<_> = alerts(&rules)
        .map(|(alert, rule)| {
            let expected = expected(alert, rule);
            json!({ "alertname": alert, "eval_time": "5m", "exp_alerts": expected })
        })
        .collect();
    // JSON is YAML.
    let test = json!({
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "15s",
        "tests": [{ "interval": "15s", "input_series": input, "alert_rule_test": checks }],
    });
    fs::write(folder.file("test.yaml"), test.to_string()).unwrap();
    run(Command::new("promtool").args(["test", "rules"]).arg(folder.file("test.yaml")));
}

/// Each alert of the file, by its name, with the text of its rule.
fn alerts(rules: &str) -> impl Iterator<Item = (&str, &str)> {
    rules.split("- alert: ").skip(1).map(|rule| rule.split_once('\n').expect("a rule has more lines"))
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

/// Prometheus parses each expression of the dashboard, panels do not overlap, and what a panel names exists.
#[test]
fn the_dashboard_is_valid() {
    let folder = Folder::new();
    let text = fs::read_to_string(config("grafana/rondel.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let (mut rules, mut ids, mut places) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard["panels"]) {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels of one id: {title}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(place.0 < 24 && places.insert(place), "{title} overlaps another panel at {place:?}");
        }
        let kind = panel["type"].as_str().unwrap();
        assert!(["row", "stat", "table", "timeseries", "state-timeline"].contains(&kind), "{title}: {kind}");
        let mut queries = BTreeSet::new();
        for target in list(&panel["targets"]) {
            assert!(queries.insert(target["refId"].as_str().unwrap().to_owned()), "{title}: one refId twice");
            assert_eq!(target["format"] == "table", kind == "table", "{title}: the format of a query");
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            rules.push(json!({ "record": format!("panel:{}", rules.len()), "expr": expression }));
        }
        assert_eq!(queries.is_empty(), kind == "row", "{title} has no query");
        check_columns(title, panel, &queries);
    }
    assert!(rules.len() > 30, "{rules:?}");
    check_variables(&dashboard, &text);
    // JSON is YAML.
    let rules = json!({ "groups": [{ "name": "panels", "rules": rules }] });
    fs::write(folder.file("panels.yaml"), rules.to_string()).unwrap();
    run(Command::new("promtool").args(["check", "rules"]).arg(folder.file("panels.yaml")));
}

/// The columns of a table are results of its queries or labels, and what formats or sorts a column finds it.
#[track_caller]
fn check_columns(title: &str, panel: &Value, queries: &BTreeSet<String>) {
    let mut columns = BTreeSet::new();
    for transformation in list(&panel["transformations"]) {
        let renamed = transformation["options"]["renameByName"].as_object().into_iter().flatten();
        for (from, to) in renamed {
            let query = from.strip_prefix("Value #");
            assert!(query.is_none_or(|query| queries.contains(query)), "{title} renames {from}");
            columns.insert(to.as_str().unwrap().to_owned());
        }
        for sort in list(&transformation["options"]["sort"]) {
            assert!(columns.contains(sort["field"].as_str().unwrap()), "{title} sorts by {sort}");
        }
    }
    for column in list(&panel["fieldConfig"]["overrides"]) {
        let name = column["matcher"]["options"].as_str().unwrap();
        assert!(columns.contains(name), "{title} has no column {name}");
    }
}

/// Variables that are used are defined, and each is used.
#[track_caller]
fn check_variables(dashboard: &Value, text: &str) {
    let defined: BTreeSet<&str> =
        list(&dashboard["templating"]["list"]).map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(defined, BTreeSet::from(["datasource", "detail", "instance", "listener", "pool"]));
    let used: BTreeSet<&str> = text
        .split('$')
        .skip(1)
        .map(|rest| rest.trim_start_matches('{'))
        .map(|rest| rest.split(|character: char| !character.is_ascii_alphanumeric() && character != '_'))
        .filter_map(|mut words| words.next())
        .filter(|name| !name.starts_with("__"))
        .collect();
    assert_eq!(used, defined);
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs").join(name)
}
