use std::fmt;

use http::{HeaderMap, HeaderValue};

use super::STATUS;
use super::headers::find;

/// A gRPC status code.
///
/// Source: [statuscodes.md](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md). With the
/// `tonic` feature it converts from and to `tonic::Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Code {
    /// The call succeeded.
    Ok = 0,
    /// The call was cancelled, usually by the caller.
    Cancelled = 1,
    /// An error without a known cause.
    Unknown = 2,
    /// The request is invalid in any state of the system.
    InvalidArgument = 3,
    /// The deadline passed before the call was over.
    DeadlineExceeded = 4,
    /// The requested entity does not exist.
    NotFound = 5,
    /// The entity to be created exists already.
    AlreadyExists = 6,
    /// The caller lacks the permission.
    PermissionDenied = 7,
    /// A quota or a limit is exhausted.
    ResourceExhausted = 8,
    /// The system is not in the state that the operation requires.
    FailedPrecondition = 9,
    /// The operation was aborted, usually because of a conflict.
    Aborted = 10,
    /// The operation is past the valid range.
    OutOfRange = 11,
    /// The server does not implement the method.
    Unimplemented = 12,
    /// An invariant of the system is broken.
    Internal = 13,
    /// The service can't be reached at present.
    Unavailable = 14,
    /// Data is lost or corrupt.
    DataLoss = 15,
    /// The caller has no valid credentials.
    Unauthenticated = 16,
}

impl Code {
    /// All codes, ordered by number.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The code with this number; `Unknown` if no code has it.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .unwrap_or(Self::Unknown)
    }

    /// The code of a `grpc-status` value.
    ///
    /// Any value other than one of the seventeen numbers in its shortest form is `Unknown`, as in
    /// the three core implementations.
    #[must_use]
    pub fn from_header(value: &[u8]) -> Self {
        match value {
            [digit @ b'0'..=b'9'] => Self::from_number(digit - b'0'),
            [b'1', digit @ b'0'..=b'9'] => Self::from_number(10 + digit - b'0'),
            _ => Self::Unknown,
        }
    }

    /// Whether a valid `grpc-status` is present. If it is repeated, all its values must be equal.
    pub(crate) fn is_in(headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(STATUS).iter().map(HeaderValue::as_bytes);
        let Some(value) = values.next() else {
            return false;
        };
        let is_one = value == b"2" || Self::from_header(value) != Self::Unknown;
        is_one && values.all(|other| other == value)
    }

    /// The code in trailers or in a Trailers-Only head; `None` without `grpc-status`.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = find(headers, &STATUS)?;
        Some(Self::from_header(value.as_bytes()))
    }

    /// The name of the code in gRPC's service config, such as `UNAVAILABLE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT R16
    #[test]
    fn a_status_text_that_is_no_number_of_a_code_is_unknown() {
        for text in ["", "x", "17", "99", "014", "-1", "1 ", "255", "1e1"] {
            assert_eq!(
                Code::from_header(text.as_bytes()),
                Code::Unknown,
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_code_is_read_from_its_number() {
        for code in Code::ALL {
            let text = (code as u8).to_string();
            assert_eq!(Code::from_header(text.as_bytes()), code);
        }
    }
}
