//! Signing in: with a password by AUTH PLAIN, or USER and PASS; with an access token by OAUTHBEARER or XOAUTH2.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::check::{ErrorKind, Stage};
use service::ports::{MailError, Visit};

use super::reply::{Reply, command, reply};
use crate::{
    protocol, refusal,
    sasl::{self, Mechanism},
    wire::{Wire, secret_of},
};

/// Answers with the mechanism.
pub(super) async fn sign_in(
    wire: &mut Wire,
    capabilities: &[String],
    visit: &Visit,
) -> Result<&'static str, MailError> {
    let (name, password) = (&visit.username, visit.password.expose());
    let judge = |reply: Reply| judge(&reply, capabilities);
    let has = |mechanism: &str| {
        capabilities.iter().any(|it| it.starts_with("SASL ") && it.split(' ').any(|it| it == mechanism))
    };
    if visit.password.is_token() {
        sasl::must_be_secure(&visit.destination)?;
        let mechanism = Mechanism::choose(has)?;
        let (reply, status) = show_token(wire, mechanism, visit).await?;
        return judge(reply).map(|()| mechanism.name()).map_err(|it| sasl::with_status(it, status));
    }
    if has("PLAIN") {
        // In two steps: some servers do not take the first answer on the command's line.
        let asked = command(wire, "AUTH PLAIN").await?;
        if !asked.is_ok {
            return judge(asked).map(|()| "AUTH PLAIN");
        }
        let initial = STANDARD.encode(format!("\0{name}\0{password}"));
        let shown = secret_of(initial.len());
        return judge(secretly(wire, &initial, &shown).await?).map(|()| "AUTH PLAIN");
    }
    let asked = secretly(wire, &format!("USER {name}"), &format!("USER {}", secret_of(name.len()))).await?;
    judge(asked)?;
    let shown = format!("PASS {}", secret_of(password.len()));
    judge(secretly(wire, &format!("PASS {password}"), &shown).await?).map(|()| "USER and PASS")
}

/// In two steps, as Microsoft's servers want it. A refusal has two as well: the reason, whose status comes back too, and the end.
async fn show_token(
    wire: &mut Wire,
    mechanism: Mechanism,
    visit: &Visit,
) -> Result<(Reply, Option<String>), MailError> {
    let asked = command(wire, &format!("AUTH {}", mechanism.name())).await?;
    if !asked.is_challenge {
        return Ok((asked, None));
    }
    let initial = mechanism.initial(&visit.username, &visit.password, &visit.destination);
    wire.tap.guard_form(&initial);
    wire.send_secret(format!("{initial}\r\n").as_bytes(), &secret_of(initial.len())).await?;
    let answer = reply(wire).await?;
    if !answer.is_challenge {
        return Ok((answer, None));
    }
    let status = sasl::status(&answer.text);
    let end = command(wire, mechanism.abort()).await?;
    if end.is_challenge {
        return Err(protocol(wire.stage, "the server waits for more than there is to send"));
    }
    Ok((end, status))
}

async fn secretly(wire: &mut Wire, command: &str, shown: &str) -> Result<Reply, MailError> {
    wire.send_secret(format!("{command}\r\n").as_bytes(), shown).await?;
    let reply = reply(wire).await?;
    if reply.is_challenge {
        return Err(protocol(wire.stage, "the server waits for more than there is to send"));
    }
    Ok(reply)
}

fn judge(reply: &Reply, capabilities: &[String]) -> Result<(), MailError> {
    if reply.is_ok {
        return Ok(());
    }
    let mut error = refusal::error(Stage::Authenticate, ErrorKind::Authentication, &reply.words);
    let text = reply.text.to_ascii_uppercase();
    // RFC 3206 section 4: the credential is wrong, and nothing else.
    error.is_certain = text.starts_with(b"[AUTH]") || text.starts_with(b"[EXPIRED]");
    if text.starts_with(b"[LOGIN-DELAY]") {
        error.retry_after = error.retry_after.or(login_delay(capabilities));
    }
    Err(error)
}

/// `LOGIN-DELAY n`: so many seconds between two visits (RFC 2449 section 6.5).
fn login_delay(capabilities: &[String]) -> Option<Duration> {
    let delay = capabilities.iter().find_map(|it| it.strip_prefix("LOGIN-DELAY "))?;
    Some(refusal::capped(Duration::from_secs(delay.split(' ').next()?.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_limits_visits_says_how_long_to_stay_away() {
        let reply = Reply {
            is_ok: false,
            is_challenge: false,
            text: b"[LOGIN-DELAY] too soon".to_vec(),
            words: b"[LOGIN-DELAY] too soon".to_vec(),
        };
        for (capability, seconds) in
            [("LOGIN-DELAY 900", Some(900)), ("LOGIN-DELAY 900000 USER", Some(86_400)), ("LOGIN-DELAY X", None)]
        {
            let error = judge(&reply, &[capability.to_owned()]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Throttled);
            assert_eq!(error.retry_after, seconds.map(Duration::from_secs), "{capability}");
        }
    }
}
