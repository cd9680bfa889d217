//! Messages that could not be fetched. What a server said of them is text.

use domain::{
    actor::Permission,
    ids::AccountId,
    ledger::{Trouble, TroubleState},
    page::{PAGE_SIZE, Page, PageRequest},
};
use leptos::prelude::*;

use crate::{
    context,
    error::UserError,
    inbox::{
        tabs::{Tab, Tabs, address},
        text::{When, plain, size},
    },
    ui::{notice::Empty, pager::Pager, table::Plain},
};

fn may(permission: Permission) -> bool {
    context::user().is_some_and(|it| it.role.may(permission))
}

/// One page of them.
pub async fn load(account: AccountId, page: u32) -> Result<AnyView, UserError> {
    let (service, actor) = (context::service()?, context::actor()?);
    let account_name = service.accounts().load(&actor, account).await?.draft.name;
    let page = service.ledger().trouble(&actor, account, PageRequest::new(page, PAGE_SIZE)).await?;
    context::first_page_instead(&page, &address(account, Tab::Quarantine));
    Ok(view! { <Tabs account current=Tab::Quarantine/><Rows account account_name page/> }.into_any())
}

#[component]
fn Rows(account: AccountId, account_name: String, page: Page<Trouble>) -> impl IntoView {
    let words = context::words();
    let own = &words.ledger;
    let here = address(account, Tab::Quarantine);
    let title = view! { <h2><bdi>{account_name}</bdi></h2> };
    if page.items.is_empty() {
        return view! { {title}<Empty title=own.no_trouble hint=own.no_trouble_hint>{None::<AnyView>}</Empty> }
            .into_any();
    }
    let place = (&page).into();
    let all = may(Permission::Action).then(|| {
        view! { <form method="post" action=format!("{here}/retry")><button class="button">{own.retry_all}</button></form> }
    });
    let heads = vec![own.name, words.inbox.size, own.state, own.attempts, own.reason, own.since, words.common.actions];
    let rows = page.items.into_iter().map(|it| view! { <Row trouble=it here=here.clone()/> }).collect_view();
    let link = here.clone();
    view! {
        {title}
        <p class="inbox-note">{own.quarantine_hint}</p>
        {all}
        <Plain caption=own.quarantine heads>{rows}</Plain>
        <Pager place link=move |page| format!("{link}?page={page}")/>
    }
    .into_any()
}

#[component]
fn Row(trouble: Trouble, here: String) -> impl IntoView {
    let words = context::words();
    let own = &words.ledger;
    let state = match trouble.state {
        TroubleState::Retried => own.state_retried,
        TroubleState::Quarantined => own.state_quarantined,
        TroubleState::TooLarge => own.state_too_large,
    };
    let name_id = format!("remote-{}", trouble.id);
    let retry = may(Permission::Action).then(|| {
        view! {
            <form method="post" action=format!("{here}/{}/retry", trouble.id)>
                <button class="button compact" aria-describedby=name_id.clone()>{own.retry}</button>
            </form>
        }
    });
    let sample = (trouble.has_sample && may(Permission::Query)).then(|| {
        let href = format!("{here}/{}/sample", trouble.id);
        view! { <a class="button compact" href=href aria-describedby=name_id.clone()>{own.view_sample}</a> }
    });
    view! {
        <tr>
            <th scope="row" id=name_id.clone()><bdi>{plain(&trouble.name)}</bdi></th>
            <td class="number">{size(trouble.size, words)}</td>
            <td>{state}</td>
            <td class="number">{trouble.n_attempts}</td>
            <td class="prose"><bdi>{plain(&trouble.reason)}</bdi></td>
            <td><When at=trouble.failed_at.unwrap_or(trouble.listed_at)/></td>
            <td><div class="row-forms">{retry}{sample}</div></td>
        </tr>
    }
}

#[cfg(test)]
mod tests {
    use domain::{ids::RemoteId, time::Timestamp};

    use super::*;

    #[test]
    fn what_a_server_said_is_text_and_an_empty_quarantine_says_so() {
        let hostile = "<b>\u{202e}".to_owned();
        let trouble = Trouble {
            id: RemoteId(4),
            name: hostile.clone(),
            size: 10,
            state: TroubleState::Quarantined,
            n_attempts: 5,
            reason: hostile,
            listed_at: Timestamp(0),
            failed_at: None,
            has_sample: true,
        };
        let shown = |items: Vec<Trouble>| {
            let total = items.len() as u64;
            let page = Page::new(items, total, PageRequest::default());
            let account_name = "<i>".to_owned();
            Owner::new().with(|| view! { <Rows account=AccountId(1) account_name page/> }.to_html())
        };
        let html = shown(vec![trouble]);
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>") && !html.contains('\u{202e}'), "{html}");
        assert!(!html.contains("<i>") && html.contains("In quarantine"), "{html}");
        assert!(shown(Vec::new()).contains("Nothing in quarantine"));
    }
}
