//! One HTTP/2 frame, as it is on the wire (RFC 9113, section 4).

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// What a client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// No frame of ours is larger: a client need not take more without being asked.
pub(crate) const MAX_PAYLOAD: usize = 16_384;

/// The largest window and the largest stream id.
pub(crate) const MAX_31_BIT: u32 = 0x7fff_ffff;

/// The window of a connection before any `WINDOW_UPDATE`.
pub(crate) const DEFAULT_WINDOW: u32 = 65_535;

pub(crate) const SETTING_MAX_CONCURRENT_STREAMS: u16 = 0x3;
pub(crate) const SETTING_INITIAL_WINDOW_SIZE: u16 = 0x4;

/// `END_STREAM` on DATA and HEADERS.
pub(crate) const END_STREAM: u8 = 0x1;
/// `ACK` on SETTINGS and PING.
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;

const HEAD: usize = 9;

/// The frame types a peer sends or looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Headers,
    RstStream,
    Settings,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Other(u8),
}

impl Kind {
    fn from_wire(byte: u8) -> Self {
        match byte {
            0x0 => Self::Data,
            0x1 => Self::Headers,
            0x3 => Self::RstStream,
            0x4 => Self::Settings,
            0x6 => Self::Ping,
            0x7 => Self::GoAway,
            0x8 => Self::WindowUpdate,
            0x9 => Self::Continuation,
            other => Self::Other(other),
        }
    }

    fn to_wire(self) -> u8 {
        match self {
            Self::Data => 0x0,
            Self::Headers => 0x1,
            Self::RstStream => 0x3,
            Self::Settings => 0x4,
            Self::Ping => 0x6,
            Self::GoAway => 0x7,
            Self::WindowUpdate => 0x8,
            Self::Continuation => 0x9,
            Self::Other(byte) => byte,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Bytes,
}

impl Frame {
    /// Takes one whole frame off the front, or nothing as long as it has not arrived whole.
    pub(crate) fn decode(inbox: &mut BytesMut) -> Option<Self> {
        let mut head = inbox.get(..HEAD)?;
        let length = usize::try_from(head.get_uint(3)).ok()?;
        let kind = Kind::from_wire(head.get_u8());
        let flags = head.get_u8();
        let stream = head.get_u32() & MAX_31_BIT;
        if inbox.len() < HEAD + length {
            return None;
        }
        inbox.advance(HEAD);
        let payload = inbox.split_to(length).freeze();
        Some(Self {
            kind,
            flags,
            stream,
            payload,
        })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_uint(self.payload.len() as u64, 3);
        out.put_u8(self.kind.to_wire());
        out.put_u8(self.flags);
        out.put_u32(self.stream & MAX_31_BIT);
        out.put_slice(&self.payload);
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload of a DATA frame without its padding.
    pub(crate) fn data(&self) -> Bytes {
        let mut data = self.payload.clone();
        if self.has(PADDED) && data.has_remaining() {
            let padding = usize::from(data.get_u8());
            data.truncate(data.len().saturating_sub(padding));
        }
        data
    }

    /// The first number of the payload: a reset's reason, for instance.
    pub(crate) fn number(&self) -> u32 {
        self.payload.clone().try_get_u32().unwrap_or_default()
    }
}

pub(crate) fn settings(entries: &[(u16, u32)]) -> Bytes {
    let mut payload = BytesMut::new();
    for &(id, value) in entries {
        payload.put_u16(id);
        payload.put_u32(value);
    }
    whole(Kind::Settings, 0, 0, payload.freeze())
}

pub(crate) fn settings_ack() -> Bytes {
    whole(Kind::Settings, ACK, 0, Bytes::new())
}

pub(crate) fn ping(number: u64) -> Bytes {
    whole(
        Kind::Ping,
        0,
        0,
        Bytes::copy_from_slice(&number.to_be_bytes()),
    )
}

pub(crate) fn ping_ack(payload: Bytes) -> Bytes {
    whole(Kind::Ping, ACK, 0, payload)
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Bytes {
    let payload = Bytes::copy_from_slice(&increment.to_be_bytes());
    whole(Kind::WindowUpdate, 0, stream, payload)
}

pub(crate) fn rst_stream(stream: u32, reason: u32) -> Bytes {
    let payload = Bytes::copy_from_slice(&reason.to_be_bytes());
    whole(Kind::RstStream, 0, stream, payload)
}

pub(crate) fn go_away(last_stream: u32, reason: u32) -> Bytes {
    let mut payload = BytesMut::new();
    payload.put_u32(last_stream & MAX_31_BIT);
    payload.put_u32(reason);
    whole(Kind::GoAway, 0, 0, payload.freeze())
}

/// DATA in as many frames as it takes; at least one, which may be empty.
pub(crate) fn data(stream: u32, mut body: Bytes, end_stream: bool) -> Bytes {
    let mut out = BytesMut::new();
    loop {
        let payload = body.split_to(body.len().min(MAX_PAYLOAD));
        let flags = if end_stream && body.is_empty() {
            END_STREAM
        } else {
            0
        };
        Frame {
            kind: Kind::Data,
            flags,
            stream,
            payload,
        }
        .encode(&mut out);
        if body.is_empty() {
            return out.freeze();
        }
    }
}

/// HEADERS, and CONTINUATION where one frame does not hold the block.
pub(crate) fn headers(stream: u32, mut block: Bytes, end_stream: bool) -> Bytes {
    let mut out = BytesMut::new();
    let mut kind = Kind::Headers;
    let mut flags = if end_stream { END_STREAM } else { 0 };
    loop {
        let payload = block.split_to(block.len().min(MAX_PAYLOAD));
        if block.is_empty() {
            flags |= END_HEADERS;
        }
        Frame {
            kind,
            flags,
            stream,
            payload,
        }
        .encode(&mut out);
        if block.is_empty() {
            return out.freeze();
        }
        kind = Kind::Continuation;
        flags = 0;
    }
}

fn whole(kind: Kind, flags: u8, stream: u32, payload: Bytes) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD + payload.len());
    Frame {
        kind,
        flags,
        stream,
        payload,
    }
    .encode(&mut out);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_again_once_it_has_arrived_whole() {
        let wire = go_away(5, 11);
        let mut inbox = BytesMut::from(&wire[..wire.len() - 1]);
        assert!(Frame::decode(&mut inbox).is_none());
        inbox.put_u8(wire[wire.len() - 1]);
        let frame = Frame::decode(&mut inbox).unwrap();
        assert_eq!(
            (frame.kind, frame.stream, frame.number()),
            (Kind::GoAway, 0, 5)
        );
        assert!(inbox.is_empty());
    }

    #[test]
    fn large_bodies_and_header_blocks_are_split_and_flagged_at_their_ends() {
        let body = Bytes::from(vec![7; MAX_PAYLOAD + 1]);
        let mut inbox = BytesMut::from(&data(1, body.clone(), true)[..]);
        let flags = [0, 1].map(|_| Frame::decode(&mut inbox).unwrap().flags);
        assert_eq!(flags, [0, END_STREAM]);

        let mut inbox = BytesMut::from(&headers(1, body, true)[..]);
        let heads = [0, 1].map(|_| Frame::decode(&mut inbox).unwrap());
        assert_eq!(
            heads.each_ref().map(|frame| frame.kind),
            [Kind::Headers, Kind::Continuation]
        );
        assert_eq!(heads.map(|frame| frame.flags), [END_STREAM, END_HEADERS]);
    }
}
