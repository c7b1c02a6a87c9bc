//! Basic authentication, once `http.user` is set: [`require`].

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::Response;
use wire::base64;

use super::{HttpContext, answer, body};
use crate::config::Credentials;

/// ILP clients ask these before they log in, and give up for good on any refusal.
const OPEN: [&str; 2] = ["/settings", "/ping"];

/// Lets a request through that needs no credentials or has the right ones; else answers 401.
pub async fn require(State(context): State<Arc<HttpContext>>, request: Request, next: Next) -> Response {
    let allowed = match &context.live.get().http_credentials {
        None => true,
        Some(_) if OPEN.contains(&request.uri().path()) => true,
        Some(own) => request.headers().get(AUTHORIZATION).is_some_and(|header| matches(header, own)),
    };
    if allowed {
        return next.run(request).await;
    }
    body::discard(request.into_body()).await;
    let mut response = answer::with(StatusCode::UNAUTHORIZED, answer::TEXT, "Unauthorized\r\n");
    response
        .headers_mut()
        .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"stillpoint\", charset=\"UTF-8\""));
    response
}

fn matches(header: &HeaderValue, own: &Credentials) -> bool {
    let Some((scheme, encoded)) = header.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return false;
    };
    let Some(given) = base64::decode(encoded.trim()).filter(|_| scheme.eq_ignore_ascii_case("basic")) else {
        return false;
    };
    same(&given, format!("{}:{}", own.user, own.password).as_bytes())
}

/// Compares without giving away, by its time, how far two secrets agree.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_user_and_password_match() {
        let own = Credentials { user: "joe".to_owned(), password: "s:é".to_owned() };
        let check = |header: &str, expected| {
            assert_eq!(matches(&HeaderValue::from_str(header).unwrap(), &own), expected, "{header}");
        };
        check("Basic am9lOnM6w6k=", true);
        check("basic am9lOnM6w6k", true);
        check("Basic am9lOnM6w6g=", false);
        check("Basic am9lOg==", false);
        check("Basic !!!", false);
        check("Basic", false);
        check("Bearer am9lOnM6w6k=", false);
        check("Token am9lOnM6w6k=", false);
    }
}
