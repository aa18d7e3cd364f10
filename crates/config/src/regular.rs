//! Reads files that the configuration names. It rejects anything but regular files: a read from a FIFO or a device
//! may block indefinitely.

use std::fmt::{self, Display};
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// The bytes of the regular file at `path`, or of the one that a symbolic link there points to.
///
/// The read may still block for as long as the file system does, such as a network file system that hangs.
///
/// # Errors
///
/// If the file cannot be read, is not a regular file, or has more than `bytes_max` bytes.
pub fn read_file(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let bytes = read(open(path)?, bytes_max)?;
    if bytes.len() > bytes_max {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Opens a regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Checked before it is opened, because opening alone affects some devices, and after, because it may have been
    // replaced.
    is_regular(fs::metadata(path)?.file_type())?;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    is_regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// The bytes of a file, one more than `bytes_max` if it has that many: a pipe may have no end.
pub(crate) fn read(file: impl Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_regular(kind: FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let error = if kind.is_dir() { ErrorKind::IsADirectory } else { ErrorKind::InvalidInput };
    Err(io::Error::new(error, NotRegular(kind)))
}

/// A file that is read until its writer closes it, or that cannot be read at all.
#[derive(Debug)]
pub(crate) struct NotRegular(FileType);

impl Display for NotRegular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kind) = self;
        let what = match () {
            () if kind.is_dir() => "a directory",
            () if kind.is_fifo() => "a pipe (FIFO)",
            () if kind.is_socket() => "a socket",
            () if kind.is_char_device() || kind.is_block_device() => "a device",
            () => "something else",
        };
        write!(f, "it is {what}, not a regular file")
    }
}

impl std::error::Error for NotRegular {}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::{Path, PathBuf};

    use super::read_file;

    #[test]
    fn only_regular_files_are_read() {
        let folder = Folder::new("kinds");
        let file = folder.0.join("file");
        fs::write(&file, "text").unwrap();
        symlink(&file, folder.0.join("link")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, folder.0.join("fifo"), fifo, 0o600.into(), 0).unwrap();
        let _socket = UnixListener::bind(folder.0.join("socket")).unwrap();

        assert_eq!(read_file(&file, 4).unwrap(), b"text");
        assert_eq!(read_file(&folder.0.join("link"), 4).unwrap(), b"text");
        check(&file, 3, ErrorKind::FileTooLarge, "it has more than 3 bytes");
        check(&folder.0.join("fifo"), 4, ErrorKind::InvalidInput, "it is a pipe (FIFO), not a regular file");
        check(&folder.0.join("socket"), 4, ErrorKind::InvalidInput, "it is a socket, not a regular file");
        check(&folder.0, 4, ErrorKind::IsADirectory, "it is a directory, not a regular file");
        check(Path::new("/dev/zero"), 4, ErrorKind::InvalidInput, "it is a device, not a regular file");
    }

    #[track_caller]
    fn check(path: &Path, bytes_max: usize, kind: ErrorKind, said: &str) {
        let error = read_file(path, bytes_max).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, said), "{}", path.display());
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("rondel-regular-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
