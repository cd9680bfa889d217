//! The document around the app, on the server.

use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::MetaTags;

use crate::{
    App, context,
    refused::{Refusal, RefusedApp},
};

/// The names of the browser bundle's files under `/pkg`; empty if there is none.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    pub js: String,
    pub wasm: String,
    pub css: String,
}

/// The whole document.
pub fn shell(bundle: &Bundle) -> impl IntoView + use<> {
    context::provide();
    let (js, wasm) = (format!("/pkg/{}", bundle.js), format!("/pkg/{}", bundle.wasm));
    let script =
        format!("import init, {{ hydrate }} from \"{js}\"; await init({{ module_or_path: \"{wasm}\" }}); hydrate();");
    let script = (!bundle.js.is_empty()).then(|| {
        view! {
            <link rel="modulepreload" href=js/>
            <script type="module" nonce=use_nonce()>{script}</script>
        }
    });
    document(bundle, script, view! { <App/> })
}

/// A document without script, for what the app has no address for.
pub fn refusal(bundle: &Bundle, refusal: Refusal) -> impl IntoView + use<> {
    context::provide();
    document(bundle, (), view! { <RefusedApp refusal/> })
}

fn document<S: IntoView + 'static, B: IntoView + 'static>(
    bundle: &Bundle,
    script: S,
    body: B,
) -> impl IntoView + use<S, B> {
    let locale = context::locale();
    let theme = use_context::<context::Theme>().unwrap_or_default();
    let user = context::user();
    let role = user.as_ref().map(|it| it.role.as_str());
    let name = user.map(|it| it.name);
    let css = (!bundle.css.is_empty()).then(|| format!("/pkg/{}", bundle.css));
    view! {
        <!DOCTYPE html>
        <html lang=locale.tag() data-theme=theme.0 data-user=name data-role=role>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="icon" href="data:,"/>
                {css.map(|it| view! { <link rel="stylesheet" href=it/> })}
                {script}
                <MetaTags/>
            </head>
            <body>
                {body}
            </body>
        </html>
    }
}
