//! What a reload changes, line by line.

use std::fmt;

use config::Config;

/// What differs between two configs, in the order of the next one; removed things last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes(Vec<String>);

impl Changes {
    /// What changes when `next` takes the place of `previous`.
    pub fn between(_previous: &Config, _next: &Config) -> Self {
        Self(Vec::new())
    }

    /// One line for each change, such as `+ listener api 127.0.0.1:8081 -> app`.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}
