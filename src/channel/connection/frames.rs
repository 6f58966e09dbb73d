use std::cmp::min;

/// The bytes of a frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;
/// What is kept of a payload: all of a GOAWAY but the rest of a long text.
const KEPT: usize = 72;

/// Kinds of frames.
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GO_AWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const DATA: u8 = 0;

/// Flags of frames.
pub(super) const ACK: u8 = 0x1;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;

/// What RFC 9113 calls a kind of frames.
pub(crate) fn name_of(kind: u8) -> &'static str {
    match kind {
        DATA => "DATA",
        HEADERS => "HEADERS",
        2 => "PRIORITY",
        RST_STREAM => "RST_STREAM",
        SETTINGS => "SETTINGS",
        5 => "PUSH_PROMISE",
        PING => "PING",
        GO_AWAY => "GOAWAY",
        WINDOW_UPDATE => "WINDOW_UPDATE",
        CONTINUATION => "CONTINUATION",
        _ => "unknown",
    }
}

/// A frame that has passed whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) length: usize,
    /// The first bytes of a GOAWAY's payload; empty for all other kinds.
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    fn new(head: [u8; HEAD], payload: &'a [u8]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = head;
        Self {
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            payload,
        }
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Follows the frames of one direction of a connection, wherever its bytes are cut.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes that pass before the first frame: the client's preface.
    before: usize,
    head: [u8; HEAD],
    /// How much of the head has passed.
    filled: usize,
    /// How much of the payload is still to come.
    left: usize,
    kept: Vec<u8>,
}

impl Frames {
    pub(super) fn after(before: usize) -> Self {
        Self {
            before,
            head: [0; HEAD],
            filled: 0,
            left: 0,
            kept: Vec::new(),
        }
    }

    /// The kind of the frame that passes.
    pub(super) fn kind(&self) -> u8 {
        let [_, _, _, kind, ..] = self.head;
        kind
    }

    /// These bytes pass; `seen` is told of each frame that they complete.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Frame<'_>)) {
        let skipped = min(self.before, bytes.len());
        self.before -= skipped;
        bytes = bytes.get(skipped..).unwrap_or_default();
        while !bytes.is_empty() {
            // Nearly every frame is in one piece.
            let (frame, rest) = match self.whole(bytes) {
                Some(both) => both,
                None => match self.piece(bytes) {
                    Some(rest) => (Frame::new(self.head, &self.kept), rest),
                    None => return,
                },
            };
            bytes = rest;
            seen(frame);
        }
    }

    /// What follows the frame that passes, if that ends in these bytes.
    #[inline(never)]
    fn piece<'a>(&mut self, mut bytes: &'a [u8]) -> Option<&'a [u8]> {
        if self.filled < HEAD {
            bytes = self.fill_head(bytes);
            if self.filled < HEAD {
                return None;
            }
            self.left = Frame::new(self.head, &[]).length;
            self.kept.clear();
        }
        bytes = self.pass_payload(bytes);
        if self.left > 0 {
            return None;
        }
        self.filled = 0;
        Some(bytes)
    }

    /// The frame with which these bytes begin, if it is complete, and the bytes after it.
    #[inline]
    fn whole<'a>(&self, bytes: &'a [u8]) -> Option<(Frame<'a>, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk()?;
        let frame = Frame::new(*head, &[]);
        if self.filled > 0 || frame.kind == GO_AWAY {
            return None;
        }
        Some((frame, rest.get(frame.length..)?))
    }

    fn fill_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (now, rest) = bytes.split_at(min(HEAD - self.filled, bytes.len()));
        if let Some(place) = self.head.get_mut(self.filled..self.filled + now.len()) {
            place.copy_from_slice(now);
        }
        self.filled += now.len();
        rest
    }

    fn pass_payload<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (now, rest) = bytes.split_at(min(self.left, bytes.len()));
        self.left -= now.len();
        if self.kind() == GO_AWAY {
            let kept = min(KEPT - min(KEPT, self.kept.len()), now.len());
            self.kept.extend(now.iter().take(kept));
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn seen(pieces: &[&[u8]], before: usize) -> Vec<(u8, u8, u32, usize, Vec<u8>)> {
        let mut frames = Frames::after(before);
        let mut seen = Vec::new();
        for piece in pieces {
            frames.pass(piece, |it| {
                seen.push((it.kind, it.flags, it.stream, it.length, it.payload.to_vec()));
            });
        }
        seen
    }

    #[test]
    fn frames_are_seen_wherever_their_bytes_are_cut() {
        let mut bytes = b"preface".to_vec();
        bytes.extend(frame(SETTINGS, 0, 0, b""));
        bytes.extend(frame(HEADERS, END_HEADERS, 5, b"abc"));
        bytes.extend(frame(GO_AWAY, 0, 0, b"\0\0\0\x07\0\0\0\x0bwhy"));
        bytes.extend(frame(DATA, 1, 0x8000_0009, &[7; 300]));
        let whole = seen(&[&bytes], 7);
        assert_eq!(
            whole,
            [
                (SETTINGS, 0, 0, 0, vec![]),
                (HEADERS, END_HEADERS, 5, 3, vec![]),
                (GO_AWAY, 0, 0, 11, b"\0\0\0\x07\0\0\0\x0bwhy".to_vec()),
                (DATA, 1, 9, 300, vec![]),
            ]
        );
        for size in 1..bytes.len() {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(seen(&pieces, 7), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn a_frame_is_seen_with_its_last_byte_and_not_before() {
        let bytes = frame(HEADERS, END_HEADERS, 1, b"abc");
        let (most, last) = bytes.split_at(bytes.len() - 1);
        assert!(seen(&[most], 0).is_empty());
        assert_eq!(seen(&[most, last], 0).len(), 1);
    }

    #[test]
    fn no_more_is_kept_of_a_go_away_than_its_first_bytes() {
        let bytes = frame(GO_AWAY, 0, 0, &[1; 10_000]);
        assert_eq!(seen(&[&bytes], 0)[0].4.len(), KEPT);
    }
}
