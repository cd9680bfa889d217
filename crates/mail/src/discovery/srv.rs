//! SRV records of mail (RFC 6186, RFC 8314 section 5.1).

use std::time::Duration;

use domain::{
    account::{Address, Security, Trust},
    check::ErrorKind,
    discovery::{LookUp, LookUpOutcome, Offer, Offered, Source},
    email::EmailAddress,
};
use futures::future::join_all;
use tokio::time::timeout;

use super::failed;
use crate::{
    clean,
    egress::{Resolver, SrvRecord},
};

/// What is asked for. The names without an `s` are of servers that take STARTTLS (RFC 6186 section 3.2): never is plain proposed.
const SERVICES: [(&str, Offered, Security); 6] = [
    ("_imaps._tcp", Offered::Imap, Security::Implicit(Trust::System)),
    ("_imap._tcp", Offered::Imap, Security::StartTls(Trust::System)),
    ("_pop3s._tcp", Offered::Pop3, Security::Implicit(Trust::System)),
    ("_pop3._tcp", Offered::Pop3, Security::StartTls(Trust::System)),
    ("_submissions._tcp", Offered::Submission, Security::Implicit(Trust::System)),
    ("_submission._tcp", Offered::Submission, Security::StartTls(Trust::System)),
];
/// For one answer.
const DEADLINE: Duration = Duration::from_secs(6);
/// The most records of one service that are looked at: the best, since nobody needs more.
const RECORDS_MAX: usize = 10;

pub(super) async fn look_up(resolver: &dyn Resolver, address: &EmailAddress) -> Vec<LookUp> {
    let one = |(name, service, security): (&str, Offered, Security)| {
        let target = format!("{name}.{}", address.host());
        async move {
            let outcome = match timeout(DEADLINE, resolver.services(&target)).await {
                Ok(Ok(records)) => outcome(records, service, security),
                Ok(Err(error)) => failed(ErrorKind::Resolve, clean(error.to_string().as_bytes(), 200)),
                Err(_) => failed(ErrorKind::Timeout, format!("no answer within {} s", DEADLINE.as_secs())),
            };
            LookUp { source: Source::Srv, target, outcome }
        }
    };
    join_all(SERVICES.map(one)).await
}

fn outcome(mut records: Vec<SrvRecord>, service: Offered, security: Security) -> LookUpOutcome {
    if records.is_empty() {
        return LookUpOutcome::Nothing;
    }
    // RFC 6186 section 3.4: a single record whose target is the root.
    if records.iter().all(|it| it.target == ".") {
        return LookUpOutcome::NotOffered;
    }
    records.retain(|it| it.target != ".");
    records.sort_by_key(|it| (it.priority, u16::MAX - it.weight));
    let n_records = records.len();
    let offer = |it: SrvRecord| {
        let address = Address::parse(&it.target).ok().filter(|_| it.port > 0)?;
        Some(Offer {
            service,
            address,
            port: it.port,
            security,
            user_name: None,
            oauth: false,
            priority: it.priority,
            weight: it.weight,
        })
    };
    let offers: Vec<Offer> = records.into_iter().take(RECORDS_MAX).filter_map(offer).collect();
    if offers.is_empty() {
        return failed(ErrorKind::Protocol, format!("no host name and port in {n_records} records"));
    }
    LookUpOutcome::Offers(offers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, port: u16, target: &str) -> SrvRecord {
        SrvRecord { priority, weight, port, target: target.to_owned() }
    }

    fn targets(records: Vec<SrvRecord>) -> Vec<String> {
        match outcome(records, Offered::Imap, Security::Implicit(Trust::System)) {
            LookUpOutcome::Offers(offers) => offers.iter().map(|it| format!("{}:{}", it.address, it.port)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_best_records_are_taken_by_priority_and_weight() {
        let records = vec![
            record(20, 9, 993, "last.example.org."),
            record(10, 1, 993, "second.example.org."),
            record(10, 5, 1993, "first.example.org."),
        ];
        assert_eq!(targets(records), ["first.example.org:1993", "second.example.org:993", "last.example.org:993"]);
        let many: Vec<_> = (0..3000).map(|it| record(3000 - it, 0, 993, &format!("m{it}.example.org."))).collect();
        let kept = targets(many);
        assert_eq!((kept.len(), kept[0].as_str()), (RECORDS_MAX, "m2999.example.org:993"));
    }

    #[test]
    fn a_root_says_that_the_service_is_not_offered() {
        let none = |records| outcome(records, Offered::Imap, Security::Implicit(Trust::System));
        assert_eq!(none(vec![record(0, 0, 0, ".")]), LookUpOutcome::NotOffered);
        assert_eq!(none(Vec::new()), LookUpOutcome::Nothing);
        assert_eq!(
            targets(vec![record(0, 0, 0, "."), record(0, 0, 993, "mail.example.org.")]),
            ["mail.example.org:993"]
        );
    }

    #[test]
    fn what_is_no_host_name_is_not_offered_on() {
        for target in
            ["a\\000b.example.org.", "a b.example.org.", "-x.example.org.", "_imap.example.org.", "1.2.3.", ""]
        {
            let found = outcome(vec![record(0, 0, 993, target)], Offered::Imap, Security::Implicit(Trust::System));
            assert!(
                matches!(&found, LookUpOutcome::Failed(it) if it.kind == ErrorKind::Protocol),
                "{target}: {found:?}"
            );
        }
        assert_eq!(
            targets(vec![record(0, 0, 0, "mail.example.org."), record(1, 0, 1, "b.example.org.")]),
            ["b.example.org:1"]
        );
    }
}
