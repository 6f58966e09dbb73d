//! The layer between tonic's server and the services under the script.

use std::{
    convert::Infallible,
    future::pending,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response, request::Parts};
use tonic::{body::Body, service::Routes};
use tower::{Layer, Service};

use crate::{
    Answer, Script,
    body::{AnswerBody, RequestBody},
    connection::Connection,
    kind::Kind,
    log::{CallLog, Entry},
    reply,
};

/// Writes every call down, and does with it what the script says.
#[derive(Clone, Debug)]
pub(crate) struct ScriptLayer {
    pub(crate) script: Script,
    pub(crate) log: CallLog,
}

impl Layer<Routes> for ScriptLayer {
    type Service = Scripted;

    fn layer(&self, handler: Routes) -> Scripted {
        Scripted {
            layer: self.clone(),
            handler,
        }
    }
}

/// Real services under a script.
#[derive(Clone, Debug)]
pub(crate) struct Scripted {
    layer: ScriptLayer,
    handler: Routes,
}

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Service<Request<Body>> for Scripted {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.handler, cx)
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        let (head, body) = request.into_parts();
        let connection = head.extensions.get::<Connection>().cloned();
        let connection_id = connection.as_ref().map_or(0, Connection::id);
        let entry = self.layer.log.enter(&head, connection_id);
        let not_ready = self.handler.clone();
        let work = Work {
            answer: self.layer.script.take(head.uri.path()),
            body: RequestBody::new(body, entry.reader()),
            head,
            entry,
            connection,
            handler: mem::replace(&mut self.handler, not_ready),
        };
        Box::pin(work.answer())
    }
}

/// One call that is being answered.
struct Work {
    answer: Answer,
    head: Parts,
    body: RequestBody,
    entry: Entry,
    connection: Option<Connection>,
    handler: Routes,
}

impl Work {
    async fn answer(mut self) -> Result<Response<Body>, Infallible> {
        self.body.read(self.answer.reading).await;
        if !self.answer.delay.is_zero() {
            tokio::time::sleep(self.answer.delay).await;
        }
        let response = match self.answer.kind {
            Kind::Handler => {
                self.entry.handler_runs();
                let request = Request::from_parts(self.head, Body::new(self.body));
                let mut response = self.handler.call(request).await?;
                response.headers_mut().extend(self.answer.metadata);
                response
            }
            Kind::TrailersOnly(status) => reply::trailers_only(&status, self.answer.metadata),
            Kind::Stream(frames, end) => reply::stream(frames, &end, self.answer.metadata),
            Kind::Http(page) => reply::page(page, self.answer.metadata),
            Kind::Hang => pending().await,
            Kind::DropConnection => {
                self.entry.finish();
                if let Some(connection) = self.connection {
                    connection.sever();
                }
                pending().await
            }
        };
        let (mut head, body) = response.into_parts();
        head.headers.extend(self.answer.head);
        let body = Body::new(AnswerBody::new(body, self.entry));
        Ok(Response::from_parts(head, body))
    }
}
