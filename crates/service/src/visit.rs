//! What a check needs to visit an account: the one place where sealed credentials are opened.

use domain::{
    account::{Account, Route},
    check::{ErrorKind, Stage},
    ids::CredentialId,
};

use crate::{
    credentials::bound_to,
    ports::{MailError, Store, ViaConnector, Visit},
    secret::Secret,
    vault::Vault,
};

/// Opens the account's credential, and its connector's if it has one, for one visit to the destination they were granted for.
pub async fn open_visit(store: &dyn Store, vault: &Vault, account: &Account) -> Result<Visit, MailError> {
    let (username, password) = open(store, vault, account.draft.credential_id).await?;
    let connector = match account.draft.destination.route {
        Route::Direct => None,
        Route::Connector(id) => {
            let found = store.find_connector(id).await.map_err(|_| failed("the connector could not be read"))?;
            let draft = found.ok_or_else(|| failed("the connector does not exist any more"))?.draft;
            let credential = match draft.credential_id {
                Some(id) => Some(open(store, vault, id).await?),
                None => None,
            };
            Some(ViaConnector { kind: draft.kind, address: draft.address, port: draft.port, credential })
        }
    };
    Ok(Visit {
        protocol: account.draft.protocol,
        destination: account.draft.destination.clone(),
        connector,
        username,
        password,
    })
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
