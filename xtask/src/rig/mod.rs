//! What benchmarks and soaks stand on: throw-away servers, a posthorn with its REST interface, a relay, a bare client, and
//! readings of processes and databases.

mod account;
pub(crate) mod client;
pub(crate) mod database;
mod dovecot;
mod posthorn;
mod random;
mod relay;
mod rest;
pub(crate) mod usage;

use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

pub(crate) use self::{
    account::Account,
    dovecot::{Dovecot, write_message},
    posthorn::{Instance, Posthorn},
    random::Random,
    relay::Relay,
    rest::Rest,
};
use crate::process::{Run as _, command};

/// A Dovecot in a folder of its own, with room for posthorns. Everything ends and vanishes with the value.
pub(crate) struct Rig {
    pub(crate) dovecot: Dovecot,
    binary: PathBuf,
    // The last one: what runs in it ends first.
    folder: Folder,
}

impl Rig {
    /// Builds posthorn, unless `POSTHORN_BINARY` names one that is there already.
    pub(crate) fn start() -> Result<Self> {
        let binary = if let Some(path) = env::var_os("POSTHORN_BINARY") {
            PathBuf::from(path)
        } else {
            crate::build()?;
            PathBuf::from("target/release/posthorn")
        };
        let binary = fs::canonicalize(&binary).with_context(|| binary.display().to_string())?;
        let folder = Folder::make()?;
        Ok(Self { dovecot: Dovecot::start(&folder.0.join("dovecot"))?, binary, folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// A posthorn that keeps its things under this name.
    pub(crate) fn posthorn(&self, name: &str) -> Result<Posthorn> {
        Posthorn::new(&self.binary, self.folder.0.join(name))
    }
}

/// A folder for everything, which vanishes with the value.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let folder = env::temp_dir().join(format!("posthorn-rig-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let folder = Self(folder);
        // Dovecot's own user has to get to the mailboxes.
        command("chmod").arg("755").arg(&folder.0).run()?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Dovecot's children may still write while they end.
        for _ in 0..20 {
            if fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        eprintln!("{} could not be removed", self.0.display());
    }
}

/// Looks again and again until it is so; fails with what was waited for.
pub(crate) fn wait_until(what: &str, patience: Duration, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    const LOOK_EVERY: Duration = Duration::from_millis(200);
    let began = Instant::now();
    while !is_so()? {
        if began.elapsed() > patience {
            bail!("after {patience:?} still waiting for {what}");
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
