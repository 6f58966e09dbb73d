//! Which answer which call gets.

mod support;

use support::{client, hello};
use testing::{Answer, Script, Server, method};
use tonic::Code;

fn say(text: &str) -> Answer {
    Answer::status(Code::Aborted, text)
}

#[tokio::test]
async fn the_nearest_answer_wins() {
    let server = Server::in_memory();
    server
        .script()
        .otherwise(say("otherwise"))
        .always(method::UNARY, say("always"))
        .next(say("next"))
        .on(method::UNARY, [say("first"), say("second")]);
    assert_eq!(server.script().remaining(), 3);
    let mut client = client(&server);
    for expected in ["first", "second", "next", "always", "always"] {
        assert_eq!(client.unary(hello()).await.unwrap_err().message(), expected);
    }
    assert_eq!(server.script().remaining(), 0);
    assert_eq!(
        client.unary_unknown(hello()).await.unwrap_err().message(),
        "otherwise"
    );
    server.script().clear();
    assert!(client.unary(hello()).await.is_ok());
}

#[tokio::test]
async fn servers_can_share_a_script() {
    let script = Script::new();
    let one = Server::builder().echo().script(script.clone()).in_memory();
    let two = Server::builder().echo().script(script.clone()).in_memory();
    script.next(say("once"));
    assert!(client(&one).unary(hello()).await.is_err());
    assert!(client(&two).unary(hello()).await.is_ok());
}

#[tokio::test]
async fn a_server_needs_no_service() {
    let server = Server::builder().in_memory();
    let mut client = client(&server);
    assert_eq!(
        client.unary(hello()).await.unwrap_err().code(),
        Code::Unimplemented
    );
    server.script().next(say("scripted"));
    assert_eq!(
        client.unary(hello()).await.unwrap_err().message(),
        "scripted"
    );
}
