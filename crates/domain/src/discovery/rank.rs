//! From offers to proposals: the same server once, the best first.

use std::collections::HashMap;

use super::{LookUp, LookUpOutcome, Offer, Offered, Proposal, Source, Standing};
use crate::{
    account::{Address, Security},
    email::EmailAddress,
};

/// More proposals help nobody to choose.
const PROPOSALS_MAX: usize = 20;

/// What is proposed of what was offered; whether it may be contacted is for others to find out.
///
/// Plain connections come last, whoever offers them. What somebody published comes before what was only guessed, IMAP before POP3,
/// TLS from the first byte before STARTTLS (RFC 8314 section 3), and then what the sources want themselves.
pub fn propose(address: &EmailAddress, look_ups: &[LookUp]) -> Vec<Proposal> {
    let mut offers: Vec<(Source, &Offer)> = Vec::new();
    for it in look_ups {
        if let LookUpOutcome::Offers(found) = &it.outcome {
            offers.extend(found.iter().map(|offer| (it.source, offer)));
        }
    }
    // A stable sort: the order within a file is its provider's preference.
    offers.sort_by_key(|(source, it)| {
        let (is_plain, is_guessed) = (!it.security.is_secure(), *source == Source::Guess);
        (is_plain, is_guessed, it.service, is_late(it.security), *source, it.priority, u16::MAX - it.weight)
    });
    let mut places: HashMap<(Offered, &Address, u16, Security), usize> = HashMap::new();
    let mut proposals: Vec<Proposal> = Vec::new();
    for (source, offer) in offers {
        let key = (offer.service, &offer.address, offer.port, offer.security);
        if let Some(at) = places.get(&key) {
            join(&mut proposals[*at], source, offer, address);
        } else if proposals.len() < PROPOSALS_MAX {
            places.insert(key, proposals.len());
            proposals.push(proposal(source, offer, address));
        }
    }
    proposals
}

fn is_late(security: Security) -> bool {
    !matches!(security, Security::Implicit(_))
}

fn proposal(source: Source, offer: &Offer, address: &EmailAddress) -> Proposal {
    Proposal {
        service: offer.service,
        address: offer.address.clone(),
        port: offer.port,
        security: offer.security,
        // RFC 6186 section 3.3: the whole address first.
        user_name: offer.user_name.clone().unwrap_or_else(|| address.to_string()),
        sources: vec![source],
        outside_domain: !is_within(&offer.address, address.host()),
        oauth: offer.oauth,
        standing: Standing::Open,
    }
}

/// Another source offers the same server, and may know more of it.
fn join(proposal: &mut Proposal, source: Source, offer: &Offer, address: &EmailAddress) {
    if let Some(name) = offer.user_name.as_ref().filter(|_| proposal.user_name == address.as_str()) {
        proposal.user_name.clone_from(name);
    }
    proposal.oauth |= offer.oauth;
    if !proposal.sources.contains(&source) {
        proposal.sources.push(source);
    }
}

fn is_within(host: &Address, domain: &str) -> bool {
    host.as_str().strip_suffix(domain).is_some_and(|it| it.is_empty() || it.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Trust;

    const SSL: Security = Security::Implicit(Trust::System);
    const TLS: Security = Security::StartTls(Trust::System);

    fn offer(service: Offered, host: &str, security: Security) -> Offer {
        Offer {
            service,
            address: Address::parse(host).unwrap(),
            port: 1,
            security,
            user_name: None,
            oauth: false,
            priority: 0,
            weight: 0,
        }
    }

    fn found(source: Source, offers: Vec<Offer>) -> LookUp {
        LookUp { source, target: String::new(), outcome: LookUpOutcome::Offers(offers) }
    }

    fn ana() -> EmailAddress {
        EmailAddress::parse("ana@example.org").unwrap()
    }

    fn hosts(look_ups: &[LookUp]) -> Vec<String> {
        propose(&ana(), look_ups).iter().map(|it| it.address.to_string()).collect()
    }

    #[test]
    fn the_safest_and_the_most_certain_come_first_and_plain_last() {
        use Offered::{Imap, Pop3, Submission};
        let look_ups = [
            found(Source::Guess, vec![offer(Imap, "guessed", SSL)]),
            found(
                Source::Autoconfig,
                vec![
                    offer(Imap, "plain", Security::Plain),
                    offer(Submission, "out", SSL),
                    offer(Pop3, "pop", SSL),
                    offer(Imap, "late", TLS),
                    offer(Imap, "file", SSL),
                ],
            ),
            found(Source::Database, vec![offer(Imap, "database", SSL)]),
            found(Source::Srv, vec![offer(Imap, "srv", SSL)]),
            LookUp { source: Source::Srv, target: String::new(), outcome: LookUpOutcome::NotOffered },
        ];
        assert_eq!(hosts(&look_ups), ["srv", "file", "database", "late", "pop", "out", "guessed", "plain"]);
    }

    #[test]
    fn records_are_taken_by_priority_then_weight() {
        let weighed = |host: &str, priority, weight| Offer { priority, weight, ..offer(Offered::Imap, host, SSL) };
        let offers =
            vec![weighed("third", 1, 1), weighed("fourth", 2, 65535), weighed("first", 0, 0), weighed("second", 1, 9)];
        assert_eq!(hosts(&[found(Source::Srv, offers)]), ["first", "second", "third", "fourth"]);
    }

    #[test]
    fn the_same_server_is_proposed_once_with_what_everybody_knows_of_it() {
        let of_file =
            Offer { user_name: Some("ana".to_owned()), oauth: true, ..offer(Offered::Imap, "mail.example.org", SSL) };
        let bare = offer(Offered::Imap, "mail.example.org", SSL);
        let other_port = Offer { port: 2, ..bare.clone() };
        let look_ups = [
            found(Source::Autoconfig, vec![of_file.clone(), of_file]),
            found(Source::Srv, vec![bare.clone(), other_port]),
            found(Source::Guess, vec![bare]),
        ];
        let proposals = propose(&ana(), &look_ups);
        assert_eq!(proposals.len(), 2);
        assert_eq!(proposals[0].sources, [Source::Srv, Source::Autoconfig, Source::Guess]);
        assert_eq!((proposals[0].user_name.as_str(), proposals[0].oauth), ("ana", true));
        assert_eq!((proposals[1].port, proposals[1].user_name.as_str()), (2, "ana@example.org"));
    }

    #[test]
    fn only_the_domain_and_what_is_below_it_is_within() {
        for (host, is_outside) in [
            ("example.org", false),
            ("mail.example.org", false),
            ("badexample.org", true),
            ("example.org.evil.example", true),
            ("mail.example.net", true),
            ("192.0.2.1", true),
        ] {
            let proposals = propose(&ana(), &[found(Source::Srv, vec![offer(Offered::Imap, host, SSL)])]);
            assert_eq!(proposals[0].outside_domain, is_outside, "{host}");
        }
    }

    #[test]
    fn thousands_of_offers_become_a_few_proposals() {
        let offers = (0..5000_u16).map(|it| Offer { port: it + 1, ..offer(Offered::Imap, "mail.example.org", SSL) });
        let proposals = propose(&ana(), &[found(Source::Srv, offers.collect())]);
        assert_eq!((proposals.len(), proposals[0].port), (PROPOSALS_MAX, 1));
    }
}
