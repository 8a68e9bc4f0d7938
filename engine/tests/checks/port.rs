use std::net::TcpListener;

use serde_json::json;

use crate::support::probe::Stack;
use crate::support::web::{Web, nobody, reply};

#[test]
fn an_open_port_passes_and_a_closed_one_fails() {
    let web = Web::serve(|_| reply(200, ""));
    let mut stack = Stack::new();
    stack.env(&format!("PORT={}\n", web.address.port()));
    let seen =
        stack.see(json!({ "kind": "port", "address": "127.0.0.1:${PORT}" })).passes("accepts connections");
    assert!(seen.finding.value.is_some());
    let closed = nobody();
    let at = json!({ "kind": "port", "address": closed.to_string() });
    stack.see(at).fails(&format!("nothing listens on {closed}"));
    let shut = |address: String| json!({ "kind": "port", "address": address, "open": false });
    stack.see(shut(closed.to_string())).passes("refuses");
    stack.see(shut(web.address.to_string())).fails("accepts connections");
}

#[test]
fn a_port_with_nothing_behind_it_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // What a port forwarder does when nobody listens behind it.
    let forwarder = std::thread::spawn(move || drop(listener.accept()));
    Stack::new().see(json!({ "kind": "port", "address": address.to_string() })).fails("hangs up at once");
    forwarder.join().unwrap();
}

#[test]
fn an_address_that_cannot_be_found_is_inconclusive() {
    let stack = Stack::new();
    stack.see(json!({ "kind": "port", "address": "no-such-host.invalid:80" })).unsure("not known");
    stack
        .see(json!({ "kind": "port", "address": "no-such-host.invalid:80", "open": false }))
        .unsure("not known");
    stack.see(json!({ "kind": "port", "address": "localhost" })).unsure("no host:port");
    stack.see(json!({ "kind": "port", "address": "127.0.0.1:${PORT}" })).unsure("${PORT}");
}
