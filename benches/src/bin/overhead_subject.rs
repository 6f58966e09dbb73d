//! One subject of `overhead.rs` in a process of its own, for callgrind; or all of them by the clock.

use std::collections::BTreeMap;
use std::iter::zip;

use benches::{Answering, Driven, Failure, Subject, rounds, subjects};
use clap::{ArgAction, Parser};

#[derive(Parser)]
enum Command {
    /// Makes so many calls of one subject.
    Calls {
        subject: String,
        /// Whether the service answers on the second poll.
        #[arg(action = ArgAction::Set)]
        later: bool,
        calls: u32,
    },
    /// Prints, as JSON, the nanoseconds of a call of each subject on top of a bare one; the bare
    /// one's are its own.
    Times {
        /// Whether the service answers on the second poll.
        #[arg(action = ArgAction::Set)]
        later: bool,
    },
}

const ROUNDS: usize = 31;
const CALLS: u32 = 1_000;

fn main() -> Result<(), Failure> {
    match Command::parse() {
        Command::Calls {
            subject,
            later,
            calls,
        } => subjects::named(&subject)?
            .build(answering(later))?
            .run(calls),
        Command::Times { later } => {
            let times = times(answering(later))?;
            println!("{}", serde_json::to_string(&times)?);
            Ok(())
        }
    }
}

fn answering(later: bool) -> Answering {
    if later {
        Answering::Later
    } else {
        Answering::AtOnce
    }
}

fn times(answering: Answering) -> Result<BTreeMap<&'static str, f64>, Failure> {
    let subjects = subjects::all();
    let built = subjects.iter().map(|subject| subject.build(answering));
    let mut built: Vec<Box<dyn Driven>> = built.collect::<Result<_, _>>()?;
    for driven in &mut built {
        driven.run(CALLS)?;
    }
    let times = rounds::interleaved(ROUNDS, &mut built, |driven| driven.run(CALLS))?;
    let bare = times.first().cloned().unwrap_or_default();
    let of = |(subject, times): (&Subject, Vec<_>)| {
        let is_bare = subject.name == subjects::BARE;
        let over = zip(times, &bare).map(|(time, bare): (std::time::Duration, _)| {
            let less = if is_bare { 0.0 } else { bare.as_secs_f64() };
            (time.as_secs_f64() - less) * 1e9 / f64::from(CALLS)
        });
        (subject.name, rounds::median(over))
    };
    Ok(zip(&subjects, times).map(of).collect())
}
