//! The values of a configuration, as the file writes them.

use std::fmt;

use crate::config::{
    AccessLog, AdminSocket, Balance, ConnectionsMax, Failback, Fallback, LagMax, LogFormat, LogTarget,
    OnAllDown, OnDemotion, OnLoss, OnRemove, SYSLOG_DEFAULT, TargetRole, Tier, Workers,
};
use crate::duration;
use crate::probe::Method;
use crate::size;

impl fmt::Display for AdminSocket {
    /// As the file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Auto => f.write_str("auto"),
            Self::At(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for LogTarget {
    /// As the file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::Syslog(path) if path.as_os_str() == SYSLOG_DEFAULT => f.write_str("syslog"),
            Self::Syslog(path) => write!(f, "syslog:{}", path.display()),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for AccessLog {
    /// As the file says it, short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, format, skip_empty } = self;
        write!(f, "{to} as {format}{}", if *skip_empty { ", without empty connections" } else { "" })
    }
}

impl fmt::Display for Workers {
    /// As the file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl fmt::Display for ConnectionsMax {
    /// As the file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// The words of a file for an enum, each once, so that what is read is what is shown.
macro_rules! words {
    ($name:ty { $($variant:ident = $word:literal),* }) => {
        impl $name {
            /// Every one, in the order in which they are listed to people.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];
        }

        impl fmt::Display for $name {
            /// As the file says it.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
    };
}

words!(Balance {
    RoundRobin = "round_robin",
    LeastConnections = "least_connections",
    Random = "random",
    Maglev = "maglev"
});
words!(Fallback { None = "none", Primary = "primary" });
words!(OnAllDown { Open = "open", Closed = "closed" });
words!(OnDemotion { Keep = "keep", Drain = "drain", Close = "close" });
words!(OnLoss { Keep = "keep", Close = "close" });
words!(Tier { Active = "active", Backup = "backup" });
words!(LogFormat { Text = "text", Json = "json" });
words!(Method { Get = "GET", Head = "HEAD", Options = "OPTIONS" });

impl fmt::Display for Failback {
    /// As the file says it, without the delay.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto(_) => "auto",
            Self::Manual => "manual",
        })
    }
}

impl fmt::Display for OnRemove {
    /// As the file says it, without the time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drain(_) => "drain",
            Self::Keep => "keep",
            Self::Close => "close",
        })
    }
}

impl fmt::Display for TargetRole {
    /// As the file says it: the role alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "null",
            Self::Primary(_) => "primary",
            Self::Replica(_) => "replica",
        })
    }
}

impl fmt::Display for LagMax {
    /// As the file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.time, self.bytes) {
            (None, None) => f.write_str("null"),
            (Some(time), None) => f.write_str(&duration::show(time)),
            (None, Some(bytes)) => f.write_str(&size::show(bytes)),
            (Some(time), Some(bytes)) => write!(f, "{} and {}", duration::show(time), size::show(bytes)),
        }
    }
}
