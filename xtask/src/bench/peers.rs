//! The peers: each fetches the mailbox `bench` into something empty, leaves it where it is, and says how long that took.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::process::{Run as _, command, is_root};

/// No run may take longer.
const DEADLINE: Duration = Duration::from_mins(10);
/// Whom to be instead of root.
const OTHER: &str = "mail";
/// The mailbox's user.
pub(super) const USER: &str = "bench";

/// Where the mail is, and where there is room for it.
pub(super) struct Mailbox<'a> {
    pub(super) folder: &'a Path,
    pub(super) certificate: PathBuf,
    pub(super) port: u16,
    pub(super) n_messages: u32,
}

impl Mailbox<'_> {
    /// isync, from IMAP into a maildir.
    pub(super) fn mbsync(&self, fsync: &str) -> Result<Duration> {
        self.fetch("mbsync", |at, room| {
            let certificate = self.certificate.display();
            let port = self.port;
            let config = format!(
                "FSync {fsync}\nIMAPAccount bench\nHost localhost\nPort {port}\nUser {USER}\nPass pass\nSSLType IMAPS\n\
                 CertificateFile {certificate}\n\nIMAPStore far\nAccount bench\n\nMaildirStore near\nPath {room}/\n\
                 Inbox {room}/inbox\n\nChannel bench\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSync Pull\n\
                 SyncState *\n"
            );
            let mut mbsync = timed("mbsync");
            mbsync.args(["--quiet", "--config"]).arg(private(at, &config)?).arg("bench");
            Ok((mbsync, at.join("inbox")))
        })
    }

    /// mpop, from POP3 with pipelining into a maildir.
    pub(super) fn mpop(&self) -> Result<Duration> {
        self.fetch("mpop", |at, room| {
            let inbox = maildir(at)?;
            let port = self.port;
            let config = format!(
                "account bench\nhost localhost\nport {port}\ntls on\ntls_starttls off\ntls_certcheck off\nuser {USER}\n\
                 password pass\nkeep on\ndelivery maildir {room}/inbox\nuidls_file {room}/uidls\n"
            );
            let mut mpop = timed("mpop");
            mpop.args(["--quiet", "--file"]).arg(private(at, &config)?).arg("bench");
            Ok((mpop, inbox))
        })
    }

    /// fetchmail, from POP3 into one file of batched SMTP: no other program is started for a message.
    pub(super) fn fetchmail(&self) -> Result<Duration> {
        self.fetch("fetchmail", |at, room| {
            let (port, certificate) = (self.port, self.certificate.display());
            let config = format!(
                "set no bouncemail\npoll localhost protocol pop3 port {port} username {USER} password pass\n\
                 ssl sslproto 'auto' sslcertck sslcertfile '{certificate}' keep fetchall bsmtp '{room}/batch'\n"
            );
            let mut fetchmail = timed("fetchmail");
            fetchmail.env("FETCHMAILHOME", at).args(["--silent", "--fetchmailrc"]).arg(private(at, &config)?);
            Ok((fetchmail, at.join("batch")))
        })
    }

    /// getmail6, from POP3 into a maildir. It delivers nothing as root.
    pub(super) fn getmail(&self) -> Result<Duration> {
        self.fetch("getmail", |at, room| {
            let inbox = maildir(at)?;
            let port = self.port;
            let config = format!(
                "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = {port}\nusername = {USER}\n\
                 password = pass\n[destination]\ntype = Maildir\npath = {room}/inbox/\n[options]\nread_all = false\n\
                 delete = false\nverbose = 0\n"
            );
            let config = private(at, &config)?;
            let mut getmail = if is_root()? {
                command("chown").args(["-R", OTHER]).arg(at).run()?;
                let mut getmail = timed("runuser");
                getmail.args(["-u", OTHER, "--", "getmail"]).current_dir("/");
                getmail
            } else {
                timed("getmail")
            };
            getmail.arg("--getmaildir").arg(at).arg("--rcfile").arg(config);
            Ok((getmail, inbox))
        })
    }

    /// Runs the program that `prepare` makes in an empty folder, and counts what arrived where it says.
    fn fetch(&self, name: &str, prepare: impl FnOnce(&Path, &str) -> Result<(Command, PathBuf)>) -> Result<Duration> {
        let at = self.folder.join(name);
        fs::create_dir_all(&at)?;
        let (mut program, arrives_in) = prepare(&at, &at.display().to_string())?;
        let began = Instant::now();
        program.run()?;
        let took = began.elapsed();
        let n_arrived = count(&arrives_in)?;
        ensure!(n_arrived == self.n_messages as usize, "{name} fetched {n_arrived} of {} messages", self.n_messages);
        fs::remove_dir_all(&at)?;
        Ok(took)
    }
}

fn timed(program: &str) -> Command {
    let mut timeout = command("timeout");
    timeout.arg(DEADLINE.as_secs().to_string()).arg(program);
    timeout
}

/// A configuration that nobody else may read: with a password inside, the programs insist on it.
fn private(at: &Path, config: &str) -> Result<PathBuf> {
    let file = at.join("config");
    fs::write(&file, config)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

fn maildir(at: &Path) -> Result<PathBuf> {
    let inbox = at.join("inbox");
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(inbox.join(part))?;
    }
    Ok(inbox)
}

/// The messages in a maildir, or in a file of batched SMTP, where a lonely dot ends each.
fn count(arrived: &Path) -> Result<usize> {
    if arrived.is_file() {
        let batch = fs::read(arrived)?;
        return Ok(batch.split(|it| *it == b'\n').filter(|it| it.trim_ascii_end() == b".").count());
    }
    let files = |part: &str| fs::read_dir(arrived.join(part)).map_or(0, Iterator::count);
    Ok(files("cur") + files("new"))
}
