//! The server's application: it does what a call asks for, and the answer to each call's first
//! attempt is lost on its way.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use crate::link::Cut;
use crate::proto::Parcel;
use crate::proto::depot_server;

pub(crate) struct Depot {
    pub(crate) book: Arc<Book>,
    pub(crate) cut: Cut,
}

/// What happened in the depot. A call is known by its parcel; its attempts are not told apart.
#[derive(Default)]
pub(crate) struct Book(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    calls: HashMap<u64, Count>,
    answers: HashMap<Vec<u8>, Parcel>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// How often the call came to the application.
    pub(crate) reached: u32,
    /// How often the application did what it asks for.
    pub(crate) ran: u32,
}

impl Book {
    pub(crate) fn count(&self, id: u64) -> Count {
        self.0.lock().calls.get(&id).copied().unwrap_or_default()
    }

    /// Does what the call asks for; if it brings a key that was here before, answers as then.
    fn run(&self, parcel: Parcel, key: Option<&[u8]>) -> (Parcel, Count) {
        let mut pages = self.0.lock();
        let before = key.and_then(|key| pages.answers.get(key)).copied();
        let count = pages.calls.entry(parcel.id).or_default();
        count.reached += 1;
        count.ran += u32::from(before.is_none());
        let (answer, count) = (before.unwrap_or(parcel), *count);
        if let Some(key) = key {
            pages.answers.insert(key.to_owned(), answer);
        }
        (answer, count)
    }
}

impl Depot {
    async fn serve(&self, request: Request<Parcel>) -> Result<Response<Parcel>, Status> {
        let key = request.metadata().get("idempotency-key").cloned();
        let key = key.as_ref().map(MetadataValue::as_bytes);
        let (answer, count) = self.book.run(request.into_inner(), key);
        if count.reached == 1 {
            self.cut.now();
            // No answer can win the race against the cut.
            std::future::pending::<()>().await;
        }
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl depot_server::Depot for Depot {
    async fn find(&self, request: Request<Parcel>) -> Result<Response<Parcel>, Status> {
        self.serve(request).await
    }

    async fn put_address(&self, request: Request<Parcel>) -> Result<Response<Parcel>, Status> {
        self.serve(request).await
    }

    async fn get_label(&self, request: Request<Parcel>) -> Result<Response<Parcel>, Status> {
        self.serve(request).await
    }

    async fn get_next(&self, request: Request<Parcel>) -> Result<Response<Parcel>, Status> {
        self.serve(request).await
    }

    async fn set_weight(&self, request: Request<Parcel>) -> Result<Response<Parcel>, Status> {
        self.serve(request).await
    }

    async fn send(&self, request: Request<Parcel>) -> Result<Response<Parcel>, Status> {
        self.serve(request).await
    }

    async fn shift(&self, request: Request<Parcel>) -> Result<Response<Parcel>, Status> {
        self.serve(request).await
    }
}
