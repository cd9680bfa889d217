//! The form with one address, and below it what was found.

use domain::{
    actor::Permission,
    discovery::{Discovered, DiscoveryForm},
};
use leptos::prelude::*;

use super::{PATH, found::Found};
use crate::{
    context::{self, actor},
    error::UserError,
    posted::Posted,
    ui::{
        field::{Face, TextField},
        form::{ErrorSummary, live_error},
        notice::Failure,
    },
};

/// What a post of the form found out.
#[derive(Clone, Debug)]
pub struct Answer(pub Discovered);

/// The form with the address that was typed, or with the one that the page's address names.
pub fn load(address: String) -> Result<AnyView, UserError> {
    if !actor()?.may(Permission::Write) {
        return Err(service::Error::Forbidden(Permission::Write).into());
    }
    let answer = use_context::<Answer>().map(|it| it.0);
    let address = answer.as_ref().map_or(address, |it| it.address.to_string());
    let fresh = || Posted { form: DiscoveryForm { address }, ..Posted::default() };
    let posted = use_context::<Posted<DiscoveryForm>>().unwrap_or_else(fresh);
    let search = view! { <Search posted/> };
    Ok(view! { {search}{answer.map(|discovered| view! { <Found discovered/> })} }.into_any())
}

fn label(_: &str) -> &'static str {
    context::words().discovery.address
}

#[component]
fn Search(posted: Posted<DiscoveryForm>) -> impl IntoView {
    let all = context::words();
    let words = &all.discovery;
    let Posted { form, problems, error, .. } = posted;
    let problems = RwSignal::new(problems);
    let face = Face {
        name: "address",
        label: label("address"),
        hint: words.address_hint.to_owned(),
        error: live_error(problems, "address", label("address")),
        required: true,
    };
    view! {
        {error.map(|error| view! { <Failure error/> })}
        <ErrorSummary problems label/>
        <section class="card">
            <p>{words.intro}</p>
            <form class="form" method="post" action=PATH novalidate=true>
                <TextField face value=form.address kind="email"/>
                <div class="buttons"><button class="button primary">{all.accounts.find_settings}</button></div>
            </form>
        </section>
    }
}
