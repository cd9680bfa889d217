//! Running other programs, with their failures named.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// The checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

pub(crate) fn announce(what: &str) {
    eprintln!("\n== {what}");
}

pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// A program that may have as many files open as the user may: a shell raises the limit and then becomes the program.
pub(crate) fn roomy(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut shell = command("sh");
    shell.args(["-c", r#"ulimit -n "$(ulimit -H -n)" && exec "$0" "$@""#]).arg(program);
    shell
}

/// The number at this place of the command line, or what it is at full length.
pub(crate) fn argument(arguments: &[String], nth: usize, full: u32) -> Result<u32> {
    let given = arguments.get(nth).map(|it| it.parse().with_context(|| format!("`{it}` is no whole number")));
    given.unwrap_or(Ok(full))
}

/// Whether files may be given to others, and programs have to be started as others.
pub(crate) fn is_root() -> Result<bool> {
    Ok(command("id").arg("-u").read()?.trim() == "0")
}

/// Runs to the end and makes a failure an error that names the command.
pub(crate) trait Run {
    fn run(&mut self) -> Result<()>;
    /// Standard output, if the program succeeds.
    fn read(&mut self) -> Result<String>;
    /// Whether it runs and succeeds; says nothing.
    fn succeeds(&mut self) -> bool;
}

impl Run for Command {
    fn run(&mut self) -> Result<()> {
        let line = line(self);
        let status = self.status().with_context(|| format!("could not run `{line}`"))?;
        ensure!(status.success(), "`{line}` failed: {status}");
        Ok(())
    }

    fn read(&mut self) -> Result<String> {
        let line = line(self);
        let output = self.stderr(Stdio::inherit()).output().with_context(|| format!("could not run `{line}`"))?;
        ensure!(output.status.success(), "`{line}` failed: {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn succeeds(&mut self) -> bool {
        self.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).status().is_ok_and(|it| it.success())
    }
}

/// The command as a person would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|it| it.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
