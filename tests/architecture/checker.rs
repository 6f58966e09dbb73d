//! Proof that the checker sees what it must, over snippets of source.

use super::files::File;
use super::rules::{broken_floors, circles, long_files, strangers_to_tonic};

/// The lines of a file at which it breaks a floor.
fn breaks(path: &str, text: &str) -> Vec<String> {
    let lib = "mod error; pub use error::{Error, GiveUp as Why}; pub use retry::RetryLayer;";
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
        breaks("retry/service.rs", "\nuse crate::budget::TokenBucket;"),
        [
            "retry/service.rs:2 names crate::budget::TokenBucket: `retry` and `budget` stand \
             side by side (layers), and a room never names its neighbour"
        ]
    );
}

#[test]
fn reports_an_upward_import_and_says_which_floors() {
    assert_eq!(
        breaks("grpc/code.rs", "use crate::call::Context;"),
        [
            "grpc/code.rs:1 names crate::call::Context: `call` (context) stands above `grpc` \
             (words), and a room names only lower floors"
        ]
    );
}

#[test]
fn reports_a_path_however_it_is_written() {
    let names = "retry/service.rs:1 names crate::budget";
    for text in [
        "use super::super::budget::Budget;",
        "use super::super::{budget};",
        "use crate::{error::Error, grpc::{self, Code}, budget::{self as purse}};",
        "use {crate::budget, std::fmt};",
        "pub use crate::budget::*;",
        "fn f() { let x = crate::budget::TokenBucket::default(); }",
        "fn f(x: Vec<crate::budget::TokenBucket>) {}",
        "impl crate::budget::B for X {}",
        "pub(in crate::budget) fn f() {}",
        "fn f() { tracing::warn!(tokens = %crate::budget::tokens(), \"low\") }",
        "macro_rules! m { () => { $crate::budget::f() } }",
        "mod inner { fn f() { super::super::super::budget::f() } }",
        "#[cfg(test)] mod tests { use crate::budget::TokenBucket; }",
        "const X: [u8; { super::super::budget::SIZE }] = [];",
        "fn f() { x(crate::grpc::parse::<crate::budget::Y>()) }",
    ] {
        assert_breaks("retry/service.rs", text, names);
    }
    let upward = "retry/mod.rs:1 names crate::stack";
    assert_breaks("retry/mod.rs", "use super::stack::Resilience;", upward);
    assert_breaks(
        "rng.rs",
        "use super::grpc::Code;",
        "rng.rs:1 names crate::grpc",
    );
}

#[test]
fn reports_an_item_that_the_root_re_exports() {
    let floor = "`error` (failure) stands above";
    let faults = breaks("call/trace.rs", "use crate::{Error, Why};");
    assert_eq!(faults.len(), 2);
    assert!(
        faults.iter().all(|fault| fault.contains(floor)),
        "{faults:#?}"
    );
    let neighbour = "budget/layer.rs:1 names crate::RetryLayer: `budget` and `retry`";
    assert_breaks("budget/layer.rs", "use crate::RetryLayer;", neighbour);
}

#[test]
fn reports_the_whole_crate_however_it_is_named() {
    let whole = "retry/policy.rs:1 names crate";
    for text in [
        "use crate::*;",
        "use super::super::*;",
        "use crate as all;",
        "use super::super as all;",
        "use crate::{self as all};",
    ] {
        assert_breaks("retry/policy.rs", text, whole);
    }
}

#[test]
fn reports_a_room_without_a_floor_and_says_where_to_add_it() {
    let faults = breaks("hedge/mod.rs", "use crate::grpc::Code;");
    let expected = "hedge is a room without a floor: add it to FLOORS in tests/architecture.rs";
    assert_eq!(faults, [expected]);
    assert_breaks(
        "retry/mod.rs",
        "use crate::hedge::X;",
        "retry/mod.rs:1 names crate::hedge::X: `hedge` is no room with a floor",
    );
}

#[test]
fn permits_lower_floors_the_own_room_and_other_crates() {
    let text = r#"
        //! Mentions crate::stack::Resilience and super::super::budget.
        use std::sync::Arc;
        use crate::call::{Context, Deadline};
        use crate::{Error, backoff::Backoff, grpc::{self, Code}, rng::Rng, sync::Mutex};
        use super::super::dispatch::Attempt;
        use super::policy::{self, RetryPolicy};
        use crate::retry::future::ResponseFuture;

        /// See [`crate::budget::TokenBucket`].
        #[doc = "crate::budget"]
        pub(crate) struct X { pub(super) a: Arc<budget::Y> /* crate::budget */ }
        impl X {
            fn f(self) -> &'static str { self.a; super::g(); r"crate::budget::f" } // crate::budget
            fn budget(&self) { self::budget::deadline() }
        }
        mod tests { use super::*; use super::super::policy::Plan; }
    "#;
    assert_eq!(breaks("retry/service.rs", text), [""; 0]);
    let stack = "use crate::{budget::BudgetLayer, retry::RetryLayer, sync::Mutex};";
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
        assert_eq!(strangers("retry/policy.rs", text), 1, "{text}");
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
        assert_eq!(strangers("retry/policy.rs", text), 0, "{text}");
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
    assert!(!long("retry/policy.rs", 300, &rest.replace("///", "//!")));
    assert!(!long(
        "retry/policy.rs",
        299,
        &(rest.to_owned() + "fn h() {}\n")
    ));
    assert!(long(
        "retry/policy.rs",
        300,
        &(rest.to_owned() + "fn h() {}\n")
    ));
    assert!(long("retry/policy.rs", 299, "const X: &str = \"\n\";\n"));
    assert!(!long("retry/tests.rs", 900, ""));
}
