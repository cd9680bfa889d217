//! The certificate laboratory: every way in which a certificate can be wrong, shown by a server of each protocol. Each gets its own
//! words, and nothing but what was chosen lets it pass.

use std::sync::Arc;

use domain::{
    account::{Address, KeyPin, Protocol, Security, Trust},
    check::{ErrorKind, Stage},
    connection_test::Verdict,
    email::EmailAddress,
    ids::AuthorityId,
    time::Day,
};
use mail::Mail;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints,
    PKCS_RSA_SHA256, PublicKeyData, RevokedCertParams, RsaKeySize, SerialNumber, SignatureAlgorithm, SigningKey,
    date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use service::ports::{AuthorityBundle, Depth, MailError, MailSender as _, StageLog, Submission, Visit};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::{
    connection::{Probed, probe},
    support::{
        HANG, assert_error, open, patient,
        peer::{Peer, Script},
        visit,
    },
};

const HOST: &str = "localhost";

/// One server's certificates, who is trusted to have issued them, and the words that its refusal must have.
struct Specimen {
    name: &'static str,
    config: Arc<ServerConfig>,
    bundle: String,
    pin: KeyPin,
    words: Vec<&'static str>,
    /// No handshake succeeds with it, whatever is trusted.
    is_unusable: bool,
}

#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A server that shows this chain, even if the key is not the chain's.
fn shows(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let shown = Shown(Arc::new(CertifiedKey::new(chain, key)));
    let config = ServerConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_cert_resolver(Arc::new(shown)))
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(|it| (*it).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn leaf() -> CertificateParams {
    named("the server", &[HOST])
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn root(name: &str) -> Authority {
    CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap()
}

fn under(params: CertificateParams, issuer: &Issuer<'_, impl SigningKey>) -> Authority {
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), issuer).unwrap()
}

fn pin_of(key: &impl PublicKeyData) -> KeyPin {
    KeyPin(Sha256::digest(key.subject_public_key_info()).into())
}

/// A certificate by that issuer, sent with these others.
fn specimen(
    name: &'static str,
    params: &CertificateParams,
    (issuer, trusted): (&Issuer<'_, impl SigningKey>, &Authority),
    others: &[&Authority],
    words: &[&'static str],
) -> Specimen {
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, issuer).unwrap();
    let chain = std::iter::once(leaf.der().clone()).chain(others.iter().map(|it| it.der().clone())).collect();
    Specimen {
        name,
        config: shows(chain, &key),
        bundle: trusted.pem(),
        pin: pin_of(&key),
        words: words.to_vec(),
        is_unusable: false,
    }
}

/// A public key that nobody would make today.
struct ShortKey(Vec<u8>);

impl ShortKey {
    /// RSA of 1024 bits: a modulus whose factors do not matter, and 65537.
    fn new() -> Self {
        let mut der = vec![0x30, 0x81, 0x89, 0x02, 0x81, 0x81, 0x00, 0xc1];
        der.extend((0..127).map(|it| it * 2 + 1));
        der.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
        Self(der)
    }
}

impl PublicKeyData for ShortKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

fn short_key(root: &Authority) -> Specimen {
    let params = leaf();
    let certificate = params.signed_by(&ShortKey::new(), root).unwrap();
    Specimen {
        name: "a short key",
        config: shows(vec![certificate.der().clone()], &KeyPair::generate().unwrap()),
        bundle: root.pem(),
        pin: pin_of(&ShortKey::new()),
        words: vec!["its RSA key has 1024 bits", "Have it issued anew with a longer key"],
        is_unusable: true,
    }
}

/// The same certificate with another algorithm of `PKCS #1` named in it. Its signature fits no more, but nobody gets so far.
fn weak_signature(name: &'static str, algorithm: u8, words: &[&'static str]) -> Specimen {
    const SHA256_WITH_RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let root = CertifiedIssuer::self_signed(authority("Lab Root"), key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut der = leaf().signed_by(&key, &root).unwrap().der().to_vec();
    let places: Vec<_> = (0..der.len()).filter(|it| der[*it..].starts_with(&SHA256_WITH_RSA)).collect();
    assert_eq!(places.len(), 2, "the algorithm stands inside and outside of what is signed");
    for place in places {
        der[place + 8] = algorithm;
    }
    Specimen {
        name,
        config: shows(vec![CertificateDer::from(der)], &key),
        bundle: root.pem(),
        pin: pin_of(&key),
        words: words.to_vec(),
        is_unusable: false,
    }
}

fn self_signed() -> Specimen {
    let key = KeyPair::generate().unwrap();
    Specimen {
        name: "signed by itself",
        config: shows(vec![leaf().self_signed(&key).unwrap().der().clone()], &key),
        bundle: root("Lab Root").pem(),
        pin: pin_of(&key),
        words: vec!["it is signed by itself", "Pin its key, or register it as an authority"],
        is_unusable: false,
    }
}

fn revoked(root: &Authority) -> Specimen {
    let mut params = leaf();
    params.serial_number = Some(SerialNumber::from(4711_u64));
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2025, 1, 1),
        next_update: date_time_ymd(2035, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(4711_u64),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let words = ["its issuer \u{ab}Lab Root\u{bb} has revoked it", "Have the server use another certificate"];
    let specimen = specimen("revoked", &params, (root, root), &[], &words);
    let list = list.signed_by(root).unwrap().pem().unwrap();
    Specimen { bundle: format!("{}{list}", specimen.bundle), ..specimen }
}

/// `AuthorityInfoAccess` with one place of the issuer's certificate (RFC 5280 section 4.2.2.1).
fn issuer_at(url: &str) -> CustomExtension {
    let length = |it: usize| u8::try_from(it).unwrap();
    let mut access = vec![0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86, length(url.len())];
    access.extend(url.as_bytes());
    let content = [&[0x30, length(access.len() + 2), 0x30, length(access.len())], access.as_slice()].concat();
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content)
}

fn changed(mut params: CertificateParams, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    change(&mut params);
    params
}

fn dated(from: i32, until: i32) -> CertificateParams {
    changed(leaf(), |it| (it.not_before, it.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1)))
}

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn specimens() -> Vec<Specimen> {
    let lab = root("Lab Root");
    let by_lab = (&*lab, &lab);
    let middle = under(authority("Lab Middle"), &lab);
    let old = under(changed(authority("Old Middle"), |it| it.not_after = date_time_ymd(2021, 6, 1)), &lab);
    let constraints = NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
        excluded_subtrees: vec![],
    };
    let narrow = under(changed(authority("Narrow"), |it| it.name_constraints = Some(constraints)), &lab);
    let (stranger, namesake) = (root("Stranger Root"), root("Lab Root"));
    let deep = under(authority("Deep"), &stranger);
    let for_clients = changed(leaf(), |it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let with_place = changed(leaf(), |it| it.custom_extensions = vec![issuer_at("http://lab.example/middle.cer")]);
    let others = ["mail.example.org", "*.example.net", "10.1.2.3"];
    vec![
        specimen(
            "expired",
            &dated(2019, 2020),
            by_lab,
            &[],
            &["it expired on 2020-01-01 00:00 UTC. Renew it on the server"],
        ),
        specimen(
            "not yet valid",
            &dated(2999, 3000),
            by_lab,
            &[],
            &["it is not valid before 2999-01-01 00:00 UTC. Wait"],
        ),
        specimen(
            "an expired issuer",
            &leaf(),
            (&old, &lab),
            &[&old],
            &["the certificate of its issuer \u{ab}Old Middle\u{bb} expired on 2021-06-01"],
        ),
        specimen(
            "another name",
            &named("localhost", &others),
            by_lab,
            &[],
            &["it is for mail.example.org, *.example.net, 10.1.2.3 and not for localhost. Enter such a name"],
        ),
        specimen(
            "only a common name",
            &named(HOST, &[]),
            by_lab,
            &[],
            &["it names no host; its common name \u{ab}localhost\u{bb} does not count", "subject alternative name"],
        ),
        self_signed(),
        specimen(
            "an unknown authority",
            &leaf(),
            (&stranger, &lab),
            &[&stranger],
            &["its issuer \u{ab}Stranger Root\u{bb} is unknown to the chosen authority. Register it"],
        ),
        specimen(
            "an unknown authority behind another",
            &leaf(),
            (&deep, &lab),
            &[&deep],
            &["its issuer \u{ab}Stranger Root\u{bb} is unknown to the chosen authority"],
        ),
        specimen(
            "the issuer is not sent",
            &with_place,
            (&middle, &lab),
            &[],
            &[
                "does not send the certificate of its issuer \u{ab}Lab Middle\u{bb} (to be had at http://lab.example/middle.cer)",
                "Have it send the whole chain",
            ],
        ),
        specimen(
            "an authority of the same name",
            &leaf(),
            (&namesake, &lab),
            &[],
            &["its signature is not by the trusted \u{ab}Lab Root\u{bb}"],
        ),
        short_key(&lab),
        weak_signature("SHA-1", 0x05, &["its signature is made with SHA-1", "Have it issued anew with SHA-256"]),
        weak_signature("MD5", 0x04, &["its signature is made with MD5"]),
        specimen(
            "a name that its issuer may not use",
            &leaf(),
            (&narrow, &lab),
            &[&narrow],
            &["its issuer \u{ab}Narrow\u{bb} may not vouch for localhost: only for example.org (name constraint)"],
        ),
        revoked(&lab),
        specimen(
            "not for servers",
            &for_clients,
            by_lab,
            &[],
            &["it is not for servers but for clients (extended key usage)", "serverAuth"],
        ),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Spoken {
    Imap,
    ImapStartTls,
    Pop3,
    Pop3StartTls,
    Smtp,
    SmtpStartTls,
}

const EVERY: [Spoken; 6] =
    [Spoken::Imap, Spoken::ImapStartTls, Spoken::Pop3, Spoken::Pop3StartTls, Spoken::Smtp, Spoken::SmtpStartTls];

struct Unheard;

impl StageLog for Unheard {
    fn ended(&self, _: domain::check::StageRecord) {}
}

/// Goes there, under that trust. The server leaves as soon as TLS is there, so that every visit fails; where, is what counts.
async fn go(spoken: Spoken, config: &Arc<ServerConfig>, trust: Trust, bundle: Option<&str>) -> MailError {
    let tls = |script: Script| script.tls_as(Arc::clone(config)).close();
    let script = match spoken {
        Spoken::Imap | Spoken::Pop3 | Spoken::Smtp => tls(Script::default()),
        Spoken::ImapStartTls => tls(Script::default().send("* OK ready\r\n").answer("P1 STARTTLS", "P1 OK go\r\n")),
        Spoken::Pop3StartTls => tls(Script::default().send("+OK ready\r\n").answer("STLS", "+OK go\r\n")),
        Spoken::SmtpStartTls => {
            let script = Script::default().send("220 ready\r\n").answer("EHLO", "250-x\r\n250 STARTTLS\r\n");
            tls(script.answer("STARTTLS", "220 go\r\n"))
        }
    };
    let peer = Peer::start(script).await;
    let is_implicit = matches!(spoken, Spoken::Imap | Spoken::Pop3 | Spoken::Smtp);
    let security = if is_implicit { Security::Implicit(trust) } else { Security::StartTls(trust) };
    let is_imap = matches!(spoken, Spoken::Imap | Spoken::ImapStartTls);
    let mut visit = visit(if is_imap { Protocol::Imap } else { Protocol::Pop3 }, security, peer.port);
    visit.destination.address = Address::parse(HOST).unwrap();
    visit.authority = bundle.map(|it| AuthorityBundle { id: AuthorityId(1), version: 1, pem: it.into() });
    let Visit { destination, authority, .. } = visit.clone();
    let sender = EmailAddress::parse("posthorn@example.org").unwrap();
    let submission =
        Submission { destination, connector: None, authority, credential: None, credential_id: None, sender };
    let error = match spoken {
        Spoken::Smtp | Spoken::SmtpStartTls => {
            let mail = Mail::new(patient()).unwrap();
            let opened = timeout(HANG, mail.open(&submission, Arc::new(Unheard))).await.expect("opening hangs");
            opened.err().expect("the server leaves").error
        }
        _ => open(patient(), &visit).await.err().expect("the server leaves"),
    };
    drop(peer);
    error
}

#[track_caller]
fn assert_passed(what: &str, error: &MailError) {
    assert_ne!(error.stage, Stage::Tls, "{what}: {error}");
}

#[track_caller]
fn assert_refused(what: &str, error: MailError) -> String {
    assert_eq!((error.kind, error.stage), (ErrorKind::Certificate, Stage::Tls), "{what}: {error}");
    assert_error::<()>(Err(error), ErrorKind::Certificate, Stage::Tls).message
}

/// A test of the connection shows the whole chain and the same words, and gets no further.
#[tokio::test]
async fn a_test_shows_the_chain_that_is_refused_and_says_why() {
    for specimen in specimens() {
        let peer = Peer::start(Script::default().tls_as(Arc::clone(&specimen.config)).send("* OK ready\r\n")).await;
        let trust = Trust::Authority(AuthorityId(1));
        let mut visit = visit(Protocol::Imap, Security::Implicit(trust), peer.port);
        visit.destination.address = Address::parse(HOST).unwrap();
        let bundle = AuthorityBundle { id: AuthorityId(1), version: 1, pem: specimen.bundle.as_str().into() };
        visit.authority = Some(bundle);
        let Probed { evidence, result, .. } = probe(patient(), &visit, Depth::Mailbox).await;
        let error = assert_error(result, ErrorKind::Certificate, Stage::Tls);
        let Some(Verdict::Refused { why }) = evidence.verdict else { panic!("{}", specimen.name) };
        for words in &specimen.words {
            assert!(why.contains(words) && error.message.contains(words), "{}: {words:?}: {why}", specimen.name);
        }
        let pin = specimen.pin.to_string();
        assert_eq!(evidence.chain.first().map(|it| &it.pin), Some(&pin), "{}", specimen.name);
        assert_eq!((evidence.greeting, evidence.tls), (None, None), "{}: it went on", specimen.name);
    }
}

#[tokio::test]
async fn every_wrong_certificate_is_refused_in_words_of_its_own() {
    let mut all = Vec::new();
    for specimen in specimens() {
        for spoken in EVERY {
            let what = format!("{} over {spoken:?}", specimen.name);
            let own = Trust::Authority(AuthorityId(1));
            let message = assert_refused(&what, go(spoken, &specimen.config, own, Some(&specimen.bundle)).await);
            for words in &specimen.words {
                assert!(message.contains(words), "{what}: {words:?} is not in {message:?}");
            }
            if spoken == Spoken::Imap {
                all.push(message);
            }
        }
    }
    for (n, message) in all.iter().enumerate() {
        assert!(!all[..n].contains(message), "twice: {message}");
    }
}

#[tokio::test]
async fn the_system_s_roots_vouch_for_none_of_them() {
    for specimen in specimens() {
        assert_refused(specimen.name, go(Spoken::Imap, &specimen.config, Trust::System, None).await);
    }
}

#[tokio::test]
async fn the_pinned_key_and_nothing_else_passes() {
    let another = pin_of(&KeyPair::generate().unwrap());
    for specimen in specimens() {
        for spoken in [Spoken::Imap, Spoken::Pop3StartTls, Spoken::Smtp] {
            let what = format!("{} over {spoken:?}", specimen.name);
            let right = go(spoken, &specimen.config, Trust::Pin(specimen.pin), None).await;
            if specimen.is_unusable {
                drop(assert_refused(&what, right));
            } else {
                assert_passed(&what, &right);
            }
            let wrong = assert_refused(&what, go(spoken, &specimen.config, Trust::Pin(another), None).await);
            let words = format!("its key is {}, and {another} is pinned", specimen.pin);
            assert!(wrong.contains(&words), "{what}: {wrong}");
        }
    }
}

#[tokio::test]
async fn skipping_passes_until_its_last_day_is_over() {
    let day = |it: &str| Day::parse(it).unwrap();
    for specimen in specimens() {
        for until in [None, Some(day("2999-12-31"))] {
            let error = go(Spoken::Imap, &specimen.config, Trust::SkipCertificate { until }, None).await;
            if specimen.is_unusable {
                drop(assert_refused(specimen.name, error));
            } else {
                assert_passed(specimen.name, &error);
            }
        }
        let over = Trust::SkipCertificate { until: Some(day("2025-12-31")) };
        for spoken in [Spoken::ImapStartTls, Spoken::Pop3, Spoken::SmtpStartTls] {
            let message = assert_refused(specimen.name, go(spoken, &specimen.config, over, None).await);
            assert!(message.contains("skipped until 2025-12-31 and that day is over"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_good_certificate_passes_by_its_authority_only() {
    let (lab, other) = (root("Lab Root"), root("Other Root"));
    let middle = under(authority("Lab Middle"), &lab);
    let good = specimen("good", &leaf(), (&middle, &lab), &[&middle], &[]);
    let own = Trust::Authority(AuthorityId(1));
    for spoken in EVERY {
        assert_passed("good", &go(spoken, &good.config, own, Some(&good.bundle)).await);
        let message = assert_refused("other", go(spoken, &good.config, own, Some(&other.pem())).await);
        assert!(message.contains("\u{ab}Lab Root\u{bb} is unknown to the chosen authority"), "{message}");
        let message = assert_refused("system", go(spoken, &good.config, Trust::System, None).await);
        assert!(message.contains("\u{ab}Lab Root\u{bb} is unknown to the system's roots"), "{message}");
        let message = assert_refused("gone", go(spoken, &good.config, own, None).await);
        assert!(message.contains("its authority does not exist any more"), "{message}");
    }
}

/// What is named in a certificate is the server's word: cut, without controls.
#[tokio::test]
async fn endless_names_do_not_make_endless_words() {
    let lab = root("Lab Root");
    let long = "a".repeat(60);
    let hosts: Vec<_> = (0..50).map(|it| format!("{long}.{it}.{long}.{long}.example")).collect();
    let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
    let stranger = root(&format!("\u{1b}[31m\u{202e}{}", "x".repeat(5000)));
    for specimen in [
        specimen("many names", &named("x", &hosts), (&lab, &lab), &[], &[]),
        specimen("a long issuer", &named("x", &hosts), (&stranger, &lab), &[], &[]),
        specimen("a long issuer that is sent", &dated(2019, 2020), (&stranger, &lab), &[&stranger], &[]),
    ] {
        let own = Trust::Authority(AuthorityId(1));
        assert_refused(specimen.name, go(Spoken::Imap, &specimen.config, own, Some(&specimen.bundle)).await);
    }
}

/// A session that was made without looking is not resumed by one that looks.
#[tokio::test]
async fn a_skipped_session_is_not_resumed_by_another_trust() {
    let specimen = self_signed();
    let mail = Mail::new(patient()).unwrap();
    let sender = EmailAddress::parse("posthorn@example.org").unwrap();
    for (trust, passes) in [
        (Trust::SkipCertificate { until: None }, true),
        (Trust::System, false),
        (Trust::Pin(specimen.pin), true),
        (Trust::Pin(KeyPin([0; 32])), false),
        (Trust::SkipCertificate { until: None }, true),
        (Trust::System, false),
    ] {
        let script = Script::default().tls_as(Arc::clone(&specimen.config)).send("220 ready\r\n");
        let peer = Peer::start(script.answer("EHLO", "250 x\r\n")).await;
        let mut destination = visit(Protocol::Imap, Security::Implicit(trust), peer.port).destination;
        destination.address = Address::parse(HOST).unwrap();
        let (connector, authority, credential) = (None, None, None);
        let submission =
            Submission { destination, connector, authority, credential, credential_id: None, sender: sender.clone() };
        let opened = mail.open(&submission, Arc::new(Unheard)).await;
        assert_eq!(opened.is_ok(), passes, "{trust:?}");
    }
}
