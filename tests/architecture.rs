//! Holds the house in shape: which room may name which, who may name tonic, how long a file may be.
//!
//! A room is a folder directly in `src`, or in one of its wings. The tables below are the rule; a
//! change to one of them is a change to the architecture. `src/lib.rs` declares the rooms and is
//! free to name all.
//!
//! The files are read as tokens, so comments, doc comments and strings don't count, and the
//! arguments of macros do.

#[cfg(test)]
#[path = "architecture/checker.rs"]
mod checker;
#[path = "architecture/files.rs"]
mod files;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/tokens.rs"]
mod tokens;

use std::fs;
use std::path::Path;

use files::read;
use rules::{broken_floors, circles, long_files, strangers_to_tonic, strangers_to_tracing};

/// The folders of `src` whose folders are rooms.
const WINGS: [&str; 2] = ["layers", "server"];

/// The floors, lowest first. A room may name itself and the rooms of lower floors; never one that
/// stands beside it, never one above.
const FLOORS: [(&str, &[&str]); 16] = [
    // Pages for users, without code.
    ("guide", &["guide"]),
    // All `tracing` events. Private.
    ("events", &["events"]),
    // Locks and atomics, real or loom's; random numbers; timers. Private.
    ("kernel", &["kernel"]),
    // Method paths and patterns; the arithmetic of delays.
    ("patterns and delays", &["methods", "backoff"]),
    // The wire vocabulary, parsed without panics.
    ("wire vocabulary", &["grpc"]),
    // Request bodies that can be sent again.
    ("request bodies", &["body"]),
    // What an answer or an error means.
    ("classification", &["classify"]),
    // What happened to a call, and why it ended.
    ("reports", &["report"]),
    // What a call carries from layer to layer.
    ("call context", &["call"]),
    // The one error of every layer.
    ("errors", &["error"]),
    // Who waits for a channel, in which order. Private.
    ("readiness", &["ready"]),
    // How a layer hands a request to the inner service. Private.
    ("handover", &["dispatch"]),
    // An agent's HTTP interface: the channel asks it for servers, and servers register with it.
    ("Consul", &["consul"]),
    // The layers speak through `call::Context`, never to each other, and never to the channel.
    (
        "layers",
        &[
            "layers/retry",
            "layers/budget",
            "layers/idempotency",
            "layers/deadline",
            "layers/wait_for_ready",
            "layers/attempt_timeout",
            "layers/adaptive_throttle",
            "server/deadline",
            "server/leader_health",
            "server/raft",
            "server/rate_limit",
            "server/drain",
            "channel",
        ],
    ),
    // Server streams that come back, by the retry layer's policies.
    ("streams", &["streams"]),
    // All of them in the right order: the only room that names every layer.
    ("stack", &["stack"]),
];

/// The adapters: the only files that name tonic, so that the rules outlive it. A folder ends in
/// `/`.
const NAME_TONIC: [&str; 15] = [
    "grpc/tonic.rs",
    "body/cancel.rs",
    "body/request.rs",
    "call/ext.rs",
    "classify/tonic_transport.rs",
    "classify/transport_error.rs",
    "dispatch/extras.rs",
    "error/shown.rs",
    "server/rate_limit/peer.rs",
    "server/deadline/client.rs",
    "server/drain/io.rs",
    "server/drain/serve.rs",
    "server/raft/",
    "stack/",
    "streams/",
];

/// The only room that says something by `tracing`.
const NAME_TRACING: [&str; 1] = ["events/"];

/// The wall: lines of code in a file, without comments, blank lines and tests.
const MOST_CODE_LINES: usize = 300;

#[test]
fn every_room_names_only_lower_floors() {
    assert_none(&broken_floors(&read(&src()).unwrap()));
}

#[test]
fn the_files_of_a_room_do_not_import_each_other_in_a_circle() {
    assert_none(&circles(&read(&src()).unwrap()));
}

#[test]
fn only_adapters_name_tonic() {
    assert_none(&strangers_to_tonic(&read(&src()).unwrap()));
}

#[test]
fn only_one_room_names_tracing() {
    assert_none(&strangers_to_tracing(&read(&src()).unwrap()));
}

#[test]
fn no_file_is_longer_than_the_wall() {
    assert_none(&long_files(&read(&src()).unwrap()));
}

#[test]
fn an_import_added_to_a_copy_of_the_crate_is_reported() {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("architecture");
    let _ = fs::remove_dir_all(&copy);
    let files = read(&src()).unwrap();
    for file in &files {
        let target = copy.join(&file.path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(src().join(&file.path), target).unwrap();
    }
    let before = broken_floors(&read(&copy).unwrap());
    assert_eq!(before, broken_floors(&files));

    let broken = copy.join("layers/retry/policy.rs");
    let text = fs::read_to_string(&broken).unwrap();
    let line = text.lines().count() + 1;
    fs::write(&broken, text + "use crate::layers::budget::TokenBucket;\n").unwrap();
    let mut after = broken_floors(&read(&copy).unwrap());
    after.retain(|message| !before.contains(message));
    let expected = format!(
        "src/layers/retry/policy.rs:{line} names crate::layers::budget::TokenBucket: `layers/retry` \
         and `layers/budget` stand side by side (layers), and a room never names its neighbour"
    );
    assert_eq!(after, [expected]);
}

fn src() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
