//! POP3 (RFC 1939, capabilities RFC 2449, STLS RFC 2595, SASL PLAIN RFC 5034): our own client, since no crate fits.

use std::collections::HashMap;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::check::{ErrorKind, Stage};
use service::ports::{FetchedBatch, Listed, Listing, MailError, Mailbox, RemoteKey, Visit};
use tokio::sync::mpsc;

use crate::{protocol, said, stages::Stages, wire::Wire};

/// A batch that is handed on ends at so many bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// Commands that are sent before the first is answered, where the server offers PIPELINING.
const PIPELINE: usize = 20;

/// Reads the greeting and upgrades: the wire that comes back carries nothing but the beginning of TLS.
pub(crate) async fn start_tls(wire: Wire, stages: &Stages) -> Result<Wire, MailError> {
    let mut wire = greet(wire, stages).await?;
    let upgrade = async {
        wire.stage = Stage::Tls;
        let reply = command(&mut wire, "STLS").await?;
        if !reply.is_ok {
            let message = format!("the server refuses STLS; nothing was sent in clear; {}", said(&reply.text));
            return Err(MailError::new(ErrorKind::Tls, Stage::Tls, message));
        }
        Ok((wire, "STLS".to_owned()))
    };
    stages.run(Stage::Tls, upgrade).await
}

/// Greets (unless that came before TLS) and authenticates.
pub(crate) async fn open(
    wire: Wire,
    is_greeted: bool,
    visit: &Visit,
    stages: &Stages,
) -> Result<Box<dyn Mailbox>, MailError> {
    let mut wire = if is_greeted { wire } else { greet(wire, stages).await? };
    let authenticate = async {
        wire.stage = Stage::Authenticate;
        let capabilities = capabilities(&mut wire).await?;
        let mechanism = authenticate(&mut wire, &capabilities, visit).await?;
        let has_pipelining = self::capabilities(&mut wire).await?.iter().any(|it| it == "PIPELINING");
        Ok((Maildrop { wire, has_pipelining, numbers: HashMap::new() }, mechanism.to_owned()))
    };
    let mut opened = stages.run(Stage::Authenticate, authenticate).await?;
    let select = async {
        opened.wire.stage = Stage::Select;
        let reply = command(&mut opened.wire, "STAT").await?;
        if !reply.is_ok {
            return Err(MailError::new(ErrorKind::Mailbox, Stage::Select, said(&reply.text)));
        }
        let n = String::from_utf8_lossy(&reply.text).split(' ').next().unwrap_or_default().to_owned();
        Ok((opened, format!("{n} messages")))
    };
    Ok(Box::new(stages.run(Stage::Select, select).await?))
}

struct Reply {
    is_ok: bool,
    text: Vec<u8>,
}

async fn greet(mut wire: Wire, stages: &Stages) -> Result<Wire, MailError> {
    let greeting = async {
        wire.stage = Stage::Greeting;
        let reply = reply(&mut wire).await?;
        if !reply.is_ok {
            return Err(refusal(Stage::Greeting, ErrorKind::Throttled, &reply));
        }
        Ok((wire, said(&reply.text)))
    };
    stages.run(Stage::Greeting, greeting).await
}

async fn reply(wire: &mut Wire) -> Result<Reply, MailError> {
    let line = wire.line().await?;
    let (is_ok, text) = match (line.strip_prefix(b"+OK"), line.strip_prefix(b"-ERR")) {
        (Some(text), _) => (true, text),
        (_, Some(text)) => (false, text),
        // A challenge of an AUTH exchange (RFC 5034 section 4).
        _ if line == b"+" || line.starts_with(b"+ ") => (true, &line[1..]),
        _ => return Err(protocol(wire.stage, format!("this is no answer of a POP3 server; {}", said(&line)))),
    };
    Ok(Reply { is_ok, text: text.trim_ascii().to_vec() })
}

async fn command(wire: &mut Wire, command: &str) -> Result<Reply, MailError> {
    wire.send(format!("{command}\r\n").as_bytes()).await?;
    reply(wire).await
}

/// The lines up to the lonely dot, leading dots undone (RFC 1939 section 3), joined again by CRLF.
async fn multi_line(wire: &mut Wire) -> Result<Vec<u8>, MailError> {
    let text = long_text(wire).await?;
    text.map_err(|_| protocol(wire.stage, "the server sent more than is taken"))
}

/// The same; of a text that is longer than is taken only the length, so that what comes after it can be read.
async fn long_text(wire: &mut Wire) -> Result<Result<Vec<u8>, u64>, MailError> {
    let (mut text, mut length) = (Vec::new(), 0);
    loop {
        let line = wire.body_line().await?;
        let line = match line.strip_prefix(b".") {
            Some(b"") => return Ok(if length > wire.size_limit { Err(length) } else { Ok(text) }),
            Some(rest) => rest,
            None => &line,
        };
        length += line.len() as u64 + 2;
        if length > wire.size_limit {
            text = Vec::new();
            wire.may_skip(length)?;
            continue;
        }
        text.extend_from_slice(line);
        text.extend_from_slice(b"\r\n");
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = String> {
    String::from_utf8_lossy(text).lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

async fn capabilities(wire: &mut Wire) -> Result<Vec<String>, MailError> {
    if !command(wire, "CAPA").await?.is_ok {
        return Ok(Vec::new());
    }
    Ok(lines(&multi_line(wire).await?).map(|it| it.trim().to_ascii_uppercase()).collect())
}

async fn authenticate(wire: &mut Wire, capabilities: &[String], visit: &Visit) -> Result<&'static str, MailError> {
    let (name, password) = (&visit.username, visit.password.expose());
    let has_plain = capabilities.iter().any(|it| it.starts_with("SASL ") && it.split(' ').any(|it| it == "PLAIN"));
    if has_plain {
        let initial = STANDARD.encode(format!("\0{name}\0{password}"));
        let reply = command(wire, "AUTH PLAIN").await?;
        let reply = if reply.is_ok { command(wire, &initial).await? } else { reply };
        return judge(&reply).map(|()| "AUTH PLAIN");
    }
    let reply = command(wire, &format!("USER {name}")).await?;
    judge(&reply)?;
    let reply = command(wire, &format!("PASS {password}")).await?;
    judge(&reply).map(|()| "USER and PASS")
}

fn judge(reply: &Reply) -> Result<(), MailError> {
    if reply.is_ok { Ok(()) } else { Err(refusal(Stage::Authenticate, ErrorKind::Authentication, reply)) }
}

/// What a refusal means, by its response code (RFC 2449 section 8, RFC 3206).
fn refusal(stage: Stage, otherwise: ErrorKind, reply: &Reply) -> MailError {
    let text = String::from_utf8_lossy(&reply.text).to_ascii_uppercase();
    let is_temporary = ["[IN-USE]", "[LOGIN-DELAY]", "[SYS/TEMP]", "[SYS/PERM]"].iter().any(|it| text.starts_with(it));
    let mut error =
        MailError::new(if is_temporary { ErrorKind::Throttled } else { otherwise }, stage, said(&reply.text));
    error.is_certain = text.starts_with("[AUTH]");
    error
}

/// An open maildrop.
struct Maildrop {
    wire: Wire,
    has_pipelining: bool,
    /// The session's numbers of the messages that have a name of their own.
    numbers: HashMap<String, u32>,
}

impl Maildrop {
    /// `LIST` or `UIDL`: pairs of number and value.
    async fn pairs(&mut self, verb: &str) -> Result<Vec<(u32, String)>, MailError> {
        let reply = command(&mut self.wire, verb).await?;
        if !reply.is_ok {
            let message = format!("the server refuses {verb}; {}", said(&reply.text));
            return Err(MailError::new(ErrorKind::Mailbox, Stage::List, message));
        }
        let text = multi_line(&mut self.wire).await?;
        let pair = |line: String| {
            let (number, value) = line.trim().split_once(' ')?;
            Some((number.parse().ok()?, value.trim().to_owned()))
        };
        Ok(lines(&text).filter_map(pair).collect())
    }

    fn number(&self, key: &RemoteKey) -> Option<u32> {
        match key {
            RemoteKey::Uidl(uidl) => self.numbers.get(uidl).copied(),
            RemoteKey::Uid { .. } => None,
        }
    }

    async fn send_for(&mut self, verb: &str, numbers: &[u32]) -> Result<(), MailError> {
        let commands: Vec<String> = numbers.iter().map(|it| format!("{verb} {it}\r\n")).collect();
        self.wire.send(commands.concat().as_bytes()).await
    }

    fn window(&self) -> usize {
        if self.has_pipelining { PIPELINE } else { 1 }
    }
}

#[async_trait]
impl Mailbox for Maildrop {
    async fn list(&mut self) -> Result<Listing, MailError> {
        self.wire.stage = Stage::List;
        let sizes: HashMap<u32, u64> =
            self.pairs("LIST").await?.into_iter().filter_map(|(it, size)| Some((it, size.parse().ok()?))).collect();
        let mut by_uidl: HashMap<String, Vec<u32>> = HashMap::new();
        for (number, uidl) in self.pairs("UIDL").await? {
            // RFC 1939 allows 70 characters; more are tolerated up to a bound.
            if !uidl.is_empty() && uidl.len() <= 512 {
                by_uidl.entry(uidl).or_default().push(number);
            }
        }
        let unique = by_uidl.into_iter().filter(|(_, numbers)| numbers.len() == 1);
        self.numbers = unique.map(|(uidl, numbers)| (uidl, numbers[0])).collect();
        let mut ordered: Vec<_> = self.numbers.iter().collect();
        ordered.sort_unstable_by_key(|(_, number)| **number);
        let messages: Vec<_> = ordered
            .into_iter()
            .map(|(uidl, number)| Listed {
                key: RemoteKey::Uidl(uidl.clone()),
                size: sizes.get(number).copied().unwrap_or(0),
            })
            .collect();
        let n_unidentified = (sizes.len() as u64).saturating_sub(messages.len() as u64);
        Ok(Listing { messages, n_unidentified })
    }

    async fn fetch(&mut self, work: Vec<Listed>, sink: mpsc::Sender<FetchedBatch>) -> Result<(), MailError> {
        self.wire.stage = Stage::Fetch;
        let work: Vec<(RemoteKey, u32)> =
            work.into_iter().filter_map(|it| Some((self.number(&it.key)?, it.key))).map(|(n, key)| (key, n)).collect();
        let mut batch = FetchedBatch::default();
        let mut bytes = 0;
        for window in work.chunks(self.window()) {
            let numbers: Vec<u32> = window.iter().map(|(_, number)| *number).collect();
            self.send_for("RETR", &numbers).await?;
            for (key, _) in window {
                match self.retrieved().await {
                    Ok(Ok(raw)) => {
                        bytes += raw.len();
                        batch.messages.push((key.clone(), raw));
                    }
                    Ok(Err(reason)) => batch.failed.push((key.clone(), reason)),
                    Err(error) => {
                        // Complete messages count even though the rest is lost.
                        _ = sink.send(batch).await;
                        return Err(error);
                    }
                }
                if bytes >= BATCH_BYTES {
                    bytes = 0;
                    if sink.send(std::mem::take(&mut batch)).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        // Nobody listening any more means that the store has failed, which it says itself.
        _ = sink.send(batch).await;
        Ok(())
    }

    async fn delete(&mut self, keys: &[RemoteKey]) -> Result<Vec<RemoteKey>, MailError> {
        self.wire.stage = Stage::Delete;
        let wanted: Vec<(RemoteKey, u32)> = keys.iter().filter_map(|it| Some((it.clone(), self.number(it)?))).collect();
        let mut marked = Vec::new();
        for window in wanted.chunks(self.window()) {
            let numbers: Vec<u32> = window.iter().map(|(_, number)| *number).collect();
            self.send_for("DELE", &numbers).await?;
            for (key, _) in window {
                if reply(&mut self.wire).await?.is_ok {
                    marked.push(key.clone());
                }
            }
        }
        // Only QUIT makes it final (RFC 1939 section 6); without its answer the next listing tells.
        let end = command(&mut self.wire, "QUIT").await?;
        if end.is_ok { Ok(marked) } else { Err(MailError::new(ErrorKind::Mailbox, Stage::Delete, said(&end.text))) }
    }

    async fn close(mut self: Box<Self>) {
        // After a deletion QUIT was sent already; the server is gone then, and that is fine.
        _ = command(&mut self.wire, "QUIT").await;
    }
}

impl Maildrop {
    /// One answer to RETR: the message, or why the server did not give it.
    async fn retrieved(&mut self) -> Result<Result<Vec<u8>, String>, MailError> {
        let reply = reply(&mut self.wire).await?;
        if !reply.is_ok {
            return Ok(Err(said(&reply.text)));
        }
        let text = long_text(&mut self.wire).await?;
        Ok(text.map_err(|length| format!("it has {length} bytes, more than is taken and than the server listed")))
    }
}
