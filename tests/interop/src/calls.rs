use std::ops::Range;

use grpc_resilience::CallOptionsExt;
use test_protos::{EchoClient, EchoRequest};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::{Request, Status};

use crate::outcome::Answer;
use crate::scenarios::{Call, Scenario};
use crate::stack::Stack;
use crate::streams;

pub(crate) type Client = EchoClient<Stack>;

/// Makes the calls of the scenario.
pub(crate) async fn make(client: &Client, scenario: &'static Scenario) -> Vec<Answer> {
    let first = usize::from(scenario.warm);
    let mut answers = make_in_turn(client.clone(), scenario, 0..first).await;
    let mut callers = JoinSet::new();
    for caller in 0..scenario.at_once {
        let start = first + caller * scenario.each;
        let numbers = start..start + scenario.each;
        callers.spawn(make_in_turn(client.clone(), scenario, numbers));
    }
    answers.extend(callers.join_all().await.into_iter().flatten());
    answers
}

async fn make_in_turn(
    client: Client,
    scenario: &'static Scenario,
    numbers: Range<usize>,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    for number in numbers {
        answers.push(make_one(client.clone(), scenario, number).await);
    }
    answers
}

async fn make_one(client: Client, scenario: &Scenario, number: usize) -> Answer {
    let id = format!("ours/{}/{number}", scenario.name);
    let mut replies = Vec::new();
    let call = call(client, scenario, &id, &mut replies);
    let result = match scenario.cancel_after {
        // A call is cancelled by dropping it.
        Some(patience) => timeout(patience, call)
            .await
            .unwrap_or_else(|_| Err(Status::cancelled("by the scenario"))),
        None => call.await,
    };
    Answer {
        status: result.err(),
        replies,
    }
}

async fn call(
    mut client: Client,
    scenario: &Scenario,
    id: &str,
    replies: &mut Vec<String>,
) -> Result<(), Status> {
    let hello = request(scenario, id, message(&padded(id, scenario.padded_to)));
    match scenario.call {
        Call::Unary => {
            let reply = client.unary_idempotent(hello).await?;
            replies.push(reply.into_inner().text);
        }
        Call::UnaryUndeclared => {
            let reply = client.unary(hello).await?;
            replies.push(reply.into_inner().text);
        }
        Call::ServerStream => {
            let mut stream = client.server_stream_idempotent(hello).await?.into_inner();
            while let Some(reply) = stream.message().await? {
                replies.push(reply.text);
            }
        }
        Call::ClientStream(messages) => {
            let request = request(scenario, id, streams::spoken(messages));
            let reply = client.client_stream(request).await?;
            replies.push(reply.into_inner().text);
        }
        Call::Bidi(messages) => {
            let (mut speaker, spoken) = streams::speaker(messages).await;
            let request = request(scenario, id, spoken);
            let mut stream = client.bidi_stream(request).await?.into_inner();
            // Ping-pong: the server sees the next message after the client saw its reply.
            while let Some(reply) = stream.message().await? {
                replies.push(reply.text);
                speaker.speak().await;
            }
        }
    }
    Ok(())
}

pub(crate) fn message(text: &str) -> EchoRequest {
    EchoRequest {
        text: text.to_owned(),
        ..EchoRequest::default()
    }
}

fn padded(text: &str, length: usize) -> String {
    let padding = "x".repeat(length.saturating_sub(text.len()));
    format!("{text}{padding}")
}

/// A request that the server tells apart by its id.
fn request<T>(scenario: &Scenario, id: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Ok(id) = id.parse() {
        request.metadata_mut().insert("x-call-id", id);
    }
    if let Some(timeout) = scenario.timeout {
        request.call_options().timeout(timeout);
    }
    request
}
