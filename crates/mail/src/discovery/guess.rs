//! Names that are usual for mail servers below a domain: offered if they are found, may be contacted, and somebody listens. Nothing
//! is sent.

use std::{sync::Arc, time::Duration};

use domain::{
    account::{Address, Protocol, Security, Trust},
    check::ErrorKind,
    discovery::{LookUp, LookUpOutcome, Offer, Offered, Source},
    email::EmailAddress,
};
use futures::future::join_all;
use service::ports::MailError;

use super::failure;
use crate::{dial, egress::Egress, hook::Unheard, stages::Stages};

/// What stands before the domain, and what such a host is asked for.
const NAMES: [(&str, &[Protocol]); 4] = [
    ("imap", &[Protocol::Imap]),
    ("mail", &[Protocol::Imap, Protocol::Pop3]),
    ("pop", &[Protocol::Pop3]),
    ("pop3", &[Protocol::Pop3]),
];
/// For the look-up of a name, and again for the connection.
const DEADLINE: Duration = Duration::from_secs(3);

pub(super) async fn look_up(egress: &Egress, address: &EmailAddress) -> Vec<LookUp> {
    let domain = address.host();
    let one = |(label, protocols): (&str, &'static [Protocol])| {
        let target = format!("{label}.{domain}");
        async move {
            // A domain may be so long that nothing fits before it.
            let outcome = match Address::parse(&target) {
                Ok(host) => ask(egress, &host, protocols).await,
                Err(_) => LookUpOutcome::Nothing,
            };
            LookUp { source: Source::Guess, target, outcome }
        }
    };
    join_all(NAMES.map(one)).await
}

async fn ask(egress: &Egress, host: &Address, protocols: &[Protocol]) -> LookUpOutcome {
    let answers = join_all(protocols.iter().map(|it| listens(egress, host, *it))).await;
    let offers: Vec<Offer> = answers.iter().filter_map(|it| it.as_ref().ok().cloned()).collect();
    if !offers.is_empty() {
        return LookUpOutcome::Offers(offers);
    }
    // A name that does not exist is no failure: it was only a guess.
    let forbidden = answers.into_iter().filter_map(Result::err).find(|it| it.kind == ErrorKind::Egress);
    forbidden.map_or(LookUpOutcome::Nothing, failure)
}

/// TLS from the first byte if somebody listens there, else the port of STARTTLS. Both are tried side by side.
async fn listens(egress: &Egress, host: &Address, protocol: Protocol) -> Result<Offer, MailError> {
    let ways = [Security::Implicit(Trust::System), Security::StartTls(Trust::System)];
    let [implicit, later] = ways.map(|security| connects(egress, host, protocol, security));
    let (implicit, later) = tokio::join!(implicit, later);
    implicit.or_else(|error| later.map_err(|_| error))
}

async fn connects(egress: &Egress, host: &Address, protocol: Protocol, security: Security) -> Result<Offer, MailError> {
    let port = protocol.standard_port(security);
    let stages = &Stages::new(Arc::new(Unheard), DEADLINE);
    dial::connect(host, port, egress, stages).await?;
    Ok(offer(protocol, host, port, security))
}

fn offer(protocol: Protocol, host: &Address, port: u16, security: Security) -> Offer {
    Offer {
        service: if protocol == Protocol::Imap { Offered::Imap } else { Offered::Pop3 },
        address: host.clone(),
        port,
        security,
        user_name: None,
        oauth: false,
        priority: 0,
        weight: 0,
    }
}
