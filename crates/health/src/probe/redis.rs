//! A probe of Redis or Valkey, which queries the role.

mod ask_first;
mod errors;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisConnectionInfo, Value, cmd};

use self::ask_first::AskFirst;
use super::files::Files;
use super::stream::wire;
use super::talk::{BackgroundIo, Talk};
use crate::answer::{Answer, ProbeError};
use crate::answer::{Claim, History, Progress, Role, Text};
use crate::target::Target;
use config::probe::{Login, Redis};

pub(super) async fn ask(target: &Target, redis: &Redis, files: &Files) -> Result<Talk, ProbeError> {
    let login = login(redis.login.as_ref(), files.password.as_deref());
    let wire = AskFirst::new(wire(target, redis.tls.as_ref(), files).await?);
    // The probe has its own deadline.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let answer = |role: Result<Role, ProbeError>| role.map(|role| Answer { role: Some(role) });
    match MultiplexedConnection::new_with_config(&login, wire, config).await {
        Ok((mut connection, background)) => {
            let mut background = BackgroundIo::new(background);
            let role = background.beside(role(&mut connection)).await;
            let goodbye = Box::pin(async move {
                let _ = background.beside(cmd("QUIT").query_async::<()>(&mut connection)).await;
            });
            Ok(Talk { answer: answer(role), goodbye })
        }
        Err(error) => Ok(Talk { answer: answer(errors::role(&error)), goodbye: Box::pin(async {}) }),
    }
}

fn login(login: Option<&Login>, password: Option<&str>) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(login) = login {
        if !login.user.is_empty() {
            info = info.set_username(&login.user);
        }
        if let Some(password) = password {
            info = info.set_password(password);
        }
    }
    info
}

async fn role(connection: &mut MultiplexedConnection) -> Result<Role, ProbeError> {
    let said: Vec<Value> = match cmd("ROLE").query_async(connection).await {
        Ok(said) => said,
        Err(error) => return errors::role(&error),
    };
    match role_of(&said) {
        Some(Role::Primary(claim)) => {
            // An account without the privilege sees no history; the role is still valid.
            let history = info(connection).await.and_then(|info| history(&info));
            Ok(Role::Primary(Claim { history, ..claim }))
        }
        Some(Role::Replica(Progress { position: None, .. })) => {
            // It has no link to its primary. If it had one before, it has data up to a position.
            let position = info(connection).await.and_then(|info| replicated(&info));
            Ok(position.map_or(Role::Neither, |position| {
                Role::Replica(Progress { position: Some(position), lag: None })
            }))
        }
        Some(role) => Ok(role),
        None => Err(ProbeError::UnexpectedAnswer(Text::new("ROLE is none of master, slave, sentinel"))),
    }
}

/// The replication section of `INFO`; none if the account may not read it.
async fn info(connection: &mut MultiplexedConnection) -> Option<String> {
    cmd("INFO").arg("replication").query_async(connection).await.ok()
}

/// Parses the answer to `ROLE`, <https://redis.io/docs/latest/commands/role/>.
fn role_of(said: &[Value]) -> Option<Role> {
    match word(said.first()?)?.as_str() {
        "master" => Some(Role::Primary(Claim { history: None, position: offset(said.get(1)?) })),
        // An offset of -1: it has no link to its primary.
        "slave" => Some(Role::Replica(Progress { position: offset(said.get(4)?), lag: None })),
        "sentinel" => Some(Role::Neither),
        _ => None,
    }
}

fn word(value: &Value) -> Option<String> {
    String::from_redis_value_ref(value).ok()
}

fn offset(value: &Value) -> Option<u64> {
    i64::from_redis_value_ref(value).ok().and_then(|offset| u64::try_from(offset).ok())
}

/// The position of a replica without a link, by `INFO replication`; none if it never had its primary's data. In
/// that case it reports 1, which is no position of a history: a history begins with a `PING` or a `SELECT`.
fn replicated(info: &str) -> Option<u64> {
    field(info, "slave_repl_offset")?.parse().ok().filter(|position| *position > 1)
}

/// A field of `INFO`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

/// Parses `INFO replication`.
fn history(info: &str) -> Option<History> {
    let field = |name| field(info, name);
    Some(History::Replication {
        id: field("master_replid")?.to_owned(),
        // All zeros means none.
        continued: field("master_replid2").filter(|id| id.contains(|digit| digit != '0')).map(str::to_owned),
        offset: field("master_repl_offset")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::{history, replicated, role_of};
    use crate::answer::{Claim, History, Progress, Role};

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn roles_are_parsed() {
        let replica =
            |state, offset| vec![bulk("slave"), bulk("10.0.0.1"), Value::Int(6379), bulk(state), offset];
        let followed = |position| Some(Role::Replica(Progress { position: Some(position), lag: None }));
        for (said, role) in [
            (
                vec![bulk("master"), Value::Int(42), Value::Array(vec![])],
                Some(Role::Primary(Claim { history: None, position: Some(42) })),
            ),
            (replica("connected", Value::Int(7)), followed(7)),
            (replica("connecting", Value::Int(7)), followed(7)),
            (replica("handshake", Value::Int(-1)), Some(Role::Replica(Progress::default()))),
            (vec![bulk("sentinel"), Value::Array(vec![])], Some(Role::Neither)),
            (vec![bulk("king"), Value::Int(1)], None),
            (vec![bulk("slave")], None),
            (vec![Value::Nil], None),
            (vec![], None),
        ] {
            assert_eq!(role_of(&said), role, "{said:?}");
        }
    }

    #[test]
    fn the_position_of_a_replica_without_a_link_is_parsed() {
        let info = |offset| {
            format!(
                "role:slave\r\nmaster_link_status:down\r\nslave_repl_offset:{offset}\r\nslave_priority:100\r\n"
            )
        };
        assert_eq!(replicated(&info("4711")), Some(4711));
        assert_eq!(replicated(&info("1")), None);
        assert_eq!(replicated("role:slave\r\n"), None);
    }

    #[test]
    fn histories_are_parsed() {
        let (one, two, none) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let info = |continued: &str| {
            format!(
                "# Replication\r\nrole:master\r\nmaster_replid:{one}\r\nmaster_replid2:{continued}\r\nmaster_repl_offset:99\r\n"
            )
        };
        let known = |continued| Some(History::Replication { id: one.clone(), continued, offset: 99 });
        assert_eq!(history(&info(&none)), known(None));
        assert_eq!(history(&info(&two)), known(Some(two.clone())));
        assert_eq!(history("role:master\r\n"), None);
    }
}
