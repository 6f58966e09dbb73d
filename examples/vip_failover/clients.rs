//! The clients: the README's lines with three settings more, and what a guide tells clients of a
//! leader to do.

use std::net::SocketAddr;
use std::time::Duration;

use grpc_resilience::channel::Channel;
use grpc_resilience::{AttemptTimeoutLayer, Resilience, Resilient, RetryPolicy};
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::Caller;
use grpc_resilience_examples::fleet::proto::Answer;
use tokio::time::sleep;
use tonic::transport::{self, Endpoint};
use tonic::{Code, Status};

use crate::proto::leader::leader_client::LeaderClient;
use crate::proto::leader::{Ask, Told};

/// What the guide's client is called in tables and plots.
pub(crate) const GUIDE: &str = "tonic, the guide's recipe";

/// This crate's client.
#[derive(Clone)]
pub(crate) struct Ours {
    pub(crate) channel: Channel,
    pub(crate) leader: LeaderClient<Resilient<Channel>>,
}

impl Ours {
    /// Once it is connected.
    pub(crate) async fn new(vip: SocketAddr) -> Result<Self, Failure> {
        let channel = Channel::builder(format!("ipv4:{vip}"))
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10))
            .build()?;
        let layered = Resilience::new()
            .default_timeout(Duration::from_secs(15))
            .retry(RetryPolicy::until_deadline())
            .attempt_timeout(AttemptTimeoutLayer::new(Duration::from_secs(1))?)
            .idempotent("/vip_failover.v1.Leader/Read")?
            .wrap(channel.clone());
        let mut leader = LeaderClient::new(layered);
        leader.read(Ask { number: 0 }).await?;
        Ok(Self { channel, leader })
    }
}

/// 100 ms x2 and jitter, three tries, whatever the method is.
#[derive(Clone)]
pub(crate) struct Guide(LeaderClient<transport::Channel>);

const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);

impl Guide {
    pub(crate) async fn new(vip: SocketAddr) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_shared(format!("http://{vip}"))?
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true);
        let mut leader = LeaderClient::new(endpoint.connect_lazy());
        leader.read(Ask { number: 0 }).await?;
        Ok(Self(leader))
    }

    pub(crate) async fn call(&self, method: Method, number: u64) -> Result<Told, Status> {
        let mut leader = self.0.clone();
        for tried in 1.. {
            let ask = Ask { number };
            let answer = match method {
                Method::Read => leader.read(ask).await,
                Method::Append => leader.append(ask).await,
            };
            let status = match answer {
                Ok(told) => return Ok(told.into_inner()),
                Err(status) => status,
            };
            let is_tried = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
            if tried == TRIES || !is_tried {
                return Err(status);
            }
            let pause = PAUSE * 2_u32.pow(tried - 1);
            sleep(pause.mul_f64(1.0 + rand::random::<f64>() / 2.0)).await;
        }
        Err(Status::internal("no try was made"))
    }
}

/// What is asked of the leader.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Method {
    Read,
    Append,
}

impl Caller for Ours {
    fn make(&self, call: u32) -> impl Future<Output = Result<Answer, Status>> + Send + 'static {
        let mut leader = self.leader.clone();
        async move {
            let ask = Ask {
                number: call.into(),
            };
            Ok(answer(&leader.read(ask).await?.into_inner()))
        }
    }
}

impl Caller for Guide {
    fn make(&self, call: u32) -> impl Future<Output = Result<Answer, Status>> + Send + 'static {
        let client = self.clone();
        async move {
            let told = client.call(Method::Read, call.into()).await?;
            Ok(answer(&told))
        }
    }
}

fn answer(told: &Told) -> Answer {
    Answer {
        server: told.leader,
        connections: 0,
    }
}
