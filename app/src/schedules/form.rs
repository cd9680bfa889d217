//! The form of a schedule. It posts natively; the browser runs the rules first and shows the next runs as one types.

use domain::{
    actor::Permission,
    ids::ScheduleId,
    problem::Problem,
    schedule::{ScheduleDraft, ScheduleForm, Weekday},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_params_map};

use super::{
    PATH,
    api::{FormAnswer, load_schedule},
    wording,
};
use crate::{
    accounts, context,
    credentials::used::id_in_path,
    posted::Posted,
    ui::{
        field::{Face, Radios, SelectField, TextArea, TextField},
        form::{ErrorSummary, check_before_post, guard_unsaved, live_error},
        notice::Failure,
        page::{ErrorTitle, Page},
    },
};

/// A new schedule of the report that the address names, or a stored one.
#[component]
pub fn FormPage() -> impl IntoView {
    let words = context::words();
    let (params, location) = (use_params_map(), use_location());
    let id = Memo::new(move |_| id_in_path::<ScheduleId>(params.read().get("id")));
    let wanted = Memo::new(move |_| (id.get(), location.search.get().trim_start_matches('?').to_owned()));
    let answer = Resource::new_blocking(move || wanted.get(), |(id, query)| load_schedule(id, query));
    view! {
        <Page title=words.accounts.schedule_report>
            <Suspense fallback=move || view! { <p class="loading" role="status">{words.common.loading}</p> }>
                {move || Suspend::new(async move {
                    match answer.await {
                        Ok(answer) => view! { <Fields answer/> }.into_any(),
                        Err(error) => view! { <Failure error/> }.into_any(),
                    }
                })}
            </Suspense>
        </Page>
    }
}

/// The label of a field, by its name in the JSON interface.
fn label(field: &str) -> &'static str {
    let (words, all) = (&context::words().schedules, context::words());
    match field {
        "recurrence" => words.recurrence,
        "days" => words.days,
        "month_day" => words.month_day,
        "expression" => words.expression,
        "time" => words.time,
        "zone" => words.zone,
        "formats" => words.formats,
        "recipients" => words.recipients,
        "language" => all.shell.language,
        "only_when_changed" => words.only_when_changed,
        "enabled" => all.accounts.enabled,
        _ => all.accounts.name,
    }
}

fn rules(form: &ScheduleForm) -> Result<(), Vec<Problem>> {
    ScheduleDraft::try_from(form).map(|_| ())
}

/// Asks for the next runs of what stands in the form, once nothing was typed for a moment.
#[cfg(not(feature = "ssr"))]
fn follow(event: &leptos::ev::Event, runs: RwSignal<Vec<String>>, note: RwSignal<String>, turn: RwSignal<u32>) {
    use leptos::wasm_bindgen::JsCast as _;

    use crate::{error::UserError, ui::form};

    const PAUSE: std::time::Duration = std::time::Duration::from_millis(300);
    let element = event.target().and_then(|it| it.dyn_into::<leptos::web_sys::Element>().ok());
    let form = element.and_then(|it| it.closest("form").ok().flatten());
    let Some(form) = form.and_then(|it| it.dyn_into::<leptos::web_sys::HtmlFormElement>().ok()) else { return };
    turn.update(|it| *it += 1);
    let mine = turn.get_untracked();
    set_timeout(
        move || {
            if turn.try_get_untracked() != Some(mine) {
                return;
            }
            let typed: ScheduleForm = form::read(&form);
            leptos::task::spawn_local(async move {
                let found = super::api::preview_runs(typed).await;
                if turn.try_get_untracked() != Some(mine) {
                    return;
                }
                match found {
                    Ok(found) => {
                        runs.set(found);
                        note.set(String::new());
                    }
                    Err(error) => {
                        runs.set(Vec::new());
                        let words = context::words();
                        note.set(match &error {
                            UserError::Invalid(problems) => problems
                                .first()
                                .map(|it| crate::error::problem_wording(&it.rule, label(&it.field), words))
                                .unwrap_or_default(),
                            other => other.wording(words),
                        });
                    }
                }
            });
        },
        PAUSE,
    );
}

#[component]
fn Fields(answer: FormAnswer) -> impl IntoView {
    let words = context::words();
    let own = &words.schedules;
    let FormAnswer { posted, id, version, stored, accounts: shown, n_accounts, zones, can_send, next_runs } = answer;
    let Posted { form, problems: found, is_conflict, error } = posted;
    let problems = RwSignal::new(found);
    let is_dirty = RwSignal::new(false);
    guard_unsaved(is_dirty);
    let is_live = RwSignal::new(false);
    Effect::new(move || is_live.set(true));
    let recurrence = RwSignal::new(form.recurrence.clone());
    let without = move |kind: &'static str| Signal::derive(move || is_live.get() && *recurrence.read() != kind);
    let with_cron = Signal::derive(move || is_live.get() && *recurrence.read() == "cron");
    let (runs, note) = (RwSignal::new(next_runs), RwSignal::new(String::new()));
    #[cfg(not(feature = "ssr"))]
    let turn = RwSignal::new(0);
    let changed = move |event: leptos::ev::Event| {
        is_dirty.set(true);
        #[cfg(not(feature = "ssr"))]
        follow(&event, runs, note, turn);
        #[cfg(feature = "ssr")]
        drop((event, note));
    };
    let of = move |name: &'static str, hint: &str| Face {
        name,
        label: label(name),
        hint: hint.to_owned(),
        error: live_error(problems, name, label(name)),
        required: matches!(name, "name" | "recurrence" | "recipients" | "zone"),
    };
    let may = |it| context::user().is_some_and(|user| user.role.may(it));
    let yes_no = [("yes", words.common.yes), ("no", words.common.no)];
    let kinds = [
        ("daily", own.daily),
        ("weekdays", own.weekdays_only),
        ("weekly", own.weekly),
        ("monthly", own.monthly),
        ("cron", own.expression),
    ];
    let kinds = kinds.map(|(key, label)| (key.to_owned(), label.to_owned())).to_vec();
    let mut month_days: Vec<_> = (1..=31).map(|it| (it.to_string(), it.to_string())).collect();
    month_days.push(("last".to_owned(), own.last_day.to_owned()));
    let languages = words::Locale::ALL.map(|it| (it.tag().to_owned(), it.own_name().to_owned())).to_vec();
    let mut days_form = form.clone();
    let days = Weekday::ALL.map(|day| (day.as_str(), wording::weekday(day, words), days_form.day(day) == "yes"));
    let formats =
        [("csv", "CSV", form.csv == "yes"), ("pdf", "PDF", form.pdf == "yes"), ("html", own.html, form.html == "yes")];
    let target = id.map_or_else(|| "new".to_owned(), |it| it.to_string());
    let stored_version = version.clone();
    // Only after a conflict the next save is meant to replace what is stored now.
    let version = if is_conflict { version } else { form.version.clone() };
    let has_problems = is_conflict || problems.with_untracked(|it| !it.is_empty());
    let conflict = is_conflict.then(|| {
        view! {
            <div class="summary" role="alert">
                <h2>{words.common.conflict_title}</h2>
                <p><bdi>{stored}</bdi></p>
            </div>
        }
    });
    let (which, query) = shown;
    let report = format!("{}?{query}", accounts::PATH);
    let area = Face { label: label("recipients"), ..of("recipients", own.recipients_hint) };
    let no_server = (!can_send).then(|| {
        view! { <p class="alert">{own.no_smtp}" "<a href=crate::smtp::PATH>{words.smtp.title}</a></p> }
    });
    let removal = id.filter(|_| may(Permission::Delete)).map(|id| view! { <Removal id version=stored_version/> });
    view! {
        {has_problems.then(|| view! { <ErrorTitle title=words.accounts.schedule_report/> })}
        {error.map(|error| view! { <Failure error/> })}
        <ErrorSummary problems label/>
        {conflict}
        {no_server}
        <form class="account-form" method="post" action=format!("{PATH}/save/{target}") novalidate=true
            on:input=changed on:change=changed on:submit=move |event| check_before_post(&event, problems, is_dirty, rules)>
            <input type="hidden" name="version" value=version/>
            <input type="hidden" name="query" value=form.query/>
            <section>
                <h2>{own.what}</h2>
                <TextField face=of("name", "") value=form.name/>
                <p><bdi>{which}</bdi>". "{words.accounts.count(n_accounts)}". "<a href=report>{own.show_accounts}</a></p>
            </section>
            <section>
                <h2>{own.when}</h2>
                <SelectField face=of("recurrence", "") options=kinds value=form.recurrence on_change=Callback::new(move |it| recurrence.set(it))/>
                <Checks face=of("days", own.days_hint) options=days.to_vec() disabled=without("weekly")/>
                <SelectField face=of("month_day", own.month_day_hint) options=month_days value=form.month_day disabled=without("monthly")/>
                <TextField face=of("expression", own.expression_hint) value=form.expression disabled=without("cron")/>
                <TextField face=of("time", own.time_hint) value=form.time kind="time" disabled=with_cron/>
                <TextField face=of("zone", own.zone_hint) value=form.zone list=zones/>
                <div role="status" class="next-runs">
                    <h3>{own.next_runs}</h3>
                    {move || {
                        let runs = runs.get();
                        (!runs.is_empty()).then(|| view! { <ol>{runs.into_iter().map(|it| view! { <li>{it}</li> }).collect_view()}</ol> })
                    }}
                    <p class="hint">{note}</p>
                </div>
                <noscript>
                    <button class="button" formaction=format!("{PATH}/preview/{target}")>{own.show_runs}</button>
                </noscript>
            </section>
            <section>
                <h2>{own.how}</h2>
                <Checks face=of("formats", "") options=formats.to_vec() disabled=Signal::derive(|| false)/>
                <TextArea face=area value=form.recipients/>
                <SelectField face=of("language", "") options=languages value=form.language/>
                <Radios face=of("only_when_changed", own.only_hint) options=yes_no chosen=RwSignal::new(form.only_when_changed)/>
                <Radios face=of("enabled", "") options=yes_no chosen=RwSignal::new(form.enabled)/>
            </section>
            <div class="buttons">
                {may(Permission::Write).then(|| view! { <button class="button primary">{own.save}</button> })}
                <a href=PATH>{words.common.cancel}</a>
            </div>
        </form>
        {removal}
    }
}

/// Any of several. Each is a field of its own, with the value `yes`.
#[component]
fn Checks(
    face: Face,
    /// Names, labels, and whether they are chosen.
    options: Vec<(&'static str, &'static str, bool)>,
    disabled: Signal<bool>,
) -> impl IntoView {
    let option = |(name, label, is_chosen): (&'static str, &'static str, bool)| {
        view! {
            <span class="radio">
                <input type="checkbox" id=name name=name value="yes" checked=is_chosen/>
                <label for=name>{label}</label>
            </span>
        }
    };
    view! {
        <fieldset class="field radios" id=face.name aria-describedby=face.described_by() disabled=move || disabled.get()>
            <legend>{face.label}</legend>
            {face.hint()}
            {face.error()}
            {options.into_iter().map(option).collect_view()}
        </fieldset>
    }
}

#[component]
fn Removal(id: ScheduleId, version: String) -> impl IntoView {
    let words = &context::words().schedules;
    view! {
        <details class="removal">
            <summary>{words.delete}</summary>
            <form method="post" action=format!("{PATH}/delete/{id}")>
                <input type="hidden" name="version" value=version/>
                <p>{words.delete_hint}</p>
                <button class="button danger" type="submit">{words.delete}</button>
            </form>
        </details>
    }
}

#[cfg(test)]
mod tests {
    use domain::account::AccountQuery;

    use super::*;

    fn shown(posted: Posted<ScheduleForm>) -> String {
        let answer = FormAnswer {
            posted,
            id: Some(ScheduleId(4)),
            version: "7".to_owned(),
            stored: String::new(),
            accounts: (String::new(), String::new()),
            n_accounts: 0,
            zones: Vec::new(),
            can_send: false,
            next_runs: Vec::new(),
        };
        Owner::new().with(|| view! { <Fields answer/> }.to_html())
    }

    fn form() -> ScheduleForm {
        let form = ScheduleForm::new_record(&AccountQuery::default(), "en");
        ScheduleForm { version: "5".to_owned(), ..form }
    }

    #[test]
    fn what_was_typed_comes_back_as_text() {
        let hostile = "</textarea><b>&lt;";
        let form = ScheduleForm {
            name: hostile.to_owned(),
            zone: hostile.to_owned(),
            expression: hostile.to_owned(),
            recipients: hostile.to_owned(),
            ..form()
        };
        let html = shown(Posted { form, ..Posted::default() });
        assert!(!html.contains("<b>"), "{html}");
        assert!(html.contains("&lt;/textarea>&lt;b>&amp;lt;</textarea>"), "{html}");
        // Nothing was typed: nothing stands there, not even a space.
        assert!(shown(Posted::default()).contains("></textarea>"));
    }

    #[test]
    fn only_a_conflict_makes_the_next_save_replace_what_is_stored() {
        let version = |html: &str, version| html.contains(&format!(r#"name="version" value="{version}""#));
        let html = shown(Posted { form: form(), ..Posted::default() });
        let (own, _) = html.split_once("</form>").unwrap();
        assert!(version(own, 5) && !version(own, 7), "{html}");
        let html = shown(Posted { form: form(), is_conflict: true, ..Posted::default() });
        assert!(version(&html, 7) && !version(&html, 5), "{html}");
    }

    #[test]
    fn without_script_every_field_can_be_filled_in() {
        let html = shown(Posted { form: form(), ..Posted::default() });
        assert!(!html.contains("disabled"), "{html}");
        assert!(html.contains("/save/4") && html.contains("/preview/4") && html.contains(crate::smtp::PATH), "{html}");
    }
}
