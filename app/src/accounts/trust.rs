//! The fields that say whose certificate is accepted; the forms of accounts and of outgoing mail have them.

use leptos::prelude::*;

use crate::{
    context,
    ui::{
        field::{Face, Radios, SelectField, TextField},
        icon::Icon,
    },
};

/// What they hold.
pub struct Chosen {
    pub skip: String,
    pub reason: String,
    pub until: String,
    pub trust: String,
    pub ca: String,
    pub pin: String,
}

/// A kind of trust in words.
pub fn trust_label(kind: &str) -> &'static str {
    let words = &context::words().trust;
    match kind {
        "ca" => words.own,
        "pin" => words.pinned,
        _ => words.system,
    }
}

/// What does not count with the choices above it is disabled, but only with script: without, nothing could be enabled later.
#[component]
pub fn TrustFields(
    chosen: Chosen,
    face: Callback<(&'static str, &'static str), Face>,
    authorities: Vec<(String, String)>,
    without_tls: Signal<bool>,
    is_live: RwSignal<bool>,
) -> impl IntoView {
    let (words, all) = (&context::words().trust, context::words());
    let skips = RwSignal::new(chosen.skip);
    let trust = RwSignal::new(if chosen.trust.is_empty() { "system".to_owned() } else { chosen.trust });
    let without_skip = Signal::derive(move || without_tls.get() || (is_live.get() && skips.get() != "yes"));
    let without_trust = Signal::derive(move || without_tls.get() || (is_live.get() && skips.get() == "yes"));
    let without =
        move |kind: &'static str| Signal::derive(move || without_trust.get() || (is_live.get() && trust.get() != kind));
    let kinds = ["system", "ca", "pin"].map(|it| (it.to_owned(), trust_label(it).to_owned())).to_vec();
    let yes_no = [("yes", all.common.yes), ("no", all.common.no)];
    let value = trust.get_untracked();
    let mark = move || {
        (*skips.read() == "yes" && !without_tls.get()).then(|| {
            view! { <p><span class="state warn"><Icon name="alert"/>{all.accounts.skips_mark}</span></p> }
        })
    };
    view! {
        <Radios face=face.run(("skip_certificate", all.accounts.skip_hint)) options=yes_no chosen=skips disabled=without_tls/>
        {mark}
        <TextField face=face.run(("skip_reason", words.reason_hint)) value=chosen.reason disabled=without_skip/>
        <TextField face=face.run(("skip_until", words.until_hint)) value=chosen.until kind="date" disabled=without_skip/>
        <SelectField face=face.run(("trust", words.trust_hint)) options=kinds value disabled=without_trust
            on_change=Callback::new(move |it| trust.set(it))/>
        <SelectField face=face.run(("ca_id", words.ca_hint)) empty=all.common.choose options=authorities value=chosen.ca disabled=without("ca")/>
        <TextField face=face.run(("pin", words.pin_hint)) value=chosen.pin disabled=without("pin")/>
    }
}
