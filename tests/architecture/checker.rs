//! Proof that the checker sees what it must, over snippets of source.

use super::files::File;
use super::rules::{broken_floors, circles, long_files, strangers_to_tonic};

/// The lines of a file at which it breaks a floor.
fn breaks(path: &str, text: &str) -> Vec<String> {
    let lib =
        "mod error; pub use error::{Error, GiveUp as Why}; pub use layers::retry::RetryLayer;";
    let files = [
        File::new("lib.rs", lib).unwrap(),
        File::new(path, text).unwrap(),
    ];
    let faults = broken_floors(&files);
    faults
        .iter()
        .map(|fault| fault.trim_start_matches("src/").to_owned())
        .collect()
}

fn assert_breaks(path: &str, text: &str, start: &str) {
    let faults = breaks(path, text);
    let starts = faults.iter().all(|fault| fault.starts_with(start));
    assert!(faults.len() == 1 && starts, "{start}: {faults:#?}\n{text}");
}

#[test]
fn reports_a_neighbour_and_says_which_floor() {
    assert_eq!(
        breaks(
            "layers/retry/service.rs",
            "\nuse crate::layers::budget::TokenBucket;"
        ),
        [
            "layers/retry/service.rs:2 names crate::layers::budget::TokenBucket: `layers/retry` and `layers/budget` stand \
             side by side (layers), and a room never names its neighbour"
        ]
    );
}

#[test]
fn reports_an_upward_import_and_says_which_floors() {
    assert_eq!(
        breaks("grpc/code.rs", "use crate::call::Context;"),
        [
            "grpc/code.rs:1 names crate::call::Context: `call` (call context) stands above \
             `grpc` (wire vocabulary), and a room names only lower floors"
        ]
    );
}

#[test]
fn reports_a_path_however_it_is_written() {
    let names = "layers/retry/service.rs:1 names crate::layers::budget";
    for text in [
        "use super::super::budget::Budget;",
        "use super::super::{budget};",
        "use crate::{error::Error, grpc::{self, Code}, layers::budget::{self as purse}};",
        "use {crate::layers::budget, std::fmt};",
        "pub use crate::layers::budget::*;",
        "fn f() { let x = crate::layers::budget::TokenBucket::default(); }",
        "fn f(x: Vec<crate::layers::budget::TokenBucket>) {}",
        "impl crate::layers::budget::B for X {}",
        "pub(in crate::layers::budget) fn f() {}",
        "fn f() { tracing::warn!(tokens = %crate::layers::budget::tokens(), \"low\") }",
        "macro_rules! m { () => { $crate::layers::budget::f() } }",
        "mod inner { fn f() { super::super::super::budget::f() } }",
        "#[cfg(test)] mod tests { use crate::layers::budget::TokenBucket; }",
        "const X: [u8; { super::super::budget::SIZE }] = [];",
        "fn f() { x(crate::grpc::parse::<crate::layers::budget::Y>()) }",
    ] {
        assert_breaks("layers/retry/service.rs", text, names);
    }
    let upward = "layers/retry/mod.rs:1 names crate::stack";
    assert_breaks(
        "layers/retry/mod.rs",
        "use super::super::stack::Resilience;",
        upward,
    );
    assert_breaks(
        "kernel/rng.rs",
        "use super::super::grpc::Code;",
        "kernel/rng.rs:1 names crate::grpc",
    );
}

#[test]
fn reports_an_item_that_the_root_re_exports() {
    let floor = "`error` (errors) stands above";
    let faults = breaks("call/trace.rs", "use crate::{Error, Why};");
    assert_eq!(faults.len(), 2);
    assert!(
        faults.iter().all(|fault| fault.contains(floor)),
        "{faults:#?}"
    );
    let neighbour =
        "layers/budget/layer.rs:1 names crate::RetryLayer: `layers/budget` and `layers/retry`";
    assert_breaks(
        "layers/budget/layer.rs",
        "use crate::RetryLayer;",
        neighbour,
    );
}

#[test]
fn reports_the_whole_crate_however_it_is_named() {
    let whole = "layers/retry/policy.rs:1 names crate";
    for text in [
        "use crate::*;",
        "use super::super::*;",
        "use crate as all;",
        "use super::super as all;",
        "use crate::{self as all};",
    ] {
        assert_breaks("layers/retry/policy.rs", text, whole);
    }
}

#[test]
fn reports_a_room_without_a_floor_and_says_where_to_add_it() {
    let faults = breaks("hedge/mod.rs", "use crate::grpc::Code;");
    let expected = "hedge is a room without a floor: add it to FLOORS in tests/architecture.rs";
    assert_eq!(faults, [expected]);
    assert_breaks(
        "layers/retry/mod.rs",
        "use crate::hedge::X;",
        "layers/retry/mod.rs:1 names crate::hedge::X: `hedge` is no room with a floor",
    );
}

#[test]
fn permits_lower_floors_the_own_room_and_other_crates() {
    let text = r#"
        //! Mentions crate::stack::Resilience and super::super::budget.
        use std::sync::Arc;
        use crate::call::{Context, Deadline};
        use crate::{Error, backoff::Backoff, grpc::{self, Code}, kernel::{rng::Rng, sync::Mutex}};
        use super::super::super::dispatch::Attempt;
        use super::policy::{self, RetryPolicy};
        use crate::layers::retry::future::ResponseFuture;

        /// See [`crate::layers::budget::TokenBucket`].
        #[doc = "crate::layers::budget"]
        pub(crate) struct X { pub(super) a: Arc<budget::Y> /* crate::layers::budget */ }
        impl X {
            fn f(self) -> &'static str { self.a; super::g(); r"crate::layers::budget::f" } // crate::layers::budget
            fn budget(&self) { self::budget::deadline() }
        }
        mod tests { use super::*; use super::super::policy::Plan; }
    "#;
    assert_eq!(breaks("layers/retry/service.rs", text), [""; 0]);
    let stack =
        "use crate::{layers::{budget::BudgetLayer, retry::RetryLayer}, kernel::sync::Mutex};";
    assert_eq!(breaks("stack/builder.rs", stack), [""; 0]);
}

#[test]
fn reports_a_circle_even_through_the_exports_of_the_room() {
    let room = |a: &str, b: &str, c: &str| {
        let home = "mod a; mod b; mod c; pub use a::A; pub use {b::B as Bee, c::{C, c}};";
        let files = [("mod.rs", home), ("a.rs", a), ("b.rs", b), ("c.rs", c)];
        let files = files.map(|(name, text)| File::new(&format!("room/{name}"), text).unwrap());
        circles(&files)
    };
    let two = room("use super::Bee;", "fn f() { super::a::x() }", "");
    assert_eq!(two, ["src/room imports in a circle: a -> b -> a"]);
    let three = room("use super::b::B;", "use super::c;", "use crate::room::A;");
    assert_eq!(three, ["src/room imports in a circle: a -> b -> c -> a"]);
    let none = room("use super::{Bee, C};", "use super::{c::C, *};", "");
    assert_eq!(none, [""; 0]);
    let in_tests = room(
        "use super::Bee;",
        "#[cfg(test)] mod tests { use super::super::A; }",
        "",
    );
    assert_eq!(in_tests, [""; 0]);
}

#[test]
fn reports_tonic_outside_its_adapters() {
    let strangers = |path: &str, text: &str| {
        let file = File::new(path, text).unwrap();
        strangers_to_tonic(&[file]).len()
    };
    for text in [
        "use tonic::Status;",
        "use tonic;",
        "fn f() -> ::tonic::Code {}",
        "fn f() { warn!(code = ?tonic::Code::Ok) }",
    ] {
        assert_eq!(strangers("layers/retry/policy.rs", text), 1, "{text}");
        assert_eq!(strangers("grpc/tonic.rs", text), 0, "{text}");
        assert_eq!(strangers("stack/builder.rs", text), 0, "{text}");
    }
    for text in [
        "//! Like tonic::Status.\n/// tonic::Code\nfn f() {} // tonic::Code",
        "mod tonic;",
        "use super::tonic::X;",
        "#[cfg(feature = \"tonic\")] fn f() { \"tonic::Status\" }",
        "#[cfg(test)] mod tests { use tonic::Status; }",
    ] {
        assert_eq!(strangers("layers/retry/policy.rs", text), 0, "{text}");
    }
}

#[test]
fn counts_the_lines_of_code_without_comments_blanks_and_tests() {
    let long = |path: &str, lines: usize, rest: &str| {
        let code = "fn f() {}\n".repeat(lines);
        let file = File::new(path, &(code + rest)).unwrap();
        !long_files(&[file]).is_empty()
    };
    let rest = "\n\n// a comment\n/// A doc comment,\n/// of two lines.\n/* and\nthis */\n\
                #[cfg(test)]\nmod tests {\n    fn g() {}\n}\n";
    assert!(!long(
        "layers/retry/policy.rs",
        300,
        &rest.replace("///", "//!")
    ));
    assert!(!long(
        "layers/retry/policy.rs",
        299,
        &(rest.to_owned() + "fn h() {}\n")
    ));
    assert!(long(
        "layers/retry/policy.rs",
        300,
        &(rest.to_owned() + "fn h() {}\n")
    ));
    assert!(long(
        "layers/retry/policy.rs",
        299,
        "const X: &str = \"\n\";\n"
    ));
    assert!(!long("layers/retry/tests.rs", 900, ""));
}
