//! What the transcript is told: every line both ways, without secrets and without messages.

use std::{borrow::Cow, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::check::Stage;
use memchr::memmem;
use service::{
    ports::{Side, Transcript},
    secret::Secret,
};

/// The most characters of one line.
const SHOWN_AT_MOST: usize = 500;
/// What is shorter occurs everywhere by accident; hiding it would only point at it.
const SECRET_AT_LEAST: usize = 3;

#[derive(Default)]
pub(crate) struct Tap {
    transcript: Option<Arc<dyn Transcript>>,
    /// The password in every form in which it crosses the network.
    secrets: Vec<Secret>,
}

impl Tap {
    pub(super) fn new(transcript: Option<Arc<dyn Transcript>>) -> Self {
        Self { transcript, secrets: Vec::new() }
    }

    /// From here on this password is hidden wherever a server repeats it.
    pub(crate) fn guard(&mut self, name: &str, password: &str) {
        let unpadded = |text: String| STANDARD.encode(text).trim_end_matches('=').to_owned();
        let forms = [unpadded(format!("\0{name}\0{password}")), unpadded(password.to_owned()), password.to_owned()];
        self.secrets = forms.into_iter().filter(|it| it.len() >= SECRET_AT_LEAST).map(Secret::new).collect();
    }

    /// And in this form, which holds it.
    pub(crate) fn guard_form(&mut self, form: &str) {
        self.secrets.insert(0, Secret::new(form.trim_end_matches('=').to_owned()));
    }

    /// What the server said, for people: without the secret that it may have repeated.
    pub(crate) fn redacted<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        let mut line = Cow::Borrowed(line);
        for secret in &self.secrets {
            let secret = secret.expose().as_bytes();
            if memmem::find(&line, secret).is_some() {
                line = Cow::Owned(replaced(&line, secret));
            }
        }
        line
    }

    /// Lines of ours. Whoever sends a secret says what is shown instead; this is the second lock.
    pub(super) fn sent(&self, lines: &[u8]) {
        let Some(transcript) = &self.transcript else { return };
        let lines = lines.strip_suffix(b"\r\n").unwrap_or(lines);
        for line in lines.split(|it| *it == b'\n') {
            transcript.line(Side::Client, &shown(&self.redacted(line)));
        }
    }

    pub(super) fn heard(&self, line: &[u8], stage: Stage) {
        let Some(transcript) = &self.transcript else { return };
        let line = self.redacted(line);
        // A short message may come in quotes instead of a literal.
        let line = if stage == Stage::Fetch { Cow::Owned(unquoted(&line)) } else { line };
        transcript.line(Side::Server, &shown(&line));
    }

    pub(super) fn heard_block(&self, n_bytes: u64) {
        if let Some(transcript) = &self.transcript {
            transcript.line(Side::Server, &format!("{{{n_bytes} bytes}}"));
        }
    }
}

/// What stands for a secret of so many bytes.
pub(crate) fn secret_of(n_bytes: usize) -> String {
    format!("(secret, {n_bytes} bytes)")
}

fn replaced(line: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(line.len());
    let mut from = 0;
    for at in memmem::find_iter(line, secret) {
        clean.extend_from_slice(&line[from..at]);
        clean.extend_from_slice(secret_of(secret.len()).as_bytes());
        from = at + secret.len();
    }
    clean.extend_from_slice(&line[from..]);
    clean
}

/// The line with `{n bytes}` for everything in quotes; quotes that do not end last to its end.
fn unquoted(line: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(line.len());
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'"' {
            clean.push(*byte);
            continue;
        }
        let mut n = 0;
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => break,
                b'\\' => _ = bytes.next(),
                _ => {}
            }
            n += 1;
        }
        clean.extend_from_slice(format!("{{{n} bytes}}").as_bytes());
    }
    clean
}

fn shown(line: &[u8]) -> String {
    crate::clean(line, SHOWN_AT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_repeated_is_hidden_in_every_form() {
        let mut tap = Tap::default();
        tap.guard("user", "hunter2");
        for text in ["hunter2".to_owned(), STANDARD.encode("\0user\0hunter2"), STANDARD.encode("hunter2")] {
            let line = format!("-ERR no {text}, really no {text}!");
            let clean = String::from_utf8(tap.redacted(line.as_bytes()).into_owned()).unwrap();
            assert!(!clean.contains(&text), "{clean}");
            assert!(clean.contains("really no (secret, "), "{clean}");
        }
    }

    #[test]
    fn what_is_in_quotes_is_only_measured() {
        let clean = |it: &str| String::from_utf8(unquoted(it.as_bytes())).unwrap();
        assert_eq!(clean(r#"* 1 FETCH (BODY[] "a \"b\" c" UID 1)"#), "* 1 FETCH (BODY[] {7 bytes} UID 1)");
        assert_eq!(clean(r#"BODY[] "to the end"#), "BODY[] {10 bytes}");
    }
}
