//! Deleted accounts, which can be restored for thirty days.

use leptos::prelude::*;

#[cfg(feature = "ssr")]
pub use views::load;

use crate::{
    context,
    served::{
        api::Part,
        page::{ServedPage, number},
    },
};

#[component]
pub fn DeletedPage() -> impl IntoView {
    let title = context::words().accounts.deleted_accounts;
    view! { <ServedPage title part=|_, query| Part::Deleted { page: number(query, "page", 1) }/> }
}

#[cfg(feature = "ssr")]
mod views {
    use domain::{
        account::Account,
        actor::Permission,
        page::{PAGE_SIZE, PageRequest},
        time::Timestamp,
    };
    use leptos::prelude::*;

    use crate::{
        accounts::PATH,
        context,
        error::UserError,
        ui::{notice::Empty, pager::Pager, table::Plain},
    };

    /// One page of them.
    pub async fn load(page: u32) -> Result<AnyView, UserError> {
        let request = PageRequest::new(page, PAGE_SIZE);
        let page = context::service()?.accounts().deleted(&context::actor()?, request).await?;
        context::first_page_instead(&page, &format!("{PATH}/deleted"));
        let words = context::words();
        let own = &words.accounts;
        if page.items.is_empty() {
            let view = view! { <Empty title=own.no_deleted hint=""><a href=PATH>{own.title}</a></Empty> };
            return Ok(view.into_any());
        }
        let place = (&page).into();
        let heads = vec![own.id, own.name, own.deleted_at, words.common.actions];
        let view = view! {
            <Plain caption=own.deleted_accounts heads>{page.items.into_iter().map(row).collect_view()}</Plain>
            <Pager place link=|page| format!("{PATH}/deleted?page={page}")/>
        };
        Ok(view.into_any())
    }

    fn row(account: Account) -> impl IntoView {
        let words = context::words();
        let may_delete = context::user().is_some_and(|it| it.role.may(Permission::Delete));
        let action = format!("{PATH}/restore/{}", account.id);
        view! {
            <tr>
                <td class="number">{account.id.0}</td>
                <th scope="row">{account.draft.name}</th>
                <td>{account.deleted_at.map(Timestamp::to_minute)}</td>
                <td>{may_delete.then(|| view! {
                    <form method="post" action=action><button class="button compact">{words.accounts.restore}</button></form>
                })}</td>
            </tr>
        }
    }
}
