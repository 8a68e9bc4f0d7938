//! The document around every page: head, header and notices. It only loads the verdict from the engine; each page
//! loads its own data.

use domain::action::Action;
use domain::pages::Page;
use http::header::CONTENT_SECURITY_POLICY;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use leptos::config::LeptosOptions;
use leptos::hydration::HydrationScripts;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_axum::ResponseOptions;
use leptos_meta::{HashedStylesheet, MetaTags, Title, provide_meta_context};
use leptos_router::components::{Router, Routes};

use crate::live::Live;
use crate::navigation::navigation;
use crate::pages::PageRoutes;
use crate::people::SignOut;
use crate::ssr::{Flash, RequestContext};
use crate::ui::{Icon, NOTICE_TEXT, envelope, escaped, icon};

/// Sets the selected theme before the first paint and marks the document as running scripts. The selection is stored in
/// the browser under `stagegate-theme` (`light` or `dark`; if it is absent, the system setting applies).
const BOOT: &str = "(()=>{const r=document.documentElement;r.dataset.js='';try{const t=localStorage.getItem('stagegate-theme');if(t==='light'||t==='dark')r.dataset.theme=t}catch{}\
const i=window.requestIdleCallback;if(i)window.requestIdleCallback=(f,o)=>i.call(window,f,{timeout:200,...o})})()";

/// The HTML document. Sets the Content-Security-Policy with this response's nonce.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let nonce = use_nonce().map(|n| n.to_string()).unwrap_or_default();
    if let Some(response) = use_context::<ResponseOptions>()
        && let Ok(policy) = HeaderValue::from_str(&content_policy(&nonce))
    {
        response.insert_header(CONTENT_SECURITY_POLICY, policy);
    }
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name="referrer" content="same-origin" />
                <link rel="icon" type="image/svg+xml" href="/favicon.svg" />
                <script nonce=nonce>{BOOT}</script>
                <HashedStylesheet options=options.clone() id="style" />
                <HydrationScripts options=options islands=true />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// The Content-Security-Policy: own files only, and scripts only with the nonce.
fn content_policy(nonce: &str) -> String {
    let script = if nonce.is_empty() {
        "script-src 'none'".to_owned()
    } else {
        format!("script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'")
    };
    let style = if nonce.is_empty() {
        "style-src 'self'".to_owned()
    } else {
        format!("style-src 'self' 'nonce-{nonce}'")
    };
    format!(
        "default-src 'none'; {script}; {style}; connect-src 'self'; img-src 'self' data:; \
         font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
         object-src 'none'"
    )
}

/// The context of the request. Absent while the routes are listed at start-up.
fn context() -> Option<RequestContext> {
    use_context::<Parts>()?.extensions.get::<RequestContext>().cloned()
}

/// Header, notice and routes.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let context = context();
    let stack = context.as_ref().map(|v| v.engine.stack_name()).unwrap_or_default();
    let title = move |page: String| document_title(&page, &stack);
    let notice = context.as_ref().and_then(|v| v.flash.clone()).map(|f| notice(&f));
    view! {
        <Title formatter=title />
        <a class="skip" href="#main">"Skip to content"</a>
        {context.map(header)}
        <main class="page" id="main" tabindex="-1">
            {notice}
            <Router>
                <Routes fallback=NotFound>
                    <PageRoutes />
                </Routes>
            </Router>
        </main>
    }
}

/// The document title. It is escaped here because the view layer does not escape it.
fn document_title(page: &str, stack: &str) -> String {
    escaped(&match (page.is_empty(), stack.is_empty()) {
        (true, true) => "Stagegate".to_owned(),
        (true, false) => format!("{stack} · Stagegate"),
        (false, true) => format!("{page} · Stagegate"),
        (false, false) => format!("{page} · {stack}"),
    })
}

/// The page for unknown addresses.
#[component]
fn NotFound() -> impl IntoView {
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(StatusCode::NOT_FOUND);
    }
    view! {
        <Title text="Not found" />
        <div class="page__head">
            <h1>"Page not found"</h1>
        </div>
        <p class="lede">
            "The address may be wrong, or the item may have been removed from the runbook."
        </p>
        <p>
            <a class="btn" href=Page::Board.href()>"Go to the board"</a>
        </p>
    }
}

/// The message of the last action. A refusal takes the focus, so that it is read out and the next Tab leads into the
/// page. It is not an alert as well: some screen readers would announce it twice.
fn notice(flash: &Flash) -> AnyView {
    let shape = if flash.ok { Icon::Check } else { Icon::Cross };
    let text = flash.text.clone();
    let text = view! { <p class="wrap" id=NOTICE_TEXT>{icon(shape)} " " {text}</p> };
    if flash.ok {
        return view! { <div class="notice notice--ok" role="status" id="notice">{text}</div> }.into_any();
    }
    view! {
        <div
            class="notice notice--error"
            role="group"
            aria-labelledby=NOTICE_TEXT
            id="notice"
            tabindex="-1"
            autofocus=true
        >
            {text}
        </div>
    }
    .into_any()
}

/// The run shown on the page, so that the event stream includes its progress.
fn run_of(path: &str) -> Option<i64> {
    path.strip_prefix("/runs/")?.split(['?', '#', '/']).next()?.parse().ok()
}

fn header(context: RequestContext) -> AnyView {
    let stack = context.engine.stack_name();
    let brand = view! {
        <a class="top__brand" href=Page::Board.href()>
            {icon(Icon::Gate)}
            <span class="clip">{stack}</span>
        </a>
    };
    if context.actor.is_none() {
        return view! { <header class="top">{brand}</header> }.into_any();
    }
    let run = run_of(&context.path);
    view! {
        <header class="top">
            {brand}
            <div class="top__end">
                {pill(context.clone())}
                <Live run=run />
                {person(&context)}
            </div>
            {navigation(&context)}
        </header>
    }
    .into_any()
}

/// The verdict in the header of every page.
fn pill(context: RequestContext) -> AnyView {
    let verdict = async move {
        let top = context.engine.top(context.actor()?).await?;
        Ok::<_, engine::Error>(top.verdict)
    };
    view! {
        <Suspense>
            {Suspend::new(async move {
                verdict.await.ok().map(|v| verdict_pill(v.is_go(), v.label(), &v.line()))
            })}
        </Suspense>
    }
    .into_any()
}

fn verdict_pill(go: bool, label: String, line: &str) -> AnyView {
    let (class, shape) = if go { ("pill pill--go", Icon::Check) } else { ("pill pill--no-go", Icon::Cross) };
    let spoken = format!("Verdict: {line}");
    view! {
        <a class=class href=Page::Board.href() data-live="verdict-pill" aria-label=spoken>
            {icon(shape)}
            {label}
        </a>
    }
    .into_any()
}

/// Name, roles, account, theme, keyboard shortcuts, sign-out.
fn person(context: &RequestContext) -> AnyView {
    let Some(actor) = &context.actor else { return ().into_any() };
    let name = actor.name.clone();
    let roles: Vec<&str> = actor.roles.iter().map(|r| r.label()).collect();
    let roles = if roles.is_empty() { "no role".to_owned() } else { roles.join(", ") };
    view! {
        <details class="menu">
            <summary>{icon(Icon::Person)} <span class="clip">{name}</span></summary>
            <div class="menu__panel">
                <p class="small muted">{roles}</p>
                <a class="btn" href=Page::Account.href()>"Account and password"</a>
                <button type="button" class="btn needs-js" data-theme-toggle="">
                    "Switch between light and dark"
                </button>
                <button type="button" class="btn needs-js" data-keys-open="">
                    "Keyboard shortcuts"
                </button>
                <form method="post" action=SignOut::url()>
                    {envelope(context, Action::SignOut.name())} <button type="submit" class="btn">"Sign out"</button>
                </form>
            </div>
        </details>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_scripts_by_nonce_only() {
        let policy = content_policy("abc");
        assert!(policy.contains("script-src 'nonce-abc' 'strict-dynamic' 'wasm-unsafe-eval';"));
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"));
        assert!(content_policy("").contains("script-src 'none'"));
    }

    #[test]
    fn a_refusal_takes_the_focus_and_is_no_alert_as_well() {
        let html = |ok| {
            let flash = Flash { ok, text: "<b>".to_owned(), ..Flash::default() };
            let out = crate::ui::samples::html(move || notice(&flash));
            crate::ui::snapshot::assert_references(&out);
            assert!(out.contains("id=\"notice\"") && out.contains("id=\"notice-text\""), "{out}");
            assert!(out.contains("&lt;b&gt;"), "{out}");
            out
        };
        let refused = html(false);
        assert!(refused.contains("tabindex=\"-1\"") && refused.contains(" autofocus"), "{refused}");
        assert!(!refused.contains("alert") && !refused.contains("status"), "{refused}");
        let done = html(true);
        assert!(done.contains("role=\"status\"") && !done.contains("autofocus"), "{done}");
    }

    #[test]
    fn a_title_contains_no_markup() {
        let title = document_title("</title><script>", "A & B");
        assert_eq!(title, "&lt;/title&gt;&lt;script&gt; · A &amp; B");
    }

    #[test]
    fn only_a_run_page_follows_a_run() {
        assert_eq!(run_of("/runs/12#L3"), Some(12));
        assert_eq!(run_of("/runs"), None);
        assert_eq!(run_of("/gates/12"), None);
    }
}
