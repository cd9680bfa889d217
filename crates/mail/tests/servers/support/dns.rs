//! A real DNS server, dnsmasq, for names that exist nowhere else; and one that is played, for what no honest server says.

use std::net::SocketAddr;

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::SRV},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
};

use super::program::{Program, free_port, whoami};

pub(crate) struct Dnsmasq {
    pub(crate) address: SocketAddr,
    _program: Program,
}

impl Dnsmasq {
    /// Knows what these options say (`--address=…`, `--srv-host=…`) and else that there is nothing below `test.`.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let port = free_port();
        let (on_port, user) = (format!("--port={port}"), format!("--user={}", whoami()));
        let mut arguments = vec![
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--listen-address=127.0.0.1",
            "--local=/test/",
            &on_port,
            &user,
        ];
        arguments.extend(options);
        let mut program = Program::start("dnsmasq", "dnsmasq-base", &arguments);
        program.listens(port).await;
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), _program: program }
    }
}

/// What the played server does with every question for SRV records.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Play {
    /// Says nothing at all.
    Silence,
    /// Answers with bytes that are no message.
    Garbage,
    /// Answers that it failed.
    Failure,
    /// Answers with a target of odd bytes, and one good one behind it.
    OddBytes,
    /// Answers with so many records, by TCP since they do not fit otherwise; the last ones are the best.
    Records(u16),
}

/// Plays a DNS server by UDP and TCP for as long as the test runs; it knows no addresses.
pub(crate) async fn play(play: Play) -> SocketAddr {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((n, from)) = udp.recv_from(&mut buffer).await {
            if let Some(answer) = answer(&buffer[..n], play, true) {
                _ = udp.send_to(&answer, from).await;
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            tokio::spawn(by_tcp(stream, play));
        }
    });
    address
}

async fn by_tcp(mut stream: TcpStream, play: Play) -> std::io::Result<()> {
    loop {
        let mut asked = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut asked).await?;
        if let Some(answer) = answer(&asked, play, false) {
            stream.write_u16(u16::try_from(answer.len()).unwrap()).await?;
            stream.write_all(&answer).await?;
        }
    }
}

fn answer(asked: &[u8], play: Play, is_small: bool) -> Option<Vec<u8>> {
    let asked = Message::from_vec(asked).ok()?;
    let query = asked.queries.first()?.clone();
    let mut message = Message::response(asked.metadata.id, asked.metadata.op_code);
    message.add_query(query.clone());
    if query.query_type() == RecordType::SRV {
        let record = |priority: u16, target: Name| {
            let srv = SRV::new(priority, 0, 993, target);
            Record::from_rdata(query.name().clone(), 60, RData::SRV(srv))
        };
        let good = Name::from_ascii("mail.example.test.").unwrap();
        match play {
            Play::Silence => return None,
            Play::Garbage => return Some(vec![0xff; 40]),
            Play::Failure => message.metadata.response_code = ResponseCode::ServFail,
            Play::OddBytes => {
                let labels: [&[u8]; 3] = [b"a\0\r\n\x1b[31m<b>", b"example", b"test"];
                message.add_answer(record(0, Name::from_labels(labels).unwrap()));
                message.add_answer(record(1, good));
            }
            Play::Records(_) if is_small => message.metadata.truncation = true,
            Play::Records(n) => {
                for nth in 0..n {
                    let target = Name::from_ascii(format!("m{nth}.example.test.")).unwrap();
                    message.add_answer(record(n - nth, target));
                }
            }
        }
    }
    Some(message.to_vec().unwrap())
}
