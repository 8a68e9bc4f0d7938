//! `stagegate serve`.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use domain::role::Role;
use engine::{Engine, NewPerson};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CommandResult, own_binary, rustls_ready};
use crate::hosts::{HostError, Hosts};
use crate::port::listen;
use crate::serve::{ServeError, serve};
use crate::{cli, settings};

/// Prints a line. A console that was closed is no reason to stop serving.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = crate::console::line(format_args!($($text)*));
    }};
}

/// After the signal, streams get this long to end.
const GRACE: Duration = Duration::from_secs(3);

/// Serves until SIGINT or SIGTERM.
pub async fn run(args: cli::Serve) -> CommandResult {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("STAGEGATE_LOG")
                .unwrap_or_else(|_| "warn,engine=info,server=info,tower_sessions=error".into()),
        )
        .with_writer(std::io::stderr)
        // An error about a closed standard error would be printed there, and panic.
        .log_internal_errors(false)
        .init();
    rustls_ready();
    let settings = settings::settle(&args, &settings::read_file(&args.stack.config)?)?;
    let engine = Engine::open(settings.config.clone(), settings.data.clone(), own_binary()?).await?;
    let listener = listen(settings.listen, |holder| {
        say!("{} is still in use by {holder}; retrying for a few seconds.", settings.listen);
    })
    .await?;
    let address = listener.local_addr()?;
    let hosts = Hosts::of(address, settings.public_url.as_deref(), &settings.allowed_hosts)?;
    if !settings.share_host {
        for url in engine.stack_urls().await? {
            hosts.refuse_shared(&url)?;
        }
        let hosts = hosts.clone();
        engine.refuse_urls(move |url| hosts.refuse_shared(url).map_err(HostError::while_running));
    }
    let base = hosts.base().to_owned();
    engine.start_up().await?;
    say!("Stagegate serves the board of {} at {base}", engine.stack_name());
    say!("Data directory: {}", settings.data.display());
    greet(&engine, &base, settings.demo).await?;

    let stop = CancellationToken::new();
    let server = tokio::spawn({
        let (engine, settings, stop) = (engine.clone(), settings.clone(), stop.clone());
        async move { serve(engine, &settings, hosts, listener, stop).await }
    });
    let ended = server_or_signal(server, &stop).await;
    engine.close().await;
    ended?;
    Ok(ExitCode::SUCCESS)
}

async fn server_or_signal(
    mut server: tokio::task::JoinHandle<Result<(), ServeError>>,
    stop: &CancellationToken,
) -> Result<(), Box<dyn Error>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = &mut server => return Ok(ended??),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    say!("Stopping. Runs continue and are resumed at the next start.");
    stop.cancel();
    // A browser that keeps its connection open must not keep the server running.
    match tokio::time::timeout(GRACE, &mut server).await {
        Ok(ended) => Ok(ended??),
        Err(_) => {
            server.abort();
            Ok(())
        }
    }
}

/// Prints the links that the first people need.
async fn greet(engine: &Engine, base: &str, demo: bool) -> Result<(), Box<dyn Error>> {
    if demo {
        say!("\nDemo accounts; each link works once and asks you to choose a password:");
        for person in demo_people() {
            let roles: Vec<&str> = person.roles.iter().map(|r| r.label()).collect();
            let path = match engine.is_known(&person.login) {
                false => engine.add_person(&person).await?,
                true => engine.person_link(&person.login, store::links::LinkKind::SignIn).await?,
            };
            say!("  {:<8} {:<18} {base}{path}", person.name, roles.join(", "));
        }
        say!("");
    } else if engine.is_new() {
        let path = engine.setup_link().await?;
        say!(
            "\nThere are no accounts yet. Use this link to create the first admin; it is valid for seven days:"
        );
        say!("  {base}{path}\n");
    }
    Ok(())
}

fn demo_people() -> Vec<NewPerson> {
    let person = |name: &str, roles: &[Role]| NewPerson {
        name: name.to_owned(),
        login: name.to_lowercase(),
        roles: roles.to_vec(),
    };
    vec![
        person("Dana", &[Role::DevOps, Role::Admin]),
        person("Bela", &[Role::Backend]),
        person("Femi", &[Role::Frontend]),
        person("Quinn", &[Role::Qa]),
        person("Sina", &[Role::Security]),
        person("Doro", &[Role::Docs]),
        person("Pia", &[Role::Po]),
    ]
}
