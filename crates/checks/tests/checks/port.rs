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
    // Behaves like a port forwarder without a service behind it.
    let forwarder = std::thread::spawn(move || drop(listener.accept()));
    Stack::new().see(json!({ "kind": "port", "address": address.to_string() })).fails("closes them at once");
    forwarder.join().unwrap();
}

#[test]
fn an_address_that_cannot_be_found_is_inconclusive() {
    let stack = Stack::new();
    stack.see(json!({ "kind": "port", "address": "no-such-host.invalid:80" })).unsure("does not resolve");
    stack
        .see(json!({ "kind": "port", "address": "no-such-host.invalid:80", "open": false }))
        .unsure("does not resolve");
    stack.see(json!({ "kind": "port", "address": "localhost" })).unsure("is not host:port");
    stack.see(json!({ "kind": "port", "address": "127.0.0.1:${PORT}" })).unsure("${PORT}");
}

#[test]
fn addresses_of_either_family_and_names_are_tried() {
    let six = TcpListener::bind("[::1]:0");
    let stack = Stack::new();
    if let Ok(six) = six {
        let at = six.local_addr().unwrap();
        // Kept open, so that connections are not closed.
        let keeper = std::thread::spawn(move || six.accept().map(|(stream, _)| stream));
        stack.see(json!({ "kind": "port", "address": at.to_string() })).passes(&format!("{at} accepts"));
        drop(keeper.join().unwrap());
        stack
            .see(json!({ "kind": "port", "address": at.to_string() }))
            .fails(&format!("nothing listens on {at}"));
    }
    let web = Web::serve(|_| reply(200, ""));
    let named = format!("localhost:{}", web.address.port());
    stack.see(json!({ "kind": "port", "address": named })).passes("127.0.0.1");
    let shut = json!({ "kind": "port", "address": format!("localhost:{}", nobody().port()), "open": false });
    stack.see(shut).passes("127.0.0.1");
    let spec = json!({ "kind": "port", "address": web.address.to_string() });
    stack.see_want(spec.clone(), "< 3 s").passes("accepts");
    stack.see_want(spec, "< 0 ms").fails("accepts");
}

/// A port that neither accepts nor refuses: its queue is full, so the kernel drops packets, as a
/// firewall does.
#[tokio::test]
async fn no_response_is_not_a_refusal() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = vec![];
    for _ in 0..8 {
        let connecting = tokio::net::TcpStream::connect(address);
        match tokio::time::timeout(std::time::Duration::from_millis(300), connecting).await {
            Ok(stream) => held.push(stream.unwrap()),
            Err(_) => break,
        }
    }
    let seen = tokio::task::spawn_blocking(move || {
        let spec = |open: bool| json!({ "kind": "port", "address": address.to_string(), "open": open });
        [true, false].map(|open| Stack::new().see(spec(open)))
    });
    for seen in seen.await.unwrap() {
        let seen = seen.unsure("neither accepted nor refused");
        assert!(seen.finding.next.contains("firewall"), "{:?}", seen.finding);
    }
    drop((held, listener));
}
