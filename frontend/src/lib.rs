//! The WebAssembly entry points: hydrate a page that the server rendered, or mount the app into an empty one.
#![recursion_limit = "256"]

#[cfg(all(target_arch = "wasm32", feature = "hydrate"))]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate(words: String) {
    app::context::load_words(words);
    leptos::mount::hydrate_body(app::App);
}

#[cfg(all(target_arch = "wasm32", feature = "csr"))]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn mount(words: String) {
    app::context::load_words(words);
    leptos::mount::mount_to_body(app::App);
}
