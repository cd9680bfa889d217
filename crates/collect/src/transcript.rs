//! The dialogue of one check, taken down for whoever asked for it. What comes in is masked already.

use std::{
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use service::ports::{Side, Transcript};

/// A longer dialogue is cut in the middle of nothing: its beginning is what explains a failure to open, its end a failure later.
const HEAD_MAX: usize = 192 * 1024;
const TAIL_MAX: usize = 64 * 1024;

/// Takes lines down with the time since the check began.
#[derive(Debug)]
pub(crate) struct Taken {
    began: Instant,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    head: String,
    tail: String,
    n_dropped: u64,
}

impl Taken {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), lines: Mutex::default() }
    }

    pub(crate) fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.tail.is_empty() {
            return lines.head.clone();
        }
        format!("{}… {} lines are left out …\n{}", lines.head, lines.n_dropped, lines.tail)
    }
}

impl Transcript for Taken {
    fn line(&self, side: Side, text: &str) {
        let side = match side {
            Side::Client => 'C',
            Side::Server => 'S',
        };
        let at = self.began.elapsed();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = &mut *lines;
        let into = if lines.head.len() < HEAD_MAX { &mut lines.head } else { &mut lines.tail };
        // Writing into a text does not fail.
        _ = writeln!(into, "{:>4}.{:03} {side}: {text}", at.as_secs(), at.subsec_millis());
        while lines.tail.len() > TAIL_MAX {
            let end = lines.tail.find('\n').map_or(lines.tail.len(), |it| it + 1);
            lines.tail.drain(..end);
            lines.n_dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_dialogue_keeps_its_beginning_and_its_end() {
        let taken = Taken::new();
        taken.line(Side::Client, "first");
        for n in 0..100_000 {
            taken.line(Side::Server, &format!("line {n}"));
        }
        let text = taken.text();
        assert!(text.contains("C: first\n") && text.contains("S: line 99999\n") && text.contains("lines are left out"));
        assert!(text.len() <= HEAD_MAX + TAIL_MAX + 200, "{}", text.len());
    }
}
