//! The same things read once more, in the plainest way: what is checked is compared with this.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use grpc_resilience::grpc::Code;

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const BARE: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG.with_encode_padding(false));

pub(super) fn encode(bytes: &[u8], padded: bool) -> Vec<u8> {
    let engine = if padded { PADDED } else { BARE };
    engine.encode(bytes).into_bytes()
}

pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    PADDED.decode(text).ok()
}

/// The number in its only form.
fn canonical(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Whether it is the number of a code (CONTRACT R16).
pub(super) fn is_code(text: &[u8]) -> bool {
    canonical(text).is_some_and(|number| (0..=16).contains(&number))
}

pub(super) fn code(text: &[u8]) -> Code {
    let number = canonical(text).and_then(|number| u8::try_from(number).ok());
    number.map_or(Code::Unknown, Code::from_number)
}

/// How long, or not at all.
pub(super) fn pushback(text: &[u8]) -> Option<Duration> {
    let millis = i32::try_from(canonical(text)?).ok()?;
    u64::try_from(millis).ok().map(Duration::from_millis)
}

pub(super) fn timeout(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_suffix(['H', 'M', 'S', 'm', 'u', 'n'])?;
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number || digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match text.bytes().last()? {
        b'H' => Duration::from_secs(count * 3_600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        _ => Duration::from_nanos(count),
    })
}
