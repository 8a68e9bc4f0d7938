//! The WASM entry: wakes the islands of the page.

// Without a use of `app` the linker drops the islands' exports (leptos-rs/leptos#2083).
#[expect(unused_imports, reason = "keeps the islands' exports")]
use app::*;

/// Called once by the script that loads the WASM.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_islands();
}
