//! `google.rpc.Status` with `RetryInfo` in it, whole and broken.

use std::time::Duration;

use prost::Message;
use prost_types::Any;

use super::dice::Dice;
use super::generate::{mutated, noise};

#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

/// The bytes, and what they ask for.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) bytes: Vec<u8>,
    pub(super) asks: Asks,
}

/// What sound details ask for.
#[derive(Debug, Default)]
pub(super) enum Asks {
    #[default]
    Nothing,
    For(Duration),
    /// Who knows, they are broken.
    Broken,
}

const URLS: [&str; 5] = [
    "type.googleapis.com/google.rpc.RetryInfo",
    "type.googleapis.com/google.rpc.RetryInfo",
    "google.rpc.RetryInfo",
    "type.googleapis.com/google.rpc.DebugInfo",
    "///",
];
const SECONDS: [i64; 9] = [
    0,
    0,
    1,
    30,
    315_576_000_000,
    315_576_000_001,
    -1,
    i64::MAX,
    i64::MIN,
];
const NANOS: [i32; 7] = [
    0,
    300_000_000,
    999_999_999,
    1_000_000_000,
    -1,
    i32::MAX,
    i32::MIN,
];

pub(super) fn details(dice: &mut Dice) -> Details {
    let mut expected = None;
    let details = (0..dice.one_of(&[0, 1, 1, 3]))
        .map(|_| detail(dice, &mut expected))
        .collect();
    let status = RpcStatus {
        code: 14,
        message: dice.one_of(&["", "later"]).to_owned(),
        details,
    };
    let mut bytes = status.encode_to_vec();
    match dice.roll(8) {
        0 => bytes.truncate(dice.roll(bytes.len() + 1)),
        1 | 2 => bytes = mutated(dice, bytes),
        3 => bytes = noise(dice, 40),
        // Groups in groups, and a length beyond everything.
        4 if dice.roll(50) == 0 => bytes.extend(vec![0x0b; 2_000]),
        4 => bytes.extend([
            0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ]),
        _ => {
            // The first valid one wins, and zero asks for nothing (CONTRACT P7).
            let asked = expected.filter(|delay: &Duration| !delay.is_zero());
            let asks = asked.map_or(Asks::Nothing, Asks::For);
            return Details { bytes, asks };
        }
    }
    let asks = Asks::Broken;
    Details { bytes, asks }
}

fn detail(dice: &mut Dice, expected: &mut Option<Duration>) -> Any {
    let type_url = dice.one_of(&URLS).to_owned();
    if dice.roll(6) == 0 {
        let value = vec![0xff; dice.roll(12) + 1];
        return Any { type_url, value };
    }
    let (seconds, nanos) = (dice.one_of(&SECONDS), dice.one_of(&NANOS));
    let is_valid = (0..=315_576_000_000).contains(&seconds) && (0..1_000_000_000).contains(&nanos);
    if is_valid && type_url.ends_with("google.rpc.RetryInfo") && expected.is_none() {
        let nanos = u32::try_from(nanos).unwrap();
        *expected = Some(Duration::new(u64::try_from(seconds).unwrap(), nanos));
    }
    let retry_delay = Some(prost_types::Duration { seconds, nanos });
    let value = RetryInfo { retry_delay }.encode_to_vec();
    Any { type_url, value }
}
