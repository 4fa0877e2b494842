//! The web listener: pages that people reach from a notice.
//!
//! Invariant: a GET changes nothing, because mail scanners follow links.

use crate::clock::Clock;
use crate::delivery::unsubscribe::UnsubscribeLinks;
use crate::notice::Addressee;
use crate::notice::template::Templates;
use crate::store::Store;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
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
    /// Shown as it is; empty shows none.
    pub phone: String,
    pub templates: Arc<Templates>,
}

/// The routes of the listener.
pub fn router(web: Web) -> Router {
    Router::new()
        .route("/unsubscribe/{token}", get(ask).post(unsubscribe))
        .route("/unsubscribe/{token}/undo", post(undo))
        .fallback(nothing_here)
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
    already: &'static str,
    undo: &'static str,
    undone: &'static str,
    call: &'static str,
    nothing_here: &'static str,
    unknown: &'static str,
    failed: &'static str,
}

const ENGLISH: Words = Words {
    language: "en",
    title: "Notices about faults",
    ask: "Shall we stop writing to you about faults on your line? You will not be told when your service is interrupted, nor when it is back.",
    button: "Stop these notices",
    done: "Done. You will get no more notices about faults.",
    already: "You get no notices about faults, as you asked.",
    undo: "I want these notices after all",
    undone: "You will hear from us again when there is a fault on your line.",
    call: "Would you rather talk to us?",
    nothing_here: "There is no page at this address. Please copy the link again from the message.",
    unknown: "This link is not complete or no longer valid. Please copy it again from the message.",
    failed: "This did not work just now. Please try again in a few minutes.",
};

const ITALIAN: Words = Words {
    language: "it",
    title: "Avvisi sui guasti",
    ask: "Vuoi che non ti scriviamo più dei guasti sulla tua linea? Non saprai da noi quando il servizio si interrompe né quando torna.",
    button: "Non voglio più avvisi",
    done: "Fatto. Non riceverai più avvisi sui guasti.",
    already: "Come hai chiesto, non ricevi avvisi sui guasti.",
    undo: "Voglio di nuovo ricevere gli avvisi",
    undone: "Ti scriveremo di nuovo se c’è un guasto sulla tua linea.",
    call: "Vuoi parlarne con noi?",
    nothing_here: "A questo indirizzo non c’è nessuna pagina. Copia di nuovo il link dal messaggio.",
    unknown: "Questo link è incompleto o non più valido. Copialo di nuovo dal messaggio.",
    failed: "In questo momento non ha funzionato. Riprova tra qualche minuto.",
};

/// What the person can do on a page; with the token of the link.
#[derive(Clone, Copy)]
enum Offer<'a> {
    Nothing,
    Stop(&'a str),
    Undo(&'a str),
}

async fn ask(State(web): State<Web>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let Some(account) = web.links.account(&token) else {
        return web.not_found(&headers, |words| words.unknown);
    };
    let person = web.person(&account).await;
    let words = web.words(person.as_deref(), &headers);
    if person.is_some_and(|person| person.opted_out) {
        return web.page(StatusCode::OK, words, words.already, Offer::Undo(&token));
    }
    web.page(StatusCode::OK, words, words.ask, Offer::Stop(&token))
}

/// The button of the page and the one-click request of a mail program (RFC 8058) alike: the body
/// of neither says more than the link.
async fn unsubscribe(
    State(web): State<Web>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    web.choose(&token, &headers, false).await
}

async fn undo(State(web): State<Web>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    web.choose(&token, &headers, true).await
}

async fn nothing_here(State(web): State<Web>, headers: HeaderMap) -> Response {
    web.not_found(&headers, |words| words.nothing_here)
}

impl Web {
    /// Notes whether the person wants to be told.
    async fn choose(&self, token: &str, headers: &HeaderMap, wants: bool) -> Response {
        let Some(account) = self.links.account(token) else {
            return self.not_found(headers, |words| words.unknown);
        };
        let words = self.words(self.person(&account).await.as_deref(), headers);
        match self.note(&account, wants).await {
            Ok(()) if wants => self.page(StatusCode::OK, words, words.undone, Offer::Nothing),
            Ok(()) => self.page(StatusCode::OK, words, words.done, Offer::Undo(token)),
            Err(error) => {
                tracing::error!(%error, "a choice about notices could not be written");
                let offer = if wants {
                    Offer::Undo(token)
                } else {
                    Offer::Stop(token)
                };
                self.page(StatusCode::SERVICE_UNAVAILABLE, words, words.failed, offer)
            }
        }
    }

    async fn note(&self, account: &str, wants: bool) -> crate::store::Result<()> {
        let mut tx = self.store.begin().await?;
        if wants {
            tx.opt_in(account).await?;
        } else {
            tx.opt_out(account, self.clock.now_ms(), "link").await?;
        }
        tx.commit().await
    }

    fn not_found(&self, headers: &HeaderMap, sentence: fn(&Words) -> &'static str) -> Response {
        let words = self.words(None, headers);
        self.page(
            StatusCode::NOT_FOUND,
            words,
            sentence(words),
            Offer::Nothing,
        )
    }

    async fn person(&self, account: &str) -> Option<Arc<Addressee>> {
        let found = self.store.addressees(&[account.to_owned()]).await;
        found.ok()?.remove(account)
    }

    /// In the person's language, or else the browser's.
    fn words(&self, person: Option<&Addressee>, headers: &HeaderMap) -> &'static Words {
        let wanted = person.map(|person| person.language.clone());
        let wanted = wanted.or_else(|| {
            let value = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
            value.split([',', ';']).next().map(str::to_owned)
        });
        match self.templates.language_for(&wanted.unwrap_or_default()) {
            "it" => &ITALIAN,
            _ => &ENGLISH,
        }
    }

    fn page(
        &self,
        status: StatusCode,
        words: &Words,
        sentence: &str,
        offer: Offer<'_>,
    ) -> Response {
        let brand = escape(&self.brand);
        let form = match offer {
            Offer::Nothing => String::new(),
            Offer::Stop(token) => form(&format!("/unsubscribe/{token}"), words.button, "plain"),
            Offer::Undo(token) => form(&format!("/unsubscribe/{token}/undo"), words.undo, "quiet"),
        };
        let call = if self.phone.is_empty() {
            String::new()
        } else {
            let phone = escape(&self.phone);
            format!("<p class=\"call\">{} {phone}</p>", words.call)
        };
        let page = format!(
            "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex\"><title>{} · {brand}</title><style>{STYLE}</style></head>\
             <body><main><p class=\"brand\">{brand}</p><h1>{}</h1><p>{sentence}</p>{form}{call}</main>\
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
button.quiet{background:none;color:inherit;border:1px solid currentColor}\
.call{margin-top:2rem;opacity:.8}\
button:focus-visible{outline:3px solid #8ab8ff;outline-offset:2px}";

/// A button that posts to a path of this listener.
fn form(action: &str, label: &str, class: &str) -> String {
    format!(
        "<form method=\"post\" action=\"{}\"><button class=\"{class}\" type=\"submit\">{label}\
         </button></form>",
        escape(action)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
