//! What the worker's completions answer: a closed set.

use connection::Direction;
use uring::Token;

/// What an operation was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Accepting; the token's slot is an acceptor's.
    Accept,
    /// Waiting for a client to come; the token's slot is an acceptor's.
    Listen,
    /// Ending one of those; the token's slot is an acceptor's.
    CancelAccept,
    /// Connecting to a backend.
    Connect,
    /// Receiving from the input of a half.
    Receive(Direction),
    /// Sending to the output of a half.
    Send(Direction),
    /// Waiting until a splicing half can go on.
    Ready(Direction),
    /// Ending another operation of the connection.
    Cancel,
}

impl Kind {
    pub(crate) fn token(self, generation: u32, slot: u32) -> Token {
        let number = Self::ALL.iter().position(|kind| *kind == self).expect("all kinds are listed");
        Token::new(u8::try_from(number).expect("there are few kinds"), generation, slot)
    }

    pub(crate) fn of(token: Token) -> Self {
        Self::ALL[usize::from(token.kind())]
    }

    const ALL: [Self; 11] = [
        Self::Accept,
        Self::Listen,
        Self::CancelAccept,
        Self::Connect,
        Self::Receive(Direction::ToBackend),
        Self::Receive(Direction::ToClient),
        Self::Send(Direction::ToBackend),
        Self::Send(Direction::ToClient),
        Self::Ready(Direction::ToBackend),
        Self::Ready(Direction::ToClient),
        Self::Cancel,
    ];
}
