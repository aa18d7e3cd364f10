//! The file as written: its sections, their keys, and the range of each value by itself.
//!
//! References between values, such as names that refer and addresses that clash, are checked by `resolve`.

use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use crate::access::{AccessList, SourceLimits};
use crate::accessing::{self, Named};
use crate::address;
use crate::config::{AccessLog, Admin, AdminSocket, ConnectionsMax, ListenAddress, Runtime, Workers};
use crate::defaults;
use crate::fields::{Fields, Value};
use crate::limits;
use crate::listening::listeners;
use crate::logging::access_log;
use crate::pooling::pools;
use crate::probing::file_path;
use crate::problem::{Finding, Problems, Quoted, Wrong};
use crate::scalar;
use crate::sections::{ADMIN, ADMIN_HTTP, FILE, LISTENER, POOL, RUNTIME};
use crate::span::{At, Span};
use crate::tree::Tree;

pub(crate) use crate::listening::WrittenListener;
pub(crate) use crate::pooling::WrittenPool;

/// The contents of a file. A part that is missing here was invalid and has been reported.
pub(crate) struct File {
    pub(crate) runtime: Runtime,
    pub(crate) admin: Admin,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) places: Places,
    pub(crate) access: Vec<Named<AccessList>>,
    pub(crate) limits: Vec<Named<SourceLimits>>,
    pub(crate) listeners: Vec<WrittenListener>,
    pub(crate) pools: Vec<WrittenPool>,
}

/// The places of process settings that may conflict with others; none for those that are not written.
#[derive(Default)]
pub(crate) struct Places {
    pub(crate) admin_socket: Option<Span>,
    pub(crate) admin_http: Option<Span>,
    pub(crate) access_log: Option<Span>,
}

impl File {
    /// Reads the sections of a document.
    pub(crate) fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<Self> {
        let file = Fields::of_file(tree, &FILE, &[&RUNTIME, &ADMIN, &LISTENER, &POOL], problems)?;
        version(&file, problems);
        let mut places = Places::default();
        Some(Self {
            runtime: runtime(&file, problems),
            admin: admin(&file, &mut places, problems),
            access_log: access_log(&file, &mut places.access_log, problems),
            places,
            access: accessing::access(&file, problems),
            limits: accessing::source_limits(&file, problems),
            listeners: listeners(&file, problems),
            pools: pools(&file, problems),
        })
    }
}

fn version(file: &Fields<'_>, problems: &mut Problems) {
    let version = file.get("version").and_then(|value| value.text("a version", problems));
    if let Some(At { value, span }) = version.filter(|version| version.value != VERSION) {
        let finding = Finding::at(span, format!("version {} of the format is not known", Quoted(value)));
        problems.push(finding.help(format!("this program reads `version: {VERSION}`")));
    }
}

fn runtime(file: &Fields<'_>, problems: &mut Problems) -> Runtime {
    let mut runtime = Runtime {
        workers: defaults::WORKERS,
        connections_max: defaults::CONNECTIONS_MAX,
        drain_timeout: defaults::DRAIN_TIMEOUT,
        state: None,
    };
    let fields = file
        .get("runtime")
        .and_then(|value| value.fields_or_none(&RUNTIME, &[&FILE, &ADMIN, &LISTENER, &POOL], problems));
    let Some(fields) = fields else { return runtime };

    if let Some(number) =
        fields.get("workers").and_then(|value| value.number_or_auto(limits::WORKERS, problems))
    {
        runtime.workers = number.and_then(NonZeroU16::new).map_or(Workers::Auto, Workers::Number);
    }
    let connections_max = fields.get("max_connections");
    if let Some(number) =
        connections_max.and_then(|value| value.number_or_auto(limits::CONNECTIONS, problems))
    {
        runtime.connections_max =
            number.and_then(NonZeroU32::new).map_or(ConnectionsMax::Auto, ConnectionsMax::Number);
    }
    let drain_timeout = fields.get("drain_timeout");
    if let Some(drain_timeout) =
        drain_timeout.and_then(|value| value.duration(limits::DRAIN_TIMEOUT, problems))
    {
        runtime.drain_timeout = drain_timeout;
    }
    if let Some(value) = fields.get("state").filter(|value| !value.is_off()) {
        let state = value.parse("`off` or the path of a folder", folder, problems);
        runtime.state = state.map(|state| state.value);
    }
    runtime
}

fn folder(text: &str) -> Result<PathBuf, Wrong> {
    let path = text.trim_end_matches('/');
    if !path.starts_with('/') || path.chars().any(char::is_control) {
        return Err(Wrong::new(format!("{} is not the path of a folder", Quoted(text)))
            .help("write `off`, or a whole path such as `/var/lib/rondel`"));
    }
    Ok(PathBuf::from(path))
}

fn admin(file: &Fields<'_>, places: &mut Places, problems: &mut Problems) -> Admin {
    let mut admin = defaults::admin();
    let fields =
        file.get("admin").and_then(|value| value.fields_or_none(&ADMIN, &[&FILE, &RUNTIME], problems));
    let Some(fields) = fields else { return admin };
    if let Some(value) = fields.get("socket") {
        places.admin_socket = Some(value.span());
        let socket = value.parse("`off`, `auto` or the path of a socket", socket, problems);
        admin.socket = socket.map_or(admin.socket, |socket| socket.value);
    }
    match fields.get("http") {
        None => {}
        Some(value) if value.is_off() => admin.http = None,
        Some(value) if value.scalar().is_some() || value.is_nothing() => {
            admin.http = http(value, "`off` or an address", places, problems);
        }
        Some(value) => {
            let Some(fields) = value.fields(&ADMIN_HTTP, &[&ADMIN, &FILE], problems) else { return admin };
            let address = fields.require("address", "address: \"127.0.0.1:9907\"", problems);
            admin.http = address.and_then(|value| http(value, "an address", places, problems));
            let token_file = fields.get("token_file");
            let token_file = token_file.and_then(|value| value.parse("a path", file_path, problems));
            admin.token_file = token_file.map(|path| path.value);
        }
    }
    admin
}

fn http(
    value: Value<'_>,
    expected: &str,
    places: &mut Places,
    problems: &mut Problems,
) -> Option<ListenAddress> {
    if value.switch() == Some(true) {
        problems.push(value.mismatch(expected).help("say where, as in `http: \"127.0.0.1:9907\"`"));
        return None;
    }
    places.admin_http = Some(value.span());
    value.parse(expected, address::listen, problems).map(|address| address.value)
}

fn socket(text: &str) -> Result<AdminSocket, Wrong> {
    if scalar::switch(text) == Some(false) {
        return Ok(AdminSocket::Off);
    }
    if text == "auto" {
        return Ok(AdminSocket::Auto);
    }
    if !text.starts_with('/') || text.ends_with('/') || text.chars().any(char::is_control) {
        return Err(Wrong::new(format!("{} is not the path of a socket", Quoted(text)))
            .help("write `off`, `auto`, or a whole path such as `/run/rondel/admin.sock`"));
    }
    if text.len() > limits::SOCKET_PATH_BYTES_MAX {
        return Err(Wrong::new(format!("the path {} is too long", Quoted(text)))
            .help(format!("the path of a socket is at most {} bytes", limits::SOCKET_PATH_BYTES_MAX)));
    }
    Ok(AdminSocket::At(PathBuf::from(text)))
}

/// The version of the format that this program reads.
const VERSION: &str = "1";
