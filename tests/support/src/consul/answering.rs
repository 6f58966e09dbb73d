use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::http::{Request, Response};
use super::upstream::forward;
use super::{ConsulFault, ConsulQuery, Shared};
use crate::lock::lock;

const HEALTH: &str = "/v1/health/service/";
const WAIT: Duration = Duration::from_secs(300);

/// Answers the one request of a connection.
pub(super) async fn answer(mut socket: TcpStream, shared: &Shared) -> io::Result<()> {
    let request = Request::read(&mut socket).await?;
    note(&request, shared);
    if request.place().starts_with(HEALTH) {
        return answer_query(&mut socket, &request, shared).await;
    }
    let response = match shared.upstream {
        Some(agent) => forward(agent, &request, &request.path).await?,
        None => act(&request, shared),
    };
    response.write(&mut socket).await
}

fn note(request: &Request, shared: &Shared) {
    let mut state = lock(&shared.state);
    let journal = &mut state.journal;
    let of_all = (request.path.clone(), request.token.clone());
    journal.requests.push(of_all);
    if request.place().starts_with(HEALTH) {
        journal.queries.push(ConsulQuery {
            path: request.path.clone(),
            index: request.index(),
            token: request.token.clone(),
            at: Instant::now(),
        });
    }
}

/// What a server asks of its agent.
fn act(request: &Request, shared: &Shared) -> Response {
    let mut state = lock(&shared.state);
    let registry = &mut state.registry;
    let place = decoded(request.place());
    let is_done = match (&*request.method, &*place) {
        ("PUT", "/v1/agent/service/register") => registry.register_body(&request.body).is_some(),
        (method, place) => {
            let after = |start: &str| place.strip_prefix(start).map(str::to_owned);
            if let Some(id) = after("/v1/agent/service/deregister/") {
                registry.deregister(&id)
            } else if let Some(id) = after("/v1/agent/check/update/service:") {
                registry.report(&id)
            } else if let Some(id) = after("/v1/agent/service/") {
                method == "GET" && registry.has(&id)
            } else {
                false
            }
        }
    };
    drop(state);
    shared.wake();
    if is_done {
        Response::new(200, "{}")
    } else {
        Response::new(404, "unknown here")
    }
}

/// What ends a wait.
enum End {
    Changed,
    Over,
    Left,
}

async fn answer_query(
    socket: &mut TcpStream,
    request: &Request,
    shared: &Shared,
) -> io::Result<()> {
    let mut changes = shared.changed.subscribe();
    let wait = request.parameters("wait").next();
    let wait = wait.and_then(|it| it.strip_suffix("ms")?.parse().ok());
    let deadline = Instant::now() + wait.map_or(WAIT, Duration::from_millis);
    let mut is_over = request.index().is_none();
    let started_at = lock(&shared.state).base;
    loop {
        changes.borrow_and_update();
        let (fault, base) = {
            let state = lock(&shared.state);
            (state.fault, state.base)
        };
        match fault {
            Some(ConsulFault::Cut) => return Ok(()),
            Some(ConsulFault::Silence) => {}
            Some(_) => return respond(socket, request, shared, fault, base).await,
            // A rewound index ends all waits.
            None if is_over || base != started_at => {
                return respond(socket, request, shared, None, base).await;
            }
            None => {
                let index = lock(&shared.state).registry.index();
                let after = request.index().unwrap_or(0).saturating_add(base);
                if shared.upstream.is_none() && index > after {
                    return respond(socket, request, shared, None, base).await;
                }
            }
        }
        let waits_upstream = fault.is_none() && shared.upstream.is_some();
        tokio::select! {
            response = waited(shared, request, base), if waits_upstream => {
                return shown(response?, base, shared).write(socket).await;
            }
            end = end(socket, &mut changes, deadline) => match end {
                End::Changed => {}
                End::Over => is_over = true,
                End::Left => return Ok(()),
            },
        }
    }
}

/// The answer of the real agent to the query as it stands.
async fn waited(shared: &Shared, request: &Request, base: u64) -> io::Result<Response> {
    let Some(agent) = shared.upstream else {
        return std::future::pending().await;
    };
    let index = request.index().unwrap_or(0);
    let given = format!("index={index}");
    let real = format!("index={}", index.saturating_add(base));
    forward(agent, request, &request.path.replace(&given, &real)).await
}

async fn end(
    socket: &mut TcpStream,
    changes: &mut tokio::sync::watch::Receiver<u64>,
    deadline: Instant,
) -> End {
    let mut byte = [0];
    tokio::select! {
        _ = changes.changed() => End::Changed,
        () = sleep_until(deadline) => End::Over,
        // A client says no more until it leaves.
        _ = socket.read(&mut byte) => End::Left,
    }
}

/// What is known now, or the fault.
async fn respond(
    socket: &mut TcpStream,
    request: &Request,
    shared: &Shared,
    fault: Option<ConsulFault>,
    base: u64,
) -> io::Result<()> {
    let now = match shared.upstream {
        None => {
            let state = lock(&shared.state);
            let service = decoded(request.place().trim_start_matches(HEALTH));
            let tags: Vec<String> = request.parameters("tag").map(decoded).collect();
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            let passing = request.parameters("passing").next().is_some();
            let body = state.registry.list(&service, &tags, passing);
            Response {
                index: Some(state.registry.index()),
                ..Response::new(200, body)
            }
        }
        Some(agent) => {
            let (path, _) = request
                .path
                .split_once("&index=")
                .unwrap_or((&request.path, ""));
            forward(agent, request, path).await?
        }
    };
    let mut response = shown(now, base, shared);
    let half = response.body.len() / 2;
    match fault {
        Some(ConsulFault::Status(status)) => response = Response::new(status, "it fails"),
        Some(ConsulFault::Echo) => response = Response::new(403, request.headers.as_str()),
        Some(ConsulFault::Truncated) => response.body.truncate(half),
        Some(ConsulFault::Empty) => response.body = b"[]".to_vec(),
        Some(ConsulFault::NoIndex) => response.index = None,
        Some(ConsulFault::ZeroIndex) => response.index = Some(0),
        Some(ConsulFault::CutInBody) => return response.write_part(socket, half).await,
        Some(ConsulFault::Cut | ConsulFault::Silence) | None => {}
    }
    response.write(socket).await
}

/// With the index as clients see it.
fn shown(mut response: Response, base: u64, shared: &Shared) -> Response {
    if let Some(index) = &mut response.index {
        let mut state = lock(&shared.state);
        state.newest = state.newest.max(*index);
        *index = index.saturating_sub(base);
    }
    response
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
        match byte {
            b'%' => {
                let high = hex(rest.next()).unwrap_or(0);
                let low = hex(rest.next()).unwrap_or(0);
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(0));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
