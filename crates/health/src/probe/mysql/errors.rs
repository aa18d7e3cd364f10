//! The errors of MySQL and MariaDB by their numbers.

use super::super::error_class::ErrorClass;
use super::super::error_class::ErrorClass::{Account, Down, Full, NotPrimary};

/// The class of the error `code`.
pub(super) fn class(code: u16) -> Option<ErrorClass> {
    ERRORS.iter().find(|(listed, ..)| *listed == code).map(|(_, class, _)| *class)
}

/// Errors by number, from <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html> and
/// <https://mariadb.com/docs/server/reference/error-codes>. Numbers that only one of the two has are marked.
const ERRORS: &[(u16, ErrorClass, &str)] = &[
    (1040, Full, "ER_CON_COUNT_ERROR"),
    // The server cannot resolve the address of this host.
    (1042, Account, "ER_BAD_HOST_ERROR"),
    (1044, Account, "ER_DBACCESS_DENIED_ERROR"),
    (1045, Account, "ER_ACCESS_DENIED_ERROR"),
    // Galera: the node has no quorum, or is not synchronised yet.
    (1047, Down, "ER_UNKNOWN_COM_ERROR"),
    (1053, Down, "ER_SERVER_SHUTDOWN"),
    // This host is blocked until `FLUSH HOSTS`.
    (1129, Down, "ER_HOST_IS_BLOCKED"),
    (1130, Account, "ER_HOST_NOT_PRIVILEGED"),
    (1135, Full, "ER_CANT_CREATE_THREAD"),
    (1142, Account, "ER_TABLEACCESS_DENIED_ERROR"),
    (1143, Account, "ER_COLUMNACCESS_DENIED_ERROR"),
    (1152, Down, "ER_ABORTING_CONNECTION"),
    (1158, Down, "ER_NET_READ_ERROR"),
    (1159, Down, "ER_NET_READ_INTERRUPTED"),
    (1160, Down, "ER_NET_ERROR_ON_WRITE"),
    (1161, Down, "ER_NET_WRITE_INTERRUPTED"),
    (1184, Down, "ER_NEW_ABORTING_CONNECTION"),
    (1203, Full, "ER_TOO_MANY_USER_CONNECTIONS"),
    (1226, Full, "ER_USER_LIMIT_REACHED"),
    (1227, Account, "ER_SPECIFIC_ACCESS_DENIED_ERROR"),
    (1251, Account, "ER_NOT_SUPPORTED_AUTH_MODE"),
    (1275, Account, "ER_SERVER_IS_IN_SECURE_AUTH_MODE"),
    (1290, NotPrimary, "ER_OPTION_PREVENTS_STATEMENT"),
    (1370, Account, "ER_PROCACCESS_DENIED_ERROR"),
    (1524, Account, "ER_PLUGIN_IS_NOT_LOADED"),
    (1698, Account, "ER_ACCESS_DENIED_NO_PASSWORD_ERROR"),
    (1792, NotPrimary, "ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION"),
    (1820, Account, "ER_MUST_CHANGE_PASSWORD"),
    (1836, NotPrimary, "ER_READ_ONLY_MODE"),
    (1862, Account, "ER_MUST_CHANGE_PASSWORD_LOGIN"),
    (1927, Down, "ER_CONNECTION_KILLED"), // MariaDB
    (3032, Down, "ER_SERVER_OFFLINE_MODE"),
    (3118, Account, "ER_ACCOUNT_HAS_BEEN_LOCKED"), // MySQL
    (3159, Account, "ER_SECURE_TRANSPORT_REQUIRED"),
    (3168, Down, "ER_SERVER_ISNT_AVAILABLE"), // MySQL
    (3879, Account, "ER_DB_ACCESS_DENIED"),   // MySQL
    (3955, Account, "ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK"), // MySQL
    // Too many wrong passwords: `max_password_errors`.
    (4150, Account, "ER_USER_IS_BLOCKED"),         // MariaDB
    (4151, Account, "ER_ACCOUNT_HAS_BEEN_LOCKED"), // MariaDB
];

#[cfg(test)]
mod tests {
    use super::{ERRORS, ErrorClass, class};

    #[test]
    fn errors_of_the_account_do_not_count_against_the_server() {
        for code in [
            1044, 1045, 1130, 1142, 1143, 1227, 1251, 1275, 1370, 1524, 1698, 1820, 1862, 3118, 3159, 3879,
            3955, 4150, 4151,
        ] {
            assert_eq!(class(code), Some(ErrorClass::Account), "{code}");
        }
    }

    #[test]
    fn other_errors_have_their_class() {
        for (said, codes) in [
            (Some(ErrorClass::Full), &[1040, 1135, 1203, 1226][..]),
            (
                Some(ErrorClass::Down),
                &[1047, 1053, 1129, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3032, 3168],
            ),
            (Some(ErrorClass::NotPrimary), &[1290, 1792, 1836]),
            // Unknown error, parse error, unknown variable, bad handshake.
            (None, &[1105, 1064, 1193, 1043, 0, u16::MAX]),
        ] {
            for code in codes {
                assert_eq!(class(*code), said, "{code}");
            }
        }
    }

    #[test]
    fn each_error_has_one_class_and_the_table_is_sorted() {
        assert!(ERRORS.is_sorted_by(|(one, ..), (next, ..)| one < next));
        assert!(ERRORS.iter().all(|(.., name)| name.starts_with("ER_")));
    }
}
