//! `serve --demo`: an empty database gets a dozen accounts, whose mail servers are played in this process. Everything else is
//! real: the accounts are saved, checked, stored and shown as any other.

mod letters;
mod server;

use anyhow::{Context as _, Result, ensure};
use domain::{
    account::AccountForm,
    actor::{Actor, Role},
    audit::AuditQuery,
    connector::ConnectorForm,
    credential::{CredentialForm, SecretInput},
    time::Timestamp,
};
use service::{Service, ports::Store};

pub(crate) use self::server::DemoMail;

/// The domain of the played servers: `example` is reserved (RFC 2606 section 2), so no real server can be meant.
const DOMAIN: &str = "demo.example";
/// The setting that marks a database as one for the demonstration, with the time that its mail is counted from.
const SINCE: &str = "demo_since";

/// When the demonstration began in this database. Refuses a database that has anything else in it.
pub(crate) async fn since(store: &dyn Store, now: Timestamp) -> Result<Timestamp> {
    let since = if let Some(since) = store.setting(SINCE).await? {
        since
    } else {
        let n_entries = store.list_audit(&AuditQuery::default()).await?.total;
        ensure!(
            n_entries == 0,
            "--demo needs an empty database, and this one has something in it; name another --data"
        );
        store.setting_or(SINCE, &now.0.to_string()).await?
    };
    Ok(Timestamp(since.parse().context("the setting demo_since")?))
}

/// What an account of the demonstration differs in from the form's defaults.
struct Sample {
    name: &'static str,
    host: &'static str,
    protocol: &'static str,
    /// `ssl`, `tls`, or nothing for a plain connection.
    security: &'static str,
    interval_s: &'static str,
    change: fn(&mut AccountForm),
}

const SAMPLES: [Sample; 12] = [
    sample("Access requests", "access", "imap", "ssl", "60", |_| {}),
    sample("Alarms, plant Hamburg", "plant", "imap", "ssl", "300", |it| {
        "yes".clone_into(&mut it.use_network_connector);
    }),
    sample("Applications, human resources", "people", "imap", "ssl", "300", |_| {}),
    sample("Bounces", "bounces", "pop3", "tls", "600", |_| {}),
    sample("Fax gateway", "fax", "pop3", "tls", "300", |it| {
        "no".clone_into(&mut it.automatic_check);
    }),
    sample("Invoices", "invoices", "imap", "ssl", "120", |_| {}),
    sample("Newsletter, until 2024", "newsletter", "imap", "tls", "3600", |it| {
        "no".clone_into(&mut it.enabled);
    }),
    sample("Orders", "orders", "pop3", "ssl", "120", |it| {
        "no".clone_into(&mut it.keep_copy);
    }),
    sample("Partner portal", "partner", "imap", "ssl", "900", |_| {}),
    sample("Scanner, second floor", "scanner", "pop3", "", "300", |_| {}),
    sample("Supplier statements", "statements", "imap", "tls", "300", |it| {
        "yes".clone_into(&mut it.skip_certificate);
    }),
    sample("Support tickets", "support", "imap", "tls", "60", |_| {}),
];

const fn sample(
    name: &'static str,
    host: &'static str,
    protocol: &'static str,
    security: &'static str,
    interval_s: &'static str,
    change: fn(&mut AccountForm),
) -> Sample {
    Sample { name, host, protocol, security, interval_s, change }
}

/// Registers connector, credentials and accounts, unless that was done at an earlier start. Their checks do the rest.
pub(crate) async fn fill(service: &Service) -> Result<(), service::Error> {
    let actor =
        Actor { user_id: None, name: "demo".to_owned(), role: Role::Administrator, origin: "this server".to_owned() };
    if service.accounts().any(&actor).await? {
        return Ok(());
    }
    let connector = ConnectorForm {
        name: "Plant network".to_owned(),
        kind: "socks5".to_owned(),
        address: format!("proxy.plant.{DOMAIN}"),
        ..ConnectorForm::default()
    };
    let connector = service.connectors().save(&actor, None, &connector).await?;
    for sample in &SAMPLES {
        let credential = CredentialForm {
            name: format!("{} mailbox", sample.name),
            username: format!("{}@{DOMAIN}", sample.host),
            secret: SecretInput("a demonstration needs no secret".to_owned()),
            ..CredentialForm::default()
        };
        let credential = service.credentials().save(&actor, None, &credential).await?;
        let mut form = AccountForm {
            name: sample.name.to_owned(),
            address: format!("{}.{DOMAIN}", sample.host),
            protocol: sample.protocol.to_owned(),
            secure_connection: if sample.security.is_empty() { "no" } else { "yes" }.to_owned(),
            secure_connection_type: sample.security.to_owned(),
            interval_s: sample.interval_s.to_owned(),
            credential_id: credential.to_string(),
            ..AccountForm::new_account()
        };
        (sample.change)(&mut form);
        if form.use_network_connector == "yes" {
            form.network_connector_id = connector.to_string();
        }
        service.accounts().save(&actor, None, &form).await?;
    }
    Ok(())
}
