//! The name of a backend in a command.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A backend, written `POOL/NAME`. The name of a backend without one in the file is its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackendName(String);

impl BackendName {
    /// Every split into a pool and a backend: names may contain `/`.
    pub fn splits(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.match_indices('/').map(|(at, slash)| (&self.0[..at], &self.0[at + slash.len()..]))
    }
}

impl FromStr for BackendName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for BackendName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = Self(text);
        if name.splits().any(|(pool, backend)| !pool.is_empty() && !backend.is_empty()) {
            return Ok(name);
        }
        Err("expected POOL/BACKEND, such as `web/a` or `web/10.0.0.1:80`".to_owned())
    }
}

impl From<BackendName> for String {
    fn from(name: BackendName) -> Self {
        name.0
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::BackendName;

    #[test]
    fn a_backend_name_includes_the_pool() {
        let name: BackendName = "a/b/c".parse().unwrap();
        assert_eq!(name.splits().collect::<Vec<_>>(), [("a", "b/c"), ("a/b", "c")]);
        for wrong in ["", "web", "/a", "web/"] {
            assert!(wrong.parse::<BackendName>().is_err(), "{wrong}");
        }
    }
}
