//! What came from a server, as text: the dialogue of a check, and the beginning of a message that could not be fetched.

use domain::ids::{AccountId, CheckRunId, RemoteId};
use leptos::prelude::*;

use crate::{
    context,
    error::UserError,
    inbox::{
        message::pre,
        tabs::{Tab, address},
        text::shown,
    },
};

/// How much of what arrived is shown.
const SAMPLE_MAX: usize = 64 * 1024;
/// How much of a transcript is shown; the interface gives all of it.
const TRANSCRIPT_MAX: usize = 1024 * 1024;

/// The dialogue of a check, if it was taken down.
pub async fn transcript(account: AccountId, run: CheckRunId) -> Result<AnyView, UserError> {
    let text = context::service()?.checks().transcript(&context::actor()?, account, run).await?;
    let words = context::words();
    let back = (address(account, Tab::Inbox), words.inbox.title);
    Ok(page(text.as_bytes(), TRANSCRIPT_MAX, [words.checks.transcript, words.checks.transcript_hint], back))
}

/// The beginning of a message that could not be fetched.
pub async fn sample(account: AccountId, remote: RemoteId) -> Result<AnyView, UserError> {
    let bytes = context::service()?.ledger().sample(&context::actor()?, account, remote).await?;
    let words = &context::words().ledger;
    let back = (address(account, Tab::Quarantine), words.quarantine);
    Ok(page(&bytes, SAMPLE_MAX, [words.sample, words.sample_hint], back))
}

fn page(
    bytes: &[u8],
    max: usize,
    [label, hint]: [&'static str; 2],
    (back, back_label): (String, &'static str),
) -> AnyView {
    let cut = (bytes.len() > max).then(|| view! { <p class="inbox-note">{context::words().ledger.cut}</p> });
    view! {
        <p class="inbox-note">{hint}</p>
        {cut}
        {pre(label, shown(bytes, max), "inbox-source")}
        <p><a href=back>{back_label}</a></p>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_stranger_are_text_and_cut() {
        let bytes = "</pre><script>alert(1)</script>\u{202e}\0tail".as_bytes();
        let html = Owner::new().with(|| page(bytes, 36, ["Label", "Hint"], (String::new(), "Back")).to_html());
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>") && !html.contains('\u{202e}'), "{html}");
        assert!(html.contains("Only the beginning is shown.") && !html.contains("tail"), "{html}");
    }
}
