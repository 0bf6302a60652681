//! Refuses requests of web pages, and sets the headers of every response.
//!
//! Clients on the loopback address are trusted, but a browser on this machine sends requests for any web page. DNS
//! rebinding to 127.0.0.1 is detected by the Host, a cross-origin POST by the Origin. Both are refused.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HOST, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::Api;
use crate::error::ApiError;

pub(super) async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let mut response = match check(&request, api.bound) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn check(request: &Request, bound: IpAddr) -> Result<(), ApiError> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(ApiError::HostRefused);
    };
    let is_local_host = |authority: &str| is_local(authority, bound);
    let in_target = request.uri().authority();
    if !host.to_str().is_ok_and(is_local_host)
        || !in_target.is_none_or(|authority| is_local_host(authority.as_str()))
    {
        return Err(ApiError::HostRefused);
    }
    if request.method().is_safe() {
        return Ok(());
    }
    let same_origin =
        |origin: &HeaderValue| origin.as_bytes().strip_prefix(b"http://") == Some(host.as_bytes());
    match request.headers().get(ORIGIN) {
        Some(origin) if !same_origin(origin) => Err(ApiError::OriginRefused),
        _ => Ok(()),
    }
}

/// Whether `host` or `host:port` is a loopback name or address, or the address of the listener.
fn is_local(authority: &str, bound: IpAddr) -> bool {
    if authority.contains('@') {
        return false;
    }
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| {
            address.is_loopback() || (address == bound && !bound.is_unspecified())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_of_this_machine_are_local() {
        let bound = "192.0.2.1".parse().unwrap();
        for host in [
            "localhost",
            "LocalHost:7441",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.9.9.9:80",
            "[::1]:7441",
            "192.0.2.1:7441",
        ] {
            assert!(is_local(host, bound), "{host}");
        }
        for host in [
            "",
            "example.com",
            "example.com:7441",
            "localhost.example.com",
            "192.0.2.2",
            "a@127.0.0.1",
            "127.0.0.1.example.com",
            "0.0.0.0",
            "[::]",
        ] {
            assert!(!is_local(host, bound), "{host}");
        }
        assert!(!is_local("0.0.0.0:7441", "0.0.0.0".parse().unwrap()));
    }
}
