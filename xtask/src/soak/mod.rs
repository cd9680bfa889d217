//! `cargo xtask soak [NAME]`: what takes too long for every change. Each fails if posthorn does not keep what it promises.

mod chaos;
mod fuzz;
mod keys;
mod kill;
mod late;

use anyhow::{Result, bail};

use crate::tools;

/// A soak takes its measures as arguments, to be tried in little time; without them it runs at full length.
type Soak = fn(&[String]) -> Result<()>;

const SOAKS: [(&str, Soak); 5] =
    [("late", late::run), ("kill", kill::run), ("chaos", chaos::run), ("keys", keys::run), ("fuzz", fuzz::run)];

/// The error of a run whose instance was killed, once the next one has ended it.
const WENT_AWAY: &str = "the instance that ran this check went away";

/// All soaks, or the one of that name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let names = || SOAKS.map(|it| it.0).join(", ");
    match arguments.split_first() {
        None => {
            tools::for_soak()?;
            SOAKS.iter().try_for_each(|(_, soak)| soak(&[]))
        }
        Some((name, rest)) => {
            let Some((_, soak)) = SOAKS.iter().find(|it| it.0 == name) else {
                bail!("there is no soak `{name}`: {}", names())
            };
            tools::for_soak()?;
            soak(rest)
        }
    }
}
