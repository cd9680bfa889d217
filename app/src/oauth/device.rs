//! A device code as HTML: where it is to be entered, and what came of it.

use domain::{
    actor::Permission,
    device::{DeviceFlow, DeviceState, UserCode},
    ids::CredentialId,
};
use leptos::prelude::*;

use super::{
    PATH,
    form::{Outcome, time},
};
use crate::{
    context::{self, actor, service},
    error::UserError,
    inbox::text::plain,
};

/// The last flow of the credential.
pub async fn load(id: CredentialId) -> Result<AnyView, UserError> {
    let (service, actor) = (service()?, actor()?);
    let (credential, ..) = service.oauth().load(&actor, id).await?;
    let flow = service.oauth().device(&actor, id).await?;
    let (all, may_act) = (context::words(), actor.may(Permission::Action));
    let words = &all.tokens;
    let Outcome { error, .. } = use_context().unwrap_or_default();
    let error = error.map(|it| {
        view! { <div class="alert" role="alert"><p><strong>{all.oauth.failed}</strong></p><p><bdi>{it}</bdi></p></div> }
    });
    let is_pending = flow.as_ref().is_some_and(|it| it.state == DeviceState::Pending);
    let came = flow.map_or_else(|| view! { <p>{words.none}</p> }.into_any(), |flow| view! { <Flow flow/> }.into_any());
    let path = format!("{PATH}/{id}/device");
    let tools = match (is_pending, may_act) {
        (true, true) => view! {
            <a class="button" href=format!("{path}?follow=1")>{words.look_again}</a>
            <form method="post" action=format!("{path}/cancel")><button class="button" type="submit">{words.cancel_device}</button></form>
        }
        .into_any(),
        (true, false) => view! { <a class="button" href=format!("{path}?follow=1")>{words.look_again}</a> }.into_any(),
        (false, true) => view! {
            <form method="post" action=path><button class="button" type="submit">{words.again}</button></form>
        }
        .into_any(),
        (false, false) => ().into_any(),
    };
    Ok(view! {
        <section class="card">
            <h2>{words.device_title}</h2>
            <p><bdi>{credential.name}</bdi>", "<bdi>{credential.username}</bdi></p>
            {error}
            {came}
            <div class="buttons">{tools}<a class="button" href=format!("{PATH}/{id}")>{words.back}</a></div>
        </section>
    }
    .into_any())
}

#[component]
fn Flow(flow: DeviceFlow) -> impl IntoView {
    let words = &context::words().tokens;
    let started = format!("{}, {} UTC", flow.started_by, flow.started_at.to_minute());
    let code = plain(flow.message.as_deref().unwrap_or_default());
    let (class, text) = match flow.state {
        DeviceState::Pending => {
            let waiting = words.waiting(flow.interval_s);
            let place = flow.code.map(|code| view! { <Place code/> }.into_any());
            let place = place.unwrap_or_else(|| view! { <p>{words.hidden}</p> }.into_any());
            return view! {
                {place}
                <dl class="test-facts">
                    <dt>{words.until}</dt><dd>{time(Some(flow.until), "")}</dd>
                    <dt>{words.started}</dt><dd><bdi>{started}</bdi></dd>
                </dl>
                <p role="status">{waiting}</p>
            }
            .into_any();
        }
        DeviceState::Granted => ("state ok", words.granted.to_owned()),
        DeviceState::Denied => ("state warn", words.denied.to_owned()),
        DeviceState::Expired => ("state warn", words.expired.to_owned()),
        DeviceState::Failed => ("state warn", words.failed(code)),
        DeviceState::Cancelled => ("state", words.cancelled.to_owned()),
    };
    view! {
        <p role="status"><span class=class>{text}</span></p>
        <dl class="test-facts"><dt>{words.started}</dt><dd><bdi>{started}</bdi></dd></dl>
    }
    .into_any()
}

/// Addresses were read as such before they were kept.
#[component]
fn Place(code: UserCode) -> impl IntoView {
    let words = &context::words().tokens;
    let UserCode { user_code, verification_uri, verification_uri_complete } = code;
    let complete = verification_uri_complete.map(|uri| {
        view! { <dt>{words.complete}</dt><dd><a href=uri.clone() rel="noreferrer"><bdi>{uri.clone()}</bdi></a></dd> }
    });
    view! {
        <dl class="test-facts">
            <dt>{words.open}</dt>
            <dd><a href=verification_uri.clone() rel="noreferrer"><bdi>{verification_uri.clone()}</bdi></a></dd>
            <dt>{words.enter}</dt>
            <dd><strong class="user-code"><bdi>{user_code}</bdi></strong></dd>
            {complete}
        </dl>
    }
}
