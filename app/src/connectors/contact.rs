//! How a connector did lately, in one line: icon, words, and how long ago.

use domain::{connector::Contact, time::Timestamp};
use leptos::prelude::*;

use crate::{
    context,
    inbox::text::plain,
    ui::{icon::Icon, when::ago},
};

#[component]
pub fn ContactLine(contact: Contact, now: Timestamp) -> impl IntoView {
    let words = &context::words().connectors;
    let (class, icon, text, at) = match (contact.failure(), contact.last_ok_at) {
        (Some((at, _)), _) => ("state warn", "alert", words.contact_failed(ago(at, now)), Some(at)),
        (None, Some(at)) => ("state ok", "check", words.contact_ok(ago(at, now)), Some(at)),
        (None, None) => ("state", "clock", words.contact_none.to_owned(), None),
    };
    let exact = at.map(|it| format!("{} UTC", it.to_minute()));
    let why = contact.failure().map(|(_, why)| view! { <p class="hint"><bdi>{plain(why)}</bdi></p> });
    view! { <span class=class title=exact><Icon name=icon/>{text}</span>{why} }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_words_until_it_went_well() {
        let at = Timestamp::from_seconds;
        let contact = Contact {
            last_ok_at: Some(at(0)),
            last_error_at: Some(at(60)),
            last_error: Some("no <answer>".to_owned()),
        };
        let html = |contact| Owner::new().with(|| view! { <ContactLine contact now=at(120)/> }.to_html());
        let failed = html(contact.clone());
        assert!(failed.contains("Failed 1 min ago") && failed.contains("no &lt;answer&gt;"), "{failed}");
        let good = html(Contact { last_ok_at: Some(at(119)), ..contact });
        assert!(good.contains("Reached just now") && !good.contains("answer"), "{good}");
        assert!(html(Contact::default()).contains("No contact yet"));
    }
}
