//! A throw-away Dovecot on a free port of 127.0.0.1, IMAP over TLS, any user with the password `pass`.

use std::{
    fmt::Write as _,
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::{Run as _, command};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running server. It stops and vanishes with the value.
pub(super) struct Dovecot {
    folder: PathBuf,
    child: Child,
    pub(super) port: u16,
}

impl Dovecot {
    pub(super) fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join("mail"))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
        command("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .run()?;
        // Dovecot does not serve as root: then its package's own users do.
        let me = command("id").arg("-un").read()?.trim().to_owned();
        let (internal, login, user) = if me == "root" { ("dovecot", "dovenull", "mail") } else { (&*me, &*me, &*me) };
        let at = folder.display();
        let config = format!(
            "base_dir = {at}/run\nstate_dir = {at}/state\nlog_path = {at}/log\nlisten = 127.0.0.1\nprotocols = imap\n\
             ssl = required\nssl_cert = <{at}/cert.pem\nssl_key = <{at}/key.pem\n\
             default_internal_user = {internal}\ndefault_internal_group = {internal}\ndefault_login_user = {login}\n\
             first_valid_uid = 1\nfirst_valid_gid = 1\nmail_location = maildir:{at}/mail/%u\nauth_mechanisms = plain\n\
             passdb {{\n driver = static\n args = password=pass\n}}\n\
             userdb {{\n driver = static\n args = uid={user} gid={user} home={at}/mail/%u\n}}\n\
             service anvil {{\n chroot =\n}}\n\
             service imap-login {{\n chroot =\n inet_listener imap {{\n  port = 0\n }}\n inet_listener imaps {{\n  port = {port}\n  ssl = yes\n }}\n}}\n"
        );
        let file = folder.join("dovecot.conf");
        fs::write(&file, config)?;
        command("chown").arg(format!("{user}:{user}")).arg(folder.join("mail")).run()?;
        let child = command("dovecot").arg("-F").arg("-c").arg(&file).spawn().context("dovecot")?;
        let mut dovecot = Self { folder: folder.to_owned(), child, port };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(dovecot.child.try_wait()?.is_none(), "dovecot ended at once; see {at}/log");
            if began.elapsed() > PATIENCE {
                bail!("dovecot does not listen after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(dovecot)
    }

    /// Gives a user this many messages of about that size, all different, none of them compressible to nothing.
    pub(super) fn fill(&self, user: &str, count: u32, size: usize) -> Result<()> {
        let mailbox = self.folder.join("mail").join(user);
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(mailbox.join(part))?;
        }
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for nth in 0..count {
            let mut text = format!(
                "From: Sender {nth} <sender{nth}@example.org>\r\nTo: {user}@example.org\r\nSubject: Message {nth}\r\n\
                 Date: Tue, 03 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{nth}@example.org>\r\n\r\n"
            );
            while text.len() < size {
                // xorshift64, written as words of a text.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                write!(text, "{state:016x} lorem ipsum dolor sit amet {:08x}\r\n", state >> 32)?;
            }
            fs::write(mailbox.join("cur").join(format!("{}.M{nth}P1.bench:2,", 1_700_000_000 + nth)), text)?;
        }
        command("chown").args(["-R", "--reference"]).arg(self.folder.join("mail")).arg(&mailbox).run()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        _ = command("kill").arg(self.child.id().to_string()).succeeds();
        _ = self.child.wait();
    }
}
