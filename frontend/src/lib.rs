//! The WASM entry point: hydrates the islands of the page.

// Without this `use`, the linker removes the exports of the islands (leptos-rs/leptos#2083).
#[expect(unused_imports, reason = "keeps the exports of the islands")]
use app::*;

/// Called once by the script that loads the WASM.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_islands();
}
