//! The DNS server says what its test says, by datagram and by connection.

use std::io;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use testing::{DnsAnswer, DnsServer, Family, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

fn question(name: &str, kind: RecordType, payload: Option<u16>) -> io::Result<Vec<u8>> {
    let mut message = Message::query();
    let name = Name::from_ascii(name).map_err(io::Error::other)?;
    message.add_query(Query::query(name, kind));
    if let Some(payload) = payload {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        message.set_edns(edns);
    }
    message.to_vec().map_err(io::Error::other)
}

async fn by_datagram(dns: &DnsServer, question: &[u8]) -> io::Result<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.send_to(question, dns.address()).await?;
    let mut answer = vec![0; 65_535];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Message::from_vec(&answer).map_err(io::Error::other)
}

async fn by_connection(dns: &DnsServer, question: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(dns.address()).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_u16(length).await?;
    stream.write_all(question).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer).map_err(io::Error::other)
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_truncated_and_whole_by_connection() {
    let dns = DnsServer::start().await.unwrap();
    let ips = (0..50).map(|host| [10, 0, 0, host]);
    dns.set("orders.test", DnsAnswer::addresses(5, ips));
    let asked = question("orders.test.", RecordType::A, None).unwrap();
    let answer = by_datagram(&dns, &asked).await.unwrap();
    assert!(answer.metadata.truncation && answer.answers.is_empty());
    let answer = by_connection(&dns, &asked).await.unwrap();
    assert!(!answer.metadata.truncation);
    assert_eq!(answer.answers.len(), 50);
    assert!(answer.answers.iter().all(|record| record.ttl == 5));
    let asked = question("orders.test.", RecordType::A, Some(1_232)).unwrap();
    let answer = by_datagram(&dns, &asked).await.unwrap();
    assert_eq!(answer.answers.len(), 50);
    let transports: Vec<_> = dns.queries().iter().map(|it| it.transport).collect();
    assert_eq!(transports, [Transport::Udp, Transport::Tcp, Transport::Udp]);
}

#[tokio::test]
async fn a_name_has_the_answer_that_was_set_last() {
    let dns = DnsServer::start().await.unwrap();
    let ask = |name: &'static str, kind| {
        let dns = &dns;
        async move {
            let asked = question(name, kind, None).unwrap();
            let answer = by_datagram(dns, &asked).await.unwrap();
            (answer.metadata.response_code, answer.answers.len())
        }
    };
    assert_eq!(
        ask("a.test.", RecordType::A).await,
        (ResponseCode::NXDomain, 0)
    );
    dns.set("a.test", DnsAnswer::addresses(1, [[10, 0, 0, 1]]));
    assert_eq!(
        ask("A.test.", RecordType::A).await,
        (ResponseCode::NoError, 1)
    );
    assert_eq!(
        ask("a.test.", RecordType::AAAA).await,
        (ResponseCode::NoError, 0)
    );
    dns.set_family("a.test", Family::V6, DnsAnswer::Refused);
    assert_eq!(
        ask("a.test.", RecordType::AAAA).await,
        (ResponseCode::Refused, 0)
    );
    dns.set_outage(Some(DnsAnswer::ServFail));
    assert_eq!(
        ask("a.test.", RecordType::A).await,
        (ResponseCode::ServFail, 0)
    );
    dns.set_outage(None);
    assert_eq!(
        ask("a.test.", RecordType::A).await,
        (ResponseCode::NoError, 1)
    );
    let alias = |name: &str| DnsAnswer::Alias {
        ttl: 1,
        name: name.into(),
    };
    dns.set("b.test", alias("a.test"));
    assert_eq!(
        ask("b.test.", RecordType::A).await,
        (ResponseCode::NoError, 2)
    );
}
