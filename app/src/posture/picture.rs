//! The page as HTML: the bounds, how many records each list has, and the lists themselves, or one of them page by page.

use domain::{
    page::{Page, PageRequest},
    posture::{Ending, PostureCount, PostureList, PostureQuery, PostureRow, PostureSubject, WITHIN_DAYS},
    query::decode,
};
use leptos::prelude::*;

use super::PATH;
use crate::{
    accounts, authorities,
    context::{self, actor, service},
    credentials::{self, used::day},
    error::UserError,
    inbox::text::plain,
    oauth, smtp,
    ui::pager::Pager,
};

/// Rows of each list where all are shown.
const BEGINNING: u32 = 10;

/// What the address asks for.
pub async fn load(query: &str) -> Result<AnyView, UserError> {
    let (service, actor) = (service()?, actor()?);
    let pairs = decode(query);
    let query = PostureQuery::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let posture = service.posture();
    let counts = posture.counts(&actor, &query).await?;
    let mut lists = Vec::new();
    for PostureCount { list, n } in &counts {
        let (is_wanted, page) = match query.list {
            Some(wanted) => (wanted == *list, query.page),
            None => (*n > 0, PageRequest::new(1, BEGINNING)),
        };
        if is_wanted {
            let rows = posture.list(&actor, *list, &PostureQuery { page, ..query }).await?;
            if query.list.is_some() {
                context::first_page_instead(&rows, &address(&PostureQuery { page: PageRequest::default(), ..query }));
            }
            lists.push(view! { <List list=*list query rows/> });
        }
    }
    Ok(view! { <Bounds query/><Counts query counts/>{lists.into_iter().collect_view()} }.into_any())
}

fn address(query: &PostureQuery) -> String {
    let query = query.to_query_string();
    if query.is_empty() { PATH.to_owned() } else { format!("{PATH}?{query}") }
}

/// Name and explanation of a list.
fn wording(list: PostureList, query: &PostureQuery) -> (&'static str, String) {
    let words = &context::words().posture;
    match list {
        PostureList::Plain => (words.plain, words.plain_hint.to_owned()),
        PostureList::Skipped => (words.skipped, words.skipped_hint.to_owned()),
        PostureList::Pinned => (words.pinned, words.pinned_hint.to_owned()),
        PostureList::Certificates => (words.certificates, words.certificates_hint(query.within_days)),
        PostureList::Authorities => (words.authorities, words.authorities_hint(query.within_days)),
        PostureList::WeakTls => (words.weak_tls, words.weak_tls_hint.to_owned()),
        PostureList::Shared => (words.shared, words.shared_hint(query.shared_from)),
        PostureList::Silent => (words.silent, words.silent_hint(query.silent_days)),
        PostureList::Secrets => {
            let words = &context::words().tokens;
            (words.secrets, words.secrets_hint(query.within_days))
        }
    }
}

/// What "soon", "many" and "long" mean.
#[component]
fn Bounds(query: PostureQuery) -> impl IntoView {
    let words = &context::words().posture;
    let mut days = WITHIN_DAYS.to_vec();
    if !days.contains(&query.within_days) {
        days.push(query.within_days);
    }
    let option = |it: u32| view! { <option value=it selected=it == query.within_days>{words.days(it)}</option> };
    let number = |name: &'static str, label: &'static str, value: u32, least: &'static str| {
        view! {
            <div class="field">
                <label for=name>{label}</label>
                <input type="number" id=name name=name min=least max="3650" value=value.to_string()/>
            </div>
        }
    };
    view! {
        <p>{words.intro}</p>
        <form method="get" action=PATH class="filters">
            {query.list.map(|it| view! { <input type="hidden" name="list" value=it.as_str()/> })}
            <div class="field">
                <label for="within">{words.within}</label>
                <select id="within" name="within">{days.into_iter().map(option).collect_view()}</select>
            </div>
            {number("silent", words.silent_for, query.silent_days, "1")}
            {number("shared", words.shared_from, query.shared_from, "2")}
            <button class="button" type="submit">{words.show}</button>
        </form>
    }
}

/// Every list with its number; each leads to its rows.
#[component]
fn Counts(query: PostureQuery, counts: Vec<PostureCount>) -> impl IntoView {
    let words = &context::words().posture;
    let line = |PostureCount { list, n }: PostureCount| {
        let query = PostureQuery { list: Some(list), page: PageRequest::default(), ..query };
        view! {
            <tr>
                <th scope="row"><a href=address(&query)>{wording(list, &query).0}</a></th>
                <td class="number">{context::locale().number(n)}</td>
            </tr>
        }
    };
    let all = query.list.map(|_| {
        let query = PostureQuery { list: None, page: PageRequest::default(), ..query };
        view! { <p><a href=address(&query)>{words.all_lists}</a></p> }
    });
    view! {
        <section class="card">
            <table class="plain">
                <caption class="visually-hidden">{words.overview}</caption>
                <thead><tr><th scope="col">{words.list}</th><th scope="col">{words.records}</th></tr></thead>
                <tbody>{counts.into_iter().map(line).collect_view()}</tbody>
            </table>
            {all}
        </section>
    }
}

/// One list, or its beginning.
#[component]
fn List(list: PostureList, query: PostureQuery, rows: Page<PostureRow>) -> impl IntoView {
    let words = &context::words().posture;
    let (title, hint) = wording(list, &query);
    let alone = PostureQuery { list: Some(list), page: PageRequest::default(), ..query };
    let asked = alone.to_query_string();
    let csv = (rows.total > 0).then(|| {
        let label = words.csv_of(title);
        view! { <a class="button" href=format!("{PATH}/export.csv?{asked}") rel="external" aria-label=label>{words.csv}</a> }
    });
    let place = (&rows).into();
    let more = if query.list.is_some() {
        let link =
            move |number: u32| address(&PostureQuery { page: PageRequest::new(number, alone.page.page_size), ..alone });
        (rows.total > 0).then(|| view! { <Pager place link/> }.into_any())
    } else {
        let number = context::locale().number(rows.total);
        (rows.last_page() > 1).then(|| view! { <p><a href=address(&alone)>{words.show_all(number)}</a></p> }.into_any())
    };
    let table = if rows.items.is_empty() {
        view! { <p>{words.nothing}</p> }.into_any()
    } else {
        view! { <Rows list title rows=rows.items/> }.into_any()
    };
    view! {
        <section class="card">
            <div class="title-line"><h2>{title}</h2><div class="tools">{csv}</div></div>
            <p class="hint">{hint}</p>
            {table}
            {more}
        </section>
    }
}

/// The column of what is to be known of a record, if the list has one.
fn detail_head(list: PostureList) -> &'static str {
    let words = &context::words().posture;
    match list {
        PostureList::Plain | PostureList::Silent => words.server,
        PostureList::Skipped => words.reason,
        PostureList::Pinned => words.pin,
        PostureList::Certificates => words.issuer,
        PostureList::Authorities => words.subject,
        PostureList::WeakTls => words.seen,
        PostureList::Shared => words.username,
        PostureList::Secrets => context::words().tokens.what,
    }
}

/// The column of its time or number, if the list has one.
fn last_head(list: PostureList) -> Option<&'static str> {
    let words = &context::words().posture;
    match list {
        PostureList::Plain | PostureList::Pinned => None,
        PostureList::Skipped | PostureList::Certificates | PostureList::Authorities | PostureList::Secrets => {
            Some(words.ends)
        }
        PostureList::WeakTls => Some(words.failing_since),
        PostureList::Shared => Some(words.accounts),
        PostureList::Silent => Some(words.last_success),
    }
}

/// As it came, but for what ends of a credential.
fn detail(list: PostureList, detail: &str) -> String {
    let words = &context::words().tokens;
    match Some(list).filter(|it| *it == PostureList::Secrets).and(Ending::parse(detail)) {
        Some(Ending::Refused(code)) => words.refused(plain(code)),
        Some(Ending::Consent) => words.consent.to_owned(),
        Some(Ending::Secret) => words.secret.to_owned(),
        None => plain(detail),
    }
}

#[component]
fn Rows(list: PostureList, title: &'static str, rows: Vec<PostureRow>) -> impl IntoView {
    let words = &context::words().posture;
    let heads = [Some(words.name), Some(words.kind), Some(detail_head(list)), last_head(list)];
    view! {
        <div class="table-region" role="region" aria-label=title tabindex="0">
            <table>
                <caption class="visually-hidden">{title}</caption>
                <thead><tr>{heads.into_iter().flatten().map(|it| view! { <th scope="col">{it}</th> }).collect_view()}</tr></thead>
                <tbody>{rows.into_iter().map(|row| view! { <Row list row/> }).collect_view()}</tbody>
            </table>
        </div>
    }
}

#[component]
fn Row(list: PostureList, row: PostureRow) -> impl IntoView {
    let words = &context::words().posture;
    let (href, kind) = match row.subject {
        PostureSubject::Account(id) => (format!("{}/{id}", accounts::PATH), words.account),
        PostureSubject::Smtp(id) => (format!("{}/{id}", smtp::PATH), words.smtp),
        PostureSubject::Credential(id) => (format!("{}/{id}", credentials::PATH), words.credential),
        PostureSubject::OAuth(id) => (format!("{}/{id}", oauth::PATH), context::words().tokens.oauth_credential),
        PostureSubject::Authority(id) => (format!("{}/{id}", authorities::PATH), words.authority),
    };
    let last = last_head(list).map(|_| {
        let time = row.at.map(|it| view! { <time datetime=it.to_string()>{day(it)}</time> }.into_any());
        let number = row.n_uses.map(|it| view! { {context::locale().number(it)} }.into_any());
        let without = match list {
            PostureList::Silent => words.never,
            PostureList::Secrets => context::words().tokens.over,
            _ => words.no_end,
        };
        let otherwise = (list != PostureList::WeakTls).then_some(without);
        view! { <td>{time.or(number).or_else(|| otherwise.map(IntoAny::into_any))}</td> }
    });
    view! {
        <tr>
            <th scope="row"><a href=href><bdi>{row.name}</bdi></a></th>
            <td>{kind}</td>
            <td><bdi>{detail(list, &row.detail)}</bdi></td>
            {last}
        </tr>
    }
}
