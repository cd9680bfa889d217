//! The server functions of outgoing mail. Forms post to plain routes, so these only read, and send a test.

use domain::{
    account::Choice,
    ids::SmtpId,
    problem::Problem,
    smtp::{SmtpForm, SmtpTest},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::Json, error::UserError, posted::Posted};

/// What the form needs: its values, what is stored, and what there is to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// `None` for a new one.
    pub id: Option<SmtpId>,
    pub posted: Posted<SmtpForm>,
    /// What is stored now.
    pub stored: SmtpForm,
    pub credentials: Vec<Choice>,
    pub connectors: Vec<Choice>,
    pub authorities: Vec<Choice>,
}

/// What the test page shows; the route that takes its form fills in how it went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestAnswer {
    /// Name, address and port.
    pub server: String,
    pub recipient: String,
    pub result: Option<SmtpTest>,
    pub problems: Vec<Problem>,
}

/// A stored record, or with no id an empty form.
#[server(endpoint = "smtp/load", input = Json, output = Json)]
pub async fn load_smtp(id: Option<SmtpId>) -> Result<Details, UserError> {
    use domain::smtp::SmtpChoices;

    use crate::context::{actor, service};

    let (service, actor) = (service()?, actor()?);
    let stored = match id {
        Some(id) => SmtpForm::of(&service.smtp().load(&actor, id).await?),
        None => SmtpForm::new_record(),
    };
    let choices = service.smtp().choices(&actor).await?;
    let fresh = || Posted { form: stored.clone(), ..Posted::default() };
    let posted = use_context::<Posted<SmtpForm>>().unwrap_or_else(fresh);
    let SmtpChoices { credentials, connectors, authorities } = choices;
    Ok(Details { id, posted, stored, credentials, connectors, authorities })
}

#[server(endpoint = "smtp/test-page", input = Json, output = Json)]
pub async fn load_test(id: SmtpId) -> Result<TestAnswer, UserError> {
    use crate::context::{actor, service};

    let smtp = service()?.smtp().load(&actor()?, id).await?;
    let fresh = || TestAnswer { recipient: smtp.draft.sender.to_string(), ..TestAnswer::default() };
    let answer = use_context::<TestAnswer>().unwrap_or_else(fresh);
    let destination = smtp.draft.destination;
    let server = format!("{} ({} {})", smtp.draft.name, destination.address, destination.port);
    Ok(TestAnswer { server, ..answer })
}

/// Sends a test message and tells how each stage went.
#[server(endpoint = "smtp/test", input = Json, output = Json)]
pub async fn test_smtp(id: SmtpId, recipient: String) -> Result<SmtpTest, UserError> {
    use crate::context::{actor, locale, service};

    Ok(service()?.smtp().test(&actor()?, id, &recipient, locale().tag()).await?)
}
