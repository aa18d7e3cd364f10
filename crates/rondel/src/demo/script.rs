//! What the demo does by itself, and when: `10s kill 2, 25s revive 2`.

use std::str::FromStr;
use std::time::Duration;

use super::show::{BACKENDS, Deed};

/// Deeds with their times since the start, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script(pub(super) Vec<(Duration, Deed)>);

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lines = text.split(',').map(str::trim).filter(|line| !line.is_empty());
        let mut deeds = lines.map(deed).collect::<Result<Vec<_>, _>>()?;
        deeds.sort_by_key(|(at, _)| *at);
        Ok(Self(deeds))
    }
}

fn deed(line: &str) -> Result<(Duration, Deed), String> {
    let wrong = || format!("`{line}`: write a time, what to do and a backend, such as `10s kill 2`");
    let [at, verb, number] = line.split_whitespace().collect::<Vec<_>>()[..] else { return Err(wrong()) };
    let seconds = at.strip_suffix('s').and_then(|seconds| seconds.parse().ok()).ok_or_else(wrong)?;
    let number = number.parse().ok().filter(|number| (1..=BACKENDS).contains(number));
    let number = number.ok_or_else(|| format!("`{line}`: backends are 1 to {BACKENDS}"))?;
    let deed = match verb {
        "kill" => Deed::Kill(number),
        "revive" => Deed::Revive(number),
        "slow" => Deed::Slow(number),
        "fast" => Deed::Fast(number),
        _ => return Err(format!("`{line}`: what can be done is kill, revive, slow and fast")),
    };
    Ok((Duration::from_secs(seconds), deed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Deed, Script};

    #[test]
    fn is_played_in_the_order_of_time() {
        check("", &[]);
        check("25s revive 2, 10s kill 2,", &[(10, Deed::Kill(2)), (25, Deed::Revive(2))]);
        check("1s slow 1, 1s fast 3", &[(1, Deed::Slow(1)), (1, Deed::Fast(3))]);
        for (wrong, says) in [
            ("10 kill 2", "write a time"),
            ("10s kill", "write a time"),
            ("10s kill 4", "backends are 1 to 3"),
            ("10s drop 1", "kill, revive, slow and fast"),
        ] {
            let error = wrong.parse::<Script>().unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[(u64, Deed)]) {
        let expected = expected.iter().map(|(at, deed)| (Duration::from_secs(*at), *deed)).collect();
        assert_eq!(text.parse(), Ok(Script(expected)));
    }
}
