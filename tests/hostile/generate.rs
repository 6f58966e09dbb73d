//! Header maps: gRPC's own names and others, values right, nearly right and absurd.

use bytes::Bytes;
use grpc_resilience::__internal::{DETAILS, MESSAGE, PUSHBACK, STATUS, TIMEOUT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::dice::Dice;
use super::protobuf::{self, Details};
use super::reference;

/// What a peer might send.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) http: StatusCode,
    pub(super) headers: HeaderMap,
    /// The bytes of a `google.rpc.Status`, or of something like it, and what they ask for.
    pub(super) details: Details,
}

const TIMEOUTS: [&str; 8] = [
    "1H",
    "20S",
    "99999999n",
    "0m",
    "1",
    "S",
    "123456789u",
    "1 S",
];
const PUSHBACKS: [&str; 9] = [
    "0",
    "100",
    "2147483647",
    "2147483648",
    "-1",
    "007",
    "+5",
    "1e3",
    "",
];
const STATUSES: [&str; 8] = ["17", "014", "-1", "+5", "256", "", "0x5", "5,5"];
const MESSAGES: [&str; 6] = [
    "not%20now",
    "%",
    "%f",
    "%ff%fe",
    "%zz",
    "grpc: received message larger than max (5 vs. 4)",
];
const CONTENT_TYPES: [&str; 4] = [
    "application/grpc",
    "application/grpc+proto",
    "text/html",
    "APPLICATION/GRPC",
];
const OTHERS: [HeaderName; 5] = [
    HeaderName::from_static("x-zone"),
    HeaderName::from_static("trace-bin"),
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("grpc-previous-rpc-attempts"),
    HeaderName::from_static("content-length"),
];

impl Input {
    pub(super) fn random(dice: &mut Dice) -> Self {
        let details = match dice.roll(5) {
            0 | 1 => protobuf::details(dice),
            _ => Details::default(),
        };
        let mut headers = HeaderMap::new();
        if dice.roll(8) > 0 {
            let code = dice.roll(17).to_string();
            put(dice, &mut headers, &STATUS, &STATUSES, Some(&code));
        }
        if dice.roll(4) == 0 {
            put(dice, &mut headers, &MESSAGE, &MESSAGES, None);
        }
        if !details.bytes.is_empty() {
            put_details(dice, &mut headers, &details.bytes);
        }
        if dice.roll(3) == 0 {
            let millis = dice.roll(5_000_000).to_string();
            put(dice, &mut headers, &PUSHBACK, &PUSHBACKS, Some(&millis));
        }
        if dice.roll(3) == 0 {
            put(dice, &mut headers, &TIMEOUT, &TIMEOUTS, None);
        }
        if dice.roll(2) == 0 {
            let name = http::header::CONTENT_TYPE;
            put(dice, &mut headers, &name, &CONTENT_TYPES, None);
        }
        if dice.roll(4) == 0 {
            let name = dice.one_of(&OTHERS);
            put(dice, &mut headers, &name, &["", "5"], None);
        }
        let codes = [200, 200, 200, 400, 401, 403, 404, 429, 500, 502, 503, 504];
        let number = match dice.roll(8) {
            0 => 100 + dice.roll(900),
            _ => dice.one_of(&codes),
        };
        Self {
            http: StatusCode::from_u16(u16::try_from(number).unwrap()).unwrap(),
            headers,
            details,
        }
    }
}

/// Appends a value, now and then two: the right one if there is one, one of the odd ones, a mutant
/// of either, or noise.
fn put(
    dice: &mut Dice,
    headers: &mut HeaderMap,
    name: &HeaderName,
    odd: &[&str],
    right: Option<&str>,
) {
    let values = if dice.roll(10) == 0 { 2 } else { 1 };
    for _ in 0..values {
        let value = match (right, dice.roll(8)) {
            (_, 0) => noise(dice, 12),
            (Some(right), 1) => mutated(dice, right.into()),
            (Some(right), 2..=5) => right.into(),
            (_, 1) => {
                let value = dice.one_of(odd).as_bytes().to_vec();
                mutated(dice, value)
            }
            _ => dice.one_of(odd).as_bytes().to_vec(),
        };
        headers.append(name.clone(), legal(value));
    }
}

fn put_details(dice: &mut Dice, headers: &mut HeaderMap, details: &[u8]) {
    let values = if dice.roll(10) == 0 { 2 } else { 1 };
    for _ in 0..values {
        let mut text = reference::encode(details, dice.roll(2) == 0);
        match dice.roll(10) {
            0 => text = noise(dice, 40),
            1 => text.truncate(dice.roll(text.len() + 1)),
            2 => text = mutated(dice, text),
            3 => text.extend_from_slice(dice.one_of(&[&b"="[..], b"===", b"A", b" "])),
            _ => {}
        }
        headers.append(DETAILS, legal(text));
    }
}

/// Changes, adds or takes away one byte.
pub(super) fn mutated(dice: &mut Dice, mut bytes: Vec<u8>) -> Vec<u8> {
    let byte = u8::try_from(dice.roll(256)).unwrap();
    let at = dice.roll(bytes.len() + 1);
    match dice.roll(3) {
        0 => bytes.insert(at, byte),
        1 if at < bytes.len() => drop(bytes.remove(at)),
        _ if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
        _ => bytes.push(byte),
    }
    bytes
}

pub(super) fn noise(dice: &mut Dice, most: usize) -> Vec<u8> {
    let length = dice.roll(most);
    (0..length)
        .map(|_| u8::try_from(dice.roll(256)).unwrap())
        .collect()
}

/// Any bytes that HTTP lets into a header, those above ASCII too.
fn legal(mut bytes: Vec<u8>) -> HeaderValue {
    for byte in &mut bytes {
        if *byte < b' ' && *byte != b'\t' || *byte == 0x7f {
            *byte |= 0x80;
        }
    }
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).unwrap()
}
