//! What a check needs to visit an account, and a report to be sent: the one place where sealed credentials are opened.

use domain::{
    account::{Account, AccountDraft, Destination, Route},
    check::{ErrorKind, Stage},
    connector::{Connector, ConnectorKind},
    credential::is_private_key,
    ids::{ConnectorId, CredentialId},
    smtp::Smtp,
    time::Timestamp,
};

use crate::{
    credentials::place_of,
    ports::{AuthorityBundle, Depth, MailError, SealedCredential, Store, Submission, ViaConnector, Visit},
    secret::Secret,
    tokens::Tokens,
    vault::Vault,
};

/// Opens the account's credential, and its connector's if it has one, for one visit to the destination they were granted for.
pub async fn open_visit(
    store: &dyn Store,
    vault: &Vault,
    tokens: &Tokens,
    account: &Account,
) -> Result<Visit, MailError> {
    open_draft(store, vault, tokens, &account.draft, Depth::Mailbox).await
}

/// The same for a test of values that may not be saved; a test that does not sign in opens no credential of the account.
pub(crate) async fn open_draft(
    store: &dyn Store,
    vault: &Vault,
    tokens: &Tokens,
    draft: &AccountDraft,
    depth: Depth,
) -> Result<Visit, MailError> {
    let (username, password) = match depth {
        Depth::Mailbox => show(store, vault, tokens, draft.credential_id).await?,
        Depth::Greeting => (String::new(), Secret::new(String::new())),
    };
    Ok(Visit {
        protocol: draft.protocol,
        destination: draft.destination.clone(),
        connector: open_route(store, vault, draft.destination.route).await?,
        authority: find_authority(store, &draft.destination).await?,
        username,
        password,
        transcript: None,
    })
}

/// The same for one submission of mail.
pub async fn open_submission(
    store: &dyn Store,
    vault: &Vault,
    tokens: &Tokens,
    smtp: &Smtp,
) -> Result<Submission, MailError> {
    let draft = &smtp.draft;
    let credential = match draft.credential_id {
        Some(id) => Some(show(store, vault, tokens, id).await?),
        None => None,
    };
    Ok(Submission {
        destination: draft.destination.clone(),
        connector: open_route(store, vault, draft.destination.route).await?,
        authority: find_authority(store, &draft.destination).await?,
        credential,
        credential_id: draft.credential_id,
        sender: draft.sender.clone(),
    })
}

async fn open_route(store: &dyn Store, vault: &Vault, route: Route) -> Result<Option<ViaConnector>, MailError> {
    let Route::Connector(id) = route else { return Ok(None) };
    let found = store.find_connector(id).await.map_err(|_| failed("the connector could not be read"))?;
    let connector = found.ok_or_else(|| failed("the connector does not exist any more"))?;
    open_connector(store, vault, connector).await.map(Some)
}

/// The connector with its credential, as it will be gone by.
pub(crate) async fn open_connector(
    store: &dyn Store,
    vault: &Vault,
    connector: Connector,
) -> Result<ViaConnector, MailError> {
    let Connector { id, version, draft, host_key, .. } = connector;
    let mut credential = open_optional(store, vault, draft.credential_id).await?;
    if draft.kind != ConnectorKind::Ssh {
        // The connector is to blame then, and no account is stopped for it.
        let blame = |it: MailError| MailError::new(ErrorKind::Connector, Stage::Connector, it.message);
        credential = credential.map(no_key).transpose().map_err(blame)?;
    }
    Ok(ViaConnector { id, version, kind: draft.kind, address: draft.address, port: draft.port, credential, host_key })
}

/// A private key is sent to nobody, least of all in the place of a password.
fn no_key((username, secret): (String, Secret)) -> Result<(String, Secret), MailError> {
    if is_private_key(secret.expose()) {
        let message =
            "the credential holds a private key, which only an SSH jump host understands: choose one with a password";
        return Err(MailError {
            is_certain: true,
            ..MailError::new(ErrorKind::Authentication, Stage::Authenticate, message)
        });
    }
    Ok((username, secret))
}

/// Keeps how a connector did, for its report; a failure to keep that is none of the visit's. What failed behind the connector
/// says that it was passed well.
pub async fn record_contact(store: &dyn Store, connector: ConnectorId, at: Timestamp, error: Option<&MailError>) {
    let is_its_own = |it: &&MailError| matches!(it.stage, Stage::Resolve | Stage::Connect | Stage::Connector);
    let failure = error.filter(is_its_own);
    // What the policy refuses was never asked of the connector.
    if failure.is_some_and(|it| it.kind == ErrorKind::Egress) {
        return;
    }
    if let Err(error) = store.record_contact(connector, at, failure.map(|it| it.message.as_str())).await {
        tracing::warn!(%connector, %error, "how a connector did could not be kept");
    }
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

/// What is shown to a mail server: the password, or a token in its place.
async fn show(
    store: &dyn Store,
    vault: &Vault,
    tokens: &Tokens,
    id: CredentialId,
) -> Result<(String, Secret), MailError> {
    let found = find(store, id).await?;
    if found.is_oauth {
        return Ok((found.username, tokens.access_token(id).await?));
    }
    no_key(unseal(vault, id, found)?)
}

/// The stored secret itself, for a connector.
async fn open(store: &dyn Store, vault: &Vault, id: CredentialId) -> Result<(String, Secret), MailError> {
    let found = find(store, id).await?;
    if found.is_oauth {
        let message = "the credential is for OAuth 2.0, which only mail servers understand: choose one with a password";
        return Err(MailError::new(ErrorKind::Connector, Stage::Connector, message));
    }
    unseal(vault, id, found)
}

async fn find(store: &dyn Store, id: CredentialId) -> Result<SealedCredential, MailError> {
    let found = store.sealed_credential(id).await.map_err(|_| failed("the credential could not be read"))?;
    found.ok_or_else(|| failed("the credential does not exist any more"))
}

fn unseal(vault: &Vault, id: CredentialId, found: SealedCredential) -> Result<(String, Secret), MailError> {
    let secret = vault.open(place_of(id), &found.secret).map_err(|it| failed(&it.to_string()))?;
    Ok((found.username, secret))
}

fn failed(message: &str) -> MailError {
    MailError::new(ErrorKind::Internal, Stage::Resolve, message)
}
