//! What a process and a port take of the machine, as proc(5) tells it.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

/// The resident size now, KiB.
pub(crate) fn resident(process: u32) -> Result<u64> {
    status(process, "VmRSS:")
}

/// The most that was ever resident, KiB.
pub(crate) fn peak(process: u32) -> Result<u64> {
    status(process, "VmHWM:")
}

fn status(process: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|it| it.strip_prefix(field)).context("the process has ended")?;
    line.trim().strip_suffix(" kB").and_then(|it| it.parse().ok()).with_context(|| format!("{field}{line}"))
}

/// The processor time of all threads so far, in user and kernel mode.
pub(crate) fn processor_time(process: u32) -> Result<Duration> {
    // The unit is the same on every Linux that this runs on: a hundredth of a second.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name before it is in parentheses and may hold anything.
    let fields = stat.rsplit_once(')').context("stat")?.1;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    let (user, system) = (times.next().context("utime")??, times.next().context("stime")??);
    Ok(TICK * (user + system))
}

/// How many connections to this port of 127.0.0.1 are established.
pub(crate) fn connections(port: u16) -> Result<usize> {
    const ESTABLISHED: &str = "01";
    let remote = format!(":{port:04X}");
    let is_ours = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|it| it.ends_with(&remote)) && fields.next() == Some(ESTABLISHED)
    };
    // The list has both ends of each: only the caller's has the port on the far side.
    Ok(fs::read_to_string("/proc/net/tcp")?.lines().filter(is_ours).count())
}
