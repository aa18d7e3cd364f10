//! The script of the demo: `10s kill 2, 25s revive 2`.

use std::str::FromStr;
use std::time::Duration;

use super::action::{Action, BACKENDS};

/// Actions with their times since the start, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script(pub(super) Vec<(Duration, Action)>);

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lines = text.split(',').map(str::trim).filter(|line| !line.is_empty());
        let mut actions = lines.map(action).collect::<Result<Vec<_>, _>>()?;
        actions.sort_by_key(|(at, _)| *at);
        Ok(Self(actions))
    }
}

fn action(line: &str) -> Result<(Duration, Action), String> {
    let wrong = || format!("`{line}`: expected a time, an action and a backend, such as `10s kill 2`");
    let [at, verb, number] = line.split_whitespace().collect::<Vec<_>>()[..] else { return Err(wrong()) };
    let seconds = at.strip_suffix('s').and_then(|seconds| seconds.parse().ok()).ok_or_else(wrong)?;
    let number = number.parse().ok().filter(|number| (1..=BACKENDS).contains(number));
    let number = number.ok_or_else(|| format!("`{line}`: the backend must be 1 to {BACKENDS}"))?;
    let action = match verb {
        "kill" => Action::Kill(number),
        "revive" => Action::Revive(number),
        "slow" => Action::Slow(number),
        "fast" => Action::Fast(number),
        _ => return Err(format!("`{line}`: the actions are kill, revive, slow and fast")),
    };
    Ok((Duration::from_secs(seconds), action))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Action, Script};

    #[test]
    fn actions_are_sorted_by_time() {
        check("", &[]);
        check("25s revive 2, 10s kill 2,", &[(10, Action::Kill(2)), (25, Action::Revive(2))]);
        check("1s slow 1, 1s fast 3", &[(1, Action::Slow(1)), (1, Action::Fast(3))]);
        for (wrong, says) in [
            ("10 kill 2", "expected a time"),
            ("10s kill", "expected a time"),
            ("10s kill 4", "must be 1 to 3"),
            ("10s drop 1", "kill, revive, slow and fast"),
        ] {
            let error = wrong.parse::<Script>().unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[(u64, Action)]) {
        let expected = expected.iter().map(|(at, action)| (Duration::from_secs(*at), *action)).collect();
        assert_eq!(text.parse(), Ok(Script(expected)));
    }
}
