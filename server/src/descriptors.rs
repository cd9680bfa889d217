//! How many descriptors this process may have open, and who gets how many: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most connections of clients, however many descriptors there are.
const CLIENTS_MAX: usize = 8192;
/// The fewest.
const CLIENTS_MIN: usize = 16;

/// How many there may be, once the process has taken as many as it is given.
pub(crate) fn available() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if raised { maximum } else { current };
    limit.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX))
}

/// The share of those who connect to this server.
pub(crate) fn clients(available: usize) -> usize {
    (available / 4).clamp(CLIENTS_MIN, CLIENTS_MAX)
}

/// The most connections that may wait for mail, so that a quarter is left for files, the database and connections of the moment,
/// and checks have theirs.
pub(crate) fn waiting(available: usize, n_checks: usize) -> usize {
    (available / 2).saturating_sub(n_checks)
}

/// Lets fewer connections wait for mail than was asked for, if there are too few descriptors.
pub(crate) fn fit(collect: &mut collect::Settings) {
    let available = available();
    let most = waiting(available, collect.at_once);
    if collect.idle_at_once > most {
        tracing::warn!(
            asked = collect.idle_at_once,
            most,
            descriptors = available,
            "fewer connections wait for mail than idle_at_once says: the limit of open files is too low"
        );
        collect.idle_at_once = most;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_leave_a_quarter() {
        for (available, n_checks) in [(256, 32), (1024, 32), (4096, 64), (1 << 20, 4096)] {
            let shares = clients(available) + waiting(available, n_checks) + n_checks;
            assert!(shares <= available - available / 4, "{available}: {shares}");
        }
        assert_eq!((clients(256), waiting(256, 32)), (64, 96));
        assert_eq!((clients(1 << 20), waiting(64, 128)), (CLIENTS_MAX, 0));
    }

    #[test]
    fn more_connections_that_wait_than_there_are_descriptors_are_cut_down() {
        let mut settings = collect::Settings { idle_at_once: usize::MAX, ..collect::Settings::default() };
        fit(&mut settings);
        assert_eq!(settings.idle_at_once, waiting(available(), settings.at_once));
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
