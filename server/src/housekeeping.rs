//! What has to be done from time to time and by nobody in particular: deleted accounts, the records of checks, and
//! tests of connections that are not shown any more go for good when their time is over.

use std::time::Duration;

use domain::actor::{Actor, Role};
use service::Service;
use tokio::{sync::watch, time::timeout};

const EVERY: Duration = Duration::from_hours(1);

/// Records of checks that one transaction removes.
const RUNS_AT_ONCE: u32 = 1_000;

/// Keeps house until `stopped`. With several instances each may do it: what is gone is gone.
pub(crate) async fn keep(
    service: Service,
    retention_days: Option<u64>,
    runs_days: u64,
    mut stopped: watch::Receiver<bool>,
) {
    let actor = Actor {
        user_id: None,
        name: "retention".to_owned(),
        role: Role::Administrator,
        origin: "this server".to_owned(),
    };
    loop {
        tokio::select! {
            () = tidy(&service, &actor, retention_days, runs_days) => {}
            // A part that was begun is one transaction: it ends or it never was.
            _ = stopped.wait_for(|it| *it) => return,
        }
        if timeout(EVERY, stopped.wait_for(|it| *it)).await.is_ok() {
            return;
        }
    }
}

async fn tidy(service: &Service, actor: &Actor, retention_days: Option<u64>, runs_days: u64) {
    if let Some(days) = retention_days {
        match service.accounts().purge(actor, days).await {
            Ok(0) => {}
            Ok(n_purged) => tracing::info!(n_purged, "deleted accounts were removed for good"),
            Err(error) => tracing::error!(%error, "deleted accounts could not be removed; trying again in an hour"),
        }
    }
    match service.checks().purge_runs(actor, runs_days, RUNS_AT_ONCE).await {
        Ok(0) => {}
        Ok(n_purged) => tracing::info!(n_purged, "old records of checks were removed"),
        Err(error) => tracing::error!(%error, "old records of checks could not be removed; trying again in an hour"),
    }
    if let Err(error) = service.connection_tests().forget().await {
        tracing::error!(%error, "tests of connections could not be forgotten; trying again in an hour");
    }
}
