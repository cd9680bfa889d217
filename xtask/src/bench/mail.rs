//! 20,000 messages of about 18 kB from Dovecot over TLS: checked twice, stored once, beside mbsync on the same server.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::dovecot::Dovecot;
use crate::process::{Run as _, announce, command};

const N_MESSAGES: u32 = 20_000;
const SIZE: usize = 18_000;
/// No run may take longer.
const DEADLINE: Duration = Duration::from_mins(10);

pub(super) fn run() -> Result<()> {
    crate::build()?;
    announce(&format!("{N_MESSAGES} messages of about {SIZE} bytes over TLS"));
    let folder = Folder::make()?;
    let dovecot = Dovecot::start(&folder.0.join("dovecot"))?;
    dovecot.fill("bench", N_MESSAGES, SIZE)?;
    // Once for nobody, so that the first reader does not pay for the server's index.
    let peer = command("mbsync").arg("--version").succeeds();
    if peer {
        mbsync(&folder.0, "warm", dovecot.port, false)?;
    } else {
        eprintln!("mbsync is missing (Debian's package isync): no peer in this run");
    }
    let (first, memory, new) = posthorn(&folder.0, dovecot.port)?;
    ensure!(new == u64::from(N_MESSAGES), "{new} messages arrived instead of {N_MESSAGES}");
    let (second, _, new) = posthorn(&folder.0, dovecot.port)?;
    ensure!(new == 0, "the second check stored {new} messages again");
    eprintln!("posthorn            {:>7.1} s   peak resident {} MiB", first.as_secs_f64(), memory / 1024);
    eprintln!("posthorn, again     {:>7.1} s   nothing new", second.as_secs_f64());
    if peer {
        for (name, fsync) in [("mbsync", true), ("mbsync, FSync no", false)] {
            let took = mbsync(&folder.0, if fsync { "durable" } else { "fast" }, dovecot.port, fsync)?;
            let ratio = took.as_secs_f64() / first.as_secs_f64();
            eprintln!("{name:<19} {:>7.1} s   {ratio:.2} x the time of posthorn", took.as_secs_f64());
        }
    }
    Ok(())
}

/// Registers the account on the first call, and checks it: how long, the peak resident size in KiB, the new messages.
fn posthorn(folder: &Path, port: u16) -> Result<(Duration, u64, u64)> {
    let data = folder.join("posthorn");
    let posthorn = |arguments: &[&str]| {
        let mut command = command("target/release/posthorn");
        command.args(arguments).env("POSTHORN_DATA", &data).env("POSTHORN_EGRESS_ALLOW", "127.0.0.0/8,::1/128");
        command.env("RUST_LOG", "warn");
        command
    };
    let document = folder.join("account.json");
    fs::write(
        &document,
        format!(
            r#"{{"posthorn": 1, "credentials": [{{"name": "bench", "username": "bench", "secret": "pass"}}],
                "accounts": [{{"name": "bench", "address": "localhost", "port": {port}, "protocol": "imap",
                "credential": "bench", "skip_certificate": true, "automatic_check": false}}]}}"#
        ),
    )?;
    posthorn(&["import", &document.display().to_string()]).stdout(Stdio::null()).run()?;
    let began = Instant::now();
    let mut child = posthorn(&["check", "1"]).stdout(Stdio::piped()).spawn()?;
    let mut memory = 0;
    let status = loop {
        memory = memory.max(high_water(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > DEADLINE {
            child.kill()?;
            bail!("posthorn is not done after {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = began.elapsed();
    let printed = std::io::read_to_string(child.stdout.take().context("standard output")?)?;
    ensure!(status.success(), "the check failed: {printed}");
    let new = printed.split_once("\"new_messages\":").context("the check run")?.1;
    let new = new.chars().take_while(char::is_ascii_digit).collect::<String>().parse()?;
    Ok((took, memory, new))
}

/// The most that a process has had in memory, KiB (proc(5), `VmHWM`).
fn high_water(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Fetches everything into an empty maildir.
fn mbsync(folder: &Path, name: &str, port: u16, fsync: bool) -> Result<Duration> {
    let target = folder.join(format!("mbsync-{name}"));
    fs::create_dir_all(&target)?;
    let at = target.display();
    let config = target.join("mbsyncrc");
    fs::write(
        &config,
        format!(
            "FSync {}\nIMAPAccount bench\nHost localhost\nPort {port}\nUser bench\nPass pass\nSSLType IMAPS\n\
             CertificateFile {}\n\nIMAPStore far\nAccount bench\n\nMaildirStore near\nPath {at}/\nInbox {at}/inbox\n\n\
             Channel bench\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSync Pull\nSyncState *\n",
            if fsync { "yes" } else { "no" },
            folder.join("dovecot/cert.pem").display(),
        ),
    )?;
    let began = Instant::now();
    command("timeout")
        .arg(DEADLINE.as_secs().to_string())
        .args(["mbsync", "--quiet", "--config"])
        .arg(&config)
        .arg("bench")
        .run()?;
    let took = began.elapsed();
    let arrived = ["cur", "new"].map(|it| fs::read_dir(target.join("inbox").join(it)).map_or(0, Iterator::count));
    ensure!(arrived[0] + arrived[1] == N_MESSAGES as usize, "mbsync fetched {arrived:?} messages");
    fs::remove_dir_all(&target)?;
    Ok(took)
}

/// A folder for everything, which vanishes with the value.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let folder = env::temp_dir().join(format!("posthorn-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        command("chmod").arg("755").arg(&folder).run()?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}
