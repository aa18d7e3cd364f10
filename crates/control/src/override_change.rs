//! What a command changed of a backend's overrides, as a sentence.

use std::fmt;

use config::{counted, listed, show_duration};
use table::{Drain, Override};

/// The overrides of a backend before a command and after it.
#[derive(Debug)]
pub(crate) struct OverrideChange {
    /// The backend, as the command names it.
    pub(crate) name: String,
    pub(crate) before: Override,
    pub(crate) after: Override,
    /// The connections that it has.
    pub(crate) connections: u64,
    /// Its weight in force.
    pub(crate) weight: u16,
}

impl fmt::Display for OverrideChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, before, after, .. } = self;
        if before == after {
            return write!(f, "{name} {}: nothing changed", self.state());
        }
        let is_reset = *after == Override::default();
        let has = counted(self.connections, "connection");
        match (before.drain, after.drain) {
            (Some(_), None) if is_reset && !before.disabled && before.weight.is_none() => {
                write!(f, "{name} is no longer drained and {}; it has {has}", self.gets())
            }
            _ if is_reset => {
                write!(f, "{name} has no overrides any more and {}; it has {has}", self.gets())
            }
            (Some(_), None) => {
                write!(f, "{name} is no longer drained; it {}, and has {has}", self.state())
            }
            _ => write!(f, "{name} {}; it has {has}", self.state()),
        }
    }
}

impl OverrideChange {
    /// Its overrides: `is drained and disabled`.
    fn state(&self) -> String {
        let mut states = Vec::new();
        match self.after.drain {
            Some(Drain::Open) => states.push("is drained".to_owned()),
            Some(Drain::Until(window)) => {
                states.push(format!("is drained within {}", show_duration(window.until - window.since)));
            }
            None => {}
        }
        states.extend(self.after.disabled.then(|| "is disabled".to_owned()));
        states.extend(
            self.after.weight.map(|weight| format!("has the weight {weight} in place of the file's")),
        );
        if states.is_empty() { "has no overrides".to_owned() } else { listed(&states) }
    }

    fn gets(&self) -> &'static str {
        if self.weight == 0 {
            "has the weight 0, so it gets no new connections"
        } else {
            "gets new connections"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use table::{Drain, DrainWindow, Override};

    use super::OverrideChange;
    use crate::monitor::now;

    #[test]
    fn a_command_says_what_it_changed() {
        check("", "drained", "web/a is drained; it has 1 connection");
        check("", "within", "web/a is drained within 1h; it has 1 connection");
        check("", "disabled", "web/a is disabled; it has 1 connection");
        check("", "weight", "web/a has the weight 7 in place of the file's; it has 1 connection");
        check("drained", "", "web/a is no longer drained and gets new connections; it has 1 connection");
        check(
            "disabled",
            "",
            "web/a has no overrides any more and gets new connections; it has 1 connection",
        );
        check(
            "drained disabled",
            "disabled",
            "web/a is no longer drained; it is disabled, and has 1 connection",
        );
        check("drained", "drained disabled", "web/a is drained and is disabled; it has 1 connection");
    }

    #[test]
    fn a_command_that_changes_nothing_is_no_failure() {
        check("", "", "web/a has no overrides: nothing changed");
        check("drained", "drained", "web/a is drained: nothing changed");
        check("disabled", "disabled", "web/a is disabled: nothing changed");
        check("weight", "weight", "web/a has the weight 7 in place of the file's: nothing changed");
    }

    #[test]
    fn a_backend_of_weight_0_gets_no_connections_after_its_overrides() {
        let change = OverrideChange { weight: 0, ..change("drained", "") };
        assert_eq!(
            change.to_string(),
            "web/a is no longer drained and has the weight 0, so it gets no new connections; it has 1 connection"
        );
    }

    #[track_caller]
    fn check(before: &str, after: &str, expected: &str) {
        assert_eq!(change(before, after).to_string(), expected);
    }

    fn change(before: &str, after: &str) -> OverrideChange {
        OverrideChange {
            name: "web/a".to_owned(),
            before: overrides(before),
            after: overrides(after),
            connections: 1,
            weight: 1,
        }
    }

    fn overrides(words: &str) -> Override {
        let mut it = Override::default();
        for word in words.split_whitespace() {
            match word {
                "drained" => it.drain = Some(Drain::Open),
                "within" => {
                    it.drain = Some(Drain::Until(DrainWindow::drained(now(), Duration::from_secs(3600))));
                }
                "disabled" => it.disabled = true,
                "weight" => it.weight = Some(7),
                other => panic!("{other} is no override"),
            }
        }
        it
    }
}
