//! `posthorn export` and `posthorn import`: certificate authorities, connectors, credentials and accounts as one JSON document.
//!
//! Records refer to each other by name, because ids differ from one installation to the next. A secret is never exported; an
//! import takes one where a credential has it. What the database has under the same name is changed to what the document says,
//! nothing is ever deleted, and a document with a problem in it changes nothing at all.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, bail, ensure};
use domain::{
    account::{AccountDraft, AccountFilter, AccountForm, AccountQuery, AccountSort},
    actor::Actor,
    authority::AuthorityDraft,
    connector::{ConnectorDraft, ConnectorForm, ConnectorKind, HostKey},
    credential::CredentialForm,
    ids::{AuthorityId, CredentialId},
    oauth::OAuthForm,
    page::PAGE_SIZE_MAX,
    problem::{Problem, Rule},
    text::fold,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use service::{Error, Service, ports::CertificateReader as _};

use crate::api::{
    dto::{AccountOut, AuthorityOut, Body, ConnectorOut, CredentialOut},
    oauth::{OAuthIn, OAuthOut},
};

/// The only form of the document so far.
const VERSION: u32 = 1;
/// What a record of this installation has and a document does not.
const LOCAL: [&str; 20] = [
    "id",
    "version",
    "used_by",
    "secret_set_at",
    "last_accepted_at",
    "secret_ends_on",
    "token_expires_at",
    "token_state",
    "consent_ends_at",
    "credential_id",
    "network_connector_id",
    "use_network_connector",
    "last_ok_at",
    "last_error_at",
    "last_error",
    "ca_id",
    "subject",
    "fingerprint",
    "certificates",
    "expires_at",
];

/// What a credential for OAuth 2.0 has beside.
const OAUTH: [&str; 8] =
    ["provider", "grant", "tenant", "client_id", "scopes", "authorize_url", "device_url", "token_url"];

/// The document; records have the fields of the REST interface, with names in the place of ids.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    posthorn: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    authorities: Vec<Map<String, Value>>,
    #[serde(default)]
    connectors: Vec<Map<String, Value>>,
    #[serde(default)]
    credentials: Vec<Map<String, Value>>,
    #[serde(default)]
    accounts: Vec<Map<String, Value>>,
}

/// How many records an import added and changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) added: usize,
    pub(crate) changed: usize,
}

/// Everything that is registered.
pub(crate) async fn export(service: &Service, actor: &Actor) -> Result<Document, Error> {
    let here = Here::read(service, actor).await?;
    let credential = |it: i64| here.credentials.iter().find(|(_, (id, _))| *id == it).map(|it| it.1.1.clone());
    let mut authorities = Vec::new();
    for id in sorted(&here.authorities) {
        authorities.push(record(&AuthorityOut::from(service.authorities().load(actor, AuthorityId(id)).await?)));
    }
    let mut connectors = Vec::new();
    for id in sorted(&here.connectors) {
        let connector = service.connectors().load(actor, domain::ids::ConnectorId(id)).await?;
        let of = connector.draft.credential_id.and_then(|it| credential(it.0));
        connectors.push(with(record(&ConnectorOut::from(connector)), [("credential", of)]));
    }
    let mut credentials = Vec::new();
    for id in sorted(&here.credentials) {
        let id = CredentialId(id);
        let loaded = service.credentials().load(actor, id).await?;
        let is_oauth = loaded.is_oauth;
        let mut fields = record(&CredentialOut::from(loaded));
        if is_oauth {
            let settings = record(&OAuthOut::from(service.oauth().load(actor, id).await?));
            fields.extend(settings.into_iter().filter(|(key, _)| OAUTH.contains(&key.as_str())));
        }
        credentials.push(fields);
    }
    let mut accounts = Vec::new();
    for id in sorted(&here.accounts) {
        let account = service.accounts().load(actor, domain::ids::AccountId(id)).await?;
        let of = credential(account.draft.credential_id.0);
        let route = account.draft.destination.route.connector_id();
        let via = route.and_then(|it| here.connectors.values().find(|(id, _)| *id == it.0)).map(|it| it.1.clone());
        let authority = account.draft.destination.security.authority_id();
        let ca = authority.and_then(|it| here.authorities.values().find(|(id, _)| *id == it.0)).map(|it| it.1.clone());
        let names = [("credential", of), ("network_connector", via), ("ca", ca)];
        accounts.push(with(record(&AccountOut::from(account)), names));
    }
    service.accounts().export(actor, &AccountQuery::default(), "JSON").await?;
    Ok(Document { posthorn: VERSION, authorities, connectors, credentials, accounts })
}

/// Its secret must not pass for a password.
fn is_oauth(fields: &Map<String, Value>) -> bool {
    Body::of(fields).text("kind") == "oauth"
}

/// Adds or changes a credential for OAuth 2.0; `None` if there is nothing to change.
async fn import_oauth(
    service: &Service,
    actor: &Actor,
    fields: &Map<String, Value>,
    old: Option<CredentialId>,
) -> Result<Option<CredentialId>, Error> {
    let mut form = OAuthIn::form(&Body::of(fields));
    if let Some(id) = old {
        let (credential, status, _) = service.oauth().load(actor, id).await?;
        let before = OAuthForm::of(&credential, &status.settings);
        form.version.clone_from(&before.version);
        form.secret_ends_on.clone_from(&before.secret_ends_on);
        if form.draft().ok().is_some_and(|it| Ok(it) == before.draft()) {
            return Ok(None);
        }
    }
    service.oauth().save(actor, old, &form).await.map(Some)
}

fn sorted(records: &Names) -> Vec<i64> {
    let mut ids: Vec<i64> = records.values().map(|it| it.0).collect();
    ids.sort_unstable();
    ids
}

fn record(record: &impl Serialize) -> Map<String, Value> {
    let value = serde_json::to_value(record).unwrap_or_default();
    let fields = if let Value::Object(fields) = value { fields } else { Map::new() };
    fields.into_iter().filter(|(key, _)| !LOCAL.contains(&key.as_str())).collect()
}

fn with<const N: usize>(mut record: Map<String, Value>, names: [(&str, Option<String>); N]) -> Map<String, Value> {
    record.extend(names.into_iter().map(|(key, name)| (key.to_owned(), name.map_or(Value::Null, Value::String))));
    record
}

/// Adds and changes what the document names, after all of it was looked at. A changed destination gets the credential only where
/// the record says so, or `grants_all`.
pub(crate) async fn import(service: &Service, actor: &Actor, document: Document, grants_all: bool) -> Result<Imported> {
    if document.posthorn != VERSION {
        bail!("posthorn: this version reads documents of form {VERSION}, not {}", document.posthorn);
    }
    let mut here = Here::read(service, actor).await.map_err(crate::cli::explain)?;
    let problems = look_through(&document, &here);
    if !problems.is_empty() {
        bail!("nothing was imported: {}", problems.join("; "));
    }
    if !grants_all {
        let problems = ungranted(service, actor, &document, &here).await.map_err(crate::cli::explain)?;
        ensure!(
            problems.is_empty(),
            "nothing was imported: {}. To confirm, put \"grant_credential\": true into the record or use --grant-credentials",
            problems.join("; ")
        );
    }
    let mut imported = Imported::default();
    import_credentials(service, actor, &document, &mut here, &mut imported).await?;
    for fields in &document.authorities {
        let mut form = Body::of(fields).authority();
        let old = here.authorities.id(&form.name);
        if let Some(id) = old {
            let before = service.authorities().load(actor, AuthorityId(id)).await.map_err(crate::cli::explain)?;
            form.version = before.row.version.to_string();
            let same = AuthorityDraft { name: before.row.name, pem: before.pem };
            if AuthorityDraft::try_from(&form) == Ok(same) {
                continue;
            }
            form.grant_credential = granted(fields, grants_all);
        }
        let saved = service.authorities().save(actor, old.map(AuthorityId), &form).await;
        let id = saved.map_err(|it| in_record("certificate authority", &form.name, it))?;
        imported.count(old);
        here.authorities.add(&form.name, id.0);
    }
    for fields in &document.connectors {
        let mut form = connector_form(fields, &here.credentials);
        let old = here.connectors.id(&form.name);
        let mut same = None;
        if let Some(id) = old {
            let before =
                service.connectors().load(actor, domain::ids::ConnectorId(id)).await.map_err(crate::cli::explain)?;
            form.version = before.version.to_string();
            if ConnectorDraft::try_from(&form).as_ref() == Ok(&before.draft) {
                same = Some(before.id);
            }
            form.grant_credential = granted(fields, grants_all);
        }
        let id = if let Some(id) = same {
            id
        } else {
            let saved = service.connectors().save(actor, old.map(domain::ids::ConnectorId), &form).await;
            saved.map_err(|it| in_record("connector", &form.name, it))?
        };
        let is_pinned = pin(service, actor, id, &Body::of(fields).text("host_key")).await;
        if is_pinned.map_err(|it| in_record("connector", &form.name, it))? || same.is_none() {
            imported.count(old);
        }
        here.connectors.add(&form.name, id.0);
    }
    for fields in &document.accounts {
        let mut form = account_form(fields, &here);
        let old = here.accounts.id(&form.name);
        if let Some(id) = old {
            let before =
                service.accounts().load(actor, domain::ids::AccountId(id)).await.map_err(crate::cli::explain)?;
            form.version = before.version.to_string();
            if AccountDraft::try_from(&form).as_ref() == Ok(&before.draft) {
                continue;
            }
            form.grant_credential = granted(fields, grants_all);
        }
        let saved = service.accounts().save(actor, old.map(domain::ids::AccountId), &form).await;
        saved.map_err(|it| in_record("account", &form.name, it))?;
        imported.count(old);
    }
    Ok(imported)
}

async fn import_credentials(
    service: &Service,
    actor: &Actor,
    document: &Document,
    here: &mut Here,
    imported: &mut Imported,
) -> Result<()> {
    for fields in &document.credentials {
        let mut form = Body::of(fields).credential();
        let old = here.credentials.id(&form.name);
        if is_oauth(fields) {
            let saved = import_oauth(service, actor, fields, old.map(CredentialId)).await;
            if let Some(id) = saved.map_err(|it| in_record("credential", &form.name, it))? {
                imported.count(old);
                here.credentials.add(&form.name, id.0);
            }
            continue;
        }
        if let Some(id) = old {
            let before = service.credentials().load(actor, CredentialId(id)).await.map_err(crate::cli::explain)?;
            form.version = before.version.to_string();
            form.secret_ends_on = CredentialForm::of(&before).secret_ends_on;
            if form == CredentialForm::of(&before) {
                continue;
            }
        }
        let saved = service.credentials().save(actor, old.map(CredentialId), &form).await;
        let id = saved.map_err(|it| in_record("credential", &form.name, it))?;
        imported.count(old);
        here.credentials.add(&form.name, id.0);
    }
    Ok(())
}

impl Imported {
    fn count(&mut self, old: Option<i64>) {
        if old.is_some() { self.changed += 1 } else { self.added += 1 }
    }
}

fn in_record(kind: &str, name: &str, error: Error) -> anyhow::Error {
    crate::cli::about(&format!("{kind} \"{name}\""), error)
}

/// Every problem of the document, each with its record.
fn look_through(document: &Document, here: &Here) -> Vec<String> {
    let mut lines = Vec::new();
    let mut note = |kind: &str, name: &str, problems: Vec<Problem>| {
        if !problems.is_empty() {
            lines.push(in_record(kind, name, Error::Invalid(problems)).to_string());
        }
    };
    let mut known = here.clone();
    let mut seen = HashSet::new();
    let twice = |seen: &mut HashSet<String>, kind: &str, name: &str| {
        let is_twice = !seen.insert(format!("{kind} {}", fold(name)));
        is_twice.then(|| Problem::new("name", Rule::Taken))
    };
    for fields in &document.credentials {
        let mut form = Body::of(fields).credential();
        if here.credentials.id(&form.name).is_some() {
            "1".clone_into(&mut form.version);
        }
        let mut problems = if is_oauth(fields) {
            let form = OAuthForm { version: form.version.clone(), ..OAuthIn::form(&Body::of(fields)) };
            form.draft().err().unwrap_or_default()
        } else {
            form.draft().err().unwrap_or_default()
        };
        problems.extend(twice(&mut seen, "credential", &form.name));
        known.credentials.add(&form.name, 1);
        note("credential", &form.name, problems);
    }
    for fields in &document.authorities {
        let form = Body::of(fields).authority();
        let mut problems = AuthorityDraft::try_from(&form).err().unwrap_or_default();
        if problems.is_empty() && mail::Reader.authority(&form.pem).is_none() {
            problems.push(Problem::new("pem", Rule::NotACertificate));
        }
        problems.extend(twice(&mut seen, "certificate authority", &form.name));
        known.authorities.add(&form.name, 1);
        note("certificate authority", &form.name, problems);
    }
    for fields in &document.connectors {
        let form = connector_form(fields, &known.credentials);
        let mut problems = ConnectorDraft::try_from(&form).err().unwrap_or_default();
        problems.extend(twice(&mut seen, "connector", &form.name));
        problems.extend(missing(fields, "credential", &known.credentials));
        problems.extend(unfit_host_key(fields));
        known.connectors.add(&form.name, 1);
        note("connector", &form.name, problems);
    }
    for fields in &document.accounts {
        let form = account_form(fields, &known);
        let mut problems = AccountDraft::try_from(&form).err().unwrap_or_default();
        problems.extend(twice(&mut seen, "account", &form.name));
        problems.extend(missing(fields, "credential", &known.credentials));
        problems.extend(missing(fields, "network_connector", &known.connectors));
        problems.extend(missing(fields, "ca", &known.authorities));
        problems.dedup();
        note("account", &form.name, problems);
    }
    lines
}

/// Whether the credential may go to the record's changed destination, as forms say it.
fn granted(fields: &Map<String, Value>, grants_all: bool) -> String {
    let is_granted = grants_all || fields.get("grant_credential") == Some(&Value::Bool(true));
    (if is_granted { "yes" } else { "" }).to_owned()
}

/// The changed destinations to which nobody granted the credential: as the use cases would refuse them, before anything is changed.
async fn ungranted(service: &Service, actor: &Actor, document: &Document, here: &Here) -> Result<Vec<String>, Error> {
    // Where a record uses one that is still to be added, its id is that of no other.
    const NEW: i64 = i64::MAX;
    let mut lines = Vec::new();
    let mut note = |kind: &str, name: &str, field: &str| {
        let problem = Error::Invalid(vec![Problem::new(field, Rule::GrantNeeded)]);
        lines.push(in_record(kind, name, problem).to_string());
    };
    let mut known = here.clone();
    for fields in &document.credentials {
        known.credentials.add_new(&Body::of(fields).credential().name, NEW);
    }
    for fields in &document.authorities {
        let form = Body::of(fields).authority();
        known.authorities.add_new(&form.name, NEW);
        let Some(id) = here.authorities.id(&form.name).filter(|_| granted(fields, false).is_empty()) else { continue };
        let before = service.authorities().load(actor, AuthorityId(id)).await?;
        if before.row.n_uses > 0 && AuthorityDraft::try_from(&form).is_ok_and(|it| it.pem != before.pem) {
            note("certificate authority", &form.name, "pem");
        }
    }
    for fields in &document.connectors {
        let form = connector_form(fields, &known.credentials);
        known.connectors.add_new(&form.name, NEW);
        let Some(id) = here.connectors.id(&form.name).filter(|_| granted(fields, false).is_empty()) else { continue };
        let before = service.connectors().load(actor, domain::ids::ConnectorId(id)).await?;
        if before.n_uses > 0 && ConnectorDraft::try_from(&form).is_ok_and(|it| it.moves(&before.draft)) {
            note("connector", &form.name, "address");
        }
    }
    for fields in &document.accounts {
        let form = account_form(fields, &known);
        let Some(id) = here.accounts.id(&form.name).filter(|_| granted(fields, false).is_empty()) else { continue };
        let before = service.accounts().load(actor, domain::ids::AccountId(id)).await?.draft;
        let moves = |it: AccountDraft| it.destination != before.destination || it.protocol != before.protocol;
        if AccountDraft::try_from(&form).is_ok_and(moves) {
            note("account", &form.name, "credential_id");
        }
    }
    Ok(lines)
}

/// The problem of a name that nothing has.
fn missing(fields: &Map<String, Value>, field: &str, names: &Names) -> Option<Problem> {
    let name = Body::of(fields).text(field);
    (!name.is_empty() && names.id(&name).is_none()).then(|| Problem::new(field, Rule::Gone))
}

/// The problem of a host key that could not be approved.
fn unfit_host_key(fields: &Map<String, Value>) -> Option<Problem> {
    let body = Body::of(fields);
    let host_key = Some(body.text("host_key")).filter(|it| !it.is_empty())?;
    let is_ssh = ConnectorKind::parse(&body.text("kind")) == Some(ConnectorKind::Ssh);
    let rule = if is_ssh { HostKey::parse(&host_key).err() } else { Some(Rule::NotAnOption) };
    rule.map(|it| Problem::new("host_key", it))
}

/// Approves the key of an SSH server that was approved where the document comes from; answers with whether that is new.
async fn pin(
    service: &Service,
    actor: &Actor,
    id: domain::ids::ConnectorId,
    host_key: &str,
) -> Result<bool, service::Error> {
    let connector = service.connectors().load(actor, id).await?;
    if host_key.is_empty() || connector.host_key.is_some_and(|it| it.as_str() == host_key) {
        return Ok(false);
    }
    service.connectors().approve_host_key(actor, id, connector.version, host_key).await?;
    Ok(true)
}

fn connector_form(fields: &Map<String, Value>, credentials: &Names) -> ConnectorForm {
    let body = Body::of(fields);
    let credential_id = credentials.id(&body.text("credential")).map(|it| it.to_string()).unwrap_or_default();
    ConnectorForm { credential_id, version: String::new(), ..body.connector() }
}

fn account_form(fields: &Map<String, Value>, names: &Here) -> AccountForm {
    let body = Body::of(fields);
    let via = body.text("network_connector");
    let id = |it: Option<i64>| it.map(|it| it.to_string()).unwrap_or_default();
    AccountForm {
        credential_id: id(names.credentials.id(&body.text("credential"))),
        use_network_connector: if via.is_empty() { "no" } else { "yes" }.to_owned(),
        network_connector_id: id(names.connectors.id(&via)),
        ca_id: id(names.authorities.id(&body.text("ca"))),
        version: String::new(),
        ..body.account()
    }
}

/// Ids and names by the folded name.
type Names = HashMap<String, (i64, String)>;

trait ByName {
    fn id(&self, name: &str) -> Option<i64>;
    fn add(&mut self, name: &str, id: i64);
    /// Unless there is one of this name.
    fn add_new(&mut self, name: &str, id: i64);
}

impl ByName for Names {
    fn id(&self, name: &str) -> Option<i64> {
        self.get(&fold(name)).map(|it| it.0)
    }

    fn add(&mut self, name: &str, id: i64) {
        self.insert(fold(name), (id, name.to_owned()));
    }

    fn add_new(&mut self, name: &str, id: i64) {
        self.entry(fold(name)).or_insert_with(|| (id, name.to_owned()));
    }
}

/// What is registered here.
#[derive(Clone, Default)]
struct Here {
    authorities: Names,
    connectors: Names,
    credentials: Names,
    accounts: Names,
}

impl Here {
    async fn read(service: &Service, actor: &Actor) -> Result<Self, Error> {
        let mut here = Self::default();
        let choices = service.accounts().choices(actor).await?;
        for it in &choices.authorities {
            here.authorities.add(&it.name, it.id);
        }
        for it in &choices.connectors {
            here.connectors.add(&it.name, it.id);
        }
        for it in &choices.credentials {
            here.credentials.add(&it.name, it.id);
        }
        let accounts = service.accounts();
        let ids = accounts.matching(actor, &AccountFilter::default(), AccountSort::default()).await?;
        for part in ids.chunks(PAGE_SIZE_MAX as usize) {
            for it in &accounts.rows(actor, part).await? {
                here.accounts.add(&it.name, it.id.0);
            }
        }
        Ok(here)
    }
}
