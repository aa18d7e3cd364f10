//! What decides about clients before a backend is picked: access lists, limits, and the counts of sources.

use std::sync::Arc;

use config::Config;

use crate::access::AccessList;
use crate::access_overrides::AccessLayers;
use crate::limits::Limits;
use crate::listener::Listener;
use crate::sources::Sources;
use crate::state::Inputs;
use crate::table::Table;

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

impl Guards {
    /// Those that `config` and operators ask for. What outlives a swap is taken from `previous`, by name.
    pub(crate) fn build(
        config: &Config,
        workers: usize,
        inputs: Option<&Inputs>,
        previous: Option<&Table>,
    ) -> Self {
        let nothing = Arc::new(AccessLayers::default());
        let layers = inputs.map_or(&nothing, |inputs| &inputs.access);
        let list = |settings: Option<&config::AccessList>| {
            let name = settings.map(|settings| settings.name.as_str());
            let before = previous.and_then(|table| table.access_list(name));
            Arc::new(AccessList::build(settings, layers, workers, before.map(Arc::as_ref)))
        };
        let mut access: Vec<_> = config.access.iter().map(|settings| list(Some(settings))).collect();
        let unlisted = layers.says_anything().then(|| list(None));
        access.extend(unlisted.clone());
        let sources = previous.map_or_else(Arc::default, |table| Arc::clone(&table.sources));
        let limits = config.limits.iter().map(|settings| {
            let before = previous.and_then(|table| table.limits.iter().find(|it| it.name == settings.name));
            Arc::new(Limits::build(settings, &sources, workers, before.map(Arc::as_ref)))
        });
        Self { limits: limits.collect(), access, sources, unlisted }
    }

    /// The listener with the guards that `settings` name.
    pub(crate) fn guard(&self, settings: &config::Listener, listener: Listener) -> Listener {
        let list = settings.access.map_or(self.unlisted.as_ref(), |index| Some(&self.access[index.0]));
        let limits = settings.limits.map(|index| Arc::clone(&self.limits[index.0]));
        Listener { access: list.map(Arc::clone), limits, ..listener }
    }
}
