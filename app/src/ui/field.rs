//! Fields of a form: the accessible name is the label and nothing more; hints and errors are descriptions.

use leptos::prelude::*;

/// What all fields share.
#[derive(Clone, Debug, Default)]
pub struct Face {
    pub name: &'static str,
    pub label: &'static str,
    pub hint: String,
    pub error: Signal<Option<String>>,
    pub required: bool,
}

impl Face {
    /// The ids of hint and error, for `aria-describedby`.
    pub fn described_by(&self) -> impl Fn() -> Option<String> + Copy + use<> {
        let (name, error, has_hint) = (self.name, self.error, !self.hint.is_empty());
        move || {
            let hint = has_hint.then(|| format!("{name}-hint"));
            let error = error.get().map(|_| format!("{name}-error"));
            match (hint, error) {
                (Some(hint), Some(error)) => Some(format!("{hint} {error}")),
                (hint, error) => hint.or(error),
            }
        }
    }

    /// The hint, if there is one.
    pub fn hint(&self) -> impl IntoView + use<> {
        let id = format!("{}-hint", self.name);
        (!self.hint.is_empty()).then(|| view! { <p class="hint" id=id>{self.hint.clone()}</p> })
    }

    /// The error, if there is one.
    pub fn error(&self) -> impl IntoView + use<> {
        let (id, error) = (format!("{}-error", self.name), self.error);
        move || error.get().map(|it| view! { <p class="error" id=id.clone()>{it}</p> })
    }

    /// For `aria-invalid`.
    pub fn invalid(&self) -> impl Fn() -> Option<&'static str> + Copy + use<> {
        let error = self.error;
        move || error.get().map(|_| "true")
    }

    fn is_required(&self) -> Option<&'static str> {
        self.required.then_some("true")
    }
}

/// A line of text. `kind` is the input's type; `numeric` asks for digits.
#[component]
pub fn TextField(
    face: Face,
    #[prop(into)] value: String,
    #[prop(default = "text")] kind: &'static str,
    #[prop(optional)] numeric: bool,
    #[prop(optional)] autocomplete: Option<&'static str>,
    #[prop(optional, into)] placeholder: Option<Signal<String>>,
    #[prop(optional, into)] disabled: Option<Signal<bool>>,
    /// Values to choose from while typing.
    #[prop(optional)]
    list: Option<Vec<String>>,
) -> impl IntoView {
    let is_disabled = move || disabled.is_some_and(|it| it.get());
    let list_id = format!("{}-list", face.name);
    let list = list.map(|it| {
        let options = it.into_iter().map(|it| view! { <option value=it></option> }).collect_view();
        view! { <datalist id=list_id.clone()>{options}</datalist> }
    });
    let list_id = list.is_some().then_some(list_id);
    let mode = numeric.then_some("numeric");
    let placeholder = move || placeholder.map(|it| it.get());
    view! {
        <div class="field">
            <label for=face.name class:is-required=face.required>{face.label}</label>
            {face.hint()}
            {face.error()}
            <input type=kind id=face.name name=face.name value=value inputmode=mode placeholder=placeholder autocomplete=autocomplete.unwrap_or("off")
                disabled=is_disabled list=list_id aria-required=face.is_required() aria-invalid=face.invalid() aria-describedby=face.described_by()/>
            {list}
        </div>
    }
}

/// Yes or No, or two named options. `chosen` follows what the user does.
#[component]
pub fn Radios(
    face: Face,
    /// Values and their labels.
    options: [(&'static str, &'static str); 2],
    chosen: RwSignal<String>,
    #[prop(optional, into)] disabled: Option<Signal<bool>>,
) -> impl IntoView {
    let name = face.name;
    let is_disabled = move || disabled.is_some_and(|it| it.get());
    let option = move |(value, label): (&'static str, &'static str)| {
        let id = format!("{name}-{value}");
        let is_first = chosen.get_untracked() == value;
        view! {
            <span class="radio">
                <input type="radio" id=id.clone() name=name value=value checked=is_first on:change=move |_| chosen.set(value.to_owned())/>
                <label for=id>{label}</label>
            </span>
        }
    };
    view! {
        <fieldset class="field radios" id=name aria-describedby=face.described_by() disabled=is_disabled>
            <legend>{face.label}</legend>
            {face.hint()}
            {face.error()}
            {options.map(option).collect_view()}
        </fieldset>
    }
}

/// One of several. `options` are values and labels; the empty value means that nothing is chosen.
#[component]
pub fn SelectField(
    face: Face,
    options: Vec<(String, String)>,
    #[prop(into)] value: String,
    #[prop(optional, into)] disabled: Option<Signal<bool>>,
    #[prop(optional, into)] on_change: Option<Callback<String>>,
    /// Shown for the empty value; without it there is none.
    #[prop(optional)]
    empty: Option<&'static str>,
    /// Hides the options whose label lacks this text.
    #[prop(optional)]
    search: Option<RwSignal<String>>,
) -> impl IntoView {
    let is_disabled = move || disabled.is_some_and(|it| it.get());
    let changed = move |event| {
        if let Some(on_change) = on_change {
            on_change.run(event_target_value(&event));
        }
    };
    let option = |(key, label): (String, String)| {
        let is_chosen = key == value;
        let lower = label.to_lowercase();
        let is_hidden = move || search.is_some_and(|it| !lower.contains(&it.read().trim().to_lowercase()));
        view! { <option value=key selected=is_chosen hidden=is_hidden>{label}</option> }
    };
    view! {
        <div class="field">
            <label for=face.name class:is-required=face.required>{face.label}</label>
            {face.hint()}
            {face.error()}
            <select id=face.name name=face.name disabled=is_disabled on:change=changed
                aria-required=face.is_required() aria-invalid=face.invalid() aria-describedby=face.described_by()>
                {empty.map(|it| view! { <option value="">{it}</option> })}
                {options.into_iter().map(option).collect_view()}
            </select>
        </div>
    }
}

/// Several lines of text.
#[component]
pub fn TextArea(face: Face, value: String) -> impl IntoView {
    // The server writes the children of a text area as they are.
    let value = value.replace('&', "&amp;").replace('<', "&lt;");
    view! {
        <div class="field">
            <label for=face.name class:is-required=face.required>{face.label}</label>
            {face.hint()}
            {face.error()}
            <textarea id=face.name name=face.name rows="3" aria-required=face.is_required() aria-invalid=face.invalid()
                aria-describedby=face.described_by() inner_html=value></textarea>
        </div>
    }
}
