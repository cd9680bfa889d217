//! A real Dovecot of our own: free ports, any user with the password "pass", mail as files.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use domain::account::{Protocol, Security};
use tempfile::TempDir;

use super::{
    SECURITIES,
    program::{Program, free_port, whoami},
    server::Server,
};

pub(crate) struct Dovecot {
    imap: u16,
    imaps: u16,
    pop3: u16,
    pop3s: u16,
    /// For `localhost`, vouching for itself.
    pub(crate) certificate: PathBuf,
    // The program ends before its folder goes.
    _program: Program,
    folder: TempDir,
}

impl Dovecot {
    /// One that asks this endpoint about tokens.
    pub(crate) async fn start_with_tokens(introspection: &str) -> Self {
        Self::begin(Some(introspection)).await
    }

    /// With the address of an introspection endpoint (RFC 7662), tokens are taken as well.
    async fn begin(introspection: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        open_to_all(at, 0o755);
        fs::create_dir(at.join("mail")).unwrap();
        open_to_all(&at.join("mail"), 0o777);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = at.join("cert.pem");
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(at.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let [imap, imaps, pop3, pop3s] = [(); 4].map(|()| free_port());
        let file = at.join("dovecot.conf");
        let more = introspection.map_or_else(String::new, |it| oauth(at, it));
        fs::write(&file, config(at, [imap, imaps, pop3, pop3s]) + &more).unwrap();
        let mut program = Program::start(
            "/usr/sbin/dovecot",
            "dovecot-imapd and dovecot-pop3d",
            &["-F", "-c", &file.to_string_lossy()],
        );
        for port in [imap, imaps, pop3, pop3s] {
            program.listens(port).await;
        }
        Self { imap, imaps, pop3, pop3s, certificate, _program: program, folder }
    }

    /// Puts messages into a user's inbox, in this order.
    pub(crate) fn deliver(&self, user: &str, messages: &[Vec<u8>]) {
        let inbox = self.folder.path().join("mail").join(user);
        for part in ["", "cur", "new", "tmp"] {
            fs::create_dir_all(inbox.join(part)).unwrap();
            open_to_all(&inbox.join(part), 0o777);
        }
        for (n, message) in messages.iter().enumerate() {
            let file = inbox.join("new").join(format!("{}.M{n}P1.test", 1_700_000_000 + n));
            fs::write(&file, message).unwrap();
            open_to_all(&file, 0o666);
        }
    }
}

impl Server for Dovecot {
    async fn start() -> Self {
        Self::begin(None).await
    }

    fn served(&self) -> Vec<(Protocol, Security)> {
        SECURITIES.into_iter().flat_map(|it| [(Protocol::Imap, it), (Protocol::Pop3, it)]).collect()
    }

    fn port(&self, protocol: Protocol, security: Security) -> u16 {
        match (protocol, security) {
            (Protocol::Imap, Security::Implicit(_)) => self.imaps,
            (Protocol::Imap, _) => self.imap,
            (Protocol::Pop3, Security::Implicit(_)) => self.pop3s,
            (Protocol::Pop3, _) => self.pop3,
        }
    }

    async fn deliver(&self, user: &str, messages: &[Vec<u8>]) {
        Dovecot::deliver(self, user, messages);
    }

    async fn renew(&mut self, user: &str) {
        fs::remove_dir_all(self.folder.path().join("mail").join(user)).unwrap();
    }
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn config(at: &Path, [imap, imaps, pop3, pop3s]: [u16; 4]) -> String {
    // Dovecot does not serve as root: then its package's own users do, and the mail is anybody's to write.
    let me = whoami();
    let (internal, login, user) =
        if me == "root" { ("dovecot", "dovenull", "mail") } else { (me.as_str(), me.as_str(), me.as_str()) };
    let at = at.display();
    format!(
        "base_dir = {at}/run
        state_dir = {at}/state
        log_path = {at}/log
        listen = 127.0.0.1
        protocols = imap pop3
        ssl = yes
        ssl_cert = <{at}/cert.pem
        ssl_key = <{at}/key.pem
        disable_plaintext_auth = no
        auth_failure_delay = 0
        default_internal_user = {internal}
        default_internal_group = {internal}
        default_login_user = {login}
        first_valid_uid = 1
        first_valid_gid = 1
        mail_location = maildir:{at}/mail/%u
        mail_max_userip_connections = 1000
        auth_mechanisms = plain login
        passdb {{
          driver = static
          mechanisms = plain login
          args = password=pass
        }}
        userdb {{
          driver = static
          args = uid={user} gid={user} home={at}/mail/%u
        }}
        service anvil {{
          chroot =
          # Wrong passwords are part of the tests: nobody waits for them.
          unix_listener anvil-auth-penalty {{
            mode = 0
          }}
        }}
        service imap-login {{
          chroot =
          inet_listener imap {{
            port = {imap}
          }}
          inet_listener imaps {{
            port = {imaps}
            ssl = yes
          }}
        }}
        service pop3-login {{
          chroot =
          inet_listener pop3 {{
            port = {pop3}
          }}
          inet_listener pop3s {{
            port = {pop3s}
            ssl = yes
          }}
        }}
        "
    )
}

/// A passdb for tokens beside the one for passwords.
fn oauth(at: &Path, introspection: &str) -> String {
    let settings = at.join("oauth2.conf.ext");
    let text = format!(
        "introspection_mode = post
        introspection_url = {introspection}
        username_attribute = username
        active_attribute = status
        active_value = active
        "
    );
    fs::write(&settings, text).unwrap();
    open_to_all(&settings, 0o644);
    format!(
        "auth_mechanisms = plain login oauthbearer xoauth2
        passdb {{
          driver = oauth2
          mechanisms = oauthbearer xoauth2
          args = {}
        }}
        ",
        settings.display()
    )
}
