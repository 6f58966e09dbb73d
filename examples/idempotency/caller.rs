//! Makes calls and writes down what was decided of each, and what became of it.

use std::ops::AsyncFnOnce;
use std::sync::Arc;

use grpc_resilience::call::{Method, Safety};
use grpc_resilience::grpc::Code;
use grpc_resilience::idempotency::Explanation;
use grpc_resilience::report::FailedAttempt;
use grpc_resilience::{CallOptionsExt, GiveUp, IdempotencyLayer, Resilient};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::depot::{Book, Count};
use crate::proto::Parcel;
use crate::proto::depot_client::DepotClient;

pub(crate) type Client = DepotClient<Resilient<Channel>>;
type Answer = Result<Response<Parcel>, Status>;

pub(crate) struct Caller {
    pub(crate) client: Client,
    pub(crate) layer: IdempotencyLayer,
    pub(crate) book: Arc<Book>,
    pub(crate) rows: Vec<Row>,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Row {
    /// How, in the source.
    pub(crate) declared: &'static str,
    /// What the layer says of the method.
    pub(crate) explanation: Explanation,
    /// What the call said of itself.
    pub(crate) option: Option<Safety>,
    pub(crate) attempts: u32,
    pub(crate) failed: Vec<FailedAttempt>,
    pub(crate) count: Count,
    pub(crate) code: Code,
    pub(crate) give_up: Option<GiveUp>,
}

impl Caller {
    /// Calls a method, and says nothing of this call in particular.
    pub(crate) async fn call<F>(&mut self, declared: &'static str, method: Method, rpc: F)
    where
        F: AsyncFnOnce(&mut Client, Request<Parcel>) -> Answer,
    {
        let request = self.request();
        self.send(declared, method, request, rpc).await;
    }

    /// For a parcel that no other call is about.
    pub(crate) fn request(&self) -> Request<Parcel> {
        let id = self.rows.len() as u64;
        Request::new(Parcel { id })
    }

    pub(crate) async fn send<F>(
        &mut self,
        declared: &'static str,
        method: Method,
        mut request: Request<Parcel>,
        rpc: F,
    ) where
        F: AsyncFnOnce(&mut Client, Request<Parcel>) -> Answer,
    {
        let id = request.get_ref().id;
        let option = request.call_options().chosen_safety();
        let report = request.call_report();
        let status = rpc(&mut self.client, request).await.err();
        self.rows.push(Row {
            declared,
            explanation: self.layer.explain(method.path()),
            option,
            attempts: report.attempts(),
            failed: report.failed_attempts(),
            count: self.book.count(id),
            code: status.as_ref().map_or(Code::Ok, |it| it.code().into()),
            give_up: status.and_then(|it| GiveUp::find(&it)),
        });
    }
}
