use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::AgentAddress;
use super::agent_error::{AgentError, MOST_BYTES};
use super::answer::Answer;
use super::token::Token;
use crate::error::BoxError;

/// An agent, as its HTTP interface shows it.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) address: AgentAddress,
    pub(crate) token: Option<Token>,
}

const TOKEN: &str = "x-consul-token";

impl Agent {
    /// Sends one request, over a connection of its own. Dropping the future closes it, which is how
    /// an agent hears that a blocking query is not wanted any more.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, AgentError> {
        let answer = timeout(limit, self.exchange(method, path, body)).await;
        let answer = answer.map_err(|_| AgentError::Late(limit))??;
        answer.successful(self.token.as_ref())
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, AgentError> {
        let connected = TcpStream::connect(self.address.dial()).await;
        let socket = connected.map_err(AgentError::Unreachable)?;
        let made = http1::handshake(TokioIo::new(socket)).await;
        let (mut sender, connection) = made.map_err(broken)?;
        let request = self.request(method, path, body)?;
        let mut answer = pin!(async move {
            let response = sender.send_request(request).await.map_err(broken)?;
            read(response, MOST_BYTES).await
        });
        let mut connection = Some(Box::pin(connection));
        // Both on this task, so that nothing is left of them when it is dropped.
        poll_fn(|cx| {
            if let Some(open) = &mut connection
                && open.as_mut().poll(cx).is_ready()
            {
                connection = None;
            }
            answer.as_mut().poll(cx)
        })
        .await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, AgentError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some(token) = &self.token {
            request = request.header(TOKEN, token.header());
        }
        request.body(Full::new(body)).map_err(broken)
    }
}

async fn read<B>(response: Response<B>, most: usize) -> Result<Answer, AgentError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (head, body) = response.into_parts();
    let body = Limited::new(body, most).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            AgentError::TooLong
        } else {
            AgentError::Broken(error)
        }
    })?;
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
    })
}

fn broken(error: impl Into<BoxError>) -> AgentError {
    AgentError::Broken(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT N7
    #[tokio::test]
    async fn an_answer_has_its_most_bytes_and_no_more() {
        let response = |bytes: usize| Response::new(Full::new(Bytes::from(vec![b' '; bytes])));
        assert_eq!(read(response(9), 9).await.unwrap().body.len(), 9);
        let error = read(response(10), 9).await.unwrap_err();
        assert!(matches!(error, AgentError::TooLong), "{error}");
    }
}
