//! What a seed says about the network, the descriptors and the manners of peers.

use crate::agenda::{MICROSECOND, MILLISECOND};
use crate::peers::{Manners, PARTS_USUAL, REST_MAX};
use crate::random::Random;
use crate::world::Network;

/// Few or enough; but a waiting client can be rejected with what is left when every pipe is open.
pub(crate) fn files_max(random: &mut Random, workers: usize, pipes_max: u32) -> usize {
    let pipes = 2 * workers * usize::try_from(pipes_max).expect("a small number");
    pipes + 2 * workers + random.pick(&[2, 6, 1000, 1000])
}

pub(crate) fn network(random: &mut Random, bytes_max: u32) -> Network {
    let room =
        random.pick(&[1, 1000, 64 * 1024, 256 * 1024, 1024 * 1024]).max(u64::from(bytes_max / PARTS_USUAL));
    Network {
        latency_max: random.pick(&[0, 0, 100 * MICROSECOND, 5 * MILLISECOND]),
        room,
        window: random.pick(&[room, room, room.div_ceil(4)]),
        pipe_capacity: random.pick(&[64 * 1024, 256 * 1024]),
    }
}

pub(crate) fn manners(random: &mut Random) -> Manners {
    let answering = random.pick(&[None, Some(0), Some(1), Some(1)]);
    let bytes_max = random.pick(&[10, 1000, 30_000, 200_000, 1_000_000]);
    Manners {
        bytes_max,
        part_max: random.pick(&[10, 1000, 40_000, 300_000]),
        rest_max: random.pick(&[0, 10 * MICROSECOND, MILLISECOND, REST_MAX]),
        trouble: random.pick(&[0, 0, 100, 300, 1000]),
        slow: random.pick(&[0, 0, 0, 300]),
        answering,
        // A peer that waits for the other's first byte can wait for its FIN, but not the other way round.
        pausing: random.pick(&[None, Some(answering.map_or(0, |answering| 1 - answering))]),
        by_hand: false,
    }
}
