//! The server's secret, the keys derived from it, and the only source of randomness for secrets.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, ensure};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    hkdf, hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretBox};

use crate::{
    config::Config,
    error::{Error, Result},
};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// Returns random bytes from the system's generator. Every generated secret is made of these.
///
/// # Panics
/// When the system has no randomness, without which no server can run safely.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random generator");
    bytes
}

/// The server's secret: 32 bytes that all instances share, and the earlier ones, which only open what they sealed. It is
/// never used directly; each use has a key derived from it (HKDF, RFC 5869), so that one use can't be exploited against
/// another.
///
/// A new secret invalidates whatever carries a MAC under it (refresh, page and resume tokens, links to files and for
/// unsubscribing). Without the earlier secret, it also causes a new signing key; access tokens already issued stay valid,
/// because the public keys are not sealed.
#[derive(Clone)]
pub struct SecretKey(std::sync::Arc<[SecretBox<[u8; KEY_BYTES]>]>);

debug_fields!(SecretKey);

impl SecretKey {
    /// Returns the configured secret or, if there is none, the one in the data directory, generated on first use.
    ///
    /// # Errors
    /// When a part of `SECRET_KEY` is not 32 bytes in base64, or the file can't be read or created.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        match &config.secret_key {
            Some(text) => Self::parse(text.expose_secret()).context("SECRET_KEY"),
            None => Self::from_file(&config.database.data_dir.join("secret_key")),
        }
    }

    /// Reads a secret, 32 bytes in base64, and the earlier ones after it, separated by commas.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        // The decoder's own error would quote a part of the secret.
        let bytes = |part: &str| <[u8; KEY_BYTES]>::try_from(STANDARD.decode(part.trim()).ok()?).ok();
        let all: Option<Vec<_>> = text.split(',').map(bytes).collect();
        Ok(Self::of(all.context("must be 32 bytes in base64 (openssl rand -base64 32)")?))
    }

    /// Makes a secret of these bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self::of([bytes])
    }

    fn of(all: impl IntoIterator<Item = [u8; KEY_BYTES]>) -> Self {
        Self(all.into_iter().map(|bytes| SecretBox::new(Box::new(bytes))).collect())
    }

    fn from_file(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        match fs::File::open(path) {
            Ok(mut file) => {
                let mode = file.metadata()?.permissions().mode();
                ensure!(mode & 0o077 == 0, "{name} can be read by others; chmod 600 it");
                let mut text = String::new();
                file.read_to_string(&mut text).with_context(|| format!("reading {name}"))?;
                Self::parse(&text).with_context(|| name.to_string())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Self::generate(path).with_context(|| format!("creating {name}"))
            }
            Err(error) => Err(error).with_context(|| format!("reading {name}")),
        }
    }

    /// Writes a temporary file and links it into place, so that a crash leaves no partial file and two concurrent
    /// starts agree on one secret.
    fn generate(path: &Path) -> anyhow::Result<Self> {
        let directory = path.parent().context("has no directory")?;
        fs::create_dir_all(directory)?;
        let temporary = directory.join(format!(".secret_key.{}", std::process::id()));
        fs::remove_file(&temporary).ok();
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        writeln!(file, "{}", STANDARD.encode(random::<KEY_BYTES>()))?;
        file.sync_all()?;
        let link = fs::hard_link(&temporary, path);
        fs::remove_file(&temporary)?;
        match link {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
            _ => {
                fs::File::open(directory)?.sync_all()?;
                Self::parse(&fs::read_to_string(path)?)
            }
        }
    }

    fn derive(&self, purpose: &str) -> [u8; KEY_BYTES] {
        derive(&self.0[0], purpose)
    }

    /// Returns the MAC key (HMAC with SHA-256) of a purpose, which is named by what is authenticated and a version, such as
    /// `page tokens v1`.
    pub fn mac(&self, purpose: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive(purpose))
    }

    /// Seals a private key (AES-256-GCM, the nonce first). Opening it requires the same `label`, so that a sealed key
    /// can't be moved to another row.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the cipher fails.
    pub fn seal(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let nonce = sealer(&self.0[0]).seal_in_place_append_tag(Aad::from(label), &mut sealed);
        let nonce = nonce.map_err(|_| Error::internal(anyhow::anyhow!("AES-GCM could not seal")))?;
        Ok([nonce.as_ref().as_slice(), &sealed].concat())
    }

    /// Opens what [`seal`](Self::seal) made with this secret or an earlier one; `None` if it was sealed with another secret or
    /// label, or modified.
    pub fn unseal(&self, label: &str, sealed: &[u8]) -> Option<SecretBox<Vec<u8>>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        self.0.iter().find_map(|secret| {
            let (mut body, nonce) = (body.to_vec(), Nonce::assume_unique_for_key(*nonce));
            let length = sealer(secret).open_in_place(nonce, Aad::from(label), &mut body).ok()?.len();
            body.truncate(length);
            Some(SecretBox::new(Box::new(body)))
        })
    }
}

fn derive(secret: &SecretBox<[u8; KEY_BYTES]>, purpose: &str) -> [u8; KEY_BYTES] {
    let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"mainstay").extract(secret.expose_secret());
    let mut key = [0; KEY_BYTES];
    let info = [purpose.as_bytes()];
    let derived = root.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
    derived.expect("HKDF gives up to 255 times 32 bytes");
    key
}

fn sealer(secret: &SecretBox<[u8; KEY_BYTES]>) -> RandomizedNonceKey {
    let key = derive(secret, "signing keys v1");
    RandomizedNonceKey::new(&AES_256_GCM, &key).expect("32 bytes are an AES-256 key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_and_label_open_a_seal() {
        let key = SecretKey::new([1; 32]);
        let sealed = key.seal("a", b"private").expect("seals");
        assert_eq!(key.unseal("a", &sealed).expect("opens").expose_secret(), b"private");
        assert!(key.unseal("b", &sealed).is_none());
        assert!(SecretKey::new([2; 32]).unseal("a", &sealed).is_none());
        let mut forgery = sealed;
        *forgery.last_mut().expect("not empty") ^= 1;
        assert!(key.unseal("a", &forgery).is_none());
        assert!(key.unseal("a", b"short").is_none());
    }

    #[test]
    fn an_earlier_secret_only_opens() {
        let text = |byte| STANDARD.encode([byte; 32]);
        let old = SecretKey::new([1; 32]);
        let new = SecretKey::parse(&format!("{},{}", text(2), text(1))).expect("two secrets");
        let sealed = old.seal("a", b"private").expect("seals");
        assert_eq!(new.unseal("a", &sealed).expect("opens").expose_secret(), b"private");
        assert!(old.unseal("a", &new.seal("a", b"private").expect("seals")).is_none());
        assert_eq!(new.derive("page tokens v1"), SecretKey::new([2; 32]).derive("page tokens v1"));
        assert!(SecretKey::parse(&format!("{},short", text(2))).is_err());
    }

    #[test]
    fn the_file_is_made_once_and_read_by_its_owner_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("data/secret_key");
        let first = SecretKey::from_file(&path).expect("is made");
        let again = SecretKey::from_file(&path).expect("is read");
        assert_eq!(first.0[0].expose_secret(), again.0[0].expose_secret());
        assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("is ours");
        assert!(SecretKey::from_file(&path).is_err());
    }

    #[test]
    fn a_secret_is_32_bytes() {
        for bad in ["", "c2hvcnQ=", "not base64"] {
            assert!(SecretKey::parse(bad).is_err(), "{bad}");
        }
    }
}
