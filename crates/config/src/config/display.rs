//! The values of a configuration, as they are written in a file.

use std::fmt;

use crate::access::{Action, Refuse};
use crate::config::{
    AdminSocket, Backups, Balance, ConnectionsMax, Failback, Fallback, LagMax, LogFormat, OnAllDown,
    OnDemotion, OnLoss, OnRemove, TargetRole, Tier, Workers,
};
use crate::duration;
use crate::probe::Method;
use crate::proxy::{HeaderField, HeaderVersion, Others, ProbeHeader};
use crate::route::{Silent, Unknown};
use crate::size;

impl fmt::Display for AdminSocket {
    /// As written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Auto => f.write_str("auto"),
            Self::At(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for Workers {
    /// As written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl fmt::Display for ConnectionsMax {
    /// As written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// The words of a file for an enum. One list, for reading and for display.
macro_rules! words {
    ($name:ty { $($variant:ident = $word:literal),* }) => {
        impl $name {
            /// Every value, in the order in which help texts list them.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];
        }

        impl fmt::Display for $name {
            /// As written in a file.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
    };
}

words!(Balance {
    RoundRobin = "round_robin",
    First = "first",
    LeastConnections = "least_connections",
    Random = "random",
    Maglev = "maglev"
});
words!(Backups { All = "all", First = "first" });
words!(Fallback { None = "none", Primary = "primary" });
words!(OnAllDown { Open = "open", Closed = "closed" });
words!(OnDemotion { Keep = "keep", Drain = "drain", Close = "close" });
words!(OnLoss { Keep = "keep", Close = "close" });
words!(Tier { Active = "active", Backup = "backup" });
words!(LogFormat { Text = "text", Json = "json" });
words!(Others { Refuse = "refuse", Plain = "plain" });
words!(Action { Allow = "allow", Deny = "deny" });
words!(Refuse { Reset = "reset", Drop = "drop" });
words!(Unknown { Pool = "pool", Refuse = "refuse" });
words!(Silent { Refuse = "refuse", Pool = "pool" });
words!(HeaderVersion { V1 = "v1", V2 = "v2" });
words!(HeaderField {
    UniqueId = "unique_id",
    Crc32c = "crc32c",
    Pass = "pass",
    PassAuthority = "pass_authority",
    PassSsl = "pass_ssl"
});
words!(ProbeHeader { Auto = "auto", Off = "off" });
words!(Method { Get = "GET", Head = "HEAD", Options = "OPTIONS" });

impl fmt::Display for Failback {
    /// As written in a file, without the delay.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto(_) => "auto",
            Self::Manual => "manual",
        })
    }
}

impl fmt::Display for OnRemove {
    /// As written in a file, without the time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drain(_) => "drain",
            Self::Keep => "keep",
            Self::Close => "close",
        })
    }
}

impl fmt::Display for TargetRole {
    /// As written in a file: only the role.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "null",
            Self::Primary(_) => "primary",
            Self::Replica(_) => "replica",
        })
    }
}

impl fmt::Display for LagMax {
    /// As written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.time, self.bytes) {
            (None, None) => f.write_str("null"),
            (Some(time), None) => f.write_str(&duration::show(time)),
            (None, Some(bytes)) => f.write_str(&size::show(bytes)),
            (Some(time), Some(bytes)) => write!(f, "{} and {}", duration::show(time), size::show(bytes)),
        }
    }
}
