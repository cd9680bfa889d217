//! `posthorn key`: making a master key, and changing the one that seals while instances serve.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use collect::Collector;
use domain::actor::Actor;
use service::{SealStatus, Seals, Service, vault::KeyId};

use crate::{
    cli::say,
    config::Config,
    key_file,
    parts::{System, explain_keys},
};

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a file with a new master key, which only its owner may read. Nothing is sealed with it yet.
    Make { file: PathBuf },
    /// Make another master key the one that seals, and seal every secret anew, while instances serve. Every instance has to hold
    /// both keys by then. May be broken off and begun again at any time.
    Rotate {
        /// The file of the new key; without it, the one that `POSTHORN_MASTER_KEY_FILE` names.
        #[arg(long)]
        new_key_file: Option<PathBuf>,
        /// Only tell what there is to do.
        #[arg(long)]
        dry_run: bool,
    },
}

/// What needs no database.
pub(crate) fn make(file: &Path) -> Result<()> {
    let id = KeyId::of(&*key_file::make(file)?);
    say(&format!("made the master key {id}; without this file no secret that it seals can be read, so keep a copy"));
    Ok(())
}

/// What an instance that serves says and asks of its keys before it does anything else. It first says which ones it holds, and
/// then asks which are needed: so a change of the key in between is either refused, or seen here.
pub(crate) async fn settle(config: &Config, service: &Service, collector: &Collector, current: KeyId) -> Result<()> {
    for file in config.master_key_file.iter().chain(&config.other_key_files) {
        key_file::warn_if_open(file);
    }
    collector.introduce().await.context("the database could not be used")?;
    let SealStatus { sealing, .. } = service.seals().check_keys().await.map_err(explain_keys)?;
    if sealing != current {
        tracing::warn!(%sealing, %current, "the current master key does not seal yet: `posthorn key rotate` changes that");
    }
    Ok(())
}

/// Changes the key, or goes on with a change that was broken off.
pub(crate) async fn rotate(system: &System, actor: &Actor, new: Option<PathBuf>, dry_run: bool) -> Result<()> {
    let key = match new {
        Some(file) => KeyId::of(&*key_file::read(&file)?),
        None => system.key_id,
    };
    let seals = system.service.seals();
    let status = seals.status(actor).await?;
    for (id, n) in &status.by_key {
        say(&format!("{n} secrets are sealed by the master key {id}"));
    }
    let is_change = status.sealing != key;
    if !is_change {
        say(&format!("the master key {key} is the one that seals already"));
    }
    if dry_run {
        return foretell(&seals, actor, key, status.n_left(key), is_change.then_some(status.sealing)).await;
    }
    if is_change {
        seals.change_key(actor, key).await?;
        say(&format!("the master key {key} seals from now on, instead of {}", status.sealing));
    }
    seal_anew(&seals, actor, key).await
}

async fn foretell(seals: &Seals<'_>, actor: &Actor, key: KeyId, n_left: u64, instead_of: Option<KeyId>) -> Result<()> {
    if let Some(before) = instead_of {
        say(&format!("the master key {key} would seal instead of {before}"));
        for it in seals.instances_without(actor, key).await? {
            say(&format!("instance {} on {} does not hold it: start it again with it first", it.instance, it.host));
        }
    }
    say(&format!("{n_left} secrets would be sealed anew"));
    Ok(())
}

async fn seal_anew(seals: &Seals<'_>, actor: &Actor, key: KeyId) -> Result<()> {
    let n_all = seals.status(actor).await?.n_left(key);
    let resealed = seals.reseal(actor, key, |n| say(&format!("{n} of {n_all} secrets are sealed anew"))).await;
    let status = seals.status(actor).await?;
    let n_left = status.n_left(key);
    if n_left > 0 {
        let others = status.by_key.keys().filter(|it| **it != key).map(ToString::to_string).collect::<Vec<_>>();
        say(&format!("{n_left} secrets are still sealed by {}: keep its file, and begin again", others.join(", ")));
    }
    let n_done = resealed?;
    if n_left > 0 || status.sealing != key {
        bail!("not everything is sealed by {key} yet");
    }
    say(&format!(
        "{n_done} secrets were sealed anew; all {} are under {key} now. No other master key is needed any more, but by the \
         backups that were made with it: start the instances without its file",
        status.n_all()
    ));
    Ok(())
}
