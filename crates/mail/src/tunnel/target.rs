//! The beginning of a stream: where it is to lead, and what the agent says to that.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Where a stream leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// A name or an address, at most 255 bytes.
    pub(super) host: String,
    pub(super) port: u16,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Connected,
    /// By the agent's own list.
    NotAllowed,
    /// The name has no address there.
    NotFound,
    Refused,
    Timeout,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Connected, Self::NotAllowed, Self::NotFound, Self::Refused, Self::Timeout];

    fn code(self) -> u8 {
        match self {
            Self::Connected => 0,
            Self::NotAllowed => 1,
            Self::NotFound => 2,
            Self::Refused => 3,
            Self::Timeout => 4,
        }
    }

    /// What there is to say of a stream that leads nowhere.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Connected => "is connected",
            Self::NotAllowed => "may not go there: its own list does not allow it",
            Self::NotFound => "does not find that name",
            Self::Refused => "gets no connection there",
            Self::Timeout => "gets no answer from there",
        }
    }
}

/// Port, length, host: big-endian, as on any wire.
pub(super) async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), target: &Target) -> io::Result<Outcome> {
    let length = u8::try_from(target.host.len()).map_err(|_| invalid("the name is too long"))?;
    let mut request = target.port.to_be_bytes().to_vec();
    request.push(length);
    request.extend(target.host.as_bytes());
    stream.write_all(&request).await?;
    stream.flush().await?;
    let code = stream.read_u8().await?;
    Outcome::ALL.into_iter().find(|it| it.code() == code).ok_or_else(|| invalid("the agent's answer is none"))
}

pub(super) async fn asked(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Target> {
    let port = stream.read_u16().await?;
    let mut host = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut host).await?;
    let host = String::from_utf8(host).map_err(|_| invalid("the name is no text"))?;
    Ok(Target { host, port })
}

pub(super) async fn answered(stream: &mut (impl AsyncWrite + Unpin), outcome: Outcome) -> io::Result<()> {
    stream.write_all(&[outcome.code()]).await?;
    stream.flush().await
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_target_and_every_answer_come_across() {
        let target = Target { host: "mail.internal".to_owned(), port: 993 };
        for outcome in Outcome::ALL {
            let (mut here, mut there) = tokio::io::duplex(64);
            let asking = tokio::spawn({
                let target = target.clone();
                async move { ask(&mut here, &target).await }
            });
            assert_eq!(asked(&mut there).await.unwrap(), target);
            answered(&mut there, outcome).await.unwrap();
            assert_eq!(asking.await.unwrap().unwrap(), outcome);
        }
    }
}
