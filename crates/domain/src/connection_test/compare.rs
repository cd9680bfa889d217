//! What is different from the last good test. Only what both saw is compared, so that a test that failed early says nothing about
//! what it did not reach.

use serde::{Deserialize, Serialize};

use super::{CertificateFacts, ConnectionTest, Evidence, Phase, Verdict};
use crate::time::Timestamp;

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Difference {
    /// Another server, port or kind of security was tested.
    Target {
        was: String,
        now: String,
    },
    /// The name resolves to other addresses.
    Resolves {
        was: Vec<String>,
        now: Vec<String>,
    },
    TlsVersion {
        was: String,
        now: String,
    },
    Cipher {
        was: String,
        now: String,
    },
    /// Another certificate, by the same issuer for the same subject: renewed, perhaps.
    Certificate {
        was_until: Timestamp,
        now_until: Timestamp,
    },
    Subject {
        was: String,
        now: String,
    },
    Issuer {
        was: String,
        now: String,
    },
    /// Names that the certificate lost or won.
    Names {
        gone: Vec<String>,
        new: Vec<String>,
    },
    /// The certificate's key is another.
    Key {
        was: String,
        now: String,
    },
    /// The server sends more or fewer certificates than before.
    ChainLength {
        was: u64,
        now: u64,
    },
    /// It was trusted.
    TrustLost {
        why: String,
    },
    Greeting {
        was: String,
        now: String,
    },
    CapabilityGone {
        phase: Phase,
        name: String,
    },
    CapabilityNew {
        phase: Phase,
        name: String,
    },
    Mechanism {
        was: String,
        now: String,
    },
    /// The mailbox was made anew: messages have other names.
    UidValidity {
        was: u32,
        now: u32,
    },
}

/// What is not as the last good test saw it, in the order of the steps.
pub fn compare(last_good: &ConnectionTest, now: &ConnectionTest) -> Vec<Difference> {
    let mut found = Vec::new();
    let (was, is) = (target(last_good), target(now));
    if was != is {
        found.push(Difference::Target { was, now: is });
    }
    let (was, now) = (&last_good.evidence, &now.evidence);
    resolves(was, now, &mut found);
    tls(was, now, &mut found);
    if let (Some(was), Some(now)) = (was.chain.first(), now.chain.first()) {
        certificate(was, now, &mut found);
    }
    chain(was, now, &mut found);
    let both = |was: &Option<String>, now: &Option<String>| was.clone().zip(now.clone());
    if let Some((was, now)) = both(&was.greeting, &now.greeting).filter(|(was, now)| lasting(was) != lasting(now)) {
        found.push(Difference::Greeting { was, now });
    }
    for phase in Phase::ALL {
        capabilities(phase, was, now, &mut found);
    }
    if let Some((was, now)) = both(&was.mechanism, &now.mechanism).filter(|(was, now)| was != now) {
        found.push(Difference::Mechanism { was, now });
    }
    let uid_validity = |it: &Evidence| it.mailbox.and_then(|it| it.uid_validity);
    if let Some((was, now)) = uid_validity(was).zip(uid_validity(now)).filter(|(was, now)| was != now) {
        found.push(Difference::UidValidity { was, now });
    }
    found
}

fn target(test: &ConnectionTest) -> String {
    let kind = test.destination.security.kind().map_or_else(|| "plain".to_owned(), str::to_uppercase);
    format!("{} {} {} {kind}", test.protocol.label(), test.destination.address, test.destination.port)
}

/// Round robin gives the same addresses in another order.
fn resolves(was: &Evidence, now: &Evidence, found: &mut Vec<Difference>) {
    let addresses = |it: &Evidence| {
        let mut addresses: Vec<_> = it.resolved.iter().map(|it| it.address.clone()).collect();
        addresses.sort_unstable();
        addresses
    };
    let (was, now) = (addresses(was), addresses(now));
    if !was.is_empty() && !now.is_empty() && was != now {
        found.push(Difference::Resolves { was, now });
    }
}

fn tls(was: &Evidence, now: &Evidence, found: &mut Vec<Difference>) {
    let (Some(was), Some(now)) = (&was.tls, &now.tls) else { return };
    if was.version != now.version {
        found.push(Difference::TlsVersion { was: was.version.clone(), now: now.version.clone() });
    }
    if was.cipher != now.cipher {
        found.push(Difference::Cipher { was: was.cipher.clone(), now: now.cipher.clone() });
    }
}

fn certificate(was: &CertificateFacts, now: &CertificateFacts, found: &mut Vec<Difference>) {
    if was.fingerprint == now.fingerprint {
        return;
    }
    found.push(Difference::Certificate { was_until: was.not_after, now_until: now.not_after });
    if was.subject != now.subject {
        found.push(Difference::Subject { was: was.subject.clone(), now: now.subject.clone() });
    }
    if was.issuer != now.issuer {
        found.push(Difference::Issuer { was: was.issuer.clone(), now: now.issuer.clone() });
    }
    let (gone, new) = (missing(&was.names, &now.names), missing(&now.names, &was.names));
    if !gone.is_empty() || !new.is_empty() {
        found.push(Difference::Names { gone, new });
    }
    if was.pin != now.pin {
        found.push(Difference::Key { was: was.pin.clone(), now: now.pin.clone() });
    }
}

fn chain(was: &Evidence, now: &Evidence, found: &mut Vec<Difference>) {
    let length = |it: &Evidence| u64::try_from(it.chain.len()).unwrap_or(u64::MAX);
    if length(was) > 0 && length(now) > 0 && length(was) != length(now) {
        found.push(Difference::ChainLength { was: length(was), now: length(now) });
    }
    if let (Some(Verdict::Trusted), Some(Verdict::Accepted { why } | Verdict::Refused { why })) =
        (&was.verdict, &now.verdict)
    {
        found.push(Difference::TrustLost { why: why.clone() });
    }
}

/// A greeting without what is another each time: POP3's time stamp (RFC 1939 section 7, APOP), numbers of sessions.
fn lasting(greeting: &str) -> String {
    let mut text = String::new();
    let mut depth = 0_usize;
    for letter in greeting.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 && !letter.is_ascii_digit() => text.push(letter),
            _ => {}
        }
    }
    text
}

fn capabilities(phase: Phase, was: &Evidence, now: &Evidence, found: &mut Vec<Difference>) {
    let (Some(was), Some(now)) = (was.capabilities.of(phase), now.capabilities.of(phase)) else { return };
    found.extend(missing(was, now).into_iter().map(|name| Difference::CapabilityGone { phase, name }));
    found.extend(missing(now, was).into_iter().map(|name| Difference::CapabilityNew { phase, name }));
}

/// Those of the first that the second lacks.
fn missing(of: &[String], within: &[String]) -> Vec<String> {
    of.iter().filter(|it| !within.iter().any(|there| there.eq_ignore_ascii_case(it))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{Address, Destination, Protocol, Route, Security, Trust},
        connection_test::{Fact, MailboxFacts, TlsFacts},
        egress::{EgressReason, EgressTrial},
    };

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    fn found_at(addresses: &[&str]) -> Fact {
        let trial = |it: &&str| EgressTrial { address: (*it).to_owned(), reason: EgressReason::Ordinary };
        Fact::Resolved(addresses.iter().map(trial).collect())
    }

    fn leaf() -> CertificateFacts {
        CertificateFacts {
            subject: "CN=mail".to_owned(),
            issuer: "CN=Root A".to_owned(),
            names: names(&["mail.example.org"]),
            not_before: Timestamp(0),
            not_after: Timestamp(100),
            fingerprint: "SHA256:one".to_owned(),
            key: "EC P-256".to_owned(),
            pin: "SHA256:key".to_owned(),
        }
    }

    /// A good test, then changed by these facts.
    fn seen(facts: impl IntoIterator<Item = Fact>) -> ConnectionTest {
        let destination = Destination {
            address: Address::parse("mail.example.org").unwrap(),
            port: 993,
            security: Security::Implicit(Trust::System),
            route: Route::Direct,
        };
        let mut test = ConnectionTest::new(Protocol::Imap, destination);
        let first = [
            found_at(&["192.0.2.1", "192.0.2.2"]),
            Fact::Tls(TlsFacts { version: "TLSv1.3".to_owned(), cipher: "AES".to_owned() }),
            Fact::Chain(vec![leaf()], Verdict::Trusted),
            Fact::Greeting("+OK ready <1.2@mail>".to_owned()),
            Fact::Capabilities(Phase::Secured, names(&["IMAP4rev1", "AUTH=PLAIN"])),
            Fact::Mechanism("AUTHENTICATE PLAIN".to_owned()),
            Fact::Mailbox(MailboxFacts { n_messages: 3, uid_validity: Some(7), ..MailboxFacts::default() }),
        ];
        first.into_iter().chain(facts).for_each(|it| test.evidence.note(it));
        test
    }

    #[track_caller]
    fn check(facts: impl IntoIterator<Item = Fact>, expected: &[Difference]) {
        assert_eq!(compare(&seen([]), &seen(facts)), expected);
    }

    #[test]
    fn what_changes_each_time_is_no_difference() {
        check(
            [
                found_at(&["192.0.2.2", "192.0.2.1"]),
                Fact::Greeting("+OK ready <3.4@mail>".to_owned()),
                Fact::Capabilities(Phase::Secured, names(&["auth=plain", "IMAP4REV1"])),
                Fact::Mailbox(MailboxFacts { n_messages: 9, uid_validity: Some(7), ..MailboxFacts::default() }),
            ],
            &[],
        );
    }

    #[test]
    fn each_change_is_named() {
        check(
            [found_at(&["192.0.2.9"])],
            &[Difference::Resolves { was: names(&["192.0.2.1", "192.0.2.2"]), now: names(&["192.0.2.9"]) }],
        );
        check(
            [Fact::Tls(TlsFacts { version: "TLSv1.2".to_owned(), cipher: "AES".to_owned() })],
            &[Difference::TlsVersion { was: "TLSv1.3".to_owned(), now: "TLSv1.2".to_owned() }],
        );
        check(
            [Fact::Capabilities(Phase::Secured, names(&["IMAP4rev1", "IDLE"]))],
            &[
                Difference::CapabilityGone { phase: Phase::Secured, name: "AUTH=PLAIN".to_owned() },
                Difference::CapabilityNew { phase: Phase::Secured, name: "IDLE".to_owned() },
            ],
        );
        check(
            [Fact::Mechanism("LOGIN".to_owned())],
            &[Difference::Mechanism { was: "AUTHENTICATE PLAIN".to_owned(), now: "LOGIN".to_owned() }],
        );
        check(
            [Fact::Greeting("* OK another program".to_owned())],
            &[Difference::Greeting { was: "+OK ready <1.2@mail>".to_owned(), now: "* OK another program".to_owned() }],
        );
        check(
            [Fact::Mailbox(MailboxFacts { uid_validity: Some(8), ..MailboxFacts::default() })],
            &[Difference::UidValidity { was: 7, now: 8 }],
        );
    }

    #[test]
    fn another_certificate_is_told_by_what_is_different_in_it() {
        let renewed = CertificateFacts { fingerprint: "SHA256:two".to_owned(), not_after: Timestamp(200), ..leaf() };
        let until = Difference::Certificate { was_until: Timestamp(100), now_until: Timestamp(200) };
        check([Fact::Chain(vec![renewed.clone()], Verdict::Trusted)], std::slice::from_ref(&until));
        let foreign = CertificateFacts {
            issuer: "CN=Root B".to_owned(),
            names: names(&["mail.example.net"]),
            pin: "SHA256:other".to_owned(),
            ..renewed
        };
        let refused = Verdict::Refused { why: "its issuer is unknown".to_owned() };
        check(
            [Fact::Chain(vec![foreign, leaf()], refused)],
            &[
                until,
                Difference::Issuer { was: "CN=Root A".to_owned(), now: "CN=Root B".to_owned() },
                Difference::Names { gone: names(&["mail.example.org"]), new: names(&["mail.example.net"]) },
                Difference::Key { was: "SHA256:key".to_owned(), now: "SHA256:other".to_owned() },
                Difference::ChainLength { was: 1, now: 2 },
                Difference::TrustLost { why: "its issuer is unknown".to_owned() },
            ],
        );
    }

    #[test]
    fn what_was_not_reached_is_not_compared() {
        let mut early = seen([]);
        early.evidence = Evidence::default();
        assert_eq!(compare(&seen([]), &early), []);
        early.destination.port = 143;
        let was = "IMAP mail.example.org 993 SSL".to_owned();
        let now = "IMAP mail.example.org 143 SSL".to_owned();
        assert_eq!(compare(&seen([]), &early), [Difference::Target { was, now }]);
    }
}
