//! What every screen may ask for: the language, who is signed in, and on the server the use cases and the actor.

use domain::actor::Whoami;
use leptos::prelude::*;
use words::{Locale, Words};

/// Who looks at the page; `None` before sign-in.
#[derive(Clone, Debug, Default)]
pub struct User(pub Option<Whoami>);

/// The theme that the user chose: `light`, `dark`, or `system`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme(pub &'static str);

/// Reads language, theme and user from the request, or in the browser from the document that came of it.
pub(crate) fn provide() {
    #[cfg(feature = "ssr")]
    {
        let preferences = server::preferences();
        provide_context(preferences.0);
        provide_context(preferences.1);
        let user = use_context::<server::CurrentActor>().and_then(|it| it.0);
        provide_context(User(user.map(|it| Whoami { name: it.name, role: it.role })));
    }
    #[cfg(not(feature = "ssr"))]
    {
        let html = document().document_element();
        let attribute = |name: &str| html.as_ref().and_then(|it| it.get_attribute(name));
        provide_context(attribute("lang").and_then(|it| Locale::parse(&it)).unwrap_or_default());
        provide_context(theme(attribute("data-theme").as_deref()));
        let role = attribute("data-role").and_then(|it| domain::actor::Role::parse(&it));
        let user = attribute("data-user").zip(role).map(|(name, role)| Whoami { name, role });
        provide_context(User(user));
    }
}

/// Takes the texts of the document's language, which the browser loads beside the WebAssembly.
#[cfg(target_arch = "wasm32")]
pub fn load_words(texts: String) {
    let language = document().document_element().and_then(|it| it.get_attribute("lang"));
    words::load(language.and_then(|it| Locale::parse(&it)).unwrap_or_default(), texts);
}

/// The language of this page.
pub fn locale() -> Locale {
    let chosen = use_context();
    // A server function is called by its own: then the request tells.
    #[cfg(feature = "ssr")]
    let chosen = chosen.or_else(|| Some(server::preferences().0));
    chosen.unwrap_or_default()
}

/// The words of this page.
pub fn words() -> &'static Words {
    locale().words()
}

/// Who is signed in.
pub fn user() -> Option<Whoami> {
    use_context::<User>().and_then(|it| it.0)
}

/// From the cookie's value.
pub fn theme(text: Option<&str>) -> Theme {
    Theme(match text {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "system",
    })
}

#[cfg(feature = "ssr")]
pub use server::{CurrentActor, actor, first_page_instead, preferences_of, service};

#[cfg(feature = "ssr")]
mod server {
    use domain::actor::Actor;
    use http::{HeaderMap, header, request::Parts};
    use leptos::prelude::use_context;
    use service::Service;
    use words::Locale;

    use super::{Theme, theme};
    use crate::error::UserError;

    /// The actor of the request, as the server's middleware found it.
    #[derive(Clone, Debug, Default)]
    pub struct CurrentActor(pub Option<Actor>);

    /// The use cases.
    pub fn service() -> Result<Service, UserError> {
        use_context::<Service>().ok_or_else(|| {
            tracing::error!("no service in the context of a server function");
            UserError::Failed { reference: "context".to_owned() }
        })
    }

    /// Who asks; an error if nobody is signed in.
    pub fn actor() -> Result<Actor, UserError> {
        use_context::<CurrentActor>().and_then(|it| it.0).ok_or(UserError::SignedOut)
    }

    /// Leads to the first page where a list was asked for a page that it does not have (any more).
    pub fn first_page_instead<T>(page: &domain::page::Page<T>, address: &str) {
        if page.items.is_empty() && page.total > 0 {
            leptos_axum::redirect(address);
        }
    }

    pub(super) fn preferences() -> (Locale, Theme) {
        use_context::<Parts>().map(|it| preferences_of(&it.headers)).unwrap_or_default()
    }

    /// Language and theme of a request: cookie first, then what the browser accepts.
    pub fn preferences_of(headers: &HeaderMap) -> (Locale, Theme) {
        let text = |name| headers.get(name).and_then(|it: &http::HeaderValue| it.to_str().ok()).unwrap_or_default();
        let cookies = text(header::COOKIE);
        let cookie = |name: &str| {
            cookies.split(';').find_map(|it| it.trim().strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let chosen = cookie("locale").and_then(|it| Locale::parse(&it));
        let locale = chosen.or_else(|| Locale::accepted(text(header::ACCEPT_LANGUAGE))).unwrap_or_default();
        (locale, theme(cookie("theme").as_deref()))
    }
}
