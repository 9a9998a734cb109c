//! Private keys at rest: encrypted with AES-256-GCM under a key that HKDF-SHA256 makes of the server's secret, which is
//! not in the database. Each is bound to the name of its key pair, so that none passes for another.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use crate::domain::secret::ServerSecret;
use crate::error::{Error, Result};
use crate::store::signing_keys::{PrivateKey, SigningKey};

/// What the derived key is for: another use of the secret has another word.
const PURPOSE: &[u8] = b"signing keys at rest";

/// Seals private keys, and opens what was sealed with the same secret. Without a secret it keeps them as they are.
pub struct Vault(Option<RandomizedNonceKey>);

impl Vault {
    /// The vault of a secret.
    ///
    /// # Errors
    /// `internal` when the library refuses, which it does not for keys of this length.
    pub fn new(secret: Option<&ServerSecret>) -> Result<Self> {
        let derive = |secret: &ServerSecret| {
            let mut key = [0; 32];
            let prk = Salt::new(HKDF_SHA256, b"cita").extract(secret.expose().as_bytes());
            prk.expand(&[PURPOSE], &AES_256_GCM).and_then(|okm| okm.fill(&mut key))?;
            RandomizedNonceKey::new(&AES_256_GCM, &key)
        };
        let key = secret.map(derive).transpose();
        key.map(Self).map_err(|_| Error::Internal("no key could be derived from the secret".to_owned()))
    }

    /// Whether there is a secret to seal with.
    pub(super) fn seals(&self) -> bool {
        self.0.is_some()
    }

    /// The private key, PKCS#8, of the pair `kid` as it is kept.
    pub(super) fn seal(&self, kid: &str, private_key: Vec<u8>) -> Result<PrivateKey> {
        let Some(key) = &self.0 else { return Ok(PrivateKey::Plain(private_key)) };
        let mut sealed = private_key;
        let nonce = key
            .seal_in_place_append_tag(Aad::from(kid.as_bytes()), &mut sealed)
            .map_err(|_| Error::Internal("a private key could not be encrypted".to_owned()))?;
        sealed.splice(0..0, *nonce.as_ref());
        Ok(PrivateKey::Sealed(sealed))
    }

    /// The private key, PKCS#8; `None` when it was sealed with another secret.
    pub(super) fn open(&self, key: &SigningKey) -> Option<Vec<u8>> {
        let sealed = match &key.private_key {
            PrivateKey::Plain(bytes) => return Some(bytes.clone()),
            PrivateKey::Sealed(bytes) => bytes,
        };
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut opened = ciphertext.to_vec();
        let aad = Aad::from(key.kid.as_bytes());
        let length = self.0.as_ref()?.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::service::tokens::generate_key;

    fn vault(secret: &str) -> Vault {
        Vault::new(Some(&secret.into())).expect("a key")
    }

    #[test]
    fn only_the_same_secret_opens_what_it_has_sealed() {
        let open = Vault::new(None).expect("no key");
        let pair = generate_key(1, Timestamp::UNIX_EPOCH, &open).expect("randomness");
        let bytes = open.open(&pair).expect("it is kept as it is");
        let ours = vault("0123456789abcdef0123456789abcdef");
        let sealed = SigningKey { private_key: ours.seal(&pair.kid, bytes.clone()).expect("sealed"), ..pair.clone() };
        assert_eq!(ours.open(&sealed), Some(bytes.clone()));
        assert!(vault("0123456789abcdef0123456789abcdeF").open(&sealed).is_none(), "another secret");
        assert!(open.open(&sealed).is_none(), "no secret");
        assert!(ours.open(&SigningKey { kid: "other".to_owned(), ..sealed.clone() }).is_none(), "another key's place");
        let PrivateKey::Sealed(stored) = &sealed.private_key else { panic!("it is sealed") };
        assert!(!stored.windows(8).any(|part| bytes.windows(8).any(|plain| plain == part)), "nothing of it shows");
        for at in 0..stored.len() {
            let mut damaged = stored.clone();
            damaged[at] ^= 1;
            let damaged = SigningKey { private_key: PrivateKey::Sealed(damaged), ..sealed.clone() };
            assert!(ours.open(&damaged).is_none(), "{at}");
        }
        for length in 0..stored.len() {
            let cut = PrivateKey::Sealed(stored[..length].to_vec());
            assert!(ours.open(&SigningKey { private_key: cut, ..sealed.clone() }).is_none(), "{length}");
        }
        let again = ours.seal(&pair.kid, bytes).expect("sealed");
        assert!(!matches!(again, PrivateKey::Sealed(again) if again == *stored), "each time anew");
    }
}
