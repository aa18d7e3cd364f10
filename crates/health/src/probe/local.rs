//! The local files and variables of a probe: a password, and certificates.

use std::fmt;
use std::path::PathBuf;

use super::files::{self, Files};
use super::tls;
use crate::answer::ProbeError;
use config::probe::{Kind, Secret, Tls};

/// A local input that a probe reads each time, and whether this process can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Its use: `password` or `certificates`.
    pub what: &'static str,
    /// Where it is.
    pub place: Place,
    /// Why it cannot be used; none if it can.
    pub error: Option<String>,
    /// The certificates in it, DER.
    pub certificates: Vec<Vec<u8>>,
}

/// Where a local input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// In an environment variable, which another process may have with another value.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => write!(f, "${name}"),
        }
    }
}

/// The local inputs of probes of this kind, read now as a probe does.
pub async fn local(kind: &Kind) -> Vec<Local> {
    let (login, tls) = files::needs(kind);
    let mut local = Vec::new();
    if let Some(login) = login {
        local.extend(password(&login.password).await);
    }
    if let Some(tls) = tls {
        local.push(certificates(tls).await);
    }
    local
}

async fn password(secret: &Secret) -> Option<Local> {
    let place = match secret {
        Secret::None => return None,
        Secret::File(path) => Place::File(path.clone()),
        Secret::Environment(name) => Place::Variable(name.clone()),
    };
    let error = why(files::password(secret).await);
    Some(Local { what: "password", place, error, certificates: Vec::new() })
}

async fn certificates(tls: &Tls) -> Local {
    let read = files::authority(tls).await;
    let certificates = read.as_deref().map(tls::certificates).unwrap_or_default();
    let used = read
        .and_then(|authority| tls::connector(tls, &Files { authority: Some(authority), ..Files::default() }));
    let place = Place::File(tls.authority.clone());
    Local { what: "certificates", place, error: why(used), certificates }
}

fn why<T>(read: Result<T, ProbeError>) -> Option<String> {
    read.err().map(|error| match error {
        ProbeError::Local(text) => text.to_string(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use config::probe::{Kind, Login, Postgres, Secret, Tls};

    use super::{Place, local};

    #[tokio::test]
    async fn a_password_is_the_first_line_of_its_file() {
        for content in ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\nand a second line\n"] {
            check(content.as_bytes(), None).await;
        }
    }

    #[tokio::test]
    async fn an_unusable_password_is_reported() {
        check(b"", Some("its first line is empty")).await;
        check(b"\n", Some("its first line is empty")).await;
        check(b"\ns3cret\n", Some("its first line is empty")).await;
        check(b"s3cret\xff\n", Some("utf-8")).await;
        let missing = PathBuf::from("/nowhere/password");
        assert!(error_of(Secret::File(missing)).await.unwrap().contains("No such file"));
        // No environment has a variable of this name.
        let unset = Secret::Environment("RONDEL_TEST_NO_SUCH_PASSWORD".to_owned());
        assert!(
            error_of(unset)
                .await
                .unwrap()
                .contains("$RONDEL_TEST_NO_SUCH_PASSWORD: environment variable not found")
        );
    }

    async fn check(content: &[u8], expected: Option<&str>) {
        let file =
            std::env::temp_dir().join(format!("rondel-password-{}-{}", std::process::id(), content.len()));
        fs::write(&file, content).unwrap();
        let error = error_of(Secret::File(file.clone())).await;
        fs::remove_file(file).unwrap();
        match (&error, expected) {
            (None, None) => {}
            (Some(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
            _ => panic!("{content:?}: {error:?} is not {expected:?}"),
        }
    }

    async fn error_of(password: Secret) -> Option<String> {
        let found = local(&postgres(password, None)).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].what, "password");
        found.into_iter().next().unwrap().error
    }

    #[tokio::test]
    async fn certificates_are_read_too() {
        let authority = PathBuf::from("/nowhere/ca.pem");
        let tls = Tls { authority: authority.clone(), name: "db".to_owned() };
        let found = local(&postgres(Secret::None, Some(tls))).await;
        assert_eq!(
            (found.len(), found[0].what, &found[0].place),
            (1, "certificates", &Place::File(authority))
        );
        assert!(found[0].error.is_some());
        assert_eq!(local(&Kind::Tcp).await, []);
    }

    fn postgres(password: Secret, tls: Option<Tls>) -> Kind {
        let login = Login { user: "rondel".to_owned(), password };
        Kind::Postgres(Postgres { login, database: "postgres".to_owned(), tls })
    }
}
