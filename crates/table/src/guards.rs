//! What decides about clients before a backend is picked: access lists, limits, and the counts of sources.

use std::sync::Arc;

use config::Config;

use crate::access::AccessList;
use crate::access_overrides::AccessLayers;
use crate::limits::Limits;
use crate::sources::Sources;
use crate::state::Inputs;

/// The guards of a table.
pub(crate) struct Guards {
    /// In the order of the config, and behind them the one of listeners that name none, if there is one.
    pub(crate) access: Vec<Arc<AccessList>>,
    /// In the order of the config.
    pub(crate) limits: Vec<Arc<Limits>>,
    pub(crate) sources: Arc<Sources>,
    /// For listeners that name no list; none if operators said nothing.
    unlisted: Option<Arc<AccessList>>,
}

/// What the table before has of them.
#[derive(Clone, Copy)]
pub(crate) struct Before<'a> {
    pub(crate) access: &'a [Arc<AccessList>],
    pub(crate) limits: &'a [Arc<Limits>],
    pub(crate) sources: &'a Arc<Sources>,
}

impl Guards {
    /// Those that `config` and operators ask for. What outlives a swap is taken from `previous`, by name.
    pub(crate) fn build(
        config: &Config,
        workers: usize,
        inputs: Option<&Inputs>,
        previous: Option<Before<'_>>,
    ) -> Self {
        let nothing = Arc::new(AccessLayers::default());
        let layers = inputs.map_or(&nothing, |inputs| &inputs.access);
        let list = |settings: Option<&config::AccessList>| {
            let name = settings.map(|settings| settings.name.as_str());
            let before = previous.and_then(|before| list_of(before.access, name));
            Arc::new(AccessList::build(settings, layers, workers, before.map(Arc::as_ref)))
        };
        let mut access: Vec<_> = config.access.iter().map(|settings| list(Some(settings))).collect();
        let unlisted = layers.says_anything().then(|| list(None));
        access.extend(unlisted.clone());
        let sources = previous.map_or_else(Arc::default, |before| Arc::clone(before.sources));
        let limits = config.limits.iter().map(|settings| {
            let before = previous.and_then(|before| before.limits.iter().find(|it| it.name == settings.name));
            Arc::new(Limits::build(settings, &sources, workers, before.map(Arc::as_ref)))
        });
        Self { limits: limits.collect(), access, sources, unlisted }
    }

    /// The access list and the limits of the listener that `settings` ask for.
    pub(crate) fn of(&self, settings: &config::Listener) -> (Option<Arc<AccessList>>, Option<Arc<Limits>>) {
        let list = settings.access.map_or(self.unlisted.as_ref(), |index| Some(&self.access[index.0]));
        let limits = settings.limits.map(|index| Arc::clone(&self.limits[index.0]));
        (list.map(Arc::clone), limits)
    }
}

/// The list of this name; without one, that of listeners that name none.
pub(crate) fn list_of<'a>(lists: &'a [Arc<AccessList>], name: Option<&str>) -> Option<&'a Arc<AccessList>> {
    lists.iter().find(|list| list.name.as_deref() == name)
}
