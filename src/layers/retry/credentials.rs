use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body::Frame;

use crate::classify;
use crate::dispatch::failure_of;
use crate::error::Error;
use crate::grpc::Code;
use crate::kernel::sync::Mutex;

/// Whether the credentials that a hook brings were refused, by whichever call (CONTRACT I6).
#[derive(Clone, Debug, Default)]
pub(super) struct Credentials(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// How often the hook has renewed them.
    renewals: u64,
    /// How they were refused since.
    refusal: Option<Error>,
}

impl Credentials {
    /// How they were refused, if they were and the hook has not renewed them since.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.0.lock().refusal.clone()
    }

    pub(super) fn renewals(&self) -> u64 {
        self.0.lock().renewals
    }

    /// The hook has run with success after it was told that those of so many renewals were refused.
    pub(super) fn renewed(&self, renewals: u64) {
        let refusal = {
            let mut known = self.0.lock();
            // Another run may have been told the same.
            if known.renewals != renewals {
                return;
            }
            known.renewals += 1;
            known.refusal.take()
        };
        drop(refusal);
    }

    /// Those that an attempt sends now.
    pub(super) fn sent(&self) -> Sent {
        Sent {
            renewals: self.renewals(),
            credentials: self.clone(),
        }
    }
}

/// The credentials that one attempt was sent with.
#[derive(Debug)]
pub(super) struct Sent {
    credentials: Credentials,
    renewals: u64,
}

impl Sent {
    /// The attempt failed so.
    pub(super) fn failed(&self, error: &Error) {
        if error.code() == Code::Unauthenticated {
            self.refused(error.clone());
        }
    }

    /// The attempt was answered with a head that says this.
    pub(super) fn answered<R>(&self, response: &Response<R>, code: Option<Code>) {
        if let (Some(Code::Unauthenticated), Some(error)) = (code, failure_of(response)) {
            self.refused(error);
        }
    }

    /// This was read of the answer.
    pub(super) fn read(&self, read: &Result<Frame<Bytes>, Error>) {
        let trailers = match read {
            Ok(frame) => frame.trailers_ref(),
            Err(error) => return self.failed(error),
        };
        let said = trailers.filter(|it| Code::from_headers(it) == Some(Code::Unauthenticated));
        if let Some((verdict, status)) = said.and_then(classify::trailers) {
            self.refused(Error::answered(verdict, status));
        }
    }

    #[cold]
    fn refused(&self, error: Error) {
        let error = error.without_cause();
        let before = {
            let mut known = self.credentials.0.lock();
            // It says nothing of those that came since.
            if known.renewals != self.renewals {
                return;
            }
            known.refusal.replace(error)
        };
        drop(before);
    }
}
