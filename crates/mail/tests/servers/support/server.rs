//! What the dialect suite asks of a real server, and somebody who looks into its mailboxes beside the client.

use domain::account::{Protocol, Security};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::HANG;

/// The account that every server has.
pub(crate) const USER: &str = "alice";
pub(crate) const USER_PASSWORD: &str = "pass";

/// A running server, ended with its value.
pub(crate) trait Server: Sized {
    async fn start() -> Self;
    /// What it speaks, and how that is secured.
    fn served(&self) -> Vec<(Protocol, Security)>;
    fn port(&self, protocol: Protocol, security: Security) -> u16;
    /// The inbox is empty afterwards, and its UIDVALIDITY is another, unless the clock has not gone on.
    async fn renew(&mut self, user: &str);

    /// Puts messages into a user's inbox, in this order.
    async fn deliver(&self, user: &str, messages: &[Vec<u8>]) {
        let mut onlooker = self.onlooker(user).await;
        for message in messages {
            onlooker.append(message).await;
        }
    }

    /// Another client of this user.
    async fn onlooker(&self, user: &str) -> Onlooker {
        Onlooker::sign_in(self.port(Protocol::Imap, Security::Plain), user).await
    }
}

/// The bluntest IMAP client there is: it believes everything, and shares no line with the one under test.
pub(crate) struct Onlooker {
    stream: BufReader<TcpStream>,
    n_commands: u32,
}

/// A message as the onlooker sees it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) raw: Vec<u8>,
    pub(crate) is_seen: bool,
    pub(crate) is_deleted: bool,
}

impl Onlooker {
    pub(crate) async fn sign_in(port: u16, user: &str) -> Self {
        let stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        let mut onlooker = Self { stream, n_commands: 0 };
        onlooker.line().await;
        onlooker.command(&format!("LOGIN {user} {USER_PASSWORD}")).await;
        onlooker
    }

    /// Sends a command, which must succeed; answers with the untagged responses, each with its last literal.
    pub(crate) async fn command(&mut self, command: &str) -> Vec<(String, Vec<u8>)> {
        self.send(command).await;
        self.replies(command).await
    }

    pub(crate) async fn append(&mut self, message: &[u8]) {
        let command = format!("APPEND INBOX {{{}}}", message.len());
        self.send(&command).await;
        while !self.line().await.starts_with('+') {}
        self.stream.write_all(message).await.unwrap();
        self.stream.write_all(b"\r\n").await.unwrap();
        self.replies(&command).await;
    }

    pub(crate) async fn uid_validity(&mut self) -> u32 {
        let said = self.command("STATUS INBOX (UIDVALIDITY)").await;
        let line = said.iter().find(|it| it.0.contains("UIDVALIDITY")).unwrap();
        line.0.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
    }

    /// The messages of the inbox, in their order.
    pub(crate) async fn inbox(&mut self) -> Vec<Found> {
        self.command("SELECT INBOX").await;
        let said = self.command("UID FETCH 1:* (FLAGS BODY.PEEK[])").await;
        let messages = said.into_iter().filter(|it| it.0.contains(" FETCH ("));
        let seen = |(line, raw): (String, Vec<u8>)| Found {
            raw,
            is_seen: line.contains("\\Seen"),
            is_deleted: line.contains("\\Deleted"),
        };
        messages.map(seen).collect()
    }

    async fn send(&mut self, command: &str) {
        self.n_commands += 1;
        let line = format!("o{} {command}\r\n", self.n_commands);
        self.stream.write_all(line.as_bytes()).await.unwrap();
    }

    async fn replies(&mut self, command: &str) -> Vec<(String, Vec<u8>)> {
        let tag = format!("o{} ", self.n_commands);
        let mut replies = Vec::new();
        loop {
            let (mut line, mut literal) = (self.line().await, Vec::new());
            while let Some(length) = line.strip_suffix('}').and_then(|it| it.rsplit('{').next()?.parse().ok()) {
                literal = vec![0; length];
                timeout(HANG, self.stream.read_exact(&mut literal)).await.expect("the server is silent").unwrap();
                line = format!("{} {}", line.trim_end_matches(|it| it != '{'), self.line().await);
            }
            if let Some(status) = line.strip_prefix(&tag) {
                assert!(status.starts_with("OK"), "{command}: {status}");
                return replies;
            }
            replies.push((line, literal));
        }
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        timeout(HANG, self.stream.read_until(b'\n', &mut line)).await.expect("the server is silent").unwrap();
        assert!(line.ends_with(b"\n"), "the server is gone");
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }
}
