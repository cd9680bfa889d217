//! Reading an autoconfig file. What is not understood is passed over; a document type, an entity of its own, or more depth than the
//! format has ends the reading.

use domain::{
    account::{Address, Security, Trust},
    discovery::{Offer, Offered},
    text::has_control,
};
use quick_xml::{
    Reader,
    events::{BytesRef, BytesStart, Event},
};

/// The format has four levels; extensions may have some more.
const DEPTH_MAX: usize = 16;
/// The most servers that are taken.
const SERVERS_MAX: usize = 20;
/// The most characters of a value that is taken; a host name has at most 253.
const VALUE_MAX: usize = 320;

/// Why a file is not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileError {
    #[error("it is not well formed at byte {0}")]
    Malformed(u64),
    #[error("it has a document type, which is not allowed")]
    DocumentType,
    #[error("it has an entity of its own, which is not allowed")]
    Entity,
    #[error("its elements are nested too deeply")]
    Depth,
    #[error("it is no autoconfig file")]
    OtherFormat,
}

/// The servers that the file names, in its order. `fill` fills the placeholders of a value.
pub(crate) fn offers(text: &str, fill: impl Fn(&str) -> String) -> Result<Vec<Offer>, FileError> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let mut place = Place::default();
    loop {
        let event = reader.read_event().map_err(|_| FileError::Malformed(reader.error_position()))?;
        match event {
            Event::Start(tag) => place.enter(&tag)?,
            Event::End(_) => place.leave(&fill),
            Event::Text(text) => place.take(&text.xml10_content()),
            Event::CData(text) => place.take(&text.xml10_content()),
            Event::GeneralRef(reference) => place.take(&character(&reference)?),
            Event::DocType(_) => return Err(FileError::DocumentType),
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    match (place.path.as_slice(), place.is_autoconfig) {
        ([], true) => Ok(place.offers),
        ([], false) => Err(FileError::OtherFormat),
        _ => Err(FileError::Malformed(reader.buffer_position())),
    }
}

/// A character by its number or by one of the five names of XML: all others would be the file's own.
fn character(reference: &BytesRef) -> Result<String, FileError> {
    let by_number = reference.resolve_char_ref().map_err(|_| FileError::Entity)?;
    let named = match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => None,
    };
    by_number.or(named).map(String::from).ok_or(FileError::Entity)
}

/// Where the reader is, and what it found so far.
#[derive(Default)]
struct Place {
    path: Vec<String>,
    is_autoconfig: bool,
    /// The server that the reader is in.
    server: Option<Server>,
    /// The text of the element that the reader is in.
    value: String,
    offers: Vec<Offer>,
}

#[derive(Default)]
struct Server {
    service: Option<Offered>,
    host: String,
    port: String,
    security: String,
    user_name: String,
    oauth: bool,
}

impl Place {
    fn enter(&mut self, tag: &BytesStart) -> Result<(), FileError> {
        if self.path.len() >= DEPTH_MAX {
            return Err(FileError::Depth);
        }
        self.path.push(tag.local_name().as_ref().to_owned());
        self.value.clear();
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["clientConfig", "emailProvider"] => self.is_autoconfig = true,
            ["clientConfig", "emailProvider", kind @ ("incomingServer" | "outgoingServer")] => {
                let kind = attribute(tag, "type").map(|it| (*kind, it));
                let service = match kind.as_ref().map(|(kind, it)| (*kind, it.as_str())) {
                    Some(("incomingServer", "imap")) => Some(Offered::Imap),
                    Some(("incomingServer", "pop3")) => Some(Offered::Pop3),
                    Some(("outgoingServer", "smtp")) => Some(Offered::Submission),
                    _ => None,
                };
                self.server = Some(Server { service, ..Server::default() });
            }
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, text: &str) {
        let left = VALUE_MAX.saturating_sub(self.value.chars().count());
        self.value.extend(text.chars().take(left));
    }

    fn leave(&mut self, fill: &impl Fn(&str) -> String) {
        let value = std::mem::take(&mut self.value);
        let value = value.trim();
        let depth = self.path.len();
        let name = self.path.pop().unwrap_or_default();
        let Some(server) = self.server.as_mut() else { return };
        match (depth, name.as_str()) {
            (3, _) => {
                let offer = self.server.take().and_then(|it| it.offer(fill));
                self.offers.extend(offer.filter(|_| self.offers.len() < SERVERS_MAX));
            }
            (4, "hostname") => value.clone_into(&mut server.host),
            (4, "port") => value.clone_into(&mut server.port),
            (4, "socketType") => value.clone_into(&mut server.security),
            (4, "username") => value.clone_into(&mut server.user_name),
            (4, "authentication") => server.oauth |= value == "OAuth2",
            _ => {}
        }
    }
}

impl Server {
    /// Nothing unless every part that decides where a credential would go is understood.
    fn offer(self, fill: &impl Fn(&str) -> String) -> Option<Offer> {
        let security = match self.security.as_str() {
            "SSL" => Security::Implicit(Trust::System),
            "STARTTLS" => Security::StartTls(Trust::System),
            "plain" => Security::Plain,
            _ => return None,
        };
        let user_name = fill(&self.user_name);
        let is_shown = !user_name.is_empty() && user_name.chars().count() <= VALUE_MAX && !has_control(&user_name);
        Some(Offer {
            service: self.service?,
            address: Address::parse(&fill(&self.host)).ok()?,
            port: self.port.parse().ok().filter(|it| *it > 0)?,
            security,
            user_name: Some(user_name).filter(|_| is_shown),
            oauth: self.oauth,
            priority: 0,
            weight: 0,
        })
    }
}

fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    let found = tag.attributes().flatten().find(|it| it.key.as_ref() == name)?;
    Some(found.value.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<Offer>, FileError> {
        offers(text, |it| it.replace("%EMAILDOMAIN%", "example.org").replace("%EMAILADDRESS%", "ana@example.org"))
    }

    fn provider(servers: &str) -> String {
        format!("<clientConfig version=\"1.1\"><emailProvider id=\"x\">{servers}</emailProvider></clientConfig>")
    }

    fn server(kind: &str, host: &str, port: &str, security: &str, more: &str) -> String {
        format!(
            "<incomingServer type=\"{kind}\"><hostname>{host}</hostname><port>{port}</port>\
             <socketType>{security}</socketType>{more}</incomingServer>"
        )
    }

    #[test]
    fn servers_are_read_in_their_order_and_by_their_names() {
        let imap = server(
            "imap",
            " <![CDATA[imap]]>.%EMAILDOMAIN% ",
            "993",
            "SSL",
            "<username>%EMAILADDRESS%&#43;&amp;</username><authentication>OAuth2</authentication>",
        );
        let pop3 = server(
            "pop3",
            "b\u{fc}cher.example",
            "110",
            "STARTTLS",
            "<unknown><hostname>evil.example</hostname></unknown>",
        );
        let plain = server("imap", "192.0.2.1", "143", "plain", "<username/>");
        let found = read(&provider(&format!("<domain>x</domain><!-- c -->{imap}{pop3}{plain}"))).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|it| {
                let name = it.user_name.clone().unwrap_or_default();
                format!(
                    "{} {}:{} {:?} {name} {}",
                    it.service.as_str(),
                    it.address,
                    it.port,
                    it.security.kind(),
                    it.oauth
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "imap imap.example.org:993 Some(\"ssl\") ana@example.org+& true",
                "pop3 xn--bcher-kva.example:110 Some(\"tls\")  false",
                "imap 192.0.2.1:143 None  false",
            ]
        );
    }

    #[test]
    fn a_server_that_is_not_understood_is_passed_over() {
        for odd in [
            server("exchange", "mail.example.org", "443", "SSL", ""),
            server("imap", "mail.example.org", "0", "SSL", ""),
            server("imap", "mail.example.org", "65536", "SSL", ""),
            server("imap", "mail.example.org", "993", "TLS?", ""),
            server("imap", "https://mail.example.org", "993", "SSL", ""),
            server("imap", "a\u{fffd}b.example", "993", "SSL", ""),
            "<incomingServer><hostname>mail.example.org</hostname></incomingServer>".to_owned(),
        ] {
            let good = server("imap", "good.example.org", "993", "SSL", "<username>a&#10;b</username>");
            let found = read(&provider(&format!("{odd}{good}"))).unwrap();
            assert_eq!(found.len(), 1, "{odd}");
            assert_eq!((found[0].address.as_str(), &found[0].user_name), ("good.example.org", &None));
        }
    }

    #[test]
    fn what_could_grow_or_hide_ends_the_reading() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>";
        let entity = provider(&server("imap", "&b;", "993", "SSL", ""));
        let elsewhere = "<html><body>Not here</body></html>";
        for (text, expected) in [
            (format!("{bomb}{entity}"), FileError::DocumentType),
            (entity, FileError::Entity),
            (provider(&"<x>".repeat(5000)), FileError::Depth),
            (elsewhere.to_owned(), FileError::OtherFormat),
            (String::new(), FileError::OtherFormat),
            (format!("<a>{}</a>", provider("")), FileError::OtherFormat),
        ] {
            assert_eq!(read(&text), Err(expected), "{}", text.chars().take(80).collect::<String>());
        }
        for text in
            ["<clientConfig>", "<clientConfig><emailProvider></clientConfig>", "<clientConfig><emailProvider>", "<"]
        {
            assert!(matches!(read(text), Err(FileError::Malformed(_))), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn many_servers_and_long_values_are_cut() {
        let many = server("imap", "mail.example.org", "993", "SSL", "").repeat(500);
        assert_eq!(read(&provider(&many)).unwrap().len(), SERVERS_MAX);
        let name = format!("<username>{}</username>", "x".repeat(60_000));
        let found = read(&provider(&server("imap", "mail.example.org", "993", "SSL", &name))).unwrap();
        assert_eq!(found[0].user_name.as_ref().map(String::len), Some(VALUE_MAX));
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_makes_more_of_itself(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "<clientConfig>", "<emailProvider>", "<incomingServer type=\"imap\">", "<hostname>", "</hostname>",
                    "</incomingServer>", "</emailProvider>", "</clientConfig>", "<port>993</port>", "<socketType>SSL</socketType>",
                    "mail.example.org", "&amp;", "&#x41;", "&#0;", "&", "<![CDATA[", "]]>", "<!--", "-->", "<?x", "?>", "<", ">", "\u{0}",
                    "\u{202e}", "%EMAILDOMAIN%", "<!DOCTYPE", "=\"", "'",
                ]),
                0..60,
            )
        ) {
            let text = parts.concat();
            for it in read(&text).unwrap_or_default() {
                prop_assert!(it.port > 0 && Address::parse(it.address.as_str()).is_ok());
                prop_assert!(it.user_name.is_none_or(|it| !has_control(&it)));
            }
        }
    }
}
