use crate::events;
use crate::kernel::sync::Mutex;

/// How an endpoint breaks HTTP/2: one WARN event for each cause, until the cause changes (CONTRACT
/// C18). The connections of an endpoint share it.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    last: Mutex<Option<String>>,
}

impl Complaints {
    /// An event, if the peer is at fault and was not for this cause before.
    pub(crate) fn hear(&self, endpoint: &str, error: &h2::Error) {
        if is_peer_s_fault(error) {
            self.tell(endpoint, &error.to_string());
        }
    }

    #[cold]
    fn tell(&self, endpoint: &str, cause: &str) {
        let mut last = self.last.lock();
        if last.as_deref() == Some(cause) {
            return;
        }
        let before = last.replace(cause.to_owned());
        // A subscriber may run any code.
        drop(last);
        drop(before);
        events::hostile_peer(endpoint, cause);
    }
}

/// h2 itself ended the stream or the connection, or the tap found a flood.
fn is_peer_s_fault(error: &h2::Error) -> bool {
    let io = error.get_io();
    error.is_library() || io.is_some_and(|it| it.kind() == std::io::ErrorKind::InvalidData)
}
