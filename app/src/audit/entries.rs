//! One page of the log as HTML, with its filters; newest first.

use domain::{
    audit::{AuditAction, AuditQuery, AuditRow},
    page::{Page as PageOf, PageRequest},
    query::decode,
};
use leptos::prelude::*;

use super::{report::PATH, wording};
use crate::{
    context,
    error::UserError,
    inbox::text::plain,
    ui::{notice::Empty, pager::Pager},
};

/// What the address asks for.
pub async fn load(query: &str) -> Result<AnyView, UserError> {
    let pairs = decode(query);
    let query = AuditQuery::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let page = context::service()?.audit().list(&context::actor()?, &query).await?;
    context::first_page_instead(&page, &address(&AuditQuery { page: PageRequest::default(), ..query.clone() }));
    Ok(view! { <Filters query=query.clone()/><Entries query page/> }.into_any())
}

fn address(query: &AuditQuery) -> String {
    let query = query.to_query_string();
    if query.is_empty() { PATH.to_owned() } else { format!("{PATH}?{query}") }
}

#[component]
fn Filters(query: AuditQuery) -> impl IntoView {
    let all = context::words();
    let words = &all.audit;
    let AuditQuery { actor, action, subject, .. } = query;
    let option = move |it: AuditAction| {
        let is_chosen = action == Some(it);
        view! { <option value=it.as_str() selected=is_chosen>{wording::action(it, all)}</option> }
    };
    view! {
        <form method="get" action=PATH class="filters" role="search">
            <div class="field">
                <label for="actor">{words.who}</label>
                <input type="search" id="actor" name="actor" value=actor autocomplete="off"/>
            </div>
            <div class="field">
                <label for="action">{words.action}</label>
                <select id="action" name="action">
                    <option value="">{words.any}</option>
                    {AuditAction::ALL.map(option).into_iter().collect_view()}
                </select>
            </div>
            <div class="field">
                <label for="subject">{words.subject}</label>
                <input type="search" id="subject" name="subject" value=subject autocomplete="off"/>
            </div>
            <button class="button" type="submit">{words.search}</button>
            <a class="button" href=PATH>{words.clear}</a>
        </form>
    }
}

/// One page of the log.
#[component]
fn Entries(query: AuditQuery, page: PageOf<AuditRow>) -> impl IntoView {
    let words = &context::words().audit;
    if page.items.is_empty() {
        let is_filtered = query != AuditQuery { page: query.page, ..AuditQuery::default() };
        let (title, hint) = if is_filtered {
            (words.no_match_title, words.no_match_hint)
        } else {
            (words.empty_title, words.empty_hint)
        };
        return view! { <Empty title hint>{is_filtered.then(|| view! { <a href=PATH>{words.clear}</a> })}</Empty> }
            .into_any();
    }
    let place = (&page).into();
    let link = move |number| {
        let mut query = query.clone();
        query.page.page = number;
        address(&query)
    };
    let heads = [words.when, words.who, words.origin, words.action, words.subject, words.before, words.after];
    view! {
        <div class="table-region" role="region" aria-label=words.title tabindex="0">
            <table class="audit">
                <caption class="visually-hidden">{words.title}</caption>
                <thead><tr>{heads.map(|it| view! { <th scope="col">{it}</th> }).into_iter().collect_view()}</tr></thead>
                <tbody>{page.items.into_iter().map(|row| view! { <Entry row/> }).collect_view()}</tbody>
            </table>
        </div>
        <Pager place link/>
    }
    .into_any()
}

#[component]
fn Entry(row: AuditRow) -> impl IntoView {
    let all = context::words();
    let entry = row.entry;
    let picture =
        |label: &'static str, json: Option<String>| {
            json.map(|it| view! {
            <details><summary>{label}</summary><pre class="picture">{plain(&wording::pretty(&it))}</pre></details>
        })
        };
    view! {
        <tr>
            <td><time datetime=entry.at.to_string()>{entry.at.to_minute()}</time></td>
            <th scope="row"><bdi>{plain(&entry.actor)}</bdi></th>
            <td><bdi>{plain(&entry.origin)}</bdi></td>
            <td>{wording::action(entry.action, all)}</td>
            <td><bdi>{plain(&entry.subject)}</bdi></td>
            <td>{picture(all.audit.show_before, entry.before)}</td>
            <td>{picture(all.audit.show_after, entry.after)}</td>
        </tr>
    }
}

#[cfg(test)]
mod tests {
    use domain::{audit::AuditEntry, ids::AuditId, time::Timestamp};

    use super::*;

    #[test]
    fn names_from_outside_are_text() {
        let hostile = "<b>\u{202e}".to_owned();
        let entry = AuditEntry {
            at: Timestamp(0),
            actor: hostile.clone(),
            origin: hostile.clone(),
            action: AuditAction::SignInFailed,
            subject: hostile.clone(),
            before: Some(hostile.clone()),
            after: None,
        };
        let row = AuditRow { id: AuditId(1), entry };
        let html = Owner::new().with(|| view! { <Entry row/> }.to_html());
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>") && !html.contains('\u{202e}'), "{html}");
        let empty = PageOf::new(Vec::new(), 0, PageRequest::default());
        let html = Owner::new().with(|| view! { <Entries query=AuditQuery::default() page=empty/> }.to_html());
        assert!(html.contains("Nothing has happened yet"), "{html}");
    }
}
