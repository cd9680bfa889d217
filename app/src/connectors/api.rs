//! The server functions of network connectors. Forms post to plain routes, so these only read.

use domain::{
    account::{Choice, UsedBy},
    connector::{Connector, ConnectorForm},
    ids::ConnectorId,
    page::{Page, PageRequest},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::Json, error::UserError, posted::Posted};

/// What the form needs: the record, what uses it, the credentials to choose from, and the form that came back, if one did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    pub connector: Option<Connector>,
    pub used_by: UsedBy,
    pub credentials: Vec<Choice>,
    pub posted: Option<Posted<ConnectorForm>>,
}

#[server(endpoint = "connectors/list", input = Json, output = Json)]
pub async fn list_connectors(search: String, page: PageRequest) -> Result<Page<Connector>, UserError> {
    use crate::context::{actor, service};

    Ok(service()?.connectors().list(&actor()?, &search, page).await?)
}

/// A stored connector, or with no id an empty form.
#[server(endpoint = "connectors/load", input = Json, output = Json)]
pub async fn load_connector(id: Option<ConnectorId>) -> Result<Details, UserError> {
    use crate::context::{actor, service};

    let (service, actor) = (service()?, actor()?);
    let posted = use_context::<Posted<ConnectorForm>>();
    let credentials = service.accounts().choices(&actor).await?.credentials;
    let Some(id) = id else {
        return Ok(Details { credentials, posted, ..Details::default() });
    };
    let connector = service.connectors().load(&actor, id).await?;
    let used_by = service.connectors().used_by(&actor, id).await?;
    Ok(Details { connector: Some(connector), used_by, credentials, posted })
}
