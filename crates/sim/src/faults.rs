//! What goes wrong at the kernel. Each run has some of it switched on, so that there are quiet runs, too.

use crate::random::Random;

/// Something that the kernel may do, though it need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A receive takes less than there is.
    ShortReceive,
    /// A send takes less than fits.
    ShortSend,
    /// A splice moves less than it could.
    ShortSplice,
    /// A send is told that there is no room, though some is.
    SendAgain,
    /// A splice is told that nothing can move, though it can.
    SpliceAgain,
    /// A receive ends early, with EAGAIN or EINTR.
    ReceiveAgain,
    /// A receive is told that there is no buffer, though there is.
    NoBuffers,
    /// A multishot operation ends early, with its bytes or its client.
    EndsEarly,
    /// What is cancelled still completes before it ends.
    LateCancel,
    /// A completion is delayed.
    Delay,
    /// A wait ends for nothing.
    Spurious,
    /// There is no socket to connect with: EMFILE, ENFILE, ENOBUFS, ENOMEM.
    NoSocket,
    /// There is no port to connect from.
    NoPort,
    /// Accepting fails: EMFILE, ENFILE, ENOBUFS, ENOMEM.
    NoAccept,
    /// A client aborted before it was accepted.
    Aborted,
    /// There is no pipe.
    NoPipe,
    /// A pipe is smaller than it should be.
    SmallPipe,
    /// There is no descriptor to hold in reserve.
    NoReserve,
    /// A worker that could go on does not get the CPU.
    SlowWorker,
}

/// Which of it happens, and how often.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults([u32; Fault::SlowWorker as usize + 1]);

impl Faults {
    /// None, a few or all of it, each now and then or often.
    pub(crate) fn some(random: &mut Random) -> Self {
        let share = random.pick(&[0, 0, 100, 300, 1000]);
        let mut faults = Self::default();
        for per_mille in &mut faults.0 {
            if random.chance(share) {
                *per_mille = random.pick(&[5, 50, 50, 300]);
            }
        }
        faults
    }

    pub(crate) fn happens(&self, fault: Fault, random: &mut Random) -> bool {
        random.chance(self.0[fault as usize])
    }

    /// Whether this run has any of these.
    pub(crate) fn any_of(&self, faults: &[Fault]) -> bool {
        faults.iter().any(|&fault| self.0[fault as usize] > 0)
    }
}
