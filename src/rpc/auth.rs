//! Who calls, and what they may do.
//!
//! Invariant: no call of any service, reflection and health included, gets past the layer without a
//! valid token.

use crate::clock::Millis;
use crate::store::{Store, StoreError, StoredToken};
use axum::extract::{Request as HttpRequest, State};
use axum::middleware::Next;
use axum::response::Response as HttpResponse;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Request, Status};

/// What a token allows. An admin may do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Ingest,
    Care,
    Operator,
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Care, Self::Operator, Self::Admin];

    /// Name in the database and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Care => "care",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// The holder of the token of a call; put into the request's extensions by the authentication layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name of the token.
    pub name: String,
    pub role: Role,
}

/// The caller, if it has one of the roles (or is an admin).
pub fn require<T>(request: &Request<T>, allowed: &[Role]) -> Result<Caller, Box<Status>> {
    let caller = request.extensions().get::<Caller>().ok_or_else(|| {
        Box::new(Status::unauthenticated(
            "send `authorization: Bearer <token>`",
        ))
    })?;
    if caller.role == Role::Admin || allowed.contains(&caller.role) {
        return Ok(caller.clone());
    }
    let mut names: Vec<_> = allowed.iter().map(|role| role.as_str()).collect();
    names.push(Role::Admin.as_str());
    let one_of = if names.len() > 1 { "one of: " } else { "" };
    Err(Box::new(Status::permission_denied(format!(
        "role `{}` may not do this; it takes {one_of}{}",
        caller.role.as_str(),
        names.join(", ")
    ))))
}

/// First characters of every token, so that a leaked one is recognised.
const TOKEN_PREFIX: &str = "fw_";

/// How long a revoked token may go on working.
pub const REVOCATION_DELAY: Duration = Duration::from_secs(2);

/// A fresh token: what the caller keeps, and what is stored.
pub fn new_token(name: &str, role: Role, now_ms: Millis) -> (String, StoredToken) {
    let random: [u8; 32] = rand::random();
    let secret = format!("{TOKEN_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let stored = StoredToken {
        hash: hash(&secret).to_vec(),
        name: name.to_owned(),
        role: role.as_str().to_owned(),
        created_at_ms: now_ms,
        revoked_at_ms: None,
    };
    (secret, stored)
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Knows the valid tokens; cheap to clone.
///
/// They are few, so all are kept in memory and read again every few seconds while calls come in: a
/// call costs no query. An unknown token makes them be read again, by one call at a time, so that a
/// new token works at once and guessing does not flood the database.
#[derive(Clone, Debug)]
pub struct Authenticator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    known: RwLock<Known>,
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    read_at: Option<Instant>,
    callers: HashMap<[u8; 32], Caller>,
}

impl Authenticator {
    /// Looks tokens up in this store.
    pub fn new(store: Store) -> Self {
        let inner = Inner {
            store,
            known: RwLock::default(),
            reading: tokio::sync::Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The holder of the token, if it is valid.
    pub async fn caller(&self, secret: &str) -> Result<Option<Caller>, StoreError> {
        let key = hash(secret);
        let began = Instant::now();
        let recent = began.checked_sub(REVOCATION_DELAY).unwrap_or(began);
        if let Some(caller) = self.known_since(&key, recent).flatten() {
            return Ok(Some(caller));
        }
        let _reading = self.inner.reading.lock().await;
        // Another call may have read them while this one waited.
        if let Some(known) = self.known_since(&key, began) {
            return Ok(known);
        }
        self.read().await?;
        Ok(self.known_since(&key, began).flatten())
    }

    /// The holder, by what was read after that instant; `None` when nothing was.
    #[allow(clippy::option_option, reason = "not known, known to be nobody, known")]
    fn known_since(&self, key: &[u8; 32], since: Instant) -> Option<Option<Caller>> {
        let known = self.inner.known.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        known.read_at.filter(|read_at| *read_at >= since)?;
        Some(known.callers.get(key).cloned())
    }

    async fn read(&self) -> Result<(), StoreError> {
        // Taken before the query: a revocation during it is not missed for longer than promised.
        let read_at = Some(Instant::now());
        let callers = self.inner.store.tokens().await?;
        let callers = callers.into_iter().filter_map(valid_caller).collect();
        let mut known = self
            .inner
            .known
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Known { read_at, callers };
        Ok(())
    }
}

fn valid_caller(token: StoredToken) -> Option<([u8; 32], Caller)> {
    if token.revoked_at_ms.is_some() {
        return None;
    }
    let caller = Caller {
        name: token.name,
        role: Role::parse(&token.role)?,
    };
    Some((token.hash.try_into().ok()?, caller))
}

/// The token of a call, kept so that a long stream can ask whether it is still valid.
#[derive(Clone, Debug)]
pub struct Admission {
    authenticator: Authenticator,
    secret: Arc<str>,
}

impl Admission {
    /// Ends when the token has been revoked.
    pub async fn revoked(&self) {
        loop {
            tokio::time::sleep(REVOCATION_DELAY).await;
            if let Ok(None) = self.authenticator.caller(&self.secret).await {
                return;
            }
        }
    }
}

/// Lets a call through when it carries a valid token, and says who calls ([`Caller`],
/// [`Admission`]).
pub async fn authenticate(
    State(authenticator): State<Authenticator>,
    mut request: HttpRequest,
    next: Next,
) -> HttpResponse {
    let secret: Option<Arc<str>> = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(bearer)
        .map(Arc::from);
    let status = match secret {
        None => Status::unauthenticated("send `authorization: Bearer <token>`"),
        Some(secret) => match authenticator.caller(&secret).await {
            Ok(Some(caller)) => {
                request.extensions_mut().insert(caller);
                request.extensions_mut().insert(Admission {
                    authenticator,
                    secret,
                });
                return next.run(request).await;
            }
            Ok(None) => Status::unauthenticated("the token is unknown or revoked"),
            Err(error) => {
                tracing::error!(%error, "tokens cannot be read");
                Status::unavailable("tokens cannot be read now")
            }
        },
    };
    status.into_http()
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}
