//! Deleted accounts, which can be restored for thirty days.

use domain::{account::Account, actor::Permission};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::{PATH, api::deleted_accounts};
use crate::{
    context,
    ui::{
        notice::{Empty, Failure},
        page::Page,
        pager::{Pager, Place},
    },
};

#[component]
pub fn DeletedPage() -> impl IntoView {
    let words = context::words();
    let params = use_query_map();
    let number = Memo::new(move |_| params.read().get("page").and_then(|it| it.parse().ok()).unwrap_or(1));
    let answer = Resource::new(move || number.get(), deleted_accounts);
    view! {
        <Page title=words.accounts.deleted_accounts>
            <Transition>
                {move || Suspend::new(async move {
                    match answer.await {
                        Err(error) => view! { <Failure error/> }.into_any(),
                        Ok(page) if page.items.is_empty() => view! {
                            <Empty title=words.accounts.no_deleted hint=""><a href=PATH>{words.accounts.title}</a></Empty>
                        }.into_any(),
                        Ok(page) => {
                            let place = Place::from(&page);
                            view! {
                                <div class="table-region" role="region" aria-label=words.accounts.deleted_accounts tabindex="0">
                                    <table>
                                        <thead><tr>
                                            <th scope="col">{words.accounts.id}</th><th scope="col">{words.accounts.name}</th>
                                            <th scope="col">{words.accounts.deleted_at}</th><th scope="col">{words.common.actions}</th>
                                        </tr></thead>
                                        <tbody>{page.items.into_iter().map(row).collect_view()}</tbody>
                                    </table>
                                </div>
                                <Pager place link=|page| format!("{PATH}/deleted?page={page}")/>
                            }.into_any()
                        }
                    }
                })}
            </Transition>
        </Page>
    }
}

fn row(account: Account) -> impl IntoView {
    let words = context::words();
    let may_delete = context::user().is_some_and(|it| it.role.may(Permission::Delete));
    let action = format!("{PATH}/restore/{}", account.id);
    view! {
        <tr>
            <td class="number">{account.id.0}</td>
            <th scope="row">{account.draft.name}</th>
            <td>{account.deleted_at.map(domain::time::Timestamp::to_minute)}</td>
            <td>{may_delete.then(|| view! {
                <form method="post" action=action><button class="button compact">{words.accounts.restore}</button></form>
            })}</td>
        </tr>
    }
}
