//! Reads a YAML file into a validated [`Config`], or reports every problem with its place and its cure.
//!
//! It opens no socket and asks the host nothing: whether an address can be bound shows when it is bound.

// What a configuration consists of. Start here.
mod access;
mod config;
mod logs;
pub mod probe;
mod proxy;
mod route;

// From a path or bytes to a `Config`, in three steps: text to tree, tree to what is written, and that resolved.
mod load;
mod regular;

mod precheck;
mod shape;
mod tree;

mod accessing;
mod file;
mod listening;
mod logging;
mod pooling;
mod probing;
mod proxying;
mod routing;
mod sections;

mod own;
mod resolve;

// What the steps use: readers for nodes and for texts, and the limits they apply.
mod address;
mod addresses;
mod defaults;
mod duration;
mod escaped;
mod fields;
mod limits;
mod scalar;
mod size;
mod tokens;

// Addresses in sets: prefixes, and the rules of a list made searchable.
mod prefix;
mod prefix_file;
mod ranges;

// The token of the admin interface.
mod token;

// Problems: while they are collected, the guesses about them, and the report.
mod problem;
mod span;

mod foreign;
mod place;
mod recognise;
mod suggest;
mod syntax;

mod error;

// What else there is to a configuration: its differences, its words, the one without a file, what an operator
// names of it, and all keys.
mod changes;
mod describe;
mod forward;
mod named;
pub mod reference;

// Sentences that other crates build about names and numbers.
mod sentences;

// Valid, and probably not intended.
mod shadowed;
mod warned;
mod warning;

pub use crate::access::{
    AccessIndex, AccessList, AccessRule, Action, LimitsIndex, Period, Rate, Refusal, Refuse, RulePrefixes,
    SourceBits, SourceLimits,
};
pub use crate::addresses::show_addresses;
pub use crate::changes::Changes;
pub use crate::config::{
    ADMIN_SOCKET_DEFAULT, AccessLog, Admin, AdminSocket, Backend, Backups, Balance, Config, ConnectionsMax,
    Eject, Facility, Failback, Fallback, Keepalive, LagMax, ListenAddress, Listener, LogField, LogFormat,
    LogTarget, OnAllDown, OnDemotion, OnLoss, OnRemove, Pool, PoolIndex, Runtime, TargetRole, Tier, Tiers,
    Waiting, Workers,
};
pub use crate::duration::show as show_duration;
pub use crate::error::{ConfigError, Position, Problem};
pub use crate::forward::{TextError, backend_address, listen_address, read_duration};
pub use crate::named::listener_named;
pub use crate::own::{OwnBackend, OwnPlace};
pub use crate::prefix::Prefix;
pub use crate::probe::Probe;
pub use crate::proxy::{
    HeaderField, HeaderVersion, HeaderVersions, Opening, Others, Proxies, ProxyProtocol, SendProxy,
};
pub use crate::ranges::{RULES_MAX, Ranges};
pub use crate::regular::read_file;
pub use crate::route::{Route, Routing, SILENT_ROUTE, ServerName, Silent, Takes, UNKNOWN_ROUTE, Unknown};
pub use crate::sentences::{counted, listed, unknown};
pub use crate::size::show as show_size;
pub use crate::token::{AdminToken, TokenError};
pub use crate::warned::Warning;
