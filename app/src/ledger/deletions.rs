//! What the next checks will delete on the server, and the receipts of what was deleted there.

use domain::{
    actor::Permission,
    ids::{AccountId, MessageId},
    ledger::{Deletion, DeletionProof, PlannedDeletion},
    page::{PAGE_SIZE, Page, PageRequest},
};
use leptos::prelude::*;

use crate::{
    context,
    error::UserError,
    inbox::{
        query::Place,
        tabs::{Tab, Tabs, address},
        text::{When, plain, plain_or, size},
    },
    ui::{pager::Pager, table::Plain},
};

/// One page of each.
pub async fn load(account: AccountId, planned: u32, page: u32) -> Result<AnyView, UserError> {
    let (service, actor, here) = (context::service()?, context::actor()?, address(account, Tab::Deletions));
    let account_name = service.accounts().load(&actor, account).await?.draft.name;
    let planned = service.ledger().planned_deletions(&actor, account, PageRequest::new(planned, PAGE_SIZE)).await?;
    let receipts = service.ledger().deletions(&actor, account, PageRequest::new(page, PAGE_SIZE)).await?;
    context::first_page_instead(&planned, &here);
    context::first_page_instead(&receipts, &here);
    Ok(view! { <Tabs account current=Tab::Deletions/><Both account account_name planned receipts/> }.into_any())
}

#[component]
fn Both(
    account: AccountId,
    account_name: String,
    planned: Page<PlannedDeletion>,
    receipts: Page<Deletion>,
) -> impl IntoView {
    let words = context::words();
    let own = &words.ledger;
    let (first, second) = (planned.page, receipts.page);
    let here = address(account, Tab::Deletions);
    let other = here.clone();
    let (planned_place, receipts_place) = ((&planned).into(), (&receipts).into());
    let plan = if planned.items.is_empty() {
        view! { <p>{own.none_planned}</p> }.into_any()
    } else {
        let heads = vec![own.subject, own.name, words.inbox.size, own.stored_at, own.due_at];
        let rows = planned.items.into_iter().map(|it| view! { <Planned account deletion=it/> }).collect_view();
        view! {
            <Plain caption=own.planned heads>{rows}</Plain>
            <Pager place=planned_place link=move |page| format!("{here}?planned={page}&page={second}")/>
        }
        .into_any()
    };
    let done = if receipts.items.is_empty() {
        view! { <p>{own.no_receipts}</p> }.into_any()
    } else {
        let heads = vec![
            own.subject,
            own.name,
            words.inbox.size,
            own.stored_at,
            own.asked_at,
            own.deleted_at,
            own.proof,
            own.hash,
        ];
        let rows = receipts.items.into_iter().map(|it| view! { <Receipt account deletion=it/> }).collect_view();
        view! {
            <Plain caption=own.receipts heads>{rows}</Plain>
            <Pager place=receipts_place link=move |page| format!("{other}?planned={first}&page={page}")/>
        }
        .into_any()
    };
    view! {
        <h2><bdi>{account_name}</bdi></h2>
        <section class="part"><h3>{own.planned}</h3><p class="inbox-note">{own.planned_hint}</p>{plan}</section>
        <section class="part"><h3>{own.receipts}</h3>{done}</section>
    }
}

/// A message's subject, which leads to the copy that is kept here.
fn copy(account: AccountId, message: Option<MessageId>, subject: &str) -> AnyView {
    let subject = plain_or(subject, context::words().inbox.no_subject);
    match message.filter(|_| context::user().is_some_and(|it| it.role.may(Permission::Query))) {
        Some(_) => {
            let href = Place { message, ..Place::default() }.href(account);
            view! { <a href=href><bdi>{subject}</bdi></a> }.into_any()
        }
        None => view! { <bdi>{subject}</bdi> }.into_any(),
    }
}

#[component]
fn Planned(account: AccountId, deletion: PlannedDeletion) -> impl IntoView {
    view! {
        <tr>
            <th scope="row">{copy(account, Some(deletion.message_id), &deletion.subject)}</th>
            <td><bdi>{plain(&deletion.name)}</bdi></td>
            <td class="number">{size(deletion.size, context::words())}</td>
            <td><When at=deletion.stored_at/></td>
            <td><When at=deletion.due_at/></td>
        </tr>
    }
}

#[component]
fn Receipt(account: AccountId, deletion: Deletion) -> impl IntoView {
    let words = context::words();
    let proof = match deletion.proof {
        DeletionProof::Confirmed => words.ledger.proof_confirmed,
        DeletionProof::Reconciled => words.ledger.proof_reconciled,
    };
    view! {
        <tr>
            <th scope="row">{copy(account, deletion.message_id, &deletion.subject)}</th>
            <td><bdi>{plain(&deletion.name)}</bdi></td>
            <td class="number">{size(deletion.size, words)}</td>
            <td>{deletion.stored_at.map(|at| view! { <When at/> })}</td>
            <td>{deletion.asked_at.map(|at| view! { <When at/> })}</td>
            <td><When at=deletion.deleted_at/></td>
            <td>{proof}</td>
            <td class="mono hash">{plain(&deletion.hash)}</td>
        </tr>
    }
}

#[cfg(test)]
mod tests {
    use domain::{ids::RemoteId, time::Timestamp};

    use super::*;

    #[test]
    fn a_receipt_names_the_proof_and_a_hostile_subject_is_text() {
        let receipt = Deletion {
            id: RemoteId(1),
            name: "UID 7 (UIDVALIDITY 3)".to_owned(),
            message_id: Some(MessageId(5)),
            subject: "<b>\u{202e}".to_owned(),
            size: 10,
            hash: "ab".repeat(32),
            stored_at: None,
            asked_at: None,
            deleted_at: Timestamp(0),
            proof: DeletionProof::Reconciled,
            run: None,
        };
        let (account, account_name) = (AccountId(1), "Orders".to_owned());
        let planned = Page::new(Vec::new(), 0, PageRequest::default());
        let receipts = Page::new(vec![receipt], 1, PageRequest::default());
        let html = Owner::new().with(|| view! { <Both account account_name planned receipts/> }.to_html());
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>") && !html.contains('\u{202e}'), "{html}");
        assert!(html.contains("Missing from the next listing") && html.contains("Nothing will be deleted."), "{html}");
    }
}
