//! Why the process ended unexpectedly, or not the way it was asked to.

use std::fmt;

use access_log::OpenError;
use admin::ListenError;
use config::{ConfigError, TokenError};
use driver::SetupError;
use host::{BindError, bind_cure};

/// Why the process ends with an exit code other than 0.
#[derive(Debug)]
pub enum Failure {
    /// The configuration is wrong, or cannot be read.
    Config(ConfigError),
    /// The token of the admin interface cannot be used.
    Token(TokenError),
    /// A listener cannot listen.
    Bind(BindError),
    /// The admin interface cannot listen.
    Admin(ListenError),
    /// The access log cannot be opened.
    AccessLog(OpenError),
    /// A backend is the process itself, and its connections would come back: what it says, with both places.
    Own(String),
    /// The kernel lacks something that rondel needs, or forbids it.
    Kernel(SetupError),
    /// The drain deadline came before the connections had finished; they were closed.
    DrainTimedOut {
        /// How many there were.
        connections: u64,
    },
    /// It could not start, or not go on, for another reason.
    Runtime(String),
}

impl Failure {
    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Config(_) | Self::Token(_) | Self::Own(_) => 3,
            Self::Bind(_) | Self::Admin(_) | Self::AccessLog(_) => 4,
            Self::Kernel(_) => 5,
            Self::DrainTimedOut { .. } => 6,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Token(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Admin(ListenError { endpoint, error }) => {
                let cure = endpoint.parse().ok().and_then(|address| bind_cure(address, error));
                let cure =
                    cure.unwrap_or_else(|| "choose another path in `admin`, or set it to `off`".to_owned());
                write!(f, "admin: cannot listen on {endpoint}: {error}\n  {cure}")
            }
            Self::AccessLog(error) => error.fmt(f),
            Self::Own(what) => write!(f, "{what}\n  write the address of the server that is meant"),
            Self::Kernel(error) => error.fmt(f),
            Self::DrainTimedOut { connections } => {
                let (s, were) = if *connections == 1 { ("", "was") } else { ("s", "were") };
                write!(
                    f,
                    "drain timed out: {connections} connection{s} had not finished and {were} closed\n  \
                     give them longer with `drain_timeout`"
                )
            }
            Self::Runtime(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Failure {}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        Self::Admin(error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::AccessLog(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use access_log::OpenError;
    use admin::ListenError;
    use host::BindError;

    use super::Failure;

    #[test]
    fn says_what_happened_to_what_and_what_to_do() {
        check(
            &bind("web", libc_errno::ADDRINUSE),
            "listener web: cannot listen on 10.0.0.1:80: Address already in use (os error 98)\n  \
             another process listens on it, possibly another rondel; `ss -ltnp 'sport = :80'` shows which",
            4,
        );
        check(
            &bind("10.0.0.1:80", libc_errno::ACCES),
            "cannot listen on 10.0.0.1:80: Permission denied (os error 13)\n  \
             a port below net.ipv4.ip_unprivileged_port_start needs CAP_NET_BIND_SERVICE: \
             `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the unit, \
             or `sysctl -w net.ipv4.ip_unprivileged_port_start=80`",
            4,
        );
        check(
            &bind("web", libc_errno::ADDRNOTAVAIL),
            "listener web: cannot listen on 10.0.0.1:80: Cannot assign requested address (os error 99)\n  \
             this host does not have the address (`ip address` lists those it has); \
             if the address is added later, set `freebind: true` for the listener",
            4,
        );
        check(
            &bind("web", libc_errno::MFILE),
            "listener web: cannot listen on 10.0.0.1:80: Too many open files (os error 24)",
            4,
        );
        let mut held = bind("web", libc_errno::ADDRINUSE);
        if let Failure::Bind(error) = &mut held {
            error.holder = Some("`admin.http` of this process, 0.0.0.0:80,".to_owned());
        }
        check(
            &held,
            "listener web: cannot listen on 10.0.0.1:80: Address already in use (os error 98)\n  \
             `admin.http` of this process, 0.0.0.0:80, uses it: choose another address",
            4,
        );
        let no_ipv6 = |address: &str| {
            let address = address.parse().unwrap();
            let error = io::Error::from_raw_os_error(libc_errno::AFNOSUPPORT);
            Failure::Bind(BindError { listener: "web".to_owned(), address, error, holder: None }).to_string()
        };
        assert!(no_ipv6("[::]:80").contains("use `:80` for every address of the host, or `0.0.0.0:80`"));
        assert!(no_ipv6("[::1]:80").ends_with("or use an IPv4 address"));
        check(
            &Failure::Admin(ListenError {
                endpoint: "[::]:9907".to_owned(),
                error: io::Error::from_raw_os_error(libc_errno::AFNOSUPPORT),
            }),
            "admin: cannot listen on [::]:9907: Address family not supported by protocol (os error 97)\n  \
             enable IPv6 for the process: add AF_INET6 to `RestrictAddressFamilies=` in the unit, and boot the kernel \
             without `ipv6.disable=1`; or use `:9907` for every address of the host, or `0.0.0.0:9907`",
            4,
        );
        check(
            &Failure::DrainTimedOut { connections: 1 },
            "drain timed out: 1 connection had not finished and was closed\n  \
             give them longer with `drain_timeout`",
            6,
        );
        check(
            &Failure::AccessLog(OpenError {
                to: "/var/log/rondel/access.log".to_owned(),
                error: io::Error::from_raw_os_error(libc_errno::ACCES),
            }),
            "access_log: /var/log/rondel/access.log: Permission denied (os error 13)\n  \
             give the user of the process write permission, as `LogsDirectory=rondel` in a systemd unit does for \
             /var/log/rondel",
            4,
        );
        check(&Failure::Runtime("no memory".to_owned()), "no memory", 1);
    }

    #[track_caller]
    fn check(failure: &Failure, message: &str, exit_code: u8) {
        assert_eq!(failure.to_string(), message);
        assert_eq!(failure.exit_code(), exit_code);
    }

    fn bind(listener: &str, errno: i32) -> Failure {
        Failure::Bind(BindError {
            listener: listener.to_owned(),
            address: "10.0.0.1:80".parse().unwrap(),
            error: io::Error::from_raw_os_error(errno),
            holder: None,
        })
    }

    mod libc_errno {
        use rustix::io::Errno;

        pub(super) const ADDRINUSE: i32 = Errno::ADDRINUSE.raw_os_error();
        pub(super) const ACCES: i32 = Errno::ACCESS.raw_os_error();
        pub(super) const ADDRNOTAVAIL: i32 = Errno::ADDRNOTAVAIL.raw_os_error();
        pub(super) const AFNOSUPPORT: i32 = Errno::AFNOSUPPORT.raw_os_error();
        pub(super) const MFILE: i32 = Errno::MFILE.raw_os_error();
    }
}
