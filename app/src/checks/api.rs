//! The server function of the page of checks.

use domain::{incident::Overview, time::Timestamp};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::Json, error::UserError};

/// How the checks are going, at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    pub overview: Overview,
    pub now: Timestamp,
}

#[server(endpoint = "checks/overview", input = Json, output = Json)]
pub async fn load_overview() -> Result<Now, UserError> {
    use crate::context::{actor, service};

    let service = service()?;
    let overview = service.watch().overview(&actor()?).await?;
    Ok(Now { overview, now: service.now() })
}
