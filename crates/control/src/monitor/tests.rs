//! One end of an ejection is one entry of the event log.

use std::time::{Duration, Instant};

use api::EventKind;
use config::Config;
use health::roles::Times;
use health::{Answer, Outcome, ServerId};
use table::{EffectiveConfig, TableWriter};

use super::{HealthMonitor, now};
use crate::event_log::EventLog;
use crate::transitions::{self, Snapshot};

#[test]
fn the_end_of_an_ejection_is_noted_once() {
    check_end(&["its time is up"], &[Step::Wait(10)]);
    check_end(&["`eject` is off"], &[Step::Reload("off")]);
    check_end(&["its probe passes"], &[Step::ProbePasses]);
}

/// Whatever comes second, before the first was evaluated or after, finds no ejection to end.
#[test]
fn what_ends_an_ejection_twice_is_noted_once() {
    check_end(&["its probe passes"], &[Step::ProbePasses, Step::Reload("off")]);
    check_end(&["its probe passes"], &[Step::ProbePasses, Step::Wait(10)]);
    check_end(&["its probe passes"], &[Step::ProbePasses, Step::Evaluate, Step::Reload("off")]);
    check_end(&["its time is up"], &[Step::Wait(10), Step::ProbePasses]);
    check_end(&["its time is up"], &[Step::Wait(10), Step::Reload("off")]);
    check_end(&["`eject` is off"], &[Step::Reload("off"), Step::Wait(10), Step::ProbePasses]);
}

#[derive(Clone, Copy)]
enum Step {
    Wait(u64),
    /// With this value of `eject`.
    Reload(&'static str),
    ProbePasses,
    Evaluate,
}

/// What ends an ejection, and what is noted of that from one table to the next.
#[track_caller]
fn check_end(noted: &[&str], steps: &[Step]) {
    let config = eject("{ failures: 3, for: 10s, max: 300s }");
    let (mut monitor, mut event_log) =
        (HealthMonitor::new(&EffectiveConfig::new(config.clone())), EventLog::default());
    let mut now = now();
    let mut writer = TableWriter::new(config, Vec::new(), 1, monitor.inputs(now), table::Sources::default());
    let table = writer.table();
    for _ in 0..3 {
        table.pools[0].backends[0].on_connect_failed();
    }
    assert!(monitor.on_failures(&table, now, &mut event_log));
    assert!(monitor.evaluate(now, &mut event_log));
    drop(writer.refresh(monitor.inputs(now)).expect("a backend is ejected"));

    let mut event_log = EventLog::default();
    for step in steps.iter().chain([&Step::Evaluate]) {
        let written =
            match *step {
                Step::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    None
                }
                Step::Reload(value) => Some(writer.reload(eject(value), Vec::new(), |config| {
                    monitor.reconfigure(config, now, &mut event_log)
                })),
                Step::ProbePasses => {
                    on_probe_passed(&mut monitor, now, &mut event_log);
                    None
                }
                Step::Evaluate => {
                    monitor.evaluate(now, &mut event_log);
                    writer.refresh(monitor.inputs(now))
                }
            };
        if let Some(written) = written {
            let (table, inputs) = (writer.table(), writer.inputs());
            let before = Snapshot { table: &written.table, inputs: &written.inputs };
            transitions::note(before, Snapshot { table: &table, inputs }, &mut event_log);
        }
    }
    let ends: Vec<&str> = event_log
        .entries()
        .filter(|entry| entry.kind == EventKind::Ejection)
        .map(|entry| entry.text.as_str())
        .collect();
    let expected: Vec<String> =
        noted.iter().map(|why| format!("pool p, backend a: {why}: no longer ejected")).collect();
    assert_eq!(ends, expected);
}

fn on_probe_passed(monitor: &mut HealthMonitor, now: Instant, event_log: &mut EventLog) {
    let server = ServerId { pool: "p".into(), address: "10.0.0.1:1".parse().unwrap() };
    let times = Times { asked: now, answered: now };
    let outcome = Outcome { answer: Ok(Answer::default()), latency: Duration::ZERO };
    let report = monitor.prober.on_outcome(&server, times, outcome).unwrap();
    monitor.on_report(&report, now, event_log);
}

fn eject(eject: &str) -> Config {
    let backends = r#"[{ name: a, address: "10.0.0.1:1" }, { name: b, address: "10.0.0.2:1" }]"#;
    let pool = format!("{{ name: p, backends: {backends}, probe: {{ tcp: {{}} }}, eject: {eject} }}");
    let listener = r#"{ name: l, address: "127.0.0.1:1", pool: p }"#;
    let text = format!("version: 1\nlisteners: [{listener}]\npools: [{pool}]\n");
    let mut config = Config::parse("test", text.as_bytes()).unwrap();
    config.listeners.clear();
    config
}
