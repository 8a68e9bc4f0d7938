//! Start-up and routes.

use std::sync::Arc;

use app::notices::Notices;
use app::ssr::NoticeCookie;
use app::{App, shell};
use axum::routing::get;
use axum::{Extension, Router, middleware};
use engine::Engine;
use leptos::config::LeptosOptions;
use leptos_axum::{LeptosRoutes, generate_route_list};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::services::{ServeDir, ServeFile};
use tower_http::set_header::SetResponseHeader;
use tower_sessions::cookie::{SameSite, time::Duration};
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::auth_layer::AuthLayer;
use crate::events::Streams;
use crate::hosts::{HostError, Hosts};
use crate::page_cache::{self, PageCache};
use crate::security::Site;
use crate::settings::Settings;
use crate::{auth_layer, connections, downloads, events, hosts, paths, routes, security, visible};

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The routes and the policy table do not match.
    #[error(transparent)]
    Doors(#[from] routes::RoutesError),
    /// The host names cannot be used.
    #[error(transparent)]
    Hosts(#[from] HostError),
}

/// Routes other than pages and server functions.
const OWN_ROUTES: [&str; 9] = [
    "/healthz",
    "/board.json",
    "/events",
    "/runs/{id}/lines",
    "/runs/{id}/log",
    "/ownership.md",
    "/incidents/{id}/report.md",
    "/favicon.svg",
    "/pkg/{*rest}",
];

/// Serves until `stop` is cancelled.
///
/// # Errors
/// When the routes and the policy table do not match.
pub async fn serve(
    engine: Engine,
    settings: &Settings,
    hosts: Hosts,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let most = connections::prepare();
    let router = router(engine, settings, hosts, stop.clone())?;
    connections::serve(listener, router, most, stop).await;
    Ok(())
}

fn has_hashes() -> bool {
    std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join("hash.txt")))
        .is_some_and(|file| file.is_file())
}

fn router(
    engine: Engine,
    settings: &Settings,
    hosts: Hosts,
    stop: CancellationToken,
) -> Result<Router, ServeError> {
    let options = LeptosOptions::builder()
        .output_name("stagegate")
        .site_root(settings.site.to_string_lossy().into_owned())
        .site_pkg_dir("pkg")
        // Without a file of hashes beside the binary, the files have plain names.
        .hash_files(has_hashes())
        .env(leptos::config::Env::PROD)
        .build();
    let pages = generate_route_list(App);
    let acts: Vec<&str> = leptos::server_fn::axum::server_fn_paths().map(|(path, _)| path).collect();
    routes::check(pages.iter().map(|p| p.path()).chain(acts).chain(OWN_ROUTES))?;

    let site = Site { public_origin: settings.public_url.as_ref().map(|_| Arc::from(hosts.base())) };
    let is_https = site.public_origin.as_deref().is_some_and(|o| o.starts_with("https://"));
    let sessions = SessionManagerLayer::new(engine.sessions())
        .with_name(if is_https { "__Host-stagegate" } else { "stagegate" })
        .with_secure(is_https)
        .with_http_only(true)
        // Lax, not Strict: a user who follows a link from a chat must be signed in. The origin check
        // protects everything that changes state.
        .with_same_site(SameSite::Lax)
        // Counted from sign-in: reading a page writes nothing, so nothing extends the session.
        .with_expiry(Expiry::OnInactivity(Duration::hours(12)));
    let authenticate =
        AuthLayer { engine, notices: Notices::new(), notice_cookie: NoticeCookie { secure: is_https } };
    let assets = SetResponseHeader::overriding(
        ServeDir::new(settings.site.join("pkg")).precompressed_br().precompressed_gzip(),
        http::header::CACHE_CONTROL,
        http::HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    let shell_options = options.clone();
    let fallback_options = options.clone();
    let router = Router::new()
        .leptos_routes(&options, pages, move || shell(shell_options.clone()))
        .route("/events", get(events::events))
        .route("/runs/{id}/lines", get(downloads::lines))
        .route("/runs/{id}/log", get(downloads::log))
        .route("/board.json", get(downloads::board))
        .route("/ownership.md", get(downloads::ownership))
        .route("/incidents/{id}/report.md", get(downloads::incident))
        .fallback(leptos_axum::render_app_to_stream(move || shell(fallback_options.clone())))
        .with_state(options)
        .layer(Extension(stop))
        .layer(Extension(Streams::default()))
        .layer(middleware::from_fn(visible::show_hidden))
        // A page that many open tabs reload at once is compressed once; the layer above shares it.
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(PageCache::default(), page_cache::share))
        .layer(middleware::from_fn_with_state(authenticate, auth_layer::authenticate))
        .layer(sessions)
        // Files need no session, and must not create one.
        .route("/healthz", get(downloads::healthz))
        .route_service("/favicon.svg", ServeFile::new(settings.site.join("favicon.svg")))
        .nest_service("/pkg", assets)
        .layer(middleware::from_fn_with_state(site.clone(), security::origin_gate))
        .layer(middleware::from_fn(paths::gate))
        .layer(middleware::from_fn_with_state(hosts, hosts::gate))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(site, security::headers));
    Ok(router)
}
