//! Names that are usual for mail servers below a domain: offered if they are found, may be contacted, and somebody listens. Nothing
//! is sent.

use std::time::Duration;

use domain::{
    account::{Address, Protocol, Security, Trust},
    check::{ErrorKind, StageRecord},
    discovery::{LookUp, LookUpOutcome, Offer, Offered, Source},
    email::EmailAddress,
};
use futures::future::join_all;
use service::ports::StageLog;
use tokio::time::timeout;

use super::failed;
use crate::{dial, egress::Egress, stages::Stages};

/// What stands before the domain, and what such a host is asked for.
const NAMES: [(&str, &[Protocol]); 4] = [
    ("imap", &[Protocol::Imap]),
    ("mail", &[Protocol::Imap, Protocol::Pop3]),
    ("pop", &[Protocol::Pop3]),
    ("pop3", &[Protocol::Pop3]),
];
/// For the ports of one protocol on one host.
const DEADLINE: Duration = Duration::from_secs(4);

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
    let forbidden = answers.iter().find_map(|it| it.as_ref().err().filter(|it| it.0 == ErrorKind::Egress));
    forbidden.map_or(LookUpOutcome::Nothing, |(kind, message)| failed(*kind, message))
}

/// TLS from the first byte if somebody listens there, else the port of STARTTLS.
async fn listens(egress: &Egress, host: &Address, protocol: Protocol) -> Result<Offer, (ErrorKind, String)> {
    let stages = &Stages::new(std::sync::Arc::new(Unheard), DEADLINE);
    let ways = [Security::Implicit(Trust::System), Security::StartTls(Trust::System)];
    let tries = ways.map(|security| async move {
        let port = protocol.standard_port(security);
        let connected = timeout(DEADLINE, dial::connect(host, port, egress, stages)).await;
        match connected {
            Ok(Ok(_)) => Ok(offer(protocol, host, port, security)),
            Ok(Err(error)) => Err((error.kind, error.message)),
            Err(_) => Err((ErrorKind::Timeout, String::new())),
        }
    });
    let [implicit, later] = tries;
    let (implicit, later) = tokio::join!(implicit, later);
    implicit.or_else(|error| later.map_err(|_| error))
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

/// Nobody watches: most guesses are wrong.
struct Unheard;

impl StageLog for Unheard {
    fn ended(&self, _: StageRecord) {}
}
