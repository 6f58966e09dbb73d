use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::lock::lock;

/// A DNS server on loopback, over UDP and TCP on one port, whose answers a test changes. It ends
/// when it is dropped.
///
/// ```
/// use std::net::Ipv4Addr;
/// use testing::{DnsAnswer, DnsServer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let dns = DnsServer::start().await?;
/// dns.set("orders.test", DnsAnswer::addresses(1, [Ipv4Addr::LOCALHOST]));
/// let target = format!("dns://{}/orders.test:50051", dns.address());
/// # let _ = target;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _tasks: JoinSet<()>,
}

/// What the server answers for a name.
#[derive(Clone, Debug)]
pub enum DnsAnswer {
    /// These addresses. A family without one is NODATA.
    Addresses {
        /// For how many seconds they are good.
        ttl: u32,
        /// Of both families.
        ips: Vec<IpAddr>,
    },
    /// The answer for another name, with a CNAME record before it.
    Alias {
        /// For how many seconds it is good.
        ttl: u32,
        /// The other name.
        name: String,
    },
    /// NXDOMAIN.
    NoName,
    /// SERVFAIL.
    ServFail,
    /// REFUSED.
    Refused,
    /// Nothing.
    Silence,
}

/// A question that the server received.
#[derive(Clone, Debug)]
pub struct DnsQuery {
    /// Without a dot at its end.
    pub name: String,
    /// The type of record.
    pub family: Family,
    /// How it came.
    pub transport: Transport,
    /// When it came.
    pub at: Instant,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A connection.
    Tcp,
}

#[derive(Debug, Default)]
struct Zone {
    /// `None`: for both families.
    answers: HashMap<(String, Option<Family>), DnsAnswer>,
    outage: Option<DnsAnswer>,
    queries: Vec<DnsQuery>,
}

/// Without EDNS.
const DATAGRAM: usize = 512;
/// A lost race for a port, for TCP may be in use where UDP is not.
const PORTS: usize = 32;

impl DnsAnswer {
    /// These addresses, good for `ttl` seconds.
    pub fn addresses<A: Into<IpAddr>>(ttl: u32, ips: impl IntoIterator<Item = A>) -> Self {
        let ips = ips.into_iter().map(Into::into);
        Self::Addresses {
            ttl,
            ips: ips.collect(),
        }
    }
}

impl DnsServer {
    /// Starts a server that knows no name.
    ///
    /// # Errors
    ///
    /// If there is no free port on loopback.
    pub async fn start() -> io::Result<Self> {
        let (udp, tcp) = bind().await?;
        let address = udp.local_addr()?;
        let zone = Arc::new(Mutex::new(Zone::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_datagrams(udp, Arc::clone(&zone)));
        tasks.spawn(serve_connections(tcp, Arc::clone(&zone)));
        Ok(Self {
            address,
            zone,
            _tasks: tasks,
        })
    }

    /// Where it listens, over UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The answer for a name from now on.
    pub fn set(&self, name: &str, answer: DnsAnswer) {
        lock(&self.zone).answers.insert((key(name), None), answer);
    }

    /// The answer for one family of a name from now on; it goes before that for both.
    pub fn set_family(&self, name: &str, family: Family, answer: DnsAnswer) {
        let place = (key(name), Some(family));
        lock(&self.zone).answers.insert(place, answer);
    }

    /// Answers all questions with this, or by name again.
    pub fn set_outage(&self, answer: Option<DnsAnswer>) {
        lock(&self.zone).outage = answer;
    }

    /// The questions so far.
    #[must_use]
    pub fn queries(&self) -> Vec<DnsQuery> {
        lock(&self.zone).queries.clone()
    }
}

async fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = None;
    for _ in 0..PORTS {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

async fn serve_datagrams(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = vec![0; 4_096];
    // An error is that of an earlier answer, which met a closed port.
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let question = buffer.get(..length).unwrap_or_default();
        if let Some(answer) = answer(&zone, question, Transport::Udp) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn serve_connections(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let zone = Arc::clone(&zone);
                connections.spawn(async move {
                    let _ = serve_connection(stream, zone).await;
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

async fn serve_connection(mut stream: TcpStream, zone: Arc<Mutex<Zone>>) -> io::Result<()> {
    loop {
        let mut question = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut question).await?;
        if let Some(answer) = answer(&zone, &question, Transport::Tcp) {
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            stream.write_u16(length).await?;
            stream.write_all(&answer).await?;
        }
    }
}

fn answer(zone: &Mutex<Zone>, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let query = question.queries.first()?.clone();
    let family = match query.query_type() {
        RecordType::A => Family::V4,
        RecordType::AAAA => Family::V6,
        _ => return None,
    };
    let name = key(&query.name().to_ascii());
    let mut message = Message::response(question.metadata.id, question.metadata.op_code);
    message.metadata.recursion_desired = question.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.add_query(query.clone());
    let mut zone = lock(zone);
    zone.queries.push(DnsQuery {
        name,
        family,
        transport,
        at: Instant::now(),
    });
    let is_answered = zone.write(&mut message, query.name(), family);
    drop(zone);
    let bytes = is_answered.then(|| message.to_vec().ok()).flatten()?;
    let edns = question.edns.as_ref();
    let most = edns.map_or(DATAGRAM, |edns| edns.max_payload().into());
    if transport == Transport::Udp && bytes.len() > most {
        message.answers.clear();
        message.metadata.truncation = true;
        return message.to_vec().ok();
    }
    Some(bytes)
}

impl Zone {
    /// Whether there is an answer.
    fn write(&self, message: &mut Message, name: &Name, family: Family) -> bool {
        let key = key(&name.to_ascii());
        let own = self.answers.get(&(key.clone(), Some(family)));
        let own = own.or_else(|| self.answers.get(&(key, None)));
        let answer = self.outage.as_ref().or(own);
        match answer.unwrap_or(&DnsAnswer::NoName) {
            DnsAnswer::Silence => return false,
            DnsAnswer::NoName => {
                message.metadata.response_code = ResponseCode::NXDomain;
                message.add_authority(soa(name));
            }
            DnsAnswer::ServFail => message.metadata.response_code = ResponseCode::ServFail,
            DnsAnswer::Refused => message.metadata.response_code = ResponseCode::Refused,
            DnsAnswer::Alias { ttl, name: other } => {
                let Ok(other) = Name::from_ascii(format!("{other}.")) else {
                    return false;
                };
                let alias = RData::CNAME(CNAME(other.clone()));
                message.add_answer(Record::from_rdata(name.clone(), *ttl, alias));
                return self.write(message, &other, family);
            }
            DnsAnswer::Addresses { ttl, ips } => {
                let ips = ips
                    .iter()
                    .filter(|ip| ip.is_ipv4() == (family == Family::V4));
                let mut has_one = false;
                for ip in ips {
                    has_one = true;
                    message.add_answer(Record::from_rdata(name.clone(), *ttl, RData::from(*ip)));
                }
                if !has_one {
                    message.add_authority(soa(name));
                }
            }
        }
        true
    }
}

fn soa(name: &Name) -> Record {
    let data = SOA::new(name.clone(), name.clone(), 1, 3_600, 600, 86_400, 1);
    Record::from_rdata(name.clone(), 1, RData::SOA(data))
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
