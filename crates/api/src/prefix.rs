//! Prefixes of addresses in JSON: `"203.0.113.0/24"`, and `"203.0.113.7"` for one address.

use config::Prefix;
use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

pub(crate) fn serialize<S: Serializer>(prefix: &Prefix, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(prefix)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Prefix, D::Error> {
    let text = String::deserialize(deserializer)?;
    Prefix::parse(&text).map_err(|(wrong, help)| D::Error::custom(format!("{wrong}: {help}")))
}

/// The same for a field that may be `null`.
pub(crate) mod option {
    use super::{Deserializer, Prefix, Serializer};
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Wrapped(#[serde(with = "super")] Prefix);

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(
        prefix: &Option<Prefix>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match prefix {
            Some(prefix) => super::serialize(prefix, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Prefix>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|Wrapped(prefix)| prefix))
    }
}
