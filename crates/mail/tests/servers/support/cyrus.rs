//! A real Cyrus of our own: IMAP and POP3 on free ports, unpacked beside the system because its packages and Dovecot's exclude
//! each other.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use domain::account::{Protocol, Security};
use tempfile::TempDir;

use super::{
    SECURITIES,
    program::{Program, free_port, tool, whoami},
    server::{Onlooker, Server, USER, USER_PASSWORD},
};

const ADMIN: &str = "admin";

pub(crate) struct Cyrus {
    imap: u16,
    imaps: u16,
    pop3: u16,
    pop3s: u16,
    // The program ends before its folder goes.
    _program: Program,
    _folder: TempDir,
}

impl Server for Cyrus {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let root = unpacked(at);
        for part in ["", "conf", "spool"] {
            fs::create_dir_all(at.join(part)).unwrap();
            open_to_all(&at.join(part), 0o777);
        }
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let ports @ [imap, imaps, pop3, pop3s] = [(); 4].map(|()| free_port());
        for (name, text) in [
            ("cert.pem", made.cert.pem()),
            ("key.pem", made.signing_key.serialize_pem()),
            ("imapd.conf", imapd_conf(at)),
            ("cyrus.conf", cyrus_conf(at, &root, ports)),
        ] {
            fs::write(at.join(name), text).unwrap();
            open_to_all(&at.join(name), 0o644);
        }
        for user in [USER, ADMIN] {
            add_user(&root, &at.join("sasldb"), user);
        }
        open_to_all(&at.join("sasldb"), 0o666);
        let mut master = command(&root, "usr/lib/cyrus/bin/master");
        master.arg("-C").arg(at.join("imapd.conf")).arg("-M").arg(at.join("cyrus.conf"));
        // When it ends it ends its whole process group, which must not be the test's.
        master.arg("-p").arg(at.join("pid")).arg("-D").process_group(0);
        let mut program = Program::run(&mut master, "`cargo xtask test unit` unpacks it");
        for port in ports {
            program.listens(port).await;
        }
        Self { imap, imaps, pop3, pop3s, _program: program, _folder: folder }
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

    async fn renew(&mut self, user: &str) {
        let mut admin = Onlooker::sign_in(self.imap, ADMIN).await;
        admin.command(&format!("SETACL user/{user} {ADMIN} lrswipkxtecda")).await;
        admin.command(&format!("DELETE user/{user}")).await;
        // The next one who signs in finds a new inbox.
    }
}

/// Where its programs are: those of the cache, or a copy that others may enter, since Cyrus does not serve as root.
fn unpacked(at: &Path) -> PathBuf {
    let root = tool("POSTHORN_TEST_CYRUS", "cyrus");
    if whoami() != "root" {
        return root;
    }
    let copied = Command::new("cp").arg("--recursive").arg(root).arg(at.join("program")).status().unwrap();
    assert!(copied.success(), "Cyrus cannot be copied");
    at.join("program")
}

/// A program of Cyrus's, with the libraries that lie beside it.
fn command(root: &Path, program: &str) -> Command {
    let libraries = fs::read_dir(root.join("usr/lib")).unwrap().map(|it| it.unwrap().path());
    let libraries: Vec<PathBuf> = libraries.filter(|it| it.to_string_lossy().ends_with("-linux-gnu")).collect();
    let beside = |it: &PathBuf| [it.clone(), root.join("lib").join(it.file_name().unwrap_or_default())];
    let mut command = Command::new(root.join(program));
    command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries.iter().flat_map(beside)).unwrap());
    command.env("SASL_PATH", std::env::join_paths(libraries.iter().map(|it| it.join("sasl2"))).unwrap());
    command
}

fn add_user(root: &Path, database: &Path, user: &str) {
    let mut saslpasswd = command(root, "usr/sbin/saslpasswd2");
    saslpasswd.args(["-p", "-c", "-u", "localhost", "-f"]).arg(database).arg(user);
    let mut child = saslpasswd.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{USER_PASSWORD}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "no account for {user}");
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn imapd_conf(at: &Path) -> String {
    let me = whoami();
    let user = if me == "root" { "mail" } else { &me };
    let at = at.display();
    // Lines must not be indented, nor a value be empty.
    let lines = [
        format!("configdirectory: {at}/conf"),
        format!("partition-default: {at}/spool"),
        "defaultpartition: default".to_owned(),
        format!("cyrus_user: {user}"),
        format!("admins: {ADMIN}"),
        "servername: localhost".to_owned(),
        "allowplaintext: yes".to_owned(),
        "unixhierarchysep: yes".to_owned(),
        "sasl_pwcheck_method: auxprop".to_owned(),
        "sasl_auxprop_plugin: sasldb".to_owned(),
        format!("sasl_sasldb_path: {at}/sasldb"),
        "sasl_mech_list: PLAIN".to_owned(),
        // Wrong passwords are part of the tests: nobody waits for them.
        "failedloginpause: 0".to_owned(),
        "autocreate_quota: 0".to_owned(),
        "autocreate_post: yes".to_owned(),
        "delete_mode: immediate".to_owned(),
        "popminpoll: 0".to_owned(),
        format!("tls_server_cert: {at}/cert.pem"),
        format!("tls_server_key: {at}/key.pem"),
    ];
    lines.join("\n") + "\n"
}

fn cyrus_conf(at: &Path, root: &Path, [imap, imaps, pop3, pop3s]: [u16; 4]) -> String {
    let (at, bin) = (at.display(), root.join("usr/lib/cyrus/bin").display().to_string());
    let service = |name: &str, program: &str, port: u16| {
        format!("  {name} cmd=\"{bin}/{program} -C {at}/imapd.conf\" listen=\"127.0.0.1:{port}\" prefork=0\n")
    };
    let services = [
        service("imap", "imapd", imap),
        service("imaps", "imapd -s", imaps),
        service("pop3", "pop3d", pop3),
        service("pop3s", "pop3d -s", pop3s),
    ];
    let recover = format!("  recover cmd=\"{bin}/ctl_cyrusdb -C {at}/imapd.conf -r\"\n");
    format!("START {{\n{recover}}}\nSERVICES {{\n{}}}\n", services.concat())
}
