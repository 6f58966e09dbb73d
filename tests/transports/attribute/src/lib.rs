//! `#[transports::test]`: see there.
#![allow(
    clippy::panic,
    reason = "a panic of a macro is an error of the compiler"
)]

use proc_macro::{TokenStream, TokenTree};

/// Makes a test of an `async fn` for each transport; the arguments are those of `#[tokio::test]`.
///
/// The tests of `async fn it_works()` are `it_works::over_tonic` and `it_works::over_ours`.
///
/// # Panics
///
/// If it stands above anything but a function.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let name = name_of(function.clone());
    let tests = format!(
        "mod {name} {{
            #[tokio::test({arguments})]
            async fn over_tonic() {{
                ::transports::Transport::Tonic.run(super::{name}()).await
            }}
            #[tokio::test({arguments})]
            async fn over_ours() {{
                ::transports::Transport::Ours.run(super::{name}()).await
            }}
        }}"
    );
    let tests: TokenStream = match tests.parse() {
        Ok(tests) => tests,
        Err(error) => panic!("{error}"),
    };
    function.into_iter().chain(tests).collect()
}

/// The word after `fn`.
fn name_of(function: TokenStream) -> String {
    let mut tokens = function.into_iter();
    let is_fn = |token: &TokenTree| token.to_string() == "fn";
    match (tokens.find(is_fn), tokens.next()) {
        (Some(_), Some(name)) => name.to_string(),
        _ => panic!("this is an attribute of functions"),
    }
}
