//! The list of messages: plain data in, links out.

use domain::{ids::AccountId, message::MessageRow};
use leptos::prelude::*;

use super::{
    query::Place,
    text::{When, plain_or, size},
};
use crate::context;

/// The lines of one page. The open message counts as read already.
#[component]
pub fn MessageList(account: AccountId, place: Place, rows: Vec<MessageRow>) -> impl IntoView {
    let words = &context::words().inbox;
    let lines = rows.into_iter().map(move |row| view! { <Line account place=place.clone() row/> }).collect_view();
    view! { <ul class="inbox-list" aria-label=words.list>{lines}</ul> }
}

#[component]
fn Line(account: AccountId, place: Place, row: MessageRow) -> impl IntoView {
    let all = context::words();
    let words = &all.inbox;
    let is_open = place.message == Some(row.id);
    let is_read = row.seen || is_open;
    let subject = plain_or(&row.subject, words.no_subject);
    let from = plain_or(&row.from, words.no_sender);
    let clip = (row.n_attachments > 0).then(|| {
        view! { <span class="inbox-clip">{words.has_attachments(u64::from(row.n_attachments))}</span> }
    });
    view! {
        <li class="inbox-line" class:is-unread=!is_read class:is-open=is_open>
            <a href=place.with_message(Some(row.id)).href(account) aria-current=is_open.then_some("true")>
                {(!is_read).then(|| view! { <span class="visually-hidden">{words.unread}" "</span> })}
                <bdi class="inbox-from">{from}</bdi>
                <bdi class="inbox-subject">{subject}</bdi>
                <span class="inbox-facts">
                    <When at=row.date.unwrap_or(row.received_at)/>
                    <span>{size(row.size, all)}</span>
                    {clip}
                </span>
            </a>
        </li>
    }
}

#[cfg(test)]
mod tests {
    use domain::{ids::MessageId, time::Timestamp};

    use super::*;

    #[test]
    fn a_hostile_subject_is_text_and_an_unread_one_says_so() {
        let row = MessageRow {
            id: MessageId(5),
            account_id: AccountId(1),
            subject: "<script>alert(1)</script>\u{202e}".to_owned(),
            from: "\"><img src=x onerror=alert(1)>".to_owned(),
            date: None,
            received_at: Timestamp(0),
            size: 10,
            n_attachments: 2,
            seen: false,
        };
        let html = Owner::new()
            .with(|| view! { <MessageList account=AccountId(1) place=Place::default() rows=vec![row]/> }.to_html());
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
        assert!(!html.contains("<script>") && !html.contains("<img") && !html.contains('\u{202e}'), "{html}");
        assert!(html.contains("Unread."), "{html}");
    }
}
