//! The Unix socket: made so that it is never in the way of another process's, and taken away at the end.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// The path of a socket that this process made. Dropping it removes the socket, unless another process has replaced it.
#[derive(Debug)]
pub(crate) struct Made {
    path: PathBuf,
    identity: (u64, u64),
}

/// Makes a socket at `path` that its user and its group may connect to. One that nobody answers at is replaced.
pub(crate) fn bind(path: &Path) -> io::Result<(UnixListener, Made)> {
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "something that is no socket is there"));
        }
        if is_answered(path)? {
            return Err(io::Error::new(ErrorKind::AddrInUse, "another process answers there"));
        }
    }
    // Under a name of its own first: who finds it under the right one finds it with its mode, and with a listener.
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let _ = fs::remove_file(&draft);
    let listener = UnixListener::bind(&draft)?;
    let made = fs::set_permissions(&draft, Permissions::from_mode(MODE))
        .and_then(|()| listener.set_nonblocking(true))
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| identity(path));
    match made {
        Ok(identity) => Ok((listener, Made { path: path.to_owned(), identity })),
        Err(error) => {
            let _ = fs::remove_file(&draft);
            Err(error)
        }
    }
}

/// Makes the folder that `path` is in, if there is none.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    match fs::DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Whether a process listens at the socket of this path.
fn is_answered(path: &Path) -> io::Result<bool> {
    // It must not wait: a process that is stopped answers nobody, and lives.
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )?;
    match connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) | Err(rustix::io::Errno::AGAIN) => Ok(true),
        Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl Drop for Made {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Its user and its group, nobody else.
const MODE: u32 = 0o660;

/// Anybody may see that it is there.
const FOLDER_MODE: u32 = 0o755;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;

    use super::bind;

    #[test]
    fn one_that_nobody_answers_at_is_replaced_and_one_that_lives_is_not() {
        let path = path("replaced");
        let (listener, made) = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();

        // As if the process had been killed.
        std::mem::forget(made);
        drop(listener);
        assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let (_listener, made) = bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(made);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_stays() {
        let path = path("file");
        fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_another_has_put_there_since_is_not_removed() {
        let path = path("other");
        let (_listener, made) = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(made);
        assert!(fs::metadata(&path).unwrap().file_type().is_socket());
        fs::remove_file(path).unwrap();
    }

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rondel-socket-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }
}
