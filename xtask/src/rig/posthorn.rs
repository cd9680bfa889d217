//! A posthorn under measurement: its settings, its commands, and instances of it that serve, stop and are killed.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{Account, Rest, account, database, usage};
use crate::process::{Run as _, command, roomy};

/// The file of the master key, in the folder.
const KEY: &str = "key";
/// No check that is measured may take longer.
const CHECK_DEADLINE: Duration = Duration::from_mins(10);
const START_DEADLINE: Duration = Duration::from_mins(1);
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// An installation: a folder, a database and settings.
pub(crate) struct Posthorn {
    binary: PathBuf,
    data: PathBuf,
    settings: Vec<(&'static str, String)>,
}

impl Posthorn {
    pub(super) fn new(binary: &Path, data: PathBuf) -> Result<Self> {
        fs::create_dir_all(&data)?;
        // The same key for all, so that several can share a database.
        let key = data.join(KEY);
        fs::write(&key, [7; 32])?;
        let settings = vec![
            ("POSTHORN_DATA", data.display().to_string()),
            // Whatever the caller's environment says: never a database of theirs.
            ("POSTHORN_DATABASE_URL", format!("sqlite://{}", data.join("posthorn.db").display())),
            ("POSTHORN_MASTER_KEY_FILE", key.display().to_string()),
            ("POSTHORN_EGRESS_ALLOW", "127.0.0.0/8".to_owned()),
            ("RUST_LOG", "warn".to_owned()),
        ];
        Ok(Self { binary: binary.to_owned(), data, settings })
    }

    /// With a setting of the environment; the last one of a name counts.
    pub(crate) fn with(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.settings.push((name, value.to_string()));
        self
    }

    /// Without the limits that spare other people's servers, for as many checks at once.
    pub(crate) fn unhurried(self, at_once: usize) -> Self {
        self.with("POSTHORN_CHECKS_AT_ONCE", at_once)
            .with("POSTHORN_CHECKS_PER_HOST", at_once)
            .with("POSTHORN_STARTS_PER_SECOND_PER_HOST", 0)
            .with("POSTHORN_STARTS_PER_SECOND", 0)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = roomy(&self.binary);
        // Elsewhere than in the checkout, whose `posthorn.toml` is somebody's own.
        command.args(arguments).envs(self.settings.iter().map(|(name, value)| (name, value))).current_dir(&self.data);
        command
    }

    pub(crate) fn import(&self, accounts: &[Account]) -> Result<()> {
        let document = self.data.join("accounts.json");
        fs::write(&document, account::document(accounts).to_string())?;
        self.command(&["import"]).arg(&document).stdout(Stdio::null()).run()
    }

    /// A token of an administrator, who is added.
    pub(crate) fn token(&self) -> Result<String> {
        let add = ["user", "add", "--name", "ana", "--role", "administrator"];
        let mut add = self.command(&add).stdin(Stdio::piped()).spawn()?;
        add.stdin.take().context("standard input")?.write_all(b"correct horse battery")?;
        ensure!(add.wait()?.success(), "no user was added");
        Ok(self.command(&["token", "create", "--user", "ana"]).read()?.trim().to_owned())
    }

    /// The file of the master key that it begins with.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.data.join(KEY)
    }

    /// Another master key, in a file of this name.
    pub(crate) fn make_key(&self, name: &str) -> Result<PathBuf> {
        let file = self.data.join(name);
        self.command(&["key", "make"]).arg(&file).stdout(Stdio::null()).run()?;
        Ok(file)
    }

    /// Changes the master key; kills the command so long after its first words, if it has not ended by then. Answers with the most
    /// that it held in memory, KiB, unless it was killed.
    pub(crate) fn rotate(&self, life: Option<Duration>) -> Result<Option<u64>> {
        let mut child = Ended(self.command(&["key", "rotate"]).stdout(Stdio::piped()).spawn()?);
        let mut lines = BufReader::new(child.0.stdout.take().context("standard output")?).lines();
        lines.next().context("the command says nothing")??;
        thread::spawn(move || lines.for_each(drop));
        let began = Instant::now();
        let mut peak_kib = 0;
        loop {
            peak_kib = peak_kib.max(usage::peak(child.0.id()).unwrap_or(0));
            if let Some(status) = child.0.try_wait()? {
                ensure!(status.success(), "the master key was not changed: {status}");
                return Ok(Some(peak_kib));
            }
            if life.is_some_and(|it| began.elapsed() >= it) {
                return Ok(None);
            }
            ensure!(began.elapsed() < CHECK_DEADLINE, "posthorn is not done after {CHECK_DEADLINE:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Rows of its SQLite file.
    pub(crate) fn rows(&self, select: &str) -> Result<Vec<Vec<i64>>> {
        database::sqlite(&self.data.join("posthorn.db"), select)
    }

    /// Checks one account by the command of that name.
    pub(crate) fn check(&self, id: i64) -> Result<Checked> {
        let began = Instant::now();
        let mut child = Ended(self.command(&["check", &id.to_string()]).stdout(Stdio::piped()).spawn()?);
        let mut peak_kib = 0;
        let status = loop {
            peak_kib = peak_kib.max(usage::peak(child.0.id()).unwrap_or(0));
            if let Some(status) = child.0.try_wait()? {
                break status;
            }
            if began.elapsed() > CHECK_DEADLINE {
                bail!("posthorn is not done after {CHECK_DEADLINE:?}");
            }
            thread::sleep(Duration::from_millis(10));
        };
        let took = began.elapsed();
        let printed = std::io::read_to_string(child.0.stdout.take().context("standard output")?)?;
        ensure!(status.success(), "the check failed: {printed}");
        let run: Value = serde_json::from_str(&printed)?;
        Ok(Checked { took, peak_kib, new_messages: run["new_messages"].as_u64().context("new_messages")? })
    }

    /// Starts an instance and waits until it listens. What it logs goes to `log` in its folder.
    pub(crate) fn serve(&self) -> Result<Instance> {
        let log = self.data.join("log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut child = Ended(command.stdout(Stdio::piped()).stderr(file).spawn()?);
        let lines = BufReader::new(child.0.stdout.take().context("standard output")?).lines();
        let (tell, listening) = mpsc::channel();
        // It reads to the end: whatever is said later must not fill the pipe.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("listening on http://") {
                    _ = tell.send(address.to_owned());
                }
            }
        });
        let address = listening.recv_timeout(START_DEADLINE);
        let said = || format!("posthorn does not listen: {}", fs::read_to_string(&log).unwrap_or_default());
        Ok(Instance { address: address.ok().and_then(|it| it.parse().ok()).with_context(said)?, child })
    }
}

/// How a check went.
pub(crate) struct Checked {
    pub(crate) took: Duration,
    pub(crate) peak_kib: u64,
    pub(crate) new_messages: u64,
}

/// A running `posthorn serve`. It is killed with the value.
pub(crate) struct Instance {
    child: Ended,
    address: SocketAddr,
}

impl Instance {
    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) fn rest(&self, token: &str) -> Rest {
        Rest { address: self.address, token: token.to_owned(), patience: Duration::from_mins(1) }
    }

    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.0.try_wait()?.is_none())
    }

    /// Ends it at once, wherever it is.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.0.kill()?;
        self.child.0.wait()?;
        Ok(())
    }

    /// Asks it to end, as a service manager does, and waits for that.
    pub(crate) fn stop(mut self) -> Result<()> {
        command("kill").arg(self.id().to_string()).run()?;
        super::wait_until("posthorn to stop", STOP_DEADLINE, || Ok(!self.is_running()?))
    }
}

/// A child that is killed and waited for with the value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
