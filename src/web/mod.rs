//! The web listener: pages that people reach from a notice.
//!
//! Invariant: a GET changes nothing, because mail scanners follow links.

use crate::clock::Clock;
use crate::delivery::unsubscribe::UnsubscribeLinks;
use crate::notice::template::Templates;
use crate::store::Store;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the pages need.
#[derive(Clone, Debug)]
pub struct Web {
    pub store: Store,
    pub links: UnsubscribeLinks,
    pub clock: Clock,
    /// Name shown on the pages.
    pub brand: String,
    pub templates: Arc<Templates>,
}

/// The routes of the listener.
pub fn router(web: Web) -> Router {
    Router::new()
        .route("/unsubscribe/{token}", get(ask).post(unsubscribe))
        .with_state(web)
}

/// Serves until asked to stop, and finishes requests under way.
pub async fn serve(
    listener: TcpListener,
    web: Web,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(web))
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await
}

/// Sentences of a page in one language.
struct Words {
    language: &'static str,
    title: &'static str,
    ask: &'static str,
    button: &'static str,
    done: &'static str,
    unknown: &'static str,
    failed: &'static str,
}

const ENGLISH: Words = Words {
    language: "en",
    title: "Notices about faults",
    ask: "Shall we stop writing to you about faults on your line? You will not be told when your service is interrupted, nor when it is back.",
    button: "Stop these notices",
    done: "Done. You will get no more notices about faults.",
    unknown: "This link is not complete or no longer valid. Please copy it again from the message.",
    failed: "This did not work just now. Please try again in a few minutes.",
};

const ITALIAN: Words = Words {
    language: "it",
    title: "Avvisi sui guasti",
    ask: "Vuoi che non ti scriviamo più dei guasti sulla tua linea? Non saprai da noi quando il servizio si interrompe né quando torna.",
    button: "Non voglio più avvisi",
    done: "Fatto. Non riceverai più avvisi sui guasti.",
    unknown: "Questo link è incompleto o non più valido. Copialo di nuovo dal messaggio.",
    failed: "In questo momento non ha funzionato. Riprova tra qualche minuto.",
};

async fn ask(State(web): State<Web>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let Some(account) = web.links.account(&token) else {
        let words = web.words(None, &headers).await;
        return web.page(StatusCode::NOT_FOUND, words, words.unknown, false);
    };
    let words = web.words(Some(&account), &headers).await;
    web.page(StatusCode::OK, words, words.ask, true)
}

/// The button of the page and the one-click request of a mail program (RFC 8058) alike: the body
/// of neither says more than the link.
async fn unsubscribe(
    State(web): State<Web>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(account) = web.links.account(&token) else {
        let words = web.words(None, &headers).await;
        return web.page(StatusCode::NOT_FOUND, words, words.unknown, false);
    };
    let words = web.words(Some(&account), &headers).await;
    match web.opt_out(&account).await {
        Ok(()) => web.page(StatusCode::OK, words, words.done, false),
        Err(error) => {
            tracing::error!(%error, "an opt-out could not be written");
            web.page(StatusCode::SERVICE_UNAVAILABLE, words, words.failed, true)
        }
    }
}

impl Web {
    async fn opt_out(&self, account: &str) -> crate::store::Result<()> {
        let mut tx = self.store.begin().await?;
        tx.opt_out(account, self.clock.now_ms(), "link").await?;
        tx.commit().await
    }

    /// In the person's language, or else the browser's.
    async fn words(&self, account: Option<&str>, headers: &HeaderMap) -> &'static Words {
        let mut wanted = None;
        if let Some(account) = account {
            let found = self.store.addressees(&[account.to_owned()]).await;
            wanted = found
                .ok()
                .and_then(|people| people.get(account).map(|person| person.language.clone()));
        }
        let wanted = wanted.or_else(|| {
            let value = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
            value.split([',', ';']).next().map(str::to_owned)
        });
        match self.templates.language_for(&wanted.unwrap_or_default()) {
            "it" => &ITALIAN,
            _ => &ENGLISH,
        }
    }

    fn page(&self, status: StatusCode, words: &Words, sentence: &str, button: bool) -> Response {
        let brand = escape(&self.brand);
        let form = if button {
            format!(
                "<form method=\"post\"><button type=\"submit\">{}</button></form>",
                words.button
            )
        } else {
            String::new()
        };
        let page = format!(
            "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex\"><title>{}</title><style>{STYLE}</style></head>\
             <body><main><p class=\"brand\">{brand}</p><h1>{}</h1><p>{sentence}</p>{form}</main>\
             </body></html>",
            words.language, words.title, words.title
        );
        let headers = [
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
            ),
        ];
        (status, headers, Html(page)).into_response()
    }
}

const STYLE: &str = ":root{color-scheme:light dark}\
body{margin:0;font:17px/1.55 system-ui,sans-serif;background:Canvas;color:CanvasText}\
main{max-width:34rem;margin:12vh auto 0;padding:0 1.5rem}\
.brand{font-weight:600;opacity:.7;margin:0 0 1.5rem}\
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .75rem}\
button{margin-top:.5rem;font:inherit;font-weight:600;padding:.7rem 1.2rem;border:0;\
border-radius:6px;background:#0b57c2;color:#fff;cursor:pointer}\
button:focus-visible{outline:3px solid #8ab8ff;outline-offset:2px}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
