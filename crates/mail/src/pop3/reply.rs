//! Commands and their answers.

use service::ports::MailError;

use crate::{
    protocol, said,
    wire::{Body, Wire},
};

/// The longest list that is taken, bytes: that of a million messages is shorter.
const LINES_MAX: usize = 32 * 1024 * 1024;

pub(super) struct Reply {
    pub(super) is_ok: bool,
    /// `+`: the server waits for the rest of an AUTH exchange (RFC 5034 section 4).
    pub(super) is_challenge: bool,
    pub(super) text: Vec<u8>,
    /// The same for people.
    pub(super) words: Vec<u8>,
}

pub(super) async fn command(wire: &mut Wire, command: &str) -> Result<Reply, MailError> {
    wire.send(format!("{command}\r\n").as_bytes()).await?;
    reply(wire).await
}

pub(super) async fn reply(wire: &mut Wire) -> Result<Reply, MailError> {
    let line = wire.line().await?;
    let is_challenge = line == b"+" || line.starts_with(b"+ ");
    let (is_ok, text) = match (line.strip_prefix(b"+OK"), line.strip_prefix(b"-ERR")) {
        (Some(text), _) => (true, text),
        (_, Some(text)) => (false, text),
        _ if is_challenge => (true, &line[1..]),
        _ => {
            return Err(protocol(
                wire.stage,
                format!("this is no answer of a POP3 server; {}", said(&wire.tap.redacted(&line))),
            ));
        }
    };
    let text = text.trim_ascii();
    Ok(Reply { is_ok, is_challenge, words: wire.tap.redacted(text).into_owned(), text: text.to_vec() })
}

/// The lines up to the lonely dot.
pub(super) async fn lines(wire: &mut Wire) -> Result<Vec<String>, MailError> {
    let (mut body, mut text) = (Body::default(), Vec::new());
    if !wire.body(&mut body, &mut text, LINES_MAX).await? {
        return Err(protocol(wire.stage, "the server sent more than is taken"));
    }
    let lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
    for line in &lines {
        wire.hear(line.as_bytes());
    }
    wire.hear(b".");
    Ok(lines)
}
