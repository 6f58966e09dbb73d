use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body::Frame;

use crate::classify;
use crate::dispatch::failure_of;
use crate::error::Error;
use crate::grpc::Code;
use crate::kernel::sync::Mutex;

/// Whether a hook's credentials were refused, for any call (CONTRACT I6).
#[derive(Clone, Debug, Default)]
pub(super) struct Credentials(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// How often the hook has renewed the credentials.
    renewals: u64,
    /// The failure of a call whose credentials were refused since the last renewal.
    refusal: Option<Error>,
}

impl Credentials {
    /// The failure that refused the credentials, unless the hook has renewed them since.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.0.lock().refusal.clone()
    }

    pub(super) fn renewals(&self) -> u64 {
        self.0.lock().renewals
    }

    /// The hook has succeeded, knowing that the credentials of this renewal were refused.
    pub(super) fn renewed(&self, renewals: u64) {
        let refusal = {
            let mut known = self.0.lock();
            // A concurrent run of the hook may have renewed them already.
            if known.renewals != renewals {
                return;
            }
            known.renewals += 1;
            known.refusal.take()
        };
        drop(refusal);
    }

    /// The credentials that an attempt sends now.
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
    /// Called when the attempt failed.
    pub(super) fn failed(&self, error: &Error) {
        if error.code() == Code::Unauthenticated {
            self.refused(error.clone());
        }
    }

    /// Called with the response head of the attempt and its code.
    pub(super) fn answered<R>(&self, response: &Response<R>, code: Option<Code>) {
        if let (Some(Code::Unauthenticated), Some(error)) = (code, failure_of(response)) {
            self.refused(error);
        }
    }

    /// Called with a frame of the response body.
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
            // The refusal concerns older credentials.
            if known.renewals != self.renewals {
                return;
            }
            known.refusal.replace(error)
        };
        drop(before);
    }
}
