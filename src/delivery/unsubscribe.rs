//! Links by which a person says no to notices, without an account or a password.
//!
//! A token is the account and its HMAC-SHA256, both in URL-safe base64: nobody can make one for
//! somebody else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Makes and checks the links.
#[derive(Clone)]
pub struct UnsubscribeLinks {
    key: Vec<u8>,
    base_url: String,
}

impl std::fmt::Debug for UnsubscribeLinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnsubscribeLinks")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl UnsubscribeLinks {
    /// `base_url` is where the web listener is reached, for instance `https://notices.example.net`.
    pub fn new(key: Vec<u8>, base_url: &str) -> Self {
        Self {
            key,
            base_url: base_url.trim_end_matches('/').to_owned(),
        }
    }

    /// The link of an account.
    pub fn url(&self, account: &str) -> String {
        format!("{}/unsubscribe/{}", self.base_url, self.token(account))
    }

    /// The last part of the link.
    pub fn token(&self, account: &str) -> String {
        let tag = self
            .mac(account)
            .map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
            .unwrap_or_default();
        format!("{}.{tag}", URL_SAFE_NO_PAD.encode(account))
    }

    /// The account of a token, if it is one of ours.
    pub fn account(&self, token: &str) -> Option<String> {
        let (account, tag) = token.split_once('.')?;
        let account = String::from_utf8(URL_SAFE_NO_PAD.decode(account).ok()?).ok()?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        self.mac(&account)?.verify_slice(&tag).ok()?;
        Some(account)
    }

    fn mac(&self, account: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(b"unsubscribe\0");
        mac.update(account.as_bytes());
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_account_and_no_other() {
        let links = UnsubscribeLinks::new(vec![7; 32], "https://notices.example.net/");
        let token = links.token("A-1/è");
        assert_eq!(links.account(&token).as_deref(), Some("A-1/è"));
        let (_, tag) = token.split_once('.').unwrap();
        let forged = format!("{}.{tag}", URL_SAFE_NO_PAD.encode("A-2"));
        assert_eq!(links.account(&forged), None);
        let other = UnsubscribeLinks::new(vec![8; 32], "https://notices.example.net");
        assert_eq!(other.account(&token), None);
        assert_eq!(links.account(""), None);
        assert_eq!(links.account("."), None);
    }
}
