//! What a client asked for with its first bytes, and the route that takes it by that.

use std::sync::Arc;

use connection::CloseReason;
use preface::hello::{Hello, Protocols};
use table::{Listener, Pool, Route};

/// What a client asked for with its first bytes, as far as routes look at them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A TLS hello.
    Hello {
        /// The name of the server; none if it asks for none.
        name: Option<Box<str>>,
        /// The protocols that it offers, as the hello has them.
        protocols: Box<[u8]>,
    },
    /// What does not begin as TLS does.
    NotTls,
    /// Nothing.
    Silence,
}

impl Asked {
    /// What a hello asks for.
    pub(crate) fn of(hello: &Hello<'_>) -> Self {
        Self::Hello { name: hello.name.map(Into::into), protocols: hello.protocols.as_bytes().into() }
    }

    /// The name of the server.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Hello { name, .. } => name.as_deref(),
            Self::NotTls | Self::Silence => None,
        }
    }

    /// The protocols that the client offers.
    pub fn protocols(&self) -> Protocols<'_> {
        match self {
            Self::Hello { protocols, .. } => Protocols::new(protocols),
            Self::NotTls | Self::Silence => Protocols::default(),
        }
    }

    /// The name of the server, as far as logs and lists show it.
    pub fn shown_name(&self) -> Option<&str> {
        // A name is of ASCII, so every byte ends a character.
        self.name().map(|name| &name[..name.len().min(SHOWN_CHARS_MAX)])
    }

    /// The protocols that the client offers, as far as logs and lists show them: separated by commas, with what is
    /// no printable ASCII escaped.
    pub fn shown_protocols(&self) -> Option<String> {
        let protocols = self.protocols().iter().map(|protocol| protocol.escape_ascii().to_string());
        let mut shown = protocols.collect::<Vec<_>>().join(",");
        shown.truncate(SHOWN_CHARS_MAX);
        (!shown.is_empty()).then_some(shown)
    }

    /// Forgets what only the search for a backend needs: logs show less than this of the protocols.
    pub(crate) fn shorten(&mut self) {
        if let Self::Hello { protocols, .. } = self
            && protocols.len() > PROTOCOLS_KEPT_MAX
        {
            // One protocol of any length, or more than are shown.
            *protocols = protocols[..PROTOCOLS_KEPT_MAX].into();
        }
    }
}

/// How many characters of what a client asks for are shown in logs and lists.
const SHOWN_CHARS_MAX: usize = 64;

/// How many bytes of protocols a connection with a backend keeps: the lengths of one are shorter than its commas.
const PROTOCOLS_KEPT_MAX: usize = 256;

/// Where a client that asked for this goes, by the routes of a listener: the route, if it has any, and the pool.
/// A client that came before there were routes was not asked, and goes to the pool of the listener.
///
/// # Errors
///
/// Why it is refused.
pub(crate) fn destination(
    listener: &Listener,
    asked: Option<&Asked>,
) -> Result<(Option<Arc<Route>>, Arc<Pool>), CloseReason> {
    let (Some(routes), Some(asked)) = (&listener.routes, asked) else {
        return Ok((None, Arc::clone(&listener.pool)));
    };
    let route = match asked {
        Asked::Hello { name, .. } => {
            let offers = |protocol: &[u8]| asked.protocols().iter().any(|offered| offered == protocol);
            routes.of_hello(name.as_deref(), offers).ok_or(CloseReason::NoRoute)
        }
        Asked::NotTls => routes.not_tls().ok_or(CloseReason::HelloInvalid),
        Asked::Silence => routes.silent().ok_or(CloseReason::OpeningTimedOut),
    };
    route.map(|route| (Some(Arc::clone(route)), Arc::clone(&route.pool)))
}
