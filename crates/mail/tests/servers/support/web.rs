//! A web server with a certificate of the tests' own authority, which the process that talks to it has as its only trust root.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Runs this test once more in a process that trusts an authority of its own and nobody else; there it gives the folder with what
/// the authority issued for these hosts.
pub(crate) fn trusting(test: &str, hosts: &[&str]) -> Option<PathBuf> {
    const FOLDER: &str = "POSTHORN_TEST_AUTHORITY";
    if let Some(folder) = std::env::var_os(FOLDER) {
        return Some(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), hosts);
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder.path())
        .env("SSL_CERT_FILE", folder.path().join("ca.pem"))
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&again.stdout), String::from_utf8_lossy(&again.stderr));
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
    None
}

fn issue(folder: &Path, hosts: &[&str]) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root_certificate = root.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(root, root_key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = hosts.iter().map(|it| (*it).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    std::fs::write(folder.join("ca.pem"), root_certificate.pem()).unwrap();
    std::fs::write(folder.join("host.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("host.key"), key.serialize_der()).unwrap();
}

/// What the server does with one request.
pub(crate) enum Reply {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// Nothing, and no end.
    Hang,
    /// The beginning of an answer, then a byte now and then, without an end.
    Drip,
}

impl Reply {
    pub(crate) fn status(status: u16, headers: &str, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n", body.len());
        Self::Bytes(format!("{head}{body}").into_bytes())
    }
}

type Answers = Arc<dyn Fn(&str, &str) -> Reply + Send + Sync>;

pub(crate) struct Web {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// `answers` is asked with the host and the path of each request.
    pub(crate) async fn start(folder: &Path, answers: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let certificate = CertificateDer::from_pem_file(folder.join("host.pem")).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(std::fs::read(folder.join("host.key")).unwrap()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Self { port: listener.local_addr().unwrap().port(), asked: Arc::default() };
        let (answers, asked): (Answers, _) = (Arc::new(answers), Arc::clone(&web.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answers, asked) = (acceptor.clone(), Arc::clone(&answers), Arc::clone(&asked));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        // Whoever has read enough closes.
                        _ = serve(stream, &answers, &asked).await;
                    }
                });
            }
        });
        web
    }

    /// Every request so far: host, then path.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TlsStream<TcpStream>, answers: &Answers, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let host = head.lines().find_map(|it| it.strip_prefix("host: ")).unwrap_or_default();
    asked.lock().unwrap().push(format!("{host} {path}"));
    match answers(host, path) {
        Reply::Bytes(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Reply::Hang => std::future::pending().await,
        Reply::Drip => {
            stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 60000\r\n\r\n").await?;
            loop {
                stream.write_all(b"<").await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
