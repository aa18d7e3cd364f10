//! The slots of a worker's connections. A slot is reused, its generation never is.

use driver::Token;

use crate::state::Connection;
use crate::token::Kind;

/// The slots of a worker; how many was decided at its start.
pub(crate) struct Slots {
    all: Vec<Slot>,
    /// Slots that were used and are free, the last one freed first.
    free: Vec<u32>,
    active: u32,
    all_max: u32,
}

struct Slot {
    generation: u32,
    /// Operations that the kernel has and whose last completion has not come.
    ///
    /// Invariant: 0 when the slot is freed.
    in_flight: u8,
    tenant: Option<Connection>,
}

impl Slots {
    pub(crate) fn new(slots_max: u32) -> Self {
        // Untouched capacity is address space, not memory.
        Self { all: Vec::with_capacity(slots_max as usize), free: Vec::new(), active: 0, all_max: slots_max }
    }

    pub(crate) fn insert(&mut self, connection: Connection) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            let fresh = u32::try_from(self.all.len()).expect("slots are numbered by u32");
            assert!(fresh < self.all_max, "more connections were admitted than there are slots");
            self.all.push(Slot { generation: 0, in_flight: 0, tenant: None });
            fresh
        });
        let it = &mut self.all[slot as usize];
        assert!(it.tenant.is_none());
        assert!(it.in_flight == 0);
        it.tenant = Some(connection);
        self.active += 1;
        slot
    }

    /// Frees a slot. What comes for its old tenant from now on is known by its generation.
    pub(crate) fn remove(&mut self, slot: u32) -> Connection {
        let it = &mut self.all[slot as usize];
        assert!(it.in_flight == 0, "the kernel may still write for this connection");
        it.generation = (it.generation + 1) & Token::GENERATION_MASK;
        self.free.push(slot);
        self.active -= 1;
        it.tenant.take().expect("the slot has a tenant")
    }

    /// The connection in a slot that has one.
    pub(crate) fn get(&mut self, slot: u32) -> &mut Connection {
        self.all[slot as usize].tenant.as_mut().expect("the slot has a tenant")
    }

    /// The connection in a slot, if there is one.
    pub(crate) fn peek(&self, slot: u32) -> Option<&Connection> {
        self.all.get(slot as usize)?.tenant.as_ref()
    }

    /// How many slots were ever used; those beyond have no tenant.
    pub(crate) fn used(&self) -> u32 {
        u32::try_from(self.all.len()).expect("slots are numbered by u32")
    }

    /// Whether this generation still lives in the slot.
    pub(crate) fn lives(&self, slot: u32, generation: u32) -> bool {
        self.all.get(slot as usize).is_some_and(|it| it.generation == generation && it.tenant.is_some())
    }

    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.all[slot as usize].generation
    }

    /// Notes that an operation begins, and gives it its token.
    pub(crate) fn begin(&mut self, slot: u32, kind: Kind) -> Token {
        let it = &mut self.all[slot as usize];
        assert!(it.in_flight < OPERATIONS_MAX);
        it.in_flight += 1;
        kind.token(it.generation, slot)
    }

    /// Notes that the last completion of an operation came.
    pub(crate) fn end(&mut self, slot: u32) {
        let it = &mut self.all[slot as usize];
        assert!(it.in_flight > 0);
        it.in_flight -= 1;
    }

    pub(crate) fn in_flight(&self, slot: u32) -> u8 {
        self.all[slot as usize].in_flight
    }

    /// How many connections there are.
    pub(crate) fn active(&self) -> u32 {
        self.active
    }

    /// Each connection, with its slot, its generation and how many operations are in flight for it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32, u8, &Connection)> {
        (0..).zip(&self.all).filter_map(|(slot, it)| {
            it.tenant.as_ref().map(|tenant| (slot, it.generation, it.in_flight, tenant))
        })
    }

    /// The slots that have a tenant.
    pub(crate) fn live(&self) -> Vec<u32> {
        let numbered = (0..).zip(&self.all);
        numbered.filter(|(_, it)| it.tenant.is_some()).map(|(slot, _)| slot).collect()
    }
}

/// Per half a receive and a wait, their cancels, and the poll for a hangup of its input; two more to cancel all.
const OPERATIONS_MAX: u8 = 16;

#[cfg(test)]
mod tests {
    use super::Slot;

    /// The promise is 1 KiB of user memory per idle connection, all told; most of it is this. 8 bytes lead to what a
    /// PROXY header said.
    #[test]
    fn a_slot_is_small() {
        assert!(size_of::<Slot>() <= 200, "{} bytes", size_of::<Slot>());
    }
}
