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
        icon::Icon,
        notice::Failure,
        page::{BarePage, Page},
    },
};

/// Why, and what was posted.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub reason: Reason,
    /// Present if the session had ended: the form can be sent again after signing in.
    pub kept: Option<KeptForm>,
}

/// Why something was refused.
#[derive(Clone, Debug)]
pub enum Reason {
    Error(UserError),
    /// The address takes another method.
    Method,
    /// The path, the form or its encoding is none.
    Malformed,
    /// More than a form may hold.
    TooLarge,
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

fn refused(Refusal { reason, kept }: Refusal) -> AnyView {
    let words = context::words();
    if let Some(kept) = kept {
        return view! { <BarePage title=words.common.session_ended><Kept kept/></BarePage> }.into_any();
    }
    let own = &words.refusal;
    let alert = |text: &'static str| view! { <p class="alert" role="alert"><Icon name="alert"/>{text}</p> }.into_any();
    let why = match reason {
        Reason::Error(error) => view! { <Failure error/> }.into_any(),
        Reason::Method => alert(own.method),
        Reason::Malformed => alert(own.malformed),
        Reason::TooLarge => alert(own.too_large),
    };
    let body = view! { {why}<p><a href=crate::accounts::PATH>{words.accounts.title}</a></p> };
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
