//! What a check needs to visit an account, and a report to be sent: the one place where sealed credentials are opened.

use domain::{
    account::{Account, Destination, Route},
    check::{ErrorKind, Stage},
    ids::CredentialId,
    smtp::Smtp,
};

use crate::{
    credentials::bound_to,
    ports::{AuthorityBundle, MailError, Store, Submission, ViaConnector, Visit},
    secret::Secret,
    vault::Vault,
};

/// Opens the account's credential, and its connector's if it has one, for one visit to the destination they were granted for.
pub async fn open_visit(store: &dyn Store, vault: &Vault, account: &Account) -> Result<Visit, MailError> {
    let (username, password) = open(store, vault, account.draft.credential_id).await?;
    let connector = open_connector(store, vault, account.draft.destination.route).await?;
    Ok(Visit {
        protocol: account.draft.protocol,
        destination: account.draft.destination.clone(),
        connector,
        authority: find_authority(store, &account.draft.destination).await?,
        username,
        password,
        transcript: None,
    })
}

/// The same for one submission of mail.
pub async fn open_submission(store: &dyn Store, vault: &Vault, smtp: &Smtp) -> Result<Submission, MailError> {
    let draft = &smtp.draft;
    Ok(Submission {
        destination: draft.destination.clone(),
        connector: open_connector(store, vault, draft.destination.route).await?,
        authority: find_authority(store, &draft.destination).await?,
        credential: open_optional(store, vault, draft.credential_id).await?,
        sender: draft.sender.clone(),
    })
}

async fn open_connector(store: &dyn Store, vault: &Vault, route: Route) -> Result<Option<ViaConnector>, MailError> {
    let Route::Connector(id) = route else { return Ok(None) };
    let found = store.find_connector(id).await.map_err(|_| failed("the connector could not be read"))?;
    let draft = found.ok_or_else(|| failed("the connector does not exist any more"))?.draft;
    let credential = open_optional(store, vault, draft.credential_id).await?;
    Ok(Some(ViaConnector { kind: draft.kind, address: draft.address, port: draft.port, credential }))
}

async fn find_authority(store: &dyn Store, destination: &Destination) -> Result<Option<AuthorityBundle>, MailError> {
    let Some(id) = destination.security.authority_id() else { return Ok(None) };
    let found = store.find_authority(id).await.map_err(|_| failed("the certificate authority could not be read"))?;
    Ok(found.map(|it| AuthorityBundle { id, version: it.row.version, pem: it.pem.into() }))
}

async fn open_optional(
    store: &dyn Store,
    vault: &Vault,
    id: Option<CredentialId>,
) -> Result<Option<(String, Secret)>, MailError> {
    match id {
        Some(id) => open(store, vault, id).await.map(Some),
        None => Ok(None),
    }
}

async fn open(store: &dyn Store, vault: &Vault, id: CredentialId) -> Result<(String, Secret), MailError> {
    let found = store.sealed_credential(id).await.map_err(|_| failed("the credential could not be read"))?;
    let (username, sealed) = found.ok_or_else(|| failed("the credential does not exist any more"))?;
    let secret = vault.open(&bound_to(id), &sealed.0).map_err(|it| failed(&it.to_string()))?;
    Ok((username, secret))
}

fn failed(message: &str) -> MailError {
    MailError::new(ErrorKind::Internal, Stage::Resolve, message)
}
