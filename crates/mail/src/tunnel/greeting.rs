//! The beginning of a tunnel: the server sends a challenge, the agent signs it, the server says whether it is welcome.
//!
//! What is signed names this purpose and the address that the agent dialled. A server in the middle that hands on another
//! server's challenge gets a signature that the other one does not take.

use std::io;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use domain::agent::AgentDraft;
use futures::{SinkExt as _, StreamExt as _};
use hyper::Uri;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use service::secret::Secret;
use sha2::{Digest as _, Sha256};

use super::{
    PROTOCOL,
    frames::{Frame, Frames},
};
use crate::clean;

/// Bytes of the longest message of a greeting.
const MESSAGE_MAX: usize = 4 * 1024;
/// Characters that are kept of what an agent says of itself.
pub(super) const NAME_MAX: usize = 100;

#[derive(Serialize, Deserialize)]
struct Challenge {
    /// 32 bytes in Base64, never the same.
    challenge: String,
}

#[derive(Serialize, Deserialize)]
struct Hello {
    /// The public key, Base64.
    key: String,
    /// Of [`signed`], Base64.
    signature: String,
    /// Where the agent dialled to.
    origin: String,
    code: Option<String>,
    name: String,
    version: String,
}

/// How the server answers a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Streams may come from now on.
    Welcome,
    /// Nobody has approved the agent yet. It asks again.
    Waiting,
    Refused(Refusal),
}

/// Why an agent is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No such agent is enrolled, or it was removed.
    Unknown,
    /// The code was never given out, was used, or is too old.
    Code,
    /// The signature is not the key's, or not of this challenge.
    Signature,
    /// The agent dialled another address than the one that this server is reached under.
    Origin,
    Malformed,
    /// The server cannot answer now.
    Later,
}

impl Refusal {
    /// For whoever runs the agent.
    pub fn message(self) -> &'static str {
        match self {
            Self::Unknown => "the server does not know this key: enrol it with a code",
            Self::Code => "the server does not take the code: it was used, is older than 15 minutes, or was mistyped",
            Self::Signature => "the server does not take the signature",
            Self::Origin => {
                "the server is reached under another address: name that one, or set POSTHORN_AGENT_URL there"
            }
            Self::Malformed => "the server does not understand the greeting",
            Self::Later => "the server cannot answer now",
        }
    }
}

/// An agent that proved to have its key.
#[derive(Debug)]
pub struct Caller {
    pub draft: AgentDraft,
    pub code: Option<Secret>,
}

/// Sends a challenge and checks what comes back. `origins`: every address that this server may be dialled by.
pub async fn challenge(
    frames: &mut impl Frames,
    is_origin: impl Fn(&str) -> bool,
) -> io::Result<Result<Caller, Refusal>> {
    let challenge = STANDARD.encode(rand::random::<[u8; 32]>());
    send(frames, &Challenge { challenge: challenge.clone() }).await?;
    let Some(hello) = receive::<Hello>(frames).await? else { return Ok(Err(Refusal::Malformed)) };
    Ok(hello.prove(&challenge, is_origin))
}

pub async fn answer(frames: &mut impl Frames, answer: Answer) -> io::Result<()> {
    send(frames, &answer).await
}

/// The agent's part. `origin`: where it dialled to.
pub(super) async fn introduce(
    frames: &mut impl Frames,
    key: &Ed25519KeyPair,
    origin: &str,
    code: Option<&Secret>,
    name: &str,
) -> io::Result<Answer> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the server speaks another language");
    let Challenge { challenge } = receive(frames).await?.ok_or_else(malformed)?;
    let code = code.map(|it| it.expose().to_owned());
    let signature = key.sign(&signed(origin, &challenge, code.as_deref()));
    let hello = Hello {
        key: STANDARD.encode(key.public_key()),
        signature: STANDARD.encode(signature),
        origin: origin.to_owned(),
        code,
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    send(frames, &hello).await?;
    receive(frames).await?.ok_or_else(malformed)
}

impl Hello {
    fn prove(self, challenge: &str, is_origin: impl Fn(&str) -> bool) -> Result<Caller, Refusal> {
        let key = STANDARD.decode(&self.key).map_err(|_| Refusal::Malformed)?;
        let signature = STANDARD.decode(&self.signature).map_err(|_| Refusal::Malformed)?;
        let text = signed(&self.origin, challenge, self.code.as_deref());
        UnparsedPublicKey::new(&ED25519, &key).verify(&text, &signature).map_err(|_| Refusal::Signature)?;
        if !is_origin(&self.origin) {
            return Err(Refusal::Origin);
        }
        let draft = AgentDraft {
            name: clean(self.name.as_bytes(), NAME_MAX),
            fingerprint: fingerprint(&key),
            program_version: clean(self.version.as_bytes(), NAME_MAX),
        };
        Ok(Caller { draft, code: self.code.map(Secret::new) })
    }
}

/// What both sides know, and what it is for. No part can hold the NUL that parts them.
fn signed(origin: &str, challenge: &str, code: Option<&str>) -> Vec<u8> {
    [PROTOCOL, origin, challenge, code.unwrap_or_default()].map(|it| it.replace('\0', "")).join("\0").into_bytes()
}

/// Of a public key, as it is shown on both sides.
pub(super) fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key)))
}

/// Scheme, host and port, without the port that goes without saying: `https://mail.example.org`.
pub fn origin_of(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let (scheme, host) = (uri.scheme_str()?, uri.host()?.to_ascii_lowercase());
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let port = uri.port_u16().filter(|it| *it != usual);
    Some(port.map_or_else(|| format!("{scheme}://{host}"), |it| format!("{scheme}://{host}:{it}")))
}

async fn send(frames: &mut impl Frames, message: &impl Serialize) -> io::Result<()> {
    frames.send(Frame::Data(serde_json::to_vec(message)?.into())).await
}

/// `None`: what came is not that.
async fn receive<T: DeserializeOwned>(frames: &mut impl Frames) -> io::Result<Option<T>> {
    loop {
        match frames.next().await.transpose()? {
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(Frame::Data(bytes)) if bytes.len() > MESSAGE_MAX => return Ok(None),
            Some(Frame::Data(bytes)) => return Ok(serde_json::from_slice(&bytes).ok()),
            Some(Frame::Ping | Frame::Life) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://mail.example.org";

    fn hello(key: &Ed25519KeyPair, origin: &str, challenge: &str) -> Hello {
        Hello {
            key: STANDARD.encode(key.public_key()),
            signature: STANDARD.encode(key.sign(&signed(origin, challenge, None))),
            origin: origin.to_owned(),
            code: None,
            name: "plant\r\n7".to_owned(),
            version: "1".to_owned(),
        }
    }

    #[test]
    fn a_signature_counts_for_one_challenge_one_server_and_one_key() {
        let (key, other) = (Ed25519KeyPair::generate().unwrap(), Ed25519KeyPair::generate().unwrap());
        let prove = |it: Hello, challenge: &str| it.prove(challenge, |it| it == ORIGIN).map(|it| it.draft);
        let draft = prove(hello(&key, ORIGIN, "one"), "one").unwrap();
        assert_eq!((draft.name.as_str(), draft.fingerprint), ("plant  7", fingerprint(key.public_key().as_ref())));
        // Sent again by somebody who listened, to another challenge.
        assert_eq!(prove(hello(&key, ORIGIN, "one"), "two"), Err(Refusal::Signature));
        // Handed on by a server that the agent believes to be its own.
        assert_eq!(prove(hello(&key, "https://evil.example", "one"), "one"), Err(Refusal::Origin));
        let renamed = Hello { origin: ORIGIN.to_owned(), ..hello(&key, "https://evil.example", "one") };
        assert_eq!(prove(renamed, "one"), Err(Refusal::Signature));
        let stolen = Hello { key: STANDARD.encode(other.public_key()), ..hello(&key, ORIGIN, "one") };
        assert_eq!(prove(stolen, "one"), Err(Refusal::Signature));
        let coded = Hello { code: Some("ABCD".to_owned()), ..hello(&key, ORIGIN, "one") };
        assert_eq!(prove(coded, "one"), Err(Refusal::Signature));
        let broken = Hello { key: "?".to_owned(), ..hello(&key, ORIGIN, "one") };
        assert_eq!(prove(broken, "one"), Err(Refusal::Malformed));
    }

    #[test]
    fn an_origin_is_written_in_one_way() {
        for (url, expected) in [
            ("https://Mail.Example.org/", Some(ORIGIN)),
            ("https://mail.example.org:443/x?y", Some(ORIGIN)),
            ("http://127.0.0.1:3000", Some("http://127.0.0.1:3000")),
            ("http://[::1]:80/", Some("http://[::1]")),
            ("ftp://mail.example.org", None),
            ("mail.example.org", None),
        ] {
            assert_eq!(origin_of(url).as_deref(), expected, "{url}");
        }
    }
}
