//! What the next checks will delete on the server, and the receipts of what was deleted there.

use domain::{
    actor::Permission,
    ids::{AccountId, MessageId},
    ledger::{Deletion, DeletionProof, PlannedDeletion},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

use super::api::{Deletions, load_deletions};
use crate::{
    context,
    credentials::used::id_in_path,
    inbox::{
        query::Place,
        tabs::{Tab, Tabs, address},
        text::{When, plain, plain_or, size},
    },
    ui::{notice::Failure, page::Page, pager::Pager, table::Plain},
};

#[component]
pub fn DeletionsPage() -> impl IntoView {
    let words = context::words();
    let (params, query) = (use_params_map(), use_query_map());
    let account = Memo::new(move |_| id_in_path(params.read().get("id")).unwrap_or(AccountId(0)));
    let number = move |key: &str| id_in_path(query.read().get(key)).unwrap_or(1);
    let wanted = Memo::new(move |_| (account.get(), number("planned"), number("page")));
    let answer =
        Resource::new_blocking(move || wanted.get(), |(account, planned, page)| load_deletions(account, planned, page));
    view! {
        <Page title=words.ledger.deletions>
            {move || view! { <Tabs account=account.get() current=Tab::Deletions/> }}
            <Transition fallback=|| view! { <p aria-busy="true">{context::words().common.loading}</p> }>
                {move || Suspend::new(async move {
                    match answer.await {
                        Ok(answer) => view! { <Both account=account.get_untracked() answer/> }.into_any(),
                        Err(error) => view! { <Failure error/> }.into_any(),
                    }
                })}
            </Transition>
        </Page>
    }
}

#[component]
fn Both(account: AccountId, answer: Deletions) -> impl IntoView {
    let words = context::words();
    let own = &words.ledger;
    let Deletions { account_name, planned, receipts } = answer;
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
    use domain::{
        ids::RemoteId,
        page::{Page as PageOf, PageRequest},
        time::Timestamp,
    };

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
        let answer = Deletions {
            account_name: "Orders".to_owned(),
            planned: PageOf::new(Vec::new(), 0, PageRequest::default()),
            receipts: PageOf::new(vec![receipt], 1, PageRequest::default()),
        };
        let html = Owner::new().with(|| view! { <Both account=AccountId(1) answer/> }.to_html());
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>") && !html.contains('\u{202e}'), "{html}");
        assert!(html.contains("Missing from the next listing") && html.contains("Nothing will be deleted."), "{html}");
    }
}
