//! `/openapi.json` and the page that shows it. The page is part of the program and asks no other server for anything.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use cita_protocol::ErrorCode;
use utoipa_swagger_ui::{Config, SwaggerFile};

use super::problem::Refused;
use super::{Shared, openapi};

/// Path of the OpenAPI document.
pub const OPENAPI_PATH: &str = "/openapi.json";
/// Path of the page.
pub const DOCS_PATH: &str = "/docs/";

/// The browser is told as well: nothing from elsewhere. Swagger UI sets styles in its elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(openapi::document().to_string()));

/// The document and its page.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route(OPENAPI_PATH, get(document))
        .route("/docs", get(|| async { Redirect::permanent(DOCS_PATH) }))
        .route(DOCS_PATH, get(|| async { file("index.html") }))
        .route("/docs/{file}", get(|Path(name): Path<String>| async move { file(&name) }))
}

async fn document() -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
    (headers, DOCUMENT.clone()).into_response()
}

fn file(name: &str) -> Response {
    // Without "none" the page sends the document to a validator on the internet.
    let config = Config::from(OPENAPI_PATH).validator_url("none").persist_authorization(false);
    match utoipa_swagger_ui::serve(name, Arc::new(config)) {
        Ok(Some(file)) => send(file),
        Ok(None) => Refused::from(ErrorCode::NotFound).into_response(),
        Err(error) => {
            tracing::error!(%error, "a file of the documentation page cannot be made");
            Refused::from(ErrorCode::Internal).into_response()
        }
    }
}

fn send(file: SwaggerFile<'_>) -> Response {
    let content_type =
        HeaderValue::from_str(&file.content_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (headers, file.bytes.into_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    async fn text(name: &str) -> String {
        let bytes = axum::body::to_bytes(file(name).into_body(), usize::MAX).await.expect("a body in memory");
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn the_page_asks_no_other_server() {
        let page = text("index.html").await;
        assert!(page.contains("swagger-initializer.js"));
        assert!(!page.contains("://"), "{page}");
        let config = text("swagger-initializer.js").await;
        assert!(
            config.contains(r#""url": "/openapi.json""#) && config.contains(r#""validatorUrl": "none""#),
            "{config}"
        );
        assert_eq!(file("swagger-ui-bundle.js").status(), StatusCode::OK);
        assert_eq!(file("../Cargo.toml").status(), StatusCode::NOT_FOUND);
    }
}
