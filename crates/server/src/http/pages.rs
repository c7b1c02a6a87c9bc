//! Files under `ROOT/public`: our plain page, or whatever console lies there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use storage::env::Fs;
use storage::env::fs::FileKind;

use super::{HttpContext, answer, parameters, routes};

/// Answers a file, or 404. `/` is the index file.
pub async fn handle(State(context): State<Arc<HttpContext>>, request: Request) -> Response {
    if request.method() != Method::GET {
        return routes::refuse_method(request).await;
    }
    let Some(path) = parameters::decode_path(request.uri().path()) else {
        return answer::not_found();
    };
    let read = tokio::task::spawn_blocking(move || {
        let path = if path == "/" { format!("/{}", context.config.index_file) } else { path };
        let file = find(context.env.fs.as_ref(), &context.public, &path)?;
        Some((mime_type(&path), context.env.fs.read(&file).ok()?))
    });
    match read.await {
        Ok(Some((mime, bytes))) => {
            let mut response = answer::with(StatusCode::OK, mime, bytes);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            response
        }
        _ => answer::not_found(),
    }
}

/// Returns the file that a request's path names. Nothing outside the folder is reached: no step may go up, be hidden or
/// be a symbolic link.
fn find(fs: &dyn Fs, public: &Path, path: &str) -> Option<PathBuf> {
    let mut file = public.to_owned();
    let mut kind = FileKind::Dir;
    for step in path.strip_prefix('/')?.split('/') {
        let bad = step.is_empty() || step.starts_with('.') || step.contains(['\\', '\0']);
        if bad || kind != FileKind::Dir {
            return None;
        }
        file.push(step);
        kind = fs.metadata(&file).ok()?.kind;
    }
    (kind == FileKind::File).then_some(file)
}

fn mime_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "js" | "mjs" => "text/javascript",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "wasm" => "application/wasm",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "txt" | "md" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "text/xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::env::OsFs;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test lays out the folder itself")]
    fn nothing_outside_the_folder_is_reached() {
        let root = std::env::temp_dir().join(format!("stillpoint-pages-{}", std::process::id()));
        let public = root.join("public");
        std::fs::create_dir_all(public.join("assets")).unwrap();
        std::fs::write(root.join("secret"), "x").unwrap();
        std::fs::write(public.join("index.html"), "x").unwrap();
        std::fs::write(public.join("assets/a b.js"), "x").unwrap();
        std::fs::write(public.join(".hidden"), "x").unwrap();
        std::os::unix::fs::symlink(root.join("secret"), public.join("link")).unwrap();
        let fs = OsFs::new();
        let check = |path: &str, expected: bool| assert_eq!(find(&fs, &public, path).is_some(), expected, "{path}");
        check("/index.html", true);
        check("/assets/a b.js", true);
        for bad in [
            "",
            "/",
            "index.html",
            "/assets",
            "/assets/",
            "/../secret",
            "/assets/../../secret",
            "/.hidden",
            "/link",
            "//index.html",
            "/index.html/x",
            "/nope",
            "/..\\secret",
        ] {
            check(bad, false);
        }
        std::fs::remove_dir_all(root).unwrap();
    }
}
