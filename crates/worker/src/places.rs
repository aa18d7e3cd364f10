//! Where sources count connections.

use table::Place;

/// Where sources count connections, by slot; none of them, and no memory, as long as no listener has limits.
#[derive(Debug, Default)]
pub(crate) struct Places(Vec<Option<Place>>);

impl Places {
    pub(crate) fn set(&mut self, slot: u32, place: Option<Place>) {
        let slot = slot as usize;
        if place.is_some() && self.0.len() <= slot {
            self.0.resize(slot + 1, None);
        }
        if let Some(known) = self.0.get_mut(slot) {
            *known = place;
        }
    }

    /// That of a connection that ends.
    pub(crate) fn take(&mut self, slot: u32) -> Option<Place> {
        self.0.get_mut(slot as usize).and_then(Option::take)
    }

    pub(crate) fn of(&self, slot: u32) -> Option<Place> {
        self.0.get(slot as usize).copied().flatten()
    }
}
