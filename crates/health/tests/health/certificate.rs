//! A certificate authority for one test, and a server certificate that it signed.

use std::path::PathBuf;
use std::process::Command;

use config::probe::Tls;

use crate::place::Folder;
use crate::servers::{give_away, run, unprivileged_folder};

/// The name in the certificate.
pub(crate) const NAME: &str = "db.test";

pub(crate) struct Certificate {
    folder: Folder,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let folder = unprivileged_folder();
        let openssl = |arguments: &str| {
            run(Command::new("openssl").current_dir(folder.path()).args(arguments.split(' ')));
        };
        let request = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(&format!("{request} -x509 -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"));
        openssl(&format!(
            "{request} -subj /CN={NAME} -addext subjectAltName=DNS:{NAME} -keyout key.pem -out request.pem"
        ));
        openssl(
            "x509 -req -in request.pem -copy_extensions copy -CA ca.pem -CAkey ca.key -days 2 -out cert.pem",
        );
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            give_away(&folder.file(file));
        }
        Self { folder }
    }

    /// The certificate of the server.
    pub(crate) fn shown(&self) -> PathBuf {
        self.folder.file("cert.pem")
    }

    /// The private key of the server.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.file("key.pem")
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.file("ca.pem")
    }

    /// The TLS settings of a probe that trusts the authority.
    pub(crate) fn tls(&self) -> Tls {
        Tls { authority: self.authority(), name: NAME.into() }
    }
}
