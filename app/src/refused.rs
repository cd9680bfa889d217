//! What a plain route answers when it cannot do what was asked of it: a page like any other, made on the server only.

use leptos::prelude::*;
use leptos_router::{
    components::{Route, Router, Routes},
    path,
};

use crate::{
    context,
    error::UserError,
    ui::{
        notice::Failure,
        page::{BarePage, Page},
    },
};

/// Why, and what was posted.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub error: UserError,
    /// Present if the session had ended: the form can be sent again after signing in.
    pub kept: Option<KeptForm>,
}

/// A form that was posted without a session, secrets left out.
#[derive(Clone, Debug)]
pub struct KeptForm {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

/// The body of the page.
#[component]
pub(crate) fn RefusedApp(refusal: Refusal) -> impl IntoView {
    leptos_meta::provide_meta_context();
    context::provide();
    // Whatever the address is: the router is here for what the frame asks of it.
    view! {
        <Router>
            <Routes fallback=move || refused(refusal.clone())>
                <Route path=path!("/refused") view=|| ()/>
            </Routes>
        </Router>
    }
}

fn refused(Refusal { error, kept }: Refusal) -> AnyView {
    let words = context::words();
    if let Some(kept) = kept {
        return view! { <BarePage title=words.common.session_ended><Kept kept/></BarePage> }.into_any();
    }
    let body = view! { <Failure error/><p><a href=crate::accounts::PATH>{words.accounts.title}</a></p> };
    view! { <Page title=words.common.refused_title>{body}</Page> }.into_any()
}

#[component]
fn Kept(kept: KeptForm) -> impl IntoView {
    let words = context::words();
    let fields = kept.fields.into_iter().map(|(name, value)| view! { <input type="hidden" name=name value=value/> });
    view! {
        <p role="alert">{words.common.session_ended_hint}</p>
        <p><a class="button" href="/sign-in" target="_blank">{words.sign_in.title}</a></p>
        <form method="post" action=kept.action>
            {fields.collect_view()}
            <button class="button primary">{words.common.send_again}</button>
        </form>
    }
}
