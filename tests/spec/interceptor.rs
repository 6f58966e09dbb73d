//! Generated clients with an interceptor, over any of our stacks.

use test_protos::EchoClient;
use testing::Server;
use tonic::{Code, Request, Status};

use crate::support::{for_each_stack, hello};

#[transports::test(start_paused = true)]
async fn a_generated_client_with_an_interceptor_takes_every_stack() {
    let server = Server::in_memory();
    let names = for_each_stack!(server.channel(), |name, stack| {
        server.clear();
        let mut client = EchoClient::with_interceptor(stack.clone(), |mut request: Request<()>| {
            request
                .metadata_mut()
                .insert("x-token", "t".parse().unwrap());
            Ok(request)
        });
        client.unary(hello()).await.unwrap();
        assert_eq!(server.calls()[0].header("x-token"), Some("t"), "{name}");

        let refuse = |_: Request<()>| Err::<Request<()>, _>(Status::unauthenticated("no token"));
        let mut client = EchoClient::with_interceptor(stack, refuse);
        let status = client.unary(hello()).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unauthenticated, "no token"),
            "{name}"
        );
        let answers = client.server_stream(hello()).await;
        assert_eq!(answers.unwrap_err().code(), Code::Unauthenticated, "{name}");
        assert_eq!(server.calls().len(), 1, "{name}");
    });
    assert!(names.len() > 10);
}
