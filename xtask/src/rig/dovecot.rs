//! A throw-away Dovecot on free ports of 127.0.0.1, IMAP and POP3 over TLS, any user with the password `pass`.

use std::{
    fs,
    io::{BufWriter, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{Random, wait_until};
use crate::process::{Run as _, command, roomy};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running server. It stops with the value.
pub(crate) struct Dovecot {
    folder: PathBuf,
    child: Child,
    pub(crate) imaps: u16,
    pub(crate) pop3s: u16,
}

impl Dovecot {
    pub(super) fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join("mail"))?;
        make_certificate(folder)?;
        // Both at once, so that they are two.
        let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [imaps, pop3s] = [listeners[0].local_addr()?.port(), listeners[1].local_addr()?.port()];
        drop(listeners);
        // Dovecot does not serve as root: then its package's own users do.
        let me = command("id").arg("-un").read()?.trim().to_owned();
        let (internal, login, user) = if me == "root" { ("dovecot", "dovenull", "mail") } else { (&*me, &*me, &*me) };
        let file = folder.join("dovecot.conf");
        fs::write(&file, configuration(folder, [imaps, pop3s], [internal, login, user]))?;
        command("chown").arg(format!("{user}:{user}")).arg(folder.join("mail")).run()?;
        let child = roomy("dovecot").arg("-F").arg("-c").arg(&file).spawn().context("dovecot")?;
        let mut dovecot = Self { folder: folder.to_owned(), child, imaps, pop3s };
        wait_until("Dovecot to listen", PATIENCE, || {
            let status = dovecot.child.try_wait()?;
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            ensure!(status.is_none(), "Dovecot ended at once: {}", log());
            Ok([imaps, pop3s].iter().all(|it| TcpStream::connect(("127.0.0.1", *it)).is_ok()))
        })?;
        Ok(dovecot)
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("cert.pem")
    }

    /// An empty mailbox for this user, as a maildir.
    pub(crate) fn add_mailbox(&self, user: &str) -> Result<PathBuf> {
        let mailbox = self.folder.join("mail").join(user);
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(mailbox.join(part))?;
        }
        self.give(&mailbox)?;
        Ok(mailbox)
    }

    /// Gives a user this many messages of about that size, all different, none of them compressible to nothing.
    pub(crate) fn fill(&self, user: &str, count: u32, size: usize) -> Result<()> {
        let mailbox = self.add_mailbox(user)?;
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
        for nth in 0..count {
            let name = format!("{}.M{nth}P1.bench:2,", 1_700_000_000 + nth);
            let mut file = BufWriter::new(fs::File::create(mailbox.join("cur").join(name))?);
            write_message(&mut file, &format!("{nth}.{user}"), size, &mut random)?;
            file.flush()?;
        }
        Ok(())
    }

    /// Dovecot's user owns what is to be read and deleted.
    fn give(&self, mailbox: &Path) -> Result<()> {
        command("chown").args(["-R", "--reference"]).arg(self.folder.join("mail")).arg(mailbox).run()
    }
}

/// Writes one message of about that size, with lines that a mail protocol has to take care of.
pub(crate) fn write_message(to: &mut impl Write, id: &str, size: usize, random: &mut Random) -> Result<()> {
    let head = format!(
        "From: Sender {id} <sender@example.org>\r\nTo: Reader <reader@example.org>\r\nSubject: Message {id}\r\n\
         Date: Tue, 03 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{id}@example.org>\r\n\r\n.\r\n..\r\nFrom here on\r\n"
    );
    to.write_all(head.as_bytes())?;
    let mut written = head.len();
    while written < size {
        let word = random.next();
        let line = format!("{word:016x} lorem ipsum dolor sit amet {:08x}\r\n", word >> 32);
        to.write_all(line.as_bytes())?;
        written += line.len();
    }
    Ok(())
}

fn make_certificate(folder: &Path) -> Result<()> {
    command("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout"])
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"))
        .stderr(Stdio::null())
        .run()
}

/// Few login processes for many connections, so that sessions of TLS resume, and limits that nobody here reaches.
fn configuration(folder: &Path, [imaps, pop3s]: [u16; 2], [internal, login, user]: [&str; 3]) -> String {
    let at = folder.display();
    let logins = "chroot =\n service_count = 0\n process_min_avail = 2\n process_limit = 2\n";
    format!(
        "base_dir = {at}/run\nstate_dir = {at}/state\nlog_path = {at}/log\nlisten = 127.0.0.1\nprotocols = imap pop3\n\
         ssl = required\nssl_cert = <{at}/cert.pem\nssl_key = <{at}/key.pem\n\
         default_internal_user = {internal}\ndefault_internal_group = {internal}\ndefault_login_user = {login}\n\
         default_process_limit = 4000\ndefault_client_limit = 20000\ndefault_vsz_limit = 1G\n\
         mail_max_userip_connections = 10000\n\
         first_valid_uid = 1\nfirst_valid_gid = 1\nmail_location = maildir:{at}/mail/%u\nauth_mechanisms = plain\n\
         passdb {{\n driver = static\n args = password=pass\n}}\n\
         userdb {{\n driver = static\n args = uid={user} gid={user} home={at}/mail/%u\n}}\n\
         service anvil {{\n chroot =\n}}\n\
         service imap {{\n process_limit = 4000\n}}\nservice pop3 {{\n process_limit = 4000\n}}\n\
         service imap-login {{\n {logins} inet_listener imap {{\n  port = 0\n }}\n \
         inet_listener imaps {{\n  port = {imaps}\n  ssl = yes\n }}\n}}\n\
         service pop3-login {{\n {logins} inet_listener pop3 {{\n  port = 0\n }}\n \
         inet_listener pop3s {{\n  port = {pop3s}\n  ssl = yes\n }}\n}}\n"
    )
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // It ends its children when it is asked to end.
        _ = command("kill").arg(self.child.id().to_string()).succeeds();
        if wait_until("Dovecot to end", PATIENCE, || Ok(self.child.try_wait()?.is_some())).is_err() {
            _ = self.child.kill();
            _ = self.child.wait();
        }
    }
}
