//! `grpc.health.v1` on the wire.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message;

pub(super) const PATH: &str = "/grpc.health.v1.Health/Watch";

#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// A flag and the length.
const PREFIX: usize = 5;
/// A status takes two bytes; later versions of the protocol may add fields.
const LARGEST: usize = 16 << 10;

/// The request for the health of this service, with gRPC's prefix.
pub(super) fn request(service: &str) -> Bytes {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let mut bytes = BytesMut::with_capacity(PREFIX + request.encoded_len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(request.encoded_len()).unwrap_or(u32::MAX));
    bytes.put_slice(&request.encode_to_vec());
    bytes.freeze()
}

/// The messages of an answer, from DATA cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Messages(BytesMut);

/// Bytes that are no messages of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl Messages {
    /// The status in the last whole message, if these bytes complete one: those before it are no
    /// news any more.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<Option<i32>, Malformed> {
        self.0.extend_from_slice(bytes);
        let mut last = None;
        while let Some((head, rest)) = self.0.split_first_chunk::<PREFIX>() {
            let [flag, length @ ..] = *head;
            let length = u32::from_be_bytes(length) as usize;
            if flag != 0 {
                return Err(Malformed("a compressed message, which was not asked for"));
            }
            if length > LARGEST {
                return Err(Malformed("a message of more than 16 KiB"));
            }
            let Some(message) = rest.get(..length) else {
                break;
            };
            let message = HealthCheckResponse::decode(message);
            let message = message.map_err(|_| Malformed("a message of another type"))?;
            last = Some(message.status);
            self.0.advance(PREFIX + length);
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(number: i32) -> Vec<u8> {
        let message = HealthCheckResponse { status: number }.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], &length[..], &message].concat()
    }

    // CONTRACT G1
    #[test]
    fn the_request_names_the_service() {
        assert_eq!(&request("a")[..], [0, 0, 0, 0, 3, 0x0a, 1, b'a']);
        assert_eq!(&request("")[..], [0; 5], "the whole server");
    }

    // CONTRACT G1
    #[test]
    fn messages_are_found_wherever_the_data_are_cut() {
        let bytes = [status(1), status(2), status(0)].concat();
        for cut in 0..bytes.len() {
            let mut messages = Messages::default();
            let found = [&bytes[..cut], &bytes[cut..]].map(|part| messages.add(part).unwrap());
            assert_eq!(found[1], Some(0), "{cut}");
        }
        let mut messages = Messages::default();
        let bytes = status(3);
        let found: Vec<_> = bytes.iter().map(|byte| messages.add(&[*byte])).collect();
        let (last, before) = found.split_last().unwrap();
        assert_eq!(*last, Ok(Some(3)));
        assert!(before.iter().all(|it| *it == Ok(None)));
    }

    // CONTRACT G3, C18
    #[test]
    fn what_is_no_message_is_a_fault_and_takes_no_memory() {
        for bytes in [
            vec![1, 0, 0, 0, 0],
            vec![0, 0, 0, 64, 1],
            vec![0, 0xff, 0xff, 0xff, 0xff],
            vec![0, 0, 0, 0, 2, 0x0a, 9],
        ] {
            assert!(Messages::default().add(&bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(Messages::default().add(&[0, 0, 0, 64, 0]), Ok(None));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Messages::default().add(&bytes);
        }
    }
}
