//! Why a certificate is refused, and what to do next. The verifier says little: what it refused is looked at again.
//!
//! Nothing here decides whether a certificate is accepted, but for keys that are too short. Nothing is fetched. Names in
//! certificates are the server's words: they are cut, cleaned and quoted.

use std::{net::IpAddr, sync::Arc};

use domain::{account::KeyPin, posture::TlsSeen, time::Timestamp};
use rustls::{
    CertificateError, Error, OtherError,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest as _, Sha256};
use webpki::EndEntityCert;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    parse_x509_certificate,
    public_key::PublicKey,
    x509::X509Name,
};

use super::seen;
use crate::clean;

/// Bits that an RSA key must have.
const RSA_BITS_MIN: usize = 2048;
/// The most characters of a name, and of all names together.
const NAME_MAX: usize = 60;
const NAMES_MAX: usize = 120;
/// `id-ad-caIssuers` (RFC 5280 section 4.2.2.1): where the issuer's certificate can be had.
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";
const RENEW: &str = "Have it issued anew";

/// The explanation as it travels through the handshake.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Explained {
    why: String,
    leaf: CertificateDer<'static>,
}

impl Explained {
    /// What there is to note of the refused certificate.
    pub(super) fn seen(&self) -> Option<TlsSeen> {
        Some(seen::certificate(&self.leaf)).filter(|it| it.not_after.is_some())
    }
}

fn error(why: String, leaf: &CertificateDer) -> Error {
    let leaf = leaf.clone().into_owned();
    CertificateError::Other(OtherError(Arc::new(Explained { why, leaf }))).into()
}

/// Who vouches, for the words about it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Roots {
    System,
    Own,
}

/// What the server showed, to whom it was shown.
pub(crate) struct Presented<'a> {
    pub(crate) leaf: &'a CertificateDer<'a>,
    pub(crate) sent: &'a [CertificateDer<'a>],
    pub(crate) name: &'a ServerName<'a>,
    pub(crate) now: UnixTime,
}

/// The pin of this certificate's key, read by the very code that checks the handshake's signature with that key.
pub(crate) fn pin(certificate: &CertificateDer) -> Result<KeyPin, Error> {
    let read = EndEntityCert::try_from(certificate)
        .map_err(|_| error("it cannot be read. Look at the server".to_owned(), certificate))?;
    Ok(KeyPin(Sha256::digest(read.subject_public_key_info()).into()))
}

pub(crate) fn another_key(found: KeyPin, pinned: KeyPin, leaf: &CertificateDer) -> Error {
    let why = format!(
        "its key is {found}, and {pinned} is pinned. Ask whoever runs the server whether the key was changed, and only then pin \
         the new one"
    );
    error(why, leaf)
}

/// Keys that no handshake succeeds with.
pub(crate) fn strong_enough(leaf: &CertificateDer) -> Result<(), Error> {
    let short = parse_x509_certificate(leaf).ok().and_then(|(_, it)| rsa_bits(&it)).filter(|it| *it < RSA_BITS_MIN);
    short.map_or(Ok(()), |bits| Err(error(short_key("its RSA key", bits), leaf)))
}

impl Presented<'_> {
    /// The verifier's refusal in our words; what is no refusal of the certificate stays as it is.
    pub(crate) fn explain(&self, refusal: Error, roots: Roots) -> Error {
        let Error::InvalidCertificate(reason) = refusal else { return refusal };
        let Ok((_, leaf)) = parse_x509_certificate(self.leaf) else {
            return error(format!("it cannot be read ({reason}). Look at the server"), self.leaf);
        };
        // What cannot be read has no part in the chain.
        let sent = self.sent.iter().filter_map(|it| parse_x509_certificate(it).ok());
        let chain = Chain { leaf, sent: sent.map(|(_, it)| it).collect() };
        let (why, is_about_issuer) = self.why(&reason, &chain, roots);
        let mut text = why;
        if is_about_issuer {
            // Whoever mends that would only meet these next.
            let name = self.wrong_name(&chain.leaf).map(|_| format!("it is not for {}", self.entered()));
            let besides = chain.dates(self.now).map(|it| it.0).into_iter().chain(name);
            text.extend(besides.map(|it| format!(". Besides, {it}")));
        }
        if let Ok(pin) = pin(self.leaf) {
            text = format!("{text}. Its key: {pin}");
        }
        error(text, self.leaf)
    }

    /// The words, and whether they are about who issued it.
    fn why(&self, reason: &CertificateError, chain: &Chain, roots: Roots) -> (String, bool) {
        use CertificateError as E;
        let refusal = if let E::Other(it) = reason { it.0.downcast_ref::<webpki::Error>() } else { None };
        let (fact, next) = match reason {
            E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. } => {
                chain.dates(self.now).unwrap_or_else(|| (format!("its dates do not hold ({reason})"), RENEW.to_owned()))
            }
            E::NotValidForName | E::NotValidForNameContext { .. } => self
                .wrong_name(&chain.leaf)
                .unwrap_or_else(|| ("it is for another name than the address".to_owned(), RENEW.to_owned())),
            E::Revoked => {
                let fact = format!("its issuer {} has revoked it", quoted(chain.leaf.issuer()));
                (fact, "Have the server use another certificate".to_owned())
            }
            _ if matches!(refusal, Some(webpki::Error::NameConstraintViolation)) => chain.constraint(),
            _ => match chain.usage() {
                Some(found) => found,
                None => return (chain.issuer(reason, roots), true),
            },
        };
        (format!("{fact}. {next}"), false)
    }

    fn entered(&self) -> String {
        clean(self.name.to_str().as_bytes(), NAME_MAX)
    }

    fn wrong_name(&self, leaf: &X509Certificate) -> Option<(String, String)> {
        let certificate = EndEntityCert::try_from(self.leaf).ok()?;
        certificate.verify_is_valid_for_subject_name(self.name).err()?;
        let entered = self.entered();
        let names = names(leaf);
        Some(if names.is_empty() {
            let common = leaf.subject().iter_common_name().next().and_then(|it| it.as_str().ok()).unwrap_or_default();
            let fact = format!(
                "it names no host; its common name \u{ab}{}\u{bb} does not count",
                clean(common.as_bytes(), NAME_MAX)
            );
            (fact, format!("{RENEW} with {entered} as a subject alternative name"))
        } else {
            let fact = format!("it is for {} and not for {entered}", listed(&names));
            (fact, format!("Enter such a name as the address, or have it issued for {entered} too"))
        })
    }
}

/// The server's certificate, and the others that it sent.
struct Chain<'a> {
    leaf: X509Certificate<'a>,
    sent: Vec<X509Certificate<'a>>,
}

impl<'a> Chain<'a> {
    /// From the server's certificate up, as far as it was sent.
    fn path(&self) -> Vec<&X509Certificate<'a>> {
        let mut path = vec![&self.leaf];
        // No longer than what was sent: certificates may name each other in a circle.
        for _ in &self.sent {
            let Some(last) = path.last().filter(|it| !is_self_signed(it)) else { break };
            let Some(issuer) = self.sent.iter().find(|it| it.subject().as_raw() == last.issuer().as_raw()) else {
                break;
            };
            path.push(issuer);
        }
        path
    }

    /// The first certificate that is out of its time.
    fn dates(&self, now: UnixTime) -> Option<(String, String)> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        self.path().into_iter().enumerate().find_map(|(n, it)| {
            let who = if n == 0 {
                "it".to_owned()
            } else {
                format!("the certificate of its issuer {}", quoted(it.subject()))
            };
            let (from, until) = (it.validity().not_before.timestamp(), it.validity().not_after.timestamp());
            if now > until {
                Some((format!("{who} expired on {}", moment(until)), "Renew it on the server".to_owned()))
            } else if now < from {
                let next = "Wait, or look at the clocks of the server and of this machine";
                Some((format!("{who} is not valid before {}", moment(from)), next.to_owned()))
            } else {
                None
            }
        })
    }

    /// What it may be used for, if that is not the security of a server.
    fn usage(&self) -> Option<(String, String)> {
        let usage = self.leaf.extended_key_usage().ok().flatten()?.value;
        let purposes = [
            (usage.client_auth, "clients"),
            (usage.email_protection, "mail"),
            (usage.code_signing, "code"),
            (usage.time_stamping, "time stamps"),
            (usage.ocsp_signing, "OCSP"),
        ];
        if usage.server_auth || usage.any {
            return None;
        }
        let named: Vec<_> = purposes.iter().filter(|it| it.0).map(|it| it.1.to_owned()).collect();
        let named = if named.is_empty() { "something else".to_owned() } else { named.join(", ") };
        Some((
            format!("it is not for servers but for {named} (extended key usage)"),
            format!("{RENEW} with the usage \u{ab}serverAuth\u{bb}"),
        ))
    }

    fn constraint(&self) -> (String, String) {
        let constrained = self.path().into_iter().skip(1).find(|it| it.name_constraints().ok().flatten().is_some());
        let issuer = constrained.map_or_else(|| quoted(self.leaf.issuer()), |it| quoted(it.subject()));
        let permitted = constrained.and_then(|it| it.name_constraints().ok().flatten());
        let permitted = permitted.and_then(|it| it.value.permitted_subtrees.as_ref());
        let permitted: Vec<_> = permitted.into_iter().flatten().filter_map(|it| name(&it.base)).collect();
        let only = if permitted.is_empty() { String::new() } else { format!(": only for {}", listed(&permitted)) };
        let fact =
            format!("its issuer {issuer} may not vouch for {}{only} (name constraint)", listed(&names(&self.leaf)));
        (fact, "Have it issued by another authority".to_owned())
    }

    /// What is the matter with who issued it: a weak key or signature, nobody, somebody whom nobody knows.
    fn issuer(&self, reason: &CertificateError, roots: Roots) -> String {
        let path = self.path();
        if let Some(weak) = path.iter().enumerate().find_map(|(n, it)| weakness(it, n > 0)) {
            return weak;
        }
        let (whose, trusted) = match roots {
            Roots::System => ("one of the system's roots", "the system's roots"),
            Roots::Own => ("the chosen authority's", "the chosen authority"),
        };
        if is_self_signed(&self.leaf) {
            // An authority's certificate is never taken for a server's, not even if it is trusted itself.
            let next = if self.leaf.is_ca() { "Pin its key" } else { "Pin its key, or register it as an authority" };
            return format!("it is signed by itself and not {whose}. {next}, once you know that it is the server's");
        }
        let issuer = quoted(path.last().map_or(self.leaf.issuer(), |it| it.issuer()));
        if matches!(reason, CertificateError::BadSignature) {
            let next = "Compare the authorities' certificates: two may have one name";
            return format!("its signature is not by the trusted {issuer}. {next}");
        }
        if !matches!(reason, CertificateError::UnknownIssuer) {
            return format!(
                "it does not hold ({}). Look at the server's certificates",
                clean(reason.to_string().as_bytes(), NAMES_MAX)
            );
        }
        if path.len() == 1 {
            let place = authority_url(&self.leaf).map(|it| format!(" (to be had at {it})")).unwrap_or_default();
            return format!(
                "the server does not send the certificate of its issuer {issuer}{place}, which {trusted} cannot replace. Have it \
                 send the whole chain, or register the issuer as an authority"
            );
        }
        format!("its issuer {issuer} is unknown to {trusted}. Register it as an authority, if you trust it")
    }
}

fn is_self_signed(certificate: &X509Certificate) -> bool {
    certificate.issuer().as_raw() == certificate.subject().as_raw()
}

pub(super) fn rsa_bits(certificate: &X509Certificate) -> Option<usize> {
    let PublicKey::RSA(key) = certificate.public_key().parsed().ok()? else { return None };
    let modulus = key.modulus.iter().position(|it| *it != 0).and_then(|it| key.modulus.get(it..)).unwrap_or_default();
    let zeros = modulus.first().map_or(0, |it| it.leading_zeros() as usize);
    Some(modulus.len() * 8 - zeros)
}

fn short_key(whose: &str, bits: usize) -> String {
    format!("{whose} has {bits} bits, and fewer than {RSA_BITS_MIN} can be broken. {RENEW} with a longer key")
}

/// A key or a signature that does not count any more. The signature of a root is nobody's business.
fn weakness(certificate: &X509Certificate, is_issuer: bool) -> Option<String> {
    let its = |what: &str| {
        if is_issuer {
            format!("the {what} of its issuer {}", quoted(certificate.subject()))
        } else {
            format!("its {what}")
        }
    };
    if let Some(bits) = rsa_bits(certificate).filter(|it| *it < RSA_BITS_MIN) {
        return Some(short_key(&its("RSA key"), bits));
    }
    let algorithm = match certificate.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" | "1.3.14.3.2.29" => "SHA-1",
        "1.2.840.113549.1.1.4" | "1.3.14.3.2.3" => "MD5",
        "1.2.840.113549.1.1.2" | "1.2.840.113549.1.1.3" => "MD2 or MD4",
        _ => return None,
    };
    let is_root = is_issuer && is_self_signed(certificate);
    (!is_root)
        .then(|| format!("{} is made with {algorithm}, which can be forged. {RENEW} with SHA-256", its("signature")))
}

/// Where the issuer's certificate can be had, as the certificate says.
fn authority_url(certificate: &X509Certificate) -> Option<String> {
    certificate.extensions().iter().find_map(|it| {
        let ParsedExtension::AuthorityInfoAccess(access) = it.parsed_extension() else { return None };
        access.iter().find_map(|it| match &it.access_location {
            GeneralName::URI(url) if it.access_method.to_id_string() == CA_ISSUERS => {
                Some(clean(url.as_bytes(), NAME_MAX))
            }
            _ => None,
        })
    })
}

/// The names that a certificate is for.
pub(super) fn names(certificate: &X509Certificate) -> Vec<String> {
    let found = certificate.subject_alternative_name().ok().flatten();
    found.iter().flat_map(|it| &it.value.general_names).filter_map(name).collect()
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(clean(name.as_bytes(), NAME_MAX)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|it| it.to_string())
        }
        _ => None,
    }
}

/// The first names, and how many more there are.
fn listed(names: &[String]) -> String {
    let mut text = String::new();
    for (n, name) in names.iter().enumerate() {
        if n > 0 && text.len() + name.len() > NAMES_MAX {
            return format!("{text} and {} more", names.len() - n);
        }
        text = if n == 0 { name.clone() } else { format!("{text}, {name}") };
    }
    if text.is_empty() { "its name".to_owned() } else { text }
}

/// A subject or issuer by its common name, or by the whole of it.
fn quoted(name: &X509Name) -> String {
    let common = name.iter_common_name().next().and_then(|it| it.as_str().ok()).map(str::to_owned);
    let text = common.filter(|it| !it.trim().is_empty()).unwrap_or_else(|| name.to_string());
    format!("\u{ab}{}\u{bb}", clean(text.as_bytes(), NAME_MAX))
}

fn moment(seconds: i64) -> String {
    format!("{} UTC", Timestamp::from_seconds(seconds).to_minute())
}
