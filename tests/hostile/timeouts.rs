//! `grpc-timeout`, in the grammar and outside it, against an independent reading.

use std::time::Duration;

use grpc_resilience::__internal::{InvalidTimeout, parse_timeout, render_timeout};

use super::Shown;
use super::dice::Dice;
use super::reference;

const RANDOM: usize = 1_000_000;
const UNITS: &[u8] = b"numSMH";
/// The largest value that fits, `99999999H`.
const LARGEST: Duration = Duration::from_secs(99_999_999 * 3_600);

fn check(text: &[u8]) {
    let _shown = Shown(&text);
    let expected = reference::timeout(text).ok_or(InvalidTimeout);
    assert_eq!(parse_timeout(text), expected);
}

fn unit(letter: u8) -> Duration {
    match letter {
        b'n' => Duration::from_nanos(1),
        b'u' => Duration::from_micros(1),
        b'm' => Duration::from_millis(1),
        b'S' => Duration::from_secs(1),
        b'M' => Duration::from_secs(60),
        _ => Duration::from_secs(3_600),
    }
}

/// What is sent says no more than what is left, and less than a unit less.
fn rendered(left: Duration) {
    let _shown = Shown(&left);
    let text = render_timeout(left);
    let sent = parse_timeout(text.as_bytes()).unwrap();
    let (letter, digits) = text.as_bytes().split_last().unwrap();
    assert!((1..=8).contains(&digits.len()));
    if left.is_zero() {
        // Which the grammar can say, but a peer may take for no timeout at all.
        assert_eq!(text, "1n");
        return;
    }
    assert!(sent <= left);
    if left > LARGEST {
        assert_eq!(text, "99999999H");
        return;
    }
    assert!(left < sent + unit(*letter), "{text:?}");
    // No finer unit would have done.
    let at = UNITS.iter().position(|it| it == letter).unwrap();
    if let Some(finer) = at.checked_sub(1).and_then(|at| UNITS.get(at)) {
        assert!(
            left.as_nanos() / unit(*finer).as_nanos() > 99_999_999,
            "{text:?}"
        );
    }
}

// CONTRACT D1
#[test]
fn all_short_strings_parse_or_are_refused_as_the_grammar_says() {
    let alphabet = b"0123456789numSMHNUshd +-._eE\0\x7f\x80\xff";
    check(b"");
    for one in 0..=u8::MAX {
        check(&[one]);
        for two in 0..=u8::MAX {
            check(&[one, two]);
        }
    }
    for one in alphabet {
        for two in alphabet {
            for three in alphabet {
                check(&[*one, *two, *three]);
                check(&[b'1', *one, *two, *three]);
            }
        }
    }
}

// CONTRACT D1
#[test]
fn the_longest_strings_of_the_grammar_parse_and_longer_ones_do_not() {
    for length in 0..=12 {
        for digit in b'0'..=b'9' {
            for letter in UNITS {
                let mut text = vec![digit; length];
                text.push(*letter);
                check(&text);
                assert_eq!(parse_timeout(&text).is_ok(), (1..=8).contains(&length));
                // A digit that is none, at each place.
                for at in 0..length {
                    let mut broken = text.clone();
                    for strange in [b'/', b':', b' ', b'a', 0xb2] {
                        broken[at] = strange;
                        check(&broken);
                        assert_eq!(parse_timeout(&broken), Err(InvalidTimeout));
                    }
                }
            }
        }
    }
}

/// Most are near the grammar.
fn any_text(dice: &mut Dice) -> Vec<u8> {
    let mut text: Vec<u8> = (0..dice.roll(12))
        .map(|_| match dice.roll(40) {
            0 => u8::try_from(dice.roll(256)).unwrap(),
            _ => b'0' + u8::try_from(dice.roll(10)).unwrap(),
        })
        .collect();
    match dice.roll(8) {
        0 => text.push(u8::try_from(dice.roll(256)).unwrap()),
        1 => {}
        _ => text.push(UNITS[dice.roll(UNITS.len())]),
    }
    text
}

// CONTRACT D1, D2
#[test]
fn a_million_random_strings_parse_or_are_refused_as_the_grammar_says() {
    let mut dice = Dice(1);
    let mut valid = 0;
    for _ in 0..RANDOM {
        let text = any_text(&mut dice);
        check(&text);
        if let Ok(timeout) = parse_timeout(&text) {
            valid += 1;
            rendered(timeout);
        }
    }
    assert!((RANDOM / 4..RANDOM * 3 / 4).contains(&valid), "{valid}");
}

// CONTRACT D2
#[test]
fn what_is_rendered_says_at_most_a_unit_less_and_never_more() {
    for letter in UNITS {
        for count in [1, 9, 10, 99_999_998, 99_999_999, 100_000_000] {
            let edge = unit(*letter) * count;
            let nano = Duration::from_nanos(1);
            [edge.saturating_sub(nano), edge, edge + nano]
                .into_iter()
                .for_each(rendered);
        }
    }
    [
        Duration::ZERO,
        LARGEST,
        LARGEST + Duration::from_nanos(1),
        Duration::MAX,
    ]
    .into_iter()
    .for_each(rendered);
    let mut dice = Dice(2);
    for _ in 0..RANDOM {
        // Of every size alike, up to many times the largest.
        let bits = dice.roll(48);
        let seconds = u64::try_from(dice.roll(1 << bits)).unwrap();
        let rest = u32::try_from(dice.roll(1_000_000_000)).unwrap();
        let rest = rest >> dice.roll(30);
        rendered(Duration::new(seconds, rest));
    }
}
