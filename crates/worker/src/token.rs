//! What the worker's completions answer: a closed set.

use connection::Direction;
use driver::Token;

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
    /// Waiting for what a client shows itself by.
    Opening,
    /// Receiving from the input of a half.
    Receive(Direction),
    /// Waiting until a half can go on.
    Ready(Direction),
    /// Waiting until the input of a half hangs up, while nothing is received from it.
    HangupPoll(Direction),
    /// Ending another operation of the connection.
    Cancel,
}

impl Kind {
    pub(crate) fn token(self, generation: u32, slot: u32) -> Token {
        Token::new(self.number(), generation, slot)
    }

    pub(crate) fn of(token: Token) -> Self {
        Self::ALL[usize::from(token.kind())]
    }

    /// Where it stands in `ALL`; a `match`, because every operation asks.
    fn number(self) -> u8 {
        match self {
            Self::Accept => 0,
            Self::Listen => 1,
            Self::CancelAccept => 2,
            Self::Connect => 3,
            Self::Receive(direction) => 4 + direction as u8,
            Self::Ready(direction) => 6 + direction as u8,
            Self::HangupPoll(direction) => 8 + direction as u8,
            Self::Cancel => 10,
            Self::Opening => 11,
        }
    }

    const ALL: [Self; 12] = [
        Self::Accept,
        Self::Listen,
        Self::CancelAccept,
        Self::Connect,
        Self::Receive(Direction::ToBackend),
        Self::Receive(Direction::ToClient),
        Self::Ready(Direction::ToBackend),
        Self::Ready(Direction::ToClient),
        Self::HangupPoll(Direction::ToBackend),
        Self::HangupPoll(Direction::ToClient),
        Self::Cancel,
        Self::Opening,
    ];
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_token_tells_its_kind() {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.number()), number, "{kind:?}");
            assert_eq!(Kind::of(kind.token(5, 7)), kind);
        }
    }
}
