//! The reading pane: who, when, what, in one of four views, and what is attached.

use domain::{
    ids::{AccountId, MessageId},
    message::{Attachment, MessageContent},
};
use leptos::prelude::*;

use super::{
    api::Source,
    query::{Place, View, part},
    text::{When, plain, plain_or, size},
};
use crate::{context, error::UserError, ui::notice::Failure};

/// An opened message. `source` is there when the source is what is shown.
#[component]
pub fn Message(
    account: AccountId,
    place: Place,
    content: MessageContent,
    source: Option<Result<Source, UserError>>,
) -> impl IntoView {
    let words = &context::words().inbox;
    let row = content.row.clone();
    let (id, view) = (row.id, place.view);
    let back = place.with_message(None).href(account);
    let line = |label: &'static str, text: &str| {
        let text = plain(text);
        (!text.trim().is_empty()).then(|| view! { <dt>{label}</dt><dd><bdi>{text}</bdi></dd> })
    };
    let date = match row.date {
        Some(at) => view! { <When at/>" UTC" }.into_any(),
        None => words.no_date.into_any(),
    };
    view! {
        <a class="inbox-back" href=back>{words.back_to_list}</a>
        <h2 id="message-subject"><bdi>{plain_or(&row.subject, words.no_subject)}</bdi></h2>
        <dl class="inbox-head">
            {line(words.from, &row.from)}
            {line(words.to, &content.to)}
            {line(words.cc, &content.cc)}
            <dt>{words.date}</dt><dd>{date}</dd>
            <dt>{words.collected}</dt><dd><When at=row.received_at/>" UTC"</dd>
            <dt>{words.size}</dt><dd>{size(row.size, context::words())}</dd>
        </dl>
        <Views account place/>
        {content.is_too_large.then(|| view! {
            <p class="inbox-note">
                {words.too_large}" "<a href=part(account, id, "raw") rel="external" download="">{words.download_whole}</a>
            </p>
        })}
        {content.is_unreadable.then(|| view! { <p class="inbox-note">{words.unreadable}</p> })}
        <Body account view content=content.clone() source/>
        <Attachments account message=id attachments=content.attachments/>
        <p>
            <a href=part(account, id, "raw") rel="external" download="">{words.download_source}</a>
        </p>
    }
}

/// The four ways to look at it, as links.
#[component]
fn Views(account: AccountId, place: Place) -> impl IntoView {
    let words = &context::words().inbox;
    let links = View::ALL.map(|view| {
        let label = match view {
            View::Text => words.view_text,
            View::Html => words.view_html,
            View::Headers => words.view_headers,
            View::Source => words.view_source,
        };
        let current = (view == place.view).then_some("page");
        view! { <li><a href=place.with_view(view).href(account) aria-current=current>{label}</a></li> }
    });
    view! { <nav class="inbox-views" aria-label=words.views><ul>{links.into_iter().collect_view()}</ul></nav> }
}

#[component]
fn Body(
    account: AccountId,
    view: View,
    content: MessageContent,
    source: Option<Result<Source, UserError>>,
) -> impl IntoView {
    let words = &context::words().inbox;
    match view {
        // Said above already.
        View::Text | View::Html if content.is_too_large => ().into_any(),
        View::Text if content.text.trim().is_empty() => view! { <p class="inbox-note">{words.no_text}</p> }.into_any(),
        View::Text => pre(words.view_text, plain(&content.text), "inbox-text"),
        View::Html if !content.has_html => view! { <p class="inbox-note">{words.no_html}</p> }.into_any(),
        View::Html => view! {
            <p class="inbox-note">{words.remote_blocked}</p>
            <iframe class="inbox-frame" title=words.frame_title
                sandbox="allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"
                src=part(account, content.row.id, "html")></iframe>
        }
        .into_any(),
        View::Headers => headers(content.headers, content.n_more_headers).into_any(),
        View::Source => match source {
            Some(Ok(Source { text, is_cut })) => view! {
                {is_cut.then(|| view! { <p class="inbox-note">{words.source_cut}</p> })}
                {pre(words.view_source, text, "inbox-source")}
            }
            .into_any(),
            Some(Err(error)) => view! { <Failure error/> }.into_any(),
            None => ().into_any(),
        },
    }
}

/// A block of text that scrolls by itself, so it can be reached by keyboard.
pub fn pre(label: &'static str, text: String, class: &'static str) -> AnyView {
    view! { <div class=class role="region" aria-label=label tabindex="0" dir="auto"><pre>{text}</pre></div> }.into_any()
}

fn headers(headers: Vec<(String, String)>, n_more: u32) -> impl IntoView {
    let words = &context::words().inbox;
    let rows = headers.into_iter().map(|(name, value)| {
        view! { <tr><th scope="row"><bdi>{plain(&name)}</bdi></th><td><bdi>{plain(&value)}</bdi></td></tr> }
    });
    view! {
        <div class="table-region" role="region" aria-label=words.view_headers tabindex="0">
            <table class="inbox-headers">
                <thead><tr><th scope="col">{words.header_name}</th><th scope="col">{words.header_value}</th></tr></thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
        {(n_more > 0).then(|| view! { <p class="inbox-note">{words.more_headers(u64::from(n_more))}</p> })}
    }
}

#[component]
fn Attachments(account: AccountId, message: MessageId, attachments: Vec<Attachment>) -> impl IntoView {
    let all = context::words();
    let words = &all.inbox;
    if attachments.is_empty() {
        return ().into_any();
    }
    let items = attachments.into_iter().map(|it| {
        let href = part(account, message, &format!("attachments/{}", it.index));
        let name = plain_or(&it.name, &words.no_name(it.index + 1));
        let hint = words.attachment_hint(plain(&it.content_type), size(it.size, all));
        view! { <li><a href=href rel="external" download=""><bdi>{name}</bdi></a>" "<span class="hint">{hint}</span></li> }
    });
    view! {
        <section class="inbox-attachments" aria-label=words.attachments>
            <h3>{words.attachments}</h3>
            <ul>{items.collect_view()}</ul>
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use domain::{message::MessageRow, time::Timestamp};

    use super::*;

    #[test]
    fn nothing_of_a_message_becomes_markup() {
        let hostile = "</pre><script>alert(1)</script>".to_owned();
        let row = MessageRow {
            id: MessageId(5),
            account_id: AccountId(1),
            subject: hostile.clone(),
            from: hostile.clone(),
            date: None,
            received_at: Timestamp(0),
            size: 10,
            n_attachments: 1,
            seen: true,
        };
        let attachment = Attachment { index: 0, name: hostile.clone(), content_type: hostile.clone(), size: 1 };
        let content = MessageContent {
            row,
            to: hostile.clone(),
            cc: hostile.clone(),
            text: hostile.clone(),
            has_html: true,
            headers: vec![(hostile.clone(), hostile.clone())],
            n_more_headers: 7,
            attachments: vec![attachment],
            is_unreadable: true,
            is_too_large: false,
        };
        let large = MessageContent { is_too_large: true, ..content.clone() };
        let html = Owner::new().with(|| {
            view! { <Message account=AccountId(1) place=Place::default() content=large source=None/> }.to_html()
        });
        assert!(html.contains("only its header is shown") && !html.contains("no text"), "{html}");
        for view in View::ALL {
            let place = Place { message: Some(MessageId(5)), view, ..Place::default() };
            let source = Some(Ok(Source { text: hostile.clone(), is_cut: true }));
            let content = content.clone();
            let html = Owner::new().with(|| view! { <Message account=AccountId(1) place content source/> }.to_html());
            assert!(!html.contains("<script>"), "{html}");
        }
    }
}
