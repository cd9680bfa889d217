//! The form of notices. It posts natively; the browser runs the same rules first.

use domain::{
    actor::Permission,
    notices::{Notices, NoticesForm},
    problem::Problem,
};
use leptos::prelude::*;

use super::{
    PATH,
    api::{Settings, Tested, load_notices},
};
use crate::{
    context,
    inbox::text::plain,
    posted::Posted,
    ui::{
        field::{Face, Radios, SelectField, TextArea, TextField},
        form::{ErrorSummary, check_before_post, guard_unsaved, live_error},
        notice::Failure,
        page::{ErrorTitle, Page},
    },
};

#[component]
pub fn NoticesPage() -> impl IntoView {
    let words = context::words();
    let settings = Resource::new_blocking(|| (), |()| load_notices());
    view! {
        <Page title=words.shell.notices>
            <Suspense fallback=|| view! { <p aria-busy="true">{context::words().common.loading}</p> }>
                {move || Suspend::new(async move {
                    match settings.await {
                        Ok(settings) => view! { <Fields settings/> }.into_any(),
                        Err(error) => view! { <Failure error/> }.into_any(),
                    }
                })}
            </Suspense>
        </Page>
    }
}

/// The label of a field, by its name in the JSON interface.
fn label(field: &str) -> &'static str {
    let words = &context::words().notices;
    match field {
        "recipients" => words.recipients,
        "webhook" => words.webhook,
        "after_minutes" => words.after_minutes,
        "language" => context::words().shell.language,
        _ => words.enabled,
    }
}

fn rules(form: &NoticesForm) -> Result<(), Vec<Problem>> {
    Notices::try_from(form).map(|_| ())
}

#[component]
fn Fields(settings: Settings) -> impl IntoView {
    let words = context::words();
    let own = &words.notices;
    let Settings { posted: Posted { form, problems: found, error, .. }, tested } = settings;
    let problems = RwSignal::new(found);
    let is_dirty = RwSignal::new(false);
    guard_unsaved(is_dirty);
    let of = move |name: &'static str, hint: &str| Face {
        name,
        label: label(name),
        hint: hint.to_owned(),
        error: live_error(problems, name, label(name)),
        required: false,
    };
    let yes_no = [("yes", words.common.yes), ("no", words.common.no)];
    let languages = words::Locale::ALL.map(|it| (it.tag().to_owned(), it.own_name().to_owned())).to_vec();
    let may = |it| context::user().is_some_and(|user| user.role.may(it));
    let has_problems = problems.with_untracked(|it| !it.is_empty());
    let outcome = tested.map(|Tested(text)| {
        let text = plain(&text);
        let text = if text.trim().is_empty() { own.tested_nothing.to_owned() } else { text };
        view! { <div class="note" role="status"><p><strong>{own.tested}</strong>" "<bdi class="lines">{text}</bdi></p></div> }
    });
    let test = may(Permission::Action).then(|| {
        view! {
            <form class="aside" method="post" action=format!("{PATH}/test")>
                <p class="hint" id="test-hint">{own.test_hint}</p>
                <button class="button" aria-describedby="test-hint">{own.test}</button>
            </form>
        }
    });
    view! {
        {has_problems.then(|| view! { <ErrorTitle title=words.shell.notices/> })}
        {error.map(|error| view! { <Failure error/> })}
        <ErrorSummary problems label/>
        {outcome}
        <p>{own.hint}</p>
        <form class="account-form" method="post" action=PATH novalidate=true on:input=move |_| is_dirty.set(true)
            on:submit=move |event| check_before_post(&event, problems, is_dirty, rules)>
            <section>
                <Radios face=of("enabled", "") options=yes_no chosen=RwSignal::new(form.enabled)/>
                <TextArea face=of("recipients", own.recipients_hint) value=form.recipients/>
                <TextField face=of("webhook", own.webhook_hint) value=form.webhook kind="url"/>
                <TextField face=of("after_minutes", own.after_hint) value=form.after_minutes numeric=true/>
                <SelectField face=of("language", "") options=languages value=form.language/>
            </section>
            <div class="buttons">
                {may(Permission::Write).then(|| view! { <button class="button primary">{own.save}</button> })}
            </div>
        </form>
        {test}
    }
}

#[cfg(test)]
mod tests {
    use domain::problem::Rule;

    use super::*;

    #[test]
    fn what_was_typed_comes_back_with_its_problem_and_the_test_s_outcome_is_text() {
        let form = NoticesForm {
            recipients: "</textarea><b>".to_owned(),
            webhook: "ftp://x".to_owned(),
            ..NoticesForm::default()
        };
        let problems = vec![Problem::new("webhook", Rule::NotAUrl)];
        let tested = Some(Tested("<i>\u{202e}".to_owned()));
        let settings = Settings { posted: Posted { form, problems, ..Posted::default() }, tested };
        let html = Owner::new().with(|| view! { <Fields settings/> }.to_html());
        assert!(html.contains("webhook-error") && html.contains(r#"value="ftp://x""#), "{html}");
        assert!(!html.contains("<b>") && !html.contains("<i>") && !html.contains('\u{202e}'), "{html}");
        let settings = Settings { tested: Some(Tested(String::new())), ..Settings::default() };
        let html = Owner::new().with(|| view! { <Fields settings/> }.to_html());
        assert!(html.contains("No way is saved"), "{html}");
    }
}
