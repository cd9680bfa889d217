//! The way to Posthorn: TCP, TLS unless it is on this machine, WebSocket.

use std::{fmt, io, net::IpAddr};

use domain::account::Address;
use futures::{SinkExt as _, StreamExt as _, future::ready};
use hyper::Uri;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error as WsError, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use super::{AgentError, ProxyChoice, proxy::Proxy};
use crate::{
    tunnel::{Frame, Frames, MESSAGE_MAX, PATH, PROTOCOL, origin_of},
    wire::Stream,
};

/// One instance of Posthorn.
pub(super) struct Server {
    /// As it is signed and shown.
    pub(super) origin: String,
    host: String,
    port: u16,
    /// `None`: on this machine, without TLS.
    tls: Option<TlsConnector>,
    /// With the server's host as it is told to it.
    proxy: Option<(Proxy, Address)>,
}

impl Server {
    pub(super) fn parse(url: &str, tls: &TlsConnector, proxies: &ProxyChoice) -> Result<Self, AgentError> {
        let failed = |why: &str| AgentError(format!("the server {url}: {why}"));
        let no_url = || failed("it must be a URL such as https://posthorn.example.org");
        let origin = origin_of(url).ok_or_else(no_url)?;
        let uri: Uri = url.parse().map_err(|_| no_url())?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(failed("a path has no place in it"));
        }
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let is_secure = uri.scheme_str() == Some("https");
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback());
        if !is_secure && !is_here {
            return Err(failed("without TLS only this machine itself may be dialled: use https://"));
        }
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        // Without TLS the server is this machine, to which no proxy is the way.
        let proxy = match proxies.for_host(&host).filter(|_| is_secure) {
            Some(proxy) => {
                let host = Address::parse(&host).map_err(|_| failed("its host is neither a name nor an address"))?;
                Some((proxy.clone(), host))
            }
            None => None,
        };
        Ok(Self { origin, host, port, tls: is_secure.then(|| tls.clone()), proxy })
    }

    /// Has no deadline of its own.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Frames>> {
        if let (Some(tls), Some((proxy, host))) = (&self.tls, &self.proxy) {
            return self.secure(tls, proxy.connect(host, self.port).await?).await;
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            // What `localhost` stands for is somebody else's to say.
            if !stream.peer_addr()?.ip().to_canonical().is_loopback() {
                return Err(io::Error::other("without TLS only this machine itself may be dialled"));
            }
            return self.upgrade(stream).await;
        };
        self.secure(tls, Box::new(stream)).await
    }

    /// What stands between, if anything does.
    pub(super) fn proxy(&self) -> Option<&impl fmt::Display> {
        self.proxy.as_ref().map(|(proxy, _)| proxy)
    }

    async fn secure(&self, tls: &TlsConnector, stream: Box<dyn Stream>) -> io::Result<Box<dyn Frames>> {
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        self.upgrade(tls.connect(name, stream).await?).await
    }

    async fn upgrade<S>(&self, stream: S) -> io::Result<Box<dyn Frames>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let url = format!("{}{PATH}", self.origin.replacen("http", "ws", 1));
        let mut request = url.into_client_request().map_err(io::Error::other)?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_MAX)).max_frame_size(Some(MESSAGE_MAX));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(Box::new(frames(socket))),
            Err(WsError::Http(answer)) => {
                Err(io::Error::other(format!("the server takes no agents there: it answers {}", answer.status())))
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

fn frames<S>(socket: WebSocketStream<S>) -> impl Frames
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let received = |message| match message {
        Message::Binary(bytes) => Ok(Frame::Data(bytes)),
        Message::Text(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "text came where bytes belong")),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => Ok(Frame::Life),
    };
    let sent = |frame| match frame {
        Frame::Data(bytes) => Message::Binary(bytes),
        Frame::Ping | Frame::Life => Message::Ping(bytes::Bytes::new()),
    };
    let socket = socket.map(move |it| it.map_err(io::Error::other).and_then(received));
    socket.sink_map_err(io::Error::other).with(move |frame| ready(Ok(sent(frame))))
}

#[cfg(test)]
mod tests {
    use std::{process::Stdio, sync::Arc, time::Duration};

    use rcgen::{CertificateParams, KeyPair};
    use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer};
    use tempfile::TempDir;
    use tokio::{
        net::TcpListener,
        process::{Child, Command},
    };
    use tokio_rustls::TlsAcceptor;
    use tokio_tungstenite::{
        accept_hdr_async,
        tungstenite::handshake::server::{Request, Response},
    };

    use super::*;
    use crate::tls;

    /// Takes every WebSocket, inside TLS; answers with its port and its certificate.
    async fn secure_server() -> (u16, String) {
        secure_server_since(1975).await
    }

    /// The same with a certificate that is valid from the beginning of that year.
    async fn secure_server_since(year: i32) -> (u16, String) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(year, 1, 1);
        let signing_key = KeyPair::generate().unwrap();
        let made = params.self_signed(&signing_key).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(socket).await else { continue };
                let with_protocol = |_: &Request, mut response: Response| {
                    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
                    Ok(response)
                };
                _ = accept_hdr_async(stream, with_protocol).await;
            }
        });
        (port, made.pem())
    }

    #[tokio::test]
    async fn a_server_is_verified_by_the_authority_that_was_named_and_by_its_name() {
        let (port, pem) = secure_server().await;
        let own = tls::verifying(Some(&pem)).unwrap();
        let connect = async |host: &str, tls: &TlsConnector| {
            let url = format!("https://{host}:{port}");
            Server::parse(&url, tls, &ProxyChoice::default()).unwrap().connect().await.map(drop)
        };
        connect("localhost", &own).await.unwrap();
        for (host, tls) in [("localhost", tls::verifying(None).unwrap()), ("127.0.0.1", own)] {
            let error = connect(host, &tls).await.unwrap_err().to_string();
            assert!(error.contains("certificate"), "{error}");
        }
        assert!(tls::verifying(Some("nothing")).is_err());
    }

    /// An agent whose clock is slow sees every certificate like this. Nothing else between the two goes by the clock.
    #[tokio::test]
    async fn a_certificate_that_is_not_valid_yet_is_refused_with_both_times() {
        let (port, pem) = secure_server_since(2999).await;
        let tls = tls::verifying(Some(&pem)).unwrap();
        let url = format!("https://localhost:{port}");
        let server = Server::parse(&url, &tls, &ProxyChoice::default()).unwrap();
        let error = server.connect().await.map(drop).unwrap_err().to_string();
        assert!(error.contains("not valid yet") && error.contains("verification time"), "{error}");
    }

    /// A real proxy that wants a login.
    struct Program {
        port: u16,
        _child: Child,
        _folder: TempDir,
    }

    impl Program {
        async fn start(program: &str) -> Self {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let folder = tempfile::tempdir().unwrap();
            let mut command = Command::new(program);
            if program == "microsocks" {
                command.args(["-i", "127.0.0.1", "-u", "ana", "-P", "p.ss", "-p"]).arg(port.to_string());
            } else {
                let file = folder.path().join("tinyproxy.conf");
                let config = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth ana p.ss\n");
                std::fs::write(&file, config).unwrap();
                command.arg("-d").arg("-c").arg(file);
            }
            let command = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            let mut child = command.spawn().unwrap_or_else(|it| panic!("install {program}: {it}"));
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                assert!(child.try_wait().unwrap().is_none(), "{program} has ended");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Self { port, _child: child, _folder: folder }
        }
    }

    #[tokio::test]
    async fn a_server_is_reached_by_a_proxy_with_its_login_and_not_with_another() {
        let (port, pem) = secure_server().await;
        let tls = tls::verifying(Some(&pem)).unwrap();
        for (program, scheme) in [("microsocks", "socks5"), ("microsocks", "socks5h"), ("tinyproxy", "http")] {
            let proxy = Program::start(program).await;
            let connect = async |login: &str| {
                let url = format!("{scheme}://{login}@127.0.0.1:{}", proxy.port);
                let choice = ProxyChoice::settle(Some(&url), |_| None).unwrap();
                let server = Server::parse(&format!("https://localhost:{port}"), &tls, &choice).unwrap();
                server.connect().await.map(drop).map_err(|it| it.to_string())
            };
            assert_eq!(connect("ana:p%2Ess").await, Ok(()), "{scheme}");
            let error = connect("ana:other-s3cret").await.unwrap_err();
            assert!(error.starts_with(&format!("{scheme}://127.0.0.1:{}: ", proxy.port)), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn without_tls_only_this_machine_is_dialled() {
        let tls = tls::verifying(None).unwrap();
        for url in ["http://127.0.0.1:3000", "http://[::1]:3000/", "http://localhost", "https://mail.example.org"] {
            assert!(Server::parse(url, &tls, &ProxyChoice::default()).is_ok(), "{url}");
        }
        for (url, why) in [
            ("http://mail.example.org", "without TLS"),
            ("http://10.0.0.1:3000", "without TLS"),
            ("http://localhost.example.org", "without TLS"),
            ("https://mail.example.org/posthorn", "a path"),
            ("mail.example.org", "a URL"),
            ("ftp://127.0.0.1", "a URL"),
        ] {
            let error = Server::parse(url, &tls, &ProxyChoice::default()).err().unwrap().to_string();
            assert!(error.contains(why) && error.contains(url), "{error}");
        }
    }
}
