//! The server functions of network connectors. Forms post to plain routes, so these only read.

use domain::{
    account::{Choice, UsedBy},
    connector::{Connector, ConnectorForm, ConnectorTest, TestForm},
    ids::ConnectorId,
    problem::Problem,
    time::Timestamp,
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
    pub now: Timestamp,
}

/// What the test page shows; the route that takes its form fills in how it went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestAnswer {
    pub connector: Option<Connector>,
    pub form: TestForm,
    pub result: Option<ConnectorTest>,
    pub problems: Vec<Problem>,
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
    Ok(Details { connector: Some(connector), used_by, credentials, posted, now: service.now() })
}

#[server(endpoint = "connectors/test-page", input = Json, output = Json)]
pub async fn load_test(id: ConnectorId) -> Result<TestAnswer, UserError> {
    use crate::context::{actor, service};

    let connector = service()?.connectors().load(&actor()?, id).await?;
    Ok(TestAnswer { connector: Some(connector), ..use_context::<TestAnswer>().unwrap_or_default() })
}

/// Goes by the connector once and tells how each stage went.
#[server(endpoint = "connectors/test", input = Json, output = Json)]
pub async fn test_connector(id: ConnectorId, form: TestForm) -> Result<ConnectorTest, UserError> {
    use crate::context::{actor, service};

    Ok(service()?.connectors().test(&actor()?, id, &form).await?)
}
