//! What a probe reads on this host before it asks: a password, and certificates.

use std::fmt;
use std::path::PathBuf;

use super::{secret, tls};
use crate::answer::ProbeError;
use config::probe::{Kind, Login, Secret, Tls};

/// Something that a probe reads on this host each time, and whether this process can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// What it is for: `password` or `certificates`.
    pub what: &'static str,
    /// Where it is.
    pub place: Place,
    /// Why it is of no use; none if it is.
    pub error: Option<String>,
}

/// Where something is that a probe reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment, which another process may have other than this one.
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

/// What probes of this kind read on this host. It is read now, as a probe does it.
pub fn local(kind: &Kind) -> Vec<Local> {
    let (login, tls) = match kind {
        Kind::Tcp => (None, None),
        Kind::Http(http) => (None, http.tls.as_ref()),
        Kind::Exchange(exchange) => (None, exchange.tls.as_ref()),
        Kind::Postgres(postgres) => (Some(&postgres.login), postgres.tls.as_ref()),
        Kind::Mysql(mysql) => (Some(&mysql.login), mysql.tls.as_ref()),
        Kind::Redis(redis) => (redis.login.as_ref(), redis.tls.as_ref()),
    };
    login.and_then(password).into_iter().chain(tls.map(certificates)).collect()
}

fn password(login: &Login) -> Option<Local> {
    let place = match &login.password {
        Secret::None => return None,
        Secret::File(path) => Place::File(path.clone()),
        Secret::Environment(name) => Place::Variable(name.clone()),
    };
    Some(Local { what: "password", place, error: why(secret::read(&login.password)) })
}

fn certificates(tls: &Tls) -> Local {
    Local { what: "certificates", place: Place::File(tls.authority.clone()), error: why(tls::connector(tls)) }
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

    #[test]
    fn a_password_is_the_first_line_whatever_ends_it() {
        for content in ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\nand a second line\n"] {
            check(content.as_bytes(), None);
        }
    }

    #[test]
    fn a_password_that_cannot_be_used_is_said_so() {
        check(b"", Some("its first line is empty"));
        check(b"\n", Some("its first line is empty"));
        check(b"\ns3cret\n", Some("its first line is empty"));
        check(b"s3cret\xff\n", Some("UTF-8"));
        let missing = PathBuf::from("/nowhere/password");
        assert!(error_of(Secret::File(missing)).unwrap().contains("No such file"));
        // A variable of a name like this is nobody's.
        let unset = Secret::Environment("RONDEL_TEST_NO_SUCH_PASSWORD".to_owned());
        assert!(
            error_of(unset)
                .unwrap()
                .contains("$RONDEL_TEST_NO_SUCH_PASSWORD: environment variable not found")
        );
    }

    #[track_caller]
    fn check(content: &[u8], expected: Option<&str>) {
        let file =
            std::env::temp_dir().join(format!("rondel-password-{}-{}", std::process::id(), content.len()));
        fs::write(&file, content).unwrap();
        let error = error_of(Secret::File(file.clone()));
        fs::remove_file(file).unwrap();
        match (&error, expected) {
            (None, None) => {}
            (Some(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
            _ => panic!("{content:?}: {error:?} is not {expected:?}"),
        }
    }

    fn error_of(password: Secret) -> Option<String> {
        let found = local(&postgres(password, None));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].what, "password");
        found.into_iter().next().unwrap().error
    }

    #[test]
    fn certificates_are_read_too() {
        let authority = PathBuf::from("/nowhere/ca.pem");
        let tls = Tls { authority: authority.clone(), name: "db".to_owned() };
        let found = local(&postgres(Secret::None, Some(tls)));
        assert_eq!(
            (found.len(), found[0].what, &found[0].place),
            (1, "certificates", &Place::File(authority))
        );
        assert!(found[0].error.is_some());
        assert_eq!(local(&Kind::Tcp), []);
    }

    fn postgres(password: Secret, tls: Option<Tls>) -> Kind {
        let login = Login { user: "rondel".to_owned(), password };
        Kind::Postgres(Postgres { login, database: "postgres".to_owned(), tls })
    }
}
