//! The server function of notices. The forms post to plain routes, so it only reads.

use domain::notices::NoticesForm;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::Json, error::UserError, posted::Posted};

/// What came of a test; the route that sent it puts it into the context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested(pub String);

/// What the form shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub posted: Posted<NoticesForm>,
    pub tested: Option<Tested>,
}

#[server(endpoint = "notices/load", input = Json, output = Json)]
pub async fn load_notices() -> Result<Settings, UserError> {
    use crate::context::{actor, service};

    let stored = service()?.watch().notices(&actor()?).await?;
    let fresh = || Posted { form: NoticesForm::of(&stored), ..Posted::default() };
    Ok(Settings { posted: use_context().unwrap_or_else(fresh), tested: use_context() })
}
