//! What goes back, and in what manner.

use std::time::Duration;

use hyper::body::Bytes;
use serde_json::Value;

use super::json_rpc::{Call, Calls, LIMIT_EXCEEDED};

/// Bytes of a piece of a huge answer.
const HUGE_PIECE: usize = 1 << 16;

/// How a connection fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// It stays open and nothing more comes.
    Hang,
    /// RST.
    Reset,
    /// FIN.
    End,
}

/// In what manner the body goes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    Whole,
    Drip { bytes: usize, every: Duration },
    Cut { after: usize, by: Ending },
}

/// An answer on its way back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    body: Vec<Bytes>,
    manner: Manner,
}

/// The next thing to happen on the way back.
#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Bytes),
    Pause(Duration),
    Broken(Ending),
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, retry_after: None, body: vec![body.into()], manner: Manner::Whole }
    }

    /// What an endpoint's gateway might say when the endpoint is unwell.
    pub(super) fn page(status: u16) -> Self {
        Self::new(status, "<html><body>the upstream has gone away</body></html>")
    }

    pub(super) fn rate_limit(calls: &Calls, retry_after: Duration) -> Self {
        let limited = |call: &Call| call.error(LIMIT_EXCEEDED, "limit exceeded");
        let body = calls.body(calls.list.iter().map(limited).collect());
        Self { retry_after: Some(retry_after), ..Self::new(429, body) }
    }

    /// A result of so many bytes to the first of the calls.
    pub(super) fn huge(calls: &Calls, bytes: u64) -> Self {
        let mark = "@";
        let answered = calls.list.iter().take(1).map(|call| call.result(Value::String(mark.to_owned()))).collect();
        let whole = String::from_utf8_lossy(&calls.body(answered)).into_owned();
        let (head, tail) = whole.split_once(mark).unwrap_or((&whole, ""));
        let filler = Bytes::from(vec![b'0'; HUGE_PIECE]);
        let mut body = vec![Bytes::copy_from_slice(head.as_bytes())];
        let (pieces, rest) = (bytes / HUGE_PIECE as u64, bytes % HUGE_PIECE as u64);
        body.extend((0..pieces).map(|_| filler.clone()));
        body.push(filler.slice(..usize::try_from(rest).unwrap_or_default()));
        body.push(Bytes::copy_from_slice(tail.as_bytes()));
        Self { body, ..Self::new(200, "") }
    }

    pub(super) fn in_manner(self, manner: Option<Manner>) -> Self {
        Self { manner: manner.unwrap_or(self.manner), ..self }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.manner == Manner::Whole
    }

    /// Bytes of the whole body.
    pub(super) fn len(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }

    /// The whole body, as a WebSocket takes it.
    pub(super) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.body.concat()).into_owned()
    }

    /// All that happens on the way back, in order.
    pub(super) fn pieces(self) -> Vec<Piece> {
        match self.manner {
            Manner::Whole => self.body.into_iter().map(Piece::Bytes).collect(),
            Manner::Drip { bytes, every } => {
                let drops = self.body.iter().flat_map(|piece| drops(piece, bytes));
                drops.flat_map(|drop| [Piece::Pause(every), Piece::Bytes(drop)]).collect()
            }
            Manner::Cut { after, by } => {
                let mut left = after;
                let mut pieces = Vec::new();
                for piece in self.body {
                    let kept = piece.slice(..piece.len().min(left));
                    left -= kept.len();
                    pieces.push(Piece::Bytes(kept));
                }
                pieces.retain(|piece| !matches!(piece, Piece::Bytes(bytes) if bytes.is_empty()));
                pieces.push(Piece::Broken(by));
                pieces
            }
        }
    }
}

fn drops(piece: &Bytes, bytes: usize) -> impl Iterator<Item = Bytes> {
    let bytes = bytes.max(1);
    (0..piece.len()).step_by(bytes).map(move |at| piece.slice(at..piece.len().min(at + bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(pieces: Vec<Piece>) -> Vec<usize> {
        let len = |piece: Piece| if let Piece::Bytes(bytes) = piece { Some(bytes.len()) } else { None };
        pieces.into_iter().filter_map(len).collect()
    }

    #[test]
    fn a_huge_answer_is_well_formed_and_has_as_many_bytes_as_were_asked_for() {
        let calls = Calls::parse(br#"{"jsonrpc":"2.0","id":7,"method":"eth_blockNumber"}"#).unwrap();
        let huge = Reply::huge(&calls, 200_000);
        let mut whole = Vec::new();
        for piece in huge.pieces() {
            if let Piece::Bytes(bytes) = piece {
                whole.extend_from_slice(&bytes);
            }
        }
        let answer: Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!((answer["id"].as_u64(), answer["result"].as_str().map(str::len)), (Some(7), Some(200_000)));
    }

    #[test]
    fn an_answer_is_cut_after_exactly_so_many_bytes_and_drips_whole() {
        let cut = Manner::Cut { after: 4, by: Ending::Hang };
        let pieces = Reply { manner: cut, ..Reply::new(200, "0123456789") }.pieces();
        assert!(matches!(pieces.last(), Some(Piece::Broken(Ending::Hang))));
        assert_eq!(bytes_of(pieces), [4]);
        let drip = Manner::Drip { bytes: 4, every: Duration::ZERO };
        assert_eq!(bytes_of(Reply { manner: drip, ..Reply::new(200, "0123456789") }.pieces()), [4, 4, 2]);
    }
}
