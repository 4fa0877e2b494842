//! A private certificate authority, and what it signs.

use forewarn::rpc::server::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::PathBuf;

pub(crate) struct Authority {
    dir: tempfile::TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
        Self { dir, ca }
    }

    /// Certificate and key for a name.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn server_files(&self, client_ca: bool) -> TlsFiles {
        let (certificate, key) = self.issue("localhost");
        let path = |name: &str| self.dir.path().join(name);
        std::fs::write(path("server.pem"), certificate).unwrap();
        std::fs::write(path("server.key"), key).unwrap();
        TlsFiles {
            certificate: path("server.pem"),
            key: path("server.key"),
            client_ca: client_ca.then(|| path("ca.pem")),
        }
    }

    /// The certificate of the authority itself.
    pub(crate) fn pem(&self) -> String {
        self.ca.pem()
    }

    /// A file in its folder; the certificate of the authority is `ca.pem`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
