//! The server functions of credentials. Forms post to plain routes, so these only read.

use domain::{
    account::UsedBy,
    credential::{Credential, CredentialForm},
    ids::CredentialId,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::Json, error::UserError, posted::Posted};

/// What the form needs: the record, what uses it, and the form that came back, if one did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    pub credential: Option<Credential>,
    pub used_by: UsedBy,
    pub posted: Option<Posted<CredentialForm>>,
}

/// A stored credential, or with no id an empty form.
#[server(endpoint = "credentials/load", input = Json, output = Json)]
pub async fn load_credential(id: Option<CredentialId>) -> Result<Details, UserError> {
    use crate::context::{actor, service};

    let (service, actor) = (service()?, actor()?);
    let posted = use_context::<Posted<CredentialForm>>();
    let Some(id) = id else {
        return Ok(Details { posted, ..Details::default() });
    };
    let credential = service.credentials().load(&actor, id).await?;
    let used_by = service.credentials().used_by(&actor, id).await?;
    Ok(Details { credential: Some(credential), used_by, posted })
}
