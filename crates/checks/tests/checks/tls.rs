use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::authority::{Authority, Identity};
use crate::support::nginx::{Nginx, Server, plain, tls};
use crate::support::probe::Stack;
use crate::support::web::nobody;

const NAME: &str = "web.test";

/// A stack that trusts `authority` through its file `ca.pem`.
fn trusting(authority: &Authority) -> Stack {
    let stack = Stack::new();
    stack.file("ca.pem", &authority.pem);
    stack
}

fn ask(at: impl std::fmt::Display) -> Value {
    json!({ "kind": "tls", "address": at.to_string(), "server_name": NAME, "ca": "ca.pem" })
}

/// An nginx that serves these identities, one a port.
fn serving(stack: &Stack, identities: &[Identity]) -> Nginx {
    let servers: Vec<Server> = identities
        .iter()
        .enumerate()
        .map(|(n, one)| tls(&format!("{} return 200 ok;", one.for_nginx(&stack.dir(), &format!("id{n}")))))
        .collect();
    Nginx::start("", &servers)
}

#[test]
fn a_good_certificate_passes_with_its_days_left() {
    let authority = Authority::new("Test Root");
    let mut stack = trusting(&authority);
    let nginx = serving(&stack, &[authority.sign(&[NAME, "localhost", "127.0.0.1"], -1, 90)]);
    let at = nginx.at[0];
    let seen = stack.see_want(ask(at), ">= 14 d").passes("trusted certificate for web.test by Test Root");
    let days = seen.finding.value.unwrap();
    assert!(
        (89.0..=90.0).contains(&days) && seen.finding.saw.contains("89.9 days left"),
        "{:?}",
        seen.finding
    );
    stack.see_want(ask(at), ">= 91 d").fails("89.9 days left");
    stack.see_want(ask(at), ">= 24 h").passes("days left");
    stack.see(ask(at)).passes("trusted certificate");
    // The name may come from the address, and the address from a declared URL.
    stack.url("web", format!("https://localhost:{}/path", at.port()));
    stack.see(json!({ "kind": "tls", "address": "${web}", "ca": "ca.pem" })).passes("for localhost");
    stack.see(json!({ "kind": "tls", "address": at.to_string(), "ca": "ca.pem" })).passes("for 127.0.0.1");
}

#[test]
fn wrong_dates_and_names_fail_and_are_all_reported() {
    let authority = Authority::new("Test Root");
    let stack = trusting(&authority);
    let nginx = serving(
        &stack,
        &[
            authority.sign(&[NAME], -40, -3),
            authority.sign(&[NAME], 2, 90),
            authority.sign(&["other.test", "www.other.test"], -1, 90),
            authority.sign(&["other.test"], -40, -3),
        ],
    );
    let seen = stack.see_want(ask(nginx.at[0]), ">= 14 d").fails("the certificate expired 3 d");
    assert!(seen.finding.value.unwrap() < -2.9, "{:?}", seen.finding);
    assert!(seen.finding.next.contains("Renew"), "{:?}", seen.finding);
    stack.see(ask(nginx.at[1])).fails("not valid before");
    stack.see(ask(nginx.at[2])).fails("is for other.test, www.other.test, not for web.test");
    let both = stack.see(ask(nginx.at[3])).fails("expired");
    assert!(both.finding.saw.contains("not for web.test"), "{:?}", both.finding);
}

#[test]
fn untrusted_chains_fail_with_the_reason() {
    let (authority, stranger) = (Authority::new("Test Root"), Authority::new("Stranger Root"));
    let between = authority.under("Test Intermediate", 60);
    let ended = authority.under("Ended Intermediate", -2);
    let stack = trusting(&authority);
    let nginx = serving(
        &stack,
        &[
            Identity::of_nobody(&[NAME]),
            stranger.sign(&[NAME], -1, 90),
            between.sign(&[NAME], -1, 90),
            between.sign(&[NAME], -1, 90).with(&between),
            ended.sign(&[NAME], -1, 90).with(&ended),
        ],
    );
    stack.see(ask(nginx.at[0])).fails("self-signed");
    stack.see(ask(nginx.at[1])).fails("issuer Stranger Root is not trusted");
    stack.see(ask(nginx.at[2])).fails("sends no intermediate");
    // The chain expires with the first of its certificates.
    let seen =
        stack.see_want(ask(nginx.at[3]), ">= 61 d").fails("intermediate Test Intermediate expires first");
    assert!((59.0..=60.0).contains(&seen.finding.value.unwrap()), "{:?}", seen.finding);
    stack.see_want(ask(nginx.at[3]), ">= 30 d").passes("59.9 days left");
    stack.see(ask(nginx.at[4])).fails("intermediate certificate of the chain has expired");
}

#[test]
fn without_a_file_the_authorities_of_the_host_decide() {
    let authority = Authority::new("Test Root");
    let mut stack = trusting(&authority);
    let nginx = serving(&stack, &[authority.sign(&["localhost"], -1, 90)]);
    let address = format!("localhost:{}", nginx.at[0].port());
    let tls = json!({ "kind": "tls", "address": address });
    let http = json!({ "kind": "http", "url": format!("https://{address}/") });
    std::fs::create_dir(stack.dir().join("none")).unwrap();
    let path = |name: &str| stack.dir().join(name).display().to_string();
    let name = |file: &str| vec![("SSL_CERT_FILE", path(file)), ("SSL_CERT_DIR", path("none"))];
    let (known, stranger, nobody) = (name("ca.pem"), name("other.pem"), name("none.pem"));
    stack.file("other.pem", &Authority::new("Stranger Root").pem);
    stack.vars = known;
    stack.see(tls.clone()).passes("for localhost by Test Root");
    stack.see(http.clone()).passes("status 200");
    stack.vars = stranger;
    stack.see(tls.clone()).fails("issuer Test Root is not trusted");
    stack.see(http.clone()).unsure("certificate");
    stack.file("none.pem", "");
    stack.vars = nobody;
    stack.see(tls).unsure("this host has no usable CA certificate");
    stack.see(http).unsure("");
}

#[test]
fn a_server_without_tls_is_not_the_same_as_no_server() {
    let authority = Authority::new("Test Root");
    let mut stack = trusting(&authority);
    let nginx = Nginx::start("", &[plain("return 200 ok;"), tls("ssl_reject_handshake on;")]);
    stack.see(ask(nginx.at[0])).fails("does not use TLS");
    stack.see(ask(nginx.at[1])).fails("unrecognised name");
    stack.see(ask(nobody())).unsure("nothing listens on this address");
    stack.see(ask("no-such-host.invalid")).unsure("does not resolve");
    // A server that accepts and sends nothing, and one that closes the connection.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = mute.local_addr().unwrap();
    let keeper = std::thread::spawn(move || {
        let (mut stream, _) = mute.accept().unwrap();
        let mut all = vec![];
        // Until the check has timed out.
        let _ = stream.read_to_end(&mut all);
    });
    stack.timeout = Duration::from_millis(1_500);
    let seen = stack.see(ask(at));
    assert_eq!(seen.finding.outcome, domain::evidence::Outcome::Inconclusive, "{:?}", seen.finding);
    keeper.join().unwrap();
    stack.timeout = Duration::from_secs(20);
    let rude = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = rude.local_addr().unwrap();
    let hangs_up = std::thread::spawn(move || drop(rude.accept()));
    stack.see(ask(at)).unsure("");
    hangs_up.join().unwrap();
}

#[test]
fn declarations_that_cannot_be_used_are_inconclusive() {
    let stack = Stack::new();
    stack.see(ask("127.0.0.1:1")).unsure("ca.pem cannot be read");
    stack.file("ca.pem", "no certificate at all\n");
    stack.see(ask("127.0.0.1:1")).unsure("contains no PEM certificate");
    stack.file("ca.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    stack.see(ask("127.0.0.1:1")).unsure("ca.pem");
    stack.see(json!({ "kind": "tls", "address": "${nowhere}" })).unsure("${nowhere}");
    stack.see(json!({ "kind": "tls", "address": "http://a" })).unsure("no certificate");
    stack
        .see(json!({ "kind": "tls", "address": "a", "server_name": "not a name" }))
        .unsure("is not a host name");
}
