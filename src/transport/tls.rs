//! TLS by file: a chain of certificates and its key, which are read again while the server runs, so that a renewal needs
//! no restart. Connections that are open keep what they began with.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::meters;

/// How often the files are read again. They are compared, not dated: a mounted secret keeps the dates that it came with.
const EVERY: Duration = Duration::from_secs(10);
/// Largest file, in bytes: a chain of some certificates has a few thousand.
const MOST_BYTES: u64 = 256 * 1024;

/// A certificate chain and its key, in files.
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    files: Files,
    config: Arc<ServerConfig>,
    /// What was found later and is not good: it is complained of once.
    refused: Option<Files>,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("cert", &self.cert).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// A sentence for the person who configured them. It quotes nothing of the key.
    pub fn open(cert: &Path, key: &Path) -> Result<Self, String> {
        let files = Files::read(cert, key)?;
        let config = files.config(cert, key)?;
        let current = RwLock::new(Current { files, config, refused: None });
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), current })
    }

    /// What a new connection is greeted with.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.read().config.clone())
    }

    /// Reads the files again, and takes what is new if it is good. Tells whether it has.
    ///
    /// # Errors
    /// What is not good, once for each change. The certificate from before stays.
    pub fn refresh(&self) -> Result<bool, String> {
        let files = Files::read(&self.cert, &self.key)?;
        let known = {
            let current = self.current.read();
            files == current.files || Some(&files) == current.refused.as_ref()
        };
        if known {
            return Ok(false);
        }
        match files.config(&self.cert, &self.key) {
            Ok(config) => {
                *self.current.write() = Current { files, config, refused: None };
                Ok(true)
            }
            Err(complaint) => {
                self.current.write().refused = Some(files);
                Err(complaint)
            }
        }
    }

    /// Reads the files again now and then, for as long as it is polled.
    pub async fn keep_fresh(self: Arc<Self>) {
        let mut last = String::new();
        loop {
            tokio::time::sleep(EVERY).await;
            let tls = self.clone();
            let refreshed = tokio::task::spawn_blocking(move || tls.refresh()).await;
            match refreshed.unwrap_or(Ok(false)) {
                Ok(false) => last.clear(),
                Ok(true) => {
                    meters::certificate(true);
                    tracing::info!("a new certificate is in use");
                    last.clear();
                }
                // A file that is gone is gone the next time too.
                Err(complaint) if complaint == last => {}
                Err(complaint) => {
                    meters::certificate(false);
                    tracing::error!(complaint, "the certificate from before stays in use");
                    last = complaint;
                }
            }
        }
    }
}

impl Files {
    fn read(cert: &Path, key: &Path) -> Result<Self, String> {
        let all = |path: &Path| -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let unreadable = |option: &'static str, path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| format!("{option}: {path} cannot be read: {error}")
        };
        Ok(Self {
            cert: all(cert).map_err(unreadable("--tls-cert", cert))?,
            key: all(key).map_err(unreadable("--tls-key", key))?,
        })
    }

    fn config(&self, cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
        let (cert, key) = (cert.display(), key.display());
        let chain = CertificateDer::pem_slice_iter(&self.cert).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| {
            format!(
                "--tls-cert: {cert} holds no certificates in PEM: the server's own first, then those that vouch for it"
            )
        })?;
        let private = PrivateKeyDer::from_pem_slice(&self.key);
        let private = private.map_err(|_| format!("--tls-key: {key} holds no unencrypted private key in PEM"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
        let mut config =
            config.map_err(|error| format!("--tls-cert and --tls-key ({cert}, {key}) do not go together: {error}"))?;
        // A WebSocket needs HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::CertifiedKey;
    use uuid::Uuid;

    use super::*;

    /// A directory for two files, removed at the end.
    struct Place(PathBuf);

    impl Place {
        fn new() -> Self {
            let place = std::env::temp_dir().join(format!("cita-tls-{}", Uuid::new_v4()));
            std::fs::create_dir(&place).expect("a directory");
            Self(place)
        }

        fn cert(&self) -> PathBuf {
            self.0.join("cert.pem")
        }

        fn key(&self) -> PathBuf {
            self.0.join("key.pem")
        }

        fn put(&self, cert: &str, key: &str) {
            std::fs::write(self.cert(), cert).expect("a file");
            std::fs::write(self.key(), key).expect("a file");
        }

        fn open(&self) -> Result<Tls, String> {
            Tls::open(&self.cert(), &self.key())
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }

    fn pair() -> (String, String) {
        let names = vec!["citas.example".to_owned()];
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).expect("a certificate");
        (cert.pem(), signing_key.serialize_pem())
    }

    #[test]
    fn what_is_no_certificate_with_its_key_is_named() {
        let ((cert, key), (_, other)) = (pair(), pair());
        let place = Place::new();
        assert!(place.open().expect_err("nothing is there").contains("cert.pem cannot be read"));
        for (found_cert, found_key, complaint) in [
            ("", key.as_str(), "holds no certificates in PEM"),
            ("no PEM", &key, "holds no certificates in PEM"),
            (&key, &key, "holds no certificates in PEM"),
            (&cert, "", "holds no unencrypted private key"),
            (&cert, &cert, "holds no unencrypted private key"),
            (&cert, &other, "do not go together"),
        ] {
            place.put(found_cert, found_key);
            let told = place.open().expect_err(complaint);
            assert!(told.contains(complaint), "{complaint} in {told}");
            assert!(key.lines().skip(1).all(|line| line.len() < 20 || !told.contains(line)), "{told}");
        }
        // One file may hold both, whatever comes first.
        place.put(&format!("{key}{cert}"), &format!("{cert}{key}"));
        place.open().expect("the parts are found");
    }

    #[test]
    fn a_good_pair_is_taken_and_a_bad_one_refused_once() {
        let (first, second) = (pair(), pair());
        let place = Place::new();
        place.put(&first.0, &first.1);
        let tls = place.open().expect("a good pair");
        let in_use = || Arc::as_ptr(&tls.current.read().config);
        let before = in_use();
        assert_eq!(tls.refresh(), Ok(false), "nothing has changed");

        // As it is found between the writing of the two.
        place.put(&second.0, &first.1);
        assert!(tls.refresh().expect_err("half of a pair").contains("do not go together"));
        assert_eq!(tls.refresh(), Ok(false), "it was told once");
        std::fs::remove_file(place.key()).expect("a file");
        assert!(tls.refresh().expect_err("no key").contains("key.pem cannot be read"));
        assert_eq!(in_use(), before);

        place.put(&second.0, &second.1);
        assert_eq!(tls.refresh(), Ok(true));
        assert_ne!(in_use(), before);
        assert_eq!(tls.refresh(), Ok(false));
        assert!(!format!("{tls:?}").contains("PRIVATE"));
    }
}
