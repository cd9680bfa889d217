//! What has to be done from time to time and by nobody in particular: deleted accounts go for good when their time is over.

use std::time::Duration;

use domain::actor::{Actor, Role};
use service::Service;
use tokio::{sync::watch, time::timeout};

const EVERY: Duration = Duration::from_hours(1);

/// Keeps house until `stopped`. With several instances each may do it: what is gone is gone.
pub(crate) async fn keep(service: Service, retention_days: Option<u64>, mut stopped: watch::Receiver<bool>) {
    let Some(days) = retention_days else { return };
    let actor = Actor {
        user_id: None,
        name: "retention".to_owned(),
        role: Role::Administrator,
        origin: "this server".to_owned(),
    };
    let accounts = service.accounts();
    loop {
        tokio::select! {
            purged = accounts.purge(&actor, days) => match purged {
                Ok(0) => {}
                Ok(n_purged) => tracing::info!(n_purged, "deleted accounts were removed for good"),
                Err(error) => tracing::error!(%error, "deleted accounts could not be removed; trying again in an hour"),
            },
            // A part that was begun is one transaction: it ends or it never was.
            _ = stopped.wait_for(|it| *it) => return,
        }
        if timeout(EVERY, stopped.wait_for(|it| *it)).await.is_ok() {
            return;
        }
    }
}
