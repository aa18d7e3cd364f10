//! The directory of a demo, with its configuration and its admin socket.

use std::env;
use std::fs::{self, DirBuilder, DirEntry};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process;

use rustix::process::geteuid;

/// A directory with mode 0700. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// Creates it in `$XDG_RUNTIME_DIR` or in the directory for temporary files, in the first that permits it.
    pub(super) fn create() -> io::Result<Self> {
        let mut created = Err(ErrorKind::NotFound.into());
        for parent in parents() {
            created = Self::create_in(&parent);
            if created.is_ok() {
                break;
            }
        }
        created
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        // An existing path is never used, because another user, or a demo of another container, may have created it.
        let mut created = Err(ErrorKind::AlreadyExists.into());
        for number in 0..NAMES_MAX {
            let path = parent.join(format!("{PREFIX}{}-{number}", process::id()));
            if path.join(SOCKET).as_os_str().len() > SOCKET_BYTES_MAX {
                return Err(io::Error::new(
                    ErrorKind::InvalidFilename,
                    format!("{} is too long for a socket", path.display()),
                ));
            }
            created = DirBuilder::new().mode(0o700).create(&path).map(|()| Self(path));
            if !created.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
                break;
            }
        }
        created
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.0.join(SOCKET)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.file());
        // It is kept if it has other files.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The admin sockets of running demos of this user.
pub(crate) fn sockets() -> Vec<PathBuf> {
    let own = geteuid().as_raw();
    let entries = parents().into_iter().filter_map(|parent| fs::read_dir(parent).ok()).flatten();
    let named = |entry: &DirEntry| entry.file_name().as_bytes().starts_with(PREFIX.as_bytes());
    let directories = entries.filter_map(Result::ok).filter(named).map(|entry| entry.path());
    // Another user may have created it to be mistaken for a demo.
    let is_own = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.uid() == own);
    let sockets = directories.filter(is_own).map(|path| path.join(SOCKET));
    // A demo that was killed has left its socket behind.
    sockets.filter(|socket| UnixStream::connect(socket).is_ok()).collect()
}

/// Where a directory may be created, the best first.
fn parents() -> Vec<PathBuf> {
    // Of another user after `su`.
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    let mut parents: Vec<_> = runtime.into_iter().chain([env::temp_dir(), PathBuf::from("/tmp")]).collect();
    parents.dedup();
    parents
}

/// Names begin with it and go on with the process ID.
const PREFIX: &str = "rondel-demo-";

/// The name of the admin socket.
const SOCKET: &str = "admin.sock";

/// The name of the configuration.
const FILE: &str = "rondel.yaml";

/// How many names are tried. They contain the process ID, so a name exists only if it was created on purpose, by a
/// demo that was killed, or by one of a container with the same directory.
const NAMES_MAX: u32 = 16;

/// The longest path of a socket: `sun_path` of unix(7) without its last byte.
const SOCKET_BYTES_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::{Directory, sockets};

    #[test]
    fn it_is_private_and_is_removed() {
        let directory = Directory::create().unwrap();
        let mode = fs::metadata(&directory.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let other = Directory::create().unwrap();
        assert_ne!(other.0, directory.0);
        fs::write(directory.file(), "").unwrap();
        let path = directory.0.clone();
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_parent_that_permits_none_is_an_error() {
        assert!(Directory::create_in(Path::new("/proc")).is_err());
        let deep = format!("/tmp/{}", "d".repeat(100));
        let error = Directory::create_in(Path::new(&deep)).unwrap_err();
        assert!(error.to_string().contains("too long for a socket"), "{error}");
    }

    #[test]
    fn the_socket_of_a_running_demo_is_found_and_one_that_was_left_is_not() {
        let directory = Directory::create().unwrap();
        let listener = UnixListener::bind(directory.socket()).unwrap();
        assert!(sockets().contains(&directory.socket()));
        drop(listener);
        assert!(!sockets().contains(&directory.socket()));
        fs::remove_file(directory.socket()).unwrap();
    }
}
